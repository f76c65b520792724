//! What integers have in common: the unit that divides all their distances.
//!
//! Input: any integers. Output: a unit of at least 1, and the distances in it. Exact division is
//! one multiplication by the inverse modulo 2^64, after T. Granlund and P. Montgomery, "Division
//! by invariant integers using multiplication" (PLDI 1994, section 9).

/// A unit of at least 1, and what divides by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    value: u64,
    zeros: u32,
    /// The inverse of the odd part, modulo 2^64.
    inverse: u64,
    /// The greatest quotient by the odd part.
    most: u64,
}

impl Unit {
    pub(crate) fn new(value: u64) -> Self {
        let value = value.max(1);
        let zeros = value.trailing_zeros();
        let odd = value >> zeros;
        // Newton's iteration: each step doubles the bits that are right, of which there are 5.
        let mut inverse = odd.wrapping_mul(3) ^ 2;
        for _ in 0..4 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        }
        Self {
            value,
            zeros,
            inverse,
            most: u64::MAX / odd,
        }
    }

    /// The greatest common divisor of all distances from the first value; 1 when they overflow.
    pub(crate) fn common(values: &[i64]) -> Self {
        let one = Self::new(1);
        let Some((&first, rest)) = values.split_first() else {
            return one;
        };
        let mut unit = Self::new(1);
        let mut known = 0;
        for &value in rest {
            let Some(distance) = value.checked_sub(first) else {
                return one;
            };
            let distance = distance.unsigned_abs();
            if known == 0 || !unit.divides(distance) {
                known = greatest_common_divisor(known, distance);
                if known == 1 {
                    return one;
                }
                unit = Self::new(known);
            }
        }
        match known == 0 || known > i64::MAX as u64 {
            true => one,
            false => unit,
        }
    }

    pub(crate) fn value(self) -> u64 {
        self.value
    }

    #[inline]
    fn divides(self, distance: u64) -> bool {
        let odd = distance >> self.zeros;
        distance & ((1 << self.zeros) - 1) == 0 && odd.wrapping_mul(self.inverse) <= self.most
    }

    /// `distance` in this unit, which must divide it.
    #[inline]
    pub(crate) fn divide(self, distance: i64) -> i64 {
        (distance >> self.zeros).wrapping_mul(self.inverse as i64)
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn multiples_are_divided_and_others_seen(
            unit in prop_oneof![1u64..5000, 1u64..(1 << 40), Just(1 << 62), Just(i64::MAX as u64)],
            factor: i32,
            other: u64,
        ) {
            let by = Unit::new(unit);
            prop_assert_eq!(by.divides(other), other % unit == 0);
            if let Some(distance) = i64::from(factor).checked_mul(unit as i64) {
                prop_assert!(by.divides(distance.unsigned_abs()));
                prop_assert_eq!(by.divide(distance), i64::from(factor));
            }
        }

        #[test]
        fn the_common_unit_is_the_greatest(
            unit in prop::sample::select(vec![1i64, 2, 60, 1024, 1_000_000]),
            first: i32,
            steps in prop::collection::vec(-1000i64..1000, 0..40),
        ) {
            let first = i64::from(first);
            let values: Vec<i64> = steps.iter().map(|step| first + step * unit).collect();
            let found = Unit::common(&values);
            let distances = || values.iter().map(|value| value - values[0]);
            prop_assert!(distances().all(|distance| distance % found.value() as i64 == 0));
            let divisor = distances().fold(0, |all, distance| {
                greatest_common_divisor(all, distance.unsigned_abs())
            });
            prop_assert_eq!(found.value(), divisor.max(1));
        }
    }

    #[test]
    fn distances_that_overflow_have_no_unit() {
        assert_eq!(Unit::common(&[i64::MIN, i64::MAX]).value(), 1);
        assert_eq!(Unit::common(&[]).value(), 1);
        assert_eq!(Unit::common(&[5, 5]).value(), 1);
    }
}
