//! Bytes written by an earlier build still decode to the same numbers, and the encoders still
//! write them.
//!
//! Each `tests/golden/NAME.bin` is the output of an encoder for a column defined here. After a
//! deliberate change of an *encoder* run the tests once with `TREERING_REGENERATE_GOLDEN=1`; a
//! change that makes an old file undecodable needs a new encoding number instead.

use crate::data::{bits, column, mix};
use crate::extras::scraped;
use std::path::PathBuf;
use treering_codec::varint::Reader;
use treering_codec::{
    CUSTOM_SCHEMA, Encoding, Extras, ExtrasForm, Histogram, ResetHint, Stats, StreamEncoder,
    decode_extras, decode_stream, decode_timestamps, decode_values, encode_extras,
    encode_timestamps, encode_values, encode_values_cold, join_extras, split_extras, stale_marker,
};

fn golden(name: &str, encoded: &[u8]) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = folder.join(format!("{name}.bin"));
    if std::env::var_os("TREERING_REGENERATE_GOLDEN").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, encoded).unwrap();
    }
    let stored = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(
        stored, encoded,
        "{name}: the encoder no longer writes the golden bytes"
    );
    stored
}

/// A column that only `encoding` suits.
fn column_for(encoding: Encoding) -> Vec<f64> {
    let of = |value: fn(u64) -> f64| (0..300).map(value).collect::<Vec<f64>>();
    match encoding {
        Encoding::Raw => (0..40).map(|i| f64::from_bits(mix(i))).collect(),
        Encoding::Constant => vec![-0.125; 300],
        // The bits that change wander through the mantissa.
        Encoding::Xor => (0..300)
            .scan(1e200f64.to_bits(), |bits, i| {
                *bits ^= (mix(i) >> 54) << (39 - i / 75 * 13);
                Some(f64::from_bits(*bits))
            })
            .collect(),
        Encoding::Decimal => column(300, (3, 77, 0, 300)),
        Encoding::DecimalUlps => of(|i| (i * 37 % 500) as f64 * 0.1 + 0.2),
        Encoding::Dictionary => {
            let few = [0.1234567890123, 77e77, -1e-9, f64::NAN];
            (0..300).map(|i| few[(i * i % 7) % 4]).collect()
        }
        Encoding::Ordered => (0..300)
            .map(|i| f64::from_bits(1f64.to_bits() + (mix(i) >> 24)))
            .collect(),
        Encoding::Decimal32 => of(|i| f64::from((i * i % 997) as f32 / 1000.0)),
        Encoding::Quotient => of(|i| (i * i % 997 + 13 * i) as f64 / 7.0 + (i % 2) as f64),
        // Noise around zero.
        Encoding::Split => (0..300)
            .map(|i| {
                (0..6)
                    .map(|die| (mix(i * 6 + die) as i64) as f64 * 1e-19)
                    .sum()
            })
            .collect(),
        _ => (0..300)
            .map(|i| {
                if i % 90 == 7 {
                    stale_marker()
                } else {
                    f64::from(i * i % 997) / 100.0
                }
            })
            .collect(),
    }
}

#[test]
fn every_value_encoding_is_pinned() {
    for encoding in Encoding::ALL {
        let values = column_for(encoding);
        let mut bytes = Vec::new();
        assert_eq!(encode_values(&values, &mut bytes), encoding);
        let stored = golden(&format!("values_{encoding:?}").to_lowercase(), &bytes);
        let mut back = Vec::new();
        decode_values(&stored, values.len(), &mut back).unwrap();
        assert_eq!(bits(&back), bits(&values));
    }
}

#[test]
fn an_entropy_coded_chunk_is_pinned() {
    let dice = |i: u64| (0..4).map(|die| mix(i * 4 + die) >> 58).sum::<u64>();
    let values: Vec<f64> = (0..300).map(|i| dice(i) as f64 / 10.0).collect();
    let mut bytes = Vec::new();
    encode_values_cold(&values, &mut bytes);
    let mut back = Vec::new();
    decode_values(&golden("values_cold", &bytes), values.len(), &mut back).unwrap();
    assert_eq!(bits(&back), bits(&values));
}

#[test]
fn every_timestamp_encoding_is_pinned() {
    const START: i64 = 1_795_294_024_655_000_000;
    let columns: [(&str, Vec<i64>); 4] = [
        ("times_raw", vec![i64::MAX, i64::MIN, 0, -1, 5]),
        (
            "times_progression",
            (0..1024).map(|i| START + i * 15_000_000_000).collect(),
        ),
        (
            "times_jitter",
            (0..300)
                .map(|i| START + (i * 1000 + i * i % 7) * 1_000_000)
                .collect(),
        ),
        (
            "times_gap",
            (0..300)
                .map(|i| START + (i + i / 170 * 999) * 300_000_000_000)
                .collect(),
        ),
    ];
    for (name, column) in columns {
        let mut bytes = Vec::new();
        encode_timestamps(&column, &mut bytes);
        let mut back = Vec::new();
        decode_timestamps(&golden(name, &bytes), &mut back).unwrap();
        assert_eq!(back, column);
    }
}

#[test]
fn streams_are_pinned() {
    for (name, shape) in [
        ("stream_ints", 3u8),
        ("stream_floats", 4),
        ("stream_decimals", 2),
    ] {
        let mut values = column(300, (shape, 9, 3, 50));
        values[100] = stale_marker();
        values[200] = 1.0 / 3.0;
        let mut encoder = StreamEncoder::new();
        let times: Vec<i64> = (0..300)
            .map(|i| (i * 15_000 + i * i % 5) * 1_000_000 + i / 290)
            .collect();
        for (&timestamp, &value) in times.iter().zip(&values) {
            encoder.push(timestamp, value);
        }
        let (mut back_times, mut back) = (Vec::new(), Vec::new());
        decode_stream(&golden(name, &encoder.finish()), &mut back_times, &mut back).unwrap();
        assert_eq!(back_times, times);
        assert_eq!(bits(&back), bits(&values));
    }
}

/// Histograms of two shapes, floats between them, some starts.
fn mixed() -> Extras {
    let mut extras = Extras::new();
    for (place, histogram) in scraped(300).histograms {
        let custom = Histogram {
            schema: CUSTOM_SCHEMA,
            hint: ResetHint::Gauge,
            count: 3.5,
            sum: f64::from(place) / 7.0,
            positive: vec![(0, 1.5), (2, 2.0)],
            bounds: vec![0.25, 1.0].into(),
            ..Histogram::default()
        };
        let start = if place < 250 {
            1 + i64::from(place / 100)
        } else {
            0
        };
        let histogram = match place % 20 {
            3..5 => None,
            5..12 => Some(custom.into()),
            _ => Some(histogram),
        };
        extras.push(place, histogram, start);
    }
    extras
}

#[test]
fn extras_are_pinned() {
    let forms = [
        ("single", ExtrasForm::Single),
        ("columns", ExtrasForm::Columns),
        ("cold", ExtrasForm::Cold),
    ];
    for (name, form) in forms {
        for (kind, extras) in [("mixed", mixed()), ("scraped", scraped(300))] {
            let mut bytes = Vec::new();
            encode_extras(&extras, form, &mut bytes);
            let stored = golden(&format!("extras_{kind}_{name}"), &bytes);
            assert!(decode_extras(&stored, 300).unwrap().is_identical(&extras));
        }
    }
}

#[test]
fn a_chunk_with_extras_is_pinned() {
    let extras = mixed();
    let mut values = column(300, (3, 9, 3, 50));
    for (place, _) in &extras.histograms {
        values[*place as usize] = stale_marker();
    }
    let (mut column, mut section, mut chunk) = (Vec::new(), Vec::new(), Vec::new());
    encode_values(&values, &mut column);
    encode_extras(&extras, ExtrasForm::Columns, &mut section);
    join_extras(&column, &section, &mut chunk);
    let stored = golden("values_extended", &chunk);
    let mut back = Vec::new();
    decode_values(&stored, 300, &mut back).unwrap();
    assert_eq!(bits(&back), bits(&values));
    let section = split_extras(&stored).unwrap().1.unwrap();
    assert!(decode_extras(section, 300).unwrap().is_identical(&extras));
}

#[test]
fn statistics_are_pinned() {
    for (name, shape) in [
        ("stats_constant", 0u8),
        ("stats_counter", 3),
        ("stats_floats", 7),
    ] {
        let stats = Stats::of(&column(300, (shape, 9, 3, 50)));
        let mut bytes = Vec::new();
        stats.encode(&mut bytes);
        let stored = golden(name, &bytes);
        assert_eq!(Stats::decode(&mut Reader::new(&stored), 300), Ok(stats));
    }
}
