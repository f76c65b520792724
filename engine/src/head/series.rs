//! The recent samples of one series: a stream being written, closed streams, and late samples.
//!
//! Input: samples in any order. Output: [`Run`]s in order of sequence. In-order samples are encoded
//! as they come; those at or before the newest one wait in a small unsorted list, which becomes a
//! sorted run when it is full. Deletes drop runs, or leave holes in them. Invariant: a late sample
//! is newer in sequence than any in-order sample with its timestamp, because in-order samples are
//! always the newest in time; so runs of late samples come after the in-order ones, and among
//! themselves in the order they were made. A delete may take the newest samples away: the late ones
//! that it leaves then keep a floor, at or below which every sample is late as before.

use bytes::Bytes;
use treering_codec::{Sample, StreamEncoder};

use crate::limits::{HEAD_CHUNK_SAMPLES, LATE_SAMPLES};
use crate::query::holes::Holes;
use crate::query::run::{Run, RunSource};

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct HeadSeries {
    open: StreamEncoder,
    closed: Vec<Run>,
    /// Bytes of the closed streams and their holes.
    closed_bytes: u32,
    /// Number of the last of the deletes under way that it has seen.
    seen: u32,
    late: Option<Box<Late>>,
}

#[derive(Debug, Default)]
struct Late {
    /// Not yet sorted, in order of arrival.
    samples: Vec<Sample>,
    /// Sorted, oldest first.
    runs: Vec<Run>,
    /// Bytes of the runs and their holes.
    run_bytes: u32,
    /// None of its samples is later than this; meaningless without any.
    floor: i64,
}

/// Holes after which a run is encoded anew without what lies in them.
const MOST_HOLES: usize = 16;

impl HeadSeries {
    /// Appends `timestamps` and `values`; returns by how many bytes the heap use grew.
    #[inline]
    pub(crate) fn append(&mut self, timestamps: &[i64], values: &[f64]) -> isize {
        let before = self.heap_bytes();
        for (&timestamp, &value) in timestamps.iter().zip(values) {
            self.push(timestamp, value);
        }
        self.heap_bytes() as isize - before as isize
    }

    #[inline]
    fn push(&mut self, timestamp: i64, value: f64) {
        // An open stream reaches as far as all else, or further.
        let newest = self.open.last_timestamp().or_else(|| self.newest_closed());
        if newest.is_some_and(|newest| timestamp <= newest) {
            self.push_late(Sample { timestamp, value });
            return;
        }
        self.open.push(timestamp, value);
        if self.open.len() >= HEAD_CHUNK_SAMPLES {
            self.close();
        }
    }

    /// The latest timestamp outside the open stream, or one beyond it.
    #[cold]
    fn newest_closed(&self) -> Option<i64> {
        let closed = self.closed.last().map(|run| run.max_time);
        closed.max(self.late.as_ref().map(|late| late.floor))
    }

    /// Ends the open stream.
    fn close(&mut self) {
        let (Some(min_time), Some(max_time)) =
            (self.open.first_timestamp(), self.open.last_timestamp())
        else {
            return;
        };
        let count = self.open.len();
        let bytes = self.open.take();
        self.closed_bytes = self.closed_bytes.saturating_add(bytes.len() as u32);
        let source = RunSource::Stream(Bytes::from(bytes));
        self.closed.push(Run {
            min_time,
            max_time,
            count,
            source,
            holes: Holes::default(),
        });
    }

    #[cold]
    fn push_late(&mut self, sample: Sample) {
        let late = self.late.get_or_insert_default();
        if late.is_empty() || sample.timestamp > late.floor {
            late.floor = sample.timestamp;
        }
        late.samples.push(sample);
        if late.samples.len() >= LATE_SAMPLES {
            if let Some((run, bytes)) = encoded(sorted(&late.samples)) {
                late.runs.push(run);
                late.run_bytes = late.run_bytes.saturating_add(bytes);
            }
            late.samples.clear();
        }
    }

    /// Number of the last of the deletes under way that it has seen.
    pub(crate) fn seen(&self) -> u32 {
        self.seen
    }

    /// Notes that it has seen delete `number` and those before.
    pub(crate) fn see(&mut self, number: u32) {
        self.seen = number;
    }

    /// Takes the samples in `holes` out; returns by how many bytes the heap use grew.
    pub(crate) fn delete(&mut self, holes: &Holes) -> isize {
        let before = self.heap_bytes();
        if let (Some(min_time), Some(max_time)) =
            (self.open.first_timestamp(), self.open.last_timestamp())
            && holes.touch(min_time, max_time)
        {
            if holes.cover(min_time, max_time) {
                drop(self.open.take());
            } else {
                self.close();
            }
        }
        if cut(&mut self.closed, holes) {
            self.closed_bytes = bytes_of(&self.closed);
        }
        if let Some(late) = &mut self.late {
            late.delete(holes);
            if late.is_empty() {
                self.late = None;
            }
        }
        self.heap_bytes() as isize - before as isize
    }

    /// From the first to the last of the samples that came in order, in nanoseconds.
    pub(crate) fn span(&self) -> Option<i64> {
        let open = self.open.first_timestamp();
        let first = self.closed.first().map(|run| run.min_time).or(open)?;
        let closed = self.closed.last().map(|run| run.max_time);
        let last = self.open.last_timestamp().or(closed)?;
        Some(last.saturating_sub(first))
    }

    /// Whether it holds no samples.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.closed.is_empty() && self.late.is_none()
    }

    /// Copies what overlaps `first..=last` as runs in order of sequence. Closed runs are shared,
    /// the open stream and the late samples copied: a few KiB at most.
    pub(crate) fn runs(&self, first: i64, last: i64, out: &mut Vec<Run>) {
        let wanted = |run: &&Run| run.shows(first, last);
        out.extend(self.closed.iter().filter(wanted).cloned());
        if let (Some(min_time), Some(max_time)) =
            (self.open.first_timestamp(), self.open.last_timestamp())
            && min_time <= last
            && max_time >= first
        {
            let source = RunSource::Stream(Bytes::from(self.open.snapshot()));
            out.push(Run {
                min_time,
                max_time,
                count: self.open.len(),
                source,
                holes: Holes::default(),
            });
        }
        if let Some(late) = &self.late {
            out.extend(late.runs.iter().filter(wanted).cloned());
            out.extend(
                Run::of_samples(sorted(&late.samples)).filter(|run| run.overlaps(first, last)),
            );
        }
    }

    /// Whether any run may hold samples of `first..=last` in a time that is not `erased` whole,
    /// without copying.
    pub(crate) fn overlaps(
        &self,
        first: i64,
        last: i64,
        erased: impl Fn(i64, i64) -> bool,
    ) -> bool {
        let stays = |from: i64, to: i64| !erased(from.max(first), to.min(last));
        let wanted = |run: &Run| run.shows(first, last) && stays(run.since(), run.max_time);
        let open = match (self.open.first_timestamp(), self.open.last_timestamp()) {
            (Some(min), Some(max)) => min <= last && max >= first && stays(min, max),
            _ => false,
        };
        open || self.closed.iter().any(wanted)
            || self.late.as_ref().is_some_and(|late| {
                let times = || late.samples.iter().map(|sample| sample.timestamp);
                let mut inside = times().filter(|at| (first..=last).contains(at));
                late.runs.iter().any(wanted) || inside.any(|at| stays(at, at))
            })
    }

    /// [`HeadSeries::heap_bytes`], with every run looked at.
    #[cfg(test)]
    pub(super) fn measured_bytes(&self) -> usize {
        let late = self.late.as_ref();
        let counted = (self.closed_bytes, late.map_or(0, |late| late.run_bytes));
        let measured = (
            bytes_of(&self.closed),
            late.map_or(0, |late| bytes_of(&late.runs)),
        );
        assert_eq!(counted, measured);
        self.heap_bytes()
    }

    /// Heap that it takes, in bytes, without itself.
    fn heap_bytes(&self) -> usize {
        let run = size_of::<Run>();
        let late = self.late.as_ref().map_or(0, |late| {
            size_of::<Late>()
                + late.samples.capacity() * size_of::<Sample>()
                + late.runs.capacity() * run
                + late.run_bytes as usize
        });
        self.open.heap_bytes() + self.closed.capacity() * run + self.closed_bytes as usize + late
    }
}

impl Late {
    fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.runs.is_empty()
    }

    fn delete(&mut self, holes: &Holes) {
        let held = self.samples.len();
        self.samples.retain(|sample| !holes.hide(sample.timestamp));
        if self.samples.is_empty() {
            self.samples = Vec::new();
        }
        let cut = cut(&mut self.runs, holes);
        if cut {
            self.run_bytes = bytes_of(&self.runs);
        }
        if cut || self.samples.len() < held {
            let samples = self.samples.iter().map(|sample| sample.timestamp);
            let runs = self.runs.iter().map(|run| run.max_time);
            self.floor = samples.chain(runs).max().unwrap_or(i64::MIN);
        }
    }
}

/// Takes `holes` out of the runs; whether that changed any. The memory of dropped runs is freed.
fn cut(runs: &mut Vec<Run>, holes: &Holes) -> bool {
    let touched = |run: &Run| holes.touch(run.min_time, run.max_time);
    if !runs.iter().any(touched) {
        return false;
    }
    let kept = std::mem::take(runs).into_iter().filter_map(|run| {
        let run = run.without(holes)?;
        if run.holes.iter().count() > MOST_HOLES {
            return compact(run);
        }
        Some(run)
    });
    *runs = kept.collect();
    runs.shrink_to_fit();
    true
}

/// The run encoded without what lies in its holes, so that many small deletes do not pile up.
fn compact(run: Run) -> Option<Run> {
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    if run.decode(&mut timestamps, &mut values).is_err() {
        // It was encoded here, so this does not happen; a query would report it.
        return Some(run);
    }
    let pairs = timestamps.into_iter().zip(values);
    let samples = pairs.map(|(timestamp, value)| Sample { timestamp, value });
    encoded(samples.collect()).map(|(run, _)| run)
}

/// Bytes of the streams of `runs` and of their holes.
fn bytes_of(runs: &[Run]) -> u32 {
    let bytes = runs.iter().map(|run| {
        let stream = match &run.source {
            RunSource::Stream(bytes) => bytes.len(),
            RunSource::Samples(_) | RunSource::Chunk { .. } => 0,
        };
        stream + run.holes.heap_bytes()
    });
    u32::try_from(bytes.sum::<usize>()).unwrap_or(u32::MAX)
}

/// `samples` by time; of equal timestamps the one that came last.
fn sorted(samples: &[Sample]) -> Vec<Sample> {
    let mut sorted = samples.to_vec();
    // Stable, so that equal timestamps stay in order of arrival.
    sorted.sort_by_key(|sample| sample.timestamp);
    let mut kept: Vec<Sample> = Vec::with_capacity(sorted.len());
    for sample in sorted {
        match kept.last_mut() {
            Some(last) if last.timestamp == sample.timestamp => *last = sample,
            _ => kept.push(sample),
        }
    }
    kept
}

/// A run of the encoded form of sorted samples, and its length in bytes.
fn encoded(samples: Vec<Sample>) -> Option<(Run, u32)> {
    let (min_time, max_time) = (samples.first()?.timestamp, samples.last()?.timestamp);
    let mut encoder = StreamEncoder::new();
    for sample in &samples {
        encoder.push(sample.timestamp, sample.value);
    }
    let bytes = encoder.finish();
    let len = bytes.len() as u32;
    let run = Run {
        min_time,
        max_time,
        count: samples.len(),
        source: RunSource::Stream(Bytes::from(bytes)),
        holes: Holes::default(),
    };
    Some((run, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// All samples of `series` by the rule that later runs win.
    fn read(series: &HeadSeries) -> BTreeMap<i64, u64> {
        let mut runs = Vec::new();
        series.runs(i64::MIN, i64::MAX, &mut runs);
        let mut all = BTreeMap::new();
        for run in runs {
            let (mut times, mut values) = (Vec::new(), Vec::new());
            run.decode(&mut times, &mut values).unwrap();
            assert_eq!(times.len(), run.count);
            all.extend(times.into_iter().zip(values.into_iter().map(f64::to_bits)));
        }
        all
    }

    #[test]
    fn last_write_wins_in_any_order_of_arrival() {
        let mut series = HeadSeries::default();
        let mut model = BTreeMap::new();
        let mut state = 1u64;
        for step in 0..5000 {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let timestamp = if state >> 62 == 0 {
                (state >> 33) as i64 % 900
            } else {
                i64::from(step)
            };
            let value = f64::from(step);
            series.append(&[timestamp], &[value]);
            model.insert(timestamp, value.to_bits());
        }
        assert_eq!(read(&series), model);
    }

    #[test]
    fn reading_does_not_disturb_writing() {
        let mut series = HeadSeries::default();
        for step in 0..600i64 {
            series.append(&[step], &[step as f64]);
            assert_eq!(read(&series).len() as i64, step + 1);
        }
    }
}
