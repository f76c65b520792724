//! Value columns of sealed chunks.
use crate::error::{Error, Result};
use crate::limits::MAX_CHUNK_SAMPLES;
use crate::varint::Reader;
use std::ops::Range;

/// How the values of a chunk are encoded. Numbers on disk; never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Encoding {
    /// Eight bytes each.
    Raw = 0,
}

/// Appends a chunk of `values` (at most [`MAX_CHUNK_SAMPLES`]) to `out`; returns its encoding.
///
/// # Panics
/// When there are more than [`MAX_CHUNK_SAMPLES`]: nothing could read them back.
pub fn encode_values(values: &[f64], out: &mut Vec<u8>) -> Encoding {
    assert!(
        values.len() <= MAX_CHUNK_SAMPLES,
        "a chunk of too many samples"
    );
    out.push(1 << 5);
    for value in values {
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
    Encoding::Raw
}

/// Appends the `count` values of a chunk to `out`.
pub fn decode_values(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Result<()> {
    decode_values_range(bytes, count, 0..count, out)
}

/// Appends the values `range` of the `count` values of a chunk to `out`.
pub fn decode_values_range(
    bytes: &[u8],
    count: usize,
    range: Range<usize>,
    out: &mut Vec<f64>,
) -> Result<()> {
    if count > MAX_CHUNK_SAMPLES || range.end > count || range.start > range.end {
        return Err(Error::Malformed {
            offset: 0,
            what: "a range outside of the chunk",
        });
    }
    let mut reader = Reader::new(bytes);
    if reader.u8()? != 1 << 5 {
        return Err(Error::Unsupported {
            offset: 0,
            what: "value encoding",
            found: 1,
        });
    }
    reader.take(range.start * 8)?;
    for _ in range {
        out.push(f64::from_bits(reader.u64()?));
    }
    Ok(())
}
