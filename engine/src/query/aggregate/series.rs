//! One series after another, folded into the accumulators of its windows.
//!
//! Input: the runs of a series. Output: its windows, each with an accumulator, and whether that is
//! exact. Invariant: parts reach the windows in order of time; no run is decoded twice, and none
//! that its statistics can answer for.

mod rows;

use treering_codec::{Stats, is_stale};

use self::rows::Row;
use super::accumulator::Accumulator;
use super::cells::Cells;
use super::cuts::Cuts;
use super::slide::Slide;
use crate::error::Result;
use crate::query::guard::Guard;
use crate::query::merge::{Clusters, MERGE_BYTES, Merger};
use crate::query::run::{Run, RunSource};
use crate::query::window::Windows;

/// The fold of one series, with memory that the next one uses again.
#[derive(Debug)]
pub(crate) struct Fold<'a, A> {
    /// The windows of the series folded last.
    pub(crate) cells: Cells<A>,
    /// Whether rows of steps did not tell all that the windows of the series folded last had to
    /// know.
    pub(crate) approximate: bool,
    /// Whether series are put together, so that it matters when their samples were taken.
    grouped: bool,
    windows: &'a Windows,
    first: i64,
    last: i64,
    clusters: Clusters,
    merger: Merger,
    slide: Slide<A>,
    /// Whether windows overlap and are answered from panes.
    panes: bool,
    cuts: Cuts<'a>,
    timestamps: Vec<i64>,
    values: Vec<f64>,
    /// Of a cluster with steps: the rows as they come, and in order of time.
    summaries: Vec<Stats>,
    rows: Vec<Row>,
    /// Bytes of working memory that the guard knows of.
    counted: u64,
    /// Samples, and what chunks cost, since it was last asked whether to go on.
    unchecked: u64,
}

/// After so many samples the guard is asked again: some tens of microseconds, a dozen chunks.
const CHECK_SAMPLES: u64 = 16_384;

/// What a chunk counts for beside its samples.
const CHUNK_SAMPLES: u64 = 1024;

impl<'a, A: Accumulator> Fold<'a, A> {
    /// Over `windows`, for series that are `grouped` or by themselves.
    pub(crate) fn new(windows: &'a Windows, grouped: bool) -> Self {
        let (first, last) = windows.range();
        let panes = windows.overlap() && A::CONSTANT;
        Self {
            cells: Cells::new(),
            approximate: false,
            grouped,
            windows,
            first,
            last,
            clusters: Clusters::default(),
            merger: Merger::new(first, last),
            slide: Slide::new(),
            panes,
            cuts: Cuts::new(windows, panes),
            timestamps: Vec::new(),
            values: Vec::new(),
            summaries: Vec::new(),
            rows: Vec::new(),
            counted: 0,
            unchecked: 0,
        }
    }

    /// Gives back the working memory that the guard knows of.
    pub(crate) fn end(mut self, guard: &mut Guard) {
        self.cells.clear(guard);
        self.cuts.clear(guard);
        guard.release(self.counted);
    }

    /// Folds `runs` (in order of precedence) into `cells`, which must be empty, and says in
    /// `approximate` whether that is exact.
    pub(crate) fn series(&mut self, runs: &[Run], guard: &mut Guard) -> Result<()> {
        let mut clusters = std::mem::take(&mut self.clusters);
        clusters.refill(runs, self.first, self.last);
        self.approximate = false;
        for cluster in clusters.iter() {
            if cluster.iter().any(|&run| runs[run].step() > 0) {
                self.stepped(runs, cluster, guard)?;
                continue;
            }
            let answered = match cluster {
                [run] => self.answer(&runs[*run], guard)? || self.share(&runs[*run], guard)?,
                _ => false,
            };
            if !answered {
                self.decode(runs, cluster, guard)?;
                self.fold(guard)?;
            }
        }
        self.clusters = clusters;
        self.slide.finish(self.windows, &mut self.cells, guard)
    }

    /// Answers for a run from its statistics, or says that it has to be decoded.
    fn answer(&mut self, run: &Run, guard: &mut Guard) -> Result<bool> {
        let whole = self.first <= run.min_time && run.max_time <= self.last;
        if !whole || self.windows.pane_end(run.min_time) < run.max_time {
            return Ok(false);
        }
        if self.windows.between(run.min_time) {
            return Ok(true);
        }
        let Some(stats) = run.stats() else {
            return Ok(false);
        };
        if stats.count == 0 {
            return Ok(true);
        }
        match A::of_stats(stats, run.min_time, run.max_time) {
            Some(part) => self.put(run.min_time, part, guard).map(|()| true),
            None => Ok(false),
        }
    }

    /// Folds a chunk by the cuts of its timestamp column, which other series may share; or says
    /// that it is not such a chunk.
    fn share(&mut self, run: &Run, guard: &mut Guard) -> Result<bool> {
        let RunSource::Chunk { block, chunk } = &run.source else {
            return Ok(false);
        };
        // Overlapping windows that are not answered from panes are too many to keep.
        let many = self.windows.overlap() && !self.panes;
        let deleted = !run.holes.is_empty();
        if many || deleted || chunk.stats.is_none_or(|stats| stats.stale > 0) {
            return Ok(false);
        }
        self.count(run.count as u64, 16, guard)?;
        let (timestamps, cuts) = self.cuts.of(block, chunk.column, guard)?;
        if timestamps.len() != chunk.count as usize {
            return Ok(false);
        }
        let (Some(first), Some(last)) = (cuts.first(), cuts.last()) else {
            return Ok(true);
        };
        // No more than the windows hold of it.
        let places = first.indices().start..last.indices().end;
        self.values.clear();
        if A::VALUES {
            block.decode_values_range(chunk, places.clone(), &mut self.values)?;
        } else {
            self.values.resize(places.len(), 0.0);
        }
        for cut in cuts {
            let indices = cut.indices();
            let values = indices.start - places.start..indices.end - places.start;
            let times = &timestamps[indices];
            let part = A::of_samples(times, &self.values[values]);
            if self.panes {
                self.slide
                    .push(times[0], part, self.windows, &mut self.cells, guard)?;
            } else {
                self.cells.put(cut.window, part, guard)?;
            }
        }
        Ok(true)
    }

    /// Decodes a cluster into the columns, clipped to the range and without stale markers.
    fn decode(&mut self, runs: &[Run], cluster: &[usize], guard: &mut Guard) -> Result<()> {
        let samples = cluster.iter().map(|&run| runs[run].count as u64).sum();
        let each = if cluster.len() == 1 {
            16
        } else {
            16 + MERGE_BYTES
        };
        self.count(samples, each, guard)?;
        self.timestamps.clear();
        self.values.clear();
        self.merger
            .merge(runs, cluster, &mut self.timestamps, &mut self.values)?;
        if self.values.iter().any(|&value| is_stale(value)) {
            let mut values = self.values.iter();
            self.timestamps
                .retain(|_| values.next().is_some_and(|&value| !is_stale(value)));
            self.values.retain(|&value| !is_stale(value));
        }
        Ok(())
    }

    /// Counts samples about to be decoded, and the memory that they take, `each` bytes a sample.
    fn count(&mut self, samples: u64, each: u64, guard: &mut Guard) -> Result<()> {
        guard.samples(samples)?;
        // Looking at the clock takes as long as some dozens of samples; a chunk may have to be read.
        self.unchecked += samples + CHUNK_SAMPLES;
        if self.unchecked >= CHECK_SAMPLES {
            self.unchecked = 0;
            guard.check()?;
        }
        let bytes = samples
            .saturating_mul(each)
            .saturating_add(self.slide.bytes() as u64);
        if bytes > self.counted {
            guard.bytes(bytes - self.counted)?;
            self.counted = bytes;
        }
        Ok(())
    }

    /// Folds the columns into the windows.
    fn fold(&mut self, guard: &mut Guard) -> Result<()> {
        let (timestamps, values) = (&self.timestamps, &self.values);
        if self.panes {
            for pane in self.windows.panes(timestamps) {
                let part = A::of_samples(&timestamps[pane.clone()], &values[pane.clone()]);
                let start = timestamps[pane.start];
                self.slide
                    .push(start, part, self.windows, &mut self.cells, guard)?;
            }
            return Ok(());
        }
        for (window, slice) in self.windows.slices(timestamps) {
            let part = A::of_samples(&timestamps[slice.clone()], &values[slice]);
            self.cells.put(window, part, guard)?;
        }
        Ok(())
    }

    /// Puts a part that begins at `timestamp` and lies in one pane into its windows.
    fn put(&mut self, timestamp: i64, part: A, guard: &mut Guard) -> Result<()> {
        if self.windows.overlap() {
            self.slide
                .push(timestamp, part, self.windows, &mut self.cells, guard)
        } else {
            self.cells
                .put(self.windows.first_ending(timestamp), part, guard)
        }
    }
}
