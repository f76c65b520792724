//! What the CPU can do, chosen at run time; the only folder of this crate with `unsafe`.
//!
//! Input: packed bytes, integers or floats. Output: the same bits at every [`Level`]: `Portable` is
//! the definition, the tests hold the others against it. Invariant: no kernel reads or writes
//! outside of the slices it is given, whatever they hold.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod dispatch;
#[cfg(target_arch = "x86_64")]
mod shuffles;
#[cfg(test)]
mod tests;

#[cfg(test)]
use crate::limits::BLOCK_SAMPLES;
#[cfg(test)]
use crate::portable::{Form, Source, Undo};
#[cfg(target_arch = "x86_64")]
use std::sync::atomic::{AtomicU8, Ordering};

/// What was found out about this CPU; 0 while nothing was.
#[cfg(target_arch = "x86_64")]
static FOUND: AtomicU8 = AtomicU8::new(0);
#[cfg(target_arch = "x86_64")]
const PORTABLE: u8 = 1;
#[cfg(target_arch = "x86_64")]
const AVX2: u8 = 2;
#[cfg(target_arch = "x86_64")]
const AVX512: u8 = 3;

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
    /// The best level of this CPU: one load, once it is known.
    #[inline]
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        return match FOUND.load(Ordering::Relaxed) {
            AVX512 => Level::Avx512,
            AVX2 => Level::Avx2,
            PORTABLE => Level::Portable,
            _ => Self::look(),
        };
        #[cfg(not(target_arch = "x86_64"))]
        Level::Portable
    }

    /// Asks the CPU and notes the answer, which is always the same.
    #[cfg(target_arch = "x86_64")]
    #[cold]
    fn look() -> Self {
        let (number, level) = if Self::has_avx512() {
            (AVX512, Level::Avx512)
        } else if Self::has_avx2() {
            (AVX2, Level::Avx2)
        } else {
            (PORTABLE, Level::Portable)
        };
        FOUND.store(number, Ordering::Relaxed);
        level
    }

    #[cfg(target_arch = "x86_64")]
    fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
    }

    #[cfg(target_arch = "x86_64")]
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
