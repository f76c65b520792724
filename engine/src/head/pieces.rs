//! Which samples of a batch go to which shard.
//!
//! Input: the runs of a batch. Output: pieces of them, each of one page: in the order of the batch,
//! or shard by shard. Invariant: pieces of one series stay in the order of the batch.

use super::{PAGE_SERIES, SHARDS};
use crate::wal::payload::IdRun;

/// A part of a run: `len` samples in a row of each of `ids` series of one page, which count up from
/// `first`; the first of them is at place `at` of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) first: u32,
    pub(super) ids: u32,
    pub(super) len: u32,
    pub(super) at: usize,
}

impl Piece {
    pub(super) fn shard(&self) -> usize {
        self.first as usize / PAGE_SERIES % SHARDS
    }
}

/// The pieces of `runs` in the order of the batch.
pub(super) fn pieces(runs: &[IdRun]) -> impl Iterator<Item = Piece> {
    let mut place = 0;
    runs.iter().flat_map(move |run| {
        let (mut first, end) = (run.first, run.first + run.ids);
        let mut at = place;
        place += run.ids as usize * run.len as usize;
        std::iter::from_fn(move || {
            let page_end = (first / PAGE_SERIES as u32 + 1).saturating_mul(PAGE_SERIES as u32);
            let ids = page_end
                .min(end)
                .checked_sub(first)
                .filter(|&ids| ids > 0)?;
            let len = run.len;
            let piece = Piece {
                first,
                ids,
                len,
                at,
            };
            first += ids;
            at += ids as usize * len as usize;
            Some(piece)
        })
    })
}

/// The pieces of a batch by shard.
#[derive(Debug)]
pub(super) struct ByShard {
    /// Each with the place of the next one of its shard; places count from 1, 0 is none.
    pieces: Vec<(Piece, u32)>,
    /// Places of the first and of the last piece of each shard.
    ends: [(u32, u32); SHARDS],
}

impl ByShard {
    pub(super) fn of(runs: &[IdRun]) -> Self {
        let mut by_shard = Self {
            pieces: Vec::with_capacity(runs.len()),
            ends: [(0, 0); SHARDS],
        };
        for piece in pieces(runs) {
            by_shard.pieces.push((piece, 0));
            let place = by_shard.pieces.len() as u32;
            let (first, last) = &mut by_shard.ends[piece.shard()];
            match by_shard.pieces.get_mut((*last as usize).wrapping_sub(1)) {
                Some((_, next)) => *next = place,
                None => *first = place,
            }
            *last = place;
        }
        by_shard
    }

    /// The pieces of a shard, in order.
    pub(super) fn take(&mut self, shard: usize) -> impl Iterator<Item = Piece> {
        let mut place = self.ends[shard].0;
        std::iter::from_fn(move || {
            let (piece, next) = self.pieces.get((place as usize).checked_sub(1)?)?;
            place = *next;
            Some(*piece)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_the_samples_of_the_runs_in_order(
            runs in prop::collection::vec((0..3000u32, 1..200u32, 1..5u32), 0..30),
        ) {
            let runs: Vec<IdRun> = runs
                .into_iter()
                .map(|(first, ids, len)| IdRun { first, ids, len })
                .collect();
            let mut wanted = Vec::new();
            for run in &runs {
                for id in run.first..run.first + run.ids {
                    wanted.extend((0..run.len).map(|_| id));
                }
            }
            let spread = |all: &mut dyn Iterator<Item = Piece>| {
                let mut samples = Vec::new();
                for piece in all {
                    let page = piece.first / PAGE_SERIES as u32;
                    assert_eq!((piece.first + piece.ids - 1) / PAGE_SERIES as u32, page);
                    for index in 0..piece.ids * piece.len {
                        let id = piece.first + index / piece.len;
                        samples.push((piece.at + index as usize, id));
                    }
                }
                samples
            };
            let all = spread(&mut pieces(&runs));
            prop_assert_eq!(all, wanted.iter().copied().enumerate().collect::<Vec<_>>());
            let mut by_shard = ByShard::of(&runs);
            for shard in 0..SHARDS {
                let found = spread(&mut by_shard.take(shard));
                let own = wanted.iter().copied().enumerate();
                let own = own.filter(|(_, id)| *id as usize / PAGE_SERIES % SHARDS == shard);
                prop_assert_eq!(found, own.collect::<Vec<_>>());
            }
        }
    }
}
