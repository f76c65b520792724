//! One series of a query, and its samples as columns or one by one.
//!
//! Input: its runs, in order of sequence. Output: samples in order of time, of equal times the one
//! of the latest run. Nothing is decoded before it is asked for, and no more at a time than runs
//! that overlap.

use treering_codec::Sample;
use treering_index::Labels;

use super::guard::{Buffers, Guard};
use super::merge::{Clusters, Merged, Merger};
use super::run::{Run, SeriesRuns};
use crate::error::Result;
use crate::source::{ReadSize, SampleColumns};

/// One series of a query, with its samples not yet decoded.
#[derive(Debug)]
pub struct Series {
    labels: Labels,
    runs: Vec<Run>,
    first: i64,
    last: i64,
    guard: Guard,
}

/// Samples as two columns of equal length, strictly increasing in time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    /// Nanoseconds since the Unix epoch.
    pub timestamps: Vec<i64>,
    /// The values at these times; where a sample is a histogram, the stale marker.
    pub values: Vec<f64>,
}

/// The samples of a series in order of time, decoded chunk by chunk as they are asked for.
#[derive(Debug)]
pub struct Samples {
    runs: Vec<Run>,
    clusters: std::vec::IntoIter<Vec<usize>>,
    merger: Merger,
    first: i64,
    last: i64,
    buffers: Buffers,
    columns: Columns,
    at: usize,
    failed: bool,
}

impl Series {
    pub(super) fn new(series: SeriesRuns, (first, last): (i64, i64), guard: Guard) -> Self {
        Self {
            labels: series.labels,
            runs: series.runs,
            first,
            last,
            guard,
        }
    }

    /// The labels of the series.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// What decoding all of it takes.
    pub(crate) fn size(&self) -> ReadSize {
        let mut size = ReadSize::default();
        for run in &self.runs {
            size.chunks += 1;
            size.samples += run.count as u64;
            size.bytes += run.stored_bytes();
        }
        size
    }

    /// Its samples, decoded chunk by chunk; histograms as in [`Series::columns`].
    pub fn samples(&self) -> Samples {
        let clusters = Clusters::of(&self.runs, self.first, self.last);
        let clusters: Vec<Vec<usize>> = clusters.iter().map(<[usize]>::to_vec).collect();
        Samples {
            runs: self.runs.clone(),
            clusters: clusters.into_iter(),
            merger: Merger::new(self.first, self.last),
            first: self.first,
            last: self.last,
            buffers: Buffers::new(&self.guard),
            columns: Columns::default(),
            at: 0,
            failed: false,
        }
    }

    /// Its samples as columns, decoded at once. They count as working memory of the query until
    /// they are handed out. Where a sample is a histogram, the value is the stale marker:
    /// [`Series::sample_columns`] has the histograms.
    pub fn columns(&self) -> Result<Columns> {
        let mut buffers = Buffers::new(&self.guard);
        let mut merger = Merger::new(self.first, self.last);
        let mut columns = Columns::default();
        for cluster in Clusters::of(&self.runs, self.first, self.last).iter() {
            let samples = samples_of(&self.runs, cluster);
            buffers.read(samples, columns.values.len(), cluster.len() > 1)?;
            let Columns { timestamps, values } = &mut columns;
            merger.merge(&self.runs, cluster, timestamps, values)?;
        }
        Ok(columns)
    }

    /// Its samples with all that they have: histograms, and the times since which they count. Reset
    /// hints are those that were written.
    pub fn sample_columns(&self) -> Result<SampleColumns> {
        let mut buffers = Buffers::new(&self.guard);
        let mut merger = Merger::new(self.first, self.last);
        let mut merged = Merged::default();
        for cluster in Clusters::of(&self.runs, self.first, self.last).iter() {
            let samples = samples_of(&self.runs, cluster);
            buffers.read(samples, merged.values.len(), cluster.len() > 1)?;
            merger.merge_extended(&self.runs, cluster, &mut merged)?;
            buffers.extras(&merged)?;
        }
        let extras = merged.extras.placed(&merged.timestamps);
        let (histograms, starts) = extras.spread(merged.values.len());
        Ok(SampleColumns {
            timestamps: merged.timestamps,
            values: merged.values,
            histograms,
            starts,
        })
    }

    /// Whether any sample lies in the range; decodes only where the ends of a run do not tell.
    pub(super) fn has_samples(&self) -> Result<bool> {
        let inside = |time| (self.first..=self.last).contains(&time);
        let tells = |run: &Run| run.holes.is_empty();
        if self
            .runs
            .iter()
            .any(|run| tells(run) && (inside(run.min_time) || inside(run.max_time)))
        {
            return Ok(true);
        }
        match self.samples().next() {
            Some(Err(error)) => Err(error),
            found => Ok(found.is_some()),
        }
    }
}

impl Iterator for Samples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at == self.columns.values.len() {
            if self.failed {
                return None;
            }
            let Some(cluster) = self.clusters.next() else {
                self.finish();
                return None;
            };
            if let Err(error) = self.load(&cluster) {
                self.failed = true;
                return Some(Err(error));
            }
        }
        let (timestamp, value) = (
            self.columns.timestamps[self.at],
            self.columns.values[self.at],
        );
        self.at += 1;
        Some(Ok(Sample { timestamp, value }))
    }
}

impl Samples {
    fn load(&mut self, cluster: &[usize]) -> Result<()> {
        self.columns.timestamps.clear();
        self.columns.values.clear();
        self.at = 0;
        let samples = samples_of(&self.runs, cluster);
        self.buffers.read(samples, 0, cluster.len() > 1)?;
        let Columns { timestamps, values } = &mut self.columns;
        self.merger.merge(&self.runs, cluster, timestamps, values)
    }

    /// Gives back the working memory at the end, however long the iterator is kept.
    fn finish(&mut self) {
        (self.columns, self.at) = (Columns::default(), 0);
        self.merger = Merger::new(self.first, self.last);
        self.buffers.free();
    }
}

/// How many samples the runs of a cluster hold, those outside the range and duplicates included.
fn samples_of(runs: &[Run], cluster: &[usize]) -> u64 {
    cluster.iter().map(|&run| runs[run].count as u64).sum()
}
