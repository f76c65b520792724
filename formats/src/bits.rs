//! Bits, the highest of each byte first, and the numbers of variable length in Prometheus' chunks.
//!
//! Source of the forms: Prometheus' `tsdb/docs/format/chunks.md`.

use crate::error::{Error, Result};

/// A place in bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Bits of the numbers behind one to eight ones.
const WIDTHS: [u32; 8] = [3, 6, 9, 12, 18, 25, 56, 64];

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn end(&self) -> Error {
        Error::corrupt((self.at / 8) as u64, "the samples end too soon")
    }

    pub(crate) fn bit(&mut self) -> Result<bool> {
        let byte = self.bytes.get(self.at / 8).ok_or_else(|| self.end())?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit == 1)
    }

    /// At most 64 bits as a number.
    pub(crate) fn bits(&mut self, count: u32) -> Result<u64> {
        let mut value = 0_u64;
        let mut left = count.min(64);
        while left > 0 {
            let byte = *self.bytes.get(self.at / 8).ok_or_else(|| self.end())?;
            let there = 8 - (self.at % 8) as u32;
            let taken = there.min(left);
            let bits = u64::from(byte) >> (there - taken) & ((1 << taken) - 1);
            value = value << taken | bits;
            self.at += taken as usize;
            left -= taken;
        }
        Ok(value)
    }

    pub(crate) fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_bits(self.bits(64)?))
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        Ok(self.bits(8)? as u8)
    }

    /// Go's varint, whose bytes need not begin where a byte does.
    pub(crate) fn uvarint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::corrupt(
            (self.at / 8) as u64,
            "a number of more than 64 bits",
        ))
    }

    pub(crate) fn varint(&mut self) -> Result<i64> {
        let value = self.uvarint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// How many ones stand before a zero, at most `most`.
    pub(crate) fn ones(&mut self, most: u32) -> Result<u32> {
        for count in 0..most {
            if !self.bit()? {
                return Ok(count);
            }
        }
        Ok(most)
    }

    /// A number of `width` bits whose upper half is negative, but for the middle.
    pub(crate) fn signed(&mut self, width: u32) -> Result<i64> {
        let value = self.bits(width)?;
        if width >= 64 || value <= 1 << (width - 1) {
            return Ok(value as i64);
        }
        Ok((value as i64).wrapping_sub(1 << width))
    }

    /// A number of histograms: ones tell its width.
    pub(crate) fn varbit(&mut self) -> Result<i64> {
        match self.width()? {
            0 => Ok(0),
            width => self.signed(width),
        }
    }

    /// The same without a sign.
    pub(crate) fn unsigned_varbit(&mut self) -> Result<u64> {
        let width = self.width()?;
        self.bits(width)
    }

    fn width(&mut self) -> Result<u32> {
        let ones = self.ones(8)? as usize;
        Ok(match ones {
            0 => 0,
            ones => WIDTHS.get(ones - 1).copied().unwrap_or(64),
        })
    }
}

/// A float told by what changed against the one before (Pelkonen et al., "Gorilla", 2015).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Xor {
    bits: u64,
    leading: u32,
    significant: u32,
}

impl Xor {
    /// The first one, as it is.
    pub(crate) fn first(bits: &mut Bits<'_>) -> Result<Self> {
        Ok(Self {
            bits: bits.bits(64)?,
            leading: 0,
            significant: 0,
        })
    }

    pub(crate) fn value(&self) -> f64 {
        f64::from_bits(self.bits)
    }

    pub(crate) fn next(&mut self, bits: &mut Bits<'_>) -> Result<f64> {
        if !bits.bit()? {
            return Ok(self.value());
        }
        if bits.bit()? {
            self.leading = bits.bits(5)? as u32;
            self.significant = match bits.bits(6)? as u32 {
                0 => 64,
                count => count,
            };
        }
        let kept = self.leading + self.significant;
        let behind = 64_u32.checked_sub(kept).ok_or_else(|| bits.end())?;
        // Of a window of no bits nothing is read: it was never told.
        let changed = bits.bits(self.significant)?;
        self.bits ^= changed.checked_shl(behind).unwrap_or(0);
        Ok(self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_highest_first() {
        let mut bits = Bits::new(&[0b1010_0000, 0xff, 0x01]);
        assert_eq!(bits.bits(3), Ok(0b101));
        assert_eq!(bits.bits(9), Ok(0b0_0000_1111));
        assert_eq!(bits.bits(12), Ok(0b1111_0000_0001));
        assert!(bits.bit().is_err());
    }

    #[test]
    fn the_middle_of_a_width_is_positive() {
        // '10' and three bits: 4 is the largest, 5 stands for -3.
        assert_eq!(Bits::new(&[0b1010_0000]).varbit(), Ok(4));
        assert_eq!(Bits::new(&[0b1010_1000]).varbit(), Ok(-3));
        assert_eq!(Bits::new(&[0b0000_0000]).varbit(), Ok(0));
        assert_eq!(Bits::new(&[0b1011_1000]).unsigned_varbit(), Ok(7));
        let mut nine = vec![0xff];
        nine.extend_from_slice(&i64::MIN.to_be_bytes());
        assert_eq!(Bits::new(&nine).varbit(), Ok(i64::MIN));
    }
}
