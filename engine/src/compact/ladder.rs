//! The windows as they stand at one moment: which contain a block, and which of them are over.
//!
//! Input: the rungs and the newest time. Output: the lowest window that contains a block ("home"),
//! and the edges at which wide blocks are cut. Above the top rung lie two more windows, without an
//! outer end: for what is so far from the newest time that windows of its own would make too many
//! files.

use super::windows::Rungs;
use super::{MAX_OUTPUTS, PlanBlock};

/// See the head of this file.
pub(super) struct Ladder {
    pub(super) rungs: Rungs,
    newest: i64,
    /// Ascending edges of the top rung's windows. What is before the first shares a window, and so
    /// does what is past the last.
    pub(super) edges: Vec<i64>,
    /// The same, and the edge below the window that still grows in the rung under the top. So what
    /// comes late does not lie across what is written now, which could then not be merged without
    /// it.
    pub(super) growing_edges: Vec<i64>,
}

impl Ladder {
    pub(super) fn new(rungs: Rungs, newest: i64) -> Self {
        let width = i128::from(rungs.width(rungs.top()));
        let start = (i128::from(newest) - 1).div_euclid(width) * width;
        // One window past the newest, so that what comes a little early finds a place; and one edge
        // less than outputs, with the one inside the newest window.
        let older = i128::try_from(MAX_OUTPUTS - 5).unwrap_or(0);
        let edges: Vec<i64> = (-older..=2)
            .filter_map(|number| i64::try_from(start + number * width).ok())
            .collect();
        let mut growing_edges = edges.clone();
        if let Some(below) = rungs.top().checked_sub(1) {
            growing_edges.push(rungs.window_of(newest, below).0);
            growing_edges.sort_unstable();
            growing_edges.dedup();
        }
        Self {
            rungs,
            newest,
            edges,
            growing_edges,
        }
    }

    /// Number of the rung above the top: the windows without an outer end.
    pub(super) fn outer(&self) -> usize {
        self.rungs.len()
    }

    /// The lowest rung with a window that contains the block; `None` where there is none ("wide").
    pub(super) fn home(&self, block: &PlanBlock) -> Option<usize> {
        (0..=self.outer()).find(|&rung| self.end_of(rung, block).is_some())
    }

    /// End of the window of a rung that contains the block.
    pub(super) fn end_of(&self, rung: usize, block: &PlanBlock) -> Option<i64> {
        let (min, max) = (block.min_time, block.max_time);
        if rung < self.outer() {
            let end = self.rungs.window_of(max, rung).1;
            return (self.rungs.window_of(min, rung).1 == end).then_some(end);
        }
        match (self.edges.first(), self.edges.last()) {
            (Some(&old), _) if max <= old => Some(old),
            (_, Some(&ahead)) if min > ahead => Some(i64::MAX),
            _ => None,
        }
    }

    /// Whether the newest data lie past the end of a window.
    pub(super) fn is_over(&self, rung: usize, end: i64) -> bool {
        rung == self.outer() || self.newest > end
    }

    /// Whether the block lies in the window of `rung` that ends at `end`, or, where that is below
    /// the top, in the window of the top around it.
    pub(super) fn is_near(&self, rung: usize, end: i64, block: &PlanBlock) -> bool {
        let near = rung.max(self.rungs.top());
        let end = if near == rung {
            end
        } else {
            self.rungs.window_of(end, near).1
        };
        self.end_of(near, block) == Some(end)
    }
}
