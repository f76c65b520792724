//! PromQL over anything that can select series.
//!
//! [`parse`] turns text into an [`Expr`], whose nodes know their place in the text; an [`Expr`] prints
//! as Prometheus would print it. An [`Evaluator`] answers it over a [`Source`](treering::Source): a
//! database, or whatever else has series.
//!
//! ```
//! use treering::{Batch, Db, labels};
//! use treering_promql::{Evaluator, Features, SampleValue, Value, parse};
//! const SECOND: i64 = 1_000_000_000;
//! let db = Db::in_memory()?;
//! let times: Vec<i64> = (0..=20).map(|at| at * 15 * SECOND).collect();
//! let counter: Vec<f64> = (0..=20).map(|at| f64::from(at) * 30.0).collect();
//! let requests = labels! { "__name__" => "requests_total", "job" => "api" };
//! db.append(&Batch::new().column(requests, &times, &counter))?;
//!
//! // Parsed once, asked as often as wanted; times are nanoseconds.
//! let rate = parse("sum by (job) (rate(requests_total[2m]))", &Features::default())?;
//! let evaluator = Evaluator::new(&db);
//! let answer = evaluator.instant(&rate, 300 * SECOND)?;
//! let Value::Vector(vector) = answer.value else { panic!("a sum is a vector") };
//! assert_eq!(vector[0].labels.to_string(), r#"{job="api"}"#);
//! assert!(matches!(vector[0].value, SampleValue::Float(two) if (two - 2.0).abs() < 1e-9));
//!
//! let minutes = evaluator.range(&rate, 120 * SECOND, 300 * SECOND, 60 * SECOND)?;
//! let Value::Matrix(series) = minutes.value else { panic!("a range is a matrix") };
//! assert_eq!(series[0].samples.len(), 4);
//!
//! let error = parse("sum(rate(requests_total))", &Features::default()).unwrap_err();
//! assert!(error.to_string().starts_with("1:10: parse error: expected type range vector"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod annotation;
#[cfg(feature = "arrow")]
mod arrow;
mod error;
mod eval;
mod functions;
pub mod histogram;
mod options;
mod plan;
mod pool;
pub mod syntax;
mod value;

pub use annotation::{Annotation, Annotations, Severity};
pub use error::{Error, Result};
pub use eval::Evaluator;
pub use options::Options;
pub use plan::{Plan, Reads};
pub use pool::Pool;
pub use syntax::{Expr, Features, ParseError, parse};
pub use value::{Answer, QueryStats, ResultSeries, SampleValue, Value, VectorSample};
