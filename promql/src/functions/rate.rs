//! `rate`, `increase` and `delta`: what a window rose by, extrapolated to its edges.
//!
//! Input: a window. Output: the rise. Invariant: a counter never falls and never was below zero:
//! where it seems to, it was reset. Where it is known when a counter began, its first value is what
//! it rose by since. After `extrapolatedRate` of Prometheus.

use std::sync::Arc;

use super::asked::Asked;
use super::extended;
use super::histogram_rate::histogram_rise;
use crate::annotation::Notice;
use crate::eval::{Point, Window, seconds};
use crate::histogram::{add, multiply};
use crate::syntax::Extent;

/// What is asked of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) is_counter: bool,
    pub(super) is_rate: bool,
}

pub(super) fn rate(asked: &Asked<'_>) -> Point {
    let kind = Kind {
        is_counter: true,
        is_rate: true,
    };
    rise(asked, kind)
}

pub(super) fn increase(asked: &Asked<'_>) -> Point {
    let kind = Kind {
        is_counter: true,
        is_rate: false,
    };
    rise(asked, kind)
}

pub(super) fn delta(asked: &Asked<'_>) -> Point {
    let kind = Kind {
        is_counter: false,
        is_rate: false,
    };
    rise(asked, kind)
}

/// Whether the counter of the sample at `at` is known to have begun after the one before it.
pub(super) fn is_restart(asked: &Asked<'_>, at: usize) -> bool {
    let window = &asked.window;
    let Some(before) = at.checked_sub(1) else {
        return false;
    };
    let Some(start) = window.started(at) else {
        return false;
    };
    let (previous, current) = (window.timestamp(before), window.timestamp(at));
    let previous_start = window.started(before);
    if start < previous && Some(start) != previous_start {
        let metric = asked.metric;
        asked.note(&Notice::StartOverlap { metric });
        return false;
    }
    // At the very time of the sample before it: one that goes on where that one ended, if that one
    // had a start too; else a counter whose start nobody knows.
    let follows = previous_start.is_some_and(|one| one < previous);
    start < current && (start > previous || (start == previous && follows))
}

fn rise(asked: &Asked<'_>, kind: Kind) -> Point {
    if asked.frame.extent != Extent::Plain {
        return extended::rise(asked, kind);
    }
    if asked.is_mixed() {
        asked.note_mixed();
        return Point::Absent;
    }
    let window = &asked.window;
    let since = match kind.is_counter {
        true => known_start(window),
        false => None,
    };
    if window.len() < 2 && since.is_none() {
        return Point::Absent;
    }
    match window.histogram(0) {
        None => {
            let rise = float_rise(asked, kind) + since.map_or(0.0, |_| window.float(0));
            let factor = factor(asked, kind, since, rise, window.float(0));
            Point::Float(rise * factor)
        }
        Some(first) => {
            let Some(mut rise) = histogram_rise(asked, kind.is_counter) else {
                return Point::Absent;
            };
            if since.is_some() && add(&mut rise, first).is_err() {
                return Point::Absent;
            }
            rise.hint = crate::histogram::ResetHint::Gauge;
            let factor = factor(asked, kind, since, rise.count, first.count);
            multiply(&mut rise, factor);
            Point::Histogram(Arc::new(rise))
        }
    }
}

/// When the counter of the first sample began, where that is inside the window and before it.
fn known_start(window: &Window<'_>) -> Option<i64> {
    let start = window.started(0)?;
    (start > window.start && start < window.timestamp(0)).then_some(start)
}

/// The last value less the first one, and of a counter what was lost at each reset.
fn float_rise(asked: &Asked<'_>, kind: Kind) -> f64 {
    let floats = asked.window.floats;
    let (Some(&first), Some(&last)) = (floats.first(), floats.last()) else {
        return f64::NAN;
    };
    let mut rise = last - first;
    if !kind.is_counter {
        return rise;
    }
    if let Some(resets) = asked.resets {
        for at in resets.places {
            rise += floats.get(at - resets.base - 1).copied().unwrap_or(0.0);
        }
        return rise;
    }
    if asked.window.starts.is_empty() {
        for pair in floats.windows(2) {
            if let &[before, after] = pair
                && after < before
            {
                rise += before;
            }
        }
        return rise;
    }
    let mut before = first;
    for (at, &value) in floats.iter().enumerate().skip(1) {
        if is_restart(asked, at) || value < before {
            rise += before;
        }
        before = value;
    }
    rise
}

/// By what the rise between the samples is to be multiplied.
fn factor(asked: &Asked<'_>, kind: Kind, since: Option<i64>, rise: f64, first: f64) -> f64 {
    let window = &asked.window;
    let last = window.len().saturating_sub(1);
    let (first_time, last_time) = (window.timestamp(0), window.timestamp(last));
    let sampled = seconds(last_time.saturating_sub(since.unwrap_or(first_time)));
    let between = match last {
        0 => 0.0,
        gaps => seconds(last_time.saturating_sub(first_time)) / gaps as f64,
    };
    let threshold = between * 1.1;
    let mut to_start = match since {
        Some(_) => 0.0,
        None => seconds(first_time.saturating_sub(asked.start)),
    };
    let mut to_end = seconds(asked.end.saturating_sub(last_time));
    if since.is_none() && to_start >= threshold {
        to_start = between / 2.0;
    }
    if kind.is_counter && since.is_none() && rise > 0.0 && first >= 0.0 {
        let to_zero = sampled * (first / rise);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    if to_end >= threshold {
        to_end = between / 2.0;
    }
    let factor = (sampled + to_start + to_end) / sampled;
    match kind.is_rate {
        true => factor / seconds(asked.frame.range),
        false => factor,
    }
}
