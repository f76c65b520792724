//! Range functions: a window of each series at each step to one value.
//!
//! Input: a call with a range vector. Output: rows. Invariant: the samples of a series are read
//! once and its windows slide over them; a window without samples gives nothing.

use super::asked::{Asked, Resets};
use super::stacks::{Stacks, Total};
use super::{changes, instant_rate, over_time, rate, regression};
use crate::annotation::Notice;
use crate::error::{Error, Result};
use crate::eval::{Column, Frame, Grid, Point, Row, Run, SampleRow, Slide, argument, metric_name};
use crate::syntax::{Call, Expr, Extent, ValueType};

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
        let is_rate = matches!(name, "rate" | "increase");
        let summed = self.summarized(name, matrix, &frame, grid)?;
        let is_summed = summed.is_some();
        let mut rows = summed.unwrap_or_default();
        let read = |series: SampleRow| {
            let metric = metric_name(&series.labels);
            let asked = Asked {
                window: series.samples.window(0, 0, 0, 0),
                time: 0,
                start: 0,
                end: 0,
                frame,
                params: [f64::NAN; 2],
                run: self,
                metric,
                span: matrix.span,
                resets: None,
            };
            let column = match total_of(name, &frame, grid, &series) {
                Some(total) => slide_total(total, &asked, &series, grid),
                None => slide(function, asked, &series, &params, grid, is_rate),
            };
            if column.is_empty() {
                return Ok(());
            }
            if is_rate && series.samples.histograms.is_empty() {
                note_non_counter(&asked);
            }
            let row = Row {
                labels: series.labels.clone(),
                drop_name: series.drop_name,
                column,
            };
            self.hold_row(&row)?;
            rows.push(row);
            Ok(())
        };
        if !is_summed {
            self.each_matrix_row(matrix, &frame, grid, read)?;
        }
        match name {
            "last_over_time" | "first_over_time" => Ok(rows),
            _ => self.forget_names(rows),
        }
    }

    /// The scalar arguments of a call at each time.
    fn params(&self, call: &Call, grid: &Grid) -> Result<Vec<Vec<f64>>> {
        let mut params = Vec::new();
        for arg in &call.args {
            if arg.value_type() == ValueType::Scalar {
                let numbers = self.scalar(arg, grid)?;
                self.check_params(call.function.name, params.len(), arg, &numbers)?;
                params.push(numbers);
            }
        }
        Ok(params)
    }

    fn check_params(&self, name: &str, at: usize, arg: &Expr, numbers: &[f64]) -> Result<()> {
        for &number in numbers {
            let is_inside = number > 0.0 && number < 1.0;
            let what = match (name, at) {
                ("quantile_over_time", _) => {
                    if !(0.0..=1.0).contains(&number) {
                        self.note(&Notice::InvalidQuantile(number), arg.span);
                    }
                    continue;
                }
                ("double_exponential_smoothing", 0) if !is_inside => {
                    "smoothing factor. Expected: 0 < sf < 1"
                }
                ("double_exponential_smoothing", 1) if !is_inside => {
                    "trend factor. Expected: 0 < tf < 1"
                }
                _ => continue,
            };
            return Error::execution(format!("invalid {what}, got: {number:.6}"));
        }
        Ok(())
    }
}

/// Slides the windows of all steps over the samples of a series.
fn slide(
    function: RangeFunction,
    asked: Asked<'_>,
    series: &SampleRow,
    params: &[Vec<f64>],
    grid: &Grid,
    counts_resets: bool,
) -> Column {
    let samples = &series.samples;
    let mut column = Column::absent(grid.count());
    let mut slide = Slide::default();
    let is_plain = samples.histograms.is_empty() && samples.starts.is_empty();
    let is_plain = is_plain && counts_resets;
    let resets = is_plain.then(|| resets(&samples.floats));
    for (at, time) in grid.times().enumerate() {
        let (start, end) = asked.frame.window(time);
        let (given_start, given_end) = asked.frame.given(time);
        let (from, to) = slide.to(&samples.timestamps, given_start, given_end);
        if from == to {
            continue;
        }
        let param = |which: usize| {
            params
                .get(which)
                .and_then(|numbers| numbers.get(at))
                .copied()
        };
        let asked = Asked {
            window: samples.window(from, to, start, end),
            time,
            start,
            end,
            params: [param(0).unwrap_or(f64::NAN), param(1).unwrap_or(f64::NAN)],
            resets: resets.as_deref().map(|all| within(all, from, to)),
            ..asked
        };
        column.set(at, function(&asked));
    }
    column
}

/// What a range function comes to, where it may be computed from one window to the next: of floats
/// only, where windows overlap enough to be worth it.
fn total_of(name: &str, frame: &Frame, grid: &Grid, series: &SampleRow) -> Option<Total> {
    let overlaps = grid.count() > 1 && frame.range / grid.step().max(1) >= WORTH_SLIDING;
    let is_plain = frame.extent == Extent::Plain && series.samples.histograms.is_empty();
    if !overlaps || !is_plain || frame.moved.at.is_some() {
        return None;
    }
    let total = match name {
        "sum_over_time" => Total::Sum,
        "avg_over_time" => Total::Mean,
        "min_over_time" => Total::Min,
        "max_over_time" => Total::Max,
        _ => return None,
    };
    // Sums that overflow are left to those who take care.
    let is_small = |value: &f64| value.abs() < f64::MAX / 1e10;
    let is_sum = matches!(total, Total::Sum | Total::Mean);
    Some(total).filter(|_| !is_sum || series.samples.floats.iter().all(is_small))
}

/// In how many windows a sample must be for sliding to be worth it.
pub(super) const WORTH_SLIDING: i64 = 8;

fn slide_total(total: Total, asked: &Asked<'_>, series: &SampleRow, grid: &Grid) -> Column {
    let samples = &series.samples;
    let mut column = Column::absent(grid.count());
    let (mut slide, mut stacks) = (Slide::default(), Stacks::new(&samples.floats, total));
    for (at, time) in grid.times().enumerate() {
        let (start, end) = asked.frame.window(time);
        let (from, to) = slide.to(&samples.timestamps, start, end);
        column.set_float(at, stacks.slide(from, to));
    }
    column
}

/// The places of samples that are less than the one before.
fn resets(floats: &[f64]) -> Vec<usize> {
    let pairs = floats.iter().zip(floats.iter().skip(1)).enumerate();
    pairs
        .filter(|(_, (before, after))| after < before)
        .map(|(at, _)| at + 1)
        .collect()
}

/// Those of a window, its first sample left out.
fn within(resets: &[usize], from: usize, to: usize) -> Resets<'_> {
    let first = resets.partition_point(|&at| at <= from);
    let last = resets.partition_point(|&at| at < to);
    Resets {
        places: resets.get(first..last).unwrap_or_default(),
        base: from,
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

fn note_non_counter(asked: &Asked<'_>) {
    let is_counter = ["_total", "_sum", "_count", "_bucket"]
        .iter()
        .any(|suffix| asked.metric.ends_with(suffix));
    if !asked.metric.is_empty() && !is_counter {
        asked.note(&Notice::PossibleNonCounter {
            metric: asked.metric,
        });
    }
}
