//! Symbols: every distinct label pair once, numbered from 0, and the names they have.
//!
//! Input: pairs. Output: their numbers, which stand for them in packed series, and the values of a
//! name in order. Invariant: a pair's record is its canonical form, so that the canonical form of a
//! label set is the records of its pairs one after another. A pair that is released is no longer a
//! value of its name, and its number and bytes serve later ones; so does a name without pairs.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::arena::{Arena, NOWHERE};
use crate::error::{Error, Result};
use crate::fast;
use crate::free::{FreeIds, shrink_table};
use crate::labels::RawPairs;
use crate::values::ValueOrder;

/// Label pairs and label names by number.
#[derive(Debug)]
pub(crate) struct Symbols {
    /// Secret, so that nobody can choose labels that fall into one bucket.
    seed: u64,
    arena: Arena,
    pairs: Vec<Pair>,
    free_pairs: FreeIds,
    pair_table: HashTable<u32>,
    names: Vec<Name>,
    free_names: FreeIds,
    name_table: HashTable<u32>,
    name_heap: usize,
}

#[derive(Debug, Clone, Copy)]
struct Pair {
    at: u32,
    len: u32,
    name: u32,
}

impl Pair {
    /// What stands in for a pair that was released.
    const NONE: Self = Self {
        at: NOWHERE,
        len: 0,
        name: u32::MAX,
    };

    fn is_live(&self) -> bool {
        self.len > 0
    }
}

/// What is known of one label name.
#[derive(Debug, Default)]
pub(crate) struct Name {
    /// The name.
    pub(crate) text: Box<str>,
    /// Its pairs in the order of their values.
    pub(crate) values: ValueOrder,
    /// Series that have the label.
    pub(crate) series: u32,
    /// Bytes of the records of its pairs.
    pub(crate) bytes: u64,
}

/// New numbers of pairs by old ones, in the same order without gaps.
#[derive(Debug)]
pub(crate) struct Numbers {
    by_old: Vec<u32>,
    len: usize,
}

impl Numbers {
    /// The new number of the pair that had number `old`.
    pub(crate) fn get(&self, old: u32) -> Option<u32> {
        let new = self.by_old.get(old as usize).copied();
        new.filter(|new| *new != u32::MAX)
    }

    /// Number of pairs.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Default for Symbols {
    fn default() -> Self {
        Self {
            seed: RandomState::new().build_hasher().finish(),
            arena: Arena::default(),
            pairs: Vec::new(),
            free_pairs: FreeIds::default(),
            pair_table: HashTable::new(),
            names: Vec::new(),
            free_names: FreeIds::default(),
            name_table: HashTable::new(),
            name_heap: 0,
        }
    }
}

impl Symbols {
    /// The seeded hash of a record or of a whole canonical form.
    pub(crate) fn hash(&self, record: &[u8]) -> u64 {
        xxh3_64_with_seed(record, self.seed)
    }

    /// Number of pairs.
    pub(crate) fn pair_count(&self) -> usize {
        self.pairs.len() - self.free_pairs.len()
    }

    /// A number above that of every pair.
    pub(crate) fn pair_bound(&self) -> usize {
        self.pairs.len()
    }

    /// Number of label names.
    pub(crate) fn name_count(&self) -> usize {
        self.names.len() - self.free_names.len()
    }

    /// The names and their numbers.
    pub(crate) fn names(&self) -> impl Iterator<Item = (u32, &Name)> {
        (0..)
            .zip(&self.names)
            .filter(|(_, name)| name.values.len() > 0)
    }

    /// The canonical form of pair `id`; empty for an unknown id.
    #[inline]
    pub(crate) fn record(&self, id: u32) -> &[u8] {
        bytes_of(&self.arena, &self.pairs, id)
    }

    /// The value of pair `id`.
    pub(crate) fn value(&self, id: u32) -> &str {
        fast::text(self.value_bytes(id))
    }

    /// The value of pair `id`, as bytes.
    #[inline]
    pub(crate) fn value_bytes(&self, id: u32) -> &[u8] {
        value_of(self.record(id))
    }

    /// The name of pair `id`, by number.
    pub(crate) fn name_of(&self, id: u32) -> Option<u32> {
        self.pairs.get(id as usize).map(|pair| pair.name)
    }

    /// The number of pair `record`.
    pub(crate) fn find(&self, record: &[u8]) -> Option<u32> {
        self.pair_table
            .find(self.hash(record), |id| self.record(*id) == record)
            .copied()
    }

    /// The number of the label name `text`.
    pub(crate) fn find_name(&self, text: &str) -> Option<u32> {
        let same = |id: &u32| {
            self.names
                .get(*id as usize)
                .is_some_and(|name| *name.text == *text)
        };
        self.name_table
            .find(self.hash(text.as_bytes()), same)
            .copied()
    }

    /// The name of number `id`.
    pub(crate) fn name(&self, id: u32) -> Option<&Name> {
        self.names.get(id as usize)
    }

    /// Counts one more series that has `pair`.
    pub(crate) fn series_came(&mut self, pair: u32) {
        if let Some(name) = self.name_mut(pair) {
            name.series += 1;
        }
    }

    /// Counts one series less that has `pair`.
    pub(crate) fn series_went(&mut self, pair: u32) {
        if let Some(name) = self.name_mut(pair) {
            name.series = name.series.saturating_sub(1);
        }
    }

    fn name_mut(&mut self, pair: u32) -> Option<&mut Name> {
        let pair = self.pairs.get(pair as usize)?;
        self.names.get_mut(pair.name as usize)
    }

    /// The number of pair `record`, which is `name="value"`, numbering it if it is new.
    pub(crate) fn intern(&mut self, record: &[u8], name: &[u8], value: &[u8]) -> Result<u32> {
        let hash = self.hash(record);
        if let Some(id) = self.pair_table.find(hash, |id| self.record(*id) == record) {
            return Ok(*id);
        }
        let name = self.intern_name(fast::text(name))?;
        let full = Error::Full {
            what: "label pairs",
        };
        let len = record.len() as u32;
        let id = self.free_pairs.next(self.pairs.len());
        let placed = id.and_then(|id| Some((id, self.arena.add(record)?)));
        let Some((id, at)) = placed else {
            self.release_name(name);
            return Err(full);
        };
        let pair = Pair { at, len, name };
        self.free_pairs.fill(id, &mut self.pairs, pair);
        let Self {
            arena,
            pairs,
            pair_table,
            seed,
            ..
        } = self;
        let bytes_of = |id: u32| bytes_of(arena, pairs, id);
        pair_table.insert_unique(hash, id, |id| xxh3_64_with_seed(bytes_of(*id), *seed));
        if let Some(name) = self.names.get_mut(name as usize) {
            name.bytes += record.len() as u64;
            self.name_heap -= name.values.heap_bytes();
            let compare = |other| value_of(bytes_of(other)).cmp(value);
            name.values.insert(id, compare);
            self.name_heap += name.values.heap_bytes();
        }
        Ok(id)
    }

    /// Forgets pair `id`, which no series has any more, and its name with its last pair.
    pub(crate) fn release(&mut self, id: u32) {
        let found = self.pairs.get(id as usize).copied();
        let Some(pair) = found.filter(Pair::is_live) else {
            return;
        };
        let hash = self.hash(self.record(id));
        if let Ok(entry) = self.pair_table.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        let (arena, pairs) = (&self.arena, &self.pairs);
        let value_of = |id: u32| value_of(bytes_of(arena, pairs, id));
        if let Some(name) = self.names.get_mut(pair.name as usize) {
            name.bytes = name.bytes.saturating_sub(u64::from(pair.len));
            self.name_heap -= name.values.heap_bytes();
            let value = value_of(id);
            name.values.remove(id, |other| value_of(other).cmp(value));
            self.name_heap += name.values.heap_bytes();
        }
        self.arena.remove(pair.at, pair.len as usize);
        if let Some(slot) = self.pairs.get_mut(id as usize) {
            *slot = Pair::NONE;
        }
        self.free_pairs.give_back(id);
        self.release_name(pair.name);
    }

    /// Forgets name `id` if it has no pairs.
    fn release_name(&mut self, id: u32) {
        let found = self.names.get_mut(id as usize);
        let Some(name) = found.filter(|name| name.values.len() == 0 && !name.text.is_empty())
        else {
            return;
        };
        let name = std::mem::take(name);
        self.name_heap -= name.text.len() + name.values.heap_bytes();
        let hash = self.hash(name.text.as_bytes());
        if let Ok(entry) = self.name_table.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.free_names.give_back(id);
    }

    /// Numbers for the pairs without gaps, if less than a third of all numbers is taken.
    pub(crate) fn renumbering(&self) -> Option<Numbers> {
        let len = self.pair_count();
        if self.pairs.len() / 3 <= len + 1024 {
            return None;
        }
        let mut next = 0..u32::MAX;
        let number = |pair: &Pair| pair.is_live().then(|| next.next()).flatten();
        let numbers = self.pairs.iter().map(number);
        let by_old = numbers.map(|new| new.unwrap_or(u32::MAX)).collect();
        Some(Numbers { by_old, len })
    }

    /// Gives each pair the number that `numbers` has for it.
    pub(crate) fn renumber(&mut self, numbers: &Numbers) {
        let number = |old: u32| numbers.get(old).unwrap_or(old);
        self.pairs.retain(Pair::is_live);
        self.pairs.shrink_to_fit();
        self.free_pairs = FreeIds::default();
        self.pair_table.iter_mut().for_each(|id| *id = number(*id));
        for name in &mut self.names {
            name.values.renumber(number);
        }
    }

    /// Gives memory back that released pairs took, in one step or in all that are due.
    pub(crate) fn settle(&mut self, in_full: bool) {
        let len_of = |bytes: &[u8]| {
            let mut pairs = RawPairs::new(bytes);
            let _ = pairs.next();
            bytes.len() - pairs.rest().len()
        };
        while self.arena.is_wasteful(self.pairs.len()) {
            let places = self.pairs.iter_mut().map(|pair| &mut pair.at);
            if !self.arena.compact(places, len_of) || !in_full {
                break;
            }
        }
        self.free_pairs.trim(&mut self.pairs, Pair::is_live);
        let is_live = |name: &Name| name.values.len() > 0;
        self.free_names.trim(&mut self.names, is_live);
        let (arena, pairs, names, seed) = (&self.arena, &self.pairs, &self.names, self.seed);
        shrink_table(&mut self.pair_table, |id| {
            xxh3_64_with_seed(bytes_of(arena, pairs, *id), seed)
        });
        shrink_table(&mut self.name_table, |id| {
            let text = names.get(*id as usize).map_or("", |name| &name.text);
            xxh3_64_with_seed(text.as_bytes(), seed)
        });
    }

    fn intern_name(&mut self, text: &str) -> Result<u32> {
        let hash = self.hash(text.as_bytes());
        let Self {
            names,
            name_table,
            seed,
            ..
        } = self;
        let text_of = |id: u32| names.get(id as usize).map_or("", |name| &name.text);
        let same = |id: &u32| text_of(*id) == text;
        let rehash = |id: &u32| xxh3_64_with_seed(text_of(*id).as_bytes(), *seed);
        let id = match name_table.entry(hash, same, rehash) {
            Entry::Occupied(known) => return Ok(*known.get()),
            Entry::Vacant(vacant) => {
                let full = || Error::Full {
                    what: "label names",
                };
                let id = self.free_names.next(names.len()).ok_or_else(full)?;
                vacant.insert(id);
                id
            }
        };
        let name = Name {
            text: text.into(),
            ..Name::default()
        };
        self.name_heap += name.text.len() + name.values.heap_bytes();
        self.free_names.fill(id, &mut self.names, name);
        Ok(id)
    }

    /// Compares two pairs by name, then value.
    pub(crate) fn compare(&self, a: u32, b: u32) -> Ordering {
        if a == b {
            return Ordering::Equal;
        }
        RawPairs::new(self.record(a)).cmp(RawPairs::new(self.record(b)))
    }

    /// Bytes on the heap. O(1).
    pub(crate) fn heap_bytes(&self) -> usize {
        self.arena.heap_bytes()
            + self.pairs.capacity() * size_of::<Pair>()
            + self.free_pairs.heap_bytes(self.pairs.len())
            + self.pair_table.allocation_size()
            + self.names.capacity() * size_of::<Name>()
            + self.free_names.heap_bytes(self.names.len())
            + self.name_table.allocation_size()
            + self.name_heap
    }
}

/// The record of pair `id`.
#[inline]
fn bytes_of<'a>(arena: &'a Arena, pairs: &[Pair], id: u32) -> &'a [u8] {
    let pair = pairs.get(id as usize);
    pair.and_then(|pair| arena.from(pair.at).get(..pair.len as usize))
        .unwrap_or_default()
}

/// The value of a record.
#[inline]
fn value_of(record: &[u8]) -> &[u8] {
    RawPairs::new(record).next().map_or(&[], |(_, value)| value)
}
