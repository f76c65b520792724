//! The built binary, used as a person would; its HTTP door, used as programs do.
#![allow(clippy::print_stderr, reason = "a test says what it skipped")]

mod fsync;
mod http;
mod import;
mod json;
mod query;
mod repair;
mod support;
mod verify;
