//! Statistics of a chunk: what an aggregate needs to answer without decoding.
//!
//! Input: the values of a chunk in order of time. Output: a plain struct, and its compact bytes,
//! one set per chunk in the directory of a block. Invariant: what is decoded has the same bits as
//! what was encoded; statistics of parts merge into those of the whole (the sums up to rounding).

use crate::decimal::{self, MAX_SCALE};
use crate::error::{Error, Result};
use crate::number;
use crate::sample::is_stale;
use crate::sealed::{from_ordered, to_ordered};
use crate::simd::Level;
use crate::varint::{Reader, put_i64, put_u64};

/// Bits of the first byte on disk.
const STALE_FLAG: u8 = 1;
const NAN_FLAG: u8 = 1 << 1;
const DROPPED_FLAG: u8 = 1 << 2;
const SUM_FLAG: u8 = 1 << 3;
const MIN_IS_FIRST: u8 = 1 << 4;
const MAX_IS_LAST: u8 = 1 << 5;
const FORM_SHIFT: u32 = 6;
/// The form, in the two high bits.
const EMPTY: u8 = 0;
const CONSTANT: u8 = 1;
const DECIMAL: u8 = 2;
const ORDERED: u8 = 3;
/// In the scale byte: how far the values lie beside their decimals follows.
const ULPS_FLAG: u8 = 0x80;
/// Largest such distance: two bytes.
const MAX_ULPS: u64 = 1 << 12;
/// At larger scales every float lies near a decimal, and nothing is gained.
const MAX_NOISY_SCALE: u8 = 12;

/// Statistics over the values of a chunk that are not stale markers.
#[derive(Debug, Clone, Copy)]
pub struct Stats {
    /// Samples that are not stale markers.
    pub count: u32,
    /// Stale markers.
    pub stale: u32,
    /// Smallest value, the earlier of equals; NaN only when there is no number.
    pub min: f64,
    /// Largest value, the earlier of equals; NaN only when there is no number.
    pub max: f64,
    /// Compensated sum; `f64::NAN` when a NaN is among the values.
    pub sum: f64,
    /// First value, bit-exact; NaN when there is none.
    pub first: f64,
    /// Last value, bit-exact; NaN when there is none.
    pub last: f64,
    /// Sum, over every counter reset, of the value before it: `last - first + dropped` is the
    /// increase of a counter over the chunk. Compensated.
    pub dropped: f64,
    /// Whether a NaN other than the stale marker is among the values.
    pub has_nan: bool,
}

impl Default for Stats {
    /// The statistics of no samples.
    fn default() -> Self {
        Self {
            count: 0,
            stale: 0,
            min: f64::NAN,
            max: f64::NAN,
            sum: 0.0,
            first: f64::NAN,
            last: f64::NAN,
            dropped: 0.0,
            has_nan: false,
        }
    }
}

impl PartialEq for Stats {
    /// Equality of all fields, of floats by their bits.
    fn eq(&self, other: &Self) -> bool {
        let key = |stats: &Stats| {
            let floats = [
                stats.min,
                stats.max,
                stats.sum,
                stats.first,
                stats.last,
                stats.dropped,
            ];
            (
                stats.count,
                stats.stale,
                stats.has_nan,
                floats.map(f64::to_bits),
            )
        };
        key(self) == key(other)
    }
}

impl Stats {
    /// Statistics of `values`, in order of time.
    pub fn of(values: &[f64]) -> Self {
        Level::detect().stats(values)
    }

    /// Statistics of `count` samples of one value: what need not be stored beside a chunk of
    /// [`crate::Encoding::Constant`].
    pub fn of_constant(value: f64, count: u32) -> Self {
        if count == 0 || is_stale(value) {
            return Self {
                stale: count,
                ..Self::default()
            };
        }
        Self {
            count,
            stale: 0,
            min: if value.is_nan() { f64::NAN } else { value },
            max: if value.is_nan() { f64::NAN } else { value },
            sum: canonical(value * f64::from(count)),
            first: value,
            last: value,
            dropped: 0.0,
            has_nan: value.is_nan(),
        }
    }

    /// Statistics of both, where `next` follows in time; a reset across the seam counts.
    ///
    /// Sums are added plainly: whoever merges many keeps a [`crate::CompensatedSum`] beside.
    #[must_use]
    pub fn merge(&self, next: &Stats) -> Stats {
        let stale = self.stale.saturating_add(next.stale);
        if self.count == 0 {
            return Stats { stale, ..*next };
        }
        if next.count == 0 {
            return Stats { stale, ..*self };
        }
        let seam = if next.first < self.last {
            self.last
        } else {
            0.0
        };
        Stats {
            count: self.count.saturating_add(next.count),
            stale,
            min: lesser(self.min, next.min),
            max: greater(self.max, next.max),
            sum: canonical(self.sum + next.sum),
            first: self.first,
            last: next.last,
            dropped: canonical(self.dropped + seam + next.dropped),
            has_nan: self.has_nan || next.has_nan,
        }
    }

    /// Increase of a counter over the chunk, resets taken into account.
    pub fn increase(&self) -> f64 {
        self.last - self.first + self.dropped
    }

    /// Appends the statistics, without the number of samples, to `out`: 1 to 64 bytes, about 3 for
    /// constants and 15 for counters and decimals.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.push(0);
        let mut flags = self.put_form(out);
        if self.stale > 0 {
            flags |= STALE_FLAG;
            put_u64(out, self.stale.into());
        }
        if self.has_nan {
            flags |= NAN_FLAG;
        }
        if self.dropped.to_bits() != 0 {
            flags |= DROPPED_FLAG;
            number::put(out, self.dropped);
        }
        if let Some(head) = out.get_mut(start) {
            *head = flags;
        }
    }

    /// Appends the values and the sum in the shortest form; returns the flags of it.
    fn put_form(&self, out: &mut Vec<u8>) -> u8 {
        if self.count == 0 {
            return EMPTY << FORM_SHIFT;
        }
        let constant = Self::of_constant(self.first, self.count);
        if (Self {
            stale: 0,
            sum: constant.sum,
            dropped: 0.0,
            ..*self
        }) == constant
        {
            number::put(out, self.first);
            let explicit = self.sum.to_bits() != constant.sum.to_bits();
            return CONSTANT << FORM_SHIFT | self.put_sum(explicit, out);
        }
        if let Some((scale, ends, ulps)) = self.decimals() {
            let noisy = ulps != [0; 4];
            out.push(if noisy { scale | ULPS_FLAG } else { scale });
            let flags = put_ends(&ends, out);
            if noisy {
                ulps.iter().for_each(|&ulps| put_i64(out, ulps));
            }
            let sum = decimal::to_int(self.sum, scale);
            if let Some(sum) = sum {
                put_i64(out, sum.wrapping_sub(expected_sum(&ends, self.count)));
            }
            return DECIMAL << FORM_SHIFT | flags | self.put_sum(sum.is_none(), out);
        }
        let ends = [self.first, self.last, self.min, self.max].map(to_ordered);
        ORDERED << FORM_SHIFT | put_ends(&ends, out) | self.put_sum(true, out)
    }

    fn put_sum(&self, explicit: bool, out: &mut Vec<u8>) -> u8 {
        if !explicit {
            return 0;
        }
        number::put(out, self.sum);
        SUM_FLAG
    }

    /// First, last, min and max as integers of the least scale at which each is a decimal or, like
    /// an average, very near to one; and by how many ulps.
    fn decimals(&self) -> Option<(u8, [i64; 4], [i64; 4])> {
        let at = |scale: u8, most: u64| {
            let (mut ints, mut ulps) = ([0; 4], [0; 4]);
            let ends = [self.first, self.last, self.min, self.max];
            for ((int, ulp), value) in ints.iter_mut().zip(&mut ulps).zip(ends) {
                (*int, *ulp) = decimal::to_int_and_ulps(value, scale)
                    .filter(|&(_, ulps)| ulps.unsigned_abs() <= most)?;
            }
            Some((scale, ints, ulps))
        };
        let exact = (0..=MAX_SCALE).find_map(|scale| at(scale, 0));
        exact.or_else(|| (0..=MAX_NOISY_SCALE).find_map(|scale| at(scale, MAX_ULPS)))
    }

    /// Reads the statistics of a chunk of `samples` samples, stale markers included.
    ///
    /// # Errors
    /// [`Error`] when the bytes are damaged or cannot belong to so many samples.
    pub fn decode(reader: &mut Reader<'_>, samples: u32) -> Result<Stats> {
        let offset = reader.offset();
        let flags = reader.u8()?;
        let mut stats = Stats::default();
        let form = flags >> FORM_SHIFT;
        let mut decimal = None;
        let mut ends = [0; 4];
        match form {
            EMPTY => {}
            CONSTANT => {
                let value = number::read(reader)?;
                stats = Self::of_constant(value, 1);
            }
            DECIMAL => {
                let head = reader.u8()?;
                let scale = head & !ULPS_FLAG;
                if scale > MAX_SCALE {
                    return Err(Error::Malformed {
                        offset,
                        what: "a decimal scale out of range",
                    });
                }
                ends = read_ends(flags, reader)?;
                let mut values = ends.map(|int| decimal::to_f64(int, scale));
                if head & ULPS_FLAG != 0 {
                    for value in &mut values {
                        *value = decimal::add_ulps(*value, reader.varint_i64()?);
                    }
                }
                [stats.first, stats.last, stats.min, stats.max] = values;
                if flags & SUM_FLAG == 0 {
                    decimal = Some((scale, reader.varint_i64()?));
                }
            }
            _ => {
                let values = read_ends(flags, reader)?.map(from_ordered);
                [stats.first, stats.last, stats.min, stats.max] = values;
            }
        }
        let sum = if flags & SUM_FLAG != 0 {
            Some(number::read(reader)?)
        } else {
            None
        };
        if flags & STALE_FLAG != 0 {
            stats.stale =
                reader.length(samples as usize, "more stale markers than samples")? as u32;
        }
        stats.count = samples.saturating_sub(stats.stale);
        if (stats.count == 0) != (form == EMPTY) {
            return Err(Error::Malformed {
                offset,
                what: "statistics of another count",
            });
        }
        if form == EMPTY && flags & (SUM_FLAG | NAN_FLAG | DROPPED_FLAG) != 0 {
            return Err(Error::Malformed {
                offset,
                what: "statistics of nothing that tell something",
            });
        }
        stats.has_nan = flags & NAN_FLAG != 0;
        stats.sum = match (sum, decimal) {
            (Some(sum), _) => sum,
            (None, Some((scale, residual))) => {
                let int = residual.wrapping_add(expected_sum(&ends, stats.count));
                decimal::to_f64(int, scale)
            }
            (None, None) if form == CONSTANT => Self::of_constant(stats.first, stats.count).sum,
            (None, None) => 0.0,
        };
        if flags & DROPPED_FLAG != 0 {
            stats.dropped = number::read(reader)?;
        }
        Ok(stats)
    }
}

impl Stats {
    /// Passes over statistics that nobody wants to know: ends where [`Stats::decode`] does, a few
    /// times sooner. What they say is not checked.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the bytes end before.
    pub fn skip(reader: &mut Reader<'_>) -> Result<()> {
        let flags = reader.u8()?;
        let without = |flag: u8| usize::from(flags & flag == 0);
        let form = flags >> FORM_SHIFT;
        match form {
            EMPTY => {}
            CONSTANT => number::skip(reader)?,
            _ => {
                let mut numbers = 2 + without(MIN_IS_FIRST) + without(MAX_IS_LAST);
                if form == DECIMAL {
                    let is_noisy = reader.u8()? & ULPS_FLAG != 0;
                    numbers += 4 * usize::from(is_noisy) + without(SUM_FLAG);
                }
                reader.skip_varints(numbers)?;
            }
        }
        if flags & SUM_FLAG != 0 {
            number::skip(reader)?;
        }
        if flags & STALE_FLAG != 0 {
            reader.skip_varints(1)?;
        }
        if flags & DROPPED_FLAG != 0 {
            number::skip(reader)?;
        }
        Ok(())
    }
}

/// Appends first, last, min and max as integers, each by its distance from a neighbour.
fn put_ends(&[first, last, min, max]: &[i64; 4], out: &mut Vec<u8>) -> u8 {
    let mut flags = 0;
    put_i64(out, first);
    put_i64(out, last.wrapping_sub(first));
    if min == first {
        flags |= MIN_IS_FIRST;
    } else {
        put_u64(out, first.wrapping_sub(min) as u64);
    }
    if max == last {
        flags |= MAX_IS_LAST;
    } else {
        put_u64(out, max.wrapping_sub(last) as u64);
    }
    flags
}

fn read_ends(flags: u8, reader: &mut Reader<'_>) -> Result<[i64; 4]> {
    let first = reader.varint_i64()?;
    let last = first.wrapping_add(reader.varint_i64()?);
    let below = if flags & MIN_IS_FIRST != 0 {
        0
    } else {
        reader.varint()?
    };
    let above = if flags & MAX_IS_LAST != 0 {
        0
    } else {
        reader.varint()?
    };
    let (min, max) = (
        first.wrapping_sub(below as i64),
        last.wrapping_add(above as i64),
    );
    Ok([first, last, min, max])
}

/// What the sum of `count` integers between these ends would be if they lay evenly.
fn expected_sum(&[_, _, min, max]: &[i64; 4], count: u32) -> i64 {
    (min / 2 + max / 2).wrapping_mul(i64::from(count))
}

/// NaNs of arithmetic have another sign on another processor; on disk there is one.
#[inline(always)]
pub(crate) fn canonical(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

/// The lesser of two, the earlier of equals, a number rather than NaN.
#[inline(always)]
pub(crate) fn lesser(earlier: f64, later: f64) -> f64 {
    if later < earlier || (earlier.is_nan() && !later.is_nan()) {
        later
    } else {
        earlier
    }
}

/// The greater of two, the earlier of equals, a number rather than NaN.
#[inline(always)]
pub(crate) fn greater(earlier: f64, later: f64) -> f64 {
    if later > earlier || (earlier.is_nan() && !later.is_nan()) {
        later
    } else {
        earlier
    }
}
