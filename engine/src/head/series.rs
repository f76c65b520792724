//! The recent samples of one series: a stream being written, closed streams, and late samples.
//!
//! Input: samples in any order. Output: [`Run`]s in order of sequence. In-order samples are encoded
//! as they come, or come as sealed chunks of a long column; those at or before the newest one wait in a small unsorted list, which becomes a
//! sorted run when it is full. Deletes drop runs, or leave holes in them. Invariant: a late sample
//! is newer in sequence than any in-order sample with its timestamp, because in-order samples are
//! always the newest in time; so runs of late samples come after the in-order ones, and among
//! themselves in the order they were made. What samples have beside their floats waits beside the
//! open stream and the late samples, and is encoded with them. A delete may take the newest samples
//! away: the late ones that it leaves then keep a floor, at or below which every sample is late as
//! before.

use std::sync::Arc;

use treering_codec::{Extras, Histogram, Sample, StreamEncoder};

use crate::block::SealedChunk;
use crate::extras::{HeadExtras, TimedExtras};
use crate::limits::{HEAD_CHUNK_SAMPLES, HEAD_HISTOGRAMS, LATE_SAMPLES};
use crate::query::holes::Holes;
use crate::query::run::{Run, RunSource};

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct HeadSeries {
    open: StreamEncoder,
    closed: Vec<Stream>,
    /// Bytes that the closed streams point to.
    closed_bytes: u32,
    /// Number of the last of the deletes under way that it has seen.
    seen: u32,
    late: Option<Box<Late>>,
    /// Of the samples in the open stream.
    extras: Option<Box<Extras>>,
}

#[derive(Debug, Default)]
struct Late {
    /// Not yet sorted, in order of arrival.
    samples: Vec<Sample>,
    /// By place in `samples`.
    extras: Extras,
    /// Sorted, oldest first.
    runs: Vec<Stream>,
    /// Bytes that the runs point to.
    run_bytes: u32,
    /// None of its samples is later than this; meaningless without any.
    floor: i64,
}

/// A stream that takes no more samples, or a sealed chunk: a run in few bytes.
#[derive(Debug)]
struct Stream {
    min_time: i64,
    max_time: i64,
    count: u32,
    body: Body,
    extras: Option<Arc<HeadExtras>>,
    holes: Holes,
}

#[derive(Debug)]
enum Body {
    Coded(Arc<[u8]>),
    Sealed(Arc<SealedChunk>),
}

impl Stream {
    fn of_sealed(chunk: &Arc<SealedChunk>) -> Self {
        Self {
            min_time: chunk.min_time,
            max_time: chunk.max_time,
            count: chunk.count,
            body: Body::Sealed(Arc::clone(chunk)),
            extras: None,
            holes: Holes::default(),
        }
    }

    /// The stream as a run, its bytes shared.
    fn run(&self) -> Run {
        Run {
            min_time: self.min_time,
            max_time: self.max_time,
            count: self.count as usize,
            source: match &self.body {
                Body::Coded(bytes) => RunSource::Stream(Arc::clone(bytes)),
                Body::Sealed(chunk) => RunSource::Sealed(Arc::clone(chunk)),
            },
            extras: self.extras.clone(),
            holes: self.holes.clone(),
        }
    }

    /// As [`Run::is_left`]; what does not decode is there, so that a query tells of it.
    fn shows(&self, first: i64, last: i64) -> bool {
        let (from, to) = (first.max(self.min_time), last.min(self.max_time));
        from <= to && (self.holes.is_empty() || self.run().is_left(first, last).unwrap_or(true))
    }

    /// As [`Run::without`].
    fn without(self, holes: &Holes) -> Option<Self> {
        let run = self.run().without(holes)?;
        Some(Self {
            min_time: run.min_time,
            max_time: run.max_time,
            holes: run.holes,
            ..self
        })
    }

    /// Heap that it points to, in bytes: the stream with its counts, the extras, the holes.
    fn heap_bytes(&self) -> usize {
        let extras = self.extras.as_ref().map_or(0, |extras| extras.heap_bytes());
        let body = match &self.body {
            Body::Coded(bytes) => 2 * size_of::<usize>() + bytes.len(),
            Body::Sealed(chunk) => chunk.heap_bytes(),
        };
        body + extras + self.holes.heap_bytes()
    }
}

/// Holes after which a run is encoded anew without what lies in them.
const MOST_HOLES: usize = 16;

impl HeadSeries {
    /// Appends `timestamps` and `values`; returns by how many bytes the heap use grew.
    #[inline]
    pub(crate) fn append(&mut self, timestamps: &[i64], values: &[f64]) -> isize {
        let before = self.heap_bytes();
        self.push_all(timestamps, values);
        self.heap_bytes() as isize - before as isize
    }

    #[inline]
    fn push_all(&mut self, timestamps: &[i64], values: &[f64]) {
        for (&timestamp, &value) in timestamps.iter().zip(values) {
            self.push(timestamp, value);
        }
    }

    /// As [`HeadSeries::append`]; `chunks` are the first of the samples, sealed. A chunk that is
    /// late in part is taken sample by sample.
    #[cold]
    pub(crate) fn append_sealed(
        &mut self,
        timestamps: &[i64],
        values: &[f64],
        chunks: &[Arc<SealedChunk>],
    ) -> isize {
        let before = self.heap_bytes();
        let (mut timestamps, mut values) = (timestamps, values);
        for chunk in chunks {
            let count = (chunk.count as usize).min(timestamps.len());
            let (times, floats) = (timestamps.split_at(count), values.split_at(count));
            (timestamps, values) = (times.1, floats.1);
            if self.is_late(chunk.min_time) {
                self.push_all(times.0, floats.0);
                continue;
            }
            self.close();
            let run = Stream::of_sealed(chunk);
            self.closed_bytes = self.closed_bytes.saturating_add(run.heap_bytes() as u32);
            self.closed.push(run);
        }
        self.push_all(timestamps, values);
        self.heap_bytes() as isize - before as isize
    }

    /// As [`HeadSeries::append`]; what `extras` have at `place` belongs to the first sample.
    #[cold]
    pub(crate) fn append_extended(
        &mut self,
        timestamps: &[i64],
        values: &[f64],
        (extras, place): (&Extras, u32),
    ) -> isize {
        let before = self.heap_bytes();
        for (at, (&timestamp, &value)) in (place..).zip(timestamps.iter().zip(values)) {
            let (histogram, start) = (extras.histogram(at).cloned(), extras.start(at));
            self.push_extended(Sample { timestamp, value }, histogram, start);
        }
        self.heap_bytes() as isize - before as isize
    }

    fn push_extended(&mut self, sample: Sample, histogram: Option<Arc<Histogram>>, start: i64) {
        if histogram.is_none() && start == 0 {
            self.push(sample.timestamp, sample.value);
            return;
        }
        if self.is_late(sample.timestamp) {
            let late = self.late.get_or_insert_default();
            let place = late.samples.len() as u32;
            late.extras.push(place, histogram, start);
            self.push_late(sample);
            return;
        }
        let extras = self.extras.get_or_insert_default();
        extras.push(self.open.len() as u32, histogram, start);
        let is_full = extras.histograms.len() >= HEAD_HISTOGRAMS;
        self.open.push(sample.timestamp, sample.value);
        if is_full || self.open.len() >= HEAD_CHUNK_SAMPLES {
            self.close();
        }
    }

    #[inline]
    fn push(&mut self, timestamp: i64, value: f64) {
        if self.is_late(timestamp) {
            self.push_late(Sample { timestamp, value });
            return;
        }
        self.open.push(timestamp, value);
        if self.open.len() >= HEAD_CHUNK_SAMPLES {
            self.close();
        }
    }

    #[inline]
    fn is_late(&self, timestamp: i64) -> bool {
        // An open stream reaches as far as all else, or further.
        let newest = self.open.last_timestamp().or_else(|| self.newest_closed());
        newest.is_some_and(|newest| timestamp <= newest)
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
        let stream = Stream {
            min_time,
            max_time,
            count: self.open.len() as u32,
            body: Body::Coded(self.open.take().into()),
            extras: self.extras.take().and_then(|all| HeadExtras::packed(&all)),
            holes: Holes::default(),
        };
        self.closed_bytes = self.closed_bytes.saturating_add(stream.heap_bytes() as u32);
        self.closed.push(stream);
    }

    #[cold]
    fn push_late(&mut self, sample: Sample) {
        let late = self.late.get_or_insert_default();
        if late.is_empty() || sample.timestamp > late.floor {
            late.floor = sample.timestamp;
        }
        late.samples.push(sample);
        let is_full = late.extras.histograms.len() >= HEAD_HISTOGRAMS;
        if is_full || late.samples.len() >= LATE_SAMPLES {
            let (samples, extras) = late.sorted();
            if let Some(run) = encoded(&samples, &extras) {
                late.run_bytes = late.run_bytes.saturating_add(run.heap_bytes() as u32);
                late.runs.push(run);
            }
            late.samples.clear();
            late.extras.clear();
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
                self.extras = None;
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
        let wanted = |stream: &&Stream| stream.shows(first, last);
        out.extend(self.closed.iter().filter(wanted).map(Stream::run));
        if let (Some(min_time), Some(max_time)) =
            (self.open.first_timestamp(), self.open.last_timestamp())
            && min_time <= last
            && max_time >= first
        {
            let source = RunSource::Stream(self.open.snapshot().into());
            let extras = self.extras.as_deref().cloned();
            out.push(Run {
                min_time,
                max_time,
                count: self.open.len(),
                source,
                extras: extras.and_then(HeadExtras::plain),
                holes: Holes::default(),
            });
        }
        if let Some(late) = &self.late {
            out.extend(late.runs.iter().filter(wanted).map(Stream::run));
            let (samples, extras) = late.sorted();
            let run = Run::of_samples(samples).map(|run| Run {
                extras: HeadExtras::plain(extras),
                ..run
            });
            out.extend(run.filter(|run| run.overlaps(first, last)));
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
        let wanted =
            |stream: &Stream| stream.shows(first, last) && stays(stream.min_time, stream.max_time);
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
        let run = size_of::<Stream>();
        let late = self.late.as_ref().map_or(0, |late| {
            size_of::<Late>()
                + late.samples.capacity() * size_of::<Sample>()
                + late.extras.heap_bytes()
                + late.runs.capacity() * run
                + late.run_bytes as usize
        });
        let extras = self.extras.as_ref();
        let extras = extras.map_or(0, |all| size_of::<Extras>() + all.heap_bytes());
        self.open.heap_bytes()
            + self.closed.capacity() * run
            + self.closed_bytes as usize
            + late
            + extras
    }
}

impl Late {
    fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.runs.is_empty()
    }

    /// The samples that are in no run yet by time, of equal timestamps the one that came last; and
    /// their extras.
    fn sorted(&self) -> (Vec<Sample>, Extras) {
        let mut sorted: Vec<(u32, Sample)> = (0..).zip(self.samples.iter().copied()).collect();
        // Stable, so that equal timestamps stay in order of arrival.
        sorted.sort_by_key(|(_, sample)| sample.timestamp);
        let mut kept: Vec<(u32, Sample)> = Vec::with_capacity(sorted.len());
        for arrived in sorted {
            match kept.last_mut() {
                Some(last) if last.1.timestamp == arrived.1.timestamp => *last = arrived,
                _ => kept.push(arrived),
            }
        }
        let extras = self.extras.pick(kept.iter().map(|(place, _)| *place));
        (kept.into_iter().map(|(_, sample)| sample).collect(), extras)
    }

    fn delete(&mut self, holes: &Holes) {
        let held = self.samples.len();
        let kept = (0..).zip(&self.samples);
        let kept = kept.filter(|(_, sample)| !holes.hide(sample.timestamp));
        self.extras = self.extras.pick(kept.map(|(place, _)| place));
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
fn cut(runs: &mut Vec<Stream>, holes: &Holes) -> bool {
    let touched = |run: &Stream| holes.touch(run.min_time, run.max_time);
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
fn compact(stream: Stream) -> Option<Stream> {
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    let mut extras = TimedExtras::default();
    let run = stream.run();
    if run
        .decode_extended(&mut timestamps, &mut values, &mut extras)
        .is_err()
    {
        // It was encoded here, so this does not happen; a query would report it.
        return Some(stream);
    }
    let extras = extras.placed(&timestamps);
    let pairs = timestamps.into_iter().zip(values);
    let samples: Vec<Sample> = pairs
        .map(|(timestamp, value)| Sample { timestamp, value })
        .collect();
    encoded(&samples, &extras)
}

/// Bytes that `runs` point to.
fn bytes_of(runs: &[Stream]) -> u32 {
    let bytes = runs.iter().map(Stream::heap_bytes).sum::<usize>();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Sorted samples with their extras, encoded.
fn encoded(samples: &[Sample], extras: &Extras) -> Option<Stream> {
    let (min_time, max_time) = (samples.first()?.timestamp, samples.last()?.timestamp);
    let mut encoder = StreamEncoder::new();
    for sample in samples {
        encoder.push(sample.timestamp, sample.value);
    }
    Some(Stream {
        min_time,
        max_time,
        count: samples.len() as u32,
        body: Body::Coded(encoder.finish().into()),
        extras: HeadExtras::packed(extras),
        holes: Holes::default(),
    })
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
