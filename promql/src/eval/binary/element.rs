//! Element: an operator between two values.
//!
//! Input: an operator and two floats or histograms. Output: a value, whether a comparison holds, or
//! nothing. Invariant: what does not go together gives nothing, and says so.

use std::sync::Arc;

use crate::annotation::{Notice, Operation};
use crate::eval::column::Point;
use crate::histogram::{
    Histogram, Mixed, ResetHint, TrimSide, add, compact, divide, is_equal, multiply, subtract, trim,
};
use crate::syntax::BinaryOp;

/// What an operator gives.
#[derive(Debug)]
pub(super) enum Element {
    /// Nothing: the two do not go together.
    None,
    /// A value.
    Value(Point),
    /// Whether the comparison holds.
    Holds(bool),
}

/// What an operator gives, and what is odd about it.
#[derive(Debug)]
pub(super) struct Combined {
    pub(super) element: Element,
    odd: Odd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Odd {
    Nothing,
    Types(&'static str, &'static str),
    Layouts,
    Histograms {
        reset_conflict: bool,
        bounds_reconciled: bool,
    },
}

impl Combined {
    /// What is odd.
    pub(super) fn notices(&self, op: BinaryOp) -> impl Iterator<Item = Notice<'static>> {
        let operation = match op {
            BinaryOp::Sub => Operation::Subtraction,
            _ => Operation::Addition,
        };
        let operator = op.as_str();
        let (first, second) = match self.odd {
            Odd::Nothing => (None, None),
            Odd::Types(left, right) => (
                Some(Notice::IncompatibleTypes {
                    left,
                    operator,
                    right,
                }),
                None,
            ),
            Odd::Layouts => (Some(Notice::IncompatibleLayout { operator }), None),
            Odd::Histograms {
                reset_conflict,
                bounds_reconciled,
            } => (
                reset_conflict.then_some(Notice::ResetConflict(operation)),
                bounds_reconciled.then_some(Notice::BoundsReconciled(operation)),
            ),
        };
        first.into_iter().chain(second)
    }
}

/// The function of an operator that makes a number of two.
pub(super) fn arithmetic(op: BinaryOp) -> Option<fn(f64, f64) -> f64> {
    Some(match op {
        BinaryOp::Add => |a, b| a + b,
        BinaryOp::Sub => |a, b| a - b,
        BinaryOp::Mul => |a, b| a * b,
        BinaryOp::Div => |a, b| a / b,
        BinaryOp::Mod => |a, b| a % b,
        BinaryOp::Pow => f64::powf,
        BinaryOp::Atan2 => f64::atan2,
        _ => return None,
    })
}

/// Whether a comparison of two numbers holds.
pub(super) fn comparison(op: BinaryOp) -> Option<fn(f64, f64) -> bool> {
    Some(match op {
        BinaryOp::Equal => |a, b| a == b,
        BinaryOp::NotEqual => |a, b| a != b,
        BinaryOp::Less => |a, b| a < b,
        BinaryOp::LessOrEqual => |a, b| a <= b,
        BinaryOp::Greater => |a, b| a > b,
        BinaryOp::GreaterOrEqual => |a, b| a >= b,
        _ => return None,
    })
}

/// An operator between two scalars.
pub(super) fn of_scalars(op: BinaryOp, a: f64, b: f64) -> f64 {
    match (arithmetic(op), comparison(op)) {
        (Some(function), _) => function(a, b),
        (None, Some(holds)) => f64::from(u8::from(holds(a, b))),
        (None, None) => f64::NAN,
    }
}

/// An operator between two values.
pub(super) fn combine(op: BinaryOp, lhs: &Point, rhs: &Point) -> Combined {
    let plain = |element: Element| Combined {
        element,
        odd: Odd::Nothing,
    };
    let types = |left: &'static str, right: &'static str| Combined {
        element: Element::None,
        odd: Odd::Types(left, right),
    };
    match (lhs, rhs) {
        (Point::Float(a), Point::Float(b)) => match (arithmetic(op), comparison(op)) {
            (Some(function), _) => plain(Element::Value(Point::Float(function(*a, *b)))),
            (None, Some(holds)) => plain(Element::Holds(holds(*a, *b))),
            (None, None) => types("float", "float"),
        },
        (Point::Float(number), Point::Histogram(histogram)) => match op {
            BinaryOp::Mul => plain(changed(histogram, |one| multiply(one, *number))),
            _ => types("float", "histogram"),
        },
        (Point::Histogram(histogram), Point::Float(number)) => match op {
            BinaryOp::Mul => plain(changed(histogram, |one| multiply(one, *number))),
            BinaryOp::Div => plain(changed(histogram, |one| divide(one, *number))),
            BinaryOp::TrimUpper => plain(changed(histogram, |one| {
                trim(one, *number, TrimSide::Below);
            })),
            BinaryOp::TrimLower => plain(changed(histogram, |one| {
                trim(one, *number, TrimSide::Above);
            })),
            _ => types("histogram", "float"),
        },
        (Point::Histogram(a), Point::Histogram(b)) => match op {
            BinaryOp::Add | BinaryOp::Sub => of_histograms(op, a, b),
            BinaryOp::Equal => plain(Element::Holds(is_equal(a, b))),
            BinaryOp::NotEqual => plain(Element::Holds(!is_equal(a, b))),
            _ => types("histogram", "histogram"),
        },
        (Point::Absent, _) | (_, Point::Absent) => plain(Element::None),
    }
}

fn changed(histogram: &Arc<Histogram>, change: impl FnOnce(&mut Histogram)) -> Element {
    let mut result = Histogram::clone(histogram);
    change(&mut result);
    Element::Value(Point::Histogram(Arc::new(result)))
}

fn of_histograms(op: BinaryOp, a: &Histogram, b: &Histogram) -> Combined {
    let mut result = a.clone();
    let combined = match op {
        BinaryOp::Sub => subtract(&mut result, b),
        _ => add(&mut result, b),
    };
    if op == BinaryOp::Sub {
        result.hint = ResetHint::Gauge;
    }
    compact(&mut result);
    match combined {
        Err(Mixed) => Combined {
            element: Element::None,
            odd: Odd::Layouts,
        },
        Ok(combined) => Combined {
            element: Element::Value(Point::Histogram(Arc::new(result))),
            odd: Odd::Histograms {
                reset_conflict: combined.reset_conflict,
                bounds_reconciled: combined.bounds_reconciled,
            },
        },
    }
}
