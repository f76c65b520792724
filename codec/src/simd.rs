//! Vector kernels, chosen at run time by what the CPU can do; the only file here with `unsafe`.
//!
//! Input: packed bytes or integers. Output: integers or floats, the same bits at every [`Level`]:
//! `Portable` is the definition, the tests hold the others against it. Invariant: no kernel reads
//! or writes outside of the slices it is given, whatever they hold.
//!
//! Source of the unpacking: values of one width lie at the same bits of every `width` bytes, so
//! one shuffle of bytes and one shift by lane align eight of them (D. Lemire, L. Boytsov, 2015,
//! for the idea; here on the plain horizontal layout).

use crate::bitpack::{self, Aligned, Block, MAX_WIDTH};
use crate::decimal::{self, MAX_FUSED_SCALE, POW10, RECIPROCAL};
use crate::limits::BLOCK_SAMPLES;
use crate::plan::{self, Plan};
use crate::portable::{self, Form, Packed, Source, Undo, rises};
use crate::replay;
use crate::state::State;
use crate::stats::Stats;
use crate::summary::stats_of;

/// Whether every CPU of the target has fused multiply-add.
const FUSED: bool = cfg!(target_arch = "aarch64");

/// What instructions the kernels may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// What every CPU of the target has.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with VBMI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The best level of this CPU. The answer is cached by the standard library: a load or two.
    #[inline]
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if Self::has_avx512() {
                return Level::Avx512;
            }
            if Self::has_avx2() {
                return Level::Avx2;
            }
        }
        Level::Portable
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn has_avx512() -> bool {
        is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && Self::has_avx2()
    }

    /// Every level of this CPU, to test them against one another.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Level> {
        let mut all = vec![Level::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(Self::has_avx2().then_some(Level::Avx2));
            all.extend(Self::has_avx512().then_some(Level::Avx512));
        }
        all
    }

    /// How a block of `values` is packed; see [`Plan::of`].
    #[inline]
    pub(crate) fn plan(self, values: &[i64], last_base: i64) -> Plan {
        match self {
            Level::Portable => Plan::search(values, last_base),
            // SAFETY: the level is only made where the CPU has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::plan_avx2(values, last_base) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::plan_avx512(values, last_base) },
        }
    }

    /// Bits that a block of `values` takes; see [`plan::rough_cost`].
    #[inline]
    pub(crate) fn rough_cost(self, values: &[i64]) -> usize {
        match self {
            Level::Portable => plan::estimate(values),
            // SAFETY: the level is only made where the CPU has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::rough_cost_avx2(values) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::rough_cost_avx512(values) },
        }
    }

    /// Fills `out` with the integers of as many values; whether all are decimals of the scale.
    #[inline]
    pub(crate) fn to_ints(self, values: &[f64], scale: u8, out: &mut [i64]) -> bool {
        match self {
            Level::Portable => decimal::to_ints::<FUSED>(values, scale, out),
            // SAFETY: the level is only made where the CPU has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::to_ints_avx2(values, scale, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::to_ints_avx512(values, scale, out) },
        }
    }

    /// Fills both columns for as many values; returns the most ulps, or more where a value has no
    /// integer; see [`decimal::extend_ints_and_ulps`].
    #[inline]
    pub(crate) fn to_ints_and_ulps(
        self,
        values: &[f64],
        scale: u8,
        out: (&mut [i64], &mut [i64]),
    ) -> u64 {
        match self {
            Level::Portable => decimal::to_ints_and_ulps::<FUSED>(values, scale, out),
            // SAFETY: the level is only made where the CPU has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::to_ints_and_ulps_avx2(values, scale, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::to_ints_and_ulps_avx512(values, scale, out) },
        }
    }

    /// Unpacks `count` (at most 128) numbers into the first places of `out`; the places after them
    /// are undefined.
    #[inline]
    pub(crate) fn unpack(self, packed: Packed<'_>, count: usize, out: &mut Block) {
        match self {
            Level::Portable => bitpack::unpack_portable(packed, count, out),
            // SAFETY: the level is only made where the CPU has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::unpack_avx2(packed, count, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::unpack_avx512(packed, count, out) },
        }
    }

    /// Appends to `out` what `form` makes of the `count` (at most 128) integers of `source`, after
    /// `undo`; whether all of them were indexes of the table that [`Form::Lookup`] names.
    #[inline]
    pub(crate) fn extend_f64(
        self,
        source: &Source<'_>,
        undo: &mut Undo,
        count: usize,
        form: &Form<'_>,
        out: &mut Vec<f64>,
    ) -> bool {
        #[cfg(target_arch = "x86_64")]
        if self == Level::Avx512 {
            // SAFETY: the level is only made where the CPU has the features.
            return unsafe { x86::extend_f64_avx512(source, undo, count, form, out) };
        }
        #[cfg(target_arch = "x86_64")]
        if self == Level::Avx2 {
            // SAFETY: as above.
            return unsafe { x86::extend_f64_avx2(source, undo, count, form, out) };
        }
        let unpack = bitpack::unpack_portable;
        portable::extend_f64::<FUSED>(unpack, source, undo, count, form, out)
    }

    /// Appends the `count` (at most 128) integers of `source`, after `undo`, to `out`.
    #[inline]
    pub(crate) fn extend_i64(
        self,
        source: &Source<'_>,
        undo: &mut Undo,
        count: usize,
        out: &mut Vec<i64>,
    ) {
        #[cfg(target_arch = "x86_64")]
        if self == Level::Avx512 {
            // SAFETY: the level is only made where the CPU has the features.
            return unsafe { x86::extend_i64_avx512(source, undo, count, out) };
        }
        #[cfg(target_arch = "x86_64")]
        if self == Level::Avx2 {
            // SAFETY: as above.
            return unsafe { x86::extend_i64_avx2(source, undo, count, out) };
        }
        portable::extend_i64(bitpack::unpack_portable, source, undo, count, out);
    }

    /// Appends `count` times `value` to `out`.
    #[inline]
    pub(crate) fn extend_constant(self, value: f64, count: usize, out: &mut Vec<f64>) {
        #[cfg(target_arch = "x86_64")]
        if self == Level::Avx512 {
            // SAFETY: the level is only made where the CPU has the features.
            return unsafe { x86::extend_constant_avx512(value, count, out) };
        }
        out.resize(out.len() + count, value);
    }

    /// Adds the integers of `source`, after `undo`, to the bits of `places` (at most 128).
    #[inline]
    pub(crate) fn add_ulps(self, source: &Source<'_>, undo: &mut Undo, places: &mut [f64]) {
        #[cfg(target_arch = "x86_64")]
        if self == Level::Avx512 {
            // SAFETY: the level is only made where the CPU has the features.
            return unsafe { x86::add_ulps_avx512(source, undo, places) };
        }
        #[cfg(target_arch = "x86_64")]
        if self == Level::Avx2 {
            // SAFETY: as above.
            return unsafe { x86::add_ulps_avx2(source, undo, places) };
        }
        portable::add_ulps(bitpack::unpack_portable, source, undo, places);
    }

    /// As [`Stats::of`].
    #[inline]
    pub(crate) fn stats(self, values: &[f64]) -> Stats {
        match self {
            Level::Portable => stats_of(values),
            // SAFETY: the level is only made where the CPU has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::stats_avx2(values) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::stats_avx512(values) },
        }
    }

    /// Whether each of `values` is greater than the one before it.
    #[inline]
    pub(crate) fn rises(self, values: &[i64]) -> bool {
        match self {
            Level::Portable => rises(values),
            // SAFETY: the level is only made where the CPU has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::rises_avx2(values) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::rises_avx512(values) },
        }
    }

    /// As [`replay::run`].
    #[inline]
    pub(crate) fn replay(
        self,
        bytes: &[u8],
        position: &mut usize,
        state: &mut State,
        times: &mut [i64],
        values: &mut [f64],
    ) -> usize {
        match self {
            Level::Portable => replay::run(bytes, position, state, times, values),
            // SAFETY: the level is only made where the CPU has the features.
            #[cfg(target_arch = "x86_64")]
            _ => unsafe { x86::replay(bytes, position, state, times, values) },
        }
    }

    /// The values of the decimals (`ints`, `scale`), made block by block.
    #[cfg(test)]
    pub(crate) fn decimals(self, ints: &[i64], scale: u8) -> Vec<f64> {
        let mut out = Vec::new();
        for part in ints.chunks(BLOCK_SAMPLES) {
            let mut block = Box::new([0; BLOCK_SAMPLES]);
            block[..part.len()].copy_from_slice(part);
            let source = Source {
                block: Some(block),
                ..Source::zeros()
            };
            let form = Form::Decimal(scale);
            self.extend_f64(&source, &mut Undo::plain(), part.len(), &form, &mut out);
        }
        out
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use crate::sequence::Transform;
    use std::arch::x86_64::*;
    use std::mem::MaybeUninit;

    /// For each width the byte of 64 that goes to each place, eight bytes for each of eight
    /// values, and by how much each of them is then shifted.
    static SHUFFLES: [([u8; 64], [u64; 8]); MAX_WIDTH as usize + 1] = shuffles();

    const fn shuffles() -> [([u8; 64], [u64; 8]); MAX_WIDTH as usize + 1] {
        let mut all = [([0; 64], [0; 8]); MAX_WIDTH as usize + 1];
        let mut width = 0;
        while width < all.len() {
            let mut lane = 0;
            while lane < 8 {
                let bit = lane * width;
                all[width].1[lane] = (bit % 8) as u64;
                let mut byte = 0;
                while byte < 8 {
                    all[width].0[lane * 8 + byte] = (bit / 8 + byte) as u8;
                    byte += 1;
                }
                lane += 1;
            }
            width += 1;
        }
        all
    }

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
    pub(super) fn unpack_avx512(packed: Packed<'_>, count: usize, out: &mut Block) {
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
    fn each(
        source: &Source<'_>,
        undo: &mut Undo,
        count: usize,
        mut write: impl FnMut(usize, __m512i),
    ) {
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
    pub(super) fn extend_f64_avx512(
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
    pub(super) fn extend_i64_avx512(
        source: &Source<'_>,
        undo: &mut Undo,
        count: usize,
        out: &mut Vec<i64>,
    ) {
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
    pub(super) fn extend_constant_avx512(value: f64, count: usize, out: &mut Vec<f64>) {
        // A vector: floats of any bits are only moved here.
        out.resize(out.len() + count, value);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
    pub(super) fn add_ulps_avx512(source: &Source<'_>, undo: &mut Undo, places: &mut [f64]) {
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

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn extend_f64_avx2(
        source: &Source<'_>,
        undo: &mut Undo,
        count: usize,
        form: &Form<'_>,
        out: &mut Vec<f64>,
    ) -> bool {
        let unpack = |packed: Packed<'_>, count, out: &mut Block| unpack_avx2(packed, count, out);
        portable::extend_f64::<true>(unpack, source, undo, count, form, out)
    }

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn extend_i64_avx2(
        source: &Source<'_>,
        undo: &mut Undo,
        count: usize,
        out: &mut Vec<i64>,
    ) {
        let unpack = |packed: Packed<'_>, count, out: &mut Block| unpack_avx2(packed, count, out);
        portable::extend_i64(unpack, source, undo, count, out);
    }

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn add_ulps_avx2(source: &Source<'_>, undo: &mut Undo, places: &mut [f64]) {
        let unpack = |packed: Packed<'_>, count, out: &mut Block| unpack_avx2(packed, count, out);
        portable::add_ulps(unpack, source, undo, places);
    }

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn unpack_avx2(packed: Packed<'_>, count: usize, out: &mut Block) {
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

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn replay(
        bytes: &[u8],
        position: &mut usize,
        state: &mut State,
        times: &mut [i64],
        values: &mut [f64],
    ) -> usize {
        replay::run(bytes, position, state, times, values)
    }

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn plan_avx2(values: &[i64], last_base: i64) -> Plan {
        Plan::search(values, last_base)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi1,bmi2,lzcnt")]
    pub(super) fn plan_avx512(values: &[i64], last_base: i64) -> Plan {
        Plan::search(values, last_base)
    }

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn rough_cost_avx2(values: &[i64]) -> usize {
        plan::estimate(values)
    }

    #[target_feature(
        enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vbmi,fma,bmi1,bmi2,lzcnt"
    )]
    pub(super) fn rough_cost_avx512(values: &[i64]) -> usize {
        plan::estimate(values)
    }

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn to_ints_avx2(values: &[f64], scale: u8, out: &mut [i64]) -> bool {
        decimal::to_ints::<true>(values, scale, out)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
    pub(super) fn to_ints_avx512(values: &[f64], scale: u8, out: &mut [i64]) -> bool {
        decimal::to_ints::<true>(values, scale, out)
    }

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn to_ints_and_ulps_avx2(
        values: &[f64],
        scale: u8,
        out: (&mut [i64], &mut [i64]),
    ) -> u64 {
        decimal::to_ints_and_ulps::<true>(values, scale, out)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
    pub(super) fn to_ints_and_ulps_avx512(
        values: &[f64],
        scale: u8,
        out: (&mut [i64], &mut [i64]),
    ) -> u64 {
        decimal::to_ints_and_ulps::<true>(values, scale, out)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn rises_avx2(values: &[i64]) -> bool {
        rises(values)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
    pub(super) fn rises_avx512(values: &[i64]) -> bool {
        rises(values)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn stats_avx2(values: &[f64]) -> Stats {
        stats_of(values)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma,bmi2,popcnt")]
    pub(super) fn stats_avx512(values: &[f64]) -> Stats {
        stats_of(values)
    }
}

#[cfg(test)]
mod tests;
