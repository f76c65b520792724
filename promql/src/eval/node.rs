//! Node: evaluates one expression over all times of a grid at once.
//!
//! Input: an expression and a grid. Output: a number per time, or rows with a value per time.
//! Invariant: what gives the same at every step is evaluated once; what its children held is
//! released when a node is done.

use super::column::Row;
use super::grid::Grid;
use super::invariant::is_invariant;
use super::meter::Amount;
use super::rows::without_metadata;
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

impl Outcome {
    /// The memory that it counts for.
    fn amount(&self) -> Amount {
        match self {
            Outcome::Scalar(numbers) => Amount {
                samples: numbers.len(),
                bytes: numbers.len() * 8,
            },
            Outcome::Vector(rows) => rows.iter().fold(Amount::default(), |sum, row| {
                let Amount { samples, bytes } = row.amount();
                Amount {
                    samples: sum.samples + samples,
                    bytes: sum.bytes + bytes,
                }
            }),
            Outcome::Text(_) => Amount::default(),
        }
    }
}

impl Run<'_> {
    /// Evaluates an expression that is not a range vector.
    pub(crate) fn evaluate(&self, expr: &Expr, grid: &Grid) -> Result<Outcome> {
        self.meter.check()?;
        let before = self.meter.held();
        let outcome = match grid.count() > 1 && is_worth_once(expr) && is_invariant(expr) {
            true => self.repeated(self.node(expr, &Grid::instant(grid.start()))?, grid)?,
            false => self.node(expr, grid)?,
        };
        self.meter.release_to(before);
        self.meter.hold(outcome.amount())?;
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

    /// What one time gave, at all times of a grid.
    fn repeated(&self, outcome: Outcome, grid: &Grid) -> Result<Outcome> {
        let count = grid.count();
        Ok(match outcome {
            Outcome::Scalar(numbers) => {
                Outcome::Scalar(vec![numbers.first().copied().unwrap_or(f64::NAN); count])
            }
            Outcome::Vector(mut rows) => {
                for row in &mut rows {
                    self.spend(count)?;
                    row.column = row.column.repeat(count);
                    self.meter.hold(row.column.amount())?;
                }
                Outcome::Vector(rows)
            }
            text => text,
        })
    }

    /// Drops the names of rows that were computed with: now, or marks them for the end.
    pub(crate) fn forget_names(&self, mut rows: Vec<Row>) -> Result<Vec<Row>> {
        for row in &mut rows {
            self.spend(WORK_OF_LABELS)?;
            match self.delays_names() {
                true => row.drop_name = true,
                false => row.labels = without_metadata(&row.labels),
            }
        }
        match self.delays_names() {
            true => Ok(rows),
            false => self.merge_equal(rows),
        }
    }
}

/// What it costs to make or compare the labels of a row, in values gone through.
pub(crate) const WORK_OF_LABELS: usize = 64;

/// Whether an expression is worth finding out whether it gives the same at every step.
pub(super) fn is_worth_once(expr: &Expr) -> bool {
    !matches!(expr.kind, ExprKind::Number(_) | ExprKind::String(_))
}
