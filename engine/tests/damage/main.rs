//! Damage of every kind to a database that holds every kind of file and every encoding: bits, cuts,
//! sectors that are zeroed, written elsewhere, swapped or never written.
//!
//! Each damaged image is opened, asked everything and verified. What it tells is what there was, or
//! an error that names file and offset; where the end of the WAL is hit, perhaps an earlier state.
//! `TREERING_DAMAGE_IMAGES` is how many images, `TREERING_SEED` which of them.
#![allow(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "the number of images belongs to the result, and how long they took"
)]

mod answers;
mod encodings;
mod images;
#[path = "../shared/mixed.rs"]
mod mixed;
#[path = "../shared/number.rs"]
mod number;
mod sweep;
#[path = "../shared/watchdog.rs"]
mod watchdog;
mod whole;
