//! Counters of a database as a plain struct, for logs, dashboards and tests.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a database holds and has done since it was opened. Bytes are bytes, times nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DbStats {
    /// Series in memory.
    pub series: u64,
    /// Heap that labels and their index take, in bytes.
    pub label_bytes: u64,
    /// Samples in the heads, not yet in blocks.
    pub head_samples: u64,
    /// Heap that the heads take, in bytes.
    pub head_bytes: u64,
    /// Timestamps of the oldest and newest sample of the database.
    pub time_range: Option<(i64, i64)>,
    /// Sequence of the last change.
    pub last_sequence: u64,
    /// Samples appended since the open.
    pub samples_appended: u64,
    /// Samples refused since the open.
    pub samples_rejected: u64,
    /// Batches appended since the open.
    pub batches: u64,
    /// Bytes of the WAL not yet in blocks.
    pub wal_bytes: u64,
    /// Bytes of the WAL written and not yet fsynced.
    pub wal_unsynced_bytes: u64,
    /// Flushes since the open.
    pub flushes: u64,
    /// Appends that waited for a flush.
    pub waits: u64,
    /// Live blocks.
    pub blocks: u64,
    /// Series in blocks, counted once per block.
    pub block_series: u64,
    /// Samples in blocks.
    pub block_samples: u64,
    /// Bytes of blocks, by what they hold.
    pub block_bytes: BlockBytesTotal,
    /// Heap that open blocks hold: caches and, with `Reads::Pread`, their indexes.
    pub block_heap_bytes: u64,
    /// Whether writes were stopped by a failure.
    pub poisoned: bool,
}

/// Bytes of all blocks, by what they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BlockBytesTotal {
    /// Shared timestamp columns.
    pub timestamps: u64,
    /// Value chunks.
    pub values: u64,
    /// Chunk directory with statistics.
    pub directory: u64,
    /// Labels and postings.
    pub index: u64,
    /// Headers, page tables, footers.
    pub other: u64,
    /// All of them.
    pub total: u64,
}

/// Counters that threads add to.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) samples: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) waits: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
