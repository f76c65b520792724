//! The head: the samples since the last flush, in memory, by series.
//!
//! Input: resolved batches, in order of sequence. Output: runs per series. Series are spread over
//! shards by id, sixty-four neighbours to a page, so that a scrape touches memory in order and no
//! map is searched. Appends take the locks of their shards before they let go of the WAL, so every
//! shard sees batches in order of sequence; readers hold one shard's lock while they copy. Deletes
//! take all shards for the moment in which they are noted (see `erasing.rs`). A head counts its
//! bytes in an account of the database for as long as anybody holds it.

mod erasing;
mod pieces;
mod sealed;
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
use pieces::{ByShard, Piece, pieces};
pub(crate) use sealed::Sealed;
use series::HeadSeries;

/// Shards of a head; one bit each in a mask.
const SHARDS: usize = 16;
/// Series whose spans are looked at before a flush.
const SPANS_ASKED: usize = 4096;
/// Series in a page: neighbours in id.
const PAGE_SERIES: usize = 64;
/// A batch of as many samples is applied shard by shard, and each is free when it has its part.
const SORTED_SAMPLES: usize = 512;

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
    /// A bit for each shard that a batch waits for: who has it is asked to be soon through with it.
    wanted: AtomicU32,
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

/// What a batch brings.
#[derive(Debug, Clone, Copy)]
struct Incoming<'a> {
    columns: (&'a [i64], &'a [f64]),
    /// If there are any.
    extras: Option<&'a Extras>,
    sealed: &'a Sealed,
}

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
            wanted: AtomicU32::new(0),
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
            wanted.then(|| self.lock_shard(index - 1))
        });
        LockedShards { guards }
    }

    /// Locks a shard for a batch, which tells the one that has it that somebody waits.
    fn lock_shard(&self, number: usize) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[number];
        shard.try_lock().unwrap_or_else(|| {
            self.wanted.fetch_or(1 << number, Ordering::Relaxed);
            let shard = shard.lock();
            self.wanted.fetch_and(!(1 << number), Ordering::Relaxed);
            shard
        })
    }

    /// Locks all shards. Call it while the WAL is still locked.
    pub(crate) fn lock_all(&self) -> LockedShards<'_> {
        let mut index = 0;
        let guards = [(); SHARDS].map(|()| {
            index += 1;
            Some(self.lock_shard(index - 1))
        });
        LockedShards { guards }
    }

    /// Waits until every batch that took its shards before has been applied.
    pub(crate) fn settle(&self) {
        for shard in &self.shards {
            drop(shard.lock());
        }
    }

    /// Applies the samples of a batch: the one way in, for appends and for replay. What they have
    /// beside their floats is in `extras`, by their place in the batch; `sealed` are chunks made of
    /// some of them.
    pub(crate) fn apply(
        &self,
        mut shards: LockedShards<'_>,
        runs: &[IdRun],
        (timestamps, values): (&[i64], &[f64]),
        extras: &Extras,
        sealed: &Sealed,
    ) {
        let batch = Incoming {
            columns: (timestamps, values),
            extras: (!extras.is_empty()).then_some(extras),
            sealed,
        };
        // Told while all shards are locked, so a reader that sees a sample sees its range.
        if batch.extras.is_some() {
            self.extended.store(true, Ordering::Release);
        }
        self.samples
            .fetch_add(values.len() as u64, Ordering::Relaxed);
        if let (Some(&min), Some(&max)) = (timestamps.iter().min(), timestamps.iter().max()) {
            self.min_time.fetch_min(min, Ordering::AcqRel);
            self.max_time.fetch_max(max, Ordering::AcqRel);
        }
        if values.len() < SORTED_SAMPLES {
            let mut bytes = 0;
            for piece in pieces(runs) {
                // `lock` took the shard of every run; going on without it would give the samples
                // that follow to the wrong series.
                let shard = shards.guards[piece.shard()].as_mut();
                let shard = shard.expect("the shards of a batch are locked before it is applied");
                bytes += shard.append(&piece, &batch);
            }
            return self.grow(bytes);
        }
        let mut by_shard = ByShard::of(runs);
        while let Some(number) = self.next_shard(&shards) {
            // What the other shards are still to get holds nobody up here.
            let Some(mut shard) = shards.guards[number].take() else {
                break;
            };
            let mut bytes = 0;
            for piece in by_shard.take(number) {
                bytes += shard.append(&piece, &batch);
            }
            self.grow(bytes);
        }
    }

    /// Of the locked shards the one to go on with: one that another batch waits for, if there is any.
    fn next_shard(&self, shards: &LockedShards<'_>) -> Option<usize> {
        let mut locked = (0..SHARDS).filter(|&number| shards.guards[number].is_some());
        let wanted = self.wanted.load(Ordering::Relaxed);
        let first = locked.clone().next();
        locked.find(|number| wanted >> number & 1 == 1).or(first)
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
    /// Appends the samples of a piece; by how many bytes the heap grew.
    #[inline]
    fn append(&mut self, piece: &Piece, batch: &Incoming<'_>) -> isize {
        let (mut bytes, len) = (0, piece.len as usize);
        let ids = piece.first..piece.first + piece.ids;
        for (id, at) in ids.zip((piece.at..).step_by(len.max(1))) {
            let (series, grown) = self.series_mut(id);
            let (timestamps, values) = batch.columns;
            let (times, floats) = (&timestamps[at..at + len], &values[at..at + len]);
            bytes += grown;
            bytes += match (batch.extras, batch.sealed.at(at)) {
                (Some(extras), _) => series.append_extended(times, floats, (extras, at as u32)),
                (None, Some(chunks)) => series.append_sealed(times, floats, chunks),
                (None, None) => series.append(times, floats),
            };
        }
        bytes
    }

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
