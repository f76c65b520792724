//! Unsigned integers of one width side by side, least significant bit first.
//!
//! The unpack kernels exist once per width, so that every shift and mask is a constant, the loop
//! has no branch, and the compiler may vectorise it. Source of the idea: D. Lemire, L. Boytsov,
//! "Decoding billions of integers per second through vectorization" (2015).

use crate::error::{Error, Result};
use crate::limits::BLOCK_SAMPLES;
use crate::portable::Packed;
use crate::varint::Reader;

/// Widest values of the kernels: with a shift of up to seven they fit one 64-bit load.
pub(crate) const MAX_WIDTH: u8 = 56;
/// Room for a block of the widest values, and for the last load to reach beyond it.
const PADDED_BYTES: usize = BLOCK_SAMPLES / 8 * MAX_WIDTH as usize + 8;

/// A block of integers, the unit of unpacking.
pub(crate) type Block = [i64; BLOCK_SAMPLES];

/// A block where no vector crosses a cache line.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(crate) struct Aligned(pub(crate) Block);

/// Bytes that `count` values of `width` bits take.
pub(crate) const fn packed_len(count: usize, width: u8) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Appends what `number` makes of each value, of `width` (0 to 64) bits, to `out`.
#[inline]
pub(crate) fn pack<T: Copy>(values: &[T], number: impl Fn(T) -> u64, width: u8, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    // So many values end at a whole byte.
    for block in values.chunks(BLOCK_SAMPLES) {
        let mut numbers = [0; BLOCK_SAMPLES];
        for (place, &value) in numbers.iter_mut().zip(block) {
            *place = number(value);
        }
        pack_block(&mut numbers, block.len(), width, out);
    }
}

/// Appends the first `count` of `numbers`, after which there are zeros; they are lost.
fn pack_block(numbers: &mut [u64; BLOCK_SAMPLES], count: usize, width: u8, out: &mut Vec<u8>) {
    let end = packed_len(count, width);
    // Neighbours are joined until there are few left to be put one behind the other.
    let (mut count, mut width) = (count, u32::from(width));
    while width <= u32::from(MAX_WIDTH) / 2 && count > 1 {
        count = count.div_ceil(2);
        for index in 0..count.min(BLOCK_SAMPLES / 2) {
            numbers[index] = numbers[2 * index] | numbers[2 * index + 1] << width;
        }
        // What is left of an odd one's pair.
        if let Some(after) = numbers.get_mut(count) {
            *after = 0;
        }
        width *= 2;
    }
    let mut bytes = [0; 8 * BLOCK_SAMPLES + 8];
    let (mut at, mut fill) = (0, 0);
    // What does not fill a byte yet: less than eight bits, so that 56 more fit.
    let mut rest = 0;
    for &number in numbers.iter().take(count) {
        let parts = match width <= u32::from(MAX_WIDTH) {
            true => [(number, width), (0, 0)],
            false => [
                (number & u64::from(u32::MAX), 32),
                (number >> 32, width - 32),
            ],
        };
        for (part, width) in parts {
            rest |= part << fill;
            if let Some(places) = bytes.get_mut(at..).and_then(|all| all.first_chunk_mut()) {
                *places = u64::to_le_bytes(rest);
            }
            fill += width;
            at += (fill / 8) as usize;
            rest >>= fill & !7;
            fill %= 8;
        }
    }
    out.extend_from_slice(bytes.get(..end).unwrap_or_default());
}

/// Takes `count` numbers of `width` (at most [`MAX_WIDTH`]) bits, not yet unpacked, each to be
/// multiplied and then increased by the two of `affine`.
#[inline(always)]
pub(crate) fn take<'a>(
    reader: &mut Reader<'a>,
    width: u8,
    count: usize,
    affine: (i64, i64),
) -> Result<Packed<'a>> {
    if width > MAX_WIDTH {
        return Err(Error::Malformed {
            offset: reader.offset(),
            what: "a bit width above 56",
        });
    }
    let bytes = reader.rest();
    reader.take(packed_len(count, width))?;
    Ok(Packed {
        bytes,
        width,
        affine,
    })
}

/// What [`Level::unpack`] does, on any CPU.
pub(crate) fn unpack_portable(packed: Packed<'_>, count: usize, out: &mut Block) {
    let Packed {
        bytes,
        width,
        affine,
    } = packed;
    let full = packed_len(BLOCK_SAMPLES, width) + 8;
    match bytes.get(..full) {
        Some(padded) => kernel(padded, width, affine, out),
        None => {
            let packed = bytes.get(..packed_len(count, width)).unwrap_or_default();
            let mut padded = [0u8; PADDED_BYTES];
            for (to, from) in padded.iter_mut().zip(packed) {
                *to = *from;
            }
            kernel(&padded, width, affine, out);
        }
    }
}

/// Unpacks a whole block; `padded` must hold it and 8 bytes more.
fn kernel(padded: &[u8], width: u8, (unit, start): (i64, i64), out: &mut Block) {
    let base = if unit == 1 { start } else { 0 };
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
    if unit != 1 {
        for value in out.iter_mut() {
            *value = value.wrapping_mul(unit).wrapping_add(start);
        }
    }
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
    use crate::simd::Level;
    use proptest::prelude::*;

    /// The field number `index` of `width` bits, bit by bit.
    fn field(bytes: &[u8], width: usize, index: usize) -> u64 {
        (0..width).fold(0, |value, bit| {
            let at = index * width + bit;
            value | u64::from(bytes[at / 8] >> (at % 8) & 1) << bit
        })
    }

    #[test]
    fn every_width_count_and_level_reads_what_lies_there() {
        let bytes: Vec<u8> = (0..1100u32).map(|i| ((i * i + i * 7) >> 3) as u8).collect();
        for level in Level::all() {
            for width in 0..=MAX_WIDTH {
                for count in 1..=BLOCK_SAMPLES {
                    // The bytes end with the values, or go on.
                    let packed = packed_len(count, width);
                    for end in [packed, packed + 3, bytes.len()] {
                        let mut reader = Reader::new(&bytes[..end]);
                        let mut block = [0; BLOCK_SAMPLES];
                        let packed_numbers = take(&mut reader, width, count, (1, 0)).unwrap();
                        level.unpack(packed_numbers, count, &mut block);
                        assert_eq!(reader.offset(), packed);
                        for (index, found) in block[..count].iter().enumerate() {
                            let expected = field(&bytes, width.into(), index) as i64;
                            assert_eq!(*found, expected, "{level:?} {width} {count} {index}");
                        }
                    }
                }
            }
        }
    }

    proptest! {
            #[test]
            fn values_of_every_width_come_back(
                values in prop::collection::vec(any::<u64>(), 0..=BLOCK_SAMPLES),
                width in 0u8..=MAX_WIDTH,
                unit in prop_oneof![Just(1i64), any::<i64>()],
                start: i64,
                tail in 0usize..600,
            ) {
                let mask = (1u64 << width) - 1;
                let mut bytes = Vec::new();
                pack(&values, |value| value & mask, width, &mut bytes);
                let packed = bytes.len();
                prop_assert_eq!(packed, packed_len(values.len(), width));
                bytes.resize(packed + tail, 0xff);
                for level in Level::all() {
                    let affine = (unit, start);
                    let mut reader = Reader::new(&bytes);
                    let mut block = [0; BLOCK_SAMPLES];
                    let numbers = take(&mut reader, width, values.len(), affine).unwrap();
    level.unpack(numbers, values.len(), &mut block);
                    prop_assert_eq!(reader.offset(), packed);
                    for (value, found) in values.iter().zip(block) {
                        let expected = unit.wrapping_mul((value & mask) as i64).wrapping_add(start);
                        prop_assert_eq!(expected, found);
                    }
                    if packed > 0 {
                        let mut short = Reader::new(&bytes[..packed - 1]);
                        prop_assert!(take(&mut short, width, values.len(), affine).is_err());
                    }
                }
            }
        }
}
