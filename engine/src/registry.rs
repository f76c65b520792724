//! The series of a namespace known to this open of the database: labels to ids and back, and which
//! of them the current generation of the WAL has defined.
//!
//! Input: labels. Output: dense ids. Shared behind one read-write lock; what is noted of known
//! series goes through atomics, so that appends to them only read. An id belongs to one series until
//! the series is forgotten; then it may go to another, which has the next epoch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use treering_index::{LabelLimits, Labels, MemIndex};

use crate::error::{Error, Result};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Registry {
    index: MemIndex,
    marks: Vec<Mark>,
    limits: Limits,
    /// What all registries of the database hold together.
    account: Arc<LabelAccount>,
    /// Bytes of it that are ours.
    counted: u64,
}

/// What is known of a series beside its labels.
#[derive(Debug, Default)]
struct Mark {
    /// Low bits of the WAL generation in which it was defined last; 0 is never.
    defined: AtomicU32,
    /// Low bits of the WAL generation in which it was asked for last.
    used: AtomicU32,
    /// How many series had its id before.
    epoch: u32,
    /// Whether a `SeriesRef` was handed out: then it is not forgotten before that is released.
    pinned: AtomicBool,
}

/// Series and heap of all registries of a database together.
#[derive(Debug, Default)]
pub(crate) struct LabelAccount {
    pub(crate) series: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// Generations that must go by before every idle series is forgotten, once a new one was
    /// refused.
    waits: AtomicU64,
}

impl LabelAccount {
    /// Whether a new series was refused: then generations go by although nothing is written.
    pub(crate) fn is_pressed(&self) -> bool {
        self.waits.load(Ordering::Relaxed) > 0
    }

    /// Notes that a generation went by.
    pub(crate) fn relax(&self) {
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        let less = |waits: u64| waits.checked_sub(1);
        let _ = self.waits.fetch_update(set, get, less);
    }
}

/// Generations after which a series that nobody asks for is forgotten.
const IDLE_GENERATIONS: u64 = 2;

/// What a new series is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Series in all namespaces.
    pub(crate) series: u64,
    /// Series in this one.
    pub(crate) own_series: u64,
    /// Heap that labels and their indexes may take in all namespaces, in bytes.
    pub(crate) bytes: u64,
    pub(crate) labels: LabelLimits,
}

impl Registry {
    pub(crate) fn new(limits: Limits, account: Arc<LabelAccount>) -> Self {
        Self {
            index: MemIndex::new(),
            marks: Vec::new(),
            limits,
            account,
            counted: 0,
        }
    }

    pub(crate) fn index(&self) -> &MemIndex {
        &self.index
    }

    /// How many series it holds.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Heap that it takes, in bytes.
    pub(crate) fn heap_bytes(&self) -> u64 {
        (self.index.heap_bytes() + self.marks.capacity() * size_of::<Mark>()) as u64
    }

    /// Changes the bound on its own series; those there are stay.
    pub(crate) fn limit_series(&mut self, most: u64) {
        self.limits.own_series = most;
    }

    pub(crate) fn get(&self, labels: &Labels) -> Option<u32> {
        self.index.get(labels)
    }

    /// The id of `labels`, made when they are new and within the limits.
    pub(crate) fn get_or_insert(&mut self, labels: &Labels) -> Result<u32> {
        if let Some(id) = self.get(labels) {
            return Ok(id);
        }
        self.check(labels)?;
        self.insert(labels)
    }

    /// Whether a new series with these labels keeps within the limits.
    pub(crate) fn check(&self, labels: &Labels) -> Result<()> {
        self.limits.labels.check(labels)?;
        let room = self.check_room(labels);
        if room.is_err() {
            self.account
                .waits
                .store(IDLE_GENERATIONS, Ordering::Relaxed);
        }
        room
    }

    fn check_room(&self, labels: &Labels) -> Result<()> {
        if self.len() as u64 >= self.limits.own_series {
            return Err(Error::limit(
                "series limit of the namespace",
                self.limits.own_series,
                named(labels),
                "raise NamespaceOptions::max_series or drop a label; series without new samples \
                 are forgotten with the flush after the next",
            ));
        }
        if self.account.series.load(Ordering::Relaxed) >= self.limits.series {
            return Err(Error::limit(
                "series limit",
                self.limits.series,
                named(labels),
                "raise Options::max_series or drop a label; series without new samples are \
                 forgotten with the flush after the next",
            ));
        }
        if self.account.bytes.load(Ordering::Relaxed) >= self.limits.bytes {
            return Err(Error::limit(
                "label memory limit",
                self.limits.bytes,
                named(labels),
                "raise Options::memory_bytes (labels may take half of it) or drop a label",
            ));
        }
        Ok(())
    }

    /// The id of `labels`, made when they are new: for replay, which no limit may stop.
    pub(crate) fn insert(&mut self, labels: &Labels) -> Result<u32> {
        let (id, new) = self.index.insert(labels)?;
        if new {
            let place = id as usize;
            if place >= self.marks.len() {
                self.marks.resize_with(place + 1, Mark::default);
            }
            self.account.series.fetch_add(1, Ordering::Relaxed);
            self.count();
        }
        Ok(id)
    }

    /// The epoch of series `id`, if there is one; it goes into references and is held against them.
    pub(crate) fn epoch(&self, id: u32) -> u32 {
        self.mark(id).map_or(0, |mark| mark.epoch)
    }

    /// Whether `id` is that of the series that had it in `epoch`.
    #[inline]
    pub(crate) fn is(&self, id: u32, epoch: u32) -> bool {
        self.mark(id).is_some_and(|mark| mark.epoch == epoch)
    }

    /// Notes that the series was asked for in `generation`: it is not forgotten in that one nor in
    /// the next.
    #[inline]
    pub(crate) fn touch(&self, id: u32, generation: u64) {
        let Some(mark) = self.mark(id) else { return };
        let generation = mark_of(generation);
        if mark.used.load(Ordering::Relaxed) != generation {
            // One who was held up may be generations behind another who asked in between.
            let later =
                |used: u32| (generation.wrapping_sub(used) as i32 > 0).then_some(generation);
            let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
            let _ = mark.used.fetch_update(set, get, later);
        }
    }

    /// [`Registry::touch`] for all series.
    pub(crate) fn touch_all(&mut self, generation: u64) {
        for mark in &mut self.marks {
            *mark.used.get_mut() = mark_of(generation);
        }
    }

    /// Keeps the series until it is released: somebody holds a reference to it.
    pub(crate) fn pin(&self, id: u32, pinned: bool) {
        if let Some(mark) = self.mark(id) {
            mark.pinned.store(pinned, Ordering::Relaxed);
        }
    }

    /// Whether frames of `generation` may name the series without its labels.
    pub(crate) fn is_defined(&self, id: u32, generation: u64) -> bool {
        self.mark(id)
            .is_some_and(|mark| mark.defined.load(Ordering::Acquire) == mark_of(generation))
    }

    /// Notes that a frame of `generation` that defines the series was written.
    pub(crate) fn set_defined(&self, id: u32, generation: u64) {
        if let Some(mark) = self.mark(id) {
            mark.defined.store(mark_of(generation), Ordering::Release);
        }
    }

    /// Ids of the series that nobody asked for in `generation` nor in the one before, and that
    /// nobody holds a reference to.
    pub(crate) fn idle(&self, generation: u64) -> Vec<u32> {
        let idle = |id: &u32| self.is_idle(*id, generation) && self.index.contains(*id);
        (0..self.marks.len() as u32).filter(idle).collect()
    }

    fn is_idle(&self, id: u32, generation: u64) -> bool {
        let recent = [mark_of(generation), mark_of(generation.saturating_sub(1))];
        self.mark(id).is_some_and(|mark| {
            let used = mark.used.load(Ordering::Relaxed);
            let defined = mark.defined.load(Ordering::Relaxed);
            !mark.pinned.load(Ordering::Relaxed)
                && !recent.contains(&used)
                && !recent.contains(&defined)
        })
    }

    /// Forgets those of `ids`, ascending, that are still idle in `generation`; how many.
    pub(crate) fn forget(&mut self, ids: &[u32], generation: u64) -> usize {
        let ids = ids.iter().copied();
        let ids: Vec<u32> = ids.filter(|&id| self.is_idle(id, generation)).collect();
        for &id in &ids {
            if let Some(mark) = self.marks.get_mut(id as usize) {
                *mark = Mark {
                    epoch: mark.epoch.wrapping_add(1),
                    ..Mark::default()
                };
            }
        }
        let forgotten = self.index.remove_many(&ids);
        let account = &self.account.series;
        account.fetch_sub(forgotten as u64, Ordering::Relaxed);
        self.count();
        forgotten
    }

    #[inline]
    fn mark(&self, id: u32) -> Option<&Mark> {
        self.marks.get(id as usize)
    }

    /// Tells the account what the heap has become.
    fn count(&mut self) {
        let bytes = self.heap_bytes();
        if bytes >= self.counted {
            self.account
                .bytes
                .fetch_add(bytes - self.counted, Ordering::Relaxed);
        } else {
            self.account
                .bytes
                .fetch_sub(self.counted - bytes, Ordering::Relaxed);
        }
        self.counted = bytes;
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.account
            .series
            .fetch_sub(self.len() as u64, Ordering::Relaxed);
        self.account
            .bytes
            .fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// Generations count up from 1; their low bits only repeat after four billion flushes.
fn mark_of(generation: u64) -> u32 {
    generation as u32
}

fn named(labels: &Labels) -> String {
    labels
        .name()
        .map_or_else(|| labels.to_string(), |name| format!("`{name}`"))
}

#[cfg(test)]
mod tests {
    use treering_index::labels;

    use super::*;

    /// One who looked at the generation long ago once made a series look as idle as that.
    #[test]
    fn a_series_is_as_recent_as_the_last_who_asked() {
        let limits = Limits {
            series: 10,
            own_series: 10,
            bytes: u64::MAX,
            labels: LabelLimits::default(),
        };
        let mut registry = Registry::new(limits, Arc::default());
        let id = registry.insert(&labels! { "__name__" => "cpu" }).unwrap();
        // Generations wrap around in the mark.
        for base in [5, u64::from(u32::MAX) - 1] {
            registry.touch_all(base);
            registry.touch(id, base + 2);
            registry.touch(id, base);
            assert!(registry.idle(base + 3).is_empty());
            assert_eq!(registry.idle(base + 4), [id]);
        }
    }
}
