//! Timestamp columns that many series share, cut into windows once for all of them.
//!
//! Input: timestamp columns of blocks. Output: the timestamps of each, and which of its indices lie
//! in which window (or pane). Invariant: a column is known by its number and the address of its
//! block, which is held as long as it is known; what is kept is bounded, so that columns that nobody
//! shares cost no more than being cut.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::Arc;

use crate::block::Block;
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
    /// By address of the block and number of the column.
    known: HashMap<(usize, u32), Column, BuildHasherDefault<Mixed>>,
    held: u64,
    counted: u64,
}

#[derive(Debug)]
struct Column {
    block: Arc<Block>,
    timestamps: Arc<[i64]>,
    cuts: Vec<Cut>,
}

impl<'a> Cuts<'a> {
    pub(crate) fn new(windows: &'a Windows, panes: bool) -> Self {
        Self {
            windows,
            panes,
            known: HashMap::default(),
            held: 0,
            counted: 0,
        }
    }

    /// The timestamps of a column, and its cuts as far as it lies in the range of the windows.
    pub(crate) fn of(
        &mut self,
        block: &Arc<Block>,
        column: u32,
        guard: &mut Guard,
    ) -> Result<(&[i64], &[Cut])> {
        let key = (Arc::as_ptr(block) as usize, column);
        if !self.known.contains_key(&key) {
            let timestamps = block.timestamps(column)?;
            let cuts = self.cut(&timestamps);
            let own = size_of_val(&timestamps[..]) + cuts.len() * size_of::<Cut>();
            let bytes = own + COLUMN_BYTES;
            if self.held + bytes as u64 > CUTS_BYTES {
                self.known.clear();
                self.held = 0;
            }
            self.held += bytes as u64;
            if self.held > self.counted {
                guard.bytes(self.held - self.counted)?;
                self.counted = self.held;
            }
            let block = Arc::clone(block);
            let column = Column {
                block,
                timestamps,
                cuts,
            };
            self.known.insert(key, column);
        }
        let known = self.known.get(&key);
        Ok(known.map_or((&[], &[]), |column| {
            debug_assert_eq!(Arc::as_ptr(&column.block) as usize, key.0);
            (&column.timestamps, &column.cuts)
        }))
    }

    /// Forgets all columns and gives back their memory.
    pub(crate) fn clear(&mut self, guard: &mut Guard) {
        self.known = HashMap::default();
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

/// A hash of numbers that nobody chooses: one multiplication each, by 2^64 over the golden ratio.
#[derive(Debug, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(32) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// What a column takes beside its timestamps and cuts: its place in the map, two heads of heap.
const COLUMN_BYTES: usize = size_of::<((usize, u32), Column)>() + 48;

/// Most bytes of columns and cuts that are kept.
const CUTS_BYTES: u64 = 8 << 20;
