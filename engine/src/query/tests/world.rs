//! A database without files for the WAL and without threads: heads, blocks, a view, and the model.
//!
//! Input: changes. Output: the view that a database would have after them, and a map of what is
//! visible. Sequences count up by one a change, as frames do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use treering_codec::{Extras, Sample};
use treering_index::{LabelLimits, Labels, Selector};

use crate::block::{Block, BlockMeta, BlockWriter, Cursor};
use crate::clock::SystemClock;
use crate::flush::{FlushPlan, block_path, write_blocks};
use crate::head::{Head, Sealed};
use crate::ingest::push_run;
use crate::options::{QueryLimits, Reads};
use crate::query::guard::{Guard, Pool};
use crate::query::plan::{Reach, select};
use crate::query::select::SeriesSet;
use crate::registry::{Limits, Registry};
use crate::sync::RwLock;
use crate::tombstone::Tombstone;
use crate::vfs::{MemVfs, Vfs};
use crate::view::{CurrentView, LiveBlock};

/// How many series there are.
pub(super) const SERIES: u8 = 6;

/// Where samples are brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Live,
    Frozen,
    Block,
}

/// Timestamp and bits of the value.
pub(super) type Bits = (i64, u64);

/// See the head of this file.
pub(super) struct World {
    pub(super) view: CurrentView,
    pub(super) registry: RwLock<Registry>,
    pool: Arc<Pool>,
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    head: Arc<Head>,
    /// Bytes of all heads.
    pub(super) account: Arc<AtomicU64>,
    sequence: u64,
    next_block: u64,
    model: BTreeMap<Labels, BTreeMap<i64, u64>>,
    /// Times of the first and last sample ever appended.
    times: (i64, i64),
    /// Per series: the deletes since the last append.
    deleted: BTreeMap<Labels, Vec<(i64, i64)>>,
}

/// The labels of series `number`: two metrics on three hosts, and one label that comes and goes.
pub(super) fn labels_of(number: u8) -> Labels {
    let metric = ["cpu", "disk"][usize::from(number / 3 % 2)];
    let host = ["a", "b", "c"][usize::from(number % 3)];
    let mut pairs = vec![("__name__", metric), ("host", host)];
    if number == 4 {
        pairs.push(("rack", "7"));
    }
    Labels::from_pairs(pairs).unwrap()
}

pub(super) fn bits(sample: Sample) -> Bits {
    (sample.timestamp, sample.value.to_bits())
}

impl World {
    pub(super) fn new() -> Self {
        Self::on(Arc::new(MemVfs::new()))
    }

    pub(super) fn on(vfs: Arc<dyn Vfs>) -> Self {
        let dir = PathBuf::from("/blocks");
        vfs.create_dir(&dir).unwrap();
        let limits = Limits {
            series: u64::MAX,
            own_series: u64::MAX,
            bytes: u64::MAX,
            labels: LabelLimits::default(),
        };
        let account = Arc::default();
        let head = Arc::new(Head::new(0, Arc::clone(&account)));
        Self {
            view: CurrentView::new(Vec::new(), Vec::new(), Arc::clone(&head)),
            registry: RwLock::new(Registry::new(limits, Arc::default())),
            pool: Arc::new(Pool::new(1 << 30)),
            vfs,
            dir,
            head,
            account,
            sequence: 0,
            next_block: 1,
            model: BTreeMap::new(),
            times: (i64::MAX, i64::MIN),
            deleted: BTreeMap::new(),
        }
    }

    /// One batch, in the order given.
    pub(super) fn append(&mut self, samples: &[(u8, i64, f64)]) {
        self.sequence += 1;
        let mut runs = Vec::new();
        for &(number, at, value) in samples {
            let labels = labels_of(number);
            let id = self.registry.write().insert(&labels).unwrap();
            push_run(&mut runs, id, 1);
            self.times = (self.times.0.min(at), self.times.1.max(at));
            self.deleted.insert(labels.clone(), Vec::new());
            let series = self.model.entry(labels).or_default();
            series.insert(at, value.to_bits());
        }
        let (times, values): (Vec<i64>, Vec<f64>) =
            samples.iter().map(|sample| (sample.1, sample.2)).unzip();
        let (shards, columns) = (self.head.lock(&runs), (&times[..], &values[..]));
        self.head
            .apply(shards, &runs, columns, &Extras::new(), &Sealed::default());
    }

    pub(super) fn freeze(&mut self) {
        if self.head.samples() > 0 {
            self.head.freeze(self.sequence);
            self.head = Arc::new(Head::new(self.sequence, Arc::clone(&self.account)));
            self.view.freeze(Arc::clone(&self.head));
        }
    }

    /// Makes blocks of the oldest frozen head.
    pub(super) fn flush(&mut self) {
        let Some(head) = self.view.get().frozen.first().cloned() else {
            return;
        };
        let (min_sequence, max_sequence) = head.frozen().unwrap();
        let plan = FlushPlan {
            vfs: &self.vfs,
            dir: &self.dir,
            database: 7,
            namespace: 0,
            registry: &self.registry,
            first_block: self.next_block,
            min_sequence,
            max_sequence,
            window: 200,
        };
        let entries = write_blocks(&head, &plan).unwrap();
        let blocks = entries.iter().map(|entry| {
            self.next_block = self.next_block.max(entry.id + 1);
            (self.open(entry.id), entry.max_sequence)
        });
        let blocks = blocks.collect();
        self.view.publish(&head, blocks);
    }

    pub(super) fn bring_to(&mut self, place: Place) {
        if place >= Place::Frozen {
            self.freeze();
        }
        while place >= Place::Block && !self.view.get().frozen.is_empty() {
            self.flush();
        }
    }

    /// In the order in which a database does it: the shards, the view, the head.
    pub(super) fn delete(&mut self, selector: Selector, first: i64, last: i64) {
        self.sequence += 1;
        for (labels, samples) in &mut self.model {
            if selector.matches(labels) {
                samples.retain(|at, _| !(first..=last).contains(at));
                self.deleted
                    .entry(labels.clone())
                    .or_default()
                    .push((first, last));
            }
        }
        let ids = self.registry.read().index().select(selector.matchers());
        let tombstone = Arc::new(Tombstone {
            sequence: self.sequence,
            namespace: 0,
            selector,
            first,
            last,
        });
        let mut shards = self.head.lock_all();
        let erasing = self
            .head
            .note(&mut shards, &tombstone, ids.iter().collect());
        self.view.hide(tombstone);
        drop(shards);
        erasing.finish(&self.head);
    }

    /// Writes one block anew as compaction would: what is hidden stays behind.
    pub(super) fn rewrite(&mut self, index: usize) {
        let view = self.view.get();
        let Some(live) = view.blocks.get(index) else {
            return;
        };
        let (id, through) = (live.block.id(), self.sequence);
        if live.hidden().unwrap().is_empty() {
            return self.view.purge(&[(id, through)]);
        }
        let new = self.next_block;
        self.next_block += 1;
        let rewritten = self.write_without_hidden(live, new);
        let added = rewritten.map(|block| (block, through));
        let removed = self.view.replace(&[id], added.into_iter().collect());
        assert_eq!(
            removed.iter().map(|block| block.id()).collect::<Vec<_>>(),
            [id]
        );
    }

    fn write_without_hidden(&self, live: &LiveBlock, new: u64) -> Option<Arc<Block>> {
        let block = &live.block;
        let hidden = live.hidden().unwrap();
        let meta = BlockMeta {
            id: new,
            ..block.info().meta
        };
        let temporary = self.dir.join("new");
        let mut writer = BlockWriter::create(&self.vfs, &temporary, meta).unwrap();
        let (mut cursor, mut any) = (Cursor::default(), false);
        for ordinal in block.select(&[]).unwrap().iter() {
            let (mut chunks, mut times, mut values) = (Vec::new(), Vec::new(), Vec::new());
            block
                .chunks_with(&mut cursor, ordinal, i64::MIN, i64::MAX, &mut chunks)
                .unwrap();
            for chunk in &chunks {
                block.decode(chunk, &mut times, &mut values).unwrap();
            }
            let gone = |at: i64| {
                let mut holes = hidden.iter();
                holes.any(|hole| {
                    hole.series.contains(ordinal) && (hole.first..=hole.last).contains(&at)
                })
            };
            let kept = times.into_iter().zip(values).filter(|(at, _)| !gone(*at));
            let (times, values): (Vec<i64>, Vec<f64>) = kept.unzip();
            if !times.is_empty() {
                any = true;
                let labels = block.labels(ordinal).unwrap();
                writer.add_series(&labels, &times, &values).unwrap();
            }
        }
        if !any {
            return None;
        }
        writer.finish().unwrap();
        let path = block_path(&self.dir, new);
        self.vfs.rename(&temporary, &path).unwrap();
        Some(self.open(new))
    }

    /// Forgets the tombstones that hide nothing in any block and in any head.
    pub(super) fn forget(&mut self) {
        let view = self.view.get();
        let done = view.tombstones.iter().filter(|tombstone| {
            let in_blocks = view.blocks.iter().any(|live| {
                let meets = tombstone.first <= live.block.max_time()
                    && tombstone.last >= live.block.min_time();
                meets && live.purged < tombstone.sequence
            });
            let in_heads = view
                .frozen
                .iter()
                .any(|head| head.frozen().unwrap().1 < tombstone.sequence);
            !in_blocks && !in_heads
        });
        let done: Vec<u64> = done.map(|tombstone| tombstone.sequence).collect();
        self.view.forget(&done);
    }

    /// What must be found.
    pub(super) fn expected(
        &self,
        selector: &Selector,
        (first, last): (i64, i64),
    ) -> BTreeMap<Labels, Vec<Bits>> {
        let series = self
            .model
            .iter()
            .filter(|(labels, _)| selector.matches(labels));
        let series = series.map(|(labels, samples)| {
            let samples = samples.range(first..=last).map(|(&at, &bits)| (at, bits));
            (labels.clone(), samples.collect::<Vec<_>>())
        });
        series.filter(|(_, samples)| !samples.is_empty()).collect()
    }

    /// The series that may be listed: those that no single delete since their last append took
    /// whole, with everything around them.
    pub(super) fn listable(&self, selector: &Selector) -> Vec<Labels> {
        let hidden = |labels: &Labels| {
            self.deleted[labels]
                .iter()
                .any(|&(first, last)| first <= self.times.0 && self.times.1 <= last)
        };
        let series = self.model.keys();
        let series = series.filter(|labels| selector.matches(labels) && !hidden(labels));
        series.cloned().collect()
    }

    pub(super) fn select(&self, selector: &Selector, range: (i64, i64)) -> SeriesSet {
        select(
            self.view.get(),
            &self.registry,
            selector,
            range,
            Reach::Samples,
            self.guard(),
        )
        .unwrap()
    }

    pub(super) fn guard(&self) -> Guard {
        self.guard_of(QueryLimits::default())
    }

    pub(super) fn guard_of(&self, limits: QueryLimits) -> Guard {
        let (clock, pool) = (Arc::new(SystemClock::new()), Arc::clone(&self.pool));
        Guard::new(limits, Vec::new(), clock, pool)
    }

    fn open(&self, id: u64) -> Arc<Block> {
        let path = block_path(&self.dir, id);
        Arc::new(Block::open(&self.vfs, &path, Reads::Pread).unwrap())
    }
}
