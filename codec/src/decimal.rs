//! Floats as integers over a power of ten, where that is exact.
//!
//! A value v has the decimal (m, e) when the IEEE division m / 10^e gives v bit for bit. The
//! encoder finds m by multiplying and proves it by the decoder's own division, so that -0.0, NaNs
//! and values an ulp beside a decimal are refused here instead of being rounded.

use crate::simd::Level;

/// Powers of ten that are exact in an f64.
pub(crate) const POW10: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// The nearest floats to the inverses of [`POW10`].
pub(crate) const RECIPROCAL: [f64; POW10.len()] = {
    let mut all = POW10;
    let mut scale = 0;
    while scale < all.len() {
        all[scale] = 1.0 / POW10[scale];
        scale += 1;
    }
    all
};

/// Largest scale at which a multiplication and two fused ones are proven to equal a division.
pub(crate) const MAX_FUSED_SCALE: u8 = 21;

/// Largest decimal scale an encoder tries; decoders accept all of [`POW10`].
pub(crate) const MAX_SCALE: u8 = 18;

/// Integers below this magnitude convert to and from f64 by adding a magic number.
const MAGIC_LIMIT: f64 = 2_251_799_813_685_248.0;
/// 1.5 * 2^52: its ulp is 1, so the low bits of a sum with it are an integer.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// 10^`scale`; 1 when `scale` is out of range (decoders check it first).
#[inline]
pub(crate) fn power(scale: u8) -> f64 {
    POW10.get(usize::from(scale)).copied().unwrap_or(1.0)
}

/// 10^`digits` as an integer, saturating at 10^18.
#[inline]
pub(crate) fn int_power(digits: u8) -> i64 {
    10i64.pow(u32::from(digits).min(18))
}

/// The nearest integer to `value`, which must be below 2^51 in magnitude.
#[inline]
fn nearest(value: f64) -> i64 {
    (value + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()) as i64
}

/// The value of the decimal (`int`, `scale`): the arithmetic of every decoder.
#[inline]
pub(crate) fn to_f64(int: i64, scale: u8) -> f64 {
    if scale == 0 {
        int as f64
    } else {
        int as f64 / power(scale)
    }
}

/// The integer m with m / 10^`scale` equal to `value` in all bits, if there is one below 2^51.
#[inline]
pub(crate) fn to_int(value: f64, scale: u8) -> Option<i64> {
    let factor = power(scale);
    let rounded = value * factor + MAGIC;
    let float = rounded - MAGIC;
    let back = if scale == 0 { float } else { float / factor };
    // Written so that no NaN is below the limit.
    let small = float.abs() < MAGIC_LIMIT;
    let int = rounded.to_bits().wrapping_sub(MAGIC.to_bits()) as i64;
    (small && back.to_bits() == value.to_bits()).then_some(int)
}

/// The nearest integer to `value` * 10^`scale` and how many ulps `value` lies above its decimal;
/// `None` when the product is 2^51 or more.
#[inline]
pub(crate) fn to_int_and_ulps(value: f64, scale: u8) -> Option<(i64, i64)> {
    let scaled = value * power(scale);
    if scaled.is_nan() || scaled.abs() >= MAGIC_LIMIT {
        return None;
    }
    let int = nearest(scaled);
    let ulps = value.to_bits().wrapping_sub(to_f64(int, scale).to_bits()) as i64;
    Some((int, ulps))
}

/// The value `ulps` steps of its bits away from `value`: the inverse of [`to_int_and_ulps`].
#[inline]
pub(crate) fn add_ulps(value: f64, ulps: i64) -> f64 {
    f64::from_bits(value.to_bits().wrapping_add(ulps as u64))
}

/// The least scale in `from..=to` at which `value` is a decimal, and its integer there.
pub(crate) fn find(value: f64, from: u8, to: u8) -> Option<(i64, u8)> {
    (from..=to).find_map(|scale| to_int(value, scale).map(|int| (int, scale)))
}

/// The least scale at which `value` is a decimal, looked for from `hint` on either side.
pub(crate) fn least_scale(value: f64, hint: u8) -> Option<u8> {
    if to_int(value, hint).is_none() {
        return find(value, 0, MAX_SCALE).map(|(_, scale)| scale);
    }
    let mut scale = hint;
    while scale > 0 && to_int(value, scale - 1).is_some() {
        scale -= 1;
    }
    Some(scale)
}

/// Appends the integers of `values` at `scale`; whether all of them are decimals of that scale.
///
/// What it appended is no use otherwise.
pub(crate) fn extend_ints(values: &[f64], scale: u8, out: &mut Vec<i64>) -> bool {
    let start = out.len();
    out.resize(start + values.len(), 0);
    Level::detect().to_ints(values, scale, out.get_mut(start..).unwrap_or_default())
}

/// Appends the nearest integers of `values` at `scale` and how many ulps each value lies above its
/// decimal; whether that is at most `most` for each. What it appended is no use otherwise.
pub(crate) fn extend_ints_and_ulps(
    values: &[f64],
    (scale, most): (u8, u64),
    ints: &mut Vec<i64>,
    ulps: &mut Vec<i64>,
) -> bool {
    let starts = (ints.len(), ulps.len());
    ints.resize(starts.0 + values.len(), 0);
    ulps.resize(starts.1 + values.len(), 0);
    let ints = ints.get_mut(starts.0..).unwrap_or_default();
    let ulps = ulps.get_mut(starts.1..).unwrap_or_default();
    Level::detect().to_ints_and_ulps(values, scale, (ints, ulps)) <= most
}

/// What bulk conversions multiply and divide by.
#[derive(Clone, Copy)]
struct Factor {
    power: f64,
    /// The inverse, where the CPU has fused multiply-add and that gives the bits of a division.
    reciprocal: Option<f64>,
}

impl Factor {
    #[inline(always)]
    fn of<const FUSED: bool>(scale: u8) -> Self {
        let exact = FUSED && scale <= MAX_FUSED_SCALE;
        let reciprocal = RECIPROCAL.get(usize::from(scale)).copied();
        Self {
            power: power(scale),
            reciprocal: reciprocal.filter(|_| exact),
        }
    }

    /// The nearest integer to `value` and how many ulps `value` lies above its decimal; false when
    /// the integer is too large. Without a branch, so that it vectorises.
    #[inline(always)]
    fn int_and_ulps(self, value: f64) -> (i64, i64, bool) {
        let rounded = value * self.power + MAGIC;
        let float = rounded - MAGIC;
        let back = match self.reciprocal {
            // As in `portable::to_f64`.
            Some(reciprocal) => {
                let quotient = float * reciprocal;
                let rest = (-quotient).mul_add(self.power, float);
                rest.mul_add(reciprocal, quotient)
            }
            None => float / self.power,
        };
        let int = rounded.to_bits().wrapping_sub(MAGIC.to_bits()) as i64;
        let ulps = value.to_bits().wrapping_sub(back.to_bits()) as i64;
        (int, ulps, float.abs() < MAGIC_LIMIT)
    }
}

/// Fills `out` with the integers of as many values; whether all are decimals of the scale.
#[inline(always)]
pub(crate) fn to_ints<const FUSED: bool>(values: &[f64], scale: u8, out: &mut [i64]) -> bool {
    let factor = Factor::of::<FUSED>(scale);
    let mut wrong = 0;
    for (place, &value) in out.iter_mut().zip(values) {
        let (int, ulps, small) = factor.int_and_ulps(value);
        *place = int;
        wrong |= ulps | i64::from(!small);
    }
    wrong == 0
}

/// Fills both columns for as many values; returns the most ulps, or more than that.
#[inline(always)]
pub(crate) fn to_ints_and_ulps<const FUSED: bool>(
    values: &[f64],
    scale: u8,
    (ints, all): (&mut [i64], &mut [i64]),
) -> u64 {
    let factor = Factor::of::<FUSED>(scale);
    let mut most = 0;
    for ((place, correction), &value) in ints.iter_mut().zip(all).zip(values) {
        let (int, ulps, small) = factor.int_and_ulps(value);
        (*place, *correction) = (int, ulps);
        let ulps = ulps.unsigned_abs();
        most = if small {
            u64::max(most, ulps)
        } else {
            u64::MAX
        };
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_exact_decimals_are_taken() {
        assert_eq!(find(0.134, 0, MAX_SCALE), Some((134, 3)));
        assert_eq!(find(-12.0, 0, MAX_SCALE), Some((-12, 0)));
        assert_eq!(find(1.8187e-5, 0, MAX_SCALE), Some((18187, 9)));
        // The classic sum: one ulp above 0.3, so not 3/10.
        assert_eq!(to_int(0.1 + 0.2, 1), None);
        assert_eq!(to_int(-0.0, 0), None);
        for odd in [
            f64::NAN,
            f64::INFINITY,
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::from_bits(1),
        ] {
            assert_eq!(find(odd, 0, MAX_SCALE), None);
        }
    }

    proptest! {
        #[test]
        fn bulk_and_single_conversion_agree(
            ints in prop::collection::vec(
                prop_oneof![any::<i64>(), -(1i64 << 51)..(1i64 << 51), -9i64..9], 0..40),
            scale in 0u8..=22,
        ) {
            let single: Vec<u64> = ints.iter().map(|&int| to_f64(int, scale).to_bits()).collect();
            for level in Level::all() {
                let bulk: Vec<u64> = level
                    .decimals(&ints, scale)
                    .iter().map(|value| value.to_bits()).collect();
                prop_assert_eq!(&bulk, &single);
            }
        }

        #[test]
        fn bulk_and_single_search_agree(
            values in prop::collection::vec(prop_oneof![
                any::<u64>().prop_map(f64::from_bits),
                (-9999i64..9999, 0u8..6).prop_map(|(int, scale)| to_f64(int, scale)),
                prop::sample::select(vec![
                    f64::NAN, 0.0, -0.0, MAGIC_LIMIT, -MAGIC_LIMIT, MAGIC_LIMIT - 1.0]),
            ], 0..5),
            scale in 0u8..=MAX_SCALE,
        ) {
            let mut ints = Vec::new();
            let all = extend_ints(&values, scale, &mut ints);
            let single: Option<Vec<i64>> =
                values.iter().map(|&value| to_int(value, scale)).collect();
            prop_assert_eq!(all, single.is_some());
            if let Some(single) = single {
                prop_assert_eq!(ints, single);
            }
            let near: Vec<_> = values.iter().map(|&v| to_int_and_ulps(v, scale)).collect();
            let most = near.iter().map(|near| near.map_or(u64::MAX, |near| near.1.unsigned_abs()));
            let most = most.max().unwrap_or(0);
            for level in Level::all() {
                let mut columns = (vec![0; values.len()], vec![0; values.len()]);
                prop_assert_eq!(level.to_ints(&values, scale, &mut columns.0), all);
                let places = (columns.0.as_mut_slice(), columns.1.as_mut_slice());
                prop_assert_eq!(level.to_ints_and_ulps(&values, scale, places), most);
                for ((int, ulps), near) in columns.0.iter().zip(&columns.1).zip(&near) {
                    prop_assert!(near.is_none() || *near == Some((*int, *ulps)));
                }
            }
            for value in values {
                prop_assert_eq!(
                    least_scale(value, scale).map(|least| to_int(value, least).is_some()),
                    find(value, 0, MAX_SCALE).map(|_| true)
                );
            }
        }

        #[test]
        fn a_decimal_comes_back(int in -(1i64 << 50)..(1i64 << 50), scale in 0u8..=15) {
            let value = to_f64(int, scale);
            if let Some((found, at)) = find(value, 0, MAX_SCALE) {
                prop_assert_eq!(to_f64(found, at).to_bits(), value.to_bits());
                prop_assert!(at <= scale);
            } else {
                prop_assert!(value == 0.0 && value.is_sign_negative());
            }
            let (near, ulps) = to_int_and_ulps(value, scale).unwrap();
            prop_assert_eq!(add_ulps(to_f64(near, scale), ulps).to_bits(), value.to_bits());
        }
    }
}
