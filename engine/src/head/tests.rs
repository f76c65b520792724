//! Heads against a plain model: appends and deletes in any order, bytes counted exactly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::{Head, PAGE_SERIES, Page};
use crate::ingest::push_run;
use crate::query::merge::merge_columns;
use crate::query::run::Run;

/// Two neighbours, one on another page, one on another shard, one far away.
const IDS: [u32; 5] = [0, 1, 70, 1024, 9000];

type Model = BTreeMap<u32, BTreeMap<i64, u64>>;

/// A change of a head.
#[derive(Debug, Clone)]
enum Step {
    /// One batch: indices of ids, and timestamps.
    Scatter(Vec<(usize, i64)>),
    /// Many samples of one series, forwards or backwards in time.
    Column(usize, i64, i64, i64),
    /// Indices of ids, first and last timestamp.
    Delete(Vec<usize>, i64, i64),
    /// Many deletes of one nanosecond each, `step` apart.
    Pricks(usize, i64, i64),
}

fn times() -> impl Strategy<Value = i64> {
    prop_oneof![
        16 => -40..800i64,
        1 => (0..3i64).prop_map(|at| i64::MIN + at),
        1 => (0..3i64).prop_map(|at| i64::MAX - at),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let id = || 0..IDS.len();
    let range = prop_oneof![
        3 => (times(), times()).prop_map(|(a, b)| (a.min(b), a.max(b))),
        3 => (times(), 0..60i64).prop_map(|(first, width)| (first, first.saturating_add(width))),
        1 => Just((i64::MIN, i64::MAX)),
        1 => (times(), times()),
    ];
    prop_oneof![
        5 => prop::collection::vec((id(), times()), 1..40).prop_map(Step::Scatter),
        5 => (id(), -40..500i64, -3..4i64, 1..500i64)
            .prop_map(|(id, start, step, count)| Step::Column(id, start, step, count)),
        5 => (prop::collection::vec(id(), 1..5), range)
            .prop_map(|(ids, (first, last))| Step::Delete(ids, first, last)),
        1 => (id(), 0..500i64, 2..9i64).prop_map(|(id, at, step)| Step::Pricks(id, at, step)),
    ]
}

/// A head, and what it must hold.
struct Pair {
    head: Head,
    account: Arc<AtomicU64>,
    model: Model,
    value: f64,
}

impl Pair {
    fn new() -> Self {
        let account = Arc::new(AtomicU64::new(0));
        Self {
            head: Head::new(0, Arc::clone(&account)),
            account,
            model: Model::new(),
            value: 0.0,
        }
    }

    fn append(&mut self, samples: &[(u32, i64)]) {
        let (mut runs, mut values) = (Vec::new(), Vec::new());
        for &(id, at) in samples {
            // No two values are alike, so that it shows which one won.
            self.value += 1.0;
            push_run(&mut runs, id, 1);
            values.push(self.value);
            let series = self.model.entry(id).or_default();
            series.insert(at, self.value.to_bits());
        }
        let times: Vec<i64> = samples.iter().map(|sample| sample.1).collect();
        let shards = self.head.lock(&runs);
        self.head.apply(shards, &runs, &times, &values);
    }

    fn delete(&mut self, ids: &[u32], first: i64, last: i64) {
        self.head.delete(self.head.lock_all(), ids, first, last);
        for id in ids {
            if let Some(series) = self.model.get_mut(id) {
                series.retain(|at, _| !(first <= *at && *at <= last));
            }
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Scatter(samples) => {
                let samples: Vec<_> = samples.iter().map(|&(id, at)| (IDS[id], at)).collect();
                self.append(&samples);
            }
            Step::Column(id, start, step, count) => {
                let samples: Vec<_> = (0..*count)
                    .map(|at| (IDS[*id], start + at * step))
                    .collect();
                self.append(&samples);
            }
            Step::Delete(ids, first, last) => {
                let mut ids: Vec<u32> = ids.iter().map(|&id| IDS[id]).collect();
                ids.sort_unstable();
                ids.dedup();
                self.delete(&ids, *first, *last);
            }
            Step::Pricks(id, start, step) => {
                for at in 0..40 {
                    let at = start + at * step;
                    self.delete(&[IDS[*id]], at, at);
                }
            }
        }
    }

    fn read(&self, id: u32, first: i64, last: i64) -> Vec<(i64, u64)> {
        let mut runs: Vec<Run> = Vec::new();
        self.head.runs(id, first, last, &mut runs);
        let (mut times, mut values) = (Vec::new(), Vec::new());
        merge_columns(&runs, first, last, &mut times, &mut values).unwrap();
        times
            .into_iter()
            .zip(values.into_iter().map(f64::to_bits))
            .collect()
    }

    fn check(&self, first: i64, last: i64) -> Result<(), TestCaseError> {
        let active = self.head.active(first, last);
        for id in IDS {
            let expected: Vec<_> = match self.model.get(&id) {
                Some(series) => series
                    .range(first..=last)
                    .map(|(&at, &bits)| (at, bits))
                    .collect(),
                None => Vec::new(),
            };
            prop_assert!(expected.is_empty() || active.contains(&id));
            prop_assert_eq!(self.read(id, first, last), expected, "series {}", id);
        }
        prop_assert_eq!(self.head.bytes(), measured(&self.head));
        prop_assert_eq!(self.account.load(Ordering::Relaxed), self.head.bytes());
        Ok(())
    }
}

/// The bytes of a head, counted anew.
fn measured(head: &Head) -> u64 {
    let mut bytes = 0;
    for shard in &head.shards {
        let shard = shard.lock();
        bytes += shard.pages.len() * size_of::<Option<Box<Page>>>();
        for page in shard.pages.iter().flatten() {
            bytes += size_of::<Page>();
            bytes += page
                .iter()
                .map(|series| series.measured_bytes())
                .sum::<usize>();
        }
    }
    bytes as u64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("TREERING_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200)
    ))]

    #[test]
    fn appends_and_deletes_in_any_order_leave_what_the_model_holds(
        steps in prop::collection::vec(step(), 1..25),
        (first, last) in (times(), times()),
    ) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.apply(step);
            pair.check(i64::MIN, i64::MAX)?;
            pair.check(first.min(last), first.max(last))?;
        }
        pair.delete(&IDS, i64::MIN, i64::MAX);
        pair.check(i64::MIN, i64::MAX)?;
        prop_assert!(pair.head.active(i64::MIN, i64::MAX).is_empty());
        let Pair { head, account, .. } = pair;
        drop(head);
        prop_assert_eq!(account.load(Ordering::Relaxed), 0);
    }
}

/// A late sample once rose above one that was appended after the delete of what made it late.
#[test]
fn what_is_left_of_late_samples_loses_to_what_is_appended_after_a_delete() {
    for late in [1, 300] {
        let mut pair = Pair::new();
        pair.append(&[(0, 1000)]);
        let samples: Vec<_> = (0..late).map(|at| (0, 500 - at)).collect();
        pair.append(&samples);
        pair.delete(&[0], 501, 2000);
        assert_eq!(pair.read(0, i64::MIN, i64::MAX).len(), late as usize);
        pair.append(&[(0, 500), (0, 450), (0, 700), (0, 600)]);
        pair.check(i64::MIN, i64::MAX).unwrap();
    }
}

#[test]
fn a_deleted_series_gives_its_bytes_back() {
    let mut pair = Pair::new();
    pair.append(&[(0, 0)]);
    let page = pair.head.bytes();
    let samples: Vec<_> = (0..100_000)
        .map(|at| (1, at))
        .chain((0..9000).map(|at| (1, at)))
        .collect();
    pair.append(&samples);
    assert!(pair.head.bytes() > page + 10_000);
    pair.delete(&[1], i64::MIN, i64::MAX);
    assert_eq!(pair.head.bytes(), page);
    assert_eq!(pair.head.active(i64::MIN, i64::MAX), [0]);
    assert_eq!(pair.head.samples(), 109_001);
}

#[test]
fn ten_thousand_small_deletes_do_not_pile_up() {
    let mut pair = Pair::new();
    let samples: Vec<_> = (0..PAGE_SERIES as i64 * 4)
        .map(|at| (0, at * 1_000_000))
        .collect();
    pair.append(&samples);
    let before = pair.head.bytes();
    for at in 0..10_000 {
        pair.delete(&[0], at * 3 + 1, at * 3 + 1);
    }
    assert!(
        pair.head.bytes() < before + 1000,
        "{} bytes, {before} before",
        pair.head.bytes()
    );
    pair.check(i64::MIN, i64::MAX).unwrap();
}

#[test]
fn a_delete_waits_for_the_appends_before_it_and_lets_later_ones_through() {
    let head = Head::new(0, Arc::default());
    let shards = head.lock_all();
    let free = |head: &Head| {
        head.shards
            .iter()
            .filter(|shard| shard.try_lock().is_some())
            .count()
    };
    assert_eq!(free(&head), 0);
    head.delete(shards, &[0, 70], 0, 10);
    assert_eq!(free(&head), head.shards.len());
}
