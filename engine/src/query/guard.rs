//! The guard of one query: counts what it uses, stops it at a limit, at its deadline or when told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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

/// What one query has used so far, against what it may use.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    limits: QueryLimits,
    cancel: CancelToken,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    series: u64,
    samples: u64,
    bytes: u64,
}

impl Guard {
    pub(crate) fn new(limits: QueryLimits, cancel: CancelToken, clock: Arc<dyn Clock>) -> Self {
        let deadline = clock.monotonic().saturating_add(limits.timeout);
        Self {
            limits,
            cancel,
            clock,
            deadline,
            series: 0,
            samples: 0,
            bytes: 0,
        }
    }

    /// Refuses to go on after cancellation or the deadline.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if self.clock.monotonic() > self.deadline {
            return Err(Error::Timeout {
                limit: self.limits.timeout,
            });
        }
        Ok(())
    }

    /// Counts `more` series matched.
    pub(crate) fn series(&mut self, more: u64) -> Result<()> {
        self.series = self.series.saturating_add(more);
        if self.series > self.limits.series {
            return Err(Error::limit(
                "query series limit",
                self.limits.series,
                "this selector",
                "select fewer series or raise QueryLimits::series",
            ));
        }
        Ok(())
    }

    /// Counts `more` samples read.
    pub(crate) fn samples(&mut self, more: u64) -> Result<()> {
        self.samples = self.samples.saturating_add(more);
        if self.samples > self.limits.samples {
            return Err(Error::limit(
                "query sample limit",
                self.limits.samples,
                "this query",
                "ask for a shorter range or raise QueryLimits::samples",
            ));
        }
        Ok(())
    }

    /// Counts `more` bytes of working memory.
    pub(crate) fn bytes(&mut self, more: u64) -> Result<()> {
        self.bytes = self.bytes.saturating_add(more);
        if self.bytes > self.limits.bytes {
            return Err(Error::limit(
                "query memory limit",
                self.limits.bytes,
                format!("this query, which asked for {} bytes", self.bytes),
                "ask for fewer windows or groups, or raise QueryLimits::bytes",
            ));
        }
        Ok(())
    }

    /// Gives back `less` bytes of working memory.
    pub(crate) fn release(&mut self, less: u64) {
        self.bytes = self.bytes.saturating_sub(less);
    }
}
