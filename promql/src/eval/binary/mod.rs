//! Binary operators: between scalars, a vector and a scalar, two vectors.
//!
//! Input: two expressions. Output: a scalar or rows. Invariant: a comparison without `bool` keeps
//! values and names as they are; arithmetic drops names.

mod element;
mod matching;
mod pairs;
mod sets;

use self::element::{Combined, Element, combine};
use super::column::{Column, Point, Row, is_absent, quiet};
use super::grid::Grid;
use super::node::Outcome;
use super::run::Run;
use crate::error::{Error, Result};
use crate::syntax::{Binary, BinaryOp, Span};

impl Run<'_> {
    pub(super) fn binary(&self, binary: &Binary, span: Span, grid: &Grid) -> Result<Outcome> {
        let keeps_buckets = matches!(
            binary.op,
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div
        ) || binary.op.is_set();
        let stats_only = self.is_stats_only() && keeps_buckets;
        let (lhs, rhs) = self.with_stats_only(stats_only, || {
            let lhs = self.evaluate(&binary.lhs, grid)?;
            Ok::<_, Error>((lhs, self.evaluate(&binary.rhs, grid)?))
        })?;
        Ok(match (lhs, rhs) {
            (Outcome::Scalar(lhs), Outcome::Scalar(rhs)) => {
                let both = lhs.into_iter().zip(rhs);
                let result = both.map(|(a, b)| element::of_scalars(binary.op, a, b));
                Outcome::Scalar(result.collect())
            }
            (Outcome::Vector(rows), Outcome::Scalar(numbers)) => {
                Outcome::Vector(self.with_scalar(binary, span, rows, &numbers, false)?)
            }
            (Outcome::Scalar(numbers), Outcome::Vector(rows)) => {
                Outcome::Vector(self.with_scalar(binary, span, rows, &numbers, true)?)
            }
            (Outcome::Vector(lhs), Outcome::Vector(rhs)) => {
                let default = Default::default();
                let matching = binary.matching.as_ref().unwrap_or(&default);
                Outcome::Vector(match binary.op.is_set() {
                    true => self.combine_sets(binary.op, lhs, rhs, matching, grid)?,
                    false => self.match_vectors(binary, span, lhs, rhs, grid)?,
                })
            }
            _ => return Error::execution("binary operators do not take texts"),
        })
    }

    /// A vector with a number at each step.
    fn with_scalar(
        &self,
        binary: &Binary,
        span: Span,
        mut rows: Vec<Row>,
        numbers: &[f64],
        is_swapped: bool,
    ) -> Result<Vec<Row>> {
        let (op, return_bool) = (binary.op, binary.return_bool);
        for row in &mut rows {
            self.spend(numbers.len())?;
            if !row.column.has_histograms()
                && let Some(function) = element::arithmetic(op)
            {
                let floats = row.column.floats_mut().iter_mut().zip(numbers);
                for (value, &number) in floats.filter(|pair| !is_absent(*pair.0)) {
                    *value = quiet(match is_swapped {
                        true => function(number, *value),
                        false => function(*value, number),
                    });
                }
                continue;
            }
            let column = std::mem::replace(&mut row.column, Column::absent(0));
            let mut result = Column::absent(column.len());
            for (at, &number) in numbers.iter().enumerate() {
                let point = column.get(at);
                let given = match point {
                    Point::Absent => continue,
                    ref point => point.clone(),
                };
                let (lhs, rhs) = match is_swapped {
                    true => (Point::Float(number), point),
                    false => (point, Point::Float(number)),
                };
                let element = combine(op, &lhs, &rhs);
                result.set(at, self.point_of(op, element, given, return_bool, span));
            }
            row.column = result;
        }
        rows.retain(|row| !row.column.is_empty());
        match keeps_names(op) && !return_bool {
            true => Ok(rows),
            false => self.forget_names(rows),
        }
    }

    /// What becomes of the value `given` on the vector's (or left) side; what is odd is noted.
    fn point_of(
        &self,
        op: BinaryOp,
        element: Combined,
        given: Point,
        return_bool: bool,
        span: Span,
    ) -> Point {
        for notice in element.notices(op) {
            self.note(&notice, span);
        }
        match element.element {
            Element::None => Point::Absent,
            Element::Value(point) => point,
            Element::Holds(holds) => match (return_bool, holds) {
                (true, holds) => Point::Float(f64::from(u8::from(holds))),
                (false, true) => given,
                (false, false) => Point::Absent,
            },
        }
    }
}

/// Whether the result of an operator is still of the metric.
fn keeps_names(op: BinaryOp) -> bool {
    op.is_comparison() || op.is_set() || matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower)
}
