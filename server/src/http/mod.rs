//! The HTTP door: remote write and Prometheus' query API over one database.
//!
//! Input: requests. Output: answers. Invariant: a request that makes the server wait for the
//! database never holds up another one's bytes; all calls of the database are made on threads that
//! may block, a bounded number at a time.

mod connections;
mod door;
mod label_name;
mod listing;
mod params;
mod queries;
mod reply;
mod routes;
mod server;
mod wire;
mod wire_histogram;
mod write;

pub use server::{Server, Stop, signals};
