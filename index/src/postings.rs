//! Postings: a sorted set of series ids.
//!
//! Input: ids in ascending order, or other postings. Output: the same set in whichever of three
//! forms is small: a range, a sorted list, a Roaring bitmap (<https://roaringbitmap.org>).
//! Invariant: ids ascend strictly; the empty set is the empty range.

use std::fmt;
use std::ops::Range;

use roaring::RoaringBitmap;
use roaring::bitmap::Statistics;

/// The id of a series inside one index: 0, 1, 2, ... in the order of arrival, but that ids of
/// series removed since are given first.
pub type SeriesId = u32;

/// Above this length a list may become a bitmap.
pub(crate) const MAX_LIST: usize = 4096;
/// Heap bytes of a container of one bit per id.
const BITSET_BYTES: usize = 8192;

/// A sorted set of series ids.
#[derive(Clone)]
pub struct Postings {
    pub(crate) form: Form,
}

#[derive(Clone)]
pub(crate) enum Form {
    Range(Range<u32>),
    List(Vec<u32>),
    Bitmap(RoaringBitmap),
}

impl Postings {
    /// The set without ids.
    pub const EMPTY: Self = Self {
        form: Form::Range(0..0),
    };

    /// The ids from 0 up to and without `count`.
    pub fn all(count: u32) -> Self {
        Self {
            form: Form::Range(0..count),
        }
    }

    /// The set of one id.
    pub fn one(id: SeriesId) -> Self {
        match id.checked_add(1) {
            Some(end) => Self {
                form: Form::Range(id..end),
            },
            None => Self {
                form: Form::List(vec![id]),
            },
        }
    }

    /// The set of `ids`, given in any order, each any number of times.
    pub fn from_ids(mut ids: Vec<SeriesId>) -> Self {
        if !ids.is_sorted_by(|a, b| a < b) {
            ids.sort_unstable();
            ids.dedup();
        }
        Self::from_sorted(ids)
    }

    /// The set of `ids`, which ascend strictly.
    pub(crate) fn from_sorted(ids: Vec<SeriesId>) -> Self {
        let form = match (ids.first(), ids.last()) {
            (Some(&first), Some(&last)) if (last - first) as usize == ids.len() - 1 => {
                match last.checked_add(1) {
                    Some(end) => Form::Range(first..end),
                    None => Form::List(ids),
                }
            }
            (None, _) => Form::Range(0..0),
            _ if ids.len() > MAX_LIST => Form::Bitmap(bitmap_of(ids.iter().copied())),
            _ => Form::List(ids),
        };
        Self { form }
    }

    /// The set of a bitmap.
    pub(crate) fn from_bitmap(bitmap: RoaringBitmap) -> Self {
        if bitmap.len() <= MAX_LIST as u64 / 4 {
            return Self::from_sorted(bitmap.iter().collect());
        }
        Self {
            form: Form::Bitmap(bitmap),
        }
    }

    /// Adds `id`; says whether it is new to the set. Cheapest above every id of the set.
    #[inline]
    pub(crate) fn insert(&mut self, id: SeriesId) -> bool {
        match &mut self.form {
            Form::Range(range) if range.end == id && range.start < id && id < u32::MAX => {
                range.end += 1;
                true
            }
            Form::List(list)
                if list.len() < MAX_LIST && list.last().is_none_or(|last| *last < id) =>
            {
                list.push(id);
                true
            }
            // Not `push`, which looks for the largest id in each bit container.
            Form::Bitmap(bitmap) => bitmap.insert(id),
            _ => self.insert_slowly(id),
        }
    }

    fn insert_slowly(&mut self, id: SeriesId) -> bool {
        match &mut self.form {
            Form::Range(range) if range.contains(&id) => return false,
            Form::Range(range) if range.start == range.end => *self = Self::one(id),
            Form::Range(range) if id.checked_add(1) == Some(range.start) => range.start = id,
            Form::Range(range) if range.len() < MAX_LIST / 4 => {
                let mut list = Vec::with_capacity((range.len() + 1).next_power_of_two());
                list.extend(range.clone());
                let at = if id < range.start { 0 } else { list.len() };
                list.insert(at, id);
                self.form = Form::List(list);
            }
            Form::Range(range) => {
                let mut bitmap = bitmap_of_range(range.clone());
                bitmap.insert(id);
                self.form = Form::Bitmap(bitmap);
            }
            Form::List(list) => {
                let Err(at) = list.binary_search(&id) else {
                    return false;
                };
                if list.len() < MAX_LIST {
                    list.insert(at, id);
                    self.close_up();
                } else {
                    let mut bitmap = bitmap_of(list.iter().copied());
                    bitmap.insert(id);
                    self.form = Form::Bitmap(bitmap);
                }
            }
            Form::Bitmap(bitmap) => return bitmap.insert(id),
        }
        true
    }

    /// Removes `id`; says whether it was in the set.
    pub(crate) fn remove(&mut self, id: SeriesId) -> bool {
        match &mut self.form {
            Form::Range(range) if !range.contains(&id) => return false,
            Form::Range(range) if range.len() == 1 => *self = Self::EMPTY,
            Form::Range(range) if range.start == id => range.start += 1,
            Form::Range(range) if range.end - 1 == id => range.end -= 1,
            Form::Range(range) if range.len() <= MAX_LIST / 4 => {
                let rest = range.clone().filter(|other| *other != id);
                let mut list = Vec::with_capacity(range.len() - 1);
                list.extend(rest);
                self.form = Form::List(list);
            }
            Form::Range(range) => {
                let mut bitmap = bitmap_of_range(range.clone());
                bitmap.remove(id);
                self.form = Form::Bitmap(bitmap);
            }
            Form::List(list) => {
                let Ok(at) = list.binary_search(&id) else {
                    return false;
                };
                list.remove(at);
                if list.capacity() / 4 > list.len() + 1 {
                    list.shrink_to(list.len() * 2);
                }
                self.close_up();
            }
            Form::Bitmap(bitmap) => {
                if !bitmap.remove(id) {
                    return false;
                }
                if bitmap.is_empty() {
                    *self = Self::EMPTY;
                }
            }
        }
        true
    }

    /// Makes a list without gaps a range.
    fn close_up(&mut self) {
        let Form::List(list) = &self.form else { return };
        let (Some(&first), Some(&last)) = (list.first(), list.last()) else {
            *self = Self::EMPTY;
            return;
        };
        if (last - first) as usize == list.len() - 1 && last < u32::MAX {
            self.form = Form::Range(first..last + 1);
        }
    }

    /// Makes a bitmap of few ids a list, and gives back memory that a bitmap holds but does not
    /// use: its arrays grow by doubling and keep that when ids go. O(bitmap).
    pub(crate) fn tighten(&mut self) {
        let Form::Bitmap(bitmap) = &mut self.form else {
            return;
        };
        if bitmap.len() <= MAX_LIST as u64 / 4 {
            *self = Self::from_bitmap(std::mem::take(bitmap));
            return;
        }
        let statistics = bitmap.statistics();
        let used = u64::from(statistics.n_values_array_containers) * 2;
        if array_bytes(&statistics) as u64 > used * 2 + 4096 {
            *bitmap = bitmap.clone();
        }
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Range(range) => range.len(),
            Form::List(list) => list.len(),
            Form::Bitmap(bitmap) => bitmap.len() as usize,
        }
    }

    /// Whether there are no ids.
    pub fn is_empty(&self) -> bool {
        match &self.form {
            Form::Range(range) => range.is_empty(),
            Form::List(list) => list.is_empty(),
            Form::Bitmap(bitmap) => bitmap.is_empty(),
        }
    }

    /// Whether `id` is in the set.
    pub fn contains(&self, id: SeriesId) -> bool {
        match &self.form {
            Form::Range(range) => range.contains(&id),
            Form::List(list) => list.binary_search(&id).is_ok(),
            Form::Bitmap(bitmap) => bitmap.contains(id),
        }
    }

    /// The smallest id.
    pub fn first(&self) -> Option<SeriesId> {
        match &self.form {
            Form::Range(range) => (!range.is_empty()).then_some(range.start),
            Form::List(list) => list.first().copied(),
            Form::Bitmap(bitmap) => bitmap.min(),
        }
    }

    /// The ids, ascending.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.form {
            Form::Range(range) => IterForm::Range(range.clone()),
            Form::List(list) => IterForm::List(list.iter()),
            Form::Bitmap(bitmap) => IterForm::Bitmap(Box::new(bitmap.iter())),
        })
    }

    /// The ids, ascending.
    pub fn to_vec(&self) -> Vec<SeriesId> {
        self.iter().collect()
    }

    /// Bytes on the heap, estimated. O(containers of the bitmap).
    pub fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Range(_) => 0,
            Form::List(list) => list.capacity() * 4,
            Form::Bitmap(bitmap) => {
                let statistics = bitmap.statistics();
                statistics.n_containers as usize * 40
                    + array_bytes(&statistics)
                    + statistics.n_bytes_run_containers as usize
                    + statistics.n_bitset_containers as usize * BITSET_BYTES
            }
        }
    }

    pub(crate) fn to_bitmap(&self) -> RoaringBitmap {
        match &self.form {
            Form::Range(range) => bitmap_of_range(range.clone()),
            Form::List(list) => bitmap_of(list.iter().copied()),
            Form::Bitmap(bitmap) => bitmap.clone(),
        }
    }
}

/// Bytes of the array containers: `roaring` counts four for each id that they have room for, which
/// takes two.
fn array_bytes(statistics: &Statistics) -> usize {
    statistics.n_bytes_array_containers as usize / 2
}

/// A bitmap of a range. Not of runs: ids leave those one by one at the cost of a copy of all runs.
pub(crate) fn bitmap_of_range(range: Range<u32>) -> RoaringBitmap {
    let mut bitmap = RoaringBitmap::new();
    bitmap.insert_range(range);
    bitmap.remove_run_compression();
    bitmap
}

/// A bitmap of ids that ascend.
fn bitmap_of(ids: impl Iterator<Item = u32>) -> RoaringBitmap {
    let mut bitmap = RoaringBitmap::new();
    bitmap.extend(ids);
    bitmap
}

impl Default for Postings {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl PartialEq for Postings {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Postings {}

impl fmt::Debug for Postings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().take(32)).finish()?;
        if self.len() > 32 {
            write!(f, " ({} ids)", self.len())
        } else {
            Ok(())
        }
    }
}

impl FromIterator<SeriesId> for Postings {
    fn from_iter<I: IntoIterator<Item = SeriesId>>(ids: I) -> Self {
        Self::from_ids(ids.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Postings {
    type Item = SeriesId;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The ids of [`Postings`], ascending.
#[derive(Clone)]
pub struct Iter<'a>(IterForm<'a>);

impl fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("left", &self.size_hint().0)
            .finish()
    }
}

#[derive(Clone)]
enum IterForm<'a> {
    Range(Range<u32>),
    List(std::slice::Iter<'a, u32>),
    Bitmap(Box<roaring::bitmap::Iter<'a>>),
}

impl Iterator for Iter<'_> {
    type Item = SeriesId;

    fn next(&mut self) -> Option<SeriesId> {
        match &mut self.0 {
            IterForm::Range(range) => range.next(),
            IterForm::List(list) => list.next().copied(),
            IterForm::Bitmap(bitmap) => bitmap.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            IterForm::Range(range) => range.size_hint(),
            IterForm::List(list) => list.size_hint(),
            IterForm::Bitmap(bitmap) => bitmap.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Numbers below `count` in a scattered order: `step` is coprime to it.
    fn scattered(count: u32, step: u32) -> impl Iterator<Item = u32> {
        (0..count).map(move |n| (u64::from(n) * u64::from(step) % u64::from(count)) as u32)
    }

    fn assert_same(postings: &Postings, model: &BTreeSet<u32>) {
        assert_eq!(postings.len(), model.len());
        assert_eq!(postings.is_empty(), model.is_empty());
        assert_eq!(postings.first(), model.first().copied());
        assert!(postings.iter().eq(model.iter().copied()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn ids_come_and_go_in_any_order(
            first in 0u32..100_000,
            range in 0u32..9000,
            step in 1u32..10_000,
            keep in 1u32..400,
        ) {
            // Begins as a range, goes through all forms, and ends empty.
            let mut postings = Postings::EMPTY;
            let mut model = BTreeSet::new();
            for id in first..first + range {
                assert!(postings.insert(id) && !postings.insert(id));
                model.insert(id);
            }
            assert_same(&postings, &model);
            for id in scattered(10_007, step).map(|n| n + first / 2) {
                prop_assert_eq!(postings.insert(id), model.insert(id));
            }
            assert_same(&postings, &model);
            for id in scattered(10_007, step).map(|n| n + first / 2).filter(|n| n % keep != 0) {
                prop_assert_eq!(postings.remove(id), model.remove(&id));
                prop_assert!(!postings.remove(id) && !postings.contains(id));
            }
            assert_same(&postings, &model);
            postings.tighten();
            assert_same(&postings, &model);
            for id in scattered(200_003, step).filter(|id| id % 7 != 0) {
                prop_assert_eq!(postings.remove(id), model.remove(&id));
            }
            assert_same(&postings, &model);
            for id in std::mem::take(&mut model) {
                prop_assert!(postings.remove(id));
            }
            assert_same(&postings, &model);
            prop_assert!(matches!(postings.form, Form::Range(_)));
        }
    }

    #[test]
    fn what_a_bitmap_held_for_ids_that_went_comes_back() {
        let mut postings = Postings::EMPTY;
        (0..200_000).for_each(|n| assert!(postings.insert(n * 17)));
        let full = postings.heap_bytes();
        for n in (0..200_000).filter(|n| n % 10 != 0) {
            assert!(postings.remove(n * 17));
        }
        postings.tighten();
        assert_eq!(postings.len(), 20_000);
        assert!(postings.heap_bytes() < full / 5, "{full}");
        for n in (0..200_000).filter(|n| n % 10 == 0 && n % 1000 != 0) {
            assert!(postings.remove(n * 17));
        }
        postings.tighten();
        assert!(matches!(&postings.form, Form::List(list) if list.len() == 200));
        assert!(postings.heap_bytes() < 1000);
    }

    #[test]
    fn a_list_without_gaps_is_a_range() {
        let mut postings = Postings::from_ids(vec![3, 4, 6, 9]);
        assert!(postings.insert(5) && postings.remove(9));
        assert!(matches!(
            postings.form,
            Form::Range(Range { start: 3, end: 7 })
        ));
        assert!(postings.insert(2) && postings.insert(7));
        assert_eq!(postings.heap_bytes(), 0);
        assert_eq!(postings, Postings::from_ids((2..8).collect()));
    }
}
