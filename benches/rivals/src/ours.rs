//! Treering's own codec: sealed value columns, timestamp columns, and the head's stream.
//!
//! Input: a chunk. Output: the bytes that a block or the head holds of it.

use treering_codec::{
    Encoder, StreamEncoder, decode_stream, decode_timestamps, decode_values, encode_timestamps,
};

use crate::codec::{Codec, Column, Decoded};

/// A sealed value column, by an encoder that keeps its memory from chunk to chunk as a flush does.
#[derive(Default)]
pub(crate) struct Values {
    encoder: Encoder,
}

impl Codec for Values {
    fn name(&self) -> &'static str {
        "treering"
    }

    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        self.encoder.encode(column.values, out);
    }

    fn decode(&mut self, bytes: &[u8], count: usize, out: &mut Decoded) {
        decode_values(bytes, count, &mut out.values).expect("our own bytes");
    }
}

/// The same with the entropy stage on.
#[derive(Default)]
pub(crate) struct Cold {
    encoder: Encoder,
}

impl Codec for Cold {
    fn name(&self) -> &'static str {
        "cold"
    }

    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        self.encoder.encode_cold(column.values, out);
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
