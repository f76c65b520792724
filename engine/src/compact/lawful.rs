//! The rule of sequences: which blocks must be merged along with others, so that nothing old rises.
//!
//! Input: live blocks, those to merge, and the edges at which the result is cut. Output: the
//! smallest set around them that may be merged: no block outside it overlaps an output in time with
//! sequences that are neither wholly below nor wholly above those of the set.

use super::PlanBlock;

/// The members, ascending, of the smallest lawful set around `seed` (positions in `live`); `Err`
/// with the position of a block that the set needs and `admit` refuses. `edges` are ascending.
pub(super) fn close(
    live: &[PlanBlock],
    seed: &[usize],
    edges: &[i64],
    admit: &dyn Fn(usize) -> bool,
) -> Result<Vec<usize>, usize> {
    let mut set = Set {
        inside: vec![false; live.len()],
        pieces: vec![None; edges.len() + 1],
        min_sequence: u64::MAX,
        max_sequence: 0,
        edges,
    };
    for &at in seed {
        set.add(at, &live[at]);
    }
    loop {
        let mut grown = false;
        for (at, block) in live.iter().enumerate() {
            if !set.inside[at] && set.is_crossed_by(block) {
                if !admit(at) {
                    return Err(at);
                }
                set.add(at, block);
                grown = true;
            }
        }
        if !grown {
            break;
        }
    }
    Ok((0..live.len()).filter(|&at| set.inside[at]).collect())
}

/// A set of blocks, and what is known of the outputs of merging them.
struct Set<'a> {
    inside: Vec<bool>,
    /// First and last timestamp that each output can hold.
    pieces: Vec<Option<(i64, i64)>>,
    min_sequence: u64,
    max_sequence: u64,
    edges: &'a [i64],
}

impl Set<'_> {
    fn add(&mut self, at: usize, block: &PlanBlock) {
        self.inside[at] = true;
        self.min_sequence = self.min_sequence.min(block.min_sequence);
        self.max_sequence = self.max_sequence.max(block.max_sequence);
        for (piece, min, max) in cut(block.min_time, block.max_time, self.edges) {
            let held = &mut self.pieces[piece];
            *held = Some(held.map_or((min, max), |(a, b)| (a.min(min), b.max(max))));
        }
    }

    /// Whether a block outside the set forbids merging it.
    fn is_crossed_by(&self, block: &PlanBlock) -> bool {
        let apart =
            block.max_sequence < self.min_sequence || block.min_sequence > self.max_sequence;
        !apart
            && cut(block.min_time, block.max_time, self.edges).any(|(piece, min, max)| {
                self.pieces[piece].is_some_and(|(a, b)| a <= max && min <= b)
            })
    }
}

/// The parts of `min..=max` between the edges: number of the output, first and last timestamp.
pub(super) fn cut(
    min: i64,
    max: i64,
    edges: &[i64],
) -> impl Iterator<Item = (usize, i64, i64)> + '_ {
    let from = edges.partition_point(|&edge| edge < min);
    let to = edges.partition_point(|&edge| edge < max);
    (from..=to).map(move |piece| {
        let first = match piece.checked_sub(1).and_then(|before| edges.get(before)) {
            Some(&edge) => min.max(edge.saturating_add(1)),
            None => min,
        };
        (
            piece,
            first,
            edges.get(piece).map_or(max, |&edge| max.min(edge)),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(min_time: i64, max_time: i64, min_sequence: u64, max_sequence: u64) -> PlanBlock {
        PlanBlock {
            id: 0,
            level: 0,
            step: 0,
            min_time,
            max_time,
            min_sequence,
            max_sequence,
            bytes: 1,
            deleted: None,
        }
    }

    #[test]
    fn what_lies_between_in_sequence_and_time_comes_along_and_draws_in_more() {
        let live = [
            block(0, 10, 1, 2),
            block(5, 30, 3, 4),
            block(11, 12, 5, 6),
            block(25, 40, 5, 5),
            block(0, 10, 7, 8),
            block(0, 99, 9, 9),
        ];
        // The second overlaps in time; with it the output reaches 30 and so the third and fourth.
        assert_eq!(
            close(&live, &[0, 4], &[], &|_| true),
            Ok(vec![0, 1, 2, 3, 4])
        );
        assert_eq!(close(&live, &[0, 4], &[], &|at| at != 3), Err(3));
        // Cut at 10, the outputs are 0..=10 and what the drawn-in block has from 11 to 30.
        assert_eq!(
            close(&live, &[0, 4], &[10], &|_| true),
            Ok(vec![0, 1, 2, 3, 4])
        );
        assert_eq!(close(&live, &[0, 1], &[], &|_| false), Ok(vec![0, 1]));
        assert_eq!(close(&live, &[4, 5], &[], &|_| false), Ok(vec![4, 5]));
        // Disjoint in time: a block between the sequences does not matter.
        assert_eq!(close(&live[2..5], &[0], &[], &|_| false), Ok(vec![0]));
    }

    #[test]
    fn a_range_is_cut_after_each_edge() {
        let parts = |min, max, edges| cut(min, max, edges).collect::<Vec<_>>();
        assert_eq!(parts(0, 5, &[]), [(0, 0, 5)]);
        assert_eq!(parts(0, 5, &[5, 9]), [(0, 0, 5)]);
        assert_eq!(parts(5, 6, &[5]), [(0, 5, 5), (1, 6, 6)]);
        assert_eq!(
            parts(6, 20, &[5, 9, 15]),
            [(1, 6, 9), (2, 10, 15), (3, 16, 20)]
        );
        assert_eq!(
            parts(i64::MIN, i64::MAX, &[0]),
            [(0, i64::MIN, 0), (1, 1, i64::MAX)]
        );
    }
}
