//! Writing a block: series in label order in, one durable file out.
//!
//! Input: labels and whole columns of samples. Output: the file, under its temporary name, and what
//! its footer says. Invariant: chunks of values stream to the file as they are encoded; columns,
//! directory and index stay in memory until [`BlockWriter::finish`]; a file that was not finished
//! is removed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(test)]
use treering_codec::Stats;
use treering_codec::crc32;
use treering_index::{IndexWriter, Labels};

use super::chunk_ref::ChunkRef;
use super::chunks::{ChunkWriter, Counts};
use super::directory::DirectoryWriter;
use super::format::{
    BlockInfo, BlockMeta, Footer, HEADER_BYTES, MAX_STEP_SECONDS, Sections, header,
};
use super::paged::{PagedWriter, WRITE_BYTES};
use super::part::Part;
use super::pending::Pending;
use super::read::Block;
use super::sealed::SealedChunk;
use crate::error::{Error, Result};
use crate::vfs::Vfs;

/// Writes one block file.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    /// `None` once finished or failed.
    chunks: Option<ChunkWriter>,
    temporary: Temporary,
    meta: BlockMeta,
    directory: DirectoryWriter,
    index: IndexWriter,
    pending: Pending,
    /// The last timestamp of the series at hand.
    last: Option<i64>,
}

impl BlockWriter {
    /// Starts a block in a new file at `path`, which is its temporary name.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn create(vfs: &Arc<dyn Vfs>, path: &Path, meta: BlockMeta) -> Result<Self> {
        Self::create_among(1, vfs, path, meta)
    }

    /// Starts a block in a new file at `path`, which is its temporary name; one of at most `blocks`
    /// that are written at a time. Beside their tables, all of them take about 4 MiB.
    pub(crate) fn create_among(
        blocks: usize,
        vfs: &Arc<dyn Vfs>,
        path: &Path,
        meta: BlockMeta,
    ) -> Result<Self> {
        if meta.step > MAX_STEP_SECONDS {
            let why = format!("must be at most {MAX_STEP_SECONDS} seconds");
            let argument = "step";
            return Err(Error::InvalidArgument { argument, why });
        }
        let file = vfs
            .create(path)
            .map_err(|error| Error::io("create", path, error))?;
        let temporary = Temporary {
            vfs: Arc::clone(vfs),
            path: path.to_owned(),
            keep: false,
        };
        let share = blocks.div_ceil(4).max(1);
        let write_bytes = WRITE_BYTES / share;
        let mut out = PagedWriter::new(file, path.to_owned(), meta.seed(), write_bytes);
        out.append(&header(&meta))?;
        Ok(Self {
            chunks: Some(ChunkWriter::new(out, share)),
            temporary,
            meta,
            directory: DirectoryWriter::default(),
            index: IndexWriter::new(),
            pending: Pending::new(meta.step > 0),
            last: None,
        })
    }

    /// Whether values are coded by their entropy; they are not unless this says so.
    pub(crate) fn cold(mut self, cold: bool) -> Self {
        if let Some(chunks) = &mut self.chunks {
            chunks.cold = cold;
        }
        self
    }

    /// Adds a whole series with at least one sample.
    #[cfg(test)]
    pub(crate) fn add_series(
        &mut self,
        labels: &Labels,
        timestamps: &[i64],
        values: &[f64],
    ) -> Result<()> {
        self.begin_series(labels)?;
        let row = |&value: &f64| Stats::of(&[value]);
        let rows = values.iter().filter(|_| self.meta.step > 0).map(row);
        self.push(&Part::of(timestamps, values, &rows.collect::<Vec<_>>()))?;
        self.end_series()
    }

    /// Begins a series, which comes in parts in order of time: [`BlockWriter::push`],
    /// [`BlockWriter::push_chunk`], [`BlockWriter::end_series`]. Series must come in strictly
    /// increasing label order.
    ///
    /// After an error of this and the next three the block cannot be finished.
    pub(crate) fn begin_series(&mut self, labels: &Labels) -> Result<()> {
        let chunks = self.chunks.take().ok_or_else(failed)?;
        self.index.add(labels)?;
        self.last = None;
        self.chunks = Some(chunks);
        Ok(())
    }

    /// Adds samples to the series at hand; in a stepped block each is the last of its step. Samples
    /// alone are cut into the same chunks whatever the
    /// parts they come in.
    pub(crate) fn push(&mut self, part: &Part<'_>) -> Result<()> {
        let mut chunks = self.chunks.take().ok_or_else(failed)?;
        let samples = part.values.len();
        let rows_wanted = if self.meta.step > 0 { samples } else { 0 };
        if part.len() != samples || part.rows.len() != rows_wanted {
            return Err(wrong_times("must be as many as the values"));
        }
        if !part
            .timestamps
            .is_sorted_by(|earlier, later| earlier < later)
        {
            return Err(wrong_times("must be strictly increasing"));
        }
        if !self.meta.extended && !part.extras.is_empty() {
            return Err(unexpected_extras());
        }
        if let Some((first, last)) = part.ends() {
            self.advance(first, last)?;
        }
        self.pending.push(part, &mut chunks)?;
        self.chunks = Some(chunks);
        Ok(())
    }

    /// Adds a chunk of another block to the series at hand: it is not encoded anew unless it is
    /// joined with a neighbour.
    pub(crate) fn push_chunk(&mut self, block: &Arc<Block>, chunk: &ChunkRef) -> Result<()> {
        let mut chunks = self.chunks.take().ok_or_else(failed)?;
        self.advance(chunk.min_time, chunk.max_time)?;
        if chunk.step != 0 && chunk.step != self.meta.step_nanos() {
            let why = "must be of a block with the same step".to_owned();
            let argument = "chunk";
            return Err(Error::InvalidArgument { argument, why });
        }
        if !self.meta.extended && block.info().meta.extended {
            return Err(unexpected_extras());
        }
        self.pending.push_chunk(block, chunk, &mut chunks)?;
        self.chunks = Some(chunks);
        Ok(())
    }

    /// Adds a chunk that was encoded before to the series at hand; see [`Pending::push_sealed`].
    pub(crate) fn push_sealed(&mut self, chunk: &SealedChunk) -> Result<()> {
        let mut chunks = self.chunks.take().ok_or_else(failed)?;
        self.advance(chunk.min_time, chunk.max_time)?;
        if self.meta.step > 0 {
            let why = "must be of a block without steps".to_owned();
            let argument = "chunk";
            return Err(Error::InvalidArgument { argument, why });
        }
        self.pending.push_sealed(chunk, &mut chunks)?;
        self.chunks = Some(chunks);
        Ok(())
    }

    /// Ends the series at hand, which must have samples.
    pub(crate) fn end_series(&mut self) -> Result<()> {
        let mut chunks = self.chunks.take().ok_or_else(failed)?;
        self.pending.flush(&mut chunks)?;
        if !chunks.end_series(&mut self.directory)? {
            return Err(wrong_times("must not be empty"));
        }
        self.chunks = Some(chunks);
        Ok(())
    }

    /// Holds the next samples against those before.
    fn advance(&mut self, first: i64, last: i64) -> Result<()> {
        if self.last.is_some_and(|before| before >= first) {
            return Err(wrong_times("must be strictly increasing"));
        }
        self.last = Some(last);
        Ok(())
    }

    /// Writes the rest and fsyncs the file. Fails when no series was added.
    pub(crate) fn finish(mut self) -> Result<BlockInfo> {
        let chunks = self.chunks.take().ok_or_else(failed)?;
        let ChunkWriter {
            mut out,
            columns,
            counts,
            ..
        } = chunks;
        if counts.series == 0 {
            let why = "must have at least one series".to_owned();
            return Err(Error::InvalidArgument {
                argument: "block",
                why,
            });
        }
        // What is written is freed before the next section is made.
        let values = out.offset() - HEADER_BYTES as u64;
        let column_table = columns.table();
        let column_bytes = columns.bytes().len() as u64;
        let column_count = columns.len() as u64;
        out.append(columns.bytes())?;
        drop(columns);
        out.append(&column_table)?;
        let (directory, group_table) = self.directory.finish()?;
        let directory_bytes = directory.len() as u64;
        out.append(&directory)?;
        drop(directory);
        out.append(&group_table)?;
        let page_table = out.seal()?;
        let seed = self.meta.seed();
        let (mut index_bytes, mut index_crc) = (0, seed);
        self.index.finish_into(&mut |bytes| {
            index_bytes += bytes.len() as u64;
            index_crc = crc32(index_crc, bytes);
            out.append(bytes)
        })?;
        out.append(&page_table)?;
        let lengths = [
            values,
            column_bytes,
            column_table.len() as u64,
            directory_bytes,
            group_table.len() as u64,
            index_bytes,
            page_table.len() as u64,
        ];
        let sections = Sections::of_lengths(lengths).ok_or_else(failed)?;
        let page_table_crc = crc32(seed, &page_table);
        let info = counts.info(self.meta, column_count, &sections);
        out.append(
            &Footer {
                version: self.meta.version(),
                info,
                sections,
                index_crc,
                page_table_crc,
            }
            .encode(),
        )?;
        out.finish()?;
        self.temporary.keep = true;
        Ok(info)
    }
}

impl Counts {
    fn info(&self, meta: BlockMeta, columns: u64, sections: &Sections) -> BlockInfo {
        BlockInfo {
            meta,
            min_time: self.min_time,
            max_time: self.max_time,
            series: self.series,
            samples: self.samples,
            chunks: self.chunks,
            columns,
            bytes: sections.bytes(),
        }
    }
}

fn wrong_times(why: &str) -> Error {
    Error::InvalidArgument {
        argument: "timestamps",
        why: why.to_owned(),
    }
}

fn unexpected_extras() -> Error {
    // Its version would not tell of them, so nobody would look for them.
    Error::InvalidArgument {
        argument: "extras",
        why: "come into a block that was begun without".to_owned(),
    }
}

fn failed() -> Error {
    let why = "was given up after an earlier error; write it anew".to_owned();
    Error::InvalidArgument {
        argument: "block",
        why,
    }
}

/// The file under its temporary name, removed unless it was finished.
#[derive(Debug)]
struct Temporary {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    keep: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.keep {
            // A leftover is harmless: opening the database removes it.
            let _ = self.vfs.remove(&self.path);
        }
    }
}
