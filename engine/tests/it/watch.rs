//! Watching: what is appended reaches those who watch, in order, and never holds an append up.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use treering::vfs::{CallKind, Fault, FaultVfs, Repeat, Vfs};
use treering::{Batch, Change, Db, Error, NamespaceOptions, Options, Selector, Sync, Watch};

use crate::support::{append, cpu, manual, memory, open, selector};

/// Everything that waits, as (host, timestamp, value).
fn received(watch: &Watch) -> Vec<(String, i64, f64)> {
    let mut found = Vec::new();
    while let Ok(Some(update)) = watch.try_recv() {
        assert_eq!(update.timestamps.len(), update.values.len());
        let host = update.labels.get("host").unwrap_or_default().to_owned();
        let samples = update.timestamps.into_iter().zip(update.values);
        found.extend(samples.map(|(at, value)| (host.clone(), at, value)));
    }
    found
}

#[test]
fn a_watch_sees_its_series_from_then_on() {
    let db = Db::in_memory().unwrap();
    append(&db, &cpu("a"), 1, 0.5);
    let watch = db.watch(&selector(r#"cpu{host!="b"}"#), 100).unwrap();
    assert_eq!(watch.recv_timeout(Duration::ZERO).unwrap(), None);
    let batch = Batch::new()
        .sample(cpu("a"), 3, 3.0)
        .sample(cpu("b"), 3, 9.0)
        .sample(cpu("c"), 3, 4.0)
        .sample(cpu("a"), 2, 2.0);
    db.append(&batch).unwrap();
    let update = watch.recv_timeout(Duration::from_secs(60)).unwrap();
    let update = update.unwrap();
    assert_eq!(update.labels, cpu("a"));
    assert_eq!(
        (update.timestamps, update.values),
        (vec![3, 2], vec![3.0, 2.0])
    );
    assert_eq!(received(&watch), [("c".to_owned(), 3, 4.0)]);
    // A known series by its reference, a column, and another namespace.
    let a = db.series(&cpu("a")).unwrap();
    db.append(&Batch::new().column(a, &[4, 5], &[4.0, 5.0]))
        .unwrap();
    let other = db.create_namespace("other", NamespaceOptions::default());
    append(&other.unwrap(), &cpu("a"), 6, 6.0);
    let a = |at: i64| ("a".to_owned(), at, at as f64);
    assert_eq!(received(&watch), [a(4), a(5)]);
    assert_eq!(watch.missed(), 0);
}

/// What a partial append left out reaches nobody, and neither does a batch that was refused.
#[test]
fn rejected_rows_are_not_seen() {
    let db = Db::in_memory().unwrap();
    let watch = db.watch(&Selector::all(), 100).unwrap();
    let mut batch = Batch::new().sample(cpu("a"), 1, 1.0);
    batch.push_column(cpu("b"), &[1, 2], &[1.0]);
    batch.push(cpu("c"), 2, 2.0);
    assert!(db.append(&batch).is_err());
    assert_eq!(received(&watch), []);
    assert_eq!(db.append_partial(&batch).unwrap().samples, 2);
    let seen = received(&watch);
    assert_eq!(seen, [("a".to_owned(), 1, 1.0), ("c".to_owned(), 2, 2.0)]);
}

#[test]
fn a_watch_that_lags_misses_whole_updates_and_appends_go_on() {
    let db = Db::in_memory().unwrap();
    let watch = db.watch(&Selector::metric("cpu"), 5).unwrap();
    let column = |from: i64| {
        let times = [from, from + 1];
        Batch::new().column(cpu("a"), &times, &[0.0, 1.0])
    };
    for from in [0, 10, 20, 30] {
        db.append(&column(from)).unwrap();
    }
    assert_eq!(watch.missed(), 2);
    let first = watch.try_recv().unwrap().unwrap();
    assert_eq!(first.timestamps, [0, 1]);
    // There is room again.
    db.append(&column(40)).unwrap();
    let times: Vec<i64> = received(&watch).into_iter().map(|seen| seen.1).collect();
    assert_eq!(times, [10, 11, 40, 41]);
    // One that is longer than the queue never fits.
    let long = [50, 51, 52, 53, 54, 55];
    db.append(&Batch::new().column(cpu("a"), &long, &[0.0; 6]))
        .unwrap();
    assert_eq!((received(&watch).len(), watch.missed()), (0, 3));
    assert!(matches!(
        db.watch(&Selector::all(), 0),
        Err(Error::InvalidArgument { .. })
    ));
}

#[test]
fn a_watch_ends_with_the_database_once_all_is_received() {
    let db = Db::in_memory().unwrap();
    let watch = db.watch(&Selector::all(), 100).unwrap();
    let waits = db.watch(&selector("never"), 100).unwrap();
    let waiting = thread::spawn(move || waits.iter().count());
    append(&db, &cpu("a"), 1, 1.0);
    db.close().unwrap();
    assert_eq!(waiting.join().unwrap(), 0);
    let left: Vec<i64> = watch.iter().flat_map(|update| update.timestamps).collect();
    assert_eq!(left, [1]);
    assert!(matches!(watch.try_recv(), Err(Error::Closed)));
    let ended = watch.recv_timeout(Duration::from_secs(60));
    assert!(matches!(ended, Err(Error::Closed)));
    assert!(matches!(db.watch(&Selector::all(), 1), Err(Error::Closed)));
}

/// Handles end watches too when the last of them goes without a word; a watch keeps nothing open.
#[test]
fn a_watch_ends_with_the_last_handle_and_with_its_namespace() {
    let vfs = memory();
    let db = open(&vfs);
    let own = db.create_namespace("own", NamespaceOptions::default());
    let own = own.unwrap();
    let here = db.watch(&Selector::all(), 100).unwrap();
    let there = own.watch(&Selector::all(), 100).unwrap();
    append(&own, &cpu("a"), 1, 1.0);
    db.drop_namespace("own").unwrap();
    assert_eq!(there.iter().count(), 1);
    assert!(matches!(there.try_recv(), Err(Error::NoNamespace { .. })));
    assert!(matches!(
        own.watch(&Selector::all(), 1),
        Err(Error::NoNamespace { .. })
    ));
    append(&db, &cpu("a"), 1, 1.0);
    drop(own);
    drop(db);
    assert_eq!(here.iter().count(), 1);
    assert!(matches!(here.try_recv(), Err(Error::Closed)));
    // The lock is free although the watches are still there.
    let again = open(&vfs);
    append(&again, &cpu("a"), 2, 2.0);
    assert!(matches!(here.try_recv(), Err(Error::Closed)));
}

/// Batches of many threads overtake each other between the WAL and the acknowledgement. The order
/// that those who watch see is that of the WAL.
#[test]
fn updates_come_in_order_of_sequence() {
    const THREADS: i64 = 6;
    const BATCHES: i64 = 150;
    let vfs = memory();
    let options = manual(&vfs).sync(Sync::Always).wal_keep_bytes(1 << 30);
    let db = Db::open("/db", options).unwrap();
    let watch = db.watch(&Selector::metric("cpu"), 1 << 20).unwrap();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let db = db.clone();
            scope.spawn(move || {
                for at in 0..BATCHES {
                    append(&db, &cpu("a"), at, (number * BATCHES + at) as f64);
                    if at % 50 == number {
                        db.flush().unwrap();
                    }
                }
            });
        }
    });
    let written: Vec<(i64, u64)> = db
        .frames_since(0)
        .unwrap()
        .flat_map(|frame| match frame.unwrap().change {
            Change::Samples {
                timestamps, values, ..
            } => timestamps
                .into_iter()
                .zip(values.into_iter().map(f64::to_bits))
                .collect(),
            _ => Vec::new(),
        })
        .collect();
    let seen = received(&watch).into_iter();
    let seen: Vec<(i64, u64)> = seen.map(|(_, at, value)| (at, value.to_bits())).collect();
    assert_eq!(written.len() as i64, THREADS * BATCHES);
    assert_eq!(seen, written);
    assert_eq!(watch.missed(), 0);
}

/// A batch that was written and could not be synced is nobody's news, and the ones before it are
/// not held up.
#[test]
fn a_batch_that_fails_is_not_seen() {
    let faults = FaultVfs::new(memory());
    let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
    let db = Db::open("/db", manual(&vfs).sync(Sync::Always)).unwrap();
    let watch = db.watch(&Selector::all(), 100).unwrap();
    append(&db, &cpu("a"), 1, 1.0);
    let call = faults.calls() + 1;
    faults.fail_only(CallKind::Sync, call, Fault::Sync, Repeat::Once);
    let failed = db.append(&Batch::new().sample(cpu("a"), 2, 2.0));
    assert!(failed.unwrap_err().is_poisoned());
    assert_eq!(received(&watch), [("a".to_owned(), 1, 1.0)]);
    assert!(db.close().unwrap_err().is_poisoned());
    assert!(watch.iter().next().is_none());
}

/// A series that had no samples for a while is forgotten, and its id goes to another one. What a
/// watch knew of the id is then of no use.
#[test]
fn ids_that_went_to_other_series_are_looked_up_anew() {
    let vfs = memory();
    let db = open(&vfs);
    let watch = db.watch(&selector(r#"cpu{host=~"keep.*"}"#), 1000).unwrap();
    for number in 0..20 {
        append(&db, &cpu(&format!("keep{number}")), number, 0.0);
        append(&db, &cpu(&format!("other{number}")), number, 0.0);
    }
    assert_eq!(received(&watch).len(), 20);
    for round in 0..4 {
        append(&db, &cpu("still"), 100 + round, 0.0);
        db.flush().unwrap();
    }
    assert!(db.stats().series < 5, "{} series", db.stats().series);
    // The other way round, so that ids change sides.
    for number in 0..20 {
        append(&db, &cpu(&format!("other{number}")), 200 + number, 0.0);
        append(&db, &cpu(&format!("keep{number}")), 200 + number, 0.0);
    }
    let seen = received(&watch);
    assert_eq!(seen.len(), 20);
    assert!(seen.iter().all(|(host, ..)| host.starts_with("keep")));
}

/// Dropping a watch ends it: nothing is collected for it any more, and others go on.
#[test]
fn a_dropped_watch_is_forgotten() {
    let db = Db::in_memory_with(Options::default()).unwrap();
    let (one, other) = (
        db.watch(&Selector::all(), 10).unwrap(),
        db.watch(&Selector::all(), 10).unwrap(),
    );
    append(&db, &cpu("a"), 1, 1.0);
    drop(one);
    append(&db, &cpu("a"), 2, 2.0);
    assert_eq!(received(&other).len(), 2);
}

/// A read-only open hands out what its refresh finds in the writer's log, and says when it cannot
/// know that this was all.
#[test]
fn a_reader_hands_out_what_a_refresh_finds() {
    let vfs = memory();
    let db = open(&vfs);
    append(&db, &cpu("a"), 1, 1.0);
    let reader = Db::open_read_only("/db", manual(&vfs)).unwrap();
    let watch = reader.watch(&selector(r#"cpu{host="a"}"#), 100).unwrap();
    append(&db, &cpu("b"), 2, 2.0);
    append(&db, &cpu("a"), 2, 2.0);
    append(&db, &cpu("a"), 3, 3.0);
    assert_eq!(received(&watch), []);
    assert!(reader.refresh().unwrap());
    let a = |at: i64| ("a".to_owned(), at, at as f64);
    assert_eq!((received(&watch), watch.missed()), (vec![a(2), a(3)], 0));
    append(&db, &cpu("a"), 4, 4.0);
    db.flush().unwrap();
    reader.refresh().unwrap();
    assert_eq!((received(&watch), watch.missed()), (vec![], 1));
    append(&db, &cpu("a"), 5, 5.0);
    reader.refresh().unwrap();
    assert_eq!(received(&watch), [a(5)]);
    reader.close().unwrap();
    assert!(matches!(watch.try_recv(), Err(Error::Closed)));
}
