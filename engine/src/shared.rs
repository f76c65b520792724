//! What the foreground and the maintenance of one open database share.
//!
//! `db.rs` and `background.rs` join the stages through it; no stage holds it. Locks are taken in
//! this order and never the other way: the threads of `Db`, `flushing`, `commit`, shards of a head,
//! `registry`, `manifest`, `view`, then those of the syncer (its turn, its tail). `pressure` and
//! `lock` are taken alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::head::Head;
use crate::manifest::Manifest;
use crate::options::Options;
use crate::poison::Poison;
use crate::recover::RecoveryReport;
use crate::registry::Registry;
use crate::reserve::Reserve;
use crate::stats::Counters;
use crate::sync::{Condvar, Mutex, RwLock};
use crate::vfs::Lock;
use crate::view::CurrentView;
use crate::wal::{Syncer, Wal};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    /// Names this open in every `SeriesRef`.
    pub(crate) open: u64,
    pub(crate) registry: RwLock<Registry>,
    pub(crate) commit: Mutex<Commit>,
    /// `Commit::wal.generation()`, readable without the lock.
    pub(crate) generation: AtomicU64,
    pub(crate) syncer: Syncer,
    pub(crate) view: CurrentView,
    pub(crate) manifest: Mutex<Manifest>,
    pub(crate) reserve: Reserve,
    pub(crate) poison: Poison,
    pub(crate) closed: AtomicBool,
    pub(crate) counters: Counters,
    pub(crate) recovery: RecoveryReport,
    /// Held by whoever flushes.
    pub(crate) flushing: Mutex<()>,
    /// Position of the oldest WAL byte that is not in blocks.
    pub(crate) wal_start: AtomicU64,
    /// Whether the WAL that was replayed ends without a frame that says that it is durable.
    pub(crate) unmarked: bool,
    pub(crate) pressure: Pressure,
    pub(crate) lock: Mutex<Option<Box<dyn Lock>>>,
}

/// What appends change, one at a time.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) wal: Wal,
    pub(crate) head: Arc<Head>,
    /// Monotonic time of the first sample of the head.
    pub(crate) head_since: Option<std::time::Duration>,
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

impl Shared {
    /// Refuses writes after a failure and everything after closing.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        self.poison.check()
    }

    /// Refuses everything after closing.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            Err(Error::Closed)
        } else {
            Ok(())
        }
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

    /// Bytes of heap that heads take.
    pub(crate) fn head_bytes(&self) -> u64 {
        self.view.get().heads().map(|head| head.bytes()).sum()
    }

    /// Bytes of the WAL that are not in blocks.
    pub(crate) fn wal_bytes(&self) -> u64 {
        self.syncer
            .written()
            .saturating_sub(self.wal_start.load(Ordering::Acquire))
    }

    /// Heap at which the live head is frozen.
    pub(crate) fn head_bytes_full(&self) -> u64 {
        self.options.memory_bytes / 4
    }

    /// Heap of all heads at which appends wait.
    pub(crate) fn head_bytes_max(&self) -> u64 {
        self.options.memory_bytes / 2
    }
}
