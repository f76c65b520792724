//! The plain model: what a database should hold, sample by sample, in maps.
//!
//! Input: the same changes. Output: what may be seen at a time. Samples past the retention are
//! never seen; maintenance may have taken them away or not, so that they are *faint*: were the clock
//! set back, each would be there as it was, or gone for good. One that is seen again is certain
//! again. Samples that are old enough to become coarser may be *folded* into a later one of their
//! step: from then on they share its fate.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use treering::{Metadata, NamespaceOptions};

use super::steps::{Kept, SECOND, What};

/// Samples of the hosts of one namespace: host, timestamp, bits.
pub(crate) type Samples = BTreeMap<u8, BTreeMap<i64, u64>>;

/// Values of the hosts, in order of time.
pub(crate) type Values = BTreeMap<u8, Vec<f64>>;

/// What one namespace should hold.
#[derive(Debug, Default, Clone)]
pub(crate) struct Plain {
    pub(crate) kept: Kept,
    hosts: BTreeMap<u8, BTreeMap<i64, Held>>,
    pub(crate) metadata: BTreeMap<String, Metadata>,
    /// Whether anything ever went with its age or for its bytes: then lists of names that come from
    /// indexes may name more than there is.
    pub(crate) thinned: bool,
    /// Whether it ever kept coarser steps: then an answer may say that it is approximate.
    pub(crate) coarse: bool,
    /// Steps in nanoseconds, each with the time through which samples may be folded into it.
    steps: BTreeMap<i64, i64>,
    /// Hosts that got samples among those: they are added to steps, but nobody knows at which place
    /// in them.
    pub(crate) mixed: BTreeSet<u8>,
    /// Which of the namespaces that had its name.
    pub(crate) born: u32,
}

#[derive(Debug, Clone)]
struct Held {
    bits: u64,
    faint: bool,
    /// Bits of the samples folded into it, in order.
    folded: Vec<u64>,
}

/// The step window of a timestamp, in nanoseconds: left-open, right-closed.
fn window(at: i64, step: i64) -> i128 {
    (i128::from(at) - 1).div_euclid(i128::from(step))
}

impl Kept {
    /// Seconds after which samples become coarser, and the step that they then have.
    pub(crate) fn tiers(self) -> &'static [(u64, u64)] {
        [&[][..], &[(3600, 60)], &[(1800, 300), (86_400, 3600)]][usize::from(self.coarser)]
    }

    pub(crate) fn options(self) -> NamespaceOptions {
        let mut options = NamespaceOptions::default();
        options.retention = self.age.map(Duration::from_secs);
        options.retention_bytes = self.bytes;
        options.block_window = self.window.map(Duration::from_secs);
        for &(after, step) in self.tiers() {
            options = options.downsample(Duration::from_secs(after), Duration::from_secs(step));
        }
        options
    }
}

impl Plain {
    pub(crate) fn new(kept: Kept, born: u32) -> Self {
        let mut plain = Self {
            born,
            ..Self::default()
        };
        plain.keep(kept);
        plain
    }

    /// As much of a wish as the model understands: what goes with age or bytes goes from steps as
    /// a whole, so where there ever were steps nothing does.
    pub(crate) fn may_keep(&self, wish: Kept) -> Kept {
        match self.coarse {
            true => Kept {
                age: None,
                bytes: None,
                ..wish
            },
            false => wish,
        }
    }

    /// Changes how it is kept.
    pub(crate) fn keep(&mut self, kept: Kept) {
        self.kept = kept;
        self.coarse |= !kept.tiers().is_empty();
    }

    /// The first timestamp that is kept at the time `now`.
    pub(crate) fn horizon(&self, now: i64) -> i64 {
        match self.kept.age {
            Some(seconds) => now.saturating_sub((seconds * 1_000_000_000) as i64),
            None => i64::MIN,
        }
    }

    pub(crate) fn append(&mut self, host: u8, at: i64, value: f64) {
        let bits = value.to_bits();
        let held = Held {
            bits,
            faint: false,
            folded: Vec::new(),
        };
        self.hosts.entry(host).or_default().insert(at, held);
        if self.steps.values().any(|through| at <= *through) {
            self.mixed.insert(host);
        }
    }

    pub(crate) fn delete(&mut self, what: What, first: i64, last: i64) {
        if first > last {
            return;
        }
        for (_, samples) in self
            .hosts
            .iter_mut()
            .filter(|(host, _)| what.selects(**host))
        {
            samples.retain(|at, _| !(first..=last).contains(at));
        }
    }

    /// Maintenance ran at the time `now`: what is past the retention may be gone.
    pub(crate) fn dim(&mut self, now: i64) {
        let horizon = self.horizon(now);
        for samples in self.hosts.values_mut() {
            for (_, held) in samples.range_mut(..horizon) {
                held.faint = true;
                self.thinned = true;
            }
        }
    }

    /// What a question at the time `now` must answer; samples that are faint may lack.
    fn visible(&self, host: u8, first: i64, last: i64) -> impl Iterator<Item = (i64, &Held)> {
        let samples = self.hosts.get(&host).filter(|_| first <= last);
        let range = samples.map(|samples| samples.range(first..=last));
        range.into_iter().flatten().map(|(&at, held)| (at, held))
    }

    /// Maintenance ran at the time `now`, and `found` is all there is: what lacks and is old enough
    /// went into the next sample of its step.
    pub(crate) fn fold(&mut self, found: &Samples, now: i64) {
        for &(after, step) in self.kept.tiers() {
            let old = now.saturating_sub(after as i64 * SECOND);
            let through = self.steps.entry(step as i64 * SECOND).or_insert(old);
            *through = old.max(*through);
        }
        let steps = &self.steps;
        for (host, samples) in &mut self.hosts {
            let Some(found) = found.get(host) else {
                continue;
            };
            let mut goes = BTreeMap::new();
            for &at in samples.keys().filter(|at| !found.contains_key(at)) {
                let step = steps.iter().rfind(|(_, through)| at <= **through);
                let next = found.range(at..).next().map(|(&next, _)| next);
                if let (Some((&step, _)), Some(next)) = (step, next)
                    && window(at, step) == window(next, step)
                    && samples.contains_key(&next)
                {
                    goes.entry(next).or_insert_with(Vec::new).push(at);
                }
            }
            for (next, goes) in goes {
                let goes = goes.iter().filter_map(|at| samples.remove(at));
                let before = goes.flat_map(|held| held.folded.into_iter().chain([held.bits]));
                let before: Vec<u64> = before.collect();
                let last = samples.get_mut(&next).unwrap();
                last.folded.splice(0..0, before);
            }
        }
    }

    /// Holds an answer over `first..=last` against the model. `over` says that the namespace held
    /// more bytes than it may: then the oldest samples may be gone, through some moment.
    pub(crate) fn compare(
        &mut self,
        found: &Samples,
        (first, last): (i64, i64),
        now: i64,
        over: bool,
    ) {
        let first = first.max(self.horizon(now));
        let mut missing: Vec<(i64, u8)> = Vec::new();
        for host in 0..super::steps::HOSTS {
            let empty = BTreeMap::new();
            let found = found.get(&host).unwrap_or(&empty);
            let mut expected = 0;
            let mut gone = BTreeSet::new();
            for (at, held) in self.visible(host, first, last) {
                match found.get(&at) {
                    Some(&bits) => {
                        assert_eq!(
                            bits, held.bits,
                            "h{host} at {at}: not what was written last"
                        );
                        expected += 1;
                    }
                    None if held.faint => {
                        gone.insert(at);
                    }
                    None => missing.push((at, host)),
                }
            }
            if found.len() > expected {
                let known: BTreeMap<_, _> = self.visible(host, first, last).collect();
                let more = found.iter().find(|(at, _)| !known.contains_key(at));
                panic!("h{host} at {more:?}: nothing should be there ({first}..={last})");
            }
            let samples = self.hosts.entry(host).or_default();
            samples.retain(|at, _| !gone.contains(at));
            for at in found.keys() {
                if let Some(held) = samples.get_mut(at) {
                    held.faint = false;
                }
            }
        }
        let Some(&(through, host)) = missing.iter().max() else {
            return;
        };
        assert!(
            over,
            "h{host} lacks the sample at {through}, and {} more",
            missing.len() - 1
        );
        let kept = found.values().filter_map(|samples| samples.keys().next());
        if let Some(kept) = kept.min() {
            assert!(
                *kept > through,
                "the sample at {kept} stayed, one at {through} went"
            );
        }
        self.thinned = true;
        self.delete(What::Everything, i64::MIN, through);
    }

    /// What is there in `first..=last`; call it once nothing visible is faint.
    pub(crate) fn samples(&self, (first, last): (i64, i64), now: i64) -> Samples {
        let first = first.max(self.horizon(now));
        let of = |&host: &u8| {
            let samples = self.visible(host, first, last);
            let samples: BTreeMap<_, _> = samples.map(|(at, held)| (at, held.bits)).collect();
            (!samples.is_empty()).then_some((host, samples))
        };
        self.hosts.keys().filter_map(of).collect()
    }

    /// The values that aggregates over `first..=last` are made of: what was folded goes with the
    /// sample that it was folded into.
    pub(crate) fn values(&self, (first, last): (i64, i64), now: i64) -> Values {
        let first = first.max(self.horizon(now));
        let of = |&host: &u8| {
            let values = self.visible(host, first, last).flat_map(|(_, held)| {
                let folded = held.folded.iter().copied();
                folded.chain([held.bits]).map(f64::from_bits)
            });
            (host, values.collect())
        };
        self.hosts.keys().map(of).collect()
    }
}
