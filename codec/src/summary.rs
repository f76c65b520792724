//! Statistics of values that are there: the loops of [`Stats::of`], for a compiler to vectorise.
//!
//! Input: values in order of time. Output: their statistics. Invariant: every instruction set makes
//! the same bits, because the order of all additions is written down here, in eight lanes or one.

use crate::limits::BLOCK_SAMPLES;
use crate::sample::{STALE_MARKER_BITS, is_stale};
use crate::simd::Level;
use crate::stats::{Stats, canonical, greater, lesser};
use crate::sum::{CompensatedSum, two_sum};

/// Below this magnitude no sum over a chunk can overflow, in whatever order.
const SAFE: f64 = 1e300;

/// See [`Stats::of`].
#[inline(always)]
pub(crate) fn stats_of(values: &[f64]) -> Stats {
    let first = values.first().map_or(0, |value| value.to_bits());
    let (mut stale, mut others) = (0u64, 0u64);
    // No branch, so that it is done in vectors; nearly all columns are read to the end anyway.
    for value in values {
        stale += u64::from(value.to_bits() == STALE_MARKER_BITS);
        others |= value.to_bits() ^ first;
    }
    if others == 0 {
        return Stats::of_constant(f64::from_bits(first), values.len() as u32);
    }
    if stale == 0 {
        return of_present(values);
    }
    let present = values.iter().copied().filter(|&value| !is_stale(value));
    let present: Vec<f64> = present.collect();
    let first = present.first().map_or(0, |value| value.to_bits());
    let stats = match present.iter().all(|value| value.to_bits() == first) {
        true => Stats::of_constant(f64::from_bits(first), present.len() as u32),
        false => of_present(&present),
    };
    Stats {
        stale: stale as u32,
        ..stats
    }
}

/// Statistics of values of which no two are all, and none is a stale marker.
#[inline(always)]
fn of_present(values: &[f64]) -> Stats {
    let (Some(&first), Some(&last)) = (values.first(), values.last()) else {
        return Stats::default();
    };
    let (min, max, nans) = extremes(values);
    let bounded = nans == 0 && min > -SAFE && max < SAFE;
    let (sum, dropped) = match bounded {
        true => (sum_in_lanes(values), dropped_in_blocks(values)),
        false => (sum_in_order(values), dropped_in_order(values)),
    };
    Stats {
        count: values.len() as u32,
        stale: 0,
        min,
        max,
        sum: if nans > 0 {
            f64::NAN
        } else {
            canonical(sum.value())
        },
        first,
        last,
        dropped: canonical(dropped.value()),
        has_nan: nans > 0,
    }
}

/// The smallest of `values`, the earlier of equals (0 and -0); NaN only where there is no number.
pub fn smallest(values: &[f64]) -> f64 {
    Level::detect().smallest(values)
}

/// The largest of `values`, the earlier of equals (0 and -0); NaN only where there is no number.
pub fn largest(values: &[f64]) -> f64 {
    Level::detect().largest(values)
}

/// See [`smallest`].
#[inline(always)]
pub(crate) fn smallest_of(values: &[f64]) -> f64 {
    extreme_of(values, f64::INFINITY, |value, best| value < best)
}

/// See [`largest`].
#[inline(always)]
pub(crate) fn largest_of(values: &[f64]) -> f64 {
    extreme_of(values, f64::NEG_INFINITY, |value, best| value > best)
}

/// The value that beats all others; none beats `worst`.
#[inline(always)]
fn extreme_of(values: &[f64], worst: f64, beats: impl Fn(f64, f64) -> bool) -> f64 {
    let better = |value, best| if beats(value, best) { value } else { best };
    // Several vectors side by side, so that no comparison waits for the one before.
    let mut lanes = [worst; 32];
    let (groups, rest) = values.as_chunks::<32>();
    for group in groups {
        for (lane, &value) in lanes.iter_mut().zip(group) {
            *lane = better(value, *lane);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = better(value, *lane);
    }
    let mut best = worst;
    for value in lanes {
        best = better(value, best);
    }
    // Only of equals does it matter which one came first, and where none beats the worst.
    if best == 0.0 || best == worst {
        let mut values = values.iter().copied();
        best = values.find(|&value| value == best).unwrap_or(f64::NAN);
    }
    best
}

/// Smallest and largest value, and how many are NaN.
#[inline(always)]
fn extremes(values: &[f64]) -> (f64, f64, usize) {
    let (mut min, mut max) = ([f64::INFINITY; 8], [f64::NEG_INFINITY; 8]);
    let mut nans = [0u64; 8];
    let (groups, rest) = values.as_chunks::<8>();
    let mut take = |lane: usize, value: f64| {
        min[lane] = if value < min[lane] { value } else { min[lane] };
        max[lane] = if value > max[lane] { value } else { max[lane] };
        nans[lane] += u64::from(value.is_nan());
    };
    for group in groups {
        for (lane, &value) in group.iter().enumerate() {
            take(lane, value);
        }
    }
    for &value in rest {
        take(0, value);
    }
    let nans = nans.iter().sum::<u64>() as usize;
    if nans == values.len() {
        return (f64::NAN, f64::NAN, nans);
    }
    let min = min.into_iter().fold(f64::INFINITY, lesser);
    let max = max.into_iter().fold(f64::NEG_INFINITY, greater);
    // Lanes forget which zero came first.
    let earliest = |extreme: f64| match extreme == 0.0 {
        true => values
            .iter()
            .copied()
            .find(|&value| value == 0.0)
            .unwrap_or(extreme),
        false => extreme,
    };
    (earliest(min), earliest(max), nans)
}

#[inline(always)]
fn sum_in_order(values: &[f64]) -> CompensatedSum {
    let mut sum = CompensatedSum::new();
    values.iter().for_each(|&value| sum.add(value));
    sum
}

/// Eight compensated sums side by side, which the compiler vectorises; no value may overflow them.
/// Not [`CompensatedSum::of`], which ends otherwise: these bits are in files.
#[inline(always)]
fn sum_in_lanes(values: &[f64]) -> CompensatedSum {
    let (mut sums, mut errors) = ([0.0f64; 8], [0.0f64; 8]);
    let (groups, rest) = values.as_chunks::<8>();
    for group in groups {
        for ((sum, error), &value) in sums.iter_mut().zip(&mut errors).zip(group) {
            let (total, lost) = two_sum(*sum, value);
            *error += lost;
            *sum = total;
        }
    }
    let mut all = sum_in_order(rest);
    for (sum, error) in sums.into_iter().zip(errors) {
        all.merge(&CompensatedSum::from_parts(sum, error));
    }
    all
}

/// Sum of the values before every counter reset.
#[inline(always)]
fn dropped_in_order(values: &[f64]) -> CompensatedSum {
    let mut sum = CompensatedSum::new();
    for pair in values.windows(2) {
        if let [before, after] = *pair
            && after < before
        {
            sum.add(before);
        }
    }
    sum
}

/// As [`dropped_in_order`], of values that no sum of overflows: resets are gathered without a
/// branch, for in a gauge every other step is one.
#[inline(always)]
fn dropped_in_blocks(values: &[f64]) -> CompensatedSum {
    let (mut sum, mut error) = (0.0f64, 0.0f64);
    let after = values.get(1..).unwrap_or_default();
    for (before, after) in values
        .chunks(BLOCK_SAMPLES)
        .zip(after.chunks(BLOCK_SAMPLES))
    {
        let pairs = before.iter().zip(after);
        let falls = pairs
            .clone()
            .map(|(&before, &after)| u64::from(after < before));
        if falls.sum::<u64>() == 0 {
            continue;
        }
        let mut resets = [0.0; BLOCK_SAMPLES];
        let mut count = 0;
        for (&before, &after) in pairs {
            resets[count % BLOCK_SAMPLES] = before;
            count += usize::from(after < before);
        }
        for &value in resets.iter().take(count) {
            let (total, lost) = two_sum(sum, value);
            error += lost;
            sum = total;
        }
    }
    CompensatedSum::from_parts(sum, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One value after the other, but for the sum of all, whose lanes are part of its meaning.
    fn plain(values: &[f64]) -> Stats {
        let present: Vec<f64> = values
            .iter()
            .copied()
            .filter(|&value| !is_stale(value))
            .collect();
        let stale = (values.len() - present.len()) as u32;
        let (Some(&first), Some(&last)) = (present.first(), present.last()) else {
            return Stats {
                stale,
                ..Stats::default()
            };
        };
        let numbers = || present.iter().copied().filter(|value| !value.is_nan());
        let min = numbers().reduce(|min, value| if value < min { value } else { min });
        let max = numbers().reduce(|max, value| if value > max { value } else { max });
        let (min, max) = (min.unwrap_or(f64::NAN), max.unwrap_or(f64::NAN));
        let has_nan = present.iter().any(|value| value.is_nan());
        let safe = present.iter().all(|value| value.abs() < SAFE);
        let same = present
            .iter()
            .all(|value| value.to_bits() == first.to_bits());
        let sum = match (same, safe) {
            (true, _) => first * present.len() as f64,
            (_, true) => sum_in_lanes(&present).value(),
            _ => sum_in_order(&present).value(),
        };
        let dropped = match same {
            true => 0.0,
            false => dropped_in_order(&present).value(),
        };
        Stats {
            count: present.len() as u32,
            stale,
            min,
            max,
            sum: canonical(sum),
            first,
            last,
            dropped: canonical(dropped),
            has_nan,
        }
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => -1000.0f64..1000.0,
            4 => (-50i32..50).prop_map(|int| f64::from(int) / 10.0),
            1 => prop::sample::select(vec![0.0, -0.0, 1e299, -1e299, 2.5]),
        ]
    }

    fn odd() -> impl Strategy<Value = f64> {
        prop_oneof![
            12 => value(),
            1 => prop::sample::select(vec![
                f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, -1e308,
                f64::from_bits(STALE_MARKER_BITS), f64::from_bits(0x7ff8_0000_0000_1234)]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn every_level_counts_as_a_plain_loop_does(
            tame in prop::collection::vec(value(), 0..400),
            wild in prop::collection::vec(odd(), 0..400),
            same in odd(),
            count in 0usize..20,
            rising in prop::collection::vec(0u8..4, 0..300),
        ) {
            let mut counter = 0.0;
            let counter: Vec<f64> = rising
                .iter()
                .map(|&step| {
                    counter = if step == 0 { 0.0 } else { counter + f64::from(step) * 0.3 };
                    counter
                })
                .collect();
            for values in [tame, wild, vec![same; count], counter] {
                let expected = plain(&values);
                for level in Level::all() {
                    prop_assert_eq!(level.stats(&values), expected);
                }
                let numbers: Vec<f64> = values.into_iter().filter(|value| !is_stale(*value)).collect();
                for level in Level::all() {
                    let extremes = (level.smallest(&numbers), level.largest(&numbers));
                    let bits = (extremes.0.to_bits(), extremes.1.to_bits());
                    prop_assert_eq!(bits, (expected.min.to_bits(), expected.max.to_bits()));
                }
            }
        }
    }
}
