//! Sliding: range functions computed from one window to the next.
//!
//! Input: the samples of a series and the windows of all steps over them. Output: a column.
//! Invariant: what comes out is what going through each window would give: bit for bit where
//! nothing is rounded on the way, else to a relative 1e-9; a window of which that is not certain is
//! gone through. Each sample comes and goes once, however many windows hold it.

use super::asked::Asked;
use super::changes;
use super::joins::{Cloud, Extremes, Lines, Moments, Places, Sums};
use super::range::RangeFunction;
use super::ranks::Ranks;
use super::rate::{self, Kind};
use super::smoothing::Smoothed;
use super::stacks::{Join, Stacks};
use crate::error::Result;
use crate::eval::{
    ABSENT, Amount, Column, Edges, Frame, Grid, Part, Point, Reach, SampleRow, metric_name, seconds,
};
use crate::syntax::{Extent, Span};

/// A range function over the windows of a grid.
#[derive(Debug)]
pub(super) struct Sliding<'a> {
    pub(super) name: &'static str,
    pub(super) function: RangeFunction,
    pub(super) frame: Frame,
    pub(super) grid: &'a Grid,
    /// The scalar arguments at each step.
    pub(super) params: &'a [Vec<f64>],
    /// Where the range vector stands.
    pub(super) span: Span,
}

/// A series, the part that works on it, and its windows.
#[derive(Debug, Clone, Copy)]
struct Task<'t> {
    sliding: &'t Sliding<'t>,
    part: &'t Part<'t>,
    series: &'t SampleRow,
    edges: &'t Edges,
    windows: &'t [(usize, usize)],
}

impl Sliding<'_> {
    /// The value at each step.
    pub(super) fn column(&self, part: &mut Part<'_>, series: &SampleRow) -> Result<Column> {
        let mut edges = std::mem::take(&mut part.edges);
        let timestamps = &series.samples.timestamps;
        let windows = edges.over(part.meter, timestamps, &self.frame, self.grid)?;
        part.spend(windows.len())?;
        if self.rise().is_some() && self.is_plain(series) {
            rate::reach(&mut edges, timestamps, &self.frame, self.grid);
        }
        let task = Task {
            sliding: self,
            part,
            series,
            edges: &edges,
            windows: edges.windows(),
        };
        let working = task.working();
        part.meter.hold(working)?;
        let column = match self.is_plain(series) {
            true => task.floats()?,
            false => None,
        };
        let column = match column {
            Some(floats) => Column::of_floats(floats),
            None => task.scan()?,
        };
        part.meter.release(working);
        part.edges = edges;
        Ok(column)
    }

    /// Whether there is nothing about a series but floats in windows as they are.
    fn is_plain(&self, series: &SampleRow) -> bool {
        let samples = &series.samples;
        self.frame.extent == Extent::Plain
            && samples.histograms.is_empty()
            && samples.starts.is_empty()
    }

    /// Whether windows overlap so much that it pays to keep what they have in common.
    fn overlaps(&self) -> bool {
        self.frame.moved.at.is_none() && overlap_much(&self.frame, self.grid)
    }

    /// What kind of rise is asked for, if any.
    fn rise(&self) -> Option<Kind> {
        matches!(self.name, "rate" | "increase" | "delta").then(|| Kind {
            is_counter: self.name != "delta",
            is_rate: self.name == "rate",
        })
    }

    /// In how many windows a sample is.
    fn overlap(&self) -> i64 {
        self.frame.range / self.grid.step().max(1)
    }

    /// A scalar argument at a step.
    fn param(&self, which: usize, at: usize) -> f64 {
        let numbers = self.params.get(which);
        let number = numbers.and_then(|numbers| numbers.get(at));
        number.copied().unwrap_or(f64::NAN)
    }
}

/// Whether a range function over windows of floats is computed from one window to the next.
pub(crate) fn slides(name: &str, frame: &Frame, grid: &Grid) -> bool {
    let is_known = frame.extent == Extent::Plain && frame.moved.at.is_none();
    let is_always = matches!(
        name,
        "rate"
            | "increase"
            | "delta"
            | "irate"
            | "idelta"
            | "changes"
            | "resets"
            | "count_over_time"
            | "present_over_time"
            | "first_over_time"
            | "last_over_time"
            | "ts_of_first_over_time"
            | "ts_of_last_over_time"
    );
    is_known && (is_always || overlap_much(frame, grid))
}

/// Whether windows overlap so much that it pays to keep what they have in common.
pub(super) fn overlap_much(frame: &Frame, grid: &Grid) -> bool {
    grid.count() > 1 && frame.range / grid.step().max(1) >= WORTH_SLIDING
}

/// In how many windows a sample must be for that.
const WORTH_SLIDING: i64 = 8;

/// In how many for ranks, which cost a logarithm for each sample.
const WORTH_RANKING: i64 = 32;

/// Whether sums of such numbers, and of their squares, are finite.
pub(super) fn is_small(value: f64) -> bool {
    value.abs() < 1e140
}

impl<'t> Task<'t> {
    fn numbers(&self) -> &'t [f64] {
        &self.series.samples.floats
    }

    /// The memory that it takes at most until the column is there: ranks or drops of all samples,
    /// the sums of the longest window, how far windows reach.
    fn working(&self) -> Amount {
        let longest = self.windows.iter().map(|(from, to)| to - from).max();
        let longest = longest.unwrap_or(0);
        let name = self.sliding.name;
        let sorts = matches!(name, "quantile_over_time" | "mad_over_time");
        let bytes = if self.sliding.rise().is_some() {
            self.numbers().len() * 32 + self.windows.len() * size_of::<Reach>()
        } else if matches!(name, "changes" | "resets") {
            self.numbers().len() * 8
        } else if self.sliding.overlaps() {
            self.numbers().len() * 32 + longest * size_of::<Cloud>()
        } else if sorts {
            longest * 16
        } else {
            0
        };
        Amount { samples: 0, bytes }
    }

    /// What functions of floats come to at each step, where there is a way to slide.
    fn floats(&self) -> Result<Option<Vec<f64>>> {
        let numbers = self.numbers();
        let windows = self.windows.iter();
        if let Some(kind) = self.sliding.rise() {
            let range = self.sliding.frame.range;
            return Ok(Some(rate::rises(kind, numbers, range, self.edges)));
        }
        match self.sliding.name {
            "changes" => return Ok(Some(changes::counts(numbers, true, windows))),
            "resets" => return Ok(Some(changes::counts(numbers, false, windows))),
            _ if !self.sliding.overlaps() => return Ok(None),
            _ => {}
        }
        let is_max = self.sliding.name.ends_with("max_over_time");
        let time_of = |(_, place): (f64, usize)| self.time(place);
        Ok(Some(match self.sliding.name {
            "min_over_time" | "max_over_time" => {
                self.stacked(Extremes { numbers, is_max }, |best, _| Some(best))?
            }
            "ts_of_min_over_time" | "ts_of_max_over_time" => {
                self.stacked(Places { numbers, is_max }, |best, _| Some(time_of(best)))?
            }
            _ if !numbers.iter().all(|&value| is_small(value)) => return Ok(None),
            "sum_over_time" => self.stacked(Sums(numbers), |sum, _| Some(sum.total()))?,
            "avg_over_time" => {
                self.stacked(Sums(numbers), |sum, count| Some(sum.total() / count as f64))?
            }
            "stdvar_over_time" => self.stacked(Moments(numbers), |spread, _| spread.variance())?,
            "stddev_over_time" => self.stacked(Moments(numbers), |spread, _| {
                spread.variance().map(f64::sqrt)
            })?,
            "quantile_over_time" | "mad_over_time" => match self.sliding.overlap() {
                WORTH_RANKING.. => return self.ranked(),
                _ => return Ok(None),
            },
            "deriv" | "predict_linear" => self.lines()?,
            "double_exponential_smoothing" => return self.smoothed(),
            _ => return Ok(None),
        }))
    }

    /// What `finish` makes of each window and of how many samples are in it; what it makes nothing
    /// of is gone through.
    fn stacked<J: Join>(
        &self,
        join: J,
        finish: impl Fn(J::Sum, usize) -> Option<f64>,
    ) -> Result<Vec<f64>> {
        let mut stacks = Stacks::new(join);
        let value = |(at, &(from, to)): (usize, &(usize, usize))| {
            self.part.spend(8)?;
            match stacks.slide(from, to) {
                None => Ok(ABSENT),
                Some(sum) => match finish(sum, to - from) {
                    Some(value) => Ok(value),
                    None => self.scan_at(at),
                },
            }
        };
        self.windows.iter().enumerate().map(value).collect()
    }

    fn ranked(&self) -> Result<Option<Vec<f64>>> {
        let ranks = Ranks::new(self.numbers(), |work| self.part.spend(work))?;
        let Some(mut ranks) = ranks else {
            return Ok(None);
        };
        let is_quantile = self.sliding.name == "quantile_over_time";
        let value = |(at, &(from, to)): (usize, &(usize, usize))| {
            self.part.spend(64)?;
            ranks.slide(from, to);
            Ok(match (from < to, is_quantile) {
                (false, _) => ABSENT,
                (true, true) => ranks.quantile(self.sliding.param(0, at)),
                (true, false) => ranks.deviation(),
            })
        };
        let values: Result<Vec<f64>> = self.windows.iter().enumerate().map(value).collect();
        values.map(Some)
    }

    fn lines(&self) -> Result<Vec<f64>> {
        let (numbers, timestamps) = (self.numbers(), &self.series.samples.timestamps);
        let since = timestamps.first().copied().unwrap_or(0);
        let equal_since = equal_since(numbers);
        let mut stacks = Stacks::new(Lines {
            timestamps,
            numbers,
            since,
        });
        let is_slope = self.sliding.name == "deriv";
        let value = |(at, &(from, to)): (usize, &(usize, usize))| {
            self.part.spend(16)?;
            let Some(cloud) = stacks.slide(from, to) else {
                return Ok(ABSENT);
            };
            let first = timestamps.get(from).copied().unwrap_or(since);
            let last = to.checked_sub(1).and_then(|last| equal_since.get(last));
            // Those who know what becomes of a single value, and of none but equal ones.
            if to - from < 2 || last.is_none_or(|&equal| equal <= from) {
                return self.scan_at(at);
            }
            let found = match is_slope {
                true => cloud.slope(seconds(first.saturating_sub(since))),
                false => {
                    let origin = self.sliding.grid.time(at).saturating_sub(since);
                    cloud.predict(seconds(origin), self.sliding.param(0, at))
                }
            };
            match found {
                Some(value) => Ok(value),
                None => self.scan_at(at),
            }
        };
        self.windows.iter().enumerate().map(value).collect()
    }

    /// Only with factors that are the same at every step.
    fn smoothed(&self) -> Result<Option<Vec<f64>>> {
        let factors = [self.sliding.param(0, 0), self.sliding.param(1, 0)];
        let is_first = |(numbers, first): (&Vec<f64>, f64)| numbers.iter().all(|&one| one == first);
        if !self.sliding.params.iter().zip(factors).all(is_first) {
            return Ok(None);
        }
        let longest = self.windows.iter().map(|(from, to)| to - from).max();
        let mut smoothed = Smoothed::new(self.numbers(), factors, longest.unwrap_or(0));
        let value = |(at, &(from, to)): (usize, &(usize, usize))| {
            self.part.spend(16)?;
            match smoothed.slide(from, to) {
                Ok(value) => Ok(value.unwrap_or(ABSENT)),
                Err(_) => self.scan_at(at),
            }
        };
        let values: Result<Vec<f64>> = self.windows.iter().enumerate().map(value).collect();
        values.map(Some)
    }

    /// The time of a sample in seconds.
    fn time(&self, place: usize) -> f64 {
        let timestamps = &self.series.samples.timestamps;
        timestamps
            .get(place)
            .map_or(f64::NAN, |&time| seconds(time))
    }

    /// Goes through each window.
    fn scan(&self) -> Result<Column> {
        let mut column = Column::absent(self.sliding.grid.count());
        for at in 0..self.windows.len() {
            if let Some(asked) = self.asked(at)? {
                column.set(at, (self.sliding.function)(&asked));
            }
        }
        Ok(column)
    }

    /// Goes through one window, of floats.
    fn scan_at(&self, at: usize) -> Result<f64> {
        let asked = self.asked(at)?;
        Ok(match asked.map(|asked| (self.sliding.function)(&asked)) {
            Some(Point::Float(value)) => value,
            _ => ABSENT,
        })
    }

    /// What a function is given for a step; nothing where its window is empty.
    fn asked(&self, at: usize) -> Result<Option<Asked<'t>>> {
        let Sliding { frame, grid, .. } = self.sliding;
        let (from, to) = self.windows.get(at).copied().unwrap_or_default();
        self.part.spend(1 + to - from)?;
        if from == to {
            return Ok(None);
        }
        let time = grid.time(at);
        let (start, end) = frame.window(time);
        Ok(Some(Asked {
            window: self.series.samples.window(from, to, start, end),
            time,
            start,
            end,
            frame: *frame,
            params: [self.sliding.param(0, at), self.sliding.param(1, at)],
            notes: &self.part.notes,
            metric: metric_name(&self.series.labels),
            span: self.sliding.span,
        }))
    }
}

/// For each place the first one from which on all numbers up to it are equal.
fn equal_since(numbers: &[f64]) -> Vec<usize> {
    let (mut since, mut before) = (0, f64::NAN);
    let first = |(at, &number): (usize, &f64)| {
        if number != before {
            since = at;
        }
        before = number;
        since
    };
    numbers.iter().enumerate().map(first).collect()
}
