//! Series that come and go: the live index answers as a plain list of those that are there, and
//! its memory follows them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use treering_index::{Labels, MemIndex, Postings, Selector};

use crate::model::{NAMES, label_sets, selectors};

/// What happens to an index in one step.
#[derive(Debug, Clone)]
enum Step {
    /// These come, if they are not there.
    Insert(Vec<Labels>),
    /// The series under this share of all ids goes, if there is one.
    Remove(prop::sample::Index),
    /// Of the series that are there, these go at once, some of them named twice.
    RemoveMany(Vec<prop::sample::Index>),
    /// All go but every so many.
    Clear(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        4 => label_sets().prop_map(Step::Insert),
        6 => index().prop_map(Step::Remove),
        2 => prop::collection::vec(index(), 0..120).prop_map(Step::RemoveMany),
        1 => (1usize..40).prop_map(Step::Clear),
    ];
    prop::collection::vec(step, 1..16)
}

/// The plain model: series by id, and the highest id ever given.
#[derive(Debug, Default)]
struct Model {
    series: BTreeMap<u32, Labels>,
    bound: usize,
}

impl Model {
    fn insert(&mut self, index: &mut MemIndex, labels: &Labels) {
        let known = self.series.iter().find(|(_, other)| *other == labels);
        let known = known.map(|(id, _)| *id);
        assert_eq!(index.get(labels), known);
        let lowest = (0u32..).find(|id| !self.series.contains_key(id)).unwrap();
        let expected = (known.unwrap_or(lowest), known.is_none());
        assert_eq!(index.insert(labels).unwrap(), expected);
        self.series.insert(expected.0, labels.clone());
        self.bound = self.bound.max(expected.0 as usize + 1);
    }

    fn apply(&mut self, index: &mut MemIndex, step: &Step) {
        match step {
            Step::Insert(sets) => sets.iter().for_each(|labels| self.insert(index, labels)),
            Step::Remove(at) => {
                let id = at.index(self.bound + 2) as u32;
                let gone = self.series.remove(&id);
                assert_eq!(index.remove(id), gone.is_some());
                assert!(!index.remove(id));
                if let Some(gone) = gone {
                    assert_eq!(index.get(&gone), None);
                }
            }
            Step::RemoveMany(at) => {
                let ids: Vec<u32> = at
                    .iter()
                    .map(|at| at.index(self.bound + 2) as u32)
                    .collect();
                let before = self.series.len();
                self.series.retain(|id, _| !ids.contains(id));
                assert_eq!(index.remove_many(&ids), before - self.series.len());
            }
            Step::Clear(every) => {
                let kept = |id: &u32| (*id as usize).is_multiple_of(*every);
                let ids: Vec<u32> = self.series.keys().copied().filter(|id| !kept(id)).collect();
                self.series.retain(|id, _| kept(id));
                assert_eq!(index.remove_many(&ids), ids.len());
            }
        }
    }

    /// What `selector` finds, as ids and as labels.
    fn select(&self, selector: &Selector) -> (Vec<u32>, Vec<&Labels>) {
        let found = self.series.iter();
        let found = found.filter(|(_, labels)| selector.matches(labels));
        found.map(|(id, labels)| (*id, labels)).unzip()
    }
}

fn names_of(all: &[&Labels]) -> Vec<String> {
    let names: BTreeSet<&str> = all
        .iter()
        .flat_map(|l| l.iter().map(|pair| pair.0))
        .collect();
    names.into_iter().map(str::to_owned).collect()
}

fn values_of(all: &[&Labels], name: &str) -> Vec<String> {
    let values: BTreeSet<&str> = all.iter().filter_map(|labels| labels.get(name)).collect();
    values.into_iter().map(str::to_owned).collect()
}

/// What the statistics of an index that only ever held `all` say.
fn assert_stats(index: &MemIndex, all: &[&Labels]) {
    let mut fresh = MemIndex::new();
    for labels in all {
        fresh.insert(labels).unwrap();
    }
    assert_eq!(index.stats(1000), fresh.stats(1000));
    let pairs: BTreeSet<(&str, &str)> = all.iter().flat_map(|labels| labels.iter()).collect();
    assert_eq!(index.stats(0).label_pairs, pairs.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn live_index_agrees_with_a_scan_while_series_come_and_go(
        steps in steps(),
        selectors in prop::collection::vec(selectors(), 6),
    ) {
        let mut index = MemIndex::new();
        let mut model = Model::default();
        for step in &steps {
            model.apply(&mut index, step);
            prop_assert_eq!(index.len(), model.series.len());
            prop_assert_eq!(index.is_empty(), model.series.is_empty());
            prop_assert_eq!(index.id_bound(), model.bound);
            for selector in &selectors {
                let (ids, kept) = model.select(selector);
                let found = index.select(selector.matchers());
                prop_assert_eq!(found.to_vec(), ids, "{}", selector);
                prop_assert_eq!(index.label_names(Some(&found)), names_of(&kept));
                for name in NAMES {
                    let values = index.label_values(name, Some(&found));
                    prop_assert_eq!(values, values_of(&kept, name));
                }
            }
            let all: Vec<&Labels> = model.series.values().collect();
            prop_assert_eq!(index.label_names(None), names_of(&all));
            for name in NAMES {
                prop_assert_eq!(index.label_values(name, None), values_of(&all, name));
            }
            assert_stats(&index, &all);
        }
        let nothing = Labels::from_pairs::<&str, &str>([]).unwrap();
        let mut canonical = Vec::new();
        for id in 0..model.bound as u32 + 2 {
            let labels = model.series.get(&id);
            prop_assert_eq!(index.labels(id), labels.cloned());
            prop_assert_eq!(index.contains(id), labels.is_some());
            prop_assert_eq!(labels.and_then(|labels| index.get(labels)), labels.map(|_| id));
            let labels = labels.unwrap_or(&nothing);
            canonical.clear();
            index.write_canonical(id, &mut canonical);
            prop_assert_eq!(&canonical, labels.as_canonical());
            prop_assert_eq!(index.label_value(id, "host"), labels.get("host"));
            let first = model.series.get(&0).unwrap_or(&nothing);
            prop_assert_eq!(index.compare(id, 0), labels.cmp(first));
        }
    }
}

/// A series as fleets of short-lived things make them: most pairs shared, two of its own.
fn pod(round: usize, n: usize) -> Labels {
    let pod = format!("api-{round}-{:05x}", n / 10 * 7919 % 0xf_ffff);
    Labels::from_pairs([
        ("__name__", format!("http_requests_{}", n % 10)),
        ("pod", pod),
        (
            "ip",
            format!("10.{}.{}.{}", round % 256, n / 250, n % 250 / 10),
        ),
        ("node", format!("node-{}", n / 10 * 31 % 97)),
        ("zone", ["a", "b", "c"][n / 10 % 3].to_owned()),
        ("team", "payments".to_owned()),
        // A label name that is there in one round only.
        ("release", format!("v{}", round / 3)),
        (["blue", "green", "red"][round % 3], "yes".to_owned()),
    ])
    .unwrap()
}

const SERIES: usize = 5000;
const ROUNDS: usize = 200;

#[test]
fn memory_stays_flat_while_series_come_and_go() {
    let mut index = MemIndex::new();
    // Some stay for ever, among those that go.
    for n in 0..500 {
        index.insert(&pod(1_000_000, n)).unwrap();
    }
    let mut alive: Vec<u32> = Vec::new();
    let (mut early, mut most) = (0, 0);
    for round in 0..ROUNDS {
        let come = (0..SERIES).map(|n| index.insert(&pod(round, n)).unwrap());
        let come: Vec<u32> = come
            .map(|(id, new)| {
                assert!(new);
                id
            })
            .collect();
        most = most.max(index.heap_bytes());
        // Old and new overlap, as in a deployment; every other round goes one by one, backwards.
        if round % 2 == 0 {
            assert_eq!(index.remove_many(&alive), alive.len());
        } else {
            alive.iter().rev().for_each(|id| assert!(index.remove(*id)));
        }
        alive = come;
        if round < 20 {
            early = most;
        }
        assert_eq!(index.len(), SERIES + 500);
        assert!(index.id_bound() <= 2 * SERIES + 500);
    }
    assert!(
        most <= early + early / 20,
        "{early} bytes in the first rounds, then {most}"
    );
    let came = (0..SERIES).map(|n| pod(ROUNDS - 1, n));
    let stayed = (0..500).map(|n| pod(1_000_000, n));
    for (labels, id) in came.zip(alive).chain(stayed.zip(0..)) {
        assert_eq!(index.get(&labels), Some(id));
        assert_eq!(index.labels(id), Some(labels));
    }
    assert_eq!(index.label_values("release", None), ["v333333", "v66"]);
    assert_eq!(index.label_values("pod", None).len(), (SERIES + 500) / 10);
    let last = Selector::parse(r#"{release="v66",zone!~"b|c",green="yes"}"#).unwrap();
    assert_eq!(index.select(last.matchers()).len(), 1670);
    assert_eq!(index.select(&[]).len(), SERIES + 500);

    // As much as a new index takes for the series that were there at one time.
    let mut fresh = MemIndex::new();
    for id in index.select(&[]).iter() {
        fresh.insert(&index.labels(id).unwrap()).unwrap();
    }
    assert_eq!(index.stats(100), fresh.stats(100));
    for n in 0..SERIES {
        assert!(fresh.insert(&pod(ROUNDS, n)).unwrap().1);
    }
    let new = fresh.heap_bytes();
    assert!(most < new + new / 2, "{most} bytes, {new} in a new index");

    assert_eq!(index.remove_many(&index.select(&[]).to_vec()), SERIES + 500);
    assert_eq!(index.label_names(None), [""; 0]);
    assert!(
        index.heap_bytes() < new / 10,
        "{} bytes when empty",
        index.heap_bytes()
    );
}

/// One of many series that share few pairs, have one with two others, and one of their own.
fn member(n: u32) -> Labels {
    let odd = if n % 2 == 1 { "yes" } else { "" };
    Labels::from_pairs([
        ("__name__", "m".to_owned()),
        ("few", (n % 5).to_string()),
        ("many", (n / 3).to_string()),
        ("odd", odd.to_owned()),
        ("id", n.to_string()),
    ])
    .unwrap()
}

const MEMBERS: [&str; 6] = [
    r#"{few="3"}"#,
    r#"{odd="",few!~"1|2"}"#,
    r#"{many=~".*7"}"#,
    r#"{id!="5"}"#,
    r#"m{odd!=""}"#,
    r#"{}"#,
];

/// The index holds the members of `left` under their own numbers, and nothing else.
fn assert_members(index: &MemIndex, left: &BTreeSet<u32>) {
    assert_eq!(index.len(), left.len());
    for n in left {
        assert_eq!(index.labels(*n), Some(member(*n)));
        assert_eq!(index.get(&member(*n)), Some(*n));
    }
    for text in MEMBERS {
        let selector = Selector::parse(text).unwrap();
        let meets = |n: &u32| selector.matches(&member(*n));
        let expected: Postings = left.iter().copied().filter(meets).collect();
        let found = index.select(selector.matchers());
        assert_eq!(found, expected, "{selector} of {}", left.len());
    }
}

/// 60,000 series of which random ones go: postings shrink from bitmaps to lists and to nothing, and
/// tables follow.
#[test]
fn what_is_left_of_many_series_is_found_and_takes_little() {
    let mut index = MemIndex::new();
    let count = 60_000u32;
    for n in 0..count {
        assert_eq!(index.insert(&member(n)).unwrap(), (n, true));
    }
    let full = index.heap_bytes();
    let mut left: BTreeSet<u32> = (0..count).collect();
    for every in [2, 3, 100, 7001] {
        let gone: Vec<u32> = left
            .iter()
            .copied()
            .filter(|n| !(n * 7919 % count).is_multiple_of(every))
            .collect();
        assert_eq!(index.remove_many(&gone), gone.len());
        gone.iter().for_each(|n| assert!(left.remove(n)));
        assert_members(&index, &left);
        let share = full * left.len() / count as usize;
        let heap = index.heap_bytes();
        // Ids of those that are left lie as far apart as ever.
        assert!(
            heap < share * 3 + (400 << 10),
            "{heap} bytes for {} of {full}",
            left.len()
        );
    }
    // They come back, each under the number it had: the lowest free one comes first.
    for n in (0..count).filter(|n| !left.contains(n)) {
        assert_eq!(index.insert(&member(n)).unwrap(), (n, true));
    }
    assert_eq!(index.id_bound(), count as usize);
    assert_members(&index, &(0..count).collect());
    assert!(index.heap_bytes() < full + full / 2);
}
