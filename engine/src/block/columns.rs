//! The timestamp columns of a block: each distinct one is stored once.
//!
//! Input of [`ColumnSet`]: the timestamps of chunks; of [`Columns`]: column numbers. Output:
//! numbers counted from 0, and timestamps. Invariant: two chunks have the same number only when
//! their timestamps are equal; a column read back is strictly increasing and not empty.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use treering_codec::varint::Reader;
use treering_codec::{
    MAX_CHUNK_SAMPLES, TimeSummary, decode_timestamps, encode_timestamps, summarize_timestamps,
};
use xxhash_rust::xxh3::xxh3_64;

use super::format::{ROW_BYTES, ROW_COLUMNS, Sections, length};
use super::paged::PagedReader;
use crate::error::{Error, Result};

/// Collects the distinct columns of a block that is being written.
#[derive(Debug, Default)]
pub(super) struct ColumnSet {
    /// The encoded columns, one after the other.
    bytes: Vec<u8>,
    /// End of each in `bytes`.
    ends: Vec<usize>,
    by_hash: HashMap<u64, u32>,
    candidate: Vec<u8>,
}

impl ColumnSet {
    /// The number of the column `timestamps`, which is added when it is not there yet.
    pub(super) fn add(&mut self, timestamps: &[i64]) -> Result<u32> {
        let mut encoded = std::mem::take(&mut self.candidate);
        encoded.clear();
        encode_timestamps(timestamps, &mut encoded);
        let column = self.add_encoded(&encoded);
        self.candidate = encoded;
        column
    }

    /// The number of a column that is encoded already.
    pub(super) fn add_encoded(&mut self, encoded: &[u8]) -> Result<u32> {
        // The encoder is deterministic, so equal timestamps are equal bytes; unequal columns with
        // the same hash are merely stored without sharing.
        let hash = xxh3_64(encoded);
        if let Some(&column) = self.by_hash.get(&hash)
            && self.encoded(column as usize) == encoded
        {
            return Ok(column);
        }
        let column = u32::try_from(self.ends.len()).map_err(|_| {
            let hint = "write the samples into several blocks";
            Error::limit(
                "timestamp column limit of a block",
                u32::MAX.into(),
                "a block",
                hint,
            )
        })?;
        if encoded.len() > u16::MAX.into() {
            let why = "make a column of more than 64 KiB".to_owned();
            return Err(Error::InvalidArgument {
                argument: "timestamps",
                why,
            });
        }
        self.bytes.extend_from_slice(encoded);
        self.ends.push(self.bytes.len());
        self.by_hash.entry(hash).or_insert(column);
        Ok(column)
    }

    /// How many distinct columns there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The columns section.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The column table: per row the offset of its first column and the length of each.
    pub(super) fn table(&self) -> Vec<u8> {
        let mut table = Vec::with_capacity(self.len().div_ceil(ROW_COLUMNS) * ROW_BYTES);
        let mut start = 0;
        for row in self.ends.chunks(ROW_COLUMNS) {
            table.extend_from_slice(&(start as u64).to_le_bytes());
            for &end in row {
                table.extend_from_slice(&((end - start) as u16).to_le_bytes());
                start = end;
            }
            table.resize(table.len() + 2 * (ROW_COLUMNS - row.len()), 0);
        }
        table
    }

    fn encoded(&self, column: usize) -> &[u8] {
        let start = column
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        let end = self.ends.get(column).copied().unwrap_or(0);
        self.bytes
            .get(start.copied().unwrap_or(0)..end)
            .unwrap_or_default()
    }
}

/// The timestamp columns of a block that is being read.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Range<u64>,
    column_table: Range<u64>,
    count: u64,
}

impl Columns {
    /// The columns of a block with these sections; reads nothing yet.
    pub(super) fn new(sections: &Sections, count: u64) -> Self {
        Self {
            columns: sections.columns.clone(),
            column_table: sections.column_table.clone(),
            count,
        }
    }

    /// Count, first and last timestamp of a column, without decoding it.
    pub(super) fn summary(&self, pages: &PagedReader, column: u32) -> Result<TimeSummary> {
        let (offset, bytes) = self.locate(pages, column)?;
        let encoded = pages.read(offset, bytes)?;
        let summary = summarize_timestamps(&encoded)
            .map_err(|error| Error::codec(pages.path(), offset, error))?;
        if summary.count == 0 || summary.count > MAX_CHUNK_SAMPLES || !summary.increasing {
            let what = "a timestamp column is empty or not increasing";
            return Err(Error::corrupt(pages.path(), offset, what));
        }
        Ok(summary)
    }

    /// The timestamps of a column, decoded once for all series that share it while the cache keeps it.
    pub(super) fn timestamps(&self, pages: &PagedReader, column: u32) -> Result<Arc<[i64]>> {
        if let Some(timestamps) = pages.things().column(column) {
            return Ok(timestamps);
        }
        let timestamps: Arc<[i64]> = self.decode(pages, column)?.into();
        pages.things().keep_column(column, &timestamps);
        Ok(timestamps)
    }

    /// The timestamps of a column, decoded anew.
    pub(super) fn decode(&self, pages: &PagedReader, column: u32) -> Result<Vec<i64>> {
        let summary = self.summary(pages, column)?;
        let (offset, bytes) = self.locate(pages, column)?;
        let encoded = pages.read(offset, bytes)?;
        let mut timestamps = Vec::with_capacity(summary.count);
        decode_timestamps(&encoded, &mut timestamps)
            .map_err(|error| Error::codec(pages.path(), offset, error))?;
        let ends = (timestamps.first().copied(), timestamps.last().copied());
        if timestamps.len() != summary.count
            || ends != (Some(summary.first), Some(summary.last))
            || !timestamps.is_sorted_by(|a, b| a < b)
        {
            let what = "a timestamp column is not what its head says";
            return Err(Error::corrupt(pages.path(), offset, what));
        }
        Ok(timestamps)
    }

    /// The bytes of a column, as they are in the file.
    pub(super) fn encoded<'a>(&self, pages: &'a PagedReader, column: u32) -> Result<Cow<'a, [u8]>> {
        let (offset, bytes) = self.locate(pages, column)?;
        pages.read(offset, bytes)
    }

    /// Offset in the file and length of an encoded column.
    fn locate(&self, pages: &PagedReader, column: u32) -> Result<(u64, usize)> {
        if u64::from(column) >= self.count {
            let what = format!("there is no timestamp column {column}");
            return Err(Error::corrupt(pages.path(), self.column_table.start, what));
        }
        let at = self.column_table.start + (column as usize / ROW_COLUMNS * ROW_BYTES) as u64;
        let place = |error| Error::codec(pages.path(), at, error);
        let row = pages.read(at, ROW_BYTES)?;
        let mut row = Reader::new(&row);
        let mut offset = row.u64().map_err(place)?;
        let lengths = row
            .take(2 * (column as usize % ROW_COLUMNS))
            .map_err(place)?;
        for length in lengths.chunks_exact(2) {
            offset = offset.saturating_add(
                length
                    .iter()
                    .rev()
                    .fold(0, |sum, &byte| (sum << 8) | u64::from(byte)),
            );
        }
        let bytes = row.u16().map_err(place)?;
        let end = offset.saturating_add(bytes.into());
        if end > length(&self.columns) {
            let what = format!("timestamp column {column} leaves its section");
            return Err(Error::corrupt(pages.path(), at, what));
        }
        Ok((self.columns.start + offset, bytes.into()))
    }
}
