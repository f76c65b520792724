//! Prometheus' files: written by Prometheus itself, by a plain encoder of ours, and damaged.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod blocks;
mod chunks;
mod damage;
mod encoder;
mod log;
