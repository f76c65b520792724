//! Workloads and measuring for Treering's benches: corpora, a generator, a report, memory.
//!
//! Input: data folders and seeds. Output: batches of samples that are the same on every machine,
//! and RESULT lines held against the committed targets.
#![forbid(unsafe_code)]
