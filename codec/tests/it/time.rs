//! Timestamp columns: any timestamps come back, and the head tells their ends.

use crate::data::timestamps;
use proptest::prelude::*;
use treering_codec::{
    MAX_CHUNK_SAMPLES, TimeSummary, decode_timestamps, decode_timestamps_range, encode_timestamps,
    summarize_timestamps,
};

fn round_trip(timestamps: &[i64]) -> usize {
    let mut bytes = vec![0xaa];
    encode_timestamps(timestamps, &mut bytes);
    let mut back = vec![7];
    decode_timestamps(&bytes[1..], &mut back).unwrap();
    assert_eq!(&back[1..], timestamps);
    let summary = TimeSummary {
        count: timestamps.len(),
        first: timestamps.first().copied().unwrap_or(0),
        last: timestamps.last().copied().unwrap_or(0),
        increasing: timestamps.is_sorted_by(|a, b| a < b),
    };
    assert_eq!(summarize_timestamps(&bytes[1..]), Ok(summary));
    assert!(bytes.len() <= 24 + 8 * timestamps.len());
    bytes.len() - 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

    #[test]
    fn real_looking_columns_come_back(timestamps in timestamps()) {
        round_trip(&timestamps);
    }

    #[test]
    fn any_range_of_a_column_comes_back(
        timestamps in timestamps(),
        from: prop::sample::Index,
        to: prop::sample::Index,
    ) {
        let mut bytes = Vec::new();
        encode_timestamps(&timestamps, &mut bytes);
        let (from, to) = (from.index(timestamps.len() + 1), to.index(timestamps.len() + 1));
        let range = from.min(to)..from.max(to);
        let mut back = vec![7];
        decode_timestamps_range(&bytes, range.clone(), &mut back).unwrap();
        prop_assert_eq!(&back[1..], &timestamps[range]);
        let beyond = 0..timestamps.len() + 1;
        prop_assert!(decode_timestamps_range(&bytes, beyond, &mut back).is_err());
    }

    #[test]
    fn any_timestamps_come_back(timestamps in prop::collection::vec(
        prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -3i64..3], 0..300)) {
        round_trip(&timestamps);
    }
}

/// 2026-11-21T21:13:44.655Z.
const START: i64 = 1_795_294_024_655_000_000;

#[test]
fn a_regular_column_takes_fourteen_bytes_at_most() {
    for step in [1_000_000, 1_000_000_000, 15_000_000_000, 300_000_000_000] {
        let column: Vec<i64> = (0..1024).map(|i| START + i * step).collect();
        let bytes = round_trip(&column);
        assert!(bytes <= 14, "{bytes} bytes at a step of {step} ns");
    }
    assert_eq!(round_trip(&[]), 2);
    assert!(round_trip(&[START]) <= 12);
}

#[test]
fn gaps_duplicates_and_a_step_back_are_exceptions() {
    let mut column: Vec<i64> = (0..1024).map(|i| START + i * 15_000_000_000).collect();
    for timestamp in &mut column[500..] {
        *timestamp += 3_600_000_000_000;
    }
    let gap = round_trip(&column);
    assert!(gap <= 40, "{gap}");
    column[700] = column[699];
    column[900] = column[100];
    let odd = round_trip(&column);
    assert!(odd <= gap + 40, "{odd}");
}

#[test]
fn milliseconds_of_jitter_cost_their_own_bits_only() {
    let column: Vec<i64> = (0..1024)
        .map(|i| START + (i * 15_000 + i * i % 7) * 1_000_000)
        .collect();
    let bytes = round_trip(&column);
    assert!(bytes <= 1024 * 3 / 8 + 60, "{bytes}");
}

#[test]
fn a_column_of_the_most_timestamps_comes_back_and_of_one_more_is_refused() {
    let column: Vec<i64> = (0..MAX_CHUNK_SAMPLES as i64)
        .map(|i| START + i * i * i)
        .collect();
    round_trip(&column);
    let too_many = [1, 0x81, 0x40, 0, 0, 0];
    let mut out = Vec::new();
    assert!(decode_timestamps(&too_many, &mut out).is_err());
    assert_eq!(out.capacity(), 0);
}
