//! Postings as bytes: the smallest of three forms, told apart by two bits.
//!
//! Input: ascending ids, or any bytes. Output: `varint (count << 2 | form)` and the form's bytes,
//! or postings. Invariant: what is decoded ascends, lies below the number of series, and takes no
//! more memory than a small multiple of its bytes or one bit per series.
//!
//! - gaps: the first id, then for each next one its distance minus 1, as varints;
//! - runs: the number of runs, then per run its distance from the end of the one before (from 0
//!   for the first; minus 1 after that) and its length minus 1, as varints;
//! - bits: the first byte's index and the number of bytes as varints, then one bit per id.

use roaring::RoaringBitmap;
use treering_codec::varint::{Reader, put_u64};
use treering_codec::{Error, Result};

use crate::postings::{Form, Postings};

const GAPS: u64 = 0;
const RUNS: u64 = 1;
const BITS: u64 = 2;

/// Appends `ids`, which ascend strictly and are not empty.
pub(crate) fn encode(ids: &[u32], out: &mut Vec<u8>) {
    let (Some(&first), Some(&last)) = (ids.first(), ids.last()) else {
        put_u64(out, 0);
        return;
    };
    let header = |form: u64| (ids.len() as u64) << 2 | form;
    let (mut gaps, mut runs, mut run_bytes) = (varint_len(first), 1u64, varint_len(first));
    let mut run = 0u32;
    for pair in ids.windows(2) {
        let [before, id] = pair else { continue };
        let gap = id - before - 1;
        gaps += varint_len(gap);
        if gap == 0 {
            run += 1;
        } else {
            run_bytes += varint_len(run) + varint_len(gap - 1);
            runs += 1;
            run = 0;
        }
    }
    run_bytes += varint_len(run) + varint_len(runs as u32);
    let (low, high) = (first / 8, last / 8);
    let bit_bytes = (high - low) as usize + 1 + varint_len(low) + varint_len(high - low + 1);
    if run_bytes < gaps.min(bit_bytes) {
        put_u64(out, header(RUNS));
        put_u64(out, runs);
        encode_runs(ids, out);
    } else if bit_bytes < gaps {
        put_u64(out, header(BITS));
        put_u64(out, u64::from(low));
        put_u64(out, u64::from(high - low + 1));
        let start = out.len();
        out.resize(start + (high - low) as usize + 1, 0);
        for id in ids {
            if let Some(byte) = out.get_mut(start + (id / 8 - low) as usize) {
                *byte |= 1 << (id % 8);
            }
        }
    } else {
        put_u64(out, header(GAPS));
        let mut next = 0;
        for id in ids {
            put_u64(out, u64::from(id - next));
            next = id + 1;
        }
    }
}

fn encode_runs(ids: &[u32], out: &mut Vec<u8>) {
    let mut end = None;
    for run in ids.chunk_by(|a, b| a + 1 == *b) {
        let (Some(&first), Some(&last)) = (run.first(), run.last()) else {
            continue;
        };
        put_u64(
            out,
            u64::from(end.map_or(first, |end: u32| first - end - 1)),
        );
        put_u64(out, u64::from(last - first));
        end = Some(last + 1);
    }
}

fn varint_len(value: u32) -> usize {
    (38 - value.leading_zeros() as usize).max(7) / 7
}

/// The number of ids of the list at the start of `reader`.
pub(crate) fn count(mut reader: Reader<'_>, series: u32) -> Result<usize> {
    let header = Header::read(&mut reader, series)?;
    Ok(header.count)
}

struct Header {
    form: u64,
    count: usize,
    offset: usize,
}

impl Header {
    fn read(reader: &mut Reader<'_>, series: u32) -> Result<Self> {
        let offset = reader.offset();
        let header = reader.varint()?;
        let (form, count) = (header & 3, header >> 2);
        if count > u64::from(series) {
            let what = "more ids in a list than there are series";
            return Err(Error::Malformed { offset, what });
        }
        Ok(Self {
            form,
            count: count as usize,
            offset,
        })
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T> {
        Err(Error::Malformed {
            offset: self.offset,
            what,
        })
    }
}

/// Reads a list of ids below `series`.
pub(crate) fn decode(reader: &mut Reader<'_>, series: u32) -> Result<Postings> {
    let header = Header::read(reader, series)?;
    match header.form {
        _ if header.count == 0 => Ok(Postings::EMPTY),
        GAPS => decode_gaps(reader, series, &header),
        RUNS => decode_runs(reader, series, &header),
        BITS => decode_bits(reader, series, &header),
        _ => header.wrong("an unknown form of a list of ids"),
    }
}

fn decode_gaps(reader: &mut Reader<'_>, series: u32, header: &Header) -> Result<Postings> {
    if header.count > reader.remaining() {
        return header.wrong("more ids in a list than bytes");
    }
    let mut ids = Vec::with_capacity(header.count);
    let mut next = 0u64;
    for _ in 0..header.count {
        let id = next.saturating_add(reader.varint()?);
        if id >= u64::from(series) {
            return header.wrong("an id in a list beyond the series");
        }
        ids.push(id as u32);
        next = id + 1;
    }
    Ok(Postings {
        form: Form::List(ids),
    })
}

fn decode_runs(reader: &mut Reader<'_>, series: u32, header: &Header) -> Result<Postings> {
    let runs = reader.length(header.count, "more runs in a list than ids")?;
    let mut bitmap = RoaringBitmap::new();
    let (mut next, mut total) = (0u64, 0u64);
    for number in 0..runs {
        let start = next.saturating_add(reader.varint()?);
        let end = start.saturating_add(reader.varint()?).saturating_add(1);
        if end > u64::from(series) {
            return header.wrong("a run of ids beyond the series");
        }
        total += end - start;
        if runs == 1 && number == 0 && total == header.count as u64 {
            return Ok(Postings {
                form: Form::Range(start as u32..end as u32),
            });
        }
        bitmap.insert_range(start as u32..end as u32);
        next = end + 1;
    }
    if total != header.count as u64 {
        return header.wrong("the runs of a list do not add up to its count");
    }
    Ok(Postings::from_bitmap(bitmap))
}

fn decode_bits(reader: &mut Reader<'_>, series: u32, header: &Header) -> Result<Postings> {
    let low = reader.length(series as usize / 8, "ids in a list beyond the series")?;
    let bytes = reader.bytes()?;
    let mut bits = RoaringBitmap::from_lsb0_bytes(0, &[]);
    if low + bytes.len() <= series as usize / 8 + 1 {
        // The bytes must start at a multiple of a container's size to be taken over as they are.
        let lead = low % 8192;
        let mut padded = vec![0; lead + bytes.len()];
        if let Some(tail) = padded.get_mut(lead..) {
            tail.copy_from_slice(bytes);
        }
        bits = RoaringBitmap::from_lsb0_bytes(((low - lead) * 8) as u32, &padded);
    }
    if bits.len() != header.count as u64 || bits.max().is_none_or(|last| last >= series) {
        return header.wrong("the bits of a list do not add up to its count");
    }
    Ok(Postings::from_bitmap(bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ids() -> impl Strategy<Value = BTreeSet<u32>> {
        prop_oneof![
            prop::collection::btree_set(0u32..100_000, 1..50),
            prop::collection::btree_set(70_000u32..71_000, 1..600),
            (0u32..70_000, 1u32..20_000).prop_map(|(a, n)| (a..a + n).collect()),
            prop::collection::vec((0u32..90_000, 1u32..500), 1..20).prop_map(|runs| {
                runs.into_iter()
                    .flat_map(|(start, len)| start..start + len)
                    .collect()
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn lists_come_back(ids in ids()) {
            let ids: Vec<u32> = ids.into_iter().collect();
            let mut bytes = Vec::new();
            encode(&ids, &mut bytes);
            prop_assert_eq!(count(Reader::new(&bytes), 100_000).unwrap(), ids.len());
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(decode(&mut reader, 100_000).unwrap().to_vec(), &ids[..]);
            prop_assert!(reader.is_empty());
            let last = *ids.last().unwrap();
            prop_assert!(decode(&mut Reader::new(&bytes), last).is_err());
            prop_assert!(decode(&mut Reader::new(&bytes[..bytes.len() - 1]), 100_000).is_err());
        }

        #[test]
        fn any_bytes_give_ascending_ids_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            series in 0u32..5000,
        ) {
            if let Ok(postings) = decode(&mut Reader::new(&bytes), series) {
                let ids = postings.to_vec();
                prop_assert!(ids.is_sorted_by(|a, b| a < b));
                prop_assert!(ids.last().is_none_or(|last| *last < series));
            }
        }
    }

    #[test]
    fn the_smallest_form_is_taken() {
        let size = |ids: Vec<u32>| {
            let mut bytes = Vec::new();
            encode(&ids, &mut bytes);
            bytes.len()
        };
        assert!(size((0..1_000_000).collect()) <= 9);
        assert!(size((0..100_000).map(|id| id * 2).collect()) <= 25_016);
        assert!(size((0..1000).map(|id| id * 100).collect()) <= 1003);
    }
}
