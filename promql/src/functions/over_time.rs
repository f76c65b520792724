//! The `_over_time` functions: what a window of samples comes to.
//!
//! Input: a window. Output: one value. Invariant: a window without samples of the right kind gives
//! none; sums keep what rounding loses; NaN is below all numbers in ranks and never the least or
//! the greatest, unless it is alone.

use std::sync::Arc;

use super::asked::Asked;
use super::kahan::{kahan_add, kahan_total};
use super::quantile::quantile_of;
use crate::annotation::{Notice, Operation};
use crate::eval::{Point, seconds};
use crate::histogram::{HistogramSum, Mixed};

pub(super) fn sum(asked: &Asked<'_>) -> Point {
    if let Some(point) = of_histograms(asked, false) {
        return point;
    }
    Point::Float(sum_of(asked.window.floats))
}

pub(super) fn sum_of(values: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0, 0.0);
    for &value in values {
        (sum, lost) = kahan_add(value, sum, lost);
    }
    kahan_total(sum, lost)
}

pub(super) fn avg(asked: &Asked<'_>) -> Point {
    of_histograms(asked, true).unwrap_or_else(|| Point::Float(mean(asked.window.floats)))
}

pub(super) fn count(asked: &Asked<'_>) -> Point {
    Point::Float(asked.window.len() as f64)
}

pub(super) fn present(_: &Asked<'_>) -> Point {
    Point::Float(1.0)
}

pub(super) fn first(asked: &Asked<'_>) -> Point {
    at(asked, 0)
}

pub(super) fn last(asked: &Asked<'_>) -> Point {
    at(asked, asked.window.len().saturating_sub(1))
}

pub(super) fn time_of_first(asked: &Asked<'_>) -> Point {
    Point::Float(seconds(asked.window.timestamp(0)))
}

pub(super) fn time_of_last(asked: &Asked<'_>) -> Point {
    let last = asked.window.len().saturating_sub(1);
    Point::Float(seconds(asked.window.timestamp(last)))
}

pub(super) fn max(asked: &Asked<'_>) -> Point {
    let over = |value: f64, best: f64| value > best || best.is_nan();
    extreme(asked, over)
}

pub(super) fn min(asked: &Asked<'_>) -> Point {
    let under = |value: f64, best: f64| value < best || best.is_nan();
    extreme(asked, under)
}

pub(super) fn time_of_max(asked: &Asked<'_>) -> Point {
    time_of_extreme(asked, |value, best| value >= best || best.is_nan())
}

pub(super) fn time_of_min(asked: &Asked<'_>) -> Point {
    time_of_extreme(asked, |value, best| value <= best || best.is_nan())
}

pub(super) fn stdvar(asked: &Asked<'_>) -> Point {
    let floats = asked.floats_only();
    match floats.is_empty() {
        true => Point::Absent,
        false => Point::Float(variance(&floats)),
    }
}

pub(super) fn stddev(asked: &Asked<'_>) -> Point {
    match stdvar(asked) {
        Point::Float(variance) => Point::Float(variance.sqrt()),
        other => other,
    }
}

pub(super) fn quantile(asked: &Asked<'_>) -> Point {
    let mut floats = asked.floats_only().into_owned();
    match floats.is_empty() {
        true => Point::Absent,
        false => Point::Float(quantile_of(asked.params[0], &mut floats)),
    }
}

pub(super) fn mad(asked: &Asked<'_>) -> Point {
    let mut floats = asked.floats_only().into_owned();
    if floats.is_empty() {
        return Point::Absent;
    }
    // Ranks would pass NaN over.
    if floats.iter().any(|value| value.is_nan()) {
        return Point::Float(f64::NAN);
    }
    let median = quantile_of(0.5, &mut floats);
    let mut deviations: Vec<f64> = floats.iter().map(|one| (one - median).abs()).collect();
    Point::Float(quantile_of(0.5, &mut deviations))
}

/// The mean: a direct one, or where the sum would overflow one that moves from value to value.
pub(crate) fn mean(values: &[f64]) -> f64 {
    let mut mean = Mean::default();
    for &value in values {
        mean.add(value);
    }
    mean.value()
}

/// A mean under way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean {
    /// The sum; or the mean so far, once the sum overflowed.
    sum: f64,
    lost: f64,
    count: f64,
    is_moving: bool,
}

impl Mean {
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.sum = value;
            return;
        }
        if !self.is_moving {
            let (sum, lost) = kahan_add(value, self.sum, self.lost);
            if !sum.is_infinite() {
                (self.sum, self.lost) = (sum, lost);
                return;
            }
            self.is_moving = true;
            self.sum /= self.count - 1.0;
            self.lost /= self.count - 1.0;
        }
        let rest = (self.count - 1.0) / self.count;
        (self.sum, self.lost) = kahan_add(value / self.count, rest * self.sum, rest * self.lost);
    }

    pub(crate) fn value(&self) -> f64 {
        match self.is_moving {
            true => kahan_total(self.sum, self.lost),
            false => self.sum / self.count + self.lost / self.count,
        }
    }
}

/// The variance of the population, after B. P. Welford, "Note on a method for calculating corrected
/// sums of squares and products" (1962), compensated.
pub(super) fn variance(values: &[f64]) -> f64 {
    let (mut count, mut mean, mut lost_mean) = (0.0, 0.0, 0.0);
    let (mut squares, mut lost_squares) = (0.0, 0.0);
    for &value in values {
        count += 1.0;
        let delta = value - (mean + lost_mean);
        (mean, lost_mean) = kahan_add(delta / count, mean, lost_mean);
        let term = delta * (value - (mean + lost_mean));
        (squares, lost_squares) = kahan_add(term, squares, lost_squares);
    }
    (squares + lost_squares) / count
}

fn at(asked: &Asked<'_>, place: usize) -> Point {
    match asked.window.histogram(place) {
        Some(histogram) => Point::Histogram(Arc::clone(histogram)),
        None => Point::Float(asked.window.float(place)),
    }
}

fn extreme(asked: &Asked<'_>, is_better: impl Fn(f64, f64) -> bool) -> Point {
    let floats = asked.floats_only();
    let better = |best: f64, &value: &f64| match is_better(value, best) {
        true => value,
        false => best,
    };
    match floats.split_first() {
        None => Point::Absent,
        Some((&first, rest)) => Point::Float(rest.iter().fold(first, better)),
    }
}

fn time_of_extreme(asked: &Asked<'_>, is_better: impl Fn(f64, f64) -> bool) -> Point {
    asked.floats_only();
    let better = |best: (i64, f64), one: (i64, f64)| match is_better(one.1, best.1) {
        true => one,
        false => best,
    };
    match asked.window.float_samples().reduce(better) {
        None => Point::Absent,
        Some((time, _)) => Point::Float(seconds(time)),
    }
}

/// The sum or mean of histograms; `None` where all samples are floats.
fn of_histograms(asked: &Asked<'_>, is_mean: bool) -> Option<Point> {
    if asked.window.histogram_count() == 0 {
        return None;
    }
    if asked.is_mixed() {
        asked.note_mixed();
        return Some(Point::Absent);
    }
    let mut histograms = asked.window.histogram_samples();
    let mut sum = HistogramSum::new(histograms.next()?, is_mean);
    for histogram in histograms {
        match sum.add(histogram) {
            Err(Mixed) => {
                asked.note(&Notice::MixedExponentialCustom {
                    metric: asked.metric,
                });
                return Some(Point::Absent);
            }
            Ok(combined) => {
                if combined.reset_conflict {
                    asked.note(&Notice::ResetConflict(Operation::Aggregation));
                }
                if combined.bounds_reconciled {
                    asked.note(&Notice::BoundsReconciled(Operation::Aggregation));
                }
            }
        }
    }
    let result = match is_mean {
        true => sum.mean(),
        false => sum.finish(),
    };
    Some(Point::Histogram(Arc::new(result)))
}
