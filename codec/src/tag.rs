//! The first byte of every chunk: how it is encoded and what its values are.
//!
//! The low five bits number the encoding, the high three the [`ValueKind`]. Streams and sealed
//! chunks share the numbers, so that no bytes can be mistaken for the other.

use crate::error::{Error, Result};
use crate::sample::ValueKind;
use crate::varint::Reader;

/// Bits of the encoding number.
const TAG_BITS: u32 = 5;

/// Encodings by their number on disk; never renumbered. 11 to 30 are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// A sealed chunk of this encoding.
    Sealed(crate::sealed::Encoding),
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

/// The byte that stands for `tag` and `kind`.
pub(crate) fn byte(tag: Tag, kind: ValueKind) -> u8 {
    tag.number() | (kind as u8) << TAG_BITS
}

/// Reads the byte and refuses another kind than f64; returns the number of the encoding.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<u8> {
    let offset = reader.offset();
    let byte = reader.u8()?;
    ValueKind::try_from(byte >> TAG_BITS).map_err(|error| error.shifted(offset))?;
    Ok(byte & ((1 << TAG_BITS) - 1))
}

/// Reads the byte and refuses anything but `tag` with values of f64.
pub(crate) fn expect(reader: &mut Reader<'_>, tag: Tag) -> Result<()> {
    let offset = reader.offset();
    let found = read(reader)?;
    if found != tag.number() {
        return Err(Error::Unsupported {
            offset,
            what: "encoding here",
            found: found.into(),
        });
    }
    Ok(())
}
