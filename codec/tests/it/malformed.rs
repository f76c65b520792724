//! Bytes that no encoder wrote: every decoder answers with bounded numbers or an error, never with
//! a panic. Each `check_*` takes any bytes, so that other harnesses can feed it too.

use crate::data::{column, odd_float, timestamps, values};
use proptest::prelude::*;
use treering_codec::varint::Reader;
use treering_codec::{
    MAX_CHUNK_SAMPLES, MAX_STREAM_SAMPLES_PER_BYTE, Stats, StreamEncoder, StreamReader,
    decode_stream, decode_timestamps, decode_timestamps_range, decode_values, decode_values_range,
    encode_timestamps, encode_values, encode_values_cold, summarize_timestamps,
};

/// Any bytes as a stream: the two readers agree and stay inside of their bound.
pub(crate) fn check_stream(bytes: &[u8]) {
    let (mut times, mut floats) = (Vec::new(), Vec::new());
    let decoded = decode_stream(bytes, &mut times, &mut floats);
    assert_eq!(times.len(), floats.len());
    assert!(times.capacity() <= bytes.len() * MAX_STREAM_SAMPLES_PER_BYTE);
    if let Ok(reader) = StreamReader::new(bytes) {
        let read: Vec<_> = reader.collect();
        assert_eq!(
            read.iter().filter(|sample| sample.is_ok()).count(),
            times.len()
        );
        assert_eq!(read.iter().any(|sample| sample.is_err()), decoded.is_err());
    } else {
        assert!(decoded.is_err());
    }
    if let Err(error) = decoded {
        assert!(error.offset() <= bytes.len() + 16, "{error}");
    }
}

/// Any bytes as a chunk of `count` values: all, none, or an equal part.
pub(crate) fn check_values(bytes: &[u8], count: usize) {
    let mut all = Vec::new();
    match decode_values(bytes, count, &mut all) {
        Ok(()) => assert_eq!(all.len(), count),
        Err(error) => {
            assert!(all.is_empty() && error.offset() <= bytes.len(), "{error}");
        }
    }
    assert!(all.capacity() <= MAX_CHUNK_SAMPLES);
    let range = count / 3..count - count / 4;
    let mut part = Vec::new();
    if decode_values_range(bytes, count, range.clone(), &mut part).is_ok() {
        assert_eq!(part.len(), range.len());
    }
}

/// Any bytes as a timestamp column: whole and as its head says, or nothing.
pub(crate) fn check_timestamps(bytes: &[u8]) {
    let mut column = Vec::new();
    let summary = summarize_timestamps(bytes);
    match decode_timestamps(bytes, &mut column) {
        Ok(()) => {
            assert_eq!(summary.map(|summary| summary.count), Ok(column.len()));
            let range = column.len() / 3..column.len() - column.len() / 4;
            let mut part = Vec::new();
            decode_timestamps_range(bytes, range.clone(), &mut part).unwrap();
            assert_eq!(part, column[range]);
        }
        Err(error) => assert!(
            column.is_empty() && error.offset() <= bytes.len(),
            "{error}"
        ),
    }
    assert!(column.capacity() <= MAX_CHUNK_SAMPLES);
}

/// Any bytes as statistics.
pub(crate) fn check_stats(bytes: &[u8], samples: u32) {
    let mut reader = Reader::new(bytes);
    let mut passed = reader;
    let skipped = Stats::skip(&mut passed);
    if let Ok(stats) = Stats::decode(&mut reader, samples) {
        assert_eq!(stats.count + stats.stale, samples);
        assert_eq!((skipped, passed.offset()), (Ok(()), reader.offset()));
    }
    assert!(passed.offset() <= bytes.len());
    assert!(reader.offset() <= bytes.len());
}

fn check_all(bytes: &[u8], count: usize) {
    check_stream(bytes);
    check_values(bytes, count);
    check_timestamps(bytes);
    check_stats(bytes, count as u32);
}

/// A bit flipped, the end cut off, and a byte replaced.
fn damaged(bytes: &[u8], at: prop::sample::Index, bit: u8, byte: u8) -> [Vec<u8>; 3] {
    let at = at.index(bytes.len().max(1));
    let (mut flipped, mut replaced) = (bytes.to_vec(), bytes.to_vec());
    if let (Some(flip), Some(replace)) = (flipped.get_mut(at), replaced.get_mut(at)) {
        *flip ^= 1 << (bit % 8);
        *replace = byte;
    }
    [flipped, bytes[..at.min(bytes.len())].to_vec(), replaced]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..300) {
        check_all(&bytes, count);
    }

    #[test]
    fn random_bytes_behind_a_known_tag(
        tag in prop_oneof![0u8..12, Just(31)],
        tail in prop::collection::vec(any::<u8>(), 0..200),
        count in 0usize..9000,
    ) {
        let bytes = [&[tag | 1 << 5], &tail[..]].concat();
        check_stream(&bytes);
        check_values(&bytes, count);
        let bytes = [&[tag & 3 | tag << 7, 0x80, 0x10], &tail[..]].concat();
        check_timestamps(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

    #[test]
    fn damaged_chunks(values in values(), at: prop::sample::Index, bit: u8, byte: u8) {
        for encode in [encode_values, encode_values_cold] {
            let mut bytes = Vec::new();
            encode(&values, &mut bytes);
            for bytes in damaged(&bytes, at, bit, byte) {
                check_values(&bytes, values.len());
                check_values(&bytes, values.len() + 1);
            }
        }
        let mut bytes = Vec::new();
        Stats::of(&values).encode(&mut bytes);
        for bytes in damaged(&bytes, at, bit, byte) {
            check_stats(&bytes, values.len() as u32);
        }
    }

    #[test]
    fn damaged_columns(timestamps in timestamps(), at: prop::sample::Index, bit: u8, byte: u8) {
        let mut bytes = Vec::new();
        encode_timestamps(&timestamps, &mut bytes);
        for bytes in damaged(&bytes, at, bit, byte) {
            check_timestamps(&bytes);
        }
    }

    #[test]
    fn damaged_streams(
        values in values(),
        odd in prop::collection::vec(odd_float(), 0..20),
        at: prop::sample::Index,
        bit: u8,
        byte: u8,
    ) {
        let mut encoder = StreamEncoder::new();
        for (index, value) in values.into_iter().chain(odd).enumerate() {
            encoder.push(index as i64 * 15_000_000_000, value);
        }
        for bytes in damaged(&encoder.finish(), at, bit, byte) {
            check_stream(&bytes);
        }
    }
}

#[test]
fn a_chunk_one_byte_short_or_long_is_refused() {
    for (shape, encode) in
        (0..13).flat_map(|shape| [encode_values, encode_values_cold].map(|encode| (shape, encode)))
    {
        let values = column(300, (shape, 5, 2, 40));
        let mut bytes = Vec::new();
        let encoding = encode(&values, &mut bytes);
        let mut out = Vec::new();
        bytes.push(0);
        assert!(
            decode_values(&bytes, 300, &mut out).is_err(),
            "{encoding:?}"
        );
        bytes.truncate(bytes.len() - 2);
        assert!(
            decode_values(&bytes, 300, &mut out).is_err(),
            "{encoding:?}"
        );
        assert!(out.is_empty());
    }
}

/// What each of the three decoders says to bytes that it should refuse.
fn refusals(bytes: &[u8]) -> [Option<String>; 3] {
    let told = |result: Result<(), treering_codec::Error>| result.err().map(|e| e.to_string());
    let (mut times, mut floats) = (Vec::new(), Vec::new());
    [
        told(decode_values(bytes, 40, &mut floats)),
        told(decode_timestamps(bytes, &mut times)),
        told(decode_stream(bytes, &mut times, &mut floats).map(drop)),
    ]
}

#[test]
fn a_decoder_that_is_handed_the_other_shape_says_which_it_is() {
    const NAMES: [&str; 3] = ["a value column", "a timestamp column", "a stream"];
    let mut shapes = Vec::new();
    for shape in 0..13 {
        for encode in [encode_values, encode_values_cold] {
            let mut bytes = Vec::new();
            encode(&column(40, (shape, 5, 2, 40)), &mut bytes);
            shapes.push((0, bytes));
        }
    }
    let regular: Vec<i64> = (0..40).collect();
    let squares: Vec<i64> = regular.iter().map(|at| at * at).collect();
    let falling: Vec<i64> = squares.iter().rev().copied().collect();
    let wide = [i64::MIN, i64::MAX].repeat(20);
    for timestamps in [&regular, &squares, &falling, &wide, &vec![]] {
        let mut bytes = Vec::new();
        encode_timestamps(timestamps, &mut bytes);
        shapes.push((1, bytes));
    }
    let mut stream = StreamEncoder::new();
    shapes.push((2, stream.snapshot()));
    regular.iter().for_each(|&at| stream.push(at, at as f64));
    shapes.push((2, stream.snapshot()));
    for (shape, bytes) in shapes {
        for (decoder, refusal) in refusals(&bytes).into_iter().enumerate() {
            let wanted = (decoder != shape).then(|| {
                let [found, expected] = [NAMES[shape], NAMES[decoder]];
                let byte = bytes[0];
                format!(
                    "{found}, which the byte {byte:#04x} at offset 0 begins, where {expected} \
                     should be"
                )
            });
            assert_eq!(refusal, wanted, "{bytes:?}");
        }
    }
}

#[test]
fn what_only_a_newer_version_knows_is_named() {
    const NEWER: &str = "at offset 0; a newer version may read it";
    let [values, timestamps, stream] = refusals(&[3 << 5, 1]).map(Option::unwrap);
    assert_eq!(values, format!("unknown value kind 3 {NEWER}"));
    assert_eq!(timestamps, format!("unknown timestamp encoding 96 {NEWER}"));
    assert_eq!(stream, values);
    let [values, _, stream] = refusals(&[1 << 5 | 30, 1]).map(Option::unwrap);
    assert_eq!(values, format!("unknown value encoding 30 {NEWER}"));
    assert_eq!(stream, format!("unknown stream encoding 30 {NEWER}"));
    // A count that no column of today has hides no newer encoding.
    let [_, timestamps, _] = refusals(&[3, 0xff, 0xff, 0x7f]).map(Option::unwrap);
    assert_eq!(timestamps, format!("unknown timestamp encoding 3 {NEWER}"));
}

#[test]
fn a_newer_encoding_inside_of_a_column_is_named_with_its_byte() {
    let (patched, dictionary, newer) = (1 << 5 | 7, 1 << 5 | 5, 1 << 5 | 30);
    let inside = [
        (vec![patched, 0, newer], 2),
        (vec![dictionary, 1, 1, newer], 3),
        (vec![patched, 0, dictionary, 1, 1, newer], 5),
    ];
    for (bytes, offset) in inside {
        let error = decode_values(&bytes, 3, &mut Vec::new()).unwrap_err();
        let told = format!("unknown value encoding 30 at offset {offset}; a newer");
        assert!(error.to_string().starts_with(&told), "{error}");
    }
}
