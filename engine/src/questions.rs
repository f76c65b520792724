//! A question to the database, with limits of its own and a token to cancel it.
//!
//! Input: selectors and ranges. Output: series, aggregates, newest samples, names. Everything that
//! reads goes through [`Query`].

use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use treering_codec::{Sample, is_stale};
use treering_index::{Labels, Selector};

use crate::db::bounds;
use crate::error::{Error, Result};
use crate::options::QueryLimits;
use crate::query::aggregate::{Aggregate, AggregatedSeries, aggregate};
use crate::query::glance::{Glance, index_of};
use crate::query::guard::{Buffers, CancelToken, Guard};
use crate::query::labels::{Listing, list};
use crate::query::newest::Newest;
use crate::query::plan::{Reach, select, select_unnamed};
use crate::query::run::SeriesRuns;
use crate::query::select::{SeriesSet, helpers_for};
use crate::shared::Core;
use crate::space::Space;
use crate::sync::{LentThreads, Mutex, side_by_side};
use crate::view::View;

/// A query being set up; made by `Db::query`.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    core: &'a Core,
    space: &'a Space,
    limits: QueryLimits,
    /// Each of them ends it.
    cancel: Vec<CancelToken>,
}

/// The newest sample of a series.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Latest {
    /// The series.
    pub labels: Labels,
    /// Its newest sample; a stale marker where the series ended, or where that is a histogram.
    pub sample: Sample,
}

impl<'a> Query<'a> {
    pub(crate) fn new(core: &'a Core, space: &'a Space) -> Self {
        Self {
            core,
            space,
            limits: core.options.query,
            cancel: Vec::new(),
        }
    }

    /// Replaces the limits of `Options::query_limits`.
    #[must_use]
    pub fn limits(mut self, limits: QueryLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets `token` end the query from another thread.
    #[must_use]
    pub fn cancel(mut self, token: &CancelToken) -> Self {
        self.cancel = vec![token.clone()];
        self
    }

    /// Lets `token` end it too, and `timeout` where that is sooner.
    pub(crate) fn bounded_by(mut self, token: &CancelToken, timeout: Duration) -> Self {
        self.cancel.push(token.clone());
        self.limits = self.limits.with_timeout(timeout.min(self.limits.timeout));
        self
    }

    /// See `Db::select`.
    pub fn select(&self, selector: &Selector, range: impl RangeBounds<i64>) -> Result<SeriesSet> {
        self.plan(selector, bounds(&range), Reach::Samples)
    }

    /// As [`Query::select`], in parts for several threads: as many as that is worth.
    pub(crate) fn select_split(
        &self,
        selector: &Selector,
        range: (i64, i64),
    ) -> Result<(Vec<SeriesSet>, LentThreads<'a>)> {
        let range = Some(range).filter(|(first, last)| first <= last);
        let series = self.plan(selector, range, Reach::Samples)?;
        let lent = self.core.spare.lend(helpers_for(series.work_of_samples()));
        let parts = parts_for(lent.count + 1);
        Ok((series.split_parts(parts), lent))
    }

    /// See `Db::aggregate`.
    pub fn aggregate(
        &self,
        selector: &Selector,
        range: impl RangeBounds<i64>,
        what: &Aggregate,
    ) -> Result<Vec<AggregatedSeries>> {
        self.aggregated(selector, range, what, None)
    }

    /// As [`Query::aggregate`], if no sample is a histogram: an aggregate passes over those.
    pub(crate) fn aggregate_floats(
        &self,
        selector: &Selector,
        range: impl RangeBounds<i64>,
        what: &Aggregate,
    ) -> Result<Option<Vec<AggregatedSeries>>> {
        let seen = AtomicBool::new(false);
        let answer = self.aggregated(selector, range, what, Some(&seen));
        match seen.into_inner() {
            true => Ok(None),
            false => answer.map(Some),
        }
    }

    /// Aggregates; with `seen` only until it meets a histogram, which it notes there.
    fn aggregated(
        &self,
        selector: &Selector,
        range: impl RangeBounds<i64>,
        what: &Aggregate,
        seen: Option<&AtomicBool>,
    ) -> Result<Vec<AggregatedSeries>> {
        let range = bounds(&range);
        what.check(range)?;
        let series = self.plan(selector, range, Reach::Steps)?;
        let Some((first, last)) = range else {
            return Ok(Vec::new());
        };
        let (guard, since) = (series.guard(), series.first());
        let summing = what.summing((first, last), since)?;
        let lent = self.core.spare.lend(helpers_for(series.work_of_samples()));
        let threads = lent.count + 1;
        // Groups of each part live until the last one ends.
        let parts = if what.is_grouped() {
            threads
        } else {
            parts_for(threads)
        };
        let runs = series.summed(Arc::new(summing)).split_runs(parts);
        let runs = runs.into_iter();
        let runs = runs.map(|part| part.map(move |runs| floats_only(runs?, seen)));
        let runs = runs.collect();
        aggregate(runs, threads, what, (first, last), since, &guard)
    }

    /// The newest sample in `range` of each series of `selector`.
    pub fn latest(&self, selector: &Selector, range: impl RangeBounds<i64>) -> Result<Vec<Latest>> {
        self.newest(selector, range, None)
    }

    /// As [`Query::latest`], if none of these samples may be a histogram.
    pub(crate) fn latest_floats(
        &self,
        selector: &Selector,
        range: impl RangeBounds<i64>,
    ) -> Result<Option<Vec<Latest>>> {
        let seen = AtomicBool::new(false);
        let latest = self.newest(selector, range, Some(&seen));
        match seen.into_inner() {
            true => Ok(None),
            false => latest.map(Some),
        }
    }

    /// The newest samples; with `seen` only until one may be a histogram, which is noted there.
    fn newest(
        &self,
        selector: &Selector,
        range: impl RangeBounds<i64>,
        seen: Option<&AtomicBool>,
    ) -> Result<Vec<Latest>> {
        let range = bounds(&range);
        let guard = self.guard()?;
        let Some((range, last)) = range.and_then(|range| Some((self.kept(range)?, range.1))) else {
            return Ok(Vec::new());
        };
        let series = self.steady(guard, |view, guard| {
            let registry = &self.space.registry;
            select_unnamed(view, registry, selector, range, guard)
        })?;
        let lent = self.core.spare.lend(helpers_for(series.work_of_series()));
        let threads = lent.count + 1;
        // What is before has expired.
        let (guard, first) = (series.guard(), series.first());
        let view = series.view();
        let index = index_of(&series, &view)?;
        let parts = series.newest().split_parts(parts_for(threads));
        // What one part has met of labels serves the next one on its thread.
        let glances = Mutex::new(Vec::new());
        let mut parts = side_by_side(parts, threads, |mut part| {
            let mut newest = Newest::new(Buffers::new(&guard));
            let known = glances.lock().pop();
            let mut glance = known.map_or_else(|| Glance::new(index.as_ref()), Ok)?;
            let mut found = Vec::with_capacity(part.most());
            loop {
                if let Some((labels, sample)) = glance.next(&mut part)? {
                    found.push(Latest { labels, sample });
                    continue;
                }
                let Some(runs) = part.next_runs() else { break };
                let runs = runs?;
                if let Some(sample) = newest.of(&runs.runs, first, last)? {
                    let seen = seen.filter(|_| is_stale(sample.value));
                    let labels = floats_only(runs, seen)?.labels;
                    found.push(Latest { labels, sample });
                }
            }
            glances.lock().push(glance);
            Ok::<Vec<Latest>, Error>(found)
        })?;
        if let [one] = parts.as_mut_slice() {
            return Ok(std::mem::take(one));
        }
        Ok(parts.into_iter().flatten().collect())
    }

    /// See `Db::series_labels`.
    pub fn series_labels(
        &self,
        selector: &Selector,
        range: impl RangeBounds<i64>,
    ) -> Result<Vec<Labels>> {
        self.select(selector, range)?
            .map(|series| Ok(series?.labels().clone()))
            .collect()
    }

    /// See `Db::label_names`.
    pub fn label_names(
        &self,
        selector: &Selector,
        range: impl RangeBounds<i64>,
    ) -> Result<Vec<String>> {
        self.list(selector, range, Listing::Names)
    }

    /// See `Db::label_values`.
    pub fn label_values(
        &self,
        name: &str,
        selector: &Selector,
        range: impl RangeBounds<i64>,
    ) -> Result<Vec<String>> {
        self.list(selector, range, Listing::Values(name))
    }

    fn list(
        &self,
        selector: &Selector,
        range: impl RangeBounds<i64>,
        listing: Listing<'_>,
    ) -> Result<Vec<String>> {
        let guard = self.guard()?;
        let Some(range) = bounds(&range).and_then(|range| self.kept(range)) else {
            return Ok(Vec::new());
        };
        self.steady(guard, |view, guard| {
            let registry = &self.space.registry;
            list(&view, registry, selector, range, listing, &guard)
        })
    }

    /// Plans a query over `range`; none is an empty one.
    fn plan(
        &self,
        selector: &Selector,
        range: Option<(i64, i64)>,
        reach: Reach,
    ) -> Result<SeriesSet> {
        let guard = self.guard()?;
        match range.and_then(|range| self.kept(range)) {
            Some(range) => self.steady(guard, |view, guard| {
                let registry = &self.space.registry;
                select(view, registry, selector, range, reach, guard)
            }),
            None => Ok(SeriesSet::empty(self.space.view.get(), guard)),
        }
    }

    /// What of a range has not expired.
    fn kept(&self, (first, last): (i64, i64)) -> Option<(i64, i64)> {
        let first = first.max(self.space.horizon(self.core.now()));
        (first <= last).then_some((first, last))
    }

    /// Asks of one view. Ids in heads are looked up in the registry: when it forgot series in the
    /// meantime, an id may stand for another one, and the question is asked of a newer view.
    fn steady<T>(
        &self,
        mut guard: Guard,
        ask: impl Fn(Arc<View>, Guard) -> Result<T>,
    ) -> Result<T> {
        loop {
            let round = self.space.round();
            let answer = ask(self.space.view.get(), guard);
            if self.space.round() == round {
                return answer;
            }
            // What the first attempt counted is not the second one's.
            guard = self.guard()?;
        }
    }

    fn guard(&self) -> Result<Guard> {
        self.core.check_open()?;
        self.space.check()?;
        let clock = Arc::clone(&self.core.options.clock);
        let pool = Arc::clone(&self.core.memory.queries);
        let guard = Guard::new(self.limits, self.cancel.clone(), clock, pool);
        guard.check()?;
        Ok(guard)
    }
}

/// The runs as they are; with `seen`, if none has histograms.
fn floats_only(runs: SeriesRuns, seen: Option<&AtomicBool>) -> Result<SeriesRuns> {
    if let Some(seen) = seen {
        for run in &runs.runs {
            if run.has_histograms()? {
                seen.store(true, Ordering::Relaxed);
                // What the others find does not count any more.
                return Err(Error::Cancelled);
            }
        }
    }
    Ok(runs)
}

/// Several parts for each of several threads: one that the machine holds up leaves some to others.
fn parts_for(threads: usize) -> usize {
    if threads > 1 { threads * 4 } else { 1 }
}
