//! Every limit is a clear error that names the thing and the way out, and loses nothing.

use std::time::Duration;

use treering::{
    Aggregate, Batch, CancelToken, Db, Error, Function, LabelLimits, Maintenance, Options,
    QueryLimits, Sync, labels,
};

use crate::support::{all, append, cpu, manual, memory, selector};

fn small() -> Db {
    let db = Db::in_memory().unwrap();
    for host in ["a", "b", "c"] {
        let times: Vec<i64> = (0..100).collect();
        db.append(&Batch::new().column(cpu(host), &times, &[1.0; 100]))
            .unwrap();
    }
    db
}

#[test]
fn the_series_limit_refuses_new_series_only() {
    let vfs = memory();
    let db = Db::open("/db", manual(&vfs).max_series(2)).unwrap();
    append(&db, &cpu("a"), 1, 1.0);
    append(&db, &cpu("b"), 1, 1.0);
    let error = db
        .append(&Batch::new().sample(cpu("c"), 1, 1.0))
        .unwrap_err();
    let Error::Rejected(row) = &error else {
        panic!("{error}")
    };
    assert!(row.reason.is_limit());
    let text = error.to_string();
    assert!(
        text.contains("series limit 2") && text.contains("`cpu`"),
        "{text}"
    );
    assert!(text.contains("Options::max_series"), "{text}");
    append(&db, &cpu("a"), 2, 2.0);
    assert_eq!(all(&db, "cpu").len(), 2);
    // Replay is not stopped by a limit that was lowered since.
    drop(db);
    let db = Db::open("/db", manual(&vfs).max_series(1)).unwrap();
    assert_eq!(all(&db, "cpu").len(), 2);
}

#[test]
fn label_limits_name_the_label() {
    let db = Db::in_memory_with(Options::default().label_limits(LabelLimits::default())).unwrap();
    let many: Vec<(String, String)> = (0..65)
        .map(|number| (format!("l{number}"), "x".to_owned()))
        .collect();
    let many = treering::Labels::from_pairs(many).unwrap();
    assert!(db.series(&many).unwrap_err().to_string().contains("64"));
    let long = labels! { "__name__" => "x".repeat(5000) };
    assert!(
        db.series(&long)
            .unwrap_err()
            .to_string()
            .contains("__name__")
    );
}

#[test]
fn query_limits_stop_at_the_limit_and_not_before() {
    let db = small();
    let with = |limits: QueryLimits| {
        db.query()
            .limits(limits)
            .select(&selector("cpu"), ..)
            .and_then(|series| {
                series
                    .map(|series| series?.columns())
                    .collect::<Result<Vec<_>, _>>()
            })
    };
    assert_eq!(
        with(QueryLimits::default().with_series(3)).unwrap().len(),
        3
    );
    assert!(
        with(QueryLimits::default().with_series(2))
            .unwrap_err()
            .is_limit()
    );
    assert!(
        with(QueryLimits::default().with_samples(99))
            .unwrap_err()
            .is_limit()
    );
    assert!(
        with(QueryLimits::default().with_bytes(100))
            .unwrap_err()
            .is_limit()
    );
    let sum = Aggregate::new(Function::Sum);
    let aggregate = |limits| {
        db.query()
            .limits(limits)
            .aggregate(&selector("cpu"), 0..=99, &sum)
    };
    assert!(
        aggregate(QueryLimits::default().with_samples(10))
            .unwrap_err()
            .is_limit()
    );
    assert_eq!(aggregate(QueryLimits::default()).unwrap().len(), 3);
    let zero = QueryLimits::default().with_timeout(Duration::ZERO);
    assert!(matches!(aggregate(zero), Err(Error::Timeout { .. })));
}

#[test]
fn a_cancelled_query_ends() {
    let db = small();
    let token = CancelToken::new();
    let mut series = db
        .query()
        .cancel(&token)
        .select(&selector("cpu"), ..)
        .unwrap();
    assert!(series.next().unwrap().is_ok());
    token.cancel();
    assert!(matches!(series.next(), Some(Err(Error::Cancelled))));
}

#[test]
fn options_outside_their_range_are_named() {
    for (options, name) in [
        (Options::default().memory_bytes(1), "memory_bytes"),
        (Options::default().max_series(0), "max_series"),
        (Options::default().wal_file_bytes(1), "wal_file_bytes"),
        (Options::default().wal_max_bytes(1), "wal_max_bytes"),
        (
            Options::default().flush_interval(Duration::ZERO),
            "flush_interval",
        ),
        (
            Options::default().block_window(Duration::ZERO),
            "block_window",
        ),
        (Options::default().reserve_bytes(u64::MAX), "reserve_bytes"),
        (
            Options::default().sync(Sync::Interval(Duration::ZERO)),
            "sync",
        ),
    ] {
        let error = Db::in_memory_with(options.clone().maintenance(Maintenance::Manual));
        let error = match name {
            // These two are replaced for databases in memory; ask the disk's door.
            "sync" | "reserve_bytes" => Db::open("/nowhere/at/all", options).map(|_| ()),
            _ => error.map(|_| ()),
        };
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with(&format!("Options::{name} ")), "{text}");
    }
}

#[test]
fn a_tight_memory_bound_flushes_instead_of_growing() {
    let db = Db::in_memory_with(
        Options::default()
            .memory_bytes(8 << 20)
            .maintenance(Maintenance::Manual),
    )
    .unwrap();
    let hosts: Vec<_> = (0..50)
        .map(|host| db.series(&cpu(&host.to_string())).unwrap())
        .collect();
    let mut most = 0;
    for step in 0..20_000i64 {
        let noise = |host: usize| ((step as f64) * 1.618 + host as f64).sin();
        let row: Vec<_> = hosts
            .iter()
            .enumerate()
            .map(|(host, &series)| (series, noise(host)))
            .collect();
        db.append(&Batch::new().row(step * 1_000_000_007, &row))
            .unwrap();
        most = most.max(db.stats().head_bytes);
    }
    assert!(db.stats().flushes > 0);
    assert!(most < 4 << 20, "the head took {most} bytes");
    let columns = &all(&db, r#"cpu{host="7"}"#)[0].1;
    assert_eq!(columns.values.len(), 20_000);
}
