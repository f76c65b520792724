//! Patches of a block: what its outliers have above the packed bits.
//!
//! Input of the writer: a block and its [`Plan`]. Input of the reader: the bytes after the head of
//! a block. A patch is the part of a value that its block's width cuts off, added to the packed
//! low bits again, so that it costs only what the value has beyond the others: M. Zukowski's
//! patches as H. Yan et al. store them, "Inverted index compression and query processing with
//! optimized document ordering" (WWW 2009). Invariant: at most the block's count are read.
//!
//! Layout: number, form (bits 0-6 the width of a patch, bit 7: as here; without it patches replace
//! whole values and their positions are bytes), positions, packed zigzag numbers. Positions are 7
//! bits each, or one bit for every value of the block, whichever takes fewer bytes.

use crate::bitpack::{self, Block, MAX_WIDTH, packed_len};
use crate::error::{Error, Result};
use crate::limits::BLOCK_SAMPLES;
use crate::plan::{POSITION_BITS, Plan};
use crate::portable::Packed;
use crate::varint::{Reader, unzigzag, zigzag};

/// In the byte of the patches' width: they are added above the packed bits.
const ADDED_FLAG: u8 = 0x80;
/// Widest patches that one 64-bit load reads.
const MAX_LOAD: u8 = 57;
/// Bytes of a bit for every value of a block: no list of positions is longer.
const MAP_BYTES: usize = BLOCK_SAMPLES / 8;

/// Appends the patches that `plan` gives `values`.
pub(crate) fn put(values: &[i64], plan: &Plan, out: &mut Vec<u8>) {
    out.push(plan.patches as u8);
    out.push(plan.patch_width | ADDED_FLAG);
    // In vectors: the patches and, as there are few of them, a map of where they are.
    let (mut codes, mut marks) = ([0; BLOCK_SAMPLES], [0u8; BLOCK_SAMPLES]);
    for ((code, mark), &value) in codes.iter_mut().zip(&mut marks).zip(values) {
        *code = zigzag(plan.high(value));
        *mark = u8::from(*code != 0);
    }
    let mut map = 0;
    for (group, marks) in marks.as_chunks().0.iter().enumerate() {
        // The lowest bit of each byte, moved side by side.
        let bits = u64::from_le_bytes(*marks).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        map |= u128::from(bits) << (8 * group);
    }
    let (mut positions, mut patches) = ([0u8; BLOCK_SAMPLES], [0; BLOCK_SAMPLES]);
    let (mut left, mut found) = (map, 0);
    for (position, patch) in positions.iter_mut().zip(&mut patches) {
        if left == 0 {
            break;
        }
        *position = left.trailing_zeros() as u8;
        *patch = codes[usize::from(*position)];
        left &= left - 1;
        found += 1;
    }
    if listed(plan.patches, values.len()) {
        let positions = positions.get(..found).unwrap_or_default();
        bitpack::pack(positions, u64::from, POSITION_BITS, out);
    } else {
        out.extend(map.to_le_bytes().iter().take(packed_len(values.len(), 1)));
    }
    let patches = patches.get(..found).unwrap_or_default();
    bitpack::pack(patches, |code| code, plan.patch_width, out);
}

/// Whether the positions of `patches` of `count` values are a list, not a bit for every value.
fn listed(patches: usize, count: usize) -> bool {
    packed_len(patches, POSITION_BITS) <= packed_len(count, 1)
}

/// The patches of one block, not yet unpacked.
#[derive(Debug)]
pub(crate) struct Patches<'a> {
    number: usize,
    width: u8,
    /// Whether they are added above the packed bits, or replace the values.
    added: bool,
    positions: &'a [u8],
    /// The positions, and what follows them.
    readable: &'a [u8],
    /// The packed patches, and what follows them.
    codes: &'a [u8],
}

impl<'a> Patches<'a> {
    /// Reads the patches of a block of `count` values.
    #[inline(always)]
    pub(crate) fn read(reader: &mut Reader<'a>, count: usize) -> Result<Self> {
        let offset = reader.offset();
        let (number, form) = (usize::from(reader.u8()?), reader.u8()?);
        let width = form & !ADDED_FLAG;
        if number > count || !(1..=64).contains(&width) {
            return Err(malformed(offset, "patches out of range"));
        }
        let added = form & ADDED_FLAG != 0;
        let readable = reader.rest();
        let positions = reader.take(match added {
            false => number,
            true => packed_len(number, POSITION_BITS).min(packed_len(count, 1)),
        })?;
        let codes = reader.rest();
        reader.take(packed_len(number, width))?;
        Ok(Self {
            number,
            width,
            added,
            readable,
            positions,
            codes,
        })
    }

    /// The patches of a block of `count` values as a map and packed numbers; `None` when the block
    /// must be patched by [`Self::apply`] once it is unpacked.
    ///
    /// `offset` is where errors point.
    #[inline(always)]
    pub(crate) fn set(&self, count: usize, offset: usize) -> Result<Option<(u128, Packed<'a>)>> {
        if !self.added || self.width > MAX_WIDTH {
            return Ok(None);
        }
        let wrong = || malformed(offset, "positions that are not the patches'");
        let map = self.map(count).ok_or_else(wrong)?;
        if count < BLOCK_SAMPLES && map >> count != 0 {
            return Err(malformed(offset, "a patch beyond its block"));
        }
        let codes = Packed {
            bytes: self.codes,
            width: self.width,
            affine: (1, 0),
        };
        Ok(Some((map, codes)))
    }

    /// A bit for each value that has a patch; `None` when there are more or fewer than patches, or
    /// positions that do not rise.
    #[inline(always)]
    fn map(&self, count: usize) -> Option<u128> {
        let mut bits = match self.readable.first_chunk::<MAP_BYTES>() {
            Some(there) => {
                let unused = 8 * MAP_BYTES.saturating_sub(self.positions.len()) as u32;
                let mask = u128::MAX.checked_shr(unused).unwrap_or(0);
                u128::from_le_bytes(*there) & mask
            }
            None => wide(self.positions),
        };
        if !listed(self.number, count) {
            return (bits.count_ones() as usize == self.number).then_some(bits);
        }
        let mut map = [0u64; 2];
        let (mut next, mut falls) = (0, false);
        for _ in 0..self.number {
            let position = bits as u32 & ((1 << POSITION_BITS) - 1);
            bits >>= POSITION_BITS;
            falls |= position < next;
            next = position + 1;
            map[(position / 64) as usize % 2] |= 1 << (position % 64);
        }
        (!falls).then_some(u128::from(map[1]) << 64 | u128::from(map[0]))
    }

    /// Puts the patches over the first `count` values of a block of `width` bits, each of which is
    /// times `unit` and plus `start`.
    ///
    /// `offset` is where errors point.
    pub(crate) fn apply(
        &self,
        block: &mut Block,
        count: usize,
        (width, (unit, start)): (u8, (i64, i64)),
        offset: usize,
    ) -> Result<()> {
        let mut map = match self.added {
            true => self.map(count),
            false => Some(0),
        }
        .ok_or(malformed(offset, "positions that are not the patches'"))?;
        let mut bit = 0;
        for index in 0..self.number {
            let code = unzigzag(self.code(bit)).wrapping_mul(unit);
            bit += usize::from(self.width);
            let position = match self.added {
                true => map.trailing_zeros() as usize,
                false => self.positions.get(index).map_or(count, |&at| at.into()),
            };
            map &= map.wrapping_sub(1);
            let place = block.get_mut(..count).and_then(|all| all.get_mut(position));
            let value = place.ok_or(malformed(offset, "a patch beyond its block"))?;
            *value = match self.added {
                true => value.wrapping_add(code << width),
                false => start.wrapping_add(code),
            };
        }
        Ok(())
    }

    /// The patch at `bit` of the packed ones.
    #[inline]
    fn code(&self, bit: usize) -> u64 {
        let bytes = self.codes.get(bit / 8..).unwrap_or_default();
        match bytes.first_chunk::<8>() {
            Some(word) if self.width <= MAX_LOAD => {
                u64::from_le_bytes(*word) >> (bit % 8) & ((1 << self.width) - 1)
            }
            _ => slow_code(bytes, (bit % 8) as u32, self.width),
        }
    }
}

/// Up to 16 bytes as one number.
#[inline]
fn wide(bytes: &[u8]) -> u128 {
    let mut padded = [0; MAP_BYTES];
    for (to, from) in padded.iter_mut().zip(bytes) {
        *to = *from;
    }
    u128::from_le_bytes(padded)
}

/// A patch that a 64-bit load does not reach: near the end of the bytes, or a very wide one.
#[cold]
fn slow_code(bytes: &[u8], bit: u32, width: u8) -> u64 {
    let word = wide(bytes.get(..9).unwrap_or(bytes)) >> bit;
    word as u64 & (u64::MAX >> (64 - u32::from(width.clamp(1, 64))))
}

fn malformed(offset: usize, what: &'static str) -> Error {
    Error::Malformed { offset, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of 128 values of which `patched` are patched, as the writer lays it out.
    fn block_with(patched: usize) -> (Vec<i64>, Plan, Vec<u8>) {
        let mut values = vec![3i64; BLOCK_SAMPLES];
        for (index, value) in values.iter_mut().take(patched).enumerate() {
            *value += ((index as i64 % 5) - 2) * 16 + if index % 5 == 2 { 16 } else { 0 };
        }
        let plan = Plan {
            base: 0,
            width: 4,
            patches: patched,
            patch_width: 3,
        };
        let mut bytes = Vec::new();
        put(&values, &plan, &mut bytes);
        (values, plan, bytes)
    }

    #[test]
    fn few_and_many_patches_come_back() {
        for patched in 1..=BLOCK_SAMPLES {
            let (values, plan, bytes) = block_with(patched);
            let mut reader = Reader::new(&bytes);
            let patches = Patches::read(&mut reader, BLOCK_SAMPLES).unwrap();
            assert!(reader.is_empty());
            let mut block = [0; BLOCK_SAMPLES];
            for (low, &value) in block.iter_mut().zip(&values) {
                *low = plan.low(value) as i64;
            }
            patches
                .apply(&mut block, BLOCK_SAMPLES, (4, (1, 0)), 0)
                .unwrap();
            assert_eq!(block.as_slice(), values);
        }
    }

    #[test]
    fn patches_that_replace_are_still_read() {
        // Two patches of 9 bits at 1 and 126: 100 and -1.
        let bytes = [2, 9, 1, 126, 200, 2, 0];
        let mut reader = Reader::new(&bytes);
        let patches = Patches::read(&mut reader, BLOCK_SAMPLES).unwrap();
        let mut block = [7; BLOCK_SAMPLES];
        patches
            .apply(&mut block, BLOCK_SAMPLES, (3, (1, 5)), 0)
            .unwrap();
        assert_eq!([block[0], block[1], block[126]], [7, 105, 4]);
        assert!(reader.is_empty());
    }

    #[test]
    fn positions_beyond_the_block_or_too_few_of_them_are_refused() {
        let list: &[u8] = &[1, ADDED_FLAG | 1, 100, 1];
        let map: &[u8] = &[3, ADDED_FLAG | 1, 0b11, 0, 7];
        for (bytes, count) in [(list, 50), (map, 9)] {
            let patches = Patches::read(&mut Reader::new(bytes), count).unwrap();
            let mut block = [0; BLOCK_SAMPLES];
            assert!(patches.apply(&mut block, count, (3, (1, 5)), 0).is_err());
        }
    }
}
