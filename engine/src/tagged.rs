//! Tagged fields: what lets a format grow. Pure, no I/O.
//!
//! Input: fields as tag, length, bytes. Output: the same fields one by one, tags ascending, each at
//! most once. Invariant: a reader that does not know a tag says so and never skips it, because what
//! a newer release wrote there may change the meaning of the rest.

use treering_codec::varint::{Reader, put_bytes, put_u64};
use treering_codec::{Error, Result};

/// Appends a field whose bytes `fill` makes; tags must ascend.
pub(crate) fn put_field(out: &mut Vec<u8>, tag: u64, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = Vec::new();
    fill(&mut bytes);
    put_u64(out, tag);
    put_bytes(out, &bytes);
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) tag: u64,
    /// Offset of the tag in what [`Fields`] reads.
    offset: usize,
    /// Offset of the first of `bytes` there.
    base: usize,
    bytes: &'a [u8],
}

impl<'a> Field<'a> {
    /// What `read` makes of the field's bytes, all of which it must take.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&mut Reader<'a>) -> Result<T>) -> Result<T> {
        read_whole(self.bytes, read).map_err(|error| error.shifted(self.base))
    }

    /// The error that the tag is a newer release's.
    pub(crate) fn unknown(&self, what: &'static str) -> Error {
        Error::Unsupported {
            offset: self.offset,
            what,
            found: self.tag,
        }
    }
}

/// The fields from where a reader stands to the end of its input.
#[derive(Debug)]
pub(crate) struct Fields<'r, 'a> {
    reader: &'r mut Reader<'a>,
    /// Smallest tag that may come next.
    next: u64,
}

impl<'r, 'a> Fields<'r, 'a> {
    /// All that `reader` has left.
    pub(crate) fn new(reader: &'r mut Reader<'a>) -> Self {
        Self { reader, next: 1 }
    }

    /// The next field; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let offset = self.reader.offset();
        let tag = self.reader.varint()?;
        if tag < self.next {
            return Err(Error::Malformed {
                offset,
                what: "fields out of order",
            });
        }
        self.next = tag.saturating_add(1);
        let bytes = self.reader.bytes()?;
        Ok(Some(Field {
            tag,
            offset,
            base: self.reader.offset() - bytes.len(),
            bytes,
        }))
    }
}

/// What `read` makes of `bytes`, all of which it must take.
pub(crate) fn read_whole<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T>,
) -> Result<T> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader)?;
    if reader.is_empty() {
        return Ok(value);
    }
    Err(Error::Malformed {
        offset: reader.offset(),
        what: "bytes behind the last value",
    })
}

/// A number of 32 bits.
pub(crate) fn read_u32(reader: &mut Reader<'_>, what: &'static str) -> Result<u32> {
    let offset = reader.offset();
    u32::try_from(reader.varint()?).map_err(|_| Error::Malformed { offset, what })
}

/// Text of at most `max` bytes.
pub(crate) fn read_text<'a>(
    reader: &mut Reader<'a>,
    max: usize,
    what: &'static str,
) -> Result<&'a str> {
    let offset = reader.offset();
    let bytes = reader.bytes()?;
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= max => Ok(text),
        _ => Err(Error::Malformed { offset, what }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(bytes: &[u8]) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut reader = Reader::new(bytes);
        let mut fields = Fields::new(&mut reader);
        let mut found = Vec::new();
        while let Some(field) = fields.next()? {
            let bytes = field.read(|reader| reader.take(reader.remaining()))?;
            found.push((field.tag, bytes.to_vec()));
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn fields_come_back(
            fields: std::collections::BTreeMap<u64, Vec<u8>>,
        ) {
            let fields: Vec<_> = fields.into_iter().filter(|field| field.0 > 0).collect();
            let mut out = Vec::new();
            for (tag, bytes) in &fields {
                put_field(&mut out, *tag, |out| out.extend_from_slice(bytes));
            }
            prop_assert_eq!(read_all(&out), Ok(fields));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(fields) = read_all(&bytes) {
                prop_assert!(fields.is_sorted_by(|a, b| a.0 < b.0));
            }
        }
    }

    #[test]
    fn a_field_twice_or_out_of_order_is_refused_at_its_tag() {
        let refused = |bytes: &[u8]| read_all(bytes).unwrap_err().offset();
        assert_eq!(refused(&[3, 0, 3, 0]), 2);
        assert_eq!(refused(&[3, 1, 9, 2, 0]), 3);
        assert_eq!(refused(&[0, 0]), 0);
    }

    #[test]
    fn what_a_field_does_not_use_is_refused_at_its_place() {
        let bytes = [1, 2, 7, 8];
        let mut reader = Reader::new(&bytes);
        let field = Fields::new(&mut reader).next().unwrap().unwrap();
        assert_eq!(field.read(|reader| reader.u8()).unwrap_err().offset(), 3);
        assert_eq!(field.read(|reader| reader.u16()), Ok(0x0807));
        assert_eq!(field.unknown("thing").offset(), 0);
    }
}
