//! Which code runs at which [`Level`].
//!
//! Most is plain code compiled once more for what the CPU has, so that the compiler may use wider
//! vectors; only unpacking is written by hand. Input and output are those of the code that each
//! line names. Invariant: a level is only made where the CPU has its instructions, which is what
//! makes these calls sound.

use super::Level;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::bitpack::{self, Block};
use crate::decimal;
use crate::plan::{self, Plan};
use crate::portable::{self, Form, Packed, Source, Undo};
use crate::replay;
use crate::state::State;
use crate::stats::Stats;
use crate::sum;
use crate::summary::{self, stats_of};

/// Whether every CPU of the target has fused multiply-add.
const FUSED: bool = cfg!(target_arch = "aarch64");

/// Makes a method of [`Level`] of each function, which calls what stands behind the level.
macro_rules! dispatched {
    ($(
        $(#[$meta:meta])*
        fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)?;
        portable => $portable:expr;
        avx2 => $avx2:expr;
        avx512 => $avx512:expr;
    )*) => {
        impl Level {
            $(
                $(#[$meta])*
                #[inline]
                pub(crate) fn $name(self, $($arg: $type),*) $(-> $result)? {
                    match self {
                        Level::Portable => $portable,
                        // SAFETY: the level is only made where the CPU has the features.
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx2 => unsafe { with_avx2::$name($($arg),*) },
                        // SAFETY: as above.
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx512 => unsafe { with_avx512::$name($($arg),*) },
                    }
                }
            )*
        }

        #[cfg(target_arch = "x86_64")]
        mod with_avx2 {
            use super::*;
            $(
                #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
                pub(super) fn $name($($arg: $type),*) $(-> $result)? {
                    $avx2
                }
            )*
        }

        #[cfg(target_arch = "x86_64")]
        mod with_avx512 {
            use super::*;
            $(
                #[target_feature(
                    enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vbmi",
                    enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt"
                )]
                pub(super) fn $name($($arg: $type),*) $(-> $result)? {
                    $avx512
                }
            )*
        }
    };
}

dispatched! {
    /// How a block of `values` is packed; see [`Plan::of`].
    fn plan(values: &[i64], last_base: i64) -> Plan;
    portable => Plan::search(values, last_base);
    avx2 => Plan::search(values, last_base);
    avx512 => Plan::search(values, last_base);

    /// Bits that a block of `values` takes; see [`plan::rough_cost`].
    fn rough_cost(values: &[i64]) -> usize;
    portable => plan::estimate(values);
    avx2 => plan::estimate(values);
    avx512 => plan::estimate(values);

    /// Fills `out` with the integers of as many values; whether all are decimals of the scale.
    fn to_ints(values: &[f64], scale: u8, out: &mut [i64]) -> bool;
    portable => decimal::to_ints::<FUSED>(values, scale, out);
    avx2 => decimal::to_ints::<true>(values, scale, out);
    avx512 => decimal::to_ints::<true>(values, scale, out);

    /// Fills both columns for as many values; returns the most ulps, or more where a value has no
    /// integer; see [`decimal::extend_ints_and_ulps`].
    fn to_ints_and_ulps(values: &[f64], scale: u8, out: (&mut [i64], &mut [i64])) -> u64;
    portable => decimal::to_ints_and_ulps::<FUSED>(values, scale, out);
    avx2 => decimal::to_ints_and_ulps::<true>(values, scale, out);
    avx512 => decimal::to_ints_and_ulps::<true>(values, scale, out);

    /// Unpacks `count` (at most 128) numbers into the first places of `out`; the places after them
    /// are undefined.
    fn unpack(packed: Packed<'_>, count: usize, out: &mut Block);
    portable => bitpack::unpack_portable(packed, count, out);
    avx2 => avx2::unpack(packed, count, out);
    avx512 => avx512::unpack(packed, count, out);

    /// Appends to `out` what `form` makes of the `count` (at most 128) integers of `source`, after
    /// `undo`; whether all of them were indexes of the table that [`Form::Lookup`] names.
    fn extend_f64(
        source: &Source<'_>,
        undo: &mut Undo,
        count: usize,
        form: &Form<'_>,
        out: &mut Vec<f64>,
    ) -> bool;
    portable => portable::extend_f64::<FUSED>(
        bitpack::unpack_portable, source, undo, count, form, out,
    );
    avx2 => portable::extend_f64::<true>(
        |packed, count, out| avx2::unpack(packed, count, out), source, undo, count, form, out,
    );
    avx512 => avx512::extend_f64(source, undo, count, form, out);

    /// Appends the `count` (at most 128) integers of `source`, after `undo`, to `out`.
    fn extend_i64(source: &Source<'_>, undo: &mut Undo, count: usize, out: &mut Vec<i64>);
    portable => portable::extend_i64(bitpack::unpack_portable, source, undo, count, out);
    avx2 => portable::extend_i64(
        |packed, count, out| avx2::unpack(packed, count, out), source, undo, count, out,
    );
    avx512 => avx512::extend_i64(source, undo, count, out);

    /// Appends `count` times `value` to `out`.
    fn extend_constant(value: f64, count: usize, out: &mut Vec<f64>);
    // Floats of any bits are only moved here.
    portable => out.resize(out.len() + count, value);
    avx2 => out.resize(out.len() + count, value);
    avx512 => out.resize(out.len() + count, value);

    /// Adds the integers of `source`, after `undo`, to the bits of `places` (at most 128).
    fn add_ulps(source: &Source<'_>, undo: &mut Undo, places: &mut [f64]);
    portable => portable::add_ulps(bitpack::unpack_portable, source, undo, places);
    avx2 => portable::add_ulps(
        |packed, count, out| avx2::unpack(packed, count, out), source, undo, places,
    );
    avx512 => avx512::add_ulps(source, undo, places);

    /// As [`Stats::of`].
    fn stats(values: &[f64]) -> Stats;
    portable => stats_of(values);
    avx2 => stats_of(values);
    avx512 => stats_of(values);

    /// As [`sum::lanes`].
    fn sum_lanes(values: &[f64]) -> ([f64; 8], [f64; 8]);
    portable => sum::lanes(values);
    avx2 => sum::lanes(values);
    avx512 => avx512::sum_lanes(values);

    /// As [`summary::smallest`].
    fn smallest(values: &[f64]) -> f64;
    portable => summary::smallest_of(values);
    avx2 => summary::smallest_of(values);
    avx512 => summary::smallest_of(values);

    /// As [`summary::largest`].
    fn largest(values: &[f64]) -> f64;
    portable => summary::largest_of(values);
    avx2 => summary::largest_of(values);
    avx512 => summary::largest_of(values);

    /// Whether each of `values` is greater than the one before it.
    fn rises(values: &[i64]) -> bool;
    portable => portable::rises(values);
    avx2 => portable::rises(values);
    avx512 => portable::rises(values);

    /// As [`replay::run`].
    fn replay(
        bytes: &[u8],
        position: &mut usize,
        state: &mut State,
        times: &mut [i64],
        values: &mut [f64],
    ) -> usize;
    portable => replay::run(bytes, position, state, times, values);
    avx2 => replay::run(bytes, position, state, times, values);
    // A chain of dependent steps: wider vectors are of no use.
    avx512 => with_avx2::replay(bytes, position, state, times, values);
}
