//! A native histogram: counts of observations in buckets whose bounds follow a schema.
//!
//! Input: what a writer measured. Output: plain numbers, for the value columns of a
//! [`Source`](crate::Source). Invariant of a well-formed one: bucket indices rise strictly on each
//! side, `bounds` rise strictly and stand only where the schema is [`CUSTOM_SCHEMA`].

use std::sync::Arc;

/// The schema of histograms whose bucket bounds are listed one by one.
pub const CUSTOM_SCHEMA: i8 = -53;

/// The coarsest exponential schema.
pub const MIN_SCHEMA: i8 = -4;

/// The finest exponential schema.
pub const MAX_SCHEMA: i8 = 8;

/// What is known about a counter reset between a histogram and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ResetHint {
    /// Nothing: compare the two.
    #[default]
    Unknown,
    /// The counter was reset.
    Reset,
    /// The counter was not reset.
    NotReset,
    /// A gauge; resets mean nothing.
    Gauge,
}

/// A native histogram with counts as floats.
///
/// Of an exponential schema `s`, the bucket of index `i` holds what is above
/// `2^((i - 1) * 2^-s)` and at most `2^(i * 2^-s)`; negative observations are counted alike by
/// their absolute value. With custom bounds, bucket `i` ends at `bounds[i]`, the last at infinity,
/// and there are neither negative buckets nor a zero bucket.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// From [`MIN_SCHEMA`] to [`MAX_SCHEMA`], or [`CUSTOM_SCHEMA`].
    pub schema: i8,
    /// What is known about a counter reset.
    pub hint: ResetHint,
    /// How many observations, those of NaN included.
    pub count: f64,
    /// The sum of all observations.
    pub sum: f64,
    /// Observations of at most this absolute value are in the zero bucket.
    pub zero_threshold: f64,
    /// How many are in the zero bucket.
    pub zero_count: f64,
    /// Index and count of the buckets of positive observations, by rising index.
    pub positive: Vec<(i32, f64)>,
    /// Index and count of the buckets of negative observations, by rising index.
    pub negative: Vec<(i32, f64)>,
    /// The upper bounds of custom buckets, but the last, infinite one.
    pub bounds: Arc<[f64]>,
}

impl Histogram {
    /// Whether its bucket bounds are listed one by one.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }

    /// Bytes of heap that it takes, its bounds included.
    pub fn heap_bytes(&self) -> usize {
        let buckets = self.positive.capacity() + self.negative.capacity();
        buckets * size_of::<(i32, f64)>() + self.bounds.len() * size_of::<f64>()
    }
}
