//! Watching: the samples of a selector, handed to whoever watches as they are acknowledged.
//!
//! Input: batches that were acknowledged. Output: updates in a bounded queue, one per series and
//! batch. A batch takes its turn while the WAL is locked and is handed out when all turns before it
//! have ended, so updates come in order of sequence; a batch that fails gives its turn up.
//! Invariant: an append never waits for a receiver: what does not fit is dropped whole and counted.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use treering_codec::{Extras, Histogram};
use treering_index::{Labels, Selector};

use crate::db::Db;
use crate::error::{Error, Result};
use crate::registry::Registry;
use crate::space::Space;
use crate::sync::{Condvar, Mutex};
use crate::wal::payload::IdRun;

/// The samples of one series in one batch.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Update {
    /// The series.
    pub labels: Labels,
    /// Nanoseconds since the Unix epoch, in the order in which they were appended.
    pub timestamps: Vec<i64>,
    /// The values at these times; where a sample is a histogram, the stale marker.
    pub values: Vec<f64>,
    /// For each sample the histogram that it is, if any; empty where all samples are floats.
    pub histograms: Vec<Option<Arc<Histogram>>>,
    /// For each sample the time since which its counter counts, or 0 where that is not known;
    /// empty where it is known of none.
    pub starts: Vec<i64>,
}

/// What is appended to the series of a selector, from [`Db::watch`] on. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    subscription: Arc<Subscription>,
    watchers: Arc<Watchers>,
}

impl Db {
    /// Watches the series of `selector` in this namespace: every sample that is appended to them
    /// from now on, once it is acknowledged, in order of sequence. For live views; what must not
    /// miss anything follows [`Db::frames_since`].
    ///
    /// At most `capacity` samples wait to be received. An update that does not fit is dropped and
    /// counted in [`Watch::missed`]; appends never wait for a receiver. While somebody watches,
    /// each append to the namespace also looks up which of its series are selected.
    ///
    /// A read-only open hands out what [`Db::refresh`] finds in the log of the writer. A refresh
    /// that comes after a flush may have passed samples over, and counts as one update missed.
    ///
    /// ```
    /// use treering::{Batch, Db, Selector, labels};
    ///
    /// let db = Db::in_memory()?;
    /// let watch = db.watch(&Selector::parse(r#"cpu{host="a"}"#)?, 10_000)?;
    /// db.append(&Batch::new().sample(labels! { "__name__" => "cpu", "host" => "a" }, 1, 0.5))?;
    /// let update = watch.try_recv()?.unwrap();
    /// assert_eq!((update.timestamps, update.values), (vec![1], vec![0.5]));
    /// # Ok::<(), treering::Error>(())
    /// ```
    ///
    /// # Errors
    /// A capacity of 0, a closed database, a dropped namespace.
    pub fn watch(&self, selector: &Selector, capacity: usize) -> Result<Watch> {
        self.core().check_open()?;
        self.space().check()?;
        if capacity == 0 {
            return Err(Error::InvalidArgument {
                argument: "the capacity",
                why: "must be at least one sample".to_owned(),
            });
        }
        let watchers = Arc::clone(&self.space().watchers);
        let subscription = watchers.subscribe(selector.clone(), capacity)?;
        Ok(Watch {
            subscription,
            watchers,
        })
    }
}

impl Watch {
    /// The next update, when there is one within `timeout`.
    ///
    /// # Errors
    /// [`Error::Closed`] or [`Error::NoNamespace`] once the database was closed or the namespace
    /// dropped and everything that waited was received.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<Update>> {
        let subscription = &*self.subscription;
        let mut queue = subscription.queue.lock();
        let idle = |queue: &mut Queue| queue.updates.is_empty() && queue.ended.is_none();
        subscription
            .arrived
            .wait_while_for(&mut queue, idle, timeout);
        queue.take()
    }

    /// The next update, when one waits already.
    ///
    /// # Errors
    /// As [`Watch::recv_timeout`].
    pub fn try_recv(&self) -> Result<Option<Update>> {
        self.subscription.queue.lock().take()
    }

    /// The updates one by one, waiting for each; ends when the database is closed or the namespace
    /// dropped.
    pub fn iter(&self) -> impl Iterator<Item = Update> + '_ {
        std::iter::from_fn(|| {
            let subscription = &*self.subscription;
            let mut queue = subscription.queue.lock();
            let idle = |queue: &mut Queue| queue.updates.is_empty() && queue.ended.is_none();
            subscription.arrived.wait_while(&mut queue, idle);
            queue.take().ok().flatten()
        })
    }

    /// How many updates were dropped so far because they did not fit, or passed over by a refresh.
    pub fn missed(&self) -> u64 {
        self.subscription.queue.lock().missed
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watchers.unsubscribe(&self.subscription);
    }
}

/// Those who watch a namespace.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    /// `State::subscriptions.len()`, readable without the lock.
    count: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    subscriptions: Vec<Arc<Subscription>>,
    /// Batches in order of sequence, from the first that is not acknowledged on.
    turns: VecDeque<Waiting>,
    ended: Option<Error>,
}

/// A batch whose turn has not come.
#[derive(Debug)]
struct Waiting {
    sequence: u64,
    /// WAL generation in which it was written.
    generation: u64,
    /// What to hand out; `None` until the batch is acknowledged.
    ready: Option<Vec<Delivery>>,
}

/// What a batch holds for one who watches.
type Delivery = (Arc<Subscription>, Vec<Update>);

/// One who watches.
#[derive(Debug)]
struct Subscription {
    selector: Selector,
    /// Most samples that wait.
    capacity: usize,
    selected: Mutex<Selected>,
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    updates: VecDeque<Update>,
    samples: usize,
    missed: u64,
    ended: Option<Error>,
}

/// Which ids of the registry are selected, as far as it was asked, one bit each.
#[derive(Debug, Default)]
struct Selected {
    /// `Space::round` for which this holds.
    round: u64,
    known: Vec<u64>,
    selected: Vec<u64>,
}

/// The place of one batch among those that are watched; dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Turn {
    watchers: Arc<Watchers>,
    sequence: u64,
    published: bool,
}

impl Watchers {
    /// Takes the place of the batch with this sequence, written in `generation` of the WAL; `None`
    /// when nobody watches. Call it while the WAL is still locked.
    pub(crate) fn enter(self: &Arc<Self>, sequence: u64, generation: u64) -> Option<Turn> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.state.lock().turns.push_back(Waiting {
            sequence,
            generation,
            ready: None,
        });
        Some(Turn {
            watchers: Arc::clone(self),
            sequence,
            published: false,
        })
    }

    /// The generation of the oldest batch whose turn has not come: it has yet to name its series.
    pub(crate) fn waits_for(&self) -> Option<u64> {
        self.state.lock().turns.front().map(|turn| turn.generation)
    }

    /// Ends all watches, for this reason, and refuses new ones.
    pub(crate) fn end(&self, reason: &Error) {
        let subscriptions = {
            let mut state = self.state.lock();
            state.ended = Some(reason.clone());
            state.subscriptions.clone()
        };
        for subscription in subscriptions {
            let mut queue = subscription.queue.lock();
            queue.ended.get_or_insert_with(|| reason.clone());
            subscription.arrived.notify_all();
        }
    }

    /// Tells all who watch that they may have missed something.
    pub(crate) fn miss(&self) {
        let subscriptions = self.state.lock().subscriptions.clone();
        subscriptions.iter().for_each(|one| one.miss());
    }

    fn subscribe(&self, selector: Selector, capacity: usize) -> Result<Arc<Subscription>> {
        let subscription = Arc::new(Subscription {
            selector,
            capacity,
            selected: Mutex::default(),
            queue: Mutex::default(),
            arrived: Condvar::new(),
        });
        let mut state = self.state.lock();
        if let Some(reason) = &state.ended {
            return Err(reason.clone());
        }
        state.subscriptions.push(Arc::clone(&subscription));
        self.count
            .store(state.subscriptions.len(), Ordering::Relaxed);
        Ok(subscription)
    }

    fn unsubscribe(&self, gone: &Arc<Subscription>) {
        let mut state = self.state.lock();
        state.subscriptions.retain(|one| !Arc::ptr_eq(one, gone));
        self.count
            .store(state.subscriptions.len(), Ordering::Relaxed);
    }
}

impl State {
    /// Hands out what is ready, up to the first batch that is not.
    fn hand_out(&mut self) {
        while let Some(first) = self.turns.front_mut() {
            let Some(ready) = first.ready.take() else {
                return;
            };
            for (subscription, updates) in ready {
                subscription.add(updates);
            }
            self.turns.pop_front();
        }
    }
}

impl Turn {
    /// Hands the samples of the batch out, now that it is acknowledged. Until then its series are
    /// not forgotten: see [`Watchers::waits_for`].
    pub(crate) fn publish(
        mut self,
        space: &Space,
        runs: &[IdRun],
        columns: (&[i64], &[f64]),
        extras: &Extras,
    ) {
        let subscriptions = self.watchers.state.lock().subscriptions.clone();
        let registry = space.registry.read();
        let round = space.round();
        let deliveries = subscriptions.into_iter().map(|one| {
            let updates = one.updates((&registry, round), runs, columns, extras);
            (one, updates)
        });
        let deliveries = deliveries.collect();
        drop(registry);
        self.published = true;
        let mut state = self.watchers.state.lock();
        let turns = &mut state.turns;
        if let Some(turn) = turns.iter_mut().find(|it| it.sequence == self.sequence) {
            turn.ready = Some(deliveries);
        }
        state.hand_out();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.published {
            let mut state = self.watchers.state.lock();
            state.turns.retain(|turn| turn.sequence != self.sequence);
            state.hand_out();
        }
    }
}

impl Subscription {
    /// What of a batch it selects, series by series in order of their first sample.
    fn updates(
        &self,
        (registry, round): (&Registry, u64),
        runs: &[IdRun],
        (timestamps, values): (&[i64], &[f64]),
        extras: &Extras,
    ) -> Vec<Update> {
        let mut selected = self.selected.lock();
        selected.renew(round);
        let mut updates: Vec<Update> = Vec::new();
        let mut places: HashMap<u32, usize> = HashMap::new();
        let mut at = 0;
        for run in runs {
            let len = run.len as usize;
            for id in run.first..run.first + run.ids {
                let samples = at..at + len;
                at = samples.end;
                if !selected.has(id, registry, &self.selector) {
                    continue;
                }
                let place = match places.entry(id) {
                    Entry::Occupied(place) => *place.get(),
                    Entry::Vacant(place) => {
                        let Some(labels) = registry.index().labels(id) else {
                            continue;
                        };
                        updates.push(Update {
                            labels,
                            timestamps: Vec::with_capacity(len),
                            values: Vec::with_capacity(len),
                            histograms: Vec::new(),
                            starts: Vec::new(),
                        });
                        *place.insert(updates.len() - 1)
                    }
                };
                if let (Some(update), Some(times), Some(values)) = (
                    updates.get_mut(place),
                    timestamps.get(samples.clone()),
                    values.get(samples.clone()),
                ) {
                    update.extend_extras(extras, samples);
                    update.timestamps.extend_from_slice(times);
                    update.values.extend_from_slice(values);
                }
            }
        }
        updates
    }

    /// Notes that something cannot be told.
    fn miss(&self) {
        let mut queue = self.queue.lock();
        if queue.ended.is_none() {
            queue.missed += 1;
        }
    }

    /// Puts updates into the queue, as far as they fit.
    fn add(&self, updates: Vec<Update>) {
        let mut queue = self.queue.lock();
        if queue.ended.is_some() {
            return;
        }
        for update in updates {
            let samples = queue.samples.saturating_add(update.values.len());
            if samples > self.capacity {
                queue.missed += 1;
            } else {
                queue.samples = samples;
                queue.updates.push_back(update);
            }
        }
        self.arrived.notify_all();
    }
}

impl Update {
    /// Adds what the samples at these places have beside their floats, before they are added.
    fn extend_extras(&mut self, extras: &Extras, places: Range<usize>) {
        if extras.is_empty() {
            return;
        }
        let (held, added) = (self.values.len(), places.len());
        let own = extras.slice(places.start as u32..places.end as u32);
        let (histograms, starts) = own.spread(added);
        if !histograms.is_empty() || !self.histograms.is_empty() {
            self.histograms.resize(held, None);
            self.histograms.extend(histograms);
            self.histograms.resize(held + added, None);
        }
        if !starts.is_empty() || !self.starts.is_empty() {
            self.starts.resize(held, 0);
            self.starts.extend(starts);
            self.starts.resize(held + added, 0);
        }
    }
}

impl Queue {
    /// The first update; the reason of the end once there are none and no more come.
    fn take(&mut self) -> Result<Option<Update>> {
        match (self.updates.pop_front(), &self.ended) {
            (Some(update), _) => {
                self.samples -= update.values.len();
                Ok(Some(update))
            }
            (None, Some(reason)) => Err(reason.clone()),
            (None, None) => Ok(None),
        }
    }
}

impl Selected {
    /// Forgets everything when ids may have gone to other series.
    fn renew(&mut self, round: u64) {
        if self.round != round {
            self.known.clear();
            self.selected.clear();
            self.round = round;
        }
    }

    /// Whether `selector` selects the series `id`.
    fn has(&mut self, id: u32, registry: &Registry, selector: &Selector) -> bool {
        let (word, bit) = (id as usize / 64, 1 << (id % 64));
        if word >= self.known.len() {
            self.known.resize(word + 1, 0);
            self.selected.resize(word + 1, 0);
        }
        if self.known[word] & bit == 0 {
            let labels = registry.index().labels(id);
            if labels.is_some_and(|labels| selector.matches(&labels)) {
                self.selected[word] |= bit;
            }
            self.known[word] |= bit;
        }
        self.selected[word] & bit != 0
    }
}
