//! Part: the series of a selector that one thread works on.
//!
//! Input: series of a source. Output: what was made of each, and notices. Invariant: parts share
//! nothing but the meter; their results and notices are put together in the order of the series, so
//! that nobody can tell on how many threads a query ran.

use std::cell::RefCell;
use std::time::Duration;

use treering::{Labels, Matcher, SampleColumns, Selector, SourceSeries};

use super::column::{Column, Row};
use super::edges::Edges;
use super::meter::{Amount, Meter, Pace};
use super::run::Run;
use crate::annotation::{Annotations, Notice};
use crate::error::{Error, Result};
use crate::syntax::Span;

/// What one thread has beside the series that it works on.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) meter: &'a Meter<'a>,
    pub(crate) notes: Notes,
    pub(crate) pace: Pace,
    /// Where the windows lie over the timestamps of the last series.
    pub(crate) edges: Edges,
}

/// Notices, in the order of their discovery.
#[derive(Debug, Default)]
pub(crate) struct Notes(RefCell<Annotations>);

impl Notes {
    pub(crate) fn add(&self, notice: &Notice<'_>, span: Span) {
        self.0.borrow_mut().add(notice, span);
    }

    pub(crate) fn absorb(&self, later: Annotations) {
        self.0.borrow_mut().absorb(later);
    }

    pub(crate) fn into_inner(self) -> Annotations {
        self.0.into_inner()
    }
}

impl<'a> Part<'a> {
    pub(crate) fn new(meter: &'a Meter<'a>) -> Self {
        Self {
            meter,
            notes: Notes::default(),
            pace: Pace::default(),
            edges: Edges::default(),
        }
    }

    /// Counts work, in values gone through.
    pub(crate) fn spend(&self, work: usize) -> Result<()> {
        self.pace.spend(self.meter, work)
    }

    /// A row that is held from now on; none where its column is empty.
    pub(crate) fn row(&self, labels: &Labels, column: Column) -> Result<Option<Row>> {
        if column.is_empty() {
            return Ok(None);
        }
        let row = Row {
            labels: labels.clone(),
            drop_name: false,
            column,
        };
        self.meter.hold(row.amount())?;
        Ok(Some(row))
    }

    /// Reads a series and does `work` with it; its samples are counted meanwhile.
    fn read<S>(
        &mut self,
        series: &dyn SourceSeries,
        state: &mut S,
        work: &impl Fn(&mut Part<'_>, &mut S, &Labels, SampleColumns) -> Result<()>,
    ) -> Result<()> {
        self.meter.check()?;
        let columns = series.read()?;
        let samples = columns.timestamps.len();
        if samples == 0 {
            return Ok(());
        }
        self.meter.read(samples, series.size().unwrap_or_default());
        let amount = amount_of(&columns);
        self.meter.hold(amount)?;
        work(self, state, series.labels(), columns)?;
        self.meter.release(amount);
        self.spend(samples)
    }
}

impl Run<'_> {
    /// Reads the series that `matchers` select, on as many threads as the source lends, and does
    /// `work` with each. Every part of them has a state of its own, which `begin` makes; these come
    /// in the order of the series.
    pub(crate) fn fold_series<S: Send>(
        &self,
        matchers: &[Matcher],
        (first, last): (i64, i64),
        begin: impl Fn() -> S + Sync,
        work: impl Fn(&mut Part<'_>, &mut S, &Labels, SampleColumns) -> Result<()> + Sync,
    ) -> Result<Vec<S>> {
        let meter = &self.meter;
        meter.check()?;
        let selector = Selector::from_matchers(matchers.to_vec());
        let began = meter.elapsed();
        let parts = self.source().select_parts(&selector, first, last)?;
        let selected = meter.elapsed();
        let done = parts.each(|set| {
            let (mut part, mut state) = (Part::new(meter), begin());
            for series in set {
                part.read(&*series?, &mut state, &work)?;
            }
            Ok::<(S, Annotations), Error>((state, part.notes.into_inner()))
        })?;
        self.took(
            selected.saturating_sub(began),
            meter.elapsed().saturating_sub(selected),
        );
        let absorb = |(state, notes): (S, Annotations)| {
            self.notes.absorb(notes);
            state
        };
        Ok(done.into_iter().map(absorb).collect())
    }

    /// As [`Run::fold_series`], with what each series gives, if anything.
    pub(crate) fn each_series<T: Send>(
        &self,
        matchers: &[Matcher],
        range: (i64, i64),
        work: impl Fn(&mut Part<'_>, &Labels, SampleColumns) -> Result<Option<T>> + Sync,
    ) -> Result<Vec<T>> {
        let parts =
            self.fold_series(matchers, range, Vec::new, |part, found, labels, columns| {
                found.extend(work(part, labels, columns)?);
                Ok(())
            })?;
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or_default();
        parts.for_each(|part| all.extend(part));
        Ok(all)
    }

    /// Counts the time that selectors took.
    pub(crate) fn took(&self, select: Duration, read: Duration) {
        self.select.set(self.select.get() + select);
        self.read.set(self.read.get() + read);
    }
}

/// The memory of samples as they are read.
fn amount_of(columns: &SampleColumns) -> Amount {
    let words = columns.timestamps.len()
        + columns.values.len()
        + columns.histograms.len()
        + columns.starts.len();
    let histograms = columns.histograms.iter().flatten();
    let heap: usize = histograms.clone().map(|one| one.heap_bytes()).sum();
    let histograms = histograms.count();
    Amount {
        samples: columns.timestamps.len() + heap / 16 + 4 * histograms,
        bytes: words * 8 + heap + histograms * size_of::<crate::histogram::Histogram>(),
    }
}
