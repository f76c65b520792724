//! How a block of integers is packed: the base, the width, and which values are patched.
//!
//! Input: up to 128 integers. Output: the [`Plan`] of the fewest bits among all widths and, for
//! each width, the window [base, base + 2^width) that holds the most values. Invariant: the width
//! is at most [`MAX_WIDTH`].

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
        if !patches_may_pay(values, &whole) {
            return whole;
        }
        let mut scratch = [0i64; BLOCK_SAMPLES];
        let sorted = &mut scratch[..values.len()];
        sorted.copy_from_slice(values);
        sorted.sort_unstable();
        best_window(sorted, whole)
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

fn bit_length(value: u64) -> u8 {
    (64 - value.leading_zeros()) as u8
}

/// Bits of the varint of a change of the base; none when it stays.
fn base_bits(change: i64) -> usize {
    usize::from(bit_length(zigzag(change))).div_ceil(7) * 8
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
    // The least that one patch takes.
    if count * width <= PATCH_HEAD + 8 {
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
    // A window 2^narrower times narrower lies in so many neighbouring buckets at most; in the last
    // case it may be any narrower one.
    let windows = [
        (1, BUCKETS / 2 + 1),
        (2, BUCKETS / 4 + 1),
        (3, BUCKETS / 8 + 1),
        (width, 2),
    ];
    windows
        .into_iter()
        .filter(|&(narrower, _)| narrower <= width)
        .any(|(narrower, buckets)| {
            let saved = (count * narrower).saturating_sub(PATCH_HEAD);
            let patches = count - most_in(buckets);
            (patches * usize::from(POSITION_BITS)).min(count) + patches * 2 < saved
        })
}

/// The best plan for sorted values: for each width the window of most values, until the patches
/// alone cost more than the best plan.
fn best_window(sorted: &[i64], whole: Plan) -> Plan {
    let count = sorted.len();
    let mut best = (usize::MAX, whole);
    if whole.width <= MAX_WIDTH {
        best.0 = whole.bits(count);
    }
    for width in (0..whole.width.min(MAX_WIDTH + 1)).rev() {
        let (base, held) = fullest_window(sorted, width);
        let patches = count - held;
        let mut plan = Plan {
            base,
            width,
            patches,
            patch_width: 0,
        };
        if patches > 0 && whole.width < 63 {
            let far = |value: i64| bit_length(zigzag(plan.high(value)));
            plan.patch_width = far(sorted[0]).max(far(sorted[count - 1]));
        } else if patches > 0 {
            // Distances wrap, so that the ends need not be the farthest.
            plan = plan.fitted(sorted);
        }
        // Narrower windows never hold more, and every patch has a position and two bits.
        if patches * 2 + (patches * usize::from(POSITION_BITS)).min(count) >= best.0 {
            break;
        }
        let bits = plan.bits(count);
        if bits < best.0 {
            best = (bits, plan);
        }
    }
    best.1
}

/// The lowest value of the window of 2^`width` that holds the most of `sorted`, and how many.
fn fullest_window(sorted: &[i64], width: u8) -> (i64, usize) {
    let mut best = (sorted[0], 0);
    let mut low = 0;
    for (high, &top) in sorted.iter().enumerate() {
        while top.wrapping_sub(sorted[low]) as u64 >> width != 0 {
            low += 1;
        }
        if high + 1 - low > best.1 {
            best = (sorted[low], high + 1 - low);
        }
    }
    best
}
