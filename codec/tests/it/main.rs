//! The one integration binary of the codec: what goes in comes out, bit for bit, and any other
//! bytes are refused.

mod data;
mod extras;
mod golden;
mod m3tsz;
mod malformed;
mod python;
mod sealed;
mod stats;
mod stream;
mod time;
