//! Windows of days and longer are answered from what blocks tell of several chunks at once: the
//! same as from the samples, whatever came late or was deleted.

use std::time::Duration;

use proptest::prelude::*;
use treering::{Aggregate, Batch, Db, Function, Maintenance, Options, Selector, labels};

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// Where the five days begin.
const START: i64 = 19_000 * DAY;

/// What happens between two questions.
#[derive(Debug, Clone)]
enum Step {
    /// Samples of a series every ten seconds, from an hour on, so many minutes.
    Append(u8, i64, i64),
    Delete(u8, i64, i64),
    Flush,
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    let hours = 0..5 * 24i64;
    prop_oneof![
        4 => (0..3u8, hours.clone(), 1..3000i64).prop_map(|(s, at, n)| Step::Append(s, at, n)),
        1 => (0..3u8, hours, 1..30i64).prop_map(|(s, at, n)| Step::Delete(s, at, n)),
        2 => Just(Step::Flush),
        1 => Just(Step::Compact),
    ]
}

fn selector(series: u8) -> Selector {
    Selector::metric("m").eq("series", &series.to_string())
}

fn apply(db: &Db, step: &Step, in_blocks: bool) {
    match *step {
        Step::Append(series, hour, minutes) => {
            let times: Vec<i64> = (1..=6 * minutes)
                .map(|sample| START + hour * HOUR + sample * 10 * SECOND)
                .collect();
            let value = |&at: &i64| match series {
                // A counter with resets, a constant, a walk of quarters.
                0 => (at / SECOND % 7001) as f64,
                1 => 0.25,
                _ => (at / SECOND * 7919 % 1013) as f64 / 4.0 + hour as f64,
            };
            let values: Vec<f64> = times.iter().map(value).collect();
            let labels = labels! { "__name__" => "m", "series" => series.to_string() };
            let batch = Batch::new().column(&labels, &times, &values);
            db.append(&batch).unwrap();
        }
        Step::Delete(series, hour, hours) => {
            let first = START + hour * HOUR;
            db.delete(&selector(series), first..=first + hours * HOUR)
                .unwrap();
        }
        Step::Flush if in_blocks => db.flush().unwrap(),
        Step::Compact if in_blocks => db.compact().unwrap(),
        Step::Flush | Step::Compact => {}
    }
}

fn open() -> Db {
    Db::in_memory_with(Options::default().maintenance(Maintenance::Manual)).unwrap()
}

/// Both databases answer the same.
fn compare(blocks: &Db, head: &Db, first: i64) {
    let functions = [
        Function::Count,
        Function::Sum,
        Function::Min,
        Function::Max,
        Function::First,
        Function::Last,
        Function::Increase,
        Function::Stddev,
    ];
    for function in functions {
        for (step, window) in [
            (DAY, DAY),
            (DAY, 2 * DAY),
            (36 * HOUR, 36 * HOUR),
            (HOUR, HOUR),
        ] {
            let nanos = |width: i64| Duration::from_nanos(width as u64);
            let asked = Aggregate::new(function)
                .step(nanos(step))
                .window(nanos(window));
            for asked in [asked.clone(), asked.by(["__name__"])] {
                let range = first..=START + 8 * DAY;
                let all = Selector::metric("m");
                let found = blocks.aggregate(&all, range.clone(), &asked).unwrap();
                let wanted = head.aggregate(&all, range, &asked).unwrap();
                assert_eq!(found.len(), wanted.len(), "{asked:?}");
                for (found, wanted) in found.iter().zip(&wanted) {
                    assert_eq!(found.labels, wanted.labels);
                    assert_eq!(found.points.len(), wanted.points.len(), "{asked:?}");
                    for (a, b) in found.points.iter().zip(&wanted.points) {
                        let scale = 1e-12 * b.value.abs().max(1e6);
                        let is_near = (a.value - b.value).abs() <= scale;
                        assert!(
                            a.timestamp == b.timestamp && is_near,
                            "{asked:?} {a:?} {b:?}"
                        );
                    }
                }
            }
        }
    }
}

/// A day that blocks have summed up, of which a later write and a delete take parts: each answer
/// is that of the samples.
#[test]
fn a_summed_day_gives_way_to_late_samples_and_deletes() {
    let (blocks, head) = (open(), open());
    let steps = [
        Step::Append(2, 0, 3 * 24 * 60),
        Step::Flush,
        // Late, in the head, and then in a block of its own, in the middle of a summed day.
        Step::Append(2, 30, 5),
        Step::Flush,
        Step::Append(2, 31, 5),
        Step::Delete(2, 55, 1),
        Step::Compact,
        Step::Append(2, 33, 7),
        Step::Delete(2, 34, 2),
    ];
    for step in &steps {
        apply(&blocks, step, true);
        apply(&head, step, false);
        if !matches!(step, Step::Append(_, 0, _)) {
            compare(&blocks, &head, START + 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn days_summed_up_in_blocks_answer_as_their_samples_do(
        steps in prop::collection::vec(step(), 1..12),
        offset in prop_oneof![2 => Just(1), 1 => 2..DAY],
    ) {
        let (blocks, head) = (open(), open());
        for step in &steps {
            apply(&blocks, step, true);
            apply(&head, step, false);
        }
        blocks.flush().unwrap();
        compare(&blocks, &head, START + offset);
        blocks.compact().unwrap();
        compare(&blocks, &head, START + offset);
    }
}
