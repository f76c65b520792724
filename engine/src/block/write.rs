//! Writing a block: series in label order in, one durable file out.
//!
//! Input: labels and whole columns of samples. Output: the file, under its temporary name, and what
//! its footer says. Invariant: chunks of values stream to the file as they are encoded; columns,
//! directory and index stay in memory until [`BlockWriter::finish`]; a file that was not finished
//! is removed.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use treering_codec::{Stats, crc32, encode_values, is_stale};
use treering_index::{IndexWriter, Labels};

use super::columns::ColumnSet;
use super::cut::chunk_end;
use super::directory::{DirectoryWriter, Entry};
use super::format::{BlockInfo, BlockMeta, Footer, HEADER_BYTES, Sections, header};
use super::paged::PagedWriter;
use crate::error::{Error, Result};
use crate::vfs::Vfs;

/// Chunks of fewer samples carry no statistics: decoding them costs no more than reading those.
const SUMMED_SAMPLES: usize = 32;

/// Writes one block file.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    /// `None` once finished or failed.
    out: Option<PagedWriter>,
    temporary: Temporary,
    meta: BlockMeta,
    columns: ColumnSet,
    directory: DirectoryWriter,
    index: IndexWriter,
    previous: Previous,
    entries: Vec<Entry>,
    encoded: Vec<u8>,
    counts: Counts,
}

/// What was written so far.
#[derive(Debug)]
struct Counts {
    min_time: i64,
    max_time: i64,
    series: u64,
    samples: u64,
    chunks: u64,
}

/// The series before: the next one mostly has the same timestamps.
#[derive(Debug, Default)]
struct Previous {
    timestamps: Vec<i64>,
    cuts: Vec<Range<usize>>,
    columns: Vec<u32>,
}

impl BlockWriter {
    /// Starts a block in a new file at `path`, which is its temporary name: see [`publish`].
    pub(crate) fn create(vfs: &Arc<dyn Vfs>, path: &Path, meta: BlockMeta) -> Result<Self> {
        let file = vfs
            .create(path)
            .map_err(|error| Error::io("create", path, error))?;
        let temporary = Temporary {
            vfs: Arc::clone(vfs),
            path: path.to_owned(),
            keep: false,
        };
        let mut out = PagedWriter::new(file, path.to_owned(), meta.seed());
        out.append(&header(&meta))?;
        Ok(Self {
            out: Some(out),
            temporary,
            meta,
            columns: ColumnSet::default(),
            directory: DirectoryWriter::default(),
            index: IndexWriter::new(),
            previous: Previous::default(),
            entries: Vec::new(),
            encoded: Vec::new(),
            counts: Counts {
                min_time: i64::MAX,
                max_time: i64::MIN,
                series: 0,
                samples: 0,
                chunks: 0,
            },
        })
    }

    /// Adds a series with at least one sample. Series must come in strictly increasing label order,
    /// the timestamps of each strictly increasing, as many as there are values.
    ///
    /// After an error the block cannot be finished.
    pub(crate) fn add_series(
        &mut self,
        labels: &Labels,
        timestamps: &[i64],
        values: &[f64],
    ) -> Result<()> {
        let mut out = self.out.take().ok_or_else(failed)?;
        self.add(&mut out, labels, timestamps, values)?;
        self.out = Some(out);
        Ok(())
    }

    fn add(
        &mut self,
        out: &mut PagedWriter,
        labels: &Labels,
        timestamps: &[i64],
        values: &[f64],
    ) -> Result<()> {
        if timestamps.len() != values.len() {
            let why = "must be as many as the values".to_owned();
            return Err(Error::InvalidArgument {
                argument: "timestamps",
                why,
            });
        }
        if timestamps != self.previous.timestamps {
            self.previous.replace(timestamps, &mut self.columns)?;
        }
        let (Some(&first), Some(&last)) = (timestamps.first(), timestamps.last()) else {
            let why = "must not be empty".to_owned();
            return Err(Error::InvalidArgument {
                argument: "timestamps",
                why,
            });
        };
        self.index.add(labels)?;
        self.entries.clear();
        for cut in &self.previous.cuts {
            let values = values.get(cut.clone()).unwrap_or_default();
            self.encoded.clear();
            self.entries.push(encode(values, &mut self.encoded));
            out.append(&self.encoded)?;
        }
        self.directory.add(&self.previous.columns, &self.entries)?;
        self.counts.min_time = self.counts.min_time.min(first);
        self.counts.max_time = self.counts.max_time.max(last);
        self.counts.series += 1;
        self.counts.samples += timestamps.len() as u64;
        self.counts.chunks += self.entries.len() as u64;
        Ok(())
    }

    /// Writes the rest and fsyncs the file. Fails when no series was added.
    pub(crate) fn finish(mut self) -> Result<BlockInfo> {
        let mut out = self.out.take().ok_or_else(failed)?;
        if self.counts.series == 0 {
            let why = "must have at least one series".to_owned();
            return Err(Error::InvalidArgument {
                argument: "block",
                why,
            });
        }
        let values = out.offset() - HEADER_BYTES as u64;
        let column_table = self.columns.table();
        out.append(self.columns.bytes())?;
        out.append(&column_table)?;
        let columns = self.columns.len() as u64;
        let column_bytes = self.columns.bytes().len() as u64;
        let (directory, group_table) = self.directory.finish()?;
        out.append(&directory)?;
        out.append(&group_table)?;
        let page_table = out.seal()?;
        let index = self.index.finish()?;
        out.append(&index)?;
        out.append(&page_table)?;
        let lengths = [
            values,
            column_bytes,
            column_table.len() as u64,
            directory.len() as u64,
            group_table.len() as u64,
            index.len() as u64,
            page_table.len() as u64,
        ];
        let sections = Sections::of_lengths(lengths).ok_or_else(failed)?;
        let seed = self.meta.seed();
        let (index_crc, page_table_crc) = (crc32(seed, &index), crc32(seed, &page_table));
        let info = self.counts.info(self.meta, columns, &sections);
        out.append(
            &Footer {
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

impl Previous {
    fn replace(&mut self, timestamps: &[i64], columns: &mut ColumnSet) -> Result<()> {
        if !timestamps.is_sorted_by(|earlier, later| earlier < later) {
            let why = "must be strictly increasing".to_owned();
            return Err(Error::InvalidArgument {
                argument: "timestamps",
                why,
            });
        }
        self.timestamps.clear();
        self.timestamps.extend_from_slice(timestamps);
        self.cuts.clear();
        self.columns.clear();
        let mut start = 0;
        while start < timestamps.len() {
            let end = chunk_end(timestamps, start);
            self.columns
                .push(columns.add(timestamps.get(start..end).unwrap_or_default())?);
            self.cuts.push(start..end);
            start = end;
        }
        Ok(())
    }
}

/// Encodes the values of a chunk; a constant appends nothing, its statistics hold it.
fn encode(values: &[f64], encoded: &mut Vec<u8>) -> Entry {
    let constant = values
        .first()
        .filter(|first| !is_stale(**first))
        .is_some_and(|first| {
            values
                .iter()
                .all(|value| value.to_bits() == first.to_bits())
        });
    if constant {
        return Entry::Constant(Stats::of(values));
    }
    encode_values(values, encoded);
    // Without a sample that is not stale there is nothing to sum up.
    let stats = (values.len() >= SUMMED_SAMPLES)
        .then(|| Stats::of(values))
        .filter(|stats| stats.count > 0);
    Entry::Values {
        bytes: encoded.len() as u64,
        stats,
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

/// Gives a finished block its name. Afterwards the file is durable under it, and the caller makes
/// it live by naming it in the manifest.
pub(crate) fn publish(vfs: &dyn Vfs, temporary: &Path, path: &Path) -> Result<()> {
    // The bytes are durable already: `BlockWriter::finish` has synced the file.
    vfs.rename(temporary, path)
        .map_err(|error| Error::io("rename", temporary, error))?;
    let directory = path.parent().unwrap_or(Path::new(""));
    // fsync: the name is durable before the manifest speaks of it, so no manifest names a block
    // that a power cut took away.
    vfs.sync_dir(directory)
        .map_err(|error| Error::io("sync", directory, error))
}
