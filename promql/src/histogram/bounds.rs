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
    fraction(part, shift) * two_to(exponent.min(1024))
}

/// 2 to `part / 2^shift`, with the last bit that Prometheus' bounds have: those of a schema are
/// those of the next coarser one, and each of them times the base of the schema.
fn fraction(part: i32, shift: u32) -> f64 {
    let bits = (0..shift).rev().map(|bit| part >> bit & 1 == 1);
    let bases = bits.zip(BASES).filter(|(is_set, _)| *is_set);
    bases.fold(1.0, |product, (_, base)| product * base)
}

/// The bases of schemas 1 to 8: the root of 2, its root, and so on. The first is one bit below
/// the nearest number, as it is in Prometheus.
#[allow(clippy::approx_constant, reason = "it is not that constant")]
const BASES: [f64; 8] = [
    1.414213562373095,
    1.189207115002721,
    1.0905077326652577,
    1.0442737824274138,
    1.0218971486541166,
    1.0108892860517005,
    1.0054299011128027,
    1.0027112750502025,
];

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
        assert_eq!(upper_bound(8, 256), 2.0);
        assert_eq!(upper_bound(3, -8), 0.5);
        assert_eq!(upper_bound(0, -1074), 5e-324);
    }

    /// As Prometheus 2.42 printed them.
    #[test]
    #[allow(clippy::approx_constant, reason = "they are not those constants")]
    fn bounds_are_those_of_prometheus_to_the_last_bit() {
        for (schema, index, bound) in [
            (1, -1, 0.7071067811865475),
            (1, 1, 1.414213562373095),
            (2, 1, 1.189207115002721),
            (3, -7, 0.5452538663326288),
            (3, -5, 0.6484197773255048),
            (4, -9, 0.6771277734684463),
            (5, -29, 0.5335702003384117),
            (6, -61, 0.5165124395106142),
            (7, -123, 0.5137229745593818),
            (8, -255, 0.5013556375251013),
            (8, -123, 0.7167447066838943),
            (8, -1, 0.9972960560854698),
        ] {
            assert_eq!(upper_bound(schema, index), bound, "{schema} {index}");
        }
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
