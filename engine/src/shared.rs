//! What the foreground and the maintenance of one open database share.
//!
//! `db.rs` and `background.rs` join the stages through it; no stage holds it. [`Core`] is what
//! questions need, [`Shared`] adds what changes need. Locks are taken in this order and never the
//! other way: the threads of `Db`, `flushing`, `compacting`, `commit`, shards of a head, registries,
//! `manifest`, views, those who watch, then those of the syncer (its turn, its tail). `pressure` and
//! `lock` are taken alone.

use std::collections::VecDeque;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::follow::Place;
use crate::freeze::FrozenSet;
use crate::manifest::Manifest;
use crate::manifest::pending::Pending;
use crate::memory::Memory;
use crate::options::Options;
use crate::poison::Poison;
use crate::recover::RecoveryReport;
use crate::reserve::Reserve;
use crate::space::Spaces;
use crate::stats::Counters;
use crate::sync::{Condvar, Mutex, SpareThreads};
use crate::vfs::Lock;
use crate::wal::{Syncer, Wal};

/// What questions need; all that a read-only open has.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    /// Names this open in every `SeriesRef`.
    pub(crate) open: u32,
    pub(crate) spaces: Spaces,
    pub(crate) memory: Memory,
    pub(crate) poison: Poison,
    pub(crate) closed: AtomicBool,
    pub(crate) counters: Counters,
    pub(crate) recovery: RecoveryReport,
    /// What questions may take beside the threads that ask.
    pub(crate) spare: SpareThreads,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    pub(crate) commit: Mutex<Commit>,
    /// `Commit::wal.generation()`, readable without the lock.
    pub(crate) generation: AtomicU64,
    pub(crate) syncer: Syncer,
    pub(crate) manifest: Mutex<Manifest>,
    /// Block ids from here on were never given out.
    pub(crate) next_block: AtomicU64,
    pub(crate) reserve: Reserve,
    /// Heads that take no more samples and are not in blocks yet, oldest first.
    pub(crate) frozen: Mutex<VecDeque<Arc<FrozenSet>>>,
    /// Held by whoever flushes.
    pub(crate) flushing: Mutex<()>,
    /// Held by whoever takes blocks away: compaction, retention.
    pub(crate) compacting: Mutex<()>,
    /// Position of the oldest WAL byte that is not in blocks.
    pub(crate) wal_start: AtomicU64,
    /// Whether the WAL that was replayed ends without a frame that says that it is durable.
    pub(crate) unmarked: bool,
    pub(crate) pressure: Pressure,
    pub(crate) lock: Mutex<Option<Box<dyn Lock>>>,
}

impl Deref for Shared {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

/// What changes go through, one at a time.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) wal: Wal,
    /// Monotonic time of the first change since the heads were frozen last.
    pub(crate) head_since: Option<std::time::Duration>,
    /// Changes since then that are not samples.
    pub(crate) changes: Pending,
}

/// Where appends wait for a flush, and flushes say how they ended.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    pub(crate) last: Mutex<FlushOutcome>,
    pub(crate) changed: Condvar,
}

/// How the flushes ended so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct FlushOutcome {
    /// How many ended, well or not.
    pub(crate) ended: u64,
    /// The error of the last one.
    pub(crate) error: Option<Error>,
}

impl Core {
    /// Refuses everything after closing.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    /// What the parts of the database are made with.
    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            dir: &self.dir,
            options: &self.options,
            memory: &self.memory,
        }
    }

    /// The time that ages are measured by: nanoseconds since the Unix epoch.
    pub(crate) fn now(&self) -> i64 {
        self.options.clock.now()
    }
}

impl Shared {
    /// Refuses writes after a failure and everything after closing.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        self.poison.check()
    }

    /// Waits until everything written to the WAL is durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.poison.check()?;
        self.syncer
            .sync_all()
            .map_err(|error| self.sync_failed(error))
    }

    /// Waits until the WAL is durable up to `position`.
    pub(crate) fn sync_to(&self, position: u64) -> Result<()> {
        self.poison.check()?;
        self.syncer
            .sync_to(position)
            .map_err(|error| self.sync_failed(error))
    }

    fn sync_failed(&self, error: std::io::Error) -> Error {
        let cause = Error::Io {
            action: "fsync",
            path: self.dir.join(crate::wal::DIR),
            source: Arc::new(error),
        };
        self.poison.set(&cause)
    }

    /// Bytes of the WAL that are not in blocks.
    pub(crate) fn wal_bytes(&self) -> u64 {
        self.syncer
            .written()
            .saturating_sub(self.wal_start.load(Ordering::Acquire))
    }

    /// Heap that the heads which still take samples hold, in bytes.
    pub(crate) fn live_bytes(&self) -> u64 {
        let spaces = self.spaces.all();
        spaces.iter().map(|s| s.view.get().live.bytes()).sum()
    }

    /// Size of the WAL at which the heads are flushed, in bytes.
    pub(crate) fn wal_most(&self) -> u64 {
        self.options.wal_max_bytes
    }

    /// `count` block ids that nobody else gets; the first of them.
    pub(crate) fn take_block_ids(&self, count: u64) -> u64 {
        self.next_block.fetch_add(count, Ordering::AcqRel)
    }
}
