//! Statistics of a chunk: what an aggregate needs to answer without decoding.
use crate::error::Result;
use crate::sample::is_stale;
use crate::sum::CompensatedSum;
use crate::varint::{Reader, put_u64};

/// Statistics over the values of a chunk that are not stale markers.
#[derive(Debug, Clone, Copy)]
pub struct Stats {
    /// Samples that are not stale markers.
    pub count: u32,
    /// Stale markers.
    pub stale: u32,
    /// Smallest value; NaNs are passed over, NaN when there is no other value.
    pub min: f64,
    /// Largest value; NaNs are passed over, NaN when there is no other value.
    pub max: f64,
    /// Compensated sum; NaN when a NaN is among the values.
    pub sum: f64,
    /// First value, bit-exact; NaN when there is none.
    pub first: f64,
    /// Last value, bit-exact; NaN when there is none.
    pub last: f64,
    /// Sum, over every counter reset, of the value before it: `last - first + dropped` is the
    /// increase of a counter over the chunk.
    pub dropped: f64,
    /// Whether a NaN other than the stale marker is among the values.
    pub has_nan: bool,
}

impl Default for Stats {
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
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Stats {
    fn key(&self) -> (u32, u32, bool, [u64; 6]) {
        let floats = [
            self.min,
            self.max,
            self.sum,
            self.first,
            self.last,
            self.dropped,
        ];
        (
            self.count,
            self.stale,
            self.has_nan,
            floats.map(f64::to_bits),
        )
    }

    /// Statistics of `values`, in order of time.
    pub fn of(values: &[f64]) -> Self {
        let mut stats = Self::default();
        let (mut sum, mut dropped) = (CompensatedSum::new(), CompensatedSum::new());
        for &value in values {
            if is_stale(value) {
                stats.stale += 1;
                continue;
            }
            if stats.count == 0 {
                stats.first = value;
            } else if value < stats.last {
                dropped.add(stats.last);
            }
            stats.count += 1;
            stats.has_nan |= value.is_nan();
            stats.min = lesser(stats.min, value);
            stats.max = greater(stats.max, value);
            stats.last = value;
            sum.add(value);
        }
        stats.sum = if stats.has_nan { f64::NAN } else { sum.value() };
        stats.dropped = dropped.value();
        stats
    }

    /// Statistics of both, where `next` follows in time; a reset across the seam counts.
    #[must_use]
    pub fn merge(&self, next: &Stats) -> Stats {
        if self.count == 0 {
            return Stats {
                stale: self.stale + next.stale,
                ..*next
            };
        }
        if next.count == 0 {
            return Stats {
                stale: self.stale + next.stale,
                ..*self
            };
        }
        let seam = if next.first < self.last {
            self.last
        } else {
            0.0
        };
        Stats {
            count: self.count + next.count,
            stale: self.stale + next.stale,
            min: lesser(self.min, next.min),
            max: greater(self.max, next.max),
            sum: self.sum + next.sum,
            first: self.first,
            last: next.last,
            dropped: self.dropped + seam + next.dropped,
            has_nan: self.has_nan || next.has_nan,
        }
    }

    /// Appends the statistics, without the number of samples, to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.has_nan.into());
        put_u64(out, self.stale.into());
        for bits in self.key().3 {
            out.extend_from_slice(&bits.to_le_bytes());
        }
    }

    /// Statistics of a chunk of `samples` samples, stale markers included.
    pub fn decode(reader: &mut Reader<'_>, samples: u32) -> Result<Stats> {
        let has_nan = reader.u8()? != 0;
        let stale = reader.length(samples as usize, "more stale markers than samples")? as u32;
        let mut float = || reader.u64().map(f64::from_bits);
        Ok(Stats {
            count: samples - stale,
            stale,
            has_nan,
            min: float()?,
            max: float()?,
            sum: float()?,
            first: float()?,
            last: float()?,
            dropped: float()?,
        })
    }
}

/// The lesser of two, the earlier of equals, a number rather than NaN.
fn lesser(earlier: f64, later: f64) -> f64 {
    if later < earlier || (earlier.is_nan() && !later.is_nan()) {
        later
    } else {
        earlier
    }
}

/// The greater of two, the earlier of equals, a number rather than NaN.
fn greater(earlier: f64, later: f64) -> f64 {
    if later > earlier || (earlier.is_nan() && !later.is_nan()) {
        later
    } else {
        earlier
    }
}
