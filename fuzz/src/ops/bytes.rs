//! Any bytes as choices: numbers, times, values.
//!
//! Input: bytes. Output: one choice after the other, small numbers and odd values among them.

use treering::stale_marker;

use crate::model::SECOND;

/// Zeros once all were taken.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Bytes<'_> {
    pub(super) fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    pub(super) fn below(&mut self, end: u8) -> u8 {
        self.next() % end
    }

    /// Mostly a time near the others, sometimes one far away.
    pub(super) fn time(&mut self) -> i64 {
        match self.next() {
            255 => i64::MIN,
            254 => i64::MAX,
            253 => -86_400 * SECOND,
            252 => 40 * 86_400 * SECOND,
            near => i64::from(near) * 15 * SECOND,
        }
    }

    pub(super) fn range(&mut self) -> (i64, i64) {
        match self.below(4) {
            0 => (i64::MIN, i64::MAX),
            _ => {
                let (a, b) = (self.time(), self.time());
                (a.min(b), a.max(b))
            }
        }
    }
}

/// A value by number: counters, decimals, odd ones.
pub(super) fn value(number: u8) -> f64 {
    match number {
        0..100 => f64::from(number),
        100..200 => f64::from(number) / 100.0,
        200 => stale_marker(),
        201 => f64::NAN,
        202 => -0.0,
        203 => f64::INFINITY,
        odd => f64::from_bits(u64::from(odd).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    }
}
