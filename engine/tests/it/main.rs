//! Stories about whole databases: one binary, so that it links once.
#![allow(clippy::print_stderr, reason = "a test says what it skipped")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test may look at files from outside"
)]

mod attacks;
mod basics;
mod columns;
mod concurrency;
mod downsample;
mod durability;
mod exports;
mod follow;
mod golden;
mod histograms;
mod lifecycle;
mod limits;
mod metadata;
mod model;
#[path = "../shared/number.rs"]
mod number;
mod queries;
mod readers;
mod regressions;
mod repair;
mod snapshots;
mod sums;
mod support;
mod verify;
mod watch;
#[path = "../shared/watchdog.rs"]
mod watchdog;
