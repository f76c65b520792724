//! Quantiles: the values of a window, kept until its last one is known.
//!
//! Input: slices of samples. Output: the value at rank `q * (count - 1)`, linearly interpolated
//! between its neighbours, as PromQL's `quantile_over_time` has it (a fact of its documentation).

use treering_codec::Stats;

use super::accumulator::Accumulator;

/// The values seen, in no order, as numbers that sort alike.
#[derive(Debug, Clone)]
pub(crate) struct Values(Vec<u64>);

impl Values {
    /// The `q` quantile; NaN sorts before every other value. Below 0 it is -infinity, above 1
    /// infinity, and for a NaN `q` NaN.
    pub(crate) fn quantile(mut self, q: f64) -> f64 {
        if q.is_nan() {
            return f64::NAN;
        }
        if !(0.0..=1.0).contains(&q) {
            return if q < 0.0 {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            };
        }
        let rank = q * (self.0.len() as f64 - 1.0);
        let (whole, weight) = (rank.floor(), rank - rank.floor());
        let at = (whole as usize).min(self.0.len() - 1);
        let (_, &mut lower, above) = self.0.select_nth_unstable(at);
        let (lower, upper) = (value(lower), above.iter().copied().min().map(value));
        match upper {
            // An upper neighbour of no weight has no say: infinity times 0 would be NaN.
            Some(upper) if weight > 0.0 => lower * (1.0 - weight) + upper * weight,
            _ => lower,
        }
    }
}

impl Accumulator for Values {
    const CONSTANT: bool = false;

    fn of_samples(_: &[i64], values: &[f64]) -> Self {
        Self(values.iter().map(|&value| key(value)).collect())
    }

    fn of_stats(_: &Stats, _: i64, _: i64) -> Option<Self> {
        None
    }

    fn append(&mut self, next: &Self) {
        self.0.extend_from_slice(&next.0);
    }

    fn pool(&mut self, other: Self) {
        self.append(&other);
    }

    fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<u64>()
    }
}

const SIGN: u64 = 1 << 63;

/// A number that sorts as the value does: NaN first, -0 before 0.
#[inline]
fn key(value: f64) -> u64 {
    let bits = value.to_bits();
    match (value.is_nan(), bits & SIGN != 0) {
        (true, _) => 0,
        (false, true) => !bits,
        (false, false) => bits | SIGN,
    }
}

/// The value of a key; of NaN, one of them.
fn value(key: u64) -> f64 {
    match key {
        0 => f64::NAN,
        SIGN.. => f64::from_bits(key & !SIGN),
        _ => f64::from_bits(!key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantile(q: f64, values: &[f64]) -> f64 {
        Values::of_samples(&[], values).quantile(q)
    }

    #[test]
    fn ranks_between_two_values_are_interpolated() {
        assert_eq!(quantile(0.5, &[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(quantile(0.25, &[5.0, 1.0]), 2.0);
        assert_eq!(quantile(1.0, &[5.0, 9.0, 1.0]), 9.0);
        assert_eq!(quantile(0.0, &[5.0, 9.0, 1.0]), 1.0);
        assert_eq!(quantile(0.5, &[2.0, f64::INFINITY, 1.0]), 2.0);
    }

    #[test]
    fn nan_sorts_first_and_ranks_outside_are_infinite() {
        assert!(quantile(0.0, &[1.0, f64::NAN, 2.0]).is_nan());
        assert_eq!(quantile(1.0, &[1.0, f64::NAN, 2.0]), 2.0);
        assert_eq!(quantile(0.5, &[1.0, f64::NAN, 2.0]), 1.0);
        assert_eq!(quantile(-0.1, &[1.0]), f64::NEG_INFINITY);
        assert_eq!(quantile(1.1, &[1.0]), f64::INFINITY);
        assert!(quantile(f64::NAN, &[1.0]).is_nan());
    }
}
