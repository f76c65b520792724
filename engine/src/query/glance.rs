//! Newest samples at a glance: of a series whose last chunk in one block tells what is newest.
//!
//! Input: the series of a query that are not asked for yet. Output: labels and newest sample of the
//! next one, or nothing where that takes its runs: the answer is the same, without a run, a look at
//! the clock and memory of its own for each series. Series of which the plan has no labels yet get
//! them here, by each of several threads for its own part.

use treering_codec::{Sample, is_stale};
use treering_index::Labels;

use super::plan::{Place, Source};
use super::select::{Aim, SeriesSet};
use crate::block::{BlockIndex, BlockLabels, ChunkRef, Need};
use crate::error::Result;
use crate::view::View;

/// Series between two looks at the clock and the token.
const CHECK_EVERY: usize = 64;

/// The index that names the series of a query whose plan has not done so, if there are any.
pub(crate) fn index_of<'a>(set: &SeriesSet, view: &'a View) -> Result<Option<BlockIndex<'a>>> {
    let unnamed = set.places.front().filter(|place| place.labels.is_none());
    let group = unnamed.map(|place| set.blocks_of(place.source));
    let number = group.and_then(|group| group.first());
    let live = number.and_then(|number| view.blocks.get(*number as usize));
    live.map(|live| live.block.index()).transpose()
}

/// What one reader keeps from series to series.
#[derive(Debug)]
pub(crate) struct Glance<'a> {
    labels: Option<BlockLabels<'a>>,
    chunks: Vec<ChunkRef>,
    values: Vec<f64>,
}

impl<'a> Glance<'a> {
    /// For series that `index` names.
    pub(crate) fn new(index: Option<&'a BlockIndex<'_>>) -> Result<Self> {
        Ok(Self {
            labels: index.map(BlockIndex::labels).transpose()?,
            chunks: Vec::new(),
            values: Vec::new(),
        })
    }

    /// The next series with its newest sample, which is taken from the set; none where that takes a
    /// look at its runs, or there is no series left.
    pub(crate) fn next(&mut self, set: &mut SeriesSet) -> Result<Option<(Labels, Sample)>> {
        if set.places.len().is_multiple_of(CHECK_EVERY) {
            set.held.guard().check()?;
        }
        let Some(Place { labels, source }) = set.places.front_mut() else {
            return Ok(None);
        };
        if let (None, Some(names), Source::Blocks(_, ordinal)) =
            (&labels, &mut self.labels, *source)
        {
            *labels = Some(names.labels(ordinal)?);
        }
        let source = *source;
        let Some(sample) = self.sample(set, source)? else {
            return Ok(None);
        };
        let place = set.places.pop_front();
        Ok(place.and_then(|place| place.labels.zip(Some(sample))))
    }

    /// The newest sample of the next series, which is at `source`.
    fn sample(&mut self, set: &mut SeriesSet, source: Source) -> Result<Option<Sample>> {
        let Source::Blocks(_, ordinal) = source else {
            return Ok(None);
        };
        let late = set.deletes.last();
        let is_late = late.is_some_and(|one| one.sequence > set.view.deleted_through);
        if is_late || !matches!(set.aim, Aim::Newest) || set.is_elsewhere() {
            return Ok(None);
        }
        let Some((number, others)) = set.furthest(source) else {
            return Ok(None);
        };
        let number = number as usize;
        let live = set.view.blocks.get(number);
        let live = live.filter(|_| !set.hiding.is_in_block(number));
        let (Some(live), Some(cursor)) = (live, set.cursors.get_mut(number)) else {
            return Ok(None);
        };
        self.chunks.clear();
        self.values.clear();
        let range = (set.first, set.reach.last(&live.block, set.last));
        let block = &live.block;
        block.chunks_needed(cursor, ordinal, range, Need::Newest, &mut self.chunks)?;
        let [chunk] = self.chunks.as_slice() else {
            return Ok(None);
        };
        if chunk.max_time > set.last || others.is_some_and(|at| at >= chunk.max_time) {
            return Ok(None);
        }
        let value = match &chunk.stats {
            Some(stats) => Some(stats.last).filter(|_| stats.stale == 0),
            // So few samples that nothing sums them up.
            None => {
                set.held.guard().samples(chunk.count.into())?;
                let last = chunk.count as usize;
                let range = last.saturating_sub(1)..last;
                block.decode_values_range(chunk, range, &mut self.values)?;
                // What lies behind a stale marker is for those who look at runs.
                self.values.last().copied().filter(|&it| !is_stale(it))
            }
        };
        let timestamp = chunk.max_time;
        Ok(value.map(|value| Sample { timestamp, value }))
    }
}

impl SeriesSet {
    /// Whether the place behind the first is of the same series.
    fn is_elsewhere(&self) -> bool {
        let next = self.places.get(1);
        let first = self.places.front().and_then(|place| place.labels.as_ref());
        first.is_none_or(|first| next.is_some_and(|next| next.labels.as_ref() == Some(first)))
    }

    /// The block that reaches furthest on, of those that a series is in, and how far any other does.
    fn furthest(&self, source: Source) -> Option<(u32, Option<i64>)> {
        let reach = |number: &u32| {
            let live = self.view.blocks.get(*number as usize);
            live.map(|live| live.block.max_time())
        };
        let numbers = self.blocks_of(source);
        let best = *numbers.iter().max_by_key(|number| reach(number))?;
        let others = numbers.iter().filter(|number| **number != best);
        Some((best, others.filter_map(reach).max()))
    }
}
