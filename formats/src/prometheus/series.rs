//! Times of a series that were deleted.

use treering::SampleColumns;

use super::MILLISECOND;

/// Ranges of milliseconds since the Unix epoch, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deleted {
    ranges: Vec<(i64, i64)>,
}

impl Deleted {
    pub(super) fn add(&mut self, first: i64, last: i64) {
        self.ranges.push((first, last));
    }

    /// Whether a sample of these nanoseconds is gone.
    pub fn holds(&self, timestamp: i64) -> bool {
        let time = timestamp.div_euclid(MILLISECOND);
        let mut ranges = self.ranges.iter();
        ranges.any(|&(first, last)| (first..=last).contains(&time))
    }

    /// Takes out of `samples` what is gone.
    pub fn apply(&self, samples: &mut SampleColumns) {
        let kept: Vec<bool> = samples
            .timestamps
            .iter()
            .map(|at| !self.holds(*at))
            .collect();
        if kept.iter().all(|kept| *kept) {
            return;
        }
        let SampleColumns {
            timestamps,
            values,
            histograms,
            starts,
        } = samples;
        retain(timestamps, &kept);
        retain(values, &kept);
        retain(histograms, &kept);
        retain(starts, &kept);
    }
}

/// Keeps what stands where `kept` says so; a shorter column is an empty one.
fn retain<T>(column: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    column.retain(|_| kept.next().copied().unwrap_or(true));
}
