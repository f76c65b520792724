//! Questions that an operator asks, answered from head, blocks and both alike.

use std::time::Duration;

use treering::{Aggregate, Batch, Db, Error, Function, labels};

use crate::support::{append, cpu, memory, open, selector};

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;

/// A day of four hosts in two racks, one sample a minute.
fn day() -> Db {
    let db = Db::in_memory().unwrap();
    for host in 0..4i64 {
        let labels = labels! {
            "__name__" => "cpu", "host" => format!("h{host}"), "rack" => (host / 2).to_string(),
        };
        let times: Vec<i64> = (1..=1440).map(|minute| minute * 60 * SECOND).collect();
        let values: Vec<f64> = (1..=1440)
            .map(|minute| (minute * (host + 1) % 97) as f64)
            .collect();
        db.append(&Batch::new().column(labels, &times, &values))
            .unwrap();
    }
    db
}

fn points(db: &Db, aggregate: &Aggregate) -> Vec<(String, Vec<(i64, f64)>)> {
    let answer = db
        .aggregate(&selector("cpu"), 1..=24 * HOUR, aggregate)
        .unwrap();
    answer
        .into_iter()
        .map(|series| {
            let points = series
                .points
                .iter()
                .map(|point| (point.timestamp, point.value))
                .collect();
            (series.labels.to_string(), points)
        })
        .collect()
}

#[test]
fn an_answer_does_not_depend_on_where_the_samples_are() {
    let db = day();
    let hour = Duration::from_secs(3600);
    let questions = [
        Aggregate::new(Function::Max).step(hour),
        Aggregate::new(Function::Avg).step(hour).by(["rack"]),
        Aggregate::new(Function::Quantile(0.9))
            .step(hour)
            .without(["host"]),
        Aggregate::new(Function::Rate).step(hour).window(hour * 3),
        Aggregate::new(Function::Count).by(Vec::<String>::new()),
        Aggregate::new(Function::Stddev).step(Duration::from_secs(100)),
    ];
    let from_head: Vec<_> = questions
        .iter()
        .map(|question| points(&db, question))
        .collect();
    assert_eq!(from_head[0].len(), 4);
    assert_eq!(from_head[0][0].1.len(), 24);
    assert_eq!(from_head[1].len(), 2);
    assert_eq!(
        from_head[4],
        [("{}".to_owned(), vec![(24 * HOUR, 4.0 * 1440.0)])]
    );
    db.flush().unwrap();
    for (question, expected) in questions.iter().zip(&from_head) {
        let found = points(&db, question);
        assert_eq!(found.len(), expected.len());
        for ((labels, found), (same, expected)) in found.iter().zip(expected) {
            assert_eq!(labels, same);
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(found.0, expected.0);
                let close = (found.1 - expected.1).abs() <= 1e-12 * expected.1.abs();
                assert!(close, "{question:?}: {found:?} is not {expected:?}");
            }
        }
    }
}

/// Windows are left-open and right-closed: a sample at an edge belongs to the window that it ends.
#[test]
fn a_sample_at_an_edge_ends_its_window() {
    let db = Db::in_memory().unwrap();
    for at in [HOUR, HOUR + 1, 2 * HOUR] {
        append(&db, &cpu("a"), at, 1.0);
    }
    let hourly = Aggregate::new(Function::Count).step(Duration::from_secs(3600));
    let count = || points(&db, &hourly)[0].1.clone();
    assert_eq!(count(), [(HOUR, 1.0), (2 * HOUR, 2.0)]);
    db.flush().unwrap();
    assert_eq!(count(), [(HOUR, 1.0), (2 * HOUR, 2.0)]);
}

#[test]
fn ranges_are_inclusive_and_may_be_empty() {
    let db = day();
    let count = |range: (std::ops::Bound<i64>, std::ops::Bound<i64>)| -> usize {
        let series = db.select(&selector(r#"cpu{host="h0"}"#), range).unwrap();
        series
            .map(|series| series.unwrap().columns().unwrap().values.len())
            .sum()
    };
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let minute = 60 * SECOND;
    assert_eq!(count((Unbounded, Unbounded)), 1440);
    assert_eq!(count((Included(minute), Included(2 * minute))), 2);
    assert_eq!(count((Included(minute), Excluded(2 * minute))), 1);
    assert_eq!(count((Excluded(minute), Excluded(2 * minute))), 0);
    assert_eq!(count((Included(2 * minute), Included(minute))), 0);
    assert_eq!(count((Excluded(i64::MAX), Unbounded)), 0);
}

/// A mistake in the arguments, or a closed database, is no empty answer: not for any range.
#[test]
fn an_empty_range_hides_no_mistake() {
    use std::ops::Bound::{Excluded, Unbounded};
    let db = day();
    let all = selector("cpu");
    let nothing = (Excluded(i64::MAX), Unbounded);
    let sum = Aggregate::new(Function::Sum);
    for range in [(Excluded(9), Excluded(10)), nothing] {
        let refused = |asked: &Aggregate| match db.aggregate(&all, range, asked) {
            Err(Error::InvalidArgument { argument, .. }) => argument,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&sum.clone().step(Duration::ZERO)), "step");
        assert_eq!(refused(&sum.clone().window(Duration::ZERO)), "window");
        assert_eq!(db.aggregate(&all, range, &sum).unwrap(), []);
        assert_eq!(db.query().latest(&all, range).unwrap(), []);
    }
    db.close().unwrap();
    let query = db.query();
    for error in [
        query.select(&all, nothing).map(drop),
        query.aggregate(&all, nothing, &sum).map(drop),
        query.latest(&all, nothing).map(drop),
        query.series_labels(&all, nothing).map(drop),
        query.label_names(&all, nothing).map(drop),
        query.label_values("host", &all, nothing).map(drop),
    ] {
        assert!(matches!(error, Err(Error::Closed)), "{error:?}");
    }
}

/// A rate over all of time was divided by 584 years.
#[test]
fn a_rate_needs_a_width() {
    let db = day();
    let rate = Aggregate::new(Function::Rate);
    let ask = |range: (std::ops::Bound<i64>, std::ops::Bound<i64>), asked: &Aggregate| {
        db.aggregate(&selector("cpu"), range, asked)
    };
    use std::ops::Bound::{Included, Unbounded};
    let (first, last) = (Included(1), Included(HOUR));
    let minute = Duration::from_secs(60);
    for range in [
        (Unbounded, Unbounded),
        (first, Unbounded),
        (Unbounded, last),
    ] {
        let error = ask(range, &rate).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{text}");
        assert!(text.contains("bound the range"), "{text}");
        assert!(text.contains("Aggregate::step"), "{text}");
        assert!(ask(range, &rate.clone().step(minute)).is_ok());
        assert!(ask(range, &Aggregate::new(Function::Increase)).is_ok());
    }
    assert_eq!(ask((first, last), &rate).unwrap().len(), 4);
    // A window gives the width too, as long as it ends somewhere.
    let recent = rate.window(minute * 2);
    assert_eq!(ask((Unbounded, last), &recent).unwrap().len(), 4);
    assert!(ask((first, Unbounded), &recent).is_err());
}

/// The table in the documentation of `Function::Increase`: steps between windows are in neither.
#[test]
fn the_step_between_two_windows_is_in_neither() {
    let db = Db::in_memory().unwrap();
    let times: Vec<i64> = (1..=8).map(|at| at * 15 * SECOND).collect();
    let values: Vec<f64> = (1..=8).map(|at| f64::from(at) * 150.0).collect();
    db.append(&Batch::new().column(cpu("a"), &times, &values))
        .unwrap();
    let minute = Duration::from_secs(60);
    let rate = Aggregate::new(Function::Rate).step(minute);
    let ask = |asked: &Aggregate| {
        let range = 1..=120 * SECOND;
        let answer = db.aggregate(&selector("cpu"), range, asked).unwrap();
        let points = answer[0].points.iter();
        points
            .map(|point| (point.timestamp / SECOND, point.value))
            .collect::<Vec<_>>()
    };
    assert_eq!(ask(&rate), [(60, 7.5), (120, 7.5)]);
    assert_eq!(
        ask(&Aggregate::new(Function::Increase).step(minute)),
        [(60, 450.0), (120, 450.0)]
    );
    // Overlapping windows see more; the first is clipped to the range, but divided all the same.
    let wide = rate.window(minute * 2);
    assert_eq!(ask(&wide), [(60, 3.75), (120, 8.75)]);
}

#[test]
fn matchers_meet_missing_labels_as_in_prometheus() {
    let vfs = memory();
    let db = open(&vfs);
    append(&db, &cpu("a"), 1, 1.0);
    append(&db, &labels! { "__name__" => "cpu" }, 1, 1.0);
    for flushed in [false, true] {
        if flushed {
            db.flush().unwrap();
        }
        let count = |text: &str| db.series_labels(&selector(text), ..).unwrap().len();
        assert_eq!(count(r#"cpu{host=""}"#), 1);
        assert_eq!(count(r#"cpu{host!=""}"#), 1);
        assert_eq!(count(r#"cpu{host!="b"}"#), 2);
        assert_eq!(count(r#"cpu{host=~"a|"}"#), 2);
        assert_eq!(count(r#"cpu{host=~"."}"#), 1);
        assert_eq!(count(r#"cpu{host!~".+"}"#), 1);
        assert_eq!(count(r#"{host=~"a.*"}"#), 1);
    }
}

/// A query that began before a flush answers from what it saw, however long it takes.
#[test]
fn a_query_under_way_survives_flush_and_close() {
    let db = day();
    let mut series = db.select(&selector("cpu"), ..).unwrap();
    let first = series.next().unwrap().unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    assert_eq!(first.columns().unwrap().values.len(), 1440);
    assert_eq!(
        series
            .map(|series| series.unwrap().samples().count())
            .sum::<usize>(),
        3 * 1440
    );
}
