//! `irate` and `idelta`: what the last two samples of a window differ by.
//!
//! Input: a window. Output: a difference, per second for `irate`. Invariant: a counter that was
//! reset between the two rose by the last one. After `instantValue` of Prometheus.

use std::sync::Arc;

use super::asked::Asked;
use super::histogram_rate::{combine, note_hints};
use super::rate::is_restart;
use crate::annotation::Operation;
use crate::eval::{Point, seconds};
use crate::histogram::{Histogram, ResetHint, compact, divide, is_reset, subtract};

pub(super) fn irate(asked: &Asked<'_>) -> Point {
    difference(asked, true)
}

pub(super) fn idelta(asked: &Asked<'_>) -> Point {
    difference(asked, false)
}

fn difference(asked: &Asked<'_>, is_rate: bool) -> Point {
    let window = &asked.window;
    let Some(before) = window.len().checked_sub(2) else {
        return Point::Absent;
    };
    let last = before + 1;
    let per = match is_rate {
        true => seconds(
            window
                .timestamp(last)
                .saturating_sub(window.timestamp(before)),
        ),
        false => 1.0,
    };
    let restarted = is_rate && is_restart(asked, last);
    match (window.histogram(before), window.histogram(last)) {
        (None, None) => {
            let (from, to) = (window.float(before), window.float(last));
            let rise = match restarted || (is_rate && to < from) {
                true => to,
                false => to - from,
            };
            Point::Float(rise / per)
        }
        (Some(from), Some(to)) => {
            note_hints(asked, &[from, to], is_rate);
            let mut rise = Histogram::clone(to);
            if !(restarted || (is_rate && is_reset(to, from))) {
                let subtracted = subtract(&mut rise, from);
                if combine(asked, subtracted, Operation::Subtraction).is_none() {
                    return Point::Absent;
                }
            }
            rise.hint = ResetHint::Gauge;
            compact(&mut rise);
            if is_rate {
                divide(&mut rise, per);
            }
            Point::Histogram(Arc::new(rise))
        }
        _ => {
            asked.note_mixed();
            Point::Absent
        }
    }
}
