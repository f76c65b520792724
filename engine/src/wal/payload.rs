//! The payload of a batch frame: new series, then samples as runs and columns. Pure, no I/O.
//!
//! Input: resolved rows. Output: bytes, and back. `docs/format/wal.md` has the boxes. Series ids
//! are those of the process that wrote the frame and mean nothing outside the file's generation.
//! Ids and timestamps are run-length coded, so a scrape (one timestamp, ids in a row) and a column
//! (one id, steady timestamps) cost little more than their values, which stay raw: copying them is
//! cheaper than any code.

use std::ops::Range;

use treering_codec::varint::{Reader, put_bytes, put_i64, put_u64};
use treering_codec::{Error, Extras, ExtrasForm, Result, ValueKind, decode_extras, encode_extras};

use crate::limits::MAX_BATCH_SAMPLES;
use crate::source::SampleColumns;

/// `len` samples in a row of each of `ids` series, whose ids count up from `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdRun {
    pub(crate) first: u32,
    pub(crate) ids: u32,
    pub(crate) len: u32,
}

/// A series named for the first time in its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Definition<'a> {
    pub(crate) id: u32,
    /// `Labels` in canonical form.
    pub(crate) labels: &'a [u8],
}

/// The decoded payload of a batch frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BatchPayload<'a> {
    pub(crate) namespace: u32,
    pub(crate) definitions: Vec<Definition<'a>>,
    pub(crate) runs: Vec<IdRun>,
    pub(crate) timestamps: Vec<i64>,
    pub(crate) values: Vec<f64>,
    /// What samples have beside their floats.
    pub(crate) extras: Extras,
}

/// Appends the start of a payload: namespace and number of definitions.
pub(crate) fn put_definitions<'a>(
    out: &mut Vec<u8>,
    namespace: u32,
    definitions: impl ExactSizeIterator<Item = Definition<'a>>,
) {
    put_u64(out, u64::from(namespace));
    put_u64(out, definitions.len() as u64);
    for definition in definitions {
        put_u64(out, u64::from(definition.id));
        put_bytes(out, definition.labels);
    }
}

/// Appends the samples of a payload; the runs must add up to the length of both columns.
pub(crate) fn put_samples(
    out: &mut Vec<u8>,
    runs: &[IdRun],
    (timestamps, values): (&[i64], &[f64]),
    extras: &Extras,
) {
    debug_assert_eq!(timestamps.len(), values.len());
    put_u64(out, values.len() as u64);
    let kind = match extras.is_empty() {
        true => ValueKind::F64,
        false => ValueKind::Extended,
    };
    out.push(kind as u8);
    put_u64(out, runs.len() as u64);
    let mut next = 0;
    for run in runs {
        put_i64(out, i64::from(run.first) - next);
        put_u64(out, u64::from(run.ids));
        put_u64(out, u64::from(run.len));
        next = i64::from(run.first) + i64::from(run.ids);
    }
    put_deltas(out, timestamps);
    let start = out.len();
    out.resize(start + values.len() * 8, 0);
    for (to, value) in out[start..].chunks_exact_mut(8).zip(values) {
        to.copy_from_slice(&value.to_bits().to_le_bytes());
    }
    if !extras.is_empty() {
        encode_extras(extras, ExtrasForm::Single, out);
    }
}

/// Appends timestamps as runs of equal differences.
fn put_deltas(out: &mut Vec<u8>, timestamps: &[i64]) {
    let mut previous = 0i64;
    let mut index = 0;
    while index < timestamps.len() {
        let delta = timestamps[index].wrapping_sub(previous);
        let mut end = index + 1;
        while end < timestamps.len() && timestamps[end].wrapping_sub(timestamps[end - 1]) == delta {
            end += 1;
        }
        put_i64(out, delta);
        put_u64(out, (end - index) as u64);
        previous = timestamps[end - 1];
        index = end;
    }
}

/// The samples that `runs` stand for, or `None` when the sum overflows the limit.
pub(crate) fn samples_of(runs: &[IdRun]) -> Option<usize> {
    let mut total = 0usize;
    for run in runs {
        total = total.checked_add((run.ids as usize).checked_mul(run.len as usize)?)?;
    }
    (total <= MAX_BATCH_SAMPLES).then_some(total)
}

impl<'a> BatchPayload<'a> {
    /// The samples at these places, if there are so many.
    pub(crate) fn samples(&self, places: Range<usize>) -> Option<SampleColumns> {
        let values = self.values.get(places.clone())?.to_vec();
        let own = self.extras.slice(places.start as u32..places.end as u32);
        let (histograms, starts) = own.spread(values.len());
        Some(SampleColumns {
            timestamps: self.timestamps.get(places)?.to_vec(),
            values,
            histograms,
            starts,
        })
    }

    /// The namespace and the new series of a payload, without its samples.
    pub(crate) fn definitions(bytes: &'a [u8]) -> Result<(u32, Vec<Definition<'a>>)> {
        let mut reader = Reader::new(bytes);
        let namespace = u32_of(&mut reader, "a namespace over 32 bits")?;
        Ok((namespace, definitions_of(&mut reader)?))
    }

    /// Decodes a payload; allocates at most a small multiple of `bytes`, plus the timestamps,
    /// whose number is bounded by the values that follow them.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let namespace = u32_of(&mut reader, "a namespace over 32 bits")?;
        let definitions = definitions_of(&mut reader)?;
        let max = MAX_BATCH_SAMPLES.min(reader.remaining() / 8);
        let samples = reader.length(max, "more samples than the frame can hold")?;
        let offset = reader.offset();
        let kind = reader.u8()?;
        let kind = ValueKind::try_from(kind).map_err(|error| error.shifted(offset))?;
        let offset = reader.offset();
        let runs = runs_of(&mut reader)?;
        if samples_of(&runs) != Some(samples) {
            return Err(Error::Malformed {
                offset,
                what: "series runs that do not add up",
            });
        }
        let timestamps = deltas_of(&mut reader, samples)?;
        let raw = reader.take(samples * 8)?;
        let offset = reader.offset();
        let extras = match kind {
            ValueKind::Extended => {
                let section = reader.take(reader.remaining())?;
                decode_extras(section, samples).map_err(|error| error.shifted(offset))?
            }
            _ => Extras::new(),
        };
        if !reader.is_empty() {
            return Err(Error::Malformed {
                offset,
                what: "bytes behind the last value",
            });
        }
        let values = raw
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| f64::from_bits(u64::from_le_bytes(*bytes)))
            .collect();
        Ok(Self {
            namespace,
            definitions,
            runs,
            timestamps,
            values,
            extras,
        })
    }
}

fn u32_of(reader: &mut Reader<'_>, what: &'static str) -> Result<u32> {
    let offset = reader.offset();
    u32::try_from(reader.varint()?).map_err(|_| Error::Malformed { offset, what })
}

fn definitions_of<'a>(reader: &mut Reader<'a>) -> Result<Vec<Definition<'a>>> {
    let count = reader.length(
        reader.remaining() / 2,
        "more series than the frame can hold",
    )?;
    let mut definitions = Vec::with_capacity(count);
    for _ in 0..count {
        let id = u32_of(reader, "a series id over 32 bits")?;
        definitions.push(Definition {
            id,
            labels: reader.bytes()?,
        });
    }
    Ok(definitions)
}

fn runs_of(reader: &mut Reader<'_>) -> Result<Vec<IdRun>> {
    let count = reader.length(reader.remaining() / 3, "more runs than the frame can hold")?;
    let mut runs = Vec::with_capacity(count);
    let mut next = 0i64;
    for _ in 0..count {
        let offset = reader.offset();
        let malformed = Error::Malformed {
            offset,
            what: "a series run outside the ids",
        };
        let first = next.checked_add(reader.varint_i64()?).ok_or(malformed)?;
        let ids = u32_of(reader, "a series run over 32 bits")?;
        let len = u32_of(reader, "a series run over 32 bits")?;
        next = first.checked_add(i64::from(ids)).ok_or(malformed)?;
        if first < 0 || next > i64::from(u32::MAX) || ids == 0 || len == 0 {
            return Err(malformed);
        }
        runs.push(IdRun {
            first: first as u32,
            ids,
            len,
        });
    }
    Ok(runs)
}

fn deltas_of(reader: &mut Reader<'_>, samples: usize) -> Result<Vec<i64>> {
    let mut timestamps = Vec::with_capacity(samples);
    let mut previous = 0i64;
    while timestamps.len() < samples {
        let delta = reader.varint_i64()?;
        let left = samples - timestamps.len();
        let run = reader.length(left, "more timestamps than samples")?;
        if run == 0 {
            let offset = reader.offset();
            return Err(Error::Malformed {
                offset,
                what: "an empty run of timestamps",
            });
        }
        for _ in 0..run {
            previous = previous.wrapping_add(delta);
            timestamps.push(previous);
        }
    }
    Ok(timestamps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(
        definitions: &[Definition<'_>],
        runs: &[IdRun],
        times: &[i64],
        values: &[f64],
    ) -> Vec<u8> {
        let mut out = Vec::new();
        put_definitions(&mut out, 3, definitions.iter().copied());
        put_samples(&mut out, runs, (times, values), &Extras::new());
        out
    }

    proptest! {
        #[test]
        fn payload_comes_back(
            labels in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..9)), 0..5),
            rows in prop::collection::vec((0u32..1000, any::<i64>(), any::<u64>()), 0..50),
        ) {
            let definitions: Vec<_> =
                labels.iter().map(|(id, labels)| Definition { id: *id, labels }).collect();
            let runs: Vec<_> = rows.iter().map(|row| IdRun { first: row.0, ids: 1, len: 1 }).collect();
            let times: Vec<_> = rows.iter().map(|row| row.1).collect();
            let values: Vec<_> = rows.iter().map(|row| f64::from_bits(row.2)).collect();
            let bytes = encode(&definitions, &runs, &times, &values);
            let payload = BatchPayload::decode(&bytes).unwrap();
            prop_assert_eq!(payload.namespace, 3);
            prop_assert_eq!(&payload.definitions, &definitions);
            prop_assert_eq!(&payload.runs, &runs);
            prop_assert_eq!(&payload.timestamps, &times);
            let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&payload.values), bits(&values));
            for cut in 0..bytes.len() {
                prop_assert!(BatchPayload::decode(&bytes[..cut]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = BatchPayload::decode(&bytes);
        }
    }

    #[test]
    fn what_is_beside_the_floats_comes_back() {
        let mut extras = Extras::new();
        let histogram = treering_codec::Histogram {
            count: 3.0,
            positive: vec![(-2, 1.0), (7, 2.0)],
            ..Default::default()
        };
        extras.push(1, Some(std::sync::Arc::new(histogram)), 9);
        extras.push(2, None, 9);
        let mut bytes = Vec::new();
        put_definitions(&mut bytes, 3, std::iter::empty());
        let runs = [IdRun {
            first: 4,
            ids: 1,
            len: 3,
        }];
        let values = [0.5, treering_codec::stale_marker(), 1.5];
        put_samples(&mut bytes, &runs, (&[1, 2, 3], &values), &extras);
        let payload = BatchPayload::decode(&bytes).unwrap();
        assert!(payload.extras.is_identical(&extras));
        for cut in 0..bytes.len() {
            assert!(BatchPayload::decode(&bytes[..cut]).is_err());
        }
        bytes.push(0);
        assert!(BatchPayload::decode(&bytes).is_err());
    }

    #[test]
    fn scrapes_and_columns_are_small() {
        let values = vec![0.5; 1000];
        let scrape = encode(
            &[],
            &[IdRun {
                first: 0,
                ids: 1000,
                len: 1,
            }],
            &[77; 1000],
            &values,
        );
        assert!(scrape.len() < 8000 + 32, "{}", scrape.len());
        let times: Vec<_> = (0..1000).map(|step| step * 10_000_000_000).collect();
        let column = encode(
            &[],
            &[IdRun {
                first: 9,
                ids: 1,
                len: 1000,
            }],
            &times,
            &values,
        );
        assert!(column.len() < 8000 + 40, "{}", column.len());
    }
}
