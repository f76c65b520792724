//! The bytes of an exported chunk. Pure, no I/O; `docs/format/chunk.md` has the box.
//!
//! Input: a timestamp column and a value column of as many samples. Output: bytes that stand alone,
//! and back, any bytes at all giving samples or an error. Invariant: what is read is strictly
//! increasing in time, and was written so.

use std::path::Path;

use treering_codec::varint::{Reader, put_bytes, put_u64};
use treering_codec::{
    Error as CodecError, MAX_CHUNK_SAMPLES, Result as CodecResult, ValueKind, crc32, decode_extras,
    decode_timestamps, decode_values, split_extras, summarize_timestamps,
};

use crate::error::{Error, Result};
use crate::source::SampleColumns;

/// Version of the format that this release writes, and the newest it reads.
const VERSION: u8 = 1;

/// Bytes of the checksum at the end.
const CRC_BYTES: usize = 4;

/// What errors name as the file.
const NAME: &str = "exported chunk";

/// The chunk of `count` samples with these encoded columns.
pub(super) fn encode(count: usize, timestamps: &[u8], values: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(timestamps.len() + values.len() + 16);
    out.push(VERSION);
    // The high bits of a column's first byte.
    out.push(values.first().map_or(ValueKind::F64 as u8, |tag| tag >> 5));
    put_u64(&mut out, count as u64);
    put_bytes(&mut out, timestamps);
    put_bytes(&mut out, values);
    let crc = crc32(0, &out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// The samples of a chunk; what they have beside their floats if `extended`.
pub(super) fn decode(bytes: &[u8], extended: bool) -> Result<SampleColumns> {
    let file = Path::new(NAME);
    let version = bytes.first().copied();
    if let Some(found) = version.filter(|version| *version > VERSION) {
        return Err(Error::Version {
            file: file.to_owned(),
            found: found.into(),
            supported: VERSION.into(),
        });
    }
    let end = bytes.len().saturating_sub(CRC_BYTES);
    let (body, crc) = bytes.split_at(end);
    if version != Some(VERSION) || crc32(0, body).to_le_bytes() != crc {
        return Err(Error::corrupt(file, 0, "it does not match its checksum"));
    }
    read(body, extended).map_err(|error| Error::content(file, 0, error))
}

fn read(body: &[u8], extended: bool) -> CodecResult<SampleColumns> {
    let mut reader = Reader::new(body);
    reader.u8()?;
    let offset = reader.offset();
    let kind = ValueKind::try_from(reader.u8()?).map_err(|error| error.shifted(offset))?;
    let offset = reader.offset();
    let malformed = |what| CodecError::Malformed { offset, what };
    let count = reader.length(MAX_CHUNK_SAMPLES, "more samples than a chunk can hold")?;
    let times = reader.bytes()?;
    let base = reader.offset() - times.len();
    let at_times = |error: CodecError| error.shifted(base);
    if count == 0 || summarize_timestamps(times).map_err(at_times)?.count != count {
        return Err(malformed(
            "a chunk and its timestamp column count differently",
        ));
    }
    let mut columns = SampleColumns::default();
    decode_timestamps(times, &mut columns.timestamps).map_err(at_times)?;
    if !columns
        .timestamps
        .is_sorted_by(|before, after| before < after)
    {
        return Err(malformed("timestamps that do not increase"));
    }
    let numbers = reader.bytes()?;
    let base = reader.offset() - numbers.len();
    let damaged = |error: CodecError| error.shifted(base);
    let (_, section) = split_extras(numbers).map_err(damaged)?;
    if section.is_some() != (kind == ValueKind::Extended) {
        return Err(malformed("another value kind than that of the column"));
    }
    decode_values(numbers, count, &mut columns.values).map_err(damaged)?;
    if let Some(section) = section.filter(|_| extended) {
        let base = base + numbers.len() - section.len();
        let extras = decode_extras(section, count).map_err(|error| error.shifted(base))?;
        (columns.histograms, columns.starts) = extras.spread(count);
    }
    if !reader.is_empty() {
        let offset = reader.offset();
        let what = "bytes behind the last value";
        return Err(CodecError::Malformed { offset, what });
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use treering_codec::{encode_timestamps, encode_values};

    use super::*;

    fn encoded(timestamps: &[i64], values: &[f64]) -> Vec<u8> {
        let (mut times, mut numbers) = (Vec::new(), Vec::new());
        encode_timestamps(timestamps, &mut times);
        encode_values(values, &mut numbers);
        encode(timestamps.len(), &times, &numbers)
    }

    fn bits(values: &[f64]) -> Vec<u64> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    /// The body with a right checksum behind it, whatever it holds.
    fn sealed(body: &[u8]) -> Vec<u8> {
        let mut bytes = body.to_vec();
        bytes.extend(crc32(0, body).to_le_bytes());
        bytes
    }

    proptest! {
        #[test]
        fn chunks_come_back_bit_for_bit_and_damage_is_seen(
            samples in prop::collection::btree_map(any::<i64>(), any::<u64>(), 1..300),
            flip in any::<prop::sample::Index>(),
        ) {
            let timestamps: Vec<i64> = samples.keys().copied().collect();
            let values: Vec<f64> = samples.values().map(|bits| f64::from_bits(*bits)).collect();
            let bytes = encoded(&timestamps, &values);
            let columns = decode(&bytes, true).unwrap();
            prop_assert_eq!(&columns.timestamps, &timestamps);
            prop_assert_eq!(bits(&columns.values), bits(&values));
            let mut damaged = bytes.clone();
            let bit = flip.index(bytes.len() * 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode(&damaged, true).is_err());
            prop_assert!(decode(&bytes[..flip.index(bytes.len())], true).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&body, true);
            let _ = decode(&sealed(&body), true);
            let mut versioned = vec![VERSION, ValueKind::F64 as u8];
            versioned.extend(&body);
            if let Ok(columns) = decode(&sealed(&versioned), true) {
                prop_assert_eq!(columns.timestamps.len(), columns.values.len());
                prop_assert!(columns.timestamps.is_sorted_by(|a, b| a < b));
            }
        }
    }

    #[test]
    fn what_a_newer_release_wrote_is_refused_by_name() {
        let bytes = encoded(&[1, 2], &[0.5, 1.5]);
        let body = &bytes[..bytes.len() - CRC_BYTES];
        let mut newer = body.to_vec();
        newer[0] = 2;
        assert!(matches!(
            decode(&newer, true),
            Err(Error::Version { found: 2, .. })
        ));
        let mut other = body.to_vec();
        other[1] = 3;
        assert!(matches!(
            decode(&sealed(&other), true),
            Err(Error::Unsupported { offset: 1, .. })
        ));
        assert!(decode(&[], true).unwrap_err().is_corruption());
    }

    #[test]
    fn timestamps_that_stand_still_and_counts_that_differ_are_damage() {
        let same = encoded(&[5, 5], &[1.0, 2.0]);
        assert!(decode(&same, true).unwrap_err().is_corruption());
        let (mut times, mut numbers) = (Vec::new(), Vec::new());
        encode_timestamps(&[1, 2, 3], &mut times);
        encode_values(&[1.0, 2.0], &mut numbers);
        assert!(
            decode(&encode(2, &times, &numbers), true)
                .unwrap_err()
                .is_corruption()
        );
        assert!(
            decode(&encode(0, &[], &[]), true)
                .unwrap_err()
                .is_corruption()
        );
    }
}
