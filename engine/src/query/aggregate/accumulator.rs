//! Accumulators: what is kept of the samples of one window, for each function.
//!
//! Input: slices of samples in order of time, free of stale markers, or the statistics of a chunk.
//! Output: one number. Parts of one series are appended in order of time, then the series of a
//! group are pooled in the order of their labels; how the parts were cut changes no bit of count,
//! min, max, first and last, and the others by rounding alone.

use treering_codec::{CompensatedSum, Stats, largest, smallest};

/// What one window holds, as far as one function needs it. It has seen one sample at least.
pub(crate) trait Accumulator: Clone + Send {
    /// Whether appending costs the same however much was taken in. Otherwise statistics never
    /// answer for a chunk.
    const CONSTANT: bool = true;
    /// Whether it looks at values, or only at how many samples there are and when.
    const VALUES: bool = true;

    /// What `values` at `timestamps` (equally many, one at least) amount to. Without `VALUES` the
    /// values may be anything.
    fn of_samples(timestamps: &[i64], values: &[f64]) -> Self;

    /// What a chunk with these statistics amounts to, which begins at `min_time` and ends at
    /// `max_time` and holds one value at least; none when its samples have to be looked at.
    fn of_stats(stats: &Stats, min_time: i64, max_time: i64) -> Option<Self>;

    /// What rows of steps with these statistics amount to, whose samples lie in `since..=last` and
    /// which hold one value at least; none when the kept samples have to do.
    fn of_rows(stats: &Stats, since: i64, last: i64) -> Option<Self> {
        Self::of_stats(stats, since, last)
    }

    /// Whether what [`Accumulator::of_rows`] makes of them has its place in time among the other
    /// series of a group.
    fn is_dated(_: &Stats) -> bool {
        true
    }

    /// Takes in what follows in time in the same series.
    fn append(&mut self, next: &Self);

    /// Closes the series: after this only `pool` and `finish` are called.
    fn close(&mut self) {}

    /// Takes in another series of the group, which comes later in the order of labels.
    fn pool(&mut self, other: Self);

    /// Bytes held outside the accumulator itself.
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// How many samples.
#[derive(Debug, Clone)]
pub(crate) struct Count(pub(crate) u64);

impl Accumulator for Count {
    const VALUES: bool = false;

    fn of_samples(_: &[i64], values: &[f64]) -> Self {
        Self(values.len() as u64)
    }

    fn of_stats(stats: &Stats, _: i64, _: i64) -> Option<Self> {
        Some(Self(stats.count.into()))
    }

    fn append(&mut self, next: &Self) {
        self.0 += next.0;
    }

    fn pool(&mut self, other: Self) {
        self.append(&other);
    }
}

/// The sum and how many were added, for sums and averages.
#[derive(Debug, Clone)]
pub(crate) struct Sum {
    sum: CompensatedSum,
    count: u64,
}

impl Sum {
    pub(crate) fn value(&self) -> f64 {
        self.sum.value()
    }

    pub(crate) fn average(&self) -> f64 {
        self.sum.value() / self.count as f64
    }
}

impl Accumulator for Sum {
    fn of_samples(_: &[i64], values: &[f64]) -> Self {
        Self {
            sum: CompensatedSum::of(values),
            count: values.len() as u64,
        }
    }

    fn of_stats(stats: &Stats, _: i64, _: i64) -> Option<Self> {
        let mut sum = CompensatedSum::new();
        sum.add(stats.sum);
        Some(Self {
            sum,
            count: stats.count.into(),
        })
    }

    fn append(&mut self, next: &Self) {
        self.sum.merge(&next.sum);
        self.count += next.count;
    }

    fn pool(&mut self, other: Self) {
        self.append(&other);
    }
}

/// The smallest value, or with `MAX` the largest: NaN only where nothing else was seen, and of
/// equals (0 and -0) the earlier, as in [`Stats`].
#[derive(Debug, Clone)]
pub(crate) struct Extreme<const MAX: bool>(pub(crate) f64);

impl<const MAX: bool> Extreme<MAX> {
    #[inline]
    fn beats(challenger: f64, holder: f64) -> bool {
        if MAX {
            challenger > holder
        } else {
            challenger < holder
        }
    }
}

impl<const MAX: bool> Accumulator for Extreme<MAX> {
    fn of_samples(_: &[i64], values: &[f64]) -> Self {
        Self(if MAX {
            largest(values)
        } else {
            smallest(values)
        })
    }

    fn of_stats(stats: &Stats, _: i64, _: i64) -> Option<Self> {
        Some(Self(if MAX { stats.max } else { stats.min }))
    }

    fn append(&mut self, next: &Self) {
        if Self::beats(next.0, self.0) || self.0.is_nan() {
            self.0 = next.0;
        }
    }

    fn pool(&mut self, other: Self) {
        self.append(&other);
    }
}

/// The earliest sample, or with `LAST` the latest. Of several at the same time, in a group, the
/// first series' is the earliest and the last series' the latest.
#[derive(Debug, Clone)]
pub(crate) struct Edge<const LAST: bool> {
    timestamp: i64,
    pub(crate) value: f64,
}

impl<const LAST: bool> Accumulator for Edge<LAST> {
    fn of_samples(timestamps: &[i64], values: &[f64]) -> Self {
        let at = if LAST { values.len() - 1 } else { 0 };
        Self {
            timestamp: timestamps[at],
            value: values[at],
        }
    }

    fn of_stats(stats: &Stats, min_time: i64, max_time: i64) -> Option<Self> {
        // With stale markers in it, the ends of the chunk are not those of its values.
        let (timestamp, value) = if LAST {
            (max_time, stats.last)
        } else {
            (min_time, stats.first)
        };
        (stats.stale == 0).then_some(Self { timestamp, value })
    }

    fn of_rows(stats: &Stats, since: i64, last: i64) -> Option<Self> {
        // The times are the earliest and the latest that they can be.
        let (timestamp, value) = if LAST {
            (last, stats.last)
        } else {
            (since, stats.first)
        };
        Some(Self { timestamp, value })
    }

    fn is_dated(stats: &Stats) -> bool {
        stats.stale == 0 && (LAST || stats.count == 1)
    }

    fn append(&mut self, next: &Self) {
        if LAST {
            self.clone_from(next);
        }
    }

    fn pool(&mut self, other: Self) {
        let wins = if LAST {
            other.timestamp >= self.timestamp
        } else {
            other.timestamp < self.timestamp
        };
        if wins {
            *self = other;
        }
    }
}

/// The increase of a counter: last - first + what every reset dropped. Once closed, `dropped` is
/// the whole increase and the ends are 0.
#[derive(Debug, Clone)]
pub(crate) struct Increase {
    first: f64,
    last: f64,
    dropped: CompensatedSum,
    single: bool,
}

impl Increase {
    /// The increase, once closed.
    pub(crate) fn value(&self) -> f64 {
        self.dropped.value()
    }
}

impl Accumulator for Increase {
    fn of_samples(_: &[i64], values: &[f64]) -> Self {
        let mut dropped = CompensatedSum::new();
        let pairs = values.iter().zip(&values[1..]);
        // Most windows hold no reset: to see that takes no branch per sample.
        if pairs
            .clone()
            .fold(false, |found, (before, value)| found | (value < before))
        {
            for (&before, &value) in pairs {
                if value < before {
                    dropped.add(before);
                }
            }
        }
        let (first, last) = (values[0], values[values.len() - 1]);
        Self {
            first,
            last,
            dropped,
            single: values.len() == 1,
        }
    }

    fn of_stats(stats: &Stats, since: i64, last: i64) -> Option<Self> {
        let sum = Self::of_rows(stats, since, last);
        sum.filter(|_| !stats.has_nan)
    }

    fn of_rows(stats: &Stats, _: i64, _: i64) -> Option<Self> {
        let mut dropped = CompensatedSum::new();
        dropped.add(stats.dropped);
        Some(Self {
            first: stats.first,
            last: stats.last,
            dropped,
            single: stats.count == 1,
        })
    }

    fn append(&mut self, next: &Self) {
        if next.first < self.last {
            self.dropped.add(self.last);
        }
        self.dropped.merge(&next.dropped);
        self.last = next.last;
        self.single = false;
    }

    fn close(&mut self) {
        if !self.single {
            self.dropped.add(self.last);
            self.dropped.add(-self.first);
        }
        (self.first, self.last) = (0.0, 0.0);
    }

    fn pool(&mut self, other: Self) {
        self.dropped.merge(&other.dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_zeros_the_earlier_is_the_extreme_wherever_it_lies() {
        for at in 0..40 {
            let mut values = [0.0; 40];
            values[..at].fill(1.0);
            values[at] = -0.0;
            let minimum = Extreme::<false>::of_samples(&[], &values).0;
            assert_eq!(
                minimum.to_bits(),
                Stats::of(&values).min.to_bits(),
                "-0.0 at {at}"
            );
            values[..at].fill(-1.0);
            let maximum = Extreme::<true>::of_samples(&[], &values).0;
            assert_eq!(
                maximum.to_bits(),
                Stats::of(&values).max.to_bits(),
                "-0.0 at {at}"
            );
        }
    }

    #[test]
    fn extremes_pass_over_nan_and_know_infinities() {
        let nans = [f64::NAN; 9];
        assert!(Extreme::<false>::of_samples(&[], &nans).0.is_nan());
        let mut values = nans;
        values[8] = f64::INFINITY;
        assert_eq!(Extreme::<false>::of_samples(&[], &values).0, f64::INFINITY);
        values[3] = 5.0;
        assert_eq!(Extreme::<false>::of_samples(&[], &values).0, 5.0);
        assert_eq!(Extreme::<true>::of_samples(&[], &values).0, f64::INFINITY);
    }
}
