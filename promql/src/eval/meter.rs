//! Meter: what one query uses, against what it may use.
//!
//! Input: what is about to be read, held or computed. Output: leave to go on, or the error that
//! ends the query. Invariant: all threads of a query count together; whoever works for long asks
//! again after about a millisecond.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use treering::ReadSize;
use treering::time::{Clock, SystemClock};

use crate::error::{Error, Result};
use crate::options::Options;
use crate::value::QueryStats;

/// Memory of a query: in samples, as Prometheus counts it, and in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    /// A float counts for one, a histogram by its size.
    pub(crate) samples: usize,
    pub(crate) bytes: usize,
}

/// What one query uses, against what it may use.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    options: &'a Options,
    clock: SystemClock,
    began: Duration,
    deadline: Duration,
    series: AtomicU64,
    samples: AtomicU64,
    summarized: AtomicU64,
    chunks: AtomicU64,
    stored: AtomicU64,
    held_samples: AtomicUsize,
    held_bytes: AtomicUsize,
    peak_samples: AtomicUsize,
    peak_bytes: AtomicUsize,
}

impl<'a> Meter<'a> {
    /// The meter of a query that begins now.
    pub(crate) fn new(options: &'a Options) -> Self {
        let clock = SystemClock::new();
        let began = clock.monotonic();
        Self {
            options,
            clock,
            began,
            deadline: began.saturating_add(options.timeout),
            series: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            summarized: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            held_samples: AtomicUsize::new(0),
            held_bytes: AtomicUsize::new(0),
            peak_samples: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
        }
    }

    /// Refuses to go on after cancellation or the deadline.
    pub(crate) fn check(&self) -> Result<()> {
        if self.options.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match self.clock.monotonic() > self.deadline {
            true => Err(Error::Timeout),
            false => Ok(()),
        }
    }

    /// How long the query has been running.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.began)
    }

    /// Counts a series that was read, with its samples.
    pub(crate) fn read(&self, samples: usize, size: ReadSize) {
        self.series.fetch_add(1, RELAXED);
        self.samples.fetch_add(samples as u64, RELAXED);
        self.chunks.fetch_add(size.chunks, RELAXED);
        self.stored.fetch_add(size.bytes, RELAXED);
    }

    /// Counts a series that was answered from summaries.
    pub(crate) fn summarized(&self) {
        self.series.fetch_add(1, RELAXED);
        self.summarized.fetch_add(1, RELAXED);
    }

    /// Counts what is held from now on.
    pub(crate) fn hold(&self, more: Amount) -> Result<()> {
        let add = |held: &AtomicUsize, peak: &AtomicUsize, more: usize| {
            let held = held.fetch_add(more, RELAXED).saturating_add(more);
            peak.fetch_max(held, RELAXED);
            held
        };
        let samples = add(&self.held_samples, &self.peak_samples, more.samples);
        let bytes = add(&self.held_bytes, &self.peak_bytes, more.bytes);
        let pool = self.options.pool.as_ref();
        let too_much = pool.filter(|pool| !pool.take(more.bytes));
        self.within(Amount { samples, bytes })?;
        match too_much {
            Some(pool) => Err(Error::PoolEmpty {
                limit: pool.limit(),
            }),
            None => Ok(()),
        }
    }

    /// Counts what is not held any more.
    pub(crate) fn release(&self, less: Amount) {
        self.held_samples.fetch_sub(less.samples, RELAXED);
        self.held_bytes.fetch_sub(less.bytes, RELAXED);
        if let Some(pool) = &self.options.pool {
            pool.give(less.bytes);
        }
    }

    pub(crate) fn held(&self) -> Amount {
        Amount {
            samples: self.held_samples.load(RELAXED),
            bytes: self.held_bytes.load(RELAXED),
        }
    }

    /// What was held since `before` is gone; no other thread works for the query now.
    pub(crate) fn release_to(&self, before: Amount) {
        self.held_samples.store(before.samples, RELAXED);
        let held = self.held_bytes.swap(before.bytes, RELAXED);
        if let Some(pool) = &self.options.pool {
            pool.give(held.wrapping_sub(before.bytes));
        }
    }

    /// Refuses to hold so much.
    pub(crate) fn within(&self, held: Amount) -> Result<()> {
        let (samples, bytes) = (self.options.max_samples, self.options.max_bytes);
        if held.samples > samples {
            return Err(Error::TooManySamples { limit: samples });
        }
        match held.bytes > bytes {
            true => Err(Error::TooManyBytes { limit: bytes }),
            false => Ok(()),
        }
    }

    /// What was counted; `select` and `read` are the time that selectors took.
    pub(crate) fn stats(&self, select: Duration, read: Duration) -> QueryStats {
        QueryStats {
            series: self.series.load(RELAXED),
            samples: self.samples.load(RELAXED),
            summarized_series: self.summarized.load(RELAXED),
            chunks: self.chunks.load(RELAXED),
            stored_bytes: self.stored.load(RELAXED),
            peak_samples: self.peak_samples.load(RELAXED) as u64,
            peak_bytes: self.peak_bytes.load(RELAXED) as u64,
            select,
            read,
            total: self.elapsed(),
        }
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        self.release_to(Amount::default());
    }
}

/// Work done since clock and token were looked at.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    done: Cell<usize>,
}

impl Pace {
    /// Counts `work`, in values gone through, and looks at clock and token now and then.
    #[inline]
    pub(crate) fn spend(&self, meter: &Meter<'_>, work: usize) -> Result<()> {
        let done = self.done.get().saturating_add(work);
        if done < BETWEEN_CHECKS {
            self.done.set(done);
            return Ok(());
        }
        self.done.set(0);
        meter.check()
    }
}

/// Values that are gone through in about a millisecond, whatever is done with each.
const BETWEEN_CHECKS: usize = 1 << 15;

/// The counters guard no other memory, so they need no order.
const RELAXED: Ordering = Ordering::Relaxed;
