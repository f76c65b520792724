//! What the library exports, as `treering.h` declares it: one file for each kind of call.
//!
//! Input: raw arguments. Output: statuses; through pointers, handles and columns. Each function
//! wraps its pointers (`door.rs`) and goes through the one door. `cargo xtask header` makes the
//! header of these files, so their comments are for readers of C.
#![allow(
    unsafe_code,
    reason = "exported names and pointers from outside are unsafe by nature"
)]
#![allow(
    non_camel_case_types,
    reason = "the names of types are those of the header"
)]
#![allow(
    clippy::missing_safety_doc,
    reason = "the header says once, for all functions, what its callers promise"
)]
#![allow(
    clippy::too_many_arguments,
    reason = "texts and arrays take two arguments each in C"
)]

pub mod append;
pub mod database;
pub mod error;
pub mod maintain;
pub mod query;
pub mod result;
pub mod types;
