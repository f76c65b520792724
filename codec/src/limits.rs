//! The numbers that every decoder checks before it sizes an allocation or a loop.

/// Most samples in one sealed chunk or timestamp column. Decoders refuse larger counts before they
/// allocate; with eight bytes per number a column is at most 64 KiB.
pub const MAX_CHUNK_SAMPLES: usize = 8192;

/// Samples per packed block: the step in which a range of a chunk is decoded.
pub const BLOCK_SAMPLES: usize = 128;

/// Most samples that one byte of a stream can stand for (one bit each), hence the bound of what
/// [`crate::decode_stream`] allocates: 16 bytes of output for each of them.
pub const MAX_STREAM_SAMPLES_PER_BYTE: usize = 8;

/// Most buckets and custom bounds of one histogram.
pub const MAX_HISTOGRAM_BUCKETS: usize = 4096;

/// Most buckets, of all histograms of a chunk together, that are laid out as columns: each takes 16
/// bytes once it is decoded. Histograms that have more are laid out one by one.
pub const MAX_HISTOGRAM_CELLS: usize = 1 << 20;

/// Most distinct values in the dictionary of a chunk.
pub(crate) const MAX_DICTIONARY: usize = 256;
