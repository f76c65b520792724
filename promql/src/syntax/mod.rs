//! The language: text to a syntax tree, and back.
//!
//! Input: the text of a query. Output: [`Expr`], well typed, with a [`Span`] on every node.
//! Invariant: what prints parses to the same tree.

mod ast;
mod duration;
mod features;
mod operator;
mod signatures;
mod span;

pub use ast::{
    Aggregate, At, Binary, Call, Cardinality, Expr, ExprKind, Extent, Fill, MatrixSelector,
    NumberLiteral, Shift, StringLiteral, Subquery, Unary, ValueType, VectorMatching,
    VectorSelector,
};
pub use duration::{DurationExpr, DurationKind, DurationOp};
pub use features::Features;
pub use operator::{AggregateOp, BinaryOp, UnaryOp};
pub use signatures::{FUNCTIONS, Signature, Variadic};
pub use span::Span;
