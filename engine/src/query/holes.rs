//! Ranges of time that deletes took out of a run.
//!
//! Input: closed ranges, in any order. Output: the same ranges sorted and disjoint, shared cheaply,
//! and columns without the samples that lie in them. Most runs have none, which costs a null check.

use std::sync::Arc;

/// Ranges of time hidden in a run: sorted, disjoint, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holes {
    ranges: Option<Arc<[(i64, i64)]>>,
}

impl Holes {
    /// The union of closed ranges.
    pub(crate) fn of(ranges: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|(a, b)| a <= b).collect();
        ranges.sort_unstable();
        let mut union: Vec<(i64, i64)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match union.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => union.push((first, last)),
            }
        }
        let ranges = (!union.is_empty()).then(|| union.into());
        Self { ranges }
    }

    /// Whether nothing is hidden.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_none()
    }

    /// Heap that the ranges take, in bytes; shared ones are counted by each that holds them.
    pub(crate) fn heap_bytes(&self) -> usize {
        let counts = 2 * size_of::<usize>();
        self.ranges
            .as_ref()
            .map_or(0, |ranges| counts + size_of_val(&**ranges))
    }

    /// The ranges, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.ranges.iter().flat_map(|ranges| ranges.iter().copied())
    }

    /// The range that `timestamp` lies in, if it is hidden.
    pub(crate) fn around(&self, timestamp: i64) -> Option<(i64, i64)> {
        let ranges = self.ranges.as_deref()?;
        let after = ranges.partition_point(|range| range.0 <= timestamp);
        let range = ranges.get(after.checked_sub(1)?).copied();
        range.filter(|range| timestamp <= range.1)
    }

    /// Whether the sample at `timestamp` is hidden.
    pub(crate) fn hide(&self, timestamp: i64) -> bool {
        self.around(timestamp).is_some()
    }

    /// Whether everything in `first..=last` is hidden.
    pub(crate) fn cover(&self, first: i64, last: i64) -> bool {
        self.around(first).is_some_and(|range| last <= range.1)
    }

    /// Whether anything in `first..=last` is hidden.
    pub(crate) fn touch(&self, first: i64, last: i64) -> bool {
        self.ranges.as_deref().is_some_and(|ranges| {
            let at = ranges.partition_point(|range| range.1 < first);
            ranges.get(at).is_some_and(|range| range.0 <= last)
        })
    }

    /// Takes the hidden samples out of what the two columns, sorted by time, hold from `start` on.
    pub(crate) fn apply(&self, start: usize, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) {
        if self.is_empty() {
            return;
        }
        let mut kept = start;
        for at in start..timestamps.len().min(values.len()) {
            if !self.hide(timestamps[at]) {
                timestamps[kept] = timestamps[at];
                values[kept] = values[at];
                kept += 1;
            }
        }
        timestamps.truncate(kept);
        values.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_unite_and_samples_in_them_go() {
        let holes = Holes::of([(10, 12), (1, 2), (3, 3), (11, 20), (9, 8)]);
        assert_eq!(holes.iter().collect::<Vec<_>>(), [(1, 3), (10, 20)]);
        let (mut times, mut values): (Vec<i64>, Vec<f64>) =
            (0..25).map(|at| (at, at as f64)).unzip();
        holes.apply(2, &mut times, &mut values);
        assert_eq!(times[..4], [0, 1, 4, 5]);
        assert_eq!(times.len(), values.len());
        assert_eq!(times.last(), Some(&24));
        assert!(holes.cover(11, 20) && !holes.cover(3, 10) && holes.touch(3, 10));
        assert!(!holes.touch(4, 9) && Holes::default().is_empty());
        let all = Holes::of([(i64::MIN, i64::MAX), (3, 4)]);
        assert_eq!(all.iter().collect::<Vec<_>>(), [(i64::MIN, i64::MAX)]);
    }
}
