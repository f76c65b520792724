//! The windows of an aggregate: where each begins and ends, and which samples lie in which.
//!
//! Input: the range asked for, step and width. Output: per window an index, an end and a span;
//! sorted timestamps cut into windows or panes. Invariant: windows are left-open, right-closed and
//! named by their end; none holds a timestamp outside `first..=last`. Everything is counted in
//! unsigned offsets from `first`, so that no timestamp of `i64` overflows.

use std::ops::Range;

use crate::error::{Error, Result};

/// Most windows that a range may be cut into, so that one more is still a number. Only those that
/// hold samples cost anything; `Cells` bounds them.
const MAX_WINDOWS: u64 = 1 << 62;

/// The windows over one range of time.
#[derive(Debug, Clone)]
pub(crate) struct Windows {
    first: i64,
    /// Timestamps before it are in no window.
    since: i64,
    /// Offset of the last timestamp asked for.
    reach: u64,
    /// Offset of the end of window 0; it may lie past `reach`.
    end: u64,
    step: u64,
    width: u128,
    count: u64,
}

impl Windows {
    /// The windows over `first..=last` (nanoseconds): every `step`, each `width` wide. Without a
    /// step there is one that ends at `last`; without a width it is the step, or the whole range.
    ///
    /// Refuses a step or width below one nanosecond, and more windows than can be numbered.
    pub(crate) fn new(
        first: i64,
        last: i64,
        step: Option<i64>,
        width: Option<i64>,
    ) -> Result<Self> {
        let step = step.map(|step| positive("step", step)).transpose()?;
        let width = width.map(|width| positive("window", width)).transpose()?;
        let reach = (last as u64).wrapping_sub(first as u64);
        let (end, every, natural) = match step {
            Some(step) => (step - 1, step, step.into()),
            None => (reach, u64::MAX, u128::from(reach) + 1),
        };
        let count = if last < first {
            0
        } else {
            index(reach, end, every).saturating_add(1)
        };
        if count > MAX_WINDOWS {
            return Err(Error::limit(
                "window limit",
                MAX_WINDOWS,
                format!("this query, which asked for {count} windows"),
                "ask for a shorter range or a longer step",
            ));
        }
        let width = width.map_or(natural, u128::from);
        Ok(Self {
            first,
            since: first,
            reach,
            end,
            step: every,
            width,
            count,
        })
    }

    /// The same windows, of which what is before `since` has expired.
    pub(crate) fn kept(mut self, since: i64) -> Self {
        self.since = self.first.max(since);
        self
    }

    /// First and last timestamp that any of them may hold.
    pub(crate) fn range(&self) -> (i64, i64) {
        (self.since, self.at(self.reach))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether one timestamp may lie in several windows.
    pub(crate) fn overlap(&self) -> bool {
        self.count > 1 && self.width > u128::from(self.step)
    }

    /// The width in seconds, before any clipping at the edges of the range.
    pub(crate) fn seconds(&self) -> f64 {
        self.width as f64 / 1e9
    }

    /// The end that names window `window`; the last may end after the range.
    pub(crate) fn end(&self, window: u64) -> i64 {
        let end = i128::from(self.first) + self.end_offset(window) as i128;
        i64::try_from(end).unwrap_or(i64::MAX)
    }

    /// First and last timestamp that window `window` may hold, clipped to the range; none when
    /// nothing is left of it.
    pub(crate) fn span(&self, window: u64) -> Option<(i64, i64)> {
        let end = self.end_offset(window);
        let start = (end + 1).saturating_sub(self.width);
        if start > u128::from(self.reach) || window >= self.count {
            return None;
        }
        Some((
            self.at(start as u64),
            self.at(end.min(self.reach.into()) as u64),
        ))
    }

    /// The first window that ends at or after `timestamp`.
    pub(crate) fn first_ending(&self, timestamp: i64) -> u64 {
        index(self.offset(timestamp), self.end, self.step)
    }

    /// Whether `timestamp` lies in no window, in a gap between two or after the last.
    pub(crate) fn between(&self, timestamp: i64) -> bool {
        self.span(self.first_ending(timestamp))
            .is_none_or(|(first, _)| timestamp < first)
    }

    /// The last timestamp of the pane of `timestamp`: no window begins or ends before it, so that
    /// samples of one pane are in the same windows.
    pub(crate) fn pane_end(&self, timestamp: i64) -> i64 {
        let offset = u128::from(self.offset(timestamp));
        let end = self.end_offset(self.first_ending(timestamp));
        let (zero, step) = (u128::from(self.end), u128::from(self.step));
        // The first window that begins at or after `timestamp`: `end - width >= offset`.
        let window = (offset + self.width).saturating_sub(zero).div_ceil(step);
        let mut pane = end.min(self.reach.into());
        if window < u128::from(self.count) {
            pane = pane.min(zero + window * step - self.width);
        }
        self.at(pane as u64)
    }

    /// Cuts sorted timestamps of the range into windows; windows without any are left out.
    pub(crate) fn slices<'a>(&'a self, timestamps: &'a [i64]) -> Slices<'a> {
        let window = timestamps
            .first()
            .map_or(self.count, |&first| self.first_ending(first));
        Slices {
            windows: self,
            timestamps,
            window,
            start: 0,
            end: 0,
        }
    }

    /// Cuts sorted timestamps of the range into panes.
    pub(crate) fn panes<'a>(
        &'a self,
        timestamps: &'a [i64],
    ) -> impl Iterator<Item = Range<usize>> + 'a {
        let mut start = 0;
        std::iter::from_fn(move || {
            let end = self.pane_end(*timestamps.get(start)?);
            // At least one sample, whatever order damaged bytes gave them.
            let pane = start..advance(timestamps, start, end).max(start + 1);
            start = pane.end;
            Some(pane)
        })
    }

    fn end_offset(&self, window: u64) -> u128 {
        u128::from(self.end) + u128::from(window) * u128::from(self.step)
    }

    fn offset(&self, timestamp: i64) -> u64 {
        (timestamp.max(self.first) as u64).wrapping_sub(self.first as u64)
    }

    fn at(&self, offset: u64) -> i64 {
        (self.first as u64).wrapping_add(offset) as i64
    }
}

/// Windows with the indices of their timestamps, in order.
#[derive(Debug)]
pub(crate) struct Slices<'a> {
    windows: &'a Windows,
    timestamps: &'a [i64],
    window: u64,
    start: usize,
    end: usize,
}

impl Iterator for Slices<'_> {
    type Item = (u64, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (first, last) = self.windows.span(self.window)?;
            let mut next = *self.timestamps.get(self.start)?;
            if next < first {
                self.start = advance(self.timestamps, self.start, first - 1);
                next = *self.timestamps.get(self.start)?;
            }
            if next > last {
                self.window = self.windows.first_ending(next).max(self.window + 1);
                continue;
            }
            self.end = advance(self.timestamps, self.start.max(self.end), last);
            let slice = (self.window, self.start..self.end);
            self.window += 1;
            if !self.windows.overlap() {
                self.start = self.end;
            }
            if !slice.1.is_empty() {
                return Some(slice);
            }
        }
    }
}

/// Index of the first timestamp from index `from` on that is after `bound`, found by doubling
/// steps: near ones cost little, far ones a logarithm.
pub(crate) fn advance(timestamps: &[i64], from: usize, bound: i64) -> usize {
    let rest = timestamps.get(from..).unwrap_or_default();
    let (mut low, mut high) = (0, 1);
    while rest
        .get(high - 1)
        .is_some_and(|&timestamp| timestamp <= bound)
    {
        low = high;
        high *= 2;
    }
    let unsure = &rest[low.min(rest.len())..high.min(rest.len())];
    from + low.min(rest.len()) + unsure.partition_point(|&timestamp| timestamp <= bound)
}

/// The first of the windows that end at `end`, `end + step`, ... to end at or after `offset`.
fn index(offset: u64, end: u64, step: u64) -> u64 {
    if offset <= end {
        0
    } else {
        (offset - end - 1) / step + 1
    }
}

fn positive(argument: &'static str, nanos: i64) -> Result<u64> {
    match u64::try_from(nanos) {
        Ok(nanos) if nanos > 0 => Ok(nanos),
        _ => Err(Error::InvalidArgument {
            argument,
            why: format!("must be at least one nanosecond, not {nanos}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices(windows: &Windows, timestamps: &[i64]) -> Vec<(i64, Vec<i64>)> {
        let slices = windows.slices(timestamps);
        slices
            .map(|(window, at)| (windows.end(window), timestamps[at].to_vec()))
            .collect()
    }

    #[test]
    fn windows_are_left_open_right_closed_and_named_by_their_end() {
        let windows = Windows::new(1, 20, Some(10), None).unwrap();
        assert_eq!(windows.count(), 2);
        let cut = slices(&windows, &[1, 10, 11, 20]);
        assert_eq!(cut, [(10, vec![1, 10]), (20, vec![11, 20])]);
    }

    #[test]
    fn without_a_step_there_is_one_window_that_ends_at_the_last_timestamp() {
        let windows = Windows::new(5, 9, None, None).unwrap();
        assert_eq!(
            (windows.count(), windows.end(0), windows.span(0)),
            (1, 9, Some((5, 9)))
        );
        let narrow = Windows::new(5, 9, None, Some(2)).unwrap();
        assert_eq!(slices(&narrow, &[5, 7, 8, 9]), [(9, vec![8, 9])]);
    }

    #[test]
    fn windows_wider_than_the_step_overlap_and_narrower_ones_leave_gaps() {
        let sliding = Windows::new(1, 6, Some(2), Some(4)).unwrap();
        let cut = slices(&sliding, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(
            cut,
            [
                (2, vec![1, 2]),
                (4, vec![1, 2, 3, 4]),
                (6, vec![3, 4, 5, 6])
            ]
        );
        let gapped = Windows::new(1, 6, Some(3), Some(1)).unwrap();
        assert_eq!(
            slices(&gapped, &[1, 2, 3, 4, 5, 6]),
            [(3, vec![3]), (6, vec![6])]
        );
    }

    #[test]
    fn the_last_window_may_end_after_the_range_but_holds_nothing_beyond_it() {
        let windows = Windows::new(0, 24, Some(10), None).unwrap();
        assert_eq!((windows.count(), windows.end(2)), (3, 29));
        assert_eq!(windows.span(2), Some((20, 24)));
    }

    #[test]
    fn the_whole_of_time_does_not_overflow() {
        let all = Windows::new(i64::MIN, i64::MAX, None, None).unwrap();
        assert_eq!(all.span(0), Some((i64::MIN, i64::MAX)));
        assert_eq!(slices(&all, &[i64::MIN, 0, i64::MAX]).len(), 1);
        let step = 1 << 62;
        let quarters = Windows::new(i64::MIN, i64::MAX, Some(step), Some(i64::MAX)).unwrap();
        assert_eq!((quarters.count(), quarters.end(3)), (4, i64::MAX));
        let thirds = Windows::new(i64::MIN, i64::MAX, Some(i64::MAX), None).unwrap();
        assert_eq!((thirds.count(), thirds.end(2)), (3, i64::MAX));
        assert_eq!(thirds.pane_end(i64::MAX), i64::MAX);
    }

    #[test]
    fn steps_of_nothing_and_too_many_windows_are_refused() {
        assert!(matches!(
            Windows::new(0, 9, Some(0), None),
            Err(Error::InvalidArgument {
                argument: "step",
                ..
            })
        ));
        assert!(matches!(
            Windows::new(0, 9, None, Some(-1)),
            Err(Error::InvalidArgument {
                argument: "window",
                ..
            })
        ));
        assert!(
            Windows::new(i64::MIN, i64::MAX, Some(1), None)
                .unwrap_err()
                .is_limit()
        );
        assert!(Windows::new(0, i64::MAX, Some(2), Some(i64::MAX)).is_ok());
        assert_eq!(Windows::new(9, 0, Some(1), None).unwrap().count(), 0);
    }

    #[test]
    fn advancing_equals_a_plain_search() {
        let timestamps: Vec<i64> = (0..100).map(|at| at * 3).collect();
        for from in 0..=100 {
            for bound in -1..301 {
                let plain = timestamps
                    .partition_point(|&timestamp| timestamp <= bound)
                    .max(from);
                assert_eq!(
                    advance(&timestamps, from, bound),
                    plain,
                    "from {from}, bound {bound}"
                );
            }
        }
    }
}
