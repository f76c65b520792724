//! How series leave the live index.
//!
//! Input: ids. Output: an index as if those series had never come, but that their ids are free.
//! Invariant: each removal gives back what the series alone held, and at most a bounded share of
//! what is left is moved to close the gaps, so that memory follows the live series.

use crate::arena::{Arena, NOWHERE};
use crate::fast;
use crate::free::shrink_table;
use crate::memory::{MemIndex, Slot, pack};
use crate::postings::SeriesId;

impl MemIndex {
    /// Removes series `id`; says whether there was one. Its labels are found no more, names and
    /// values that no other series has are listed no more, and its id names no series until a
    /// later one gets it: [`insert`](Self::insert) gives the lowest free id.
    ///
    /// Postings that were made before still hold the id: what they select is to be held against
    /// the series that are there by then. Takes a few microseconds; once in thousands of removals
    /// ten milliseconds, when pages are moved together; and when most of what an index once held
    /// is gone, about a tenth of a microsecond for each series left, to make its tables smaller.
    pub fn remove(&mut self, id: SeriesId) -> bool {
        let removed = self.take_out(id);
        if removed {
            self.settle(false);
        }
        removed
    }

    /// Removes the series of `ids` and returns how many there were; ids that name no series are
    /// left out. Cheapest with ascending ids: then those of a posting lie together. Memory is
    /// moved together once, at the end.
    pub fn remove_many(&mut self, ids: &[SeriesId]) -> usize {
        let removed = ids.iter().filter(|id| self.take_out(**id)).count();
        if removed > 0 {
            self.settle(true);
        }
        removed
    }

    /// Removes series `id` and leaves gaps.
    fn take_out(&mut self, id: SeriesId) -> bool {
        let Some(place) = self.place(id) else {
            return false;
        };
        let mut canonical = Vec::with_capacity(256);
        self.write_canonical(id, &mut canonical);
        let hash = self.symbols.hash(&canonical) as u32;
        let slot = Slot { hash, id };
        if let Ok(found) = self.table.find_entry(slot.spread(), |other| other.id == id) {
            found.remove();
        }
        let mut pairs = std::mem::take(&mut self.scratch);
        pairs.clear();
        pairs.extend(self.pairs(id));
        let len = record_len(self.packed.from(place));
        self.packed.remove(place, len);
        if let Some(place) = self.places.get_mut(id as usize) {
            *place = NOWHERE;
        }
        self.free.give_back(id);
        for &pair in &pairs {
            self.symbols.series_went(pair);
            self.lists.remove(pair, id);
        }
        self.release_unused(&pairs);
        self.lists.changed(self.len());
        self.scratch = pairs;
        true
    }

    /// Forgets those of `pairs` that no series has.
    pub(crate) fn release_unused(&mut self, pairs: &[u32]) {
        for &pair in pairs {
            if self.lists.is_unused(pair) {
                self.symbols.release(pair);
            }
        }
    }

    /// Closes gaps, in one step or in all that are due.
    fn settle(&mut self, in_full: bool) {
        while self.packed.is_wasteful(self.places.len()) {
            let moved = self.packed.compact(self.places.iter_mut(), record_len);
            if !moved || !in_full {
                break;
            }
        }
        self.free.trim(&mut self.places, |place| *place != NOWHERE);
        shrink_table(&mut self.table, Slot::spread);
        self.symbols.settle(in_full);
        self.lists.truncate(self.symbols.pair_bound());
        self.renumber_pairs();
    }

    /// Numbers the pairs anew when few of many are left. Tables of pairs are the larger part of
    /// the memory of series with values of their own; tables by series id stay as long as they are.
    fn renumber_pairs(&mut self) {
        let Some(numbers) = self.symbols.renumbering() else {
            return;
        };
        let mut packed = Arena::default();
        let mut places = vec![NOWHERE; self.places.len()];
        let mut record = Vec::new();
        for (id, place) in (0..).zip(&mut places).filter(|(id, _)| self.contains(*id)) {
            let pairs = self.pairs(id).filter_map(|pair| numbers.get(pair));
            pack(pairs, &mut record);
            let Some(added) = packed.add(&record) else {
                return;
            };
            *place = added;
        }
        self.packed = packed;
        self.places = places;
        self.symbols.renumber(&numbers);
        self.lists.renumber(&numbers);
    }
}

/// Bytes of the packed series that `bytes` begin with: the count of pairs, then their numbers.
fn record_len(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let count = fast::varint(&mut rest).unwrap_or(0);
    for _ in 0..count {
        let _ = fast::varint(&mut rest);
    }
    bytes.len() - rest.len()
}
