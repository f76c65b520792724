//! The series of each label pair, by the pair's number, and what they take on the heap.
//!
//! Input: ids of series that came or went, with a pair of theirs. Output: postings by pair.
//! Invariant: what lists take is counted exactly; what bitmaps take is measured now and then, as
//! looking costs more than adding to them.

use crate::postings::{Form, Postings, SeriesId};
use crate::symbols::Numbers;

/// Changes of series after which bitmaps are measured, at least.
const MEASURE_EVERY: usize = 4096;

/// Postings by pair.
#[derive(Debug, Default)]
pub(crate) struct PairLists {
    lists: Vec<Postings>,
    /// Pairs whose postings are bitmaps.
    bitmaps: Vec<u32>,
    list_heap: usize,
    bitmap_heap: usize,
    /// Changes of series since the bitmaps were measured.
    changes: usize,
}

/// Heap bytes of postings; `None` for bitmaps.
fn list_heap(list: &Postings) -> Option<usize> {
    match &list.form {
        Form::Range(_) => Some(0),
        Form::List(ids) => Some(ids.capacity() * 4),
        Form::Bitmap(_) => None,
    }
}

impl PairLists {
    /// The series of `pair`.
    pub(crate) fn get(&self, pair: u32) -> Option<&Postings> {
        self.lists.get(pair as usize)
    }

    /// Whether no series has `pair`.
    pub(crate) fn is_unused(&self, pair: u32) -> bool {
        self.get(pair).is_none_or(Postings::is_empty)
    }

    /// Adds series `id` to those of `pair`; `pairs` is above the number of every pair.
    pub(crate) fn insert(&mut self, pair: u32, id: SeriesId, pairs: usize) {
        if self.lists.len() < pairs {
            self.lists.resize(pairs, Postings::EMPTY);
        }
        // The most an id can cost in a bitmap; corrected when the bitmaps are measured.
        self.change(pair, 2, |list| list.insert(id));
    }

    /// Removes series `id` from those of `pair`.
    pub(crate) fn remove(&mut self, pair: u32, id: SeriesId) {
        self.change(pair, 0, |list| list.remove(id));
    }

    #[inline]
    fn change(&mut self, pair: u32, cost: usize, change: impl FnOnce(&mut Postings) -> bool) {
        let Some(list) = self.lists.get_mut(pair as usize) else {
            return;
        };
        let before = list_heap(list);
        change(list);
        match (before, list_heap(list)) {
            (Some(before), Some(after)) => self.list_heap = self.list_heap + after - before,
            (Some(before), None) => {
                self.list_heap -= before;
                self.bitmap_heap += list.heap_bytes();
                self.bitmaps.push(pair);
            }
            (None, Some(after)) => {
                self.list_heap += after;
                self.bitmaps.retain(|other| *other != pair);
                if self.bitmaps.is_empty() {
                    self.bitmap_heap = 0;
                }
            }
            (None, None) => self.bitmap_heap += cost,
        }
    }

    /// Notes that a series came or went, `series` being left: the bitmaps are measured when that
    /// happened to a quarter of them.
    pub(crate) fn changed(&mut self, series: usize) {
        self.changes += 1;
        if self.changes > series / 4 + MEASURE_EVERY {
            self.measure();
        }
    }

    /// Measures the bitmaps, and gives back what they do not use.
    fn measure(&mut self) {
        self.changes = 0;
        self.bitmap_heap = 0;
        let Self {
            lists,
            bitmaps,
            list_heap: lists_heap,
            bitmap_heap,
            ..
        } = self;
        bitmaps.retain(|pair| {
            let Some(list) = lists.get_mut(*pair as usize) else {
                return false;
            };
            list.tighten();
            match list_heap(list) {
                Some(heap) => *lists_heap += heap,
                None => *bitmap_heap += list.heap_bytes(),
            }
            matches!(list.form, Form::Bitmap(_))
        });
    }

    /// Gives each pair the number that `numbers` has for it; pairs without one have no series.
    pub(crate) fn renumber(&mut self, numbers: &Numbers) {
        let lists = std::mem::take(&mut self.lists);
        let kept = (0..)
            .zip(lists)
            .filter(|(pair, _)| numbers.get(*pair).is_some());
        // A new allocation: collecting in place would keep the old one.
        let mut renumbered = Vec::with_capacity(numbers.len());
        renumbered.extend(kept.map(|(_, list)| list));
        self.lists = renumbered;
        let bitmaps = self.bitmaps.iter().filter_map(|pair| numbers.get(*pair));
        self.bitmaps = bitmaps.collect();
    }

    /// Drops the postings of pairs from number `pairs` on, which are empty.
    pub(crate) fn truncate(&mut self, pairs: usize) {
        if pairs < self.lists.len() {
            self.lists.truncate(pairs);
            crate::free::shrink(&mut self.lists);
        }
    }

    /// Bytes on the heap. O(1).
    pub(crate) fn heap_bytes(&self) -> usize {
        self.lists.capacity() * size_of::<Postings>()
            + self.bitmaps.capacity() * size_of::<u32>()
            + self.list_heap
            + self.bitmap_heap
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_series_that_went_took_is_counted_no_more() {
        let mut lists = PairLists::default();
        let count = 100_000u32;
        for id in 0..count {
            for pair in [0, 1 + id % 7, 8 + id % 1000] {
                lists.insert(pair, id, 1008);
            }
            lists.changed(id as usize + 1);
        }
        let full = lists.heap_bytes();
        assert!(full > count as usize * 3, "{full}");
        assert_eq!(lists.bitmaps.len(), 7);
        let mut left: BTreeSet<u32> = (0..count).collect();
        // Every hundredth stays, then none.
        for (every, most) in [(100, full / 4), (u32::MAX, 1008 * 48)] {
            let gone = |id: &u32| every == u32::MAX || !id.is_multiple_of(every);
            let gone: Vec<u32> = left.iter().copied().filter(gone).collect();
            for id in gone {
                for pair in [0, 1 + id % 7, 8 + id % 1000] {
                    lists.remove(pair, id);
                }
                left.remove(&id);
                lists.changed(left.len());
            }
            assert!(
                lists.heap_bytes() < most,
                "{} of {full}",
                lists.heap_bytes()
            );
        }
        assert!((0..1008).all(|pair| lists.is_unused(pair)));
        assert!(lists.bitmaps.is_empty());
        lists.truncate(0);
        assert!(lists.heap_bytes() < 1024);
    }
}
