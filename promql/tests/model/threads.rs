//! Nobody can tell on how many threads a query ran.

use treering::{Batch, Db, Labels, Options as DbOptions, Selector, Source, stale_marker};
use treering_promql::{Answer, Evaluator, Features, Options, SampleValue, Value, parse};

use crate::SECOND;

/// A database of 300 series of 4,000 samples, in blocks: enough work for several threads.
fn database(threads: usize) -> Db {
    let db = Db::in_memory_with(DbOptions::default().query_threads(threads)).unwrap();
    let times: Vec<i64> = (0..4000).map(|at| at * 15 * SECOND).collect();
    for series in 0..300u64 {
        let name = ["m", "n_total"][series as usize % 2];
        let pairs = [
            ("__name__", name.to_owned()),
            ("g", (series % 7).to_string()),
            ("i", format!("{series:03}")),
        ];
        let value = |at: u64| match (series * 31 + at * 17) % 97 {
            0 => stale_marker(),
            1 => 0.1,
            some => (some * at) as f64 / 7.0,
        };
        let values: Vec<f64> = (0..4000).map(value).collect();
        let labels = Labels::from_pairs(pairs).unwrap();
        db.append(&Batch::new().column(&labels, &times, &values))
            .unwrap();
    }
    db.flush().unwrap();
    db
}

/// All that an answer says, bit for bit, in its order.
fn said(answer: &Answer, text: &str) -> Vec<String> {
    let bits = |value: &SampleValue| match value {
        SampleValue::Float(value) => value.to_bits(),
        SampleValue::Histogram(_) => panic!("a histogram"),
    };
    let mut said: Vec<String> = match &answer.value {
        Value::Vector(vector) => vector
            .iter()
            .map(|one| format!("{} {:x}", one.labels, bits(&one.value)))
            .collect(),
        Value::Matrix(series) => series
            .iter()
            .map(|one| {
                let samples = one.samples.iter().map(|(time, value)| (*time, bits(value)));
                format!("{} {:?}", one.labels, samples.collect::<Vec<_>>())
            })
            .collect(),
        other => panic!("{other:?}"),
    };
    said.extend(answer.annotations.iter().map(|one| one.text(text)));
    said
}

#[test]
fn many_threads_say_what_one_says() {
    let (one, many) = (database(1), database(6));
    let parts = |db: &Db| {
        let parts = db.select_parts(&Selector::metric("m"), 0, i64::MAX);
        parts.unwrap().threads()
    };
    assert_eq!(parts(&one), 1);
    assert!(parts(&many) > 1, "the test would show nothing");
    for text in [
        "m",
        "rate(m[5m])",
        "sum(rate(n_total[5m]))",
        "avg by (g) (sum_over_time(m[10m]))",
        "quantile_over_time(0.9, m[1h])",
        "stddev_over_time({g=\"3\"}[1h])",
        "topk(5, m)",
        "m smoothed",
        "max_over_time(m[1h])",
        "absent_over_time(m[20s])",
        "sum by (g) (m) / on (g) group_right () m",
        "increase({i=~\"0.*\"}[5m])",
    ] {
        let expr = parse(text, &Features::all()).unwrap();
        let ask = |db: &Db| {
            let evaluator = Evaluator::new(db).options(Options {
                features: Features {
                    delayed_name_removal: false,
                    ..Features::all()
                },
                ..Options::default()
            });
            let (start, end) = (60 * SECOND, 59_000 * SECOND);
            let range = evaluator.range(&expr, start, end, 601 * SECOND).unwrap();
            let instant = evaluator.instant(&expr, 15_000 * SECOND).unwrap();
            [said(&range, text), said(&instant, text)]
        };
        let (expected, found) = (ask(&one), ask(&many));
        assert!(expected[0].len() > 1 || text.starts_with("absent") || text.starts_with("sum("));
        assert!(expected == found, "{text}");
    }
}
