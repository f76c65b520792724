//! A plan says what an answer then takes.

use treering::{Batch, Db, Labels};
use treering_promql::{Evaluator, Features, parse};

use crate::SECOND;

fn database() -> Db {
    let db = Db::in_memory().unwrap();
    for (name, host) in [("m", "a"), ("m", "b"), ("n_total", "a")] {
        let labels = Labels::from_pairs([("__name__", name), ("host", host)]).unwrap();
        let times: Vec<i64> = (1..=6000).map(|at| at * SECOND).collect();
        let values: Vec<f64> = (1..=6000).map(f64::from).collect();
        db.append(&Batch::new().column(&labels, &times, &values))
            .unwrap();
        db.flush().unwrap();
    }
    db
}

/// What is not answered from summaries is read as the plan says, series by series and chunk by
/// chunk.
#[test]
fn what_a_plan_would_read_is_what_the_answer_read() {
    let db = database();
    let evaluator = Evaluator::new(&db);
    for text in [
        "m",
        "sum(rate(n_total[5m]))",
        "m + on (host) n_total offset 10m",
        "quantile_over_time(0.5, m[20m]) > bool 3",
        "avg_over_time(rate(n_total[2m])[10m:1m])",
        "m{host=\"c\"}",
        "absent(m)",
        "sum(m @ 3000) + 1",
        "label_replace(m, \"x\", \"$1\", \"host\", \"(.)\")",
    ] {
        let expr = parse(text, &Features::all()).unwrap();
        let (start, end, step) = (2000 * SECOND, 5000 * SECOND, 60 * SECOND);
        let plan = evaluator.explain(&expr, start, end, step).unwrap();
        let stats = evaluator.range(&expr, start, end, step).unwrap().stats;
        let reads = plan.total();
        // At a single time a database knows the newest samples without reading chunks.
        let expected = match text.contains('@') {
            true => (stats.series, 0),
            false => (stats.series, stats.chunks),
        };
        let told = match text.contains('@') {
            true => (reads.series, 0),
            false => (reads.series, reads.chunks),
        };
        assert_eq!(told, expected, "{text}:\n{plan}");
    }
}

#[test]
fn a_plan_prints_as_a_tree() {
    let db = database();
    let evaluator = Evaluator::new(&db);
    let text = "sum by (host) (max_over_time(m[1h])) / scalar(m{host=\"a\"} @ 3000) + \
                avg_over_time(n_total[1m:20s])";
    let expr = parse(text, &Features::all()).unwrap();
    let plan = evaluator.explain(&expr, 4000 * SECOND, 5000 * SECOND, 100 * SECOND);
    let plan = plan.unwrap().to_string();
    let lines: Vec<&str> = plan.lines().collect();
    for (line, expected) in lines.iter().zip([
        "+: series matched once for all steps",
        "  /",
        "    sum by (host): columns of 11 steps",
        "      max_over_time: from summaries of the source",
        "        m[1h]: read only where summaries do not tell, at most; 2 series, ",
        "    scalar: once for all steps",
        "      m{host=\"a\"} @ 3000.000: newest samples, at most; 1 series, ",
        "  avg_over_time: each window by itself",
        "    subquery: 53 steps of its own",
        "      n_total: samples current at 53 steps; 1 series, ",
    ]) {
        assert!(line.starts_with(expected), "{expected:?} in\n{plan}");
    }
    assert_eq!(lines.len(), 10, "{plan}");
}

#[test]
fn a_plan_is_refused_as_the_query_would_be() {
    let db = database();
    let evaluator = Evaluator::new(&db);
    let expr = parse("rate(m[5m])", &Features::all()).unwrap();
    assert!(evaluator.explain(&expr, 2, 1, SECOND).is_err());
    assert!(evaluator.explain(&expr, 0, SECOND, 0).is_err());
    assert!(
        evaluator
            .explain(&expr, 0, i64::MAX, 1)
            .unwrap_err()
            .is_limit()
    );
}
