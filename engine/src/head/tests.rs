//! Heads against a plain model: appends and deletes in any order, bytes counted exactly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use treering_codec::{Extras, Histogram};
use treering_index::Selector;

use super::{Erasing, Head, PAGE_SERIES, Page, Sealed};
use crate::ingest::push_run;
use crate::query::merge::{Merged, merge_columns};
use crate::query::run::Run;
use crate::tombstone::Tombstone;

/// Two neighbours, one on another page, one on another shard, one far away.
const IDS: [u32; 5] = [0, 1, 70, 1024, 9000];

/// What a sample of this value has beside it.
fn beside(value: f64) -> (Option<Histogram>, i64) {
    let histogram = (value % 3.0 == 0.0).then(|| Histogram {
        sum: value,
        positive: vec![(value as i32 % 9, 1.0), (9, value)],
        ..Histogram::default()
    });
    (histogram, value as i64 / 7 % 2)
}

type Model = BTreeMap<u32, BTreeMap<i64, u64>>;

/// A change of a head.
#[derive(Debug, Clone)]
enum Step {
    /// One batch: indices of ids, and timestamps.
    Scatter(Vec<(usize, i64)>),
    /// Many samples of one series, forwards or backwards in time.
    Column(usize, i64, i64, i64),
    /// One batch of samples of every series at one time after another: start, step, how many.
    Scrapes(i64, i64, i64),
    /// A column that is long enough to be sealed.
    Long(usize, i64, i64, i64),
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
        1 => (-40..500i64, -2..4i64, 1..200i64)
            .prop_map(|(start, step, count)| Step::Scrapes(start, step, count)),
        1 => (id(), -9000..800i64, 1..4i64, 4000..5500i64)
            .prop_map(|(id, start, step, count)| Step::Long(id, start, step, count)),
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
        let (mut runs, mut values, mut extras) = (Vec::new(), Vec::new(), Extras::new());
        for &(id, at) in samples {
            // No two values are alike, so that it shows which one won.
            self.value += 1.0;
            push_run(&mut runs, id, 1);
            let (histogram, start) = beside(self.value);
            extras.push(values.len() as u32, histogram.map(Arc::new), start);
            values.push(self.value);
            let series = self.model.entry(id).or_default();
            series.insert(at, self.value.to_bits());
        }
        let times: Vec<i64> = samples.iter().map(|sample| sample.1).collect();
        let shards = self.head.lock(&runs);
        let columns = (&times[..], &values[..]);
        let sealed = Sealed::default();
        self.head.apply(shards, &runs, columns, &extras, &sealed);
    }

    /// One batch: a long column of floats with nothing beside them.
    fn append_long(&mut self, id: u32, times: &[i64]) {
        let series = self.model.entry(id).or_default();
        let mut values = Vec::new();
        for &at in times {
            self.value += 1.0;
            // None that `beside` gives anything to.
            let value = self.value / -1e6;
            series.insert(at, value.to_bits());
            values.push(value);
        }
        let mut runs = Vec::new();
        push_run(&mut runs, id, times.len() as u32);
        let sealed = Sealed::of(&runs, (times, &values), &Extras::new());
        let shards = self.head.lock(&runs);
        let columns = (times, &values[..]);
        self.head
            .apply(shards, &runs, columns, &Extras::new(), &sealed);
    }

    fn delete(&mut self, ids: &[u32], first: i64, last: i64) {
        self.begin_delete(ids, first, last).finish(&self.head);
    }

    /// A delete that counts and is not yet applied to any series.
    fn begin_delete(&mut self, ids: &[u32], first: i64, last: i64) -> Erasing {
        for id in ids {
            if let Some(series) = self.model.get_mut(id) {
                series.retain(|at, _| !(first <= *at && *at <= last));
            }
        }
        note(&self.head, ids, first, last)
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
            Step::Scrapes(start, step, count) => {
                let times = (0..*count).map(|at| start + at * step);
                let samples: Vec<_> = times.flat_map(|at| IDS.map(|id| (id, at))).collect();
                self.append(&samples);
            }
            Step::Long(id, start, step, count) => {
                let times: Vec<i64> = (0..*count).map(|at| start + at * step).collect();
                self.append_long(IDS[*id], &times);
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
        let mut merged = Merged::default();
        merge_columns(&runs, first, last, &mut merged).unwrap();
        let extras = merged.extras.placed(&merged.timestamps);
        for (place, &value) in (0..).zip(&merged.values) {
            let (histogram, start) = beside(value);
            let found = extras.histogram(place).map(|one| (**one).clone());
            assert_eq!((found, extras.start(place)), (histogram, start));
        }
        let values = merged.values.into_iter().map(f64::to_bits);
        merged.timestamps.into_iter().zip(values).collect()
    }

    fn check(&self, first: i64, last: i64) -> Result<(), TestCaseError> {
        let active = self.head.active(first, last);
        let (mut sorted, mut among) = (IDS, Vec::new());
        sorted.sort_unstable();
        self.head.active_among(&sorted, first, last, &mut among);
        prop_assert_eq!(&among, &active);
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

fn note(head: &Head, ids: &[u32], first: i64, last: i64) -> Erasing {
    let tombstone = Arc::new(Tombstone {
        sequence: 1,
        namespace: 0,
        selector: Selector::all(),
        first,
        last,
    });
    head.note(&mut head.lock_all(), &tombstone, ids.into())
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

/// What happens to a head while deletes are under way in it.
#[derive(Debug, Clone)]
enum Meanwhile {
    Change(Step),
    /// A slice of one of the deletes.
    Slice(usize),
    /// One of the deletes to its end.
    Finish(usize),
    /// A question about one series.
    Read(usize),
    /// A large batch gets ready.
    Prepare,
    /// All series that show.
    Active,
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![
        6 => step().prop_map(Meanwhile::Change),
        4 => (0..9usize).prop_map(Meanwhile::Slice),
        2 => (0..9usize).prop_map(Meanwhile::Finish),
        2 => (0..IDS.len()).prop_map(Meanwhile::Read),
        1 => Just(Meanwhile::Prepare),
        1 => Just(Meanwhile::Active),
    ]
}

impl Pair {
    fn apply_beside(
        &mut self,
        step: &Meanwhile,
        under_way: &mut Vec<Erasing>,
    ) -> Result<(), TestCaseError> {
        let several = under_way.len();
        match step {
            Meanwhile::Change(Step::Delete(ids, first, last)) => {
                let mut ids: Vec<u32> = ids.iter().map(|&id| IDS[id]).collect();
                ids.sort_unstable();
                ids.dedup();
                under_way.push(self.begin_delete(&ids, *first, *last));
            }
            Meanwhile::Change(step) => self.apply(step),
            Meanwhile::Slice(at) if several > 0 => {
                under_way[at % several].advance(&self.head);
            }
            Meanwhile::Finish(at) if several > 0 => {
                under_way.swap_remove(at % several).finish(&self.head);
            }
            Meanwhile::Slice(_) | Meanwhile::Finish(_) => {}
            Meanwhile::Read(at) => {
                let (id, none) = (IDS[*at], BTreeMap::new());
                let held = self.model.get(&id).unwrap_or(&none);
                let held: Vec<_> = held.iter().map(|(&at, &bits)| (at, bits)).collect();
                prop_assert_eq!(self.read(id, i64::MIN, i64::MAX), held, "series {}", id);
            }
            Meanwhile::Prepare => {
                let mut runs = Vec::new();
                (0..2000).for_each(|id| push_run(&mut runs, id, 1));
                let noted = self.head.prepare(&runs);
                prop_assert!(self.head.is_prepared(&runs, noted));
            }
            Meanwhile::Active => {
                let active = self.head.active(i64::MIN, i64::MAX);
                for (id, held) in &self.model {
                    prop_assert!(held.is_empty() || active.contains(id), "series {}", id);
                }
            }
        }
        prop_assert_eq!(self.head.bytes(), measured(&self.head));
        Ok(())
    }
}

proptest! {
    #[test]
    fn deletes_under_way_count_for_every_series_at_once(
        steps in prop::collection::vec(meanwhile(), 1..60),
    ) {
        let (mut pair, mut under_way) = (Pair::new(), Vec::new());
        for step in &steps {
            pair.apply_beside(step, &mut under_way)?;
        }
        under_way.into_iter().for_each(|erasing| erasing.finish(&pair.head));
        prop_assert!(pair.head.shards.iter().all(|shard| shard.lock().erasures.is_empty()));
        pair.check(i64::MIN, i64::MAX)?;
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

/// A delete of a million series once held the last shard for seconds, and appends to it waited.
#[test]
fn a_delete_of_many_series_lets_appends_and_questions_in_before_it_is_done() {
    let mut pair = Pair::new();
    let series = 20_000;
    let samples: Vec<_> = (0..series).map(|id| (id, 10)).collect();
    pair.append(&samples);
    let ids: Vec<u32> = (0..series).collect();
    let free = |head: &Head| {
        let shards = head.shards.iter();
        shards.filter(|shard| shard.try_lock().is_some()).count()
    };
    let mut erasing = pair.begin_delete(&ids, 0, 20);
    let mut slices = 0;
    loop {
        assert_eq!(free(&pair.head), pair.head.shards.len());
        let id = series - 1 - slices;
        assert_eq!(pair.read(id, 0, 20), []);
        pair.append(&[(id, 15)]);
        assert_eq!(pair.read(id, 0, 20).len(), 1);
        if !erasing.advance(&pair.head) {
            break;
        }
        slices += 1;
    }
    assert!(slices >= series / 16, "{slices} slices");
    erasing.finish(&pair.head);
    assert_eq!(pair.head.active(0, 20).len(), slices as usize + 1);
    assert_eq!(pair.head.bytes(), measured(&pair.head));
}

/// A batch once held all of its shards to its end, and one that needed a single one of them waited.
#[test]
fn a_batch_goes_on_with_the_shard_that_another_one_waits_for() {
    let head = Pair::new().head;
    let mut runs = Vec::new();
    (0..2000).for_each(|id| push_run(&mut runs, id, 1));
    let mut shards = head.lock(&runs);
    head.wanted.store(1 << 5 | 1 << 9, Ordering::Relaxed);
    let mut order = Vec::new();
    while let Some(number) = head.next_shard(&shards) {
        order.push(number);
        drop(shards.guards[number].take());
    }
    assert_eq!(order[..4], [5, 9, 0, 1]);
    assert_eq!(order.len(), head.shards.len());
    drop(shards);
    std::thread::scope(|scope| {
        let shards = head.lock(&runs);
        let other = scope.spawn(|| drop(head.lock(&runs[..1])));
        while head.wanted.load(Ordering::Relaxed) & 1 == 0 {
            std::thread::yield_now();
        }
        drop(shards);
        other.join().unwrap();
    });
}
