//! Decimals that values are near to: the decimal as an integer, and how far the value is from it.
//!
//! Sums of decimals are off by a few ulps of an f64; values that were an f32 once lie at the f32
//! next to their decimal, and may be off that by a few ulps of an f32. Input: floats. Output: two
//! columns of integers. Invariant: what is not exactly given back by the decoder's own arithmetic
//! is a misfit.

use crate::choose::{PATCH_SHARE, Patch, Room};
use crate::decimal::{self, MAX_SCALE};
use crate::sealed::Encoding;

/// Largest distance that counts as rounding noise, in ulps of an f64 and of an f32.
const MAX_ULPS: u64 = 1 << 10;
const MAX_ULPS32: u64 = 1 << 4;
/// In the scale of an f32's decimal: corrections follow.
pub(crate) const CORRECTED_FLAG: u8 = 0x80;
/// Scales tried from the first that fits on: larger ones have smaller corrections.
const SCALES: u8 = 3;

/// How values are near to decimals of a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Near {
    /// Some ulps off.
    F64(u8),
    /// The nearest f32, or some of its ulps off.
    F32(u8),
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
                    if (seen - fit) * PATCH_SHARE > 32 {
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
        candidates
            .into_iter()
            .flatten()
            .filter(|near| near.scale() <= MAX_SCALE)
    }

    fn scale(self) -> u8 {
        match self {
            Near::F64(scale) | Near::F32(scale) => scale,
        }
    }

    pub(crate) fn encoding(self) -> Encoding {
        match self {
            Near::F64(_) => Encoding::DecimalUlps,
            Near::F32(_) => Encoding::Decimal32,
        }
    }

    /// The integer of the decimal near to `value`, and the correction that makes it `value`.
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
        }
    }

    /// Fills `ints` and `corrections` with one for each value of `column`, and adds the values
    /// that are not near to a decimal to `misfits`.
    pub(crate) fn map(
        self,
        column: &[f64],
        ints: &mut Vec<i64>,
        corrections: &mut Vec<i64>,
        misfits: &mut Vec<Patch>,
    ) {
        ints.clear();
        corrections.clear();
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
    pub(crate) fn put(self, ints: &[i64], corrections: &[i64], room: &mut Room, out: &mut Vec<u8>) {
        let corrected = match self {
            Near::F64(_) => true,
            Near::F32(_) => corrections.iter().any(|&correction| correction != 0),
        };
        let flag = match (self, corrected) {
            (Near::F32(_), true) => CORRECTED_FLAG,
            _ => 0,
        };
        out.push(self.scale() | flag);
        room.put_sequence(ints, out);
        if corrected {
            room.put_plain(corrections, out);
        }
    }
}

/// The f32 that lies `ulps` steps of its bits from the one nearest to `decimal`, as an f64: the
/// arithmetic of every decoder.
#[inline]
pub(crate) fn to_f32(decimal: f64, ulps: i64) -> f64 {
    f64::from(f32::from_bits(
        (decimal as f32).to_bits().wrapping_add(ulps as u32),
    ))
}
