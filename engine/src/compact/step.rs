//! Downsampling: the samples of a series, in order of time, reduced to one row per step.
//!
//! Input: samples, or rows of a finer step, strictly increasing in time. Output: rows: the last
//! sample of each step, and the statistics of all of them. Invariant: the samples of a row lie in
//! the step window (left-open, right-closed, a multiple of the step since the epoch) of its
//! timestamp, and a row counts at most `u32::MAX` of them; beyond that its window gets another row.

use treering_codec::Stats;

pub(crate) use crate::block::step_window;
use crate::block::{Fold, samples};

/// Samples that are summed up at once.
const PART_SAMPLES: usize = 4096;

/// Rows of a stepped series.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Rows {
    /// Last timestamp of each step.
    pub(crate) timestamps: Vec<i64>,
    /// Its value.
    pub(crate) values: Vec<f64>,
    /// Statistics of all samples of the step.
    pub(crate) stats: Vec<Stats>,
}

impl Rows {
    pub(crate) fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.stats.clear();
    }
}

/// Reduces one series after the other.
#[derive(Debug)]
pub(crate) struct Stepper {
    /// Nanoseconds.
    step: i64,
    open: Option<Open>,
    /// Values of the open row that are not in its statistics yet.
    part: Vec<f64>,
    /// The rows that are done.
    pub(crate) rows: Rows,
}

/// The row that may still get samples.
#[derive(Debug)]
struct Open {
    window: i64,
    timestamp: i64,
    value: f64,
    fold: Fold,
}

impl Stepper {
    /// For steps of so many nanoseconds, at least 1.
    pub(crate) fn new(step: i64) -> Self {
        Self {
            step: step.max(1),
            open: None,
            part: Vec::new(),
            rows: Rows::default(),
        }
    }

    /// The step window that may still get samples.
    pub(crate) fn open_window(&self) -> Option<i64> {
        self.open.as_ref().map(|open| open.window)
    }

    /// The last timestamp of the row that may still get samples.
    pub(crate) fn open_timestamp(&self) -> Option<i64> {
        self.open.as_ref().map(|open| open.timestamp)
    }

    /// Adds samples.
    pub(crate) fn push(&mut self, timestamps: &[i64], values: &[f64]) {
        let mut from = 0;
        while let Some(&first) = timestamps.get(from) {
            let window = step_window(first, self.step);
            let end = (i128::from(window) + 1) * i128::from(self.step);
            let end = i64::try_from(end).unwrap_or(i64::MAX);
            let rest = timestamps.get(from..).unwrap_or_default();
            let same = rest.iter().take(PART_SAMPLES);
            let same = same.take_while(|&&at| at <= end).count();
            let to = from + same.max(1);
            let part = values.get(from..to).unwrap_or_default();
            if let (Some(&timestamp), Some(&value)) = (timestamps.get(to - 1), part.last()) {
                self.enter(window, part.len() as u64);
                self.part.extend_from_slice(part);
                self.end_at(timestamp, value);
            }
            from = to;
        }
    }

    /// Adds a row of a finer or the same step.
    pub(crate) fn push_row(&mut self, timestamp: i64, value: f64, stats: &Stats) {
        self.enter(step_window(timestamp, self.step), samples(stats));
        self.fold_part();
        if let Some(open) = &mut self.open {
            open.fold.add(stats);
        }
        self.end_at(timestamp, value);
    }

    /// Ends the open row.
    pub(crate) fn close(&mut self) {
        self.fold_part();
        if let Some(open) = self.open.take() {
            self.rows.timestamps.push(open.timestamp);
            self.rows.values.push(open.value);
            self.rows.stats.push(open.fold.stats());
        }
    }

    /// Makes `window` the open one, with room for `more` samples.
    fn enter(&mut self, window: i64, more: u64) {
        let fits = |open: &Open| {
            let held = samples(&open.fold.stats()) + self.part.len() as u64;
            open.window == window && held + more <= u32::MAX.into()
        };
        if self.open.as_ref().is_none_or(|open| !fits(open)) {
            self.close();
            self.open = Some(Open {
                window,
                timestamp: 0,
                value: 0.0,
                fold: Fold::default(),
            });
        }
        if self.part.len() >= PART_SAMPLES {
            self.fold_part();
        }
    }

    fn end_at(&mut self, timestamp: i64, value: f64) {
        if let Some(open) = &mut self.open {
            (open.timestamp, open.value) = (timestamp, value);
        }
    }

    fn fold_part(&mut self) {
        if let Some(open) = self.open.as_mut().filter(|_| !self.part.is_empty()) {
            open.fold.add(&Stats::of(&self.part));
            self.part.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use treering_codec::stale_marker;

    /// The rows of samples that come in parts of `part`.
    fn rows_of(samples: &[(i64, f64)], step: i64, part: usize) -> Rows {
        let mut stepper = Stepper::new(step);
        for part in samples.chunks(part) {
            let (timestamps, values): (Vec<i64>, Vec<f64>) = part.iter().copied().unzip();
            stepper.push(&timestamps, &values);
        }
        stepper.close();
        stepper.rows
    }

    fn coarser(rows: &Rows, step: i64) -> Rows {
        let mut stepper = Stepper::new(step);
        let pairs = rows.timestamps.iter().zip(&rows.values);
        for ((&timestamp, &value), stats) in pairs.zip(&rows.stats) {
            stepper.push_row(timestamp, value, stats);
        }
        stepper.close();
        stepper.rows
    }

    fn samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
        let value = prop_oneof![
            6 => (-100i32..100).prop_map(|int| f64::from(int) / 8.0),
            1 => prop::sample::select(vec![f64::NAN, stale_marker(), -0.0, 1e6]),
        ];
        let times = prop::collection::btree_set(-500i64..500, 1..200);
        (times, prop::collection::vec(value, 200))
            .prop_map(|(times, values)| times.into_iter().zip(values).collect())
    }

    /// Equal but for the rounding of sums.
    fn are_near(a: &Rows, b: &Rows) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 || a.to_bits() == b.to_bits();
        let exact = |stats: &Stats| Stats {
            sum: 0.0,
            dropped: 0.0,
            ..*stats
        };
        let bits = |rows: &Rows| rows.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        a.timestamps == b.timestamps
            && bits(a) == bits(b)
            && a.stats.iter().zip(&b.stats).all(|(a, b)| {
                exact(a) == exact(b) && near(a.sum, b.sum) && near(a.dropped, b.dropped)
            })
    }

    proptest! {
        #[test]
        fn a_row_is_the_last_sample_and_the_statistics_of_its_step(
            samples in samples(), step in 1i64..100, part in 1usize..50,
        ) {
            let mut wanted = Rows::default();
            for step in samples.chunk_by(|a, b| step_window(a.0, step) == step_window(b.0, step)) {
                let (last, values) = (step[step.len() - 1], step.iter().map(|sample| sample.1));
                wanted.timestamps.push(last.0);
                wanted.values.push(last.1);
                wanted.stats.push(Stats::of(&values.collect::<Vec<_>>()));
            }
            let found = rows_of(&samples, step, part);
            prop_assert!(are_near(&found, &wanted), "{found:?} {wanted:?}");
        }

        #[test]
        fn steps_of_steps_are_the_steps_of_the_samples(
            samples in samples(), step in 1i64..30, times in 1i64..6,
        ) {
            let found = coarser(&rows_of(&samples, step, 7), step * times);
            let wanted = rows_of(&samples, step * times, 200);
            prop_assert!(are_near(&found, &wanted), "{found:?} {wanted:?}");
        }
    }

    #[test]
    fn windows_are_closed_at_their_end() {
        let rows = rows_of(&[(0, 1.0), (1, 2.0), (10, 3.0), (11, 4.0)], 10, 4);
        assert_eq!(rows.timestamps, [0, 10, 11]);
        assert_eq!(step_window(i64::MIN, 10), step_window(i64::MIN + 1, 10));
        let ends = rows_of(&[(i64::MIN, 1.0), (i64::MAX, 2.0)], i64::MAX, 4);
        assert_eq!(ends.timestamps, [i64::MIN, i64::MAX]);
    }

    /// More samples than a row can count: the step gets another row.
    #[test]
    fn a_step_that_is_full_goes_on_in_a_second_row() {
        let many = Stats {
            count: u32::MAX - 1,
            ..Stats::of(&[2.0, 3.0])
        };
        let mut stepper = Stepper::new(100);
        stepper.push_row(10, 3.0, &many);
        stepper.push(&[11, 12], &[4.0, 5.0]);
        stepper.push_row(13, 3.0, &many);
        stepper.close();
        let counts: Vec<_> = stepper.rows.stats.iter().map(|stats| stats.count).collect();
        assert_eq!(counts, [u32::MAX - 1, 2, u32::MAX - 1]);
        assert_eq!(stepper.rows.timestamps, [10, 12, 13]);
    }

    #[test]
    fn long_steps_are_summed_up_in_parts() {
        let samples: Vec<_> = (1..=10_000).map(|at| (at, 0.1)).collect();
        let rows = rows_of(&samples, 10_000, 3000);
        assert_eq!(rows.timestamps, [10_000]);
        assert_eq!(rows.stats[0].count, 10_000);
        assert!((rows.stats[0].sum - 1000.0).abs() < 1e-9);
    }
}
