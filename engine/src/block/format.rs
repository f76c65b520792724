//! The fixed parts of a block file: header, footer, order of the sections, seed of the checksums.
//!
//! Input: the facts about a block. Output: the bytes that frame it, and back. Invariant: a parsed
//! footer describes sections that lie inside the file, one after the other, and sizes that agree
//! with each other; nothing read later needs to be checked against the file's length again.
//!
//! `docs/format/block.md` is the page of this format; both change together.

use std::ops::Range;
use std::path::Path;

use serde::Serialize;
use treering_codec::varint::Reader;
use treering_codec::{MAX_CHUNK_SAMPLES, crc32, crc32_parts};

use crate::error::{Error, Result};
use crate::limits::MAX_SERIES;
use crate::vfs::{File, Vfs};

/// The newest format version that this release reads. Even ones are of stepped blocks.
pub(crate) const VERSION: u32 = 6;

/// The version written of blocks that hold samples as they came; one more where they are stepped.
const VERSION_RAW: u32 = 3;

/// The same of blocks in which samples may have something beside their floats.
const VERSION_EXTENDED: u32 = 5;

/// Longest step of a block in seconds: 3 bytes of the footer.
pub(crate) const MAX_STEP_SECONDS: u32 = (1 << 24) - 1;

/// First bytes of every block.
pub(super) const MAGIC: [u8; 8] = *b"TRblock\n";

/// Last bytes of every block.
pub(super) const END_MAGIC: [u8; 8] = *b"TRblkend";

/// Length of the header in bytes.
pub(super) const HEADER_BYTES: usize = 36;

/// Length of the footer in bytes.
pub(super) const FOOTER_BYTES: usize = 176;

/// Bytes of the file that share one checksum, counted from its start.
pub(super) const PAGE_BYTES: usize = 32 << 10;

/// Columns in one row of the column table: an offset (8 bytes) and as many lengths (2 bytes each).
pub(super) const ROW_COLUMNS: usize = 32;

/// Length of one row of the column table in bytes.
pub(super) const ROW_BYTES: usize = 8 + 2 * ROW_COLUMNS;

/// Length of one row of the group table in bytes: first ordinal and offset, 4 bytes each.
pub(super) const GROUP_BYTES: usize = 8;

/// Most chunks of one series that can be skipped, and summed up, together.
pub(super) const STRIDE_CHUNKS: usize = 32;

/// A series of fewer chunks is not divided into strides.
pub(super) const STRIDDEN_CHUNKS: usize = 4;

/// Kinds of chunk entries: the low bits of an entry's tag.
pub(super) const KIND_BITS: u32 = 2;
/// Values lie in the values section; statistics follow the tag.
pub(super) const KIND_SUMMED: u64 = 0;
/// Values lie in the values section; too few for statistics.
pub(super) const KIND_PLAIN: u64 = 1;
/// All values are the same; the statistics, which hold it, follow the tag (number 0) or are those
/// of the constant chunk so many back among those that brought statistics.
pub(super) const KIND_CONSTANT: u64 = 2;
/// How far back a writer looks for the same constant: what one byte of a tag can tell.
pub(super) const NEAR_CONSTANTS: usize = 31;
/// Values and the summaries of their steps lie in the values section; sizes and statistics of all
/// samples follow the tag. In stepped blocks only.
pub(super) const KIND_STEPPED: u64 = 3;

/// What the caller knows about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct BlockMeta {
    /// Number of the block in its database.
    pub(crate) id: u64,
    /// Namespace of its series.
    pub(crate) namespace: u32,
    /// Lowest sequence of the frames whose samples it holds.
    pub(crate) min_sequence: u64,
    /// Highest one.
    pub(crate) max_sequence: u64,
    /// How often its samples were compacted; 0 comes from a flush.
    pub(crate) level: u8,
    /// Id of the database; with `id` it seeds the checksums.
    pub(crate) database: u64,
    /// Seconds of one step of a downsampled block; 0 where samples are as they came.
    pub(crate) step: u32,
    /// Whether samples may have something beside their floats: histograms, starts.
    pub(crate) extended: bool,
}

impl BlockMeta {
    /// Seed of the checksums, so that intact bytes of another block do not pass for ours.
    pub(super) fn seed(&self) -> u32 {
        seed(self.database, self.id)
    }

    /// Nanoseconds of one step; 0 where samples are as they came.
    pub(crate) fn step_nanos(&self) -> i64 {
        i64::from(self.step) * 1_000_000_000
    }

    /// The format version that the block is written in.
    pub(super) fn version(&self) -> u32 {
        let raw = match self.extended {
            true => VERSION_EXTENDED,
            false => VERSION_RAW,
        };
        raw + u32::from(self.step > 0)
    }
}

fn seed(database: u64, id: u64) -> u32 {
    crc32_parts(0, &[&database.to_le_bytes(), &id.to_le_bytes()])
}

/// What the footer tells about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct BlockInfo {
    /// What the caller said when it was written.
    pub(crate) meta: BlockMeta,
    /// Timestamp of the earliest sample.
    pub(crate) min_time: i64,
    /// Timestamp of the latest sample.
    pub(crate) max_time: i64,
    /// Series in it.
    pub(crate) series: u64,
    /// Samples in it, stale markers included.
    pub(crate) samples: u64,
    /// Chunks in it.
    pub(crate) chunks: u64,
    /// Distinct timestamp columns in it.
    pub(crate) columns: u64,
    /// Where its bytes went.
    pub(crate) bytes: BlockBytes,
}

impl BlockInfo {
    /// What the footer of the file at `path` tells; see [`Footer::read`].
    pub(crate) fn of_file(vfs: &dyn Vfs, path: &Path, known: Option<(u64, u64)>) -> Result<Self> {
        let file = vfs.open(path);
        let file = file.map_err(|error| Error::io("open", path, error))?;
        Ok(Footer::read(&*file, path, known)?.info)
    }
}

/// The bytes of a block file by purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct BlockBytes {
    /// Timestamp columns and their table.
    pub(crate) timestamps: u64,
    /// Chunks of values.
    pub(crate) values: u64,
    /// Chunk entries with statistics, and the group table.
    pub(crate) directory: u64,
    /// Labels and postings.
    pub(crate) index: u64,
    /// Header, checksums of pages, footer.
    pub(crate) other: u64,
    /// The whole file.
    pub(crate) total: u64,
}

/// Where the sections lie in the file; they follow each other without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sections {
    /// Chunks of values.
    pub(super) values: Range<u64>,
    /// Encoded timestamp columns.
    pub(super) columns: Range<u64>,
    /// Where each column is.
    pub(super) column_table: Range<u64>,
    /// Chunk entries, in groups of series.
    pub(super) directory: Range<u64>,
    /// Where each group is. The paged part of the file ends here.
    pub(super) group_table: Range<u64>,
    /// The labels index.
    pub(super) index: Range<u64>,
    /// A checksum for each page.
    pub(super) page_table: Range<u64>,
}

/// How many sections there are.
const SECTIONS: usize = 7;

impl Sections {
    /// Sections of these lengths after the header; `None` when they exceed 64 bits.
    pub(super) fn of_lengths(lengths: [u64; SECTIONS]) -> Option<Self> {
        let mut at = HEADER_BYTES as u64;
        let mut ranges: [Range<u64>; SECTIONS] = std::array::from_fn(|_| 0..0);
        for (range, length) in ranges.iter_mut().zip(lengths) {
            let end = at.checked_add(length)?;
            *range = at..end;
            at = end;
        }
        let [
            values,
            columns,
            column_table,
            directory,
            group_table,
            index,
            page_table,
        ] = ranges;
        Some(Self {
            values,
            columns,
            column_table,
            directory,
            group_table,
            index,
            page_table,
        })
    }

    fn lengths(&self) -> [u64; SECTIONS] {
        [
            &self.values,
            &self.columns,
            &self.column_table,
            &self.directory,
            &self.group_table,
            &self.index,
            &self.page_table,
        ]
        .map(length)
    }

    /// Length of the file that these sections make.
    pub(super) fn file_bytes(&self) -> Option<u64> {
        self.page_table.end.checked_add(FOOTER_BYTES as u64)
    }

    /// The part of the file that the page table covers.
    pub(super) fn paged(&self) -> Range<u64> {
        0..self.group_table.end
    }

    /// The bytes by purpose.
    pub(super) fn bytes(&self) -> BlockBytes {
        BlockBytes {
            timestamps: length(&self.columns) + length(&self.column_table),
            values: length(&self.values),
            directory: length(&self.directory) + length(&self.group_table),
            index: length(&self.index),
            other: (HEADER_BYTES + FOOTER_BYTES) as u64 + length(&self.page_table),
            total: self.page_table.end + FOOTER_BYTES as u64,
        }
    }
}

/// Length of a section.
pub(super) fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// The facts of the footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) version: u32,
    pub(super) info: BlockInfo,
    pub(super) sections: Sections,
    /// Checksum of the whole index section.
    pub(super) index_crc: u32,
    /// Checksum of the page table.
    pub(super) page_table_crc: u32,
}

/// The header of a block.
pub(super) fn header(meta: &BlockMeta) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&meta.version().to_le_bytes());
    out.extend_from_slice(&meta.namespace.to_le_bytes());
    out.extend_from_slice(&meta.id.to_le_bytes());
    out.extend_from_slice(&meta.database.to_le_bytes());
    let crc = crc32(0, &out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

impl Footer {
    /// Whether strides of the directory tell how long they are, and statistics of all of them:
    /// since version 3.
    pub(super) fn has_sums(&self) -> bool {
        self.version >= VERSION_RAW
    }

    /// The footer as bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (info, meta) = (&self.info, &self.info.meta);
        let mut out = Vec::with_capacity(FOOTER_BYTES);
        for length in self.sections.lengths() {
            out.extend_from_slice(&length.to_le_bytes());
        }
        out.extend_from_slice(&self.index_crc.to_le_bytes());
        out.extend_from_slice(&self.page_table_crc.to_le_bytes());
        for sequence in [meta.min_sequence, meta.max_sequence] {
            out.extend_from_slice(&sequence.to_le_bytes());
        }
        for time in [info.min_time, info.max_time] {
            out.extend_from_slice(&time.to_le_bytes());
        }
        for count in [info.series, info.samples, info.chunks, info.columns] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        let [first, second, third, _] = meta.step.to_le_bytes();
        out.extend_from_slice(&[meta.level, first, second, third]);
        out.extend_from_slice(&meta.namespace.to_le_bytes());
        for number in [meta.id, meta.database, info.bytes.total] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.version.to_le_bytes());
        let crc = crc32(meta.seed(), &out);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&END_MAGIC);
        out
    }

    /// Reads the footer of `file`, which is at `path`. Without `known` header and footer must agree;
    /// with the ids of database and block the header is passed over.
    pub(super) fn read(file: &dyn File, path: &Path, known: Option<(u64, u64)>) -> Result<Footer> {
        let failed = |error| Error::io("read", path, error);
        let bytes = file.len().map_err(failed)?;
        let at = bytes.checked_sub(FOOTER_BYTES as u64);
        let at = at.filter(|at| *at >= HEADER_BYTES as u64).ok_or_else(|| {
            let what = format!("{bytes} bytes are too few for a block");
            Error::corrupt(path, 0, what)
        })?;
        let mut footer = [0; FOOTER_BYTES];
        file.read_exact_at(&mut footer, at).map_err(failed)?;
        match known {
            Some((database, id)) => {
                let parsed = Self::parse_parts(&footer, None, seed(database, id));
                let footer = parsed.map_err(|fault| fault.at(path, at, bytes))?;
                let own = (footer.info.meta.database, footer.info.meta.id);
                footer.checked(path, bytes, own == (database, id))
            }
            None => {
                let mut header = [0; HEADER_BYTES];
                file.read_exact_at(&mut header, 0).map_err(failed)?;
                Self::parse(path, bytes, &header, &footer)
            }
        }
    }

    /// What `header` and `footer`, the first and last bytes of a file of `file_bytes` bytes, tell.
    ///
    /// [`Error::Version`] when an intact header names a newer version, else [`Error::Corrupt`].
    pub(super) fn parse(
        path: &Path,
        file_bytes: u64,
        header: &[u8],
        footer: &[u8],
    ) -> Result<Footer> {
        let start = file_bytes.saturating_sub(FOOTER_BYTES as u64);
        let (version, namespace, id, database) =
            parse_header(header).map_err(|fault| fault.at(path, 0, file_bytes))?;
        let parsed = Self::parse_parts(footer, Some(version), seed(database, id));
        let footer = parsed.map_err(|fault| fault.at(path, start, file_bytes))?;
        let meta = &footer.info.meta;
        if (meta.step > 0) != version.is_multiple_of(2) {
            let what = "the version of the block is not that of its step";
            return Err(Error::corrupt(path, start, what));
        }
        let is_same = (meta.namespace, meta.id, meta.database) == (namespace, id, database);
        footer.checked(path, file_bytes, is_same)
    }

    /// The footer, if it is that of the block and of a file of this length.
    fn checked(self, path: &Path, file_bytes: u64, is_same: bool) -> Result<Footer> {
        let start = file_bytes.saturating_sub(FOOTER_BYTES as u64);
        let wrong = |what: &str| Err(Error::corrupt(path, start, what));
        if !is_same {
            return wrong("header and footer tell of different blocks");
        }
        if self.info.bytes.total != file_bytes {
            let total = self.info.bytes.total;
            let what = format!("the file is {file_bytes} bytes long, its footer says {total}");
            return wrong(&what);
        }
        match self.check() {
            Ok(()) => Ok(self),
            Err(what) => wrong(what),
        }
    }

    fn parse_parts(
        bytes: &[u8],
        named: Option<u32>,
        seed: u32,
    ) -> std::result::Result<Footer, Fault> {
        let mut reader = Reader::new(bytes);
        let covered = reader.take(FOOTER_BYTES - 12)?;
        let stored = reader.u32()?;
        if reader.array()? != END_MAGIC {
            return Err(Fault::What("the footer does not end as one"));
        }
        if crc32(seed, covered) != stored {
            return Err(Fault::What("the checksum of the footer does not match"));
        }
        let mut reader = Reader::new(covered);
        let mut lengths = [0; SECTIONS];
        for length in &mut lengths {
            *length = reader.u64()?;
        }
        let (index_crc, page_table_crc) = (reader.u32()?, reader.u32()?);
        let (min_sequence, max_sequence) = (reader.u64()?, reader.u64()?);
        let (min_time, max_time) = (reader.i64()?, reader.i64()?);
        let (series, samples) = (reader.u64()?, reader.u64()?);
        let (chunks, columns) = (reader.u64()?, reader.u64()?);
        let [level, first, second, third] = reader.array::<4>()?;
        let namespace = reader.u32()?;
        let (id, database, total) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let version = reader.u32()?;
        if named.unwrap_or(version) != version {
            return Err(Fault::What("header and footer name different versions"));
        }
        let sections = Sections::of_lengths(lengths)
            .filter(|sections| sections.file_bytes() == Some(total))
            .ok_or(Fault::What("the sections do not fill the file"))?;
        let meta = BlockMeta {
            id,
            namespace,
            min_sequence,
            max_sequence,
            level,
            database,
            step: u32::from_le_bytes([first, second, third, 0]),
            extended: version >= VERSION_EXTENDED,
        };
        let bytes = sections.bytes();
        let info = BlockInfo {
            meta,
            min_time,
            max_time,
            series,
            samples,
            chunks,
            columns,
            bytes,
        };
        Ok(Footer {
            version,
            info,
            sections,
            index_crc,
            page_table_crc,
        })
    }

    /// Holds counts and section lengths against each other.
    fn check(&self) -> std::result::Result<(), &'static str> {
        let (info, sections) = (&self.info, &self.sections);
        if info.series == 0 || info.series > MAX_SERIES {
            return Err("the footer counts an impossible number of series");
        }
        if info.chunks < info.series || info.chunks > length(&sections.directory) {
            return Err("the footer counts an impossible number of chunks");
        }
        let samples_max = info.chunks.saturating_mul(MAX_CHUNK_SAMPLES as u64);
        if info.samples < info.chunks || info.samples > samples_max {
            return Err("the footer counts an impossible number of samples");
        }
        if info.columns == 0 || info.columns > info.chunks || info.columns > u32::MAX.into() {
            return Err("the footer counts an impossible number of timestamp columns");
        }
        let rows = info.columns.div_ceil(ROW_COLUMNS as u64);
        if length(&sections.column_table) != rows * ROW_BYTES as u64 {
            return Err("the column table is not as long as the columns need");
        }
        let groups = length(&sections.group_table);
        if groups == 0 || !groups.is_multiple_of(GROUP_BYTES as u64) {
            return Err("the group table is cut within a row");
        }
        if length(&sections.directory) > u32::MAX.into() {
            return Err("the directory is longer than its offsets can name");
        }
        let pages = length(&sections.paged()).div_ceil(PAGE_BYTES as u64);
        if length(&sections.page_table) != pages * 4 {
            return Err("the page table is not as long as the pages need");
        }
        if info.min_time > info.max_time {
            return Err("the footer names times in the wrong order");
        }
        Ok(())
    }
}

/// Version, namespace, id and database of a header.
fn parse_header(bytes: &[u8]) -> std::result::Result<(u32, u32, u64, u64), Fault> {
    let mut reader = Reader::new(bytes);
    if reader.array()? != MAGIC {
        return Err(Fault::What("the file does not begin as a block"));
    }
    let version = reader.u32()?;
    let facts = (version, reader.u32()?, reader.u64()?, reader.u64()?);
    let covered = bytes.get(..reader.offset()).unwrap_or_default();
    if reader.u32()? != crc32(0, covered) {
        return Err(Fault::What("the checksum of the header does not match"));
    }
    // The place of the version and the header's checksum are the same in every version, so a
    // version is believed only when it is intact.
    if version == 0 || version > VERSION {
        return Err(Fault::Version(version));
    }
    Ok(facts)
}

/// What is wrong with a header or footer, before the file is named.
enum Fault {
    What(&'static str),
    Version(u32),
    Short,
}

impl Fault {
    fn at(self, path: &Path, base: u64, file_bytes: u64) -> Error {
        match self {
            Fault::What(what) => Error::corrupt(path, base, what),
            Fault::Version(found) => Error::Version {
                file: path.to_owned(),
                found,
                supported: VERSION,
            },
            Fault::Short => Error::corrupt(
                path,
                base,
                format!("{file_bytes} bytes are too few for a block"),
            ),
        }
    }
}

impl From<treering_codec::Error> for Fault {
    fn from(_: treering_codec::Error) -> Self {
        Fault::Short
    }
}
