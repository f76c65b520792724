//! The first byte of every chunk: how it is encoded and what its values are.
//!
//! The low five bits number the encoding, the high three the [`ValueKind`]. Streams, sealed value
//! columns and timestamp columns begin with different bytes, so that none can be mistaken for
//! another: a decoder that is handed the wrong one says which it is. Where extras stand beside the
//! values, the column begins with a byte of their kind, behind which it stands whole.

use crate::error::{Error, Result};
use crate::sample::ValueKind;
use crate::sealed::Encoding;
use crate::time;
use crate::varint::Reader;

/// Bits of the encoding number.
const TAG_BITS: u32 = 5;

/// Encodings by their number on disk; never renumbered. 11 to 30 are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// A sealed chunk of this encoding.
    Sealed(Encoding),
    /// A stream.
    Stream,
}

impl Tag {
    fn number(self) -> u8 {
        match self {
            Tag::Sealed(encoding) => encoding as u8,
            Tag::Stream => 31,
        }
    }
}

/// What a decoder reads, in the words of its errors.
pub(crate) const STREAM: &str = "a stream";
pub(crate) const VALUES: &str = "a value column";
pub(crate) const TIMESTAMPS: &str = "a timestamp column";
const EXTENDED: &str = "a value column with extras";

/// The byte that stands for `tag` and `kind`.
pub(crate) fn byte(tag: Tag, kind: ValueKind) -> u8 {
    tag.number() | (kind as u8) << TAG_BITS
}

/// The first byte of a value column with extras, which have encodings of their own.
pub(crate) const fn extended_byte() -> u8 {
    (ValueKind::Extended as u8) << TAG_BITS
}

/// What `byte` begins, if this version knows it.
fn begins(byte: u8) -> Option<&'static str> {
    let kind = ValueKind::try_from(byte >> TAG_BITS).ok();
    let number = byte & ((1 << TAG_BITS) - 1);
    match kind {
        _ if time::is_tag(byte) => Some(TIMESTAMPS),
        Some(ValueKind::Extended) => (number == 0).then_some(EXTENDED),
        Some(_) if number == Tag::Stream.number() => Some(STREAM),
        Some(_) if usize::from(number) < Encoding::ALL.len() => Some(VALUES),
        _ => None,
    }
}

/// Why `byte` at `offset` does not begin what was `expected`: it begins something else, or what only
/// a newer version knows, of which `what` is the number `found`.
pub(crate) fn refused(
    byte: u8,
    offset: usize,
    expected: &'static str,
    (what, found): (&'static str, u8),
) -> Error {
    match begins(byte) {
        Some(found) => Error::Mistaken {
            offset,
            byte,
            expected,
            found,
        },
        None => Error::Unsupported {
            offset,
            what,
            found: found.into(),
        },
    }
}

/// Reads the byte of `expected` and refuses another kind than f64; returns it and the number of the
/// encoding.
fn read(reader: &mut Reader<'_>, expected: &'static str) -> Result<(u8, u8)> {
    let offset = reader.offset();
    let byte = reader.u8()?;
    let kind = byte >> TAG_BITS;
    match ValueKind::try_from(kind) {
        Ok(ValueKind::F64) => Ok((byte, byte & ((1 << TAG_BITS) - 1))),
        Ok(_) | Err(_) => Err(refused(byte, offset, expected, ("value kind", kind))),
    }
}

/// Reads the byte of a sealed value column.
pub(crate) fn read_encoding(reader: &mut Reader<'_>) -> Result<Encoding> {
    let offset = reader.offset();
    let (byte, number) = read(reader, VALUES)?;
    let known = Encoding::ALL.get(usize::from(number)).copied();
    known.ok_or_else(|| refused(byte, offset, VALUES, ("value encoding", number)))
}

/// Reads the byte of a stream.
pub(crate) fn read_stream(reader: &mut Reader<'_>) -> Result<()> {
    let offset = reader.offset();
    let (byte, number) = read(reader, STREAM)?;
    if number != Tag::Stream.number() {
        return Err(refused(byte, offset, STREAM, ("stream encoding", number)));
    }
    Ok(())
}
