//! The language: text to a syntax tree, and back.
//!
//! Input: the text of a query. Output: [`Expr`], well typed, with a [`Span`] on every node.
//! Invariant: what prints parses to the same tree.

mod ast;
mod calls;
mod duration;
mod error;
mod features;
mod lengths;
mod lexer;
pub mod limits;
mod literal;
mod modifiers;
mod operator;
mod parser;
mod postfix;
mod print;
mod selectors;
mod signatures;
mod span;
mod token;
mod types;

pub use ast::{
    Aggregate, At, Binary, Call, Cardinality, Expr, ExprKind, Extent, Fill, MatrixSelector,
    NumberLiteral, Shift, StringLiteral, Subquery, Unary, ValueType, VectorMatching,
    VectorSelector,
};
pub use duration::{DurationExpr, DurationKind, DurationOp};
pub use error::ParseError;
pub use features::Features;
pub use operator::{AggregateOp, BinaryOp, UnaryOp};
pub use parser::parse;
pub use signatures::{FUNCTIONS, Signature, Variadic};
pub use span::Span;
