//! Treering's codec: numbers to bytes and back, bit-exact. No I/O, no clock, no threads.
//!
//! What leaves this crate is bytes; what enters a decoder is any bytes at all, answered by the
//! numbers they hold or an [`Error`] with an offset, never by a panic.
//!
//! A series is written twice in its life: sample by sample into a [`StreamEncoder`] while it is
//! recent, then as a sealed chunk, whose timestamps are a column that many series may share.
//!
//! ```
//! use treering_codec::*;
//!
//! let mut open = StreamEncoder::new();
//! for (second, value) in (0..).zip([20.5, 20.5, 20.25, 21.0]) {
//!     open.push(second * 1_000_000_000, value);
//! }
//! let (mut timestamps, mut values) = (Vec::new(), Vec::new());
//! decode_stream(&open.take(), &mut timestamps, &mut values)?;
//!
//! let (mut time_column, mut value_column) = (Vec::new(), Vec::new());
//! encode_timestamps(&timestamps, &mut time_column);
//! encode_values(&values, &mut value_column);
//!
//! let count = summarize_timestamps(&time_column)?.count;
//! let mut last_two = Vec::new();
//! decode_values_range(&value_column, count, count - 2..count, &mut last_two)?;
//! assert_eq!(last_two, [20.25, 21.0]);
//! assert_eq!(Stats::of(&values).max, 21.0);
//! # Ok::<(), Error>(())
//! ```
#![deny(unsafe_code)]

mod bins;
mod bitpack;
mod bits;
mod blocks;
mod checksum;
mod choose;
mod coded;
mod decimal;
mod dictionary;
mod encoder;
mod error;
mod extras;
mod histogram;
mod histograms;
mod limits;
mod m3tsz;
mod near;
mod number;
mod patches;
mod plan;
mod portable;
mod replay;
mod residuals;
mod sample;
mod sealed;
mod sequence;
#[allow(unsafe_code)]
mod simd;
mod split;
mod state;
mod stats;
mod stream;
mod sum;
mod summary;
mod tag;
mod time;
mod unit;
pub mod varint;
mod xor;

pub use checksum::{crc32, crc32_parts};
pub use encoder::{Encoder, encode_values, encode_values_cold};
pub use error::{Error, Result};
pub use extras::{
    Extras, ExtrasForm, decode_extras, encode_extras, has_histograms, join_extras, split_extras,
};
pub use histogram::{CUSTOM_SCHEMA, Histogram, MAX_SCHEMA, MIN_SCHEMA, ResetHint};
pub use limits::{
    BLOCK_SAMPLES, MAX_CHUNK_SAMPLES, MAX_HISTOGRAM_BUCKETS, MAX_HISTOGRAM_CELLS,
    MAX_STREAM_SAMPLES_PER_BYTE,
};
pub use m3tsz::{M3TimeUnit, MAX_M3TSZ_SAMPLES_PER_BYTE, decode_m3tsz};
pub use sample::{STALE_MARKER_BITS, Sample, ValueKind, is_stale, stale_marker};
pub use sealed::{Encoding, constant_value, decode_values, decode_values_range};
pub use stats::Stats;
pub use stream::{StreamEncoder, StreamReader, decode_stream};
pub use sum::{CompensatedSum, two_sum};
pub use summary::{largest, smallest};
pub use time::{
    TimeSummary, decode_timestamps, decode_timestamps_range, encode_timestamps,
    summarize_timestamps,
};
