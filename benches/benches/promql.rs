//! PromQL in process: typical questions of dashboards and alerts over a flushed database.
//!
//! Input: counters, buckets and gauges made here, the same each time. Output: criterion's times for
//! one question, parsed before. Each question is asked once before anything is timed, and must give
//! as many series as it should.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use treering::{Batch, Db, Labels};
use treering_promql::{Answer, Evaluator, Expr, Features, Value, parse};

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// A question: its text, first and last step, distance of steps, series of the answer.
type Question = (&'static str, i64, i64, i64, usize);

/// Over 1,000 series (100 hosts, 10 buckets of each) of 65 minutes, one sample in 15 s.
const RECENT: &[Question] = &[
    (
        "rate(buckets_total[5m])",
        5 * 60 * SECOND,
        HOUR,
        15 * SECOND,
        1000,
    ),
    (
        "sum by (host) (rate(buckets_total[5m]))",
        5 * 60 * SECOND,
        HOUR,
        15 * SECOND,
        100,
    ),
    (
        "sum(rate(buckets_total[5m]))",
        5 * 60 * SECOND,
        HOUR,
        15 * SECOND,
        1,
    ),
    (
        "histogram_quantile(0.9, sum by (le, host) (rate(buckets_total[5m])))",
        5 * 60 * SECOND,
        HOUR,
        60 * SECOND,
        100,
    ),
    ("topk(5, rate(buckets_total[5m]))", HOUR, HOUR, SECOND, 5),
    ("sum by (host) (buckets_total)", HOUR, HOUR, SECOND, 100),
    (
        "buckets_total / on (host) group_left () sum by (host) (buckets_total)",
        5 * 60 * SECOND,
        HOUR,
        60 * SECOND,
        1000,
    ),
];

/// Over 10 series of 31 days, one sample a minute.
const LONG: &[Question] = &[
    ("avg_over_time(load[1d])", DAY, 31 * DAY, DAY, 10),
    ("avg_over_time(load[1d])", DAY, 31 * DAY, HOUR, 10),
    ("max_over_time(load[1d])", DAY, 31 * DAY, HOUR, 10),
    ("quantile_over_time(0.9, load[1d])", DAY, 31 * DAY, HOUR, 10),
    ("stddev_over_time(load[1d])", DAY, 31 * DAY, HOUR, 10),
    ("predict_linear(load[1d], 3600)", DAY, 31 * DAY, HOUR, 10),
    ("increase(served_total[1d])", DAY, 31 * DAY, HOUR, 10),
];

/// The same numbers each time, from 0 to 1.
fn noise(series: u64, at: u64) -> f64 {
    let mixed = (series << 32 | at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) as f64 / u64::MAX as f64
}

fn append(db: &Db, labels: &[(&str, String)], times: &[i64], values: &[f64]) {
    let labels = Labels::from_pairs(labels.iter().map(|(name, value)| (*name, value.as_str())));
    let labels = labels.expect("labels are in order");
    let batch = Batch::new().column(&labels, times, values);
    db.append(&batch).expect("there is room in memory");
}

fn recent() -> Db {
    let db = Db::in_memory().expect("a database in memory needs nothing");
    let times: Vec<i64> = (0..=240).map(|at| at * 15 * SECOND).collect();
    let mut values = vec![0.0; 241];
    for series in 0..1000 {
        // Each bucket holds what those below it hold, and something of its own.
        if series % 10 == 0 {
            values.fill(0.0);
        }
        let mut own = 0.0;
        for (at, value) in values.iter_mut().enumerate() {
            own += (noise(series, at as u64) * 50.0).floor();
            *value += own;
        }
        let le = match series % 10 {
            9 => "+Inf".to_owned(),
            power => (1u64 << power).to_string(),
        };
        let pairs = [
            ("__name__", "buckets_total".to_owned()),
            ("host", format!("host-{:03}", series / 10)),
            ("le", le),
            ("region", format!("region-{}", series / 250)),
        ];
        append(&db, &pairs, &times, &values);
    }
    db.flush().expect("a flush in memory");
    db
}

fn long() -> Db {
    let db = Db::in_memory().expect("a database in memory needs nothing");
    let minutes = 31 * 24 * 60;
    let times: Vec<i64> = (0..=minutes).map(|at| at * 60 * SECOND).collect();
    for series in 0..10 {
        let load = |at: i64| (noise(series, at as u64) * 1000.0).floor() / 100.0;
        let values: Vec<f64> = (0..=minutes).map(load).collect();
        let host = ("host", format!("host-{series:03}"));
        let pairs = [("__name__", "load".to_owned()), host.clone()];
        append(&db, &pairs, &times, &values);
        let mut count = 0.0;
        let next = |at: i64| {
            count = if at % 9973 == 9972 {
                0.0
            } else {
                count + load(at)
            };
            count
        };
        let values: Vec<f64> = (0..=minutes).map(next).collect();
        append(
            &db,
            &[("__name__", "served_total".to_owned()), host],
            &times,
            &values,
        );
    }
    db.flush().expect("a flush in memory");
    db
}

fn ask(db: &Db, expr: &Expr, (_, start, end, step, _): &Question) -> Answer {
    let evaluator = Evaluator::new(db);
    match start == end {
        true => evaluator.instant(expr, *end),
        false => evaluator.range(expr, *start, *end, *step),
    }
    .expect("the question can be answered")
}

fn questions(criterion: &mut Criterion, name: &str, db: &Db, questions: &[Question]) {
    let mut group = criterion.benchmark_group(name);
    for question in questions {
        let (text, _, _, step, expected) = question;
        let expr = parse(text, &Features::default()).expect("the question can be read");
        let series = match ask(db, &expr, question).value {
            Value::Vector(vector) => vector.len(),
            Value::Matrix(matrix) => matrix.len(),
            other => panic!("{text} gave {other:?}"),
        };
        assert_eq!(series, *expected, "{text}");
        let id = BenchmarkId::new(*text, format!("{}s", step / SECOND));
        group.bench_function(id, |bencher| {
            bencher.iter(|| black_box(ask(db, &expr, question)))
        });
    }
    group.finish();
}

fn dashboards(criterion: &mut Criterion) {
    questions(criterion, "recent", &recent(), RECENT);
    questions(criterion, "long", &long(), LONG);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200));
    targets = dashboards
}
criterion_main!(benches);
