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
use super::cut::chunk_end;
use super::read::Block;
use crate::error::Result;
use crate::limits::CHUNK_SAMPLES;

/// What a series has that is not in a chunk yet: a whole chunk, or fewer samples than fill one.
#[derive(Debug, Default)]
pub(super) struct Pending {
    whole: Option<(Arc<Block>, ChunkRef)>,
    timestamps: Vec<i64>,
    values: Vec<f64>,
    /// Statistics of the step of each, in a stepped block only.
    rows: Vec<Stats>,
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

    /// Adds samples, or the rows of steps: as many timestamps as values and `rows`, of which there
    /// are none unless the block is stepped.
    pub(super) fn push(
        &mut self,
        timestamps: &[i64],
        values: &[f64],
        rows: &[Stats],
        chunks: &mut ChunkWriter,
    ) -> Result<()> {
        if let Some((_, chunk)) = &self.whole
            && !timestamps.is_empty()
        {
            if chunk.count as usize + timestamps.len() <= CHUNK_SAMPLES {
                self.decode()?;
            } else {
                self.flush(chunks)?;
            }
        }
        let mut used = 0;
        while self.timestamps.len() + timestamps.len() - used > CHUNK_SAMPLES {
            if self.timestamps.is_empty() {
                // What fills a chunk is encoded from where it is.
                let end = chunk_end(timestamps, used);
                chunks.put(
                    part(timestamps, used, end),
                    part(values, used, end),
                    part(rows, used, end),
                )?;
                used = end;
                continue;
            }
            // The cut looks at one sample beyond the longest chunk.
            let lookahead = used + CHUNK_SAMPLES + 1 - self.timestamps.len();
            self.timestamps
                .extend_from_slice(part(timestamps, used, lookahead));
            self.values.extend_from_slice(part(values, used, lookahead));
            self.rows.extend_from_slice(part(rows, used, lookahead));
            used = lookahead;
            let end = chunk_end(&self.timestamps, 0);
            self.put_front(end, chunks)?;
        }
        self.timestamps
            .extend_from_slice(part(timestamps, used, timestamps.len()));
        self.values
            .extend_from_slice(part(values, used, values.len()));
        self.rows.extend_from_slice(part(rows, used, rows.len()));
        Ok(())
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
        chunks.put(
            part(&self.timestamps, 0, end),
            part(&self.values, 0, end),
            part(&self.rows, 0, end),
        )?;
        let end = end.min(self.timestamps.len());
        self.timestamps.drain(..end);
        self.values.drain(..end);
        self.rows.drain(..end.min(self.rows.len()));
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
        let (timestamps, values) = (&mut self.timestamps, &mut self.values);
        match self.is_stepped {
            true => block.decode_rows(chunk, timestamps, values, &mut self.rows),
            false => block.decode(chunk, timestamps, values),
        }
    }
}

/// The elements of a column from `start` to `end`.
fn part<T>(column: &[T], start: usize, end: usize) -> &[T] {
    column.get(start..end.min(column.len())).unwrap_or_default()
}
