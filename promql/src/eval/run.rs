//! Run: one evaluation under way.
//!
//! Input: a source, options, the times of the whole query. Output: what all nodes share: durations
//! folded, notices noted, memory and time counted. Invariant: what is held is known at each node;
//! over a limit the query ends. Nodes are evaluated by one thread; only the series of a selector are
//! read by several (`part.rs`).

use std::cell::Cell;
use std::time::Duration;

use treering::Source;

use super::grid::Grid;
use super::meter::{Amount, Meter, Pace};
use super::part::Notes;
use crate::annotation::{Annotations, Notice};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::syntax::{At, DurationExpr, Shift, Span};
use crate::value::QueryStats;

/// One evaluation under way.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    source: &'a dyn Source,
    /// The same source, looking at the token and the clock of this query.
    bounded: Option<Box<dyn Source + 'a>>,
    pub(crate) options: &'a Options,
    /// The times of the whole query.
    pub(crate) query: Grid,
    pub(crate) meter: Meter<'a>,
    pub(crate) notes: Notes,
    pace: Pace,
    /// Whether only count and sum of histograms will be looked at.
    stats_only: Cell<bool>,
    pub(super) select: Cell<Duration>,
    pub(super) read: Cell<Duration>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(source: &'a dyn Source, options: &'a Options, query: Grid) -> Self {
        Self {
            source,
            bounded: source.bounded(&options.cancel, options.timeout),
            options,
            query,
            meter: Meter::new(options),
            notes: Notes::default(),
            pace: Pace::default(),
            stats_only: Cell::new(false),
            select: Cell::default(),
            read: Cell::default(),
        }
    }

    pub(crate) fn source(&self) -> &dyn Source {
        self.bounded.as_deref().unwrap_or(self.source)
    }

    /// Counts work, in values gone through: whatever may take long does so all along.
    #[inline]
    pub(crate) fn spend(&self, work: usize) -> Result<()> {
        self.pace.spend(&self.meter, work)
    }

    pub(crate) fn note(&self, notice: &Notice<'_>, span: Span) {
        self.notes.add(notice, span);
    }

    /// Refuses grids of which not even one series could be held.
    pub(crate) fn check_grid(&self, grid: &Grid) -> Result<()> {
        self.meter.within(Amount {
            samples: grid.count(),
            bytes: grid.count().saturating_mul(8),
        })
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
        let range = self.query.limit().saturating_sub(self.query.start());
        duration
            .fold(self.query.step(), range)
            .map_err(|text| Error::Execution(text.to_owned()))
    }

    /// The length of a duration that must be above zero.
    pub(crate) fn positive(&self, duration: &DurationExpr) -> Result<i64> {
        let range = self.query.limit().saturating_sub(self.query.start());
        duration
            .fold_positive(self.query.step(), range)
            .map_err(|text| Error::Execution(text.to_owned()))
    }

    /// `@` and `offset` of a selector or subquery.
    pub(crate) fn moved(&self, shift: &Shift) -> Result<Moved> {
        let at = shift.at.map(|at| match at {
            At::Time(time) => time,
            At::Start => self.query.start(),
            At::End => self.query.limit(),
        });
        let offset = match &shift.offset {
            Some(offset) => self.duration(offset)?,
            None => 0,
        };
        Ok(Moved { at, offset })
    }

    pub(crate) fn finish(self) -> (Annotations, QueryStats) {
        let stats = self.meter.stats(self.select.get(), self.read.get());
        (self.notes.into_inner(), stats)
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
