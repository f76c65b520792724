//! The XOR chunk of Prometheus, timestamps and values together, written from its documented layout
//! (`tsdb/docs/format/chunks.md`): a count of two bytes, then one bit stream.
//!
//! Input: samples of one series, times in milliseconds. Output: first time and value whole, second
//! time as a varint of the difference, then differences of differences in 1, 16, 20, 24 or 68 bits,
//! each followed by the XOR of the values in Gorilla's windows.

use crate::bitstream::{BitReader, BitWriter};
use crate::codec::{Codec, Column, Decoded};
use crate::gorilla::Window;

/// The chunk.
pub(crate) struct XorChunk;

const BITS: [u32; 4] = [14, 17, 20, 64];

impl Codec for XorChunk {
    fn name(&self) -> &'static str {
        "prom-xor"
    }

    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&(column.millis.len() as u16).to_be_bytes());
        let mut writer = BitWriter::new(out);
        let mut window = Window::default();
        let (mut last, mut delta) = (0i64, 0i64);
        for (index, (&time, value)) in column.millis.iter().zip(column.values).enumerate() {
            let step = time.wrapping_sub(last);
            match index {
                0 => put_varint(&mut writer, (time << 1 ^ time >> 63) as u64),
                1 => put_varint(&mut writer, step as u64),
                _ => put_dod(&mut writer, step.wrapping_sub(delta)),
            }
            (last, delta) = (time, step);
            window.put(&mut writer, value.to_bits(), index == 0);
        }
        writer.finish();
    }

    fn decode(&mut self, bytes: &[u8], _: usize, out: &mut Decoded) {
        let Some((count, body)) = bytes.split_first_chunk::<2>() else {
            return;
        };
        let mut reader = BitReader::new(body);
        let mut window = Window::default();
        let (mut time, mut delta) = (0i64, 0i64);
        for index in 0..usize::from(u16::from_be_bytes(*count)) {
            match index {
                0 => {
                    let first = take_varint(&mut reader);
                    time = (first >> 1) as i64 ^ -((first & 1) as i64);
                }
                1 => delta = take_varint(&mut reader) as i64,
                _ => {
                    let dod = match reader.ones(4) {
                        0 => 0,
                        ones => reader.signed(BITS[ones as usize - 1]),
                    };
                    delta = delta.wrapping_add(dod);
                }
            }
            time = time.wrapping_add(delta);
            out.times.push(time);
            let bits = window.take(&mut reader, index == 0);
            out.values.push(f64::from_bits(bits));
        }
    }
}

fn put_dod(writer: &mut BitWriter<'_>, dod: i64) {
    if dod == 0 {
        return writer.put(0, 1);
    }
    let fits = |bits: u32| dod << (64 - bits) >> (64 - bits) == dod;
    match BITS.iter().position(|&bits| fits(bits)) {
        Some(0) => writer.put(0b10, 2),
        Some(1) => writer.put(0b110, 3),
        Some(2) => writer.put(0b1110, 4),
        _ => writer.put(0b1111, 4),
    }
    let bits = BITS.into_iter().find(|&bits| fits(bits)).unwrap_or(64);
    writer.put(dod as u64, bits);
}

fn put_varint(writer: &mut BitWriter<'_>, mut value: u64) {
    while value >= 0x80 {
        writer.put(value & 0x7f | 0x80, 8);
        value >>= 7;
    }
    writer.put(value, 8);
}

fn take_varint(reader: &mut BitReader<'_>) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = reader.take(8);
        value |= (byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 || shift > 63 {
            return value;
        }
    }
}
