//! Where the heap of an open database goes, against the one number that bounds it.
//!
//! Input: what heads, labels, queries and caches tell of themselves. Output: when to freeze the
//! heads, when appends wait, what a query may take. Shares of `Options::memory_bytes`: labels half;
//! heads, of what those leave, a quarter before they are frozen and half with those being flushed;
//! queries a quarter; what is kept of blocks three 32nds, which heads have less.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::block::BlockCache;
use crate::query::guard::Pool;
use crate::registry::LabelAccount;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    /// Bytes of all heads that anything holds.
    pub(crate) heads: Arc<AtomicU64>,
    /// Series and bytes of all registries.
    pub(crate) labels: Arc<LabelAccount>,
    /// Bytes of all queries under way.
    pub(crate) queries: Arc<Pool>,
    /// What is kept of blocks.
    pub(crate) blocks: Arc<BlockCache>,
}

impl Memory {
    /// Accounts of a database that may hold `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            heads: Arc::default(),
            labels: Arc::default(),
            queries: Arc::new(Pool::new(limit / 4)),
            blocks: BlockCache::new(usize::try_from(blocks_most(limit)).unwrap_or(usize::MAX)),
        }
    }

    /// Heap of the live heads at which they are frozen, in bytes.
    pub(crate) fn heads_full(&self) -> u64 {
        self.room() / 4
    }

    /// Heap of all heads at which appends wait, in bytes.
    pub(crate) fn heads_most(&self) -> u64 {
        self.room() / 2 - blocks_most(self.limit)
    }

    /// Heap that labels may take, in bytes.
    pub(crate) fn labels_most(&self) -> u64 {
        self.limit / 2
    }

    /// Heap that one merge of blocks may take, in bytes.
    pub(crate) fn merge_most(&self) -> u64 {
        (self.limit / 8).max(1)
    }

    /// Bytes that the heads hold, those that only a query still reads included.
    pub(crate) fn head_bytes(&self) -> u64 {
        self.heads.load(Ordering::Relaxed)
    }

    /// What labels leave, at least half.
    fn room(&self) -> u64 {
        let labels = self.labels.bytes.load(Ordering::Relaxed);
        self.limit - labels.min(self.limit / 2)
    }
}

/// Heap that what is kept of blocks may take, in bytes.
fn blocks_most(limit: u64) -> u64 {
    limit / 32 * 3
}
