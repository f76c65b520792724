//! Damage of every kind to a database that holds every kind of file and every encoding: bits, cuts,
//! sectors that are zeroed, written elsewhere, swapped or never written.
//!
//! Each damaged image is opened, asked everything and verified. What it tells is what there was, or
//! an error that names file and offset; where the end of the WAL is hit, perhaps an earlier state.
//! `TREERING_DAMAGE_IMAGES` is how many images, `TREERING_SEED` which of them.
#![allow(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "the number of images belongs to the result; a watchdog needs a real clock"
)]

mod answers;
mod encodings;
mod images;
mod sweep;
#[path = "../common/watchdog.rs"]
mod watchdog;
mod whole;

/// A number of the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn mixed(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
