//! Treering's codec: numbers to bytes and back, bit-exact. No I/O, no clock, no threads.
//!
//! What leaves this crate is bytes; what enters a decoder is any bytes at all, answered by the
//! numbers they hold or an [`Error`] with an offset, never by a panic.
#![forbid(unsafe_code)]

mod bitpack;
mod bits;
mod blocks;
mod checksum;
mod choose;
mod decimal;
mod error;
mod limits;
mod number;
mod sample;
mod sealed;
mod sequence;
mod state;
mod stats;
mod stream;
mod sum;
mod tag;
mod time;
pub mod varint;
mod xor;

pub use checksum::{crc32, crc32_parts};
pub use choose::encode_values;
pub use error::{Error, Result};
pub use limits::{BLOCK_SAMPLES, MAX_CHUNK_SAMPLES, MAX_STREAM_SAMPLES_PER_BYTE};
pub use sample::{STALE_MARKER_BITS, Sample, ValueKind, is_stale, stale_marker};
pub use sealed::{Encoding, constant_value, decode_values, decode_values_range};
pub use stats::Stats;
pub use stream::{StreamEncoder, StreamReader, decode_stream};
pub use sum::CompensatedSum;
pub use time::{TimeSummary, decode_timestamps, encode_timestamps, summarize_timestamps};
