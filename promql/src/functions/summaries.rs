//! Summaries: range functions that a source can answer without handing out its samples.
//!
//! Input: a call over a plain selector, and a grid. Output: rows, where the source gives them.
//! Invariant: the answer is what reading all samples would have given, but for the order in which
//! sums are rounded; where it could be another, samples are read.

use std::time::Duration;

use treering::{Aggregate, AggregatedSeries, Function, Selector, Source};

use super::sliding::overlap_much;
use crate::error::Result;
use crate::eval::{Column, Frame, Grid, Row, Run, WORK_OF_LABELS};
use crate::syntax::{Expr, ExprKind, Extent};

/// The function of the engine that is a range function.
fn function_of(name: &str) -> Option<Function> {
    Some(match name {
        "avg_over_time" => Function::Avg,
        "count_over_time" | "present_over_time" => Function::Count,
        "first_over_time" => Function::First,
        "last_over_time" => Function::Last,
        "max_over_time" => Function::Max,
        "min_over_time" => Function::Min,
        "sum_over_time" => Function::Sum,
        _ => return None,
    })
}

/// What a source is asked in place of samples.
#[derive(Debug)]
pub(crate) struct Summary {
    selector: Selector,
    function: Function,
    what: Aggregate,
    /// The first timestamp that is asked for, and the last.
    first: i64,
    last: i64,
    /// The end of the window of the first step; those before see a part of their samples only.
    first_end: i64,
    step: i64,
    /// Whether it only matters that there is something.
    is_presence: bool,
}

impl Summary {
    /// What to ask for the range function of this name; `None`: samples are to be read.
    pub(crate) fn of(name: &str, matrix: &Expr, frame: &Frame, grid: &Grid) -> Option<Self> {
        let ExprKind::Matrix(selector) = &matrix.unparen().kind else {
            return None;
        };
        let function = function_of(name)?;
        // Sums over windows that overlap much are cheaper from samples.
        let is_sum = matches!(function, Function::Sum | Function::Avg);
        let is_pinned = frame.moved.at.is_some() && grid.count() > 1;
        if is_pinned || frame.extent != Extent::Plain || (is_sum && overlap_much(frame, grid)) {
            return None;
        }
        let (_, first_end) = frame.window(grid.start());
        let (_, last) = frame.window(grid.end());
        let step = match grid.count() {
            1 => frame.range,
            _ => grid.step(),
        };
        let before = frame.range.saturating_add(step - 1) / step;
        let nanos = |length: i64| Duration::from_nanos(length.unsigned_abs());
        Some(Self {
            selector: Selector::from_matchers(selector.selector.matchers.clone()),
            function,
            what: Aggregate::new(function)
                .step(nanos(step))
                .window(nanos(frame.range)),
            first: first_end
                .saturating_sub(before.saturating_mul(step))
                .saturating_add(1),
            last,
            first_end,
            step,
            is_presence: name == "present_over_time",
        })
    }

    /// Whether a source answers that: an empty range costs nothing, and shows it.
    pub(crate) fn is_known_to(&self, source: &dyn Source) -> bool {
        source.aggregate(&self.selector, 1, 0, &self.what).is_some()
    }

    /// The values of a series at the steps of a grid of `count`; `None`: they are to be computed
    /// with care.
    fn column(&self, series: &AggregatedSeries, count: usize) -> Option<Column> {
        let mut column = Column::absent(count);
        for point in &series.points {
            if point.timestamp < self.first_end {
                continue;
            }
            // A mean whose sum overflowed.
            if point.value.is_infinite() && self.function == Function::Avg {
                return None;
            }
            let value = match self.is_presence {
                true => 1.0,
                false => point.value,
            };
            let at = (point.timestamp - self.first_end) / self.step;
            column.set_float(usize::try_from(at).unwrap_or(usize::MAX), Some(value));
        }
        Some(column)
    }
}

impl Run<'_> {
    /// The rows of a range function from summaries; `None`: samples are to be read.
    pub(super) fn summarized(
        &self,
        name: &str,
        matrix: &Expr,
        frame: &Frame,
        grid: &Grid,
    ) -> Result<Option<Vec<Row>>> {
        let Some(summary) = Summary::of(name, matrix, frame, grid) else {
            return Ok(None);
        };
        self.meter.check()?;
        let began = self.meter.elapsed();
        let Summary {
            selector,
            first,
            last,
            what,
            ..
        } = &summary;
        let Some(answer) = self.source().aggregate(selector, *first, *last, what) else {
            return Ok(None);
        };
        let mut rows = Vec::new();
        for series in answer? {
            self.spend(WORK_OF_LABELS + series.points.len())?;
            let Some(column) = summary.column(&series, grid.count()) else {
                return Ok(None);
            };
            if column.is_empty() {
                continue;
            }
            self.meter.summarized();
            let row = Row {
                labels: series.labels,
                drop_name: false,
                column,
            };
            self.meter.hold(row.amount())?;
            rows.push(row);
        }
        let took = self.meter.elapsed().saturating_sub(began);
        self.took(Duration::ZERO, took);
        Ok(Some(rows))
    }
}
