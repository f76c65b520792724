//! Integers in blocks of 128: a base, a width, packed differences from the base, and patches.
//!
//! Patched frame of reference, after M. Zukowski et al., "Super-Scalar RAM-CPU Cache Compression"
//! (ICDE 2006): what the few values outside of [base, base + 2^width) have above the width is
//! stored apart, so that one counter reset does not widen 128 values. Invariant: any i64
//! round-trips (arithmetic wraps).
//!
//! Block: head (width in bits 0-5; bit 6: the base changes; bit 7: patches), then zigzag varint of
//! the base's change, then the patches, then the packed body.

use crate::bitpack::{self, packed_len};
use crate::error::Result;
use crate::limits::BLOCK_SAMPLES;
use crate::patches::{self, Patches};
use crate::plan::Plan;
use crate::portable::Source;
use crate::simd::Level;
use crate::varint::{Reader, put_i64};

const WIDTH_MASK: u8 = 0x3f;
const BASE_FLAG: u8 = 0x40;
const PATCH_FLAG: u8 = 0x80;
/// Appends `values` in blocks of 128, the last one shorter.
pub(crate) fn put(values: &[i64], out: &mut Vec<u8>) {
    let mut base = 0;
    for block in values.chunks(BLOCK_SAMPLES) {
        put_block(block, &mut base, out);
    }
}

fn put_block(values: &[i64], last_base: &mut i64, out: &mut Vec<u8>) {
    let plan = Plan::of(values, *last_base);
    let change = plan.base.wrapping_sub(*last_base);
    let base_flag = if change == 0 { 0 } else { BASE_FLAG };
    let patch_flag = if plan.patches == 0 { 0 } else { PATCH_FLAG };
    out.push(plan.width | base_flag | patch_flag);
    if change != 0 {
        put_i64(out, change);
    }
    *last_base = plan.base;
    if plan.patches > 0 {
        patches::put(values, &plan, out);
    }
    bitpack::pack(values, |value| plan.low(value), plan.width, out);
}

/// Reads blocks one after the other.
#[derive(Debug, Clone)]
pub(crate) struct BlockReader {
    base: i64,
    level: Level,
}

impl BlockReader {
    pub(crate) const fn new(level: Level) -> Self {
        Self { base: 0, level }
    }

    /// Reads a block of `count` (at most 128) values, each of which is to be times `unit` and plus
    /// `origin`, but for the numbers themselves: where they are is left in `source`.
    #[inline]
    pub(crate) fn read<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        count: usize,
        (unit, origin): (i64, i64),
        source: &mut Source<'a>,
    ) -> Result<()> {
        let head = self.head(reader)?;
        let width = head & WIDTH_MASK;
        let affine = (unit, origin.wrapping_add(self.base.wrapping_mul(unit)));
        source.map = 0;
        source.block = None;
        if head & PATCH_FLAG == 0 {
            source.packed = bitpack::take(reader, width, count, affine)?;
            return Ok(());
        }
        let offset = reader.offset();
        let patches = Patches::read(reader, count)?;
        source.packed = bitpack::take(reader, width, count, affine)?;
        if let Some(set) = patches.set(count, offset)? {
            (source.map, source.codes) = set;
            return Ok(());
        }
        let mut block = Box::new([0; BLOCK_SAMPLES]);
        self.level.unpack(source.packed, count, &mut block);
        patches.apply(&mut block, count, (width, affine), offset)?;
        source.block = Some(block);
        Ok(())
    }

    /// Moves over a block of `count` values.
    pub(crate) fn skip(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<()> {
        let head = self.head(reader)?;
        if head & PATCH_FLAG != 0 {
            Patches::read(reader, count)?;
        }
        reader.take(packed_len(count, head & WIDTH_MASK))?;
        Ok(())
    }

    #[inline(always)]
    fn head(&mut self, reader: &mut Reader<'_>) -> Result<u8> {
        let head = reader.u8()?;
        if head & BASE_FLAG != 0 {
            self.base = self.base.wrapping_add(reader.varint_i64()?);
        }
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portable::Undo;
    use crate::sequence::Transform;
    use proptest::prelude::*;

    fn round_trip(values: &[i64]) -> usize {
        let mut bytes = Vec::new();
        put(values, &mut bytes);
        let (mut reader, mut skipper) = (Reader::new(&bytes), Reader::new(&bytes));
        let (mut blocks, mut skipped) = (
            BlockReader::new(Level::detect()),
            BlockReader::new(Level::detect()),
        );
        let mut plain = Undo {
            transform: Transform::Plain,
            last: 0,
            step: 0,
        };
        for expected in values.chunks(BLOCK_SAMPLES) {
            let count = expected.len();
            let mut source = Source::zeros();
            blocks
                .read(&mut reader, count, (1, 0), &mut source)
                .unwrap();
            let mut found = Vec::new();
            Level::detect().extend_i64(&source, &mut plain, count, &mut found);
            assert_eq!(found, expected);
            skipped.skip(&mut skipper, expected.len()).unwrap();
            assert_eq!(reader.offset(), skipper.offset());
        }
        assert!(reader.is_empty());
        bytes.len()
    }

    proptest! {
        #[test]
        fn any_integers_come_back(values in prop::collection::vec(
            prop_oneof![any::<i64>(), -10i64..10, 1_000i64..1_100, Just(7)], 0..400)) {
            round_trip(&values);
        }
    }

    #[test]
    fn a_few_outliers_on_either_side_do_not_widen_a_block() {
        let mut values: Vec<i64> = (0..128).map(|i| 1_000_000 + i * i % 16).collect();
        let clean = round_trip(&values);
        assert!(clean <= 68, "{clean}");
        values[5] = 0;
        values[77] = 5_000_000;
        let spoilt = round_trip(&values);
        assert!(spoilt <= clean + 12, "{spoilt}");
    }

    #[test]
    fn a_block_of_the_widest_range_comes_back() {
        round_trip(&[i64::MIN, i64::MAX, 0, -1, 1]);
        let values: Vec<i64> = (0..128)
            .map(|i: i64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15u64 as i64))
            .collect();
        assert!(round_trip(&values) < 128 * 10);
    }
}
