//! The one error of this crate: bytes that no encoder of ours wrote.
//!
//! Decoders return it with the offset inside the bytes they were given; the caller, who knows the
//! file, adds its name. Nothing here panics on input and nothing allocates before checking lengths.

use std::fmt;

/// What a decoder found wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end before the value that starts at `offset` is complete.
    Truncated {
        /// Offset in the input at which more bytes were expected.
        offset: usize,
    },
    /// The bytes cannot have been written by an encoder of this crate.
    Malformed {
        /// Offset in the input of the offending value.
        offset: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A tag, version or kind that this version of the crate does not know.
    Unsupported {
        /// Offset in the input of the tag.
        offset: usize,
        /// What kind of tag it is.
        what: &'static str,
        /// The tag found.
        found: u64,
    },
    /// The bytes are whole, but of another shape than the decoder reads.
    Mistaken {
        /// Offset in the input of the byte that tells.
        offset: usize,
        /// That byte.
        byte: u8,
        /// What the decoder reads: "a value column", say.
        expected: &'static str,
        /// What the byte begins: "a stream", say.
        found: &'static str,
    },
    /// A checksum does not match the bytes it covers.
    Checksum {
        /// Offset in the input of the first byte covered.
        offset: usize,
        /// The checksum stored.
        expected: u32,
        /// The checksum computed.
        found: u32,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The offset in the input at which the damage was noticed.
    pub fn offset(&self) -> usize {
        match *self {
            Error::Truncated { offset }
            | Error::Malformed { offset, .. }
            | Error::Unsupported { offset, .. }
            | Error::Mistaken { offset, .. }
            | Error::Checksum { offset, .. } => offset,
        }
    }

    /// The same error, its offset moved by `base`: for decoders of a part of a larger input.
    #[must_use]
    pub fn shifted(mut self, base: usize) -> Self {
        match &mut self {
            Error::Truncated { offset }
            | Error::Malformed { offset, .. }
            | Error::Unsupported { offset, .. }
            | Error::Mistaken { offset, .. }
            | Error::Checksum { offset, .. } => *offset = offset.saturating_add(base),
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Truncated { offset } => write!(f, "the bytes end early, at offset {offset}"),
            Error::Malformed { offset, what } => write!(f, "{what}, at offset {offset}"),
            Error::Unsupported {
                offset,
                what,
                found,
            } => {
                write!(
                    f,
                    "unknown {what} {found} at offset {offset}; a newer version may read it"
                )
            }
            Error::Mistaken {
                offset,
                byte,
                expected,
                found,
            } => write!(
                f,
                "{found}, which the byte {byte:#04x} at offset {offset} begins, where {expected} \
                 should be"
            ),
            Error::Checksum {
                offset,
                expected,
                found,
            } => write!(
                f,
                "checksum {found:08x} of the bytes from offset {offset} is not the stored \
                 {expected:08x}"
            ),
        }
    }
}

impl std::error::Error for Error {}
