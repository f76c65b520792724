//! Answers as Arrow columns, handed over by the Arrow C data interface.
//!
//! Input: an answer. Output: an `ArrowArrayStream` of record batches in the long form: one row a
//! sample; a column for each label name (dictionary of text, null where a series has none), then
//! `timestamp` (nanoseconds, UTC) and `value`, of aggregates `approximate` too. `tree.rs`
//! describes columns as plain data, `batches.rs` fills them, `structs.rs` and `stream.rs` give them
//! away in C structs. Small enough to need no crate: docs/dependencies.md.

mod batches;
mod stream;
pub mod structs;
mod tree;

pub(crate) use stream::export;
