//! The live index of a head: labels to series ids and back, in memory.
//!
//! Input: labels of new series, series that went, matchers. Output: ids 0, 1, 2, ... and postings.
//! Invariant: a label set has one id, found by comparing the labels themselves, never a hash alone;
//! each series is in the postings of each of its pairs, and each pair has a series. One writer at
//! a time; the owner does the locking.

use std::cmp::Ordering;

use hashbrown::HashTable;
use treering_codec::varint::put_u64;

use crate::arena::{Arena, NOWHERE};
use crate::error::{Error, Result};
use crate::fast;
use crate::free::FreeIds;
use crate::labels::{Labels, METRIC_NAME, RawPairs};
use crate::limits::LabelLimits;
use crate::matcher::Matcher;
use crate::pair_lists::PairLists;
use crate::postings::{Postings, SeriesId};
use crate::select;
use crate::stats::{CardinalityStats, top};
use crate::symbols::{Name, Symbols};

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
/// assert!(index.remove(a));
/// assert!(index.is_empty() && index.label_names(None).is_empty());
/// # Ok::<(), treering_index::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct MemIndex {
    pub(crate) symbols: Symbols,
    /// Series by pair.
    pub(crate) lists: PairLists,
    /// Packed series: the count of pairs, then their numbers, as varints.
    pub(crate) packed: Arena,
    /// Where the packed form of each series is; [`NOWHERE`] for ids that name none.
    pub(crate) places: Vec<u32>,
    /// Ids below the end of `places` that name no series.
    pub(crate) free: FreeIds,
    pub(crate) table: HashTable<Slot>,
    id_bound: usize,
    /// The series that came last.
    latest: SeriesId,
    pub(crate) scratch: Vec<u32>,
}

/// A series in the hash table; part of the hash is kept so that growing reads no labels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) hash: u32,
    pub(crate) id: SeriesId,
}

impl Slot {
    /// The hash that the table goes by.
    pub(crate) fn spread(&self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

impl MemIndex {
    /// An empty index. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of series. Their ids are below [`id_bound`](Self::id_bound), but not necessarily
    /// below this number, once series were removed.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether there are no series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One more than the highest id ever given: the length of a table with a place for every id.
    /// Never falls. At most the largest number of series that there were at one time.
    pub fn id_bound(&self) -> usize {
        self.id_bound
    }

    /// Whether `id` names a series.
    pub fn contains(&self, id: SeriesId) -> bool {
        self.place(id).is_some()
    }

    /// Where the packed form of series `id` is.
    pub(crate) fn place(&self, id: SeriesId) -> Option<u32> {
        let place = self.places.get(id as usize).copied();
        place.filter(|place| *place != NOWHERE)
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

    /// The id of the series with these labels, and whether it is new. A new series gets the lowest
    /// id that names none: that of a removed one, or else the next. Refuses labels above the hard
    /// maxima of [`LabelLimits::HARD`] and, with [`Error::Full`], more than about four billion
    /// series, label pairs, or bytes of either; nothing is changed then.
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
        let id = self.free.next(self.places.len()).ok_or_else(full)?;
        let mut pairs = std::mem::take(&mut self.scratch);
        pairs.clear();
        let interned = self.intern(labels, &mut pairs);
        let mut record = Vec::with_capacity(pairs.len() * 3 + 2);
        pack(pairs.iter().copied(), &mut record);
        let place = interned.and_then(|()| self.packed.add(&record).ok_or_else(full));
        match place {
            Ok(place) => self.enter(id, place, &pairs),
            Err(_) => self.release_unused(&pairs),
        }
        self.scratch = pairs;
        place.map(|_| id)
    }

    fn enter(&mut self, id: SeriesId, place: u32, pairs: &[u32]) {
        self.free.fill(id, &mut self.places, place);
        self.id_bound = self.id_bound.max(self.places.len());
        self.latest = id;
        let bound = self.symbols.pair_bound();
        for &pair in pairs {
            self.symbols.series_came(pair);
            self.lists.insert(pair, id, bound);
        }
        self.lists.changed(self.len());
    }

    /// The numbers of the pairs of `labels`. Most series share most pairs with the one before, at
    /// the same positions, so those are compared first.
    fn intern(&mut self, labels: &Labels, out: &mut Vec<u32>) -> Result<()> {
        let canonical = labels.as_canonical();
        let mut before = [0u32; 32];
        let known = before
            .iter_mut()
            .zip(self.pairs(self.latest))
            .map(|(slot, pair)| *slot = pair)
            .count();
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

    /// The labels of series `id`; `None` for an id that names no series.
    pub fn labels(&self, id: SeriesId) -> Option<Labels> {
        self.place(id)?;
        let mut canonical = Vec::with_capacity(256);
        self.write_canonical(id, &mut canonical);
        Some(Labels::from_canonical_unchecked(&canonical))
    }

    /// Appends the canonical form of the labels of series `id`; nothing for an id that
    /// names no series.
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

    /// Compares the labels of two series, in the order of [`Labels`]. An id that names no series is
    /// as one without labels.
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
    /// since they were last measured is counted at the most it can be, and for the set of free ids,
    /// counted at the eighth of a byte that each of all ids takes at most.
    pub fn heap_bytes(&self) -> usize {
        self.symbols.heap_bytes()
            + self.lists.heap_bytes()
            + self.packed.heap_bytes()
            + self.places.capacity() * size_of::<u32>()
            + self.free.heap_bytes(self.places.len())
            + self.table.allocation_size()
            + self.scratch.capacity() * size_of::<u32>()
    }

    /// What makes this index large; at most `limit` entries per list. O(pairs).
    pub fn stats(&self, limit: usize) -> CardinalityStats {
        let names: Vec<&Name> = self.symbols.names().map(|(_, name)| name).collect();
        let metrics = self
            .symbols
            .find_name(METRIC_NAME)
            .and_then(|name| self.symbols.name(name));
        let metrics = metrics
            .into_iter()
            .flat_map(|name| name.values.iter())
            .map(|pair| {
                let series = self.lists.get(pair).map_or(0, Postings::len);
                (self.symbols.value(pair), series as u64)
            });
        let values = names
            .iter()
            .map(|name| (&*name.text, name.values.len() as u64));
        CardinalityStats {
            series: self.len() as u64,
            label_names: self.symbols.name_count() as u64,
            label_pairs: self.symbols.pair_count() as u64,
            top_metrics: top(metrics, limit),
            top_value_counts: top(values, limit),
            top_bytes: top(names.iter().map(|name| (&*name.text, name.bytes)), limit),
        }
    }
}

/// Makes `record` the packed form of a series with these pairs.
pub(crate) fn pack(pairs: impl Iterator<Item = u32> + Clone, record: &mut Vec<u8>) {
    record.clear();
    put_u64(record, pairs.clone().count() as u64);
    pairs.for_each(|pair| put_u64(record, u64::from(pair)));
}
