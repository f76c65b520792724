//! When a block is rewritten for what tombstones hide in it.
//!
//! Input: the live blocks of a namespace, and of each what its tombstones hide. Output: those that
//! are worth it now. A delete that touches every block must not have all of them rewritten, nor the
//! next one a minute later; yet space comes back, and every tombstone goes in the end. So a block is
//! due when one of these pays for it:
//!
//! - what it frees: a part of its bytes, so that a byte freed costs a few rewritten;
//! - what was written since: as many bytes as all blocks with tombstones have, so that a byte
//!   written costs one rewritten at most;
//! - how many deletes wait in it: so many that each costs little;
//! - that deletes would be refused soon, for all tombstones of the database are near their limit.

use super::plan::Planner;

/// What tombstones hide in one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deleted {
    /// About what part of its samples, in percent.
    pub(crate) percent: u64,
    /// Sequence of the oldest of them.
    pub(crate) oldest: u64,
    /// How many they are.
    pub(crate) tombstones: usize,
}

impl Planner<'_> {
    /// Whether the tombstones of the block at this position are worth rewriting it now.
    pub(super) fn is_due(&self, at: usize) -> bool {
        let Some(deleted) = self.live[at].deleted else {
            return false;
        };
        self.knobs.pressed
            || deleted.percent >= self.knobs.least_freed_percent
            || deleted.tombstones >= self.knobs.most_tombstones
            || self.written_since(deleted.oldest) >= self.touched_bytes()
    }

    /// Bytes of all blocks in which tombstones hide something.
    fn touched_bytes(&self) -> u64 {
        let touched = self.live.iter().filter(|block| block.deleted.is_some());
        touched.fold(0, |sum, block| sum.saturating_add(block.bytes))
    }

    /// About how many bytes were written after `sequence`: of a block that reaches across it, the
    /// same part as of its sequences.
    fn written_since(&self, sequence: u64) -> u64 {
        let after = self.live.iter().map(|block| {
            let all = block.max_sequence.saturating_sub(block.min_sequence) + 1;
            let after = block.max_sequence.saturating_sub(sequence).min(all);
            let part = u128::from(block.bytes) * u128::from(after) / u128::from(all);
            u64::try_from(part).unwrap_or(u64::MAX)
        });
        after.fold(0, u64::saturating_add)
    }
}
