//! Bytes, read one field after the other: big-endian numbers and Go's varints.
//!
//! Input: bytes. Output: fields; an error with its offset where they end too soon. Invariant: no
//! read goes beyond the bytes, whatever they say.

use crate::error::{Error, Result};

/// A place in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The bytes from `at` on; behind their end everything is an error.
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Bytes from the begin to here.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.fault(format!("{what} goes beyond the end")))?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let taken = self.take(N, what)?;
        let mut array = [0; N];
        array.copy_from_slice(taken);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, what: &str) -> Result<u8> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn u16(&mut self, what: &str) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn f64(&mut self, what: &str) -> Result<f64> {
        Ok(f64::from_bits(self.u64(what)?))
    }

    /// Seven bits a byte, the lowest first (LEB128, as Go's `binary.Uvarint`).
    pub(crate) fn uvarint(&mut self, what: &str) -> Result<u64> {
        let begin = *self;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(begin.fault(format!("{what} is no number of 64 bits")))
    }

    /// The same with the sign in the lowest bit (as Go's `binary.Varint`).
    pub(crate) fn varint(&mut self, what: &str) -> Result<i64> {
        let value = self.uvarint(what)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// How many things follow, of which each takes at least `least` bytes.
    pub(crate) fn count(&mut self, least: usize, what: &str) -> Result<usize> {
        let begin = *self;
        let count = self.uvarint(what)?;
        let left = self.bytes.len().saturating_sub(self.at);
        let fits = usize::try_from(count).ok();
        let fits = fits.filter(|&count| count <= left / least.max(1));
        fits.ok_or_else(|| begin.fault(format!("{what}: {count} do not fit into what is left")))
    }

    /// A length and as many bytes of UTF-8.
    pub(crate) fn text(&mut self, what: &str) -> Result<&'a str> {
        let length = self.count(1, what)?;
        let begin = *self;
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes).map_err(|_| begin.fault(format!("{what} is not UTF-8")))
    }

    /// An error at this place.
    pub(crate) fn fault(&self, what: impl Into<String>) -> Error {
        Error::corrupt(self.at as u64, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_writes_them() {
        let bytes = [
            0x01, 0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
        ];
        let mut cursor = Cursor::new(&bytes, 0);
        assert_eq!(cursor.varint("a"), Ok(-1));
        assert_eq!(cursor.uvarint("b"), Ok(128));
        assert_eq!(cursor.uvarint("c"), Ok(u64::MAX));
        assert!(cursor.is_at_end());
        assert!(cursor.u8("d").is_err());
        let over = [0xff; 10];
        assert!(Cursor::new(&over, 0).uvarint("e").is_err());
        assert!(Cursor::new(&over, 11).u8("f").is_err());
    }

    #[test]
    fn counts_are_held_against_what_is_left() {
        let bytes = [3, b'a', b'b'];
        assert!(Cursor::new(&bytes, 0).text("a name").is_err());
        assert_eq!(Cursor::new(&[2, b'a', b'b'], 0).text("a name"), Ok("ab"));
        assert!(Cursor::new(&[1, 0xff], 0).text("a name").is_err());
        let bytes = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert!(Cursor::new(&bytes, 0).count(1, "spans").is_err());
    }
}
