//! Long runs and tight bounds: what a process takes while it does everything at once.
#![allow(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "the figures belong to the result; these tests are about a real clock and real files"
)]

mod bound;
mod churn;
mod gauge;
#[path = "../shared/number.rs"]
mod number;
