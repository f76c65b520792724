//! Every knob of a database, with its default and range; checked once, when the database is opened.
//!
//! Options are per open: none of them is stored, and each open may choose its own. What is stored
//! is kept per namespace, in `NamespaceOptions`.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::limits::MAX_SERIES;
use crate::vfs::{DiskVfs, Vfs, total_memory};
use serde::{Deserialize, Serialize};
use treering_index::LabelLimits;

/// When an append is acknowledged; `docs/guarantees.md` says what each mode can lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Sync {
    /// When its frame is fsynced; concurrent appends share one fsync. Nothing acknowledged is ever
    /// lost.
    Always,
    /// When its frame is written to the operating system, which is told to sync at least this
    /// often. A killed process loses nothing; a power cut at most the last interval.
    Interval(Duration),
    /// When its frame is written to the operating system, which syncs when it likes.
    Never,
}

/// How blocks are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reads {
    /// Through a memory map: fastest. A failing disk can end the process (`SIGBUS`).
    Mmap,
    /// Through `pread`: a failing disk is an error.
    Pread,
}

/// Who flushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Maintenance {
    /// Threads of the database, when memory, WAL size or age call for it.
    Background,
    /// Only by `Db::flush`, `Db::compact` and `Db::maintain`, and in an append that finds memory or
    /// the WAL full. For tests and for programs that want no threads; `Sync::Interval` then syncs
    /// within appends.
    Manual,
}

/// Bounds on one query; each that is reached ends it with a clear error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueryLimits {
    /// Most series that the selector may match.
    pub series: u64,
    /// Most samples that may be read.
    pub samples: u64,
    /// Most bytes of working memory: decoded samples, groups and windows.
    pub bytes: u64,
    /// Longest run time.
    pub timeout: Duration,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            series: 10_000_000,
            samples: 4_000_000_000,
            bytes: 4 << 30,
            timeout: Duration::from_secs(300),
        }
    }
}

impl QueryLimits {
    /// These limits with at most `series` series.
    #[must_use]
    pub fn with_series(mut self, series: u64) -> Self {
        self.series = series;
        self
    }

    /// These limits with at most `samples` samples read.
    #[must_use]
    pub fn with_samples(mut self, samples: u64) -> Self {
        self.samples = samples;
        self
    }

    /// These limits with at most `bytes` bytes of working memory.
    #[must_use]
    pub fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// These limits with at most `timeout` of run time.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// How a database is opened. Start from [`Options::default`] and change what you need:
///
/// ```
/// use treering::{Options, Sync};
/// let options = Options::default().sync(Sync::Always).memory_bytes(256 << 20);
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) create: bool,
    pub(crate) sync: Sync,
    pub(crate) memory_bytes: u64,
    pub(crate) max_series: u64,
    pub(crate) label_limits: LabelLimits,
    pub(crate) wal_file_bytes: u64,
    pub(crate) wal_max_bytes: u64,
    pub(crate) wal_keep_bytes: u64,
    pub(crate) flush_interval: Duration,
    pub(crate) block_window: Option<Duration>,
    pub(crate) entropy_coding: bool,
    pub(crate) reserve_bytes: u64,
    pub(crate) reads: Reads,
    pub(crate) maintenance: Maintenance,
    pub(crate) query: QueryLimits,
    pub(crate) query_threads: usize,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            sync: Sync::Interval(Duration::from_millis(200)),
            memory_bytes: (total_memory() / 4).max(MIN_MEMORY_BYTES),
            max_series: 10_000_000,
            label_limits: LabelLimits::default(),
            wal_file_bytes: 64 << 20,
            wal_max_bytes: 1 << 30,
            wal_keep_bytes: 0,
            flush_interval: Duration::from_secs(2 * 3600),
            block_window: None,
            entropy_coding: false,
            reserve_bytes: 1 << 20,
            reads: Reads::Mmap,
            maintenance: Maintenance::Background,
            query: QueryLimits::default(),
            query_threads: std::thread::available_parallelism().map_or(1, usize::from),
            vfs: Arc::new(DiskVfs::new()),
            clock: Arc::new(SystemClock::new()),
        }
    }
}

const MIN_MEMORY_BYTES: u64 = 8 << 20;

impl Options {
    /// Whether a missing database is made (default) or an error.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// When an append is acknowledged. Default: `Sync::Interval` of 200 ms.
    #[must_use]
    pub fn sync(mut self, sync: Sync) -> Self {
        self.sync = sync;
        self
    }

    /// The heap that the engine may hold, in bytes. Default: a quarter of the machine's memory;
    /// at least 8 MiB.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// What [`Options::memory_bytes`] set, or its default on this machine.
    pub fn memory(&self) -> u64 {
        self.memory_bytes
    }

    /// Most series in memory at once. Default 10,000,000; at most 2^32 - 2.
    #[must_use]
    pub fn max_series(mut self, series: u64) -> Self {
        self.max_series = series;
        self
    }

    /// Bounds on the labels of a series.
    #[must_use]
    pub fn label_limits(mut self, limits: LabelLimits) -> Self {
        self.label_limits = limits;
        self
    }

    /// Size at which a WAL file is closed and the next one begun. Default 64 MiB; 64 KiB to 1 GiB.
    #[must_use]
    pub fn wal_file_bytes(mut self, bytes: u64) -> Self {
        self.wal_file_bytes = bytes;
        self
    }

    /// Size of the whole WAL at which the head is flushed; appends wait at twice that size.
    /// Default 1 GiB; at least one WAL file.
    #[must_use]
    pub fn wal_max_bytes(mut self, bytes: u64) -> Self {
        self.wal_max_bytes = bytes;
        self
    }

    /// Bytes of the WAL that stay on disk after a flush for those who follow the database with
    /// `Db::frames_since`: at least so many, rounded up to whole files and to what was written
    /// between two flushes. Opening does not replay them. On a full disk they are given up before a
    /// write is refused. Default 0: none.
    #[must_use]
    pub fn wal_keep_bytes(mut self, bytes: u64) -> Self {
        self.wal_keep_bytes = bytes;
        self
    }

    /// Age at which the head is flushed. Default two hours; at least one second.
    #[must_use]
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Time window of the blocks that a flush writes, where the namespace does not say; compaction
    /// merges them into wider ones. Default: chosen from the data, 2 hours to 64 days. One minute to
    /// ten years.
    #[must_use]
    pub fn block_window(mut self, window: Duration) -> Self {
        self.block_window = Some(window);
        self
    }

    /// Whether compaction codes the values of the blocks that it writes by their entropy: a few to
    /// ten percent fewer bytes, several times slower to decode and to compact. A chunk is coded so
    /// only where that saves at least one byte in 32 of its numbers. Default false. Blocks of both
    /// kinds are read alike; a block is not written anew because of this option alone.
    #[must_use]
    pub fn entropy_coding(mut self, coding: bool) -> Self {
        self.entropy_coding = coding;
        self
    }

    /// Bytes kept aside on disk, so that a full disk can still be tidied. Default 1 MiB; 0 is
    /// none, at most 1 GiB.
    #[must_use]
    pub fn reserve_bytes(mut self, bytes: u64) -> Self {
        self.reserve_bytes = bytes;
        self
    }

    /// How blocks are read. Default `Reads::Mmap`.
    #[must_use]
    pub fn reads(mut self, reads: Reads) -> Self {
        self.reads = reads;
        self
    }

    /// Who flushes. Default `Maintenance::Background`.
    #[must_use]
    pub fn maintenance(mut self, maintenance: Maintenance) -> Self {
        self.maintenance = maintenance;
        self
    }

    /// Bounds of queries that do not bring their own.
    #[must_use]
    pub fn query_limits(mut self, limits: QueryLimits) -> Self {
        self.query = limits;
        self
    }

    /// Threads that compute: each query has the one that asks, and large ones take what no other
    /// query has of so many less one. A sum
    /// over many series is added up in another order by more threads, so that its last bits may
    /// differ. Default: as many as the machine gives the process. At least one.
    #[must_use]
    pub fn query_threads(mut self, threads: usize) -> Self {
        self.query_threads = threads.max(1);
        self
    }

    /// Where files live. Default: the file system.
    #[must_use]
    pub fn vfs(mut self, vfs: Arc<dyn Vfs>) -> Self {
        self.vfs = vfs;
        self
    }

    /// Where time comes from. Default: the system's clocks.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Size at which a WAL file is closed: small beside the memory, for a replay loads one whole.
    pub(crate) fn wal_file_most(&self) -> u64 {
        self.wal_file_bytes
            .min((self.memory_bytes / 32).max(64 << 10))
    }

    /// Refuses values outside their ranges, by name.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |option, why: &str| {
            Err(Error::InvalidOption {
                option,
                why: why.to_owned(),
            })
        };
        if self.memory_bytes < MIN_MEMORY_BYTES {
            return refuse("memory_bytes", "must be at least 8 MiB");
        }
        if self.max_series == 0 || self.max_series > MAX_SERIES {
            return refuse("max_series", "must be from 1 to 4,294,967,294");
        }
        if !(64 << 10..=1 << 30).contains(&self.wal_file_bytes) {
            return refuse("wal_file_bytes", "must be from 64 KiB to 1 GiB");
        }
        if self.wal_max_bytes < self.wal_file_bytes {
            return refuse("wal_max_bytes", "must be at least Options::wal_file_bytes");
        }
        if self.flush_interval < Duration::from_secs(1) {
            return refuse("flush_interval", "must be at least one second");
        }
        let windows = Duration::from_secs(60)..=Duration::from_secs(10 * 366 * 86_400);
        if self
            .block_window
            .is_some_and(|window| !windows.contains(&window))
        {
            return refuse("block_window", "must be from one minute to ten years");
        }
        if self.reserve_bytes > 1 << 30 {
            return refuse("reserve_bytes", "must be at most 1 GiB");
        }
        if let Sync::Interval(every) = self.sync
            && (every < Duration::from_millis(1) || every > Duration::from_secs(3600))
        {
            return refuse("sync", "must be an interval from 1 ms to one hour");
        }
        Ok(())
    }
}
