//! Stacks: what overlapping windows come to, without going through each of them anew.
//!
//! Input: numbers, and windows whose edges only go on. Output: the sum, mean, least or greatest of
//! each window. Invariant: each number is put in once and taken out once; nothing is ever
//! subtracted, so nothing cancels. The queue of two stacks is after R. Hood and R. Melville,
//! "Real-time queue operations in pure LISP" (1981).

use super::kahan::{kahan_add, kahan_total};

/// What a window comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Total {
    Sum,
    Mean,
    Min,
    Max,
}

/// Numbers put together.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// The sum, or the least or greatest.
    value: f64,
    /// What the sum lost.
    lost: f64,
}

/// A window that slides over numbers.
#[derive(Debug)]
pub(super) struct Stacks<'a> {
    numbers: &'a [f64],
    total: Total,
    from: usize,
    to: usize,
    /// For each of the first numbers of the window, the last one on top: all from it to `turned`.
    front: Vec<Part>,
    turned: usize,
    /// All from `turned` on.
    back: Option<Part>,
}

impl<'a> Stacks<'a> {
    pub(super) fn new(numbers: &'a [f64], total: Total) -> Self {
        Self {
            numbers,
            total,
            from: 0,
            to: 0,
            front: Vec::new(),
            turned: 0,
            back: None,
        }
    }

    /// What the numbers at the places `from..to` come to; neither may go back.
    pub(super) fn slide(&mut self, from: usize, to: usize) -> Option<f64> {
        if from >= self.to {
            // Nothing of the last window is in this one.
            (self.from, self.to, self.turned) = (from, from, from);
            self.front.clear();
            self.back = None;
        }
        while self.to < to {
            let part = self.part(self.to);
            self.back = Some(self.join(self.back, part));
            self.to += 1;
        }
        while self.from < from {
            if self.front.is_empty() {
                self.turn();
            }
            self.front.pop();
            self.from += 1;
        }
        let all = match (self.front.last(), self.back) {
            (Some(&front), Some(back)) => self.join(Some(front), back),
            (Some(&front), None) => front,
            (None, Some(back)) => back,
            (None, None) => return None,
        };
        let sum = kahan_total(all.value, all.lost);
        Some(match self.total {
            Total::Sum => sum,
            Total::Mean => sum / (to - from) as f64,
            Total::Min | Total::Max => all.value,
        })
    }

    /// Moves what is in the back to the front.
    fn turn(&mut self) {
        let mut after = None;
        for at in (self.from..self.to).rev() {
            let part = self.part(at);
            let joined = match after {
                Some(after) => self.join(Some(part), after),
                None => part,
            };
            self.front.push(joined);
            after = Some(joined);
        }
        (self.turned, self.back) = (self.to, None);
    }

    fn part(&self, at: usize) -> Part {
        let value = self.numbers.get(at).copied().unwrap_or(f64::NAN);
        Part { value, lost: 0.0 }
    }

    fn join(&self, first: Option<Part>, second: Part) -> Part {
        let Some(first) = first else {
            return second;
        };
        let (a, b) = (first.value, second.value);
        let value = match self.total {
            Total::Sum | Total::Mean => {
                let (value, lost) = kahan_add(b, a, first.lost + second.lost);
                return Part { value, lost };
            }
            Total::Min if b < a || a.is_nan() => b,
            Total::Max if b > a || a.is_nan() => b,
            _ => a,
        };
        Part { value, lost: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_are_what_they_are_by_themselves(
            numbers in proptest::collection::vec(-50..50i32, 0..60),
            moves in proptest::collection::vec((0..5usize, 0..5usize), 0..40),
        ) {
            let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
            for total in [Total::Sum, Total::Mean, Total::Min, Total::Max] {
                let mut stacks = Stacks::new(&numbers, total);
                let (mut from, mut to) = (0, 0);
                for &(first, last) in &moves {
                    to = (to + last).min(numbers.len());
                    from = (from + first).min(to);
                    let window = &numbers[from..to];
                    let sum: f64 = window.iter().sum();
                    let expected = match total {
                        Total::Sum => sum,
                        Total::Mean => sum / window.len() as f64,
                        Total::Min => window.iter().copied().fold(f64::INFINITY, f64::min),
                        Total::Max => window.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    };
                    let expected = (!window.is_empty()).then_some(expected);
                    prop_assert_eq!(stacks.slide(from, to), expected);
                }
            }
        }
    }
}
