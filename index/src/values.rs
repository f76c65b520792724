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
    heap: usize,
}

impl ValueOrder {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes on the heap. O(1).
    pub(crate) fn heap_bytes(&self) -> usize {
        self.heap + self.blocks.capacity() * size_of::<Vec<u32>>()
    }

    /// Adds `id`; `compare` says how the value of an id already here compares to the new one.
    pub(crate) fn insert(&mut self, id: u32, compare: impl Fn(u32) -> Ordering) {
        let below = |ids: &Vec<u32>| ids.first().is_some_and(|id| compare(*id).is_lt());
        let number = self.blocks.partition_point(below).saturating_sub(1);
        self.len += 1;
        let Some(block) = self.blocks.get_mut(number) else {
            let block = vec![id];
            self.heap += heap_of(&block);
            self.blocks.push(block);
            return;
        };
        self.heap -= heap_of(block);
        // Values often arrive in order.
        let at = if block.last().is_some_and(|id| compare(*id).is_lt()) {
            block.len()
        } else {
            block.partition_point(|id| compare(*id).is_lt())
        };
        block.insert(at, id);
        self.heap += heap_of(block);
        if block.len() >= BLOCK {
            // Values in order leave full blocks behind, others two halves.
            let split = if at + 1 == block.len() {
                BLOCK - 1
            } else {
                BLOCK / 2
            };
            let tail = block.split_off(split);
            self.heap += heap_of(&tail);
            self.blocks.insert(number + 1, tail);
        }
    }

    /// Removes `id`; `compare` says how the value of an id compares to that of this one. Does
    /// nothing when it is not here.
    pub(crate) fn remove(&mut self, id: u32, compare: impl Fn(u32) -> Ordering) {
        let upto = |ids: &Vec<u32>| ids.first().is_some_and(|id| compare(*id).is_le());
        let number = self.blocks.partition_point(upto).saturating_sub(1);
        let Some(block) = self.blocks.get_mut(number) else {
            return;
        };
        // Looking at all ids costs less than reading the values of a few.
        let Some(at) = block.iter().position(|other| *other == id) else {
            return;
        };
        block.remove(at);
        self.len -= 1;
        if block.len() > BLOCK / 4 {
            return;
        }
        self.heap -= heap_of(block);
        shrink(block);
        self.heap += heap_of(block);
        if block.is_empty() {
            self.drop_block(number);
        } else if !self.join(number) && number > 0 {
            self.join(number - 1);
        }
    }

    /// Gives each id the number that `renumbered` tells.
    pub(crate) fn renumber(&mut self, renumbered: impl Fn(u32) -> u32) {
        let ids = self.blocks.iter_mut().flatten();
        ids.for_each(|id| *id = renumbered(*id));
    }

    /// Moves the block after block `number` into it when half a block holds both.
    fn join(&mut self, number: usize) -> bool {
        let Some([left, right]) = self
            .blocks
            .get_mut(number..)
            .and_then(<[_]>::first_chunk_mut)
        else {
            return false;
        };
        if left.len() + right.len() > BLOCK / 2 {
            return false;
        }
        self.heap -= heap_of(left);
        left.extend_from_slice(right);
        self.heap += heap_of(left);
        self.drop_block(number + 1);
        true
    }

    fn drop_block(&mut self, number: usize) {
        if number < self.blocks.len() {
            self.heap -= heap_of(&self.blocks.remove(number));
            shrink(&mut self.blocks);
        }
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

fn heap_of(block: &Vec<u32>) -> usize {
    block.capacity() * size_of::<u32>()
}

/// Gives memory back when less than a quarter is used.
fn shrink<T>(table: &mut Vec<T>) {
    if table.capacity() / 4 > table.len() {
        table.shrink_to(table.len() * 2);
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

        #[test]
        fn what_goes_leaves_the_rest_in_order(
            step in 1usize..3000,
            keep in 1usize..300,
            below in 0u32..3000,
        ) {
            let count = 3001usize;
            let mut order = ValueOrder::default();
            for id in 0..count as u32 {
                order.insert(id, |other| other.cmp(&id));
            }
            let full = order.heap_bytes();
            for id in (0..count).map(|n| (n * step % count) as u32) {
                if !(id as usize).is_multiple_of(keep) {
                    order.remove(id, |other| other.cmp(&id));
                    order.remove(id, |other| other.cmp(&id));
                }
            }
            let left: Vec<u32> = (0..count as u32).step_by(keep).collect();
            prop_assert_eq!(order.len(), left.len());
            prop_assert!(order.iter().eq(left.iter().copied()));
            let from = left.iter().copied().filter(|id| *id >= below);
            prop_assert!(order.from(|id| id < below).eq(from));
            let blocks: usize = order.blocks.iter().map(heap_of).sum();
            prop_assert_eq!(order.heap, blocks);
            prop_assert!(order.heap_bytes() <= full);
            for id in left {
                order.remove(id, |other| other.cmp(&id));
            }
            prop_assert_eq!((order.len(), order.heap), (0, 0));
            prop_assert!(order.iter().next().is_none());
        }
    }
}
