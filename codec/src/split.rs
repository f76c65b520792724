//! Floats of full precision: their first bits, of which there are few kinds, and the rest as is.
//!
//! Sign, exponent and the first bits of the mantissa of measured values repeat; the others are
//! noise. After ALP's coding of real doubles: A. Afroozeh et al., "ALP: Adaptive Lossless
//! floating-Point Compression" (SIGMOD 2023). Input of the writer: a column. Input of the reader:
//! any bytes.
//!
//! Layout: tail bits 1 B, fronts varint (at most 256), the fronts as a sequence, the most frequent
//! first, the index of each value's front as a sequence, then the packed tails.

use crate::bitpack::{self, packed_len};
use crate::choose::Room;
use crate::error::{Error, Result};
use crate::limits::{BLOCK_SAMPLES, MAX_DICTIONARY};
use crate::portable::{Source, Undo};
use crate::simd::Level;
use crate::varint::{Reader, put_u64};

/// Bits of a tail, at least and at most: what one load reads, and what leaves a front.
pub(crate) const MIN_TAIL: u8 = 36;
pub(crate) const MAX_TAIL: u8 = 56;

/// The front of `value` above a tail of `tail` bits.
#[inline]
pub(crate) fn front(value: f64, tail: u8) -> i64 {
    (value.to_bits() >> tail) as i64
}

/// The value of which `front` is the front and the tail is zero.
#[inline]
pub(crate) fn above(front: i64, tail: u8) -> f64 {
    f64::from_bits((front as u64) << tail)
}

/// Bits that a column of `count` values will take by a sample of it, and the best tail.
pub(crate) fn cost(sample: &[&[f64]; 2], count: usize) -> (usize, u8) {
    let parts = sample.iter().copied().flatten();
    let mut sorted: Vec<u64> = parts.map(|value| value.to_bits()).collect();
    sorted.sort_unstable();
    let costs = (MIN_TAIL..=MAX_TAIL).map(|tail| (cost_of(&sorted, tail, count), tail));
    costs.min().unwrap_or((usize::MAX, MAX_TAIL))
}

/// What `count` values like the `sorted` bits will take with tails of `tail` bits.
fn cost_of(sorted: &[u64], tail: u8, count: usize) -> usize {
    let sampled = sorted.len().max(1) as f64;
    let (mut entropy, mut fronts, mut single) = (0.0, 0.0, 0.0);
    for run in sorted.chunk_by(|one, other| one >> tail == other >> tail) {
        let share = run.len() as f64 / sampled;
        entropy -= share * share.log2();
        fronts += 1.0;
        single += f64::from(u8::from(run.len() == 1));
    }
    // A sample shows too few kinds and too little entropy (I. Good, "The population frequencies of
    // species", 1953; G. Miller, "Note on the bias of information estimates", 1955).
    let count = count as f64;
    let kinds = fronts + single * (count / sampled - 1.0);
    if kinds > MAX_DICTIONARY as f64 {
        return usize::MAX;
    }
    let entropy = entropy + (fronts - 1.0) / (2.0 * sampled) * std::f64::consts::LOG2_E;
    // Packing falls short of the entropy by about half a bit.
    let each = f64::from(tail) + entropy + 0.5;
    (each * count + kinds * f64::from(64 - tail)) as usize
}

/// Appends what comes after the tag, of the distinct fronts that `room` found.
pub(crate) fn put(column: &[f64], tail: u8, room: &mut Room, out: &mut Vec<u8>) {
    let mut distinct = std::mem::take(&mut room.distinct);
    distinct.sort_by_count();
    out.push(tail);
    put_u64(out, distinct.found().len() as u64);
    room.put_sequence(distinct.found(), None, out);
    room.put_plain(distinct.indexes(), out);
    room.distinct = distinct;
    let mask = (1u64 << tail) - 1;
    bitpack::pack(column, |value| value.to_bits() & mask, tail, out);
}

/// Reads the head: the bits of a tail.
pub(crate) fn read_tail(reader: &mut Reader<'_>) -> Result<u8> {
    let offset = reader.offset();
    let tail = reader.u8()?;
    match (MIN_TAIL..=MAX_TAIL).contains(&tail) {
        true => Ok(tail),
        false => Err(Error::Malformed {
            offset,
            what: "tails of bits out of range",
        }),
    }
}

/// Adds the tails of the values from `start`, the first of a block, on to the bits of `values`, in
/// which their fronts are; `reader` is at the tails of all `count` values and ends after them.
pub(crate) fn add_tails(
    reader: &mut Reader<'_>,
    tail: u8,
    (start, count): (usize, usize),
    values: &mut [f64],
) -> Result<()> {
    let level = Level::detect();
    let mut ahead = *reader;
    reader.take(packed_len(count, tail))?;
    ahead.take(packed_len(start, tail))?;
    let mut plain = Undo::plain();
    for places in values.chunks_mut(BLOCK_SAMPLES) {
        let source = Source {
            packed: bitpack::take(&mut ahead, tail, places.len(), (1, 0))?,
            ..Source::zeros()
        };
        level.add_ulps(&source, &mut plain, places);
    }
    Ok(())
}
