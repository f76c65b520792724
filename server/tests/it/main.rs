//! The built binary, used as a person would.
#![allow(clippy::print_stderr, reason = "a test says what it skipped")]

mod fsync;
mod import;
mod json;
mod repair;
mod support;
mod verify;
