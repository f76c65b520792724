//! Deletes on their way through a head: noted in all shards at one moment, applied in slices.
//!
//! Input: the ids of a delete and its range. Output: series without these samples. A delete that is
//! noted counts for every series at once: whoever takes a shard to append to a series, or to copy
//! it, first applies to that series what it has not seen yet. So a shard is held for a few series
//! at a time however many the delete selects, appends stay in order with it, and a reader sees a
//! series before the delete or after it. Invariant: what is noted in a shard and not finished has
//! been applied to the series that have seen it, and to no others.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::series::HeadSeries;
use super::{Head, PAGE_SERIES, SHARDS, Shard};
use crate::query::holes::Holes;
use crate::wal::payload::IdRun;

/// Series for which a shard is held at a time; all of them lie in one page.
const SLICE_SERIES: usize = 16;
/// A batch of more series is prepared before it takes its shards.
const LARGE_BATCH: usize = 256;

/// A delete that was noted in a shard and is not finished.
#[derive(Debug, Clone)]
pub(super) struct Erasure {
    /// Of the deletes that the head has noted, from 1 on.
    number: u32,
    /// Ascending.
    ids: Arc<[u32]>,
    holes: Holes,
}

impl Erasure {
    pub(super) fn new(number: u32, ids: Arc<[u32]>, first: i64, last: i64) -> Self {
        let holes = Holes::of([(first, last)]);
        Self { number, ids, holes }
    }
}

/// A delete that is applied to a head slice by slice; see [`Head::note`].
#[derive(Debug)]
#[must_use = "a delete that is not finished costs every append and every question"]
pub(crate) struct Erasing {
    erasure: Erasure,
    /// Ids before it are done.
    at: usize,
}

impl Erasing {
    pub(super) fn new(erasure: Erasure) -> Self {
        Self { erasure, at: 0 }
    }

    /// Applies what is left, in slices.
    pub(crate) fn finish(mut self, head: &Head) {
        while self.advance(head) {}
        for shard in &head.shards {
            let unfinished = |one: &Erasure| one.number != self.erasure.number;
            shard.lock().erasures.retain(unfinished);
        }
        head.erasing.fetch_sub(1, Ordering::Release);
    }

    /// Applies one slice; whether there was any.
    pub(super) fn advance(&mut self, head: &Head) -> bool {
        let rest = self.erasure.ids.get(self.at..).unwrap_or_default();
        let Some(&id) = rest.first() else {
            return false;
        };
        let page = id as usize / PAGE_SERIES;
        let slice = rest.iter().take(SLICE_SERIES);
        let slice = slice.take_while(|&&id| id as usize / PAGE_SERIES == page);
        self.at += slice.clone().count();
        head.erase_in(page, slice.copied());
        true
    }
}

impl Head {
    /// Applies the deletes that are on their way to the series of a large batch, in slices: while
    /// the batch holds its shards, few are left to be done. How many were noted before it looked; 0
    /// where none is on its way.
    pub(crate) fn prepare(&self, runs: &[IdRun]) -> usize {
        if self.erasing.load(Ordering::Acquire) == 0 || !is_large(runs) {
            return 0;
        }
        let noted = self.deletes().len();
        let ids: Vec<u32> = runs
            .iter()
            .flat_map(|run| run.first..run.first + run.ids)
            .collect();
        for page in ids.chunk_by(|a, b| *a as usize / PAGE_SERIES == *b as usize / PAGE_SERIES) {
            for slice in page.chunks(SLICE_SERIES) {
                if let Some(&first) = slice.first() {
                    self.erase_in(first as usize / PAGE_SERIES, slice.iter().copied());
                }
            }
        }
        noted
    }

    /// Whether [`Head::prepare`], which returned `noted`, is all that a batch can do beforehand.
    pub(crate) fn is_prepared(&self, runs: &[IdRun], noted: usize) -> bool {
        self.erasing.load(Ordering::Acquire) == 0
            || !is_large(runs)
            || self.deletes().len() == noted
    }

    /// Applies to the series `ids`, all of this page, the deletes that they have not seen yet.
    fn erase_in(&self, page: usize, ids: impl Iterator<Item = u32>) {
        let mut shard = self.shards[page % SHARDS].lock();
        let mut bytes = 0;
        for id in ids {
            bytes += shard.erase(id);
        }
        self.grow(bytes);
    }
}

impl Shard {
    /// Applies to series `id` the deletes that it has not seen yet; by how many bytes the heap grew.
    pub(super) fn erase(&mut self, id: u32) -> isize {
        if self.erasures.is_empty() {
            return 0;
        }
        let page = self.pages.get_mut(id as usize / PAGE_SERIES / SHARDS);
        let Some(Some(page)) = page else { return 0 };
        let series = &mut page[id as usize % PAGE_SERIES];
        erase(&self.erasures, series, id)
    }

    /// Adds those of `some`, which are series of the page at `index`, whose samples may lie in
    /// `first..=last`. What a delete under way takes whole is left out; it applies none: a question
    /// about few series would do the work for all.
    pub(super) fn active(
        &self,
        index: usize,
        some: impl Iterator<Item = u32>,
        (first, last): (i64, i64),
        ids: &mut Vec<u32>,
    ) {
        let Some(Some(page)) = self.pages.get(index) else {
            return;
        };
        for id in some {
            let series = &page[id as usize % PAGE_SERIES];
            let erased = |from: i64, to: i64| {
                self.erasures.iter().any(|erasure| {
                    erasure.number > series.seen()
                        && erasure.holes.cover(from, to)
                        && erasure.ids.binary_search(&id).is_ok()
                })
            };
            if !series.is_empty() && series.overlaps(first, last, erased) {
                ids.push(id);
            }
        }
    }
}

fn is_large(runs: &[IdRun]) -> bool {
    let series: usize = runs.iter().map(|run| run.ids as usize).sum();
    series > LARGE_BATCH
}

/// Applies to series `id` those of `erasures` that it has not seen yet; by how many bytes the heap
/// grew.
pub(super) fn erase(erasures: &[Erasure], series: &mut HeadSeries, id: u32) -> isize {
    let mut bytes = 0;
    for erasure in erasures {
        if erasure.number > series.seen() {
            if !series.is_empty() && erasure.ids.binary_search(&id).is_ok() {
                bytes += series.delete(&erasure.holes);
            }
            series.see(erasure.number);
        }
    }
    bytes
}
