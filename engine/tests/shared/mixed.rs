//! Choices that a seed makes.
//!
//! Input: any number. Output: one that looks like chance, the same each time. Source: G. Steele, D.
//! Lea, C. Flood, "Fast splittable pseudorandom number generators" (SplitMix64), 2014.

/// What SplitMix64 gives in `state`.
pub(crate) fn mixed(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
