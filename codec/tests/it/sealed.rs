//! Sealed value columns: any floats come back, whole or in part, each encoding in its own field.

use crate::data::{bits, column, mix, odd_float, values};
use proptest::prelude::*;
use treering_codec::{
    Encoding, MAX_CHUNK_SAMPLES, decode_values, decode_values_range, encode_values,
    encode_values_cold, stale_marker,
};

/// Encodes, decodes, compares, both ways; returns the default encoding and bytes per value.
fn round_trip(values: &[f64]) -> (Encoding, f64) {
    round_trip_by(encode_values_cold, values);
    round_trip_by(encode_values, values)
}

fn round_trip_by(encode: fn(&[f64], &mut Vec<u8>) -> Encoding, values: &[f64]) -> (Encoding, f64) {
    let mut bytes = vec![0xaa];
    let encoding = encode(values, &mut bytes);
    assert_eq!(Encoding::of(&bytes[1..]), Ok(encoding));
    let mut back = vec![7.0];
    decode_values(&bytes[1..], values.len(), &mut back).unwrap();
    assert_eq!(back[0], 7.0);
    assert_eq!(bits(&back[1..]), bits(values));
    assert!(bytes.len() <= 2 + 8 * values.len().max(1));
    (
        encoding,
        (bytes.len() - 1) as f64 / values.len().max(1) as f64,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

    #[test]
    fn real_looking_columns_come_back(values in values()) {
        round_trip(&values);
    }

    #[test]
    fn any_floats_come_back(values in prop::collection::vec(odd_float(), 0..300)) {
        round_trip(&values);
    }

    #[test]
    fn any_range_of_a_chunk_comes_back(
        values in values(),
        from: prop::sample::Index,
        to: prop::sample::Index,
    ) {
        let (from, to) = (from.index(values.len() + 1), to.index(values.len() + 1));
        let range = from.min(to)..from.max(to);
        for encode in [encode_values, encode_values_cold] {
            let (mut bytes, mut back) = (Vec::new(), Vec::new());
            encode(&values, &mut bytes);
            decode_values_range(&bytes, values.len(), range.clone(), &mut back).unwrap();
            prop_assert_eq!(bits(&back), bits(&values[range.clone()]));
        }
    }
}

#[test]
fn a_chunk_of_the_most_samples_comes_back_and_of_one_more_is_refused() {
    for shape in 0..13 {
        round_trip(&column(MAX_CHUNK_SAMPLES, (shape, 3, 2, 500)));
    }
    let mut bytes = Vec::new();
    encode_values(&[1.0; MAX_CHUNK_SAMPLES], &mut bytes);
    let mut out = Vec::new();
    assert!(decode_values(&bytes, MAX_CHUNK_SAMPLES + 1, &mut out).is_err());
    assert_eq!(out.capacity(), 0);
    assert!(decode_values_range(&bytes, 10, 3..11, &mut out).is_err());
}

#[test]
fn each_encoding_is_chosen_where_it_belongs() {
    let few = [0.1234567890123, 77e77, -1e-9, 3.0];
    let of = |value: fn(u64) -> f64| (0..720).map(value).collect::<Vec<f64>>();
    let stale_at_9 = |i| if i == 9 { stale_marker() } else { 5.0 };
    let cases: [(Encoding, Vec<f64>, f64); 11] = [
        (Encoding::Constant, of(|_| 0.0), 0.003),
        (Encoding::Patched, of(stale_at_9), 0.01),
        (Encoding::Decimal, of(|i| (i * i % 997) as f64 / 100.0), 1.4),
        (Encoding::Decimal, of(|i| i as f64 * 4096.0), 0.04),
        (
            Encoding::DecimalUlps,
            of(|i| (i * 37 % 500) as f64 * 0.1 + 0.2),
            2.0,
        ),
        (
            Encoding::Dictionary,
            (0..720).map(|i| few[(i * i % 7) % 4]).collect(),
            0.35,
        ),
        (
            Encoding::Ordered,
            of(|i| f64::from_bits(1f64.to_bits() + (mix(i) >> 24))),
            5.1,
        ),
        (Encoding::Raw, of(|i| f64::from_bits(mix(i))), 8.01),
        (
            Encoding::Decimal32,
            of(|i| f64::from((i * i % 997) as f32 / 1000.0)),
            1.4,
        ),
        (
            Encoding::Quotient,
            of(|i| (i * i % 997) as f64 / 300.0),
            1.4,
        ),
        (
            Encoding::Split,
            of(|i| {
                (0..6)
                    .map(|die| (mix(i * 6 + die) as i64) as f64 * 1e-19)
                    .sum()
            }),
            7.2,
        ),
    ];
    for (expected, values, most) in cases {
        let (encoding, cost) = round_trip(&values);
        assert_eq!(encoding, expected, "{cost} bytes per value");
        assert!(cost <= most, "{encoding:?}: {cost} bytes per value");
    }
}

#[test]
fn one_failed_scrape_costs_a_constant_series_a_few_bytes() {
    let mut values = vec![1_234_567.0; 720];
    let clean = round_trip(&values).1 * 720.0;
    values[400] = stale_marker();
    let spoilt = round_trip(&values).1 * 720.0;
    assert!(clean <= 6.0 && spoilt <= clean + 6.0, "{clean} {spoilt}");
    assert_eq!(round_trip(&[stale_marker(); 50]).0, Encoding::Constant);
}

#[test]
fn a_stale_marker_behind_a_value_of_no_scale_is_still_a_stale_marker() {
    let mut values: Vec<f64> = (0..300).map(|i| f64::from(i * i % 997) / 100.0).collect();
    values[100] = 1.0 / 3.0;
    values[101] = stale_marker();
    values[0] = stale_marker();
    values[299] = f64::NEG_INFINITY;
    assert_eq!(round_trip(&values).0, Encoding::Patched);
}

#[test]
fn a_counter_reset_or_one_precise_value_does_not_widen_the_others() {
    let mut values: Vec<f64> = (0..720)
        .map(|i| f64::from(100_000 + i * 3 + i * i % 2))
        .collect();
    let clean = round_trip(&values).1;
    for (index, value) in values.iter_mut().enumerate().skip(300) {
        *value = index as f64 - 300.0;
    }
    let reset = round_trip(&values).1;
    assert!(reset <= clean + 0.05, "{clean} {reset}");
    values[100] = 1.0 / 3.0;
    let precise = round_trip(&values).1;
    assert!(precise <= reset + 0.05, "{reset} {precise}");
}

#[test]
fn cold_chunks_of_noise_are_smaller_and_of_constants_the_same() {
    // The sum of four dice: full bins in the middle, and a bit and more saved on each value.
    let dice = |i: u64| (0..4).map(|die| mix(i * 4 + die) >> 58).sum::<u64>();
    let values: Vec<f64> = (0..720).map(|i| dice(i) as f64 / 10.0).collect();
    let (encoding, warm) = round_trip_by(encode_values, &values);
    assert_eq!(encoding, Encoding::Decimal);
    let (encoding, cold) = round_trip_by(encode_values_cold, &values);
    assert_eq!(encoding, Encoding::Decimal);
    assert!(cold < warm * 0.96, "{cold} {warm}");
    let constant = [0.25; 720];
    assert_eq!(
        round_trip_by(encode_values_cold, &constant),
        round_trip_by(encode_values, &constant)
    );
}
