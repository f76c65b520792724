//! Rivals that are crates: pco, alp, zstd and tsz, set up as their documentation recommends.
//!
//! Input: a chunk. Output: the bytes that their formats need beside a count that is known. pco is
//! used through its wrapped format, which leaves lengths to the file around it. alp makes integers
//! and splits of floats; packing them is left to its user: frame of reference and plain bit-packing
//! here, since its companion packs 1,024 values at a time.

use pco::ChunkConfig;
use pco::wrapped::{FileCompressor, FileDecompressor};
use tsz::stream::{BufferedReader, BufferedWriter};
use tsz::{DataPoint, Decode, Encode, StdDecoder, StdEncoder};

use crate::codec::{Codec, Column, Decoded};

/// pco over values or timestamps.
pub(crate) struct Pco {
    name: &'static str,
    config: ChunkConfig,
    /// The header is the version of the format, one for a whole file: none is counted.
    file: FileDecompressor,
    is_times: bool,
}

impl Pco {
    pub(crate) fn new(name: &'static str, level: usize, is_times: bool) -> Self {
        let config = ChunkConfig::default().with_compression_level(level);
        let mut header = Vec::new();
        let written = FileCompressor::default().write_header(&mut header);
        written.expect("memory takes all");
        let (file, _) = FileDecompressor::new(header.as_slice()).expect("its own header");
        Self {
            name,
            config,
            file,
            is_times,
        }
    }

    fn write<T: pco::data_types::Number>(&self, numbers: &[T], out: &mut Vec<u8>) {
        let file = FileCompressor::default();
        let mut chunk = file
            .chunk_compressor(numbers, &self.config)
            .expect("pco takes any numbers");
        chunk.write_meta(&mut *out).expect("memory takes all");
        chunk.write_page(0, &mut *out).expect("memory takes all");
    }

    fn read<T: pco::data_types::Number>(&self, bytes: &[u8], count: usize, out: &mut Vec<T>) {
        let (mut chunk, rest) = self
            .file
            .chunk_decompressor::<T, _>(bytes)
            .expect("its own chunk");
        let mut page = chunk.page_decompressor(rest, count).expect("its own page");
        let start = out.len();
        out.resize(start + count, T::default());
        page.read(&mut out[start..]).expect("its own page");
    }
}

impl Codec for Pco {
    fn name(&self) -> &'static str {
        self.name
    }

    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        match self.is_times {
            true => self.write(column.millis, out),
            false => self.write(column.values, out),
        }
    }

    fn decode(&mut self, bytes: &[u8], count: usize, out: &mut Decoded) {
        match self.is_times {
            true => self.read(bytes, count, &mut out.times),
            false => self.read(bytes, count, &mut out.values),
        }
    }
}

/// zstd at its default level 3 over the little-endian bytes of the values.
pub(crate) struct Zstd {
    compressor: zstd::bulk::Compressor<'static>,
    decompressor: zstd::bulk::Decompressor<'static>,
    raw: Vec<u8>,
}

impl Zstd {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            compressor: zstd::bulk::Compressor::new(3)?,
            decompressor: zstd::bulk::Decompressor::new()?,
            raw: Vec::new(),
        })
    }
}

impl Codec for Zstd {
    fn name(&self) -> &'static str {
        "zstd3"
    }

    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        self.raw.clear();
        for value in column.values {
            self.raw.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        let start = out.len();
        out.resize(start + zstd::zstd_safe::compress_bound(self.raw.len()), 0);
        let written = self
            .compressor
            .compress_to_buffer(&self.raw, &mut out[start..])
            .expect("the buffer has the bound of its size");
        out.truncate(start + written);
    }

    fn decode(&mut self, bytes: &[u8], count: usize, out: &mut Decoded) {
        self.raw.resize(count * 8, 0);
        self.decompressor
            .decompress_to_buffer(bytes, &mut self.raw[..])
            .expect("its own frame");
        let words = self.raw.chunks_exact(8);
        let floats =
            words.map(|word| f64::from_bits(u64::from_le_bytes(word.try_into().unwrap_or([0; 8]))));
        out.values.extend(floats);
    }
}

/// tsz: Gorilla as a crate, timestamps and values together.
pub(crate) struct Tsz;

impl Codec for Tsz {
    fn name(&self) -> &'static str {
        "tsz"
    }

    /// Times that it cannot hold (backwards, steps beyond 31 bits) are stored as they are.
    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        let steps = || column.millis.windows(2).map(|pair| pair[1] - pair[0]);
        let first = column.millis.first().copied().unwrap_or(0);
        if first < 0 || steps().any(|step| !(0..1 << 30).contains(&step)) {
            out.push(1);
            for (time, value) in column.millis.iter().zip(column.values) {
                out.extend_from_slice(&time.to_le_bytes());
                out.extend_from_slice(&value.to_bits().to_le_bytes());
            }
            return;
        }
        let mut encoder = StdEncoder::new(first as u64, BufferedWriter::new());
        for (&time, &value) in column.millis.iter().zip(column.values) {
            encoder.encode(DataPoint::new(time as u64, value));
        }
        out.push(0);
        out.extend_from_slice(&encoder.close());
    }

    fn decode(&mut self, bytes: &[u8], count: usize, out: &mut Decoded) {
        let Some((&is_raw, bytes)) = bytes.split_first() else {
            return;
        };
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or([0; 8]));
        if is_raw != 0 {
            for pair in bytes.chunks_exact(16) {
                out.times.push(word(&pair[..8]) as i64);
                out.values.push(f64::from_bits(word(&pair[8..])));
            }
            return;
        }
        let mut decoder = StdDecoder::new(BufferedReader::new(bytes.into()));
        for _ in 0..count {
            let point = decoder.next().expect("its own stream");
            out.times.push(point.get_time() as i64);
            out.values.push(point.get_value());
        }
    }
}

/// alp, classic or for real doubles, whichever is smaller.
#[derive(Default)]
pub(crate) struct Alp {
    split: Vec<u8>,
    ints: Vec<i64>,
}

impl Codec for Alp {
    fn name(&self) -> &'static str {
        "alp"
    }

    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        encode_classic(column.values, out);
        // Real doubles are tried where the paper does: when classic ALP does not pay.
        if out.len() - start > column.values.len() * 6 {
            self.split.clear();
            encode_split(column.values, &mut self.split);
            if self.split.len() < out.len() - start {
                out.truncate(start);
                out.extend_from_slice(&self.split);
            }
        }
    }

    fn decode(&mut self, bytes: &[u8], count: usize, out: &mut Decoded) {
        match bytes.split_first() {
            Some((0, rest)) => decode_classic(rest, count, &mut self.ints, &mut out.values),
            Some((_, rest)) => decode_split(rest, count, &mut out.values),
            None => {}
        }
    }
}

/// 0, e, f, width, exceptions (2), minimum (8), packed integers, exceptions as (2, 8) bytes.
fn encode_classic(values: &[f64], out: &mut Vec<u8>) {
    let (exponents, ints, positions, exceptions, _) = alp::encode(values, None);
    let low = ints.iter().copied().min().unwrap_or(0);
    let high = ints.iter().copied().max().unwrap_or(0);
    let width = u32::from(alp::bit_width(high.wrapping_sub(low) as u64));
    out.extend_from_slice(&[0, exponents.e, exponents.f, width as u8]);
    out.extend_from_slice(&(positions.len() as u16).to_le_bytes());
    out.extend_from_slice(&low.to_le_bytes());
    pack(
        ints.iter().map(|int| int.wrapping_sub(low) as u64),
        width,
        out,
    );
    for (position, exception) in positions.iter().zip(exceptions) {
        out.extend_from_slice(&(*position as u16).to_le_bytes());
        out.extend_from_slice(&exception.to_bits().to_le_bytes());
    }
}

fn decode_classic(bytes: &[u8], count: usize, ints: &mut Vec<i64>, out: &mut Vec<f64>) {
    let exponents = alp::Exponents {
        e: bytes[0],
        f: bytes[1],
    };
    let width = u32::from(bytes[2]);
    let exceptions = usize::from(u16::from_le_bytes([bytes[3], bytes[4]]));
    let low = i64::from_le_bytes(bytes[5..13].try_into().unwrap_or([0; 8]));
    let packed = (count * width as usize).div_ceil(8);
    let (packed, rest) = bytes[13..].split_at(packed);
    ints.clear();
    let fields = (0..count).map(|index| field(packed, width, index));
    ints.extend(fields.map(|field| low.wrapping_add(field as i64)));
    let start = out.len();
    out.resize(start + count, 0.0);
    alp::decode_into::<f64>(ints, exponents, &mut out[start..]);
    for exception in rest.chunks_exact(10).take(exceptions) {
        let position = usize::from(u16::from_le_bytes([exception[0], exception[1]]));
        let bits = u64::from_le_bytes(exception[2..].try_into().unwrap_or([0; 8]));
        out[start + position] = f64::from_bits(bits);
    }
}

/// 1, widths of the right and the left parts, codes, the codes (2 each), exceptions (2), packed left parts,
/// packed right parts, exceptions as (2, 2) bytes.
fn encode_split(values: &[f64], out: &mut Vec<u8>) {
    if values.is_empty() {
        return out.push(1);
    }
    let split = alp::RDEncoder::new(values).split(values);
    let (left_width, right_width) = (split.left_parts_bit_width(), split.right_parts_bit_width());
    out.extend_from_slice(&[1, right_width, left_width, split.left_dict().len() as u8]);
    for code in split.left_dict() {
        out.extend_from_slice(&code.to_le_bytes());
    }
    let exceptions = split.left_exceptions();
    out.extend_from_slice(&(exceptions.len() as u16).to_le_bytes());
    let left_parts = split.left_parts().iter().copied();
    pack(left_parts.map(u64::from), left_width.into(), out);
    pack(split.right_parts().iter().copied(), right_width.into(), out);
    for (position, left) in exceptions.positions().iter().zip(exceptions.values()) {
        out.extend_from_slice(&(*position as u16).to_le_bytes());
        out.extend_from_slice(&left.to_le_bytes());
    }
}

fn decode_split(bytes: &[u8], count: usize, out: &mut Vec<f64>) {
    let &[right_width, left_width, codes, ref rest @ ..] = bytes else {
        return;
    };
    let half = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
    let (codes, rest) = rest.split_at(usize::from(codes) * 2);
    let dictionary: Vec<u16> = codes.chunks_exact(2).map(half).collect();
    let exceptions = usize::from(half(rest));
    let len = |width: u8| (count * usize::from(width)).div_ceil(8);
    let (left, rest) = rest[2..].split_at(len(left_width));
    let (right, pairs) = rest.split_at(len(right_width));
    let left: Vec<u16> = (0..count)
        .map(|index| field(left, left_width.into(), index) as u16)
        .collect();
    let right: Vec<u64> = (0..count)
        .map(|index| field(right, right_width.into(), index))
        .collect();
    let (positions, values): (Vec<u64>, Vec<u16>) = pairs
        .chunks_exact(4)
        .take(exceptions)
        .map(|pair| (u64::from(half(pair)), half(&pair[2..])))
        .unzip();
    let decoded =
        alp::alp_rd_decode::<f64>(&left, &dictionary, right_width, &right, &positions, &values);
    out.extend_from_slice(&decoded);
}

/// Packs fields side by side from the least significant bit on, to a whole byte.
fn pack(fields: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let (mut word, mut fill) = (0u128, 0);
    for field in fields {
        word |= u128::from(field) << fill;
        fill += width;
        if fill >= 64 {
            out.extend_from_slice(&(word as u64).to_le_bytes());
            word >>= 64;
            fill -= 64;
        }
    }
    let bytes = fill.div_ceil(8) as usize;
    out.extend_from_slice(&word.to_le_bytes()[..bytes]);
}

/// One of the fields that [`pack`] wrote.
#[inline]
fn field(packed: &[u8], width: u32, index: usize) -> u64 {
    let bit = index * width as usize;
    let rest = packed.get(bit / 8..).unwrap_or_default();
    let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
    match rest.first_chunk::<8>() {
        Some(word) if width <= 57 => (u64::from_le_bytes(*word) >> (bit % 8)) & mask,
        _ => far_field(rest, (bit % 8) as u32) & mask,
    }
}

/// A field near the end, or a very wide one.
#[cold]
fn far_field(rest: &[u8], shift: u32) -> u64 {
    let mut word = [0; 16];
    let len = rest.len().min(16);
    word[..len].copy_from_slice(&rest[..len]);
    (u128::from_le_bytes(word) >> shift) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_all_widths_come_back() {
        for width in 0..=64u32 {
            let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
            let fields: Vec<u64> = (1..50u64)
                .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask)
                .collect();
            let mut packed = Vec::new();
            pack(fields.iter().copied(), width, &mut packed);
            assert_eq!(packed.len(), (49 * width as usize).div_ceil(8));
            let found: Vec<u64> = (0..49).map(|index| field(&packed, width, index)).collect();
            assert_eq!(found, fields);
        }
    }
}
