//! Reading a block: opening it, handing out chunks, decoding them.
//!
//! Input: a finished file, any bytes; ordinals (the series in label order, from 0). Output: chunk
//! references, timestamps and values. Invariant: opening reads header and footer only; everything
//! else is read and checked when it is first asked for, and damage is an error that names the
//! offset, never a panic or other data.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use treering_codec::{
    Error as CodecError, Extras, Stats, decode_extras, decode_values_range, has_histograms,
    split_extras,
};

use super::cache::{BlockCache, BlockThings};
use super::chunk_ref::{ChunkRef, Need, READ_AS_ONE, Values};
use super::columns::Columns;
use super::cursor::{Cursor, Directory, Lookup, Wanted};
use super::format::{BlockInfo, FOOTER_BYTES, Footer, HEADER_BYTES};
use super::index::IndexPlace;
use super::paged::{Layout, PagedReader, Source};
use super::summaries::{self, step_bounds};
use crate::error::{Error, Result};
use crate::extras::TimedExtras;
use crate::options::Reads;
use crate::vfs::Vfs;

/// What a block keeps which shares no cache with others.
const OWN_CACHE_BYTES: usize = 1 << 20;

/// What the pages of a block are held against.
#[derive(Debug, Clone, Copy)]
enum Trust {
    /// A page table with the checksum that the footer names.
    All,
    /// Their entries in the page table, whatever stands beside them.
    Pages,
}

/// An open block. Threads share it; it holds no lock while it decodes.
#[derive(Debug)]
pub(crate) struct Block {
    pub(super) pages: PagedReader,
    pub(super) columns: Columns,
    pub(super) directory: Directory,
    pub(super) footer: Footer,
    pub(super) index: IndexPlace,
    vfs: Arc<dyn Vfs>,
    /// Whether the file goes with this.
    doomed: AtomicBool,
}

impl Block {
    /// Opens the finished block at `path`.
    ///
    /// [`Error::Corrupt`] when it is cut, damaged or no block; [`Error::Version`] when a newer
    /// release wrote it.
    pub(crate) fn open(vfs: &Arc<dyn Vfs>, path: &Path, reads: Reads) -> Result<Self> {
        Self::open_with(vfs, path, reads, &BlockCache::new(OWN_CACHE_BYTES))
    }

    /// As [`Block::open`], sharing `cache` with other blocks.
    pub(crate) fn open_with(
        vfs: &Arc<dyn Vfs>,
        path: &Path,
        reads: Reads,
        cache: &Arc<BlockCache>,
    ) -> Result<Self> {
        let fail = |action| move |error| Error::io(action, path, error);
        let (source, footer) = match reads {
            Reads::Mmap => {
                let map = vfs.map(path).map_err(fail("map"))?;
                let header = map.get(..HEADER_BYTES).unwrap_or(&map);
                let footer = map
                    .len()
                    .checked_sub(FOOTER_BYTES)
                    .and_then(|at| map.get(at..));
                let footer = footer.unwrap_or_default();
                let footer = Footer::parse(path, map.len() as u64, header, footer)?;
                (Source::Map(map), footer)
            }
            Reads::Pread => {
                let file = vfs.open(path).map_err(fail("open"))?;
                let footer = Footer::read(&*file, path, None)?;
                (Source::File(file), footer)
            }
        };
        Ok(Self::of(vfs, path, (source, footer), cache, Trust::All))
    }

    /// Opens a block that is damaged, `known` being the ids of its database and its own: a damaged
    /// header is passed over, and each page stands for itself where the page table does not.
    pub(crate) fn open_damaged(vfs: &Arc<dyn Vfs>, path: &Path, known: (u64, u64)) -> Result<Self> {
        let file = vfs.open(path);
        let file = file.map_err(|error| Error::io("open", path, error))?;
        let footer = Footer::read(&*file, path, Some(known))?;
        let cache = BlockCache::new(OWN_CACHE_BYTES);
        Ok(Self::of(
            vfs,
            path,
            (Source::File(file), footer),
            &cache,
            Trust::Pages,
        ))
    }

    fn of(
        vfs: &Arc<dyn Vfs>,
        path: &Path,
        (source, footer): (Source, Footer),
        cache: &Arc<BlockCache>,
        trust: Trust,
    ) -> Self {
        let layout = Layout {
            paged: footer.sections.paged(),
            table: footer.sections.page_table.clone(),
            table_crc: match trust {
                Trust::All => Some(footer.page_table_crc),
                Trust::Pages => None,
            },
            seed: footer.info.meta.seed(),
        };
        Self {
            pages: PagedReader::new(source, PathBuf::from(path), layout, cache.open()),
            columns: Columns::new(&footer.sections, footer.info.columns),
            directory: Directory::new(&footer),
            footer,
            index: IndexPlace::default(),
            vfs: Arc::clone(vfs),
            doomed: AtomicBool::new(false),
        }
    }

    /// Lets the file go when the last one who reads this block is done. For a block that no
    /// manifest names any more.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
    }

    /// What the footer tells.
    pub(crate) fn info(&self) -> &BlockInfo {
        &self.footer.info
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        self.pages.path()
    }

    /// Number of the block.
    pub(crate) fn id(&self) -> u64 {
        self.footer.info.meta.id
    }

    /// Timestamp of the earliest sample.
    pub(crate) fn min_time(&self) -> i64 {
        self.footer.info.min_time
    }

    /// The first time of which it may tell: rows of steps stand for samples before them.
    pub(crate) fn since(&self) -> i64 {
        match self.info().meta.step_nanos() {
            0 => self.min_time(),
            step => step_bounds(self.min_time(), step).0,
        }
    }

    /// Timestamp of the latest sample.
    pub(crate) fn max_time(&self) -> i64 {
        self.footer.info.max_time
    }

    /// Lowest sequence of the frames whose samples it holds.
    pub(crate) fn min_sequence(&self) -> u64 {
        self.footer.info.meta.min_sequence
    }

    /// Highest sequence of the frames whose samples it holds.
    pub(crate) fn max_sequence(&self) -> u64 {
        self.footer.info.meta.max_sequence
    }

    /// Appends the chunks of one series that overlap `first..=last`, ascending in time. For many
    /// series [`Block::chunks_with`] is several times faster.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn chunks(
        &self,
        ordinal: u32,
        first: i64,
        last: i64,
        out: &mut Vec<ChunkRef>,
    ) -> Result<()> {
        self.chunks_with(&mut Cursor::default(), ordinal, first, last, out)
    }

    /// As [`Block::chunks`], from where `cursor` was left: cheapest in ascending order of series.
    pub(crate) fn chunks_with(
        &self,
        cursor: &mut Cursor,
        ordinal: u32,
        first: i64,
        last: i64,
        out: &mut Vec<ChunkRef>,
    ) -> Result<()> {
        self.chunks_needed(cursor, ordinal, (first, last), Need::Chunks, out)
    }

    /// As [`Block::chunks_with`], as far as they are needed.
    pub(crate) fn chunks_needed(
        &self,
        cursor: &mut Cursor,
        ordinal: u32,
        range: (i64, i64),
        need: Need<'_>,
        out: &mut Vec<ChunkRef>,
    ) -> Result<()> {
        let lookup = Lookup {
            pages: &self.pages,
            columns: &self.columns,
            directory: &self.directory,
        };
        lookup.chunks(cursor, ordinal, Wanted { range, need }, out)
    }

    /// Appends all chunks of one series, which follow each other in time.
    pub(crate) fn all_chunks(
        &self,
        cursor: &mut Cursor,
        ordinal: u32,
        out: &mut Vec<ChunkRef>,
    ) -> Result<()> {
        let start = out.len();
        self.chunks_with(cursor, ordinal, i64::MIN, i64::MAX, out)?;
        let chunks = out.get(start..).unwrap_or_default();
        match chunks.is_sorted_by(|before, after| before.max_time < after.min_time) {
            true => Ok(()),
            false => Err(self.wrong("the chunks of a series overlap")),
        }
    }

    /// Appends the samples of a chunk of this block.
    pub(crate) fn decode(
        &self,
        chunk: &ChunkRef,
        timestamps: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> Result<()> {
        let column = self.timestamps(chunk.column)?;
        if column.len() != chunk.count as usize {
            let what = "a chunk and its timestamp column count differently";
            return Err(Error::corrupt(
                self.path(),
                self.footer.sections.columns.start,
                what,
            ));
        }
        self.decode_values(chunk, values)?;
        timestamps.extend_from_slice(&column);
        Ok(())
    }

    /// The timestamps of a column, shared by all chunks that name it.
    pub(crate) fn timestamps(&self, column: u32) -> Result<Arc<[i64]>> {
        self.columns.timestamps(&self.pages, column)
    }

    /// Appends the values of a chunk of this block, as many as it counts.
    pub(crate) fn decode_values(&self, chunk: &ChunkRef, values: &mut Vec<f64>) -> Result<()> {
        self.decode_values_range(chunk, 0..chunk.count as usize, values)
    }

    /// Appends the values at these places of a chunk of this block, which must lie inside of it.
    pub(crate) fn decode_values_range(
        &self,
        chunk: &ChunkRef,
        places: Range<usize>,
        values: &mut Vec<f64>,
    ) -> Result<()> {
        match chunk.values {
            Values::Constant(value) => {
                values.resize(values.len() + places.len(), value);
                Ok(())
            }
            Values::Encoded { offset, bytes } => {
                let encoded = self.pages.read(offset, bytes as usize)?;
                decode_values_range(&encoded, chunk.count as usize, places, values)
                    .map_err(|error| Error::codec(self.path(), offset, error))
            }
            Values::Summed => Err(self.wrong(READ_AS_ONE)),
        }
    }

    /// Adds what the samples of a chunk of this block have beside their floats; `timestamps` are
    /// those of the chunk.
    pub(crate) fn decode_extras(
        &self,
        chunk: &ChunkRef,
        timestamps: &[i64],
        out: &mut TimedExtras,
    ) -> Result<()> {
        let decode = |section: &[u8]| decode_extras(section, timestamps.len());
        let extras = self.in_extras(chunk, Extras::new(), decode)?;
        out.add(&extras, timestamps);
        Ok(())
    }

    /// Whether any sample of a chunk of this block is a histogram; of a sum of several, whether any
    /// may be.
    pub(crate) fn has_histograms(&self, chunk: &ChunkRef) -> Result<bool> {
        // Statistics count a histogram as the stale marker that it is among the floats.
        let has_stale = chunk.stats.is_none_or(|stats| stats.stale > 0);
        if !self.info().meta.extended || !has_stale {
            return Ok(false);
        }
        match chunk.values {
            Values::Summed => Ok(true),
            _ => self.in_extras(chunk, false, has_histograms),
        }
    }

    /// What `read` makes of the extras of a chunk, or `none`.
    fn in_extras<T>(
        &self,
        chunk: &ChunkRef,
        none: T,
        read: impl Fn(&[u8]) -> treering_codec::Result<T>,
    ) -> Result<T> {
        let Values::Encoded { offset, bytes } = chunk.values else {
            return Ok(none);
        };
        if !self.info().meta.extended {
            return Ok(none);
        }
        let encoded = self.pages.read(offset, bytes as usize)?;
        let damaged = |error: CodecError| Error::codec(self.path(), offset, error);
        let (_, section) = split_extras(&encoded).map_err(damaged)?;
        let Some(section) = section else {
            return Ok(none);
        };
        let base = encoded.len() - section.len();
        read(section).map_err(|error| damaged(error.shifted(base)))
    }

    /// The bytes of a timestamp column, as they are in the file.
    pub(crate) fn encoded_column(&self, column: u32) -> Result<Cow<'_, [u8]>> {
        self.columns.encoded(&self.pages, column)
    }

    /// The bytes of encoded values and summaries, as they are in the file.
    pub(crate) fn encoded_values(&self, offset: u64, bytes: u64) -> Result<Cow<'_, [u8]>> {
        self.pages
            .read(offset, usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Statistics of all samples of each step of a chunk of this block, as many as it counts rows;
    /// `None` when each of its rows is one sample.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn summaries(&self, chunk: &ChunkRef) -> Result<Option<Vec<Stats>>> {
        if chunk.step == 0 {
            return Ok(None);
        }
        let (mut values, mut rows) = (Vec::new(), Vec::new());
        self.decode_values(chunk, &mut values)?;
        self.decode_summaries(chunk, &values, &mut rows)?;
        Ok(Some(rows))
    }

    /// Appends the rows of a chunk of this block: a row of one sample where there are no steps.
    pub(crate) fn decode_rows(
        &self,
        chunk: &ChunkRef,
        timestamps: &mut Vec<i64>,
        values: &mut Vec<f64>,
        rows: &mut Vec<Stats>,
    ) -> Result<()> {
        let start = values.len();
        self.decode(chunk, timestamps, values)?;
        let values = values.get(start..).unwrap_or_default();
        if chunk.step == 0 {
            rows.extend(values.iter().map(|&value| Stats::of(&[value])));
            return Ok(());
        }
        self.decode_summaries(chunk, values, rows)
    }

    fn decode_summaries(
        &self,
        chunk: &ChunkRef,
        values: &[f64],
        rows: &mut Vec<Stats>,
    ) -> Result<()> {
        let Values::Encoded { offset, bytes } = chunk.values else {
            return Err(self.wrong("a stepped chunk without values"));
        };
        let offset = offset + u64::from(bytes);
        let encoded = self.pages.read(offset, chunk.summaries as usize)?;
        summaries::decode(&encoded, values, rows)
            .map_err(|error| Error::codec(self.path(), offset, error))
    }

    /// Heap held by this open block: decoded columns, what tombstones select and, when it is not
    /// mapped, pages, the page table and the index, kept or just being read. In bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.things().bytes() + self.pages.heap_bytes()
    }

    /// What the cache keeps of it.
    pub(super) fn things(&self) -> &BlockThings {
        self.pages.things()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // Once the directory is let go, the path may be another's.
        if *self.doomed.get_mut() && !self.things().is_let_go() {
            // What stays is harmless: opening the database removes it.
            let _ = self.vfs.remove(self.pages.path());
        }
    }
}
