//! Statistics: equal to the obvious loop, mergeable, short on disk.

use crate::data::{column, odd_float, values};
use proptest::prelude::*;
use treering_codec::varint::Reader;
use treering_codec::{Stats, is_stale, stale_marker};

fn encoded_len(stats: &Stats) -> usize {
    let mut bytes = Vec::new();
    stats.encode(&mut bytes);
    let mut reader = Reader::new(&bytes);
    assert_eq!(
        &Stats::decode(&mut reader, stats.count + stats.stale).unwrap(),
        stats
    );
    assert!(reader.is_empty());
    let mut passed = Reader::new(&bytes);
    assert_eq!(Stats::skip(&mut passed), Ok(()));
    assert!(passed.is_empty());
    assert!(bytes.len() <= 64, "{} bytes", bytes.len());
    bytes.len()
}

/// The obvious loop over `values`, its sums plain.
fn obvious(values: &[f64]) -> Stats {
    let present: Vec<f64> = values
        .iter()
        .copied()
        .filter(|&value| !is_stale(value))
        .collect();
    let mut stats = Stats {
        stale: (values.len() - present.len()) as u32,
        ..Stats::default()
    };
    for (index, &value) in present.iter().enumerate() {
        if index == 0 {
            stats.first = value;
        } else if value < present[index - 1] {
            stats.dropped += present[index - 1];
        }
        if stats.min.is_nan() && !value.is_nan() {
            (stats.min, stats.max) = (value, value);
        }
        if value < stats.min {
            stats.min = value;
        }
        if value > stats.max {
            stats.max = value;
        }
        stats.sum += value;
        stats.last = value;
        stats.has_nan |= value.is_nan();
        stats.count += 1;
    }
    stats
}

/// Equal, or both not numbers, or close for the size of what was added.
fn close(one: f64, other: f64, values: &[f64]) -> bool {
    let size: f64 = values
        .iter()
        .filter(|value| !value.is_nan())
        .map(|value| value.abs())
        .sum();
    let equal = one == other || (one.is_nan() && other.is_nan());
    equal || !size.is_finite() || (one - other).abs() <= size * 1e-12
}

fn assert_alike(found: &Stats, expected: &Stats, values: &[f64]) {
    let exact = Stats {
        sum: expected.sum,
        dropped: expected.dropped,
        ..*found
    };
    assert_eq!(&exact, expected);
    if overflows(values) {
        return;
    }
    assert!(
        close(found.sum, expected.sum, values),
        "{} {}",
        found.sum,
        expected.sum
    );
    assert!(
        close(found.dropped, expected.dropped, values),
        "{found:?} {expected:?}"
    );
    assert_eq!(
        found.sum.is_nan(),
        expected.sum.is_nan() || expected.has_nan
    );
}

/// Whether the finite values can add up beyond the largest float: then the sum is an infinity, or
/// NaN beside another infinity, that depends on what was added up first.
fn overflows(values: &[f64]) -> bool {
    let finite = values.iter().filter(|value| value.is_finite());
    finite.map(|value| value.abs()).sum::<f64>() == f64::INFINITY
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

    #[test]
    fn statistics_are_those_of_the_obvious_loop(values in prop_oneof![
        values(), prop::collection::vec(odd_float(), 0..60)]) {
        let stats = Stats::of(&values);
        assert_alike(&stats, &obvious(&values), &values);
        encoded_len(&stats);
    }

    #[test]
    fn parts_merge_into_the_whole(values in values(), at: prop::sample::Index) {
        let (left, right) = values.split_at(at.index(values.len() + 1));
        let merged = Stats::of(left).merge(&Stats::of(right));
        assert_alike(&merged, &obvious(&values), &values);
        encoded_len(&merged);
    }
}

#[test]
fn constants_counters_and_decimals_are_short_on_disk() {
    assert_eq!(encoded_len(&Stats::default()), 1);
    assert_eq!(encoded_len(&Stats::of(&[stale_marker(); 9])), 2);
    assert_eq!(encoded_len(&Stats::of(&[0.0; 1000])), 2);
    assert!(encoded_len(&Stats::of(&[1.8187e-5; 1000])) <= 5);
    let counter: Vec<f64> = (0..1000)
        .map(|i| f64::from(5_000_000 + i * i % 17 + i * 20))
        .collect();
    assert!(encoded_len(&Stats::of(&counter)) <= 14);
    let gauge: Vec<f64> = (0..1000).map(|i| f64::from(i * i % 9973) / 100.0).collect();
    assert!(encoded_len(&Stats::of(&gauge)) <= 20);
    let noise = column(1000, (7, 1, 0, 0));
    assert!(encoded_len(&Stats::of(&noise)) <= 52);
}

#[test]
fn a_reset_counts_within_a_chunk_and_across_a_seam() {
    let counter = [5.0, 9.0, 2.0, 4.0, 1.0, 3.0];
    assert_eq!(Stats::of(&counter).increase(), 4.0 + 2.0 + 2.0 + 1.0 + 2.0);
    for seam in 0..=counter.len() {
        let (left, right) = counter.split_at(seam);
        assert_eq!(Stats::of(left).merge(&Stats::of(right)).increase(), 11.0);
    }
}

#[test]
fn a_sum_keeps_what_plain_addition_loses() {
    assert_eq!(Stats::of(&[1.0, 1e100, 1.0, -1e100]).sum, 2.0);
    assert_eq!(
        Stats::of(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]).sum,
        5.5
    );
    assert_eq!(
        Stats::of(&[f64::MAX, f64::MAX, -f64::MAX]).sum,
        f64::INFINITY
    );
}

#[test]
fn a_constant_chunk_tells_its_own_statistics() {
    for value in [
        0.0,
        -0.0,
        0.1,
        1e300,
        f64::INFINITY,
        f64::NAN,
        stale_marker(),
    ] {
        let mut bytes = Vec::new();
        treering_codec::encode_values(&[value; 700], &mut bytes);
        let found = treering_codec::constant_value(&bytes).unwrap().unwrap();
        assert_eq!(Stats::of_constant(found, 700), Stats::of(&[value; 700]));
    }
    let mut bytes = Vec::new();
    treering_codec::encode_values(&[1.0, 2.0], &mut bytes);
    assert_eq!(treering_codec::constant_value(&bytes), Ok(None));
}

/// The halves of these overflow by themselves, the whole does not: a merge cannot know, and only the
/// sums may differ.
#[test]
fn an_overflow_within_a_part_shows_in_the_sum_alone() {
    let values = [f64::NEG_INFINITY, 1.0, f64::MAX, 1e300];
    for seam in 0..=values.len() {
        let (left, right) = values.split_at(seam);
        let merged = Stats::of(left).merge(&Stats::of(right));
        assert_alike(&merged, &obvious(&values), &values);
    }
}
