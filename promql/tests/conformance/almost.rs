//! When numbers are equal: upstream's rule.

use treering::is_stale;

/// Relative difference that may remain.
const EPSILON: f64 = 1e-6;

/// NaN equals NaN, the stale marker only itself; other numbers within [`EPSILON`] of each other.
pub(crate) fn almost_equal(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let difference = (a - b).abs();
    let sum = a.abs() + b.abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

#[test]
fn numbers_are_equal_by_upstreams_rule() {
    let nan = f64::NAN;
    assert!(almost_equal(nan, -nan) && almost_equal(1.0, 1.000001));
    assert!(!almost_equal(nan, treering::stale_marker()));
    assert!(almost_equal(
        treering::stale_marker(),
        treering::stale_marker()
    ));
    assert!(!almost_equal(1.0, 1.00001) && !almost_equal(0.0, 1e-300));
    assert!(almost_equal(f64::INFINITY, f64::INFINITY));
    assert!(!almost_equal(f64::INFINITY, f64::MAX));
}
