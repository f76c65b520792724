//! Columns and their types as plain data, before they become C structs.
//!
//! Input and output: none; the shapes that `batches.rs` fills and `structs.rs` gives away.
//! Invariant: an array has as many buffers, children and dictionaries as its field says.

use std::ffi::{CStr, CString};

/// The type of a column, by Arrow's format strings.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) format: &'static CStr,
    pub(crate) name: CString,
    pub(crate) nullable: bool,
    pub(crate) children: Vec<Field>,
    pub(crate) dictionary: Option<Box<Field>>,
}

/// A column.
#[derive(Debug, Default)]
pub(crate) struct Array {
    pub(crate) len: usize,
    pub(crate) nulls: usize,
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) children: Vec<Array>,
    pub(crate) dictionary: Option<Box<Array>>,
}

/// Memory of a column.
#[derive(Debug)]
pub(crate) enum Buffer {
    /// No bitmap: nothing is null.
    Absent,
    Bytes(Vec<u8>),
    Ints(Vec<i32>),
    Longs(Vec<i64>),
    Doubles(Vec<f64>),
}

/// One bit a row, the first in the lowest.
#[derive(Debug, Default)]
pub(crate) struct Bitmap {
    bytes: Vec<u8>,
    len: usize,
    ones: usize,
}

impl Field {
    /// A column without children.
    pub(crate) fn plain(name: &str, format: &'static CStr) -> Self {
        // No label has a zero byte in Arrow's eyes: names end with one there.
        let name = CString::new(name.replace('\0', "\u{fffd}")).unwrap_or_default();
        Self {
            format,
            name,
            nullable: false,
            children: Vec::new(),
            dictionary: None,
        }
    }

    /// A column of text, each different one stored once.
    pub(crate) fn dictionary(name: &str) -> Self {
        Self {
            nullable: true,
            dictionary: Some(Box::new(Self::plain("", c"u"))),
            ..Self::plain(name, c"i")
        }
    }

    /// A row of columns.
    pub(crate) fn record(children: Vec<Self>) -> Self {
        Self {
            children,
            ..Self::plain("", c"+s")
        }
    }
}

impl Bitmap {
    /// Adds `count` equal bits.
    pub(crate) fn extend(&mut self, bit: bool, count: usize) {
        for _ in 0..count {
            if self.len.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(bit) << (self.len % 8);
            }
            self.len += 1;
        }
        self.ones += if bit { count } else { 0 };
    }

    /// How many bits are 0.
    pub(crate) fn zeros(&self) -> usize {
        self.len - self.ones
    }

    /// The bits.
    pub(crate) fn into_buffer(self) -> Buffer {
        Buffer::Bytes(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_begin_at_the_lowest() {
        let mut bits = Bitmap::default();
        bits.extend(true, 3);
        bits.extend(false, 6);
        bits.extend(true, 1);
        assert_eq!((bits.zeros(), &*bits.bytes), (6, &[0b111, 0b10][..]));
    }
}
