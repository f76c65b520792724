//! Blocks: one immutable file for the samples of many series over a window of time.
//!
//! Input of [`BlockWriter`]: series in label order with their columns. Output of [`Block`]: series
//! by matchers, chunks by time, samples by chunk. Invariant: what is read is what was written, bit
//! for bit, or an error that names file and offset. `docs/format/block.md` is the format.

mod cache;
mod chunk_ref;
mod chunks;
mod columns;
mod cursor;
mod cut;
mod directory;
mod entries;
mod format;
mod index;
mod outputs;
mod paged;
mod part;
mod pending;
mod read;
mod sealed;
mod summaries;
#[cfg(test)]
mod tests;
mod verify;
mod write;

pub(crate) use cache::BlockCache;
pub(crate) use chunk_ref::{ChunkRef, Need, READ_AS_ONE, Suffices, Values};
pub(crate) use cursor::Cursor;
pub(crate) use format::{BlockInfo, BlockMeta};
pub(crate) use index::{BlockIndex, BlockLabels};
pub(crate) use outputs::{Outputs, block_path, is_temporary_name, parse_block_name};
pub(crate) use part::Part;
pub(crate) use read::Block;
pub(crate) use sealed::{SealedChunk, Sealer};
pub(crate) use summaries::{Fold, samples, step_bounds, step_window};
#[cfg(any(test, feature = "testing"))]
pub(crate) use write::BlockWriter;
