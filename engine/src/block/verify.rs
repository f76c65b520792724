//! Checking a whole block: every checksum, every chunk, every number that is stored twice.
//!
//! Input: an open block. Output: nothing, or the first damage. Invariant: a block that passes
//! answers every later question from intact bytes. Open it with `Reads::Pread` for this, so that a
//! failing disk is an error.

use treering_codec::{Stats, crc32, is_stale};
use treering_index::Labels;

use super::chunk_ref::{ChunkRef, Need, Suffices, Values};
use super::cursor::Cursor;
use super::read::Block;
use super::summaries::Fold;
use crate::error::{Error, Result};
use crate::extras::TimedExtras;

impl Block {
    /// Reads and checks everything; decodes every chunk and holds it against its entry.
    pub(crate) fn verify(&self) -> Result<()> {
        self.pages.verify()?;
        let index = self.pages.unchecked(&self.footer.sections.index)?;
        if crc32(self.info().meta.seed(), &index) != self.footer.index_crc {
            return Err(self.wrong_index("the checksum of the index does not match"));
        }
        drop(index);
        let index = self.index()?;
        index.verify()?;
        let mut labels_of = index.labels()?;
        let mut totals = Totals {
            min_time: i64::MAX,
            max_time: i64::MIN,
            samples: 0,
            chunks: 0,
        };
        let mut cursor = Cursor::default();
        let mut chunks = Vec::new();
        let (mut summing, mut sums) = (Cursor::default(), Vec::new());
        let mut before: Option<Labels> = None;
        let series = u32::try_from(self.info().series).unwrap_or(u32::MAX);
        for ordinal in 0..series {
            let labels = labels_of.labels(ordinal)?;
            if before.is_some_and(|before| before >= labels) {
                return Err(self.wrong_index("the series are not in label order"));
            }
            before = Some(labels);
            chunks.clear();
            self.all_chunks(&mut cursor, ordinal, &mut chunks)?;
            self.verify_series(&chunks, &mut totals)?;
            sums.clear();
            let all = (i64::MIN, i64::MAX);
            self.chunks_needed(&mut summing, ordinal, all, Need::Sums(&Always), &mut sums)?;
            self.verify_sums(&chunks, &sums)?;
        }
        let info = self.info();
        if (
            totals.min_time,
            totals.max_time,
            totals.samples,
            totals.chunks,
        ) != (info.min_time, info.max_time, info.samples, info.chunks)
        {
            return Err(self.wrong("the totals of the footer are not those of the chunks"));
        }
        Ok(())
    }

    fn verify_series(&self, chunks: &[ChunkRef], totals: &mut Totals) -> Result<()> {
        if chunks.is_empty() {
            return Err(self.wrong("a series has no chunks"));
        }
        for chunk in chunks {
            self.verified(chunk)?;
            totals.min_time = totals.min_time.min(chunk.min_time);
            totals.max_time = totals.max_time.max(chunk.max_time);
            totals.samples += u64::from(chunk.count);
            totals.chunks += 1;
        }
        Ok(())
    }

    /// That `sums`, which are chunks or sums of several, tell the same as `chunks`.
    fn verify_sums(&self, chunks: &[ChunkRef], sums: &[ChunkRef]) -> Result<()> {
        let mut rest = chunks;
        for sum in sums {
            let count = match sum.values {
                Values::Summed => rest.partition_point(|chunk| chunk.max_time <= sum.max_time),
                _ => 1,
            };
            let (own, after) = rest.split_at(count.min(rest.len()));
            rest = after;
            if !matches!(sum.values, Values::Summed) {
                continue;
            }
            let mut fold = Fold::default();
            own.iter()
                .flat_map(|chunk| &chunk.stats)
                .for_each(|stats| fold.add(stats));
            if sum.stats != Some(fold.stats()) {
                return Err(self.wrong("the statistics of several chunks are not their own"));
            }
        }
        match rest.is_empty() {
            true => Ok(()),
            false => Err(self.wrong("the sums of a series lack some of its chunks")),
        }
    }

    /// The rows of a chunk, once they are what its entry says.
    pub(crate) fn verified(&self, chunk: &ChunkRef) -> Result<Rows> {
        let mut rows = Rows::default();
        self.decode_rows(
            chunk,
            &mut rows.timestamps,
            &mut rows.values,
            &mut rows.rows,
        )?;
        let (timestamps, values) = (&rows.timestamps, &rows.values);
        let ends = (timestamps.first().copied(), timestamps.last().copied());
        if values.len() != timestamps.len()
            || values.len() != chunk.count as usize
            || ends != (Some(chunk.min_time), Some(chunk.max_time))
        {
            return Err(self.wrong_chunk(chunk, "a chunk is not what its column says"));
        }
        let own = match chunk.step {
            0 => Stats::of(values),
            _ => Fold::of(&rows.rows).stats(),
        };
        if chunk.stats.is_some_and(|stats| stats != own) {
            return Err(self.wrong_chunk(chunk, "the statistics of a chunk are not its own"));
        }
        let (timestamps, mut extras) = (&rows.timestamps, TimedExtras::default());
        self.decode_extras(chunk, timestamps, &mut extras)?;
        let places = extras.placed(timestamps);
        let mut places = places.histograms.iter().map(|one| one.0 as usize);
        if !places.all(|at| rows.values.get(at).copied().is_some_and(is_stale)) {
            return Err(self.wrong_chunk(chunk, "a histogram stands beside a float"));
        }
        let ends_at = |(row, value): (&Stats, &f64)| {
            is_stale(*value) || row.last.to_bits() == value.to_bits()
        };
        if !rows.rows.iter().zip(values).all(ends_at) {
            return Err(self.wrong_chunk(chunk, "a step does not end with its last sample"));
        }
        Ok(Rows { extras, ..rows })
    }

    /// Damage of the directory.
    pub(super) fn wrong(&self, what: &str) -> Error {
        Error::corrupt(self.path(), self.footer.sections.directory.start, what)
    }

    fn wrong_index(&self, what: &str) -> Error {
        Error::corrupt(self.path(), self.footer.sections.index.start, what)
    }

    fn wrong_chunk(&self, chunk: &ChunkRef, what: &str) -> Error {
        match chunk.values {
            Values::Encoded { offset, .. } => Error::corrupt(self.path(), offset, what),
            Values::Constant(_) | Values::Summed => self.wrong(what),
        }
    }
}

/// Every sum that there is.
#[derive(Debug)]
struct Always;

impl Suffices for Always {
    fn suffices(&self, _: &Stats, _: i64, _: i64) -> bool {
        true
    }
}

/// What a chunk holds: as many timestamps as values and statistics of rows.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) timestamps: Vec<i64>,
    pub(crate) values: Vec<f64>,
    /// Of one sample each in a chunk without steps.
    pub(crate) rows: Vec<Stats>,
    /// What the samples have beside their floats.
    pub(crate) extras: TimedExtras,
}

/// What the chunks add up to.
#[derive(Debug)]
struct Totals {
    min_time: i64,
    max_time: i64,
    samples: u64,
    chunks: u64,
}
