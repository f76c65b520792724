//! Plans a query: which series it is about, and where each of them is.
//!
//! Input: a view, the registry, a selector, a range. Output: a [`SeriesSet`] with a place for each
//! series in each block and in the heads, in the order of labels. What it takes is counted before.

use std::sync::Arc;

use treering_index::{Labels, Postings, Selector};

use super::guard::{Guard, Held};
use super::hiding::{CHECK_EVERY, Hiding};
use super::select::{Aim, SeriesSet};
use crate::block::{Block, BlockIndex, Cursor, step_bounds};
use crate::error::Result;
use crate::head::Deletes;
use crate::registry::Registry;
use crate::sync::RwLock;
use crate::view::View;

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
    pub(super) fn last(self, block: &Block, last: i64) -> i64 {
        let step = block.info().meta.step_nanos();
        if self == Self::Samples || step == 0 {
            return last;
        }
        step_bounds(last, step).1
    }
}

/// One series in blocks that have the same series, or in the heads.
#[derive(Debug)]
pub(super) struct Place {
    /// None where they are read later, and all places are series of one group of blocks.
    pub(super) labels: Option<Labels>,
    pub(super) source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// Index into the groups of blocks, ordinal in each block of the group.
    Blocks(u32, u32),
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
    let naming = Naming::All;
    plan(view, registry, selector, range, guard, (reach, naming))
}

/// As [`select`]; labels are left to be read later where no order depends on them.
pub(crate) fn select_unnamed(
    view: Arc<View>,
    registry: &RwLock<Registry>,
    selector: &Selector,
    range: (i64, i64),
    guard: Guard,
) -> Result<SeriesSet> {
    let how = (Reach::Samples, Naming::Later);
    plan(view, registry, selector, range, guard, how)
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
    let naming = wanted.map_or(Naming::All, Naming::Some);
    let how = (Reach::Samples, naming);
    plan(view, registry, selector, range, guard, how)
}

/// Of which series a plan reads the labels.
#[derive(Clone, Copy)]
enum Naming<'a> {
    All,
    /// Of all of them, to leave out those that are not wanted.
    Some(Wanted<'a>),
    /// Of those alone that labels put in order.
    Later,
}

fn plan(
    view: Arc<View>,
    registry: &RwLock<Registry>,
    selector: &Selector,
    (first, last): (i64, i64),
    guard: Guard,
    (reach, naming): (Reach, Naming<'_>),
) -> Result<SeriesSet> {
    let mut plan = Plan::new(&guard, naming);
    let lasts = view.blocks.iter().map(|live| reach.last(&live.block, last));
    let hiding = Hiding::of(&view, (first, lasts.fold(last, i64::max)), &guard)?;
    let mut groups: Vec<Vec<u32>> = Vec::new();
    // The fingerprint of the last group, if others may join it: its index is not held any longer.
    let mut known: Option<Vec<u8>> = None;
    for (number, live) in view.blocks.iter().enumerate() {
        let block = &live.block;
        if block.min_time() > reach.last(block, last) || block.max_time() < first {
            continue;
        }
        guard.check()?;
        let index = block.index()?;
        let is_whole = !hiding.is_in_block(number);
        if is_whole
            && known.as_deref() == Some(index.fingerprint())
            && let Some(group) = groups.last_mut()
        {
            // What the first of them said of its series holds for this one.
            group.push(number as u32);
            continue;
        }
        let ordinals = hiding.outside(number, live, index.select(selector.matchers())?);
        plan.add_group(groups.len() as u32, block, (&index, ordinals), &guard)?;
        groups.push(vec![number as u32]);
        known = is_whole.then(|| index.fingerprint().to_vec());
    }
    let (active, deletes) = active(&view, registry, selector, (first, last));
    match active.is_empty() {
        true => plan.leave_unnamed()?,
        false => plan.name(&guard)?,
    }
    plan.add_active(&active, registry, &guard)?;
    let Plan {
        mut places, held, ..
    } = plan;
    // One group of blocks has its series in the order of labels, each once.
    let series = if is_one_group(&places) {
        places.len()
    } else {
        places.sort_by(|a, b| a.labels.cmp(&b.labels).then(a.source.cmp(&b.source)));
        places.chunk_by(|a, b| a.labels == b.labels).count()
    };
    guard.series(series as u64)?;
    let cursors = view.blocks.iter().map(|_| Cursor::default()).collect();
    Ok(SeriesSet {
        view,
        first,
        last,
        reach,
        held,
        places: places.into(),
        groups: groups.into(),
        cursors,
        hiding: Arc::new(hiding),
        deletes,
        aim: Aim::Samples,
    })
}

/// Whether all places are in the same group of blocks. Those of blocks come group by group, before
/// those in heads.
fn is_one_group(places: &[Place]) -> bool {
    let group = |place: &Place| match place.source {
        Source::Blocks(group, _) => Some(group),
        Source::Heads(_) => None,
    };
    let ends = places.first().zip(places.last());
    ends.is_some_and(|(first, last)| group(last).is_some() && group(first) == group(last))
}

/// Estimate of what one place of the plan takes, labels included.
pub(super) const PLACE_BYTES: u64 = 256;

/// The ids of the series that `selector` selects with samples in the heads that may lie in
/// `first..=last`, ascending, and the deletes that came before.
fn active(
    view: &View,
    registry: &RwLock<Registry>,
    selector: &Selector,
    (first, last): (i64, i64),
) -> (Vec<u32>, Deletes) {
    loop {
        // What is found below was appended before these, or is not older than what they took: a
        // series that is made anew after it was looked for comes with none of them.
        let before = view.live.deletes();
        let mut active = Vec::new();
        if view.heads_in(first, last).next().is_some() {
            // Few series are looked up one by one; a head may hold a million others.
            let selected = registry.read().index().select(selector.matchers()).to_vec();
            for (_, head) in view.heads_in(first, last) {
                head.active_among(&selected, first, last, &mut active);
            }
        }
        active.sort_unstable();
        active.dedup();
        // A delete in between took series out of some shards and not yet of others.
        if view.live.deletes().len() == before.len() {
            return (active, before);
        }
    }
}

/// The places found so far, and the memory that they take.
struct Plan<'a> {
    places: Vec<Place>,
    held: Held,
    /// Which series are wanted; all of them without.
    wanted: Option<Wanted<'a>>,
    /// Whether labels are read when they are needed.
    is_later: bool,
    /// The first block of the first group, and its series, whose labels nobody needed yet.
    unnamed: Option<(Arc<Block>, Postings)>,
}

impl<'a> Plan<'a> {
    fn new(guard: &Guard, naming: Naming<'a>) -> Self {
        Self {
            places: Vec::new(),
            held: guard.hold(),
            wanted: match naming {
                Naming::Some(wanted) => Some(wanted),
                Naming::All | Naming::Later => None,
            },
            is_later: matches!(naming, Naming::Later),
            unnamed: None,
        }
    }

    /// Adds the series `ordinals` of each block of a group, of which `block` is the first: at once,
    /// or when it shows that there is another group.
    fn add_group(
        &mut self,
        group: u32,
        block: &Arc<Block>,
        (index, ordinals): (&BlockIndex<'_>, Postings),
        guard: &Guard,
    ) -> Result<()> {
        if group == 0 && self.is_later {
            self.unnamed = Some((Arc::clone(block), ordinals));
            return Ok(());
        }
        self.name(guard)?;
        self.add_block(group, index, &ordinals, guard)
    }

    /// Adds the series of the first group: others will be put in order with them.
    fn name(&mut self, guard: &Guard) -> Result<()> {
        match self.unnamed.take() {
            Some((block, ordinals)) => self.add_block(0, &block.index()?, &ordinals, guard),
            None => Ok(()),
        }
    }

    /// Adds the series of the first group without their labels: there is no other.
    fn leave_unnamed(&mut self) -> Result<()> {
        let Some((_, ordinals)) = self.unnamed.take() else {
            return Ok(());
        };
        self.expect(ordinals.len())?;
        let place = |ordinal| Place {
            labels: None,
            source: Source::Blocks(0, ordinal),
        };
        self.places.extend(ordinals.iter().map(place));
        Ok(())
    }

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
        let labels = Some(labels);
        self.places.push(Place { labels, source });
        Ok(())
    }

    /// Adds the series `ordinals` of each block of a group.
    fn add_block(
        &mut self,
        group: u32,
        index: &BlockIndex<'_>,
        ordinals: &Postings,
        guard: &Guard,
    ) -> Result<()> {
        self.expect(ordinals.len())?;
        let mut labels = index.labels()?;
        for (done, ordinal) in ordinals.iter().enumerate() {
            if done % CHECK_EVERY == 0 {
                guard.check()?;
            }
            let source = Source::Blocks(group, ordinal);
            self.add(labels.labels(ordinal)?, source)?;
        }
        Ok(())
    }

    /// Adds the series with these ids.
    fn add_active(
        &mut self,
        active: &[u32],
        registry: &RwLock<Registry>,
        guard: &Guard,
    ) -> Result<()> {
        if active.is_empty() {
            return Ok(());
        }
        self.expect(active.len())?;
        let mut wanted = active.iter().copied();
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
#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use treering_index::{LabelLimits, labels};

    use super::*;
    use crate::clock::Clock;
    use crate::options::QueryLimits;
    use crate::query::guard::Pool;
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
        let (token, limits) = (Vec::new(), QueryLimits::default());
        let pool = Arc::new(Pool::new(u64::MAX));
        let guard = Guard::new(limits, token, Arc::clone(&clock) as Arc<dyn Clock>, pool);
        let mut plan = Plan::new(&guard, Naming::All);
        plan.add_active(&ids, &registry, &guard).unwrap();
        assert_eq!(plan.places.len(), series);
        assert_eq!(clock.taken.load(Ordering::Relaxed), 0);
        assert!(clock.free.load(Ordering::Relaxed) > series / CHECK_EVERY);
    }
}
