//! Set operations on postings: and, or, and-not, and the union of very many lists.
//!
//! Input: postings in any form. Output: postings. Invariant: the cost follows the smaller side
//! where an operation allows it, and an empty side ends it at once.

use std::ops::Range;

use bitvec::order::Lsb0;
use bitvec::vec::BitVec;
use roaring::RoaringBitmap;

use crate::postings::{Form, MAX_LIST, Postings};

impl Postings {
    /// The ids in both sets.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        match (&self.form, &other.form) {
            _ if self.is_empty() || other.is_empty() => Self::EMPTY,
            (Form::Range(a), Form::Range(b)) => {
                let (start, end) = (a.start.max(b.start), a.end.min(b.end));
                Self {
                    form: Form::Range(start..end.max(start)),
                }
            }
            (Form::Range(range), _) => other.within(range),
            (_, Form::Range(range)) => self.within(range),
            (Form::List(a), Form::List(b)) => {
                let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
                Self::from_sorted(intersect_lists(short, long))
            }
            (Form::List(list), Form::Bitmap(bitmap)) | (Form::Bitmap(bitmap), Form::List(list)) => {
                Self::from_sorted(
                    list.iter()
                        .copied()
                        .filter(|id| bitmap.contains(*id))
                        .collect(),
                )
            }
            (Form::Bitmap(a), Form::Bitmap(b)) => Self::from_bitmap(a & b),
        }
    }

    /// Whether the sets share an id; stops at the first.
    pub fn intersects(&self, other: &Self) -> bool {
        match (&self.form, &other.form) {
            _ if self.is_empty() || other.is_empty() => false,
            (Form::Range(a), Form::Range(b)) => a.start.max(b.start) < a.end.min(b.end),
            (Form::Bitmap(a), Form::Bitmap(b)) => !a.is_disjoint(b),
            (Form::Range(range), Form::Bitmap(bitmap))
            | (Form::Bitmap(bitmap), Form::Range(range)) => {
                bitmap.range(range.clone()).next().is_some()
            }
            (Form::Range(range), Form::List(list)) | (Form::List(list), Form::Range(range)) => {
                let at = list.partition_point(|id| *id < range.start);
                list.get(at).is_some_and(|id| *id < range.end)
            }
            (Form::List(list), Form::Bitmap(_)) => list.iter().any(|id| other.contains(*id)),
            (Form::Bitmap(_), Form::List(list)) => list.iter().any(|id| self.contains(*id)),
            (Form::List(a), Form::List(b)) => {
                let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
                !intersect_lists(short, long).is_empty()
            }
        }
    }

    /// The ids of this set that are not in `other`.
    #[must_use]
    pub fn and_not(&self, other: &Self) -> Self {
        match (&self.form, &other.form) {
            _ if self.is_empty() => Self::EMPTY,
            _ if other.is_empty() => self.clone(),
            (Form::Range(a), Form::Range(b)) if b.start <= a.start => Self {
                form: Form::Range(a.start.max(b.end).min(a.end)..a.end),
            },
            (Form::Range(a), Form::Range(b)) if b.end >= a.end => Self {
                form: Form::Range(a.start..a.end.min(b.start)),
            },
            (Form::List(list), _) => {
                let kept = list.iter().copied().filter(|id| !other.contains(*id));
                Self::from_sorted(kept.collect())
            }
            _ if self.len() <= MAX_LIST => {
                Self::from_sorted(self.iter().filter(|id| !other.contains(*id)).collect())
            }
            _ => {
                let mut bitmap = self.to_bitmap();
                match &other.form {
                    Form::Range(range) => {
                        bitmap.remove_range(range.clone());
                    }
                    Form::List(list) => {
                        for id in list {
                            bitmap.remove(*id);
                        }
                    }
                    Form::Bitmap(removed) => bitmap -= removed,
                }
                Self::from_bitmap(bitmap)
            }
        }
    }

    /// The ids in either set.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        match (&self.form, &other.form) {
            _ if self.is_empty() => other.clone(),
            _ if other.is_empty() => self.clone(),
            (Form::Range(a), Form::Range(b)) if a.start <= b.end && b.start <= a.end => Self {
                form: Form::Range(a.start.min(b.start)..a.end.max(b.end)),
            },
            _ if self.len() + other.len() <= MAX_LIST => {
                let mut ids = self.to_vec();
                ids.extend(other.iter());
                Self::from_ids(ids)
            }
            (Form::Bitmap(a), Form::Bitmap(b)) => Self::from_bitmap(a | b),
            _ => {
                let (large, small) = if self.len() >= other.len() {
                    (self, other)
                } else {
                    (other, self)
                };
                let mut bitmap = large.to_bitmap();
                match &small.form {
                    Form::Range(range) => {
                        bitmap.insert_range(range.clone());
                    }
                    Form::List(list) => bitmap.extend(list),
                    Form::Bitmap(added) => bitmap |= added,
                }
                Self::from_bitmap(bitmap)
            }
        }
    }

    /// The ids inside `range`; this set is not a range itself.
    fn within(&self, range: &Range<u32>) -> Self {
        match &self.form {
            Form::Range(_) => self.and(&Self {
                form: Form::Range(range.clone()),
            }),
            Form::List(list) => {
                let start = list.partition_point(|id| *id < range.start);
                let end = list.partition_point(|id| *id < range.end);
                Self::from_sorted(list.get(start..end).unwrap_or_default().to_vec())
            }
            Form::Bitmap(bitmap) => {
                let covered = bitmap.min().is_some_and(|min| range.start <= min)
                    && bitmap.max().is_some_and(|max| max < range.end);
                if covered {
                    return self.clone();
                }
                if range.len() <= MAX_LIST {
                    return Self::from_sorted(bitmap.range(range.clone()).collect());
                }
                let mut kept = RoaringBitmap::new();
                kept.insert_range(range.clone());
                kept &= bitmap;
                Self::from_bitmap(kept)
            }
        }
    }
}

/// The ids in both lists: each id of the short one is sought in the long one by doubling steps.
fn intersect_lists(short: &[u32], mut long: &[u32]) -> Vec<u32> {
    let mut common = Vec::new();
    for &id in short {
        let mut step = 1;
        while long.get(step).is_some_and(|other| *other < id) {
            step *= 2;
        }
        let reach = long.get(..long.len().min(step + 1)).unwrap_or_default();
        long = long
            .get(reach.partition_point(|other| *other < id)..)
            .unwrap_or_default();
        match long.first() {
            Some(other) if *other == id => common.push(id),
            Some(_) => {}
            None => break,
        }
    }
    common
}

/// Collects the union of many sets of ids below `universe`.
///
/// Few ids are kept as a list and sorted once; from one id in 64 on, one bit per id of the
/// universe is smaller than that list and needs no sort.
#[derive(Debug)]
pub(crate) struct Union {
    universe: u32,
    list: Vec<u32>,
    bits: Option<BitVec<u8, Lsb0>>,
}

impl Union {
    /// An empty union of ids below `universe`.
    pub(crate) fn new(universe: u32) -> Self {
        Self {
            universe,
            list: Vec::new(),
            bits: None,
        }
    }

    /// Adds the ids of `postings`; those not below the universe are ignored.
    pub(crate) fn add(&mut self, postings: &Postings) {
        if self.bits.is_none() && self.list.len() + postings.len() > self.universe as usize / 64 {
            let mut bits = BitVec::repeat(false, self.universe as usize);
            for id in self.list.drain(..) {
                if let Some(mut bit) = bits.get_mut(id as usize) {
                    bit.set(true);
                }
            }
            self.bits = Some(bits);
        }
        let Some(bits) = &mut self.bits else {
            self.list
                .extend(postings.iter().filter(|id| *id < self.universe));
            return;
        };
        if let Form::Range(range) = &postings.form {
            let end = range.end.min(self.universe) as usize;
            if let Some(run) = bits.get_mut((range.start as usize).min(end)..end) {
                run.fill(true);
            }
            return;
        }
        for id in postings {
            if let Some(mut bit) = bits.get_mut(id as usize) {
                bit.set(true);
            }
        }
    }

    /// The union.
    pub(crate) fn finish(self) -> Postings {
        match self.bits {
            None => Postings::from_ids(self.list),
            Some(bits) if bits.all() => Postings::all(self.universe),
            Some(bits) => {
                Postings::from_bitmap(RoaringBitmap::from_lsb0_bytes(0, bits.as_raw_slice()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ids() -> impl Strategy<Value = Vec<u32>> {
        prop_oneof![
            prop::collection::vec(0u32..300, 0..40),
            (0u32..9000, 0u32..9000).prop_map(|(a, b)| (a.min(b)..a.max(b)).collect()),
            (0u32..50, 1u32..4).prop_map(|(a, step)| (a..20_000).step_by(step as usize).collect()),
            (5000u32..9000, prop::collection::vec(0u32..20_000, 0..9)).prop_map(|(n, mut more)| {
                more.extend((0..n).map(|id| id * 2));
                more
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn operations_agree_with_a_tree_set(a in ids(), b in ids()) {
            let (sa, sb): (BTreeSet<u32>, BTreeSet<u32>) =
                (a.iter().copied().collect(), b.iter().copied().collect());
            let (pa, pb) = (Postings::from_ids(a), Postings::from_ids(b));
            prop_assert_eq!(pa.to_vec(), sa.iter().copied().collect::<Vec<_>>());
            let model = |ids: &mut dyn Iterator<Item = &u32>| ids.copied().collect::<Vec<u32>>();
            prop_assert_eq!(pa.and(&pb).to_vec(), model(&mut sa.intersection(&sb)));
            prop_assert_eq!(pa.or(&pb).to_vec(), model(&mut sa.union(&sb)));
            prop_assert_eq!(pa.and_not(&pb).to_vec(), model(&mut sa.difference(&sb)));
            prop_assert_eq!(pa.intersects(&pb), !sa.is_disjoint(&sb));
            let mut union = Union::new(20_000);
            union.add(&pa);
            union.add(&pb);
            prop_assert_eq!(union.finish(), pa.or(&pb));
        }

        #[test]
        fn pushed_ids_come_back(a in ids()) {
            let sorted: BTreeSet<u32> = a.into_iter().collect();
            let mut postings = Postings::EMPTY;
            for id in &sorted {
                prop_assert!(postings.insert(*id));
                prop_assert!(!postings.insert(*id));
            }
            prop_assert_eq!(postings.len(), sorted.len());
            prop_assert_eq!(postings.to_vec(), sorted.into_iter().collect::<Vec<_>>());
        }
    }
}
