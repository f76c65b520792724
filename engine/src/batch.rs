//! What a caller appends at once: samples of any series, in any order of time.
//!
//! A batch is one WAL frame: all of it or nothing survives a crash. Samples are applied in the
//! order in which they were added; of two with the same series and timestamp the later wins.

use treering_index::Labels;

/// Names a series of one open of a database; made by `Db::series`, used by `Batch`.
///
/// Sixteen bytes, `Copy`. One of another open or of another namespace is refused with
/// `Error::StaleRef`, never taken for another series. Its series is kept in memory until
/// `Db::release`, also when all its samples were deleted or expired: the next one makes it anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesRef {
    pub(crate) open: u32,
    pub(crate) namespace: u32,
    pub(crate) id: u32,
    pub(crate) epoch: u32,
}

/// A series in a batch: a [`SeriesRef`], or labels.
pub trait IntoSeries {
    /// Adds `timestamps` and `values` of the series to `batch`.
    #[doc(hidden)]
    fn add_to(self, batch: &mut Batch, timestamps: &[i64], values: &[f64]);
}

/// Samples to append together.
///
/// ```
/// use treering::{Batch, labels};
/// let batch = Batch::new()
///     .sample(&labels! { "__name__" => "cpu", "host" => "a" }, 1_000, 0.5)
///     .sample(&labels! { "__name__" => "cpu", "host" => "b" }, 1_000, 0.7);
/// assert_eq!(batch.len(), 2);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub(crate) runs: Vec<BatchRun>,
    pub(crate) labels: Vec<Labels>,
    pub(crate) timestamps: Vec<i64>,
    pub(crate) values: Vec<f64>,
    pub(crate) uneven: Vec<Uneven>,
}

/// `len` samples in a row of one series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchRun {
    pub(crate) series: RunSeries,
    pub(crate) len: u32,
}

/// The series of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunSeries {
    Ref(SeriesRef),
    /// Index into `Batch::labels`.
    Labels(u32),
}

/// A column whose timestamps and values differ in number; reported when the batch is appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uneven {
    pub(crate) row: usize,
    pub(crate) timestamps: usize,
    pub(crate) values: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for `samples` samples.
    pub fn with_capacity(samples: usize) -> Self {
        Self {
            runs: Vec::with_capacity(samples),
            timestamps: Vec::with_capacity(samples),
            values: Vec::with_capacity(samples),
            ..Self::default()
        }
    }

    /// Adds one sample; `timestamp` in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn sample(mut self, series: impl IntoSeries, timestamp: i64, value: f64) -> Self {
        self.push(series, timestamp, value);
        self
    }

    /// Adds a row: one timestamp, one value for each of many series.
    #[must_use]
    pub fn row(mut self, timestamp: i64, values: &[(SeriesRef, f64)]) -> Self {
        self.push_row(timestamp, values);
        self
    }

    /// Adds a column: many samples of one series. Both slices must have the same length: a column
    /// that is uneven refuses the batch when it is appended, or is left out by
    /// `Db::append_partial`.
    #[must_use]
    pub fn column(mut self, series: impl IntoSeries, timestamps: &[i64], values: &[f64]) -> Self {
        self.push_column(series, timestamps, values);
        self
    }

    /// Adds one sample in place.
    #[inline]
    pub fn push(&mut self, series: impl IntoSeries, timestamp: i64, value: f64) {
        series.add_to(self, &[timestamp], &[value]);
    }

    /// Adds a row in place.
    pub fn push_row(&mut self, timestamp: i64, values: &[(SeriesRef, f64)]) {
        self.runs.reserve(values.len());
        self.timestamps
            .resize(self.timestamps.len() + values.len(), timestamp);
        self.values.extend(values.iter().map(|&(_, value)| value));
        self.runs.extend(values.iter().map(|&(series, _)| BatchRun {
            series: RunSeries::Ref(series),
            len: 1,
        }));
    }

    /// Adds a column in place.
    pub fn push_column(&mut self, series: impl IntoSeries, timestamps: &[i64], values: &[f64]) {
        if timestamps.len() != values.len() {
            let (row, timestamps, values) = (self.len(), timestamps.len(), values.len());
            self.uneven.push(Uneven {
                row,
                timestamps,
                values,
            });
            return;
        }
        series.add_to(self, timestamps, values);
    }

    /// How many samples it holds.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it holds no samples.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Empties it and keeps its memory, for the next use.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.labels.clear();
        self.timestamps.clear();
        self.values.clear();
        self.uneven.clear();
    }

    fn add(&mut self, series: RunSeries, timestamps: &[i64], values: &[f64]) {
        match self.runs.last_mut() {
            Some(run) if run.series == series && run.len < u32::MAX - values.len() as u32 => {
                run.len += values.len() as u32;
            }
            _ if values.is_empty() => {}
            _ => self.runs.push(BatchRun {
                series,
                len: values.len() as u32,
            }),
        }
        self.timestamps.extend_from_slice(timestamps);
        self.values.extend_from_slice(values);
    }
}

impl IntoSeries for SeriesRef {
    #[inline]
    fn add_to(self, batch: &mut Batch, timestamps: &[i64], values: &[f64]) {
        batch.add(RunSeries::Ref(self), timestamps, values);
    }
}

impl IntoSeries for Labels {
    fn add_to(self, batch: &mut Batch, timestamps: &[i64], values: &[f64]) {
        if values.is_empty() {
            return;
        }
        if batch.labels.last() != Some(&self) {
            batch.labels.push(self);
        }
        batch.add(
            RunSeries::Labels(batch.labels.len() as u32 - 1),
            timestamps,
            values,
        );
    }
}

impl IntoSeries for &Labels {
    fn add_to(self, batch: &mut Batch, timestamps: &[i64], values: &[f64]) {
        self.clone().add_to(batch, timestamps, values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use treering_index::labels;

    #[test]
    fn samples_of_one_series_in_a_row_share_a_run() {
        let a = labels! { "__name__" => "a" };
        let series = SeriesRef {
            open: 1,
            namespace: 0,
            id: 4,
            epoch: 0,
        };
        let batch = Batch::new()
            .sample(&a, 1, 1.0)
            .sample(&a, 2, 2.0)
            .column(series, &[3, 4], &[3.0, 4.0])
            .row(5, &[(series, 5.0)]);
        assert_eq!(
            (batch.runs.len(), batch.labels.len(), batch.len()),
            (3, 1, 5)
        );
    }

    #[test]
    fn uneven_columns_are_remembered() {
        let series = SeriesRef {
            open: 1,
            namespace: 0,
            id: 4,
            epoch: 0,
        };
        let batch = Batch::new().column(series, &[3, 4], &[3.0]);
        assert!(batch.uneven.len() == 1 && batch.is_empty());
    }
}
