//! Treering's own codec: sealed value columns, timestamp columns, and the head's stream.
//!
//! Input: a chunk. Output: the bytes that a block or the head holds of it.

use treering_codec::{
    StreamEncoder, decode_stream, decode_timestamps, decode_values, encode_timestamps,
    encode_values,
};

use crate::codec::{Codec, Column, Decoded};

/// A sealed value column.
pub(crate) struct Values;

impl Codec for Values {
    fn name(&self) -> &'static str {
        "treering"
    }

    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        encode_values(column.values, out);
    }

    fn decode(&mut self, bytes: &[u8], count: usize, out: &mut Decoded) {
        decode_values(bytes, count, &mut out.values).expect("our own bytes");
    }
}

/// A timestamp column.
pub(crate) struct Times;

impl Codec for Times {
    fn name(&self) -> &'static str {
        "treering"
    }

    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        encode_timestamps(column.nanos, out);
    }

    fn decode(&mut self, bytes: &[u8], _: usize, out: &mut Decoded) {
        decode_timestamps(bytes, &mut out.times).expect("our own bytes");
    }
}

/// The head's stream, sample by sample.
pub(crate) struct Head;

impl Codec for Head {
    fn name(&self) -> &'static str {
        "head"
    }

    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        let mut encoder = StreamEncoder::new();
        for (&timestamp, &value) in column.nanos.iter().zip(column.values) {
            encoder.push(timestamp, value);
        }
        encoder.snapshot_into(out);
    }

    fn decode(&mut self, bytes: &[u8], _: usize, out: &mut Decoded) {
        decode_stream(bytes, &mut out.times, &mut out.values).expect("our own bytes");
    }
}
