//! Reader of the immutable index of a block.
//!
//! Input: bytes that [`IndexWriter`](crate::IndexWriter) made, or any others. Output: postings and
//! labels, or an error with an offset. Invariant: opening reads the directory only; a section's
//! checksum is verified before its first use and then remembered; no bytes make it panic.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use treering_codec::varint::Reader;
use treering_codec::{Error as Damage, crc32, crc32_parts};

use crate::error::Result;
use crate::format::*;
use crate::labels::{Labels, METRIC_NAME};
use crate::limits::HARD_MAX_NAME_BYTES;
use crate::matcher::Matcher;
use crate::postings::Postings;
use crate::read_series::{LabelsCursor, Shapes};
use crate::select::{self, Index};
use crate::stats::{CardinalityStats, top};

/// Answers from the bytes of an immutable index. May be shared among threads.
///
/// Series have ordinals 0, 1, 2, ... in label order. Damaged bytes give errors for which
/// [`Error::is_corruption`](crate::Error::is_corruption) is true, never wrong answers as long as
/// the checksums catch the damage.
pub struct IndexReader<D> {
    data: D,
    /// Where the directory starts, which reaches to the footer.
    directory: usize,
    sections: Vec<Section>,
    verified: Box<[AtomicBool]>,
    pub(crate) names: Vec<NameEntry>,
    series: u32,
    pub(crate) tails: u32,
    shape_count: u32,
    shapes: OnceLock<Shapes>,
}

#[derive(Debug, Clone, Copy)]
struct Section {
    start: usize,
    len: usize,
    crc: u32,
}

/// A label name of the directory.
#[derive(Debug)]
pub(crate) struct NameEntry {
    /// The name.
    pub(crate) text: Box<str>,
    /// Number of distinct values.
    pub(crate) values: u32,
    /// Number of series that have the label.
    pub(crate) series: u32,
}

/// A section whose checksum is right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// Its offset in the index.
    pub(crate) base: usize,
}

impl<'a> Part<'a> {
    /// A reader at the restart before entry `number` of `entries`, in a section of blocks.
    pub(crate) fn block(&self, entries: u32, number: u32) -> Result<Reader<'a>> {
        let places = (entries as usize).div_ceil(RESTART) * 4;
        let mut place = Reader::new(self.bytes);
        let place = place
            .take(number as usize / RESTART * 4)
            .and_then(|_| place.u32());
        let place = place.map_err(|error| self.wrong(error))?;
        let mut reader = Reader::new(self.bytes);
        reader
            .take(places)
            .and_then(|_| reader.take(place as usize))
            .map_err(|e| self.wrong(e))?;
        Ok(reader)
    }

    /// An error at an offset inside this section.
    pub(crate) fn wrong(&self, damage: Damage) -> crate::Error {
        damage.shifted(self.base).into()
    }

    /// An error about `rest`, which is the end of this section.
    #[cold]
    pub(crate) fn malformed_at(&self, rest: &[u8], what: &'static str) -> crate::Error {
        let offset = self.bytes.len().saturating_sub(rest.len());
        self.wrong(Damage::Malformed { offset, what })
    }

    /// An error about the bytes at `reader`.
    pub(crate) fn malformed(&self, reader: &Reader<'_>, what: &'static str) -> crate::Error {
        self.wrong(Damage::Malformed {
            offset: reader.offset(),
            what,
        })
    }
}

impl<D: AsRef<[u8]>> IndexReader<D> {
    /// Opens the bytes of an index, exactly. Checks header, footer and directory; costs O(label
    /// names), nothing per series or value.
    pub fn open(data: D) -> Result<Self> {
        let bytes = data.as_ref();
        let truncated = Damage::Truncated {
            offset: bytes.len(),
        };
        let footer_at = bytes.len().checked_sub(FOOTER_BYTES).ok_or(truncated)?;
        let header = bytes.get(..HEADER_BYTES).ok_or(truncated)?;
        let footer = bytes.get(footer_at..).ok_or(truncated)?;
        let mut reader = Reader::new(header);
        if reader.array()? != MAGIC || !footer.ends_with(&MAGIC) {
            let what = "these bytes are not an index, or are not all of it";
            return Err(Damage::Malformed { offset: 0, what }.into());
        }
        let version = reader.u16()?;
        if version != VERSION {
            let (what, found) = ("index version", u64::from(version));
            return Err(Damage::Unsupported {
                offset: MAGIC.len(),
                what,
                found,
            }
            .into());
        }
        let mut reader = Reader::new(footer);
        let (offset, len) = (reader.u64()?, reader.u32()?);
        let directory_crc = reader.u32()?;
        let covered = footer.get(..reader.offset()).unwrap_or_default();
        check(
            reader.u32()?,
            crc32_parts(FOOTER_SEED, &[header, covered]),
            footer_at,
        )?;
        let start = usize::try_from(offset).ok().filter(|start| {
            *start >= HEADER_BYTES && start.checked_add(len as usize) == Some(footer_at)
        });
        let what = "the directory is not where the footer says";
        let start = start.ok_or(Damage::Malformed {
            offset: footer_at,
            what,
        })?;
        let directory = bytes.get(start..footer_at).unwrap_or_default();
        check(directory_crc, crc32(DIRECTORY_SEED, directory), start)?;
        let mut reader = Directory::new(directory, start);
        let (names, [series, tails, shape_count]) = reader.read().map_err(|e| e.shifted(start))?;
        let sections = reader.sections;
        let verified = sections.iter().map(|_| AtomicBool::new(false)).collect();
        let shapes = OnceLock::new();
        Ok(Self {
            data,
            directory: start,
            sections,
            verified,
            names,
            series,
            tails,
            shape_count,
            shapes,
        })
    }

    /// Section `number`, its checksum verified.
    pub(crate) fn section(&self, number: usize) -> Result<Part<'_>> {
        let missing = Damage::Malformed {
            offset: 0,
            what: "a section that is not there",
        };
        let section = self.sections.get(number).ok_or(missing)?;
        let end = section.start + section.len;
        let bytes = self.data.as_ref().get(section.start..end).ok_or(missing)?;
        let verified = self.verified.get(number).ok_or(missing)?;
        // The flag guards nothing but work: the bytes never change.
        if !verified.load(Ordering::Relaxed) {
            check(section.crc, crc32(number as u32, bytes), section.start)?;
            verified.store(true, Ordering::Relaxed);
        }
        Ok(Part {
            bytes,
            base: section.start,
        })
    }

    /// Number of sections.
    pub(crate) fn section_count(&self) -> usize {
        self.sections.len()
    }

    /// A section of a label name.
    pub(crate) fn name_section(&self, name: u32, kind: usize) -> Result<Part<'_>> {
        self.section(FIRST_NAME + name as usize * PER_NAME + kind)
    }

    /// The shapes, read at first use.
    pub(crate) fn shapes(&self) -> Result<&Shapes> {
        if let Some(shapes) = self.shapes.get() {
            return Ok(shapes);
        }
        let part = self.section(SHAPES)?;
        let shapes = Shapes::read(part, self.shape_count, self.names.len() as u32)?;
        Ok(self.shapes.get_or_init(|| shapes))
    }

    /// Number of series; ordinals are below it.
    pub fn series_count(&self) -> u32 {
        self.series
    }

    /// The labels of a series; an error for an ordinal that is not below the count. For many
    /// series in ascending order, [`cursor`](Self::cursor) is faster.
    pub fn labels(&self, ordinal: u32) -> Result<Labels> {
        self.cursor()?.labels(ordinal)
    }

    /// A cursor that reads the labels of many series, fastest in ascending order.
    pub fn cursor(&self) -> Result<LabelsCursor<'_, D>> {
        LabelsCursor::new(self)
    }

    /// The ordinals of the series that meet all `matchers`.
    pub fn select(&self, matchers: &[Matcher]) -> Result<Postings> {
        select::select(self, matchers)
    }

    /// The distinct label names, sorted; of the series in `within`, or of all.
    pub fn label_names(&self, within: Option<&Postings>) -> Result<Vec<String>> {
        select::label_names(self, within)
    }

    /// The distinct values of a label, sorted; of the series in `within`, or of all.
    pub fn label_values(&self, name: &str, within: Option<&Postings>) -> Result<Vec<String>> {
        select::label_values(self, name, within)
    }

    /// Whether `other` is known to have the same values of a label: their bytes are compared, none
    /// is read.
    pub fn has_values_of(&self, other: &Self, name: &str) -> Result<bool> {
        let (Some(mine), Some(others)) = (self.find_name(name)?, other.find_name(name)?) else {
            return Ok(false);
        };
        let mine = self.name_section(mine, VALUES)?;
        Ok(mine.bytes == other.name_section(others, VALUES)?.bytes)
    }

    /// Bytes that are equal for two indexes when they have the same series under the same ordinals,
    /// and else differ: the directory and the footer, one to some ten bytes per section.
    ///
    /// A directory has the names of the labels, and of each section the length and the checksum; the
    /// same series are always written alike. Different ones differ in two sections at least, each with
    /// a checksum of its own: which values there are is in the values and in the transducers, which
    /// series have them is in the lists and in the labels of the series.
    pub fn fingerprint(&self) -> &[u8] {
        let bytes = self.data.as_ref().get(self.directory..);
        bytes.unwrap_or_default()
    }

    /// The ordinal of the series with exactly these labels. O(log series).
    pub fn find(&self, labels: &Labels) -> Result<Option<u32>> {
        let mut cursor = self.cursor()?;
        let (mut low, mut high) = (0, self.series);
        while low < high {
            let middle = low + (high - low) / 2;
            match cursor.labels(middle)?.cmp(labels) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// What makes this index large; at most `limit` entries per list. The bytes of a name are
    /// those of its name and its distinct values. O(metrics).
    pub fn stats(&self, limit: usize) -> Result<CardinalityStats> {
        let mut metrics = Vec::new();
        if let Some(name) = self.find_name(METRIC_NAME)? {
            self.scan(name, "", &mut |_, pair| {
                metrics.push((
                    self.value_text(pair)?.to_owned(),
                    self.series_in(pair)? as u64,
                ));
                Ok(true)
            })?;
        }
        let values = self
            .names
            .iter()
            .map(|name| (&*name.text, u64::from(name.values)));
        let bytes = self.names.iter().enumerate().map(|(number, name)| {
            let section = self.sections.get(FIRST_NAME + number * PER_NAME + VALUES);
            let places = (name.values as usize).div_ceil(RESTART) * 4;
            let names = (name.text.len() + 1) * name.values as usize;
            let values = section.map_or(0, |section| section.len.saturating_sub(places));
            (&*name.text, (values + names) as u64)
        });
        Ok(CardinalityStats {
            series: u64::from(self.series),
            label_names: self.names.len() as u64,
            label_pairs: values.clone().map(|(_, count)| count).sum(),
            top_metrics: top(
                metrics.iter().map(|(name, count)| (name.as_str(), *count)),
                limit,
            ),
            top_value_counts: top(values, limit),
            top_bytes: top(bytes, limit),
        })
    }
}

fn check(expected: u32, found: u32, offset: usize) -> std::result::Result<(), Damage> {
    if expected == found {
        Ok(())
    } else {
        Err(Damage::Checksum {
            offset,
            expected,
            found,
        })
    }
}

/// Reads the directory, whose sections end where it starts.
struct Directory<'a> {
    reader: Reader<'a>,
    sections: Vec<Section>,
    /// Where the next section starts.
    next: usize,
    /// Where the directory starts.
    end: usize,
}

impl<'a> Directory<'a> {
    fn new(bytes: &'a [u8], end: usize) -> Self {
        Self {
            reader: Reader::new(bytes),
            sections: Vec::new(),
            next: HEADER_BYTES,
            end,
        }
    }

    fn wrong<T>(&self, what: &'static str) -> std::result::Result<T, Damage> {
        Err(Damage::Malformed {
            offset: self.reader.offset(),
            what,
        })
    }

    fn count(&mut self) -> std::result::Result<u32, Damage> {
        let what = "a count that is larger than the index";
        Ok(self
            .reader
            .length(self.end.min(u32::MAX as usize - 1), what)? as u32)
    }

    fn section(&mut self) -> std::result::Result<usize, Damage> {
        let what = "a section that reaches into the directory";
        let len = self.reader.length(self.end - self.next, what)?;
        let crc = self.reader.u32()?;
        self.sections.push(Section {
            start: self.next,
            len,
            crc,
        });
        self.next += len;
        Ok(len)
    }

    fn read(&mut self) -> std::result::Result<(Vec<NameEntry>, [u32; 3]), Damage> {
        let (series, tails, shapes) = (self.count()?, self.count()?, self.count()?);
        for count in [shapes, tails, series] {
            // Each entry has a byte at least, so counts bound what is allocated for them.
            if self.section()? < count as usize {
                return self.wrong("a section shorter than its number of entries");
            }
        }
        let count = self
            .reader
            .length(self.reader.remaining(), "too many label names")?;
        let mut names: Vec<NameEntry> = Vec::new();
        for _ in 0..count {
            let name = std::str::from_utf8(self.reader.bytes()?);
            let Some(text) = name
                .ok()
                .filter(|name| (1..=HARD_MAX_NAME_BYTES).contains(&name.len()))
            else {
                return self.wrong("a label name that is not UTF-8, empty or too long");
            };
            if names.last().is_some_and(|last| *last.text >= *text) {
                return self.wrong("label names out of order");
            }
            let (values, with) = (self.count()?, self.count()?);
            self.section()?;
            let (value_bytes, list_bytes) = (self.section()?, self.section()?);
            if value_bytes / 2 < values as usize || list_bytes / 4 <= values as usize {
                return self.wrong("a section shorter than its number of values");
            }
            if with > series || values > with {
                return self.wrong("more values or series of a label than there are");
            }
            names.push(NameEntry {
                text: text.into(),
                values,
                series: with,
            });
        }
        if self.next != self.end || !self.reader.is_empty() {
            return self.wrong("sections do not fill the index");
        }
        Ok((names, [series, tails, shapes]))
    }
}

impl<D: AsRef<[u8]>> fmt::Debug for IndexReader<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexReader")
            .field("bytes", &self.data.as_ref().len())
            .field("series", &self.series)
            .field("names", &self.names.len())
            .finish()
    }
}
