//! Labels of the series of an immutable index.
//!
//! Input: ordinals, best in ascending order. Output: labels, or an error with an offset. A series
//! is a first pair and a tail; a tail is a shape, which is a list of names, and a value for each.
//! Invariant: at most 15 entries of series and 15 of tails are read before the one wanted.

use treering_codec::varint::{Reader, put_bytes, unzigzag};

use crate::error::Result;
use crate::fast;
use crate::format::{RESTART, SERIES, TAILS, VALUES};
use crate::labels::Labels;
use crate::limits::{HARD_MAX_LABELS, HARD_MAX_VALUE_BYTES};
use crate::read::{IndexReader, Part};
use crate::read_texts::Texts;

/// The lists of label names that tails have.
#[derive(Debug)]
pub(crate) struct Shapes {
    names: Vec<u32>,
    starts: Vec<u32>,
}

impl Shapes {
    /// Reads `count` shapes of names below `names`.
    pub(crate) fn read(part: Part<'_>, count: u32, names: u32) -> Result<Self> {
        let mut reader = Reader::new(part.bytes);
        let mut shapes = Self {
            names: Vec::new(),
            starts: vec![0],
        };
        for _ in 0..count {
            let len = reader.length(HARD_MAX_LABELS, "a shape of too many labels");
            let mut next = 0u64;
            for _ in 0..len.map_err(|error| part.wrong(error))? {
                let gap = reader.varint().map_err(|error| part.wrong(error))?;
                let name = next.saturating_add(gap);
                if name >= u64::from(names) {
                    return Err(part.malformed(&reader, "a label name beyond the directory"));
                }
                shapes.names.push(name as u32);
                next = name + 1;
            }
            shapes.starts.push(shapes.names.len() as u32);
        }
        if reader.is_empty() {
            Ok(shapes)
        } else {
            Err(part.malformed(&reader, "bytes after the shapes"))
        }
    }

    /// The names of a shape, by number, ascending.
    pub(crate) fn get(&self, shape: usize) -> Option<&[u32]> {
        let (start, end) = (self.starts.get(shape)?, self.starts.get(shape + 1)?);
        self.names.get(*start as usize..*end as usize)
    }
}

/// Reads the labels of one series after another; see [`IndexReader::cursor`].
pub struct LabelsCursor<'a, D> {
    index: &'a IndexReader<D>,
    shapes: &'a Shapes,
    series_part: Part<'a>,
    tails_part: Part<'a>,
    series: Entry<'a>,
    /// The first pair of the series at hand.
    first: Option<(u32, u32)>,
    /// The tail of the series at hand.
    tail: i64,
    tails: Entry<'a>,
    shape: &'a [u32],
    values: Vec<u32>,
    texts: Texts<'a>,
    canonical: Vec<u8>,
}

/// Where a run of entries has been read to; nowhere after an error.
struct Entry<'a> {
    /// The entry that `reader` stands at.
    next: u32,
    reader: Reader<'a>,
}

impl<'a> Entry<'a> {
    /// Moves to the restart before `number`, unless reading on gets there sooner.
    fn approach(&mut self, part: Part<'a>, entries: u32, number: u32) -> Result<()> {
        let restart = number - number % RESTART as u32;
        if !(restart..=number).contains(&self.next) {
            self.reader = part.block(entries, number)?;
            self.next = restart;
        }
        Ok(())
    }
}

impl<D> std::fmt::Debug for LabelsCursor<'_, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LabelsCursor")
            .field("next", &self.series.next)
            .finish()
    }
}

impl<'a, D: AsRef<[u8]>> LabelsCursor<'a, D> {
    pub(crate) fn new(index: &'a IndexReader<D>) -> Result<Self> {
        // Beyond every ordinal, so that the first use seeks.
        let nowhere = || Entry {
            next: u32::MAX,
            reader: Reader::new(&[]),
        };
        Ok(Self {
            index,
            shapes: index.shapes()?,
            series_part: index.section(SERIES)?,
            tails_part: index.section(TAILS)?,
            series: nowhere(),
            first: None,
            tail: 0,
            tails: nowhere(),
            shape: &[],
            values: Vec::new(),
            texts: Texts::default(),
            canonical: Vec::new(),
        })
    }

    /// The labels of a series; an error for an ordinal that is not below the count.
    pub fn labels(&mut self, ordinal: u32) -> Result<Labels> {
        let read = self.read(ordinal);
        self.forget_if(read.is_err());
        read
    }

    /// After an error nothing that was read is relied on.
    fn forget_if(&mut self, is_damaged: bool) {
        if is_damaged {
            (self.series.next, self.tails.next) = (u32::MAX, u32::MAX);
            self.texts = Texts::default();
        }
    }

    fn read(&mut self, ordinal: u32) -> Result<Labels> {
        self.texts.meet_series();
        let tail = self.seek_first(ordinal)?;
        let mut canonical = std::mem::take(&mut self.canonical);
        canonical.clear();
        let written = self.write(tail, &mut canonical);
        self.canonical = canonical;
        written.map(|()| Labels::from_canonical_unchecked(&self.canonical))
    }

    /// Appends the pairs of the series at hand, whose tail is sought yet.
    fn write(&mut self, tail: u32, out: &mut Vec<u8>) -> Result<()> {
        if let Some((name, value)) = self.first {
            self.write_pair(name, value, out)?;
        }
        let start = out.len();
        if let Some((pairs, name)) = self.texts.tail(tail) {
            self.check_order(Some(name))?;
            out.extend_from_slice(pairs);
            return Ok(());
        }
        self.seek_tail(tail)?;
        for (name, &value) in self.shape.iter().zip(&self.values) {
            let value = self.texts.value(self.index, *name, value)?;
            put_bytes(out, self.index.name_text(*name));
            put_bytes(out, value);
        }
        if let (Some(&name), Some(pairs)) = (self.shape.first(), out.get(start..)) {
            self.texts.keep_tail(tail, self.index.tails, name, pairs);
        }
        Ok(())
    }

    fn write_pair(&mut self, name: u32, value: u32, out: &mut Vec<u8>) -> Result<()> {
        let value = self.texts.value(self.index, name, value)?;
        put_bytes(out, self.index.name_text(name));
        put_bytes(out, value);
        Ok(())
    }

    /// Reads on to a series, whose pairs are then at hand.
    pub(crate) fn seek(&mut self, ordinal: u32) -> Result<()> {
        let sought = self
            .seek_first(ordinal)
            .and_then(|tail| self.seek_tail(tail));
        self.forget_if(sought.is_err());
        sought
    }

    /// Reads on to a series, whose first pair is then at hand; its tail.
    fn seek_first(&mut self, ordinal: u32) -> Result<u32> {
        if ordinal >= self.index.series_count() {
            let reader = Reader::new(self.series_part.bytes);
            return Err(self
                .series_part
                .malformed(&reader, "a series ordinal beyond the index"));
        }
        self.series
            .approach(self.series_part, self.index.series_count(), ordinal)?;
        while self.series.next <= ordinal {
            self.read_series()
                .map_err(|error| self.series_part.wrong(error))?;
        }
        let tail = u32::try_from(self.tail).ok();
        tail.filter(|tail| *tail < self.index.tails).ok_or_else(|| {
            let what = "a label set beyond the index";
            self.series_part.malformed(&self.series.reader, what)
        })
    }

    /// Reads on to the tail of the series at hand.
    fn seek_tail(&mut self, tail: u32) -> Result<()> {
        // The tail at hand was read last, so it is the one before `next`.
        if self.tails.next != tail.wrapping_add(1) {
            self.tails
                .approach(self.tails_part, self.index.tails, tail)?;
            while self.tails.next <= tail {
                self.read_tail()
                    .map_err(|error| self.tails_part.wrong(error))?;
            }
        }
        self.check_order(self.shape.first().copied())
    }

    /// Whether the label name that the tail of the series at hand begins with comes behind that of
    /// its first pair.
    fn check_order(&self, second: Option<u32>) -> Result<()> {
        let Some(second) = second else { return Ok(()) };
        if self.first.is_none_or(|(name, _)| second <= name) {
            let what = "labels of a series out of order";
            return Err(self.series_part.malformed(&self.series.reader, what));
        }
        Ok(())
    }

    /// The pairs of the series that was sought last, as numbers of names and values, in label order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (u32, u32)> {
        let tail = self.shape.iter().copied().zip(self.values.iter().copied());
        self.first.into_iter().chain(tail)
    }

    fn read_series(&mut self) -> treering_codec::Result<()> {
        let restart = self.series.next.is_multiple_of(RESTART as u32);
        let reader = &mut self.series.reader;
        let offset = reader.offset();
        let header = reader.varint()?;
        let expected = if restart {
            0
        } else {
            self.tail.wrapping_add(1)
        };
        self.tail = expected.wrapping_add(unzigzag(header >> 1));
        if header & 1 == 1 {
            let name =
                reader.length(self.index.names.len(), "a label name beyond the directory")?;
            self.first = match name.checked_sub(1) {
                Some(name) => Some((name as u32, number(reader)?)),
                None => None,
            };
        } else if restart {
            let what = "a block of series that does not start with a label";
            return Err(treering_codec::Error::Malformed { offset, what });
        }
        self.series.next += 1;
        Ok(())
    }

    fn read_tail(&mut self) -> treering_codec::Result<()> {
        let restart = self.tails.next.is_multiple_of(RESTART as u32);
        let reader = &mut self.tails.reader;
        let offset = reader.offset();
        let wrong = |what| treering_codec::Error::Malformed { offset, what };
        let header = reader.varint()?;
        let new = header & 1 == 1;
        if new {
            let shape = reader.length(u32::MAX as usize, "a shape beyond the index")?;
            self.shape = self
                .shapes
                .get(shape)
                .ok_or(wrong("a shape beyond the index"))?;
        } else if restart {
            return Err(wrong(
                "a block of label sets that does not start with a shape",
            ));
        }
        let known = if restart { 0 } else { self.values.len() };
        let shared = usize::try_from(header >> 1).ok();
        let shared = shared.filter(|shared| *shared <= known.min(self.shape.len()));
        let shared = shared.ok_or(wrong("more shared labels than there are"))?;
        let old = self.values.get(shared).copied().filter(|_| !new);
        self.values.truncate(shared);
        if let Some(old) = old {
            let value = i64::from(old).checked_add(reader.varint_i64()?);
            let value = value.and_then(|value| u32::try_from(value).ok());
            self.values
                .push(value.ok_or(wrong("a label value out of range"))?);
        }
        for _ in self.values.len()..self.shape.len() {
            self.values.push(number(reader)?);
        }
        self.tails.next += 1;
        Ok(())
    }
}

fn number(reader: &mut Reader<'_>) -> treering_codec::Result<u32> {
    Ok(reader.length(u32::MAX as usize, "a label value out of range")? as u32)
}

impl<D: AsRef<[u8]>> IndexReader<D> {
    /// The bytes of a label name.
    fn name_text(&self, name: u32) -> &[u8] {
        let name = self.names.get(name as usize);
        name.map_or(&[], |name| name.text.as_bytes())
    }

    /// Value `number` of a label name.
    pub(crate) fn value(&self, name: u32, number: u32) -> Result<&str> {
        let part = self.name_section(name, VALUES)?;
        let values = self.names.get(name as usize).map_or(0, |name| name.values);
        if number >= values {
            let reader = Reader::new(part.bytes);
            return Err(part.malformed(&reader, "a label value beyond the index"));
        }
        let mut rest = part.block(values, number)?.rest();
        for _ in 0..number as usize % RESTART {
            let skipped = fast::slice(&mut rest);
            skipped.ok_or_else(|| part.malformed_at(rest, "a label value that is cut short"))?;
        }
        let value = std::str::from_utf8(next_value(&part, &mut rest)?);
        value.map_err(|_| part.malformed_at(rest, "a label value that is not UTF-8"))
    }
}

/// The value at the start of `rest`, which lies in the section `part`; moves `rest` behind it.
#[inline]
pub(crate) fn next_value<'a>(part: &Part<'a>, rest: &mut &'a [u8]) -> Result<&'a [u8]> {
    let before = *rest;
    match fast::slice(rest) {
        Some(value) if (1..=HARD_MAX_VALUE_BYTES).contains(&value.len()) => Ok(value),
        _ => Err(part.malformed_at(before, "a label value that is cut short, empty or too long")),
    }
}
