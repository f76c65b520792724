//! PromQL over anything that can select series.
//!
//! [`parse`] turns text into an [`Expr`], whose nodes know their place in the text; an [`Expr`] prints
//! as Prometheus would print it. An [`Evaluator`] answers it over a [`Source`](treering::Source): a
//! database, or whatever else has series.
#![forbid(unsafe_code)]

mod annotation;
mod error;
mod eval;
mod functions;
pub mod histogram;
mod options;
pub mod syntax;
mod value;

pub use annotation::{Annotation, Annotations, Severity};
pub use error::{Error, Result};
pub use eval::Evaluator;
pub use options::Options;
pub use syntax::{Expr, Features, ParseError, parse};
pub use value::{Answer, QueryStats, ResultSeries, SampleValue, Value, VectorSample};
