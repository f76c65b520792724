//! The parts of the binary `treering` that more than its commands use: questions in PromQL, their
//! answers in Prometheus' shapes, and the HTTP door.
//!
//! Input: words, requests, a database. Output: [`question::Question`] and its answer, [`json`],
//! [`http::Server`]. Invariant: text of errors and shapes of answers are Prometheus' where it has
//! them; nothing here decides what a query means.
#![forbid(unsafe_code)]

pub mod failure;
pub mod features;
pub mod http;
pub mod json;
pub mod number;
pub mod question;
pub mod times;
