//! The windows of one series that hold samples, each with its accumulator, in order.
//!
//! Input: parts in order of time. Output: (window, accumulator) pairs; the memory they take is
//! counted by the guard before it is taken.

use super::accumulator::Accumulator;
use crate::error::{Error, Result};
use crate::query::guard::Guard;

/// Most windows of one series that may hold samples, and so most points of it in an answer.
pub(crate) const MAX_SERIES_WINDOWS: usize = 11_000_000;

/// Accumulators by window, ascending.
#[derive(Debug)]
pub(crate) struct Cells<A> {
    list: Vec<(u64, A)>,
    /// Bytes that the guard knows of.
    counted: u64,
}

impl<A: Accumulator> Cells<A> {
    pub(crate) fn new() -> Self {
        Self {
            list: Vec::new(),
            counted: 0,
        }
    }

    /// Takes in a part of `window` that follows in time all parts put into it before.
    pub(crate) fn put(&mut self, window: u64, part: A, guard: &mut Guard) -> Result<()> {
        self.count(part.heap_bytes(), guard)?;
        let newest = self.list.last().map(|newest| newest.0);
        if newest.is_none_or(|newest| newest < window) {
            if self.list.len() == self.list.capacity() {
                let room = MAX_SERIES_WINDOWS.saturating_sub(self.list.len());
                let more = self.list.capacity().max(16).min(room);
                if more == 0 {
                    return Err(too_many());
                }
                self.count(more * size_of::<(u64, A)>(), guard)?;
                self.list.reserve_exact(more);
            }
            self.list.push((window, part));
            return Ok(());
        }
        // Windows that overlap: the part belongs to one of the newest ones.
        let at = self.list.partition_point(|cell| cell.0 < window);
        match self.list.get_mut(at) {
            Some(cell) if cell.0 == window => cell.1.append(&part),
            _ => self.list.insert(at, (window, part)),
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Closes the series and hands out its windows; the list is empty afterwards.
    pub(crate) fn close(&mut self) -> impl ExactSizeIterator<Item = (u64, A)> + '_ {
        self.list.iter_mut().for_each(|cell| cell.1.close());
        self.list.drain(..)
    }

    /// Forgets what accumulators held beside themselves, once they are gone.
    pub(crate) fn release(&mut self, guard: &mut Guard) {
        let kept = (self.list.capacity() * size_of::<(u64, A)>()) as u64;
        guard.release(self.counted.saturating_sub(kept));
        self.counted = self.counted.min(kept);
    }

    /// Gives back all that it holds, which nobody asks for any more.
    pub(crate) fn clear(&mut self, guard: &mut Guard) {
        self.list = Vec::new();
        guard.release(std::mem::take(&mut self.counted));
    }

    fn count(&mut self, bytes: usize, guard: &mut Guard) -> Result<()> {
        if bytes > 0 {
            guard.bytes(bytes as u64)?;
            self.counted += bytes as u64;
        }
        Ok(())
    }
}

fn too_many() -> Error {
    Error::limit(
        "window limit",
        MAX_SERIES_WINDOWS as u64,
        "one series of this query",
        "ask for a shorter range or a longer step",
    )
}
