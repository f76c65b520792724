//! Texts of labels that a cursor has met, kept so that each is sought and checked once.
//!
//! Input: numbers of values and of tails. Output: their bytes. Invariant: what is kept equals what
//! the index says; it is at most about 4 MiB beside 48 bytes for each label name, whatever the index
//! holds. What does not fit is read anew each time.

use crate::error::Result;
use crate::format::{RESTART, VALUES};
use crate::read::{IndexReader, Part};
use crate::read_series::next_value;

/// Most values that are kept, 16 bytes each, and most bytes of whole tails.
const MOST_TEXTS: usize = 1 << 17;
const MOST_TAIL_BYTES: usize = 1 << 20;
/// Most values of a name of which any are kept: four bytes for every sixteen of them.
const MOST_VALUES: u32 = 1 << 20;
/// Most tails of which the places are kept.
const MOST_TAILS: u32 = 1 << 16;
/// So many series are read without keeping anything: a block of values is more work than one.
const READ_BEFORE: u32 = 4;

/// What one cursor has met; see the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Texts<'a> {
    /// Series read so far, at most [`READ_BEFORE`].
    read: u32,
    names: Vec<Name<'a>>,
    /// Values, in whole blocks of [`RESTART`].
    values: Vec<&'a [u8]>,
    tails: Vec<Tail>,
    bytes: Vec<u8>,
}

/// The values of one label name.
#[derive(Debug, Default)]
struct Name<'a> {
    part: Option<Part<'a>>,
    /// Of each block: 0, or 1 more than which block of [`Texts::values`] it is.
    blocks: Vec<u32>,
}

/// Where the pairs of a tail are in [`Texts::bytes`]; an empty one is not known.
#[derive(Debug, Clone, Copy, Default)]
struct Tail {
    start: u32,
    end: u32,
    /// Its first label name.
    name: u32,
}

impl<'a> Texts<'a> {
    /// Another series is read.
    pub(crate) fn meet_series(&mut self) {
        self.read = READ_BEFORE.min(self.read + 1);
    }

    /// The pairs of a tail in canonical form, and its first label name, if they are known.
    pub(crate) fn tail(&self, tail: u32) -> Option<(&[u8], u32)> {
        let place = self.tails.get(tail as usize)?;
        let bytes = self.bytes.get(place.start as usize..place.end as usize)?;
        (!bytes.is_empty()).then_some((bytes, place.name))
    }

    /// Keeps the pairs of a tail, of `tails`, if there is room for them.
    pub(crate) fn keep_tail(&mut self, tail: u32, tails: u32, name: u32, pairs: &[u8]) {
        let (start, end) = (self.bytes.len(), self.bytes.len() + pairs.len());
        if self.read < READ_BEFORE || tails > MOST_TAILS || end > MOST_TAIL_BYTES {
            return;
        }
        if self.tails.is_empty() {
            self.tails.resize(tails as usize, Tail::default());
        }
        if let Some(place) = self.tails.get_mut(tail as usize) {
            self.bytes.extend_from_slice(pairs);
            let (start, end) = (start as u32, end as u32);
            *place = Tail { start, end, name };
        }
    }

    /// Value `number` of a label name: UTF-8.
    pub(crate) fn value<D: AsRef<[u8]>>(
        &mut self,
        index: &'a IndexReader<D>,
        name: u32,
        number: u32,
    ) -> Result<&'a [u8]> {
        let (block, place) = (number as usize / RESTART, number as usize % RESTART);
        let known = self
            .names
            .get(name as usize)
            .and_then(|name| name.blocks.get(block));
        if let Some(at) = known.and_then(|at| at.checked_sub(1))
            && let Some(value) = self.values.get(at as usize * RESTART + place)
            && !value.is_empty()
        {
            return Ok(value);
        }
        if self.read < READ_BEFORE || self.values.len() >= MOST_TEXTS {
            return index.value(name, number).map(str::as_bytes);
        }
        self.read_block(index, name, number)?;
        index.value(name, number).map(str::as_bytes)
    }

    /// Keeps all values of the block of `number`, if it is there and not of too many. After an error
    /// nothing that is kept may be used.
    fn read_block<D: AsRef<[u8]>>(
        &mut self,
        index: &'a IndexReader<D>,
        name: u32,
        number: u32,
    ) -> Result<()> {
        if self.names.is_empty() {
            self.names.resize_with(index.names.len(), Name::default);
        }
        let count = index.names.get(name as usize).map_or(0, |name| name.values);
        let fits = number < count && count <= MOST_VALUES;
        let Some(known) = self.names.get_mut(name as usize).filter(|_| fits) else {
            return Ok(());
        };
        let part = match known.part {
            Some(part) => part,
            None => *known.part.insert(index.name_section(name, VALUES)?),
        };
        if known.blocks.is_empty() {
            known.blocks.resize((count as usize).div_ceil(RESTART), 0);
        }
        let mut rest = part.block(count, number)?.rest();
        let start = self.values.len();
        let first = number - number % RESTART as u32;
        for _ in first..count.min(first + RESTART as u32) {
            let value = next_value(&part, &mut rest)?;
            let text = std::str::from_utf8(value);
            text.map_err(|_| part.malformed_at(rest, "a label value that is not UTF-8"))?;
            self.values.push(value);
        }
        self.values.resize(start + RESTART, &[]);
        if let Some(block) = known.blocks.get_mut(number as usize / RESTART) {
            *block = (start / RESTART) as u32 + 1;
        }
        Ok(())
    }
}
