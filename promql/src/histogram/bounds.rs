//! Bounds: where the buckets of a schema begin and end.
//!
//! Input: schema and index of a bucket. Output: its bounds. Invariant: bounds rise with the index;
//! the bucket of index `i` ends where that of `i + 1` begins.

use super::Histogram;

/// One bucket: what it holds and how many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Its lower bound; -infinity in the first custom bucket.
    pub lower: f64,
    /// Its upper bound; infinity in the last custom bucket.
    pub upper: f64,
    /// How many observations it holds.
    pub count: f64,
}

/// The upper bound of the bucket of `index` in an exponential schema: `2^(index * 2^-schema)`.
/// The bucket before the one of infinity ends at the largest finite number.
pub fn upper_bound(schema: i8, index: i32) -> f64 {
    if schema < 0 {
        let shift = u32::from(schema.unsigned_abs()).min(16);
        let exponent = i64::from(index) << shift;
        if exponent == 1024 {
            return f64::MAX;
        }
        return two_to(exponent);
    }
    let shift = u32::from(schema.unsigned_abs()).min(16);
    let part = index & ((1 << shift) - 1);
    let exponent = i64::from(index >> shift);
    if part == 0 && exponent == 1024 {
        return f64::MAX;
    }
    let fraction = (f64::from(part) / f64::from(1u32 << shift)).exp2();
    fraction * two_to(exponent.min(1024))
}

/// The bounds of a bucket of positive observations.
pub(super) fn positive_bounds(histogram: &Histogram, index: i32) -> (f64, f64) {
    if !histogram.is_custom() {
        let schema = histogram.schema;
        return (
            upper_bound(schema, index.saturating_sub(1)),
            upper_bound(schema, index),
        );
    }
    let bounds = &histogram.bounds;
    let at = |index: i32| usize::try_from(index).ok().and_then(|at| bounds.get(at));
    let lower = match index {
        i32::MIN..=0 => f64::NEG_INFINITY,
        _ => at(index - 1).copied().unwrap_or(f64::INFINITY),
    };
    (lower, at(index).copied().unwrap_or(f64::INFINITY))
}

/// The index of a bucket of schema `from` in the coarser schema `to`.
pub(super) fn coarser_index(index: i32, from: i8, to: i8) -> i32 {
    let shift = u32::try_from(i32::from(from) - i32::from(to)).unwrap_or(0);
    (index.saturating_sub(1) >> shift.min(31)).saturating_add(1)
}

/// 2 to a whole power, subnormals and infinity included.
fn two_to(exponent: i64) -> f64 {
    (exponent as f64).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_powers_of_the_base() {
        assert_eq!(upper_bound(0, 0), 1.0);
        assert_eq!(upper_bound(0, 3), 8.0);
        assert_eq!(upper_bound(-1, 1), 4.0);
        assert_eq!(upper_bound(-4, 64), f64::MAX);
        assert_eq!(upper_bound(0, 1024), f64::MAX);
        assert_eq!(upper_bound(0, 1025), f64::INFINITY);
        assert_eq!(upper_bound(1, 1), 2f64.sqrt());
        assert_eq!(upper_bound(8, 256), 2.0);
        assert_eq!(upper_bound(3, -8), 0.5);
        assert_eq!(upper_bound(0, -1074), 5e-324);
    }

    #[test]
    fn a_coarser_bucket_holds_the_finer_one() {
        for schema in -3..=8i8 {
            let most = (800.0 * f64::from(schema).exp2()) as i32;
            for index in -most..most {
                let coarse = coarser_index(index, schema, schema - 1);
                let upper = upper_bound(schema, index);
                assert!(upper <= upper_bound(schema - 1, coarse) * (1.0 + 1e-12));
                assert!(upper > upper_bound(schema - 1, coarse - 1) * (1.0 + 1e-12));
            }
        }
    }
}
