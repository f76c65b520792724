//! Columns of few distinct values: those, and for each value which of them it is.
//!
//! Input of the writer: what [`Distinct`] found. Output: the values in the order of the floats, so
//! that neighbours have near indexes, as a column of their own, and the indexes as a sequence.

use crate::choose::{Room, put_tag};
use crate::decimal::{self, MAX_SCALE};
use crate::limits::MAX_DICTIONARY;
use crate::residuals::Stage;
use crate::sealed::{Encoding, from_ordered};
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
    /// Room for sorting: by what, and the number of the integer.
    order: Vec<(i64, u16)>,
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
        self.order.clear();
        self.order.extend(self.found.iter().copied().zip(0..));
        self.arrange();
    }

    /// Brings the distinct integers into the order of how often they are there.
    pub(crate) fn sort_by_count(&mut self) {
        self.order.clear();
        self.order.extend(self.found.iter().map(|_| 0).zip(0..));
        for &id in &self.ids {
            self.order[usize::from(id)].0 -= 1;
        }
        self.arrange();
    }

    /// Brings the distinct integers into the order of what `order` says of each.
    fn arrange(&mut self) {
        self.order.sort_unstable();
        let mut ranks = [0i64; MAX_DICTIONARY];
        let mut found = [0i64; MAX_DICTIONARY];
        for (rank, &(_, id)) in self.order.iter().enumerate() {
            ranks[usize::from(id)] = rank as i64;
            found[rank] = self.found[usize::from(id)];
        }
        self.indexes.clear();
        let indexes = self.ids.iter().map(|&id| ranks[usize::from(id)]);
        self.indexes.extend(indexes);
        self.found.copy_from_slice(&found[..self.order.len()]);
    }
}

/// Appends what comes after the tag, of the distinct values that `room` found and sorted, their
/// indexes by `transform`.
pub(crate) fn put(room: &mut Room, transform: Transform, out: &mut Vec<u8>) {
    let distinct = std::mem::take(&mut room.distinct);
    let mut own = std::mem::take(&mut room.own);
    own.clear();
    put_values(distinct.found(), room, &mut own);
    put_u64(out, distinct.found().len() as u64);
    put_bytes(out, &own);
    room.put_sequence(distinct.indexes(), Some(transform), out);
    room.own = own;
    room.distinct = distinct;
}

/// The dictionary's own values, the sorted `ordered`: decimals without patches or else ordered
/// bits, or raw if shorter.
fn put_values(ordered: &[i64], room: &mut Room, out: &mut Vec<u8>) {
    let mut scale = Some(0);
    for &int in ordered {
        scale = scale.and_then(|scale| Some(decimal::find(from_ordered(int), scale, MAX_SCALE)?.1));
    }
    let mut ints = std::mem::take(&mut room.ints);
    ints.clear();
    let decimals = scale.filter(|&scale| {
        let found = ordered
            .iter()
            .map_while(|&int| decimal::to_int(from_ordered(int), scale));
        ints.extend(found);
        ints.len() == ordered.len()
    });
    let transforms = [Transform::Plain, Transform::First];
    let transforms = (transforms.as_slice(), None);
    match decimals {
        Some(scale) => {
            put_tag(Encoding::Decimal, out);
            out.push(scale);
            room.sequences.put(&ints, transforms, Stage::Packed, out);
        }
        None => {
            put_tag(Encoding::Ordered, out);
            room.sequences.put(ordered, transforms, Stage::Packed, out);
        }
    }
    room.ints = ints;
    if out.len() > 1 + 8 * ordered.len() {
        out.clear();
        put_tag(Encoding::Raw, out);
        for &int in ordered {
            out.extend_from_slice(&from_ordered(int).to_bits().to_le_bytes());
        }
    }
}
