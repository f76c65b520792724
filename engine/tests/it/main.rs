//! Stories about whole databases: one binary, so that it links once.
#![allow(clippy::print_stderr, reason = "a test says what it skipped")]

mod basics;
mod durability;
mod limits;
mod model;
mod queries;
mod support;
