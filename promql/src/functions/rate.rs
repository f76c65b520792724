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
use crate::eval::{ABSENT, Edges, Frame, Grid, Point, Reach, Window, quiet, seconds};
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
            let factor = asked_factor(asked, kind, since, rise, window.float(0));
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
            let factor = asked_factor(asked, kind, since, rise.count, first.count);
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
        }
    }

    /// How far the samples are taken to reach; `since`: when their counter is known to have begun.
    fn reach(&self, since: Option<i64>) -> Reach {
        let sampled = seconds(self.last.saturating_sub(since.unwrap_or(self.first)));
        let between = match self.gaps {
            0 => 0.0,
            gaps => seconds(self.last.saturating_sub(self.first)) / gaps as f64,
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
        if to_end >= threshold {
            to_end = between / 2.0;
        }
        Reach {
            sampled,
            to_start,
            to_end,
        }
    }
}

/// By what the rise of a window is to be multiplied, of which the first value is `first`.
fn asked_factor(asked: &Asked<'_>, kind: Kind, since: Option<i64>, rise: f64, first: f64) -> f64 {
    let (reach, range) = (Ends::of(asked).reach(since), seconds(asked.frame.range));
    match since {
        Some(_) => stretched(&reach, reach.to_start, kind, range),
        None => factor(&reach, kind, rise, first, range),
    }
}

/// By what the rise between the samples is to be multiplied, whose first value is `first`, if
/// nobody knows when their counter began; `range`: the width of the window in seconds.
fn factor(reach: &Reach, kind: Kind, rise: f64, first: f64, range: f64) -> f64 {
    let Reach {
        sampled, to_start, ..
    } = *reach;
    // Where it comes from zero it was there less long ago. Most do not by far, which is found out
    // without dividing.
    let may_begin = rise > 0.0 && first >= 0.0 && first * sampled <= 2.0 * to_start * rise;
    if !(kind.is_counter && may_begin) {
        return stretched(reach, to_start, kind, range);
    }
    let to_zero = sampled * (first / rise);
    match to_zero < to_start {
        true => stretched(reach, to_zero, kind, range),
        false => stretched(reach, to_start, kind, range),
    }
}

fn stretched(reach: &Reach, to_start: f64, kind: Kind, range: f64) -> f64 {
    let factor = (reach.sampled + to_start + reach.to_end) / reach.sampled;
    match kind.is_rate {
        true => factor / range,
        false => factor,
    }
}

/// Works out how far the samples of each window reach, unless the series before had the same times.
pub(super) fn reach(edges: &mut Edges, timestamps: &[i64], frame: &Frame, grid: &Grid) {
    if edges.reaches.len() == edges.windows().len() {
        return;
    }
    let reach = |(time, &(from, to)): (i64, &(usize, usize))| {
        let times = timestamps.get(from..to).unwrap_or_default();
        let (start, end) = frame.window(time);
        let ends = Ends {
            start,
            end,
            first: times.first().copied().unwrap_or(start),
            last: times.last().copied().unwrap_or(start),
            gaps: times.len().saturating_sub(1),
        };
        ends.reach(None)
    };
    edges.reaches = grid.times().zip(edges.windows()).map(reach).collect();
}

/// What each window of floats rose by, where no start is known: [`ABSENT`] where there are less than
/// two samples.
pub(super) fn rises(kind: Kind, floats: &[f64], range: i64, edges: &Edges) -> Vec<f64> {
    let (places, lost) = match kind.is_counter {
        true => drops(floats),
        false => Default::default(),
    };
    let mut drops = Drops::new(&places, &lost, floats.len());
    let range = seconds(range);
    let rise = |(&(from, to), reach): (&(usize, usize), &Reach)| {
        let Some(&[first, .., last]) = floats.get(from..to) else {
            return ABSENT;
        };
        let rise = drops.add_to(last - first, from, to);
        quiet(rise * factor(reach, kind, rise, first, range))
    };
    edges
        .windows()
        .iter()
        .zip(&edges.reaches)
        .map(rise)
        .collect()
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
