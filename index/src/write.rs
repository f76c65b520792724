//! Writer of the immutable index of a block.
//!
//! Input: label sets in label order. Output: bytes for [`IndexReader`](crate::IndexReader).

use treering_codec::crc32;
use treering_codec::varint::put_bytes;

use crate::error::{Error, Result};
use crate::format::{FOOTER_BYTES, MAGIC, VERSION};
use crate::labels::Labels;
use crate::memory::MemIndex;
use crate::text::short_text;

/// Makes the bytes of an immutable index from label sets in label order.
#[derive(Debug, Default)]
pub struct IndexWriter {
    pub(crate) index: MemIndex,
    last: Option<Labels>,
}

impl IndexWriter {
    /// A writer without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series and returns its ordinal: 0, 1, 2, ... Refuses a label set that is not above
    /// the one before it.
    pub fn add(&mut self, labels: &Labels) -> Result<u32> {
        if self.last.as_ref().is_some_and(|last| last >= labels) {
            return Err(Error::OutOfOrder {
                labels: short_text(labels, 256),
            });
        }
        let ordinal = self.index.append(labels)?;
        self.last = Some(labels.clone());
        Ok(ordinal)
    }

    /// The bytes of the index.
    pub fn finish(self) -> Result<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        let mut canonical = Vec::new();
        for id in 0..self.index.len() as u32 {
            canonical.clear();
            self.index.write_canonical(id, &mut canonical);
            put_bytes(&mut out, &canonical);
        }
        let crc = crc32(0, &out);
        out.extend_from_slice(&crc.to_le_bytes());
        debug_assert!(out.len() >= FOOTER_BYTES);
        Ok(out)
    }
}
