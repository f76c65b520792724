//! Ranks: the numbers of a sliding window in their order.
//!
//! Input: the floats of a series, and windows whose edges only go on. Output: quantiles, and medians
//! of the distances from the median, bit for bit those of the window by itself. Invariant: all
//! numbers of the series are put in order once; which of them are in the window is kept in a tree of
//! counts, so that a window costs a logarithm for each number that comes or goes, and one for each
//! rank asked for. The tree is after P. M. Fenwick, "A new data structure for cumulative frequency
//! tables" (1994).

use std::cmp::Ordering;

use super::quantile::{by_rank, interpolated};
use crate::error::Result;

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
    /// Over no more than `u32::MAX` numbers; `None` where there are more. `spend` is told what is
    /// done, and may end it.
    pub(super) fn new(
        numbers: &[f64],
        spend: impl Fn(usize) -> Result<()>,
    ) -> Result<Option<Self>> {
        let Ok(count) = u32::try_from(numbers.len()) else {
            return Ok(None);
        };
        let number = |place: u32| numbers.get(place as usize).copied().unwrap_or(f64::NAN);
        let order = |a: &u32, b: &u32| by_rank(&number(*a), &number(*b)).then(a.cmp(b));
        let places = in_order((0..count).collect(), order, spend)?;
        let sorted = places.iter().map(|&place| number(place)).collect();
        let mut rank_of = vec![0; numbers.len()];
        for (rank, &place) in (0..count).zip(&places) {
            if let Some(known) = rank_of.get_mut(place as usize) {
                *known = rank;
            }
        }
        Ok(Some(Self {
            sorted,
            rank_of,
            tree: vec![0; numbers.len()],
            top: (count as usize + 1).next_power_of_two() / 2,
            from: 0,
            to: 0,
        }))
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

/// Sorts stretches, then merges them, so that `spend` is told all along.
fn in_order(
    mut places: Vec<u32>,
    order: impl Fn(&u32, &u32) -> Ordering,
    spend: impl Fn(usize) -> Result<()>,
) -> Result<Vec<u32>> {
    for stretch in places.chunks_mut(STRETCH) {
        spend(16 * stretch.len())?;
        stretch.sort_unstable_by(&order);
    }
    let (mut width, mut merged) = (STRETCH, Vec::new());
    while width < places.len() {
        merged.clear();
        for pair in places.chunks(2 * width) {
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            while let (Some((a, after_a)), Some((b, after_b))) =
                (left.split_first(), right.split_first())
            {
                spend(1)?;
                if order(a, b) == Ordering::Greater {
                    merged.push(*b);
                    right = after_b;
                } else {
                    merged.push(*a);
                    left = after_a;
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        std::mem::swap(&mut places, &mut merged);
        width *= 2;
    }
    Ok(places)
}

/// Numbers that are sorted at a time.
const STRETCH: usize = 1 << 14;

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
    use crate::error::Error;
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

    #[test]
    fn stretches_are_merged_in_order_and_can_be_ended() {
        let many = 5 * STRETCH as u32 + 7;
        let shuffled = |at: u32| at.wrapping_mul(2_654_435_761);
        let order = |a: &u32, b: &u32| shuffled(*a).cmp(&shuffled(*b));
        let mut expected: Vec<u32> = (0..many).collect();
        expected.sort_by(order);
        let found = in_order((0..many).collect(), order, |_| Ok(()));
        assert!(found.unwrap() == expected);
        let ended = in_order((0..many).collect(), order, |_| Err(Error::Cancelled));
        assert!(matches!(ended, Err(Error::Cancelled)));
    }

    proptest! {
        #[test]
        fn ranks_of_a_sliding_window_are_those_of_the_window_alone(
            numbers in proptest::collection::vec(number(), 0..70),
            moves in proptest::collection::vec((0..5usize, 0..5usize), 0..40),
            q in 0.0..1.0f64,
        ) {
            let mut ranks = Ranks::new(&numbers, |_| Ok(())).unwrap().unwrap();
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
