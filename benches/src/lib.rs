//! Workloads and measuring for Treering's benches: corpora, a generator, a report, processes.
//!
//! Input: data folders and seeds. Output: series of samples that are the same on every machine,
//! and RESULT lines held against the committed targets. Nothing here touches the engine but
//! `questions`; the binaries do. `rival` starts other people's servers.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "benches print, and read files and clocks of their own"
)]

pub mod child;
pub mod corpus;
pub mod generator;
pub mod process;
pub mod questions;
pub mod random;
pub mod report;
pub mod rival;
pub mod workload;

/// What fails in a bench ends it; the text says what and where.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// `Result` of everything here.
pub type Result<T> = std::result::Result<T, Error>;
