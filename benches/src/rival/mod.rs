//! Servers of other people that ours is held against: started on this machine's loopback, written to
//! and asked over HTTP.
//!
//! Input: programs that are there, samples, questions. Output: replies as they came. Invariant: each
//! server has a folder and a free port of its own, and ends when it is dropped.

pub mod answer;
pub mod asked;
pub mod http;
pub mod remote_write;
pub mod server;
pub mod words;
