//! Symbols: every distinct label pair once, numbered from 0, and the names they have.
//!
//! Input: pairs. Output: their numbers, which stand for them in packed series, and the values of a
//! name in order. Invariant: a pair's record is its canonical form, so that the canonical form of a
//! label set is the records of its pairs one after another.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::arena::Arena;
use crate::error::{Error, Result};
use crate::fast;
use crate::labels::RawPairs;
use crate::values::ValueOrder;

/// Label pairs and label names by number.
#[derive(Debug)]
pub(crate) struct Symbols {
    /// Secret, so that nobody can choose labels that fall into one bucket.
    seed: u64,
    arena: Arena,
    pairs: Vec<Pair>,
    pair_table: HashTable<u32>,
    names: Vec<Name>,
    name_table: HashTable<u32>,
    name_heap: usize,
}

#[derive(Debug, Clone, Copy)]
struct Pair {
    at: u32,
    len: u32,
    name: u32,
}

/// What is known of one label name.
#[derive(Debug)]
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

impl Default for Symbols {
    fn default() -> Self {
        Self {
            seed: RandomState::new().build_hasher().finish(),
            arena: Arena::default(),
            pairs: Vec::new(),
            pair_table: HashTable::new(),
            names: Vec::new(),
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
        self.pairs.len()
    }

    /// The names in order of arrival.
    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }

    /// The canonical form of pair `id`; empty for an unknown id.
    #[inline]
    pub(crate) fn record(&self, id: u32) -> &[u8] {
        match self.pairs.get(id as usize) {
            Some(pair) => self
                .arena
                .from(pair.at)
                .get(..pair.len as usize)
                .unwrap_or_default(),
            None => &[],
        }
    }

    /// The value of pair `id`.
    pub(crate) fn value(&self, id: u32) -> &str {
        fast::text(self.value_bytes(id))
    }

    /// The value of pair `id`, as bytes.
    #[inline]
    pub(crate) fn value_bytes(&self, id: u32) -> &[u8] {
        RawPairs::new(self.record(id))
            .next()
            .map_or(&[], |(_, value)| value)
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

    /// Counts one more series that has the label name `id`.
    pub(crate) fn count_series(&mut self, id: u32) {
        if let Some(name) = self.names.get_mut(id as usize) {
            name.series += 1;
        }
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
        let id = u32::try_from(self.pairs.len())
            .ok()
            .filter(|id| *id < u32::MAX);
        let id = id.ok_or_else(|| full.clone())?;
        let at = self.arena.add(record).ok_or(full)?;
        self.pairs.push(Pair {
            at,
            len: record.len() as u32,
            name,
        });
        let Self {
            arena,
            pairs,
            pair_table,
            seed,
            ..
        } = self;
        let bytes_of = |id: u32| {
            let pair = pairs.get(id as usize);
            pair.and_then(|p| arena.from(p.at).get(..p.len as usize))
                .unwrap_or_default()
        };
        pair_table.insert_unique(hash, id, |id| xxh3_64_with_seed(bytes_of(*id), *seed));
        let value_of = |id: u32| {
            RawPairs::new(bytes_of(id))
                .next()
                .map_or(&[][..], |pair| pair.1)
        };
        if let Some(name) = self.names.get_mut(name as usize) {
            name.bytes += record.len() as u64;
            self.name_heap += name.values.insert(id, |other| value_of(other).cmp(value));
        }
        Ok(id)
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
                let id = u32::try_from(names.len()).ok().filter(|id| *id < u32::MAX);
                let id = id.ok_or(Error::Full {
                    what: "label names",
                })?;
                vacant.insert(id);
                id
            }
        };
        self.name_heap += text.len();
        let values = ValueOrder::default();
        self.names.push(Name {
            text: text.into(),
            values,
            series: 0,
            bytes: 0,
        });
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
            + self.pair_table.allocation_size()
            + self.names.capacity() * size_of::<Name>()
            + self.name_table.allocation_size()
            + self.name_heap
    }
}
