//! Merging blocks: series by series in label order, samples in order of time, the input later in
//! the list wins.
//!
//! Input: open blocks in order of precedence and what is hidden in each. Output: finished blocks
//! under their final names, one for each window, not yet in the manifest. Invariant: of one series
//! at most a chunk per input is decoded at a time; a chunk that nothing touches is not decoded.

mod sweep;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;

use treering_index::Labels;

use crate::block::{Block, BlockIndex, BlockLabels, BlockMeta, Cursor, Outputs};
use crate::error::{Error, Result};
use crate::flush::entry_of;
use crate::manifest::format::BlockEntry;
use crate::query::holes::Holes;
use crate::vfs::Vfs;
use crate::view::Hidden;
use sweep::Sweep;

/// What a merge needs to know.
pub(crate) struct MergePlan<'a> {
    pub(crate) vfs: &'a Arc<dyn Vfs>,
    /// Folder of the blocks.
    pub(crate) dir: &'a Path,
    pub(crate) database: u64,
    pub(crate) namespace: u32,
    /// Id of the oldest output; those of the others count up with their windows.
    pub(crate) first_block: u64,
    /// Level of the outputs.
    pub(crate) level: u8,
    /// Seconds of one step of the outputs; 0 is the longest step of the inputs, whose samples stay as
    /// they are when none has one. A multiple of the step of every input.
    pub(crate) step: u32,
    /// Whether values are coded by their entropy.
    pub(crate) cold: bool,
    /// In order of precedence: where two hold the same timestamp, the later in the list wins.
    pub(crate) inputs: &'a [MergeInput],
    /// Last timestamp of each output but the newest, ascending.
    pub(crate) edges: &'a [i64],
    /// Samples at or before are left out; `i64::MIN` leaves out none.
    pub(crate) horizon: i64,
    /// Asked every few hundred series and about every million samples: whether to go on. It may
    /// pause.
    pub(crate) keep_going: &'a dyn Fn() -> bool,
}

/// A block that is merged.
#[derive(Debug, Clone)]
pub(crate) struct MergeInput {
    pub(crate) block: Arc<Block>,
    /// What deletes took out of it.
    pub(crate) tombstones: Vec<Hidden>,
}

/// Writes the blocks that the inputs become; none when nothing is left of them. `Ok(None)` when it
/// was told to stop. Unless it returns blocks, no file stays.
pub(crate) fn merge(plan: &MergePlan<'_>) -> Result<Option<Vec<BlockEntry>>> {
    let meta = meta(plan)?;
    let mut outputs = Outputs::new(plan.vfs, plan.dir, meta, plan.edges.to_vec()).cold(plan.cold);
    let indexes = plan.inputs.iter().map(|input| input.block.index());
    let indexes = indexes.collect::<Result<Vec<_>>>()?;
    let mut readers = Readers::open(plan.inputs, &indexes)?;
    let mut sweep = Sweep::new(plan.inputs.len(), plan.horizon, meta.step_nanos());
    let mut slice = Slice::new(plan.keep_going);
    while let Some(labels) = readers.next(&mut sweep)? {
        outputs.begin_series(&labels);
        while let Some(samples) = sweep.step(&mut outputs)? {
            if !slice.spend(samples, 0) {
                return Ok(None);
            }
        }
        outputs.end_series()?;
        if !slice.spend(0, 1) {
            return Ok(None);
        }
    }
    let infos = outputs.finish()?;
    Ok(Some(infos.iter().map(entry_of).collect()))
}

/// What the outputs have in common; with the id of the oldest.
fn meta(plan: &MergePlan<'_>) -> Result<BlockMeta> {
    let blocks = plan.inputs.iter().map(|input| &input.block);
    let sequences = blocks
        .clone()
        .map(|block| block.min_sequence()..=block.max_sequence());
    let extended = blocks.clone().any(|block| block.info().meta.extended);
    let steps = blocks.map(|block| block.info().meta.step);
    let step = steps.clone().max().unwrap_or(0).max(plan.step);
    if steps
        .filter(|step| *step > 0)
        .any(|finer| step % finer != 0)
    {
        return Err(Error::InvalidArgument {
            argument: "step",
            why: format!("{step} seconds are no multiple of the steps of all inputs"),
        });
    }
    Ok(BlockMeta {
        id: plan.first_block,
        namespace: plan.namespace,
        min_sequence: sequences
            .clone()
            .map(|held| *held.start())
            .min()
            .unwrap_or(0),
        max_sequence: sequences.map(|held| *held.end()).max().unwrap_or(0),
        level: plan.level,
        database: plan.database,
        step,
        extended,
    })
}

/// The inputs, each at its next series.
struct Readers<'a> {
    readers: Vec<Reader<'a>>,
    /// The next series of each input that has one, first in label order first.
    heads: BinaryHeap<Reverse<(Labels, usize)>>,
}

struct Reader<'a> {
    input: &'a MergeInput,
    labels: BlockLabels<'a>,
    cursor: Cursor,
    /// The next series.
    ordinal: u32,
    series: u32,
}

impl<'a> Readers<'a> {
    fn open(inputs: &'a [MergeInput], indexes: &'a [BlockIndex<'a>]) -> Result<Self> {
        let open = |(input, index): (&'a MergeInput, &'a BlockIndex<'a>)| {
            Ok(Reader {
                input,
                labels: index.labels()?,
                cursor: Cursor::default(),
                ordinal: 0,
                series: u32::try_from(input.block.info().series).unwrap_or(u32::MAX),
            })
        };
        let mut readers = inputs
            .iter()
            .zip(indexes)
            .map(open)
            .collect::<Result<Vec<_>>>()?;
        let mut heads = BinaryHeap::with_capacity(readers.len());
        for (index, reader) in readers.iter_mut().enumerate() {
            if let Some(labels) = reader.labels()? {
                heads.push(Reverse((labels, index)));
            }
        }
        Ok(Self { readers, heads })
    }

    /// The next series in label order: its chunks go to `sweep`.
    fn next(&mut self, sweep: &mut Sweep) -> Result<Option<Labels>> {
        let Some(Reverse((labels, _))) = self.heads.peek() else {
            return Ok(None);
        };
        let labels = labels.clone();
        while let Some(mut head) = self.heads.peek_mut()
            && head.0.0 == labels
        {
            let index = head.0.1;
            let Some(reader) = self.readers.get_mut(index) else {
                break;
            };
            reader.feed(index, sweep)?;
            match reader.labels()? {
                Some(labels) => head.0.0 = labels,
                None => {
                    std::collections::binary_heap::PeekMut::pop(head);
                }
            }
        }
        sweep.start()?;
        Ok(Some(labels))
    }
}

impl Reader<'_> {
    /// Labels of the next series.
    fn labels(&mut self) -> Result<Option<Labels>> {
        match self.ordinal < self.series {
            true => self.labels.labels(self.ordinal).map(Some),
            false => Ok(None),
        }
    }

    /// Hands the chunks of the next series to `sweep` and goes on to the one after.
    fn feed(&mut self, index: usize, sweep: &mut Sweep) -> Result<()> {
        let ordinal = self.ordinal;
        self.ordinal += 1;
        let hidden = self.input.tombstones.iter();
        let hidden = hidden.filter(|hidden| hidden.series.contains(ordinal));
        let holes = Holes::of(hidden.map(|hidden| (hidden.first, hidden.last)));
        let chunks = sweep.feed(index, &self.input.block, holes);
        self.input
            .block
            .all_chunks(&mut self.cursor, ordinal, chunks)
    }
}

/// How much is merged between two questions whether to go on.
struct Slice<'a> {
    keep_going: &'a dyn Fn() -> bool,
    samples: usize,
    series: usize,
}

/// Most work between two of them.
const SLICE_SAMPLES: usize = 1 << 20;
const SLICE_SERIES: usize = 256;

impl<'a> Slice<'a> {
    fn new(keep_going: &'a dyn Fn() -> bool) -> Self {
        Self {
            keep_going,
            samples: 0,
            series: 0,
        }
    }

    /// Counts work that was done; whether to go on.
    fn spend(&mut self, samples: usize, series: usize) -> bool {
        self.samples += samples;
        self.series += series;
        if self.samples < SLICE_SAMPLES && self.series < SLICE_SERIES {
            return true;
        }
        (self.samples, self.series) = (0, 0);
        (self.keep_going)()
    }
}
