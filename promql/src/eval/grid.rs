//! Grid: the times at which an expression is evaluated.
//!
//! Input: first time, step, count. Output: times. Invariant: at least one time; times rise by the
//! same step.

/// Evenly spaced times in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    start: i64,
    step: i64,
    count: usize,
    limit: i64,
}

impl Grid {
    /// One time.
    pub(crate) fn instant(time: i64) -> Self {
        Self {
            start: time,
            step: 0,
            count: 1,
            limit: time,
        }
    }

    /// `start`, `start + step` and so on up to `end`; one time where `step` is not above zero.
    pub(crate) fn range(start: i64, end: i64, step: i64) -> Self {
        let more = match step > 0 && end > start {
            true => end.abs_diff(start) / step.unsigned_abs(),
            false => 0,
        };
        Self {
            start,
            step,
            count: usize::try_from(more)
                .unwrap_or(usize::MAX)
                .saturating_add(1),
            limit: end,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn step(&self) -> i64 {
        self.step
    }

    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    pub(crate) fn end(&self) -> i64 {
        self.time(self.count.saturating_sub(1))
    }

    /// What was given as the end: the last time is this or, where no step meets it, earlier.
    pub(crate) fn limit(&self) -> i64 {
        self.limit
    }

    pub(crate) fn time(&self, at: usize) -> i64 {
        // The distance may be more than an i64 holds; the time itself is between start and limit.
        let more = self.step.wrapping_mul(at as i64);
        self.start.wrapping_add(more)
    }

    pub(crate) fn times(&self) -> impl Iterator<Item = i64> + '_ {
        (0..self.count).map(|at| self.time(at))
    }
}

/// A time in seconds: exact division of whole milliseconds, where it is some.
pub(crate) fn seconds(nanos: i64) -> f64 {
    match nanos % 1_000_000 {
        0 => (nanos / 1_000_000) as f64 / 1e3,
        _ => nanos as f64 / 1e9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_time_is_at_most_the_end() {
        let grid = Grid::range(10, 35, 10);
        assert_eq!(grid.times().collect::<Vec<_>>(), [10, 20, 30]);
        assert_eq!((grid.end(), grid.limit()), (30, 35));
        assert_eq!(Grid::range(5, 5, 1).count(), 1);
        assert_eq!(Grid::range(5, 5, 0).end(), 5);
        let all = Grid::range(i64::MIN, i64::MAX, i64::MAX);
        assert_eq!(
            all.times().collect::<Vec<_>>(),
            [i64::MIN, -1, i64::MAX - 1]
        );
        assert_eq!(seconds(1_136_239_445_123_000_000), 1_136_239_445.123);
    }
}
