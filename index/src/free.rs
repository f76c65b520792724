//! Free ids of a table, so that what was removed makes room for what comes.
//!
//! Input: ids given back. Output: the lowest of them, or else the next at the table's end.
//! Invariant: a free id lies below the table's end and names nothing live. Lowest first keeps
//! tables dense and postings short, and lets the ends of tables go.

use hashbrown::HashTable;
use roaring::RoaringBitmap;

use crate::postings::{Postings, bitmap_of_range};

/// The ids below a table's end that name nothing.
#[derive(Debug, Default)]
pub(crate) struct FreeIds {
    ids: RoaringBitmap,
    len: usize,
}

impl FreeIds {
    /// Number of free ids.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The id that the next entry gets; `end` is the table's. `None` when there are too many.
    pub(crate) fn next(&self, end: usize) -> Option<u32> {
        if self.len > 0 {
            return self.ids.min();
        }
        u32::try_from(end).ok().filter(|id| *id < u32::MAX)
    }

    /// Puts `value` under the id that [`FreeIds::next`] told.
    pub(crate) fn fill<T>(&mut self, id: u32, table: &mut Vec<T>, value: T) {
        match table.get_mut(id as usize) {
            Some(slot) => {
                *slot = value;
                self.len -= usize::from(self.ids.remove(id));
            }
            None => table.push(value),
        }
    }

    /// Notes that `id` names nothing any more.
    pub(crate) fn give_back(&mut self, id: u32) {
        self.len += usize::from(self.ids.insert(id));
    }

    /// Drops the entries at the end of `table` that are not live, and memory far above need.
    pub(crate) fn trim<T>(&mut self, table: &mut Vec<T>, is_live: impl Fn(&T) -> bool) {
        let end = table.iter().rposition(is_live).map_or(0, |last| last + 1);
        if end == table.len() {
            return;
        }
        table.truncate(end);
        shrink(table);
        self.ids.remove_range(end as u32..);
        self.len = self.ids.len() as usize;
    }

    /// The ids below `end` that are not free.
    pub(crate) fn others(&self, end: u32) -> Postings {
        if self.len == 0 {
            return Postings::all(end);
        }
        let mut ids = bitmap_of_range(0..end);
        ids -= &self.ids;
        Postings::from_bitmap(ids)
    }

    /// Bytes on the heap, at most; `end` is the table's.
    pub(crate) fn heap_bytes(&self, end: usize) -> usize {
        // A container of 65,536 ids is 8 KiB, or twice two bytes an id.
        (self.len * 44).min(end.div_ceil(1 << 16) * (8192 + 40))
    }
}

/// Gives memory back when less than a quarter is used.
pub(crate) fn shrink<T>(table: &mut Vec<T>) {
    if table.capacity() / 4 > table.len() + 16 {
        table.shrink_to(table.len() * 2);
    }
}

/// Gives memory back when less than a quarter is used.
pub(crate) fn shrink_table<T>(table: &mut HashTable<T>, hash: impl Fn(&T) -> u64) {
    if table.num_buckets() / 4 > table.len() + 16 {
        table.shrink_to(table.len() * 3 / 2, hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_id_comes_first_and_ends_are_dropped() {
        let mut free = FreeIds::default();
        let mut table = Vec::new();
        for value in 1..=5000u32 {
            let id = free.next(table.len()).unwrap();
            assert_eq!(id, value - 1);
            free.fill(id, &mut table, value);
        }
        for id in (0..5000u32).filter(|id| id % 10 != 0) {
            table[id as usize] = 0;
            free.give_back(id);
        }
        assert_eq!(free.len(), 4500);
        assert_eq!(free.next(table.len()), Some(1));
        free.trim(&mut table, |value| *value > 0);
        assert_eq!((table.len(), free.len()), (4991, 4491));
        let others = free.others(table.len() as u32);
        assert_eq!(
            others.to_vec(),
            (0..500).map(|n| n * 10).collect::<Vec<_>>()
        );
        free.fill(1, &mut table, 7);
        assert_eq!(free.next(table.len()), Some(2));
        for id in others.iter().chain([1]) {
            table[id as usize] = 0;
            free.give_back(id);
        }
        free.trim(&mut table, |value| *value > 0);
        assert_eq!((table.len(), free.len(), free.next(0)), (0, 0, Some(0)));
        assert!(table.capacity() < 2000);
        assert_eq!(free.heap_bytes(0), 0);
    }

    #[test]
    fn the_last_id_is_never_given() {
        assert_eq!(FreeIds::default().next(u32::MAX as usize), None);
        assert_eq!(
            FreeIds::default().next(u32::MAX as usize - 1),
            Some(u32::MAX - 1)
        );
    }
}
