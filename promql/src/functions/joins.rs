//! Joins: how the numbers of a window are put together, two stretches at a time.
//!
//! Input: the floats of a series, and their times. Output: sums, extremes, moments, lines of least
//! squares. Invariant: what joining loses by rounding is kept beside the sums, so that a window
//! comes to what going through it would give, to a relative 1e-12 of the magnitudes in it.

use super::kahan::{kahan_add, kahan_total};
use super::stacks::Join;
use crate::eval::seconds;

/// Sums of numbers.
#[derive(Debug)]
pub(super) struct Sums<'a>(pub(super) &'a [f64]);

/// A sum, and what rounding took from it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kept {
    sum: f64,
    lost: f64,
}

impl Kept {
    fn of(value: f64) -> Self {
        Self {
            sum: value,
            lost: 0.0,
        }
    }

    #[inline]
    fn add(self, term: f64) -> Self {
        let (sum, lost) = kahan_add(term, self.sum, self.lost);
        Self { sum, lost }
    }

    #[inline]
    fn join(self, other: Self) -> Self {
        let (sum, lost) = kahan_add(other.sum, self.sum, self.lost + other.lost);
        Self { sum, lost }
    }

    /// How far `other` lies from it.
    #[inline]
    fn to(self, other: Self) -> f64 {
        (other.sum - self.sum) + (other.lost - self.lost)
    }

    pub(super) fn total(self) -> f64 {
        kahan_total(self.sum, self.lost)
    }
}

impl Join for Sums<'_> {
    type Sum = Kept;

    #[inline]
    fn one(&self, at: usize) -> Kept {
        Kept::of(number(self.0, at))
    }

    #[inline]
    fn join(&self, first: Kept, second: Kept) -> Kept {
        first.join(second)
    }
}

/// The least or the greatest number: NaN only where there is no other; of equal ones the first.
#[derive(Debug)]
pub(super) struct Extremes<'a> {
    pub(super) numbers: &'a [f64],
    pub(super) is_max: bool,
}

impl Join for Extremes<'_> {
    type Sum = f64;

    #[inline]
    fn one(&self, at: usize) -> f64 {
        number(self.numbers, at)
    }

    #[inline]
    fn join(&self, first: f64, second: f64) -> f64 {
        let is_better = match self.is_max {
            true => second > first,
            false => second < first,
        };
        match is_better || first.is_nan() {
            true => second,
            false => first,
        }
    }
}

/// The place of the least or the greatest number: of equal ones, and of NaN alone, the last.
#[derive(Debug)]
pub(super) struct Places<'a> {
    pub(super) numbers: &'a [f64],
    pub(super) is_max: bool,
}

impl Join for Places<'_> {
    /// A number and its place.
    type Sum = (f64, usize);

    #[inline]
    fn one(&self, at: usize) -> (f64, usize) {
        (number(self.numbers, at), at)
    }

    #[inline]
    fn join(&self, first: (f64, usize), second: (f64, usize)) -> (f64, usize) {
        let is_better = match self.is_max {
            true => second.0 >= first.0,
            false => second.0 <= first.0,
        };
        match is_better || first.0.is_nan() {
            true => second,
            false => first,
        }
    }
}

/// Means and spreads, joined after T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae
/// and a pairwise algorithm for computing sample variances" (1979).
#[derive(Debug)]
pub(super) struct Moments<'a>(pub(super) &'a [f64]);

/// Count, mean and sum of the squared distances from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    count: f64,
    mean: Kept,
    squares: Kept,
}

impl Spread {
    /// The variance of the population. `None` where the numbers lie so close together, for their
    /// size, that rounding their mean, which Prometheus does, could be seen: such a window is to
    /// be gone through.
    pub(super) fn variance(self) -> Option<f64> {
        let variance = self.squares.total() / self.count;
        let mean = self.mean.total().abs();
        let is_clear = variance == 0.0 || variance.sqrt() >= 0.1 * WORST * mean;
        Some(variance).filter(|_| is_clear)
    }
}

impl Join for Moments<'_> {
    type Sum = Spread;

    fn one(&self, at: usize) -> Spread {
        Spread {
            count: 1.0,
            mean: Kept::of(number(self.0, at)),
            squares: Kept::default(),
        }
    }

    fn join(&self, first: Spread, second: Spread) -> Spread {
        let count = first.count + second.count;
        let apart = first.mean.to(second.mean);
        let share = second.count / count;
        let more = apart * apart * first.count * share;
        Spread {
            count,
            mean: first.mean.add(apart * share),
            squares: first.squares.join(second.squares).add(more),
        }
    }
}

/// What a line of least squares is made of: means, spreads and how times and values go together,
/// joined as [`Moments`] are.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    pub(super) timestamps: &'a [i64],
    pub(super) numbers: &'a [f64],
    /// The time that times are counted from.
    pub(super) since: i64,
}

/// Times are in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cloud {
    count: f64,
    time: Kept,
    value: Kept,
    times: Kept,
    values: Kept,
    both: Kept,
}

impl Join for Lines<'_> {
    type Sum = Cloud;

    fn one(&self, at: usize) -> Cloud {
        let time = self.timestamps.get(at).copied().unwrap_or(self.since);
        Cloud {
            count: 1.0,
            time: Kept::of(seconds(time.saturating_sub(self.since))),
            value: Kept::of(number(self.numbers, at)),
            times: Kept::default(),
            values: Kept::default(),
            both: Kept::default(),
        }
    }

    fn join(&self, first: Cloud, second: Cloud) -> Cloud {
        let count = first.count + second.count;
        let (time, value) = (first.time.to(second.time), first.value.to(second.value));
        let share = second.count / count;
        let weight = first.count * share;
        Cloud {
            count,
            time: first.time.add(time * share),
            value: first.value.add(value * share),
            times: first.times.join(second.times).add(time * time * weight),
            values: first.values.join(second.values).add(value * value * weight),
            both: first.both.join(second.both).add(time * value * weight),
        }
    }
}

impl Cloud {
    /// The slope per second of the line, whose times Prometheus would count from `origin` (seconds
    /// since the time that they are counted from here). `None` where so much cancels, here or in
    /// the sums that Prometheus makes, that the two could differ: such a window is to be gone
    /// through.
    pub(super) fn slope(&self, origin: f64) -> Option<f64> {
        let (times, both) = (self.times.total(), self.both.total());
        let (time, value) = (self.time.total() - origin, self.value.total());
        let products = (self.count * time * value).abs();
        let squares = self.count * time * time;
        let spreads = (times * self.values.total()).sqrt();
        let is_clear = both.abs() >= WORST * products.max(spreads) && times >= WORST * squares;
        Some(both / times).filter(|slope| is_clear && slope.is_finite())
    }

    /// The value of the line `ahead` seconds after `origin`; `None` as for the slope.
    pub(super) fn predict(&self, origin: f64, ahead: f64) -> Option<f64> {
        let slope = self.slope(origin)?;
        let (time, value) = (self.time.total() - origin, self.value.total());
        let predicted = slope * ahead + (value - slope * time);
        let terms = value.abs().max((slope * time).abs());
        let terms = terms.max((slope * ahead).abs());
        Some(predicted).filter(|predicted| predicted.abs() >= WORST * terms)
    }
}

/// The part of its terms that a sum must come to at least, so that rounding them matters less than
/// 1e-9 of it.
pub(super) const WORST: f64 = 1e-5;

fn number(numbers: &[f64], at: usize) -> f64 {
    numbers.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::stacks::Stacks;
    use proptest::prelude::*;

    /// Large, small, and of both signs.
    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-50..50i32).prop_map(f64::from),
            (0..1000i32).prop_map(|value| 1e9 + f64::from(value) / 64.0),
            (-1e-6..1e-6f64).prop_map(|value| value),
        ]
    }

    proptest! {
        #[test]
        fn windows_are_what_they_are_by_themselves(
            numbers in proptest::collection::vec(value(), 0..60),
            moves in proptest::collection::vec((0..5usize, 0..5usize), 0..40),
        ) {
            let mut sums = Stacks::new(Sums(&numbers));
            let mut moments = Stacks::new(Moments(&numbers));
            let mut least = Stacks::new(Extremes { numbers: &numbers, is_max: false });
            let mut greatest = Stacks::new(Places { numbers: &numbers, is_max: true });
            let (mut from, mut to) = (0, 0);
            for (first, last) in moves {
                to = (to + last).min(numbers.len());
                from = (from + first).min(to);
                let window = &numbers[from..to];
                let found = (
                    sums.slide(from, to).map(Kept::total),
                    moments.slide(from, to).map(Spread::variance),
                    least.slide(from, to),
                    greatest.slide(from, to),
                );
                if window.is_empty() {
                    prop_assert!(found == (None, None, None, None));
                    continue;
                }
                let by_value = |a: &f64, b: &f64| a.total_cmp(b);
                prop_assert_eq!(found.2, window.iter().copied().min_by(by_value));
                let greatest = window.iter().copied().max_by(by_value);
                prop_assert_eq!(found.3.map(|best| best.0), greatest);
                let last = window.iter().rposition(|&one| Some(one) == greatest);
                prop_assert_eq!(found.3.map(|best| best.1), last.map(|last| from + last));
                let sum = crate::functions::over_time::sum_of(window);
                let scale: f64 = window.iter().map(|value| value.abs()).sum();
                prop_assert!((found.0.unwrap() - sum).abs() <= 1e-15 * scale);
                let variance = crate::functions::over_time::variance(window);
                if let Some(found) = found.1.unwrap() {
                    prop_assert!(
                        (found - variance).abs() <= 1e-10 * variance,
                        "{found} and {variance}"
                    );
                }
            }
        }
    }
}
