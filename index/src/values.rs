//! The distinct values of one label name in ascending order, as ids of label pairs.
//!
//! Input: ids in any order, with a comparison that knows their values. Output: the ids in value
//! order, from any point on. Invariant: blocks are never empty, at most [`BLOCK`] long, and sorted
//! within and among each other, so an insertion moves at most one block.

use std::cmp::Ordering;

/// Most ids in one block.
const BLOCK: usize = 512;

/// Ids in the order of their values: the leaves of a B+ tree with one inner node.
#[derive(Debug, Default)]
pub(crate) struct ValueOrder {
    blocks: Vec<Vec<u32>>,
    len: usize,
}

impl ValueOrder {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds `id`; `compare` says how the value of an id already here compares to the new one.
    /// Returns how many bytes of heap that took.
    pub(crate) fn insert(&mut self, id: u32, compare: impl Fn(u32) -> Ordering) -> usize {
        let below = |ids: &Vec<u32>| ids.first().is_some_and(|id| compare(*id).is_lt());
        let number = self.blocks.partition_point(below).saturating_sub(1);
        self.len += 1;
        let Some(block) = self.blocks.get_mut(number) else {
            self.blocks.push(vec![id]);
            return size_of::<Vec<u32>>() * self.blocks.capacity() + 4;
        };
        let before = block.capacity();
        // Values often arrive in order.
        let at = if block.last().is_some_and(|id| compare(*id).is_lt()) {
            block.len()
        } else {
            block.partition_point(|id| compare(*id).is_lt())
        };
        block.insert(at, id);
        let mut grown = (block.capacity() - before) * 4;
        if block.len() >= BLOCK {
            // Values in order leave full blocks behind, others two halves.
            let split = if at + 1 == block.len() {
                BLOCK - 1
            } else {
                BLOCK / 2
            };
            let tail = block.split_off(split);
            let outer = self.blocks.capacity();
            grown += tail.capacity() * 4;
            self.blocks.insert(number + 1, tail);
            grown += (self.blocks.capacity() - outer) * size_of::<Vec<u32>>();
        }
        grown
    }

    /// The ids in value order, from the first on whose value is not `below`.
    pub(crate) fn from(&self, below: impl Fn(u32) -> bool) -> impl Iterator<Item = u32> {
        let number = self
            .blocks
            .partition_point(|ids| ids.first().is_some_and(|id| below(*id)))
            .saturating_sub(1);
        let skip = self
            .blocks
            .get(number)
            .map_or(0, |ids| ids.partition_point(|id| below(*id)));
        self.blocks
            .get(number..)
            .unwrap_or_default()
            .iter()
            .flatten()
            .copied()
            .skip(skip)
    }

    /// All ids in value order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.blocks.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn any_arrival_is_kept_in_order(step in 1usize..5000, below in 0u32..3000) {
            // A step coprime to the length visits every number once, in a scattered order.
            let count = 3001usize;
            let mut order = ValueOrder::default();
            for n in 0..count {
                let id = (n * step % count) as u32;
                order.insert(id, |other| other.cmp(&id));
            }
            prop_assert_eq!(order.len(), count);
            prop_assert!(order.iter().eq(0..count as u32));
            prop_assert!(order.from(|id| id < below).eq(below..count as u32));
        }
    }
}
