//! Merges against a plain model: maps of samples in which the later input wins.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use treering_index::{Postings, Selector};

use super::*;
use crate::block::BlockWriter;
use crate::limits::CHUNK_SAMPLES;
use crate::options::Reads;
use crate::vfs::{Fault, FaultVfs, MemVfs, Repeat};

mod stepped;
mod whole;

/// Samples by series and time, values by their bits.
type Model = BTreeMap<Labels, BTreeMap<i64, u64>>;

const FIRST_OUTPUT: u64 = 100;

fn folder() -> &'static Path {
    Path::new("/blocks")
}

fn store() -> Arc<dyn Vfs> {
    let vfs = MemVfs::new();
    vfs.create_dir(folder()).unwrap();
    Arc::new(vfs)
}

fn labels(host: usize) -> Labels {
    Labels::from_pairs([("__name__", "cpu"), ("host", &format!("host_{host:04}"))]).unwrap()
}

/// Writes `series` as block `id`, which holds the sequences `10 * id..10 * id + 9`.
fn write(vfs: &Arc<dyn Vfs>, id: u64, series: &Model) -> Arc<Block> {
    let meta = BlockMeta {
        id,
        namespace: 0,
        min_sequence: 10 * id,
        max_sequence: 10 * id + 9,
        level: 0,
        database: 5,
        step: 0,
        extended: false,
    };
    let path = folder().join(format!("input-{id}"));
    let mut writer = BlockWriter::create(vfs, &path, meta).unwrap();
    for (labels, samples) in series {
        let timestamps: Vec<i64> = samples.keys().copied().collect();
        let values: Vec<f64> = samples.values().copied().map(f64::from_bits).collect();
        writer.add_series(labels, &timestamps, &values).unwrap();
    }
    writer.finish().unwrap();
    Arc::new(Block::open(vfs, &path, Reads::Mmap).unwrap())
}

fn input(block: Arc<Block>) -> MergeInput {
    let tombstones = Vec::new();
    MergeInput { block, tombstones }
}

/// A plan without limits of time, for the outputs from [`FIRST_OUTPUT`] on.
fn plan<'a>(vfs: &'a Arc<dyn Vfs>, inputs: &'a [MergeInput], edges: &'a [i64]) -> MergePlan<'a> {
    MergePlan {
        vfs,
        dir: folder(),
        database: 5,
        namespace: 0,
        first_block: FIRST_OUTPUT,
        level: 1,
        step: 0,
        cold: false,
        inputs,
        edges,
        horizon: i64::MIN,
        keep_going: &|| true,
    }
}

/// The outputs of a merge, each verified and held against its entry and its window.
fn outputs(vfs: &Arc<dyn Vfs>, entries: &[BlockEntry], edges: &[i64]) -> Vec<Arc<Block>> {
    let open = |entry: &BlockEntry| {
        let path = crate::block::block_path(folder(), entry.id);
        let block = Block::open(vfs, &path, Reads::Mmap).unwrap();
        block.verify().unwrap();
        assert_eq!(entry_of(block.info()), *entry);
        let window = (entry.id - FIRST_OUTPUT) as usize;
        assert!(window == 0 || entry.min_time > edges[window - 1]);
        assert!(window == edges.len() || entry.max_time <= edges[window]);
        Arc::new(block)
    };
    entries.iter().map(open).collect()
}

/// Adds the samples of a block to a model.
fn read(block: &Block, model: &mut Model) {
    let mut cursor = Cursor::default();
    for ordinal in block.select(Selector::all().matchers()).unwrap().iter() {
        let (mut chunks, mut timestamps, mut values) = (Vec::new(), Vec::new(), Vec::new());
        block.all_chunks(&mut cursor, ordinal, &mut chunks).unwrap();
        for chunk in &chunks {
            assert!(chunk.count as usize <= CHUNK_SAMPLES);
            block.decode(chunk, &mut timestamps, &mut values).unwrap();
        }
        let series = model.entry(block.labels(ordinal).unwrap()).or_default();
        for (timestamp, value) in timestamps.into_iter().zip(values) {
            assert!(series.insert(timestamp, value.to_bits()).is_none());
        }
    }
}

fn names(vfs: &Arc<dyn Vfs>) -> Vec<String> {
    let entries = vfs.list(folder()).unwrap();
    entries.into_iter().map(|entry| entry.name).collect()
}

/// Runs of samples: host, start, step, count.
type Runs = Vec<(usize, i64, i64, i64)>;

fn odd_runs() -> impl Strategy<Value = Runs> {
    let one = prop_oneof![
        2 => (0usize..4, 0i64..6000, 1i64..3, 1i64..3000),
        1 => (0usize..4, 0i64..6000, 1i64..900, 1i64..20),
        1 => (0usize..4, Just(1000), Just(1), 500i64..2100),
    ];
    prop::collection::vec(one, 1..5)
}

/// The samples of `runs`, with values that tell `salt`.
fn samples(runs: &Runs, salt: u64) -> Model {
    let mut model = Model::new();
    for &(host, start, step, count) in runs {
        let series = model.entry(labels(host)).or_default();
        for index in 0..count {
            let timestamp = start + index * step;
            let value = match host {
                0 => salt as f64,
                1 => (timestamp * 37 % 1000) as f64 / 10.0 + salt as f64,
                _ => f64::from_bits(timestamp as u64 ^ (salt << 52)),
            };
            series.insert(timestamp, value.to_bits());
        }
    }
    model
}

/// A delete: input, first host, hosts, first timestamp, length.
type Delete = (prop::sample::Index, u32, u32, i64, i64);

fn hide(deletes: &[Delete], inputs: &mut [MergeInput], models: &mut [Model]) {
    for (index, host, hosts, first, length) in deletes {
        let index = index.index(inputs.len());
        let (first, last) = (*first, first + length);
        let ordinals: Vec<u32> = (*host..host + hosts)
            .filter(|ordinal| (*ordinal as usize) < models[index].len())
            .collect();
        for (ordinal, series) in models[index].values_mut().enumerate() {
            if ordinals.contains(&(ordinal as u32)) {
                series.retain(|at, _| !(first..=last).contains(at));
            }
        }
        inputs[index].tombstones.push(Hidden {
            series: Arc::new(Postings::from_ids(ordinals)),
            first,
            last,
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_merge_holds_what_the_inputs_hold(
        runs in prop::collection::vec(odd_runs(), 1..6),
        edges in prop::collection::btree_set(0i64..9000, 0..4),
        deletes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0u32..4, 1u32..3, -10i64..8000, 0i64..3000), 0..3),
        horizon in prop_oneof![Just(i64::MIN), 0i64..7000],
        cold: bool,
    ) {
        let vfs = store();
        let edges: Vec<i64> = edges.into_iter().collect();
        let mut models: Vec<Model> = (1..).zip(&runs).map(|(salt, runs)| samples(runs, salt)).collect();
        let mut inputs: Vec<MergeInput> =
            (1..).zip(&models).map(|(id, model)| input(write(&vfs, id, model))).collect();
        hide(&deletes, &mut inputs, &mut models);
        let mut wanted = Model::new();
        for model in models {
            for (labels, samples) in model {
                wanted.entry(labels).or_default().extend(samples);
            }
        }
        for samples in wanted.values_mut() {
            samples.retain(|at, _| horizon == i64::MIN || *at > horizon);
        }
        wanted.retain(|_, samples| !samples.is_empty());

        let plan = MergePlan { horizon, cold, ..plan(&vfs, &inputs, &edges) };
        let entries = merge(&plan).unwrap().unwrap();
        let mut found = Model::new();
        for block in outputs(&vfs, &entries, &edges) {
            let meta = &block.info().meta;
            prop_assert_eq!((meta.min_sequence, meta.level), (10, 1));
            prop_assert_eq!(meta.max_sequence, 10 * inputs.len() as u64 + 9);
            read(&block, &mut found);
        }
        prop_assert!(found == wanted);
        prop_assert!(names(&vfs).iter().all(|name| !name.ends_with(".tmp")));
    }
}

/// Two blocks of many series, merged into two windows.
fn many(vfs: &Arc<dyn Vfs>) -> (Vec<MergeInput>, Vec<i64>) {
    let block = |id: u64| {
        let runs: Runs = (0..700).map(|host| (host, id as i64, 2, 40)).collect();
        input(write(vfs, id, &samples(&runs, id)))
    };
    (vec![block(1), block(2)], vec![30])
}

#[test]
fn a_merge_that_is_told_to_stop_leaves_nothing() {
    let vfs = store();
    let (inputs, edges) = many(&vfs);
    let before = names(&vfs);
    let mut stop_at = 0;
    loop {
        let asked = Cell::new(0);
        let keep_going = || {
            asked.set(asked.get() + 1);
            asked.get() <= stop_at
        };
        let plan = MergePlan {
            keep_going: &keep_going,
            ..plan(&vfs, &inputs, &edges)
        };
        if let Some(entries) = merge(&plan).unwrap() {
            assert_eq!(entries.len(), 2);
            break;
        }
        assert_eq!(asked.get(), stop_at + 1);
        assert_eq!(names(&vfs), before);
        stop_at += 1;
    }
    assert_eq!(stop_at, 2);
}

/// Every call of the store fails once: an error, and no file but the inputs.
#[test]
fn a_merge_that_fails_leaves_nothing() {
    let intact = store();
    let (inputs, edges) = many(&intact);
    let before = names(&intact);
    for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite, Fault::Sync] {
        for call in 1.. {
            let disk = Arc::new(FaultVfs::new(Arc::clone(&intact)));
            let vfs: Arc<dyn Vfs> = Arc::clone(&disk) as _;
            disk.fail(call, fault, Repeat::Once);
            let merged = merge(&plan(&vfs, &inputs, &edges));
            let failed = disk.fired() > 0;
            disk.heal();
            if merged.is_err() {
                assert!(failed);
                assert_eq!(names(&intact), before, "{fault:?} at call {call}");
                continue;
            }
            for entry in merged.unwrap().unwrap() {
                let path = crate::block::block_path(folder(), entry.id);
                Block::open(&intact, &path, Reads::Pread)
                    .unwrap()
                    .verify()
                    .unwrap();
                intact.remove(&path).unwrap();
            }
            if !failed {
                assert!(call > 5, "{fault:?}");
                break;
            }
        }
    }
}

#[test]
fn inputs_that_are_wholly_deleted_make_no_block() {
    let vfs = store();
    let (mut inputs, edges) = many(&vfs);
    for input in &mut inputs {
        let series = Arc::new(Postings::all(700));
        input.tombstones.push(Hidden {
            series,
            first: i64::MIN,
            last: i64::MAX,
        });
    }
    let before = names(&vfs);
    assert_eq!(merge(&plan(&vfs, &inputs, &edges)).unwrap(), Some(vec![]));
    assert_eq!(names(&vfs), before);
}
