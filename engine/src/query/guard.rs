//! The guard of one query: counts what it uses, stops it at a limit, at its deadline or when told.
//!
//! Input: what is about to be read or allocated. Output: leave to go on, or the error that ends the
//! query. Invariant: all clones of a guard count together, on whatever thread, and what is refused
//! is not counted; memory is counted until its holder gives it back, at the latest when the last
//! clone goes. What all queries of a database hold together has a bound of its own: their pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::merge::{MERGE_BYTES, Merged};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::options::QueryLimits;

/// Cancels the queries that were given a clone of it, from any thread.
#[derive(Debug, Clone, Default)]
pub struct CancelToken {
    cancelled: Arc<AtomicBool>,
}

impl CancelToken {
    /// A token that nobody has cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the queries that hold this token with `Error::Cancelled`, at their next chunk.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether [`CancelToken::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// What one query has used so far, against what it may use. Clones are of the same query.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    query: Arc<Running>,
}

/// One query under way.
#[derive(Debug)]
struct Running {
    limits: QueryLimits,
    /// Each of them ends it.
    cancel: Vec<CancelToken>,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    series: AtomicU64,
    samples: AtomicU64,
    /// Counted in the pool as well.
    bytes: AtomicU64,
    pool: Arc<Pool>,
}

/// The working memory of all queries of a database.
#[derive(Debug)]
pub(crate) struct Pool {
    limit: u64,
    used: AtomicU64,
}

impl Pool {
    /// A pool of `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        let used = AtomicU64::new(0);
        Self { limit, used }
    }

    /// Bytes that queries hold now.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(RELAXED)
    }

    fn give_back(&self, less: u64) {
        self.used.fetch_sub(less, RELAXED);
    }
}

impl Guard {
    pub(crate) fn new(
        limits: QueryLimits,
        cancel: Vec<CancelToken>,
        clock: Arc<dyn Clock>,
        pool: Arc<Pool>,
    ) -> Self {
        let deadline = clock.monotonic().saturating_add(limits.timeout);
        let query = Arc::new(Running {
            limits,
            cancel,
            clock,
            deadline,
            series: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            pool,
        });
        Self { query }
    }

    /// Refuses to go on after cancellation or the deadline.
    pub(crate) fn check(&self) -> Result<()> {
        if self.query.cancel.iter().any(CancelToken::is_cancelled) {
            return Err(Error::Cancelled);
        }
        if self.query.clock.monotonic() > self.query.deadline {
            return Err(Error::Timeout {
                limit: self.query.limits.timeout,
            });
        }
        Ok(())
    }

    /// Counts `more` series matched.
    pub(crate) fn series(&self, more: u64) -> Result<()> {
        let limit = self.query.limits.series;
        count(&self.query.series, more, limit).map_err(|_| {
            Error::limit(
                "query series limit",
                limit,
                "this selector",
                "select fewer series or raise QueryLimits::series",
            )
        })
    }

    /// Counts `more` samples read.
    pub(crate) fn samples(&self, more: u64) -> Result<()> {
        let limit = self.query.limits.samples;
        count(&self.query.samples, more, limit).map_err(|_| {
            Error::limit(
                "query sample limit",
                limit,
                "this query",
                "ask for a shorter range or raise QueryLimits::samples",
            )
        })
    }

    /// Counts `more` bytes of working memory.
    pub(crate) fn bytes(&self, more: u64) -> Result<()> {
        let limit = self.query.limits.bytes;
        count(&self.query.bytes, more, limit).map_err(|wanted| {
            Error::limit(
                "query memory limit",
                limit,
                format!("this query, which asked for {wanted} bytes"),
                "ask for fewer series, windows or groups at a time, raise QueryLimits::bytes, or \
                 lower Options::query_threads",
            )
        })?;
        let pool = &self.query.pool;
        count(&pool.used, more, pool.limit).map_err(|wanted| {
            let own = self.query.bytes.fetch_sub(more, RELAXED) - more;
            let others = wanted.saturating_sub(more).saturating_sub(own);
            Error::limit(
                "query memory of the database",
                pool.limit,
                format!(
                    "this query, which asked for {more} bytes beside {own} of its own, with \
                     {others} bytes in use by other queries"
                ),
                "ask again when they are through, ask for less at a time, drop iterators that are \
                 not needed, or raise Options::memory_bytes (queries may take a quarter of it)",
            )
        })
    }

    /// Gives back `less` bytes of working memory.
    pub(crate) fn release(&self, less: u64) {
        let rest = |used: u64| Some(used.saturating_sub(less));
        let before = self.query.bytes.fetch_update(RELAXED, RELAXED, rest);
        let before = before.unwrap_or_else(|before| before);
        self.query.pool.give_back(less.min(before));
    }

    /// Working memory that is given back when its holder is dropped; none yet.
    pub(crate) fn hold(&self) -> Held {
        Held {
            guard: self.clone(),
            bytes: 0,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.pool.give_back(*self.bytes.get_mut());
    }
}

/// The counters guard no other memory, so they need no order.
const RELAXED: Ordering = Ordering::Relaxed;

/// Adds `more` to `used`, unless the sum is over `limit`; the error is that sum.
fn count(used: &AtomicU64, more: u64, limit: u64) -> Result<(), u64> {
    let within = |used: u64| Some(used.saturating_add(more)).filter(|&sum| sum <= limit);
    let counted = used.fetch_update(RELAXED, RELAXED, within);
    counted
        .map(|_| ())
        .map_err(|used| used.saturating_add(more))
}

/// Working memory of one holder, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    guard: Guard,
    bytes: u64,
}

impl Held {
    /// The guard of the query.
    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Counts `more` bytes.
    pub(crate) fn add(&mut self, more: u64) -> Result<()> {
        self.guard.bytes(more)?;
        self.bytes += more;
        Ok(())
    }

    /// A holder of its own for `bytes` of them.
    pub(crate) fn split_off(&mut self, bytes: u64) -> Held {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Held {
            guard: self.guard.clone(),
            bytes,
        }
    }

    /// Gives all of them back.
    fn free(&mut self) {
        self.guard.release(std::mem::take(&mut self.bytes));
    }

    /// Counts as many bytes as are missing to `bytes`: for memory that is used again.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> Result<()> {
        self.add(bytes.saturating_sub(self.bytes))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.free();
    }
}

/// What the columns and the merger of one reader take; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Buffers {
    columns: Held,
    merger: Held,
    extras: Held,
}

impl Buffers {
    pub(crate) fn new(guard: &Guard) -> Self {
        Self {
            columns: guard.hold(),
            merger: guard.hold(),
            extras: guard.hold(),
        }
    }

    /// Counts `samples` about to be decoded into columns that hold `kept` already, and the memory
    /// for them; `merged` when they come from several runs.
    pub(crate) fn read(&mut self, samples: u64, kept: usize, merged: bool) -> Result<()> {
        let guard = &self.columns.guard;
        guard.check()?;
        guard.samples(samples)?;
        let columns = samples.saturating_add(kept as u64);
        self.columns
            .grow_to(columns.saturating_mul(COLUMNS_BYTES))?;
        if merged {
            self.merger.grow_to(samples.saturating_mul(MERGE_BYTES))?;
        }
        Ok(())
    }

    /// Counts what the samples so far have beside their floats. A chunk is decoded before it can
    /// be counted.
    pub(crate) fn extras(&mut self, merged: &Merged) -> Result<()> {
        match merged.extras.is_empty() {
            true => Ok(()),
            false => self.extras.grow_to(merged.extras.heap_bytes() as u64),
        }
    }

    /// Gives the memory back, once columns and merger have freed it.
    pub(crate) fn free(&mut self) {
        self.columns.free();
        self.merger.free();
        self.extras.free();
    }
}

/// Bytes of a sample in two columns.
const COLUMNS_BYTES: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn guard(limits: QueryLimits) -> Guard {
        guard_of(limits, &Arc::new(Pool::new(u64::MAX)))
    }

    fn guard_of(limits: QueryLimits, pool: &Arc<Pool>) -> Guard {
        let clock = Arc::new(SystemClock::new());
        Guard::new(limits, Vec::new(), clock, Arc::clone(pool))
    }

    #[test]
    fn clones_count_together_from_any_thread() {
        let guard = guard(QueryLimits::default().with_samples(4000));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let same = guard.clone();
                scope.spawn(move || (0..1000).for_each(|_| same.samples(1).unwrap()));
            }
        });
        assert!(guard.samples(1).unwrap_err().is_limit());
        assert!(guard.samples(u64::MAX).unwrap_err().is_limit());
    }

    #[test]
    fn what_is_refused_is_not_counted_and_what_is_held_is_given_back() {
        let guard = guard(QueryLimits::default().with_bytes(5600));
        let mut buffers = Buffers::new(&guard);
        assert!(buffers.read(101, 0, true).unwrap_err().is_limit());
        drop(buffers);
        let mut buffers = Buffers::new(&guard);
        buffers.read(100, 0, true).unwrap();
        buffers.read(90, 10, true).unwrap();
        assert!(guard.bytes(1).unwrap_err().to_string().contains("5601"));
        drop(buffers);
        guard.bytes(5600).unwrap();
        guard.release(u64::MAX);
        guard.bytes(5600).unwrap();
    }

    #[test]
    fn queries_share_a_pool_and_give_back_what_they_held_when_they_end() {
        let pool = Arc::new(Pool::new(1000));
        let (one, other) = (
            guard_of(QueryLimits::default(), &pool),
            guard_of(QueryLimits::default().with_bytes(500), &pool),
        );
        one.bytes(700).unwrap();
        other.bytes(200).unwrap();
        let refused = other.bytes(101).unwrap_err();
        assert!(refused.is_limit());
        let text = refused.to_string();
        for part in [
            "query memory of the database 1000",
            "101 bytes beside 200 of its own",
            "700 bytes in use by other queries",
        ] {
            assert!(text.contains(part), "{text}");
        }
        // Refused by either bound, it is counted in neither.
        assert!(
            other
                .bytes(301)
                .unwrap_err()
                .to_string()
                .contains("limit 500")
        );
        assert!(one.bytes(u64::MAX).is_err());
        other.bytes(100).unwrap();
        one.release(u64::MAX);
        assert_eq!(pool.used(), 300);
        let held = {
            let mut held = other.hold();
            held.add(50).unwrap();
            held
        };
        drop(other);
        assert_eq!(pool.used(), 350);
        drop(held);
        assert_eq!(pool.used(), 0);
        one.bytes(1000).unwrap();
    }

    #[test]
    fn threads_that_take_and_give_leave_the_pool_as_it_was() {
        let pool = Arc::new(Pool::new(100_000));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..500 {
                        let guard = guard_of(QueryLimits::default(), &pool);
                        let _ = guard.bytes(40_000);
                        let _ = guard.bytes(round);
                        guard.release(round / 2);
                    }
                });
            }
        });
        assert_eq!(pool.used(), 0);
    }
}
