//! `changes` and `resets`: how often the samples of a window changed, or fell.
//!
//! Input: a window. Output: a count. Invariant: from a float to a histogram and back is a change
//! and a reset; from NaN to NaN is neither.

use super::asked::Asked;
use super::extended;
use super::rate::is_restart;
use crate::eval::Point;
use crate::histogram::{is_equal, is_reset};
use crate::syntax::Extent;

pub(super) fn changes(asked: &Asked<'_>) -> Point {
    let differ = |before: f64, after: f64| before != after && !(before.is_nan() && after.is_nan());
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
