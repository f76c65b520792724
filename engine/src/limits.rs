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

/// Late samples of one series that the head keeps unsorted before it sorts and encodes them.
pub const LATE_SAMPLES: usize = 256;

/// Most blocks that one flush writes, however wide the times of its samples are.
pub const FLUSH_BLOCKS: usize = 4;

/// Most series that one database can hold in memory: ids are 32 bits.
pub const MAX_SERIES: u64 = u32::MAX as u64 - 1;

/// Most deletes in one namespace that are not yet compacted away.
pub const MAX_TOMBSTONES: u64 = 10_000;
