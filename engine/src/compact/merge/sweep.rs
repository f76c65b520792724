//! The chunks of one series in several blocks, merged in order of time.
//!
//! Input: per block the chunks of the series, ascending, and what is hidden. Output: to the blocks
//! being written, whole chunks where nothing meets them; elsewhere samples, or rows of steps.
//! Invariant: each timestamp counts once, with what the last block in the list has of it.

use std::sync::Arc;

use treering_codec::Stats;

use super::super::step::{Stepper, step_window};
use crate::block::{Block, ChunkRef, Outputs, Part};
use crate::error::Result;
use crate::extras::TimedExtras;
use crate::query::holes::Holes;

/// Samples that are gathered before they go to an output.
const GATHERED: usize = 4096;

/// See the head of this file. Its memory serves one series after the other.
#[derive(Debug)]
pub(super) struct Sweep {
    /// Samples at or before are left out.
    horizon: Option<i64>,
    /// Nanoseconds of a step of the outputs, or 0.
    step: i64,
    feeds: Vec<Feed>,
    /// The feeds that have samples left: by the next one of each, then by precedence.
    order: Vec<(i64, usize)>,
    gathered: Gathered,
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
    /// As many, in a stepped chunk: what its rows stand for.
    rows: Vec<Stats>,
    /// What its samples have beside their floats, of hidden ones too.
    extras: TimedExtras,
    next: usize,
}

/// Samples on their way to the outputs.
#[derive(Debug, Default)]
struct Gathered {
    timestamps: Vec<i64>,
    values: Vec<f64>,
    /// What they have beside their floats; of those that went into steps too.
    extras: TimedExtras,
    /// What they go through if the outputs are stepped.
    stepper: Option<Stepper>,
}

impl Sweep {
    /// For series of `inputs` blocks. Samples at or before `horizon` are left out unless it is
    /// `i64::MIN`; steps of `step` nanoseconds are made unless it is 0.
    pub(super) fn new(inputs: usize, horizon: i64, step: i64) -> Self {
        Self {
            horizon: (horizon != i64::MIN).then_some(horizon),
            step,
            feeds: (0..inputs).map(|_| Feed::default()).collect(),
            order: Vec::with_capacity(inputs),
            gathered: Gathered {
                stepper: (step > 0).then(|| Stepper::new(step)),
                ..Gathered::default()
            },
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
        let mut fed = std::mem::take(&mut self.order);
        for place in &mut fed {
            // One without samples is put at the end and taken off.
            let head = self.feeds[place.1].head(self.horizon)?;
            *place = head.map_or((i64::MAX, usize::MAX), |head| (head, place.1));
        }
        fed.retain(|place| place.1 != usize::MAX);
        fed.sort_unstable();
        self.order = fed;
        Ok(())
    }

    /// Hands a part of the series to `outputs`: how many samples, or `None` at its end.
    pub(super) fn step(&mut self, outputs: &mut Outputs<'_>) -> Result<Option<usize>> {
        let Some(&(head, index)) = self.order.first() else {
            self.gathered.flush(true, outputs)?;
            return Ok(None);
        };
        let rival = self.order.get(1).map(|rival| rival.0);
        let feed = &mut self.feeds[index];
        let used = if rival == Some(head) {
            // The rival comes later in the list of inputs, so it wins.
            feed.decode()?;
            feed.next += 1;
            1
        } else if let Some((block, chunk)) = feed.whole(rival, self.step, &self.gathered, outputs) {
            let used = chunk.count as usize;
            self.gathered.flush(true, outputs)?;
            outputs.push_chunk(block, chunk)?;
            feed.chunk += 1;
            used
        } else {
            feed.decode()?;
            self.gathered.take(feed, rival)
        };
        self.reorder()?;
        if self.gathered.len() >= GATHERED {
            self.gathered.flush(false, outputs)?;
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
}

impl Gathered {
    fn len(&self) -> usize {
        let rows = self.stepper.as_ref();
        self.timestamps.len() + rows.map_or(0, |stepper| stepper.rows.timestamps.len())
    }

    /// The step window that the last sample so far lies in.
    fn window(&self, step: i64) -> Option<i64> {
        let open = self.stepper.as_ref().and_then(Stepper::open_window);
        let last = self.timestamps.last();
        last.map(|&last| step_window(last, step)).or(open)
    }

    /// Takes the decoded samples of `feed` that come before `rival`; how many.
    fn take(&mut self, feed: &mut Feed, rival: Option<i64>) -> usize {
        let used = feed.before(rival);
        let timestamps = feed.timestamps.get(used.clone()).unwrap_or_default();
        let values = feed.values.get(used.clone()).unwrap_or_default();
        match feed.rows.get(used.clone()) {
            Some(rows) => {
                self.settle();
                for ((&timestamp, &value), row) in timestamps.iter().zip(values).zip(rows) {
                    if let Some(stepper) = &mut self.stepper {
                        stepper.push_row(timestamp, value, row);
                    }
                }
            }
            None => {
                self.timestamps.extend_from_slice(timestamps);
                self.values.extend_from_slice(values);
            }
        }
        if let (Some(&first), Some(&last)) = (timestamps.first(), timestamps.last()) {
            self.extras.add_within(&feed.extras, first, last);
        }
        feed.next = used.end;
        used.len()
    }

    /// Sends the samples through the stepper.
    fn settle(&mut self) {
        if let Some(stepper) = &mut self.stepper {
            stepper.push(&self.timestamps, &self.values);
            self.timestamps.clear();
            self.values.clear();
        }
    }

    /// Hands on what there is; of steps the one that may still get samples only when `all`.
    fn flush(&mut self, all: bool, outputs: &mut Outputs<'_>) -> Result<()> {
        self.settle();
        if let Some(stepper) = &mut self.stepper {
            if all {
                stepper.close();
            }
            let rows = &mut stepper.rows;
            outputs.push(&Part {
                timestamps: &rows.timestamps,
                values: &rows.values,
                rows: &rows.stats,
                extras: &self.extras,
            })?;
            rows.clear();
            match stepper.open_timestamp() {
                Some(last) => self.extras.keep_from(last),
                None => self.extras.clear(),
            }
            return Ok(());
        }
        outputs.push(&Part {
            timestamps: &self.timestamps,
            values: &self.values,
            rows: &[],
            extras: &self.extras,
        })?;
        self.timestamps.clear();
        self.values.clear();
        self.extras.clear();
        Ok(())
    }
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
            self.hide(horizon);
            if self.timestamps.is_empty() {
                self.chunk += 1;
            }
        }
    }

    /// Takes what is hidden out of the decoded chunk.
    fn hide(&mut self, horizon: Option<i64>) {
        let holes = &self.holes;
        let keeps = |at: i64| !holes.hide(at) && horizon.is_none_or(|horizon| at > horizon);
        let mut kept = self.timestamps.iter().map(|&at| keeps(at));
        self.values.retain(|_| kept.next().unwrap_or(false));
        let mut kept = self.timestamps.iter().map(|&at| keeps(at));
        self.rows.retain(|_| kept.next().unwrap_or(false));
        self.timestamps.retain(|&at| keeps(at));
    }

    /// The chunk at hand when it goes through as it is: nothing is taken out of it, nothing else is
    /// before its end, one output takes all of it; and it has the steps of the outputs, and shares
    /// none with what comes before or after.
    fn whole(
        &self,
        rival: Option<i64>,
        step: i64,
        before: &Gathered,
        outputs: &Outputs<'_>,
    ) -> Option<(&Arc<Block>, &ChunkRef)> {
        let (block, chunk) = (self.block.as_ref()?, self.chunks.get(self.chunk)?);
        let (first, last) = (chunk.min_time, chunk.max_time);
        let untouched = self.timestamps.is_empty()
            && rival.is_none_or(|rival| rival > last)
            && outputs.window(first) == outputs.window(last);
        if !untouched || step == 0 {
            return untouched.then_some((block, chunk));
        }
        let alone = block.info().meta.step_nanos() == step
            && rival.is_none_or(|rival| step_window(rival, step) > step_window(last, step))
            && before.window(step) != Some(step_window(first, step));
        alone.then_some((block, chunk))
    }

    /// Decodes the chunk at hand unless that was done.
    fn decode(&mut self) -> Result<()> {
        let (true, Some(block), Some(chunk)) = (
            self.timestamps.is_empty(),
            &self.block,
            self.chunks.get(self.chunk),
        ) else {
            return Ok(());
        };
        let (timestamps, values) = (&mut self.timestamps, &mut self.values);
        match chunk.step {
            0 => block.decode(chunk, timestamps, values)?,
            _ => block.decode_rows(chunk, timestamps, values, &mut self.rows)?,
        }
        block.decode_extras(chunk, timestamps, &mut self.extras)
    }

    /// The decoded samples before `rival` that are not used yet.
    fn before(&self, rival: Option<i64>) -> std::ops::Range<usize> {
        let rest = self.timestamps.get(self.next..).unwrap_or_default();
        let count = match rival {
            Some(rival) => rest.iter().take_while(|&&at| at < rival).count(),
            None => rest.len(),
        };
        self.next..self.next + count
    }

    /// Forgets the decoded samples.
    fn forget(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.rows.clear();
        self.extras.clear();
        self.next = 0;
    }
}
