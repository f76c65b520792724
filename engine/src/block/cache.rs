//! The decoded timestamp columns of all open blocks of a database, within one budget.
//!
//! Input: a block's number in this cache and a column. Output: its timestamps, shared. Invariant:
//! the columns that are kept, and what is spent on keeping them, are counted exactly and never
//! exceed the budget; a block that is closed leaves nothing behind.
//!
//! Columns go by the clock algorithm (F. Corbato, "A Paging Experiment with the Multics System",
//! 1968): one that was asked for since the hand passed last is spared once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::sync::Mutex;

/// What is spent on keeping a column beside its timestamps: a slot, a key and its place in the map
/// when that is as empty as it gets, the head of an `Arc`.
const SLOT_BYTES: usize = 192;

/// Parts with locks of their own.
const SHARDS: usize = 4;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct ColumnCache {
    shards: [Mutex<Shard>; SHARDS],
    /// Most bytes of one part.
    shard_bytes: usize,
    next_block: AtomicU64,
}

/// One block's door to the cache.
#[derive(Debug)]
pub(super) struct BlockColumns {
    cache: Arc<ColumnCache>,
    block: u64,
    /// Bytes that columns of this block take.
    bytes: Arc<AtomicUsize>,
}

/// A column: number of the block, number in the block.
type Key = (u64, u32);

#[derive(Debug, Default)]
struct Shard {
    /// A ring; the order is that of the hand.
    slots: Vec<Slot>,
    places: HashMap<Key, usize>,
    hand: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    timestamps: Arc<[i64]>,
    /// The account of the block.
    account: Arc<AtomicUsize>,
    /// Whether it was asked for since the hand passed.
    used: bool,
}

impl ColumnCache {
    /// A cache of at most `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: Default::default(),
            shard_bytes: bytes / SHARDS,
            next_block: AtomicU64::new(0),
        })
    }

    /// Bytes that it holds.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }

    /// A door for a block that was just opened.
    pub(super) fn open(self: &Arc<Self>) -> BlockColumns {
        BlockColumns {
            cache: Arc::clone(self),
            block: self.next_block.fetch_add(1, Ordering::Relaxed),
            bytes: Arc::default(),
        }
    }
}

impl BlockColumns {
    /// The timestamps of a column, if they are there.
    pub(super) fn get(&self, column: u32) -> Option<Arc<[i64]>> {
        self.shard(column).lock().get((self.block, column))
    }

    /// Keeps the timestamps of a column, if they fit.
    pub(super) fn insert(&self, column: u32, timestamps: &Arc<[i64]>) {
        let slot = Slot {
            key: (self.block, column),
            timestamps: Arc::clone(timestamps),
            account: Arc::clone(&self.bytes),
            used: false,
        };
        self.shard(column)
            .lock()
            .insert(slot, self.cache.shard_bytes);
    }

    /// Bytes that columns of this block take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Neighbouring columns, which are asked for together, lie in different parts.
    fn shard(&self, column: u32) -> &Mutex<Shard> {
        &self.cache.shards[column as usize % SHARDS]
    }
}

impl Drop for BlockColumns {
    fn drop(&mut self) {
        if self.bytes() == 0 {
            return;
        }
        for shard in &self.cache.shards {
            shard.lock().forget(self.block);
        }
    }
}

impl Shard {
    fn get(&mut self, key: Key) -> Option<Arc<[i64]>> {
        let slot = self.slots.get_mut(*self.places.get(&key)?)?;
        slot.used = true;
        Some(Arc::clone(&slot.timestamps))
    }

    fn insert(&mut self, slot: Slot, most: usize) {
        let more = slot.bytes();
        if more > most || self.places.contains_key(&slot.key) {
            return;
        }
        while self.bytes + more > most {
            self.evict();
        }
        self.bytes += more;
        slot.account.fetch_add(more, Ordering::Relaxed);
        self.places.insert(slot.key, self.slots.len());
        self.slots.push(slot);
    }

    /// Takes out the first column at the hand that nobody asked for since it passed.
    fn evict(&mut self) {
        while let Some(slot) = self.slots.get_mut(self.hand) {
            if !std::mem::take(&mut slot.used) {
                self.remove(self.hand);
                break;
            }
            self.hand += 1;
        }
        if self.hand >= self.slots.len() {
            self.hand = 0;
        }
    }

    /// Takes out the column at `place`; the last one takes its place.
    fn remove(&mut self, place: usize) {
        let slot = self.slots.swap_remove(place);
        let bytes = slot.bytes();
        self.bytes -= bytes;
        slot.account.fetch_sub(bytes, Ordering::Relaxed);
        self.places.remove(&slot.key);
        if let Some(moved) = self.slots.get(place) {
            self.places.insert(moved.key, place);
        }
        if self.slots.len() * 4 < self.slots.capacity() {
            self.slots.shrink_to(self.slots.len() * 2);
            self.places.shrink_to(self.slots.len() * 2);
        }
    }

    /// Takes out all columns of a block.
    fn forget(&mut self, block: u64) {
        for place in (0..self.slots.len()).rev() {
            if self.slots[place].key.0 == block {
                self.remove(place);
            }
        }
        self.hand = 0;
    }
}

impl Slot {
    fn bytes(&self) -> usize {
        size_of_val(&*self.timestamps) + SLOT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(length: usize) -> Arc<[i64]> {
        (0..length as i64).collect()
    }

    /// Room for `columns` columns of a hundred timestamps in each part.
    fn cache(columns: usize) -> Arc<ColumnCache> {
        ColumnCache::new(SHARDS * columns * (800 + SLOT_BYTES))
    }

    #[test]
    fn columns_are_found_again_by_block_and_number() {
        let cache = cache(8);
        let (one, two) = (cache.open(), cache.open());
        for number in 0..4 {
            one.insert(number, &column(number as usize));
            two.insert(number, &column(10 + number as usize));
        }
        for number in 0..4 {
            assert_eq!(one.get(number).unwrap().len(), number as usize);
            assert_eq!(two.get(number).unwrap().len(), 10 + number as usize);
        }
        assert_eq!(one.get(4), None);
        assert_eq!(cache.bytes(), one.bytes() + two.bytes());
    }

    #[test]
    fn the_budget_holds_whatever_comes() {
        let cache = cache(5);
        let budget = SHARDS * 5 * (800 + SLOT_BYTES);
        let blocks: Vec<_> = (0..3).map(|_| cache.open()).collect();
        for number in 0..1000u32 {
            let block = &blocks[number as usize % 3];
            block.insert(number, &column(number as usize * 37 % 160));
            block.get(number / 2);
            assert!(cache.bytes() <= budget);
            let accounts: usize = blocks.iter().map(BlockColumns::bytes).sum();
            assert_eq!(cache.bytes(), accounts);
        }
        assert!(cache.bytes() > budget / 2);
        blocks[0].insert(7, &column(100_000));
        assert_eq!(blocks[0].get(7), None);
    }

    #[test]
    fn what_is_asked_for_outlives_what_passes_through() {
        let cache = cache(4);
        let block = cache.open();
        let part = SHARDS as u32;
        block.insert(0, &column(100));
        for number in 1..50 {
            assert!(block.get(0).is_some(), "{number}");
            block.insert(number * part, &column(100));
        }
        assert_eq!(block.get(part), None);
    }

    #[test]
    fn a_block_that_is_closed_leaves_nothing() {
        let cache = cache(50);
        let (one, two) = (cache.open(), cache.open());
        for number in 0..60 {
            one.insert(number, &column(100));
            two.insert(number, &column(50));
        }
        let kept = two.bytes();
        drop(one);
        assert_eq!((cache.bytes(), two.bytes()), (kept, kept));
        for number in 0..60 {
            assert_eq!(two.get(number).unwrap().len(), 50);
        }
        drop(two);
        assert_eq!(cache.bytes(), 0);
    }
}
