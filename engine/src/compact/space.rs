//! What retention removes without reading it: whole blocks.
//!
//! Input: the live blocks of a namespace and a horizon or a limit. Output: ids of the blocks that
//! lie whole at or before the horizon, or the horizon at which the rest fits the limit.

use super::PlanBlock;

/// Ids of the blocks whose every sample is at `horizon` or before.
pub(crate) fn expired(blocks: &[PlanBlock], horizon: i64) -> Vec<u64> {
    let gone = blocks.iter().filter(|block| block.max_time <= horizon);
    gone.map(|block| block.id).collect()
}

/// The time through which whole blocks must go, oldest first, so that the rest takes `limit` bytes
/// at most; `None` where all fit. A block's age is that of its newest sample.
pub(crate) fn over_bytes(blocks: &[PlanBlock], limit: u64) -> Option<i64> {
    let mut by_age: Vec<_> = blocks.iter().map(|b| (b.max_time, b.bytes)).collect();
    by_age.sort_unstable();
    let mut kept: u128 = by_age.iter().map(|&(_, bytes)| u128::from(bytes)).sum();
    let mut horizon = None;
    for (max_time, bytes) in by_age {
        if kept <= u128::from(limit) {
            break;
        }
        kept -= u128::from(bytes);
        horizon = Some(max_time);
    }
    horizon
}
