//! Functions of one number, and rounding and clamping.
//!
//! Input: vectors. Output: vectors of floats. Invariant: histograms are passed over, names dropped.

use std::cmp::Ordering;

use crate::error::Result;
use crate::eval::{Column, Grid, Row, Run, argument, is_absent, quiet};
use crate::histogram::Histogram;
use crate::syntax::Call;

/// The function of one float of this name.
pub(crate) fn of_one_float(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => f64::acos,
        "acosh" => f64::acosh,
        "asin" => f64::asin,
        "asinh" => f64::asinh,
        "atan" => f64::atan,
        "atanh" => f64::atanh,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => f64::cosh,
        "deg" => |value| value * 180.0 / std::f64::consts::PI,
        "exp" => f64::exp,
        "floor" => f64::floor,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "log2" => f64::log2,
        "rad" => |value| value * std::f64::consts::PI / 180.0,
        "sgn" => sign,
        "sin" => f64::sin,
        "sinh" => f64::sinh,
        "sqrt" => f64::sqrt,
        "tan" => f64::tan,
        "tanh" => f64::tanh,
        _ => return None,
    })
}

/// The smaller of two numbers, as Go has it: -Inf beside NaN is -Inf, anything else beside it NaN.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    match (a == f64::NEG_INFINITY) || (b == f64::NEG_INFINITY) {
        true => f64::NEG_INFINITY,
        false if a.is_nan() || b.is_nan() => f64::NAN,
        false => a.min(b),
    }
}

/// The larger of two numbers, as Go has it: +Inf beside NaN is +Inf, anything else beside it NaN.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    match (a == f64::INFINITY) || (b == f64::INFINITY) {
        true => f64::INFINITY,
        false if a.is_nan() || b.is_nan() => f64::NAN,
        false => a.max(b),
    }
}

fn sign(value: f64) -> f64 {
    match value {
        value if value > 0.0 => 1.0,
        value if value < 0.0 => -1.0,
        value => value,
    }
}

impl Run<'_> {
    /// Changes each float and drops histograms and names.
    pub(crate) fn map_floats(
        &self,
        mut rows: Vec<Row>,
        function: impl Fn(f64) -> f64,
    ) -> Result<Vec<Row>> {
        for row in &mut rows {
            self.spend(row.column.len())?;
            map_column(&mut row.column, &function);
            row.column.drop_histograms();
        }
        rows.retain(|row| !row.column.is_empty());
        self.forget_names(rows)
    }

    /// Changes each float and each histogram and drops names.
    pub(crate) fn map_rows(
        &self,
        mut rows: Vec<Row>,
        of_float: impl Fn(f64) -> f64,
        of_histogram: impl Fn(&mut Histogram),
    ) -> Result<Vec<Row>> {
        for row in &mut rows {
            self.spend(row.column.len())?;
            map_column(&mut row.column, &of_float);
            row.column.each_histogram(&of_histogram);
        }
        self.forget_names(rows)
    }

    /// Changes each float with the step that it is at; `None` leaves nothing.
    fn map_steps(
        &self,
        mut rows: Vec<Row>,
        function: impl Fn(usize, f64) -> Option<f64>,
    ) -> Result<Vec<Row>> {
        for row in &mut rows {
            self.spend(row.column.len())?;
            for at in 0..row.column.len() {
                if let Some(value) = row.column.float(at) {
                    row.column.set_float(at, function(at, value));
                }
            }
            row.column.drop_histograms();
        }
        rows.retain(|row| !row.column.is_empty());
        self.forget_names(rows)
    }

    pub(crate) fn round(&self, call: &Call, grid: &Grid) -> Result<Vec<Row>> {
        let nearest = match call.args.get(1) {
            Some(nearest) => self.scalar(nearest, grid)?,
            None => vec![1.0; grid.count()],
        };
        let rows = self.vector(argument(call, 0)?, grid)?;
        // Dividing by the inverse rounds less than multiplying with the number itself.
        self.map_steps(rows, |at, value| {
            let inverse = 1.0 / nearest.get(at)?;
            Some((value * inverse + 0.5).floor() / inverse)
        })
    }

    pub(crate) fn clamp(&self, call: &Call, grid: &Grid) -> Result<Vec<Row>> {
        let rows = self.vector(argument(call, 0)?, grid)?;
        let bound = |at: usize| self.scalar(argument(call, at)?, grid);
        match call.function.name {
            "clamp_min" => {
                let least = bound(1)?;
                self.map_steps(rows, |at, value| Some(max(value, *least.get(at)?)))
            }
            "clamp_max" => {
                let most = bound(1)?;
                self.map_steps(rows, |at, value| Some(min(value, *most.get(at)?)))
            }
            _ => {
                let (least, most) = (bound(1)?, bound(2)?);
                self.map_steps(rows, |at, value| {
                    let (least, most) = (*least.get(at)?, *most.get(at)?);
                    let crossed = least.partial_cmp(&most) == Some(Ordering::Greater);
                    (!crossed).then(|| max(least, min(most, value)))
                })
            }
        }
    }
}

fn map_column(column: &mut Column, function: &impl Fn(f64) -> f64) {
    for value in column.floats_mut() {
        if !is_absent(*value) {
            *value = quiet(function(*value));
        }
    }
}
