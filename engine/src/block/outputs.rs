//! The blocks that a flush or a merge writes: one for each window of time, published together.
//!
//! Input: series in label order, each in order of time. Output: finished blocks under their final
//! names, not yet in the manifest. Invariant: unless [`Outputs::finish`] succeeds, no file stays,
//! as far as the store lets itself be cleared; an open clears the rest.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use treering_index::Labels;

use super::chunk_ref::ChunkRef;
use super::format::{BlockInfo, BlockMeta};
use super::part::Part;
use super::read::Block;
use super::sealed::SealedChunk;
use super::write::BlockWriter;
use crate::error::{Error, Result};
use crate::vfs::Vfs;

/// Path of block `id` in the folder `dir`.
pub(crate) fn block_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:010}.block"))
}

/// Id of the block with this file name, if it is one.
pub(crate) fn parse_block_name(name: &str) -> Option<u64> {
    let id = name.strip_suffix(".block")?.parse().ok()?;
    (block_path(Path::new(""), id).as_os_str() == name).then_some(id)
}

/// Whether a file name is that of a block being written.
pub(crate) fn is_temporary_name(name: &str) -> bool {
    name.strip_suffix(".tmp")
        .is_some_and(|block| parse_block_name(block).is_some())
}

fn temporary_path(dir: &Path, id: u64) -> PathBuf {
    block_path(dir, id).with_extension("block.tmp")
}

/// The blocks being written, by window.
#[derive(Debug)]
pub(crate) struct Outputs<'a> {
    vfs: &'a Arc<dyn Vfs>,
    dir: &'a Path,
    /// Of the first block; the ids of the others count up with their windows.
    meta: BlockMeta,
    /// Last timestamp of each block but the newest, ascending.
    edges: Vec<i64>,
    writers: Vec<Option<BlockWriter>>,
    /// The series at hand, and the window whose block it has begun in.
    labels: Labels,
    open: Option<usize>,
    /// The blocks whose files are whole.
    infos: Vec<BlockInfo>,
    finished: bool,
    cold: bool,
}

impl<'a> Outputs<'a> {
    /// Blocks in the folder `dir`, cut after each of `edges`, ascending; `meta` is that of the
    /// oldest. A block that gets no samples is not written, and its id is passed over.
    pub(crate) fn new(
        vfs: &'a Arc<dyn Vfs>,
        dir: &'a Path,
        meta: BlockMeta,
        edges: Vec<i64>,
    ) -> Self {
        let writers = (0..=edges.len()).map(|_| None).collect();
        Self {
            vfs,
            dir,
            meta,
            edges,
            writers,
            labels: Labels::empty(),
            open: None,
            infos: Vec::new(),
            finished: false,
            cold: false,
        }
    }

    /// Whether values are coded by their entropy; they are not unless this says so.
    pub(crate) fn cold(mut self, cold: bool) -> Self {
        self.cold = cold;
        self
    }

    /// The window of a timestamp.
    pub(crate) fn window(&self, timestamp: i64) -> usize {
        self.edges.partition_point(|&edge| edge < timestamp)
    }

    /// Begins a series, which may turn out to have no samples.
    pub(crate) fn begin_series(&mut self, labels: &Labels) {
        self.labels = labels.clone();
        self.open = None;
    }

    /// Adds samples to the series at hand, later than those before; to stepped blocks with the
    /// statistics of the step that each ends.
    pub(crate) fn push(&mut self, part: &Part<'_>) -> Result<()> {
        let timestamps = part.timestamps;
        let mut from = 0;
        while let Some(&first) = timestamps.get(from) {
            let window = self.window(first);
            let to = match self.edges.get(window) {
                Some(edge) => from + rest(timestamps, from).partition_point(|at| at <= edge),
                None => timestamps.len(),
            };
            self.writer(window)?.push(&part.slice(from, to))?;
            from = to;
        }
        Ok(())
    }

    /// Adds a whole chunk of another block to the series at hand; all of it lies in one window.
    pub(crate) fn push_chunk(&mut self, block: &Arc<Block>, chunk: &ChunkRef) -> Result<()> {
        let window = self.window(chunk.max_time);
        self.writer(window)?.push_chunk(block, chunk)
    }

    /// Adds a chunk that was encoded before to the series at hand; all of it lies in one window.
    pub(crate) fn push_sealed(&mut self, chunk: &SealedChunk) -> Result<()> {
        let window = self.window(chunk.max_time);
        self.writer(window)?.push_sealed(chunk)
    }

    /// Ends the series at hand.
    pub(crate) fn end_series(&mut self) -> Result<()> {
        match self.open.take().and_then(|open| self.writers.get_mut(open)) {
            Some(Some(writer)) => writer.end_series(),
            _ => Ok(()),
        }
    }

    /// The block of a window, in which the series at hand has begun.
    fn writer(&mut self, window: usize) -> Result<&mut BlockWriter> {
        let is_new = self.open != Some(window);
        if is_new {
            self.end_series()?;
        }
        let id = self.meta.id + window as u64;
        let out_of_range = || Error::InvalidArgument {
            argument: "window",
            why: "is none of the output".to_owned(),
        };
        let blocks = self.writers.len();
        let slot = self.writers.get_mut(window).ok_or_else(out_of_range)?;
        let writer = match slot {
            Some(writer) => writer,
            vacant => {
                let meta = BlockMeta { id, ..self.meta };
                let path = temporary_path(self.dir, id);
                let writer = BlockWriter::create_among(blocks, self.vfs, &path, meta)?;
                vacant.insert(writer.cold(self.cold))
            }
        };
        if is_new {
            writer.begin_series(&self.labels)?;
            self.open = Some(window);
        }
        Ok(writer)
    }

    /// Writes the blocks that were begun to their end: none of them gets more samples.
    pub(crate) fn end_blocks(&mut self) -> Result<()> {
        for writer in self.writers.iter_mut().filter_map(Option::take) {
            self.infos.push(writer.finish()?);
        }
        Ok(())
    }

    /// Finishes all blocks and gives them their names. Afterwards they are durable, and the caller
    /// makes them live by naming them in the manifest.
    pub(crate) fn finish(mut self) -> Result<Vec<BlockInfo>> {
        self.end_blocks()?;
        let infos = std::mem::take(&mut self.infos);
        let ids = infos.iter().map(|info| info.meta.id);
        let names = ids.map(|id| (temporary_path(self.dir, id), block_path(self.dir, id)));
        publish(&**self.vfs, self.dir, names)?;
        for info in &infos {
            tracing::info!(
                block = info.meta.id,
                series = info.series,
                samples = info.samples,
                bytes = info.bytes.total,
                "block written"
            );
        }
        self.finished = true;
        Ok(infos)
    }
}

impl Drop for Outputs<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.writers.clear();
        for id in (self.meta.id..).take(self.edges.len() + 1) {
            let _ = self.vfs.remove(&temporary_path(self.dir, id));
            let _ = self.vfs.remove(&block_path(self.dir, id));
        }
    }
}

/// Gives finished blocks in the folder `dir` their names: pairs of the temporary and the final one.
/// Afterwards the files are durable under them.
pub(crate) fn publish(
    vfs: &dyn Vfs,
    dir: &Path,
    names: impl IntoIterator<Item = (PathBuf, PathBuf)>,
) -> Result<()> {
    let mut any = false;
    for (temporary, path) in names {
        // The bytes are durable already: `BlockWriter::finish` has synced the file.
        vfs.rename(&temporary, &path)
            .map_err(|error| Error::io("rename", &temporary, error))?;
        any = true;
    }
    if !any {
        return Ok(());
    }
    // fsync: the names are durable before the manifest speaks of them, so no manifest names a
    // block that a power cut took away.
    vfs.sync_dir(dir)
        .map_err(|error| Error::io("sync", dir, error))
}

fn rest<T>(column: &[T], from: usize) -> &[T] {
    column.get(from..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_strictly() {
        let path = block_path(Path::new(""), 42);
        assert_eq!(parse_block_name(&path.to_string_lossy()), Some(42));
        assert_eq!(parse_block_name("42.block"), None);
        assert_eq!(parse_block_name("000000004x.block"), None);
        assert!(is_temporary_name("0000000042.block.tmp"));
        assert!(!is_temporary_name("notes.tmp"));
    }
}
