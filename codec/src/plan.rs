//! How a block of integers is packed: the base, the width, and which values are patched.
//!
//! Input: up to 128 integers. Output: the [`Plan`] of the fewest bits among all widths and, for
//! each width, the window [base, base + 2^width) that holds the most values, found by counting in
//! buckets instead of sorting. Invariant: the width is at most [`MAX_WIDTH`].

use crate::bitpack::MAX_WIDTH;
use crate::limits::BLOCK_SAMPLES;
use crate::simd::Level;
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
        Level::detect().plan(values, last_base)
    }

    /// What [`Self::of`] does, to be compiled for several CPUs.
    #[inline(always)]
    pub(crate) fn search(values: &[i64], last_base: i64) -> Plan {
        let plan = Self::with_any_base(values);
        let away = plan.base.wrapping_sub(last_base);
        // A window that lies beside the best one holds next to nothing.
        if away == 0 || away.unsigned_abs() >> plan.width != 0 {
            return plan;
        }
        let kept = plan.rebased(last_base).fitted(values);
        match kept.bits(values.len()) <= plan.bits(values.len()) + base_bits(away) {
            true => kept,
            false => plan,
        }
    }

    /// The cheapest plan, whatever its base costs.
    #[inline(always)]
    fn with_any_base(values: &[i64]) -> Plan {
        let ends = ends(values);
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
    #[inline(always)]
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
    #[inline(always)]
    pub(crate) fn high(&self, value: i64) -> i64 {
        value.wrapping_sub(self.base) >> self.width
    }

    /// What of `value` is packed.
    #[inline(always)]
    pub(crate) fn low(&self, value: i64) -> u64 {
        value.wrapping_sub(self.base) as u64 & ((1 << self.width) - 1)
    }

    #[inline(always)]
    fn rebased(self, base: i64) -> Self {
        Self { base, ..self }
    }

    /// With the patches that `values` really need.
    #[inline(always)]
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
    Level::detect().rough_cost(values)
}

/// What [`rough_cost`] does, to be compiled for several CPUs.
#[inline(always)]
pub(crate) fn estimate(values: &[i64]) -> usize {
    const CLASSES: usize = 64;
    let middle = middle(values);
    let ends = ends(values);
    let ends = (ends.0.wrapping_sub(middle), ends.1.wrapping_sub(middle));
    // Apart from the counting, so that this is done in vectors.
    let mut lengths = [0u8; BLOCK_SAMPLES];
    for (length, &value) in lengths.iter_mut().zip(values) {
        let distance = value.wrapping_sub(middle);
        *length = bit_length((distance ^ distance >> 63) as u64);
    }
    // Neighbours count apart, so that equal ones do not wait for each other.
    let mut tables = [[0u8; CLASSES]; 4];
    for four in lengths.as_chunks::<4>().0 {
        for (table, &length) in tables.iter_mut().zip(four) {
            table[usize::from(length) % CLASSES] += 1;
        }
    }
    let [a, b, c, d] = &tables;
    let count = values.len();
    let far = bit_length(ends.0.unsigned_abs().max(ends.1.unsigned_abs()));
    let mut best = count * usize::from(bit_length(ends.1.wrapping_sub(ends.0) as u64));
    // Those that there are no values for were counted as near.
    let mut near = 0usize.wrapping_sub(BLOCK_SAMPLES - count);
    for width in 0..=usize::from(far.min(MAX_WIDTH)) {
        // A window around the middle holds what is nearer than half its width; one elsewhere may
        // hold up to what is nearer than its width.
        let class = usize::from(a[width] + b[width] + c[width] + d[width]);
        let held = near.wrapping_add(class / 2) as isize;
        near = near.wrapping_add(class);
        let patches = count.wrapping_sub(held.max(0) as usize);
        let patch_width = usize::from(far).saturating_sub(width) + 1;
        let positions = (patches * usize::from(POSITION_BITS)).min(count);
        let patches = PATCH_HEAD + patches * patch_width + positions;
        best = best.min(count * width + patches);
    }
    best
}

/// A value that is not far from most others: the middle one of nine.
#[inline(always)]
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

#[inline(always)]
fn bit_length(value: u64) -> u8 {
    (64 - value.leading_zeros()) as u8
}

/// Bits of the varint of a change of the base; none when it stays.
#[inline(always)]
fn base_bits(change: i64) -> usize {
    usize::from(bit_length(zigzag(change))).div_ceil(7) * 8
}

/// Bits of the number of buckets that values are counted in.
const BUCKET_BITS: u8 = 7;
const BUCKETS: usize = 1 << BUCKET_BITS;
/// What is counted as lying in no bucket.
const OUTSIDE: u8 = u8::MAX;

/// How many values are in the buckets before each, and before those beyond the last.
type Below = [u8; 2 * BUCKETS];

/// What windows of 1, 2, 4, ... 64 neighbouring buckets hold.
struct Windows {
    below: Below,
    /// The most of each size.
    most: [u8; BUCKET_BITS as usize],
}

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
    #[inline(always)]
    fn run(mut self) -> Plan {
        let (mut low, mut width) = (self.ends.0, self.best.width);
        loop {
            let shift = width.saturating_sub(BUCKET_BITS);
            let windows = Windows::of(self.values, low, shift);
            // What the fullest window of each width at least takes.
            let mut least = [usize::MAX; BUCKET_BITS as usize];
            let sizes = least.iter_mut().zip(windows.most).enumerate();
            for (level, (least, held)) in sizes.take(usize::from(width - shift)) {
                let width = shift + level as u8;
                if width <= MAX_WIDTH {
                    *least = self.least_bits(held, width);
                }
            }
            // The most promising one first, and whatever promises clearly less than that has.
            let promises = least.iter().enumerate();
            let first = promises.min_by_key(|(_, least)| **least);
            let first = first.map_or(0, |(level, _)| level);
            for level in std::iter::once(first).chain(0..least.len()) {
                let promise = std::mem::replace(&mut least[level], usize::MAX);
                if promise.saturating_add(promise / 256) < self.bits {
                    let (first, held) = windows.fullest(level);
                    let base = low.wrapping_add((first as i64) << shift);
                    self.offer(base, shift + level as u8, held);
                }
            }
            // A narrower window lies in two neighbours. That what is in them is one value is the
            // most that can be hoped for; of little more than now nothing will be left.
            let hoped = self.least_bits(windows.most[1], 0);
            if shift == 0 || hoped + hoped / 32 >= self.bits {
                return self.best;
            }
            let (first, _) = windows.fullest(1);
            (low, width) = (low.wrapping_add((first as i64) << shift), shift + 1);
        }
    }

    /// The least bits that a window of `width` bits that holds so many values takes.
    #[inline(always)]
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

    #[inline(always)]
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

impl Windows {
    /// Counts the values in buckets of 2^`shift` integers from `low` on; others are left out.
    #[inline(always)]
    fn of(values: &[i64], low: i64, shift: u8) -> Self {
        // Apart from the counting, so that this is done in vectors.
        let mut buckets = [OUTSIDE; BLOCK_SAMPLES];
        for (bucket, &value) in buckets.iter_mut().zip(values) {
            let distance = value.wrapping_sub(low) as u64 >> shift;
            *bucket = distance.min(OUTSIDE.into()) as u8;
        }
        // Neighbours count apart, so that equal ones do not wait for each other.
        let mut tables = [[0u8; 1 + OUTSIDE as usize]; 4];
        for four in buckets.as_chunks::<4>().0 {
            for (table, &bucket) in tables.iter_mut().zip(four) {
                table[usize::from(bucket)] += 1;
            }
        }
        let [a, b, c, d] = &tables;
        let mut counts = [0; BUCKETS];
        for (index, count) in counts.iter_mut().enumerate() {
            *count = a[index] + b[index] + c[index] + d[index];
        }
        let below = sums(&counts);
        let most = [
            most::<1>(&below),
            most::<2>(&below),
            most::<4>(&below),
            most::<8>(&below),
            most::<16>(&below),
            most::<32>(&below),
            most::<64>(&below),
        ];
        Self { below, most }
    }

    /// The first of the fullest windows of 2^`level` buckets, and how many it holds.
    #[inline(always)]
    fn fullest(&self, level: usize) -> (usize, u8) {
        const GROUP: usize = 32;
        let level = level % self.most.len();
        let most = self.most[level];
        let ends = self.below.get(1 << level..).unwrap_or_default();
        let groups = self.below.chunks_exact(GROUP).zip(ends.chunks_exact(GROUP));
        for (group, (low, high)) in groups.enumerate() {
            let held = || low.iter().zip(high).map(|(low, high)| high - low);
            if held().fold(false, |any, held| any | (held == most)) {
                let first = held().position(|held| held == most);
                return (group * GROUP + first.unwrap_or(0), most);
            }
        }
        (0, most)
    }
}

/// What is in the buckets before each: eight at a time, as no sum is above 128.
#[inline(always)]
fn sums(counts: &[u8; BUCKETS]) -> Below {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut below = [0; 2 * BUCKETS];
    let mut carry = 0u64;
    let (places, _) = below[1..].as_chunks_mut::<8>();
    for (place, eight) in places.iter_mut().zip(counts.as_chunks::<8>().0) {
        let sums = u64::from_le_bytes(*eight)
            .wrapping_mul(ONES)
            .wrapping_add(carry);
        *place = sums.to_le_bytes();
        carry = (sums >> 56).wrapping_mul(ONES);
    }
    below[BUCKETS + 1..].fill(carry as u8);
    below
}

/// The most values that `SIZE` neighbouring buckets hold.
#[inline(always)]
fn most<const SIZE: usize>(below: &Below) -> u8 {
    let mut most = 0;
    for index in 0..BUCKETS {
        most = most.max(below[index + SIZE] - below[index]);
    }
    most
}

/// The least and the greatest of `values`.
#[inline(always)]
fn ends(values: &[i64]) -> (i64, i64) {
    const LANES: usize = 8;
    let (mut least, mut greatest) = ([i64::MAX; LANES], [i64::MIN; LANES]);
    let (groups, rest) = values.as_chunks::<LANES>();
    for group in groups {
        for lane in 0..LANES {
            least[lane] = least[lane].min(group[lane]);
            greatest[lane] = greatest[lane].max(group[lane]);
        }
    }
    let ends = least.into_iter().zip(greatest);
    ends.chain(rest.iter().map(|&value| (value, value)))
        .fold((i64::MAX, i64::MIN), |ends, (least, greatest)| {
            (ends.0.min(least), ends.1.max(greatest))
        })
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
