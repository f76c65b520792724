//! The directory of a Prometheus server, versions 2 and 3: what it holds, as labels and samples.
//!
//! ```text
//! data/01H.../index             labels of a block's series, and where their chunks are   [Index]
//! data/01H.../chunks/000001     chunks of samples                                        [decode]
//! data/01H.../tombstones        what was deleted of it                                   [Tombstones]
//! data/wal/00000012             the log: series and samples of the last hours            [Log]
//! data/wal/checkpoint.00000011/ what is still needed of log files that are gone
//! data/wbl/00000003             a second log, of samples that came late
//! ```
//!
//! Source: Prometheus' `tsdb/docs/format/` and what its versions 2.42 and 3 write. Invariant: bytes
//! that are damaged are an error with their offset, never other samples; lengths in files are held
//! against what is there before anything is allocated.

mod block;
mod chunk;
mod histogram;
mod index;
mod log;
mod record;
mod series;
mod tombstones;

pub use block::{Block, ChunkFile, ChunkFiles};
pub use chunk::decode;
pub use index::{ChunkRef, Index, IndexedSeries};
pub use log::{Entry, Log, Tail};
pub use series::Deleted;
pub use tombstones::Tombstones;

/// Nanoseconds of a millisecond, in which Prometheus tells time.
const MILLISECOND: i64 = 1_000_000;
