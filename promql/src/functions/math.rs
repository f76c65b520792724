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
        "acosh" => acosh,
        "asin" => f64::asin,
        "asinh" => asinh,
        "atan" => f64::atan,
        "atanh" => f64::atanh,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => cosh,
        "deg" => |value| value * 180.0 / std::f64::consts::PI,
        "exp" => f64::exp,
        "floor" => f64::floor,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "log2" => f64::log2,
        "rad" => |value| value * std::f64::consts::PI / 180.0,
        "sgn" => sign,
        "sin" => f64::sin,
        "sinh" => sinh,
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

/// From here on the square of a number and that square less or more one are the same.
const LARGE: f64 = (1 << 28) as f64;

/// As Go has it: near the largest numbers twice the argument is not a number any more, its
/// logarithm and that of two are.
fn acosh(value: f64) -> f64 {
    match value > LARGE {
        true => value.ln() + std::f64::consts::LN_2,
        false => value.acosh(),
    }
}

fn asinh(value: f64) -> f64 {
    match value.abs() > LARGE {
        true => (value.abs().ln() + std::f64::consts::LN_2).copysign(value),
        false => value.asinh(),
    }
}

/// As Go has it: infinite where the exponential function is, a little before the half of it is.
fn cosh(value: f64) -> f64 {
    match value.abs() > 21.0 {
        true => value.abs().exp() * 0.5,
        false => value.cosh(),
    }
}

fn sinh(value: f64) -> f64 {
    match value.abs() > 21.0 {
        true => (value.abs().exp() * 0.5).copysign(value),
        false => value.sinh(),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As Prometheus 2.42 answered them.
    #[test]
    fn hyperbolic_functions_end_where_those_of_go_do() {
        for (name, value, wanted) in [
            ("cosh", 710.0, f64::INFINITY),
            ("cosh", -710.4, f64::INFINITY),
            ("sinh", 709.0, 4.109203730777486e307),
            ("sinh", -710.0, f64::NEG_INFINITY),
            ("asinh", 1e308, 709.889355822726),
            ("asinh", -1e308, -709.889355822726),
            ("acosh", 1e308, 709.889355822726),
        ] {
            let function = of_one_float(name).unwrap();
            assert_eq!(function(value), wanted, "{name}({value})");
        }
        for name in ["acosh", "asinh", "cosh", "sinh"] {
            let function = of_one_float(name).unwrap();
            for edge in [21.0, LARGE] {
                let (below, above) = (function(edge.next_down()), function(edge.next_up()));
                let goes_on = (above - below).abs() <= 1e-12 * below.abs();
                assert!(
                    goes_on || below.is_infinite(),
                    "{name} at {edge}: {below}, {above}"
                );
            }
            assert!(function(f64::NAN).is_nan());
        }
        assert!(acosh(0.5).is_nan() && acosh(f64::NEG_INFINITY).is_nan());
        assert_eq!(asinh(f64::NEG_INFINITY), f64::NEG_INFINITY);
    }
}
