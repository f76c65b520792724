//! Quantiles of plain numbers.
//!
//! Input: numbers and a rank. Output: the number at that rank, interpolated. Invariant: NaN sorts
//! below all numbers.

use std::cmp::Ordering;

/// The quantile of rank `q`; infinite where `q` is not from 0 to 1. Changes the order of `values`.
pub(crate) fn quantile_of(q: f64, values: &mut [f64]) -> f64 {
    let count = values.len();
    // The number above the one at `lower` is the least of those behind it.
    let mut lower = None;
    interpolated(q, count, |rank| match lower {
        None => {
            lower = Some(rank);
            *values.select_nth_unstable_by(rank, by_rank).1
        }
        Some(lower) if rank == lower => values.get(rank).copied().unwrap_or(f64::NAN),
        Some(lower) => {
            let above = values.get(lower + 1..).unwrap_or_default();
            above.iter().copied().min_by(by_rank).unwrap_or(f64::NAN)
        }
    })
}

/// The quantile of rank `q` of `count` numbers, of which `number` gives those at the two ranks next
/// to it, the lower one first; infinite where `q` is not from 0 to 1.
pub(crate) fn interpolated(q: f64, count: usize, mut number: impl FnMut(usize) -> f64) -> f64 {
    if count == 0 || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let last = count as f64 - 1.0;
    let rank = q * last;
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(last);
    let weight = rank - rank.floor();
    if lower > last {
        return f64::NAN;
    }
    let (lower, upper) = (number(lower as usize), number(upper as usize));
    lower * (1.0 - weight) + upper * weight
}

/// The order of ranks.
pub(crate) fn by_rank(a: &f64, b: &f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (a, b) => b.cmp(&a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_between_two_numbers_are_interpolated() {
        assert_eq!(quantile_of(0.5, &mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile_of(0.25, &mut [0.0, 1.0]), 0.25);
        assert_eq!(quantile_of(1.0, &mut [0.0, 1.0]), 1.0);
        assert_eq!(quantile_of(0.75, &mut [f64::NAN, 1.0, 0.0]), 0.5);
        assert!(quantile_of(0.2, &mut [1.0, f64::NAN]).is_nan());
        assert_eq!(quantile_of(-0.1, &mut [1.0]), f64::NEG_INFINITY);
    }
}
