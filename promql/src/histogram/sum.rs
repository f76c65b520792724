//! Sums of many histograms, compensated, and their mean.
//!
//! Input: histograms one by one. Output: their sum or mean. Invariant: every count keeps what
//! rounding lost beside it (Neumaier's sum). A mean whose sum would overflow goes on with all
//! numbers divided by a power of two, which loses nothing.

use super::arithmetic::{Combined, Mixed, align, combined_hint, each_number};
use super::buckets::combine;
use super::{Histogram, ResetHint, reduce_to, zero};
use crate::functions::kahan::kahan_add;

/// The sum of several histograms.
#[derive(Debug, Clone)]
pub struct HistogramSum {
    sum: Histogram,
    /// What rounding lost, bucket for bucket.
    lost: Histogram,
    count: u64,
    /// Whether the numbers are divided by [`SCALE`].
    scaled: bool,
    /// Whether they may be.
    is_mean: bool,
    /// Whether any was said to be after a reset.
    saw_reset: bool,
    /// Whether any was said not to be.
    saw_no_reset: bool,
}

/// Room for four thousand million largest numbers.
const SCALE: f64 = (1u64 << 32) as f64;

impl HistogramSum {
    /// The sum of one histogram; `is_mean` when its [`mean`](Self::mean) will be asked for.
    pub fn new(first: &Histogram, is_mean: bool) -> Self {
        let mut lost = first.clone();
        each_number(&mut lost, |_| 0.0);
        let mut sum = Self {
            sum: first.clone(),
            lost,
            count: 1,
            scaled: false,
            is_mean,
            saw_reset: false,
            saw_no_reset: false,
        };
        sum.see(first.hint);
        sum
    }

    /// Adds one more.
    pub fn add(&mut self, other: &Histogram) -> Result<Combined, Mixed> {
        if self.is_mean && !self.scaled && self.would_overflow(other) {
            each_number(&mut self.sum, |number| number / SCALE);
            each_number(&mut self.lost, |number| number / SCALE);
            self.scaled = true;
        }
        let (mut other, bounds_reconciled) = align(&mut self.sum, other)?;
        if self.scaled {
            each_number(other.to_mut(), |number| number / SCALE);
        }
        self.align_lost(bounds_reconciled);
        self.sum.hint = combined_hint(self.sum.hint, other.hint).0;
        self.see(other.hint);
        let (sum, lost) = (&mut self.sum, &mut self.lost);
        (sum.count, lost.count) = kahan_add(other.count, sum.count, lost.count);
        (sum.sum, lost.sum) = kahan_add(other.sum, sum.sum, lost.sum);
        (sum.zero_count, lost.zero_count) =
            kahan_add(other.zero_count, sum.zero_count, lost.zero_count);
        add_side(&mut sum.positive, &mut lost.positive, &other.positive);
        add_side(&mut sum.negative, &mut lost.negative, &other.negative);
        self.count += 1;
        Ok(Combined {
            reset_conflict: self.saw_reset && self.saw_no_reset,
            bounds_reconciled,
        })
    }

    fn see(&mut self, hint: ResetHint) {
        self.saw_reset |= hint == ResetHint::Reset;
        self.saw_no_reset |= hint == ResetHint::NotReset;
    }

    /// The sum.
    pub fn finish(self) -> Histogram {
        let Self { mut sum, lost, .. } = self;
        let back = |sum: f64, lost: f64| match sum.is_infinite() {
            true => sum,
            false => sum + lost,
        };
        sum.count = back(sum.count, lost.count);
        sum.sum = back(sum.sum, lost.sum);
        sum.zero_count = back(sum.zero_count, lost.zero_count);
        combine(&mut sum.positive, &lost.positive, back);
        combine(&mut sum.negative, &lost.negative, back);
        sum
    }

    /// The mean.
    pub fn mean(self) -> Histogram {
        let (count, scaled) = (self.count as f64, self.scaled);
        let mut mean = self.finish();
        each_number(&mut mean, |number| number / count);
        if scaled {
            each_number(&mut mean, |number| number * SCALE);
        }
        mean
    }

    /// Whether any sum might overflow: scaling too early loses nothing.
    fn would_overflow(&self, other: &Histogram) -> bool {
        (largest(&self.sum) + largest(other)).is_infinite()
    }

    /// Gives what was lost the layout that the sum has now.
    fn align_lost(&mut self, bounds_reconciled: bool) {
        let (sum, lost) = (&self.sum, &mut self.lost);
        if bounds_reconciled {
            super::buckets::rebound(&mut lost.positive, &lost.bounds, &sum.bounds);
            lost.bounds = sum.bounds.clone();
        } else if !sum.is_custom() {
            zero::widen(lost, sum.zero_threshold);
            lost.zero_threshold = sum.zero_threshold;
            reduce_to(lost, sum.schema);
        }
    }
}

/// The largest finite number of a histogram, without its sign.
fn largest(histogram: &Histogram) -> f64 {
    let buckets = histogram.positive.iter().chain(&histogram.negative);
    let numbers = buckets.map(|bucket| bucket.1);
    let numbers = numbers.chain([histogram.count, histogram.sum, histogram.zero_count]);
    let finite = numbers.filter(|number| number.is_finite());
    finite.map(f64::abs).fold(0.0, f64::max)
}

/// Adds one side of a histogram to that of a sum.
fn add_side(sum: &mut Vec<(i32, f64)>, lost: &mut Vec<(i32, f64)>, more: &[(i32, f64)]) {
    // The same buckets everywhere first.
    combine(sum, more, |ours, _| ours);
    combine(lost, sum, |ours, _| ours);
    let mut more = more.iter().peekable();
    for (sum, lost) in sum.iter_mut().zip(lost.iter_mut()) {
        if let Some(more) = more.next_if(|bucket| bucket.0 == sum.0) {
            (sum.1, lost.1) = kahan_add(more.1, sum.1, lost.1);
        }
    }
}
