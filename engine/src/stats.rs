//! Counters of a database as a plain struct, for logs, dashboards and tests.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::shared::Core;
use crate::space::Space;

/// What a database holds and has done since it was opened. Bytes are bytes, times nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DbStats {
    /// Namespaces.
    pub namespaces: u64,
    /// Series in memory.
    pub series: u64,
    /// Heap that labels and their index take, in bytes.
    pub label_bytes: u64,
    /// Samples in the heads, not yet in blocks.
    pub head_samples: u64,
    /// Heap that the heads take, those that only open iterators still read included, in bytes.
    pub head_bytes: u64,
    /// Heap that queries under way take, in bytes.
    pub query_bytes: u64,
    /// Timestamps of the oldest and newest sample of the database.
    pub time_range: Option<(i64, i64)>,
    /// Sequence of the last change.
    pub last_sequence: u64,
    /// Samples appended since the open.
    pub samples_appended: u64,
    /// Samples refused since the open.
    pub samples_rejected: u64,
    /// Of these, samples that were older than the retention.
    pub samples_expired: u64,
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
    /// Bytes of blocks that flushes wrote since the open.
    pub flushed_bytes: u64,
    /// Merges of blocks since the open.
    pub compactions: u64,
    /// Bytes of blocks that they wrote.
    pub compacted_bytes: u64,
    /// Blocks dropped whole since the open, by retention or deletes.
    pub blocks_dropped: u64,
    /// Deletes that are not yet compacted away.
    pub tombstones: u64,
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
    pub(crate) flushed_bytes: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) compacted_bytes: AtomicU64,
    pub(crate) blocks_dropped: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// What questions can tell of a database; the writing side adds what it knows of the WAL.
pub(crate) fn stats(core: &Core) -> DbStats {
    let counters = &core.counters;
    let mut stats = DbStats {
        samples_appended: Counters::get(&counters.samples),
        samples_rejected: Counters::get(&counters.rejected),
        batches: Counters::get(&counters.batches),
        flushes: Counters::get(&counters.flushes),
        waits: Counters::get(&counters.waits),
        flushed_bytes: Counters::get(&counters.flushed_bytes),
        compactions: Counters::get(&counters.compactions),
        compacted_bytes: Counters::get(&counters.compacted_bytes),
        blocks_dropped: Counters::get(&counters.blocks_dropped),
        label_bytes: core.memory.labels.bytes.load(Ordering::Relaxed),
        head_bytes: core.memory.head_bytes(),
        query_bytes: core.memory.queries.used(),
        poisoned: core.poison.check().is_err(),
        ..DbStats::default()
    };
    for space in core.spaces.all() {
        stats.namespaces += 1;
        stats.samples_expired += Counters::get(&space.expired);
        add_space(&mut stats, &space);
    }
    stats
}

/// Adds what one namespace holds.
pub(crate) fn add_space(stats: &mut DbStats, space: &Space) {
    let view = space.view.get();
    stats.series += space.registry.read().len() as u64;
    stats.tombstones += view.tombstones.len() as u64;
    stats.head_samples += view.heads().map(|head| head.samples()).sum::<u64>();
    stats.blocks += view.blocks.len() as u64;
    let mut ranges: Vec<(i64, i64)> = view.heads().filter_map(|head| head.time_range()).collect();
    ranges.extend(stats.time_range);
    for live in &view.blocks {
        let info = live.block.info();
        stats.block_series += info.series;
        stats.block_samples += info.samples;
        stats.block_heap_bytes += live.block.heap_bytes() as u64;
        let total = &mut stats.block_bytes;
        total.timestamps += info.bytes.timestamps;
        total.values += info.bytes.values;
        total.directory += info.bytes.directory;
        total.index += info.bytes.index;
        total.other += info.bytes.other;
        total.total += info.bytes.total;
        ranges.push((info.min_time, info.max_time));
    }
    stats.time_range = ranges
        .into_iter()
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
}
