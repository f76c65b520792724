//! Reading the directory of a block: the chunks of series, best asked for in ascending order.
//!
//! Input: an ordinal and a range of time. Output: a [`ChunkRef`] for each chunk that overlaps it,
//! ascending in time. Invariant: a cursor never reads outside the directory section, and a chunk
//! that it hands out lies inside the values section.

use std::ops::Range;

use bytes::Bytes;
use treering_codec::varint::Reader;
use treering_codec::{MAX_CHUNK_SAMPLES, Stats};

use super::columns::Columns;
use super::format::{
    BlockInfo, GROUP_BYTES, KIND_BITS, KIND_CONSTANT, KIND_PLAIN, KIND_STEPPED, KIND_SUMMED,
    STRIDDEN_CHUNKS, STRIDE_CHUNKS, Sections, length,
};
use super::paged::PagedReader;
use crate::error::{Error, Result};

/// One chunk of a series, not yet decoded.
#[derive(Debug, Clone)]
pub(crate) struct ChunkRef {
    /// Timestamp of the first sample.
    pub(crate) min_time: i64,
    /// Timestamp of the last sample.
    pub(crate) max_time: i64,
    /// Samples in it, stale markers included.
    pub(crate) count: u32,
    /// Its timestamp column.
    pub(crate) column: u32,
    /// Where its values are.
    pub(crate) values: Values,
    /// Bytes behind the values that sum up the steps.
    pub(super) summaries: u32,
    /// Statistics; `None` for a chunk of few samples, which is as quickly decoded.
    pub(crate) stats: Option<Stats>,
    /// Nanoseconds of a step, or 0. Each row of a stepped chunk is the last sample of its step, and
    /// the statistics are those of all samples: these reach back from `min_time` to the start of
    /// the step window (left-open, right-closed, a multiple of the step since the epoch) that it
    /// lies in. Rows of one sample each make a chunk without steps.
    pub(crate) step: i64,
}

/// Where the values of a chunk are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values {
    /// All of them are this one, bit for bit.
    Constant(f64),
    /// Encoded, at this offset of the file.
    Encoded {
        /// Offset of the first byte.
        offset: u64,
        /// Length in bytes.
        bytes: u32,
    },
}

/// The directory of a block, from which cursors are made.
#[derive(Debug)]
pub(super) struct Directory {
    values: Range<u64>,
    directory: Range<u64>,
    group_table: Range<u64>,
    series: u64,
    /// Nanoseconds of a step, or 0.
    step: i64,
}

impl Directory {
    /// The directory of a block with these sections; reads nothing yet.
    pub(super) fn new(sections: &Sections, info: &BlockInfo) -> Self {
        Self {
            values: sections.values.clone(),
            directory: sections.directory.clone(),
            group_table: sections.group_table.clone(),
            series: info.series,
            step: info.meta.step_nanos(),
        }
    }

    /// The group of `ordinal`: its series, its extent in the directory section, and its number.
    /// It is sought first at `likely`.
    fn group(&self, pages: &PagedReader, ordinal: u32, likely: u64) -> Result<Group> {
        let mut number = likely;
        let mut found = self.group_at(pages, number)?;
        if !found
            .as_ref()
            .is_some_and(|group| group.series.contains(&ordinal))
        {
            // The groups before `low` begin at or before `ordinal`, those from `high` on after it.
            let (mut low, mut high) = (0, length(&self.group_table) / GROUP_BYTES as u64);
            while high - low > ROWS_AT_ONCE {
                let middle = low + (high - low) / 2;
                match self.rows(pages, middle..middle + 1)?.first() {
                    Some(row) if row.0 > ordinal => high = middle,
                    _ => low = middle + 1,
                }
            }
            let rows = self.rows(pages, low..high)?;
            low += rows.partition_point(|row| row.0 <= ordinal) as u64;
            number = low.wrapping_sub(1);
            found = self.group_at(pages, number)?;
        }
        match found {
            Some(group) if group.series.contains(&ordinal) => Ok(group),
            _ => {
                let what = format!("no group of the directory holds series {ordinal}");
                Err(Error::corrupt(pages.path(), self.group_table.start, what))
            }
        }
    }

    /// The group with this number, if there is one that is whole.
    fn group_at(&self, pages: &PagedReader, number: u64) -> Result<Option<Group>> {
        let groups = length(&self.group_table) / GROUP_BYTES as u64;
        if number >= groups {
            return Ok(None);
        }
        let end = (
            u32::try_from(self.series).unwrap_or(u32::MAX),
            u32::try_from(length(&self.directory)).unwrap_or(u32::MAX),
        );
        let rows = self.rows(pages, number..groups.min(number + 2))?;
        let Some(&(series, start)) = rows.first() else {
            return Ok(None);
        };
        let next = rows.get(1).copied().unwrap_or(end);
        Ok((start < next.1 && next.1 <= end.1).then(|| Group {
            number,
            series: series..next.0,
            extent: u64::from(start)..u64::from(next.1),
        }))
    }

    /// Rows of the group table: first series and offset of a group.
    fn rows(&self, pages: &PagedReader, numbers: Range<u64>) -> Result<Vec<(u32, u32)>> {
        let at = self.group_table.start + numbers.start * GROUP_BYTES as u64;
        let bytes = length(&numbers) as usize * GROUP_BYTES;
        let rows = pages.read(at, bytes)?;
        let (rows, _) = rows.as_chunks::<GROUP_BYTES>();
        let row = |&[a, b, c, d, e, f, g, h]: &[u8; GROUP_BYTES]| {
            (
                u32::from_le_bytes([a, b, c, d]),
                u32::from_le_bytes([e, f, g, h]),
            )
        };
        Ok(rows.iter().map(row).collect())
    }
}

/// Most rows of the group table that are read at a time.
const ROWS_AT_ONCE: u64 = 128;

/// A group of series in the directory.
struct Group {
    number: u64,
    series: Range<u32>,
    /// Its bytes in the directory section.
    extent: Range<u64>,
}

/// A place in the directory of one block, kept between look-ups: cheap to move forwards.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    /// Seed of the block that it stands in.
    seed: Option<u32>,
    /// The group, and its offset in the file.
    bytes: Bytes,
    base: u64,
    /// Where the next series begins in `bytes`.
    at: usize,
    /// Number of the group that follows.
    next_group: u64,
    /// Ordinals from the next series to the end of the group.
    ahead: Range<u32>,
    series: Series,
    window: Option<Window>,
}

/// What a look-up in the directory needs of its block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lookup<'a> {
    pub(super) pages: &'a PagedReader,
    pub(super) columns: &'a Columns,
    pub(super) directory: &'a Directory,
}

/// What carries over from one series of a group to the next.
#[derive(Debug, Default)]
struct Series {
    columns: Vec<u32>,
    expected: i64,
    /// Offset in the values section of the next chunk.
    values: u64,
    /// Where in the group the statistics of the last constant chunk are.
    constant: Option<usize>,
}

/// The chunks of the current columns that overlap a range of time.
#[derive(Debug)]
struct Window {
    columns: Vec<u32>,
    first: i64,
    last: i64,
    /// Index of the first of them.
    start: usize,
    spans: Vec<Span>,
}

/// What the column of a chunk tells.
#[derive(Debug, Clone, Copy)]
struct Span {
    min_time: i64,
    max_time: i64,
    count: u32,
    column: u32,
}

impl Window {
    fn span(&self, index: usize) -> Option<Span> {
        self.spans.get(index.checked_sub(self.start)?).copied()
    }

    fn chunks(&self) -> Range<usize> {
        self.start..self.start + self.spans.len()
    }
}

impl Lookup<'_> {
    /// Appends the chunks of series `ordinal` that overlap `first..=last`, ascending in time, and
    /// leaves `cursor` behind that series. A cursor of another block is moved to this one.
    ///
    /// [`Error::Corrupt`] when the directory is damaged or there is no such series; the cursor
    /// stays usable.
    pub(super) fn chunks(
        &self,
        cursor: &mut Cursor,
        ordinal: u32,
        (first, last): (i64, i64),
        out: &mut Vec<ChunkRef>,
    ) -> Result<()> {
        let found = self.find(cursor, ordinal, (first, last), out);
        if found.is_err() {
            cursor.ahead = 0..0;
        }
        found
    }

    fn find(
        &self,
        cursor: &mut Cursor,
        ordinal: u32,
        wanted: (i64, i64),
        out: &mut Vec<ChunkRef>,
    ) -> Result<()> {
        if cursor.seed != Some(self.pages.seed()) || !cursor.ahead.contains(&ordinal) {
            self.enter(cursor, ordinal)?;
        }
        while cursor.ahead.start < ordinal {
            self.read_series(cursor, None, out)?;
        }
        self.read_series(cursor, Some(wanted), out)
    }

    /// Moves to the start of the group of `ordinal`.
    fn enter(&self, cursor: &mut Cursor, ordinal: u32) -> Result<()> {
        cursor.ahead = 0..0;
        let group = self
            .directory
            .group(self.pages, ordinal, cursor.next_group)?;
        let start = self.directory.directory.start;
        cursor.next_group = group.number + 1;
        cursor.base = start + group.extent.start;
        cursor.bytes = self.pages.keep(&(cursor.base..start + group.extent.end))?;
        cursor.series.columns.clear();
        cursor.series.expected = 0;
        cursor.series.constant = None;
        if cursor.seed != Some(self.pages.seed()) {
            // Another block's columns are other columns.
            cursor.window = None;
        }
        let mut reader = Reader::new(&cursor.bytes);
        let values = reader.varint();
        cursor.series.values =
            values.map_err(|error| Error::codec(self.pages.path(), cursor.base, error))?;
        cursor.at = reader.offset();
        cursor.ahead = group.series;
        cursor.seed = Some(self.pages.seed());
        Ok(())
    }

    /// Reads one series; appends its chunks in the wanted range of time, if any.
    fn read_series(
        &self,
        cursor: &mut Cursor,
        wanted: Option<(i64, i64)>,
        out: &mut Vec<ChunkRef>,
    ) -> Result<()> {
        let here = cursor.base + cursor.at as u64;
        let damage = |error| Error::codec(self.pages.path(), here, error);
        let mut reader = Reader::new(cursor.bytes.get(cursor.at..).unwrap_or_default());
        cursor.series.read_columns(&mut reader).map_err(damage)?;
        let same = |held: &Window| held.columns == cursor.series.columns;
        if let Some(range) = wanted
            && !cursor
                .window
                .as_ref()
                .is_some_and(|held| (held.first, held.last) == range && same(held))
        {
            let (first, last) = range;
            cursor.window = Some(self.overlap(&cursor.series.columns, first, last)?);
        }
        let entries = Entries {
            group: &cursor.bytes,
            values: &self.directory.values,
            step: self.directory.step,
            base: cursor.at,
            window: cursor.window.as_ref().filter(|_| wanted.is_some()),
        };
        let chunks = cursor.series.columns.len();
        entries
            .read(&mut reader, chunks, &mut cursor.series, out)
            .map_err(damage)?;
        cursor.at += reader.offset();
        cursor.ahead.start += 1;
        Ok(())
    }

    /// The chunks of these columns, which ascend in time, that overlap `first..=last`.
    fn overlap(&self, columns: &[u32], first: i64, last: i64) -> Result<Window> {
        let (mut start, mut end) = (0, columns.len());
        while start < end {
            let middle = start + (end - start) / 2;
            match columns.get(middle) {
                Some(&column) if self.span(column)?.max_time < first => start = middle + 1,
                _ => end = middle,
            }
        }
        let mut spans = Vec::new();
        for &column in columns.get(start..).unwrap_or_default() {
            let span = self.span(column)?;
            if span.min_time > last {
                break;
            }
            spans.push(span);
        }
        Ok(Window {
            columns: columns.to_vec(),
            first,
            last,
            start,
            spans,
        })
    }

    fn span(&self, column: u32) -> Result<Span> {
        let summary = self.columns.summary(self.pages, column)?;
        Ok(Span {
            min_time: summary.first,
            max_time: summary.last,
            count: summary.count as u32,
            column,
        })
    }
}

impl Series {
    /// Reads the columns of the next series.
    fn read_columns(&mut self, reader: &mut Reader<'_>) -> treering_codec::Result<()> {
        // Every chunk has an entry of at least one byte.
        let chunks = reader.length(reader.remaining(), "more chunks than the group has bytes")?;
        if chunks == 0 {
            return match self.columns.is_empty() {
                true => Err(malformed(reader, "a series without columns")),
                false => Ok(()),
            };
        }
        self.columns.clear();
        while self.columns.len() < chunks {
            let left = chunks - self.columns.len();
            let first = self.expected.checked_add(reader.varint_i64()?);
            let first = first
                .and_then(|first| u32::try_from(first).ok())
                .ok_or_else(|| malformed(reader, "a column number out of range"))?;
            let run = match left {
                1 => 1,
                _ => reader.length(left, "a run of columns longer than the series")?,
            };
            if run == 0 {
                return Err(malformed(reader, "an empty run of columns"));
            }
            self.columns.extend((first..=u32::MAX).take(run));
            self.expected = i64::from(first) + run as i64;
        }
        Ok(())
    }
}

/// What an entry tells.
struct Entry {
    values: Values,
    summaries: u32,
    stats: Option<Stats>,
    is_stepped: bool,
}

/// The entries of one series.
struct Entries<'a> {
    /// The whole group.
    group: &'a [u8],
    /// The values section.
    values: &'a Range<u64>,
    /// Nanoseconds of a step, or 0.
    step: i64,
    /// Where the series begins in the group.
    base: usize,
    /// Which chunks are wanted, if any.
    window: Option<&'a Window>,
}

impl Entries<'_> {
    /// Reads past the entries of `chunks` chunks; appends the wanted ones.
    fn read(
        &self,
        reader: &mut Reader<'_>,
        chunks: usize,
        series: &mut Series,
        out: &mut Vec<ChunkRef>,
    ) -> treering_codec::Result<()> {
        if chunks < STRIDDEN_CHUNKS {
            return self.read_some(reader, 0..chunks, series, out);
        }
        let wanted = self.window.map_or(0..0, Window::chunks);
        for start in (0..chunks).step_by(STRIDE_CHUNKS) {
            let stride = start..chunks.min(start + STRIDE_CHUNKS);
            let bytes = reader.length(reader.remaining(), "a stride leaves its group")?;
            let values = reader.varint()?;
            let after = series.values.saturating_add(values);
            let end = reader.remaining().saturating_sub(bytes);
            series.constant = None;
            if stride.end <= wanted.start || stride.start >= wanted.end {
                reader.take(bytes)?;
            } else {
                self.read_some(reader, stride, series, out)?;
                if reader.remaining() != end || series.values != after {
                    return Err(malformed(reader, "a stride is not as long as it says"));
                }
            }
            series.values = after;
        }
        series.constant = None;
        Ok(())
    }

    fn read_some(
        &self,
        reader: &mut Reader<'_>,
        chunks: Range<usize>,
        series: &mut Series,
        out: &mut Vec<ChunkRef>,
    ) -> treering_codec::Result<()> {
        for index in chunks {
            let span = self.window.and_then(|window| window.span(index));
            // The count of a chunk that is passed over is not known; any does to find its end.
            let samples = span.map_or(MAX_CHUNK_SAMPLES as u32, |span| span.count);
            let entry = self.read_entry(reader, samples, series)?;
            if let Some(span) = span {
                out.push(ChunkRef {
                    min_time: span.min_time,
                    max_time: span.max_time,
                    count: span.count,
                    column: span.column,
                    values: entry.values,
                    summaries: entry.summaries,
                    stats: entry.stats,
                    step: if entry.is_stepped { self.step } else { 0 },
                });
            }
        }
        Ok(())
    }

    fn read_entry(
        &self,
        reader: &mut Reader<'_>,
        samples: u32,
        series: &mut Series,
    ) -> treering_codec::Result<Entry> {
        let tag = reader.varint()?;
        let (kind, number) = (tag & ((1 << KIND_BITS) - 1), tag >> KIND_BITS);
        let mut summaries = 0;
        let stats = match kind {
            KIND_CONSTANT => {
                let stats = self.read_constant(reader, samples, number, series)?;
                return Ok(Entry {
                    values: Values::Constant(stats.first),
                    summaries,
                    stats: Some(stats),
                    is_stepped: false,
                });
            }
            KIND_SUMMED => Some(Stats::decode(reader, samples)?),
            KIND_PLAIN => None,
            KIND_STEPPED if self.step > 0 => {
                let most = usize::try_from(number).unwrap_or(usize::MAX);
                let what = "step summaries longer than their chunk";
                summaries = reader.length(most.min(u32::MAX as usize), what)? as u32;
                let what = "more samples than a chunk can count";
                let samples = reader.length(u32::MAX as usize, what)? as u32;
                Some(Stats::decode(reader, samples)?)
            }
            _ => return Err(malformed(reader, "an unknown kind of chunk entry")),
        };
        let end = series
            .values
            .checked_add(number)
            .filter(|end| *end <= length(self.values));
        let (end, bytes) = end
            .zip(u32::try_from(number).ok())
            .ok_or_else(|| malformed(reader, "a chunk leaves the values section"))?;
        let offset = self.values.start + series.values;
        series.values = end;
        let bytes = bytes - summaries;
        Ok(Entry {
            values: Values::Encoded { offset, bytes },
            summaries,
            stats,
            is_stepped: kind == KIND_STEPPED,
        })
    }

    fn read_constant(
        &self,
        reader: &mut Reader<'_>,
        samples: u32,
        number: u64,
        series: &mut Series,
    ) -> treering_codec::Result<Stats> {
        let stats = match (number, series.constant) {
            (0, _) => {
                series.constant = Some(self.base + reader.offset());
                Stats::decode(reader, samples)?
            }
            (1, Some(at)) => {
                let before = self.group.get(at..).unwrap_or_default();
                Stats::decode(&mut Reader::new(before), samples)?
            }
            _ => return Err(malformed(reader, "a constant without a value")),
        };
        if stats.stale != 0 {
            return Err(malformed(reader, "a constant with stale markers"));
        }
        Ok(stats)
    }
}

fn malformed(reader: &Reader<'_>, what: &'static str) -> treering_codec::Error {
    treering_codec::Error::Malformed {
        offset: reader.offset(),
        what,
    }
}
