//! The index of a block: series, their labels, and where their chunks are.
//!
//! Input: the bytes of a file `index`, versions 1 and 2. Output: series in the order of their labels,
//! as they stand in the file. Postings are not needed: all series are read. Source:
//! `tsdb/docs/format/index.md`.

use treering::Labels;

use crate::cursor::Cursor;
use crate::error::{Error, Result};

const MAGIC: u32 = 0xBAAA_D700;
/// Magic and version.
const HEADER_BYTES: usize = 5;
/// Six offsets and a checksum.
const TOC_BYTES: usize = 52;
/// Series begin at multiples of this.
const SERIES_ALIGN: usize = 16;
/// Bytes that a pair of labels and a chunk take at least.
const LEAST_LABEL: usize = 2;
const LEAST_CHUNK: usize = 3;

/// Where a chunk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRef {
    /// Number of the file in `chunks`, from 0: `000001` is 0.
    pub file: u32,
    /// Byte in it.
    pub offset: u32,
    /// First timestamp, in milliseconds since the Unix epoch.
    pub first: i64,
    /// Last timestamp.
    pub last: i64,
}

/// A series of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexedSeries {
    /// What deletes name it by.
    pub reference: u64,
    /// Its labels.
    pub labels: Labels,
    /// Its chunks, in order of time.
    pub chunks: Vec<ChunkRef>,
}

/// The index of a block.
#[derive(Debug)]
pub struct Index<'a> {
    bytes: &'a [u8],
    version: u8,
    /// Texts of version 2 by number, of version 1 by offset.
    symbols: Vec<(u32, &'a str)>,
    /// Where series stand: from here, up to there.
    series: (usize, usize),
}

impl<'a> Index<'a> {
    /// Reads everything but the series.
    ///
    /// # Errors
    ///
    /// Corrupt when the bytes are damaged or no index, unsupported for a version that is not known.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let mut header = Cursor::new(bytes, 0);
        if header.u32("the magic number")? != MAGIC {
            return Err(Error::corrupt(0, "no index of Prometheus"));
        }
        let version = header.u8("the version")?;
        if !(1..=2).contains(&version) {
            return Err(Error::unsupported(4, format!("index version {version}")));
        }
        let [symbols, series, others @ ..] = toc(bytes)?;
        let toc_at = (bytes.len() - TOC_BYTES) as u64;
        // Series reach up to what stands behind them; sections that are not there have offset 0.
        let end = others.into_iter().filter(|&at| at >= series).min();
        let end = end.unwrap_or(toc_at).min(toc_at);
        let place = |at: u64| usize::try_from(at).map_err(|_| header.fault("an offset"));
        Ok(Self {
            bytes,
            version,
            symbols: read_symbols(bytes, place(symbols)?)?,
            series: (place(series)?.max(HEADER_BYTES), place(end)?),
        })
    }

    /// Every series, in the order of the file.
    pub fn series(&self) -> impl Iterator<Item = Result<IndexedSeries>> + '_ {
        let (mut at, end) = self.series;
        let mut is_over = false;
        std::iter::from_fn(move || {
            at = at.next_multiple_of(SERIES_ALIGN);
            if is_over || at >= end {
                return None;
            }
            let read = self.series_at(at);
            is_over = read.is_err();
            Some(read.map(|(series, next)| {
                at = next;
                series
            }))
        })
    }

    fn series_at(&self, at: usize) -> Result<(IndexedSeries, usize)> {
        let mut cursor = Cursor::new(self.bytes, at);
        let length = cursor.count(1, "a series")?;
        let begin = cursor.at();
        let body = cursor.take(length, "a series")?;
        let checksum = cursor.u32("the checksum of a series")?;
        if crc32c::crc32c(body) != checksum {
            return Err(Error::corrupt(
                at as u64,
                "the checksum of a series is wrong",
            ));
        }
        let read = self
            .read_series(body)
            .map_err(|error| error.moved(begin as u64));
        let (labels, chunks) = read?;
        // Version 1 names series by their offset.
        let reference = match self.version {
            1 => at as u64,
            _ => (at / SERIES_ALIGN) as u64,
        };
        let series = IndexedSeries {
            reference,
            labels,
            chunks,
        };
        Ok((series, cursor.at()))
    }

    fn read_series(&self, body: &[u8]) -> Result<(Labels, Vec<ChunkRef>)> {
        let mut cursor = Cursor::new(body, 0);
        let count = cursor.count(LEAST_LABEL, "labels")?;
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            let name = self.symbol(&mut cursor)?;
            pairs.push((name, self.symbol(&mut cursor)?));
        }
        let labels = Labels::from_pairs(pairs);
        let labels = labels.map_err(|error| cursor.fault(format!("labels: {error}")))?;
        Ok((labels, chunks(&mut cursor)?))
    }

    fn symbol(&self, cursor: &mut Cursor<'_>) -> Result<&'a str> {
        let begin = *cursor;
        let number = cursor.uvarint("a symbol")?;
        let found = match self.version {
            1 => {
                let at = self
                    .symbols
                    .binary_search_by_key(&number, |(at, _)| u64::from(*at));
                at.ok().and_then(|at| self.symbols.get(at))
            }
            _ => usize::try_from(number)
                .ok()
                .and_then(|at| self.symbols.get(at)),
        };
        let found = found.map(|(_, text)| *text);
        found.ok_or_else(|| begin.fault(format!("there is no symbol {number}")))
    }
}

/// Offsets of symbols, series, label indices, their table, postings, their table.
fn toc(bytes: &[u8]) -> Result<[u64; 6]> {
    let at = bytes.len().checked_sub(TOC_BYTES);
    let at = at.ok_or_else(|| Error::corrupt(0, "an index without a table of contents"))?;
    let mut cursor = Cursor::new(bytes, at);
    let mut offsets = [0; 6];
    for offset in &mut offsets {
        *offset = cursor.u64("the table of contents")?;
    }
    let checksum = cursor.u32("its checksum")?;
    let table = bytes.get(at..bytes.len() - 4).unwrap_or_default();
    match crc32c::crc32c(table) == checksum {
        true => Ok(offsets),
        false => Err(Error::corrupt(
            at as u64,
            "the checksum of the table of contents is wrong",
        )),
    }
}

fn read_symbols(bytes: &[u8], at: usize) -> Result<Vec<(u32, &str)>> {
    let mut cursor = Cursor::new(bytes, at);
    let length = cursor.u32("the length of the symbols")? as usize;
    let begin = cursor.at();
    let body = cursor.take(length, "the symbols")?;
    if crc32c::crc32c(body) != cursor.u32("their checksum")? {
        return Err(Error::corrupt(
            at as u64,
            "the checksum of the symbols is wrong",
        ));
    }
    let mut cursor = Cursor::new(body, 0);
    let moved = |error: Error| error.moved(begin as u64);
    let count = cursor.u32("the count of symbols").map_err(moved)?;
    let mut symbols = Vec::with_capacity((count as usize).min(length));
    for _ in 0..count {
        let place = u32::try_from(begin + cursor.at()).unwrap_or(u32::MAX);
        symbols.push((place, cursor.text("a symbol").map_err(moved)?));
    }
    Ok(symbols)
}

fn chunks(cursor: &mut Cursor<'_>) -> Result<Vec<ChunkRef>> {
    let count = cursor.count(LEAST_CHUNK, "chunks")?;
    let mut chunks = Vec::with_capacity(count);
    let (mut place, mut last) = (0_u64, 0_i64);
    for number in 0..count {
        let begin = *cursor;
        let out_of_range = || begin.fault("a chunk's times are out of range");
        let plus = |time: i64, more: u64| {
            let more = i64::try_from(more).ok();
            more.and_then(|more| time.checked_add(more))
        };
        let first = match number {
            0 => Some(cursor.varint("a chunk's first time")?),
            _ => plus(last, cursor.uvarint("a chunk's first time")?),
        };
        let first = first.ok_or_else(out_of_range)?;
        let length = cursor.uvarint("a chunk's length in time")?;
        last = plus(first, length).ok_or_else(out_of_range)?;
        place = match number {
            0 => cursor.uvarint("a chunk's place")?,
            _ => place.wrapping_add(cursor.varint("a chunk's place")? as u64),
        };
        chunks.push(ChunkRef {
            file: (place >> 32) as u32,
            offset: place as u32,
            first,
            last,
        });
    }
    Ok(chunks)
}
