//! Arithmetic: sums and differences of histograms, and their multiples.
//!
//! Input: a histogram to change and another one or a number. Output: what happened beside it.
//! Invariant: operands of different layouts meet in the coarsest of both: schema, zero bucket,
//! custom bounds. After `FloatHistogram` of Prometheus.

use std::borrow::Cow;
use std::sync::Arc;

use super::buckets::{coarsen, combine, rebound, shared_bounds};
use super::{Histogram, ResetHint, zero};

/// What combining two histograms brought to light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Combined {
    /// One was said to be after a reset, the other not.
    pub reset_conflict: bool,
    /// Their custom bounds differed, and only the shared ones are left.
    pub bounds_reconciled: bool,
}

/// The error of combining an exponential histogram with one of custom bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mixed;

/// Adds `other` to `histogram`.
pub fn add(histogram: &mut Histogram, other: &Histogram) -> Result<Combined, Mixed> {
    combine_with(histogram, other, |a, b| a + b)
}

/// Takes `other` from `histogram`. The reset hint is combined as in a sum.
pub fn subtract(histogram: &mut Histogram, other: &Histogram) -> Result<Combined, Mixed> {
    combine_with(histogram, other, |a, b| a - b)
}

/// Multiplies all counts and the sum. A negative factor makes a gauge.
pub fn multiply(histogram: &mut Histogram, factor: f64) {
    each_number(histogram, |number| number * factor);
    if factor < 0.0 {
        histogram.hint = ResetHint::Gauge;
    }
}

/// Divides all counts and the sum. Division by zero leaves no buckets; a negative divisor makes a
/// gauge.
pub fn divide(histogram: &mut Histogram, divisor: f64) {
    each_number(histogram, |number| number / divisor);
    if divisor == 0.0 {
        histogram.positive.clear();
        histogram.negative.clear();
    }
    if divisor < 0.0 {
        histogram.hint = ResetHint::Gauge;
    }
}

/// Drops empty buckets.
pub fn compact(histogram: &mut Histogram) {
    histogram.positive.retain(|bucket| bucket.1 != 0.0);
    histogram.negative.retain(|bucket| bucket.1 != 0.0);
}

/// What lies between two histograms, `fraction` of the way from `from` to `to`.
pub fn interpolate(from: &Histogram, to: &Histogram, fraction: f64) -> Result<Histogram, Mixed> {
    let mut result = to.clone();
    subtract(&mut result, from)?;
    multiply(&mut result, fraction);
    add(&mut result, from)?;
    result.hint = to.hint;
    Ok(result)
}

/// Reduces an exponential histogram to a coarser schema; a finer one changes nothing.
pub(crate) fn reduce_to(histogram: &mut Histogram, schema: i8) {
    if histogram.schema > schema {
        coarsen(&mut histogram.positive, histogram.schema, schema);
        coarsen(&mut histogram.negative, histogram.schema, schema);
        histogram.schema = schema;
    }
}

/// Changes every count and the sum.
pub(super) fn each_number(histogram: &mut Histogram, change: impl Fn(f64) -> f64) {
    histogram.count = change(histogram.count);
    histogram.sum = change(histogram.sum);
    histogram.zero_count = change(histogram.zero_count);
    let sides = [&mut histogram.positive, &mut histogram.negative];
    for bucket in sides.into_iter().flatten() {
        bucket.1 = change(bucket.1);
    }
}

/// Brings `histogram` and a copy of `other`, where one is needed, to the same layout.
pub(super) fn align<'a>(
    histogram: &mut Histogram,
    other: &'a Histogram,
) -> Result<(Cow<'a, Histogram>, bool), Mixed> {
    if histogram.is_custom() != other.is_custom() {
        return Err(Mixed);
    }
    let mut other = Cow::Borrowed(other);
    if !histogram.is_custom() {
        if histogram.zero_threshold != other.zero_threshold {
            zero::reconcile(histogram, other.to_mut());
        }
        reduce_to(histogram, other.schema);
        if other.schema > histogram.schema {
            reduce_to(other.to_mut(), histogram.schema);
        }
        return Ok((other, false));
    }
    if histogram.bounds == other.bounds {
        return Ok((other, false));
    }
    let shared: Arc<[f64]> = shared_bounds(&histogram.bounds, &other.bounds).into();
    rebound(&mut histogram.positive, &histogram.bounds, &shared);
    let changed = other.to_mut();
    rebound(&mut changed.positive, &changed.bounds, &shared);
    (histogram.bounds, changed.bounds) = (Arc::clone(&shared), shared);
    Ok((other, true))
}

/// The hint of two histograms together, and whether they contradict each other.
pub(super) fn combined_hint(a: ResetHint, b: ResetHint) -> (ResetHint, bool) {
    use ResetHint::{Gauge, Unknown};
    match (a, b) {
        (a, b) if a == b => (a, false),
        (Gauge, _) | (_, Gauge) => (Gauge, false),
        (Unknown, _) | (_, Unknown) => (Unknown, false),
        _ => (Unknown, true),
    }
}

fn combine_with(
    histogram: &mut Histogram,
    other: &Histogram,
    change: impl Fn(f64, f64) -> f64 + Copy,
) -> Result<Combined, Mixed> {
    let (other, bounds_reconciled) = align(histogram, other)?;
    let (hint, reset_conflict) = combined_hint(histogram.hint, other.hint);
    histogram.hint = hint;
    histogram.count = change(histogram.count, other.count);
    histogram.sum = change(histogram.sum, other.sum);
    histogram.zero_count = change(histogram.zero_count, other.zero_count);
    combine(&mut histogram.positive, &other.positive, change);
    combine(&mut histogram.negative, &other.negative, change);
    Ok(Combined {
        reset_conflict,
        bounds_reconciled,
    })
}
