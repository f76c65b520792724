//! Sliding windows: parts of a series go in at one end and out at the other.
//!
//! Input: accumulators of panes (whose samples are all in the same windows) in order of time.
//! Output: one accumulator per window. A queue made of two stacks, whose front one holds running
//! totals, answers each window by one append however many panes it spans: constant time per pane
//! (a folklore construction; see K. Tangwongsan, M. Hirzel, S. Schneider, "Low-latency
//! sliding-window aggregation in worst-case constant time", DEBS 2017).

use super::accumulator::Accumulator;
use super::cells::Cells;
use crate::error::Result;
use crate::query::guard::Guard;
use crate::query::window::Windows;

/// The panes of one series that windows yet to come may hold.
#[derive(Debug)]
pub(crate) struct Slide<A> {
    /// The first window not yet answered.
    window: u64,
    /// The earlier panes, earliest on top; each with the total from it to the bottom.
    front: Vec<(i64, A)>,
    /// The later panes, in order of time.
    back: Vec<(i64, A)>,
    /// The total of `back`.
    total: Option<A>,
}

impl<A: Accumulator> Slide<A> {
    pub(crate) fn new() -> Self {
        Self {
            window: 0,
            front: Vec::new(),
            back: Vec::new(),
            total: None,
        }
    }

    /// Takes in the pane that begins at `timestamp`, after answering every window before it.
    pub(crate) fn push(
        &mut self,
        timestamp: i64,
        pane: A,
        windows: &Windows,
        cells: &mut Cells<A>,
        guard: &mut Guard,
    ) -> Result<()> {
        let window = windows.first_ending(timestamp);
        self.answer(window, windows, cells, guard)?;
        self.window = self.window.max(window);
        match &mut self.total {
            Some(total) => total.append(&pane),
            None => self.total = Some(pane.clone()),
        }
        self.back.push((timestamp, pane));
        Ok(())
    }

    /// Ends the series: answers the windows that are left, and is empty.
    pub(crate) fn finish(
        &mut self,
        windows: &Windows,
        cells: &mut Cells<A>,
        guard: &mut Guard,
    ) -> Result<()> {
        self.answer(windows.count(), windows, cells, guard)?;
        self.window = 0;
        self.front.clear();
        self.back.clear();
        self.total = None;
        Ok(())
    }

    /// Bytes that the queue holds.
    pub(crate) fn bytes(&self) -> usize {
        (self.front.capacity() + self.back.capacity()) * size_of::<(i64, A)>()
    }

    /// Answers the windows before `window`, as far as they hold anything.
    fn answer(
        &mut self,
        window: u64,
        windows: &Windows,
        cells: &mut Cells<A>,
        guard: &mut Guard,
    ) -> Result<()> {
        while self.window < window {
            let Some((first, _)) = windows.span(self.window) else {
                break;
            };
            self.evict(first);
            let mut whole = match (self.front.last(), &self.total) {
                (Some((_, front)), _) => front.clone(),
                (None, Some(total)) => total.clone(),
                // Empty, and later windows begin later: so are they, until a pane comes.
                (None, None) => break,
            };
            if let (Some(_), Some(total)) = (self.front.last(), &self.total) {
                whole.append(total);
            }
            cells.put(self.window, whole, guard)?;
            self.window += 1;
        }
        Ok(())
    }

    /// Drops the panes that begin before `first`.
    fn evict(&mut self, first: i64) {
        while self.front.last().is_some_and(|pane| pane.0 < first) {
            self.front.pop();
        }
        if !self.front.is_empty() || self.back.first().is_none_or(|pane| pane.0 >= first) {
            return;
        }
        self.total = None;
        let kept = self.back.iter().take_while(|pane| pane.0 < first).count();
        for (timestamp, mut pane) in self.back.drain(kept..).rev() {
            if let Some((_, later)) = self.front.last() {
                pane.append(later);
            }
            self.front.push((timestamp, pane));
        }
        self.back.clear();
    }
}
