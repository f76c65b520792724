//! Timestamp columns of sealed chunks: encoded once, shared by every series scraped together.
//!
//! Input: any i64 nanoseconds; in order is the short case. Output: a tag, the count, the ends, and
//! what lies between in the true unit of the column. The ends stand first, so that a column can be
//! skipped by time without decoding it.

use crate::decimal::int_power;
use crate::error::{Error, Result};
use crate::limits::{BLOCK_SAMPLES, MAX_CHUNK_SAMPLES};
use crate::residuals;
use crate::sequence::{SequenceReader, Transform};
use crate::simd::Level;
use crate::tag;
use crate::unit::Unit;
use crate::varint::{Reader, put_i64, put_u64};
use std::ops::Range;

const RAW: u8 = 0;
const PROGRESSION: u8 = 1;
const SEQUENCE: u8 = 2;
/// In the tag: each timestamp is greater than the one before.
const INCREASING: u8 = 0x80;
/// Most decimal digits taken off a number in the head: one nibble.
const MAX_DIGITS: u8 = 15;
/// Differences beyond this could overflow on the way; such columns are kept raw.
const MAX_SPAN: u64 = 1 << 62;

/// What the head of a timestamp column tells without decoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSummary {
    /// Timestamps in the column.
    pub count: usize,
    /// The first one, in nanoseconds (0 when there is none).
    pub first: i64,
    /// The last one, in nanoseconds (0 when there is none).
    pub last: i64,
    /// Whether each is greater than the one before it, so that first and last bound the column.
    pub increasing: bool,
}

/// Appends the column `timestamps` (nanoseconds, at most [`MAX_CHUNK_SAMPLES`]) to `out`.
///
/// # Panics
/// When there are more than [`MAX_CHUNK_SAMPLES`]: no decoder would read them back.
pub fn encode_timestamps(timestamps: &[i64], out: &mut Vec<u8>) {
    assert!(
        timestamps.len() <= MAX_CHUNK_SAMPLES,
        "a column of too many timestamps"
    );
    let start = out.len();
    let increasing = if timestamps.is_sorted_by(|a, b| a < b) {
        INCREASING
    } else {
        0
    };
    if let Some(step) = common_step(timestamps) {
        put_head(PROGRESSION | increasing, timestamps.len(), out);
        return put_progression(timestamps, step, out);
    }
    let raw_len = 8 * timestamps.len();
    if span(timestamps) < MAX_SPAN {
        put_head(SEQUENCE | increasing, timestamps.len(), out);
        let body = out.len();
        put_sequence(timestamps, out);
        if out.len() - body < raw_len && gives_back(&out[start..], timestamps) {
            return;
        }
        out.truncate(start);
    }
    put_head(RAW | increasing, timestamps.len(), out);
    out.extend(
        timestamps
            .iter()
            .flat_map(|timestamp| timestamp.to_le_bytes()),
    );
}

/// Whether the decoder makes the same timestamps of `bytes`. It always should, and costs little.
fn gives_back(bytes: &[u8], timestamps: &[i64]) -> bool {
    let mut decoded = Vec::new();
    let same = decode_timestamps(bytes, &mut decoded).is_ok() && decoded == timestamps;
    debug_assert!(same, "an encoder and its decoder disagree");
    same
}

fn put_head(tag: u8, count: usize, out: &mut Vec<u8>) {
    out.push(tag);
    put_u64(out, count as u64);
}

/// Distance between the least and the greatest.
fn span(timestamps: &[i64]) -> u64 {
    let (min, max) = (timestamps.iter().min(), timestamps.iter().max());
    match (min, max) {
        (Some(&min), Some(&max)) => max.wrapping_sub(min) as u64,
        _ => 0,
    }
}

/// The step of an arithmetic progression: 0 for less than two timestamps.
fn common_step(timestamps: &[i64]) -> Option<i64> {
    let step = match timestamps {
        [first, second, ..] => second.wrapping_sub(*first),
        _ => 0,
    };
    timestamps
        .windows(2)
        .all(|pair| pair[1].wrapping_sub(pair[0]) == step)
        .then_some(step)
}

/// How many trailing decimal zeros `value` has, at most [`MAX_DIGITS`].
fn trailing_digits(value: i64) -> u8 {
    (1..=MAX_DIGITS)
        .take_while(|&digits| value % int_power(digits) == 0)
        .count() as u8
}

/// Two numbers without their trailing decimal zeros, the numbers of which share a byte.
fn put_pair(one: i64, other: i64, out: &mut Vec<u8>) {
    let (digits, more) = (trailing_digits(one), trailing_digits(other));
    out.push(digits | more << 4);
    put_i64(out, one / int_power(digits));
    put_i64(out, other / int_power(more));
}

fn read_pair(reader: &mut Reader<'_>) -> Result<(i64, i64)> {
    let digits = reader.u8()?;
    let one = reader.varint_i64()?.wrapping_mul(int_power(digits & 15));
    let other = reader.varint_i64()?.wrapping_mul(int_power(digits >> 4));
    Ok((one, other))
}

fn put_progression(timestamps: &[i64], step: i64, out: &mut Vec<u8>) {
    if let Some(&first) = timestamps.first() {
        put_pair(first, step, out);
    }
}

fn put_sequence(timestamps: &[i64], out: &mut Vec<u8>) {
    let (Some(&first), Some(&last)) = (timestamps.first(), timestamps.last()) else {
        return;
    };
    let mut offsets: Vec<i64> = timestamps
        .iter()
        .map(|timestamp| timestamp - first)
        .collect();
    // Constant divisors are multiplications; the common divisor of small numbers is then soon 1.
    let coarse = match take_unit::<1_000_000>(&mut offsets) {
        1 => take_unit::<1_000>(&mut offsets),
        millisecond => millisecond,
    };
    let fine = Unit::common(&offsets).value() as i64;
    if fine > 1 {
        offsets.iter_mut().for_each(|offset| *offset /= fine);
    }
    let unit = coarse * fine;
    put_pair(first, unit, out);
    put_i64(out, (last - first) / unit);
    residuals::put(
        &offsets,
        &[Transform::First, Transform::Line, Transform::Second],
        out,
    );
}

/// Divides by `UNIT` when all offsets are multiples of it; returns what it divided by.
fn take_unit<const UNIT: i64>(offsets: &mut [i64]) -> i64 {
    if !offsets.iter().all(|offset| offset % UNIT == 0) {
        return 1;
    }
    offsets.iter_mut().for_each(|offset| *offset /= UNIT);
    UNIT
}

/// The head of a column, its reader moved to what follows.
struct Head<'a> {
    encoding: u8,
    summary: TimeSummary,
    /// Progression: the step. Sequence: the unit.
    step: i64,
    reader: Reader<'a>,
}

/// Whether `byte` is the tag of a timestamp column.
pub(crate) fn is_tag(byte: u8) -> bool {
    byte & !INCREASING <= SEQUENCE
}

fn open(bytes: &[u8]) -> Result<Head<'_>> {
    let mut reader = Reader::new(bytes);
    let byte = reader.u8()?;
    let (encoding, increasing) = (byte & !INCREASING, byte & INCREASING != 0);
    if !is_tag(byte) {
        let found = ("timestamp encoding", encoding);
        return Err(tag::refused(byte, 0, tag::TIMESTAMPS, found));
    }
    let count = reader.length(MAX_CHUNK_SAMPLES, "more timestamps than a column may have")?;
    let mut summary = TimeSummary {
        count,
        first: 0,
        last: 0,
        increasing,
    };
    let mut step = 0;
    match encoding {
        RAW => {
            let mut raw = Reader::new(reader.rest());
            let column = raw
                .take(8 * count)
                .map_err(|error| error.shifted(reader.offset()))?;
            let word = |chunk: Option<&[u8; 8]>| chunk.map_or(0, |word| i64::from_le_bytes(*word));
            (summary.first, summary.last) = (word(column.first_chunk()), word(column.last_chunk()));
        }
        PROGRESSION if count > 0 => {
            (summary.first, step) = read_pair(&mut reader)?;
            let steps = step.wrapping_mul(count as i64 - 1);
            summary.last = summary.first.wrapping_add(steps);
        }
        SEQUENCE if count > 0 => {
            (summary.first, step) = read_pair(&mut reader)?;
            let steps = reader.varint_i64()?.wrapping_mul(step);
            summary.last = summary.first.wrapping_add(steps);
        }
        // No timestamps, or a tag that was refused above.
        _ => {}
    }
    Ok(Head {
        encoding,
        summary,
        step,
        reader,
    })
}

/// Count, first and last timestamp of a column, from its first bytes.
///
/// # Errors
/// [`Error`] when the head is damaged or of a newer version.
pub fn summarize_timestamps(bytes: &[u8]) -> Result<TimeSummary> {
    open(bytes).map(|head| head.summary)
}

/// Appends the timestamps (nanoseconds) of a column to `out`; `bytes` must be the whole column.
///
/// Appends at most [`MAX_CHUNK_SAMPLES`] timestamps; none on an error.
///
/// # Errors
/// [`Error`] when the bytes are damaged, longer than the column or of a newer version.
pub fn decode_timestamps(bytes: &[u8], out: &mut Vec<i64>) -> Result<()> {
    let head = open(bytes)?;
    let range = 0..head.summary.count;
    append(head, range, out)
}

/// Appends the timestamps `range` (nanoseconds) of a column to `out`; `bytes` must be the whole
/// column.
///
/// Decodes from the blocks of 128 that the range touches; differences need those before it too.
/// Appends `range.len()` timestamps or none.
///
/// # Errors
/// As [`decode_timestamps`], as far as the range shows, and when the range is not inside of the
/// column.
pub fn decode_timestamps_range(
    bytes: &[u8],
    range: Range<usize>,
    out: &mut Vec<i64>,
) -> Result<()> {
    let head = open(bytes)?;
    if range.start > range.end || range.end > head.summary.count {
        return Err(Error::Malformed {
            offset: 0,
            what: "a range outside of the column",
        });
    }
    append(head, range, out)
}

/// Appends the range, or nothing.
fn append(head: Head<'_>, range: Range<usize>, out: &mut Vec<i64>) -> Result<()> {
    let start = out.len();
    let decoded = decode(head, range, out);
    if decoded.is_err() {
        out.truncate(start);
    }
    decoded
}

fn decode(head: Head<'_>, range: Range<usize>, out: &mut Vec<i64>) -> Result<()> {
    let Head {
        encoding,
        summary,
        step,
        mut reader,
    } = head;
    let start = out.len();
    match encoding {
        RAW => {
            let (column, _) = reader.take(8 * summary.count)?.as_chunks::<8>();
            let asked = column.get(range.clone()).unwrap_or_default();
            out.extend(asked.iter().map(|word| i64::from_le_bytes(*word)));
        }
        PROGRESSION => {
            let indexes = range.start as i64..range.end as i64;
            out.extend(indexes.map(|i| summary.first.wrapping_add(i.wrapping_mul(step))));
        }
        _ if summary.count > 0 => {
            let mut sequence = SequenceReader::new(reader, summary.count)?;
            sequence.scale(step, summary.first);
            let before = range.start / BLOCK_SAMPLES;
            let blocks = range.end.div_ceil(BLOCK_SAMPLES) - before;
            out.reserve(blocks * BLOCK_SAMPLES);
            for _ in 0..before {
                sequence.skip_block()?;
            }
            for _ in 0..blocks {
                sequence.extend_i64(out)?;
            }
            let before = range.start % BLOCK_SAMPLES;
            out.truncate(start + before + range.len());
            out.drain(start..start + before);
            if range.end < summary.count {
                return check(out.get(start..).unwrap_or_default(), &range, &summary);
            }
            reader = sequence.into_rest();
        }
        _ => {}
    }
    let offset = reader.offset();
    if !reader.is_empty() {
        return Err(Error::Malformed {
            offset,
            what: "bytes after the last timestamp",
        });
    }
    check(out.get(start..).unwrap_or_default(), &range, &summary)
}

/// The head may be used without the body, so a body that disagrees with it is damage.
fn check(column: &[i64], range: &Range<usize>, summary: &TimeSummary) -> Result<()> {
    let unlike = Err(Error::Malformed {
        offset: 0,
        what: "a timestamp column unlike its head",
    });
    let (Some(&first), Some(&last)) = (column.first(), column.last()) else {
        // No timestamps rise, as one does.
        let told = summary.count > 0 || summary.increasing;
        return if told { Ok(()) } else { unlike };
    };
    let starts = range.start > 0 || first == summary.first;
    let ends = range.end < summary.count || last == summary.last;
    let rising = Level::detect().rises(column);
    // A part may rise where the whole does not.
    let whole = range.len() == summary.count;
    let increasing = rising == summary.increasing || (rising && !whole);
    if starts && ends && increasing {
        Ok(())
    } else {
        unlike
    }
}
