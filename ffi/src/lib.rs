//! The C library: `libtreering` and `treering.h`, a database for any language that can call C.
//!
//! Input: calls from outside, of which nothing is believed. Output: statuses, handles, columns.
//! Invariants: every function that the library exports goes through `door.rs`, which no panic
//! leaves; a handle is a number that `table.rs` looks up, so null, closed and mistaken ones are
//! errors; `unsafe` stands in `door.rs`, `abi/` and the structs of `arrow/`, nowhere else.
//! `docs/c.md` tells users what they may count on.
#![deny(unsafe_code)]

pub mod abi;
mod answer;
pub mod arrow;
mod door;
mod failure;
mod object;
mod table;
#[cfg(test)]
mod tests;
