//! One sample and the kinds of value that a chunk may hold.
//!
//! Values are compared and moved by their bits: the stale marker is a *signalling* NaN, which `==`,
//! `min`, `max` and casts would miss, quiet or drop.

use crate::error::Error;

/// Bits of the stale marker: the series was there at the last scrape and is gone at this one
/// (a fact of the Prometheus exposition, `model/value`).
pub const STALE_MARKER_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Whether `value` is the stale marker, bit for bit; other NaNs are ordinary values.
#[inline]
pub const fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_MARKER_BITS
}

/// The stale marker as a value.
#[inline]
pub const fn stale_marker() -> f64 {
    f64::from_bits(STALE_MARKER_BITS)
}

/// A value at a moment. Two samples are equal when timestamp and value *bits* are equal.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Nanoseconds since the Unix epoch.
    pub timestamp: i64,
    /// The value, bit-exact.
    pub value: f64,
}

impl Sample {
    /// A sample of `value` at `timestamp` (nanoseconds since the Unix epoch).
    #[inline]
    pub const fn new(timestamp: i64, value: f64) -> Self {
        Self { timestamp, value }
    }
}

impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        self.timestamp == other.timestamp && self.value.to_bits() == other.value.to_bits()
    }
}

impl Eq for Sample {}

/// What the values of a chunk are. Numbers on disk; never renumbered, 0 and 7 stay unused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ValueKind {
    /// 64-bit floats, kept bit-exact.
    F64 = 1,
    /// The same, with extras beside some of them: histograms, start timestamps.
    Extended = 2,
}

impl TryFrom<u8> for ValueKind {
    type Error = Error;

    /// The kind numbered `tag`, or [`Error::Unsupported`] (at offset 0) when there is none yet.
    fn try_from(tag: u8) -> Result<Self, Error> {
        match tag {
            1 => Ok(ValueKind::F64),
            2 => Ok(ValueKind::Extended),
            _ => Err(Error::Unsupported {
                offset: 0,
                what: "value kind",
                found: tag.into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_equal_by_bits() {
        assert_eq!(Sample::new(1, f64::NAN), Sample::new(1, f64::NAN));
        assert_ne!(Sample::new(1, 0.0), Sample::new(1, -0.0));
        assert_ne!(Sample::new(1, 0.0), Sample::new(2, 0.0));
        assert!(is_stale(stale_marker()) && !is_stale(f64::NAN));
    }

    #[test]
    fn kinds_come_back_and_unknown_ones_are_refused() {
        for kind in [ValueKind::F64, ValueKind::Extended] {
            assert_eq!(ValueKind::try_from(kind as u8), Ok(kind));
        }
        assert!(matches!(
            ValueKind::try_from(0),
            Err(Error::Unsupported { found: 0, .. })
        ));
        assert!(ValueKind::try_from(3).is_err());
    }
}
