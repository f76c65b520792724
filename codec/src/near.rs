//! Fractions that values are near to: the numerator, and how far the value is from the fraction.
//!
//! Sums of decimals are off by a few ulps of an f64; values that were an f32 once lie at the f32
//! next to their decimal, and may be off that by a few ulps of an f32; averages and rates are
//! integers over a count or a time, which is no power of ten. Input: floats. Output: two columns of
//! integers. Invariant: what is not exactly given back by the decoder's own arithmetic is a misfit.

use crate::choose::{PATCH_SHARE, PROBES, Patch, Room};
use crate::decimal::{self, MAX_SCALE};
use crate::sealed::Encoding;
use crate::sequence::Transform;
use crate::varint::put_u64;

/// Largest distance that counts as rounding noise, in ulps of an f64 and of an f32.
const MAX_ULPS: u64 = 1 << 10;
const MAX_ULPS32: u64 = 1 << 4;
/// In the scale of an f32's decimal: corrections follow.
pub(crate) const CORRECTED_FLAG: u8 = 0x80;
/// Largest divisor that is looked for.
const MAX_DIVISOR: u32 = 4096;
/// Probes for divisors are below this, so that their numerators are exact.
const MAX_PROBE: f64 = 4_294_967_296.0;
/// How near to an integer a numerator must be, in parts of itself: a few ulps.
const NEARNESS: f64 = 8.0 * f64::EPSILON;
/// Scales tried from the first that fits on: larger ones have smaller corrections.
const SCALES: u8 = 3;

/// How values are near to decimals of a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Near {
    /// Some ulps off.
    F64(u8),
    /// The nearest f32, or some of its ulps off.
    F32(u8),
    /// Not a decimal: an integer over this divisor, or some ulps off.
    Quotient(u32),
}

impl Near {
    /// What nearly all `probes` suit.
    pub(crate) fn candidates(
        probes: impl Iterator<Item = f64> + Clone,
    ) -> impl Iterator<Item = Near> {
        let of = |near: fn(u8) -> Near| {
            let fits = |scale: u8| {
                let probes = probes.clone();
                let (mut fit, mut seen) = (0, 0);
                for value in probes {
                    seen += 1;
                    fit += usize::from(near(scale).int_and_correction(value).is_some());
                    if (seen - fit) * PATCH_SHARE > PROBES {
                        return false;
                    }
                }
                (seen - fit) * PATCH_SHARE <= seen
            };
            let first = (0..=MAX_SCALE).find(|&scale| fits(scale));
            first.map(|first| (first..first + SCALES).map(near))
        };
        // Every f32 is an f64, and near to some decimal as such; the other way is rarer.
        let candidates = of(Near::F32).or_else(|| of(Near::F64));
        candidates.into_iter().flatten().filter(
            |near| !matches!(near, Near::F64(scale) | Near::F32(scale) if *scale > MAX_SCALE),
        )
    }

    /// The least divisor that nearly all `probes` suit.
    pub(crate) fn quotient(probes: impl Iterator<Item = f64> + Clone) -> Option<Near> {
        // Integers that are some ulps off tell nothing: they are near for every divisor.
        let is_fraction = |value: &f64| value.abs() < MAX_PROBE && !is_near(*value, 1.0);
        let least = least_divisor(probes.clone().find(is_fraction)?)?;
        // Other fractions near to the probe lie too far apart: what suits is a multiple.
        (1..=MAX_DIVISOR / least)
            .map(|times| Near::Quotient(times * least))
            .find(|near| {
                let (mut seen, mut misfits) = (0, 0);
                for value in probes.clone() {
                    seen += 1;
                    misfits += usize::from(near.int_and_correction(value).is_none());
                    if misfits * PATCH_SHARE > PROBES {
                        return false;
                    }
                }
                misfits * PATCH_SHARE <= seen
            })
    }

    pub(crate) fn encoding(self) -> Encoding {
        match self {
            Near::F64(_) => Encoding::DecimalUlps,
            Near::F32(_) => Encoding::Decimal32,
            Near::Quotient(_) => Encoding::Quotient,
        }
    }

    /// The numerator of the fraction near to `value`, and the correction that makes it `value`.
    #[inline]
    fn int_and_correction(self, value: f64) -> Option<(i64, i64)> {
        match self {
            Near::F64(scale) => decimal::to_int_and_ulps(value, scale)
                .filter(|&(_, ulps)| ulps.unsigned_abs() <= MAX_ULPS),
            Near::F32(scale) => {
                let (int, _) = decimal::to_int_and_ulps(value, scale)?;
                let decimal = decimal::to_f64(int, scale);
                let found = (value as f32).to_bits() as i32;
                let ulps = found.wrapping_sub((decimal as f32).to_bits() as i32).into();
                let same = to_f32(decimal, ulps).to_bits() == value.to_bits();
                (same && ulps.unsigned_abs() <= MAX_ULPS32).then_some((int, ulps))
            }
            Near::Quotient(divisor) => {
                let (int, _) = decimal::to_int_and_ulps(value * f64::from(divisor), 0)?;
                let fraction = quotient(int as f64, divisor, 0);
                let ulps = value.to_bits().wrapping_sub(fraction.to_bits()) as i64;
                (ulps.unsigned_abs() <= MAX_ULPS32).then_some((int, ulps))
            }
        }
    }

    /// Adds one for each value of `column` to `ints` and `corrections`, and the values that are not
    /// near to a decimal to `misfits`.
    pub(crate) fn map(
        self,
        column: &[f64],
        ints: &mut Vec<i64>,
        corrections: &mut Vec<i64>,
        misfits: &mut Vec<Patch>,
    ) {
        if let Near::F64(scale) = self {
            let starts = (ints.len(), corrections.len());
            if decimal::extend_ints_and_ulps(column, (scale, MAX_ULPS), ints, corrections) {
                return;
            }
            ints.truncate(starts.0);
            corrections.truncate(starts.1);
        }
        let mut last = 0;
        for (position, &value) in column.iter().enumerate() {
            let (int, correction) = self.int_and_correction(value).unwrap_or_else(|| {
                misfits.push((position, value));
                (last, 0)
            });
            last = int;
            ints.push(int);
            corrections.push(correction);
        }
    }

    /// Appends what comes after the tag.
    pub(crate) fn put(
        self,
        (ints, transform): (&[i64], Transform),
        corrections: &[i64],
        room: &mut Room,
        out: &mut Vec<u8>,
    ) {
        let mut corrected = corrections.iter().any(|&correction| correction != 0);
        match self {
            Near::F64(scale) => {
                corrected = true;
                out.push(scale);
            }
            Near::F32(scale) => out.push(scale | if corrected { CORRECTED_FLAG } else { 0 }),
            Near::Quotient(divisor) => put_u64(out, u64::from(divisor) << 1 | u64::from(corrected)),
        }
        room.put_sequence(ints, Some(transform), out);
        if corrected {
            room.put_plain(corrections, out);
        }
    }
}

/// The least divisor of which `probe`, a fraction, is nearly a multiple of the inverse: that of a
/// convergent of its continued fraction (A. Khinchin, "Continued Fractions", theorem 19).
fn least_divisor(probe: f64) -> Option<u32> {
    let (mut last, mut divisor) = (0.0, 1.0);
    let mut rest = probe.abs().fract();
    while rest > 0.0 {
        let inverse = 1.0 / rest;
        (last, divisor) = (divisor, inverse.floor() * divisor + last);
        if divisor > f64::from(MAX_DIVISOR) {
            return None;
        }
        if is_near(probe, divisor) {
            return Some(divisor as u32);
        }
        rest = inverse.fract();
    }
    None
}

/// Whether `probe` is nearly an integer over `divisor`.
fn is_near(probe: f64, divisor: f64) -> bool {
    let numerator = probe * divisor;
    (numerator - numerator.round()).abs() <= numerator.abs() * NEARNESS
}

/// The f32 that lies `ulps` steps of its bits from the one nearest to `decimal`, as an f64: the
/// arithmetic of every decoder.
#[inline]
pub(crate) fn to_f32(decimal: f64, ulps: i64) -> f64 {
    f64::from(f32::from_bits(
        (decimal as f32).to_bits().wrapping_add(ulps as u32),
    ))
}

/// What lies `ulps` steps of its bits from `numerator` / `divisor`: the arithmetic of every
/// decoder.
#[inline]
pub(crate) fn quotient(numerator: f64, divisor: u32, ulps: i64) -> f64 {
    decimal::add_ulps(numerator / f64::from(divisor), ulps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_least_divisor_is_the_one_that_trying_all_finds(
            numerator in 1u32..1 << 20,
            divisor in 2u32..=MAX_DIVISOR,
            ulps in -2i64..=2,
            negative: bool,
        ) {
            let fraction = quotient(f64::from(numerator), divisor, ulps);
            let probe = if negative { -fraction } else { fraction };
            prop_assume!(!is_near(probe, 1.0));
            let tried = (2..=MAX_DIVISOR).find(|&by| is_near(probe, f64::from(by)));
            prop_assert_eq!(least_divisor(probe), tried);
        }
    }
}
