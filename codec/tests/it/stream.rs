//! Streams: whatever is pushed comes back, at every moment of writing.

use crate::data::{bits, column, odd_float, timestamps, values};
use proptest::prelude::*;
use treering_codec::{Sample, StreamEncoder, StreamReader, decode_stream, stale_marker};

fn encode(timestamps: &[i64], values: &[f64]) -> StreamEncoder {
    let mut encoder = StreamEncoder::new();
    for (&timestamp, &value) in timestamps.iter().zip(values) {
        encoder.push(timestamp, value);
    }
    encoder
}

fn decode(bytes: &[u8]) -> (Vec<i64>, Vec<f64>) {
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    let count = decode_stream(bytes, &mut timestamps, &mut values).unwrap();
    assert_eq!((count, count), (timestamps.len(), values.len()));
    (timestamps, values)
}

fn bytes_per_sample(timestamps: &[i64], values: &[f64]) -> f64 {
    let bytes = encode(timestamps, values).finish();
    let (back, back_values) = decode(&bytes);
    assert_eq!(back, timestamps);
    assert_eq!(bits(&back_values), bits(values));
    bytes.len() as f64 / timestamps.len() as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn real_looking_samples_come_back(timestamps in timestamps(), values in values()) {
        let length = timestamps.len().min(values.len());
        let (timestamps, values) = (&timestamps[..length], &values[..length]);
        let encoder = encode(timestamps, values);
        prop_assert_eq!(encoder.len(), length);
        prop_assert_eq!(encoder.first_timestamp(), timestamps.first().copied());
        prop_assert_eq!(encoder.last_timestamp(), timestamps.last().copied());
        prop_assert_eq!(encoder.last_value().map(f64::to_bits), values.last().map(|v| v.to_bits()));
        let bytes = encoder.snapshot();
        prop_assert_eq!(bytes.len(), encoder.encoded_bytes());
        let (back, back_values) = decode(&bytes);
        prop_assert_eq!(&back, timestamps);
        prop_assert_eq!(bits(&back_values), bits(values));
        let read: Vec<Sample> = StreamReader::new(&bytes).unwrap().map(|s| s.unwrap()).collect();
        let expected: Vec<Sample> =
            timestamps.iter().zip(values).map(|(&t, &v)| Sample::new(t, v)).collect();
        prop_assert_eq!(read, expected);
        prop_assert_eq!(&*encoder.finish(), &bytes[..]);
    }

    #[test]
    fn any_samples_come_back(
        samples in prop::collection::vec((any::<i64>(), odd_float()), 0..200),
    ) {
        let (timestamps, values): (Vec<i64>, Vec<f64>) = samples.into_iter().unzip();
        let (back, back_values) = decode(&encode(&timestamps, &values).finish());
        prop_assert_eq!(back, timestamps);
        prop_assert_eq!(bits(&back_values), bits(&values));
    }
}

#[test]
fn a_snapshot_at_every_moment_holds_what_was_pushed() {
    let values = column(300, (4, 7, 0, 30));
    let mut encoder = StreamEncoder::new();
    for (index, &value) in values.iter().enumerate() {
        encoder.push(index as i64 * 15_000_000_000, value);
        let (timestamps, back) = decode(&encoder.snapshot());
        assert_eq!(timestamps.len(), index + 1);
        assert_eq!(bits(&back), bits(&values[..=index]));
    }
    let taken = encoder.take();
    assert_eq!(decode(&taken).1.len(), 300);
    assert!(encoder.is_empty() && encoder.heap_bytes() == 0);
    assert_eq!(decode(&encoder.snapshot()).0, Vec::<i64>::new());
}

#[test]
fn an_encoder_is_small_because_a_million_series_each_have_one() {
    assert!(
        size_of::<StreamEncoder>() <= 96,
        "{} bytes",
        size_of::<StreamEncoder>()
    );
    let mut encoder = StreamEncoder::new();
    for index in 0..10 {
        encoder.push(1_795_294_024_655_000_000 + index * 15_000_000_000, 3.0);
    }
    assert!(
        encoder.heap_bytes() <= 32,
        "{} bytes for ten samples",
        encoder.heap_bytes()
    );
}

#[test]
fn whole_milliseconds_and_seconds_cost_no_more_than_their_own_unit() {
    let ones = vec![1.0; 1000];
    let jittered = |unit: i64| -> Vec<i64> {
        (0..1000)
            .map(|i| (1_795_294_024_000 + i * 1_000 + (i * i) % 5) * unit)
            .collect()
    };
    let millis = bytes_per_sample(&jittered(1_000_000), &ones);
    let nanos = bytes_per_sample(&jittered(1), &ones);
    assert!(millis < 1.2, "{millis}");
    assert!((millis - nanos).abs() < 0.02, "{millis} {nanos}");
}

#[test]
fn one_nanosecond_stamp_does_not_spoil_a_millisecond_stream() {
    let mut timestamps: Vec<i64> = (0..1000)
        .map(|i| (1_795_294_024_000 + i * 1_000 + (i * i) % 5) * 1_000_000)
        .collect();
    let ones = vec![1.0; 1000];
    let clean = bytes_per_sample(&timestamps, &ones);
    timestamps[500] += 1;
    let spoilt = bytes_per_sample(&timestamps, &ones);
    assert!(spoilt - clean < 0.1, "{clean} {spoilt}");
}

#[test]
fn a_stale_marker_or_an_odd_value_leaves_integers_integers() {
    let timestamps: Vec<i64> = (0..1000).map(|i| i * 15_000_000_000).collect();
    let mut values: Vec<f64> = (0..1000).map(|i| f64::from(i * i % 7) / 100.0).collect();
    let clean = bytes_per_sample(&timestamps, &values);
    values[300] = stale_marker();
    values[301] = stale_marker();
    values[600] = 0.1 + 0.2;
    values[700] = f64::NEG_INFINITY;
    let spoilt = bytes_per_sample(&timestamps, &values);
    assert!(clean < 1.0 && spoilt - clean < 0.05, "{clean} {spoilt}");
}

#[test]
fn floats_that_become_decimals_become_integers_again() {
    let timestamps: Vec<i64> = (0..4000).map(|i| i * 15_000_000_000).collect();
    let values: Vec<f64> = (0..4000)
        .map(|i| {
            if i < 100 {
                f64::from(i).sqrt()
            } else {
                f64::from(i * i % 7) / 100.0
            }
        })
        .collect();
    let cost = bytes_per_sample(&timestamps, &values);
    assert!(cost < 1.0, "{cost}");
}
