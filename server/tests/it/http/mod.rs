//! The HTTP door, in this process and over a real socket.

mod beside;
mod client;
mod conformance;
mod listing;
mod messages;
mod moving;
mod queries;
mod senders;
mod serve;
mod write;
