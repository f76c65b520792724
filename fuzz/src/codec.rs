//! Targets over the codec's decoders and encoders.
//!
//! Input: any bytes. Invariants asserted: nothing is appended on an error, the count is what was
//! promised, output is bounded by input, ranges agree with the whole, encoders are bit-exact.

use treering_codec::varint::{Reader, put_i64, put_u64};
use treering_codec::{
    ExtrasForm, Histogram, M3TimeUnit, MAX_CHUNK_SAMPLES, MAX_HISTOGRAM_CELLS,
    MAX_M3TSZ_SAMPLES_PER_BYTE, MAX_STREAM_SAMPLES_PER_BYTE, Stats, StreamEncoder, StreamReader,
    decode_extras, decode_m3tsz, decode_stream, decode_timestamps, decode_timestamps_range,
    decode_values, decode_values_range, encode_extras, encode_timestamps, encode_values,
    encode_values_cold, has_histograms, is_stale, summarize_timestamps,
};

use crate::plain::{self, Read};

/// A value that no decoder wrote, to see that output before an error is left alone.
const MARK: u64 = 0x1234_5678_9abc_def0;

/// Streams: bounded, and the iterator reads the same samples up to the same damage.
pub fn codec_stream(data: &[u8]) {
    let (mut timestamps, mut values) = (vec![7], vec![f64::from_bits(MARK)]);
    let decoded = decode_stream(data, &mut timestamps, &mut values);
    assert_eq!((timestamps[0], values[0].to_bits()), (7, MARK));
    assert_eq!(timestamps.len(), values.len());
    let count = timestamps.len() - 1;
    assert!(count <= data.len() * MAX_STREAM_SAMPLES_PER_BYTE);
    if let Ok(told) = decoded {
        assert_eq!(told, count);
    }
    let Ok(mut reader) = StreamReader::new(data) else {
        assert!(decoded.is_err() && count == 0);
        return;
    };
    for (timestamp, value) in timestamps[1..].iter().zip(&values[1..]) {
        let sample = reader.next().expect("decoded").expect("decoded");
        assert_eq!(sample.timestamp, *timestamp);
        assert_eq!(sample.value.to_bits(), value.to_bits());
    }
    match decoded {
        Ok(_) => assert!(reader.next().is_none()),
        Err(error) => assert_eq!(reader.next().expect("damage"), Err(error)),
    }
    assert!(reader.next().is_none(), "nothing follows the end");
}

/// Value columns. The first two bytes are the count that the timestamp column would tell.
pub fn codec_values(data: &[u8]) {
    let Some((head, chunk)) = data.split_first_chunk::<2>() else {
        return;
    };
    let count = usize::from(u16::from_le_bytes(*head));
    let mut values = vec![f64::from_bits(MARK)];
    let decoded = decode_values(chunk, count, &mut values);
    assert_eq!(values[0].to_bits(), MARK);
    if decoded.is_err() {
        assert_eq!(values.len(), 1);
        return;
    }
    assert!(count <= MAX_CHUNK_SAMPLES);
    assert_eq!(values.len(), count + 1);
    let part = count / 3..count - count / 4;
    let mut middle = Vec::new();
    decode_values_range(chunk, count, part.clone(), &mut middle).expect("the whole was decoded");
    assert_eq!(bits(&middle), bits(&values[1..][part]));
    check_stats(&Stats::of(&middle), &middle);
}

/// Statistics against plain folds over the values.
fn check_stats(stats: &Stats, values: &[f64]) {
    let present = || values.iter().copied().filter(|value| !is_stale(*value));
    assert_eq!(stats.count as usize, present().count());
    assert_eq!(stats.stale as usize, values.len() - present().count());
    assert_eq!(stats.has_nan, present().any(f64::is_nan));
    let word = |value: Option<f64>| value.map(f64::to_bits);
    if let Some(first) = present().next() {
        assert_eq!(stats.first.to_bits(), first.to_bits());
        assert_eq!(word(Some(stats.last)), word(present().last()));
    }
    // The earlier of equals, so that -0.0 and 0.0 are told apart.
    let numbers = || present().filter(|value| !value.is_nan());
    let least = numbers().reduce(|least, value| if value < least { value } else { least });
    let most = numbers().reduce(|most, value| if value > most { value } else { most });
    if let (Some(least), Some(most)) = (least, most) {
        assert_eq!(stats.min.to_bits(), least.to_bits());
        assert_eq!(stats.max.to_bits(), most.to_bits());
    }
}

/// Sections of extras: bounded, of the samples that there are, and what is well-formed comes back
/// from every form. The first two bytes are how many samples there are.
pub fn codec_extras(data: &[u8]) {
    let Some((head, section)) = data.split_first_chunk::<2>() else {
        return;
    };
    let count = usize::from(u16::from_le_bytes(*head));
    if let Ok(one) = Histogram::read(&mut Reader::new(section))
        && one.fault().is_none()
    {
        let mut bytes = Vec::new();
        one.put(&mut bytes);
        let again = Histogram::read(&mut Reader::new(&bytes)).expect("just encoded");
        let mut twice = Vec::new();
        again.put(&mut twice);
        assert_eq!(bytes, twice);
    }
    let Ok(extras) = decode_extras(section, count) else {
        return;
    };
    assert!(!extras.is_empty());
    assert_eq!(has_histograms(section), Ok(!extras.histograms.is_empty()));
    let places = extras.histograms.iter().map(|one| one.0);
    assert!(places.clone().is_sorted_by(|a, b| a < b));
    let ends = extras.starts.iter().map(|run| run.0.end);
    assert!(
        places
            .chain(ends.map(|end| end - 1))
            .all(|place| (place as usize) < count)
    );
    let buckets = extras.histograms.iter();
    let buckets = buckets.map(|one| one.1.positive.len() + one.1.negative.len());
    assert!(buckets.sum::<usize>() <= data.len().max(MAX_HISTOGRAM_CELLS));
    let sides = |one: &Histogram| {
        one.positive
            .iter()
            .chain(&one.negative)
            .all(|it| it.1.to_bits() != 0)
    };
    let mut all = extras.histograms.iter().map(|one| &*one.1);
    if !all.all(|one| one.fault().is_none() && sides(one)) {
        return;
    }
    for form in [ExtrasForm::Single, ExtrasForm::Columns, ExtrasForm::Cold] {
        let mut bytes = Vec::new();
        encode_extras(&extras, form, &mut bytes);
        let again = decode_extras(&bytes, count).expect("just encoded");
        assert!(again.is_identical(&extras), "{form:?}");
    }
}

/// Timestamp columns: the summary agrees with what is decoded.
pub fn codec_timestamps(data: &[u8]) {
    let mut timestamps = vec![7];
    let decoded = decode_timestamps(data, &mut timestamps);
    assert_eq!(timestamps[0], 7);
    let summary = summarize_timestamps(data);
    if decoded.is_err() {
        assert_eq!(timestamps.len(), 1);
        return;
    }
    let column = &timestamps[1..];
    let summary = summary.expect("the whole was decoded");
    assert_eq!(summary.count, column.len());
    assert!(column.len() <= MAX_CHUNK_SAMPLES);
    if let (Some(first), Some(last)) = (column.first(), column.last()) {
        assert_eq!((summary.first, summary.last), (*first, *last));
    }
    if summary.increasing {
        assert!(column.is_sorted_by(|a, b| a < b));
    }
    let part = column.len() / 3..column.len() - column.len() / 4;
    let mut middle = vec![7];
    decode_timestamps_range(data, part.clone(), &mut middle).expect("the whole was decoded");
    assert_eq!(middle[0], 7);
    assert_eq!(middle[1..], column[part]);
}

/// Statistics: what is read is written again and read as the same.
pub fn codec_stats(data: &[u8]) {
    let Some((head, rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let samples = u32::from(u16::from_le_bytes(*head));
    let (mut read, mut skipped) = (Reader::new(rest), Reader::new(rest));
    let decoded = Stats::decode(&mut read, samples);
    let passed = Stats::skip(&mut skipped);
    let Ok(stats) = decoded else {
        return;
    };
    assert_eq!(passed, Ok(()));
    assert_eq!(skipped.offset(), read.offset());
    assert_eq!(stats.count.checked_add(stats.stale), Some(samples));
    let mut again = Vec::new();
    stats.encode(&mut again);
    let mut reader = Reader::new(&again);
    assert_eq!(Stats::decode(&mut reader, samples), Ok(stats));
    assert!(reader.is_empty());
}

/// Encoders: whatever samples the bytes stand for come back with the same bits.
pub fn codec_roundtrip(data: &[u8]) {
    let (timestamps, values) = samples(data);
    let mut encoder = StreamEncoder::new();
    for (timestamp, value) in timestamps.iter().zip(&values) {
        encoder.push(*timestamp, *value);
    }
    let (mut times, mut floats) = (Vec::new(), Vec::new());
    let count = decode_stream(&encoder.finish(), &mut times, &mut floats).expect("just encoded");
    assert_eq!(count, timestamps.len());
    assert_eq!(times, timestamps);
    assert_eq!(bits(&floats), bits(&values));

    let mut column = Vec::new();
    encode_timestamps(&timestamps, &mut column);
    times.clear();
    decode_timestamps(&column, &mut times).expect("just encoded");
    assert_eq!(times, timestamps);

    let mut chunk = Vec::new();
    encode_values(&values, &mut chunk);
    floats.clear();
    decode_values(&chunk, values.len(), &mut floats).expect("just encoded");
    assert_eq!(bits(&floats), bits(&values));

    let stats = Stats::of(&values);
    let mut encoded = Vec::new();
    stats.encode(&mut encoded);
    let samples = u32::try_from(values.len()).expect("a few thousand");
    assert_eq!(
        Stats::decode(&mut Reader::new(&encoded), samples),
        Ok(stats)
    );
}

/// Columns against a plain reader of the page of the format: what one reads the other reads too, and
/// what encoders write of the samples that the bytes stand for is read by both. The first bytes are
/// the count, as in [`codec_values`].
pub fn codec_plain(data: &[u8]) {
    let Some((head, chunk)) = data.split_first_chunk::<2>() else {
        return;
    };
    let count = usize::from(u16::from_le_bytes(*head));
    let mut found = Vec::new();
    let decoded = decode_values(chunk, count, &mut found).map(|()| bits(&found));
    compare(plain::values(chunk, count), decoded.ok());
    let mut times = Vec::new();
    let decoded = decode_timestamps(chunk, &mut times).map(|()| times);
    compare(plain::times(chunk), decoded.ok());

    let (timestamps, values) = samples(data);
    let mut column = Vec::new();
    encode_timestamps(&timestamps, &mut column);
    compare(plain::times(&column), Some(timestamps));
    let mut chunk = Vec::new();
    encode_values(&values, &mut chunk);
    compare(plain::values(&chunk, values.len()), Some(bits(&values)));
    chunk.clear();
    encode_values_cold(&values, &mut chunk);
    compare(plain::values(&chunk, values.len()), Some(bits(&values)));
    let mut back = Vec::new();
    decode_values(&chunk, values.len(), &mut back).expect("just encoded");
    assert_eq!(bits(&back), bits(&values));
}

fn compare<T: PartialEq + std::fmt::Debug>(plain: Read<T>, ours: Option<Vec<T>>) {
    match (plain, ours) {
        (Read::Unknown, _) | (Read::Damage, None) => {}
        (Read::Column(plain), Some(ours)) => assert_eq!(plain, ours),
        (plain, ours) => panic!("plain reader {plain:?}, codec {ours:?}"),
    }
}

/// Streams of M3: bounded, and nothing is appended on an error. The first byte chooses the default
/// unit and whether integers are optimised.
pub fn m3tsz(data: &[u8]) {
    let Some((mode, stream)) = data.split_first() else {
        return;
    };
    let unit = [
        M3TimeUnit::Second,
        M3TimeUnit::Millisecond,
        M3TimeUnit::Microsecond,
        M3TimeUnit::Nanosecond,
        M3TimeUnit::Minute,
        M3TimeUnit::Hour,
        M3TimeUnit::Day,
        M3TimeUnit::Year,
    ][usize::from(mode >> 1 & 7)];
    let (mut timestamps, mut values) = (vec![7], vec![f64::from_bits(MARK)]);
    let decoded = decode_m3tsz(stream, unit, mode & 1 == 0, &mut timestamps, &mut values);
    assert_eq!((timestamps[0], values[0].to_bits()), (7, MARK));
    assert_eq!(timestamps.len(), values.len());
    assert_eq!(timestamps.len() - 1, decoded.unwrap_or(0));
    assert!(timestamps.len() - 1 <= stream.len() * MAX_M3TSZ_SAMPLES_PER_BYTE);
}

/// Variable-length integers: what is read has one canonical writing that is not longer.
pub fn varint(data: &[u8]) {
    let mut reader = Reader::new(data);
    while let Ok(value) = reader.varint() {
        let mut again = Vec::new();
        put_u64(&mut again, value);
        assert_eq!(Reader::new(&again).varint(), Ok(value));
    }
    let mut reader = Reader::new(data);
    while let Ok(value) = reader.varint_i64() {
        let mut again = Vec::new();
        put_i64(&mut again, value);
        assert_eq!(Reader::new(&again).varint_i64(), Ok(value));
    }
    let mut reader = Reader::new(data);
    while let Ok(bytes) = reader.bytes() {
        assert!(bytes.len() <= data.len());
    }
    assert!(reader.offset() <= data.len());
}

/// Samples that the bytes stand for. The first byte chooses how dense the bytes are: raw words
/// reach every bit pattern, short steps and decimals reach every encoding.
fn samples(data: &[u8]) -> (Vec<i64>, Vec<f64>) {
    let Some((mode, rest)) = data.split_first() else {
        return (Vec::new(), Vec::new());
    };
    let scale = 10f64.powi(i32::from(mode >> 4 & 7));
    let unit = [1, 1_000, 1_000_000, 1_000_000_000][usize::from(mode >> 2 & 3)];
    let mut time = 1_700_000_000_000_000_000i64;
    let mut count = 0i64;
    let pick = |piece: &[u8]| -> (i64, f64) {
        let word = |at: usize| {
            let mut word = [0u8; 8];
            let piece = piece.get(at..).unwrap_or_default();
            let len = piece.len().min(8);
            word[..len].copy_from_slice(&piece[..len]);
            u64::from_le_bytes(word)
        };
        let short = i64::from(word(0) as u8 as i8);
        match mode & 3 {
            0 => (word(0) as i64, f64::from_bits(word(8))),
            1 => {
                time = time.wrapping_add((15 + short / 16) * unit);
                (time, (word(1) as u16 as f64) / scale)
            }
            2 => {
                time = time.wrapping_add(15 * unit);
                count += short.max(0);
                (
                    time,
                    if short == -1 {
                        f64::from_bits(0x7ff0_0000_0000_0002)
                    } else {
                        count as f64
                    },
                )
            }
            _ => {
                time = time.wrapping_add(15 * unit + short);
                (
                    time,
                    f64::from_bits((word(1) as u16 as f64 / scale).to_bits() ^ word(3) & 7),
                )
            }
        }
    };
    let size = [16, 3, 1, 4][usize::from(mode & 3)];
    rest.chunks(size).take(MAX_CHUNK_SAMPLES).map(pick).unzip()
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}
