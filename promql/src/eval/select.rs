//! Select: instant vectors from a source.
//!
//! Input: a selector and a grid. Output: for each series the sample that is current at each time.
//! Invariant: a sample is current until the next one, at most for the lookback; a stale marker ends
//! a series at once.

use std::sync::Arc;

use treering::{Labels, SampleColumns, Selector, is_stale};

use super::column::{ABSENT, Column, Point, Row, quiet};
use super::grid::{Grid, seconds};
use super::run::{Moved, Run};
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

impl Run<'_> {
    /// The series of a selector at the times of a grid.
    pub(crate) fn select(
        &self,
        selector: &VectorSelector,
        span: Span,
        grid: &Grid,
        wanted: Wanted,
    ) -> Result<Vec<Row>> {
        let moved = self.moved(&selector.shift)?;
        if selector.extent == Extent::Smoothed && wanted == Wanted::Value {
            return self.select_smoothed(selector, span, grid, moved);
        }
        let (first, last) = (moved.time(grid.start()), moved.time(grid.end()));
        let since = first.saturating_sub(self.lookback()).saturating_add(1);
        let mut rows = Vec::new();
        self.each_series(selector, since, last, |labels, columns| {
            let column = self.current(columns, grid, moved, wanted);
            if !column.is_empty() {
                rows.push(self.held_row(labels, column)?);
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// Hands the series of a selector on, one by one.
    pub(crate) fn each_series(
        &self,
        selector: &VectorSelector,
        first: i64,
        last: i64,
        mut take: impl FnMut(Labels, SampleColumns) -> Result<()>,
    ) -> Result<()> {
        self.check()?;
        let selector = Selector::from_matchers(selector.matchers.clone());
        for series in self.source.select(&selector, first, last)? {
            let series = series?;
            let columns = series.read()?;
            self.count_read(columns.timestamps.len())?;
            take(series.labels().clone(), columns)?;
        }
        Ok(())
    }

    fn held_row(&self, labels: Labels, column: Column) -> Result<Row> {
        let row = Row {
            labels,
            drop_name: false,
            column,
        };
        self.hold_row(&row)?;
        Ok(row)
    }

    /// The sample that is current at each time.
    fn current(
        &self,
        mut columns: SampleColumns,
        grid: &Grid,
        moved: Moved,
        wanted: Wanted,
    ) -> Column {
        if self.is_stats_only() {
            detect_resets(&mut columns);
        }
        let lookback = self.lookback();
        let mut column = Column::absent(grid.count());
        let mut next = 0;
        for (at, time) in grid.times().enumerate() {
            let time = moved.time(time);
            while columns.timestamps.get(next).is_some_and(|&one| one <= time) {
                next += 1;
            }
            let Some(place) = next.checked_sub(1) else {
                continue;
            };
            let Some(&sampled) = columns.timestamps.get(place) else {
                continue;
            };
            if sampled <= time.saturating_sub(lookback) {
                continue;
            }
            let histogram = columns.histograms.get(place).and_then(Option::as_ref);
            let float = columns.values.get(place).copied().unwrap_or(ABSENT);
            let stale = histogram.map_or(float, |histogram| histogram.sum);
            if is_stale(stale) {
                continue;
            }
            match (wanted, histogram) {
                (Wanted::Value, Some(one)) => column.set(at, Point::Histogram(Arc::clone(one))),
                (Wanted::Value, None) => set_float(&mut column, at, float),
                (Wanted::Time, _) => set_float(&mut column, at, seconds(sampled)),
                (Wanted::Start, _) => {
                    let start = columns.starts.get(place).copied().unwrap_or(0);
                    set_float(&mut column, at, seconds(start));
                }
            }
        }
        column
    }

    /// The value at each time that lies between the samples before and after it.
    fn select_smoothed(
        &self,
        selector: &VectorSelector,
        span: Span,
        grid: &Grid,
        moved: Moved,
    ) -> Result<Vec<Row>> {
        let lookback = self.lookback();
        let (first, last) = (moved.time(grid.start()), moved.time(grid.end()));
        let since = first.saturating_sub(lookback).saturating_add(1);
        let mut rows = Vec::new();
        self.each_series(
            selector,
            since,
            last.saturating_add(lookback),
            |labels, columns| {
                let samples = Samples::of_source(columns);
                let mut column = Column::absent(grid.count());
                let mut slide = Slide::default();
                for (at, time) in grid.times().enumerate() {
                    let time = moved.time(time);
                    let start = time.saturating_sub(lookback);
                    let (from, to) = slide.to(&samples.timestamps, start, time);
                    // What follows counts only where something went before.
                    let Some(place) = to.checked_sub(1).filter(|_| from < to) else {
                        continue;
                    };
                    let latest = time.saturating_add(lookback);
                    if is_mixed(&samples, from, latest) {
                        self.note(&Between::Floats.of(&labels), span);
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
                        Err(notice) => self.note(&notice.of(&labels), span),
                    }
                }
                if !column.is_empty() {
                    rows.push(self.held_row(labels, column)?);
                }
                Ok(())
            },
        )?;
        Ok(rows)
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
