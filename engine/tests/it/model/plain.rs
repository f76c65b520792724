//! The plain model: what a database should hold, sample by sample, in maps.
//!
//! Input: the same changes. Output: what may be seen at a time. Samples past the retention are
//! never seen; maintenance may have taken them away or not, so that they are *faint*: were the clock set
//! back, each would be there as it was, or gone for good. One that is seen again is certain again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use treering::{Metadata, NamespaceOptions};

use super::steps::{Kept, What};

/// Samples of the hosts of one namespace: host, timestamp, bits.
pub(crate) type Samples = BTreeMap<u8, BTreeMap<i64, u64>>;

/// What one namespace should hold.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    pub(crate) kept: Kept,
    hosts: BTreeMap<u8, BTreeMap<i64, Held>>,
    pub(crate) metadata: BTreeMap<String, Metadata>,
    /// Whether anything was ever taken away: then lists of names that come from indexes may name
    /// more than there is.
    pub(crate) thinned: bool,
    /// Which of the namespaces that had its name.
    pub(crate) born: u32,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    bits: u64,
    faint: bool,
}

impl Kept {
    pub(crate) fn options(self) -> NamespaceOptions {
        let mut options = NamespaceOptions::default();
        options.retention = self.age.map(Duration::from_secs);
        options.retention_bytes = self.bytes;
        options.block_window = self.window.map(Duration::from_secs);
        options
    }
}

impl Plain {
    pub(crate) fn new(kept: Kept, born: u32) -> Self {
        Self {
            kept,
            born,
            ..Self::default()
        }
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
        let held = Held { bits, faint: false };
        self.hosts.entry(host).or_default().insert(at, held);
    }

    pub(crate) fn delete(&mut self, what: What, first: i64, last: i64) {
        self.thinned = true;
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
    fn visible(&self, host: u8, first: i64, last: i64) -> impl Iterator<Item = (i64, Held)> {
        let samples = self.hosts.get(&host).filter(|_| first <= last);
        let range = samples.map(|samples| samples.range(first..=last));
        range.into_iter().flatten().map(|(&at, &held)| (at, held))
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
}
