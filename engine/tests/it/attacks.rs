//! Hostile input: each attack ends in a clear error or at a bounded cost, and loses nothing.
//!
//! Bounds on time are a hundred times what a quiet machine takes: they tell minutes from
//! milliseconds, not fast from slow.

use std::time::{Duration, Instant};

use treering::time::ManualClock;
use treering::{
    Aggregate, Batch, Db, Error, Function, LabelLimits, Labels, NamespaceOptions, Options,
    QueryLimits, Selector, labels,
};

use crate::support::{all, append, cpu, manual, memory, open, selector};

/// Runs `attack`, which must be through within `seconds`.
fn within<T>(seconds: u64, attack: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let answer = attack();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(seconds), "it took {took:?}");
    answer
}

#[test]
fn patterns_that_explode_elsewhere_are_refused_or_answered_at_once() {
    let db = Db::in_memory().unwrap();
    let mut batch = Batch::new();
    for number in 0..2000 {
        let host = format!("{}{number}!", "a".repeat(40));
        batch.push(cpu(&host), 1, 1.0);
    }
    db.append(&batch).unwrap();
    let bombs = [
        "(a+)+$",
        "(a|aa)+$",
        "(a|a?)+$",
        "(.*a){12}",
        "((((a{1,30}){1,30}){1,30}){1,30})",
        "(a{0,1000}){0,1000}",
        "[a-z]{1,500}[a-z]{1,500}[a-z]{1,500}",
        "(?i:(\\p{L}{1,200}){1,100})",
        ".*.*.*.*.*.*.*.*.*.*b",
        "(a?){60}a{60}",
    ];
    for bomb in bombs {
        let text = format!("cpu{{host=~{bomb:?}}}");
        within(20, || match Selector::parse(&text) {
            Ok(selector) => {
                let found = db.series_labels(&selector, ..);
                assert!(found.is_ok(), "{bomb}: {found:?}");
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("regular expression"), "{bomb}: {text}");
            }
        });
    }
    let long = format!("cpu{{host=~\"{}\"}}", "a|".repeat(3000));
    let refused = Selector::parse(&long).unwrap_err().to_string();
    assert!(
        refused.contains("4096") || refused.contains("4,096"),
        "{refused}"
    );
    let nested = format!("cpu{{host=~\"{}{}\"}}", "(".repeat(2000), ")".repeat(2000));
    within(20, || assert!(Selector::parse(&nested).is_err()));
}

#[test]
fn labels_that_explode_stop_at_a_limit_with_a_name() {
    let vfs = memory();
    let options = manual(&vfs).memory_bytes(16 << 20);
    let db = Db::open("/db", options.clone()).unwrap();
    append(&db, &cpu("a"), 1, 1.0);
    let explosion = |from: i64, to: i64| {
        let mut batch = Batch::new();
        for number in from..to {
            let id = format!("{number:032}");
            batch.push(
                labels! { "__name__" => "requests", "id" => id },
                number,
                1.0,
            );
        }
        batch
    };
    // All at once they are more than half of the memory.
    let refused = db.append(&explosion(0, 200_000)).unwrap_err().to_string();
    assert!(refused.contains("`requests`"), "{refused}");
    assert!(refused.contains("Options::memory_bytes"), "{refused}");
    assert_eq!(all(&db, "requests").len(), 0);
    // One after the other they leave the memory as fast as they come.
    let mut most = 0;
    for part in 0..200 {
        db.append(&explosion(part * 1000, (part + 1) * 1000))
            .unwrap();
        most = most.max(db.stats().label_bytes);
    }
    assert!(most < 9 << 20, "{most}");
    append(&db, &cpu("a"), 2, 2.0);
    drop(db);
    let db = Db::open("/db", options).unwrap();
    assert_eq!(all(&db, "cpu")[0].1.timestamps, [1, 2]);
    let count = Aggregate::new(Function::Count).by([""; 0]);
    let counted = (0..100).map(|digits| {
        let some = selector(&format!("requests{{id=~\".*{digits:02}\"}}"));
        db.aggregate(&some, .., &count).unwrap()[0].points[0].value
    });
    assert_eq!(counted.sum::<f64>(), 200_000.0);
}

#[test]
fn absurd_lengths_are_refused_before_anything_is_made_of_them() {
    let db = Db::in_memory_with(Options::default().label_limits(LabelLimits::default())).unwrap();
    let long = "x".repeat(1 << 20);
    let refused = Labels::from_pairs([("__name__", "m"), ("l", &*long)])
        .map_err(Error::from)
        .and_then(|labels| db.append(&Batch::new().sample(labels, 1, 1.0)));
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains('l') && text.len() < 1000,
        "{} bytes",
        text.len()
    );
    let many = (0..100_000).map(|number| (format!("l{number}"), "x".to_owned()));
    let refused = Labels::from_pairs(many)
        .map_err(Error::from)
        .and_then(|labels| db.append(&Batch::new().sample(labels, 1, 1.0)));
    assert!(refused.unwrap_err().to_string().len() < 1000);
    assert!(Selector::parse(&format!("{{{}}}", "a=\"b\",".repeat(5000))).is_err());
    assert!(
        db.create_namespace(&long, NamespaceOptions::default())
            .is_err()
    );
    let most = QueryLimits::default().with_bytes(1 << 10);
    let listed = db
        .query()
        .limits(most)
        .label_values("l", &Selector::all(), ..);
    assert_eq!(listed.unwrap(), Vec::<String>::new());
    assert_eq!(db.cardinality(1).series, 0);
}

#[test]
fn the_ends_of_time_are_times_like_others() {
    let vfs = memory();
    let db = open(&vfs);
    let times = [
        i64::MIN,
        i64::MIN + 1,
        i64::MIN / 2,
        -1,
        0,
        1,
        i64::MAX / 2,
        i64::MAX - 1,
        i64::MAX,
    ];
    db.append(&Batch::new().column(cpu("a"), &times, &[1.0; 9]))
        .unwrap();
    let check = |db: &Db| {
        let all = all(db, "cpu");
        assert_eq!(all[0].1.timestamps, times);
        let cpu = selector("cpu");
        let counted = |function, first, last| {
            let asked = Aggregate::new(function);
            db.aggregate(&cpu, first..=last, &asked).unwrap()[0].points[0].value
        };
        assert_eq!(counted(Function::Count, i64::MIN, i64::MAX), 9.0);
        assert_eq!(counted(Function::Sum, i64::MAX - 1, i64::MAX), 2.0);
        let narrow = Aggregate::new(Function::Count).step(Duration::from_nanos(1));
        // More windows than anyone can have, or those that hold samples: never a hang.
        within(20, || drop(db.aggregate(&cpu, .., &narrow)));
        let wide = Aggregate::new(Function::Count).step(Duration::from_secs(u64::MAX / 4));
        within(20, || drop(db.aggregate(&cpu, .., &wide)));
        assert_eq!(db.latest(&cpu).unwrap()[0].sample.timestamp, i64::MAX);
    };
    check(&db);
    within(60, || db.flush()).unwrap();
    check(&db);
    within(60, || db.compact()).unwrap();
    check(&db);
    db.close().unwrap();
    let db = open(&vfs);
    check(&db);
    assert!(db.verify().unwrap().is_clean());
    db.delete(&selector("cpu"), i64::MIN..=i64::MIN).unwrap();
    db.delete(&selector("cpu"), i64::MAX..=i64::MAX).unwrap();
    db.compact().unwrap();
    assert_eq!(all(&db, "cpu")[0].1.timestamps, times[1..8]);
}

#[test]
fn a_clock_that_jumps_loses_only_what_it_says_is_old() {
    const HOUR: i64 = 3600 * 1_000_000_000;
    let vfs = memory();
    let clock = std::sync::Arc::new(ManualClock::new(1000 * HOUR));
    let shared: std::sync::Arc<dyn treering::time::Clock> = clock.clone();
    let db = Db::open("/db", manual(&vfs).clock(shared)).unwrap();
    let kept = NamespaceOptions::default().retention(Duration::from_secs(100 * 3600));
    db.alter_namespace("default", kept).unwrap();
    let mut held = Vec::new();
    // Back by centuries, forth again, and a little to and fro.
    for now in [1000, 1001, -1_000_000, 1002, 999, 1003, 0, 1004] {
        clock.set(now * HOUR);
        for at in [950, 990, 999, 1003] {
            let at = at * HOUR + now;
            db.append(&Batch::new().sample(cpu("a"), at, 1.0)).unwrap();
            held.push(at);
        }
        within(60, || {
            db.flush().unwrap();
            while db.maintain().unwrap() {}
        });
    }
    held.sort_unstable();
    assert_eq!(all(&db, "cpu")[0].1.timestamps, held);
    assert!(db.verify().unwrap().is_clean());
    // A clock that runs ahead takes what is old by it, as it must, and refuses no later one.
    clock.set(2000 * HOUR);
    while db.maintain().unwrap() {}
    assert_eq!(all(&db, "cpu").len(), 0);
    let old = db.append(&Batch::new().sample(cpu("a"), 1000 * HOUR, 1.0));
    assert!(old.unwrap_err().to_string().contains("retention"));
    append(&db, &cpu("a"), 2000 * HOUR, 1.0);
}

#[test]
fn a_hundred_thousand_tiny_batches_and_one_giant_one() {
    let vfs = memory();
    let options = manual(&vfs).memory_bytes(64 << 20);
    let db = Db::open("/db", options.clone()).unwrap();
    within(200, || {
        for at in 0..100_000 {
            append(&db, &cpu("tiny"), at, at as f64);
        }
    });
    let (most, giant) = (4 << 20, (4 << 20) + 1);
    let times: Vec<i64> = (0..giant).collect();
    let values = vec![1.5; giant as usize];
    let too_large = Batch::new().column(cpu("giant"), &times, &values);
    let refused = db.append(&too_large).unwrap_err().to_string();
    assert!(refused.contains("4194304"), "{refused}");
    let largest = Batch::new().column(cpu("giant"), &times[1..], &values[1..]);
    within(200, || db.append(&largest)).unwrap();
    let check = |db: &Db| {
        let count = Aggregate::new(Function::Count);
        let counted = db.aggregate(&selector("cpu"), .., &count).unwrap();
        let counted: Vec<_> = counted.iter().map(|it| it.points[0].value).collect();
        assert_eq!(counted, [most as f64, 100_000.0]);
        // Whole, the larger is more than a query may hold here.
        let whole = db.select(&Selector::metric("cpu"), ..).unwrap();
        let read = whole.map(|series| series?.columns()).find_map(Result::err);
        assert!(read.is_some_and(|error| error.is_limit()));
    };
    check(&db);
    drop(db);
    let db = Db::open("/db", options).unwrap();
    check(&db);
    db.flush().unwrap();
    check(&db);
}
