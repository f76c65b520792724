//! XORs of floats in windows of significant bits.
//!
//! Source: T. Pelkonen et al., "Gorilla: a fast, scalable, in-memory time series database",
//! VLDB 2015; the rule for leaving a window early is ours. Bit-exact for any bits.

use crate::bits::{BitReader, BitWriter};
use crate::error::{Error, Result};
use std::ops::Range;

/// A new window is cheaper than bits wasted in the old one from about here.
const WASTE: u32 = 12;

/// Bits of a window, as it is written.
pub(crate) const WINDOW_BITS: u32 = 12;

/// Where the significant bits of an XOR lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Window {
    low: u8,
    /// 0 before there is a window.
    width: u8,
}

impl Window {
    pub(crate) const fn none() -> Self {
        Self { low: 0, width: 0 }
    }

    /// The narrowest window of `xor`; of one bit when it is zero.
    pub(crate) fn around(xor: u64) -> Self {
        let low = xor.trailing_zeros().min(63);
        let width = (64 - xor.leading_zeros()).saturating_sub(low).max(1);
        Self {
            low: low as u8,
            width: width as u8,
        }
    }

    /// Whether `xor` lies inside and would not waste more than a new window costs.
    #[inline]
    pub(crate) fn suits(self, xor: u64) -> bool {
        let (low, high) = (u32::from(self.low), u32::from(self.low + self.width));
        let (zeros, length) = (xor.trailing_zeros(), 64 - xor.leading_zeros());
        if length > high || zeros < low || self.width == 0 {
            return false;
        }
        let used = length.saturating_sub(zeros);
        u32::from(self.width) - used < WASTE
    }

    /// Writes the window: trailing zeros and width - 1.
    pub(crate) fn put(self, writer: &mut BitWriter) {
        writer.put(
            u64::from(self.low) | u64::from(self.width - 1) << 6,
            WINDOW_BITS,
        );
    }

    pub(crate) fn read(reader: &mut BitReader<'_>) -> Self {
        Self::of(reader.take(WINDOW_BITS))
    }

    /// The window of the bits that [`Self::put`] wrote.
    #[inline]
    pub(crate) fn of(head: u64) -> Self {
        Self {
            low: (head & 63) as u8,
            width: (head >> 6 & 63) as u8 + 1,
        }
    }

    /// How many bits an XOR has inside of it.
    #[inline]
    pub(crate) fn width(self) -> u32 {
        self.width.into()
    }

    /// The XOR that has these bits inside of it.
    #[inline]
    pub(crate) fn place(self, bits: u64) -> u64 {
        bits << self.low
    }

    /// Writes the bits of `xor` inside of the window.
    #[inline]
    pub(crate) fn put_bits(self, writer: &mut BitWriter, xor: u64) {
        writer.put(xor >> self.low, u32::from(self.width));
    }

    #[inline]
    pub(crate) fn read_bits(self, reader: &mut BitReader<'_>) -> u64 {
        self.place(reader.take_wide(self.width()))
    }
}

/// Appends a column: the first value's 64 bits, then per value 0 when it is the same, 10 and its
/// bits in the last window, or 11, a window and its bits.
pub(crate) fn put(values: &[f64], out: &mut Vec<u8>) {
    let mut writer = BitWriter::new();
    let mut window = Window::none();
    let mut last = None;
    for value in values {
        let bits = value.to_bits();
        match last.replace(bits).map(|last| bits ^ last) {
            None => writer.put(bits, 64),
            Some(0) => writer.put(0, 1),
            Some(xor) if window.suits(xor) => {
                writer.put(0b01, 2);
                window.put_bits(&mut writer, xor);
            }
            Some(xor) => {
                writer.put(0b11, 2);
                window = Window::around(xor);
                window.put(&mut writer);
                window.put_bits(&mut writer, xor);
            }
        }
    }
    writer.write_to(out);
}

/// Appends the values `range` of a column; `bytes` must end with it when `range` does.
pub(crate) fn read(
    bytes: &[u8],
    count: usize,
    range: Range<usize>,
    out: &mut Vec<f64>,
) -> Result<()> {
    let mut reader = BitReader::new(bytes);
    let mut window = Window::none();
    let mut bits = 0;
    for index in 0..range.end {
        if index == 0 {
            bits = reader.take_wide(64);
        } else if reader.take(1) == 1 {
            if reader.take(1) == 1 {
                window = Window::read(&mut reader);
            }
            bits ^= window.read_bits(&mut reader);
        }
        if reader.is_overrun() {
            return Err(Error::Truncated {
                offset: bytes.len(),
            });
        }
        if index >= range.start {
            out.push(f64::from_bits(bits));
        }
    }
    if range.end == count && reader.bytes_used() != bytes.len() {
        let offset = reader.bytes_used();
        return Err(Error::Malformed {
            offset,
            what: "bytes after the last value",
        });
    }
    Ok(())
}
