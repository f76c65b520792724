//! What one reader sees: the live blocks, the heads that are being flushed, the head that grows,
//! and the tombstones that hide samples of them.
//!
//! Input: publications by flush, compaction and deletes. Output: an `Arc` that stays as it is for
//! as long as it is held; a head and the block made of it are never in the same view. Invariant: a
//! block carries those tombstones of the view that are above what was purged from it and meet it
//! in time. What a tombstone selects in a block is looked up when it is asked for, and kept in the
//! cache of the block.

use std::sync::{Arc, OnceLock};

use treering_index::Postings;

use crate::block::{Block, BlockIndex, Cursor};
use crate::compact::Deleted;
use crate::error::Result;
use crate::head::Head;
use crate::sync::RwLock;
use crate::tombstone::Tombstone;

/// See the head of this file.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// In order of sequence: of two that hold the same sample, the later one wins.
    pub(crate) blocks: Vec<LiveBlock>,
    /// Heads that take no more samples and are not in blocks yet, oldest first.
    pub(crate) frozen: Vec<Arc<Head>>,
    /// The head that appends go to. Deletes are applied to it at once.
    pub(crate) live: Arc<Head>,
    /// In order of sequence.
    pub(crate) tombstones: Vec<Arc<Tombstone>>,
    /// Deletes up to this sequence are known to it, those that hide nothing any more too.
    pub(crate) deleted_through: u64,
}

/// A block of a view, and what is hidden in it.
#[derive(Debug, Clone)]
pub(crate) struct LiveBlock {
    pub(crate) block: Arc<Block>,
    /// Tombstones up to this sequence hide nothing in it.
    pub(crate) purged: u64,
    /// In order of sequence.
    hides: Vec<Arc<Hide>>,
    /// What they hide together, once somebody asked.
    deleted: Arc<OnceLock<Deleted>>,
}

/// A tombstone in one block.
#[derive(Debug)]
struct Hide {
    tombstone: Arc<Tombstone>,
    share: OnceLock<Share>,
}

/// How much a tombstone hides of one block.
#[derive(Debug, Clone, Copy)]
struct Share {
    /// About how many samples.
    samples: f64,
    /// Whether it is certain that it is none.
    nothing: bool,
}

/// Series of a tombstone that are looked at to tell how much it hides.
const SERIES_WEIGHED: usize = 1024;

/// What a tombstone hides in one block.
#[derive(Debug, Clone)]
pub(crate) struct Hidden {
    /// Ordinals of the series.
    pub(crate) series: Arc<Postings>,
    /// Timestamp of the first sample that may be hidden.
    pub(crate) first: i64,
    /// Timestamp of the last one.
    pub(crate) last: i64,
}

/// The current view.
#[derive(Debug)]
pub(crate) struct CurrentView {
    view: RwLock<Arc<View>>,
}

impl CurrentView {
    /// A view of `blocks`, each with the sequence through which it was purged.
    pub(crate) fn new(
        blocks: Vec<(Arc<Block>, u64)>,
        tombstones: Vec<Arc<Tombstone>>,
        live: Arc<Head>,
    ) -> Self {
        let mut view = View {
            blocks: Vec::new(),
            frozen: Vec::new(),
            live,
            tombstones,
            deleted_through: 0,
        };
        view.tombstones.sort_by_key(|tombstone| tombstone.sequence);
        view.add(blocks);
        Self {
            view: RwLock::new(Arc::new(view)),
        }
    }

    /// The view as it is now.
    pub(crate) fn get(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }

    /// Freezes the live head and lets appends go on in `live`.
    pub(crate) fn freeze(&self, live: Arc<Head>) {
        self.change(|view| {
            view.frozen.push(std::mem::replace(&mut view.live, live));
        });
    }

    /// Puts `live` in the place of a live head that nothing was appended to.
    pub(crate) fn renew(&self, live: Arc<Head>) {
        self.change(|view| view.live = live);
    }

    /// Replaces the frozen head `flushed` by the blocks made of it, each with the sequence through
    /// which it was purged.
    pub(crate) fn publish(&self, flushed: &Arc<Head>, blocks: Vec<(Arc<Block>, u64)>) {
        self.change(|view| {
            view.frozen.retain(|head| !Arc::ptr_eq(head, flushed));
            view.add(blocks);
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut View) -> T) -> T {
        let mut current = self.view.write();
        let mut view = View::clone(&current);
        let outcome = change(&mut view);
        let before = std::mem::replace(&mut *current, Arc::new(view));
        drop(current);
        // Readers do not wait while a head is freed, or the file of a block removed.
        drop(before);
        outcome
    }
}

/// What a reader beside a writer changes.
impl CurrentView {
    /// Exchanges the views of two.
    pub(crate) fn swap(&self, other: &CurrentView) {
        std::mem::swap(&mut *self.view.write(), &mut *other.view.write());
    }

    /// Puts these blocks and tombstones in the place of all that are there; the heads stay.
    pub(crate) fn set(&self, blocks: Vec<(Arc<Block>, u64)>, tombstones: Vec<Arc<Tombstone>>) {
        self.change(|view| {
            view.blocks.clear();
            view.tombstones = tombstones;
            view.tombstones.sort_by_key(|tombstone| tombstone.sequence);
            view.add(blocks);
        });
    }
}

/// What compaction and deletes change.
impl CurrentView {
    /// Puts `added` (each with the sequence through which it was purged) in the place of the blocks
    /// with the ids `removed`, which are returned.
    pub(crate) fn replace(
        &self,
        removed: &[u64],
        added: Vec<(Arc<Block>, u64)>,
    ) -> Vec<Arc<Block>> {
        self.change(|view| {
            let is_removed = |live: &mut LiveBlock| removed.contains(&live.block.id());
            let gone = view.blocks.extract_if(.., is_removed);
            let gone = gone.map(|live| live.block).collect();
            view.add(added);
            gone
        })
    }

    /// Hides what `tombstone` selects. In the live head it must have been applied, and it has a
    /// sequence above those of all that went before.
    pub(crate) fn hide(&self, tombstone: Arc<Tombstone>) {
        self.change(|view| {
            for live in &mut view.blocks {
                live.attach(&tombstone);
            }
            view.deleted_through = view.deleted_through.max(tombstone.sequence);
            view.tombstones.push(tombstone);
            view.tombstones.sort_by_key(|tombstone| tombstone.sequence);
        });
    }

    /// Lets go of the tombstones with these sequences, which hide nothing any more.
    pub(crate) fn forget(&self, sequences: &[u64]) {
        let gone = |tombstone: &Tombstone| sequences.contains(&tombstone.sequence);
        self.change(|view| {
            view.tombstones.retain(|tombstone| !gone(tombstone));
            for live in &mut view.blocks {
                live.retain(|hide| !gone(&hide.tombstone));
            }
        });
    }

    /// Notes for each (block id, sequence) that tombstones through the sequence hide nothing in the
    /// block.
    pub(crate) fn purge(&self, blocks: &[(u64, u64)]) {
        self.change(|view| {
            for live in &mut view.blocks {
                let through = blocks.iter().filter(|(id, _)| *id == live.block.id());
                if let Some(through) = through.map(|(_, through)| *through).max() {
                    live.purged = live.purged.max(through);
                    let purged = live.purged;
                    live.retain(|hide| hide.tombstone.sequence > purged);
                }
            }
        });
    }
}

impl View {
    /// All heads, oldest first.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &Arc<Head>> {
        self.frozen.iter().chain(std::iter::once(&self.live))
    }

    /// Those of [`View::heads`] that hold samples between `first` and `last`, with their places.
    pub(crate) fn heads_in(
        &self,
        first: i64,
        last: i64,
    ) -> impl Iterator<Item = (usize, &Arc<Head>)> {
        self.heads().enumerate().filter(move |(_, head)| {
            let range = head.time_range();
            range.is_some_and(|(min, max)| min <= last && max >= first)
        })
    }

    /// The tombstones that may hide samples of `head` in `first..=last`; none of the live head.
    pub(crate) fn hiding(&self, head: &Head, first: i64, last: i64) -> Vec<Arc<Tombstone>> {
        let (Some((_, through)), Some((min, max))) = (head.frozen(), head.time_range()) else {
            return Vec::new();
        };
        let (first, last) = (first.max(min), last.min(max));
        let hiding = self.tombstones.iter().rev();
        hiding
            .take_while(|tombstone| tombstone.sequence > through)
            .filter(|tombstone| tombstone.first <= last && tombstone.last >= first)
            .cloned()
            .collect()
    }

    fn add(&mut self, blocks: Vec<(Arc<Block>, u64)>) {
        for (block, purged) in blocks {
            let mut live = LiveBlock {
                block,
                purged,
                hides: Vec::new(),
                deleted: Arc::default(),
            };
            for tombstone in &self.tombstones {
                live.attach(tombstone);
            }
            self.blocks.push(live);
        }
        self.blocks.sort_by_key(|LiveBlock { block, .. }| {
            (block.max_sequence(), block.min_time(), block.id())
        });
    }
}

impl LiveBlock {
    /// Whether any tombstone may hide something in it.
    pub(crate) fn is_touched(&self) -> bool {
        !self.hides.is_empty()
    }

    /// What tombstones hide in it.
    pub(crate) fn hidden(&self) -> Result<Vec<Hidden>> {
        self.hidden_in(i64::MIN, i64::MAX)
    }

    /// What tombstones hide in it that meet `first..=last`. Their series are looked up where the
    /// cache of the block has let go of them.
    pub(crate) fn hidden_in(&self, first: i64, last: i64) -> Result<Vec<Hidden>> {
        let (mut hidden, mut index) = (Vec::new(), None);
        for hide in &self.hides {
            let tombstone = &hide.tombstone;
            if tombstone.first > last || tombstone.last < first {
                continue;
            }
            let series = hide.postings(&self.block, &mut index)?;
            if !series.is_empty() {
                hidden.push(Hidden {
                    series,
                    first: tombstone.first,
                    last: tombstone.last,
                });
            }
        }
        Ok(hidden)
    }

    /// Takes note of a tombstone, if it can hide anything here.
    fn attach(&mut self, tombstone: &Arc<Tombstone>) {
        let meets = tombstone.first <= self.block.max_time()
            && tombstone.last >= self.block.since()
            && tombstone.first <= tombstone.last;
        if tombstone.sequence > self.purged && meets {
            self.hides.push(Arc::new(Hide {
                tombstone: Arc::clone(tombstone),
                share: OnceLock::new(),
            }));
            self.deleted = Arc::default();
        }
    }

    fn retain(&mut self, stays: impl Fn(&Hide) -> bool) {
        let before = self.hides.len();
        self.hides.retain(|hide| stays(hide));
        if self.hides.len() < before {
            self.deleted = Arc::default();
        }
    }

    /// The sequence through which tombstones hide nothing here; `newest` when none hides anything.
    pub(crate) fn hides_nothing_through(&self, newest: u64) -> Result<u64> {
        let mut index = None;
        for hide in &self.hides {
            if !hide.share(&self.block, &mut index)?.nothing {
                return Ok(hide.tombstone.sequence - 1);
            }
        }
        Ok(newest)
    }

    /// About how much tombstones hide here, if any touch it. What cannot be read counts as nothing:
    /// a merge will tell of it.
    pub(crate) fn deleted(&self) -> Option<Deleted> {
        let oldest = self.hides.first()?.tombstone.sequence;
        let deleted = self.deleted.get_or_init(|| Deleted {
            percent: self.deleted_percent(),
            oldest,
            tombstones: self.hides.len(),
        });
        Some(*deleted)
    }

    /// Of tombstones that overlap and select the same, only the one that hides most counts.
    fn deleted_percent(&self) -> u64 {
        let mut sums: Vec<(&Tombstone, i64, i64, f64)> = Vec::new();
        let mut index = None;
        for hide in &self.hides {
            let Ok(share) = hide.share(&self.block, &mut index) else {
                continue;
            };
            let new = &*hide.tombstone;
            let same = sums.iter_mut().find(|(one, first, last, _)| {
                *first <= new.last && new.first <= *last && one.selector == new.selector
            });
            match same {
                Some((_, first, last, samples)) => {
                    (*first, *last) = ((*first).min(new.first), (*last).max(new.last));
                    *samples = samples.max(share.samples);
                }
                None => sums.push((new, new.first, new.last, share.samples)),
            }
        }
        let hidden: f64 = sums.iter().map(|(.., samples)| samples).sum();
        (hidden * 100.0 / self.block.info().samples.max(1) as f64).min(100.0) as u64
    }
}

impl Hide {
    fn share<'a>(&self, block: &'a Block, index: &mut Index<'a>) -> Result<Share> {
        if let Some(share) = self.share.get() {
            return Ok(*share);
        }
        let series = self.postings(block, index)?;
        let (first, last) = (self.tombstone.first, self.tombstone.last);
        let stride = series.len().div_ceil(SERIES_WEIGHED).max(1);
        let (mut samples, mut chunks, mut cursor) = (0.0, Vec::new(), Cursor::default());
        // Rows of steps stand for samples outside of what their chunks span.
        let mut nothing = series.is_empty() || (stride == 1 && block.info().meta.step == 0);
        for ordinal in series.iter().step_by(stride) {
            chunks.clear();
            block.chunks_with(&mut cursor, ordinal, first, last, &mut chunks)?;
            nothing &= chunks.is_empty();
            for chunk in &chunks {
                let from = i128::from(chunk.min_time.max(first));
                let to = i128::from(chunk.max_time.min(last));
                let whole = i128::from(chunk.max_time) - i128::from(chunk.min_time) + 1;
                let part = (to - from + 1).max(0) as f64 / whole as f64;
                samples += f64::from(chunk.count) * part;
            }
        }
        let samples = samples * stride as f64;
        Ok(*self.share.get_or_init(|| Share { samples, nothing }))
    }

    /// The series of the block that it selects. `index` is for those that ask on.
    fn postings<'a>(&self, block: &'a Block, index: &mut Index<'a>) -> Result<Arc<Postings>> {
        let sequence = self.tombstone.sequence;
        if let Some(series) = block.known_hidden(sequence) {
            return Ok(series);
        }
        let index = match index {
            Some(index) => index,
            None => index.insert(block.index()?),
        };
        index.hidden(sequence, self.tombstone.selector.matchers())
    }
}

/// The index of a block, once it is needed.
type Index<'a> = Option<BlockIndex<'a>>;
