//! Timestamp columns that many series share, cut into windows once for all of them.
//!
//! Input: timestamp columns of blocks. Output: for each, which of its indices lie in which window
//! (or pane). Invariant: a column is known by its address, which is held as long as it is known;
//! what is kept is bounded, so that columns that nobody shares cost no more than being cut.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;
use crate::query::guard::Guard;
use crate::query::merge::clip;
use crate::query::window::Windows;

/// Indices of a column that lie in one window or pane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// The window; for a pane the first that ends at or after it.
    pub(crate) window: u64,
    start: u32,
    end: u32,
}

impl Cut {
    pub(crate) fn indices(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The columns cut so far.
#[derive(Debug)]
pub(crate) struct Cuts<'a> {
    windows: &'a Windows,
    /// Whether to cut into panes, for windows that slide.
    panes: bool,
    known: HashMap<usize, Column>,
    held: u64,
    counted: u64,
}

#[derive(Debug)]
struct Column {
    timestamps: Arc<[i64]>,
    cuts: Vec<Cut>,
}

impl<'a> Cuts<'a> {
    pub(crate) fn new(windows: &'a Windows, panes: bool) -> Self {
        Self {
            windows,
            panes,
            known: HashMap::new(),
            held: 0,
            counted: 0,
        }
    }

    /// The cuts of a column, as far as it lies in the range of the windows.
    pub(crate) fn of(&mut self, timestamps: &Arc<[i64]>, guard: &mut Guard) -> Result<&[Cut]> {
        let address = timestamps.as_ptr() as usize;
        if !self.known.contains_key(&address) {
            let cuts = self.cut(timestamps);
            let bytes = size_of_val(&timestamps[..]) + cuts.len() * size_of::<Cut>();
            if self.held + bytes as u64 > CUTS_BYTES {
                self.known.clear();
                self.held = 0;
            }
            self.held += bytes as u64;
            if self.held > self.counted {
                guard.bytes(self.held - self.counted)?;
                self.counted = self.held;
            }
            let timestamps = Arc::clone(timestamps);
            self.known.insert(address, Column { timestamps, cuts });
        }
        Ok(self.known.get(&address).map_or(&[], |column| {
            debug_assert_eq!(column.timestamps.as_ptr() as usize, address);
            &column.cuts
        }))
    }

    /// Forgets all columns and gives back their memory.
    pub(crate) fn clear(&mut self, guard: &mut Guard) {
        self.known = HashMap::new();
        self.held = 0;
        guard.release(std::mem::take(&mut self.counted));
    }

    fn cut(&self, timestamps: &[i64]) -> Vec<Cut> {
        let (first, last) = self.windows.range();
        let inside = clip(timestamps, first, last);
        let offset = inside.start;
        let timestamps = timestamps.get(inside).unwrap_or_default();
        let cut = |(window, indices): (u64, Range<usize>)| Cut {
            window,
            start: (offset + indices.start) as u32,
            end: (offset + indices.end) as u32,
        };
        if self.panes {
            let panes = self.windows.panes(timestamps);
            panes
                .map(|pane| (self.windows.first_ending(timestamps[pane.start]), pane))
                .map(cut)
                .collect()
        } else {
            self.windows.slices(timestamps).map(cut).collect()
        }
    }
}

/// Most bytes of columns and cuts that are kept.
const CUTS_BYTES: u64 = 8 << 20;
