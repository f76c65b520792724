//! The syntax tree of a query.
//!
//! Input: none; the parser makes these. Output: plain data with a [`Span`] on every node.
//! Invariant: a tree that the parser gave is well typed, so its evaluator need not
//! check types again. Times and durations are nanoseconds; what the user writes is seconds.

use treering::Matcher;

use super::duration::DurationExpr;
use super::operator::{AggregateOp, BinaryOp, UnaryOp};
use super::signatures::Signature;
use super::span::Span;

/// An expression: what it is, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// Where it stands in the text.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `1.5`, `0x1f`, `Inf`, `5m`.
    Number(NumberLiteral),
    /// `"text"`.
    String(StringLiteral),
    /// `metric{a="b"} offset 5m @ 10`.
    Vector(VectorSelector),
    /// `metric{a="b"}[5m]`.
    Matrix(MatrixSelector),
    /// `expr[1h:5m]`.
    Subquery(Subquery),
    /// `-expr`.
    Unary(Unary),
    /// `lhs + on (a) rhs`.
    Binary(Binary),
    /// `sum by (a) (expr)`.
    Aggregate(Aggregate),
    /// `rate(expr)`.
    Call(Call),
    /// `(expr)`.
    Paren(Box<Expr>),
}

/// What an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One number per step.
    Scalar,
    /// One value per series and step.
    Vector,
    /// The values of a window per series and step.
    Matrix,
    /// A text.
    String,
}

/// A number. Two are equal when their bits are, so NaN equals itself.
#[derive(Debug, Clone, Copy)]
pub struct NumberLiteral {
    /// Its value; a duration in seconds.
    pub value: f64,
    /// Whether it was written as a duration (`5m`), which only its printing shows.
    pub is_duration: bool,
}

/// A string. Go's escapes can make bytes that are not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringLiteral {
    /// The bytes after unquoting.
    pub bytes: Vec<u8>,
}

/// Which series, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSelector {
    /// The metric name where it stands before the braces or without any.
    pub name: Option<String>,
    /// All conditions; the one that `name` makes (`__name__="name"`) is the last.
    pub matchers: Vec<Matcher>,
    /// `@` and `offset`.
    pub shift: Shift,
    /// `anchored`, `smoothed` or neither.
    pub extent: Extent,
}

/// The samples of a window: `selector[range]`.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSelector {
    /// The series; `@`, `offset`, `anchored` and `smoothed` after the brackets are kept in it.
    pub selector: VectorSelector,
    /// Where the selector stands, without brackets and what follows them.
    pub selector_span: Span,
    /// Length of the window, above zero.
    pub range: DurationExpr,
}

/// An expression evaluated at steps of its own: `expr[range:step]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// What is evaluated; an instant vector.
    pub expr: Box<Expr>,
    /// Length of the window, above zero.
    pub range: DurationExpr,
    /// Distance of the steps, above zero; `None` leaves it to the evaluator's default.
    pub step: Option<DurationExpr>,
    /// `@` and `offset`.
    pub shift: Shift,
}

/// When a selector or subquery looks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shift {
    /// `@`: at a fixed time instead of the step's.
    pub at: Option<At>,
    /// `offset`: that much earlier (later where negative).
    pub offset: Option<DurationExpr>,
}

/// The time after `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Nanoseconds since the Unix epoch, a whole number of milliseconds.
    Time(i64),
    /// `start()`: the first step of the whole query.
    Start,
    /// `end()`: the end of the whole query, which need not be a step.
    End,
}

/// How a window treats its edges (experimental).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extent {
    /// As usual.
    #[default]
    Plain,
    /// `anchored`: with the last sample at or before the window's start.
    Anchored,
    /// `smoothed`: values at the edges are interpolated.
    Smoothed,
}

/// `-expr` or `+expr`. A sign before a number is part of the number.
#[derive(Debug, Clone, PartialEq)]
pub struct Unary {
    /// The sign.
    pub op: UnaryOp,
    /// A scalar or an instant vector.
    pub expr: Box<Expr>,
}

/// `lhs op rhs`.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Where the operator stands.
    pub op_span: Span,
    /// Left of it.
    pub lhs: Box<Expr>,
    /// Right of it.
    pub rhs: Box<Expr>,
    /// `bool`: a comparison gives 0 or 1 and does not filter.
    pub return_bool: bool,
    /// How series meet; `Some` exactly where both sides are instant vectors.
    pub matching: Option<VectorMatching>,
}

/// How the series of two instant vectors meet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VectorMatching {
    /// How many series of one side meet how many of the other.
    pub cardinality: Cardinality,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Whether `labels` are those of `on`; false for `ignoring` and for none of them.
    pub on: bool,
    /// The labels of `group_left` or `group_right`.
    pub include: Vec<String>,
    /// What stands for a missing sample (experimental).
    pub fill: Fill,
}

/// How many series of the left side meet how many of the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Cardinality {
    /// One and one.
    #[default]
    OneToOne,
    /// `group_left`: many on the left.
    ManyToOne,
    /// `group_right`: many on the right.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// `fill`, `fill_left`, `fill_right`: what stands for a sample that a side does not have.
/// Two are equal when the bits of their numbers are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fill {
    /// On the left side.
    pub left: Option<f64>,
    /// On the right side.
    pub right: Option<f64>,
}

/// `sum by (a) (expr)`, `topk(3, expr)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// Which aggregation.
    pub op: AggregateOp,
    /// What is aggregated; an instant vector.
    pub expr: Box<Expr>,
    /// The first argument of those that have two: a scalar, or a string for `count_values`.
    pub param: Option<Box<Expr>>,
    /// The labels of `by` or `without`.
    pub grouping: Vec<String>,
    /// Whether `grouping` are those of `without`.
    pub without: bool,
}

/// `rate(expr)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which function.
    pub function: &'static Signature,
    /// Its arguments.
    pub args: Vec<Expr>,
}

impl Expr {
    /// What the expression gives.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Vector(_) | ExprKind::Aggregate(_) => ValueType::Vector,
            ExprKind::Matrix(_) | ExprKind::Subquery(_) => ValueType::Matrix,
            ExprKind::Call(call) => call.function.returns,
            ExprKind::Unary(unary) => unary.expr.value_type(),
            ExprKind::Paren(inner) => inner.value_type(),
            ExprKind::Binary(binary) => {
                let both_scalar = binary.lhs.value_type() == ValueType::Scalar
                    && binary.rhs.value_type() == ValueType::Scalar;
                match both_scalar {
                    true => ValueType::Scalar,
                    false => ValueType::Vector,
                }
            }
        }
    }

    /// The expression without parentheses around it.
    pub fn unparen(&self) -> &Expr {
        let mut inner = self;
        while let ExprKind::Paren(next) = &inner.kind {
            inner = next;
        }
        inner
    }

    /// The expressions right below this one, in the order of the text.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Vector(_)
            | ExprKind::Matrix(_) => vec![],
            ExprKind::Subquery(subquery) => vec![&*subquery.expr],
            ExprKind::Unary(unary) => vec![&*unary.expr],
            ExprKind::Binary(binary) => vec![&*binary.lhs, &*binary.rhs],
            ExprKind::Aggregate(aggregate) => {
                let param = aggregate.param.as_deref();
                param.into_iter().chain([&*aggregate.expr]).collect()
            }
            ExprKind::Call(call) => call.args.iter().collect(),
            ExprKind::Paren(inner) => vec![&**inner],
        }
    }
}

impl ValueType {
    /// As the surface of Prometheus names it: `scalar`, `vector`, `matrix` or `string`.
    pub fn result_name(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "vector",
            ValueType::Matrix => "matrix",
            ValueType::String => "string",
        }
    }

    /// As documentation and errors name it.
    pub fn as_str(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            ValueType::String => "string",
        }
    }
}

impl std::fmt::Display for ValueType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl StringLiteral {
    /// The text, with U+FFFD for what is not UTF-8.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

impl PartialEq for NumberLiteral {
    fn eq(&self, other: &Self) -> bool {
        (self.value.to_bits(), self.is_duration) == (other.value.to_bits(), other.is_duration)
    }
}

impl PartialEq for Fill {
    fn eq(&self, other: &Self) -> bool {
        let bits = |fill: &Self| (fill.left.map(f64::to_bits), fill.right.map(f64::to_bits));
        bits(self) == bits(other)
    }
}
