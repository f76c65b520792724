//! Run: one evaluation under way.
//!
//! Input: a source, options, the times of the whole query. Output: what all nodes share: durations
//! folded, notices noted, samples counted. Invariant: what is held is known at each node; over the
//! limit the query ends.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use treering::Source;
use treering::time::{Clock, SystemClock};

use super::column::Row;
use super::grid::Grid;
use crate::annotation::{Annotations, Notice};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::syntax::{At, DurationExpr, Shift, Span};
use crate::value::QueryStats;

/// One evaluation under way.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) options: &'a Options,
    /// The times of the whole query.
    pub(crate) query: Grid,
    annotations: RefCell<Annotations>,
    series: Cell<u64>,
    samples: Cell<u64>,
    held: Cell<usize>,
    peak: Cell<usize>,
    /// Whether only count and sum of histograms will be looked at.
    stats_only: Cell<bool>,
    clock: SystemClock,
    deadline: Duration,
}

impl<'a> Run<'a> {
    pub(crate) fn new(source: &'a dyn Source, options: &'a Options, query: Grid) -> Self {
        let clock = SystemClock::new();
        let deadline = clock.monotonic().saturating_add(options.timeout);
        Self {
            source,
            options,
            query,
            annotations: RefCell::default(),
            series: Cell::new(0),
            samples: Cell::new(0),
            held: Cell::new(0),
            peak: Cell::new(0),
            stats_only: Cell::new(false),
            clock,
            deadline,
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

    pub(crate) fn note(&self, notice: &Notice<'_>, span: Span) {
        self.annotations.borrow_mut().add(notice, span);
    }

    /// Counts a series that was read, with its samples.
    pub(crate) fn count_read(&self, samples: usize) -> Result<()> {
        self.check()?;
        self.series.set(self.series.get() + 1);
        self.samples.set(self.samples.get() + samples as u64);
        let held = self.held.get().saturating_add(samples);
        self.peak.set(self.peak.get().max(held));
        self.check_held(held)
    }

    /// Counts samples that are held from now on.
    pub(crate) fn hold(&self, samples: usize) -> Result<()> {
        let held = self.held.get().saturating_add(samples);
        self.held.set(held);
        self.peak.set(self.peak.get().max(held));
        self.check_held(held)
    }

    pub(crate) fn hold_row(&self, row: &Row) -> Result<()> {
        self.hold(row.column.weight())
    }

    pub(crate) fn held(&self) -> usize {
        self.held.get()
    }

    /// What was held since `before` is gone, but for `samples`.
    pub(crate) fn release_to(&self, before: usize, samples: usize) {
        self.held.set(before.saturating_add(samples));
    }

    /// Refuses grids of which not even one series could be held.
    pub(crate) fn check_grid(&self, grid: &Grid) -> Result<()> {
        self.check_held(grid.count())
    }

    fn check_held(&self, held: usize) -> Result<()> {
        let limit = self.options.max_samples;
        match held > limit {
            true => Err(Error::TooManySamples { limit }),
            false => Ok(()),
        }
    }

    pub(crate) fn is_stats_only(&self) -> bool {
        self.stats_only.get()
    }

    /// Evaluates something of whose histograms only count and sum will be looked at, or all.
    pub(crate) fn with_stats_only<T>(&self, stats_only: bool, evaluate: impl FnOnce() -> T) -> T {
        let before = self.stats_only.replace(stats_only);
        let result = evaluate();
        self.stats_only.set(before);
        result
    }

    pub(crate) fn delays_names(&self) -> bool {
        self.options.features.delayed_name_removal
    }

    pub(crate) fn lookback(&self) -> i64 {
        i64::try_from(self.options.lookback.as_nanos()).unwrap_or(i64::MAX)
    }

    /// The length of a duration.
    pub(crate) fn duration(&self, duration: &DurationExpr) -> Result<i64> {
        let range = self.query.end().saturating_sub(self.query.start());
        duration
            .fold(self.query.step(), range)
            .map_err(|text| Error::Execution(text.to_owned()))
    }

    /// The length of a duration that must be above zero.
    pub(crate) fn positive(&self, duration: &DurationExpr) -> Result<i64> {
        let range = self.query.end().saturating_sub(self.query.start());
        duration
            .fold_positive(self.query.step(), range)
            .map_err(|text| Error::Execution(text.to_owned()))
    }

    /// `@` and `offset` of a selector or subquery.
    pub(crate) fn moved(&self, shift: &Shift) -> Result<Moved> {
        let at = shift.at.map(|at| match at {
            At::Time(time) => time,
            At::Start => self.query.start(),
            At::End => self.query.end(),
        });
        let offset = match &shift.offset {
            Some(offset) => self.duration(offset)?,
            None => 0,
        };
        Ok(Moved { at, offset })
    }

    pub(crate) fn finish(self) -> (Annotations, QueryStats) {
        let stats = QueryStats {
            series: self.series.get(),
            samples: self.samples.get(),
            peak_samples: self.peak.get() as u64,
        };
        (self.annotations.into_inner(), stats)
    }
}

/// Where a selector looks from the time of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) at: Option<i64>,
    pub(crate) offset: i64,
}

impl Moved {
    /// The time that stands for `time`.
    pub(crate) fn time(&self, time: i64) -> i64 {
        self.at.unwrap_or(time).saturating_sub(self.offset)
    }
}
