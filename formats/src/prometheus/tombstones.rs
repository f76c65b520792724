//! What was deleted of a block.
//!
//! Input: the bytes of a file `tombstones`. Output: for each series the times that are gone. Source:
//! `tsdb/docs/format/tombstones.md`.

use std::collections::HashMap;

use super::series::Deleted;
use crate::cursor::Cursor;
use crate::error::{Error, Result};

const MAGIC: u32 = 0x0130_BA30;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;
const CHECKSUM_BYTES: usize = 4;

/// Deletes of a block, by series.
#[derive(Debug, Default)]
pub struct Tombstones {
    of: HashMap<u64, Deleted>,
}

impl Tombstones {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Corrupt when the bytes are damaged or something else, unsupported for a version that is not known.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let mut header = Cursor::new(bytes, 0);
        if header.u32("the magic number")? != MAGIC {
            return Err(Error::corrupt(0, "no tombstones of Prometheus"));
        }
        let version = header.u8("the version")?;
        if version != VERSION {
            return Err(Error::unsupported(
                4,
                format!("version {version} of tombstones"),
            ));
        }
        let end = bytes.len().checked_sub(CHECKSUM_BYTES);
        let body = end.and_then(|end| bytes.get(HEADER_BYTES..end));
        let body = body.ok_or_else(|| header.fault("no checksum"))?;
        let checksum = Cursor::new(bytes, HEADER_BYTES + body.len()).u32("the checksum")?;
        if crc32c::crc32c(body) != checksum {
            return Err(Error::corrupt(0, "the checksum of the tombstones is wrong"));
        }
        let mut of: HashMap<u64, Deleted> = HashMap::new();
        let mut cursor = Cursor::new(body, 0);
        while !cursor.is_at_end() {
            let moved = |error: Error| error.moved(HEADER_BYTES as u64);
            let series = cursor.uvarint("a series").map_err(moved)?;
            let first = cursor.varint("a first time").map_err(moved)?;
            let last = cursor.varint("a last time").map_err(moved)?;
            of.entry(series).or_default().add(first, last);
        }
        Ok(Self { of })
    }

    /// What is gone of a series, by [`IndexedSeries::reference`](super::IndexedSeries::reference).
    pub fn of(&self, series: u64) -> Option<&Deleted> {
        self.of.get(&series)
    }
}
