//! Records of the log: series by number, samples of numbers, deletes.
//!
//! Input: the bytes of a record, whole and no longer compressed. Output: what it tells. Source:
//! `tsdb/docs/format/wal.md`.

use std::sync::Arc;

use treering::{CUSTOM_SCHEMA, Histogram, Labels, MAX_SCHEMA, MIN_SCHEMA, ResetHint};

use crate::cursor::Cursor;
use crate::error::{Error, Result};

/// Buckets of one side at most.
const BUCKETS_MAX: usize = 1 << 16;
/// Bytes that an entry takes at least, so that what a record says of its length is bounded by it.
const LEAST_PAIR: usize = 2;
const LEAST_SPAN: usize = 2;
const FLOAT_BYTES: usize = 8;

/// What a record tells. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Record {
    /// Series, by the number that samples name them with.
    Series(Vec<(u64, Labels)>),
    /// Floats: number, time, value.
    Samples(Vec<(u64, i64, f64)>),
    /// Histograms likewise.
    Histograms(Vec<(u64, i64, Histogram)>),
    /// Deletes: number, first and last time.
    Deletes(Vec<(u64, i64, i64)>),
    /// Exemplars, metadata, marks of the head: nothing that is a sample.
    Beside,
}

impl Record {
    /// Reads a record.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes, 0);
        match cursor.u8("the kind of a record")? {
            1 => Ok(Self::Series(all(cursor, series)?)),
            2 => Ok(Self::Samples(numbered(cursor, |cursor| {
                cursor.f64("a value")
            })?)),
            3 => Ok(Self::Deletes(all(cursor, delete)?)),
            // Exemplars, marks of mapped chunks, metadata.
            4..=6 => Ok(Self::Beside),
            // The two newer ones may have custom buckets; these are told by the schema.
            7 | 9 => Ok(Self::Histograms(numbered(cursor, whole)?)),
            8 | 10 => Ok(Self::Histograms(numbered(cursor, float)?)),
            other => Err(Error::unsupported(0, format!("record kind {other}"))),
        }
    }
}

fn all<'a, T>(
    mut cursor: Cursor<'a>,
    read: impl Fn(&mut Cursor<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    while !cursor.is_at_end() {
        found.push(read(&mut cursor)?);
    }
    Ok(found)
}

fn series(cursor: &mut Cursor<'_>) -> Result<(u64, Labels)> {
    let number = cursor.u64("the number of a series")?;
    let begin = *cursor;
    let count = cursor.count(LEAST_PAIR, "labels")?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        pairs.push((cursor.text("a name")?, cursor.text("a value")?));
    }
    let labels = Labels::from_pairs(pairs);
    let labels = labels.map_err(|error| begin.fault(format!("labels: {error}")))?;
    Ok((number, labels))
}

fn delete(cursor: &mut Cursor<'_>) -> Result<(u64, i64, i64)> {
    let number = cursor.u64("the number of a series")?;
    let first = cursor.varint("a first time")?;
    Ok((number, first, cursor.varint("a last time")?))
}

/// Entries whose number and time are told against those of the first.
fn numbered<T>(
    mut cursor: Cursor<'_>,
    read: impl Fn(&mut Cursor<'_>) -> Result<T>,
) -> Result<Vec<(u64, i64, T)>> {
    if cursor.is_at_end() {
        return Ok(Vec::new());
    }
    let number = cursor.u64("the number of a series")?;
    let time = cursor.u64("a time")? as i64;
    all(cursor, |cursor| {
        let number = number.wrapping_add(cursor.varint("a number")? as u64);
        let time = time.wrapping_add(cursor.varint("a time")?);
        Ok((number, time, read(cursor)?))
    })
}

/// What comes before the buckets, but for the counts.
struct Head {
    hint: ResetHint,
    schema: i8,
    zero_threshold: f64,
}

fn head(cursor: &mut Cursor<'_>) -> Result<Head> {
    let hint = match cursor.u8("a hint of resets")? {
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    };
    let begin = *cursor;
    let schema = cursor.varint("a schema")?;
    let known = i64::from(MIN_SCHEMA)..=i64::from(MAX_SCHEMA);
    if !known.contains(&schema) && schema != i64::from(CUSTOM_SCHEMA) {
        let at = begin.at() as u64;
        return Err(Error::unsupported(at, format!("schema {schema}")));
    }
    Ok(Head {
        hint,
        schema: schema as i8,
        zero_threshold: cursor.f64("a zero threshold")?,
    })
}

fn whole(cursor: &mut Cursor<'_>) -> Result<Histogram> {
    let head = head(cursor)?;
    let zero_count = cursor.uvarint("a zero count")? as f64;
    let count = cursor.uvarint("a count")? as f64;
    let sum = cursor.f64("a sum")?;
    let (positive, negative) = (spans(cursor)?, spans(cursor)?);
    let deltas = |cursor: &mut Cursor<'_>| {
        let length = cursor.count(1, "buckets")?;
        let mut before = 0_i64;
        let counts = (0..length).map(|_| {
            before = before.wrapping_add(cursor.varint("a bucket")?);
            Ok(before as f64)
        });
        counts.collect::<Result<Vec<f64>>>()
    };
    let (above, below) = (deltas(cursor)?, deltas(cursor)?);
    let counts = [count, zero_count, sum];
    finish(cursor, head, counts, [(positive, above), (negative, below)])
}

fn float(cursor: &mut Cursor<'_>) -> Result<Histogram> {
    let head = head(cursor)?;
    let zero_count = cursor.f64("a zero count")?;
    let count = cursor.f64("a count")?;
    let sum = cursor.f64("a sum")?;
    let (positive, negative) = (spans(cursor)?, spans(cursor)?);
    let (above, below) = (floats(cursor, "buckets")?, floats(cursor, "buckets")?);
    let counts = [count, zero_count, sum];
    finish(cursor, head, counts, [(positive, above), (negative, below)])
}

fn floats(cursor: &mut Cursor<'_>, what: &str) -> Result<Vec<f64>> {
    let length = cursor.count(FLOAT_BYTES, what)?;
    (0..length).map(|_| cursor.f64(what)).collect()
}

/// Indices of the buckets that spans name.
fn spans(cursor: &mut Cursor<'_>) -> Result<Vec<i32>> {
    let begin = *cursor;
    let out_of_range = || begin.fault("buckets out of range");
    let count = cursor.count(LEAST_SPAN, "spans")?;
    let (mut indices, mut next) = (Vec::new(), 0_i32);
    for number in 0..count {
        let offset = i32::try_from(cursor.varint("a span")?).map_err(|_| out_of_range())?;
        let length = usize::try_from(cursor.uvarint("a span")?).map_err(|_| out_of_range())?;
        if number > 0 && offset < 0 || length > BUCKETS_MAX - indices.len() {
            return Err(out_of_range());
        }
        next = next.checked_add(offset).ok_or_else(out_of_range)?;
        for _ in 0..length {
            indices.push(next);
            next = next.checked_add(1).ok_or_else(out_of_range)?;
        }
    }
    Ok(indices)
}

fn finish(
    cursor: &mut Cursor<'_>,
    head: Head,
    [count, zero_count, sum]: [f64; 3],
    sides: [(Vec<i32>, Vec<f64>); 2],
) -> Result<Histogram> {
    let bounds = match head.schema {
        CUSTOM_SCHEMA => floats(cursor, "bounds of buckets")?,
        _ => Vec::new(),
    };
    if sides
        .iter()
        .any(|(indices, counts)| indices.len() != counts.len())
    {
        return Err(cursor.fault("spans and buckets are not of the same number"));
    }
    let [positive, negative] = sides.map(|(indices, counts)| indices.into_iter().zip(counts));
    let histogram = Histogram {
        schema: head.schema,
        hint: head.hint,
        count,
        sum,
        zero_threshold: head.zero_threshold,
        zero_count,
        positive: positive.collect(),
        negative: negative.collect(),
        bounds: Arc::from(bounds),
    };
    match histogram.fault() {
        Some(what) => Err(cursor.fault(what)),
        None => Ok(histogram),
    }
}
