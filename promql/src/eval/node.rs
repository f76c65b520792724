//! Node: evaluates one expression over all times of a grid at once.
//!
//! Input: an expression and a grid. Output: a number per time, or rows with a value per time.
//! Invariant: what gives the same at every step is evaluated once; what its children held is
//! released when a node is done.

use super::column::Row;
use super::grid::Grid;
use super::invariant::is_invariant;
use super::rows::{merge_equal, without_metadata};
use super::run::Run;
use super::select::Wanted;
use crate::error::{Error, Result};
use crate::histogram::multiply;
use crate::syntax::{Expr, ExprKind, Unary, UnaryOp};

/// What an expression gave, but a range vector.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A number at each time.
    Scalar(Vec<f64>),
    /// A vector at each time.
    Vector(Vec<Row>),
    /// A text.
    Text(Vec<u8>),
}

impl Run<'_> {
    /// Evaluates an expression that is not a range vector.
    pub(crate) fn evaluate(&self, expr: &Expr, grid: &Grid) -> Result<Outcome> {
        self.check()?;
        let before = self.held();
        let outcome = match grid.count() > 1 && is_worth_once(expr) && is_invariant(expr) {
            true => repeated(self.node(expr, &Grid::instant(grid.start()))?, grid.count()),
            false => self.node(expr, grid)?,
        };
        let weight = match &outcome {
            Outcome::Scalar(numbers) => numbers.len(),
            Outcome::Vector(rows) => rows.iter().map(|row| row.column.weight()).sum(),
            Outcome::Text(_) => 0,
        };
        self.release_to(before, 0);
        self.hold(weight)?;
        Ok(outcome)
    }

    /// Evaluates an instant vector.
    pub(crate) fn vector(&self, expr: &Expr, grid: &Grid) -> Result<Vec<Row>> {
        match self.evaluate(expr, grid)? {
            Outcome::Vector(rows) => Ok(rows),
            _ => Error::execution("expected an instant vector"),
        }
    }

    /// Evaluates a scalar.
    pub(crate) fn scalar(&self, expr: &Expr, grid: &Grid) -> Result<Vec<f64>> {
        match self.evaluate(expr, grid)? {
            Outcome::Scalar(numbers) => Ok(numbers),
            _ => Error::execution("expected a scalar"),
        }
    }

    fn node(&self, expr: &Expr, grid: &Grid) -> Result<Outcome> {
        Ok(match &expr.kind {
            ExprKind::Number(number) => Outcome::Scalar(vec![number.value; grid.count()]),
            ExprKind::String(string) => Outcome::Text(string.bytes.clone()),
            ExprKind::Vector(selector) => {
                Outcome::Vector(self.select(selector, expr.span, grid, Wanted::Value)?)
            }
            ExprKind::Matrix(_) | ExprKind::Subquery(_) => {
                return Error::execution("a range vector cannot be evaluated at each step");
            }
            ExprKind::Paren(inner) => return self.node(inner, grid),
            ExprKind::Unary(unary) => self.unary(unary, grid)?,
            ExprKind::Binary(binary) => self.binary(binary, expr.span, grid)?,
            ExprKind::Aggregate(aggregate) => Outcome::Vector(self.aggregate(aggregate, grid)?),
            ExprKind::Call(call) => self.call(call, expr.span, grid)?,
        })
    }

    fn unary(&self, unary: &Unary, grid: &Grid) -> Result<Outcome> {
        let outcome = self.evaluate(&unary.expr, grid)?;
        if unary.op == UnaryOp::Plus {
            return Ok(outcome);
        }
        Ok(match outcome {
            Outcome::Scalar(numbers) => {
                Outcome::Scalar(numbers.into_iter().map(|number| -number).collect())
            }
            Outcome::Vector(rows) => Outcome::Vector(self.map_rows(
                rows,
                |value| -value,
                |h| {
                    multiply(h, -1.0);
                },
            )?),
            text => text,
        })
    }

    /// Drops the names of rows that were computed with: now, or marks them for the end.
    pub(crate) fn forget_names(&self, mut rows: Vec<Row>) -> Result<Vec<Row>> {
        for row in &mut rows {
            match self.delays_names() {
                true => row.drop_name = true,
                false => row.labels = without_metadata(&row.labels),
            }
        }
        match self.delays_names() {
            true => Ok(rows),
            false => merge_equal(rows),
        }
    }
}

/// Whether an expression is worth finding out whether it gives the same at every step.
fn is_worth_once(expr: &Expr) -> bool {
    !matches!(expr.kind, ExprKind::Number(_) | ExprKind::String(_))
}

/// What one time gave, at `count` times.
fn repeated(outcome: Outcome, count: usize) -> Outcome {
    match outcome {
        Outcome::Scalar(numbers) => {
            Outcome::Scalar(vec![numbers.first().copied().unwrap_or(f64::NAN); count])
        }
        Outcome::Vector(mut rows) => {
            for row in &mut rows {
                row.column = row.column.repeat(count);
            }
            Outcome::Vector(rows)
        }
        text => text,
    }
}
