//! `changes` and `resets`: how often the samples of a window changed, or fell.
//!
//! Input: a window. Output: a count. Invariant: from a float to a histogram and back is a change
//! and a reset; from NaN to NaN is neither.

use super::asked::Asked;
use super::extended;
use super::rate::is_restart;
use crate::eval::{ABSENT, Point};
use crate::histogram::{is_equal, is_reset};
use crate::syntax::Extent;

pub(super) fn changes(asked: &Asked<'_>) -> Point {
    count(asked, |asked, at| {
        let window = &asked.window;
        match (window.histogram(at - 1), window.histogram(at)) {
            (None, None) => differ(window.float(at - 1), window.float(at)),
            (Some(before), Some(after)) => !is_equal(before, after),
            _ => true,
        }
    })
}

pub(super) fn resets(asked: &Asked<'_>) -> Point {
    count(asked, |asked, at| {
        let window = &asked.window;
        is_restart(asked, at)
            || match (window.histogram(at - 1), window.histogram(at)) {
                (None, None) => window.float(at) < window.float(at - 1),
                (Some(before), Some(after)) => is_reset(after, before),
                _ => true,
            }
    })
}

/// How many changes or resets there are in each window of floats, where no start is known.
pub(super) fn counts<'w>(
    floats: &[f64],
    is_change: bool,
    windows: impl Iterator<Item = &'w (usize, usize)>,
) -> Vec<f64> {
    let is_one = |before: f64, after: f64| match is_change {
        true => differ(before, after),
        false => after < before,
    };
    // How many there are up to each place.
    let mut found = 0u64;
    let mut before = floats.first().copied().unwrap_or(f64::NAN);
    let up_to = |&after: &f64| {
        found += u64::from(is_one(before, after));
        before = after;
        found
    };
    let up_to: Vec<u64> = floats.iter().map(up_to).collect();
    let count = |&(from, to): &(usize, usize)| {
        let last = to.checked_sub(1).filter(|_| from < to);
        let ends = last.and_then(|last| up_to.get(last).zip(up_to.get(from)));
        ends.map_or(ABSENT, |(last, first)| (last - first) as f64)
    };
    windows.map(count).collect()
}

fn differ(before: f64, after: f64) -> bool {
    before != after && !(before.is_nan() && after.is_nan())
}

fn count(asked: &Asked<'_>, is_one: impl Fn(&Asked<'_>, usize) -> bool) -> Point {
    let anchored = match asked.frame.extent {
        Extent::Plain => Some(*asked),
        _ => extended::anchored(asked),
    };
    let Some(asked) = anchored else {
        return Point::Absent;
    };
    let found = (1..asked.window.len()).filter(|&at| is_one(&asked, at));
    Point::Float(found.count() as f64)
}
