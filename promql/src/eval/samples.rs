//! Samples: those of one series as columns, and the windows over them.
//!
//! Input: what a source read, or a subquery computed. Output: windows. Invariant: stale markers are
//! not among the samples; a window holds what is after its start up to and including its end.

use std::sync::Arc;

use treering::{Labels, SampleColumns, is_stale};

use super::column::Point;
use crate::histogram::{Histogram, ResetHint, is_reset};

/// The samples of one series, in order of time.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) timestamps: Vec<i64>,
    pub(crate) floats: Vec<f64>,
    /// As long as `timestamps`, or empty where no sample is a histogram.
    pub(crate) histograms: Vec<Option<Arc<Histogram>>>,
    /// As long as `timestamps`, or empty where no start is known.
    pub(crate) starts: Vec<i64>,
}

/// The samples of a series for a range function.
#[derive(Debug)]
pub(crate) struct SampleRow {
    pub(crate) labels: Labels,
    pub(crate) drop_name: bool,
    pub(crate) samples: Samples,
}

/// Some of the samples of a series, next to each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) timestamps: &'a [i64],
    pub(crate) floats: &'a [f64],
    pub(crate) histograms: &'a [Option<Arc<Histogram>>],
    pub(crate) starts: &'a [i64],
    /// The time after which it begins.
    pub(crate) start: i64,
    /// Its last time.
    pub(crate) end: i64,
}

impl Samples {
    /// The samples of a source, stale markers left out.
    pub(crate) fn of_source(columns: SampleColumns) -> Self {
        let SampleColumns {
            timestamps,
            values,
            histograms,
            starts,
        } = columns;
        let mut samples = Self {
            timestamps,
            floats: values,
            histograms,
            starts,
        };
        samples.drop_stale();
        samples
    }

    fn drop_stale(&mut self) {
        let is_stale_at = |(at, &value): (usize, &f64)| match self.histograms.get(at) {
            Some(Some(histogram)) => is_stale(histogram.sum),
            _ => is_stale(value),
        };
        let stale: Vec<bool> = self.floats.iter().enumerate().map(is_stale_at).collect();
        if !stale.contains(&true) {
            return;
        }
        retain(&mut self.timestamps, &stale);
        retain(&mut self.floats, &stale);
        retain(&mut self.histograms, &stale);
        retain(&mut self.starts, &stale);
    }

    pub(crate) fn len(&self) -> usize {
        self.timestamps.len()
    }

    pub(crate) fn point(&self, at: usize) -> Point {
        match self.histograms.get(at).and_then(Option::as_ref) {
            Some(histogram) => Point::Histogram(Arc::clone(histogram)),
            None => self
                .floats
                .get(at)
                .map_or(Point::Absent, |&float| Point::Float(float)),
        }
    }

    /// The samples of the places `from..to`.
    pub(crate) fn window(&self, from: usize, to: usize, start: i64, end: i64) -> Window<'_> {
        Window {
            timestamps: self.timestamps.get(from..to).unwrap_or_default(),
            floats: self.floats.get(from..to).unwrap_or_default(),
            histograms: self.histograms.get(from..to).unwrap_or_default(),
            starts: self.starts.get(from..to).unwrap_or_default(),
            start,
            end,
        }
    }

    /// Says of each histogram that is not known to be after a reset whether it is: for those who
    /// will only look at count and sum.
    pub(crate) fn detect_resets(&mut self) {
        let mut previous: Option<Arc<Histogram>> = None;
        for histogram in self.histograms.iter_mut().flatten() {
            let original = Arc::clone(histogram);
            if histogram.hint == ResetHint::Unknown
                && let Some(previous) = &previous
            {
                Arc::make_mut(histogram).hint = match is_reset(&original, previous) {
                    true => ResetHint::Reset,
                    false => ResetHint::NotReset,
                };
            }
            previous = Some(original);
        }
    }
}

impl<'a> Window<'a> {
    pub(crate) fn len(&self) -> usize {
        self.timestamps.len()
    }

    pub(crate) fn histogram(&self, at: usize) -> Option<&'a Arc<Histogram>> {
        self.histograms.get(at).and_then(Option::as_ref)
    }

    /// How many of the samples are histograms.
    pub(crate) fn histogram_count(&self) -> usize {
        self.histograms.iter().flatten().count()
    }

    pub(crate) fn float(&self, at: usize) -> f64 {
        self.floats.get(at).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn timestamp(&self, at: usize) -> i64 {
        self.timestamps.get(at).copied().unwrap_or(self.end)
    }

    /// When the counter of a sample began, as far as known.
    pub(crate) fn started(&self, at: usize) -> Option<i64> {
        self.starts.get(at).copied().filter(|&start| start != 0)
    }

    /// Time and value of the samples that are floats.
    pub(crate) fn float_samples(&self) -> impl Iterator<Item = (i64, f64)> + '_ {
        let places = 0..self.len();
        places
            .filter(|&at| self.histogram(at).is_none())
            .map(|at| (self.timestamp(at), self.float(at)))
    }

    /// The samples that are histograms.
    pub(crate) fn histogram_samples(&self) -> impl Iterator<Item = &'a Arc<Histogram>> {
        self.histograms.iter().flatten()
    }
}

/// Walks windows over sorted timestamps whose ends only go on: each place is passed twice.
#[derive(Debug, Default)]
pub(crate) struct Slide {
    from: usize,
    to: usize,
    last: Option<(i64, i64)>,
}

impl Slide {
    /// The places of what is after `start` up to and including `end`.
    pub(crate) fn to(&mut self, timestamps: &[i64], start: i64, end: i64) -> (usize, usize) {
        let goes_on = self
            .last
            .is_none_or(|(first, last)| first <= start && last <= end);
        if !goes_on {
            (self.from, self.to) = (0, 0);
        }
        self.last = Some((start, end));
        while timestamps.get(self.to).is_some_and(|&time| time <= end) {
            self.to += 1;
        }
        while self.from < self.to && timestamps.get(self.from).is_some_and(|&time| time <= start) {
            self.from += 1;
        }
        (self.from, self.to)
    }
}

fn retain<T>(column: &mut Vec<T>, stale: &[bool]) {
    let mut stale = stale.iter();
    column.retain(|_| !stale.next().copied().unwrap_or(false));
}
