//! Where the samples of a series that come in parts are cut into chunks.
//!
//! Input: samples and whole chunks of other blocks, in order of time. Output: chunks to a
//! [`ChunkWriter`]. Invariant: samples alone are cut as [`chunk_end`] cuts the whole series,
//! whatever the parts; a chunk of another block goes through as it is unless joining it with its
//! neighbour saves a chunk. Both depend on timestamps and counts only, so series scraped together
//! keep sharing their columns.

use std::sync::Arc;

use treering_codec::Stats;

use super::chunk_ref::ChunkRef;
use super::chunks::ChunkWriter;
use super::cut::{CUT_SAMPLES, chunk_end};
use super::part::Part;
use super::read::Block;
use super::sealed::SealedChunk;
use crate::error::Result;
use crate::extras::TimedExtras;
use crate::limits::CHUNK_SAMPLES;

/// What a series has that is not in a chunk yet: a whole chunk, or fewer samples than fill one.
#[derive(Debug, Default)]
pub(super) struct Pending {
    whole: Option<(Arc<Block>, ChunkRef)>,
    timestamps: Vec<i64>,
    values: Vec<f64>,
    /// Statistics of the step of each, in a stepped block only.
    rows: Vec<Stats>,
    extras: TimedExtras,
    is_stepped: bool,
    /// Whether the samples were chunks before: they are not cut again.
    joined: bool,
}

impl Pending {
    /// For the series of a block, stepped or not.
    pub(super) fn new(is_stepped: bool) -> Self {
        Self {
            is_stepped,
            ..Self::default()
        }
    }

    /// Adds samples, or the rows of steps.
    pub(super) fn push(&mut self, part: &Part<'_>, chunks: &mut ChunkWriter) -> Result<()> {
        if let Some((_, chunk)) = &self.whole
            && part.len() > 0
        {
            if chunk.count as usize + part.len() <= CHUNK_SAMPLES {
                self.decode()?;
            } else {
                self.flush(chunks)?;
            }
        }
        let mut used = 0;
        while self.timestamps.len() + part.len() - used > CHUNK_SAMPLES {
            if self.timestamps.is_empty() {
                // What fills a chunk is encoded from where it is.
                let end = chunk_end(part.timestamps, used);
                chunks.put(&part.slice(used, end))?;
                used = end;
                continue;
            }
            // The cut looks at one sample beyond the longest chunk.
            let lookahead = used + CHUNK_SAMPLES + 1 - self.timestamps.len();
            self.add(&part.slice(used, lookahead));
            used = lookahead;
            let end = chunk_end(&self.timestamps, 0);
            self.put_front(end, chunks)?;
        }
        self.add(&part.slice(used, part.len()));
        Ok(())
    }

    /// Adds samples to those that wait.
    fn add(&mut self, part: &Part<'_>) {
        self.timestamps.extend_from_slice(part.timestamps);
        self.values.extend_from_slice(part.values);
        self.rows.extend_from_slice(part.rows);
        if let Some((first, last)) = part.ends() {
            self.extras.add_within(part.extras, first, last);
        }
    }

    /// Adds a whole chunk of `block`.
    pub(super) fn push_chunk(
        &mut self,
        block: &Arc<Block>,
        chunk: &ChunkRef,
        chunks: &mut ChunkWriter,
    ) -> Result<()> {
        let before = match &self.whole {
            Some((_, chunk)) => chunk.count as usize,
            None => self.timestamps.len(),
        };
        if before > 0 && before + chunk.count as usize <= CHUNK_SAMPLES {
            self.decode()?;
            return self.join(block, chunk);
        }
        self.flush(chunks)?;
        self.whole = Some((Arc::clone(block), chunk.clone()));
        Ok(())
    }

    /// Adds a chunk that was encoded before. It goes through as it is, unless the samples before it
    /// are so few that they are better cut together with its own.
    pub(super) fn push_sealed(
        &mut self,
        chunk: &SealedChunk,
        chunks: &mut ChunkWriter,
    ) -> Result<()> {
        let before = self.timestamps.len();
        if (1..CUT_SAMPLES).contains(&before) && before + chunk.count as usize <= CHUNK_SAMPLES {
            return chunk.decode(&mut self.timestamps, &mut self.values);
        }
        self.flush(chunks)?;
        chunks.put_sealed(chunk)
    }

    /// Writes what there is.
    pub(super) fn flush(&mut self, chunks: &mut ChunkWriter) -> Result<()> {
        if let Some((block, chunk)) = self.whole.take() {
            return chunks.copy(&block, &chunk);
        }
        while !self.timestamps.is_empty() {
            let end = match self.joined {
                true => self.timestamps.len(),
                false => chunk_end(&self.timestamps, 0),
            };
            self.put_front(end, chunks)?;
        }
        Ok(())
    }

    /// Writes the first samples as a chunk.
    fn put_front(&mut self, end: usize, chunks: &mut ChunkWriter) -> Result<()> {
        let all = Part {
            timestamps: &self.timestamps,
            values: &self.values,
            rows: &self.rows,
            extras: &self.extras,
        };
        chunks.put(&all.slice(0, end))?;
        let end = end.min(self.timestamps.len());
        self.timestamps.drain(..end);
        self.values.drain(..end);
        self.rows.drain(..end.min(self.rows.len()));
        match self.timestamps.first() {
            Some(&first) if !self.extras.is_empty() => self.extras.keep_from(first),
            Some(_) => {}
            None => self.extras.clear(),
        }
        self.joined = false;
        Ok(())
    }

    /// Turns a whole chunk into its samples.
    fn decode(&mut self) -> Result<()> {
        match self.whole.take() {
            Some((block, chunk)) => self.join(&block, &chunk),
            None => Ok(()),
        }
    }

    /// Adds the samples of a chunk.
    fn join(&mut self, block: &Block, chunk: &ChunkRef) -> Result<()> {
        self.joined = true;
        let start = self.timestamps.len();
        let (timestamps, values) = (&mut self.timestamps, &mut self.values);
        match self.is_stepped {
            true => block.decode_rows(chunk, timestamps, values, &mut self.rows)?,
            false => block.decode(chunk, timestamps, values)?,
        }
        let timestamps = timestamps.get(start..).unwrap_or_default();
        block.decode_extras(chunk, timestamps, &mut self.extras)
    }
}
