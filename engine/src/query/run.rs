//! A run: one sorted piece of a series, from a block or from a head, not yet decoded.
//!
//! Input: chunk references and copies of head chunks. Output: timestamps and values, strictly
//! increasing in time. A series is a list of runs in order of sequence: where two hold the same
//! timestamp, the run later in the list wins.

use std::sync::Arc;

use treering_codec::{Sample, Stats};

use super::holes::Holes;
use crate::block::{Block, ChunkRef, SealedChunk, step_bounds};
use crate::error::{Error, Result};
use crate::extras::{HeadExtras, TimedExtras};

/// One sorted piece of a series.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Timestamp of the first sample.
    pub(crate) min_time: i64,
    /// Timestamp of the last sample.
    pub(crate) max_time: i64,
    /// How many samples it holds, stale markers included.
    pub(crate) count: usize,
    /// Where they are.
    pub(crate) source: RunSource,
    /// What samples of a head have beside their floats; chunks of blocks bring theirs along.
    pub(crate) extras: Option<Arc<HeadExtras>>,
    /// What deletes took out of it. `min_time`, `max_time` and `count` are then bounds only: no
    /// sample need lie at either end, nor any between them.
    pub(crate) holes: Holes,
}

/// Where the samples of a run are.
#[derive(Debug, Clone)]
pub(crate) enum RunSource {
    /// A sealed chunk of a block.
    Chunk { block: Arc<Block>, chunk: ChunkRef },
    /// A stream chunk of a head: sorted, without duplicates.
    Stream(Arc<[u8]>),
    /// A sealed chunk of a head.
    Sealed(Arc<SealedChunk>),
    /// Samples of a head, sorted, without duplicates.
    Samples(Arc<[Sample]>),
}

impl Run {
    /// A run of decoded samples, which must be sorted and free of duplicates; none when empty.
    pub(crate) fn of_samples(samples: Vec<Sample>) -> Option<Self> {
        let (first, last) = (samples.first()?.timestamp, samples.last()?.timestamp);
        Some(Self {
            min_time: first,
            max_time: last,
            count: samples.len(),
            source: RunSource::Samples(samples.into()),
            extras: None,
            holes: Holes::default(),
        })
    }

    /// A chunk of `block`, not yet read.
    pub(crate) fn of_chunk(block: &Arc<Block>, chunk: ChunkRef) -> Self {
        Self {
            min_time: chunk.min_time,
            max_time: chunk.max_time,
            count: chunk.count as usize,
            source: RunSource::Chunk {
                block: Arc::clone(block),
                chunk,
            },
            extras: None,
            holes: Holes::default(),
        }
    }

    /// Statistics over the whole run, where they are stored and nothing was deleted.
    pub(crate) fn stats(&self) -> Option<&Stats> {
        match &self.source {
            RunSource::Chunk { chunk, .. } if self.holes.is_empty() => chunk.stats.as_ref(),
            RunSource::Sealed(chunk) if self.holes.is_empty() => chunk.stats(),
            _ => None,
        }
    }

    /// Bytes of it as it is stored.
    pub(crate) fn stored_bytes(&self) -> u64 {
        match &self.source {
            RunSource::Chunk { chunk, .. } => chunk.stored_bytes(),
            RunSource::Stream(bytes) => bytes.len() as u64,
            RunSource::Sealed(chunk) => chunk.stored_bytes(),
            RunSource::Samples(samples) => size_of_val::<[Sample]>(samples) as u64,
        }
    }

    /// Its last sample, where the statistics tell: they pass over stale markers.
    pub(crate) fn last_sample(&self) -> Option<Sample> {
        let stats = self.stats().filter(|stats| stats.stale == 0)?;
        Some(Sample {
            timestamp: self.max_time,
            value: stats.last,
        })
    }

    /// Nanoseconds of the steps that its rows stand for; 0 when each of them is one sample.
    pub(crate) fn step(&self) -> i64 {
        match &self.source {
            RunSource::Chunk { chunk, .. } => chunk.step,
            _ => 0,
        }
    }

    /// The first time of which it may tell: the rows of steps stand for samples before them.
    pub(crate) fn since(&self) -> i64 {
        match &self.source {
            RunSource::Chunk { chunk, .. } if chunk.step > 0 => {
                step_bounds(chunk.min_time, chunk.step).0
            }
            _ => self.min_time,
        }
    }

    /// Whether any of its samples, or of those that its rows stand for, may lie in `first..=last`.
    pub(crate) fn overlaps(&self, first: i64, last: i64) -> bool {
        self.max_time >= first && (self.min_time <= last || self.since() <= last)
    }

    /// Whether any of its samples, or of those that its rows stand for, may lie in `first..=last`
    /// and is not deleted.
    pub(crate) fn shows(&self, first: i64, last: i64) -> bool {
        let (from, to) = (first.max(self.since()), last.min(self.max_time));
        from <= to && (self.holes.is_empty() || !self.holes.cover(from, to))
    }

    /// The run without what lies in `holes`; none when that is all of it.
    pub(crate) fn without(mut self, holes: &Holes) -> Option<Self> {
        if !holes.touch(self.since(), self.max_time) {
            return Some(self);
        }
        self.holes = if self.holes.is_empty() {
            holes.clone()
        } else {
            Holes::of(self.holes.iter().chain(holes.iter()))
        };
        if self.step() > 0 {
            // A step that lost its row still has samples that an aggregate lacks.
            return (!self.holes.cover(self.since(), self.max_time)).then_some(self);
        }
        // Tighter bounds let runs stand apart that overlapped only in what was deleted.
        let min_time = match self.holes.around(self.min_time) {
            Some((_, last)) => last.checked_add(1)?,
            None => self.min_time,
        };
        let max_time = match self.holes.around(self.max_time) {
            Some((first, _)) => first.checked_sub(1)?,
            None => self.max_time,
        };
        (self.min_time, self.max_time) = (min_time, max_time);
        (min_time <= max_time).then_some(self)
    }

    /// Appends all samples that are not deleted to the two columns.
    pub(crate) fn decode(&self, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<()> {
        let start = timestamps.len();
        self.decode_all(timestamps, values)?;
        self.holes.apply(start, timestamps, values);
        Ok(())
    }

    /// As [`Run::decode`], with what the samples have beside their floats. On an error the columns
    /// may have more than before.
    pub(crate) fn decode_extended(
        &self,
        timestamps: &mut Vec<i64>,
        values: &mut Vec<f64>,
        extras: &mut TimedExtras,
    ) -> Result<()> {
        let start = timestamps.len();
        self.decode_all(timestamps, values)?;
        if self.may_have_extras() {
            let mut own = TimedExtras::default();
            self.read_extras(timestamps.get(start..).unwrap_or_default(), &mut own)?;
            if !self.holes.is_empty() {
                // Another run may lie where this one has lost its ends.
                let holes = &self.holes;
                own.retain(self.min_time, self.max_time, |at| !holes.hide(at));
            }
            extras.add_within(&own, i64::MIN, i64::MAX);
        }
        self.holes.apply(start, timestamps, values);
        Ok(())
    }

    /// Whether any sample may have something beside its float.
    pub(crate) fn may_have_extras(&self) -> bool {
        match &self.source {
            RunSource::Chunk { block, .. } => block.info().meta.extended,
            _ => self.extras.is_some(),
        }
    }

    /// Whether any sample is a histogram, those that were deleted included; of a sum of several
    /// chunks, whether any may be.
    pub(crate) fn has_histograms(&self) -> Result<bool> {
        match (&self.source, &self.extras) {
            (RunSource::Chunk { block, chunk }, _) => block.has_histograms(chunk),
            (_, Some(extras)) => extras.has_histograms().map_err(in_head),
            (_, None) => Ok(false),
        }
    }

    /// Adds the extras; `timestamps` are those of all samples, deleted ones too.
    fn read_extras(&self, timestamps: &[i64], extras: &mut TimedExtras) -> Result<()> {
        match (&self.source, &self.extras) {
            (RunSource::Chunk { block, chunk }, _) => {
                block.decode_extras(chunk, timestamps, extras)
            }
            (_, Some(own)) => own.read(timestamps, extras).map_err(in_head),
            (_, None) => Ok(()),
        }
    }

    /// Whether deletes leave anything of it in `first..=last`; decodes where they took parts, for
    /// the times of the run are then no longer those of samples.
    pub(crate) fn is_left(&self, first: i64, last: i64) -> Result<bool> {
        let (from, to) = (first.max(self.min_time), last.min(self.max_time));
        if from > to || self.holes.cover(from, to) {
            return Ok(false);
        }
        if self.holes.is_empty() {
            return Ok(true);
        }
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        self.decode(&mut timestamps, &mut values)?;
        Ok(timestamps.iter().any(|at| (first..=last).contains(at)))
    }

    /// Appends all rows to the three columns, deleted ones too: a sample is a row of itself.
    pub(crate) fn decode_rows(
        &self,
        timestamps: &mut Vec<i64>,
        values: &mut Vec<f64>,
        rows: &mut Vec<Stats>,
    ) -> Result<()> {
        if let RunSource::Chunk { block, chunk } = &self.source {
            return block.decode_rows(chunk, timestamps, values, rows);
        }
        let start = values.len();
        self.decode_all(timestamps, values)?;
        let samples = values.get(start..).unwrap_or_default();
        rows.extend(samples.iter().map(|&value| Stats::of(&[value])));
        Ok(())
    }

    fn decode_all(&self, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<()> {
        match &self.source {
            RunSource::Chunk { block, chunk } => block.decode(chunk, timestamps, values),
            RunSource::Stream(bytes) => treering_codec::decode_stream(bytes, timestamps, values)
                .map(|_| ())
                .map_err(in_head),
            RunSource::Sealed(chunk) => chunk.decode(timestamps, values),
            RunSource::Samples(samples) => {
                timestamps.extend(samples.iter().map(|sample| sample.timestamp));
                values.extend(samples.iter().map(|sample| sample.value));
                Ok(())
            }
        }
    }
}

fn in_head(error: treering_codec::Error) -> Error {
    let file = "the head".as_ref();
    Error::corrupt(file, error.offset() as u64, error.to_string())
}

/// All runs of one series that may hold samples of the range asked for, in order of sequence.
#[derive(Debug, Clone)]
pub(crate) struct SeriesRuns {
    /// The series.
    pub(crate) labels: treering_index::Labels,
    /// Its runs; where two hold the same timestamp, the later in the list wins.
    pub(crate) runs: Vec<Run>,
}
