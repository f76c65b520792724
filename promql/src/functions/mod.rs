//! Functions: what each of them computes.
//!
//! Input: vectors, windows, scalars. Output: vectors. Invariant: one file for each family; `eval`
//! knows which call goes where.

mod absent;
mod asked;
mod changes;
pub(crate) mod date;
mod extended;
mod histogram_rate;
mod histograms;
mod info;
mod instant_rate;
mod joins;
pub(crate) mod kahan;
mod labels;
pub(crate) mod math;
mod over_time;
pub(crate) mod quantile;
mod range;
mod ranks;
mod rate;
mod regression;
mod sliding;
mod smoothing;
mod sort;
mod stacks;
mod summaries;

pub(crate) use labels::{go_quote, with_label};
pub(crate) use over_time::Mean;
pub(crate) use range::range_function;
pub(crate) use sliding::slides;
pub(crate) use summaries::Summary;
