//! Unsigned integers of one width side by side, least significant bit first.
//!
//! The unpack kernels exist once per width, so that every shift and mask is a constant, the loop
//! has no branch, and the compiler may vectorise it. Source of the idea: D. Lemire, L. Boytsov,
//! "Decoding billions of integers per second through vectorization" (2015).

use crate::error::{Error, Result};
use crate::limits::BLOCK_SAMPLES;
use crate::varint::Reader;

/// Widest values of the kernels: with a shift of up to seven they fit one 64-bit load.
pub(crate) const MAX_WIDTH: u8 = 56;
/// Room for a block of the widest values, and for the last load to reach beyond it.
const PADDED_BYTES: usize = BLOCK_SAMPLES / 8 * MAX_WIDTH as usize + 8;

/// A block of integers, the unit of unpacking.
pub(crate) type Block = [i64; BLOCK_SAMPLES];

/// Bytes that `count` values of `width` bits take.
pub(crate) const fn packed_len(count: usize, width: u8) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Appends the low `width` (0 to 64) bits of each value to `out`.
pub(crate) fn pack(values: impl Iterator<Item = u64>, width: u8, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let (mut pending, mut fill) = (0u128, 0u32);
    for value in values {
        pending |= u128::from(value) << fill;
        fill += u32::from(width);
        if fill >= 64 {
            out.extend_from_slice(&(pending as u64).to_le_bytes());
            pending >>= 64;
            fill -= 64;
        }
    }
    let tail = fill.div_ceil(8) as usize;
    out.extend(pending.to_le_bytes().iter().take(tail));
}

/// Reads `count` values of `width` (at most [`MAX_WIDTH`]) bits, adds `base` to each, and leaves
/// them in the first `count` places of `out`; the places after them are undefined.
pub(crate) fn unpack(
    reader: &mut Reader<'_>,
    width: u8,
    count: usize,
    base: i64,
    out: &mut Block,
) -> Result<()> {
    debug_assert!(count <= BLOCK_SAMPLES);
    if width > MAX_WIDTH {
        return Err(Error::Malformed {
            offset: reader.offset(),
            what: "a bit width above 56",
        });
    }
    let readable = reader.rest();
    let packed = reader.take(packed_len(count, width))?;
    let full = packed_len(BLOCK_SAMPLES, width) + 8;
    match readable.get(..full) {
        Some(padded) => kernel(padded, width, base, out),
        None => {
            let mut padded = [0u8; PADDED_BYTES];
            for (to, from) in padded.iter_mut().zip(packed) {
                *to = *from;
            }
            kernel(&padded, width, base, out);
        }
    }
    Ok(())
}

/// Unpacks a whole block; `padded` must hold it and 8 bytes more.
fn kernel(padded: &[u8], width: u8, base: i64, out: &mut Block) {
    macro_rules! widths {
        ($($width:literal)*) => {
            match width {
                $($width => unpack_block::<$width>(padded, base, out),)*
                _ => *out = [base; BLOCK_SAMPLES],
            }
        };
    }
    widths!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
        33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56);
}

#[inline(never)]
fn unpack_block<const WIDTH: usize>(padded: &[u8], base: i64, out: &mut Block) {
    let mask = (1u64 << WIDTH) - 1;
    // Eight values take WIDTH whole bytes, so offsets and shifts repeat from group to group.
    for (group, lanes) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let start = group * WIDTH;
        let Some(bytes) = padded.get(start..start + WIDTH + 8) else {
            return;
        };
        for (lane, value) in lanes.iter_mut().enumerate() {
            let bit = lane * WIDTH;
            let Some(word) = bytes[bit / 8..].first_chunk::<8>() else {
                return;
            };
            let field = (u64::from_le_bytes(*word) >> (bit % 8)) & mask;
            *value = base.wrapping_add(field as i64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_of_every_width_come_back(
            values in prop::collection::vec(any::<u64>(), 0..=BLOCK_SAMPLES),
            width in 0u8..=MAX_WIDTH,
            base: i64,
            tail in 0usize..600,
        ) {
            let mask = (1u64 << width) - 1;
            let mut bytes = Vec::new();
            pack(values.iter().map(|value| value & mask), width, &mut bytes);
            let packed = bytes.len();
            prop_assert_eq!(packed, packed_len(values.len(), width));
            bytes.resize(packed + tail, 0xff);
            let mut reader = Reader::new(&bytes);
            let mut block = [0; BLOCK_SAMPLES];
            unpack(&mut reader, width, values.len(), base, &mut block).unwrap();
            prop_assert_eq!(reader.offset(), packed);
            for (value, found) in values.iter().zip(block) {
                prop_assert_eq!(base.wrapping_add((value & mask) as i64), found);
            }
            if packed > 0 {
                let mut short = Reader::new(&bytes[..packed - 1]);
                prop_assert!(unpack(&mut short, width, values.len(), base, &mut block).is_err());
            }
        }
    }
}
