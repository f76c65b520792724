//! Where a series is cut into chunks.
//!
//! Input: the timestamps of a series. Output: the end of each chunk. Invariant: the answer depends
//! on the timestamps only, so series with the same timestamps share their columns; and cuts are
//! made at round UTC times, so that series that began at different times soon share them too and
//! common windows cover whole chunks.

use crate::limits::CHUNK_SAMPLES;

/// Fewest samples that a cut at a round time leaves in a chunk: below that, the entry and the
/// chunk's header would cost more than the edge saves.
pub(super) const CUT_SAMPLES: usize = 256;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// Round spans, coarsest first; each is a multiple of the next, so every edge of one is an edge of
/// all that follow.
const SPANS: [i64; 22] = [
    1024 * DAY,
    256 * DAY,
    64 * DAY,
    32 * DAY,
    16 * DAY,
    8 * DAY,
    4 * DAY,
    2 * DAY,
    DAY,
    8 * HOUR,
    4 * HOUR,
    2 * HOUR,
    HOUR,
    HOUR / 2,
    HOUR / 4,
    300 * SECOND,
    60 * SECOND,
    30 * SECOND,
    10 * SECOND,
    5 * SECOND,
    SECOND,
    SECOND / 10,
];

/// How many of [`SPANS`], those of whole days, are worth a cut where all samples would fit into one
/// chunk.
const WORTHWHILE_SPANS: usize = 9;

/// Index after the last sample of the chunk that starts at `start`.
///
/// `timestamps` must be strictly increasing. The result is above `start` (when that is inside) and
/// at most [`CHUNK_SAMPLES`] above it.
pub(super) fn chunk_end(timestamps: &[i64], start: usize) -> usize {
    let rest = timestamps.get(start..).unwrap_or_default();
    let (longest, spans) = if rest.len() > CHUNK_SAMPLES {
        (CHUNK_SAMPLES, &SPANS[..])
    } else if rest.len() >= 2 * CUT_SAMPLES {
        (rest.len() - CUT_SAMPLES, &SPANS[..WORTHWHILE_SPANS])
    } else {
        return start + rest.len();
    };
    let cut = spans
        .iter()
        .find_map(|&span| last_edge(rest, longest, span));
    start + cut.unwrap_or(rest.len().min(CHUNK_SAMPLES))
}

/// The last edge of `span` after at least [`CUT_SAMPLES`] and at most `longest` samples (fewer than
/// there are). A sample exactly at an edge belongs to the window that ends there.
fn last_edge(rest: &[i64], longest: usize, span: i64) -> Option<usize> {
    let window = |index: usize| {
        rest.get(index)
            .map(|timestamp| timestamp.saturating_sub(1).div_euclid(span))
    };
    let last = window(longest - 1)?;
    if window(longest)? != last {
        return Some(longest);
    }
    if window(CUT_SAMPLES - 1)? == last {
        return None;
    }
    let before = rest.get(CUT_SAMPLES..longest)?;
    let inside = before.partition_point(|t| t.saturating_sub(1).div_euclid(span) < last);
    Some(CUT_SAMPLES + inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cuts(timestamps: &[i64]) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut start = 0;
        while start < timestamps.len() {
            start = chunk_end(timestamps, start);
            ends.push(start);
        }
        ends
    }

    fn grid(start: i64, step: i64, count: i64) -> Vec<i64> {
        (1..=count).map(|index| start + index * step).collect()
    }

    #[test]
    fn a_day_of_ten_second_steps_is_cut_every_two_hours() {
        let day = grid(19_723 * DAY, 10 * SECOND, 8640);
        assert_eq!(
            cuts(&day),
            (1..=12).map(|hour| hour * 720).collect::<Vec<_>>()
        );
    }

    #[test]
    fn series_that_begin_later_are_soon_cut_at_the_same_times() {
        let day = grid(19_723 * DAY, 10 * SECOND, 8640);
        let late = &day[1234..];
        let times = |column: &[i64]| {
            cuts(column)
                .into_iter()
                .map(|end| column[end - 1])
                .collect::<Vec<_>>()
        };
        let (all, fewer) = (times(&day), times(late));
        let shared = fewer.iter().filter(|time| all.contains(time)).count();
        assert!(shared + 1 >= fewer.len(), "{fewer:?} of {all:?}");
    }

    #[test]
    fn a_sample_at_midnight_ends_its_day() {
        let minutes = grid(10 * DAY - 300 * 60 * SECOND, 60 * SECOND, 600);
        assert_eq!(cuts(&minutes), [300, 600]);
        assert_eq!(minutes[299], 10 * DAY);
    }

    #[test]
    fn few_samples_stay_together_and_many_without_edges_are_cut_by_count() {
        assert_eq!(cuts(&grid(DAY - 5, 1, 10)), [10]);
        assert_eq!(cuts(&grid(17, 1, 3000)), [1024, 2048, 3000]);
        assert_eq!(cuts(&[]), [0usize; 0]);
        assert_eq!(cuts(&[i64::MIN, 0, i64::MAX]), [3]);
    }

    proptest! {
        #[test]
        fn chunks_hold_from_one_to_the_most_samples(
            start: i64,
            steps in prop::collection::vec(1i64..4_000_000_000_000, 1..5000),
        ) {
            let mut timestamps = vec![start];
            for step in steps {
                match timestamps[timestamps.len() - 1].checked_add(step) {
                    Some(next) => timestamps.push(next),
                    None => break,
                }
            }
            let ends = cuts(&timestamps);
            let mut begin = 0;
            for &end in &ends {
                prop_assert!(end > begin && end - begin <= CHUNK_SAMPLES);
                begin = end;
            }
            prop_assert_eq!(begin, timestamps.len());
        }
    }
}
