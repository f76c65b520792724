//! Treering's codec: numbers to bytes and back, bit-exact. No I/O, no clock, no threads.
//!
//! What leaves this crate is bytes; what enters a decoder is any bytes at all, answered by the
//! numbers they hold or an [`Error`] with an offset, never by a panic.
#![forbid(unsafe_code)]

mod checksum;
mod error;
pub mod varint;

pub use checksum::{crc32, crc32_parts};
pub use error::{Error, Result};
