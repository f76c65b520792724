//! Sums that keep what rounding loses.
//!
//! Input: terms one by one. Output: a sum, and what is to be added to it. Invariant: once a sum is
//! infinite nothing is kept. After A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur
//! Summation endlicher Summen" (1974).

/// Adds `term` to `sum`, of which `lost` was lost so far; the new sum and the new loss.
#[inline]
pub(crate) fn kahan_add(term: f64, sum: f64, lost: f64) -> (f64, f64) {
    let total = sum + term;
    if total.is_infinite() {
        return (total, 0.0);
    }
    let lost = match sum.abs() >= term.abs() {
        true => lost + ((sum - total) + term),
        false => lost + ((term - total) + sum),
    };
    (total, lost)
}

/// A sum with what was lost added back.
#[inline]
pub(crate) fn kahan_total(sum: f64, lost: f64) -> f64 {
    match sum.is_infinite() {
        true => sum,
        false => sum + lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_survive_large_ones() {
        let (mut sum, mut lost) = (0.0, 0.0);
        for term in [1.0, 1e100, 1.0, -1e100] {
            (sum, lost) = kahan_add(term, sum, lost);
        }
        assert_eq!(kahan_total(sum, lost), 2.0);
    }
}
