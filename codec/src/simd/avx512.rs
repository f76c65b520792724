//! Kernels for AVX-512 with VBMI: eight integers of 64 bits at a time.
//!
//! Input: packed bytes. Output: integers and floats, as [`crate::portable`] makes them. Invariant:
//! no byte outside of the slices is read or written; what was reserved is written before it counts.

use super::shuffles::SHUFFLES;
use crate::bitpack::{Aligned, Block, MAX_WIDTH};
use crate::decimal::{MAX_FUSED_SCALE, POW10, RECIPROCAL};
use crate::limits::BLOCK_SAMPLES;
use crate::portable::{Form, Packed, Source, Undo};
use crate::sequence::Transform;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// Up to so many patches are added one by one.
const FEW_PATCHES: u32 = 12;

/// A block that is not written yet.
type Room = MaybeUninit<Aligned>;

/// Unpacks `groups` (at most 16) groups of eight and writes what `then` makes of each.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
#[inline]
fn unpack_groups(
    packed: &Packed<'_>,
    groups: usize,
    out: *mut __m512i,
    mut then: impl FnMut(usize, __m512i) -> __m512i,
) {
    let (bytes, width) = (packed.bytes, usize::from(packed.width.min(MAX_WIDTH)));
    let (shuffle, shifts) = &SHUFFLES[width];
    // SAFETY: both arrays have 64 bytes.
    let (shuffle, shifts) = unsafe {
        (
            _mm512_loadu_si512(shuffle.as_ptr().cast()),
            _mm512_loadu_si512(shifts.as_ptr().cast()),
        )
    };
    let mask = _mm512_set1_epi64((1 << width) - 1);
    let fields = |word: __m512i| {
        let lanes = _mm512_srlv_epi64(_mm512_permutexvar_epi8(shuffle, word), shifts);
        _mm512_and_si512(lanes, mask)
    };
    let mut group = 0;
    while group < groups && group * width + 64 <= bytes.len() {
        // SAFETY: 64 bytes follow; the caller has room for so many groups.
        unsafe {
            let word = _mm512_loadu_si512(bytes.as_ptr().add(group * width).cast());
            _mm512_storeu_si512(out.add(group), then(group, fields(word)));
        }
        group += 1;
    }
    while group < groups {
        let rest = bytes.get(group * width..).unwrap_or_default();
        let there = (1u64 << rest.len()) - 1;
        // SAFETY: only the bytes of the mask are read, which are those of `rest`; as above.
        unsafe {
            let word = _mm512_maskz_loadu_epi8(there, rest.as_ptr().cast());
            _mm512_storeu_si512(out.add(group), then(group, fields(word)));
        }
        group += 1;
    }
}

/// As [`Level::unpack`], with `patch` added to each group of eight.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
#[inline]
fn unpack_affine(
    packed: &Packed<'_>,
    count: usize,
    out: *mut __m512i,
    mut patch: impl FnMut(usize, __m512i) -> __m512i,
) {
    let groups = count.min(BLOCK_SAMPLES).div_ceil(8);
    let (unit, start) = packed.affine;
    let (factor, offset) = (_mm512_set1_epi64(unit), _mm512_set1_epi64(start));
    if unit == 1 {
        unpack_groups(packed, groups, out, |group, fields| {
            patch(group, _mm512_add_epi64(fields, offset))
        });
    } else if packed.width <= 32 && (0..1 << 32).contains(&unit) {
        // One product of 32 bits is a third of one of 64.
        unpack_groups(packed, groups, out, |group, fields| {
            let product = _mm512_mul_epu32(fields, factor);
            patch(group, _mm512_add_epi64(product, offset))
        });
    } else {
        unpack_groups(packed, groups, out, |group, fields| {
            let product = _mm512_mullo_epi64(fields, factor);
            patch(group, _mm512_add_epi64(product, offset))
        });
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
#[inline]
pub(super) fn unpack(packed: Packed<'_>, count: usize, out: &mut Block) {
    unpack_affine(&packed, count, out.as_mut_ptr().cast(), |_, ints| ints);
}

/// The integers of a block, before their transform is undone: `room`, of which the first
/// `count` places rounded up to eight are written, or the block of `source`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
fn stage(source: &Source<'_>, count: usize, room: &mut Room) -> *const __m512i {
    if let Some(block) = &source.block {
        return block.as_ptr().cast();
    }
    let out: *mut __m512i = room.as_mut_ptr().cast();
    if source.map == 0 {
        unpack_affine(&source.packed, count, out, |_, ints| ints);
        return out;
    }
    let mut highs = Room::uninit();
    let highs = unpack_highs(source, &mut highs);
    if source.map.count_ones() <= FEW_PATCHES {
        unpack_affine(&source.packed, count, out, |_, ints| ints);
        let groups = count.div_ceil(8);
        let (mut map, mut taken) = (source.map, 0);
        while map != 0 {
            let place = map.trailing_zeros() as usize;
            map &= map - 1;
            if place < 8 * groups {
                // SAFETY: so many places were written, and there are as many numbers as bits
                // were set.
                unsafe {
                    let place = out.cast::<i64>().add(place);
                    *place = (*place).wrapping_add(*highs.add(taken));
                }
            }
            taken += 1;
        }
        return out;
    }
    let map = source.map.to_le_bytes();
    let mut taken = 0;
    unpack_affine(&source.packed, count, out, |group, ints| {
        let mask = map[group % map.len()];
        // SAFETY: there are as many numbers as bits are set in the map, and as many are read
        // as bits are set in the mask.
        let high = unsafe { _mm512_maskz_expandloadu_epi64(mask, highs.add(taken)) };
        taken += mask.count_ones() as usize;
        _mm512_add_epi64(ints, high)
    });
    out
}

/// What is to be added to each patched number, in their order, in `room`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
#[inline]
fn unpack_highs(source: &Source<'_>, room: &mut Room) -> *const i64 {
    let (zero, one) = (_mm512_setzero_si512(), _mm512_set1_epi64(1));
    let width = _mm_cvtsi64_si128(source.packed.width.into());
    let unit = source.packed.affine.0;
    let factor = _mm512_set1_epi64(unit);
    // At most 128 bits are set, so that no group is beyond the block.
    let groups = source.map.count_ones().div_ceil(8) as usize;
    let out = room.as_mut_ptr().cast();
    unpack_groups(&source.codes, groups, out, |_, code| {
        let sign = _mm512_sub_epi64(zero, _mm512_and_si512(code, one));
        let high = _mm512_xor_si512(_mm512_srli_epi64::<1>(code), sign);
        let high = _mm512_sll_epi64(high, width);
        if unit == 1 {
            high
        } else {
            _mm512_mullo_epi64(high, factor)
        }
    });
    out.cast()
}

/// The sums of each lane and those below it.
#[target_feature(enable = "avx512f")]
#[inline]
fn running(values: __m512i) -> __m512i {
    let zero = _mm512_setzero_si512();
    let sums = _mm512_add_epi64(values, _mm512_alignr_epi64::<7>(values, zero));
    let sums = _mm512_add_epi64(sums, _mm512_alignr_epi64::<6>(sums, zero));
    _mm512_add_epi64(sums, _mm512_alignr_epi64::<4>(sums, zero))
}

/// Hands the integers of `source`, after `undo`, to `write`, eight by eight with the number of
/// their group: `count` of them rounded up to eight, those after `count` undefined.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
#[inline]
fn each(source: &Source<'_>, undo: &mut Undo, count: usize, mut write: impl FnMut(usize, __m512i)) {
    let count = count.min(BLOCK_SAMPLES);
    let mut room = Room::uninit();
    let ints = stage(source, count, &mut room);
    // SAFETY: `stage` wrote so many groups, or it is a block of 16.
    let read = |group| unsafe { _mm512_loadu_si512(ints.add(group)) };
    let groups = 0..count.div_ceil(8);
    let top = _mm512_set1_epi64(7);
    let mut last = _mm512_set1_epi64(undo.last);
    let mut step = _mm512_set1_epi64(undo.step);
    let low = |lanes: __m512i| _mm_cvtsi128_si64(_mm512_castsi512_si128(lanes));
    match undo.transform {
        Transform::Plain => groups.for_each(|group| write(group, read(group))),
        Transform::First => {
            for group in groups {
                let sums = running(read(group));
                write(group, _mm512_add_epi64(sums, last));
                last = _mm512_add_epi64(last, _mm512_permutexvar_epi64(top, sums));
            }
            undo.last = low(last);
        }
        Transform::Second => {
            for group in groups {
                let sums = running(read(group));
                let steps = _mm512_add_epi64(sums, step);
                step = _mm512_add_epi64(step, _mm512_permutexvar_epi64(top, sums));
                let sums = running(steps);
                write(group, _mm512_add_epi64(sums, last));
                last = _mm512_add_epi64(last, _mm512_permutexvar_epi64(top, sums));
            }
            (undo.last, undo.step) = (low(last), low(step));
        }
        Transform::Line => {
            let ramp = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
            last = _mm512_add_epi64(last, _mm512_mullo_epi64(step, ramp));
            step = _mm512_slli_epi64::<3>(step);
            for group in groups {
                write(group, _mm512_add_epi64(read(group), last));
                last = _mm512_add_epi64(last, step);
            }
            let ahead = undo.step.wrapping_mul(count as i64);
            undo.last = undo.last.wrapping_add(ahead);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
#[inline]
pub(super) fn extend_f64(
    source: &Source<'_>,
    undo: &mut Undo,
    count: usize,
    form: &Form<'_>,
    out: &mut Vec<f64>,
) -> bool {
    let count = count.min(BLOCK_SAMPLES);
    // Whole groups are written, of which the last may be cut.
    out.reserve(count.next_multiple_of(8));
    let start = out.len();
    // SAFETY: the places up to the capacity are those of the vector.
    let end = unsafe { out.as_mut_ptr().add(start) };
    // SAFETY: `each` hands over as many groups as there is room for.
    let put = |group: usize, floats| unsafe { _mm512_storeu_pd(end.add(8 * group), floats) };
    let mut beyond = 0u128;
    match *form {
        Form::Decimal(0) => each(source, undo, count, |group, ints| {
            put(group, _mm512_cvtepi64_pd(ints));
        }),
        Form::Decimal(scale) => {
            let index = usize::from(scale);
            let divisor = _mm512_set1_pd(POW10.get(index).copied().unwrap_or(1.0));
            let inverse = _mm512_set1_pd(RECIPROCAL.get(index).copied().unwrap_or(1.0));
            if scale > MAX_FUSED_SCALE {
                each(source, undo, count, |group, ints| {
                    put(group, _mm512_div_pd(_mm512_cvtepi64_pd(ints), divisor));
                });
            } else {
                each(source, undo, count, |group, ints| {
                    // As in `divided`.
                    let floats = _mm512_cvtepi64_pd(ints);
                    let quotient = _mm512_mul_pd(floats, inverse);
                    let rest = _mm512_fnmadd_pd(quotient, divisor, floats);
                    put(group, _mm512_fmadd_pd(rest, inverse, quotient));
                });
            }
        }
        Form::Ordered => each(source, undo, count, |group, ints| {
            let signs = _mm512_srli_epi64::<1>(_mm512_srai_epi64::<63>(ints));
            put(group, _mm512_castsi512_pd(_mm512_xor_si512(ints, signs)));
        }),
        Form::Lookup {
            table,
            count: known,
        } => {
            let (known, low) = (_mm512_set1_epi64(known as i64), _mm512_set1_epi64(0xff));
            each(source, undo, count, |group, ints| {
                let wrong = _mm512_cmpge_epu64_mask(ints, known);
                beyond |= u128::from(wrong) << (8 * group);
                let indexes = _mm512_and_si512(ints, low);
                // SAFETY: the table has a place for every byte.
                let floats = unsafe { _mm512_i64gather_pd::<8>(indexes, table.as_ptr()) };
                put(group, floats);
            });
        }
    }
    // SAFETY: that many were reserved and written, whatever the form.
    unsafe { out.set_len(start + count) };
    count == 0 || beyond << (BLOCK_SAMPLES - count) == 0
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
#[inline]
pub(super) fn extend_i64(source: &Source<'_>, undo: &mut Undo, count: usize, out: &mut Vec<i64>) {
    let count = count.min(BLOCK_SAMPLES);
    out.reserve(count.next_multiple_of(8));
    let start = out.len();
    // SAFETY: the places up to the capacity are those of the vector.
    let end = unsafe { out.as_mut_ptr().add(start) };
    each(source, undo, count, |group, ints| {
        // SAFETY: `each` hands over as many groups as there is room for.
        unsafe { _mm512_storeu_epi64(end.add(8 * group), ints) };
    });
    // SAFETY: that many were reserved and written.
    unsafe { out.set_len(start + count) };
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
#[inline]
pub(super) fn add_ulps(source: &Source<'_>, undo: &mut Undo, places: &mut [f64]) {
    let (count, places) = (places.len().min(BLOCK_SAMPLES), places.as_mut_ptr());
    each(source, undo, count, |group, ulps| {
        let mask = (0xff_u16 >> (8 - (count - 8 * group).min(8))) as u8;
        // SAFETY: `each` hands over `count` values rounded up, of which the mask has `count`.
        unsafe {
            let place = places.add(8 * group).cast::<i64>();
            let sums = _mm512_add_epi64(_mm512_maskz_loadu_epi64(mask, place), ulps);
            _mm512_mask_storeu_epi64(place, mask, sums);
        }
    });
}

/// As [`crate::sum::lanes`].
#[target_feature(enable = "avx512f")]
pub(super) fn sum_lanes(values: &[f64]) -> ([f64; 8], [f64; 8]) {
    let (mut totals, mut errors) = (_mm512_setzero_pd(), _mm512_setzero_pd());
    let mut add = |value: __m512d| {
        let sum = _mm512_add_pd(totals, value);
        let of_value = _mm512_sub_pd(sum, totals);
        let lost = _mm512_sub_pd(totals, _mm512_sub_pd(sum, of_value));
        let lost = _mm512_add_pd(lost, _mm512_sub_pd(value, of_value));
        errors = _mm512_add_pd(errors, lost);
        totals = sum;
    };
    let (groups, rest) = values.as_chunks::<8>();
    for group in groups {
        // SAFETY: eight values are there.
        add(unsafe { _mm512_loadu_pd(group.as_ptr()) });
    }
    if !rest.is_empty() {
        let there = (1u8 << rest.len()) - 1;
        // SAFETY: only the values of the mask are read, which are those of `rest`.
        add(unsafe { _mm512_maskz_loadu_pd(there, rest.as_ptr()) });
    }
    let mut out = ([0.0; 8], [0.0; 8]);
    // SAFETY: both have room for eight.
    unsafe {
        _mm512_storeu_pd(out.0.as_mut_ptr(), totals);
        _mm512_storeu_pd(out.1.as_mut_ptr(), errors);
    }
    out
}
