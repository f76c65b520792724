//! How the immutable index answers the questions of `select.rs`.
//!
//! An exact value walks the transducer; a prefix is sought among the sorted values, a literal in
//! the bytes of all; other patterns scan them. Invariant: what the transducer says is checked against
//! the value itself.

use memchr::memmem::Finder;
use treering_codec::varint::Reader;

use crate::error::{Error, Result};
use crate::format::{ONE_ID, POSTINGS, RESTART, TRANSDUCER, VALUES};
use crate::lists;
use crate::matcher::Matcher;
use crate::pattern::has_prefix;
use crate::postings::Postings;
use crate::read::{IndexReader, Part};
use crate::read_series::{LabelsCursor, next_value};
use crate::select::{Index, Visit};
use crate::setops::Union;
use crate::transducer;

/// Goes through the values of a label that contain a literal, and perhaps others, in order: the
/// literal is sought in the bytes of all of them at once.
struct Containing<'a> {
    part: Part<'a>,
    values: u32,
    finder: Finder<'a>,
    /// Number of the next value, and the bytes from it on.
    number: u32,
    rest: &'a [u8],
}

impl<'a> Containing<'a> {
    fn new(part: Part<'a>, values: u32, needle: &'a str) -> Self {
        let places = (values as usize).div_ceil(RESTART) * 4;
        Self {
            part,
            values,
            finder: Finder::new(needle),
            number: 0,
            rest: part.bytes.get(places..).unwrap_or_default(),
        }
    }

    /// The next value at which the literal was found, and its number.
    fn next(&mut self) -> Result<Option<(&'a [u8], u32)>> {
        let Some(at) = self.finder.find(self.rest) else {
            return Ok(None);
        };
        // What is left of the section when the literal is reached.
        let left = self.rest.len() - at;
        self.seek(left)?;
        while self.number < self.values {
            let value = next_value(&self.part, &mut self.rest)?;
            self.number += 1;
            if self.rest.len() < left {
                return Ok(Some((value, self.number - 1)));
            }
        }
        Ok(None)
    }

    /// Goes on to the last block that starts with at least `left` bytes to the end of the section,
    /// if that is beyond the next value.
    fn seek(&mut self, left: usize) -> Result<()> {
        let (part, values) = (self.part, self.values);
        let block = |number: u32| -> Result<&'a [u8]> {
            Ok(part.block(values, number * RESTART as u32)?.rest())
        };
        let next = self.number.div_ceil(RESTART as u32);
        let blocks = self.values.div_ceil(RESTART as u32);
        if next >= blocks || block(next)?.len() < left {
            return Ok(());
        }
        let (mut low, mut high) = (next, blocks);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match block(middle)?.len() >= left {
                true => low = middle,
                false => high = middle,
            }
        }
        (self.number, self.rest) = (low * RESTART as u32, block(low)?);
        Ok(())
    }
}

/// Where the postings of a value are.
enum Place<'a> {
    /// They are this id.
    One(u32),
    /// They are a list at this reader.
    List(Reader<'a>),
}

impl<D: AsRef<[u8]>> IndexReader<D> {
    fn values_of(&self, name: u32) -> u32 {
        self.names.get(name as usize).map_or(0, |name| name.values)
    }

    /// Where list `number` of a name is; the list after those of the values is the series that
    /// have the label.
    fn place(&self, name: u32, number: u32) -> Result<Place<'_>> {
        let part = self.name_section(name, POSTINGS)?;
        let lists = (self.values_of(name) as usize + 1) * 4;
        let mut reader = Reader::new(part.bytes);
        let place = reader.take(number as usize * 4).and_then(|_| reader.u32());
        let place = place.map_err(|error| part.wrong(error))?;
        if place & ONE_ID != 0 {
            let id = place & !ONE_ID;
            return if id < self.series_count() {
                Ok(Place::One(id))
            } else {
                Err(part.malformed(&reader, "a series beyond the index"))
            };
        }
        let mut reader = Reader::new(part.bytes);
        let there = reader.take(lists).and_then(|_| reader.take(place as usize));
        there.map_err(|error| part.wrong(error))?;
        Ok(Place::List(reader))
    }

    fn postings(&self, name: u32, number: u32) -> Result<Postings> {
        match self.place(name, number)? {
            Place::One(id) => Ok(Postings::one(id)),
            Place::List(mut reader) => lists::decode(&mut reader, self.series_count())
                .map_err(|error| self.list_error(name, error)),
        }
    }

    /// Number of series of a pair.
    pub(crate) fn series_in(&self, (name, number): (u32, u32)) -> Result<usize> {
        match self.place(name, number)? {
            Place::One(_) => Ok(1),
            Place::List(reader) => lists::count(reader, self.series_count())
                .map_err(|error| self.list_error(name, error)),
        }
    }

    fn list_error(&self, name: u32, error: treering_codec::Error) -> Error {
        match self.name_section(name, POSTINGS) {
            Ok(part) => part.wrong(error),
            Err(error) => error,
        }
    }

    /// The number of the first value that is not below `wanted`.
    fn lower_bound(&self, name: u32, wanted: &str) -> Result<u32> {
        let part = self.name_section(name, VALUES)?;
        let values = self.values_of(name);
        let (mut low, mut high) = (0, values.div_ceil(RESTART as u32));
        while low < high {
            let middle = low + (high - low) / 2;
            let mut rest = part.block(values, middle * RESTART as u32)?.rest();
            if next_value(&part, &mut rest)? < wanted.as_bytes() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        // The bound is in the block before the first that starts at or above `wanted`.
        let start = low.saturating_sub(1) * RESTART as u32;
        if start >= values {
            return Ok(values);
        }
        let mut rest = part.block(values, start)?.rest();
        let end = values.min(start + RESTART as u32);
        for number in start..end {
            if next_value(&part, &mut rest)? >= wanted.as_bytes() {
                return Ok(number);
            }
        }
        Ok(end)
    }

    /// Whether the series at the cursor meets all `matchers`, given with the numbers of their
    /// names.
    fn meets(
        &self,
        cursor: &LabelsCursor<'_, D>,
        matchers: &[(Option<u32>, &Matcher)],
    ) -> Result<bool> {
        for (name, matcher) in matchers {
            let pair = name.and_then(|name| cursor.pairs().find(|(found, _)| *found == name));
            let value = match pair {
                Some((name, number)) => self.value(name, number)?,
                None => "",
            };
            if !matcher.matches_value(value) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<D: AsRef<[u8]>> Index for IndexReader<D> {
    type Error = Error;
    type Name = u32;
    type Pair = (u32, u32);

    const READ_COST: usize = 16;

    fn id_end(&self) -> u32 {
        self.series_count()
    }

    fn all(&self) -> Postings {
        Postings::all(self.series_count())
    }

    fn names(&self) -> Result<Vec<(String, u32)>> {
        Ok(self
            .names
            .iter()
            .map(|name| name.text.to_string())
            .zip(0..)
            .collect())
    }

    fn find_name(&self, name: &str) -> Result<Option<u32>> {
        let found = self.names.binary_search_by(|entry| (*entry.text).cmp(name));
        Ok(found.ok().map(|number| number as u32))
    }

    fn value_count(&self, name: u32) -> usize {
        self.values_of(name) as usize
    }

    fn present(&self, name: u32) -> Result<Postings> {
        let series = self.names.get(name as usize).map_or(0, |name| name.series);
        if series == self.series_count() {
            return Ok(Postings::all(series));
        }
        self.postings(name, self.values_of(name))
    }

    fn find_pair(&self, name: u32, value: &str) -> Result<Option<((u32, u32), usize)>> {
        let part = self.name_section(name, TRANSDUCER)?;
        let number = transducer::get(part.bytes, value.as_bytes());
        let Some(number) = number.map_err(|error| part.wrong(error))? else {
            return Ok(None);
        };
        let number = u32::try_from(number)
            .ok()
            .filter(|number| *number < self.values_of(name));
        match number {
            Some(number) if self.value(name, number)? == value => {
                Ok(Some(((name, number), self.series_in((name, number))?)))
            }
            _ => {
                let what = "a transducer that disagrees with the values";
                Err(part.malformed(&Reader::new(part.bytes), what))
            }
        }
    }

    fn series_of(&self, pair: (u32, u32), within: Option<&Postings>) -> Result<Postings> {
        let postings = self.postings(pair.0, pair.1)?;
        Ok(match within {
            Some(within) => within.and(&postings),
            None => postings,
        })
    }

    fn add_series_of(&self, pair: (u32, u32), union: &mut Union) -> Result<()> {
        union.add(&self.postings(pair.0, pair.1)?);
        Ok(())
    }

    fn value_text(&self, pair: (u32, u32)) -> Result<&str> {
        self.value(pair.0, pair.1)
    }

    fn intersects(&self, pair: (u32, u32), within: &Postings) -> Result<bool> {
        Ok(self.postings(pair.0, pair.1)?.intersects(within))
    }

    fn scan(&self, name: u32, prefix: &str, visit: &mut Visit<'_, Self>) -> Result<()> {
        let part = self.name_section(name, VALUES)?;
        let values = self.values_of(name);
        let start = if prefix.is_empty() {
            0
        } else {
            self.lower_bound(name, prefix)?
        };
        if start >= values {
            return Ok(());
        }
        let mut rest = part.block(values, start)?.rest();
        for _ in 0..start as usize % RESTART {
            next_value(&part, &mut rest)?;
        }
        for number in start..values {
            let value = next_value(&part, &mut rest)?;
            if !has_prefix(value, prefix.as_bytes()) || !visit(value, (name, number))? {
                break;
            }
        }
        Ok(())
    }

    fn scan_containing(&self, name: u32, needle: &str, visit: &mut Visit<'_, Self>) -> Result<()> {
        let part = self.name_section(name, VALUES)?;
        let mut scan = Containing::new(part, self.values_of(name), needle);
        while let Some((value, number)) = scan.next()? {
            if !visit(value, (name, number))? {
                break;
            }
        }
        Ok(())
    }

    fn retain(&self, ids: &Postings, matchers: &[&Matcher]) -> Result<Postings> {
        let mut named = Vec::with_capacity(matchers.len());
        for matcher in matchers {
            named.push((self.find_name(matcher.name())?, *matcher));
        }
        let mut cursor = self.cursor()?;
        let mut kept = Vec::new();
        for id in ids {
            cursor.seek(id)?;
            if self.meets(&cursor, &named)? {
                kept.push(id);
            }
        }
        Ok(Postings::from_sorted(kept))
    }

    fn values_within(&self, ids: &Postings, name: u32) -> Result<Vec<String>> {
        let mut cursor = self.cursor()?;
        let mut numbers = Vec::with_capacity(ids.len());
        for id in ids {
            cursor.seek(id)?;
            numbers.extend(cursor.pairs().find(|(found, _)| *found == name));
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
            .into_iter()
            .map(|(name, number)| Ok(self.value(name, number)?.to_owned()))
            .collect()
    }
}
