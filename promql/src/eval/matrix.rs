//! Matrix: range vectors, from a source or from a subquery, series by series.
//!
//! Input: a matrix selector or a subquery, and a grid. Output: each series' samples over the whole
//! grid, and where the window of each step lies. Invariant: samples are read once, however many
//! windows hold them.

use super::column::{Point, Row};
use super::grid::Grid;
use super::meter::Amount;
use super::part::Part;
use super::run::{Moved, Run};
use super::samples::{SampleRow, Samples};
use crate::error::Result;
use crate::histogram::ResetHint;
use crate::syntax::{Expr, ExprKind, Extent, MatrixSelector, Subquery};

/// Where the windows of a range vector lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// The width of the windows.
    pub(crate) range: i64,
    pub(crate) moved: Moved,
    /// How windows treat their edges.
    pub(crate) extent: Extent,
    /// How far before its start a window may look for a sample at its edge, and after its end.
    pub(crate) margin: i64,
}

impl Frame {
    /// Start (not in it) and end (in it) of the window of the step at `time`.
    pub(crate) fn window(&self, time: i64) -> (i64, i64) {
        let end = self.moved.time(time);
        (end.saturating_sub(self.range), end)
    }

    /// Start and end of what a function over that window is given.
    pub(crate) fn given(&self, time: i64) -> (i64, i64) {
        let (start, end) = self.window(time);
        match self.extent {
            Extent::Plain => (start, end),
            Extent::Anchored => (start.saturating_sub(self.margin), end),
            Extent::Smoothed => (
                start.saturating_sub(self.margin),
                end.saturating_add(self.margin),
            ),
        }
    }
}

impl Run<'_> {
    /// Where the windows of a range vector lie.
    pub(crate) fn frame(&self, expr: &Expr) -> Result<Frame> {
        let (range, shift, extent) = match &expr.unparen().kind {
            ExprKind::Matrix(matrix) => {
                let selector = &matrix.selector;
                (&matrix.range, &selector.shift, selector.extent)
            }
            ExprKind::Subquery(subquery) => (&subquery.range, &subquery.shift, Extent::Plain),
            _ => return crate::Error::execution("expected a range vector"),
        };
        Ok(Frame {
            range: self.positive(range)?,
            moved: self.moved(shift)?,
            extent,
            margin: self.lookback(),
        })
    }

    /// Does `work` with each series of a range vector, with all samples that the windows of `grid`
    /// hold. The states of the parts that they are in come in the order of the series.
    pub(crate) fn fold_matrix<S: Send>(
        &self,
        expr: &Expr,
        frame: &Frame,
        grid: &Grid,
        begin: impl Fn() -> S + Sync,
        work: impl Fn(&mut Part<'_>, &mut S, SampleRow) -> Result<()> + Sync,
    ) -> Result<Vec<S>> {
        let expr = expr.unparen();
        match &expr.kind {
            ExprKind::Matrix(matrix) => self.fold_selected(matrix, frame, grid, begin, work),
            ExprKind::Subquery(subquery) => {
                let (mut part, mut state) = (Part::new(&self.meter), begin());
                let Some(inner) = self.inner_grid(subquery, frame, grid)? else {
                    return Ok(vec![state]);
                };
                let rows = self.with_stats_only(false, || self.vector(&subquery.expr, &inner))?;
                for row in rows {
                    self.meter.check()?;
                    let amount = Amount {
                        samples: 0,
                        bytes: row.column.len() * size_of::<(i64, f64)>(),
                    };
                    self.meter.hold(amount)?;
                    let row = sampled(row, &inner);
                    part.spend(row.samples.len())?;
                    work(&mut part, &mut state, row)?;
                    self.meter.release(amount);
                }
                self.notes.absorb(part.notes.into_inner());
                Ok(vec![state])
            }
            _ => crate::Error::execution("expected a range vector"),
        }
    }

    fn fold_selected<S: Send>(
        &self,
        matrix: &MatrixSelector,
        frame: &Frame,
        grid: &Grid,
        begin: impl Fn() -> S + Sync,
        work: impl Fn(&mut Part<'_>, &mut S, SampleRow) -> Result<()> + Sync,
    ) -> Result<Vec<S>> {
        let first = frame.given(grid.start()).0.saturating_add(1);
        let last = frame.given(grid.end()).1;
        let with_starts = self.options.features.start_timestamps;
        let stats_only = self.is_stats_only();
        let matchers = &matrix.selector.matchers;
        self.fold_series(
            matchers,
            (first, last),
            begin,
            |part, state, labels, columns| {
                let mut samples = Samples::of_source(columns);
                if stats_only {
                    samples.detect_resets();
                }
                if !with_starts {
                    samples.starts = Vec::new();
                }
                let row = SampleRow {
                    labels: labels.clone(),
                    drop_name: false,
                    samples,
                };
                work(part, state, row)
            },
        )
    }

    /// The steps of a subquery, all windows together.
    pub(super) fn inner_grid(
        &self,
        subquery: &Subquery,
        frame: &Frame,
        grid: &Grid,
    ) -> Result<Option<Grid>> {
        let step = match &subquery.step {
            Some(step) => self.positive(step)?,
            None => i64::try_from(self.options.default_step.as_nanos()).unwrap_or(i64::MAX),
        };
        let after = frame.window(grid.start()).0;
        let last = frame.window(grid.end()).1;
        // The first multiple of the step after the start of the first window.
        let first = after
            .div_euclid(step)
            .saturating_add(1)
            .saturating_mul(step);
        if first > last {
            return Ok(None);
        }
        let inner = Grid::range(first, last, step);
        self.check_grid(&inner)?;
        Ok(Some(inner))
    }
}

/// The values of a row as samples. What a store knew of resets does not hold for them.
fn sampled(row: Row, grid: &Grid) -> SampleRow {
    let mut samples = Samples::default();
    let has_histograms = row.column.has_histograms();
    for (at, time) in grid.times().enumerate() {
        let (float, histogram) = match row.column.get(at) {
            Point::Absent => continue,
            Point::Float(float) => (float, None),
            Point::Histogram(mut histogram) => {
                if matches!(histogram.hint, ResetHint::Reset | ResetHint::NotReset) {
                    std::sync::Arc::make_mut(&mut histogram).hint = ResetHint::Unknown;
                }
                (f64::NAN, Some(histogram))
            }
        };
        samples.timestamps.push(time);
        samples.floats.push(float);
        if has_histograms {
            samples.histograms.push(histogram);
        }
    }
    SampleRow {
        labels: row.labels,
        drop_name: row.drop_name,
        samples,
    }
}
