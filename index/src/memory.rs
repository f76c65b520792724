//! The live index of a head: labels to series ids and back, growing in memory.
//!
//! Input: labels of new series, matchers. Output: ids 0, 1, 2, ... and postings. Invariant: a
//! label set has one id, found by comparing the labels themselves, never a hash alone; each series
//! is in the postings of each of its pairs. One writer at a time; the owner does the locking.

use std::cmp::Ordering;

use hashbrown::HashTable;
use treering_codec::varint::put_u64;

use crate::arena::Arena;
use crate::error::{Error, Result};
use crate::fast;
use crate::labels::{Labels, METRIC_NAME, RawPairs};
use crate::limits::LabelLimits;
use crate::matcher::Matcher;
use crate::postings::{Form, Postings, SeriesId};
use crate::select;
use crate::stats::{CardinalityStats, top};
use crate::symbols::Symbols;

/// Labels to series ids and back, in memory.
///
/// ```
/// use treering_index::{MemIndex, Selector, labels};
/// let mut index = MemIndex::new();
/// let (a, new) = index.insert(&labels! { "__name__" => "cpu", "host" => "a" })?;
/// assert!(new);
/// assert_eq!(index.insert(&labels! { "__name__" => "cpu", "host" => "a" })?, (a, false));
/// let selector = Selector::parse(r#"{host=~"a|b"}"#)?;
/// assert_eq!(index.select(selector.matchers()).to_vec(), [a]);
/// # Ok::<(), treering_index::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct MemIndex {
    pub(crate) symbols: Symbols,
    /// Series by pair.
    pub(crate) lists: Vec<Postings>,
    /// Packed series: the count of pairs, then their numbers, as varints.
    packed: Arena,
    places: Vec<u32>,
    table: HashTable<Slot>,
    /// Pairs whose postings are bitmaps.
    bitmaps: Vec<u32>,
    list_heap: usize,
    bitmap_heap: usize,
    /// Number of series at which the bitmaps are measured again.
    measure_at: usize,
    scratch: Vec<u32>,
}

/// A series in the hash table; part of the hash is kept so that growing reads no labels.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    id: SeriesId,
}

impl Slot {
    fn spread(&self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

impl MemIndex {
    /// An empty index. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of series; their ids are below it.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are no series.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The id of the series with exactly these labels.
    pub fn get(&self, labels: &Labels) -> Option<SeriesId> {
        self.get_canonical(labels.as_canonical())
    }

    /// The id of the series whose labels have this canonical form.
    pub fn get_canonical(&self, canonical: &[u8]) -> Option<SeriesId> {
        self.find(self.symbols.hash(canonical) as u32, canonical)
    }

    fn find(&self, hash: u32, canonical: &[u8]) -> Option<SeriesId> {
        let same = |slot: &Slot| slot.hash == hash && self.is(slot.id, canonical);
        self.table
            .find(Slot { hash, id: 0 }.spread(), same)
            .map(|slot| slot.id)
    }

    /// Whether series `id` has this canonical form.
    fn is(&self, id: SeriesId, mut canonical: &[u8]) -> bool {
        for pair in self.pairs(id) {
            match canonical.strip_prefix(self.symbols.record(pair)) {
                Some(rest) => canonical = rest,
                None => return false,
            }
        }
        canonical.is_empty()
    }

    /// The id of the series with these labels, and whether it is new. Refuses labels above the
    /// hard maxima of [`LabelLimits::HARD`] and, with [`Error::Full`], more than about four
    /// billion series, label pairs, or bytes of either.
    pub fn insert(&mut self, labels: &Labels) -> Result<(SeriesId, bool)> {
        let canonical = labels.as_canonical();
        let hash = self.symbols.hash(canonical) as u32;
        if let Some(id) = self.find(hash, canonical) {
            return Ok((id, false));
        }
        let id = self.append(labels)?;
        self.table
            .insert_unique(Slot { hash, id }.spread(), Slot { hash, id }, Slot::spread);
        Ok((id, true))
    }

    /// Adds a series that is known to be new, without making it findable by its labels.
    pub(crate) fn append(&mut self, labels: &Labels) -> Result<SeriesId> {
        LabelLimits::HARD.check(labels)?;
        let full = || Error::Full { what: "series" };
        let id = u32::try_from(self.places.len())
            .ok()
            .filter(|id| *id < u32::MAX);
        let id = id.ok_or_else(full)?;
        let mut pairs = std::mem::take(&mut self.scratch);
        pairs.clear();
        let interned = self.intern(labels, id, &mut pairs);
        let mut record = Vec::with_capacity(pairs.len() * 3 + 2);
        put_u64(&mut record, pairs.len() as u64);
        pairs
            .iter()
            .for_each(|pair| put_u64(&mut record, u64::from(*pair)));
        let place = interned.and_then(|()| self.packed.add(&record).ok_or_else(full));
        if let Ok(place) = place {
            self.places.push(place);
            pairs.iter().for_each(|pair| self.push(*pair, id));
            if self.places.len() >= self.measure_at {
                self.measure();
            }
        }
        self.scratch = pairs;
        place.map(|_| id)
    }

    /// The numbers of the pairs of `labels`. Most series share most pairs with the one before, at
    /// the same positions, so those are compared first.
    fn intern(&mut self, labels: &Labels, id: SeriesId, out: &mut Vec<u32>) -> Result<()> {
        let canonical = labels.as_canonical();
        let mut before = [0u32; 32];
        let known = id.checked_sub(1).map_or(0, |previous| {
            before
                .iter_mut()
                .zip(self.pairs(previous))
                .map(|(slot, pair)| *slot = pair)
                .count()
        });
        let mut raw = RawPairs::new(canonical);
        loop {
            let start = raw.rest();
            let Some((name, value)) = raw.next() else {
                return Ok(());
            };
            let len = start.len() - raw.rest().len();
            let record = start.get(..len).unwrap_or_default();
            let likely = before
                .get(..known)
                .and_then(|known| known.get(out.len()))
                .copied();
            let pair = match likely {
                Some(pair) if self.symbols.record(pair) == record => pair,
                _ => self.symbols.intern(record, name, value)?,
            };
            out.push(pair);
        }
    }

    /// Adds series `id` to the postings of `pair`.
    fn push(&mut self, pair: u32, id: SeriesId) {
        if let Some(name) = self.symbols.name_of(pair) {
            self.symbols.count_series(name);
        }
        if self.lists.len() < self.symbols.pair_count() {
            self.lists
                .resize(self.symbols.pair_count(), Postings::EMPTY);
        }
        let Some(list) = self.lists.get_mut(pair as usize) else {
            return;
        };
        let heap = |list: &Postings| match &list.form {
            Form::Range(_) => Some(0),
            Form::List(ids) => Some(ids.capacity() * 4),
            Form::Bitmap(_) => None,
        };
        let before = heap(list);
        list.push(id);
        match (before, heap(list)) {
            (Some(before), Some(after)) => self.list_heap += after - before,
            (Some(before), None) => {
                self.list_heap -= before;
                self.bitmap_heap += list.heap_bytes();
                self.bitmaps.push(pair);
            }
            // The most an id can cost; corrected when the bitmaps are measured.
            _ => self.bitmap_heap += 2,
        }
    }

    /// Measures the bitmaps, which is done again after a quarter more series.
    fn measure(&mut self) {
        let bitmaps = self
            .bitmaps
            .iter()
            .filter_map(|pair| self.lists.get(*pair as usize));
        self.bitmap_heap = bitmaps.map(Postings::heap_bytes).sum();
        self.measure_at = self.places.len() + self.places.len() / 4 + 4096;
    }

    /// The numbers of the pairs of series `id`, in label order; none for an unknown id.
    pub(crate) fn pairs(&self, id: SeriesId) -> impl Iterator<Item = u32> + Clone {
        let record = self
            .places
            .get(id as usize)
            .map_or(&[][..], |place| self.packed.from(*place));
        let mut rest = record;
        let count = fast::varint(&mut rest).unwrap_or(0);
        (0..count).map_while(move |_| fast::varint(&mut rest).map(|pair| pair as u32))
    }

    /// The number of pairs of series `id`, and their numbers as varints.
    pub(crate) fn packed_pairs(&self, id: SeriesId) -> (usize, &[u8]) {
        let record = self
            .places
            .get(id as usize)
            .map_or(&[][..], |place| self.packed.from(*place));
        let mut rest = record;
        let count = fast::varint(&mut rest).unwrap_or(0) as usize;
        let mut end = rest;
        for _ in 0..count {
            let _ = fast::varint(&mut end);
        }
        (
            count,
            rest.get(..rest.len() - end.len()).unwrap_or_default(),
        )
    }

    /// The labels of series `id`.
    pub fn labels(&self, id: SeriesId) -> Option<Labels> {
        if id as usize >= self.len() {
            return None;
        }
        let mut canonical = Vec::with_capacity(256);
        self.write_canonical(id, &mut canonical);
        Some(Labels::from_canonical_unchecked(&canonical))
    }

    /// Appends the canonical form of the labels of series `id`; nothing for an unknown id.
    pub fn write_canonical(&self, id: SeriesId, out: &mut Vec<u8>) {
        self.pairs(id)
            .for_each(|pair| out.extend_from_slice(self.symbols.record(pair)));
    }

    /// The value of the label `name` of series `id`.
    pub fn label_value(&self, id: SeriesId, name: &str) -> Option<&str> {
        let name = self.symbols.find_name(name)?;
        let pair = self
            .pairs(id)
            .find(|pair| self.symbols.name_of(*pair) == Some(name))?;
        Some(self.symbols.value(pair))
    }

    /// Compares the labels of two series, in the order of [`Labels`].
    pub fn compare(&self, a: SeriesId, b: SeriesId) -> Ordering {
        let (mut a, mut b) = (self.pairs(a), self.pairs(b));
        loop {
            let order = match (a.next(), b.next()) {
                (None, None) => return Ordering::Equal,
                (None, Some(_)) => return Ordering::Less,
                (Some(_), None) => return Ordering::Greater,
                (Some(a), Some(b)) => self.symbols.compare(a, b),
            };
            if order.is_ne() {
                return order;
            }
        }
    }

    /// The series that meet all `matchers`.
    pub fn select(&self, matchers: &[Matcher]) -> Postings {
        match select::select(self, matchers) {
            Ok(postings) => postings,
            Err(never) => match never {},
        }
    }

    /// The distinct label names, sorted; of the series in `within`, or of all.
    pub fn label_names(&self, within: Option<&Postings>) -> Vec<String> {
        select::label_names(self, within).unwrap_or_else(|never| match never {})
    }

    /// The distinct values of a label, sorted; of the series in `within`, or of all.
    pub fn label_values(&self, name: &str, within: Option<&Postings>) -> Vec<String> {
        select::label_values(self, name, within).unwrap_or_else(|never| match never {})
    }

    /// Bytes on the heap: labels, tables and postings. O(1). Exact but for bitmaps, whose growth
    /// since they were last measured is counted at the most it can be.
    pub fn heap_bytes(&self) -> usize {
        self.symbols.heap_bytes()
            + self.lists.capacity() * size_of::<Postings>()
            + self.packed.heap_bytes()
            + self.places.capacity() * size_of::<u32>()
            + self.table.allocation_size()
            + self.bitmaps.capacity() * size_of::<u32>()
            + self.scratch.capacity() * size_of::<u32>()
            + self.list_heap
            + self.bitmap_heap
    }

    /// What makes this index large; at most `limit` entries per list. O(pairs).
    pub fn stats(&self, limit: usize) -> CardinalityStats {
        let names = self.symbols.names();
        let metrics = self
            .symbols
            .find_name(METRIC_NAME)
            .and_then(|name| self.symbols.name(name));
        let metrics = metrics
            .into_iter()
            .flat_map(|name| name.values.iter())
            .map(|pair| {
                let series = self.lists.get(pair as usize).map_or(0, Postings::len);
                (self.symbols.value(pair), series as u64)
            });
        let values = names
            .iter()
            .map(|name| (&*name.text, name.values.len() as u64));
        CardinalityStats {
            series: self.len() as u64,
            label_names: names.len() as u64,
            label_pairs: self.symbols.pair_count() as u64,
            top_metrics: top(metrics, limit),
            top_value_counts: top(values, limit),
            top_bytes: top(names.iter().map(|name| (&*name.text, name.bytes)), limit),
        }
    }
}
