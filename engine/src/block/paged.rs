//! The bytes of a block file under page checksums.
//!
//! Input of the writer: bytes in file order; of the reader: ranges of the file. Output: a file
//! written in large calls, and ranges whose pages were checked. Invariant: no byte of the paged
//! part is handed out before the checksum of its page matched: once per open with a map, at each
//! read of the file otherwise.
//!
//! Pages are `PAGE_BYTES` bytes of the file counted from its start, whatever lies in them; their
//! checksums are seeded with the block and the number of the page.

use std::borrow::Cow;
use std::fmt;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bitvec::boxed::BitBox;
use bitvec::order::Lsb0;
use bitvec::vec::BitVec;
use bytes::Bytes;
use treering_codec::{crc32, crc32_parts};

use super::cache::BlockThings;
use super::format::{PAGE_BYTES, length};
use crate::error::{Error, Result};
use crate::vfs::{Buffer, File};

use std::sync::atomic::AtomicUsize;

/// Most bytes per write call; whole pages.
pub(super) const WRITE_BYTES: usize = 16 * PAGE_BYTES;

/// Writes a file from start to end in large calls and sums its pages.
pub(super) struct PagedWriter {
    file: Arc<dyn File>,
    path: PathBuf,
    seed: u32,
    buffer: Vec<u8>,
    /// Length at which the buffer is written: whole pages.
    full: usize,
    /// Offset in the file of the first byte of `buffer`.
    start: u64,
    /// Checksums of the pages so far, 4 bytes each.
    table: Vec<u8>,
    sealed: bool,
}

impl PagedWriter {
    /// Writes to `file`, which must be empty, about `write_bytes` per call; `path` is for errors.
    pub(super) fn new(file: Arc<dyn File>, path: PathBuf, seed: u32, write_bytes: usize) -> Self {
        let full = write_bytes.clamp(PAGE_BYTES, WRITE_BYTES) / PAGE_BYTES * PAGE_BYTES;
        Self {
            file,
            path,
            seed,
            buffer: Vec::with_capacity(full),
            full,
            start: 0,
            table: Vec::new(),
            sealed: false,
        }
    }

    /// Offset in the file of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    /// Appends `bytes` to the file.
    pub(super) fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.full - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == self.full {
                self.write_buffer()?;
            }
        }
        Ok(())
    }

    /// Ends the paged part; returns its page table. What is appended afterwards is not summed.
    pub(super) fn seal(&mut self) -> Result<Vec<u8>> {
        self.write_buffer()?;
        self.sealed = true;
        Ok(std::mem::take(&mut self.table))
    }

    /// Writes what is buffered and makes the file durable.
    pub(super) fn finish(mut self) -> Result<()> {
        self.write_buffer()?;
        // fsync: every byte of the block is on the disk before anything names it.
        self.file
            .sync()
            .map_err(|error| Error::io("sync", &self.path, error))
    }

    fn write_buffer(&mut self) -> Result<()> {
        if !self.sealed {
            for page in self.buffer.chunks(PAGE_BYTES) {
                let number = (self.table.len() / 4) as u64;
                self.table
                    .extend_from_slice(&checksum(self.seed, number, page).to_le_bytes());
            }
        }
        self.file
            .write_all_at(&self.buffer, self.start)
            .map_err(|error| Error::io("write", &self.path, error))?;
        self.start += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl fmt::Debug for PagedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagedWriter")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Where the bytes of a block come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The whole file, mapped or in memory.
    Map(Bytes),
    /// Read from the file call by call.
    File(Arc<dyn File>),
}

/// What a reader must know of the file.
#[derive(Debug)]
pub(super) struct Layout {
    /// The part under page checksums, from the start of the file.
    pub(super) paged: Range<u64>,
    /// The page table.
    pub(super) table: Range<u64>,
    /// Checksum of the page table; without one each entry stands for itself.
    pub(super) table_crc: Option<u32>,
    /// Seed of all checksums of the block.
    pub(super) seed: u32,
}

/// Hands out checked ranges of a block file.
pub(super) struct PagedReader {
    source: Source,
    path: PathBuf,
    layout: Layout,
    /// The page table, once it was checked, if it is mapped.
    table: OnceLock<Bytes>,
    /// A bit for each page of a map that was checked. Threads may check the same page twice, never
    /// trust it unchecked.
    checked: BitBox<AtomicUsize, Lsb0>,
    /// What is kept of the block; of a file that is not mapped, pages too.
    things: BlockThings,
}

impl PagedReader {
    /// Reads from `source`; reads nothing yet. `layout` must lie inside the file.
    pub(super) fn new(source: Source, path: PathBuf, layout: Layout, things: BlockThings) -> Self {
        let pages = length(&layout.paged).div_ceil(PAGE_BYTES as u64);
        let mut checked: BitVec<AtomicUsize, Lsb0> = BitVec::new();
        if matches!(source, Source::Map(_)) {
            // A bit for each page that is mapped: bounded by the file's length.
            checked.resize(usize::try_from(pages).unwrap_or(0), false);
        }
        let checked = checked.into_boxed_bitslice();
        Self {
            source,
            path,
            layout,
            table: OnceLock::new(),
            checked,
            things,
        }
    }

    /// The file's name, for errors.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the cache keeps of the block.
    pub(super) fn things(&self) -> &BlockThings {
        &self.things
    }

    /// The seed of the block's checksums: differs between blocks.
    pub(super) fn seed(&self) -> u32 {
        self.layout.seed
    }

    /// The bytes of the paged part from `offset` on, checked.
    pub(super) fn read(&self, offset: u64, bytes: usize) -> Result<Cow<'_, [u8]>> {
        let end = offset
            .checked_add(bytes as u64)
            .filter(|end| *end <= self.layout.paged.end);
        let end = end.ok_or_else(|| self.corrupt(offset, "a range leaves its section"))?;
        if bytes == 0 {
            return Ok(Cow::Borrowed(&[]));
        }
        let pages = offset / PAGE_BYTES as u64..=(end - 1) / PAGE_BYTES as u64;
        match &self.source {
            Source::Map(map) => {
                for page in pages {
                    self.check_mapped(map, page)?;
                }
                Ok(Cow::Borrowed(slice(map, offset..end)))
            }
            Source::File(file) => {
                let mut out = reserve(&self.path, bytes)?;
                for page in pages {
                    let held = self.page(file, page)?;
                    let base = page * PAGE_BYTES as u64;
                    let from = offset.saturating_sub(base);
                    let to = (end - base).min(held.len() as u64);
                    out.extend_from_slice(slice(&held, from..to));
                }
                Ok(Cow::Owned(out))
            }
        }
    }

    /// A range that is kept: a slice of the map or a copy on the heap, its pages checked.
    pub(super) fn keep(&self, range: &Range<u64>) -> Result<Bytes> {
        let bytes = usize::try_from(length(range)).map_err(|_| {
            self.corrupt(range.start, "a section exceeds the memory of the machine")
        })?;
        match (self.read(range.start, bytes)?, &self.source) {
            (Cow::Borrowed(part), Source::Map(map)) if !part.is_empty() => Ok(map.slice_ref(part)),
            (part, _) => Ok(Bytes::from(part.into_owned())),
        }
    }

    /// A range outside the paged part, as it is in the file: it must bring its own checksum.
    pub(super) fn unchecked(&self, range: &Range<u64>) -> Result<Bytes> {
        match &self.source {
            Source::Map(map) => {
                let part = slice(map, range.clone());
                Ok(if part.is_empty() {
                    Bytes::new()
                } else {
                    map.slice_ref(part)
                })
            }
            Source::File(file) => {
                let bytes = usize::try_from(length(range)).unwrap_or(usize::MAX);
                let mut out =
                    Buffer::zeroed(bytes).map_err(|error| Error::io("read", &self.path, error))?;
                self.fill(file, out.bytes_mut(), range.start)?;
                Ok(out.into_bytes())
            }
        }
    }

    /// Checks every page anew, remembered or not.
    pub(super) fn verify(&self) -> Result<()> {
        let pages = length(&self.layout.paged).div_ceil(PAGE_BYTES as u64);
        for page in 0..pages {
            let bytes = self.unchecked(&self.extent(page))?;
            self.check(page, &bytes)?;
        }
        Ok(())
    }

    /// Heap held beside what the cache keeps, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.checked.len() / 8
    }

    /// Whether ranges that are kept lie on the heap.
    pub(super) fn keeps_on_heap(&self) -> bool {
        matches!(self.source, Source::File(_))
    }

    fn check_mapped(&self, map: &Bytes, page: u64) -> Result<()> {
        let bit = usize::try_from(page).unwrap_or(usize::MAX);
        if self.checked.get(bit).is_some_and(|checked| *checked) {
            return Ok(());
        }
        self.check(page, slice(map, self.extent(page)))?;
        if bit < self.checked.len() {
            self.checked.set_aliased(bit, true);
        }
        Ok(())
    }

    /// A page of the file: one of the recent ones, else read and checked.
    fn page(&self, file: &Arc<dyn File>, page: u64) -> Result<Arc<[u8]>> {
        if let Some(bytes) = self.things.page(page) {
            return Ok(bytes);
        }
        let extent = self.extent(page);
        let mut bytes = vec![
            0;
            usize::try_from(length(&extent))
                .unwrap_or(0)
                .min(PAGE_BYTES)
        ];
        self.fill(file, &mut bytes, extent.start)?;
        self.check(page, &bytes)?;
        let bytes: Arc<[u8]> = bytes.into();
        self.things.keep_page(page, &bytes);
        Ok(bytes)
    }

    fn check(&self, page: u64, bytes: &[u8]) -> Result<()> {
        let table = self.table()?;
        let stored = usize::try_from(page)
            .ok()
            .and_then(|page| table.get(page.checked_mul(4)?..))
            .and_then(|rest| rest.first_chunk::<4>());
        if stored.copied().map(u32::from_le_bytes) == Some(checksum(self.layout.seed, page, bytes))
        {
            return Ok(());
        }
        let offset = page * PAGE_BYTES as u64;
        Err(self.corrupt(offset, "the checksum of the page from there does not match"))
    }

    /// The page table, read and checked at first use and, when the cache has let go of it, again.
    fn table(&self) -> Result<Bytes> {
        let known = self.table.get().cloned();
        if let Some(table) = known.or_else(|| self.things.page_table()) {
            return Ok(table);
        }
        let table = self.unchecked(&self.layout.table)?;
        let crc = crc32(self.layout.seed, &table);
        if self.layout.table_crc.is_some_and(|stored| stored != crc) {
            let what = "the checksum of the page table does not match";
            return Err(self.corrupt(self.layout.table.start, what));
        }
        match self.keeps_on_heap() {
            true => self.things.keep_page_table(&table),
            false => drop(self.table.set(table.clone())),
        }
        Ok(table)
    }

    fn extent(&self, page: u64) -> Range<u64> {
        let start = page.saturating_mul(PAGE_BYTES as u64);
        start
            ..start
                .saturating_add(PAGE_BYTES as u64)
                .min(self.layout.paged.end)
    }

    fn fill(&self, file: &Arc<dyn File>, out: &mut [u8], offset: u64) -> Result<()> {
        file.read_exact_at(out, offset).map_err(|error| {
            if error.kind() == ErrorKind::UnexpectedEof {
                self.corrupt(offset, "the file was cut after it was opened")
            } else {
                Error::io("read", &self.path, error)
            }
        })
    }

    fn corrupt(&self, offset: u64, what: &str) -> Error {
        Error::corrupt(&self.path, offset, what)
    }
}

impl fmt::Debug for PagedReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagedReader")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn checksum(seed: u32, page: u64, bytes: &[u8]) -> u32 {
    crc32_parts(seed, &[&page.to_le_bytes(), bytes])
}

/// The part of `bytes` at `range`; what lies outside is left out.
fn slice(bytes: &[u8], range: Range<u64>) -> &[u8] {
    let start = usize::try_from(range.start).unwrap_or(usize::MAX);
    let end = usize::try_from(range.end).unwrap_or(usize::MAX);
    bytes.get(start..end.min(bytes.len())).unwrap_or_default()
}

/// An empty vector with room for `bytes` bytes, which were held against the file's length.
fn reserve(path: &Path, bytes: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    out.try_reserve_exact(bytes)
        .map_err(|_| Error::io("read", path, ErrorKind::OutOfMemory.into()))?;
    Ok(out)
}
