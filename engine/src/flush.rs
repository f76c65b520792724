//! Turns a frozen head into blocks: merges each series' runs, splits them at block windows, writes.
//!
//! Input: a head that takes no more samples. Output: finished blocks under their final names, not
//! yet in the manifest. However wide the times are, at most [`FLUSH_BLOCKS`] blocks are written: the
//! newest windows get one each, everything older shares a wide one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use treering_index::Labels;

use crate::block::{BlockInfo, BlockMeta, BlockWriter, publish};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::limits::FLUSH_BLOCKS;
use crate::manifest::format::BlockEntry;
use crate::query::merge::merge_columns;
use crate::registry::Registry;
use crate::sync::RwLock;
use crate::vfs::Vfs;

/// Folder of the blocks inside the database directory.
pub(crate) const DIR: &str = "blocks";

/// What a flush needs to know.
#[derive(Debug)]
pub(crate) struct FlushPlan<'a> {
    pub(crate) vfs: &'a Arc<dyn Vfs>,
    pub(crate) dir: &'a Path,
    pub(crate) database: u64,
    pub(crate) namespace: u32,
    pub(crate) registry: &'a RwLock<Registry>,
    /// Id of the first block; the next ones count up.
    pub(crate) first_block: u64,
    /// Sequences that the head holds.
    pub(crate) min_sequence: u64,
    pub(crate) max_sequence: u64,
    /// Block window in nanoseconds.
    pub(crate) window: i64,
}

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

/// Writes the blocks of `head`; none when it is empty.
pub(crate) fn write_blocks(head: &Head, plan: &FlushPlan<'_>) -> Result<Vec<BlockEntry>> {
    let mut output = Output::new(plan, head);
    let written = output.write_head(head).and_then(|()| output.finish());
    if written.is_err() {
        output.abandon();
    }
    written
}

/// The blocks being written, by window.
struct Output<'a> {
    plan: &'a FlushPlan<'a>,
    /// Last timestamp of each block but the newest, ascending.
    edges: Vec<i64>,
    writers: Vec<Option<BlockWriter>>,
}

impl<'a> Output<'a> {
    fn new(plan: &'a FlushPlan<'a>, head: &Head) -> Self {
        let edges = head
            .time_range()
            .map_or_else(Vec::new, |(min, max)| edges(min, max, plan.window));
        let writers = (0..=edges.len()).map(|_| None).collect();
        Self {
            plan,
            edges,
            writers,
        }
    }

    fn write_head(&mut self, head: &Head) -> Result<()> {
        let mut ids = head.active(i64::MIN, i64::MAX);
        sort_by_labels(&mut ids, self.plan.registry);
        let (mut runs, mut timestamps, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for id in ids {
            runs.clear();
            head.runs(id, i64::MIN, i64::MAX, &mut runs);
            timestamps.clear();
            values.clear();
            merge_columns(&runs, i64::MIN, i64::MAX, &mut timestamps, &mut values)?;
            let labels = self.plan.registry.read().index().labels(id);
            // A head never holds a series that the registry does not know; if it did, leaving it
            // out would lose its samples with the WAL.
            let labels = labels.ok_or_else(|| {
                Error::corrupt(
                    self.plan.dir,
                    0,
                    format!("series {id} has no labels in memory"),
                )
            })?;
            self.add_series(&labels, &timestamps, &values)?;
        }
        Ok(())
    }

    /// Hands each window its part of a series.
    fn add_series(&mut self, labels: &Labels, timestamps: &[i64], values: &[f64]) -> Result<()> {
        let mut from = 0;
        for window in 0..self.writers.len() {
            let to = match self.edges.get(window) {
                Some(edge) => timestamps.partition_point(|timestamp| timestamp <= edge),
                None => timestamps.len(),
            };
            if from < to {
                let part = from..to;
                self.writer(window)?.add_series(
                    labels,
                    &timestamps[part.clone()],
                    &values[part],
                )?;
            }
            from = to.max(from);
        }
        Ok(())
    }

    fn writer(&mut self, window: usize) -> Result<&mut BlockWriter> {
        let plan = self.plan;
        let id = plan.first_block + window as u64;
        match &mut self.writers[window] {
            Some(writer) => Ok(writer),
            vacant => {
                let meta = BlockMeta {
                    id,
                    namespace: plan.namespace,
                    min_sequence: plan.min_sequence,
                    max_sequence: plan.max_sequence,
                    level: 0,
                    database: plan.database,
                };
                let path = temporary(plan.dir, id);
                Ok(vacant.insert(BlockWriter::create(plan.vfs, &path, meta)?))
            }
        }
    }

    fn finish(&mut self) -> Result<Vec<BlockEntry>> {
        let mut entries = Vec::new();
        for writer in self.writers.iter_mut().filter_map(Option::take) {
            let info = writer.finish()?;
            let id = info.meta.id;
            publish(
                &**self.plan.vfs,
                &temporary(self.plan.dir, id),
                &block_path(self.plan.dir, id),
            )?;
            tracing::info!(
                block = id,
                series = info.series,
                samples = info.samples,
                bytes = info.bytes.total,
                "block written"
            );
            entries.push(entry_of(&info));
        }
        Ok(entries)
    }

    /// Removes what was written, as far as that goes; an open removes the rest.
    fn abandon(&mut self) {
        self.writers.clear();
        for window in 0..=self.edges.len() {
            let id = self.plan.first_block + window as u64;
            let _ = self.plan.vfs.remove(&temporary(self.plan.dir, id));
            let _ = self.plan.vfs.remove(&block_path(self.plan.dir, id));
        }
    }
}

/// Sorts ids in the order of their labels.
fn sort_by_labels(ids: &mut [u32], registry: &RwLock<Registry>) {
    let registry = registry.read();
    ids.sort_unstable_by(|&a, &b| registry.index().compare(a, b));
}

/// What the manifest says of a finished block.
pub(crate) fn entry_of(info: &BlockInfo) -> BlockEntry {
    BlockEntry {
        id: info.meta.id,
        namespace: info.meta.namespace,
        level: info.meta.level,
        min_time: info.min_time,
        max_time: info.max_time,
        min_sequence: info.meta.min_sequence,
        max_sequence: info.meta.max_sequence,
        bytes: info.bytes.total,
        purged: info.meta.max_sequence,
        step: 0,
    }
}

fn temporary(dir: &Path, id: u64) -> PathBuf {
    block_path(dir, id).with_extension("block.tmp")
}

/// Where a flush of samples from `min` to `max` is split: the last timestamp of each block but the
/// newest. Windows are left-open and right-closed: a sample at an edge ends its window.
fn edges(min: i64, max: i64, window: i64) -> Vec<i64> {
    let window = window.max(1);
    // The edge below `max`: the largest multiple of the window that is less than it.
    let mut edge =
        i128::from(max.saturating_sub(1)).div_euclid(i128::from(window)) * i128::from(window);
    let mut edges = Vec::new();
    while edges.len() < FLUSH_BLOCKS - 1 {
        match i64::try_from(edge) {
            Ok(at) if at >= min => edges.push(at),
            _ => break,
        }
        edge -= i128::from(window);
    }
    edges.reverse();
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_blocks_however_wide_the_times() {
        assert_eq!(edges(1, 10, 10), Vec::<i64>::new());
        assert_eq!(edges(1, 11, 10), vec![10]);
        assert_eq!(edges(10, 11, 10), vec![10]);
        assert_eq!(edges(11, 11, 10), Vec::<i64>::new());
        assert_eq!(edges(0, 1000, 10), vec![970, 980, 990]);
        assert_eq!(edges(-25, -1, 10), vec![-20, -10]);
        assert!(edges(i64::MIN, i64::MAX, 10).len() < FLUSH_BLOCKS);
        assert!(edges(i64::MIN, i64::MIN, i64::MAX).is_empty());
    }

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
