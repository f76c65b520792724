//! Integers in blocks of 128: a base, a width, packed differences from the base, and patches.
//!
//! Patched frame of reference, after M. Zukowski et al., "Super-Scalar RAM-CPU Cache Compression"
//! (ICDE 2006): the few values outside of [base, base + 2^width) are stored apart, so that one
//! counter reset does not widen 128 values. Invariant: any i64 round-trips (arithmetic wraps).
//!
//! Block: head (width in bits 0-5; bit 6: the base changes; bit 7: patches), then zigzag varint of
//! the base's change, then patch count and width, positions, packed patches, then the packed body.

use crate::bitpack::{self, Block, MAX_WIDTH, packed_len};
use crate::error::{Error, Result};
use crate::limits::BLOCK_SAMPLES;
use crate::varint::{Reader, put_i64, unzigzag, zigzag};

const WIDTH_MASK: u8 = 0x3f;
const BASE_FLAG: u8 = 0x40;
const PATCH_FLAG: u8 = 0x80;
/// Up to so many patches every split between low and high ones is tried; beyond, one end at a time.
const EXHAUSTIVE_PATCHES: usize = 8;

/// How a block will be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    base: i64,
    width: u8,
    patches: usize,
    patch_width: u8,
}

impl Plan {
    fn bits(&self, count: usize) -> usize {
        let patches = match self.patches {
            0 => 0,
            patches => 16 + patches * (8 + usize::from(self.patch_width)),
        };
        count * usize::from(self.width) + patches
    }

    fn holds(&self, value: i64) -> bool {
        // Patched blocks may have a width of 0, whose only value is the base.
        let above = value.wrapping_sub(self.base) as u64;
        above.checked_shr(u32::from(self.width)).unwrap_or(0) == 0
    }
}

fn bit_length(value: u64) -> u8 {
    (64 - value.leading_zeros()) as u8
}

/// The plan that keeps sorted[low..=high] in the body.
fn plan_for(sorted: &[i64], low: usize, high: usize) -> Plan {
    let (base, top) = (sorted[low], sorted[high]);
    let width = bit_length(top.wrapping_sub(base) as u64);
    let far = |value: i64| bit_length(zigzag(value.wrapping_sub(base)));
    let ends = far(sorted[0]).max(far(sorted[sorted.len() - 1])).max(1);
    // Values beyond the window that the width still covers need no patch.
    let reach = |value: i64| (value.wrapping_sub(base) as u64).checked_shr(width.into()) == Some(0);
    let covered = sorted[high + 1..]
        .iter()
        .take_while(|&&value| reach(value))
        .count();
    let patches = low + sorted.len() - 1 - high - covered;
    Plan {
        base,
        width,
        patches,
        patch_width: if patches == 0 { 0 } else { ends },
    }
}

/// The cheapest plan found for a block of at least one value.
fn plan(values: &[i64]) -> Plan {
    let (min, max) = values
        .iter()
        .fold((i64::MAX, i64::MIN), |(min, max), &value| {
            (min.min(value), max.max(value))
        });
    let width = bit_length(max.wrapping_sub(min) as u64);
    let whole = Plan {
        base: min,
        width,
        patches: 0,
        patch_width: 0,
    };
    if !patches_may_pay(values, &whole) {
        return whole;
    }
    let mut scratch = [0i64; BLOCK_SAMPLES];
    let sorted = &mut scratch[..values.len()];
    sorted.copy_from_slice(values);
    sorted.sort_unstable();
    best_window(sorted, whole)
}

/// Buckets of the histogram that tells whether patches may pay.
const BUCKETS: usize = 16;

/// Whether some narrower window may hold enough of the values: an upper bound from a histogram,
/// so that blocks of even noise, the most frequent ones, are not sorted in vain.
fn patches_may_pay(values: &[i64], whole: &Plan) -> bool {
    let (count, width) = (values.len(), usize::from(whole.width));
    if whole.width > MAX_WIDTH {
        return true;
    }
    // At least 16 bits for the patches and 10 for the first.
    if count * width <= 26 {
        return false;
    }
    let shift = width.saturating_sub(4);
    // Counts are summed up from the left, so that those of neighbours are one subtraction.
    let mut below = [0u8; BUCKETS + 1];
    for &value in values {
        let bucket = (value.wrapping_sub(whole.base) as u64 >> shift) as usize;
        below[bucket % BUCKETS + 1] += 1;
    }
    for bucket in 1..=BUCKETS {
        below[bucket] += below[bucket - 1];
    }
    let most_in = |buckets: usize| {
        let sums = below
            .iter()
            .zip(&below[buckets..])
            .map(|(low, high)| high - low);
        usize::from(sums.max().unwrap_or(0))
    };
    // A patch has a position and is about as wide as the values were.
    // A window 2^narrower times narrower lies in so many neighbouring buckets at most; in the last
    // case it may be any narrower one.
    let exact = [
        (1, BUCKETS / 2 + 1),
        (2, BUCKETS / 4 + 1),
        (3, BUCKETS / 8 + 1),
        (width, 2),
    ];
    exact
        .into_iter()
        .filter(|&(narrower, _)| narrower <= width)
        .any(|(narrower, buckets)| {
            let affordable = (count * narrower).saturating_sub(16) / (7 + width);
            count - most_in(buckets) <= affordable
        })
}

/// Bits that the blocks of `values` will take, base changes left out.
pub(crate) fn cost(values: &[i64]) -> usize {
    values
        .chunks(BLOCK_SAMPLES)
        .map(|block| 8 + plan(block).bits(block.len()))
        .sum()
}

/// Tries ever more patches at the ends of the sorted values.
fn best_window(sorted: &[i64], whole: Plan) -> Plan {
    let count = sorted.len();
    let mut best = whole;
    let mut force = whole.width > MAX_WIDTH;
    let mut low = 0;
    for patches in 1..count {
        // A patch that narrows the others is about as wide as they were, and has a position.
        if !force && 16 + patches * (7 + usize::from(whole.width)) >= best.bits(count) {
            break;
        }
        let range =
            |low: usize| sorted[count - 1 - (patches - low)].wrapping_sub(sorted[low]) as u64;
        low = if patches <= EXHAUSTIVE_PATCHES {
            (0..=patches).min_by_key(|&low| range(low)).unwrap_or(0)
        } else if range(low + 1) < range(low) {
            low + 1
        } else {
            low
        };
        let range_bits = bit_length(range(low));
        if !force && range_bits >= best.width {
            continue;
        }
        let plan = plan_for(sorted, low, count - 1 - (patches - low));
        if plan.width <= MAX_WIDTH && (force || plan.bits(count) < best.bits(count)) {
            (best, force) = (plan, false);
        }
        if best.width == 0 {
            break;
        }
    }
    best
}

/// Appends `values` in blocks of 128, the last one shorter.
pub(crate) fn put(values: &[i64], out: &mut Vec<u8>) {
    let mut base = 0;
    for block in values.chunks(BLOCK_SAMPLES) {
        put_block(block, &mut base, out);
    }
}

/// How many of `values` lie outside of the plan's window, and the width of the widest as a patch.
fn outside(values: &[i64], plan: &Plan) -> (usize, u8) {
    let far = values.iter().filter(|&&value| !plan.holds(value));
    far.fold((0, 0), |(count, width), value| {
        (
            count + 1,
            width.max(bit_length(zigzag(value.wrapping_sub(plan.base)))),
        )
    })
}

fn put_block(values: &[i64], last_base: &mut i64, out: &mut Vec<u8>) {
    let mut plan = plan(values);
    if plan.patches > 0 {
        (plan.patches, plan.patch_width) = outside(values, &plan);
    }
    // The last base may serve as well, and costs nothing.
    let mut kept = Plan {
        base: *last_base,
        ..plan
    };
    if kept.holds(plan.base) {
        (kept.patches, kept.patch_width) = outside(values, &kept);
        if kept.patches <= plan.patches && kept.patch_width <= plan.patch_width {
            plan = kept;
        }
    }
    let change = plan.base.wrapping_sub(*last_base);
    let base_flag = if change == 0 { 0 } else { BASE_FLAG };
    let patch_flag = if plan.patches == 0 { 0 } else { PATCH_FLAG };
    out.push(plan.width | base_flag | patch_flag);
    if change != 0 {
        put_i64(out, change);
    }
    *last_base = plan.base;
    let above = |value: i64| value.wrapping_sub(plan.base) as u64;
    if plan.patches == 0 {
        return bitpack::pack(values.iter().map(|&value| above(value)), plan.width, out);
    }
    out.push(plan.patches as u8);
    out.push(plan.patch_width);
    let outside = || {
        values
            .iter()
            .enumerate()
            .filter(|&(_, &value)| !plan.holds(value))
    };
    out.extend(outside().map(|(position, _)| position as u8));
    let codes = outside().map(|(_, value)| zigzag(value.wrapping_sub(plan.base)));
    bitpack::pack(codes, plan.patch_width, out);
    let body = values
        .iter()
        .map(|&value| if plan.holds(value) { above(value) } else { 0 });
    bitpack::pack(body, plan.width, out);
}

/// Reads blocks one after the other.
#[derive(Debug, Clone)]
pub(crate) struct BlockReader {
    base: i64,
}

impl BlockReader {
    pub(crate) const fn new() -> Self {
        Self { base: 0 }
    }

    /// Reads a block of `count` (at most 128) values into the first places of `out`.
    pub(crate) fn read(
        &mut self,
        reader: &mut Reader<'_>,
        count: usize,
        out: &mut Block,
    ) -> Result<()> {
        let head = self.head(reader)?;
        if head & PATCH_FLAG == 0 {
            return bitpack::unpack(reader, head & WIDTH_MASK, count, self.base, out);
        }
        let offset = reader.offset();
        let (patches, width) = patch_head(reader, count)?;
        let positions = reader.take(patches)?;
        let codes = bitpack::read_sparse(reader, width, patches)?;
        bitpack::unpack(reader, head & WIDTH_MASK, count, self.base, out)?;
        for (&position, code) in positions.iter().zip(codes) {
            let place = out
                .get_mut(..count)
                .and_then(|all| all.get_mut(usize::from(position)));
            let what = "a patch beyond its block";
            *place.ok_or(Error::Malformed { offset, what })? =
                self.base.wrapping_add(unzigzag(code));
        }
        Ok(())
    }

    /// Moves over a block of `count` values.
    pub(crate) fn skip(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<()> {
        let head = self.head(reader)?;
        if head & PATCH_FLAG != 0 {
            let (patches, width) = patch_head(reader, count)?;
            reader.take(patches + packed_len(patches, width))?;
        }
        reader.take(packed_len(count, head & WIDTH_MASK))?;
        Ok(())
    }

    fn head(&mut self, reader: &mut Reader<'_>) -> Result<u8> {
        let head = reader.u8()?;
        if head & BASE_FLAG != 0 {
            self.base = self.base.wrapping_add(reader.varint_i64()?);
        }
        Ok(head)
    }
}

/// Reads how many patches a block of `count` values has and their width.
fn patch_head(reader: &mut Reader<'_>, count: usize) -> Result<(usize, u8)> {
    let offset = reader.offset();
    let (patches, width) = (reader.u8()?, reader.u8()?);
    if usize::from(patches) > count || !(1..=64).contains(&width) {
        return Err(Error::Malformed {
            offset,
            what: "patches out of range",
        });
    }
    Ok((patches.into(), width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[i64]) -> usize {
        let mut bytes = Vec::new();
        put(values, &mut bytes);
        let (mut reader, mut skipper) = (Reader::new(&bytes), Reader::new(&bytes));
        let (mut blocks, mut skipped) = (BlockReader::new(), BlockReader::new());
        let mut block = [0; BLOCK_SAMPLES];
        for expected in values.chunks(BLOCK_SAMPLES) {
            blocks
                .read(&mut reader, expected.len(), &mut block)
                .unwrap();
            assert_eq!(&block[..expected.len()], expected);
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
