//! Select: instant vectors from a source.
//!
//! Input: a selector and a grid. Output: for each series the sample that is current at each time.
//! Invariant: a sample is current until the next one, at most for the lookback; a stale marker ends
//! a series at once.

use std::sync::Arc;
use std::time::Duration;

use treering::{Labels, ReadSize, SampleColumns, Selector, is_stale};

use super::column::{ABSENT, Column, Point, Row, quiet};
use super::grid::{Grid, seconds};
use super::matrix::Frame;
use super::part::Part;
use super::run::Run;
use super::samples::{Samples, Slide};
use crate::annotation::Notice;
use crate::error::Result;
use crate::histogram::{Histogram, ResetHint, interpolate, is_reset, multiply};
use crate::syntax::{Extent, Span, VectorSelector};

/// What of the current sample is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Its value.
    Value,
    /// Its time in seconds.
    Time,
    /// The time since when its counter counts, in seconds; 0 where that is not known.
    Start,
}

/// Where a selector looks, and for what.
#[derive(Debug, Clone, Copy)]
struct Look {
    grid: Grid,
    /// A sample is current at the times in whose windows it is the last one.
    frame: Frame,
    wanted: Wanted,
    /// Whether only count and sum of histograms will be looked at.
    stats_only: bool,
}

impl Run<'_> {
    /// The series of a selector at the times of a grid.
    pub(crate) fn select(
        &self,
        selector: &VectorSelector,
        span: Span,
        grid: &Grid,
        wanted: Wanted,
    ) -> Result<Vec<Row>> {
        let look = Look {
            grid: *grid,
            frame: Frame {
                range: self.lookback(),
                moved: self.moved(&selector.shift)?,
                extent: Extent::Plain,
                margin: 0,
            },
            wanted,
            stats_only: self.is_stats_only(),
        };
        let is_smoothed = selector.extent == Extent::Smoothed && wanted == Wanted::Value;
        let (first, last) = look.range(is_smoothed);
        if is_smoothed {
            return self.each_series(
                &selector.matchers,
                (first, last),
                |part, labels, columns| {
                    let column = look.smoothed(part, labels, span, columns)?;
                    part.row(labels, column)
                },
            );
        }
        if let Some(rows) = self.newest(selector, &look)? {
            return Ok(rows);
        }
        self.each_series(
            &selector.matchers,
            (first, last),
            |part, labels, columns| {
                part.spend(look.grid.count())?;
                let column = look.current(part, columns)?;
                part.row(labels, column)
            },
        )
    }

    /// At a single time the newest sample of each series is all that is asked for, and a source may
    /// know it without reading the others. `None`: it does not.
    fn newest(&self, selector: &VectorSelector, look: &Look) -> Result<Option<Vec<Row>>> {
        if look.grid.count() > 1 || look.wanted == Wanted::Start {
            return Ok(None);
        }
        self.meter.check()?;
        let began = self.meter.elapsed();
        let (first, last) = look.range(false);
        let matchers = Selector::from_matchers(selector.matchers.clone());
        let Some(latest) = self.source().latest(&matchers, first, last) else {
            return Ok(None);
        };
        let mut rows = Vec::new();
        for (labels, sample) in latest? {
            self.spend(1)?;
            self.meter.read(1, ReadSize::default());
            if is_stale(sample.value) {
                continue;
            }
            let value = match look.wanted {
                Wanted::Time => seconds(sample.timestamp),
                _ => sample.value,
            };
            let row = Row {
                labels,
                drop_name: false,
                column: Column::of_floats(vec![quiet(value)]),
            };
            self.meter.hold(row.amount())?;
            rows.push(row);
        }
        let took = self.meter.elapsed().saturating_sub(began);
        self.took(Duration::ZERO, took);
        Ok(Some(rows))
    }
}

impl Look {
    /// The first and the last time of samples that matter.
    fn range(&self, is_smoothed: bool) -> (i64, i64) {
        let since = self.frame.window(self.grid.start()).0.saturating_add(1);
        let (_, last) = self.frame.window(self.grid.end());
        match is_smoothed {
            true => (since, last.saturating_add(self.frame.range)),
            false => (since, last),
        }
    }

    /// The sample that is current at each time.
    fn current(&self, part: &mut Part<'_>, mut columns: SampleColumns) -> Result<Column> {
        if self.stats_only {
            detect_resets(&mut columns);
        }
        let windows = part
            .edges
            .over(part.meter, &columns.timestamps, &self.frame, &self.grid)?;
        let places = windows.iter().map(|&(from, to)| match from < to {
            true => to - 1,
            false => usize::MAX,
        });
        if self.wanted == Wanted::Value && columns.histograms.is_empty() {
            let value = |place: usize| match columns.values.get(place) {
                // A stale marker is what stands where there is nothing.
                Some(&value) => value,
                None => ABSENT,
            };
            return Ok(Column::of_floats(places.map(value).collect()));
        }
        let mut column = Column::absent(self.grid.count());
        for (at, place) in places.enumerate() {
            let Some(&sampled) = columns.timestamps.get(place) else {
                continue;
            };
            let histogram = columns.histograms.get(place).and_then(Option::as_ref);
            let float = columns.values.get(place).copied().unwrap_or(ABSENT);
            let stale = histogram.map_or(float, |histogram| histogram.sum);
            if is_stale(stale) {
                continue;
            }
            match (self.wanted, histogram) {
                (Wanted::Value, Some(one)) => column.set(at, Point::Histogram(Arc::clone(one))),
                (Wanted::Value, None) => set_float(&mut column, at, float),
                (Wanted::Time, _) => set_float(&mut column, at, seconds(sampled)),
                (Wanted::Start, _) => {
                    let start = columns.starts.get(place).copied().unwrap_or(0);
                    set_float(&mut column, at, seconds(start));
                }
            }
        }
        Ok(column)
    }

    /// The value at each time that lies between the samples before and after it.
    fn smoothed(
        &self,
        part: &Part<'_>,
        labels: &Labels,
        span: Span,
        columns: SampleColumns,
    ) -> Result<Column> {
        let samples = Samples::of_source(columns);
        let mut column = Column::absent(self.grid.count());
        let mut slide = Slide::default();
        for (at, time) in self.grid.times().enumerate() {
            let time = self.frame.moved.time(time);
            let start = time.saturating_sub(self.frame.range);
            let (from, to) = slide.to(&samples.timestamps, start, time);
            part.spend(1 + to - from)?;
            // What follows counts only where something went before.
            let Some(place) = to.checked_sub(1).filter(|_| from < to) else {
                continue;
            };
            let latest = time.saturating_add(self.frame.range);
            if is_mixed(&samples, from, latest) {
                part.notes.add(&Between::Floats.of(labels), span);
                continue;
            }
            let is_near = |&next: &i64| next <= latest;
            let next = samples.timestamps.get(to).filter(|next| is_near(next));
            let point = match next {
                None => Ok(samples.point(place)),
                Some(&next) => between(&samples, place, next, time),
            };
            match point {
                Ok(point) => column.set(at, point),
                Err(notice) => part.notes.add(&notice.of(labels), span),
            }
        }
        Ok(column)
    }
}

/// Whether there are floats and histograms among the samples from `from` on up to a time.
fn is_mixed(samples: &Samples, from: usize, latest: i64) -> bool {
    if samples.histograms.is_empty() {
        return false;
    }
    let to = samples.timestamps.partition_point(|&time| time <= latest);
    let window = samples.histograms.get(from..to).unwrap_or_default();
    window.iter().any(Option::is_some) && window.iter().any(Option::is_none)
}

/// Why there is nothing between two samples.
enum Between {
    Floats,
    Layouts,
}

impl Between {
    fn of(self, labels: &Labels) -> Notice<'_> {
        let metric = labels.name().unwrap_or_default();
        match self {
            Between::Floats => Notice::MixedFloatsHistograms { metric },
            Between::Layouts => Notice::MixedExponentialCustom { metric },
        }
    }
}

/// The value at `time` between the sample at `place` and the next one, at `next`.
fn between(samples: &Samples, place: usize, next: i64, time: i64) -> Result<Point, Between> {
    let before = samples.timestamps.get(place).copied().unwrap_or(time);
    let (passed, whole) = (time.saturating_sub(before), next.saturating_sub(before));
    let fraction = passed as f64 / whole as f64;
    match (samples.point(place), samples.point(place + 1)) {
        (Point::Float(a), Point::Float(b)) => Ok(Point::Float(match time == before {
            true => a,
            false => a + (b - a) * fraction,
        })),
        (Point::Histogram(a), Point::Histogram(_)) if time == before => Ok(Point::Histogram(a)),
        (Point::Histogram(a), Point::Histogram(b)) => {
            if a.is_custom() != b.is_custom() {
                return Err(Between::Layouts);
            }
            let value = histogram_between(&a, &b, fraction).map_err(|_| Between::Layouts)?;
            Ok(Point::Histogram(Arc::new(value)))
        }
        _ => Err(Between::Floats),
    }
}

/// The histogram `fraction` of the way from `a` to `b`; a counter that was reset begins at zero.
pub(crate) fn histogram_between(
    a: &Histogram,
    b: &Histogram,
    fraction: f64,
) -> Result<Histogram, crate::histogram::Mixed> {
    if b.hint != ResetHint::Gauge && is_reset(b, a) {
        let mut result = b.clone();
        multiply(&mut result, fraction);
        return Ok(result);
    }
    interpolate(a, b, fraction)
}

fn set_float(column: &mut Column, at: usize, value: f64) {
    if let Some(place) = column.floats_mut().get_mut(at) {
        *place = quiet(value);
    }
}

fn detect_resets(columns: &mut SampleColumns) {
    if columns.histograms.is_empty() {
        return;
    }
    let mut samples = Samples {
        histograms: std::mem::take(&mut columns.histograms),
        ..Samples::default()
    };
    samples.detect_resets();
    columns.histograms = samples.histograms;
}
