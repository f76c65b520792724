//! Compensated summation: the error of each addition is kept and added at the end.
//!
//! Source: A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen",
//! ZAMM 54 (1974). Once the plain sum is infinite or NaN it is the answer, as in plain addition.

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

    /// A sum from its parts: the plain sum and the error that it has.
    pub(crate) const fn from_parts(sum: f64, error: f64) -> Self {
        Self { sum, error }
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn merging_parts_is_summing_the_whole() {
        let (mut left, mut right) = (CompensatedSum::new(), CompensatedSum::new());
        [1.0, 1e100].iter().for_each(|&value| left.add(value));
        [1.0, -1e100].iter().for_each(|&value| right.add(value));
        left.merge(&right);
        assert_eq!(left.value(), 2.0);
    }
}
