//! Merges into steps against a plain model: of each timestamp what the last input has of it, then
//! folded step by step.

use treering_codec::{Stats, stale_marker};

use super::*;
use crate::compact::step::step_window;

const SECOND: i64 = 1_000_000_000;

/// What a series has at a timestamp: a value and what it stands for.
type Row = (u64, Stats);
type Rows = BTreeMap<Labels, BTreeMap<i64, Row>>;

/// The rows of a block, those of one sample included.
fn rows_of(block: &Block) -> Rows {
    let mut all = Rows::new();
    let mut cursor = Cursor::default();
    for ordinal in 0..block.info().series as u32 {
        let (mut chunks, mut times, mut values, mut rows) = (vec![], vec![], vec![], vec![]);
        block.all_chunks(&mut cursor, ordinal, &mut chunks).unwrap();
        for chunk in &chunks {
            let start = rows.len();
            block
                .decode_rows(chunk, &mut times, &mut values, &mut rows)
                .unwrap();
            match block.summaries(chunk).unwrap() {
                Some(summaries) => assert_eq!(summaries, rows[start..]),
                None => assert!(rows[start..].iter().all(|row| row.count + row.stale == 1)),
            }
        }
        let rows = values.into_iter().map(f64::to_bits).zip(rows);
        all.insert(
            block.labels(ordinal).unwrap(),
            times.into_iter().zip(rows).collect(),
        );
    }
    all
}

/// Reduces rows to one for each step.
fn reduce(rows: &mut BTreeMap<i64, Row>, step: i64) {
    let mut reduced: BTreeMap<i64, Row> = BTreeMap::new();
    for (&at, &(value, stats)) in &*rows {
        let open = reduced.last_entry();
        let open = open.filter(|open| step_window(*open.key(), step) == step_window(at, step));
        let before = open.map_or_else(Stats::default, |open| open.remove().1);
        reduced.insert(at, (value, before.merge(&stats)));
    }
    *rows = reduced;
}

/// Equal but for the rounding of sums.
fn are_near(a: &Rows, b: &Rows) -> bool {
    let exact = |rows: &Rows| {
        let series = rows.iter().map(|(labels, rows)| {
            let row = |(&at, &(value, stats)): (&i64, &Row)| {
                let stats = Stats {
                    sum: 0.0,
                    dropped: 0.0,
                    ..stats
                };
                (at, value, stats)
            };
            (labels.clone(), rows.iter().map(row).collect::<Vec<_>>())
        });
        series.collect::<Vec<_>>()
    };
    let sums = |rows: &Rows| {
        let rows = rows.values().flat_map(BTreeMap::values);
        let sums = rows.flat_map(|(_, stats)| [stats.sum, stats.dropped]);
        sums.collect::<Vec<_>>()
    };
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-6 || a.to_bits() == b.to_bits();
    exact(a) == exact(b) && sums(a).iter().zip(&sums(b)).all(near)
}

/// Samples of a few hosts on a grid of seconds.
fn grid(runs: &Runs, salt: u64) -> Model {
    let mut model = samples(runs, salt);
    for (host, series) in model.values_mut().enumerate() {
        let scaled = std::mem::take(series).into_keys().map(|at| {
            let value = match at * 31 % 97 {
                0 => stale_marker(),
                1 => f64::NAN,
                wave if host % 2 == 0 => wave as f64 / 4.0,
                _ => at as f64 + salt as f64,
            };
            (at * SECOND, value.to_bits())
        });
        *series = scaled.collect();
    }
    model
}

/// Merges into a block of steps of `step` seconds; what it holds.
fn merge_steps(
    vfs: &Arc<dyn Vfs>,
    inputs: &[MergeInput],
    first_block: u64,
    step: u32,
) -> Option<Arc<Block>> {
    let plan = MergePlan {
        step,
        first_block,
        ..plan(vfs, inputs, &[])
    };
    let entries = merge(&plan).unwrap().unwrap();
    let path = crate::block::block_path(folder(), entries.first()?.id);
    let block = Block::open(vfs, &path, Reads::Pread).unwrap();
    block.verify().unwrap();
    Some(Arc::new(block))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_stepped_merge_folds_what_the_inputs_hold(
        runs in prop::collection::vec((odd_runs(), prop::sample::select(vec![0u32, 5, 10, 30])), 1..5),
        step in prop::sample::select(vec![30u32, 60, 300]),
        edges in prop::collection::btree_set(0i64..9000, 0..3),
        horizon in prop_oneof![Just(i64::MIN), 0i64..7000],
        hole in (0i64..6000, 0i64..2000),
    ) {
        let vfs = store();
        let edges: Vec<i64> = edges.into_iter().map(|edge| edge * SECOND).collect();
        let horizon = if horizon == i64::MIN { horizon } else { horizon * SECOND };
        let hole = (hole.0 * SECOND, (hole.0 + hole.1) * SECOND);
        let mut inputs = Vec::new();
        let mut wanted = Rows::new();
        for (id, (runs, finer)) in (1..).zip(&runs) {
            let mut block = write(&vfs, id, &grid(runs, id));
            if *finer > 0 {
                block = merge_steps(&vfs, &[input(block)], 1000 + id, *finer).unwrap();
                prop_assert_eq!(block.info().meta.step, *finer);
            }
            // The first series of each input is hidden in a range of time.
            let hidden = Hidden { series: Arc::new(Postings::one(0)), first: hole.0, last: hole.1 };
            for (number, (labels, mut rows)) in rows_of(&block).into_iter().enumerate() {
                rows.retain(|at, _| number > 0 || !(hole.0..=hole.1).contains(at));
                wanted.entry(labels).or_default().extend(rows);
            }
            inputs.push(MergeInput { block, tombstones: vec![hidden] });
        }
        for rows in wanted.values_mut() {
            rows.retain(|at, _| horizon == i64::MIN || *at > horizon);
            reduce(rows, i64::from(step) * SECOND);
        }
        wanted.retain(|_, rows| !rows.is_empty());

        let plan = MergePlan { step, horizon, ..plan(&vfs, &inputs, &edges) };
        let entries = merge(&plan).unwrap().unwrap();
        let mut found = Rows::new();
        for block in outputs(&vfs, &entries, &edges) {
            prop_assert_eq!(block.info().meta.step, step);
            for (labels, rows) in rows_of(&block) {
                found.entry(labels).or_default().extend(rows);
            }
        }
        prop_assert!(are_near(&found, &wanted), "{found:?}\n{wanted:?}");
    }
}

/// One series, a sample every second for as many hours.
fn hours(start: i64, hours: i64) -> Model {
    grid(&vec![(1, start * 3600 + 1, 1, hours * 3600)], 1)
}

#[test]
fn chunks_of_the_same_step_go_through_as_they_are() {
    let vfs = store();
    let stepped = |id: u64, start: i64| {
        let block = write(&vfs, id, &hours(start, 12));
        input(merge_steps(&vfs, &[input(block)], 1000 + id, 60).unwrap())
    };
    let inputs = [stepped(1, 0), stepped(2, 12)];
    let before: Vec<_> = inputs.iter().map(|input| input.block.info()).collect();
    let block = merge_steps(&vfs, &inputs, FIRST_OUTPUT, 0).unwrap();
    let info = block.info();
    assert_eq!(info.chunks, before[0].chunks + before[1].chunks);
    assert_eq!(
        info.bytes.values,
        before[0].bytes.values + before[1].bytes.values
    );
    let mut both = rows_of(&inputs[0].block);
    for (labels, rows) in rows_of(&inputs[1].block) {
        both.entry(labels).or_default().extend(rows);
    }
    assert_eq!(rows_of(&block), both);
}

/// A late sample within a step is added to it; one at the time of a row replaces the row.
#[test]
fn late_samples_join_the_steps_that_are_there() {
    let vfs = store();
    let block = write(&vfs, 1, &hours(0, 1));
    let stepped = input(merge_steps(&vfs, &[input(block)], 1001, 60).unwrap());
    let late = |at: i64, value: f64| (at, value.to_bits());
    let late = [late(90 * SECOND + 1, 1e6), late(600 * SECOND, -7.0)];
    let late = Model::from([(labels(1), late.into())]);
    let inputs = [stepped.clone(), input(write(&vfs, 2, &late))];
    let block = merge_steps(&vfs, &inputs, FIRST_OUTPUT, 0).unwrap();
    let (before, after) = (rows_of(&stepped.block), rows_of(&block));
    let row = |rows: &Rows, at: i64| rows[&labels(1)][&(at * SECOND)];
    assert_eq!(block.info().samples, 60);
    for minute in (1..=60).filter(|minute| ![2, 10].contains(minute)) {
        assert_eq!(row(&after, minute * 60), row(&before, minute * 60));
    }
    let (old, new) = (row(&before, 120), row(&after, 120));
    assert_eq!((new.0, new.1.count), (old.0, old.1.count + 1));
    assert_eq!(new.1.max, 1e6);
    assert_eq!(row(&after, 600), ((-7f64).to_bits(), Stats::of(&[-7.0])));
}

/// Samples farther apart than the step stay what they were, in chunks without steps.
#[test]
fn sparse_samples_cost_nothing_more() {
    let vfs = store();
    let sparse = grid(&vec![(1, 0, 60, 5000)], 1);
    let block = write(&vfs, 1, &sparse);
    let before = *block.info();
    let stepped = merge_steps(&vfs, &[input(block)], FIRST_OUTPUT, 60).unwrap();
    assert_eq!(stepped.info().bytes, before.bytes);
    let mut chunks = Vec::new();
    stepped
        .all_chunks(&mut Cursor::default(), 0, &mut chunks)
        .unwrap();
    assert!(chunks.iter().all(|chunk| chunk.step == 0));
    let mut found = Model::new();
    read(&stepped, &mut found);
    assert!(found == sparse);
}

#[test]
fn steps_that_do_not_nest_are_refused() {
    let vfs = store();
    let block = write(&vfs, 1, &hours(0, 1));
    let inputs = [input(merge_steps(&vfs, &[input(block)], 1001, 60).unwrap())];
    let plan = MergePlan {
        step: 90,
        ..plan(&vfs, &inputs, &[])
    };
    assert!(matches!(merge(&plan), Err(Error::InvalidArgument { .. })));
}
