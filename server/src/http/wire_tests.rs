//! Requests that another library wrote are read as they were meant; other bytes are refused.

use proptest::prelude::*;
use prost::Message;

use super::*;

#[path = "../../tests/it/http/messages.rs"]
mod messages;

use messages::{Count as SentCount, Histogram, TimeSeries, WriteRequest, ZeroCount};

fn read(request: &[u8]) -> Result<Vec<(WireSeries<'_>, Vec<WireSample>)>> {
    let mut found = Vec::new();
    for series in series(request) {
        let series = series?;
        let samples: Result<Vec<_>> = series.samples().collect();
        found.push((series, samples?));
    }
    Ok(found)
}

/// What a histogram that was sent must be read as.
fn meant(sent: &Histogram) -> WireSample {
    let spans = |spans: &[messages::Span]| spans.iter().map(|s| (s.offset, s.length)).collect();
    let histogram = WireHistogram {
        count: match sent.count {
            None => Count::Whole(0),
            Some(SentCount::Whole(count)) => Count::Whole(count),
            Some(SentCount::Float(count)) => Count::Float(count),
        },
        sum: sent.sum,
        schema: sent.schema,
        zero_threshold: sent.zero_threshold,
        zero_count: match sent.zero_count {
            None => Count::Whole(0),
            Some(ZeroCount::Whole(count)) => Count::Whole(count),
            Some(ZeroCount::Float(count)) => Count::Float(count),
        },
        negative: Side {
            spans: spans(&sent.negative_spans),
            deltas: sent.negative_deltas.clone(),
            counts: sent.negative_counts.clone(),
        },
        positive: Side {
            spans: spans(&sent.positive_spans),
            deltas: sent.positive_deltas.clone(),
            counts: sent.positive_counts.clone(),
        },
        hint: sent.reset_hint as u64,
        bounds: sent.custom_values.clone(),
    };
    WireSample::Histogram(sent.timestamp, Box::new(histogram))
}

prop_compose! {
    fn any_histogram()(
        counts in any::<(Option<u64>, Option<f32>, i32, f32, i64)>(),
        spans in prop::collection::vec(any::<(i32, u32)>(), 0..4),
        deltas in prop::collection::vec(any::<i64>(), 0..20),
        floats in prop::collection::vec(any::<f32>(), 0..20),
        hint in 0..4_i32,
    ) -> Histogram {
        let (whole, float, schema, sum, timestamp) = counts;
        let floats: Vec<f64> = floats.into_iter().map(|float| f64::from(float) + 0.0).collect();
        let spans: Vec<_> = spans
            .into_iter()
            .map(|(offset, length)| messages::Span { offset, length })
            .collect();
        Histogram {
            count: whole.map(SentCount::Whole),
            sum: f64::from(sum) + 0.0,
            schema,
            zero_threshold: 0.5,
            zero_count: float.map(|count| ZeroCount::Float(f64::from(count) + 0.0)),
            negative_spans: spans.clone(),
            negative_deltas: deltas.clone(),
            negative_counts: floats.clone(),
            positive_spans: spans,
            positive_deltas: deltas,
            positive_counts: floats.clone(),
            reset_hint: hint,
            timestamp,
            custom_values: floats,
        }
    }
}

prop_compose! {
    fn any_series()(
        pairs in prop::collection::vec(("[a-z_]{0,8}", ".{0,12}"), 0..6),
        samples in prop::collection::vec(any::<(i64, f32)>(), 0..20),
        histograms in prop::collection::vec(any_histogram(), 0..3),
    ) -> TimeSeries {
        let pairs: Vec<_> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        // The other library leaves out what equals 0, and so the sign of -0.
        let samples: Vec<_> = samples.iter().map(|(t, v)| (*t, f64::from(*v) + 0.0)).collect();
        TimeSeries { histograms, ..messages::series(&pairs, &samples) }
    }
}

proptest! {
    #[test]
    fn what_was_sent_is_what_is_read(sent in prop::collection::vec(any_series(), 0..5)) {
        let bytes = messages::request(sent.clone()).encode_to_vec();
        let found = read(&bytes).unwrap();
        prop_assert_eq!(found.len(), sent.len());
        for ((wire, samples), sent) in found.iter().zip(&sent) {
            let pairs: Vec<_> = sent
                .labels
                .iter()
                .map(|label| (&*label.name, &*label.value))
                .collect();
            prop_assert_eq!(&wire.labels, &pairs);
            let floats = sent.samples.iter().map(|s| WireSample::Float(s.timestamp, s.value));
            let wanted: Vec<_> = floats.chain(sent.histograms.iter().map(meant)).collect();
            // By their text: NaN is the same NaN.
            prop_assert_eq!(format!("{samples:?}"), format!("{wanted:?}"));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        sent in any_series(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let _ = read(&bytes);
        let mut damaged = messages::request(vec![sent]).encode_to_vec();
        if !damaged.is_empty() {
            let at = at.index(damaged.len());
            damaged[at] ^= 1_u8 << bit;
            let _ = read(&damaged);
            let _ = read(&damaged[..at]);
        }
    }
}

#[test]
fn every_bit_of_a_value_comes_through() {
    for bits in [
        treering::STALE_MARKER_BITS,
        1 << 63,
        0xfff8_0000_dead_beef,
        1,
    ] {
        let bytes = [&[0x09][..], &u64::to_le_bytes(bits), &[0x10, 1]].concat();
        let WireSample::Float(1, value) = sample(&bytes).unwrap() else {
            panic!("no float of time 1")
        };
        assert_eq!(value.to_bits(), bits);
    }
}

#[test]
fn unknown_fields_and_metadata_are_passed_over() {
    let sent = WriteRequest {
        timeseries: vec![messages::series(&[("__name__", "up")], &[(1, 1.0)])],
        metadata: vec![messages::Metadata {
            kind: 1,
            name: "up".to_owned(),
            help: "Up.".to_owned(),
        }],
    };
    let mut bytes = sent.encode_to_vec();
    // Field 100: a number; field 101: four bytes; field 102: eight.
    bytes.extend([
        0xa0, 0x06, 7, 0xad, 0x06, 1, 2, 3, 4, 0xb1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8,
    ]);
    assert_eq!(read(&bytes).unwrap().len(), 1);
}

#[test]
fn lists_may_be_packed_or_not() {
    // positive_deltas (12) one by one, positive_counts (13) one by one.
    let unpacked = [0x60, 2, 0x60, 3, 0x69, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
    let WireSample::Histogram(0, found) = histogram(&unpacked).unwrap() else {
        panic!("no histogram")
    };
    assert_eq!(found.positive.deltas, [1, -2]);
    assert_eq!(found.positive.counts, [1.0]);
}

#[test]
fn nonsense_is_named() {
    for (bytes, what) in [
        (&[0x0a][..], "it is cut off"),
        (&[0x0a, 5, 1], "it is cut off"),
        (&[0x08, 1], "a series has the wrong wire type"),
        (&[0x00], "a field has the number 0"),
        (&[0x0b], "a field has an unknown wire type"),
        (&[0xff; 11], "a number is longer than 64 bits"),
        (&[0x0a, 2, 0x08, 1], "a label has the wrong wire type"),
        (&[0x0a, 2, 0x10, 1], "a sample has the wrong wire type"),
    ] {
        assert_eq!(read(bytes).err(), Some(what), "{bytes:?}");
    }
    let many = vec![messages::Label::default(); LABELS_MAX + 1];
    let sent = messages::request(vec![TimeSeries {
        labels: many,
        ..TimeSeries::default()
    }]);
    let bytes = sent.encode_to_vec();
    assert_eq!(read(&bytes).err(), Some("a series has too many labels"));
    let sent = messages::request(vec![TimeSeries {
        histograms: vec![Histogram {
            positive_deltas: vec![1; BUCKETS_MAX + 1],
            ..Histogram::default()
        }],
        ..TimeSeries::default()
    }]);
    let bytes = sent.encode_to_vec();
    assert_eq!(read(&bytes).err(), Some("a histogram has too many buckets"));
}
