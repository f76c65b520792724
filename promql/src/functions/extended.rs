//! `anchored` and `smoothed`: windows with values at their very edges.
//!
//! Input: a window, and samples around it. Output: what it rose by, without extrapolation.
//! Invariant: an anchored window begins with the last sample at or before its start; a smoothed one
//! has values interpolated at both edges. A counter that was reset between two samples rose from
//! zero.

use std::sync::Arc;

use super::asked::Asked;
use super::histogram_rate::{combine, note_hints};
use super::rate::Kind;
use crate::annotation::{Notice, Operation};
use crate::eval::{Point, histogram_between, seconds};
use crate::histogram::{Histogram, ResetHint, add, compact, divide, is_reset, subtract};
use crate::syntax::Extent;

/// The samples that matter: places of the first and of the last one.
#[derive(Debug, Clone, Copy)]
struct Reach {
    first: usize,
    last: usize,
}

/// What a window rose by.
pub(super) fn rise(asked: &Asked<'_>, kind: Kind) -> Point {
    let Some(reach) = reach(asked) else {
        return Point::Absent;
    };
    let histograms = (reach.first..=reach.last)
        .filter(|&at| asked.window.histogram(at).is_some())
        .count();
    let rise = match histograms {
        0 => Some(Point::Float(float_rise(asked, kind, reach))),
        some if some == reach.last - reach.first + 1 => {
            histogram_rise(asked, kind, reach).map(|rise| Point::Histogram(Arc::new(rise)))
        }
        _ => {
            asked.note_mixed();
            None
        }
    };
    let per = seconds(asked.frame.range);
    match rise {
        Some(Point::Float(rise)) if kind.is_rate => Point::Float(rise / per),
        Some(Point::Histogram(mut rise)) if kind.is_rate => {
            divide(Arc::make_mut(&mut rise), per);
            Point::Histogram(rise)
        }
        Some(point) => point,
        None => Point::Absent,
    }
}

/// The samples that matter to a window, the one at its start included; `None` where none is inside.
fn reach(asked: &Asked<'_>) -> Option<Reach> {
    let timestamps = asked.window.timestamps;
    let after_start = timestamps.partition_point(|&time| time <= asked.start);
    let first = after_start.saturating_sub(1);
    let mut last = timestamps.len().checked_sub(1)?;
    if asked.frame.extent == Extent::Smoothed {
        last = last.min(timestamps.partition_point(|&time| time < asked.end));
    }
    let inside = *timestamps.get(last)? > asked.start && *timestamps.get(first)? <= asked.end;
    inside.then_some(Reach { first, last })
}

/// The window that an anchored function over its samples sees, from the anchor on.
pub(super) fn anchored<'a>(asked: &Asked<'a>) -> Option<Asked<'a>> {
    let Reach { first, last } = reach(asked)?;
    let mut anchored = *asked;
    let window = &mut anchored.window;
    window.timestamps = window.timestamps.get(first..=last).unwrap_or_default();
    window.floats = window.floats.get(first..=last).unwrap_or_default();
    window.histograms = window.histograms.get(first..=last).unwrap_or_default();
    window.starts = window.starts.get(first..=last).unwrap_or_default();
    Some(anchored)
}

fn float_rise(asked: &Asked<'_>, kind: Kind, reach: Reach) -> f64 {
    let Reach { first, last } = reach;
    let window = &asked.window;
    let is_smoothed = asked.frame.extent == Extent::Smoothed;
    let value = |at: usize| (window.timestamp(at), window.float(at));
    let left = match is_smoothed && window.timestamp(first) < asked.start {
        true => between(value(first), value(first + 1), asked.start, kind, true),
        false => window.float(first),
    };
    let right = match is_smoothed && last > 0 && window.timestamp(last) > asked.end {
        true => between(value(last - 1), value(last), asked.end, kind, false),
        false => window.float(last),
    };
    let mut rise = right - left;
    if kind.is_counter {
        let mut before = left;
        let inner = inner(asked, reach).map(|at| window.float(at));
        for value in inner.chain([right]) {
            if value < before {
                rise += before;
            }
            before = value;
        }
    }
    rise
}

/// The samples strictly inside the edges.
fn inner(asked: &Asked<'_>, reach: Reach) -> impl Iterator<Item = usize> {
    let window = asked.window;
    let (start, end) = (asked.start, asked.end);
    (reach.first..=reach.last).filter(move |&at| {
        let time = window.timestamp(at);
        time > start && time < end
    })
}

/// The value at `time` between two samples. Of a counter that was reset between them, it rose from
/// zero at the left edge, and goes on from the first value at the right one.
fn between(a: (i64, f64), b: (i64, f64), time: i64, kind: Kind, is_left: bool) -> f64 {
    let (mut from, mut to) = (a.1, b.1);
    if kind.is_counter && to < from {
        match is_left {
            true => from = 0.0,
            false => to += from,
        }
    }
    let (passed, whole) = (time.saturating_sub(a.0), b.0.saturating_sub(a.0));
    from + (to - from) * (passed as f64) / (whole as f64)
}

fn histogram_rise(asked: &Asked<'_>, kind: Kind, reach: Reach) -> Option<Histogram> {
    let Reach { first, last } = reach;
    let window = &asked.window;
    let all: Vec<&Histogram> = (first..=last)
        .filter_map(|at| window.histogram(at).map(|one| &**one))
        .collect();
    note_hints(asked, &all, kind.is_counter);
    let is_smoothed = asked.frame.extent == Extent::Smoothed;
    let cut_left = is_smoothed && window.timestamp(first) < asked.start;
    let cut_right = is_smoothed && last > 0 && window.timestamp(last) > asked.end;
    let left = match cut_left {
        true => cut(asked, first, first + 1, asked.start, kind)?,
        false => Histogram::clone(window.histogram(first)?),
    };
    let right = match cut_right {
        true => cut(asked, last - 1, last, asked.end, kind)?,
        false => Histogram::clone(window.histogram(last)?),
    };
    let mut rise = right.clone();
    combine(asked, subtract(&mut rise, &left), Operation::Subtraction)?;
    // Both edges between the same two samples: what was reset counts in both.
    let same_gap = cut_left && cut_right && last == first + 1;
    if kind.is_counter && !same_gap {
        let mut before = left;
        for at in inner(asked, reach) {
            let one = window.histogram(at)?;
            // A value at the left edge already rose from the reset before the first sample.
            let rose = cut_left && at == first + 1;
            let looked_at = Histogram {
                hint: if rose { ResetHint::Unknown } else { one.hint },
                ..Histogram::clone(one)
            };
            if is_reset(&looked_at, &before) {
                combine(asked, add(&mut rise, &before), Operation::Addition)?;
            }
            before = Histogram::clone(one);
        }
        // The last sample, where it was not among those above.
        let is_left = match cut_right {
            true => is_reset(window.histogram(last)?, window.histogram(last - 1)?),
            false => {
                window.timestamp(last) >= asked.end && last > first && is_reset(&right, &before)
            }
        };
        if is_left {
            combine(asked, add(&mut rise, &before), Operation::Addition)?;
        }
    }
    rise.hint = ResetHint::Gauge;
    compact(&mut rise);
    Some(rise)
}

/// The histogram at `time` between the samples at two places.
fn cut(asked: &Asked<'_>, a: usize, b: usize, time: i64, kind: Kind) -> Option<Histogram> {
    let window = &asked.window;
    let (from, to) = (window.histogram(a)?, window.histogram(b)?);
    let (start, end) = (window.timestamp(a), window.timestamp(b));
    let fraction = time.saturating_sub(start) as f64 / end.saturating_sub(start) as f64;
    let mixed = |_| {
        asked.note(&Notice::MixedExponentialCustom {
            metric: asked.metric,
        });
    };
    if from.is_custom() != to.is_custom() {
        mixed(());
        return None;
    }
    let result = match kind.is_counter {
        true => histogram_between(from, to, fraction),
        false => crate::histogram::interpolate(from, to, fraction),
    };
    result.map_err(|_| mixed(())).ok()
}
