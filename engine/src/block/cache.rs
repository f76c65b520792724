//! What open blocks keep of their files, for all blocks of a database within one budget.
//!
//! Input: a block's number in this cache and the number of a thing in the block. Output: the thing,
//! shared. Invariant: what is kept, and what is spent on keeping it, is counted exactly and never
//! exceeds the budget; a block that is closed leaves nothing behind. Indexes that somebody reads are
//! counted until the last one is through with them, kept or not.
//!
//! Things go by the clock algorithm (F. Corbato, "A Paging Experiment with the Multics System",
//! 1968): one that was asked for since the hand passed last is spared once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use treering_index::Postings;

use super::index::OpenIndex;
use crate::sync::Mutex;

/// What is spent on keeping a thing beside its own bytes: a slot, a key and its place in the map
/// when that is as empty as it gets, the head of an `Arc`.
const SLOT_BYTES: usize = 224;

/// Most parts of a ring with locks of their own, and the fewest bytes of one.
const SHARDS: usize = 4;
const SHARD_BYTES: usize = 1 << 20;

/// Numbers of large things that are not postings.
const INDEX: u64 = 0;
const PAGE_TABLE: u64 = 1;
const FIRST_POSTINGS: u64 = 2;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct BlockCache {
    columns: Ring<Arc<[i64]>>,
    pages: Ring<Arc<[u8]>>,
    large: Ring<Large>,
    next_block: AtomicU64,
    /// Whether the database was closed.
    let_go: AtomicBool,
}

/// One block's door to the cache.
#[derive(Debug)]
pub(super) struct BlockThings {
    cache: Arc<BlockCache>,
    block: u64,
    /// Bytes that things of this block take, without its index.
    bytes: Arc<AtomicUsize>,
    /// Bytes of its index in memory, as often as it is there.
    index_bytes: Arc<AtomicUsize>,
    /// Takes the bytes of the slot of the index, which `index_bytes` has counted.
    counted: Arc<AtomicUsize>,
}

/// Things of which a question asks for few, but which may be large.
#[derive(Debug, Clone)]
enum Large {
    Index(Arc<OpenIndex>),
    PageTable(Bytes),
    Postings(Arc<Postings>),
}

impl BlockCache {
    /// A cache of at most `bytes` bytes: a sixth for decoded timestamps, half for pages of files
    /// that are not mapped, a third for their indexes and for what tombstones select.
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            columns: Ring::new(bytes / 6, SHARDS),
            pages: Ring::new(bytes / 2, SHARDS),
            large: Ring::new(bytes / 3, 1),
            next_block: AtomicU64::new(0),
            let_go: AtomicBool::new(false),
        })
    }

    /// Notes that the directory is let go: no file in it is ours from now on.
    pub(crate) fn let_go(&self) {
        self.let_go.store(true, Ordering::Release);
    }

    /// Bytes that it holds.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.columns.bytes() + self.pages.bytes() + self.large.bytes()
    }

    /// A door for a block that was just opened.
    pub(super) fn open(self: &Arc<Self>) -> BlockThings {
        BlockThings {
            cache: Arc::clone(self),
            block: self.next_block.fetch_add(1, Ordering::Relaxed),
            bytes: Arc::default(),
            index_bytes: Arc::default(),
            counted: Arc::default(),
        }
    }
}

impl BlockThings {
    /// Whether the directory was let go.
    pub(super) fn is_let_go(&self) -> bool {
        self.cache.let_go.load(Ordering::Acquire)
    }

    /// The timestamps of a column, if they are there.
    pub(super) fn column(&self, column: u32) -> Option<Arc<[i64]>> {
        self.cache.columns.get((self.block, column.into()))
    }

    /// Keeps the timestamps of a column, if they fit.
    pub(super) fn keep_column(&self, column: u32, timestamps: &Arc<[i64]>) {
        let bytes = size_of_val(&**timestamps);
        let slot = self.slot(column.into(), Arc::clone(timestamps), bytes);
        self.cache.columns.insert(slot);
    }

    /// A page of the file, if it is there.
    pub(super) fn page(&self, page: u64) -> Option<Arc<[u8]>> {
        self.cache.pages.get((self.block, page))
    }

    /// Keeps a page of the file, if it fits.
    pub(super) fn keep_page(&self, page: u64, bytes: &Arc<[u8]>) {
        let slot = self.slot(page, Arc::clone(bytes), bytes.len());
        self.cache.pages.insert(slot);
    }

    /// The page table of the file, if it is there.
    pub(super) fn page_table(&self) -> Option<Bytes> {
        match self.cache.large.get((self.block, PAGE_TABLE))? {
            Large::PageTable(table) => Some(table),
            _ => None,
        }
    }

    /// Keeps the page table of the file, if it fits.
    pub(super) fn keep_page_table(&self, table: &Bytes) {
        let slot = self.slot(PAGE_TABLE, Large::PageTable(table.clone()), table.len());
        self.cache.large.insert(slot);
    }

    /// The index, if it is there.
    pub(super) fn index(&self) -> Option<Arc<OpenIndex>> {
        match self.cache.large.get((self.block, INDEX))? {
            Large::Index(index) => Some(index),
            _ => None,
        }
    }

    /// Keeps the index, if it fits.
    pub(super) fn keep_index(&self, index: &Arc<OpenIndex>) {
        let mut slot = self.slot(INDEX, Large::Index(Arc::clone(index)), index.bytes());
        slot.account = Arc::clone(&self.counted);
        self.cache.large.insert(slot);
    }

    /// The account that an index of this block is to be counted in for as long as it lives.
    pub(super) fn index_account(&self) -> &Arc<AtomicUsize> {
        &self.index_bytes
    }

    /// The series that the tombstone with this sequence selects, if they are there.
    pub(super) fn postings(&self, sequence: u64) -> Option<Arc<Postings>> {
        let number = sequence.checked_add(FIRST_POSTINGS)?;
        match self.cache.large.get((self.block, number))? {
            Large::Postings(postings) => Some(postings),
            _ => None,
        }
    }

    /// Keeps the series that the tombstone with this sequence selects, if they fit.
    pub(super) fn keep_postings(&self, sequence: u64, postings: &Arc<Postings>) {
        let Some(number) = sequence.checked_add(FIRST_POSTINGS) else {
            return;
        };
        let bytes = postings.heap_bytes() + size_of::<Postings>();
        let slot = self.slot(number, Large::Postings(Arc::clone(postings)), bytes);
        self.cache.large.insert(slot);
    }

    /// Bytes that things of this block take, and its index, kept or read by somebody.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed) + self.index_bytes.load(Ordering::Relaxed)
    }

    fn slot<T>(&self, number: u64, thing: T, bytes: usize) -> Slot<T> {
        Slot {
            key: (self.block, number),
            thing,
            bytes: bytes + SLOT_BYTES,
            account: Arc::clone(&self.bytes),
            used: false,
        }
    }
}

impl Drop for BlockThings {
    fn drop(&mut self) {
        if self.bytes.load(Ordering::Relaxed) + self.counted.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.cache.columns.forget(self.block);
        self.cache.pages.forget(self.block);
        self.cache.large.forget(self.block);
    }
}

/// Things of one kind, in parts with locks of their own.
#[derive(Debug)]
struct Ring<T> {
    shards: Box<[Mutex<Shard<T>>]>,
    /// Most bytes of one part.
    shard_bytes: usize,
}

/// A thing: number of the block, number in the block.
type Key = (u64, u64);

#[derive(Debug)]
struct Shard<T> {
    /// A ring; the order is that of the hand.
    slots: Vec<Slot<T>>,
    places: HashMap<Key, usize>,
    hand: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Slot<T> {
    key: Key,
    thing: T,
    /// What it takes, the slot included.
    bytes: usize,
    /// The account of the block.
    account: Arc<AtomicUsize>,
    /// Whether it was asked for since the hand passed.
    used: bool,
}

impl<T: Clone> Ring<T> {
    /// A ring of at most `bytes` bytes in at most `most` parts: fewer where parts would be small.
    fn new(bytes: usize, most: usize) -> Self {
        let count = (bytes / SHARD_BYTES).clamp(1, most);
        let shards = (0..count).map(|_| Mutex::new(Shard::default())).collect();
        Self {
            shards,
            shard_bytes: bytes / count,
        }
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }

    /// Neighbours, which are asked for together, lie in different parts.
    fn shard(&self, key: Key) -> Option<&Mutex<Shard<T>>> {
        self.shards.get(key.1 as usize % self.shards.len())
    }

    fn get(&self, key: Key) -> Option<T> {
        self.shard(key)?.lock().get(key)
    }

    fn insert(&self, slot: Slot<T>) {
        if let Some(shard) = self.shard(slot.key) {
            shard.lock().insert(slot, self.shard_bytes);
        }
    }

    fn forget(&self, block: u64) {
        for shard in &self.shards {
            shard.lock().forget(block);
        }
    }
}

impl<T> Default for Shard<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            places: HashMap::new(),
            hand: 0,
            bytes: 0,
        }
    }
}

impl<T: Clone> Shard<T> {
    fn get(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(*self.places.get(&key)?)?;
        slot.used = true;
        Some(slot.thing.clone())
    }

    fn insert(&mut self, slot: Slot<T>, most: usize) {
        let more = slot.bytes;
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

    /// Takes out the first thing at the hand that nobody asked for since it passed.
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

    /// Takes out the thing at `place`; the last one takes its place.
    fn remove(&mut self, place: usize) {
        let slot = self.slots.swap_remove(place);
        self.bytes -= slot.bytes;
        slot.account.fetch_sub(slot.bytes, Ordering::Relaxed);
        self.places.remove(&slot.key);
        if let Some(moved) = self.slots.get(place) {
            self.places.insert(moved.key, place);
        }
        if self.slots.len() * 4 < self.slots.capacity() {
            self.slots.shrink_to(self.slots.len() * 2);
            self.places.shrink_to(self.slots.len() * 2);
        }
    }

    /// Takes out all things of a block.
    fn forget(&mut self, block: u64) {
        for place in (0..self.slots.len()).rev() {
            if self.slots[place].key.0 == block {
                self.remove(place);
            }
        }
        self.hand = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(length: usize) -> Arc<[i64]> {
        (0..length as i64).collect()
    }

    /// Room for `columns` columns of a hundred timestamps.
    fn cache(columns: usize) -> Arc<BlockCache> {
        BlockCache::new(6 * columns * (800 + SLOT_BYTES))
    }

    #[test]
    fn things_are_found_again_by_block_kind_and_number() {
        let cache = cache(16);
        let (one, two) = (cache.open(), cache.open());
        for number in 0..4u8 {
            one.keep_column(number.into(), &column(number.into()));
            two.keep_column(number.into(), &column(10 + usize::from(number)));
            one.keep_page(number.into(), &[number; 7].into());
            one.keep_postings(
                number.into(),
                &Arc::new(Postings::from_ids(vec![number.into()])),
            );
        }
        one.keep_page_table(&Bytes::from_static(b"table"));
        for number in 0..4u8 {
            let length = usize::from(number);
            assert_eq!(one.column(number.into()).unwrap().len(), length);
            assert_eq!(two.column(number.into()).unwrap().len(), 10 + length);
            assert_eq!(*one.page(number.into()).unwrap(), [number; 7]);
            assert_eq!(
                one.postings(number.into()).unwrap().to_vec(),
                [u32::from(number)]
            );
            assert!(two.postings(number.into()).is_none());
        }
        assert_eq!(one.page_table().unwrap(), "table");
        assert!(one.column(4).is_none() && two.page(0).is_none() && two.page_table().is_none());
        assert!(one.postings(u64::MAX).is_none() && one.index().is_none());
        assert_eq!(cache.bytes(), one.bytes() + two.bytes());
    }

    #[test]
    fn the_budget_holds_whatever_comes() {
        let cache = cache(4000);
        let budget = 6 * 4000 * (800 + SLOT_BYTES);
        let blocks: Vec<_> = (0..3).map(|_| cache.open()).collect();
        for number in 0..12_000u32 {
            let block = &blocks[number as usize % 3];
            let length = number as usize * 37 % 1600;
            block.keep_column(number, &column(length));
            block.keep_page(number.into(), &vec![0; 3 * length].into());
            block.keep_postings(
                number.into(),
                &Arc::new((0..number * 2).step_by(2).collect()),
            );
            block.column(number / 2);
            if number % 50 == 0 {
                assert!(cache.columns.bytes() <= budget / 6);
                assert!(cache.pages.bytes() <= budget / 2);
                assert!(cache.large.bytes() <= budget / 3);
                let accounts: usize = blocks.iter().map(BlockThings::bytes).sum();
                assert_eq!(cache.bytes(), accounts);
            }
        }
        assert!(cache.bytes() > budget / 2);
        blocks[0].keep_column(7, &column(1_000_000));
        assert_eq!(blocks[0].column(7), None);
    }

    #[test]
    fn what_is_asked_for_outlives_what_passes_through() {
        let cache = cache(4);
        let block = cache.open();
        block.keep_column(0, &column(100));
        for number in 1..50 {
            assert!(block.column(0).is_some(), "{number}");
            block.keep_column(number, &column(100));
        }
        assert_eq!(block.column(1), None);
    }

    #[test]
    fn a_block_that_is_closed_leaves_nothing() {
        let cache = cache(200);
        let (one, two) = (cache.open(), cache.open());
        for number in 0..60 {
            one.keep_column(number, &column(100));
            two.keep_column(number, &column(50));
            one.keep_page(number.into(), &[0; 99].into());
            one.keep_postings(number.into(), &Arc::new(Postings::EMPTY));
        }
        let kept = two.bytes();
        drop(one);
        assert_eq!((cache.bytes(), two.bytes()), (kept, kept));
        for number in 0..60 {
            assert_eq!(two.column(number).unwrap().len(), 50);
        }
        drop(two);
        assert_eq!(cache.bytes(), 0);
    }
}
