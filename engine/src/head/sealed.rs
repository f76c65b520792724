//! The long columns of a batch, sealed before the batch has its place.
//!
//! Input: runs and columns as [`super::Head::apply`] gets them. Output: for the columns that are long
//! and in order, chunks as blocks have them, which the head keeps and the flush copies: nothing is
//! encoded for the head, decoded and encoded again. It needs no lock. Invariant: the chunks of a
//! column hold its first samples, all of them in a row.

use std::cell::RefCell;
use std::sync::Arc;

use treering_codec::Extras;

use crate::block::{SealedChunk, Sealer};
use crate::wal::payload::IdRun;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    /// Place of the first sample in the batch, ascending, and the chunks.
    columns: Vec<(usize, Vec<Arc<SealedChunk>>)>,
}

thread_local! {
    /// Memory of the column that this thread sealed last.
    static SEALER: RefCell<Sealer> = RefCell::default();
}

impl Sealed {
    /// The chunks of the columns of a batch; none with `extras`.
    pub(crate) fn of(runs: &[IdRun], columns: (&[i64], &[f64]), extras: &Extras) -> Self {
        let mut sealed = Self::default();
        if !extras.is_empty() || !runs.iter().any(|run| Sealer::is_long(run.len as usize)) {
            return sealed;
        }
        let mut sealer = SEALER.take();
        let mut at = 0;
        for run in runs {
            let len = run.len as usize;
            for _ in 0..run.ids {
                let times = columns.0.get(at..at + len).unwrap_or_default();
                let chunks = sealer.seal(times, columns.1.get(at..at + len).unwrap_or_default());
                if !chunks.is_empty() {
                    sealed.columns.push((at, chunks));
                }
                at += len;
            }
        }
        SEALER.set(sealer);
        sealed
    }

    /// The chunks of the column that begins at this place of the batch, if it has any.
    #[inline]
    pub(super) fn at(&self, place: usize) -> Option<&[Arc<SealedChunk>]> {
        if self.columns.is_empty() {
            return None;
        }
        let index = self.columns.binary_search_by_key(&place, |column| column.0);
        let column = self.columns.get(index.ok()?)?;
        Some(&column.1)
    }
}
