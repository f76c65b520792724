//! Values: what a query gives.
//!
//! Input: none; the evaluator makes them. Output: plain data. Invariant: timestamps of a series
//! rise strictly; a matrix is sorted by labels, a vector only where the query sorts it.

use std::sync::Arc;
use std::time::Duration;

use treering::Labels;

use crate::annotation::Annotations;
use crate::histogram::Histogram;

/// What a query gives.
#[derive(Debug, Clone)]
pub enum Value {
    /// One number; its time in nanoseconds since the Unix epoch.
    Scalar(i64, f64),
    /// A text; its time in nanoseconds since the Unix epoch.
    String(i64, String),
    /// One sample for each series.
    Vector(Vec<VectorSample>),
    /// Many samples for each series.
    Matrix(Vec<ResultSeries>),
}

/// The value of a sample.
#[derive(Debug, Clone)]
pub enum SampleValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// One element of an instant vector.
#[derive(Debug, Clone)]
pub struct VectorSample {
    /// Its labels.
    pub labels: Labels,
    /// Nanoseconds since the Unix epoch: the time of the evaluation.
    pub timestamp: i64,
    /// Its value.
    pub value: SampleValue,
}

/// One series of a matrix.
#[derive(Debug, Clone)]
pub struct ResultSeries {
    /// Its labels.
    pub labels: Labels,
    /// Time (nanoseconds since the Unix epoch) and value of each sample.
    pub samples: Vec<(i64, SampleValue)>,
}

/// What a query read and held, and how long it took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Series that selectors found.
    pub series: u64,
    /// Samples that were read.
    pub samples: u64,
    /// Of the series, those that the source answered from summaries.
    pub summarized_series: u64,
    /// Chunks that were decoded, where the source tells.
    pub chunks: u64,
    /// Bytes of these chunks as they are stored, where the source tells.
    pub stored_bytes: u64,
    /// The most samples that were held at a time, as they count for
    /// [`Options::max_samples`](crate::Options::max_samples).
    pub peak_samples: u64,
    /// The most bytes that were held at a time, as they count for
    /// [`Options::max_bytes`](crate::Options::max_bytes).
    pub peak_bytes: u64,
    /// The time that it took to find the series of all selectors.
    pub select: Duration,
    /// The time that it took to read them and to compute what lies right above: the functions of
    /// range vectors.
    pub read: Duration,
    /// The whole time. What `select` and `read` leave went into operators, aggregations and
    /// other functions.
    pub total: Duration,
}

/// The answer to a query.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its value.
    pub value: Value,
    /// What its author should know.
    pub annotations: Annotations,
    /// What it read and held.
    pub stats: QueryStats,
}
