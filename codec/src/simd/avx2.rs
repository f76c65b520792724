//! The kernel for AVX2: four integers of 64 bits at a time.
//!
//! Input: packed bytes. Output: integers, as [`crate::bitpack::unpack_portable`] makes them.
//! Invariant: no byte outside of the slices is read or written.

use super::shuffles::SHUFFLES;
use crate::bitpack::{Block, MAX_WIDTH};
use crate::limits::BLOCK_SAMPLES;
use crate::portable::Packed;
use std::arch::x86_64::*;

#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
pub(super) fn unpack(packed: Packed<'_>, count: usize, out: &mut Block) {
    let Packed {
        bytes,
        width,
        affine: (unit, start),
    } = packed;
    let width = usize::from(width.min(MAX_WIDTH));
    let shifts = &SHUFFLES[width].1;
    let (mask, offset) = (
        _mm256_set1_epi64x((1 << width) - 1),
        _mm256_set1_epi64x(if unit == 1 { start } else { 0 }),
    );
    // Two values span at most 15 bytes, so that 16 are loaded for each pair and half of them
    // shuffled to where each begins.
    let pairs = [0, 2, 4, 6].map(|lane| lane * width / 8);
    let order = |pair: usize| {
        let second = ((2 * pair + 1) * width / 8 - pairs[pair]) as i64;
        let bytes = 0x0706_0504_0302_0100;
        (bytes, bytes + second * 0x0101_0101_0101_0101)
    };
    let orders = [0, 2].map(|pair| {
        let ((a, b), (c, d)) = (order(pair), order(pair + 1));
        _mm256_set_epi64x(d, c, b, a)
    });
    // SAFETY: `shifts` has eight places of eight bytes.
    let shifts = [0, 4].map(|at| unsafe { _mm256_loadu_si256(shifts.as_ptr().add(at).cast()) });
    // What the last group reads; where there is less, the numbers are copied with room behind.
    let groups = count.min(BLOCK_SAMPLES).div_ceil(8);
    let read = (groups.max(1) - 1) * width + 64;
    let mut padded;
    let bytes = match bytes.get(..read) {
        Some(bytes) => bytes,
        None => {
            padded = [0u8; BLOCK_SAMPLES / 8 * MAX_WIDTH as usize + 64];
            padded[..bytes.len()].copy_from_slice(bytes);
            &padded[..read]
        }
    };
    for (group, places) in out
        .as_chunks_mut::<8>()
        .0
        .iter_mut()
        .enumerate()
        .take(groups)
    {
        let Some(rest) = bytes.get(group * width..).filter(|rest| rest.len() >= 64) else {
            return;
        };
        for half in 0..2 {
            let (low, high) = (pairs[2 * half], pairs[2 * half + 1]);
            // SAFETY: pairs begin at byte 42 or before, and `rest` has 64 bytes.
            let word = unsafe {
                _mm256_loadu2_m128i(
                    rest.as_ptr().add(high).cast(),
                    rest.as_ptr().add(low).cast(),
                )
            };
            let aligned = _mm256_shuffle_epi8(word, orders[half]);
            let fields = _mm256_and_si256(_mm256_srlv_epi64(aligned, shifts[half]), mask);
            // SAFETY: the second half of eight places begins at the fourth.
            unsafe {
                let place = places.as_mut_ptr().add(4 * half).cast();
                _mm256_storeu_si256(place, _mm256_add_epi64(fields, offset));
            }
        }
    }
    if unit != 1 {
        for value in out.iter_mut().take(count) {
            *value = value.wrapping_mul(unit).wrapping_add(start);
        }
    }
}
