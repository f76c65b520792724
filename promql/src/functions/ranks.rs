//! Ranks: the numbers of a sliding window in their order.
//!
//! Input: the floats of a series, and windows whose edges only go on. Output: quantiles, and medians
//! of the distances from the median, bit for bit those of the window by itself. Invariant: all
//! numbers of the series are put in order once; which of them are in the window is kept in a tree of
//! counts, so that a window costs a logarithm for each number that comes or goes, and one for each
//! rank asked for. The tree is after P. M. Fenwick, "A new data structure for cumulative frequency
//! tables" (1994).

use super::quantile::{by_rank, interpolated};

/// A window over numbers, in order.
#[derive(Debug)]
pub(super) struct Ranks {
    /// All numbers of the series in order.
    sorted: Vec<f64>,
    /// For each place in the series the place in order.
    rank_of: Vec<u32>,
    /// Sums of how many of the numbers are in the window, over ranges of `sorted`.
    tree: Vec<u32>,
    /// The largest power of two that is not above the count of numbers.
    top: usize,
    from: usize,
    to: usize,
}

impl Ranks {
    /// Over no more than `u32::MAX` numbers; `None` where there are more.
    pub(super) fn new(numbers: &[f64]) -> Option<Self> {
        let count = u32::try_from(numbers.len()).ok()?;
        let mut places: Vec<u32> = (0..count).collect();
        let number = |place: u32| numbers.get(place as usize).copied().unwrap_or(f64::NAN);
        places.sort_unstable_by(|&a, &b| by_rank(&number(a), &number(b)).then(a.cmp(&b)));
        let sorted = places.iter().map(|&place| number(place)).collect();
        let mut rank_of = vec![0; numbers.len()];
        for (rank, &place) in (0..count).zip(&places) {
            if let Some(known) = rank_of.get_mut(place as usize) {
                *known = rank;
            }
        }
        Some(Self {
            sorted,
            rank_of,
            tree: vec![0; numbers.len()],
            top: (count as usize + 1).next_power_of_two() / 2,
            from: 0,
            to: 0,
        })
    }

    /// Moves the window to the places `from..to`; neither may go back.
    pub(super) fn slide(&mut self, from: usize, to: usize) {
        while self.to < to {
            self.count(self.to, 1);
            self.to += 1;
        }
        while self.from < from {
            self.count(self.from, u32::MAX);
            self.from += 1;
        }
    }

    /// How many numbers are in the window.
    pub(super) fn len(&self) -> usize {
        self.to - self.from
    }

    /// The quantile of rank `q` of the window.
    pub(super) fn quantile(&self, q: f64) -> f64 {
        interpolated(q, self.len(), |rank| self.at(rank))
    }

    /// The median of the distances of the numbers from their median.
    pub(super) fn deviation(&self) -> f64 {
        let count = self.len();
        let median = self.quantile(0.5);
        // Numbers up to the middle are not above the median, the others not below: distances rise
        // from the middle to both sides.
        let below = (0.5 * (count as f64 - 1.0)) as usize + 1;
        let distance = |rank: usize| (self.at(rank) - median).abs();
        let left = |nth: usize| distance(below - 1 - nth);
        let right = |nth: usize| distance(below + nth);
        interpolated(0.5, count, |rank| {
            nth_of_two(rank, (below, &left), (count - below, &right))
        })
    }

    /// The number of a rank in the window, from 0 on.
    fn at(&self, rank: usize) -> f64 {
        let (mut place, mut left, mut step) = (0, rank as u32, self.top);
        while step > 0 {
            if let Some(&count) = self.tree.get(place + step - 1)
                && count <= left
            {
                place += step;
                left -= count;
            }
            step /= 2;
        }
        self.sorted.get(place).copied().unwrap_or(f64::NAN)
    }

    /// Adds to the count of the number at a place of the series; `u32::MAX` takes one off.
    fn count(&mut self, place: usize, more: u32) {
        let Some(&rank) = self.rank_of.get(place) else {
            return;
        };
        let mut at = rank as usize + 1;
        while let Some(count) = self.tree.get_mut(at - 1) {
            *count = count.wrapping_add(more);
            at += at & at.wrapping_neg();
        }
    }
}

/// The number of a rank in two rising sequences, as if they were one: each its length and its
/// numbers.
fn nth_of_two(
    rank: usize,
    (of_left, left): (usize, &impl Fn(usize) -> f64),
    (of_right, right): (usize, &impl Fn(usize) -> f64),
) -> f64 {
    // How many of the first `rank + 1` are of the left: the fewest such that the last of the right
    // ones is not above the next left one.
    let taken = rank + 1;
    let (mut low, mut high) = (taken.saturating_sub(of_right), taken.min(of_left));
    while low < high {
        let middle = low + (high - low) / 2;
        match left(middle) < right(taken - middle - 1) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    let last = |taken: usize, of: &dyn Fn(usize) -> f64| taken.checked_sub(1).map(of);
    match (last(low, left), last(taken - low, right)) {
        (Some(a), Some(b)) => a.max(b),
        (one, other) => one.or(other).unwrap_or(f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::quantile::quantile_of;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => (-9..9i32).prop_map(f64::from),
            8 => -1e3..1e3f64,
            1 => Just(-0.0),
            1 => Just(1e300),
        ]
    }

    proptest! {
        #[test]
        fn ranks_of_a_sliding_window_are_those_of_the_window_alone(
            numbers in proptest::collection::vec(number(), 0..70),
            moves in proptest::collection::vec((0..5usize, 0..5usize), 0..40),
            q in 0.0..1.0f64,
        ) {
            let mut ranks = Ranks::new(&numbers).unwrap();
            let (mut from, mut to) = (0, 0);
            for (first, last) in moves {
                to = (to + last).min(numbers.len());
                from = (from + first).min(to);
                ranks.slide(from, to);
                if from == to {
                    continue;
                }
                let window = &numbers[from..to];
                for q in [q, 0.0, 0.5, 1.0] {
                    let alone = quantile_of(q, &mut window.to_vec());
                    prop_assert_eq!(ranks.quantile(q).to_bits(), alone.to_bits());
                }
                let median = quantile_of(0.5, &mut window.to_vec());
                let mut apart: Vec<f64> = window.iter().map(|one| (one - median).abs()).collect();
                let alone = quantile_of(0.5, &mut apart);
                prop_assert_eq!(ranks.deviation().to_bits(), alone.to_bits());
            }
        }
    }
}
