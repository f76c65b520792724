//! What a caller appends at once: samples of any series, in any order of time.
//!
//! A batch is one WAL frame: all of it or nothing survives a crash. Samples are applied in the
//! order in which they were added; of two with the same series and timestamp the later wins,
//! whether it is a float or a histogram.

use std::sync::Arc;

use treering_codec::{Extras, Histogram, is_stale, stale_marker};
use treering_index::Labels;

use crate::source::SampleColumns;

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
    pub(crate) faults: Vec<Fault>,
    /// What samples have beside their floats, by place.
    pub(crate) extras: Extras,
    /// Most bytes that these take in a frame.
    pub(crate) extra_bytes: usize,
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

/// A histogram that is not well-formed; reported when the batch is appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) row: usize,
    pub(crate) what: &'static str,
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

    /// Adds a native histogram as one sample; `timestamp` in nanoseconds since the Unix epoch.
    ///
    /// It comes back as it was, every number bit for bit, but for buckets that count 0: they stay
    /// away. One whose sum is the [stale marker](crate::stale_marker) is a stale marker and
    /// nothing else. What is not well-formed ([`Histogram::fault`]) refuses the batch when it is
    /// appended, or is left out by `Db::append_partial`.
    ///
    /// ```
    /// use treering::{Batch, Db, Histogram, Selector, labels};
    ///
    /// let db = Db::in_memory()?;
    /// let histogram = Histogram {
    ///     schema: 3,
    ///     count: 3.0,
    ///     sum: 0.7,
    ///     positive: vec![(-20, 1.0), (-17, 2.0)],
    ///     ..Histogram::default()
    /// };
    /// let series = labels! { "__name__" => "latency" };
    /// db.append(&Batch::new().histogram(series, 1_000, &histogram))?;
    /// for series in db.select(&Selector::metric("latency"), ..)? {
    ///     let columns = series?.sample_columns()?;
    ///     assert_eq!(columns.histograms[0].as_deref(), Some(&histogram));
    /// }
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    pub fn histogram(
        mut self,
        series: impl IntoSeries,
        timestamp: i64,
        histogram: &Histogram,
    ) -> Self {
        self.push_histogram(series, timestamp, histogram);
        self
    }

    /// Adds one sample of a counter that counts since `start`; both times in nanoseconds since the
    /// Unix epoch. A start of 0 is not known, as that of [`Batch::sample`].
    #[must_use]
    pub fn sample_since(
        mut self,
        series: impl IntoSeries,
        timestamp: i64,
        value: f64,
        start: i64,
    ) -> Self {
        self.push_since(series, timestamp, value, start);
        self
    }

    /// Adds a native histogram that counts since `start`: see [`Batch::histogram`] and
    /// [`Batch::sample_since`].
    #[must_use]
    pub fn histogram_since(
        mut self,
        series: impl IntoSeries,
        timestamp: i64,
        histogram: &Histogram,
        start: i64,
    ) -> Self {
        self.push_histogram_since(series, timestamp, histogram, start);
        self
    }

    /// Adds samples of one series as they were read: floats, histograms and starts. Columns of
    /// other lengths than that of the timestamps, but for empty ones of histograms and starts,
    /// refuse the batch when it is appended.
    #[must_use]
    pub fn samples(mut self, series: impl IntoSeries, samples: &SampleColumns) -> Self {
        self.push_samples(series, samples);
        self
    }

    /// Adds a native histogram in place.
    pub fn push_histogram(
        &mut self,
        series: impl IntoSeries,
        timestamp: i64,
        histogram: &Histogram,
    ) {
        self.push_histogram_since(series, timestamp, histogram, 0);
    }

    /// Adds one sample of a counter that counts since `start` in place.
    pub fn push_since(&mut self, series: impl IntoSeries, timestamp: i64, value: f64, start: i64) {
        self.beside(self.len(), None, start);
        series.add_to(self, &[timestamp], &[value]);
    }

    /// Adds a native histogram that counts since `start` in place.
    pub fn push_histogram_since(
        &mut self,
        series: impl IntoSeries,
        timestamp: i64,
        histogram: &Histogram,
        start: i64,
    ) {
        if let Some(what) = histogram.fault() {
            let row = self.len();
            self.faults.push(Fault { row, what });
            return;
        }
        let kept = (!is_stale(histogram.sum)).then(|| kept(histogram));
        self.beside(self.len(), kept, start);
        series.add_to(self, &[timestamp], &[stale_marker()]);
    }

    /// Adds samples as they were read in place.
    pub fn push_samples(&mut self, series: impl IntoSeries, samples: &SampleColumns) {
        let SampleColumns {
            timestamps,
            values,
            histograms,
            starts,
        } = samples;
        let (row, count) = (self.len(), timestamps.len());
        let uneven = [values.len(), histograms.len(), starts.len()];
        let uneven = uneven.into_iter().enumerate();
        let mut uneven = uneven.filter(|&(at, len)| len != count && (at == 0 || len > 0));
        if let Some((_, values)) = uneven.next() {
            self.uneven.push(Uneven {
                row,
                timestamps: count,
                values,
            });
            return;
        }
        if let Some(what) = histograms.iter().flatten().find_map(|one| one.fault()) {
            self.faults.push(Fault { row, what });
            return;
        }
        let mut values = values.clone();
        for (at, value) in values.iter_mut().enumerate() {
            let own = histograms.get(at).and_then(Option::as_ref);
            if own.is_some() {
                *value = stale_marker();
            }
            let own = own.filter(|one| !is_stale(one.sum));
            let start = starts.get(at).copied().unwrap_or(0);
            self.beside(row + at, own.map(|one| kept(one)), start);
        }
        series.add_to(self, timestamps, &values);
    }

    /// Notes what the sample that comes next has beside its float.
    fn beside(&mut self, place: usize, histogram: Option<Arc<Histogram>>, start: i64) {
        if histogram.is_none() && start == 0 {
            return;
        }
        let most = |one: &Arc<Histogram>| {
            let buckets = one.positive.len() + one.negative.len();
            MOST_HISTOGRAM_BYTES
                + buckets * MOST_BUCKET_BYTES
                + one.bounds.len() * MOST_BUCKET_BYTES
        };
        self.extra_bytes += MOST_START_BYTES + histogram.as_ref().map_or(0, most);
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        self.extras.push(place, histogram, start);
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
        self.faults.clear();
        self.extras.clear();
        self.extra_bytes = 0;
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

/// Most bytes of a histogram in a frame without its buckets, of a bucket or bound, and of a start.
const MOST_HISTOGRAM_BYTES: usize = 64;
const MOST_BUCKET_BYTES: usize = 16;
const MOST_START_BYTES: usize = 32;

/// A histogram as it is kept: without buckets that count nothing.
fn kept(histogram: &Histogram) -> Arc<Histogram> {
    let side = |side: &[(i32, f64)]| {
        let filled = side.iter().copied().filter(|bucket| bucket.1 != 0.0);
        let mut filled: Vec<_> = filled.collect();
        filled.shrink_to_fit();
        filled
    };
    Arc::new(Histogram {
        positive: side(&histogram.positive),
        negative: side(&histogram.negative),
        ..histogram.clone()
    })
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
