//! `rate`, `increase` and `delta`: what a window rose by, extrapolated to its edges.
//!
//! Input: a window. Output: the rise. Invariant: a counter never falls and never was below zero:
//! where it seems to, it was reset. Where it is known when a counter began, its first value is what
//! it rose by since. After `extrapolatedRate` of Prometheus.

use std::sync::Arc;

use super::asked::Asked;
use super::extended;
use super::histogram_rate::histogram_rise;
use super::joins::{Sums, WORST};
use super::sliding::is_small;
use super::stacks::Stacks;
use crate::annotation::Notice;
use crate::eval::{ABSENT, Frame, Point, Window, quiet, seconds};
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
            let factor = Ends::of(asked).factor(kind, since, rise, window.float(0));
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
            let factor = Ends::of(asked).factor(kind, since, rise.count, first.count);
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

/// What extrapolation looks at of a window.
#[derive(Debug, Clone, Copy)]
struct Ends {
    /// Start and end of the window that was asked for.
    start: i64,
    end: i64,
    /// Times of the first and the last sample.
    first: i64,
    last: i64,
    /// How many steps there are from the first sample to the last.
    gaps: usize,
    /// Its width in seconds.
    range: f64,
}

impl Ends {
    fn of(asked: &Asked<'_>) -> Self {
        let gaps = asked.window.len().saturating_sub(1);
        Self {
            start: asked.start,
            end: asked.end,
            first: asked.window.timestamp(0),
            last: asked.window.timestamp(gaps),
            gaps,
            range: seconds(asked.frame.range),
        }
    }

    /// By what the rise between the samples is to be multiplied.
    fn factor(&self, kind: Kind, since: Option<i64>, rise: f64, first: f64) -> f64 {
        let sampled = seconds(self.last.saturating_sub(since.unwrap_or(self.first)));
        let between = match (self.gaps, since) {
            (0, _) => 0.0,
            (gaps, None) => sampled / gaps as f64,
            (gaps, Some(_)) => seconds(self.last.saturating_sub(self.first)) / gaps as f64,
        };
        let threshold = between * 1.1;
        let mut to_start = match since {
            Some(_) => 0.0,
            None => seconds(self.first.saturating_sub(self.start)),
        };
        let mut to_end = seconds(self.end.saturating_sub(self.last));
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
            true => factor / self.range,
            false => factor,
        }
    }
}

/// What each window of floats rose by, where no start is known: [`ABSENT`] where there are less than
/// two samples.
pub(super) fn rises(
    kind: Kind,
    timestamps: &[i64],
    floats: &[f64],
    frame: &Frame,
    windows: impl Iterator<Item = (i64, (usize, usize))>,
) -> Vec<f64> {
    let (places, lost) = match kind.is_counter {
        true => drops(floats),
        false => Default::default(),
    };
    let mut drops = Drops::new(&places, &lost, floats.len());
    let range = seconds(frame.range);
    let rise = |(time, (from, to)): (i64, (usize, usize))| {
        let (times, values) = (timestamps.get(from..to), floats.get(from..to));
        let (Some(&[first_time, .., last_time]), Some(&[first, .., last])) = (times, values) else {
            return ABSENT;
        };
        let rise = drops.add_to(last - first, from, to);
        let (start, end) = frame.window(time);
        let ends = Ends {
            start,
            end,
            first: first_time,
            last: last_time,
            gaps: to - from - 1,
            range,
        };
        quiet(rise * ends.factor(kind, None, rise, first))
    };
    windows.map(rise).collect()
}

/// Where a counter falls: the places of samples that are less than the one before, and that one.
fn drops(floats: &[f64]) -> (Vec<usize>, Vec<f64>) {
    let pairs = floats.iter().zip(floats.iter().skip(1)).enumerate();
    let falls = pairs.filter(|(_, (before, after))| after < before);
    falls.map(|(at, (&before, _))| (at + 1, before)).unzip()
}

/// The drops of a counter, and those of the last window, its first sample left out.
#[derive(Debug)]
struct Drops<'a> {
    places: &'a [usize],
    lost: &'a [f64],
    from: usize,
    to: usize,
    /// Where there are too many to add them up for each window.
    sums: Option<Stacks<Sums<'a>>>,
}

impl<'a> Drops<'a> {
    fn new(places: &'a [usize], lost: &'a [f64], samples: usize) -> Self {
        let are_many = lost.len() > samples / 8 && lost.iter().all(|&one| is_small(one));
        Self {
            places,
            lost,
            from: 0,
            to: 0,
            sums: are_many.then(|| Stacks::new(Sums(lost))),
        }
    }

    /// Adds to a rise what was lost among the samples of the places `from..to`, of which neither
    /// may go back: one after the other, as Prometheus does, unless there are many.
    fn add_to(&mut self, rise: f64, from: usize, to: usize) -> f64 {
        while self.places.get(self.to).is_some_and(|&place| place < to) {
            self.to += 1;
        }
        while self
            .places
            .get(self.from)
            .is_some_and(|&place| place <= from)
        {
            self.from += 1;
        }
        let (from, to) = (self.from, self.to.max(self.from));
        if let Some(sums) = &mut self.sums {
            let lost = sums.slide(from, to).map_or(0.0, |lost| lost.total());
            let total = rise + lost;
            if total.abs() >= WORST * lost.abs() {
                return total;
            }
        }
        let lost = self.lost.get(from..to).unwrap_or_default();
        lost.iter().fold(rise, |rise, one| rise + one)
    }
}
