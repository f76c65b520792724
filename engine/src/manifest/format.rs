//! The bytes of the manifest: its header and the frame of a record. Pure, no I/O.
//!
//! `docs/format/manifest.md` has the boxes. A record is an [`Edit`]; applying all of them in order
//! to an empty [`State`] gives what is live. A rewritten manifest starts with one edit that makes
//! the whole state.

use treering_codec::varint::Reader;
use treering_codec::{Error, Result, crc32, crc32_parts};

pub(crate) use super::edit::{BlockEntry, Edit};
pub(crate) use super::state::State;
use crate::limits::MAX_MANIFEST_RECORD_BYTES;

/// First bytes of every manifest.
pub(crate) const MAGIC: [u8; 8] = *b"TREEMAN\0";
/// Version of the format that this release writes, and the newest it reads.
pub(crate) const VERSION: u32 = 2;
/// Length of the file header.
pub(crate) const HEADER_BYTES: usize = 32;
/// Length of a record's header.
pub(crate) const RECORD_HEADER_BYTES: usize = 16;

/// The file header: names the database, whose id seeds every checksum in it.
pub(crate) fn encode_header(database: u64) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[0..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[16..24].copy_from_slice(&database.to_le_bytes());
    let crc = crc32(0, &out[..HEADER_BYTES - 4]);
    out[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The database that a manifest belongs to, and the version it is written in; `Unsupported` for a
/// newer one.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<(u64, u32)> {
    let mut reader = Reader::new(bytes);
    let magic = reader.array::<8>()?;
    let version = reader.u32()?;
    let _reserved = reader.u32()?;
    let database = reader.u64()?;
    let _reserved = reader.u32()?;
    let expected = reader.u32()?;
    if magic != MAGIC {
        return Err(Error::Malformed {
            offset: 0,
            what: "not a manifest",
        });
    }
    let found = crc32(0, &bytes[..HEADER_BYTES - 4]);
    if found != expected {
        return Err(Error::Checksum {
            offset: 0,
            expected,
            found,
        });
    }
    if version == 0 || version > VERSION {
        let found = u64::from(version);
        return Err(Error::Unsupported {
            offset: 8,
            what: "manifest version",
            found,
        });
    }
    Ok((database, version))
}

/// The bytes of record `number` (they count up from 0 in a file).
pub(crate) fn encode_record(database: u64, number: u64, edit: &Edit) -> Vec<u8> {
    let payload = edit.encode();
    let mut out = vec![0; RECORD_HEADER_BYTES];
    out[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    out[8..16].copy_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&payload);
    let crc = record_crc(database, &out[4..]);
    out[0..4].copy_from_slice(&crc.to_le_bytes());
    out
}

/// A record whose checksum is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) number: u64,
    /// The bytes of an [`Edit`].
    pub(crate) payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// Bytes that the record takes in the file.
    pub(crate) fn len(&self) -> usize {
        RECORD_HEADER_BYTES + self.payload.len()
    }

    /// The record at the start of `bytes`, if a whole one is there.
    pub(crate) fn open(database: u64, bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let expected = reader.u32()?;
        let offset = reader.offset();
        let len = reader.u32()? as usize;
        let number = reader.u64()?;
        if len > MAX_MANIFEST_RECORD_BYTES {
            return Err(Error::Malformed {
                offset,
                what: "a manifest record that is too long",
            });
        }
        let payload = reader.take(len)?;
        let found = record_crc(database, &bytes[4..reader.offset()]);
        if found != expected {
            return Err(Error::Checksum {
                offset: 4,
                expected,
                found,
            });
        }
        Ok(Self { number, payload })
    }
}

fn record_crc(database: u64, bytes: &[u8]) -> u32 {
    crc32_parts(0, &[b"manifest", &database.to_le_bytes(), bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_the_database_and_every_version_up_to_now() {
        let bytes = encode_header(99);
        assert_eq!(decode_header(&bytes), Ok((99, VERSION)));
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_header(&damaged).is_err(), "bit {bit}");
        }
        for (version, read) in [(0, false), (1, true), (2, true), (3, false)] {
            let mut other = bytes;
            other[8] = version;
            let crc = crc32(0, &other[..HEADER_BYTES - 4]);
            other[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(decode_header(&other).is_ok(), read, "version {version}");
        }
    }
}
