//! Pool: memory that several queries share.
//!
//! Input: what each of them holds. Output: whether it is too much for all together. Invariant: what
//! a query holds is in its pool from when it is counted until the query ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that queries at the same time may hold together. Clones are the same pool.
///
/// ```
/// use treering::Db;
/// use treering_promql::{Error, Evaluator, Features, Options, Pool, parse};
/// let db = Db::in_memory()?;
/// let options = Options { pool: Some(Pool::new(1 << 20)), ..Options::default() };
/// let evaluator = Evaluator::new(&db).options(options);
/// let large = parse("sum_over_time(vector(1)[1h:1ms])", &Features::default())?;
/// assert!(matches!(evaluator.instant(&large, 0), Err(Error::PoolEmpty { .. })));
/// assert!(evaluator.instant(&parse("1 + 1", &Features::default())?, 0).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: usize,
    held: AtomicUsize,
}

impl Pool {
    /// A pool of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                limit: bytes,
                held: AtomicUsize::new(0),
            }),
        }
    }

    /// The bytes that queries hold now.
    pub fn held(&self) -> usize {
        self.inner.held.load(RELAXED)
    }

    /// The bytes that they may hold.
    pub fn limit(&self) -> usize {
        self.inner.limit
    }

    /// Takes bytes; false where that is more than there are. They are taken all the same, until
    /// [`Pool::give`] puts them back.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let held = self.inner.held.fetch_add(bytes, RELAXED);
        held.saturating_add(bytes) <= self.inner.limit
    }

    /// Puts bytes back.
    pub(crate) fn give(&self, bytes: usize) {
        self.inner.held.fetch_sub(bytes, RELAXED);
    }
}

/// The counter guards no other memory, so it needs no order.
const RELAXED: Ordering = Ordering::Relaxed;
