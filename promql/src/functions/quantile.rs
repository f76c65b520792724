//! Quantiles of plain numbers.
//!
//! Input: numbers and a rank. Output: the number at that rank, interpolated. Invariant: NaN sorts
//! below all numbers.

/// The quantile of rank `q`; infinite where `q` is not from 0 to 1. Changes the order of `values`.
pub(crate) fn quantile_of(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let order = |a: &f64, b: &f64| match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (a, b) => b.cmp(&a),
    };
    let count = values.len() as f64;
    let rank = q * (count - 1.0);
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(count - 1.0);
    let weight = rank - rank.floor();
    let (lower, upper) = (lower as usize, upper as usize);
    if lower >= values.len() {
        return f64::NAN;
    }
    let (_, &mut low, above) = values.select_nth_unstable_by(lower, order);
    let high = match upper > lower {
        true => above.iter().copied().min_by(order).unwrap_or(low),
        false => low,
    };
    low * (1.0 - weight) + high * weight
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
