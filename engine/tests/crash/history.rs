//! What a workload changed, and what each power cut may have left of it.
//!
//! Input: batches of changes as they are made (samples that come, samples that a delete takes away,
//! facts about namespaces and metrics), each with the number of store calls before it, and the
//! moments from which batches are durable. Output: for any call, the answers that a recovered
//! database may give. Invariant: every allowed answer is the sum of a prefix of the batches, so one
//! comparison shows that nothing is lost, invented, halved, out of order or back from a delete.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use treering::{Labels, is_stale, labels};

use crate::beside::float_of;
use crate::mixed::mixed;

/// One sample: number of the series, timestamp, bits of the value. Or a fact: a number from
/// [`FACTS`] on, and what is so.
pub(crate) type Row = (u32, i64, u64);

/// Series, and facts, of each namespace: `space * SPACE_SERIES + number`.
pub(crate) const SPACE_SERIES: u32 = 10_000_000;
/// Numbers from here on are facts: that a namespace is there and how it is kept, what is known of a
/// metric.
pub(crate) const FACTS: u32 = 1 << 31;

/// What a batch does at one place: sets it, or takes away what is there.
pub(crate) type Change = ((u32, i64), Option<u64>);

/// The labels of series `number`, in whichever namespace.
pub(crate) fn labels_of(number: u32) -> Labels {
    let number = number % SPACE_SERIES;
    static FIRST: LazyLock<Vec<Labels>> = LazyLock::new(|| (0..1024).map(make_labels).collect());
    FIRST
        .get(number as usize)
        .cloned()
        .unwrap_or_else(|| make_labels(number))
}

fn make_labels(number: u32) -> Labels {
    let name = ["cpu", "memory", "disk"][number as usize % 3];
    labels! { "__name__" => name, "host" => format!("h{number}"), "n" => number.to_string() }
}

/// What a database answers, in short: a sum that does not depend on order, over all samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Print {
    sum: u64,
    /// Samples.
    pub(crate) samples: u64,
    /// Samples that are no stale markers.
    pub(crate) counted: u64,
}

impl Print {
    /// This answer with one more sample.
    pub(crate) fn add(&mut self, row: Row) {
        self.sum = self.sum.wrapping_add(mark(row));
        if row.0 >= FACTS {
            return;
        }
        self.samples += 1;
        self.counted += u64::from(!is_stale(float_of(row.2)));
    }

    /// The answer when `changes`, no two of them at the same place, are made to `state`.
    pub(crate) fn change(&mut self, state: &BTreeMap<(u32, i64), u64>, changes: &[Change]) {
        for &(key, bits) in changes {
            if let Some(&old) = state.get(&key) {
                self.take((key.0, key.1, old));
            }
            if let Some(bits) = bits {
                self.add((key.0, key.1, bits));
            }
        }
    }

    fn take(&mut self, row: Row) {
        self.sum = self.sum.wrapping_sub(mark(row));
        if row.0 >= FACTS {
            return;
        }
        self.samples -= 1;
        self.counted -= u64::from(!is_stale(float_of(row.2)));
    }
}

/// What stands for a row in a sum.
fn mark((series, timestamp, bits): Row) -> u64 {
    mixed(mixed(mixed(u64::from(series)) ^ timestamp as u64) ^ bits)
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct History {
    batches: Vec<Batch>,
    state: BTreeMap<(u32, i64), u64>,
    /// The answer after all batches.
    print: Print,
    durable: Vec<(u64, usize)>,
}

#[derive(Debug)]
struct Batch {
    changes: Vec<Change>,
    /// Calls before it was appended: it can be there only after more of them.
    begun: u64,
    /// The answer before it.
    before: Print,
}

/// The numbers of batches that a recovered database may hold.
pub(crate) type Allowed = RangeInclusive<usize>;

impl History {
    /// Notes a batch that is being appended after `calls` calls.
    pub(crate) fn begin(&mut self, rows: Vec<Row>, calls: u64) {
        let set = |(series, at, bits): Row| ((series, at), Some(bits));
        self.change(rows.into_iter().map(set).collect(), calls);
    }

    /// Notes that what `gone` says is being taken away after `calls` calls.
    pub(crate) fn take_away(&mut self, gone: impl Fn(u32, i64) -> bool, calls: u64) {
        let keys = self.state.keys().filter(|key| gone(key.0, key.1));
        self.change(keys.map(|&key| (key, None)).collect(), calls);
    }

    /// Notes changes that are made together after `calls` calls.
    pub(crate) fn change(&mut self, changes: Vec<Change>, calls: u64) {
        let before = self.print;
        for &((series, timestamp), bits) in &changes {
            let key = (series, timestamp);
            let old = match bits {
                Some(bits) => self.state.insert(key, bits),
                None => self.state.remove(&key),
            };
            if let Some(old) = old {
                self.print.take((series, timestamp, old));
            }
            if let Some(bits) = bits {
                self.print.add((series, timestamp, bits));
            }
        }
        self.batches.push(Batch {
            changes,
            begun: calls,
            before,
        });
    }

    /// What is there after all batches.
    pub(crate) fn state(&self) -> &BTreeMap<(u32, i64), u64> {
        &self.state
    }

    /// Takes the last batch back: it was refused.
    pub(crate) fn refused(&mut self) {
        let kept = self.batches.len().saturating_sub(1);
        self.state = self.state_after(kept);
        if let Some(batch) = self.batches.pop() {
            self.print = batch.before;
        }
    }

    /// Notes that after `calls` calls the first `batches` batches are durable.
    pub(crate) fn durable(&mut self, calls: u64, batches: usize) {
        self.durable.push((calls, batches));
    }

    /// How many batches there are.
    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Forgets the calls: everything so far was there before the first.
    pub(crate) fn rebase(&mut self) {
        self.batches.iter_mut().for_each(|batch| batch.begun = 0);
        self.durable = vec![(0, self.batches.len())];
    }

    /// What may be there after a power cut after `calls` calls.
    pub(crate) fn allowed(&self, calls: u64) -> Allowed {
        let durable = self.durable.iter().filter(|(at, _)| *at <= calls);
        let first = durable.map(|&(_, batches)| batches).max().unwrap_or(0);
        let rebased = self.durable.first().is_some_and(|durable| durable.0 == 0);
        let old = if rebased { self.durable[0].1 } else { 0 };
        let begun = self.batches[old..]
            .iter()
            .take_while(|batch| batch.begun < calls)
            .count();
        first..=(old + begun).max(first)
    }

    /// The answer of a database that holds the first `batches` batches.
    pub(crate) fn print(&self, batches: usize) -> Print {
        self.batches
            .get(batches)
            .map_or(self.print, |batch| batch.before)
    }

    /// How many batches a database with this answer holds.
    pub(crate) fn batches_of(&self, print: Print, allowed: &Allowed) -> Option<usize> {
        allowed
            .clone()
            .find(|&batches| self.print(batches) == print)
    }

    /// The samples of a database that holds the first `batches` batches.
    pub(crate) fn state_after(&self, batches: usize) -> BTreeMap<(u32, i64), u64> {
        let mut state = BTreeMap::new();
        let batches = self.batches.iter().take(batches);
        for &(key, bits) in batches.flat_map(|batch| &batch.changes) {
            match bits {
                Some(bits) => state.insert(key, bits),
                None => state.remove(&key),
            };
        }
        state
    }

    /// How an answer differs from those allowed, in words.
    pub(crate) fn explain(&self, found: &[Row], print: Print, allowed: &Allowed) -> String {
        let all = 0..=self.len();
        if let Some(batches) = self.batches_of(print, &all) {
            return format!("it holds batches 0..{batches}, allowed are {allowed:?}");
        }
        let found: BTreeMap<_, _> = found.iter().map(|row| ((row.0, row.1), row.2)).collect();
        let expected = self.state_after(*allowed.end());
        let missing = self.state_after(*allowed.start()).into_iter();
        let missing: Vec<_> = missing
            .filter(|(key, _)| !found.contains_key(key))
            .collect();
        let invented: Vec<_> = found
            .iter()
            .filter(|(key, bits)| expected.get(*key) != Some(*bits))
            .collect();
        format!(
            "it holds no prefix of the batches: {} samples, allowed are the first {allowed:?} \
             batches; durable but missing: {} {:?}; not of the last state: {} {:?}",
            found.len(),
            missing.len(),
            &missing[..missing.len().min(5)],
            invented.len(),
            &invented[..invented.len().min(5)],
        )
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mark((0, 0, self.0))
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A value: a small number, a decimal, any bits at all, or one of the odd ones.
    pub(crate) fn value(&mut self) -> f64 {
        match self.below(6) {
            0 => self.below(1000) as f64,
            1 => self.below(100_000) as f64 / 100.0,
            2 => f64::from_bits(self.next()),
            3 => treering::stale_marker(),
            4 => [-0.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE / 8.0][self.below(4) as usize],
            _ => 42.0,
        }
    }
}
