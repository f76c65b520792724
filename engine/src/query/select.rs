//! Finds the series of a selector in a view, and hands them out one by one, not yet decoded.
//!
//! Input: a view, the registry, a selector, a range. Output: series in label order, each with its
//! runs in order of sequence. The plan names each series in each block and head; chunks are looked
//! up and heads copied when a series' turn comes, so what is never asked for is never read.

use std::collections::VecDeque;
use std::sync::Arc;

use treering_index::{Labels, Selector};

use super::guard::{Guard, Held};
use super::hiding::{CHECK_EVERY, Hiding};
use super::holes::Holes;
use super::run::{Run, SeriesRuns};
use super::series::Series;
use crate::block::{Block, Cursor, step_bounds};
use crate::error::Result;
use crate::head::Deletes;
use crate::registry::Registry;
use crate::sync::RwLock;
use crate::view::View;

/// The series of a query, in label order; an iterator of [`Series`].
#[derive(Debug)]
pub struct SeriesSet {
    view: Arc<View>,
    first: i64,
    last: i64,
    reach: Reach,
    /// What the plan takes of the query's memory.
    held: Held,
    places: VecDeque<Place>,
    /// Where the last series was found in the directory of each block.
    cursors: Vec<Cursor>,
    hiding: Arc<Hiding>,
    /// Those that the live head had seen when it was planned.
    deletes: Deletes,
}

/// Which runs a query has use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Those with samples in the range.
    Samples,
    /// Those too whose rows of steps stand for samples in the range, though they lie after it.
    Steps,
}

impl Reach {
    /// The last timestamp of use in `block`, of a range that ends at `last`.
    fn last(self, block: &Block, last: i64) -> i64 {
        let step = block.info().meta.step_nanos();
        if self == Self::Samples || step == 0 {
            return last;
        }
        step_bounds(last, step).1
    }
}

/// One series in one block, or in the heads.
#[derive(Debug)]
struct Place {
    labels: Labels,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// Index into the view's blocks, ordinal in the block.
    Block(u32, u32),
    /// Id in the registry.
    Heads(u32),
}

/// Plans the series of `selector` that may have samples in `first..=last`, and with
/// [`Reach::Steps`] those that stand for such samples.
pub(crate) fn select(
    view: Arc<View>,
    registry: &RwLock<Registry>,
    selector: &Selector,
    range: (i64, i64),
    reach: Reach,
    guard: Guard,
) -> Result<SeriesSet> {
    plan(view, registry, selector, range, guard, (reach, None))
}

/// Which series are wanted, of those that a selector selects.
pub(crate) type Wanted<'a> = &'a dyn Fn(&Labels) -> bool;

/// As [`select`], without the series that are not wanted: they take no memory.
pub(crate) fn select_some(
    view: Arc<View>,
    registry: &RwLock<Registry>,
    selector: &Selector,
    range: (i64, i64),
    guard: Guard,
    wanted: Option<Wanted<'_>>,
) -> Result<SeriesSet> {
    plan(
        view,
        registry,
        selector,
        range,
        guard,
        (Reach::Samples, wanted),
    )
}

fn plan(
    view: Arc<View>,
    registry: &RwLock<Registry>,
    selector: &Selector,
    (first, last): (i64, i64),
    guard: Guard,
    (reach, wanted): (Reach, Option<Wanted<'_>>),
) -> Result<SeriesSet> {
    let mut plan = Plan {
        places: Vec::new(),
        held: guard.hold(),
        wanted,
    };
    let lasts = view.blocks.iter().map(|live| reach.last(&live.block, last));
    let hiding = Hiding::of(&view, (first, lasts.fold(last, i64::max)), &guard)?;
    for (number, live) in view.blocks.iter().enumerate() {
        let block = &live.block;
        if block.min_time() > reach.last(block, last) || block.max_time() < first {
            continue;
        }
        let index = block.index()?;
        let ordinals = index.select(selector.matchers())?;
        let ordinals = hiding.outside(number, live, ordinals);
        plan.expect(ordinals.len())?;
        let mut labels = index.labels()?;
        for (done, ordinal) in ordinals.iter().enumerate() {
            if done % CHECK_EVERY == 0 {
                guard.check()?;
            }
            let source = Source::Block(number as u32, ordinal);
            plan.add(labels.labels(ordinal)?, source)?;
        }
    }
    let (active, deletes) = active(&view, first, last);
    plan.add_active(&active, registry, selector, &guard)?;
    let Plan {
        mut places, held, ..
    } = plan;
    places.sort_by(|a, b| a.labels.cmp(&b.labels).then(a.source.cmp(&b.source)));
    let series = places.chunk_by(|a, b| a.labels == b.labels).count();
    guard.series(series as u64)?;
    let cursors = view.blocks.iter().map(|_| Cursor::default()).collect();
    Ok(SeriesSet {
        view,
        first,
        last,
        reach,
        held,
        places: places.into(),
        cursors,
        hiding: Arc::new(hiding),
        deletes,
    })
}

/// Samples that are worth a thread: half a millisecond, several times what one takes to start.
const WORK_OF_A_THREAD: u64 = 1 << 18;

/// What a series costs by itself, in samples.
const WORK_OF_A_SERIES: u64 = 256;

/// Estimate of what one place of the plan takes, labels included.
const PLACE_BYTES: u64 = 256;

/// The ids of the series with samples in the heads that may lie in `first..=last`, ascending, and
/// the deletes that came before.
fn active(view: &View, first: i64, last: i64) -> (Vec<u32>, Deletes) {
    loop {
        let before = view.live.deletes();
        let active = active_now(view, first, last);
        // A delete in between took series out of some shards and not yet of others.
        if view.live.deletes().len() == before.len() {
            return (active, before);
        }
    }
}

fn active_now(view: &View, first: i64, last: i64) -> Vec<u32> {
    let mut active: Vec<u32> = Vec::new();
    for head in view.heads() {
        let range = head.time_range();
        if range.is_some_and(|(min, max)| min <= last && max >= first) {
            active.extend(head.active(first, last));
        }
    }
    active.sort_unstable();
    active.dedup();
    active
}

/// The places found so far, and the memory that they take.
struct Plan<'a> {
    places: Vec<Place>,
    held: Held,
    /// Which series are wanted; all of them without.
    wanted: Option<Wanted<'a>>,
}

impl Plan<'_> {
    /// Counts the memory of `most` places, or leaves it to [`Plan::add`] when not all are wanted.
    fn expect(&mut self, most: usize) -> Result<()> {
        match self.wanted {
            Some(_) => Ok(()),
            None => self.held.add(most as u64 * PLACE_BYTES),
        }
    }

    /// Adds a place, if its series is wanted.
    fn add(&mut self, labels: Labels, source: Source) -> Result<()> {
        if let Some(wanted) = self.wanted {
            if !wanted(&labels) {
                return Ok(());
            }
            self.held.add(PLACE_BYTES)?;
        }
        self.places.push(Place { labels, source });
        Ok(())
    }

    /// Adds those series of `active` (ids, ascending) that `selector` selects.
    fn add_active(
        &mut self,
        active: &[u32],
        registry: &RwLock<Registry>,
        selector: &Selector,
        guard: &Guard,
    ) -> Result<()> {
        if active.is_empty() {
            return Ok(());
        }
        let selected = registry.read().index().select(selector.matchers());
        self.expect(selected.len().min(active.len()))?;
        let mut wanted = active.iter().copied().filter(|&id| selected.contains(id));
        loop {
            guard.check()?;
            // Locked anew for so many series: an append that brings a new one waits no longer.
            let registry = registry.read();
            for _ in 0..CHECK_EVERY {
                let Some(id) = wanted.next() else {
                    return Ok(());
                };
                if let Some(labels) = registry.index().labels(id) {
                    self.add(labels, Source::Heads(id))?;
                }
            }
        }
    }
}

impl SeriesSet {
    /// No series at all.
    pub(crate) fn empty(view: Arc<View>, guard: Guard) -> Self {
        Self {
            view,
            first: 0,
            last: 0,
            reach: Reach::Samples,
            held: guard.hold(),
            places: VecDeque::new(),
            cursors: Vec::new(),
            hiding: Arc::default(),
            deletes: Deletes::default(),
        }
    }

    /// The runs of each series, in parts for as many threads as the work is worth, at most `most`.
    pub(crate) fn runs(self, most: usize) -> Vec<impl Iterator<Item = Result<SeriesRuns>> + Send> {
        let threads = usize::try_from(self.work() / WORK_OF_A_THREAD).unwrap_or(most);
        self.split_runs(match threads.min(most) {
            0 | 1 => 1,
            // A thread that the machine holds up leaves some of them to the others.
            threads => threads * 4,
        })
    }

    /// The runs of each series, in so many parts, or fewer.
    pub(crate) fn split_runs(
        self,
        parts: usize,
    ) -> Vec<impl Iterator<Item = Result<SeriesRuns>> + Send> {
        let parts = match parts {
            0 | 1 => vec![self],
            _ => self.split(parts),
        };
        let runs = |mut part: Self| std::iter::from_fn(move || part.next_runs());
        parts.into_iter().map(runs).collect()
    }

    /// Roughly how many samples there are to go through.
    fn work(&self) -> u64 {
        let mut series = vec![0; self.view.blocks.len()];
        for place in &self.places {
            if let Source::Block(number, _) = place.source {
                series[number as usize] += 1;
            }
        }
        let all = self.places.len() as u64 * WORK_OF_A_SERIES;
        let blocks = self.view.blocks.iter().zip(series);
        let samples = blocks.map(|(live, series): (_, u64)| {
            let info = live.block.info();
            let (min, max) = (info.min_time, info.max_time);
            let span = max.abs_diff(min).max(1) as f64;
            let asked = self
                .last
                .min(max)
                .saturating_sub(self.first.max(min))
                .max(0);
            let each = info.samples as f64 / info.series.max(1) as f64;
            (each * series as f64 * (asked as f64 / span).min(1.0)) as u64
        });
        samples.fold(all, u64::saturating_add)
    }

    /// In so many parts, or fewer, of about as many series each, in their order.
    fn split(self, parts: usize) -> Vec<Self> {
        let Self {
            view,
            first,
            last,
            reach,
            mut held,
            places: mut rest,
            cursors,
            hiding,
            deletes,
        } = self;
        let size = rest.len().div_ceil(parts.max(1)).max(1);
        let mut sets = Vec::new();
        while !rest.is_empty() {
            let is_new = |at: &usize| {
                rest.get(*at - 1)
                    .zip(rest.get(*at))
                    .is_none_or(|(a, b)| a.labels != b.labels)
            };
            let end = (size..rest.len()).find(is_new).unwrap_or(rest.len());
            let after = rest.split_off(end);
            sets.push(Self {
                view: Arc::clone(&view),
                first,
                last,
                reach,
                held: held.split_off(rest.len() as u64 * PLACE_BYTES),
                places: rest,
                cursors: cursors.iter().map(|_| Cursor::default()).collect(),
                hiding: Arc::clone(&hiding),
                deletes: deletes.clone(),
            });
            rest = after;
        }
        sets
    }

    /// The next series with its runs; those without any run in the range are passed over.
    pub(crate) fn next_runs(&mut self) -> Option<Result<SeriesRuns>> {
        loop {
            let place = self.places.pop_front()?;
            let mut runs = Vec::new();
            let mut found = self.add_runs(&place, &mut runs);
            let mut in_heads = matches!(place.source, Source::Heads(_));
            while self
                .places
                .front()
                .is_some_and(|next| next.labels == place.labels)
            {
                let Some(same) = self.places.pop_front() else {
                    break;
                };
                found = found.and_then(|()| self.add_runs(&same, &mut runs));
                in_heads |= matches!(same.source, Source::Heads(_));
            }
            if let Err(error) = found.and_then(|()| self.held.guard().check()) {
                return Some(Err(error));
            }
            if !in_heads {
                let holes = self.late_holes(&self.deletes, &place.labels);
                self.hiding.hide(&mut runs, 0, &holes);
            }
            if !runs.is_empty() {
                return Some(Ok(SeriesRuns {
                    labels: place.labels,
                    runs,
                }));
            }
        }
    }

    /// The first timestamp of the range that it is over: what is before has expired or is not asked
    /// for.
    pub(crate) fn first(&self) -> i64 {
        self.first
    }

    /// The guard of the query, for what is computed over its series.
    pub(crate) fn guard(&self) -> Guard {
        self.held.guard().clone()
    }

    fn add_runs(&mut self, place: &Place, runs: &mut Vec<Run>) -> Result<()> {
        let (first, last) = (self.first, self.last);
        match place.source {
            Source::Block(number, ordinal) => {
                let (number, start) = (number as usize, runs.len());
                let block = &self.view.blocks[number].block;
                let mut chunks = Vec::new();
                let cursor = &mut self.cursors[number];
                let last = self.reach.last(block, last);
                block.chunks_with(cursor, ordinal, first, last, &mut chunks)?;
                runs.extend(chunks.into_iter().map(|chunk| Run::of_chunk(block, chunk)));
                let holes = self.hiding.in_block(number, ordinal);
                self.hiding.hide(runs, start, &holes);
            }
            Source::Heads(id) => {
                for (number, head) in self.view.frozen.iter().enumerate() {
                    let start = runs.len();
                    head.runs(id, first, last, runs);
                    let holes = self.hiding.in_head(number, &place.labels);
                    self.hiding.hide(runs, start, &holes);
                }
                let mut live = Vec::new();
                let deletes = self.view.live.runs(id, first, last, &mut live);
                let holes = self.late_holes(&deletes, &place.labels);
                self.hiding.hide(runs, 0, &holes);
                runs.append(&mut live);
            }
        }
        Ok(())
    }

    /// What those of `deletes` hide that came after the view: the live head has lost it already,
    /// and what lies below it must not show instead. Samples below the live head are all older than
    /// any delete that it has seen.
    fn late_holes(&self, deletes: &Deletes, labels: &Labels) -> Holes {
        let late = deletes.iter().rev();
        let late = late.take_while(|one| one.sequence > self.view.deleted_through);
        let late = late.filter(|one| {
            let meets = one.first <= self.last && one.last >= self.first;
            meets && one.selector.matches(labels)
        });
        Holes::of(late.map(|one| (one.first, one.last)))
    }
}

impl Iterator for SeriesSet {
    type Item = Result<Series>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let found = match self.next_runs()? {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            let series = Series::new(found, (self.first, self.last), self.guard());
            match series.has_samples() {
                Ok(true) => return Some(Ok(series)),
                Ok(false) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use treering_index::{LabelLimits, labels};

    use super::*;
    use crate::clock::Clock;
    use crate::options::QueryLimits;
    use crate::query::guard::{CancelToken, Pool};
    use crate::registry::Limits;

    /// A clock that notes, whenever it is asked, whether the registry can be written to.
    #[derive(Debug)]
    struct Witness {
        registry: Arc<RwLock<Registry>>,
        free: AtomicUsize,
        taken: AtomicUsize,
    }

    impl Clock for Witness {
        fn now(&self) -> i64 {
            0
        }

        fn monotonic(&self) -> Duration {
            let seen = match self.registry.try_write() {
                Some(_) => &self.free,
                None => &self.taken,
            };
            seen.fetch_add(1, Ordering::Relaxed);
            Duration::ZERO
        }
    }

    /// A query over all series once held the registry until it had the labels of each, and an
    /// append with a new series waited for it.
    #[test]
    fn a_new_series_waits_for_no_more_than_a_thousand_labels() {
        let limits = Limits {
            series: u64::MAX,
            own_series: u64::MAX,
            bytes: u64::MAX,
            labels: LabelLimits::default(),
        };
        let mut registry = Registry::new(limits, Arc::default());
        let series = 2 * CHECK_EVERY + 1;
        let ids: Vec<u32> = (0..series)
            .map(|host| {
                let labels = labels! { "__name__" => "cpu", "host" => host.to_string() };
                registry.insert(&labels).unwrap()
            })
            .collect();
        let registry = Arc::new(RwLock::new(registry));
        let clock = Arc::new(Witness {
            registry: Arc::clone(&registry),
            free: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
        });
        let (token, limits) = (CancelToken::new(), QueryLimits::default());
        let pool = Arc::new(Pool::new(u64::MAX));
        let guard = Guard::new(limits, token, Arc::clone(&clock) as Arc<dyn Clock>, pool);
        let mut plan = Plan {
            places: Vec::new(),
            held: guard.hold(),
            wanted: None,
        };
        plan.add_active(&ids, &registry, &Selector::metric("cpu"), &guard)
            .unwrap();
        assert_eq!(plan.places.len(), series);
        assert_eq!(clock.taken.load(Ordering::Relaxed), 0);
        assert!(clock.free.load(Ordering::Relaxed) > series / CHECK_EVERY);
    }
}
