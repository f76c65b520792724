//! The HTTP door, in this process and over a real socket.

mod client;
mod listing;
mod messages;
mod queries;
mod serve;
mod write;
