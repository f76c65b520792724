//! Reading the directory of a block: the chunks of series, best asked for in ascending order.
//!
//! Input: an ordinal and a range of time. Output: a [`ChunkRef`] for each chunk that overlaps it,
//! ascending in time. Invariant: a cursor never reads outside the directory section, and a chunk
//! that it hands out lies inside the values section.

use std::ops::Range;

use bytes::Bytes;
use treering_codec::varint::Reader;

use super::chunk_ref::{ChunkRef, Need};
use super::columns::Columns;
use super::entries::{Entries, Series, Span, Window};
use super::format::{Footer, GROUP_BYTES, length};
use super::paged::PagedReader;
use crate::error::{Error, Result};

/// The directory of a block, from which cursors are made.
#[derive(Debug)]
pub(super) struct Directory {
    values: Range<u64>,
    directory: Range<u64>,
    group_table: Range<u64>,
    series: u64,
    /// Nanoseconds of a step, or 0.
    step: i64,
    has_sums: bool,
}

impl Directory {
    /// The directory of a block with this footer; reads nothing yet.
    pub(super) fn new(footer: &Footer) -> Self {
        let (sections, info) = (&footer.sections, &footer.info);
        Self {
            values: sections.values.clone(),
            directory: sections.directory.clone(),
            group_table: sections.group_table.clone(),
            series: info.series,
            step: info.meta.step_nanos(),
            has_sums: footer.has_sums(),
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

/// Which range of a series is wanted, and what of it.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// First and last timestamp.
    pub(super) range: (i64, i64),
    /// What of that range.
    pub(super) need: Need<'a>,
}

impl Lookup<'_> {
    /// Appends the wanted chunks of series `ordinal`, which overlap the range, ascending in time,
    /// and leaves `cursor` behind that series. A cursor of another block is moved to this one.
    ///
    /// [`Error::Corrupt`] when the directory is damaged or there is no such series; the cursor
    /// stays usable.
    pub(super) fn chunks(
        &self,
        cursor: &mut Cursor,
        ordinal: u32,
        wanted: Wanted<'_>,
        out: &mut Vec<ChunkRef>,
    ) -> Result<()> {
        let found = self.find(cursor, ordinal, wanted, out);
        if found.is_err() {
            cursor.ahead = 0..0;
        }
        found
    }

    fn find(
        &self,
        cursor: &mut Cursor,
        ordinal: u32,
        wanted: Wanted<'_>,
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
        cursor.series.constants.clear();
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
        wanted: Option<Wanted<'_>>,
        out: &mut Vec<ChunkRef>,
    ) -> Result<()> {
        let here = cursor.base + cursor.at as u64;
        let damage = |error| Error::codec(self.pages.path(), here, error);
        let mut reader = Reader::new(cursor.bytes.get(cursor.at..).unwrap_or_default());
        cursor.series.read_columns(&mut reader).map_err(damage)?;
        let need = wanted.map_or(Need::Chunks, |wanted| wanted.need);
        if let Some((first, last)) = wanted.map(|wanted| wanted.range) {
            let is_newest = matches!(need, Need::Newest);
            let same = |held: &&Window| {
                (held.first, held.last, held.is_newest) == (first, last, is_newest)
                    && held.columns == cursor.series.columns
            };
            if cursor.window.as_ref().filter(same).is_none() {
                let columns = &cursor.series.columns;
                cursor.window = Some(match is_newest {
                    true => self.newest(columns, first, last)?,
                    false => self.overlap(columns, first, last)?,
                });
            }
        }
        let entries = Entries {
            group: &cursor.bytes,
            values: &self.directory.values,
            step: self.directory.step,
            has_sums: self.directory.has_sums,
            base: cursor.at,
            window: cursor.window.as_ref().filter(|_| wanted.is_some()),
            need,
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
            is_newest: false,
            start,
            spans,
        })
    }

    /// The last of the chunks of these columns that overlaps `first..=last`.
    fn newest(&self, columns: &[u32], first: i64, last: i64) -> Result<Window> {
        let (mut start, mut end) = (0, columns.len());
        while start < end {
            let middle = start + (end - start) / 2;
            match columns.get(middle) {
                Some(&column) if self.span(column)?.min_time <= last => start = middle + 1,
                _ => end = middle,
            }
        }
        let newest = start.checked_sub(1).and_then(|index| columns.get(index));
        let span = newest.map(|&column| self.span(column)).transpose()?;
        let spans: Vec<Span> = span.into_iter().filter(|it| it.max_time >= first).collect();
        Ok(Window {
            columns: columns.to_vec(),
            first,
            last,
            is_newest: true,
            start: start.saturating_sub(1),
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
