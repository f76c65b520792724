//! The index of an open block: which series it has, and their labels.
//!
//! Input: matchers, ordinals. Output: ordinals, labels, names and values. Invariant: the bytes of
//! an index that is not mapped are counted from when they are read until the last reader is through;
//! two that want the same index at a time share it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use treering_index::{IndexReader, Labels, LabelsCursor, Matcher, Postings};

use super::read::Block;
use crate::error::{Error, Result};
use crate::sync::Mutex;

/// An index in memory, or mapped.
#[derive(Debug)]
pub(super) struct OpenIndex {
    reader: IndexReader<Bytes>,
    /// Heap that it takes.
    bytes: usize,
    account: Arc<AtomicUsize>,
}

impl OpenIndex {
    /// Counts `bytes` in `account` for as long as it lives.
    fn new(reader: IndexReader<Bytes>, bytes: usize, account: &Arc<AtomicUsize>) -> Self {
        account.fetch_add(bytes, Ordering::Relaxed);
        let account = Arc::clone(account);
        Self {
            reader,
            bytes,
            account,
        }
    }

    /// Heap that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for OpenIndex {
    fn drop(&mut self) {
        self.account.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Where a block finds its index.
#[derive(Debug, Default)]
pub(super) struct IndexPlace {
    /// Once it was read, if it is mapped.
    mapped: OnceLock<Arc<OpenIndex>>,
    /// The one that was read last.
    held: Mutex<Weak<OpenIndex>>,
}

/// Reads the index of one block, which stays in memory for as long as this is held.
#[derive(Debug)]
pub(crate) struct BlockIndex<'a> {
    block: &'a Block,
    index: Arc<OpenIndex>,
}

/// Reads the labels of the series of one block.
#[derive(Debug)]
pub(crate) struct BlockLabels<'a> {
    block: &'a Block,
    cursor: LabelsCursor<'a, Bytes>,
}

impl BlockLabels<'_> {
    /// Labels of the series `ordinal`.
    pub(crate) fn labels(&mut self, ordinal: u32) -> Result<Labels> {
        self.cursor
            .labels(ordinal)
            .map_err(|error| self.block.index_error(error))
    }
}

impl BlockIndex<'_> {
    /// Ordinals of the series that all of `matchers` accept, ascending: label order.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> Result<Postings> {
        let found = self.index.reader.select(matchers);
        found.map_err(|error| self.block.index_error(error))
    }

    /// The series that a tombstone with this sequence and these matchers selects; looked up anew
    /// once the cache of the block has let go of them.
    pub(crate) fn hidden(&self, sequence: u64, matchers: &[Matcher]) -> Result<Arc<Postings>> {
        let postings = Arc::new(self.select(matchers)?);
        self.block.things().keep_postings(sequence, &postings);
        Ok(postings)
    }

    /// A reader of the labels of many series, fastest in ascending order.
    pub(crate) fn labels(&self) -> Result<BlockLabels<'_>> {
        let cursor = self.index.reader.cursor();
        Ok(BlockLabels {
            block: self.block,
            cursor: cursor.map_err(|error| self.block.index_error(error))?,
        })
    }

    /// Names of the labels of all series, or of those in `postings`, sorted.
    fn label_names(&self, postings: Option<&Postings>) -> Result<Vec<String>> {
        let names = self.index.reader.label_names(postings);
        names.map_err(|error| self.block.index_error(error))
    }

    /// Whether it is known to have the same values of the label `name` as `listed`, of which they
    /// were read: damage found here is that of this one.
    pub(crate) fn has_values_of(&self, listed: &BlockIndex<'_>, name: &str) -> Result<bool> {
        let same = self.index.reader.has_values_of(&listed.index.reader, name);
        same.map_err(|error| self.block.index_error(error))
    }

    /// Bytes that another index has too if it has the same series under the same ordinals, and else
    /// has not.
    pub(crate) fn fingerprint(&self) -> &[u8] {
        self.index.reader.fingerprint()
    }

    /// Values of the label `name` in all series, or in those in `postings`, sorted.
    pub(crate) fn label_values(
        &self,
        name: &str,
        postings: Option<&Postings>,
    ) -> Result<Vec<String>> {
        let values = self.index.reader.label_values(name, postings);
        values.map_err(|error| self.block.index_error(error))
    }

    /// Checks every section.
    pub(super) fn verify(&self) -> Result<()> {
        let verified = self.index.reader.verify();
        verified.map_err(|error| self.block.index_error(error))
    }
}

impl Block {
    /// The index, read at first use and, when the cache has let go of it, again. Hold it over
    /// several questions. It brings checksums of its own.
    pub(crate) fn index(&self) -> Result<BlockIndex<'_>> {
        let known = self.index.mapped.get().cloned();
        let index = match known.or_else(|| self.things().index()) {
            Some(index) => index,
            None => self.index_anew()?,
        };
        Ok(BlockIndex { block: self, index })
    }

    /// The index that somebody reads just now, or else opened. Who wants it meanwhile waits.
    fn index_anew(&self) -> Result<Arc<OpenIndex>> {
        let mut held = self.index.held.lock();
        if let Some(index) = held.upgrade() {
            return Ok(index);
        }
        let index = Arc::new(self.open_index()?);
        match self.pages.keeps_on_heap() {
            true => self.things().keep_index(&index),
            false => drop(self.index.mapped.set(Arc::clone(&index))),
        }
        *held = Arc::downgrade(&index);
        Ok(index)
    }

    /// Ordinals of the series that all of `matchers` accept, ascending: label order.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> Result<Postings> {
        self.index()?.select(matchers)
    }

    /// The series that a tombstone with this sequence selects, if they are in the cache.
    pub(crate) fn known_hidden(&self, sequence: u64) -> Option<Arc<Postings>> {
        self.things().postings(sequence)
    }

    /// Labels of the series `ordinal`.
    #[cfg(test)]
    pub(crate) fn labels(&self, ordinal: u32) -> Result<Labels> {
        self.index()?.labels()?.labels(ordinal)
    }

    /// Names of the labels of all series, or of those in `postings`, sorted.
    pub(crate) fn label_names(&self, postings: Option<&Postings>) -> Result<Vec<String>> {
        self.index()?.label_names(postings)
    }

    fn open_index(&self) -> Result<OpenIndex> {
        let section = &self.footer.sections.index;
        let bytes = self.pages.unchecked(section)?;
        let heap = match self.pages.keeps_on_heap() {
            true => bytes.len(),
            false => 0,
        };
        let index = IndexReader::open(bytes).map_err(|error| self.index_error(error))?;
        if u64::from(index.series_count()) != self.footer.info.series {
            let what = "index and footer count different numbers of series";
            return Err(Error::corrupt(self.path(), section.start, what));
        }
        Ok(OpenIndex::new(index, heap, self.things().index_account()))
    }

    /// The index knows offsets in its own bytes only.
    fn index_error(&self, error: treering_index::Error) -> Error {
        match error {
            treering_index::Error::Damaged(damage) => {
                Error::codec(self.path(), self.footer.sections.index.start, damage)
            }
            other => Error::Labels(other),
        }
    }
}
