//! Duration expressions: what stands in `[...]` and after `offset`.
//!
//! Input: the tree that the parser made, and the step and range of the query. Output: nanoseconds.
//! Invariant: a plain literal folds to the same length whatever the query is, so it needs neither.

use super::span::Span;

/// A length of time that may depend on the query.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationExpr {
    /// Where it stands in the text.
    pub span: Span,
    /// What it is.
    pub kind: DurationKind,
}

/// What a duration expression is.
#[derive(Debug, Clone)]
pub enum DurationKind {
    /// `5m`, or `300` (seconds). A sign before it is part of it.
    Literal {
        /// The length in seconds.
        seconds: f64,
        /// Whether it was written as a duration, which only its printing shows.
        is_duration: bool,
    },
    /// `step()`: the distance of the query's steps; 0 in an instant query.
    Step,
    /// `range()`: from the query's first step to its last; 0 in an instant query.
    Range,
    /// `-expr`.
    Negate(Box<DurationExpr>),
    /// `lhs op rhs`.
    Binary {
        /// Which operator.
        op: DurationOp,
        /// Left of it.
        lhs: Box<DurationExpr>,
        /// Right of it.
        rhs: Box<DurationExpr>,
    },
    /// `min_of(a, b)`.
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`.
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `(expr)`.
    Paren(Box<DurationExpr>),
}

/// An operator between durations; numbers are seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DurationOp {
    /// `+`.
    Add,
    /// `-`.
    Sub,
    /// `*`.
    Mul,
    /// `/`.
    Div,
    /// `%`.
    Mod,
    /// `^`.
    Pow,
}

impl DurationExpr {
    /// A literal of whole nanoseconds, at no place; for trees that are not parsed.
    pub fn from_nanos(nanos: i64) -> Self {
        let seconds = nanos as f64 / NANOS_PER_SECOND;
        let kind = DurationKind::Literal {
            seconds,
            is_duration: true,
        };
        Self {
            span: Span::default(),
            kind,
        }
    }

    /// The length in nanoseconds of a literal; `None` when it depends on more than the text says.
    pub fn literal_nanos(&self) -> Option<i64> {
        match self.kind {
            DurationKind::Literal { seconds, .. } => nanos_of(seconds),
            _ => None,
        }
    }

    /// The length in nanoseconds in a query with this distance of steps and this range, both in
    /// nanoseconds. The error is a message without a place; [`span`](Self::span) has it.
    pub fn fold(&self, step: i64, range: i64) -> Result<i64, &'static str> {
        let seconds = self.fold_seconds(
            step as f64 / NANOS_PER_SECOND,
            range as f64 / NANOS_PER_SECOND,
        )?;
        nanos_of(seconds).ok_or("duration is out of range")
    }

    /// As [`fold`](Self::fold), for windows and steps: the length must be above zero.
    pub fn fold_positive(&self, step: i64, range: i64) -> Result<i64, &'static str> {
        let nanos = self.fold(step, range)?;
        match nanos > 0 {
            true => Ok(nanos),
            false => Err("duration must be greater than 0"),
        }
    }

    fn fold_seconds(&self, step: f64, range: f64) -> Result<f64, &'static str> {
        let fold = |expr: &DurationExpr| expr.fold_seconds(step, range);
        Ok(match &self.kind {
            DurationKind::Literal { seconds, .. } => *seconds,
            DurationKind::Step => step,
            DurationKind::Range => range,
            DurationKind::Paren(inner) => fold(inner)?,
            DurationKind::Negate(inner) => -fold(inner)?,
            DurationKind::MinOf(lhs, rhs) => nan_or(fold(lhs)?, fold(rhs)?, f64::min),
            DurationKind::MaxOf(lhs, rhs) => nan_or(fold(lhs)?, fold(rhs)?, f64::max),
            DurationKind::Binary { op, lhs, rhs } => op.apply(fold(lhs)?, fold(rhs)?)?,
        })
    }
}

impl DurationOp {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            DurationOp::Add => "+",
            DurationOp::Sub => "-",
            DurationOp::Mul => "*",
            DurationOp::Div => "/",
            DurationOp::Mod => "%",
            DurationOp::Pow => "^",
        }
    }

    fn apply(self, lhs: f64, rhs: f64) -> Result<f64, &'static str> {
        Ok(match self {
            DurationOp::Add => lhs + rhs,
            DurationOp::Sub => lhs - rhs,
            DurationOp::Mul => lhs * rhs,
            DurationOp::Div if rhs == 0.0 => return Err("division by zero"),
            DurationOp::Div => lhs / rhs,
            DurationOp::Mod if rhs == 0.0 => return Err("modulo by zero"),
            DurationOp::Mod => lhs % rhs,
            DurationOp::Pow => lhs.powf(rhs),
        })
    }
}

impl PartialEq for DurationKind {
    /// Two literals are equal when the bits of their seconds are.
    fn eq(&self, other: &Self) -> bool {
        use DurationKind::{Binary, Literal, MaxOf, MinOf, Negate, Paren, Range, Step};
        match (self, other) {
            (
                Literal {
                    seconds: a,
                    is_duration: x,
                },
                Literal {
                    seconds: b,
                    is_duration: y,
                },
            ) => (a.to_bits(), x) == (b.to_bits(), y),
            (Step, Step) | (Range, Range) => true,
            (Negate(a), Negate(b)) | (Paren(a), Paren(b)) => a == b,
            (MinOf(a, b), MinOf(x, y)) | (MaxOf(a, b), MaxOf(x, y)) => (a, b) == (x, y),
            (
                Binary {
                    op: a,
                    lhs: b,
                    rhs: c,
                },
                Binary {
                    op: x,
                    lhs: y,
                    rhs: z,
                },
            ) => (a, b, c) == (x, y, z),
            _ => false,
        }
    }
}

/// NaN where one of the two is.
fn nan_or(lhs: f64, rhs: f64, choose: fn(f64, f64) -> f64) -> f64 {
    match lhs.is_nan() || rhs.is_nan() {
        true => f64::NAN,
        false => choose(lhs, rhs),
    }
}

/// Nanoseconds of `seconds`, to the nearest; `None` when an i64 does not hold them.
pub(crate) fn nanos_of(seconds: f64) -> Option<i64> {
    // Whole milliseconds are exact: a float of seconds often is a few tenths of a nanosecond off.
    let nanos = (seconds * NANOS_PER_SECOND).round();
    (nanos.abs() < i64::MAX as f64).then_some(nanos as i64)
}

const NANOS_PER_SECOND: f64 = 1e9;
