//! Aggregates: one number per window, for each series or each group of them.
//!
//! Input: the runs of one series after another, in the order of labels, and what to compute.
//! Output: labelled points. A run that no other overlaps and that lies in one pane (a stretch of
//! time that no window cuts) is answered from its statistics where it has them; every other run is
//! decoded once. Of rows of steps, each is taken as the samples that it stands for. Memory: of each
//! thread one cluster of runs and the accumulators, all counted by the guard.

pub(crate) mod accumulator;
mod cells;
mod cuts;
#[cfg(test)]
mod model;
mod moments;
mod quantile;
mod series;
mod slide;
#[cfg(test)]
mod tests;
mod top;

use std::time::Duration;

use treering_codec::Stats;
use treering_index::Labels;

use self::accumulator::{Accumulator, Count, Edge, Extreme, Increase, Sum};
use self::moments::Moments;
use self::quantile::Values;
use self::series::Fold;
use self::top::{Answer, Best, Top, bytes_of};
use super::group::{Grouping, Groups};
use super::guard::Guard;
use super::run::SeriesRuns;
use super::window::Windows;
use crate::block::Suffices;
use crate::error::{Error, Result};
use crate::sync::side_by_side;

/// What to compute over the samples of a window. Stale markers are no samples to any of them.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Function {
    /// How many samples.
    Count,
    /// The sum, compensated.
    Sum,
    /// The smallest value; NaN only where there is no other.
    Min,
    /// The largest value; NaN only where there is no other.
    Max,
    /// The sum divided by the count.
    Avg,
    /// The earliest value, bit-exact; in a group, of several at that time the first series'.
    First,
    /// The latest value, bit-exact; in a group, of several at that time the last series'.
    Last,
    /// The standard deviation of the population; NaN where a value is not finite.
    Stddev,
    /// The quantile of this rank, from 0 to 1, interpolated between the two values next to it as
    /// in PromQL; -infinity below 0, infinity above 1, NaN for NaN. NaN sorts before all values.
    Quantile(f64),
    /// The increase of a counter between the first and the last sample of the window: their
    /// difference, and the value before each reset (a value less than the one before it). Nothing
    /// is extrapolated; one sample gives 0. A group adds up the increases of its series.
    ///
    /// **Only differences between samples inside one window count.** The step from the last sample
    /// of one window to the first of the next is in neither, so windows of few samples lose much.
    /// A counter that rises by 10 a second, sampled every 15 s, asked for minute by minute:
    ///
    /// | window | its samples, at seconds | rise inside | true rise | `Increase` | `Rate` |
    /// |---|---|---|---|---|---|
    /// | 0 s to 60 s | 15, 30, 45, 60 | 3 steps of 150 | 600 | 450 | 7.5 |
    /// | 60 s to 120 s | 75, 90, 105, 120 | 3 steps of 150 | 600 | 450 | 7.5 |
    ///
    /// Of `n` samples in a window, evenly spaced, `n - 1` steps in `n` are seen. So make windows
    /// many samples wide (240 samples: 0.4 % short), or let them overlap, with
    /// [`Aggregate::window`] wider than [`Aggregate::step`], as a graph of a rate does: the sum of
    /// overlapping windows means nothing, but each is a better estimate.
    Increase,
    /// The increase divided by the width of the window in seconds.
    ///
    /// **It is lower than the true rate by the steps between windows that [`Function::Increase`]
    /// leaves out**: with four samples a window, a true rate of 10 a second shows as 7.5 (see the
    /// table there). And a window at an edge of the range holds only samples of the range, but is
    /// divided by its whole width: begin the range a window before the first answer that counts.
    ///
    /// Without a step the width is that of the range, so a range without a first or a last
    /// timestamp is refused with `Error::InvalidArgument`: it would be 584 years wide.
    Rate,
}

/// What to compute, over which windows, for which groups.
///
/// Over a range `first..=last` without a step there is one window, named by `last`. With a step,
/// windows end at `first - 1 + step`, `first - 1 + 2 * step` and so on, until one ends at or after
/// `last`. A window that is `window` wide (the step, unless told otherwise) holds the samples after
/// `end - window` up to and including `end`, never one outside the range.
///
/// **The first window ends at `first - 1 + step`, not at `first + step`**: windows are left-open,
/// ranges are not. For windows that end at `t0 + step`, `t0 + 2 * step`, ..., begin the range one
/// nanosecond after `t0`:
///
/// ```
/// use std::time::Duration;
/// use treering::{Aggregate, Batch, Db, Function, Selector, labels};
/// const HOUR: i64 = 3_600_000_000_000;
/// let db = Db::in_memory()?;
/// let cpu = labels! { "__name__" => "cpu", "host" => "a" };
/// db.append(&Batch::new().column(&cpu, &[HOUR, HOUR + 1, 2 * HOUR], &[3.0, 5.0, 4.0]))?;
/// let hourly = Aggregate::new(Function::Max).step(Duration::from_secs(3600)).by(["host"]);
///
/// let t0 = 0;
/// let answer = db.aggregate(&Selector::metric("cpu"), t0 + 1..=t0 + 2 * HOUR, &hourly)?;
/// let points: Vec<_> = answer[0].points.iter().map(|p| (p.timestamp, p.value)).collect();
/// assert_eq!(points, [(HOUR, 3.0), (2 * HOUR, 5.0)]);
///
/// // One nanosecond earlier, and every window ends one nanosecond before the hour.
/// let answer = db.aggregate(&Selector::metric("cpu"), t0..=t0 + 2 * HOUR, &hourly)?;
/// let ends: Vec<_> = answer[0].points.iter().map(|p| p.timestamp).collect();
/// assert_eq!(ends, [2 * HOUR - 1, 3 * HOUR - 1]);
/// # Ok::<(), treering::Error>(())
/// ```
///
/// A range without a first timestamp (`..`, `..=last`) begins at `i64::MIN`, and its windows are
/// counted from there: give it a first timestamp whenever there is a step, or the windows end at
/// odd times.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    function: Function,
    step: Option<i64>,
    window: Option<i64>,
    grouping: Grouping,
    best: Option<Best>,
}

impl Aggregate {
    /// `function` over the whole range, for each series by itself.
    pub fn new(function: Function) -> Self {
        Self {
            function,
            step: None,
            window: None,
            grouping: Grouping::Series,
            best: None,
        }
    }

    /// A window every `step`: at least one nanosecond, else the query is refused. The first ends
    /// at `first - 1 + step` of the range `first..=last`; see [`Aggregate`].
    #[must_use]
    pub fn step(mut self, step: Duration) -> Self {
        self.step = Some(nanos(step));
        self
    }

    /// Windows of this width: at least one nanosecond, else the query is refused. Wider than the
    /// step they overlap, narrower they leave gaps.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = Some(nanos(window));
        self
    }

    /// One group for each combination of values of these labels; without any, one group of all.
    #[must_use]
    pub fn by<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.grouping(Grouping::By(names.into_iter().map(Into::into).collect()))
    }

    /// One group for each combination of values of all labels but these.
    #[must_use]
    pub fn without<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.grouping(Grouping::Without(
            names.into_iter().map(Into::into).collect(),
        ))
    }

    /// Series put together this way.
    #[must_use]
    pub fn grouping(mut self, grouping: Grouping) -> Self {
        self.grouping = grouping;
        self
    }

    /// No more than the `count` series or groups with the largest values, the largest first; of
    /// equal values the first in label order, and NaN after all else. Refused with a step: it is
    /// about one window.
    ///
    /// Series whose statistics say that they are not among them are not read, where the answer of
    /// the function lies between the smallest and the largest sample. Damage in their samples is
    /// not noticed then. Groups are all read.
    ///
    /// ```
    /// use treering::{Aggregate, Batch, Db, Function, Selector, labels};
    /// let db = Db::in_memory()?;
    /// for (host, load) in [("a", 1.0), ("b", 9.0), ("c", 5.0)] {
    ///     let series = labels! { "__name__" => "load", "host" => host };
    ///     db.append(&Batch::new().sample(&series, 1_000, load))?;
    /// }
    /// let busiest = Aggregate::new(Function::Max).top(2);
    /// let answer = db.aggregate(&Selector::metric("load"), 0..=2_000, &busiest)?;
    /// let hosts: Vec<_> = answer.iter().map(|one| one.labels.get("host")).collect();
    /// assert_eq!(hosts, [Some("b"), Some("c")]);
    /// # Ok::<(), treering::Error>(())
    /// ```
    #[must_use]
    pub fn top(mut self, count: usize) -> Self {
        let largest = true;
        self.best = Some(Best { count, largest });
        self
    }

    /// No more than the `count` series or groups with the smallest values, the smallest first; see
    /// [`Aggregate::top`].
    #[must_use]
    pub fn bottom(mut self, count: usize) -> Self {
        let largest = false;
        self.best = Some(Best { count, largest });
        self
    }

    /// Refuses what makes no sense over `range` (none: an empty one), before anything is read.
    pub(crate) fn check(&self, range: Option<(i64, i64)>) -> Result<()> {
        if self.best.is_some() && self.step.is_some() {
            return Err(Error::InvalidArgument {
                argument: "step",
                why:
                    "with Aggregate::top or Aggregate::bottom there is one window: leave the step \
                      out, and bound the range"
                        .to_owned(),
            });
        }
        let (first, last) = range.unwrap_or((1, 0));
        Windows::new(first, last, self.step, self.window)?;
        let endless = last == i64::MAX || (first == i64::MIN && self.window.is_none());
        if self.function == Function::Rate && self.step.is_none() && endless {
            return Err(Error::InvalidArgument {
                argument: "range",
                why: "must have a first and a last timestamp for Function::Rate without a step, \
                      which divides by its width: bound the range, or give Aggregate::step"
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// Whether series are put together.
    pub(crate) fn is_grouped(&self) -> bool {
        self.grouping != Grouping::Series
    }

    /// What of its range is answered by statistics alone.
    pub(crate) fn summing(&self, (first, last): (i64, i64), since: i64) -> Result<Summing> {
        Ok(Summing {
            function: self.function,
            windows: Windows::new(first, last, self.step, self.window)?.kept(since),
        })
    }

    /// What it computes.
    pub fn function(&self) -> Function {
        self.function
    }
}

/// The samples that an aggregate needs no more than statistics of: they lie in one pane, and what
/// is to be computed is in the statistics.
#[derive(Debug)]
pub(crate) struct Summing {
    function: Function,
    windows: Windows,
}

impl Suffices for Summing {
    fn suffices(&self, stats: &Stats, min: i64, max: i64) -> bool {
        fn tells<A: Accumulator>(stats: &Stats, min: i64, max: i64) -> bool {
            A::of_stats(stats, min, max).is_some()
        }
        let tells = match self.function {
            Function::Count => tells::<Count>,
            Function::Sum | Function::Avg => tells::<Sum>,
            Function::Min => tells::<Extreme<false>>,
            Function::Max => tells::<Extreme<true>>,
            Function::First => tells::<Edge<false>>,
            Function::Last => tells::<Edge<true>>,
            Function::Stddev => tells::<Moments>,
            Function::Quantile(_) => tells::<Values>,
            Function::Increase | Function::Rate => tells::<Increase>,
        };
        let (first, last) = self.windows.range();
        let is_whole = self.windows.count() > 0 && first <= min && max <= last;
        is_whole && self.windows.pane_end(min) >= max && tells(stats, min, max)
    }
}

/// One number: the answer for one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// End of the window, in nanoseconds since the Unix epoch.
    pub timestamp: i64,
    /// The answer.
    pub value: f64,
}

/// The points of one series or group.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregatedSeries {
    /// Labels of the series, or those that its group has in common.
    pub labels: Labels,
    /// One point for each window that holds samples, in order of time; never empty.
    pub points: Vec<Point>,
    /// Whether a point may be off, or missing, because samples were downsampled
    /// ([`NamespaceOptions::downsample`](crate::NamespaceOptions::downsample)): there is no more
    /// than the last sample of each step, and count, sum, smallest, largest, first and last value
    /// and increase of all samples of the step. It is `true`
    ///
    /// - where the edge of a window or of the range cuts a step: the step counts wholly where its
    ///   last sample lies. Windows that begin and end at multiples of the step cut none: hours over
    ///   steps of five minutes, in a range that begins one nanosecond after an hour;
    /// - for [`Function::Quantile`] and [`Function::Stddev`], which go by the last samples;
    /// - where a delete took samples out of a step, or others were written into it later;
    /// - in a group: for [`Function::First`], and for [`Function::Last`] where a step holds stale
    ///   markers, as it is not known when in the step of each series that value was;
    /// - in a group: when it is so of any of its series.
    ///
    /// Otherwise the points are what they were before downsampling, sums to a relative 1e-12 of
    /// the sum of the magnitudes. Deletes and late samples show only until compaction has worked
    /// them into the steps: see [`NamespaceOptions::downsample`](crate::NamespaceOptions::downsample).
    pub approximate: bool,
}

/// Computes `aggregate` over `first..=last` (nanoseconds) of `series`, which come in the order of
/// their labels, each once, in parts for at most `threads` threads. What is before `since` is passed
/// over; it does not move the windows. The answer is in the order of labels; series and groups
/// without samples are left out.
pub(crate) fn aggregate<S>(
    series: Vec<S>,
    threads: usize,
    aggregate: &Aggregate,
    (first, last): (i64, i64),
    since: i64,
    guard: &Guard,
) -> Result<Vec<AggregatedSeries>>
where
    S: Iterator<Item = Result<SeriesRuns>> + Send,
{
    let windows = Windows::new(first, last, aggregate.step, aggregate.window)?.kept(since);
    if windows.count() == 0 {
        return Ok(Vec::new());
    }
    let query = Query {
        threads,
        grouping: &aggregate.grouping,
        windows: &windows,
        best: aggregate.best.map(|best| (best, aggregate.function)),
        guard,
    };
    match aggregate.function {
        Function::Count => query.run(series, |Count(count)| count as f64),
        Function::Sum => query.run(series, |sum: Sum| number(sum.value())),
        Function::Avg => query.run(series, |sum: Sum| number(sum.average())),
        Function::Min => query.run(series, |Extreme::<false>(value)| number(value)),
        Function::Max => query.run(series, |Extreme::<true>(value)| number(value)),
        Function::First => query.run(series, |edge: Edge<false>| edge.value),
        Function::Last => query.run(series, |edge: Edge<true>| edge.value),
        Function::Stddev => query.run(series, |moments: Moments| number(moments.deviation())),
        Function::Quantile(q) => query.run(series, |values: Values| number(values.quantile(q))),
        Function::Increase => query.run(series, |increase: Increase| number(increase.value())),
        Function::Rate => query.run(series, |increase: Increase| {
            number(increase.value() / windows.seconds())
        }),
    }
}

/// An aggregate under way.
struct Query<'a> {
    threads: usize,
    grouping: &'a Grouping,
    windows: &'a Windows,
    /// If not all are wanted.
    best: Option<(Best, Function)>,
    guard: &'a Guard,
}

impl Query<'_> {
    /// Folds every series into accumulators and makes points of them with `finish`.
    fn run<S, A>(
        &self,
        series: Vec<S>,
        finish: impl Fn(A) -> f64 + Sync,
    ) -> Result<Vec<AggregatedSeries>>
    where
        S: Iterator<Item = Result<SeriesRuns>> + Send,
        A: Accumulator,
    {
        let point = |(window, cell): (u64, A)| Point {
            timestamp: self.windows.end(window),
            value: finish(cell),
        };
        let parts = side_by_side(series, self.threads, |series| self.part(series, &point))?;
        let (mut answer, mut groups) = (self.answer(), Groups::new());
        let mut guard = self.guard.clone();
        for (series, own) in parts {
            for one in series {
                answer.add(one, &mut guard);
            }
            groups.absorb(own, &mut guard)?;
        }
        for (labels, cells, approximate) in groups.finish() {
            guard.check()?;
            guard.bytes(bytes_of(cells.len()))?;
            let series = AggregatedSeries {
                labels,
                points: cells.into_iter().map(&point).collect(),
                approximate,
            };
            answer.add(series, &mut guard);
        }
        Ok(answer.finish())
    }

    fn answer(&self) -> Answer {
        match self.best {
            Some((best, function)) => Answer::Best(Top::new(best, function)),
            None => Answer::All(Vec::new()),
        }
    }

    /// The answers for some series, or the groups that they make.
    fn part<A: Accumulator>(
        &self,
        series: impl Iterator<Item = Result<SeriesRuns>>,
        point: &impl Fn((u64, A)) -> Point,
    ) -> Result<(Vec<AggregatedSeries>, Groups<A>)> {
        let (grouping, mut guard) = (self.grouping, self.guard.clone());
        let mut fold = Fold::new(self.windows, *grouping != Grouping::Series);
        let (mut answer, mut groups) = (self.answer(), Groups::new());
        for runs in series {
            guard.check()?;
            let SeriesRuns { labels, runs } = runs?;
            if *grouping == Grouping::Series && answer.passes_over(&runs) {
                continue;
            }
            fold.series(&runs, &mut guard)?;
            let approximate = fold.approximate;
            // What an approximate series lacks, its group lacks too.
            if fold.cells.is_empty() && !(approximate && *grouping != Grouping::Series) {
                continue;
            }
            let cells = fold.cells.close();
            if *grouping == Grouping::Series {
                guard.bytes(bytes_of(cells.len()))?;
                let series = AggregatedSeries {
                    labels,
                    points: cells.map(point).collect(),
                    approximate,
                };
                answer.add(series, &mut guard);
            } else {
                groups.pool(grouping.labels(&labels), cells, approximate, &mut guard)?;
            }
            fold.cells.release(&mut guard);
        }
        fold.end(&mut guard);
        Ok((answer.finish(), groups))
    }
}

/// One NaN for all: a computed one carries neither sign nor payload.
fn number(value: f64) -> f64 {
    // The compiler takes a choice between two NaNs for none, unless it cannot see one of them.
    if value.is_nan() {
        std::hint::black_box(f64::NAN)
    } else {
        value
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
