//! Compensated summation: the error of each addition is kept and added at the end.
//!
//! Input: values one by one, or a slice of them. Output: their sum, to an ulp or two unless they
//! cancel out. Invariant: every instruction set makes the same bits, because the order of additions
//! is written down here, in eight lanes or one.
//!
//! Source: A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen",
//! ZAMM 54 (1974). Once the plain sum is infinite or NaN it is the answer, as in plain addition.

use crate::simd::Level;

/// How many sums run side by side, so that none waits for another.
const LANES: usize = 8;

/// A running sum with its rounding error.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CompensatedSum {
    sum: f64,
    error: f64,
}

impl CompensatedSum {
    /// An empty sum: 0.
    pub const fn new() -> Self {
        Self {
            sum: 0.0,
            error: 0.0,
        }
    }

    /// The sum of `values`; of eight and more as eight sums of every eighth value, unless one of
    /// those is infinite or NaN.
    pub fn of(values: &[f64]) -> Self {
        if values.len() >= LANES {
            let (totals, errors) = Level::detect().sum_lanes(values);
            let (mut sum, mut error) = (0.0, errors.iter().sum::<f64>());
            for total in totals {
                let (next, lost) = two_sum(sum, total);
                sum = next;
                error += lost;
            }
            if sum.is_finite() && error.is_finite() {
                return Self { sum, error };
            }
        }
        // Few; or infinite or NaN, where the answer is that of plain addition in order.
        let mut sum = Self::new();
        values.iter().for_each(|&value| sum.add(value));
        sum
    }

    /// A sum from its parts: the plain sum and the error that it has.
    pub(crate) const fn from_parts(sum: f64, error: f64) -> Self {
        Self { sum, error }
    }

    /// The plain sum, and what its rounding lost.
    pub const fn parts(&self) -> (f64, f64) {
        (self.sum, self.error)
    }

    /// Adds one value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let total = self.sum + value;
        self.error += if self.sum.abs() >= value.abs() {
            (self.sum - total) + value
        } else {
            (value - total) + self.sum
        };
        self.sum = total;
    }

    /// Adds another sum, its error included.
    pub fn merge(&mut self, other: &CompensatedSum) {
        self.add(other.sum);
        self.error += other.error;
    }

    /// The sum; infinite or NaN exactly when plain addition in the same order is.
    #[inline]
    pub fn value(&self) -> f64 {
        if self.sum.is_finite() {
            self.sum + self.error
        } else {
            self.sum
        }
    }
}

/// Sums of the values at every eighth place, and what their rounding lost.
#[inline(always)]
pub(crate) fn lanes(values: &[f64]) -> ([f64; LANES], [f64; LANES]) {
    let (mut totals, mut errors) = ([0.0; LANES], [0.0; LANES]);
    let (groups, rest) = values.as_chunks::<LANES>();
    for group in groups {
        for ((total, error), &value) in totals.iter_mut().zip(&mut errors).zip(group) {
            let (sum, lost) = two_sum(*total, value);
            *total = sum;
            *error += lost;
        }
    }
    for ((total, error), &value) in totals.iter_mut().zip(&mut errors).zip(rest) {
        let (sum, lost) = two_sum(*total, value);
        *total = sum;
        *error += lost;
    }
    (totals, errors)
}

/// The rounded sum of two and what the rounding lost, exactly.
///
/// Source: D. Knuth, "The Art of Computer Programming" 2, 4.2.2, theorem B.
#[inline(always)]
pub fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(values: &[f64]) -> f64 {
        let mut sum = CompensatedSum::new();
        values.iter().for_each(|&value| sum.add(value));
        sum.value()
    }

    #[test]
    fn what_plain_addition_loses_is_kept() {
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_ne!([0.1; 10].iter().sum::<f64>(), 1.0);
    }

    #[test]
    fn infinities_and_nan_behave_like_plain_addition() {
        assert_eq!(sum(&[1.0, f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(sum(&[f64::NEG_INFINITY, 5.0]), f64::NEG_INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert!(sum(&[1.0, f64::NAN, 2.0]).is_nan());
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
    }

    #[test]
    fn lanes_lose_nothing_that_one_compensated_sum_keeps() {
        let values = [1.0, 1e100, 1.0, 3.0, -1e100, -1e100, 7.0, 1e100, 0.5];
        assert_eq!(CompensatedSum::of(&values).value(), 12.5);
        assert_eq!(CompensatedSum::of(&[f64::MAX; 8]).value(), f64::INFINITY);
        let mut infinite = [1.0; 20];
        infinite[9] = f64::NEG_INFINITY;
        assert_eq!(CompensatedSum::of(&infinite).value(), f64::NEG_INFINITY);
        infinite[17] = f64::INFINITY;
        assert!(CompensatedSum::of(&infinite).value().is_nan());
    }

    proptest! {
        #[test]
        fn every_level_sums_the_same_bits(
            values in prop::collection::vec(prop_oneof![-1e3..1e3, any::<f64>()], 0..300),
        ) {
            let bits = |(sums, errors): ([f64; LANES], [f64; LANES])| {
                (sums.map(f64::to_bits), errors.map(f64::to_bits))
            };
            prop_assume!(values.iter().sum::<f64>().is_finite());
            for level in Level::all() {
                prop_assert_eq!(bits(level.sum_lanes(&values)), bits(lanes(&values)));
            }
            let (of, plain) = (CompensatedSum::of(&values).value(), sum(&values));
            let scale: f64 = values.iter().map(|value| value.abs()).sum();
            prop_assert!(of == plain || (of - plain).abs() <= scale * 1e-15, "{} {}", of, plain);
        }
    }

    #[test]
    fn merging_parts_is_summing_the_whole() {
        let (mut left, mut right) = (CompensatedSum::new(), CompensatedSum::new());
        [1.0, 1e100].iter().for_each(|&value| left.add(value));
        [1.0, -1e100].iter().for_each(|&value| right.add(value));
        left.merge(&right);
        assert_eq!(left.value(), 2.0);
    }
}
