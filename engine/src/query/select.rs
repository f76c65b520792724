//! Hands the series of a query out one by one, not yet decoded.
//!
//! Input: a plan, which names each series in each block and head. Output: series in label order,
//! each with its runs in order of sequence. Chunks are looked up and heads copied when a series'
//! turn comes, so what is never asked for is never read.

use std::collections::VecDeque;
use std::sync::Arc;

use treering_index::Labels;

use super::guard::{Guard, Held};
use super::hiding::Hiding;
use super::holes::Holes;
use super::plan::{PLACE_BYTES, Place, Reach, Source};
use super::run::{Run, SeriesRuns};
use super::series::Series;
use crate::block::{Cursor, Need, Suffices};
use crate::error::Result;
use crate::head::Deletes;
use crate::view::View;

/// The series of a query, in label order; an iterator of [`Series`].
#[derive(Debug)]
pub struct SeriesSet {
    pub(super) view: Arc<View>,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) reach: Reach,
    /// What the plan takes of the query's memory.
    pub(super) held: Held,
    pub(super) places: VecDeque<Place>,
    /// Indices of blocks of the view that may tell of the range, together where blocks that follow
    /// each other have the same series and nothing is hidden in them.
    pub(super) groups: Arc<[Vec<u32>]>,
    /// Where the last series was found in the directory of each block.
    pub(super) cursors: Vec<Cursor>,
    pub(super) hiding: Arc<Hiding>,
    /// Those that the live head had seen when it was planned.
    pub(super) deletes: Deletes,
    pub(super) aim: Aim,
}

/// What the runs of a query are for.
#[derive(Debug, Clone)]
pub(super) enum Aim {
    /// All samples.
    Samples,
    /// The sum of several chunks will do where this says so.
    Sums(Arc<dyn Suffices>),
    /// The last sample of each series.
    Newest,
}

/// How many threads beside the one that asks the work of so many samples is worth.
pub(crate) fn helpers_for(work: u64) -> usize {
    usize::try_from(work / WORK_OF_A_THREAD).map_or(usize::MAX, |all| all.saturating_sub(1))
}

/// Samples that are worth a thread: half a millisecond, several times what one takes to start.
const WORK_OF_A_THREAD: u64 = 1 << 18;

/// What a series costs by itself, in samples.
const WORK_OF_A_SERIES: u64 = 256;

impl SeriesSet {
    /// No series at all.
    pub(crate) fn empty(view: Arc<View>, guard: Guard) -> Self {
        Self {
            view,
            first: 0,
            last: 0,
            reach: Reach::Samples,
            held: guard.hold(),
            places: VecDeque::new(),
            groups: Arc::default(),
            cursors: Vec::new(),
            hiding: Arc::default(),
            deletes: Deletes::default(),
            aim: Aim::Samples,
        }
    }

    /// The same series; where `suffices` says so, runs may be sums of several chunks, which have
    /// statistics and no samples. They overlap no other run, and nothing is deleted from them.
    pub(crate) fn summed(mut self, suffices: Arc<dyn Suffices>) -> Self {
        self.aim = Aim::Sums(suffices);
        self
    }

    /// The same series; of each block no more than the run with its last sample, unless deletes
    /// took some of it.
    pub(crate) fn newest(mut self) -> Self {
        self.aim = Aim::Newest;
        self
    }

    /// The runs of each series, in so many parts, or fewer.
    pub(crate) fn split_runs(
        self,
        parts: usize,
    ) -> Vec<impl Iterator<Item = Result<SeriesRuns>> + Send> {
        let runs = |mut part: Self| std::iter::from_fn(move || part.next_runs());
        self.split_parts(parts).into_iter().map(runs).collect()
    }

    /// The next series; whether it has samples in the range shows when they are read.
    pub(crate) fn next_unread(&mut self) -> Option<Result<Series>> {
        let found = self.next_runs()?;
        let range = (self.first, self.last);
        Some(found.map(|runs| Series::new(runs, range, self.guard())))
    }

    /// The series in so many parts, or fewer, that follow each other.
    pub(crate) fn split_parts(self, parts: usize) -> Vec<Self> {
        match parts {
            0 | 1 => vec![self],
            _ => self.split(parts),
        }
    }

    /// What the series cost by themselves, as so many samples.
    pub(crate) fn work_of_series(&self) -> u64 {
        let blocks = |place: &Place| self.blocks_of(place.source).len().max(1) as u64;
        self.places.iter().map(blocks).sum::<u64>() * WORK_OF_A_SERIES
    }

    /// Indices of the blocks that a series is in; none for one in the heads.
    pub(super) fn blocks_of(&self, source: Source) -> &[u32] {
        match source {
            Source::Blocks(group, _) => self.groups.get(group as usize).map_or(&[], Vec::as_slice),
            Source::Heads(_) => &[],
        }
    }

    /// Roughly how many samples of blocks there are to go through, what the series cost included.
    pub(crate) fn work_of_samples(&self) -> u64 {
        let mut series = vec![0; self.view.blocks.len()];
        for place in &self.places {
            for number in self.blocks_of(place.source) {
                series[*number as usize] += 1;
            }
        }
        let blocks = self.view.blocks.iter().zip(series);
        let samples = blocks.map(|(live, series): (_, u64)| {
            let info = live.block.info();
            let (min, max) = (info.min_time, info.max_time);
            let span = max.abs_diff(min).max(1) as f64;
            let asked = self
                .last
                .min(max)
                .saturating_sub(self.first.max(min))
                .max(0);
            let each = info.samples as f64 / info.series.max(1) as f64;
            (each * series as f64 * (asked as f64 / span).min(1.0)) as u64
        });
        samples.fold(self.work_of_series(), u64::saturating_add)
    }

    /// In so many parts, or fewer, of about as many series each, in their order.
    fn split(self, parts: usize) -> Vec<Self> {
        let Self {
            view,
            first,
            last,
            reach,
            mut held,
            places: mut rest,
            groups,
            cursors,
            hiding,
            deletes,
            aim,
        } = self;
        let size = rest.len().div_ceil(parts.max(1)).max(1);
        let mut sets = Vec::new();
        while !rest.is_empty() {
            let is_new = |at: &usize| {
                rest.get(*at - 1)
                    .zip(rest.get(*at))
                    .is_none_or(|(a, b)| a.labels.is_none() || a.labels != b.labels)
            };
            let end = (size..rest.len()).find(is_new).unwrap_or(rest.len());
            let after = rest.split_off(end);
            sets.push(Self {
                view: Arc::clone(&view),
                first,
                last,
                reach,
                held: held.split_off(rest.len() as u64 * PLACE_BYTES),
                places: rest,
                groups: Arc::clone(&groups),
                cursors: cursors.iter().map(|_| Cursor::default()).collect(),
                hiding: Arc::clone(&hiding),
                deletes: deletes.clone(),
                aim: aim.clone(),
            });
            rest = after;
        }
        sets
    }

    /// The next series with its runs; those without any run in the range are passed over.
    pub(crate) fn next_runs(&mut self) -> Option<Result<SeriesRuns>> {
        loop {
            let place = self.places.pop_front()?;
            let (mut blocks, mut heads) = (Vec::new(), Vec::new());
            let labels = match place.labels.map_or_else(|| self.name(place.source), Ok) {
                Ok(labels) => labels,
                Err(error) => return Some(Err(error)),
            };
            self.add_places(place.source, &mut blocks, &mut heads);
            let is_same = |next: &mut Place| next.labels.as_ref() == Some(&labels);
            while let Some(next) = self.places.pop_front_if(is_same) {
                self.add_places(next.source, &mut blocks, &mut heads);
            }
            let found = self.runs_of(&labels, &blocks, &heads);
            let checked = found.and_then(|runs| self.held.guard().check().map(|()| runs));
            match checked {
                Err(error) => return Some(Err(error)),
                Ok(runs) if runs.is_empty() => {}
                Ok(runs) => return Some(Ok(SeriesRuns { labels, runs })),
            }
        }
    }

    /// The labels of a series that the plan has not named.
    fn name(&self, source: Source) -> Result<Labels> {
        match (source, self.blocks_of(source)) {
            (Source::Blocks(_, ordinal), [number, ..]) => {
                let index = self.view.blocks[*number as usize].block.index()?;
                index.labels()?.labels(ordinal)
            }
            // Only series of blocks are left without a name.
            _ => Ok(Labels::empty()),
        }
    }

    /// Adds where a series is: its blocks, each with its ordinal there, and its ids in the heads.
    fn add_places(&self, source: Source, blocks: &mut Vec<(u32, u32)>, heads: &mut Vec<u32>) {
        match source {
            Source::Blocks(_, ordinal) => {
                let numbers = self.blocks_of(source).iter();
                blocks.extend(numbers.map(|number| (*number, ordinal)));
            }
            Source::Heads(id) => heads.push(id),
        }
    }

    /// The runs of a series, from where it is.
    fn runs_of(
        &mut self,
        labels: &Labels,
        blocks: &[(u32, u32)],
        heads: &[u32],
    ) -> Result<Vec<Run>> {
        // The heads first: what they hold decides whether chunks of blocks may come as a sum.
        let (mut frozen, mut live, mut holes) = (Vec::new(), Vec::new(), None);
        for id in heads {
            holes = Some(self.add_head_runs(*id, labels, &mut frozen, &mut live));
        }
        let holes = holes.unwrap_or_else(|| self.late_holes(&self.deletes, labels));
        let mut runs = Vec::new();
        for &(number, ordinal) in blocks {
            let is_alone = || {
                let (min, max) = self.span(number);
                let heads = frozen.iter().chain(&live);
                holes.is_empty()
                    && heads
                        .into_iter()
                        .all(|run| run.max_time < min || run.min_time > max)
                    && blocks.iter().all(|&(other, _)| {
                        let span = self.span(other);
                        other == number || span.1 < min || span.0 > max
                    })
            };
            let aim = match &self.aim {
                Aim::Sums(_) if !is_alone() => Aim::Samples,
                Aim::Newest if !holes.is_empty() => Aim::Samples,
                aim => aim.clone(),
            };
            self.add_block_runs(number as usize, ordinal, &aim, &mut runs)?;
        }
        runs.append(&mut frozen);
        self.hiding.hide(&mut runs, 0, &holes);
        runs.append(&mut live);
        Ok(runs)
    }

    /// First and last time of which a block may tell.
    fn span(&self, number: u32) -> (i64, i64) {
        let block = &self.view.blocks[number as usize].block;
        (block.since(), block.max_time())
    }

    /// The first timestamp of the range that it is over: what is before has expired or is not asked
    /// for.
    pub(crate) fn first(&self) -> i64 {
        self.first
    }

    /// Of what they are.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }

    /// How many series there are at most.
    pub(crate) fn most(&self) -> usize {
        self.places.len()
    }

    /// The guard of the query, for what is computed over its series.
    pub(crate) fn guard(&self) -> Guard {
        self.held.guard().clone()
    }

    fn add_block_runs(
        &mut self,
        number: usize,
        ordinal: u32,
        aim: &Aim,
        runs: &mut Vec<Run>,
    ) -> Result<()> {
        let block = &self.view.blocks[number].block;
        let holes = self.hiding.in_block(number, ordinal);
        let need = match aim {
            Aim::Sums(suffices) if holes.is_empty() => Need::Sums(suffices.as_ref()),
            Aim::Newest if holes.is_empty() => Need::Newest,
            _ => Need::Chunks,
        };
        let range = (self.first, self.reach.last(block, self.last));
        let (start, mut chunks) = (runs.len(), Vec::new());
        let cursor = &mut self.cursors[number];
        block.chunks_needed(cursor, ordinal, range, need, &mut chunks)?;
        runs.extend(chunks.into_iter().map(|chunk| Run::of_chunk(block, chunk)));
        self.hiding.hide(runs, start, &holes);
        Ok(())
    }

    /// Adds the runs of a series in the frozen heads and in the live one; what deletes hide of all
    /// but the live one.
    fn add_head_runs(
        &self,
        id: u32,
        labels: &Labels,
        frozen: &mut Vec<Run>,
        live: &mut Vec<Run>,
    ) -> Holes {
        let (first, last) = (self.first, self.last);
        for (number, head) in self.view.frozen.iter().enumerate() {
            let start = frozen.len();
            head.runs(id, first, last, frozen);
            let holes = self.hiding.in_head(number, labels);
            self.hiding.hide(frozen, start, &holes);
        }
        let deletes = self.view.live.runs(id, first, last, live);
        self.late_holes(&deletes, labels)
    }

    /// What those of `deletes` hide that came after the view: the live head has lost it already,
    /// and what lies below it must not show instead. Samples below the live head are all older than
    /// any delete that it has seen.
    fn late_holes(&self, deletes: &Deletes, labels: &Labels) -> Holes {
        let late = deletes.iter().rev();
        let late = late.take_while(|one| one.sequence > self.view.deleted_through);
        let late = late.filter(|one| {
            let meets = one.first <= self.last && one.last >= self.first;
            meets && one.selector.matches(labels)
        });
        Holes::of(late.map(|one| (one.first, one.last)))
    }
}

impl Iterator for SeriesSet {
    type Item = Result<Series>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let found = match self.next_runs()? {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            let series = Series::new(found, (self.first, self.last), self.guard());
            match series.has_samples() {
                Ok(true) => return Some(Ok(series)),
                Ok(false) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
