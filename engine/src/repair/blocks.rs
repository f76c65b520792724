//! The blocks of a damaged database: copied when whole, else written anew without what is damaged.
//!
//! Input: the state, the files. Output: files in the new database, and the state as they are there.
//! Invariant: a chunk is kept only if every byte it is told from stood under a checksum that is
//! right, and what its entry says of it is so.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use treering_index::Labels;

use super::catalogue::path_of;
use super::{Loss, RepairReport};
use crate::block::{Block, BlockLabels, ChunkRef, Cursor, Outputs, Part};
use crate::error::{Error, Result};
use crate::flush::entry_of;
use crate::manifest::format::{BlockEntry, State};
use crate::options::Reads;
use crate::snapshot::target::Target;
use crate::vfs::Vfs;

/// Brings every block of `state` into `target`; what it becomes there is in `state` afterwards.
pub(super) fn salvage(
    vfs: &Arc<dyn Vfs>,
    source: &Path,
    target: &mut Target<'_>,
    (database, state): (u64, &mut State),
    report: &mut RepairReport,
) -> Result<()> {
    let dir = target.block_folder();
    let mut saved = BTreeMap::new();
    for entry in state.blocks.values() {
        let path = path_of(source, entry.id);
        let whole = Block::open(vfs, &path, Reads::Pread).and_then(|block| {
            block.verify()?;
            Ok(block)
        });
        let error = match whole {
            Ok(block) => {
                target.copy_block(&block)?;
                report.blocks_copied += 1;
                report.block_samples += block.info().samples;
                saved.insert(entry.id, *entry);
                continue;
            }
            Err(error @ Error::Version { .. }) => return Err(error),
            Err(error) => error,
        };
        let Ok(block) = Block::open_damaged(vfs, &path, (database, entry.id)) else {
            let loss = Loss::error(&path, error);
            let what = format!("{}; the block is lost whole", loss.what);
            let range = Some((entry.min_time, entry.max_time));
            report.lose(Loss {
                what,
                range,
                ..loss
            });
            continue;
        };
        let salvaged = Salvage::new(Arc::new(block), report).write(vfs, &dir)?;
        if let Some(mut new) = salvaged {
            new.purged = entry.purged.max(new.purged);
            saved.insert(entry.id, new);
        }
    }
    state.blocks = saved;
    Ok(())
}

/// A damaged block on its way.
struct Salvage<'a> {
    block: Arc<Block>,
    report: &'a mut RepairReport,
    /// Samples kept.
    samples: u64,
    /// Samples in the losses so far.
    lost: u64,
}

impl<'a> Salvage<'a> {
    fn new(block: Arc<Block>, report: &'a mut RepairReport) -> Self {
        Self {
            block,
            report,
            samples: 0,
            lost: 0,
        }
    }

    /// Writes what is intact into a block of the same id in `dir`; `None` when nothing is.
    fn write(mut self, vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<Option<BlockEntry>> {
        let block = Arc::clone(&self.block);
        let info = block.info();
        let mut outputs = Outputs::new(vfs, dir, info.meta, Vec::new());
        match block.index() {
            Ok(index) => match index.labels() {
                Ok(labels) => self.write_series(labels, &mut outputs)?,
                Err(error) => self.lose(error, None, &[]),
            },
            Err(error) => self.lose(error, None, &[]),
        }
        let infos = outputs.finish()?;
        // What no loss counts by itself went with the directory.
        let missing = info.samples.saturating_sub(self.samples + self.lost);
        if missing > 0 {
            let what = "samples of the block that no other entry counts";
            let loss = Loss::of(block.path(), None, what).samples(missing);
            self.report.lose(loss);
        }
        self.report.blocks_salvaged += infos.len() as u64;
        self.report.block_samples += self.samples;
        Ok(infos.first().map(entry_of))
    }

    fn write_series(
        &mut self,
        mut labels_of: BlockLabels<'_>,
        outputs: &mut Outputs<'_>,
    ) -> Result<()> {
        let block = Arc::clone(&self.block);
        let (mut cursor, mut chunks) = (Cursor::default(), Vec::new());
        let mut before: Option<Labels> = None;
        for ordinal in 0..u32::try_from(block.info().series).unwrap_or(u32::MAX) {
            chunks.clear();
            let read = block.all_chunks(&mut cursor, ordinal, &mut chunks);
            let labels = labels_of.labels(ordinal);
            let ordered = |labels: &Labels| before.as_ref().is_none_or(|before| before < labels);
            let labels = match labels.map(|labels| Some(labels).filter(ordered)) {
                Ok(Some(labels)) => labels,
                Ok(None) => {
                    let what = "the series are not in label order";
                    self.lose(Error::corrupt(block.path(), 0, what), None, &chunks);
                    continue;
                }
                Err(error) => {
                    self.lose(error, None, &chunks);
                    continue;
                }
            };
            if let Err(error) = read {
                (cursor, chunks) = (Cursor::default(), Vec::new());
                self.lose(error, Some(&labels), &[]);
            }
            outputs.begin_series(&labels);
            self.write_chunks(&labels, &chunks, outputs)?;
            outputs.end_series()?;
            before = Some(labels);
        }
        Ok(())
    }

    fn write_chunks(
        &mut self,
        labels: &Labels,
        chunks: &[ChunkRef],
        outputs: &mut Outputs<'_>,
    ) -> Result<()> {
        let is_stepped = self.block.info().meta.step > 0;
        for chunk in chunks {
            match self.block.verified(chunk) {
                Ok(rows) => {
                    outputs.push(&Part {
                        timestamps: &rows.timestamps,
                        values: &rows.values,
                        rows: if is_stepped { &rows.rows } else { &[] },
                        extras: &rows.extras,
                    })?;
                    self.samples += u64::from(chunk.count);
                }
                Err(error) => self.lose(error, Some(labels), std::slice::from_ref(chunk)),
            }
        }
        Ok(())
    }

    /// Notes that these chunks of a series went, or all that could not be told.
    fn lose(&mut self, error: Error, labels: Option<&Labels>, chunks: &[ChunkRef]) {
        let mut loss = Loss::error(self.block.path(), error);
        loss.series = labels.map(Labels::to_string);
        if let (Some(first), Some(last)) = (chunks.first(), chunks.last()) {
            let samples = chunks.iter().map(|chunk| u64::from(chunk.count)).sum();
            loss.range = Some((first.min_time, last.max_time));
            loss.samples = Some(samples);
            self.lost += samples;
        }
        self.report.lose(loss);
    }
}
