//! Every limit is a clear error that names the thing and the way out, and loses nothing.

use std::time::Duration;

use treering::{
    Aggregate, Batch, CancelToken, Db, Error, Function, LabelLimits, Maintenance, Options,
    QueryLimits, Selector, Sync, labels,
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

/// Each series once counted for itself, so a query of fifty read fifty times its limit.
#[test]
fn the_limits_of_a_query_hold_for_all_its_series_together() {
    let db = Db::in_memory().unwrap();
    let times: Vec<i64> = (0..100).collect();
    for host in 0..50 {
        let labels = cpu(&host.to_string());
        db.append(&Batch::new().column(labels, &times, &[1.0; 100]))
            .unwrap();
    }
    for flushed in [false, true] {
        if flushed {
            db.flush().unwrap();
        }
        let read = |limits, by_columns: bool| {
            let set = db.query().limits(limits).select(&selector("cpu"), ..)?;
            set.map(|series| {
                let series = series?;
                match by_columns {
                    true => series.columns().map(|columns| columns.values.len()),
                    false => series
                        .samples()
                        .try_fold(0, |n, sample| sample.map(|_| n + 1)),
                }
            })
            .sum::<Result<usize, Error>>()
        };
        let latest = |limits| db.query().limits(limits).latest(&selector("cpu"), ..=50);
        let samples = |samples| QueryLimits::default().with_samples(samples);
        for by_columns in [true, false] {
            assert_eq!(read(samples(5000), by_columns).unwrap(), 5000);
            for few in [100, 4999] {
                assert!(read(samples(few), by_columns).unwrap_err().is_limit());
            }
        }
        assert_eq!(latest(samples(5000)).unwrap().len(), 50);
        // A head hands out only the 51 samples of each that are in the range.
        assert!(latest(samples(50 * 51 - 1)).unwrap_err().is_limit());
    }
}

/// Room for the plan (256 bytes for a series in a block, or in the heads) and `bytes` more.
fn room(places: u64, bytes: u64) -> QueryLimits {
    QueryLimits::default().with_bytes(places * 256 + bytes)
}

#[test]
fn memory_is_counted_while_it_is_used_and_given_back_after() {
    let db = small();
    let select = |bytes| {
        let query = db.query().limits(room(3, bytes));
        query.select(&selector("cpu"), ..).unwrap()
    };
    // One series at a time fits, however many there are; columns are the caller's once they are
    // handed out.
    let columns: Vec<_> = select(1600)
        .map(|series| series.unwrap().columns().unwrap())
        .collect();
    assert_eq!(columns.len(), 3);
    // Iterators under way hold a decoded chunk each, until they end or are dropped.
    let mut set = select(1600);
    let all: Vec<_> = set.by_ref().map(Result::unwrap).collect();
    let mut under_way: Vec<_> = all.iter().map(|series| series.samples()).collect();
    assert!(under_way[0].next().unwrap().is_ok());
    assert!(all[1].columns().unwrap_err().is_limit());
    assert!(under_way[1].next().unwrap().unwrap_err().is_limit());
    assert!(under_way[1].next().is_none());
    assert_eq!(under_way[0].by_ref().count(), 99);
    assert!(under_way[2].next().unwrap().is_ok());
    assert!(all[0].columns().unwrap_err().is_limit());
    drop(under_way);
    assert_eq!(all[0].columns().unwrap().values.len(), 100);
    // The plan is given back with the set: 768 bytes, so that 48 samples more would fit.
    let mut one = all[0].samples();
    assert!(one.next().unwrap().is_ok());
    drop(set);
    assert!(all[1].samples().next().unwrap().unwrap_err().is_limit());
}

/// Runs that overlap are merged in memory of their own: 56 bytes a sample in all, not 16.
#[test]
fn the_memory_of_a_merge_is_counted() {
    let db = Db::in_memory().unwrap();
    for start in [1, 2] {
        let times: Vec<i64> = (0..100).map(|at| at * 2 + start).collect();
        db.append(&Batch::new().column(cpu("a"), &times, &[start as f64; 100]))
            .unwrap();
        db.flush().unwrap();
    }
    let (least, merge) = (200 * 16, 200 * 56);
    for (bytes, enough) in [(least - 1, false), (merge - 1, false), (merge, true)] {
        // Both blocks have the same series, so it has one place in the plan.
        let query = db.query().limits(room(1, bytes));
        // The plan counts as long as the set is there.
        let mut set = query.select(&selector("cpu"), ..).unwrap();
        let series = set.next().unwrap().unwrap();
        assert_eq!(series.columns().is_ok(), enough, "{bytes}");
        let decoded = series.samples().all(|one| one.is_ok());
        assert_eq!(decoded, enough, "{bytes}");
        if let Err(error) = series.columns() {
            let text = error.to_string();
            assert!(text.contains("query memory limit"), "{text}");
            assert!(text.contains("QueryLimits::bytes"), "{text}");
        }
    }
}

#[test]
fn names_and_values_are_counted_as_they_are_found() {
    let db = small();
    for flushed in [false, true] {
        if flushed {
            db.flush().unwrap();
        }
        let values = |bytes| {
            let limits = QueryLimits::default().with_bytes(bytes);
            let query = db.query().limits(limits);
            query.label_values("host", &selector("cpu"), ..)
        };
        assert_eq!(values(75).unwrap(), ["a", "b", "c"]);
        assert!(values(74).unwrap_err().is_limit());
    }
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

/// Each query alone is well within its own limits, and together they would fill the memory.
#[test]
fn queries_at_the_same_time_share_a_quarter_of_the_memory() {
    let db = Db::in_memory_with(Options::default().memory_bytes(8 << 20)).unwrap();
    for host in 0..6000 {
        let labels = labels! { "__name__" => "cpu", "host" => host.to_string() };
        append(&db, &labels, 1, 1.0);
    }
    let held = db.select(&selector("cpu"), ..).unwrap();
    let error = db.select(&selector("cpu"), ..).unwrap_err();
    assert!(error.is_limit());
    let text = error.to_string();
    for part in [
        "query memory of the database 2097152",
        "bytes in use by other queries",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // A small one still fits beside the iterator that is held, and the large one after it.
    let small = Selector::metric("cpu").eq("host", "7");
    assert_eq!(db.select(&small, ..).unwrap().count(), 1);
    assert_eq!(held.count(), 6000);
    assert_eq!(db.select(&selector("cpu"), ..).unwrap().count(), 6000);
}
