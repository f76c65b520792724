//! Every limit of the engine that is not an option: hard maxima that sizes read from files or
//! callers are checked against before they drive an allocation or a loop.
//!
//! `docs/limits.md` lists them all, with the ones that `Options` and `QueryLimits` can move.

/// Most samples in one batch, and so in one WAL frame.
pub const MAX_BATCH_SAMPLES: usize = 4 << 20;

/// Longest payload of one WAL frame, in bytes.
pub const MAX_FRAME_BYTES: usize = 256 << 20;

/// Longest record of the manifest, in bytes.
pub const MAX_MANIFEST_RECORD_BYTES: usize = 64 << 20;

/// Most samples in one chunk that the engine writes.
pub const CHUNK_SAMPLES: usize = 1024;

/// Samples after which the head closes the chunk that it is writing for a series.
pub const HEAD_CHUNK_SAMPLES: usize = 240;

/// Histograms after which the head closes the chunk that it is writing for a series: until then each
/// takes some hundred bytes.
pub const HEAD_HISTOGRAMS: usize = 32;

/// Most bytes of histograms and starts in one batch, as its frame has them at most.
pub const MAX_BATCH_EXTRA_BYTES: usize = 128 << 20;

/// Late samples of one series that the head keeps unsorted before it sorts and encodes them.
pub const LATE_SAMPLES: usize = 256;

/// Most blocks that one flush writes, however wide the times of its samples are.
pub const FLUSH_BLOCKS: usize = 4;

/// Most series that one database can hold in memory: ids are 32 bits.
pub const MAX_SERIES: u64 = u32::MAX as u64 - 1;

/// Longest name of a namespace, in bytes.
pub const MAX_NAMESPACE_NAME_BYTES: usize = 64;

/// Most namespaces in one database.
pub const MAX_NAMESPACES: usize = 4096;

/// Most steps to which one namespace is downsampled.
pub const MAX_DOWNSAMPLES: usize = 8;

/// Longest step of downsampling, in seconds: 194 days.
pub const MAX_STEP_SECONDS: u32 = 194 * 86_400;

/// Longest metric name that metadata is kept for, in bytes.
pub const MAX_METRIC_NAME_BYTES: usize = 1 << 10;

/// Longest unit in the metadata of a metric, in bytes.
pub const MAX_UNIT_BYTES: usize = 256;

/// Longest help text in the metadata of a metric, in bytes.
pub const MAX_HELP_BYTES: usize = 16 << 10;

/// Most bytes of metadata in one database, names of metrics included.
pub const MAX_METADATA_BYTES: usize = 24 << 20;

/// Longest selector of a delete, in bytes.
pub const MAX_SELECTOR_BYTES: usize = 1 << 20;

/// Most tombstones of one database that compaction has not yet made unnecessary.
pub const MAX_TOMBSTONES: usize = 10_000;

/// Most bytes of all tombstones of one database.
pub const MAX_TOMBSTONE_BYTES: usize = 16 << 20;

/// Most patterns (`=~`, `!~`) in all tombstones of one database: each is kept compiled.
pub const MAX_TOMBSTONE_PATTERNS: usize = 1024;
