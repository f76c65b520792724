//! The bodies of the fuzz targets, one function each: any bytes in, a panic when a promise breaks.
//!
//! Input: bytes from libFuzzer, or a committed seed (the test `seeds` of treering-benches replays
//! all of them on stable). Output: nothing. Every body asserts more than "no panic": decoders must
//! bound what they append, leave their output alone on an error, and give back what encoders took.
#![forbid(unsafe_code)]

mod codec;
mod engine;
mod files;
mod formats;
mod index;
mod model;
mod ops;
mod plain;
mod promql;

pub use codec::{
    codec_extras, codec_plain, codec_roundtrip, codec_stats, codec_stream, codec_timestamps,
    codec_values, m3tsz, varint,
};
pub use engine::{
    block_open, block_patched, block_stepped, exported_chunk, manifest_open, manifest_records,
    stepped_block, wal_change, wal_frames, wal_replay,
};
pub use files::Base;
pub use formats::{prometheus_chunk, prometheus_index, prometheus_log};
pub use index::{index_open, labels_parse, selector_parse};
pub use ops::engine_ops;
pub use promql::promql_parse;

/// The body of a target.
pub type Body = fn(&[u8]);

/// Every target by name; its seeds lie in `fuzz/seeds/NAME/`.
pub const TARGETS: &[(&str, Body)] = &[
    ("block_open", block_open),
    ("block_patched", block_patched),
    ("block_stepped", block_stepped),
    ("codec_extras", codec_extras),
    ("codec_plain", codec_plain),
    ("codec_roundtrip", codec_roundtrip),
    ("codec_stats", codec_stats),
    ("codec_stream", codec_stream),
    ("codec_timestamps", codec_timestamps),
    ("codec_values", codec_values),
    ("engine_ops", engine_ops),
    ("exported_chunk", exported_chunk),
    ("index_open", index_open),
    ("labels_parse", labels_parse),
    ("m3tsz", m3tsz),
    ("manifest_open", manifest_open),
    ("manifest_records", manifest_records),
    ("prometheus_chunk", prometheus_chunk),
    ("prometheus_index", prometheus_index),
    ("prometheus_log", prometheus_log),
    ("promql_parse", promql_parse),
    ("selector_parse", selector_parse),
    ("varint", varint),
    ("wal_change", wal_change),
    ("wal_frames", wal_frames),
    ("wal_replay", wal_replay),
];
