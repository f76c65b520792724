//! The door: open, append, ask, change, close. Joins the stages of a write and of a read.
//!
//! Write: batch -> resolve -> WAL frame -> head -> sync as the mode says -> acknowledged.
//! Read: view -> selector -> postings -> series -> chunks -> merge -> aggregate.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use treering_index::{CardinalityStats, Labels, Selector};

use crate::append::{Appended, append};
use crate::background::Threads;
use crate::batch::{Batch, SeriesRef};
use crate::directory;
use crate::error::{Error, Result};
use crate::follow::{Follower, Place};
use crate::freeze;
use crate::ingest::Refusal;
use crate::manifest::state::DEFAULT_NAMESPACE_NAME;
use crate::memory::Memory;
use crate::options::{Options, Sync};
use crate::poison::{Failure, Poison};
use crate::query::aggregate::{Aggregate, AggregatedSeries};
use crate::query::select::SeriesSet;
use crate::questions::{Latest, Query};
use crate::recover::{RecoveryReport, recover};
use crate::reserve::Reserve;
use crate::shared::{Commit, Core, Pressure, Shared};
use crate::space::Space;
use crate::stats::{Counters, DbStats, stats};
use crate::sync::{Mutex, RwLock, SpareThreads};
use crate::vfs::MemVfs;
use crate::wal::format::FrameKind;
use crate::wal::{Draft, Syncer};
use crate::{compact, tidy};

/// An open database, seen from one of its namespaces. Cheap to clone; all clones are the same open,
/// usable from any thread.
///
/// Samples, questions and deletes go to the namespace of the handle: `default`, or the one that
/// [`Db::namespace`] was asked for. Dropping the last handle makes what was appended durable;
/// [`Db::close`] also reports errors.
#[derive(Debug, Clone)]
pub struct Db {
    owner: Arc<Owner>,
    space: Arc<Space>,
}

/// Ends the threads when the last `Db` goes; they hold `Shared` themselves.
#[derive(Debug)]
struct Owner {
    core: Arc<Core>,
    role: Role,
}

/// What an open may do.
#[derive(Debug)]
enum Role {
    Writer {
        shared: Arc<Shared>,
        threads: RwLock<Threads>,
    },
    /// Taken before any other lock.
    Reader(Box<Mutex<Follower>>),
}

/// WAL size up to which closing leaves the head in the WAL instead of writing blocks.
const CLOSE_FLUSH_BYTES: u64 = 4 << 20;

impl Db {
    /// Opens the database in the directory `dir`, or makes it when it is missing.
    ///
    /// A relative path is resolved once, here. One open at a time: a second one, in this process
    /// too, is `Error::Locked`; clone the `Db` instead.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self> {
        options.check()?;
        let dir = directory::resolve(dir.as_ref(), &*options.vfs)?;
        let memory = Memory::new(options.memory_bytes);
        let recovered = recover(&dir, &options, &memory, random())?;
        let reserve = Reserve::new(Arc::clone(&options.vfs), &dir, options.reserve_bytes);
        reserve.keep_from(recovered.manifest.state().wal_floor);
        reserve.fill();
        let (wal, now) = (recovered.wal, options.clock.monotonic());
        let space = recovered.spaces.named(DEFAULT_NAMESPACE_NAME)?;
        let core = Arc::new(Core {
            dir,
            open: next_open(),
            spaces: recovered.spaces,
            memory,
            poison: Poison::default(),
            closed: AtomicBool::new(false),
            counters: Counters::default(),
            recovery: recovered.report,
            spare: SpareThreads::new(options.query_threads - 1),
            options,
        });
        let head_since = (core.memory.head_bytes() > 0).then_some(now);
        let shared = Arc::new(Shared {
            core: Arc::clone(&core),
            generation: AtomicU64::new(wal.generation()),
            syncer: Syncer::new(Arc::clone(wal.file()), wal.position(), wal.last_sequence()),
            commit: Mutex::new(Commit {
                wal,
                head_since,
                changes: recovered.changes,
            }),
            next_block: AtomicU64::new(recovered.manifest.state().next_block),
            manifest: Mutex::new(recovered.manifest),
            reserve,
            frozen: Mutex::default(),
            flushing: Mutex::new(()),
            compacting: Mutex::new(()),
            wal_start: AtomicU64::new(recovered.wal_start),
            unmarked: recovered.unmarked,
            pressure: Pressure::default(),
            lock: Mutex::new(Some(recovered.lock)),
        });
        tidy::finish_drops(&shared, &recovered.dropped)?;
        let threads = RwLock::new(Threads::start(&shared)?);
        let role = Role::Writer { shared, threads };
        let owner = Arc::new(Owner { core, role });
        Ok(Self { owner, space })
    }

    /// Opens the database in the directory `dir` for reading: beside its writer, after it, or on a
    /// medium that cannot be written.
    ///
    /// Nothing in the directory is written, made, locked or removed, and the writer is not held up.
    /// What is seen are the blocks and the WAL as they were at one moment, whether fsynced or not;
    /// [`Db::refresh`] moves on. Calls that change something are `Error::ReadOnly`. The heap grows
    /// with the writer's heads and labels. `Error::NotADatabase` when there is none.
    pub fn open_read_only(dir: impl AsRef<Path>, options: Options) -> Result<Self> {
        options.check()?;
        let dir = directory::resolve(dir.as_ref(), &*options.vfs)?;
        let memory = Memory::new(options.memory_bytes);
        let place = Place {
            dir: &dir,
            options: &options,
            memory: &memory,
        };
        let (follower, spaces, recovery) = Follower::open(place)?;
        let space = spaces.named(DEFAULT_NAMESPACE_NAME)?;
        let core = Arc::new(Core {
            dir,
            open: next_open(),
            spaces,
            memory,
            poison: Poison::default(),
            closed: AtomicBool::new(false),
            counters: Counters::default(),
            recovery,
            spare: SpareThreads::new(options.query_threads - 1),
            options,
        });
        let role = Role::Reader(Box::new(Mutex::new(follower)));
        let owner = Arc::new(Owner { core, role });
        Ok(Self { owner, space })
    }

    /// Moves a database that was opened for reading on to what its writer has written since;
    /// whether anything changed. Costs what is new: the frames behind the last one read, and the
    /// blocks that were not there; after a flush the WAL behind it. Open iterators keep what they
    /// see. After an error everything is as before or a part of the way on. A writer sees its own
    /// changes at once, so there it is always `false`.
    pub fn refresh(&self) -> Result<bool> {
        let core = self.core();
        core.check_open()?;
        match &self.owner.role {
            Role::Writer { .. } => Ok(false),
            Role::Reader(follower) => follower.lock().refresh(core.place(), &core.spaces),
        }
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
    ///
    /// Series that were only named by labels are forgotten by the memory some time after their last
    /// sample; one with a reference stays until [`Db::release`].
    pub fn series(&self, labels: &Labels) -> Result<SeriesRef> {
        let shared = self.shared()?;
        shared.check_open()?;
        self.space.check()?;
        let of = |registry: &crate::registry::Registry, id| {
            registry.pin(id, true);
            SeriesRef {
                open: shared.open,
                namespace: self.space.id,
                id,
                epoch: registry.epoch(id),
            }
        };
        {
            let registry = self.space.registry.read();
            if let Some(id) = registry.get(labels) {
                return Ok(of(&registry, id));
            }
        }
        let mut registry = self.space.registry.write();
        let id = registry.get_or_insert(labels)?;
        registry.touch(id, shared.generation.load(Ordering::Acquire));
        Ok(of(&registry, id))
    }

    /// Gives references back: the memory may forget the series once they have had no samples for a
    /// while, and the references are stale from then on: all references to the series, whoever in
    /// the program took them. Those of other opens are passed over.
    pub fn release(&self, series: &[SeriesRef]) {
        let registry = self.space.registry.read();
        for series in series {
            let ours = series.open == self.core().open && series.namespace == self.space.id;
            if ours && registry.is(series.id, series.epoch) {
                registry.pin(series.id, false);
            }
        }
    }

    /// Appends a batch: all of it, or an error that names the row at fault.
    ///
    /// When it returns `Ok` the samples are visible to the next query, and as durable as
    /// [`Options::sync`] says. After an error, whether they are there is known after reopening.
    pub fn append(&self, batch: &Batch) -> Result<()> {
        self.append_as(batch, Refusal::Whole).map(|_| ())
    }

    /// Appends the good rows of a batch and returns each bad one with its reason.
    pub fn append_partial(&self, batch: &Batch) -> Result<Appended> {
        self.append_as(batch, Refusal::Rows)
    }

    fn append_as(&self, batch: &Batch, refusal: Refusal) -> Result<Appended> {
        let Role::Writer { shared, threads } = &self.owner.role else {
            return Err(Error::ReadOnly);
        };
        let wake_flush = || threads.read().wake_flush();
        append(shared, &self.space, batch, refusal, wake_flush)
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
        Query::new(self.core(), &self.space)
    }

    /// Makes everything appended so far durable.
    pub fn sync(&self) -> Result<()> {
        let shared = self.shared()?;
        shared.check_open()?;
        shared.sync()
    }

    /// Moves everything appended so far into blocks, in all namespaces.
    pub fn flush(&self) -> Result<()> {
        let shared = self.shared()?;
        shared.check_writable()?;
        freeze::flush(shared)
    }

    /// Merges the blocks of all namespaces as far as that goes: one per window of the highest rung,
    /// without what was deleted, overwritten or has expired. Takes a while and as much disk again
    /// as the largest merge; appends and queries go on. A crash on the way loses nothing.
    ///
    /// The threads of the database compact by themselves, a little at a time, so this is for the
    /// end of an import or before a copy is made.
    pub fn compact(&self) -> Result<()> {
        let shared = self.shared()?;
        shared.check_writable()?;
        compact::all(shared)
    }

    /// One round of the maintenance that the threads of the database do: flush, expire, compact
    /// what is due. For `Maintenance::Manual`; whether it found anything to compact.
    pub fn maintain(&self) -> Result<bool> {
        let shared = self.shared()?;
        shared.check_writable()?;
        if crate::background::is_due(shared) {
            freeze::flush(shared)?;
        }
        tidy::expire(shared)?;
        compact::step(shared)
    }

    /// What the database holds and has done, all namespaces together.
    pub fn stats(&self) -> DbStats {
        let mut stats = stats(self.core());
        match &self.owner.role {
            Role::Writer { shared, .. } => {
                stats.last_sequence = shared.commit.lock().wal.last_sequence();
                stats.wal_bytes = shared.wal_bytes();
                let written = shared.syncer.written();
                stats.wal_unsynced_bytes = written.saturating_sub(shared.syncer.synced());
            }
            Role::Reader(follower) => {
                let follower = follower.lock();
                stats.last_sequence = follower.last_sequence();
                stats.wal_bytes = follower.wal_bytes();
            }
        }
        stats
    }

    /// The series in memory by size: the metric names with most series, the labels with most
    /// values; at most `limit` of each.
    pub fn cardinality(&self, limit: usize) -> CardinalityStats {
        self.space.registry.read().index().stats(limit)
    }

    /// What opening the database found.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.core().recovery
    }

    /// The directory of the database.
    pub fn path(&self) -> &Path {
        &self.core().dir
    }

    /// Closes the database for all clones: ends its threads, makes everything durable, lets go of
    /// the lock. A second call does nothing. Iterators that are under way go on.
    pub fn close(&self) -> Result<()> {
        self.owner.close(true)
    }

    pub(crate) fn core(&self) -> &Core {
        &self.owner.core
    }

    /// The writing side; an error for a read-only open.
    pub(crate) fn shared(&self) -> Result<&Arc<Shared>> {
        match &self.owner.role {
            Role::Writer { shared, .. } => Ok(shared),
            Role::Reader(_) => Err(Error::ReadOnly),
        }
    }

    /// What a read-only open follows the database with.
    pub(crate) fn follower(&self) -> Option<&Mutex<Follower>> {
        match &self.owner.role {
            Role::Writer { .. } => None,
            Role::Reader(follower) => Some(follower),
        }
    }

    pub(crate) fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// The same open, seen from another namespace.
    pub(crate) fn seen_from(&self, space: Arc<Space>) -> Self {
        Self {
            owner: Arc::clone(&self.owner),
            space,
        }
    }
}

impl Owner {
    fn close(&self, flush: bool) -> Result<()> {
        if self.core.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let Role::Writer { shared, threads } = &self.role else {
            self.end_watches();
            return Ok(());
        };
        // Appends that wait for a flush see that the database is closed.
        shared.pressure.changed.notify_all();
        threads.write().stop();
        // Held until the directory is let go: a flush or a compaction of another clone is through,
        // or refused.
        let turn = shared.flushing.lock();
        let _compacting = shared.compacting.lock();
        // Appends that were under way have the commit lock or see that the database is closed.
        drop(shared.commit.lock());
        let mut closed = Ok(());
        if flush && shared.wal_bytes() >= CLOSE_FLUSH_BYTES && shared.poison.check().is_ok() {
            closed = freeze::flush_in_turn(shared, &turn);
        }
        let synced = mark_end(shared);
        // Whoever still is about to take blocks away is refused: the next open may be there already.
        shared.manifest.lock().end();
        shared.memory.blocks.let_go();
        self.end_watches();
        *shared.lock.lock() = None;
        tracing::info!(dir = %shared.dir.display(), "database closed");
        closed.and(synced)
    }

    fn end_watches(&self) {
        for space in self.core.spaces.all() {
            space.watchers.end(&Error::Closed);
        }
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
            shared.syncer.wrote(written, Duration::ZERO);
            drop(commit);
            shared.sync()
        }
        // A full disk: everything is durable, only the mark is missing.
        Err(Failure::Refused(_)) => Ok(()),
        Err(failure) => Err(failure.report(&shared.poison)),
    }
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

/// A number that no other open of this process has. References never leave the process.
fn next_open() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A number that no other database has, never 0.
fn random() -> u64 {
    RandomState::new().build_hasher().finish() | 1
}
