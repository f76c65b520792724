//! The head: the samples since the last flush, in memory, by series.
//!
//! Input: resolved batches, in order of sequence. Output: runs per series. Series are spread over
//! shards by id, sixty-four neighbours to a page, so that a scrape touches memory in order and no
//! map is searched. Appends take the locks of their shards before they let go of the WAL, so every
//! shard sees batches in order of sequence; readers hold one shard's lock while they copy. Deletes
//! take all shards for the moment in which they are noted (see `erasing.rs`). A head counts its
//! bytes in an account of the database for as long as anybody holds it.

mod erasing;
mod series;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use treering_codec::Extras;

use crate::query::run::Run;
use crate::sync::{Mutex, MutexGuard};
use crate::tombstone::Tombstone;
use crate::wal::payload::IdRun;
pub(crate) use erasing::Erasing;
use erasing::{Erasure, erase};
use series::HeadSeries;

/// Shards of a head; one bit each in a mask.
const SHARDS: usize = 16;
/// Series whose spans are looked at before a flush.
const SPANS_ASKED: usize = 4096;
/// Series in a page: neighbours in id.
const PAGE_SERIES: usize = 64;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Head {
    shards: [Mutex<Shard>; SHARDS],
    bytes: AtomicU64,
    /// Bytes of all heads that anybody holds.
    account: Arc<AtomicU64>,
    samples: AtomicU64,
    min_time: AtomicI64,
    max_time: AtomicI64,
    /// Whether any sample ever had something beside its float.
    extended: AtomicBool,
    /// Sequence of the last change before this head.
    after_sequence: u64,
    /// First and last sequence that it holds, set when it takes no more samples.
    frozen: OnceLock<(u64, u64)>,
    /// The deletes that were applied to it, in order of sequence: a reader whose view is older than
    /// one of them hides the same in what is below this head.
    deletes: Mutex<Deletes>,
    /// How many of them are not yet applied to every series.
    erasing: AtomicU32,
}

/// Deletes that were applied to a head.
pub(crate) type Deletes = Arc<Vec<Arc<Tombstone>>>;

#[derive(Debug, Default)]
struct Shard {
    /// Page of series `id` is `id / PAGE_SERIES / SHARDS`; missing until one of them has samples.
    pages: Vec<Option<Box<Page>>>,
    /// Deletes that are not yet applied to every series, in order.
    erasures: Vec<Erasure>,
}

type Page = [HeadSeries; PAGE_SERIES];

/// The shards that a change touches, locked, lowest first.
#[derive(Debug)]
pub(crate) struct LockedShards<'a> {
    guards: [Option<MutexGuard<'a, Shard>>; SHARDS],
}

impl Head {
    /// An empty head for the changes after `after_sequence`, whose bytes count in `account`.
    pub(crate) fn new(after_sequence: u64, account: Arc<AtomicU64>) -> Self {
        Self {
            shards: Default::default(),
            bytes: AtomicU64::new(0),
            account,
            samples: AtomicU64::new(0),
            min_time: AtomicI64::new(i64::MAX),
            max_time: AtomicI64::new(i64::MIN),
            extended: AtomicBool::new(false),
            after_sequence,
            frozen: OnceLock::new(),
            deletes: Mutex::default(),
            erasing: AtomicU32::new(0),
        }
    }

    /// Notes that `through_sequence` is its last change.
    pub(crate) fn freeze(&self, through_sequence: u64) {
        let min_sequence = self.after_sequence + 1;
        let max_sequence = through_sequence.max(min_sequence);
        let _ = self.frozen.set((min_sequence, max_sequence));
    }

    /// First and last sequence that it holds, once it takes no more samples.
    pub(crate) fn frozen(&self) -> Option<(u64, u64)> {
        self.frozen.get().copied()
    }

    /// Locks the shards that `runs` touch. Call it while the WAL is still locked.
    pub(crate) fn lock(&self, runs: &[IdRun]) -> LockedShards<'_> {
        let mut mask = 0u32;
        for run in runs {
            let pages = (run.first as usize / PAGE_SERIES)
                ..=((run.first as usize + run.ids as usize).saturating_sub(1) / PAGE_SERIES);
            if pages.clone().count() >= SHARDS {
                mask = u32::MAX;
            }
            for page in pages.take(SHARDS) {
                mask |= 1 << (page % SHARDS);
            }
        }
        let mut index = 0;
        let guards = [(); SHARDS].map(|()| {
            let wanted = mask >> index & 1 == 1;
            index += 1;
            wanted.then(|| self.shards[index - 1].lock())
        });
        LockedShards { guards }
    }

    /// Locks all shards. Call it while the WAL is still locked.
    pub(crate) fn lock_all(&self) -> LockedShards<'_> {
        LockedShards {
            guards: self.shards.each_ref().map(|shard| Some(shard.lock())),
        }
    }

    /// Waits until every batch that took its shards before has been applied.
    pub(crate) fn settle(&self) {
        for shard in &self.shards {
            drop(shard.lock());
        }
    }

    /// Applies the samples of a batch: the one way in, for appends and for replay. What they have
    /// beside their floats is in `extras`, by their place in the batch.
    pub(crate) fn apply(
        &self,
        mut shards: LockedShards<'_>,
        runs: &[IdRun],
        (timestamps, values): (&[i64], &[f64]),
        extras: &Extras,
    ) {
        let is_extended = !extras.is_empty();
        if is_extended {
            self.extended.store(true, Ordering::Release);
        }
        let mut bytes = 0isize;
        let mut at = 0;
        for run in runs {
            let len = run.len as usize;
            for id in run.first..run.first + run.ids {
                let page = id as usize / PAGE_SERIES;
                let shard = shards.guards[page % SHARDS].as_mut();
                // `lock` took the shard of every run; going on without it would give the samples
                // that follow to the wrong series.
                let shard = shard.expect("the shards of a batch are locked before it is applied");
                let (series, grown) = shard.series_mut(id);
                let (times, floats) = (&timestamps[at..at + len], &values[at..at + len]);
                bytes += grown;
                bytes += match is_extended {
                    false => series.append(times, floats),
                    true => series.append_extended(times, floats, (extras, at as u32)),
                };
                at += len;
            }
        }
        self.grow(bytes);
        self.samples
            .fetch_add(values.len() as u64, Ordering::Relaxed);
        // Written while the shards are locked, so a reader that sees a sample sees its range.
        if let (Some(&min), Some(&max)) = (timestamps.iter().min(), timestamps.iter().max()) {
            self.min_time.fetch_min(min, Ordering::AcqRel);
            self.max_time.fetch_max(max, Ordering::AcqRel);
        }
    }

    /// Takes the samples from `tombstone.first` to `tombstone.last` of the series `ids` (ascending)
    /// out: the one way, for deletes and for replay. From now on whoever looks finds it done; finish
    /// it when all shards are free again. All of them must be locked, so that whoever copies a series
    /// sees it and the list of deletes, or neither. `samples` and `time_range` stay as they are.
    pub(crate) fn note(
        &self,
        shards: &mut LockedShards<'_>,
        tombstone: &Arc<Tombstone>,
        ids: Arc<[u32]>,
    ) -> Erasing {
        let mut deletes = self.deletes.lock();
        Arc::make_mut(&mut deletes).push(Arc::clone(tombstone));
        let number = u32::try_from(deletes.len()).unwrap_or(u32::MAX);
        let erasure = Erasure::new(number, ids, tombstone.first, tombstone.last);
        for shard in shards.guards.iter_mut().flatten() {
            shard.erasures.push(erasure.clone());
        }
        self.erasing.fetch_add(1, Ordering::Release);
        Erasing::new(erasure)
    }

    /// The deletes that were applied to it so far.
    pub(crate) fn deletes(&self) -> Deletes {
        Arc::clone(&self.deletes.lock())
    }

    /// Counts bytes that the heap grew by.
    fn grow(&self, bytes: isize) {
        // Both wrap around, so that a negative number is taken away.
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.account.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Heap that it takes, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Samples appended, duplicates and deleted ones counted.
    pub(crate) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    /// Whether any sample that was appended had something beside its float: a histogram, a start.
    pub(crate) fn is_extended(&self) -> bool {
        self.extended.load(Ordering::Acquire)
    }

    /// Times of the oldest and newest sample appended.
    pub(crate) fn time_range(&self) -> Option<(i64, i64)> {
        let (min, max) = (
            self.min_time.load(Ordering::Acquire),
            self.max_time.load(Ordering::Acquire),
        );
        (min <= max).then_some((min, max))
    }

    /// How long the samples of a series usually reach from the first to the last, in nanoseconds:
    /// the median over some of the series, late samples left aside. A few late or early ones do not
    /// change it.
    pub(crate) fn span(&self) -> i64 {
        let mut spans = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let pages = shard.pages.iter().flatten();
            let series = pages.flat_map(|page| page.iter());
            spans.extend(
                series
                    .filter_map(HeadSeries::span)
                    .take(SPANS_ASKED / SHARDS),
            );
        }
        spans.sort_unstable();
        let median = spans.get(spans.len() / 2).copied().unwrap_or(0);
        let whole = self
            .time_range()
            .map_or(0, |(min, max)| max.saturating_sub(min));
        // Series of one sample each have no span of their own.
        if median == 0 { whole } else { median }
    }

    /// Copies the runs of series `id` that overlap `first..=last`, in order of sequence; the deletes
    /// that were applied to them.
    pub(crate) fn runs(&self, id: u32, first: i64, last: i64, out: &mut Vec<Run>) -> Deletes {
        let page = id as usize / PAGE_SERIES;
        let mut shard = self.shards[page % SHARDS].lock();
        self.grow(shard.erase(id));
        if let Some(Some(page)) = shard.pages.get(page / SHARDS) {
            page[id as usize % PAGE_SERIES].runs(first, last, out);
        }
        self.deletes()
    }

    /// Ids of the series with samples that may lie in `first..=last`, ascending.
    pub(crate) fn active(&self, first: i64, last: i64) -> Vec<u32> {
        let mut ids = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let pages = shard.lock().pages.len();
            for index in 0..pages {
                // Locked anew for each page: appends wait for one page at most.
                let base = (index * SHARDS + number) * PAGE_SERIES;
                let page = (base..base + PAGE_SERIES).map(|id| id as u32);
                shard.lock().active(index, page, (first, last), &mut ids);
            }
        }
        ids.sort_unstable();
        ids
    }

    /// Appends those of `some` (ids, ascending) whose samples may lie in `first..=last`.
    pub(crate) fn active_among(&self, some: &[u32], first: i64, last: i64, ids: &mut Vec<u32>) {
        for page in some.chunk_by(|a, b| *a as usize / PAGE_SERIES == *b as usize / PAGE_SERIES) {
            let number = page.first().map_or(0, |&id| id as usize / PAGE_SERIES);
            let shard = self.shards[number % SHARDS].lock();
            shard.active(number / SHARDS, page.iter().copied(), (first, last), ids);
        }
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.account.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

impl Shard {
    /// Series `id` after all deletes so far, and by how many bytes the heap grew to hold it.
    #[inline]
    fn series_mut(&mut self, id: u32) -> (&mut HeadSeries, isize) {
        let index = id as usize / PAGE_SERIES / SHARDS;
        let mut grown = 0;
        if index >= self.pages.len() {
            grown += ((index + 1 - self.pages.len()) * size_of::<Option<Box<Page>>>()) as isize;
            self.pages.resize_with(index + 1, || None);
        }
        let page = self.pages[index].get_or_insert_with(|| {
            grown += size_of::<Page>() as isize;
            Box::new(std::array::from_fn(|_| HeadSeries::default()))
        });
        let series = &mut page[id as usize % PAGE_SERIES];
        grown += erase(&self.erasures, series, id);
        (series, grown)
    }
}
