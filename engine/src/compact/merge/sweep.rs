//! The chunks of one series in several blocks, merged in order of time.
//!
//! Input: per block the chunks of the series, ascending, and what is hidden. Output: to the blocks
//! being written, whole chunks where nothing meets them and samples elsewhere. Invariant: each
//! timestamp comes once, with the value of the last block in the list that has it.

use std::sync::Arc;

use crate::block::{Block, ChunkRef, Outputs};
use crate::error::Result;
use crate::query::holes::Holes;

/// Samples that are gathered before they go to an output.
const GATHERED: usize = 4096;

/// See the head of this file. Its memory serves one series after the other.
#[derive(Debug)]
pub(super) struct Sweep {
    /// Samples at or before are left out.
    horizon: Option<i64>,
    feeds: Vec<Feed>,
    /// The feeds that have samples left: by the next one of each, then by precedence.
    order: Vec<(i64, usize)>,
    timestamps: Vec<i64>,
    values: Vec<f64>,
}

/// The chunks of the series in one block.
#[derive(Debug, Default)]
struct Feed {
    block: Option<Arc<Block>>,
    holes: Holes,
    chunks: Vec<ChunkRef>,
    /// The chunk at hand.
    chunk: usize,
    /// Its samples once it is decoded, without what is hidden; `next` of them are used.
    timestamps: Vec<i64>,
    values: Vec<f64>,
    next: usize,
}

impl Sweep {
    /// For series of `inputs` blocks. Samples at or before `horizon` are left out unless it is
    /// `i64::MIN`.
    pub(super) fn new(inputs: usize, horizon: i64) -> Self {
        Self {
            horizon: (horizon != i64::MIN).then_some(horizon),
            feeds: (0..inputs).map(|_| Feed::default()).collect(),
            order: Vec::with_capacity(inputs),
            timestamps: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Where the chunks go that the next series has in input `index`, which is `block`.
    pub(super) fn feed(
        &mut self,
        index: usize,
        block: &Arc<Block>,
        holes: Holes,
    ) -> &mut Vec<ChunkRef> {
        if index >= self.feeds.len() {
            self.feeds.resize_with(index + 1, Feed::default);
        }
        self.order.push((i64::MIN, index));
        let feed = &mut self.feeds[index];
        if feed
            .block
            .as_ref()
            .is_none_or(|old| !Arc::ptr_eq(old, block))
        {
            feed.block = Some(Arc::clone(block));
        }
        feed.holes = holes;
        feed.chunks.clear();
        feed.chunk = 0;
        feed.forget();
        &mut feed.chunks
    }

    /// Begins with the series whose chunks were handed over.
    pub(super) fn start(&mut self) -> Result<()> {
        let fed = std::mem::take(&mut self.order);
        for (_, index) in fed {
            if let Some(head) = self.feeds[index].head(self.horizon)? {
                self.order.push((head, index));
            }
        }
        self.order.sort_unstable();
        Ok(())
    }

    /// Hands a part of the series to `outputs`: how many samples, or `None` at its end.
    pub(super) fn step(&mut self, outputs: &mut Outputs<'_>) -> Result<Option<usize>> {
        let Some(&(head, index)) = self.order.first() else {
            self.flush(outputs)?;
            return Ok(None);
        };
        let rival = self.order.get(1).map(|rival| rival.0);
        let feed = &mut self.feeds[index];
        let used = if rival == Some(head) {
            // The rival comes later in the list of inputs, so it wins.
            feed.decode()?;
            feed.next += 1;
            1
        } else if let Some((block, chunk)) = feed.whole(rival, outputs) {
            let used = chunk.count as usize;
            flush(&mut self.timestamps, &mut self.values, outputs)?;
            outputs.push_chunk(block, chunk)?;
            feed.chunk += 1;
            used
        } else {
            feed.decode()?;
            feed.take(rival, &mut self.timestamps, &mut self.values)
        };
        self.reorder()?;
        if self.timestamps.len() >= GATHERED {
            self.flush(outputs)?;
        }
        Ok(Some(used))
    }

    /// Puts the first feed where its next sample belongs.
    fn reorder(&mut self) -> Result<()> {
        let index = self.order[0].1;
        let Some(head) = self.feeds[index].head(self.horizon)? else {
            self.order.remove(0);
            return Ok(());
        };
        let place = (head, index);
        let before = self.order[1..].iter().take_while(|&&other| other < place);
        let before = before.count();
        self.order[..=before].rotate_left(1);
        self.order[before] = place;
        Ok(())
    }

    fn flush(&mut self, outputs: &mut Outputs<'_>) -> Result<()> {
        flush(&mut self.timestamps, &mut self.values, outputs)
    }
}

/// Hands gathered samples on.
fn flush(
    timestamps: &mut Vec<i64>,
    values: &mut Vec<f64>,
    outputs: &mut Outputs<'_>,
) -> Result<()> {
    if !timestamps.is_empty() {
        outputs.push(timestamps, values)?;
        timestamps.clear();
        values.clear();
    }
    Ok(())
}

impl Feed {
    /// The timestamp of its next sample that is not hidden.
    fn head(&mut self, horizon: Option<i64>) -> Result<Option<i64>> {
        loop {
            if let Some(&timestamp) = self.timestamps.get(self.next) {
                return Ok(Some(timestamp));
            }
            if !self.timestamps.is_empty() {
                self.forget();
                self.chunk += 1;
            }
            let Some(chunk) = self.chunks.get(self.chunk) else {
                return Ok(None);
            };
            let (first, last) = (chunk.min_time, chunk.max_time);
            if horizon.is_some_and(|horizon| last <= horizon) || self.holes.cover(first, last) {
                self.chunk += 1;
                continue;
            }
            if horizon.is_none_or(|horizon| first > horizon) && !self.holes.touch(first, last) {
                return Ok(Some(first));
            }
            self.decode()?;
            self.holes.apply(0, &mut self.timestamps, &mut self.values);
            if let Some(horizon) = horizon {
                self.next = self.timestamps.partition_point(|&at| at <= horizon);
            }
            if self.timestamps.is_empty() {
                self.chunk += 1;
            }
        }
    }

    /// The chunk at hand when it goes through as it is: nothing is taken out of it, nothing else is
    /// before its end, and one output takes all of it.
    fn whole(&self, rival: Option<i64>, outputs: &Outputs<'_>) -> Option<(&Arc<Block>, &ChunkRef)> {
        let chunk = self.chunks.get(self.chunk)?;
        let untouched = self.timestamps.is_empty()
            && rival.is_none_or(|rival| rival > chunk.max_time)
            && outputs.window(chunk.min_time) == outputs.window(chunk.max_time);
        self.block.as_ref().zip(untouched.then_some(chunk))
    }

    /// Decodes the chunk at hand unless that was done.
    fn decode(&mut self) -> Result<()> {
        if let (true, Some(block), Some(chunk)) = (
            self.timestamps.is_empty(),
            &self.block,
            self.chunks.get(self.chunk),
        ) {
            block.decode(chunk, &mut self.timestamps, &mut self.values)?;
        }
        Ok(())
    }

    /// Moves the samples before `rival` of the decoded chunk to the two columns; how many.
    fn take(
        &mut self,
        rival: Option<i64>,
        timestamps: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> usize {
        let rest = self.timestamps.get(self.next..).unwrap_or_default();
        let count = match rival {
            Some(rival) => rest.iter().take_while(|&&at| at < rival).count(),
            None => rest.len(),
        };
        let used = self.next..self.next + count;
        timestamps.extend_from_slice(self.timestamps.get(used.clone()).unwrap_or_default());
        values.extend_from_slice(self.values.get(used).unwrap_or_default());
        self.next += count;
        count
    }

    /// Forgets the decoded samples.
    fn forget(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.next = 0;
    }
}
