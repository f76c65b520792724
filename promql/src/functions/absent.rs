//! `absent` and `absent_over_time`: 1 where there is nothing.
//!
//! Input: vectors, range vectors. Output: one row. Invariant: its labels are those that the
//! selector asks for by `=`, each only once.

use treering::{Labels, MatchOp, Matcher};

use crate::error::Result;
use crate::eval::{Column, Grid, Row, Run, argument};
use crate::syntax::{Call, Expr, ExprKind};

impl Run<'_> {
    pub(crate) fn absent(&self, call: &Call, grid: &Grid) -> Result<Vec<Row>> {
        let arg = argument(call, 0)?;
        let rows = self.vector(arg, grid)?;
        let mut there = vec![false; grid.count()];
        for row in &rows {
            self.spend(there.len())?;
            for (at, there) in there.iter_mut().enumerate() {
                *there |= row.column.has(at);
            }
        }
        Ok(absence(arg, there))
    }

    pub(crate) fn absent_over_time(&self, call: &Call, grid: &Grid) -> Result<Vec<Row>> {
        let arg = argument(call, 0)?;
        let frame = self.frame(arg)?;
        let nowhere = || vec![false; grid.count()];
        let parts = self.fold_matrix(arg, &frame, grid, nowhere, |part, there, series| {
            part.spend(grid.count())?;
            let timestamps = &series.samples.timestamps;
            let windows = part.edges.over(part.meter, timestamps, &frame, grid)?;
            for (there, (from, to)) in there.iter_mut().zip(windows) {
                *there |= from < to;
            }
            Ok(())
        })?;
        let mut there = nowhere();
        for part in parts {
            for (there, one) in there.iter_mut().zip(part) {
                *there |= one;
            }
        }
        Ok(absence(arg, there))
    }
}

/// One row with 1 where nothing is there.
fn absence(arg: &Expr, there: Vec<bool>) -> Vec<Row> {
    let mut column = Column::absent(there.len());
    for (at, there) in there.into_iter().enumerate() {
        column.set_float(at, (!there).then_some(1.0));
    }
    let row = Row {
        labels: asked_labels(arg),
        drop_name: false,
        column,
    };
    match row.column.is_empty() {
        true => Vec::new(),
        false => vec![row],
    }
}

/// The labels that a selector asks for by `=`. One of which something else is asked afterwards is left
/// out, as in Prometheus: before it, it does no harm.
fn asked_labels(arg: &Expr) -> Labels {
    let matchers: &[Matcher] = match &arg.unparen().kind {
        ExprKind::Vector(selector) => &selector.matchers,
        ExprKind::Matrix(matrix) => &matrix.selector.matchers,
        _ => &[],
    };
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    let mut known: Vec<&str> = vec!["__name__"];
    for matcher in matchers {
        let name = matcher.name();
        if matcher.op() == MatchOp::Equal && !known.contains(&name) {
            wanted.push((name, matcher.value()));
            known.push(name);
        } else {
            wanted.retain(|pair| pair.0 != name);
        }
    }
    Labels::from_pairs(wanted).unwrap_or_default()
}
