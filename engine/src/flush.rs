//! Turns a frozen head into blocks: merges each series' runs, splits them at block windows, writes.
//!
//! Input: a head that takes no more samples. Output: finished blocks under their final names, not
//! yet in the manifest. However wide the times are, at most [`FLUSH_BLOCKS`] blocks are written: the
//! newest windows get one each, everything older shares a wide one.

use std::path::Path;
use std::sync::Arc;

use crate::block::{BlockInfo, BlockMeta, Outputs, Part, SealedChunk};
pub(crate) use crate::block::{block_path, is_temporary_name, parse_block_name};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::limits::FLUSH_BLOCKS;
use crate::manifest::format::BlockEntry;
use crate::query::merge::{Clusters, Merged, Merger};
use crate::query::run::{Run, RunSource};
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

/// Writes the blocks of `head`; none when it is empty.
pub(crate) fn write_blocks(head: &Head, plan: &FlushPlan<'_>) -> Result<Vec<BlockEntry>> {
    let edges = head
        .time_range()
        .map_or_else(Vec::new, |(min, max)| edges(min, max, plan.window));
    let meta = BlockMeta {
        id: plan.first_block,
        namespace: plan.namespace,
        min_sequence: plan.min_sequence,
        max_sequence: plan.max_sequence,
        level: 0,
        database: plan.database,
        step: 0,
        extended: head.is_extended(),
    };
    // Block by block: the labels of only one are in memory once more.
    let firsts = edges.iter().map(|edge| edge.saturating_add(1));
    let firsts: Vec<i64> = std::iter::once(i64::MIN).chain(firsts).collect();
    let lasts: Vec<i64> = edges.iter().copied().chain([i64::MAX]).collect();
    let mut outputs = Outputs::new(plan.vfs, plan.dir, meta, edges);
    for window in firsts.into_iter().zip(lasts) {
        write_window(head, plan, window, &mut outputs)?;
        outputs.end_blocks()?;
    }
    Ok(outputs.finish()?.iter().map(entry_of).collect())
}

/// Writes the samples of a window, its ends included.
fn write_window(
    head: &Head,
    plan: &FlushPlan<'_>,
    (first, last): (i64, i64),
    outputs: &mut Outputs<'_>,
) -> Result<()> {
    let mut ids = head.active(first, last);
    sort_by_labels(&mut ids, plan.registry);
    let (mut runs, mut merged) = (Vec::new(), Merged::default());
    let (mut clusters, mut merger) = (Clusters::default(), Merger::new(first, last));
    for id in ids {
        runs.clear();
        head.runs(id, first, last, &mut runs);
        clusters.refill(&runs, first, last);
        let labels = plan.registry.read().index().labels(id);
        // A head never holds a series that the registry does not know; if it did, leaving it
        // out would lose its samples with the WAL.
        let labels = labels.ok_or_else(|| {
            let what = format!("series {id} has no labels in memory");
            Error::corrupt(plan.dir, 0, what)
        })?;
        outputs.begin_series(&labels);
        for cluster in clusters.iter() {
            if let Some(chunk) = sealed_chunk(&runs, cluster, (first, last)) {
                push(&mut merged, outputs)?;
                outputs.push_sealed(chunk)?;
            } else {
                merger.merge_extended(&runs, cluster, &mut merged)?;
            }
        }
        push(&mut merged, outputs)?;
        outputs.end_series()?;
    }
    Ok(())
}

/// The chunk of the head that a cluster is, if it goes into the block as it is.
fn sealed_chunk<'a>(
    runs: &'a [Run],
    cluster: &[usize],
    (first, last): (i64, i64),
) -> Option<&'a SealedChunk> {
    let [run] = cluster else { return None };
    let run = runs.get(*run)?;
    match &run.source {
        RunSource::Sealed(chunk)
            if run.holes.is_empty() && first <= run.min_time && run.max_time <= last =>
        {
            Some(chunk)
        }
        _ => None,
    }
}

/// Adds what was merged to the series at hand, and empties it.
fn push(merged: &mut Merged, outputs: &mut Outputs<'_>) -> Result<()> {
    outputs.push(&Part {
        timestamps: &merged.timestamps,
        values: &merged.values,
        rows: &[],
        extras: &merged.extras,
    })?;
    merged.clear();
    Ok(())
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
        step: info.meta.step,
    }
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
}
