//! PromQL over anything that can select series.
//!
//! [`syntax`] has the language: an [`Expr`](syntax::Expr) whose nodes know their place in the text.
#![forbid(unsafe_code)]

pub mod syntax;
