//! Aggregates over rows of steps, against the plain model of the samples before: an answer that is
//! not marked approximate is the same, and one over whole steps is not marked.

use super::*;
use crate::block::Part;
use crate::compact::step::Stepper;

const SECOND: i64 = 1_000_000_000;
/// Samples lie on multiples of a quarter of a second.
const TICK: i64 = SECOND / 4;
/// Every step of the tests divides it.
const WHOLE: i64 = 8 * SECOND;

/// The chunks of a block with steps of so many seconds of these samples.
fn stepped(samples: &[(i64, f64)], seconds: u32) -> Vec<Run> {
    let mut stepper = Stepper::new(i64::from(seconds) * SECOND);
    let (timestamps, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
    stepper.push(&timestamps, &values);
    stepper.close();
    let rows = stepper.rows;
    let vfs: Arc<dyn Vfs> = Arc::new(MemVfs::new());
    let meta = BlockMeta {
        id: 1,
        namespace: 0,
        min_sequence: 1,
        max_sequence: 1,
        level: 0,
        database: 7,
        step: seconds,
        extended: false,
    };
    let mut writer = BlockWriter::create(&vfs, Path::new("block"), meta).unwrap();
    writer.begin_series(&Labels::empty()).unwrap();
    writer
        .push(&Part::of(&rows.timestamps, &rows.values, &rows.stats))
        .unwrap();
    writer.end_series().unwrap();
    writer.finish().unwrap();
    let block = Block::open(&vfs, Path::new("block"), Reads::Pread).unwrap();
    let (block, mut chunks) = (Arc::new(block), Vec::new());
    block.chunks(0, i64::MIN, i64::MAX, &mut chunks).unwrap();
    let run = |chunk: crate::block::ChunkRef| Run {
        min_time: chunk.min_time,
        max_time: chunk.max_time,
        count: chunk.count as usize,
        source: RunSource::Chunk {
            block: Arc::clone(&block),
            chunk,
        },
        extras: None,
        holes: Holes::default(),
    };
    chunks.into_iter().map(run).collect()
}

fn one(runs: Vec<Run>) -> BTreeMap<Labels, Vec<Run>> {
    BTreeMap::from([(Labels::empty(), runs)])
}

/// Samples 1, 2, .. at every second from 1 on, and their rows of 4 seconds.
fn seconds(count: i64) -> (Vec<(i64, f64)>, Vec<Run>) {
    let samples: Vec<_> = (1..=count).map(|at| (at * SECOND, at as f64)).collect();
    let runs = stepped(&samples, 4);
    (samples, runs)
}

#[test]
fn whole_chunks_of_steps_are_answered_without_reading_a_row() {
    let (_, runs) = seconds(400);
    assert_eq!(runs[0].since(), 1);
    let (series, nothing) = (one(runs), QueryLimits::default().with_samples(0));
    for (function, value) in [
        (Function::Count, 400.0),
        (Function::Sum, 80_200.0),
        (Function::First, 1.0),
        (Function::Last, 400.0),
        (Function::Increase, 399.0),
    ] {
        let asked = Aggregate::new(function);
        let answer = ask_within(nothing, &series, &asked, (1, 400 * SECOND)).unwrap();
        assert_eq!(answer[0].points[0].value, value, "{function:?}");
        assert!(!answer[0].approximate);
        // The samples of the first row reach back to the start of its step.
        for range in [(2, 400 * SECOND), (1, 399 * SECOND)] {
            let refused = ask_within(nothing, &series, &asked, range).unwrap_err();
            assert!(refused.is_limit());
        }
        let rows = QueryLimits::default().with_samples(100);
        let answer = ask_within(rows, &series, &asked, (2, 400 * SECOND)).unwrap();
        assert!(answer[0].approximate);
    }
}

#[test]
fn a_cut_step_counts_where_its_last_sample_lies_and_is_marked() {
    let (_, runs) = seconds(12);
    let series = one(runs);
    let count = |nanos: i64, first: i64, last: i64| {
        let answer = ask(
            &series,
            &every(Function::Count, nanos as u64),
            (first, last),
        );
        let points: Vec<_> = answer[0].points.iter().map(|point| point.value).collect();
        (points, answer[0].approximate)
    };
    assert_eq!(count(4 * SECOND, 1, 12 * SECOND), (vec![4.0; 3], false));
    assert_eq!(count(6 * SECOND, 1, 12 * SECOND), (vec![4.0, 8.0], true));
    assert_eq!(count(12 * SECOND, 1, 10 * SECOND), (vec![8.0], true));
    // The last samples are all that is left for quantiles.
    let answer = ask(
        &series,
        &Aggregate::new(Function::Quantile(0.5)),
        (1, 12 * SECOND),
    );
    assert_eq!(answer[0].points[0].value, 8.0);
    assert!(answer[0].approximate);
}

#[test]
fn late_samples_in_a_step_are_marked_and_after_its_last_one_are_exact() {
    let samples = [
        (SECOND, 1.0),
        (2 * SECOND, 2.0),
        (4 * SECOND + 1, 3.0),
        (5 * SECOND, 4.0),
    ];
    for (at, value, approximate, sum) in [
        (3 * SECOND, 7.0, false, 17.0),
        (SECOND / 2, 7.0, true, 17.0),
        // The sample after the wins takes the place of the whole row: its step is one of two.
        (5 * SECOND, 7.0, true, 10.0),
    ] {
        let mut runs = stepped(&samples, 4);
        runs.extend(super::runs(Kind::Samples, &[(at, value)]));
        let asked = Aggregate::new(Function::Sum);
        let answer = ask(&one(runs), &asked, (1, 8 * SECOND));
        assert_eq!(answer[0].points[0].value, sum, "late at {at}");
        assert_eq!(answer[0].approximate, approximate, "late at {at}");
    }
}

#[test]
fn deletes_take_the_rows_that_they_hide_and_mark_those_that_they_touch() {
    let (_, runs) = seconds(12);
    let answer = |first: i64, last: i64| {
        let holes = Holes::of([(first, last)]);
        let left: Vec<_> = runs
            .iter()
            .cloned()
            .filter_map(|run| run.without(&holes))
            .collect();
        let answer = ask(
            &one(left),
            &Aggregate::new(Function::Count),
            (1, 12 * SECOND),
        );
        (answer[0].points[0].value, answer[0].approximate)
    };
    assert_eq!(answer(4 * SECOND + 1, 8 * SECOND), (8.0, false));
    assert_eq!(answer(5 * SECOND, 6 * SECOND), (12.0, true));
    assert_eq!(answer(8 * SECOND, 8 * SECOND), (8.0, true));
    assert_eq!(answer(1, SECOND), (12.0, true));
    assert_eq!(answer(12 * SECOND, 20 * SECOND), (8.0, true));
}

/// A stretch of `WHOLE` by `WHOLE`: how it is kept (0: samples, else seconds of a step).
fn kinds() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(prop::sample::select(vec![0u32, 1, 2, 4, 8]), 12)
}

/// Samples of one series in ticks, how its stretches are kept, late samples, deleted ranges.
type Life = (Vec<(i64, f64)>, Vec<u32>, Vec<(i64, f64)>, Vec<(i64, i64)>);

fn life() -> impl Strategy<Value = Life> {
    let gaps = prop::collection::vec(prop_oneof![4 => 1..4i64, 1 => 1..60i64], 80);
    let samples = (gaps, values()).prop_map(|(gaps, values)| {
        let mut at = -100;
        let place = |(gap, value): (i64, f64)| {
            at += gap;
            (at * TICK, value)
        };
        gaps.into_iter().zip(values).map(place).collect()
    });
    let late = prop::collection::btree_map(-100..200i64, value(), 0..4);
    let late = late.prop_map(|late| late.into_iter().map(|(at, v)| (at * TICK, v)).collect());
    let holes = (-100..200i64, 0..30i64);
    let holes = holes.prop_map(|(from, len)| (from * TICK - TICK / 2, (from + len) * TICK));
    (
        samples,
        kinds(),
        prop_oneof![3 => Just(Vec::new()), 1 => late],
        prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(holes, 1..3)],
    )
}

/// The runs of a life, and the samples that they came from.
fn live((samples, kinds, late, holes): &Life) -> (Vec<Run>, Samples) {
    let stretch = |at: i64| (at - 1).div_euclid(WHOLE);
    let holes = Holes::of(holes.iter().copied());
    let mut list = Vec::new();
    for part in samples.chunk_by(|a, b| stretch(a.0) == stretch(b.0)) {
        let runs = match kinds[(stretch(part[0].0) + 8).clamp(0, 11) as usize] {
            0 => runs(Kind::Block, part),
            seconds => stepped(part, seconds),
        };
        list.extend(runs.into_iter().filter_map(|run| run.without(&holes)));
    }
    let mut model: Samples = samples.iter().copied().collect();
    model.retain(|&at, _| !holes.hide(at));
    model.extend(late.iter().copied());
    if !late.is_empty() {
        list.extend(runs(Kind::Samples, late));
    }
    (list, model)
}

/// Questions whose windows cut no step, and any others.
fn questions() -> impl Strategy<Value = (bool, Question)> {
    let ranges = (any::<bool>(), -4..4i64, 1..8i64, -16..0i64, 0..20i64);
    let steps = (prop::option::of(1..5i64), prop::option::of(1..5i64));
    (function(), ranges, steps, grouping()).prop_map(
        |(function, (whole, from, length, early, more), (step, width), grouping)| {
            let unit = if whole { WHOLE } else { 5 * TICK };
            let first = from * WHOLE + 1;
            let (first, last) = match whole {
                true => (first, (from + length) * WHOLE),
                false => (first + early * TICK, (from + length) * WHOLE + more * TICK),
            };
            let question = Question {
                function,
                first,
                last,
                step: step.map(|step| step * unit),
                width: width.map(|width| width * unit),
                grouping,
            };
            (whole, question)
        },
    )
}

proptest! {
    #[test]
    fn what_is_not_marked_is_what_the_samples_were(
        lives in prop::collection::vec(life(), 1..4),
        questions in prop::collection::vec(questions(), 1..8),
    ) {
        let (mut runs, mut samples) = (BTreeMap::new(), BTreeMap::new());
        for (number, life) in lives.iter().enumerate() {
            let host = if number == 2 { "b" } else { "a" };
            let labels = labels(&[("host", host), ("cpu", &number.to_string())]);
            let (list, model) = live(life);
            runs.insert(labels.clone(), list);
            samples.insert(labels, model);
        }
        let plain = lives.iter().all(|(_, _, late, holes)| late.is_empty() && holes.is_empty());
        let raw = lives.iter().all(|(_, kinds, ..)| kinds.iter().all(|kind| *kind == 0));
        for (whole, question) in &questions {
            let expected = model::answer(&samples, question);
            let found = ask(&runs, &asked(question), (question.first, question.last));
            let kept = matches!(question.function, Function::Quantile(_) | Function::Stddev);
            let dated = matches!(question.function, Function::First | Function::Last);
            let dated = dated && question.grouping != Grouping::Series;
            let exact = raw || (*whole && plain && !kept && !dated);
            if exact {
                let names: Vec<_> = found.iter().map(|one| one.labels.clone()).collect();
                prop_assert_eq!(names, expected.keys().cloned().collect::<Vec<_>>());
            }
            for one in found {
                prop_assert!(!(exact && one.approximate), "{question:?}");
                if one.approximate {
                    continue;
                }
                let points = one.points.iter().map(|point| (point.timestamp, point.value));
                let wanted = expected.get(&one.labels).cloned().unwrap_or_default();
                prop_assert_eq!(points.clone().map(|point| point.0).collect::<Vec<_>>(),
                    wanted.iter().map(|point| point.0).collect::<Vec<_>>(), "{:?}", question);
                for ((at, value), (_, expected, tolerance)) in points.zip(wanted) {
                    prop_assert!(equal(value, expected, tolerance),
                        "at {at}: {value:?}, not {expected:?} +- {tolerance:e}: {question:?}");
                }
            }
        }
    }
}
