//! Summaries: range functions that a source can answer without handing out its samples.
//!
//! Input: a call over a plain selector, and a grid. Output: rows, where the source gives them.
//! Invariant: the answer is what reading all samples would have given, but for the order in which
//! sums are rounded; where it could be another, samples are read.

use std::time::Duration;

use treering::{Aggregate, Function, Labels, Selector};

use super::range::WORTH_SLIDING;
use crate::error::Result;
use crate::eval::{Column, Frame, Grid, Row, Run};
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

impl Run<'_> {
    /// The rows of a range function from summaries; `None`: samples are to be read.
    pub(super) fn summarized(
        &self,
        name: &str,
        matrix: &Expr,
        frame: &Frame,
        grid: &Grid,
    ) -> Result<Option<Vec<Row>>> {
        let ExprKind::Matrix(selector) = &matrix.unparen().kind else {
            return Ok(None);
        };
        let is_pinned = frame.moved.at.is_some() && grid.count() > 1;
        let Some(function) = function_of(name) else {
            return Ok(None);
        };
        // Sums over windows that overlap much are cheaper from samples.
        let overlaps = grid.count() > 1 && frame.range / grid.step().max(1) >= WORTH_SLIDING;
        if overlaps && matches!(function, Function::Sum | Function::Avg) {
            return Ok(None);
        }
        if is_pinned || frame.extent != Extent::Plain {
            return Ok(None);
        }
        let (_, first_end) = frame.window(grid.start());
        let (_, last_end) = frame.window(grid.end());
        let step = match grid.count() {
            1 => frame.range,
            _ => grid.step(),
        };
        // The windows before the first one that is asked for see only a part of their samples.
        let before = frame.range.saturating_add(step - 1) / step;
        let first = first_end
            .saturating_sub(before.saturating_mul(step))
            .saturating_add(1);
        let nanos = |length: i64| Duration::from_nanos(length.unsigned_abs());
        let what = Aggregate::new(function)
            .step(nanos(step))
            .window(nanos(frame.range));
        let selector = Selector::from_matchers(selector.selector.matchers.clone());
        self.check()?;
        let Some(answer) = self.source.aggregate(&selector, first, last_end, &what) else {
            return Ok(None);
        };
        let mut rows = Vec::new();
        for series in answer? {
            let points = series
                .points
                .iter()
                .filter(|point| point.timestamp >= first_end);
            let mut column = Column::absent(grid.count());
            for point in points {
                // A mean whose sum overflowed is to be computed with care.
                if point.value.is_infinite() && function == Function::Avg {
                    return Ok(None);
                }
                let value = match name {
                    "present_over_time" => 1.0,
                    _ => point.value,
                };
                let at = (point.timestamp - first_end) / step;
                column.set_float(usize::try_from(at).unwrap_or(usize::MAX), Some(value));
            }
            if !column.is_empty() {
                rows.push(self.summary_row(series.labels, column)?);
            }
        }
        Ok(Some(rows))
    }

    fn summary_row(&self, labels: Labels, column: Column) -> Result<Row> {
        let row = Row {
            labels,
            drop_name: false,
            column,
        };
        self.count_read(0)?;
        self.hold_row(&row)?;
        Ok(row)
    }
}
