//! Columns of few distinct values: those, and for each value which of them it is.
//!
//! Input of the writer: what [`Distinct`] found. Output: the values in the order of the floats, so
//! that neighbours have near indexes, as a column of their own, and the indexes as a sequence.

use crate::choose::{Room, TRANSFORMS, put_tag};
use crate::decimal::{self, MAX_SCALE};
use crate::limits::MAX_DICTIONARY;
use crate::residuals;
use crate::sealed::{Encoding, from_ordered, to_ordered};
use crate::sequence::Transform;
use crate::varint::{put_bytes, put_u64};

/// Places of the hash table: at least twice the values.
const SLOTS: usize = 1024;
const FREE: u16 = u16::MAX;

/// The distinct integers of a column, and for each integer which of them it is.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    found: Vec<i64>,
    ids: Vec<u16>,
    indexes: Vec<i64>,
}

impl Distinct {
    /// Looks through `column`; whether it has at most `most` (and [`MAX_DICTIONARY`]) distinct
    /// integers.
    pub(crate) fn find(&mut self, column: impl Iterator<Item = i64>, most: usize) -> bool {
        const { assert!(MAX_DICTIONARY * 2 <= SLOTS) };
        let mut slots = [FREE; SLOTS];
        self.found.clear();
        self.ids.clear();
        let mut last = None;
        for int in column {
            if let Some((value, id)) = last
                && value == int
            {
                self.ids.push(id);
                continue;
            }
            // Fibonacci hashing; the table is at most half full, so a free slot is near.
            let hash = (int as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
            let mut slot = hash as usize % SLOTS;
            while slots[slot] != FREE && self.found[usize::from(slots[slot])] != int {
                slot = (slot + 1) % SLOTS;
            }
            if slots[slot] == FREE {
                if self.found.len() == most.min(MAX_DICTIONARY) {
                    return false;
                }
                slots[slot] = self.found.len() as u16;
                self.found.push(int);
            }
            last = Some((int, slots[slot]));
            self.ids.push(slots[slot]);
        }
        true
    }

    /// The distinct integers, by their first appearance or as they were sorted.
    pub(crate) fn found(&self) -> &[i64] {
        &self.found
    }

    /// For each integer of the column which of the distinct ones it is, once they are sorted.
    pub(crate) fn indexes(&self) -> &[i64] {
        &self.indexes
    }

    /// Brings the distinct integers into their order.
    pub(crate) fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.found.len()).collect();
        order.sort_by_key(|&id| self.found[id]);
        self.arrange(&order);
    }

    /// Brings the distinct integers into the order of how often they are there.
    pub(crate) fn sort_by_count(&mut self) {
        let mut counts = vec![0; self.found.len()];
        for &id in &self.ids {
            counts[usize::from(id)] += 1;
        }
        let mut order: Vec<usize> = (0..self.found.len()).collect();
        order.sort_by_key(|&id| usize::MAX - counts[id]);
        self.arrange(&order);
    }

    fn arrange(&mut self, order: &[usize]) {
        let mut ranks = vec![0i64; order.len()];
        for (rank, &id) in (0i64..).zip(order) {
            ranks[id] = rank;
        }
        self.indexes.clear();
        let indexes = self.ids.iter().map(|&id| ranks[usize::from(id)]);
        self.indexes.extend(indexes);
        self.found = order.iter().map(|&id| self.found[id]).collect();
    }
}

/// Appends what comes after the tag, of the distinct values that `room` found and sorted, their
/// indexes by `transform`.
pub(crate) fn put(room: &mut Room, transform: Transform, out: &mut Vec<u8>) {
    let distinct = std::mem::take(&mut room.distinct);
    let ordered = distinct.found();
    let values: Vec<f64> = ordered.iter().map(|&int| from_ordered(int)).collect();
    put_u64(out, values.len() as u64);
    put_bytes(out, &values_of(&values));
    room.put_sequence(distinct.indexes(), Some(transform), out);
    room.distinct = distinct;
}

/// The dictionary's own values: decimals without patches or else ordered bits, or raw if shorter.
fn values_of(values: &[f64]) -> Vec<u8> {
    let mut best = Vec::with_capacity(1 + 8 * values.len());
    put_tag(Encoding::Raw, &mut best);
    for value in values {
        best.extend_from_slice(&value.to_bits().to_le_bytes());
    }
    let mut offer = |encoding, scale: Option<u8>, ints: &[i64]| {
        let mut bytes = Vec::with_capacity(best.len());
        put_tag(encoding, &mut bytes);
        bytes.extend(scale);
        residuals::put(ints, &TRANSFORMS, &mut bytes);
        if bytes.len() < best.len() {
            best = bytes;
        }
    };
    let mut scale = Some(0);
    for &value in values {
        scale = scale.and_then(|scale| Some(decimal::find(value, scale, MAX_SCALE)?.1));
    }
    let decimals = scale.and_then(|scale| {
        let ints = values.iter().map(|&value| decimal::to_int(value, scale));
        ints.collect::<Option<Vec<i64>>>()
    });
    if let Some(ints) = decimals {
        offer(Encoding::Decimal, scale, &ints);
    } else {
        let ordered: Vec<i64> = values.iter().map(|&value| to_ordered(value)).collect();
        offer(Encoding::Ordered, None, &ordered);
    }
    best
}
