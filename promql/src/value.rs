//! Values: what a query gives.
//!
//! Input: none; the evaluator makes them. Output: plain data. Invariant: timestamps of a series
//! rise strictly; a matrix is sorted by labels, a vector only where the query sorts it.

use std::sync::Arc;

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

/// What a query read and held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Series that selectors found.
    pub series: u64,
    /// Samples that were read.
    pub samples: u64,
    /// The most samples that were held at a time.
    pub peak_samples: u64,
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
