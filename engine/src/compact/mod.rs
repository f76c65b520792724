//! Compaction: which live blocks are merged next, so that few files hold the data, at little cost.
//!
//! Input: what the manifest says of the live blocks of one namespace. Output: jobs (blocks to
//! merge, and where to cut the result) and what retention removes. Nothing here reads a file or a
//! clock.
//!
//! Invariant, kept by flush and by each job: of two live blocks that overlap in time, all sequences
//! of one are above all of the other. So the order of `max_sequence` says which sample wins, and a
//! merge is lawful when no block outside it that overlaps an output lies between its inputs.

mod coarse;
mod deleted;
mod ladder;
mod lawful;
mod major;
mod merge;
mod plan;
mod run;
mod space;
pub(crate) mod step;
#[cfg(test)]
mod tests;
mod windows;

use std::fmt;

pub(crate) use deleted::Deleted;
pub(crate) use major::plan_major;
pub(crate) use plan::plan;
pub(crate) use run::{all, flush_window, over_age, step, too_old};
pub(crate) use space::{expired, over_bytes};
pub(crate) use windows::{Rungs, choose_base};

/// Most blocks that one job writes, however wide the times of its inputs are.
pub(crate) const MAX_OUTPUTS: usize = 64;

/// What the planner knows of one live block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanBlock {
    pub(crate) id: u64,
    pub(crate) level: u8,
    /// Seconds of one step of a downsampled block; 0 where samples are as they came.
    pub(crate) step: u32,
    /// First and last timestamp.
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
    pub(crate) min_sequence: u64,
    pub(crate) max_sequence: u64,
    pub(crate) bytes: u64,
    /// What tombstones hide in it, if they touch it.
    pub(crate) deleted: Option<Deleted>,
}

impl PlanBlock {
    /// The order in which inputs are merged: of two blocks with one sample, the later one's wins.
    pub(crate) fn precedence(&self) -> (u64, i64, u64) {
        (self.max_sequence, self.min_time, self.id)
    }
}

/// Blocks to merge into others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Ids of the blocks to merge, in order of precedence: `max_sequence`, then `min_time`.
    pub(crate) inputs: Vec<u64>,
    /// Last timestamp of each output but the newest, ascending; fewer than [`MAX_OUTPUTS`].
    pub(crate) edges: Vec<i64>,
    /// Level of the outputs: one more than the rung of the window they are gathered in.
    pub(crate) level: u8,
    /// What made the job due.
    pub(crate) reason: Reason,
}

/// What makes a job due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Neighbours of like size in one window.
    Window,
    /// Blocks wider than any window are cut.
    Wide,
    /// A tombstone touches a block.
    Deleted,
    /// Older than the namespace keeps every sample.
    Coarser,
    /// Asked for by call.
    Major,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Window => "neighbours in a window",
            Self::Wide => "blocks wider than any window",
            Self::Deleted => "deleted samples",
            Self::Coarser => "old enough to become coarser",
            Self::Major => "asked for",
        })
    }
}

/// How eagerly blocks are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Knobs {
    /// Fewest neighbours that are merged; twice as many in a window that still grows.
    pub(crate) fanout: usize,
    /// The largest input is at most this part of all inputs, in percent.
    pub(crate) largest_percent: u64,
    /// With more blocks in one window, neighbours are merged whatever their sizes.
    pub(crate) crowded: usize,
    /// Most bytes that go into one output.
    pub(crate) max_bytes: u64,
    /// Most blocks that one job merges.
    pub(crate) max_inputs: usize,
    /// A block is rewritten when nothing better is due and it loses so much of its samples.
    pub(crate) least_freed_percent: u64,
    /// The same with so many tombstones that touch it.
    pub(crate) most_tombstones: usize,
    /// Whether there are so many tombstones that they come before anything else.
    pub(crate) pressed: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            fanout: 4,
            largest_percent: 50,
            crowded: 32,
            max_bytes: 8 << 30,
            max_inputs: 256,
            least_freed_percent: 12,
            most_tombstones: 1000,
            pressed: false,
        }
    }
}
