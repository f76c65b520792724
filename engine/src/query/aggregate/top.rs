//! The largest or smallest of many answers, and which series need not be looked at for them.
//!
//! Input: series with one point each, in the order of labels. Output: the best of them, best first.
//! Invariant: of equal values the series first in label order is the better, NaN is the worst of
//! all; a series is passed over only where its statistics say that it is worse than enough others.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::{AggregatedSeries, Function, Point};
use crate::query::guard::Guard;
use crate::query::run::Run;

/// Series that are handed out: all, or the best.
#[derive(Debug)]
pub(super) enum Answer {
    All(Vec<AggregatedSeries>),
    Best(Top),
}

impl Answer {
    /// Adds a series, of which the guard knows, or lets go of it.
    pub(super) fn add(&mut self, series: AggregatedSeries, guard: &mut Guard) {
        let left = match self {
            Self::All(all) => {
                all.push(series);
                None
            }
            Self::Best(top) => top.add(series),
        };
        if let Some(left) = left {
            guard.release(bytes_of(left.points.len()));
        }
    }

    /// Whether a series with these runs would not be kept; not known of groups.
    pub(super) fn passes_over(&self, runs: &[Run]) -> bool {
        match self {
            Self::All(_) => false,
            Self::Best(top) => top.passes_over(runs),
        }
    }

    pub(super) fn finish(self) -> Vec<AggregatedSeries> {
        match self {
            Self::All(all) => all,
            Self::Best(top) => top.finish(),
        }
    }
}

/// What a series of an answer takes, with so many points.
pub(super) fn bytes_of(points: usize) -> u64 {
    (points * size_of::<Point>() + size_of::<AggregatedSeries>()) as u64
}

/// How many are wanted, of which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Best {
    /// How many series or groups.
    pub(super) count: usize,
    /// Whether those with the largest values.
    pub(super) largest: bool,
}

/// The best of the series met so far.
#[derive(Debug)]
pub(super) struct Top {
    best: Best,
    bound: Bound,
    /// The worst on top.
    kept: BinaryHeap<Reverse<Ranked>>,
    met: u64,
}

/// So many samples of this size as there can be still have a sum.
const LARGE: f64 = f64::MAX / (1u64 << 53) as f64;

/// What an answer is at most, as told by the statistics of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// Nothing is known of it.
    None,
    /// It is one of the samples, or between them.
    Samples,
    /// It is between the samples but for roundings.
    Rounded,
}

impl Top {
    /// For the answers of `function`.
    pub(super) fn new(best: Best, function: Function) -> Self {
        let bound = match function {
            Function::Min | Function::Max | Function::First | Function::Last => Bound::Samples,
            Function::Avg => Bound::Rounded,
            Function::Quantile(rank) if (0.0..=1.0).contains(&rank) => Bound::Rounded,
            _ => Bound::None,
        };
        Self {
            best,
            bound,
            kept: BinaryHeap::new(),
            met: 0,
        }
    }

    /// Whether a series with these runs cannot be among the best, whatever its samples are.
    pub(super) fn passes_over(&self, runs: &[Run]) -> bool {
        if self.kept.len() < self.best.count {
            return false;
        }
        let Some(Reverse(worst)) = self.kept.peek() else {
            return true;
        };
        // Equal is not enough: the one that is kept came first.
        self.bound_of(runs).is_some_and(|bound| bound <= worst.key)
    }

    /// The key that no answer of these runs is above, if it is known.
    fn bound_of(&self, runs: &[Run]) -> Option<f64> {
        if self.bound == Bound::None {
            return None;
        }
        let mut bound = f64::NEG_INFINITY;
        for run in runs {
            let stats = run.stats().filter(|_| run.step() == 0)?;
            let value = match self.best.largest {
                true => stats.max,
                false => stats.min,
            };
            // `max` passes over the NaN of no numbers.
            bound = bound.max(self.key(value));
        }
        if self.bound == Bound::Samples {
            return Some(bound);
        }
        // A compensated sum is off by an ulp or two, its quotient and a point between two samples by
        // one more; unless the sum ends beyond all numbers.
        (bound.abs() < LARGE).then_some(bound + bound.abs() * 1e-12)
    }

    /// A value, so that larger is better.
    fn key(&self, value: f64) -> f64 {
        if self.best.largest { value } else { -value }
    }

    /// Keeps `series` if it is among the best; returns what is not. Of equal values the one that was
    /// added first is better, so those come in label order.
    pub(super) fn add(&mut self, series: AggregatedSeries) -> Option<AggregatedSeries> {
        let Some(point) = series.points.first() else {
            return Some(series);
        };
        let key = self.key(point.value);
        let place = self.met;
        self.met += 1;
        self.kept.push(Reverse(Ranked { key, place, series }));
        if self.kept.len() <= self.best.count {
            return None;
        }
        self.kept.pop().map(|Reverse(worst)| worst.series)
    }

    /// The best, best first.
    pub(super) fn finish(self) -> Vec<AggregatedSeries> {
        let kept = self.kept.into_sorted_vec().into_iter();
        kept.map(|Reverse(ranked)| ranked.series).collect()
    }
}

/// A series with what it is ordered by: the better the greater.
#[derive(Debug)]
struct Ranked {
    key: f64,
    /// In label order.
    place: u64,
    series: AggregatedSeries,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        // A NaN is below all else, whatever its sign.
        let is_number = |ranked: &Self| !ranked.key.is_nan();
        let numbers = is_number(self).cmp(&is_number(other));
        let keys = || self.key.partial_cmp(&other.key).unwrap_or(Ordering::Equal);
        numbers
            .then_with(keys)
            .then_with(|| other.place.cmp(&self.place))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}
