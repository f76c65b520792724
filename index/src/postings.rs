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
    pub(crate) fn insert(&mut self, id: SeriesId) -> bool {
        match &mut self.form {
            Form::Range(range) if range.start == range.end => *self = Self::one(id),
            Form::Range(range) if range.contains(&id) => return false,
            Form::Range(range) if range.end == id && id < u32::MAX => range.end += 1,
            Form::Range(range) if id.checked_add(1) == Some(range.start) => range.start = id,
            Form::Range(range) => {
                if range.len() < MAX_LIST / 4 {
                    let mut list = Vec::with_capacity((range.len() + 1).next_power_of_two());
                    list.extend(range.clone());
                    let at = if id < range.start { 0 } else { list.len() };
                    list.insert(at, id);
                    self.form = Form::List(list);
                } else {
                    self.form = Form::Bitmap(bitmap_of_range(range.clone()));
                    return self.insert(id);
                }
            }
            Form::List(list) if list.len() >= MAX_LIST => {
                if list.binary_search(&id).is_ok() {
                    return false;
                }
                self.form = Form::Bitmap(bitmap_of(list.iter().copied()));
                return self.insert(id);
            }
            Form::List(list) if list.last().is_none_or(|last| *last < id) => list.push(id),
            Form::List(list) => {
                let Err(at) = list.binary_search(&id) else {
                    return false;
                };
                list.insert(at, id);
                self.close_up();
            }
            // Not `push`, which looks for the largest id in each bit container.
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
