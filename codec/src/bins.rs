//! Bins: intervals of integers so chosen that naming one and the place inside it costs least.
//!
//! Input: integers in any order. Output: the bins that hold all of them, with rising bounds, and
//! what they will cost. A bin starts at a value that occurs and is a power of two wide, so that a
//! dynamic program over the distinct values finds the best division. Source of the idea: M.
//! Loncaric, "Pcodec: Better Compression for Numerical Sequences" (2025). Invariant: the weights
//! are at least 1 and add up to the size of the table.

/// Most bits of a place inside of a bin: with those of a state they are read in one go.
pub(crate) const MAX_OFFSET_BITS: u8 = 46;
/// Bits of the table of states: at least and at most.
pub(crate) const MIN_TABLE_BITS: u8 = 4;
pub(crate) const MAX_TABLE_BITS: u8 = 10;
/// Most bins; more never pay in a chunk, and each needs a place in the table.
pub(crate) const MAX_BINS: usize = 256;
/// Bits of the change of a bin's width from the one before, on average.
const WIDTH_BITS: f32 = 3.0;

/// An interval of integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bin {
    /// The least integer.
    pub(crate) lower: i64,
    /// It is 2^`bits` wide.
    pub(crate) bits: u8,
    /// Its share of the table's 2^`table_bits` states, at least 1.
    pub(crate) weight: u16,
}

/// Bins and the size of their table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bins {
    pub(crate) bins: Vec<Bin>,
    pub(crate) table_bits: u8,
    /// Bits that the values will take, heads and all; an estimate.
    pub(crate) cost: usize,
}

impl Bins {
    /// The best bins for `values`; `None` for no values, or such as lie too far apart.
    pub(crate) fn of(values: &[i64]) -> Option<Bins> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let (first, last) = (*sorted.first()?, *sorted.last()?);
        if last.checked_sub(first)? >> MAX_OFFSET_BITS != 0 {
            return None;
        }
        let mut runs: Vec<Run> = Vec::new();
        for &value in &sorted {
            match runs.last_mut() {
                Some(run) if run.value == value => run.end += 1,
                last => {
                    let end = last.map_or(0, |run| run.end) + 1;
                    runs.push(Run { value, end });
                }
            }
        }
        let mut table_bits = table_bits(values.len());
        let (choices, cost) = divide(&runs, table_bits);
        let mut bins = Vec::new();
        let mut counts = Vec::new();
        let mut at = 0;
        while let (Some(run), Some(choice)) = (runs.get(at), choices.get(at)) {
            let next = choice.next.max(at + 1);
            bins.push(Bin {
                lower: run.value,
                bits: choice.bits,
                weight: 0,
            });
            counts.push(count(&runs, at, next));
            at = next;
        }
        if bins.len() > MAX_BINS {
            return None;
        }
        // Two states for each bin, so that the weights of the rare ones are not far too large.
        table_bits = table_bits.max(bins.len().next_power_of_two().ilog2() as u8 + 1);
        weigh(&mut bins, &counts, 1 << table_bits);
        Some(Bins {
            bins,
            table_bits,
            cost: cost as usize,
        })
    }
}

/// A distinct value, and how many values are not above it.
struct Run {
    value: i64,
    end: usize,
}

/// The best bin that starts at a distinct value.
#[derive(Debug, Clone, Copy, Default)]
struct Choice {
    bits: u8,
    /// The distinct value after its last.
    next: usize,
}

/// Values from the run `from` up to the run `to`.
fn count(runs: &[Run], from: usize, to: usize) -> usize {
    let below = |run: usize| {
        let before = run.checked_sub(1).and_then(|run| runs.get(run));
        before.map_or(0, |run| run.end)
    };
    below(to) - below(from)
}

/// Bits of the table for so many values: a state for every six or so. Larger tables divide finer
/// than the weights are worth in their heads.
fn table_bits(count: usize) -> u8 {
    let bits = (usize::BITS - count.leading_zeros()).saturating_sub(3);
    (bits as u8).clamp(MIN_TABLE_BITS, MAX_TABLE_BITS)
}

/// For each distinct value the best bin that starts there, and the cost of all from the first on.
fn divide(runs: &[Run], table_bits: u8) -> (Vec<Choice>, f32) {
    const WIDTHS: usize = MAX_OFFSET_BITS as usize + 1;
    let total = runs.last().map_or(0, |run| run.end) as f32;
    let mut costs = vec![0f32; runs.len() + 1];
    let mut choices = vec![Choice::default(); runs.len()];
    // The first run beyond a bin of each width that starts at the run looked at.
    let mut beyond = [runs.len(); WIDTHS];
    for start in (0..runs.len()).rev() {
        let mut best = (f32::MAX, Choice::default());
        let low = runs[start].value;
        let mut last = start;
        for (bits, next) in (0u8..).zip(beyond.iter_mut()) {
            while runs[*next - 1].value.wrapping_sub(low) as u64 >> bits != 0 {
                *next -= 1;
            }
            if *next == last {
                continue;
            }
            last = *next;
            let held = count(runs, start, last) as f32;
            let share = (held / total).log2();
            let weight = (f32::from(table_bits) + share).max(0.0);
            let mut cost = held * (f32::from(bits) - share) + 2.0 * weight + 1.0 + WIDTH_BITS;
            if let Some(run) = runs.get(last) {
                let gap = run.value.wrapping_sub(low) as u64 - (1 << bits);
                cost += gamma_bits(gap) as f32 + costs[last];
            }
            if cost < best.0 {
                best = (cost, Choice { bits, next: last });
            }
            if last == runs.len() {
                break;
            }
        }
        (costs[start], choices[start]) = best;
    }
    (choices, costs[0])
}

/// Bits of `value` as [`crate::coded`] writes it.
pub(crate) fn gamma_bits(value: u64) -> u32 {
    2 * (value + 1).ilog2() + 1
}

/// Shares out `size` states in proportion to `counts`, at least one to each bin.
fn weigh(bins: &mut [Bin], counts: &[usize], size: usize) {
    let total = counts.iter().sum::<usize>().max(1);
    let mut left = size as i64;
    for (bin, &count) in bins.iter_mut().zip(counts) {
        let weight = ((count * size + total / 2) / total).max(1);
        bin.weight = weight as u16;
        left -= weight as i64;
    }
    // What rounding left over, where it changes the cost least: at the largest.
    while left != 0 {
        let largest = bins.iter_mut().max_by_key(|bin| bin.weight);
        let Some(bin) = largest else { return };
        let change = left.clamp(1 - i64::from(bin.weight), i64::MAX);
        bin.weight = (i64::from(bin.weight) + change) as u16;
        left -= change;
        if change == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bins_hold_all_values_and_fill_their_table(values in prop::collection::vec(
            prop_oneof![any::<i32>().prop_map(i64::from), -10i64..10, Just(7)], 1..400)) {
            let bins = Bins::of(&values).unwrap();
            let weights: usize = bins.bins.iter().map(|bin| usize::from(bin.weight)).sum();
            prop_assert_eq!(weights, 1 << bins.table_bits);
            prop_assert!(bins.bins.iter().all(|bin| bin.weight > 0));
            for value in values {
                let holding = bins.bins.iter().filter(|bin| {
                    value >= bin.lower && (value - bin.lower) >> bin.bits == 0
                });
                prop_assert_eq!(holding.count(), 1);
            }
        }
    }

    #[test]
    fn values_too_far_apart_have_no_bins() {
        assert!(Bins::of(&[]).is_none());
        assert!(Bins::of(&[i64::MIN, i64::MAX]).is_none());
        assert!(Bins::of(&[0, 1 << MAX_OFFSET_BITS]).is_none());
        assert!(Bins::of(&[0, (1 << MAX_OFFSET_BITS) - 1]).is_some());
        assert!(Bins::of(&[i64::MAX, i64::MAX - 5]).is_some());
    }

    #[test]
    fn two_heaps_far_apart_have_two_bins() {
        let values: Vec<i64> = (0..600).map(|i| (i * i % 8) + i % 2 * 1_000_000).collect();
        let bins = Bins::of(&values).unwrap();
        assert!((2..=9).contains(&bins.bins.len()), "{:?}", bins.bins);
        assert!(bins.cost < 600 * 5, "{}", bins.cost);
    }
}
