//! How a block of integers is packed: the base, the width, and which values are patched.
//!
//! Input: up to 128 integers. Output: the [`Plan`] of the fewest bits among all widths and, for
//! each width, the window [base, base + 2^width) that holds the most values, found by counting in
//! buckets instead of sorting. Invariant: the width is at most [`MAX_WIDTH`].

use crate::bitpack::MAX_WIDTH;
use crate::limits::BLOCK_SAMPLES;
use crate::varint::zigzag;

/// Bits of the head of a block's patches: their number and their width.
const PATCH_HEAD: usize = 16;
/// Bits of the position of one patch, while there are few of them.
pub(crate) const POSITION_BITS: u8 = 7;

/// How a block will be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) base: i64,
    pub(crate) width: u8,
    pub(crate) patches: usize,
    /// Bits of the widest patch, 0 without patches.
    pub(crate) patch_width: u8,
}

impl Plan {
    /// The cheapest plan for a block of at least one value, `last_base` being free.
    pub(crate) fn of(values: &[i64], last_base: i64) -> Plan {
        let mut plan = Self::with_any_base(values);
        let kept = plan.rebased(last_base).fitted(values);
        let change = base_bits(plan.base.wrapping_sub(last_base));
        if kept.bits(values.len()) <= plan.bits(values.len()) + change {
            plan = kept;
        }
        plan
    }

    /// The cheapest plan, whatever its base costs.
    fn with_any_base(values: &[i64]) -> Plan {
        let ends = values.iter().fold((i64::MAX, i64::MIN), |ends, &value| {
            (ends.0.min(value), ends.1.max(value))
        });
        let whole = Plan {
            base: ends.0,
            width: bit_length(ends.1.wrapping_sub(ends.0) as u64),
            patches: 0,
            patch_width: 0,
        };
        let least = PATCH_HEAD + usize::from(POSITION_BITS) + 1;
        if values.len() * usize::from(whole.width) <= least {
            return whole;
        }
        let bits = match whole.width <= MAX_WIDTH {
            true => whole.bits(values.len()),
            false => usize::MAX,
        };
        let search = Search {
            values,
            ends,
            range_bits: whole.width,
            best: whole,
            bits,
        };
        search.run()
    }

    /// Bits of a block of `count` values, its head and base left out.
    pub(crate) fn bits(&self, count: usize) -> usize {
        let patches = match self.patches {
            0 => 0,
            patches => {
                let positions = (patches * usize::from(POSITION_BITS)).min(count);
                PATCH_HEAD + patches * usize::from(self.patch_width) + positions
            }
        };
        count * usize::from(self.width) + patches
    }

    /// What of `value` is above the width: 0 when it needs no patch.
    pub(crate) fn high(&self, value: i64) -> i64 {
        value.wrapping_sub(self.base) >> self.width
    }

    /// What of `value` is packed.
    pub(crate) fn low(&self, value: i64) -> u64 {
        value.wrapping_sub(self.base) as u64 & ((1 << self.width) - 1)
    }

    fn rebased(self, base: i64) -> Self {
        Self { base, ..self }
    }

    /// With the patches that `values` really need.
    fn fitted(mut self, values: &[i64]) -> Self {
        let (mut patches, mut all) = (0, 0);
        for &value in values {
            let code = zigzag(self.high(value));
            patches += usize::from(code != 0);
            all |= code;
        }
        (self.patches, self.patch_width) = (patches, bit_length(all));
        self
    }
}

/// Bits that the blocks of `values` will take.
pub(crate) fn cost(values: &[i64]) -> usize {
    let mut last_base = 0;
    values
        .chunks(BLOCK_SAMPLES)
        .map(|block| {
            let plan = Plan::of(block, last_base);
            let change = base_bits(plan.base.wrapping_sub(last_base));
            last_base = plan.base;
            8 + change + plan.bits(block.len())
        })
        .sum()
}

/// Bits that a block of `values` will take, roughly: by the distances from a middle value.
pub(crate) fn rough_cost(values: &[i64]) -> usize {
    let middle = middle(values);
    let mut classes = [0u8; 65];
    let mut ends = (i64::MAX, i64::MIN);
    for &value in values {
        let distance = value.wrapping_sub(middle);
        ends = (ends.0.min(distance), ends.1.max(distance));
        let class = 64 - ((distance ^ distance >> 63) as u64).leading_zeros() as usize;
        if let Some(count) = classes.get_mut(class) {
            *count += 1;
        }
    }
    let count = values.len();
    let far = bit_length(ends.0.unsigned_abs().max(ends.1.unsigned_abs()));
    let mut best = count * usize::from(bit_length(ends.1.wrapping_sub(ends.0) as u64));
    let mut centred = 0;
    for (width, class) in (0..=far.min(MAX_WIDTH)).zip(classes) {
        // A window around the middle holds what is nearer than half its width; one elsewhere may
        // hold up to what is nearer than its width.
        let class = usize::from(class);
        let patches = count - centred - class / 2;
        centred += class;
        let patch_width = usize::from(far.saturating_sub(width) + 1);
        let positions = (patches * usize::from(POSITION_BITS)).min(count);
        let patches = PATCH_HEAD + patches * patch_width + positions;
        best = best.min(count * usize::from(width) + patches);
    }
    best
}

/// A value that is not far from most others: the middle one of nine.
fn middle(values: &[i64]) -> i64 {
    const PROBES: usize = 9;
    let mut probes = [0; PROBES];
    for (index, probe) in probes.iter_mut().enumerate() {
        let at = (2 * index + 1) * values.len() / (2 * PROBES);
        *probe = values.get(at).copied().unwrap_or(0);
    }
    probes.sort_unstable();
    probes[PROBES / 2]
}

fn bit_length(value: u64) -> u8 {
    (64 - value.leading_zeros()) as u8
}

/// Bits of the varint of a change of the base; none when it stays.
fn base_bits(change: i64) -> usize {
    usize::from(bit_length(zigzag(change))).div_ceil(7) * 8
}

/// Bits of the number of buckets that values are counted in.
const BUCKET_BITS: u8 = 7;
const BUCKETS: usize = 1 << BUCKET_BITS;

/// How many values are below each bucket's start, and all of them.
type Below = [u8; BUCKETS + 1];

/// The search for the best plan, from wide windows to narrow ones.
struct Search<'a> {
    values: &'a [i64],
    /// The least and the greatest value.
    ends: (i64, i64),
    /// Bits of the distance between them.
    range_bits: u8,
    best: Plan,
    /// Bits of the best plan.
    bits: usize,
}

impl Search<'_> {
    /// Counts the values in buckets, tries all windows of whole buckets, and looks closer at the
    /// two fullest neighbours as long as still narrower windows may pay.
    fn run(mut self) -> Plan {
        let (mut low, mut width) = (self.ends.0, self.best.width);
        loop {
            let shift = width.saturating_sub(BUCKET_BITS);
            let below = self.below(low, shift);
            // What the fullest window of each width holds, and at least takes.
            let mut windows = [(usize::MAX, 0, 0); BUCKET_BITS as usize];
            let mut ended = shift == 0;
            for (width, window) in (shift..width).rev().zip(&mut windows) {
                let held = most_in(&below, 1 << (width - shift));
                // Narrower windows hold no more, and what they save on the others they lose again
                // on the patches, which are as much wider.
                let patches = self.values.len() - usize::from(held);
                if patches * usize::from(self.range_bits.max(3) - 1) >= self.bits {
                    ended = true;
                    break;
                }
                if width <= MAX_WIDTH {
                    *window = (self.least_bits(held, width), width, held);
                }
            }
            windows.sort_unstable();
            for (least, width, held) in windows {
                if least >= self.bits {
                    break;
                }
                let first = window_of(&below, 1 << (width - shift), held);
                self.offer(low.wrapping_add((first as i64) << shift), width, held);
            }
            if ended {
                return self.best;
            }
            let first = window_of(&below, 2, most_in(&below, 2));
            (low, width) = (low.wrapping_add((first as i64) << shift), shift + 1);
        }
    }

    /// Counts the values in buckets of 2^`shift` integers from `low` on; others are left out.
    fn below(&self, low: i64, shift: u8) -> Below {
        let mut below: Below = [0; BUCKETS + 1];
        // Neighbours count apart, so that equal ones do not wait for each other.
        let mut others: Below = [0; BUCKETS + 1];
        let bucket = |value: i64| (value.wrapping_sub(low) as u64 >> shift) as usize;
        let count = |below: &mut Below, bucket: usize| {
            if let Some(count) = below.get_mut(bucket.saturating_add(1)) {
                *count += 1;
            }
        };
        let pairs = self.values.chunks_exact(2);
        if let [last] = *pairs.remainder() {
            count(&mut below, bucket(last));
        }
        for pair in pairs {
            if let [one, other] = *pair {
                count(&mut below, bucket(one));
                count(&mut others, bucket(other));
            }
        }
        sums(below, others)
    }

    /// The least bits that a window of `width` bits that holds so many values takes.
    fn least_bits(&self, held: u8, width: u8) -> usize {
        let count = self.values.len();
        let patches = count - usize::from(held);
        // One end is at least half of the range away from the window.
        let patch_width = usize::from(self.range_bits.saturating_sub(width + 1).max(2));
        let positions = (patches * usize::from(POSITION_BITS)).min(count);
        let patches = if patches == 0 {
            0
        } else {
            PATCH_HEAD + patch_width * patches
        };
        count * usize::from(width) + patches + positions
    }

    fn offer(&mut self, base: i64, width: u8, held: u8) {
        let mut plan = Plan {
            base,
            width,
            patches: self.values.len() - usize::from(held),
            patch_width: 0,
        };
        if self.ends.1.wrapping_sub(self.ends.0) < 0 {
            // Distances wrap, so that the ends need not be the farthest.
            plan = plan.fitted(self.values);
        } else if plan.patches > 0 {
            let far = |value: i64| bit_length(zigzag(plan.high(value)));
            plan.patch_width = far(self.ends.0).max(far(self.ends.1));
        }
        let bits = plan.bits(self.values.len());
        if bits < self.bits {
            (self.best, self.bits) = (plan, bits);
        }
    }
}

/// The sums of both, added up from the first on: eight at a time, as no sum is above 128.
fn sums(one: Below, other: Below) -> Below {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut below: Below = [0; BUCKETS + 1];
    let mut carry = 0u64;
    let (ones, _) = one[1..].as_chunks::<8>();
    let (others, _) = other[1..].as_chunks::<8>();
    let (sums, _) = below[1..].as_chunks_mut::<8>();
    for ((sum, one), other) in sums.iter_mut().zip(ones).zip(others) {
        let counts = u64::from_le_bytes(*one).wrapping_add(u64::from_le_bytes(*other));
        let word = counts.wrapping_mul(ONES).wrapping_add(carry);
        *sum = word.to_le_bytes();
        carry = (word >> 56).wrapping_mul(ONES);
    }
    below
}

/// The most values that `size` neighbouring buckets hold.
fn most_in(below: &Below, size: usize) -> u8 {
    let ends = below.get(size..).unwrap_or_default();
    let sums = below.iter().zip(ends).map(|(low, high)| high - low);
    sums.max().unwrap_or(0)
}

/// The first bucket of those that hold `held` values.
fn window_of(below: &Below, size: usize, held: u8) -> usize {
    let ends = below.get(size..).unwrap_or_default();
    let groups = below.chunks(16).zip(ends.chunks(16)).enumerate();
    for (group, (low, high)) in groups {
        let sums = || low.iter().zip(high).map(|(low, high)| high - low);
        if sums().fold(false, |any, sum| any | (sum == held)) {
            return group * 16 + sums().position(|sum| sum == held).unwrap_or(0);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The best of all widths and of all windows that start at a value.
    fn exhaustive(values: &[i64]) -> usize {
        let plans = values.iter().flat_map(|&base| {
            (0..=MAX_WIDTH).map(move |width| Plan {
                base,
                width,
                patches: 0,
                patch_width: 0,
            })
        });
        let bits = plans.map(|plan| plan.fitted(values).bits(values.len()));
        bits.min().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn plans_are_true_and_nearly_the_best(values in prop::collection::vec(
            prop_oneof![
                4 => -10i64..10,
                2 => 1_000i64..1_100,
                2 => Just(7),
                1 => any::<i32>().prop_map(i64::from),
                1 => any::<i64>(),
            ], 1..=BLOCK_SAMPLES)) {
            let plan = Plan::of(&values, 0);
            prop_assert!(plan.width <= MAX_WIDTH);
            prop_assert_eq!(plan, plan.fitted(&values));
            let (found, best) = (plan.bits(values.len()), exhaustive(&values) + 80);
            prop_assert!(found <= best + best / 8, "{} {}", found, best);
        }
    }

    #[test]
    fn a_narrow_heap_is_found_in_a_wide_range() {
        let mut values: Vec<i64> = (0..128).map(|i| 77_777 + i * i % 16).collect();
        values[9] = i64::MAX / 3;
        values[70] = -(1 << 40);
        let plan = Plan::of(&values, 0);
        assert_eq!((plan.width, plan.patches), (4, 2));
    }
}
