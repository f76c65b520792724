//! Range functions: a window of each series at each step to one value.
//!
//! Input: a call with a range vector. Output: rows. Invariant: the samples of a series are read
//! once and its windows slide over them; a window without samples gives nothing.

use super::asked::Asked;
use super::sliding::Sliding;
use super::{changes, instant_rate, over_time, rate, regression};
use crate::annotation::Notice;
use crate::error::{Error, Result};
use crate::eval::{Grid, Part, Point, Row, Run, argument, metric_name};
use crate::syntax::{Call, Expr, Extent, Span, ValueType};

/// A window of one series to one value.
pub(crate) type RangeFunction = fn(&Asked<'_>) -> Point;

/// The range function of this name.
pub(crate) fn range_function(name: &str) -> Option<RangeFunction> {
    Some(match name {
        "avg_over_time" => over_time::avg,
        "sum_over_time" => over_time::sum,
        "count_over_time" => over_time::count,
        "present_over_time" => over_time::present,
        "first_over_time" => over_time::first,
        "last_over_time" => over_time::last,
        "max_over_time" => over_time::max,
        "min_over_time" => over_time::min,
        "stddev_over_time" => over_time::stddev,
        "stdvar_over_time" => over_time::stdvar,
        "quantile_over_time" => over_time::quantile,
        "mad_over_time" => over_time::mad,
        "ts_of_first_over_time" => over_time::time_of_first,
        "ts_of_last_over_time" => over_time::time_of_last,
        "ts_of_max_over_time" => over_time::time_of_max,
        "ts_of_min_over_time" => over_time::time_of_min,
        "rate" => rate::rate,
        "increase" => rate::increase,
        "delta" => rate::delta,
        "irate" => instant_rate::irate,
        "idelta" => instant_rate::idelta,
        "changes" => changes::changes,
        "resets" => changes::resets,
        "deriv" => regression::deriv,
        "predict_linear" => regression::predict_linear,
        "double_exponential_smoothing" => regression::double_exponential_smoothing,
        _ => return None,
    })
}

impl Run<'_> {
    /// Computes a range function at all times of a grid.
    pub(crate) fn over_ranges(
        &self,
        function: RangeFunction,
        call: &Call,
        grid: &Grid,
    ) -> Result<Vec<Row>> {
        let name = call.function.name;
        let is_matrix = |arg: &&Expr| arg.value_type() == ValueType::Matrix;
        let matrix = match call.args.iter().find(is_matrix) {
            Some(matrix) => matrix,
            None => argument(call, 0)?,
        };
        let params = self.params(call, grid)?;
        let frame = self.frame(matrix)?;
        check_extent(name, frame.extent)?;
        let sliding = Sliding {
            name,
            function,
            frame,
            grid,
            params: &params,
            span: matrix.span,
        };
        self.check_factors(&sliding, matrix)?;
        let rows = match self.summarized(name, matrix, &frame, grid)? {
            Some(rows) => rows,
            None => self.slid(&sliding, matrix)?,
        };
        if let ("quantile_over_time", [ranks, ..]) = (name, params.as_slice()) {
            self.note_ranks(call, ranks, &rows)?;
        }
        match name {
            "last_over_time" | "first_over_time" => Ok(rows),
            _ => self.forget_names(rows),
        }
    }

    /// The rows of a range function from the samples.
    fn slid(&self, sliding: &Sliding<'_>, matrix: &Expr) -> Result<Vec<Row>> {
        let is_rate = matches!(sliding.name, "rate" | "increase");
        let (frame, grid) = (&sliding.frame, sliding.grid);
        let parts = self.fold_matrix(matrix, frame, grid, Vec::new, |part, rows, series| {
            let column = sliding.column(part, &series)?;
            let Some(mut row) = part.row(&series.labels, column)? else {
                return Ok(());
            };
            row.drop_name = series.drop_name;
            if is_rate && series.samples.histograms.is_empty() {
                note_non_counter(metric_name(&series.labels), part, matrix.span);
            }
            rows.push(row);
            Ok(())
        })?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// The scalar arguments of a call at each time.
    fn params(&self, call: &Call, grid: &Grid) -> Result<Vec<Vec<f64>>> {
        let scalars = call.args.iter();
        let scalars = scalars.filter(|arg| arg.value_type() == ValueType::Scalar);
        scalars.map(|arg| self.scalar(arg, grid)).collect()
    }

    /// Refuses factors of smoothing at steps where there is anything to smooth.
    fn check_factors(&self, sliding: &Sliding<'_>, matrix: &Expr) -> Result<()> {
        let wrong = |at: usize| {
            let what = [
                "smoothing factor. Expected: 0 < sf < 1",
                "trend factor. Expected: 0 < tf < 1",
            ];
            let factor = |which: usize| sliding.params.get(which)?.get(at).copied();
            let is_inside = |factor: f64| factor > 0.0 && factor < 1.0;
            let mut factors = (0..2).filter_map(|which| Some((*what.get(which)?, factor(which)?)));
            factors.find(|&(_, factor)| !is_inside(factor))
        };
        let steps = sliding.grid.count();
        if sliding.name != "double_exponential_smoothing"
            || (0..steps).all(|at| wrong(at).is_none())
        {
            return Ok(());
        }
        let present = Sliding {
            name: "present_over_time",
            function: over_time::present,
            ..*sliding
        };
        let rows = self.slid(&present, matrix)?;
        for (at, (what, factor)) in (0..steps).filter_map(|at| Some((at, wrong(at)?))) {
            self.spend(1 + rows.len())?;
            if rows.iter().any(|row| row.column.has(at)) {
                return Error::execution(format!("invalid {what}, got: {factor:.6}"));
            }
        }
        Ok(())
    }

    /// Notes ranks that are none, at steps where a series has a quantile.
    fn note_ranks(&self, call: &Call, ranks: &[f64], rows: &[Row]) -> Result<()> {
        let Some(span) = call.args.first().map(|rank| rank.span) else {
            return Ok(());
        };
        let is_wrong = |rank: f64| !(0.0..=1.0).contains(&rank);
        for (at, &rank) in ranks.iter().enumerate().filter(|one| is_wrong(*one.1)) {
            self.spend(1 + rows.len())?;
            if rows.iter().any(|row| row.column.has(at)) {
                self.note(&Notice::InvalidQuantile(rank), span);
            }
        }
        Ok(())
    }
}

fn check_extent(name: &str, extent: Extent) -> Result<()> {
    let (modifier, allowed): (&str, &[&str]) = match extent {
        Extent::Plain => return Ok(()),
        Extent::Anchored => (
            "anchored",
            &["changes", "delta", "increase", "rate", "resets"],
        ),
        Extent::Smoothed => ("smoothed", &["delta", "increase", "rate"]),
    };
    if allowed.contains(&name) {
        return Ok(());
    }
    let allowed = allowed.join(", ");
    Error::execution(format!(
        "{modifier} modifier can only be used with: {allowed} - not with {name}"
    ))
}

fn note_non_counter(metric: &str, part: &Part<'_>, span: Span) {
    let is_counter = ["_total", "_sum", "_count", "_bucket"]
        .iter()
        .any(|suffix| metric.ends_with(suffix));
    if !metric.is_empty() && !is_counter {
        part.notes.add(&Notice::PossibleNonCounter { metric }, span);
    }
}
