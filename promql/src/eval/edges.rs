//! Edges: where the windows of all steps lie in the samples of a series.
//!
//! Input: timestamps, a frame, a grid. Output: for each step the places of its window's samples.
//! Invariant: series that have the timestamps of the one before them, as those that were scraped
//! together have, share its windows; these are found by walking the timestamps once.

use super::grid::Grid;
use super::matrix::Frame;
use super::meter::{Amount, Meter};
use super::samples::Slide;
use crate::error::Result;

/// The windows over the timestamps of the last series; of one frame and grid.
#[derive(Debug, Default)]
pub(crate) struct Edges {
    timestamps: Vec<i64>,
    /// For each step the first place of its window and the one after the last.
    windows: Vec<(usize, usize)>,
    /// What else the times of a window come to, at each step, where that was asked for.
    pub(crate) reaches: Vec<Reach>,
}

/// How far the samples of a window reach, and how far what they tell is taken to reach; in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    /// From the first sample to the last.
    pub(crate) sampled: f64,
    /// Before the first sample.
    pub(crate) to_start: f64,
    /// After the last one.
    pub(crate) to_end: f64,
}

impl Edges {
    /// For each step of `grid` the places of what a function over its window is given.
    pub(crate) fn over(
        &mut self,
        meter: &Meter<'_>,
        timestamps: &[i64],
        frame: &Frame,
        grid: &Grid,
    ) -> Result<&[(usize, usize)]> {
        let is_known = self.windows.len() == grid.count() && self.timestamps == timestamps;
        if !is_known {
            if self.windows.capacity() < grid.count() {
                // Each thread has its own, as long as the node is computed.
                meter.hold(Amount {
                    samples: 0,
                    bytes: grid.count().saturating_mul(size_of::<(usize, usize)>()),
                })?;
                self.windows = Vec::with_capacity(grid.count());
            }
            self.timestamps.clear();
            self.timestamps.extend_from_slice(timestamps);
            self.reaches.clear();
            let mut slide = Slide::default();
            self.windows.clear();
            self.windows.extend(grid.times().map(|time| {
                let (start, end) = frame.given(time);
                slide.to(timestamps, start, end)
            }));
        }
        Ok(&self.windows)
    }

    /// The windows that were asked for last.
    pub(crate) fn windows(&self) -> &[(usize, usize)] {
        &self.windows
    }
}
