//! Trends: `deriv`, `predict_linear` and `double_exponential_smoothing`.
//!
//! Input: a window. Output: a slope, a prediction, a smoothed value. Invariant: times are counted
//! from one near the samples, so that nothing cancels; a line through equal values has no slope.

use super::asked::Asked;
use super::kahan::kahan_add;
use crate::eval::{Point, seconds};

pub(super) fn deriv(asked: &Asked<'_>) -> Point {
    let Some((first, _)) = asked.window.float_samples().next() else {
        return Point::Absent;
    };
    match line(asked, first) {
        Some((slope, _)) => Point::Float(slope),
        None => Point::Absent,
    }
}

pub(super) fn predict_linear(asked: &Asked<'_>) -> Point {
    match line(asked, asked.time) {
        Some((slope, intercept)) => Point::Float(slope * asked.params[0] + intercept),
        None => Point::Absent,
    }
}

/// After C. C. Holt, "Forecasting seasonals and trends by exponentially weighted moving averages"
/// (1957).
pub(super) fn double_exponential_smoothing(asked: &Asked<'_>) -> Point {
    let [smoothing, trending] = asked.params;
    let floats = asked.floats_only();
    let [first, second, ..] = *floats else {
        return Point::Absent;
    };
    let (mut before, mut smoothed, mut trend) = (0.0, first, second - first);
    for (at, &value) in floats.iter().enumerate().skip(1) {
        if at > 1 {
            trend = trending * (smoothed - before) + (1.0 - trending) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (smoothed + trend);
        (before, smoothed) = (smoothed, next);
    }
    Point::Float(smoothed)
}

/// Slope and value at `origin` of the line with the least squares.
fn line(asked: &Asked<'_>, origin: i64) -> Option<(f64, f64)> {
    let floats = asked.floats_only();
    if floats.len() < 2 {
        return None;
    }
    let first = floats.first().copied()?;
    if floats.iter().all(|&value| value == first) {
        return Some(match first.is_infinite() {
            true => (f64::NAN, f64::NAN),
            false => (0.0, first),
        });
    }
    // Sums of 1, x, y, x * y and x * x, and what they lost.
    let (mut sums, mut lost) = ([0.0; 4], [0.0; 4]);
    for (time, y) in asked.window.float_samples() {
        let x = seconds(time.saturating_sub(origin));
        for (at, term) in [x, y, x * y, x * x].into_iter().enumerate() {
            (sums[at], lost[at]) = kahan_add(term, sums[at], lost[at]);
        }
    }
    let count = floats.len() as f64;
    let [x, y, xy, xx] = [0, 1, 2, 3].map(|at| sums[at] + lost[at]);
    let covariance = xy - x * y / count;
    let variance = xx - x * x / count;
    let slope = covariance / variance;
    Some((slope, y / count - slope * x / count))
}
