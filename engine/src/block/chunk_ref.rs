//! One chunk of a series as the directory of its block tells of it, not yet decoded; or the sum of
//! several.
//!
//! Invariant: what `values` and `column` name lies in the block that the chunk came from.

use std::fmt::Debug;

use treering_codec::Stats;

/// One chunk of a series, not yet decoded.
#[derive(Debug, Clone)]
pub(crate) struct ChunkRef {
    /// Timestamp of the first sample.
    pub(crate) min_time: i64,
    /// Timestamp of the last sample.
    pub(crate) max_time: i64,
    /// Samples in it, stale markers included.
    pub(crate) count: u32,
    /// Its timestamp column.
    pub(crate) column: u32,
    /// Where its values are.
    pub(crate) values: Values,
    /// Bytes behind the values that sum up the steps.
    pub(super) summaries: u32,
    /// Statistics; `None` for a chunk of few samples, which is as quickly decoded.
    pub(crate) stats: Option<Stats>,
    /// Nanoseconds of a step, or 0. Each row of a stepped chunk is the last sample of its step, and
    /// the statistics are those of all samples: these reach back from `min_time` to the start of
    /// the step window (left-open, right-closed, a multiple of the step since the epoch) that it
    /// lies in. Rows of one sample each make a chunk without steps.
    pub(crate) step: i64,
}

impl ChunkRef {
    /// Bytes of its values in the file, and of what sums up its steps.
    pub(crate) fn stored_bytes(&self) -> u64 {
        let values = match self.values {
            Values::Encoded { bytes, .. } => bytes,
            Values::Constant(_) | Values::Summed => 0,
        };
        u64::from(values) + u64::from(self.summaries)
    }
}

/// Where the values of a chunk are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values {
    /// All of them are this one, bit for bit.
    Constant(f64),
    /// Encoded, at this offset of the file.
    Encoded {
        /// Offset of the first byte.
        offset: u64,
        /// Length in bytes.
        bytes: u32,
    },
    /// In several chunks, of which the statistics tell all that was asked: see [`Need::Sums`].
    Summed,
}

/// Said where a sum of chunks is asked for samples, which nobody does who asks for sums.
pub(crate) const READ_AS_ONE: &str = "a sum of several chunks was read as one";

/// What is wanted of a series in a block.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need<'a> {
    /// All chunks of the range.
    Chunks,
    /// Those, or sums of several where these will do.
    Sums(&'a dyn Suffices),
    /// The last chunk of the range.
    Newest,
}

/// Says which samples need not be looked up one by one, nor their chunks.
pub(crate) trait Suffices: Debug + Send + Sync {
    /// Whether it is enough to know these statistics of the samples in `first..=last`.
    fn suffices(&self, stats: &Stats, first: i64, last: i64) -> bool;
}
