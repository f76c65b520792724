//! LEB128 variable-length integers, zigzag, and a bounds-checked cursor over bytes.
//!
//! Input of the writers: a `Vec<u8>` to append to. Input of [`Reader`]: any bytes. A varint is at
//! most ten bytes; longer or overflowing forms are refused, so each value has a bounded cost.

use crate::error::{Error, Result};

/// Longest encoding of a `u64`.
pub const MAX_VARINT_BYTES: usize = 10;

/// Appends `value` in LEB128.
pub fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` zigzagged in LEB128: small magnitudes of either sign are short.
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, zigzag(value));
}

/// Appends the length of `bytes`, then `bytes`.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Maps signed to unsigned so that small magnitudes become small numbers.
#[inline]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Inverse of [`zigzag`].
#[inline]
pub const fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// A cursor that reads little-endian and varint values and never leaves its input.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Offset of the next byte from the start of the input.
    #[inline]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes not yet read.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.offset
    }

    /// Whether everything was read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The bytes not yet read, without moving.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.offset..).unwrap_or_default()
    }

    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let end = self.offset.checked_add(len).ok_or(Error::Truncated {
            offset: self.offset,
        })?;
        let taken = self.bytes.get(self.offset..end).ok_or(Error::Truncated {
            offset: self.offset,
        })?;
        self.offset = end;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let offset = self.offset;
        self.take(N)?
            .try_into()
            .map_err(|_| Error::Truncated { offset })
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, little endian.
    #[inline]
    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, little endian.
    #[inline]
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little endian.
    #[inline]
    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Eight bytes, little endian, signed.
    #[inline]
    pub fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// A LEB128 number.
    #[inline]
    pub fn varint(&mut self) -> Result<u64> {
        match self.bytes.get(self.offset) {
            Some(&byte) if byte < 0x80 => {
                self.offset += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    /// A LEB128 number of any length.
    fn long_varint(&mut self) -> Result<u64> {
        let start = self.offset;
        let ahead = self.bytes.get(start..).and_then(<[u8]>::first_chunk);
        if let Some(word) = ahead.map(|bytes| u64::from_le_bytes(*bytes)) {
            let ends = !word & 0x8080_8080_8080_8080;
            if ends != 0 {
                self.offset += ends.trailing_zeros() as usize / 8 + 1;
                // What is up to the first end; then seven bits of each byte, pushed together.
                let word = word & (ends ^ (ends - 1)) & 0x7f7f_7f7f_7f7f_7f7f;
                let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
                let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
                return Ok(word & 0x0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4);
            }
        }
        let mut value = 0u64;
        for index in 0..MAX_VARINT_BYTES {
            let byte = *self.bytes.get(start + index).ok_or(Error::Truncated {
                offset: start + index,
            })?;
            if index == MAX_VARINT_BYTES - 1 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.offset = start + index + 1;
                return Ok(value);
            }
        }
        Err(Error::Malformed {
            offset: start,
            what: "a variable-length integer over 64 bits",
        })
    }

    /// Passes over `count` LEB128 numbers, of whatever size.
    pub fn skip_varints(&mut self, count: usize) -> Result<()> {
        let mut left = count;
        let rest = self.rest();
        for (index, byte) in rest.iter().enumerate() {
            if left == 0 {
                self.offset += index;
                return Ok(());
            }
            left -= usize::from(byte & 0x80 == 0);
        }
        let offset = self.bytes.len();
        if left > 0 {
            return Err(Error::Truncated { offset });
        }
        self.offset = offset;
        Ok(())
    }

    /// A zigzagged LEB128 number.
    #[inline]
    pub fn varint_i64(&mut self) -> Result<i64> {
        self.varint().map(unzigzag)
    }

    /// A LEB128 number that counts or measures something: refused when above `max`.
    #[inline]
    pub fn length(&mut self, max: usize, what: &'static str) -> Result<usize> {
        let offset = self.offset;
        let value = self.varint()?;
        match usize::try_from(value) {
            Ok(length) if length <= max => Ok(length),
            _ => Err(Error::Malformed { offset, what }),
        }
    }

    /// Bytes preceded by their LEB128 length.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.length(self.remaining(), "a length beyond the end of the bytes")?;
        self.take(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(
            (unsigned, signed) in (any::<u64>(), any::<i64>(), 0u32..64)
                .prop_map(|(unsigned, signed, bits)| (unsigned >> bits, signed >> bits)),
            tail in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut out = Vec::new();
            put_u64(&mut out, unsigned);
            put_i64(&mut out, signed);
            put_bytes(&mut out, &tail);
            let mut passed = Reader::new(&out);
            passed.skip_varints(2).unwrap();
            prop_assert_eq!(passed.bytes().unwrap(), &tail[..]);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint().unwrap(), unsigned);
            prop_assert_eq!(reader.varint_i64().unwrap(), signed);
            prop_assert_eq!(reader.bytes().unwrap(), &tail[..]);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            let mut reader = Reader::new(&bytes);
            while reader.varint().is_ok() {}
            prop_assert!(reader.offset() <= bytes.len());
        }
    }

    #[test]
    fn overlong_numbers_are_refused() {
        assert!(Reader::new(&[0xff; 11]).varint().is_err());
        assert!(Reader::new(&[0x80]).varint().is_err());
        assert!(Reader::new(&[1, 0x80]).skip_varints(2).is_err());
        assert!(Reader::new(&[5]).length(4, "too long").is_err());
    }
}
