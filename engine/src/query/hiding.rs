//! What tombstones hide from one query: in the blocks of its view, and in its frozen heads.
//!
//! Input: a view and a range. Output: the holes of a series in each of them, and which series show
//! at all. Tombstones that do not meet the range cost nothing; without any, every answer is that
//! nothing is hidden. Invariant: a series is left out only where all of its runs are hidden.

use std::sync::Arc;

use treering_index::{Labels, Postings, Selector};

use super::guard::Guard;
use super::holes::Holes;
use super::run::Run;
use crate::block::Cursor;
use crate::error::Result;
use crate::registry::Registry;
use crate::sync::RwLock;
use crate::tombstone::Tombstone;
use crate::view::{Hidden, LiveBlock, View};

/// Deadline and cancellation are looked at, and the registry is let go, once in so many series.
pub(crate) const CHECK_EVERY: usize = 1024;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Hiding {
    first: i64,
    last: i64,
    /// For each block of the view; empty when there are no tombstones.
    blocks: Vec<Vec<Hidden>>,
    /// For each head of the view; empty when there are no tombstones.
    heads: Vec<Vec<Arc<Tombstone>>>,
}

impl Hiding {
    /// What is hidden in `first..=last` of `view`.
    pub(crate) fn of(view: &View, (first, last): (i64, i64), guard: &Guard) -> Result<Self> {
        let mut hiding = Self {
            first,
            last,
            ..Self::default()
        };
        if view.tombstones.is_empty() {
            return Ok(hiding);
        }
        for live in &view.blocks {
            guard.check()?;
            let (from, to) = hiding.part(live);
            let hidden = if from <= to {
                live.hidden_in(from, to)?
            } else {
                Vec::new()
            };
            hiding.blocks.push(hidden);
        }
        let heads = view.heads();
        hiding.heads = heads.map(|head| view.hiding(head, first, last)).collect();
        Ok(hiding)
    }

    /// The part of the range that a block may tell of; empty when first is after last.
    fn part(&self, live: &LiveBlock) -> (i64, i64) {
        let (min, max) = (live.block.since(), live.block.max_time());
        (self.first.max(min), self.last.min(max))
    }

    /// What is hidden of the series `ordinal` of the block at `index` of the view.
    pub(crate) fn in_block(&self, index: usize, ordinal: u32) -> Holes {
        match self.blocks.get(index).map(Vec::as_slice) {
            None | Some([]) => Holes::default(),
            Some(hidden) => {
                let hidden = hidden.iter().filter(|one| one.series.contains(ordinal));
                Holes::of(hidden.map(|one| (one.first, one.last)))
            }
        }
    }

    /// Whether anything is hidden in the block at `index` of the view.
    pub(crate) fn is_in_block(&self, index: usize) -> bool {
        self.blocks
            .get(index)
            .is_some_and(|hidden| !hidden.is_empty())
    }

    /// What is hidden of the series with these labels in the head at `index` of the view.
    pub(crate) fn in_head(&self, index: usize, labels: &Labels) -> Holes {
        match self.heads.get(index).map(Vec::as_slice) {
            None | Some([]) => Holes::default(),
            Some(tombstones) => {
                let hiding = tombstones.iter().filter(|one| one.selector.matches(labels));
                Holes::of(hiding.map(|one| (one.first, one.last)))
            }
        }
    }

    /// Those of `ordinals` that no tombstone hides in all of the range that the block at `index`
    /// has.
    pub(crate) fn outside(&self, index: usize, live: &LiveBlock, ordinals: Postings) -> Postings {
        let Some(hidden) = self.blocks.get(index) else {
            return ordinals;
        };
        let (from, to) = self.part(live);
        let whole: Vec<&Postings> = hidden
            .iter()
            .filter(|one| one.first <= from && to <= one.last)
            .map(|one| &*one.series)
            .collect();
        if whole.is_empty() {
            return ordinals;
        }
        let shows = |ordinal: &u32| !whole.iter().any(|hidden| hidden.contains(*ordinal));
        ordinals.iter().filter(shows).collect()
    }

    /// The series of the block at `index` that `selector` selects and that show; `None` when they
    /// are all that it has.
    pub(crate) fn shown_in_block(
        &self,
        index: usize,
        live: &LiveBlock,
        selector: &Selector,
        guard: &Guard,
    ) -> Result<Option<Postings>> {
        let hidden = self.blocks.get(index).map_or(&[][..], Vec::as_slice);
        if selector.matchers().is_empty() && hidden.is_empty() {
            return Ok(None);
        }
        let ordinals = live.block.select(selector.matchers())?;
        if hidden.is_empty() {
            return Ok(Some(ordinals));
        }
        let (mut shown, mut chunks, mut cursor) = (Vec::new(), Vec::new(), Cursor::default());
        let ordinals = self.outside(index, live, ordinals);
        for (done, ordinal) in ordinals.iter().enumerate() {
            if done % CHECK_EVERY == 0 {
                guard.check()?;
            }
            let holes = self.in_block(index, ordinal);
            if !holes.is_empty() {
                chunks.clear();
                let block = &live.block;
                block.chunks_with(&mut cursor, ordinal, self.first, self.last, &mut chunks)?;
                let runs = chunks.drain(..).map(|chunk| Run::of_chunk(block, chunk));
                if !self.is_any_left(runs, &holes)? {
                    continue;
                }
            }
            shown.push(ordinal);
        }
        Ok(Some(Postings::from_ids(shown)))
    }

    /// The ids of the series in the heads that `selector` selects and that show, ascending.
    pub(crate) fn shown_in_heads(
        &self,
        view: &View,
        registry: &RwLock<Registry>,
        selector: &Selector,
        guard: &Guard,
    ) -> Result<Vec<u32>> {
        if view.heads_in(self.first, self.last).next().is_none() {
            return Ok(Vec::new());
        }
        let matchers = selector.matchers();
        let select = || registry.read().index().select(matchers).to_vec();
        let selected = (!matchers.is_empty()).then(select);
        let mut shown = Vec::new();
        for (index, head) in view.heads_in(self.first, self.last) {
            let mut ids = match &selected {
                None => head.active(self.first, self.last),
                Some(selected) => {
                    let mut ids = Vec::new();
                    head.active_among(selected, self.first, self.last, &mut ids);
                    ids
                }
            };
            if self.heads.get(index).is_none_or(Vec::is_empty) {
                shown.append(&mut ids);
                continue;
            }
            for some in ids.chunks(CHECK_EVERY) {
                guard.check()?;
                self.add_shown(view, index, registry, some, &mut shown)?;
            }
        }
        shown.sort_unstable();
        shown.dedup();
        Ok(shown)
    }

    /// Adds those of `ids` that show in the head at `index`.
    fn add_shown(
        &self,
        view: &View,
        index: usize,
        registry: &RwLock<Registry>,
        ids: &[u32],
        shown: &mut Vec<u32>,
    ) -> Result<()> {
        let holes: Vec<Holes> = {
            let registry = registry.read();
            let labels = ids.iter().map(|&id| registry.index().labels(id));
            labels
                .map(|labels| labels.map_or_else(Holes::default, |it| self.in_head(index, &it)))
                .collect()
        };
        let mut runs: Vec<Run> = Vec::new();
        for (&id, holes) in ids.iter().zip(&holes) {
            if !holes.is_empty() {
                runs.clear();
                if let Some(head) = view.heads().nth(index) {
                    head.runs(id, self.first, self.last, &mut runs);
                }
                if !self.is_any_left(runs.drain(..), holes)? {
                    continue;
                }
            }
            shown.push(id);
        }
        Ok(())
    }

    /// Whether `holes` leave anything of the range in any of the runs.
    fn is_any_left(&self, runs: impl Iterator<Item = Run>, holes: &Holes) -> Result<bool> {
        for run in runs.filter_map(|run| run.without(holes)) {
            if run.is_left(self.first, self.last)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Hides `holes` in the runs from `start` on, and takes out those that nothing of the range is
    /// left of.
    pub(crate) fn hide(&self, runs: &mut Vec<Run>, start: usize, holes: &Holes) {
        if holes.is_empty() {
            return;
        }
        let hidden = runs.split_off(start).into_iter();
        let hidden = hidden.filter_map(|run| run.without(holes));
        runs.extend(hidden.filter(|run| run.shows(self.first, self.last)));
    }
}
