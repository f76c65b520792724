//! PromQL over anything that can select series.
//!
//! [`parse`] turns text into an [`Expr`], whose nodes know their place in the text; an [`Expr`] prints
//! as Prometheus would print it.
#![forbid(unsafe_code)]

pub mod syntax;

pub use syntax::{Expr, Features, ParseError, parse};
