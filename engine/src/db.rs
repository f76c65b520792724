//! The door: open, append, ask, flush, close. Joins the stages of a write and of a read.
//!
//! Write: batch -> resolve -> WAL frame -> head -> sync as the mode says -> acknowledged.
//! Read: view -> selector -> postings -> series -> chunks -> merge -> aggregate.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use treering_index::{CardinalityStats, Labels, Selector};

use crate::background::{self, Threads};
use crate::batch::{Batch, SeriesRef};
use crate::block::Block;
use crate::directory;
use crate::error::{Rejection, Result};
use crate::ingest::{Refusal, resolve};
use crate::options::{Maintenance, Options, Reads, Sync};
use crate::poison::{Failure, Poison};
use crate::query::aggregate::{Aggregate, AggregatedSeries};
use crate::query::select::SeriesSet;
use crate::questions::{Latest, Query};
use crate::recover::{RecoveryReport, recover};
use crate::reserve::Reserve;
use crate::shared::{Commit, Pressure, Shared};
use crate::stats::{BlockBytesTotal, Counters, DbStats};
use crate::sync::{Mutex, RwLock};
use crate::vfs::MemVfs;
use crate::view::{CurrentView, View};
use crate::wal::format::FrameKind;
use crate::wal::payload::{Definition, IdRun, put_definitions, put_samples};
use crate::wal::{Draft, Syncer};

/// An open database. Cheap to clone; all clones are the same open, usable from any thread.
///
/// Dropping the last clone makes what was appended durable; [`Db::close`] also reports errors.
#[derive(Debug, Clone)]
pub struct Db {
    owner: Arc<Owner>,
}

/// Ends the threads when the last `Db` goes; they hold `Shared` themselves.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    threads: RwLock<Threads>,
}

/// What a partial append did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Appended {
    /// Samples appended.
    pub samples: usize,
    /// Rows left out, each with its reason.
    pub rejected: Vec<Rejection>,
}

/// WAL size up to which closing leaves the head in the WAL instead of writing blocks.
const CLOSE_FLUSH_BYTES: u64 = 4 << 20;

thread_local! {
    /// Memory of the frame that this thread wrote last.
    static FRAME: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Frame memory that a thread keeps at most.
const KEPT_FRAME_BYTES: usize = 4 << 20;

impl Db {
    /// Opens the database in the directory `dir`, or makes it when it is missing.
    ///
    /// A relative path is resolved once, here. One open at a time: a second one, in this process
    /// too, is `Error::Locked`; clone the `Db` instead. There is no read-only open yet: the
    /// directory must be writable.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self> {
        options.check()?;
        let dir = directory::resolve(dir.as_ref(), &*options.vfs)?;
        let recovered = recover(&dir, &options, random())?;
        let reserve = Reserve::new(Arc::clone(&options.vfs), &dir, options.reserve_bytes);
        reserve.fill();
        let head = Arc::new(recovered.head);
        let view = View {
            blocks: recovered.blocks,
            frozen: Vec::new(),
            live: Arc::clone(&head),
        };
        let (wal, now) = (recovered.wal, options.clock.monotonic());
        let head_since = (head.samples() > 0).then_some(now);
        let shared = Arc::new(Shared {
            dir,
            open: random(),
            registry: RwLock::new(recovered.registry),
            generation: AtomicU64::new(wal.generation()),
            syncer: Syncer::new(Arc::clone(wal.file()), wal.position()),
            commit: Mutex::new(Commit {
                wal,
                head,
                head_since,
            }),
            view: CurrentView::new(view),
            manifest: Mutex::new(recovered.manifest),
            reserve,
            poison: Poison::default(),
            closed: AtomicBool::new(false),
            counters: Counters::default(),
            recovery: recovered.report,
            flushing: Mutex::new(()),
            wal_start: AtomicU64::new(recovered.wal_start),
            unmarked: recovered.unmarked,
            pressure: Pressure::default(),
            lock: Mutex::new(Some(recovered.lock)),
            options,
        });
        let threads = RwLock::new(Threads::start(&shared)?);
        Ok(Self {
            owner: Arc::new(Owner { shared, threads }),
        })
    }

    /// A database that lives in memory and ends with its last handle.
    pub fn in_memory() -> Result<Self> {
        Self::in_memory_with(Options::default())
    }

    /// A database in memory, with options; those that name a store, a sync mode, a reserve or
    /// whether to create are replaced.
    pub fn in_memory_with(options: Options) -> Result<Self> {
        let options = options
            .vfs(Arc::new(MemVfs::new()))
            .sync(Sync::Never)
            .reserve_bytes(0)
            .create(true);
        Self::open("/memory", options)
    }

    /// The reference of a series, made when the labels are new. It shows in queries once it has
    /// samples. Any labels within the limits will do, none at all too; labels with an empty value
    /// are as good as missing and are left out.
    pub fn series(&self, labels: &Labels) -> Result<SeriesRef> {
        let shared = self.shared();
        shared.check_open()?;
        let known = shared.registry.read().get(labels);
        let id = match known {
            Some(id) => id,
            None => shared.registry.write().get_or_insert(labels)?,
        };
        Ok(SeriesRef {
            open: shared.open,
            namespace: 0,
            id,
        })
    }

    /// Appends a batch: all of it, or an error that names the row at fault.
    ///
    /// When it returns `Ok` the samples are visible to the next query, and as durable as
    /// [`Options::sync`] says. After an error, whether they are there is known after reopening.
    pub fn append(&self, batch: &Batch) -> Result<()> {
        let shared = self.shared();
        shared.check_writable()?;
        let resolved = resolve(batch, &shared.registry, shared.open, Refusal::Whole);
        let resolved = resolved.inspect_err(|_| {
            Counters::add(&shared.counters.rejected, batch.len() as u64);
        })?;
        self.commit(&resolved.runs, &resolved.timestamps, &resolved.values)
    }

    /// Appends the good rows of a batch and returns each bad one with its reason.
    pub fn append_partial(&self, batch: &Batch) -> Result<Appended> {
        let shared = self.shared();
        shared.check_writable()?;
        let resolved = resolve(batch, &shared.registry, shared.open, Refusal::Rows)?;
        let samples = resolved.values.len();
        self.commit(&resolved.runs, &resolved.timestamps, &resolved.values)?;
        let refused = batch.len() - samples;
        Counters::add(&shared.counters.rejected, refused as u64);
        Ok(Appended {
            samples,
            rejected: resolved.rejected,
        })
    }

    /// WAL frame, head, sync: one resolved batch.
    fn commit(&self, runs: &[IdRun], timestamps: &[i64], values: &[f64]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let shared = self.shared();
        background::make_room(shared, || self.owner.threads.read().wake_flush())?;
        let position = loop {
            let generation = shared.generation.load(Ordering::Acquire);
            let (mut draft, defined) = encode(shared, generation, runs, timestamps, values);
            let mut commit = shared.commit.lock();
            shared.check_writable()?;
            if commit.wal.generation() != generation {
                // A flush came between: series must be defined again for the new generation.
                keep(draft);
                continue;
            }
            write_definitions(shared, &mut commit, &defined)?;
            let written = commit.wal.append(&mut draft, &shared.syncer);
            let written = written.map_err(|failure| failure.report(&shared.poison))?;
            let now = shared.options.clock.monotonic();
            shared.syncer.wrote(written.position, now);
            commit.head_since.get_or_insert(now);
            defined.note(shared, generation);
            let head = Arc::clone(&commit.head);
            // Locked before the WAL is let go: shards see batches in order of sequence.
            let shards = head.lock(runs);
            drop(commit);
            head.apply(shards, runs, timestamps, values);
            keep(draft);
            if head.bytes() >= shared.head_bytes_full() || written.rotated {
                self.owner.threads.read().wake_flush();
            }
            break written.position;
        };
        Counters::add(&shared.counters.samples, values.len() as u64);
        Counters::add(&shared.counters.batches, 1);
        self.acknowledge(position)
    }

    /// Waits for as much durability as the mode promises.
    fn acknowledge(&self, position: u64) -> Result<()> {
        let shared = self.shared();
        match shared.options.sync {
            Sync::Always => shared.sync_to(position),
            Sync::Never => Ok(()),
            Sync::Interval(every) => {
                let patience = match shared.options.maintenance {
                    Maintenance::Background => every * 2,
                    Maintenance::Manual => every,
                };
                let age = shared.syncer.unsynced_for(shared.options.clock.monotonic());
                if age.is_some_and(|age| age > patience) {
                    return shared.sync_to(position);
                }
                Ok(())
            }
        }
    }

    /// The series of `selector` with samples in `range`, in label order. Samples are decoded when
    /// they are asked for.
    pub fn select(&self, selector: &Selector, range: impl RangeBounds<i64>) -> Result<SeriesSet> {
        self.query().select(selector, range)
    }

    /// Computes `aggregate` over the samples of `selector` in `range`.
    pub fn aggregate(
        &self,
        selector: &Selector,
        range: impl RangeBounds<i64>,
        aggregate: &Aggregate,
    ) -> Result<Vec<AggregatedSeries>> {
        self.query().aggregate(selector, range, aggregate)
    }

    /// The newest sample of each series of `selector`, stale markers included.
    pub fn latest(&self, selector: &Selector) -> Result<Vec<Latest>> {
        self.query().latest(selector, ..)
    }

    /// The labels of all series of `selector` with samples in `range`, sorted.
    pub fn series_labels(
        &self,
        selector: &Selector,
        range: impl RangeBounds<i64>,
    ) -> Result<Vec<Labels>> {
        self.query().series_labels(selector, range)
    }

    /// The label names of the series of `selector` in `range`, sorted. Answered from the indexes:
    /// series whose chunks meet the range count, even if none of their samples lies in it.
    pub fn label_names(
        &self,
        selector: &Selector,
        range: impl RangeBounds<i64>,
    ) -> Result<Vec<String>> {
        self.query().label_names(selector, range)
    }

    /// The values of label `name` of the series of `selector` in `range`, sorted; as
    /// [`Db::label_names`].
    pub fn label_values(
        &self,
        name: &str,
        selector: &Selector,
        range: impl RangeBounds<i64>,
    ) -> Result<Vec<String>> {
        self.query().label_values(name, selector, range)
    }

    /// A query with limits of its own or a token to cancel it.
    pub fn query(&self) -> Query<'_> {
        Query::new(self.shared())
    }

    /// Makes everything appended so far durable.
    pub fn sync(&self) -> Result<()> {
        self.shared().check_open()?;
        self.shared().sync()
    }

    /// Moves everything appended so far into blocks.
    pub fn flush(&self) -> Result<()> {
        self.shared().check_writable()?;
        background::flush(self.shared())
    }

    /// Reads every live block whole, with `pread`: every checksum, every chunk held against what is
    /// stored about it. The first damage is the error. The WAL and the manifest are checked by every
    /// open.
    pub fn verify(&self) -> Result<()> {
        self.shared().check_open()?;
        for block in &self.shared().view.get().blocks {
            Block::open(&self.shared().options.vfs, block.path(), Reads::Pread)?.verify()?;
        }
        Ok(())
    }

    /// What the database holds and has done.
    pub fn stats(&self) -> DbStats {
        stats(self.shared())
    }

    /// The series in memory by size: the metric names with most series, the labels with most
    /// values; at most `limit` of each.
    pub fn cardinality(&self, limit: usize) -> CardinalityStats {
        self.shared().registry.read().index().stats(limit)
    }

    /// What opening the database found.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.shared().recovery
    }

    /// The directory of the database.
    pub fn path(&self) -> &Path {
        &self.shared().dir
    }

    /// Closes the database for all clones: ends its threads, makes everything durable, lets go of
    /// the lock. A second call does nothing. Iterators that are under way go on.
    pub fn close(&self) -> Result<()> {
        self.owner.close(true)
    }

    fn shared(&self) -> &Shared {
        &self.owner.shared
    }
}

impl Owner {
    fn close(&self, flush: bool) -> Result<()> {
        let shared = &*self.shared;
        if shared.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        // Appends that wait for a flush see that the database is closed.
        shared.pressure.changed.notify_all();
        self.threads.write().stop();
        // Held until the directory is let go: a flush of another clone is through, or refused.
        let turn = shared.flushing.lock();
        // Appends that were under way have the commit lock or see that the database is closed.
        drop(shared.commit.lock());
        let mut closed = Ok(());
        if flush && shared.wal_bytes() >= CLOSE_FLUSH_BYTES && shared.poison.check().is_ok() {
            closed = background::flush_in_turn(shared, &turn);
        }
        let synced = mark_end(shared);
        *shared.lock.lock() = None;
        tracing::info!(dir = %shared.dir.display(), "database closed");
        closed.and(synced)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // `close` reports errors; here there is nobody to report to.
        let _ = self.close(false);
    }
}

/// Syncs the WAL, then writes a frame that says so: damage to anything before it is then told from
/// a tail that was never durable.
fn mark_end(shared: &Shared) -> Result<()> {
    shared.sync()?;
    let mut commit = shared.commit.lock();
    let replayed = shared.unmarked && shared.wal_bytes() > 0;
    if !(commit.wal.has_frames() || replayed) {
        return Ok(());
    }
    let mut bytes = Vec::new();
    Draft::begin(&mut bytes);
    let mut draft = Draft::finish(FrameKind::Mark, bytes);
    match commit.wal.append(&mut draft, &shared.syncer) {
        Ok(written) => {
            shared.syncer.wrote(written.position, Duration::ZERO);
            drop(commit);
            shared.sync()
        }
        // A full disk: everything is durable, only the mark is missing.
        Err(Failure::Refused(_)) => Ok(()),
        Err(failure) => Err(failure.report(&shared.poison)),
    }
}

/// The series that a batch defines: named for the first time in a generation.
#[derive(Debug, Default)]
struct Defined {
    ids: Vec<u32>,
    /// Their canonical labels, one after the other, and where each ends.
    labels: Vec<u8>,
    ends: Vec<usize>,
}

/// Label bytes up to which definitions stand in the frame of their batch; more go before it, in
/// frames of their own, so that no frame grows beyond what a reader takes.
const DEFINITION_BYTES: usize = 32 << 20;

impl Defined {
    /// The series of `runs` that `generation` has not defined yet.
    fn of(shared: &Shared, generation: u64, runs: &[IdRun]) -> Self {
        let registry = shared.registry.read();
        let ids = runs.iter().flat_map(|run| run.first..run.first + run.ids);
        let mut defined = Self {
            ids: ids
                .filter(|&id| !registry.is_defined(id, generation))
                .collect(),
            ..Self::default()
        };
        defined.ids.sort_unstable();
        defined.ids.dedup();
        for &id in &defined.ids {
            registry.index().write_canonical(id, &mut defined.labels);
            defined.ends.push(defined.labels.len());
        }
        defined
    }

    /// Whether they stand in the frame of their batch.
    fn is_inline(&self) -> bool {
        self.labels.len() <= DEFINITION_BYTES
    }

    /// The definitions in pieces that fit a frame each.
    fn pieces(&self) -> Vec<Vec<Definition<'_>>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let mut pieces = vec![Vec::new()];
        let mut bytes = 0;
        for ((&id, start), &end) in self.ids.iter().zip(starts).zip(&self.ends) {
            let labels = &self.labels[start..end];
            if bytes + labels.len() > DEFINITION_BYTES {
                pieces.push(Vec::new());
                bytes = 0;
            }
            bytes += labels.len();
            if let Some(piece) = pieces.last_mut() {
                piece.push(Definition { id, labels });
            }
        }
        pieces
    }

    /// Notes that they were written.
    fn note(&self, shared: &Shared, generation: u64) {
        if !self.ids.is_empty() {
            let registry = shared.registry.read();
            self.ids
                .iter()
                .for_each(|&id| registry.set_defined(id, generation));
        }
    }
}

/// Writes the definitions that are too many for the frame of their batch. Without samples they
/// change nothing that can be seen, so the batch is still all or nothing.
fn write_definitions(shared: &Shared, commit: &mut Commit, defined: &Defined) -> Result<()> {
    if defined.is_inline() {
        return Ok(());
    }
    for piece in defined.pieces() {
        let mut bytes = Vec::new();
        Draft::begin(&mut bytes);
        put_definitions(&mut bytes, 0, piece.into_iter());
        put_samples(&mut bytes, &[], &[], &[]);
        let mut draft = Draft::finish(FrameKind::Batch, bytes);
        let written = commit.wal.append(&mut draft, &shared.syncer);
        let written = written.map_err(|failure| failure.report(&shared.poison))?;
        shared
            .syncer
            .wrote(written.position, shared.options.clock.monotonic());
    }
    Ok(())
}

/// The draft of a batch frame for `generation`, and the series that the batch defines.
fn encode(
    shared: &Shared,
    generation: u64,
    runs: &[IdRun],
    timestamps: &[i64],
    values: &[f64],
) -> (Draft, Defined) {
    let mut bytes = FRAME.take();
    Draft::begin(&mut bytes);
    let defined = Defined::of(shared, generation, runs);
    let inline = if defined.is_inline() {
        defined.pieces().concat()
    } else {
        Vec::new()
    };
    put_definitions(&mut bytes, 0, inline.into_iter());
    put_samples(&mut bytes, runs, timestamps, values);
    (Draft::finish(FrameKind::Batch, bytes), defined)
}

/// Keeps the memory of a draft for the thread's next one.
fn keep(draft: Draft) {
    let bytes = draft.into_bytes();
    if bytes.capacity() <= KEPT_FRAME_BYTES {
        FRAME.set(bytes);
    }
}

fn stats(shared: &Shared) -> DbStats {
    let view = shared.view.get();
    let (series, label_bytes) = {
        let registry = shared.registry.read();
        (registry.len() as u64, registry.heap_bytes())
    };
    let mut stats = DbStats {
        series,
        label_bytes,
        head_samples: view.heads().map(|head| head.samples()).sum(),
        head_bytes: view.heads().map(|head| head.bytes()).sum(),
        last_sequence: shared.commit.lock().wal.last_sequence(),
        samples_appended: Counters::get(&shared.counters.samples),
        samples_rejected: Counters::get(&shared.counters.rejected),
        batches: Counters::get(&shared.counters.batches),
        wal_bytes: shared.wal_bytes(),
        wal_unsynced_bytes: shared
            .syncer
            .written()
            .saturating_sub(shared.syncer.synced()),
        flushes: Counters::get(&shared.counters.flushes),
        waits: Counters::get(&shared.counters.waits),
        blocks: view.blocks.len() as u64,
        poisoned: shared.poison.check().is_err(),
        ..DbStats::default()
    };
    let mut ranges: Vec<(i64, i64)> = view.heads().filter_map(|head| head.time_range()).collect();
    let mut total = BlockBytesTotal::default();
    for block in &view.blocks {
        let info = block.info();
        stats.block_series += info.series;
        stats.block_samples += info.samples;
        stats.block_heap_bytes += block.heap_bytes() as u64;
        total.timestamps += info.bytes.timestamps;
        total.values += info.bytes.values;
        total.directory += info.bytes.directory;
        total.index += info.bytes.index;
        total.other += info.bytes.other;
        total.total += info.bytes.total;
        ranges.push((info.min_time, info.max_time));
    }
    stats.block_bytes = total;
    stats.time_range = ranges
        .into_iter()
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    stats
}

/// First and last timestamp of a range; `None` when it is empty.
pub(crate) fn bounds(range: &impl RangeBounds<i64>) -> Option<(i64, i64)> {
    let first = match range.start_bound() {
        Bound::Included(&first) => first,
        Bound::Excluded(&before) => before.checked_add(1)?,
        Bound::Unbounded => i64::MIN,
    };
    let last = match range.end_bound() {
        Bound::Included(&last) => last,
        Bound::Excluded(&after) => after.checked_sub(1)?,
        Bound::Unbounded => i64::MAX,
    };
    (first <= last).then_some((first, last))
}

/// A number that no other open has, never 0.
fn random() -> u64 {
    RandomState::new().build_hasher().finish() | 1
}
