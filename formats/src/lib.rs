//! Formats of other databases: bytes in, samples out. Nothing here opens a file.
//!
//! [`prometheus`] reads the directory of a Prometheus server: blocks, the log, tombstones.
#![forbid(unsafe_code)]

mod bits;
mod cursor;
mod error;
pub mod prometheus;

pub use error::{Error, Kind, Result};
