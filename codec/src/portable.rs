//! Kernels for any CPU, which define what those of [`crate::simd`] make, and what they work on.
//!
//! Input: packed numbers or integers. Output: integers before their transform, and floats of
//! decimals. Invariant: every CPU makes the same bits.

use crate::bitpack::{Aligned, Block};
use crate::decimal::{self, MAX_FUSED_SCALE, POW10, RECIPROCAL};
use crate::limits::{BLOCK_SAMPLES, MAX_DICTIONARY};
use crate::sealed::from_ordered;
use crate::sequence::Transform;
use crate::varint::unzigzag;

/// Numbers of one width, packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packed<'a> {
    /// Starts with them, and may go on after them.
    pub(crate) bytes: &'a [u8],
    /// At most [`crate::bitpack::MAX_WIDTH`].
    pub(crate) width: u8,
    /// What each is multiplied by, and what is then added.
    pub(crate) affine: (i64, i64),
}

/// Where the integers of a block are.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// Their low bits.
    pub(crate) packed: Packed<'a>,
    /// A bit for each of them that is patched.
    pub(crate) map: u128,
    /// As many zigzagged numbers, to be added above the width of those that are patched.
    pub(crate) codes: Packed<'a>,
    /// The integers themselves, instead of all that.
    pub(crate) block: Option<Box<Block>>,
}

impl Source<'_> {
    /// A block of zeros.
    pub(crate) const fn zeros() -> Self {
        let zeros = Packed {
            bytes: &[],
            width: 0,
            affine: (1, 0),
        };
        Self {
            packed: zeros,
            map: 0,
            codes: zeros,
            block: None,
        }
    }
}

/// What integers become.
#[derive(Debug)]
pub(crate) enum Form<'a> {
    /// The values of decimals of this scale (at most 22).
    Decimal(u8),
    /// The floats that they order.
    Ordered,
    /// The values that they are indexes of, the first `count` of the table.
    Lookup {
        table: &'a [f64; MAX_DICTIONARY],
        count: usize,
    },
}

/// A transform and what the next integer builds on; that is known after whole blocks only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Undo {
    pub(crate) transform: Transform,
    /// The last integer (First, Second), or the line's next point (Line).
    pub(crate) last: i64,
    /// The last difference (Second) or the line's step (Line).
    pub(crate) step: i64,
}

impl Undo {
    /// Of no transform.
    pub(crate) const fn plain() -> Self {
        Self {
            transform: Transform::Plain,
            last: 0,
            step: 0,
        }
    }

    /// Replaces what the transform made of integers by those.
    #[inline(always)]
    pub(crate) fn apply(&mut self, values: &mut [i64]) {
        match self.transform {
            Transform::Plain => {}
            Transform::First => self.last = prefix_sum(values, self.last),
            Transform::Second => {
                self.step = prefix_sum(values, self.step);
                self.last = prefix_sum(values, self.last);
            }
            Transform::Line => {
                for value in values {
                    *value = value.wrapping_add(self.last);
                    self.last = self.last.wrapping_add(self.step);
                }
            }
        }
    }
}

/// Replaces each value by the wrapping sum of `start` and all values up to it; returns the last.
#[inline(always)]
pub(crate) fn prefix_sum(values: &mut [i64], start: i64) -> i64 {
    values.iter_mut().fold(start, |sum, value| {
        *value = sum.wrapping_add(*value);
        *value
    })
}

/// Writes the values of the decimals (`ints`, `scale`) to `out`, as many as both have. `FUSED`: the
/// CPU has fused multiply-add. `MAGIC`: it has no vector conversion of 64-bit integers, so those
/// below 2^51 are converted by adding a magic number.
#[inline(always)]
fn to_f64<const FUSED: bool, const MAGIC: bool>(ints: &[i64], scale: u8, out: &mut [f64]) {
    if MAGIC {
        let widest = ints.iter().fold(0, |all, &int| all | (int ^ int >> 63));
        if widest >> 51 == 0 {
            // Integer addition and float subtraction vectorise where the conversion does not.
            const SHIFT: f64 = 6_755_399_441_055_744.0;
            let convert = |int: i64| f64::from_bits((int as u64).wrapping_add(SHIFT.to_bits()));
            return divided::<FUSED>(ints, scale, out, |int| convert(int) - SHIFT);
        }
    }
    divided::<FUSED>(ints, scale, out, |int| int as f64);
}

/// Converts each integer and divides it by 10^`scale`, or does what amounts to the same bits.
///
/// Source: P. Markstein, "Computation of elementary functions on the IBM RISC System/6000
/// processor", IBM J. Res. Dev. 34 (1990). With r = RN(1/d), d = 10^e, the quotient q = RN(x r) is
/// less than two ulps off, x - q d is a multiple of ulp(q) 2^(e-1) below 2 ulp(q) 5^e 2^e, hence
/// exact for 5^e < 2^51, and q + (x - q d) r is off by less than 2^-52 ulp before it is rounded.
/// No quotient x / d of an x of 53 bits is nearer than 1 / (2 * 5^e) ulp to the middle between two
/// floats, so that for e <= 21 it is rounded as x / d is. Nothing can under- or overflow.
#[inline(always)]
fn divided<const FUSED: bool>(
    ints: &[i64],
    scale: u8,
    out: &mut [f64],
    convert: impl Fn(i64) -> f64,
) {
    let places = out.iter_mut().zip(ints);
    if scale == 0 {
        places.for_each(|(place, &int)| *place = convert(int));
        return;
    }
    let index = usize::from(scale);
    let divisor = POW10.get(index).copied().unwrap_or(1.0);
    if FUSED && scale <= MAX_FUSED_SCALE {
        let reciprocal = RECIPROCAL.get(index).copied().unwrap_or(1.0);
        places.for_each(|(place, &int)| {
            let value = convert(int);
            let quotient = value * reciprocal;
            let rest = (-quotient).mul_add(divisor, value);
            *place = rest.mul_add(reciprocal, quotient);
        });
    } else {
        places.for_each(|(place, &int)| *place = convert(int) / divisor);
    }
}

/// See [`crate::simd::Level::rises`]: without a branch per value.
#[inline(always)]
pub(crate) fn rises(values: &[i64]) -> bool {
    let after = values.get(1..).unwrap_or_default();
    let pairs = values.iter().zip(after);
    pairs.fold(0, |falls, (before, after)| {
        falls | u64::from(before >= after)
    }) == 0
}

/// See [`crate::simd::Level::extend_f64`]; `unpack` as [`crate::simd::Level::unpack`].
#[inline(always)]
pub(crate) fn extend_f64<const FUSED: bool>(
    unpack: impl Fn(Packed<'_>, usize, &mut Block),
    source: &Source<'_>,
    undo: &mut Undo,
    count: usize,
    form: &Form<'_>,
    out: &mut Vec<f64>,
) -> bool {
    let mut scratch = Aligned([0; BLOCK_SAMPLES]);
    let ints = block(unpack, source, undo, count, &mut scratch.0);
    match *form {
        Form::Decimal(scale) => {
            let start = out.len();
            out.resize(start + ints.len(), 0.0);
            to_f64::<FUSED, true>(ints, scale, out.get_mut(start..).unwrap_or_default());
        }
        Form::Ordered => out.extend(ints.iter().map(|&int| from_ordered(int))),
        Form::Lookup { table, count } => {
            out.extend(ints.iter().map(|&int| table[usize::from(int as u8)]));
            let beyond = ints
                .iter()
                .map(|&int| u64::from(int as u64 >= count as u64));
            return beyond.sum::<u64>() == 0;
        }
    }
    true
}

/// See [`crate::simd::Level::extend_i64`].
#[inline(always)]
pub(crate) fn extend_i64(
    unpack: impl Fn(Packed<'_>, usize, &mut Block),
    source: &Source<'_>,
    undo: &mut Undo,
    count: usize,
    out: &mut Vec<i64>,
) {
    let mut scratch = Aligned([0; BLOCK_SAMPLES]);
    out.extend_from_slice(block(unpack, source, undo, count, &mut scratch.0));
}

/// See [`crate::simd::Level::add_ulps`].
#[inline(always)]
pub(crate) fn add_ulps(
    unpack: impl Fn(Packed<'_>, usize, &mut Block),
    source: &Source<'_>,
    undo: &mut Undo,
    places: &mut [f64],
) {
    let mut scratch = Aligned([0; BLOCK_SAMPLES]);
    let ints = block(unpack, source, undo, places.len(), &mut scratch.0);
    for (place, &ulps) in places.iter_mut().zip(ints) {
        *place = decimal::add_ulps(*place, ulps);
    }
}

/// The `count` integers of `source`, after `undo`, in `scratch`.
#[inline(always)]
fn block<'b>(
    unpack: impl Fn(Packed<'_>, usize, &mut Block),
    source: &Source<'_>,
    undo: &mut Undo,
    count: usize,
    scratch: &'b mut Block,
) -> &'b [i64] {
    match &source.block {
        Some(block) => scratch.copy_from_slice(&**block),
        None => {
            unpack(source.packed, count, scratch);
            patch(source, scratch);
        }
    }
    let values = scratch.get_mut(..count).unwrap_or_default();
    undo.apply(values);
    values
}

/// Adds the patches of `source` to what was unpacked of it.
#[inline(always)]
fn patch(source: &Source<'_>, out: &mut Block) {
    let (bytes, width) = (source.codes.bytes, usize::from(source.codes.width));
    let mask = (1u64 << width) - 1;
    let (mut map, mut bit) = (source.map, 0);
    while map != 0 {
        let rest = bytes.get(bit / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => rest
                .iter()
                .rev()
                .fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        let high = unzigzag(word >> (bit % 8) & mask) << source.packed.width;
        if let Some(place) = out.get_mut(map.trailing_zeros() as usize) {
            *place = place.wrapping_add(high.wrapping_mul(source.packed.affine.0));
        }
        map &= map - 1;
        bit += width;
    }
}
