//! Call: from the name of a function to what computes it.
//!
//! Input: a call and a grid. Output: what the function gives. Invariant: every function of the
//! table of signatures is here, or among the range functions.

use super::column::{Column, Point, Row};
use super::grid::{Grid, seconds};
use super::node::Outcome;
use super::run::Run;
use super::select::Wanted;
use crate::error::{Error, Result};
use crate::functions::{date, math, range_function};
use crate::syntax::{Call, Expr, ExprKind, Span};

impl Run<'_> {
    pub(super) fn call(&self, call: &Call, span: Span, grid: &Grid) -> Result<Outcome> {
        let name = call.function.name;
        if let Some(function) = range_function(name) {
            return Ok(Outcome::Vector(self.over_ranges(function, call, grid)?));
        }
        if let Some(function) = math::of_one_float(name) {
            let rows = self.vector(argument(call, 0)?, grid)?;
            return Ok(Outcome::Vector(self.map_floats(rows, function)?));
        }
        if let Some(function) = date::of_time(name) {
            return Ok(Outcome::Vector(self.date(call, grid, function)?));
        }
        if name.starts_with("histogram_") {
            return Ok(Outcome::Vector(self.histogram_call(call, grid)?));
        }
        if let Some(number) = self.query_number(name) {
            return Ok(Outcome::Scalar(vec![number; grid.count()]));
        }
        Ok(match name {
            "time" => Outcome::Scalar(grid.times().map(seconds).collect()),
            "min_of" | "max_of" => self.extreme_of(call, grid)?,
            "scalar" => Outcome::Scalar(self.only_value(call, grid)?),
            "vector" => Outcome::Vector(self.as_vector(call, grid)?),
            "timestamp" => Outcome::Vector(self.sample_time(call, grid, Wanted::Time)?),
            "start_timestamp" => Outcome::Vector(self.sample_time(call, grid, Wanted::Start)?),
            "absent" => Outcome::Vector(self.absent(call, grid)?),
            "absent_over_time" => Outcome::Vector(self.absent_over_time(call, grid)?),
            "round" => Outcome::Vector(self.round(call, grid)?),
            "clamp" | "clamp_min" | "clamp_max" => Outcome::Vector(self.clamp(call, grid)?),
            "label_replace" => Outcome::Vector(self.label_replace(call, grid)?),
            "label_join" => Outcome::Vector(self.label_join(call, grid)?),
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => {
                Outcome::Vector(self.sort(call, span, grid)?)
            }
            "info" => Outcome::Vector(self.info(call, grid)?),
            _ => return Error::execution(format!("function {name} is not known")),
        })
    }

    /// What a function without arguments says of the whole query.
    fn query_number(&self, name: &str) -> Option<f64> {
        let (start, end) = (self.query.start(), self.query.limit());
        Some(match name {
            "pi" => std::f64::consts::PI,
            "start" => seconds(start),
            "end" => seconds(end),
            "range" => seconds(end.saturating_sub(start)),
            "step" => seconds(self.query.step()),
            _ => return None,
        })
    }

    fn extreme_of(&self, call: &Call, grid: &Grid) -> Result<Outcome> {
        let a = self.scalar(argument(call, 0)?, grid)?;
        let b = self.scalar(argument(call, 1)?, grid)?;
        let pick = match call.function.name {
            "min_of" => math::min,
            _ => math::max,
        };
        let both = a.into_iter().zip(b);
        Ok(Outcome::Scalar(both.map(|(a, b)| pick(a, b)).collect()))
    }

    /// The float of a vector that has only one, at each time.
    fn only_value(&self, call: &Call, grid: &Grid) -> Result<Vec<f64>> {
        let rows = self.vector(argument(call, 0)?, grid)?;
        let only = |at: usize| {
            self.spend(1 + rows.len())?;
            let mut floats = rows.iter().filter_map(|row| row.column.float(at));
            Ok(match (floats.next(), floats.next()) {
                (Some(one), None) => one,
                _ => f64::NAN,
            })
        };
        (0..grid.count()).map(only).collect()
    }

    fn as_vector(&self, call: &Call, grid: &Grid) -> Result<Vec<Row>> {
        let mut column = Column::absent(grid.count());
        let numbers = self.scalar(argument(call, 0)?, grid)?;
        for (at, number) in numbers.into_iter().enumerate() {
            column.set(at, Point::Float(number));
        }
        Ok(vec![Row {
            labels: treering::Labels::empty(),
            drop_name: false,
            column,
        }])
    }

    /// The time or start of the samples of a selector; of anything else the time of the step, or
    /// nothing.
    fn sample_time(&self, call: &Call, grid: &Grid, wanted: Wanted) -> Result<Vec<Row>> {
        let arg = argument(call, 0)?;
        if let ExprKind::Vector(selector) = &arg.unparen().kind {
            let rows = self.select(selector, arg.span, grid, wanted)?;
            return self.forget_names(rows);
        }
        if wanted == Wanted::Start {
            return Ok(Vec::new());
        }
        let mut rows = self.vector(arg, grid)?;
        for row in &mut rows {
            self.spend(grid.count())?;
            for (at, time) in grid.times().enumerate() {
                if row.column.has(at) {
                    row.column.set(at, Point::Float(seconds(time)));
                }
            }
            row.column.drop_histograms();
        }
        self.forget_names(rows)
    }
}

/// An argument that the type check saw.
pub(crate) fn argument(call: &Call, at: usize) -> Result<&Expr> {
    match call.args.get(at) {
        Some(arg) => Ok(arg),
        None => Error::execution(format!("{} lacks an argument", call.function.name)),
    }
}
