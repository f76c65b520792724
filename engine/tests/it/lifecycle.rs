//! Deletes, namespaces, retention and compaction, as a program meets them.

use std::sync::Arc;
use std::time::Duration;

use treering::time::ManualClock;
use treering::{
    Aggregate, Batch, Db, Error, Function, Metadata, MetricKind, NamespaceOptions, labels,
};

use crate::support::{all, append, cpu, files, manual, memory, open, selector};

const HOUR: i64 = 3_600_000_000_000;

/// How many samples all series of `cpu` have together.
fn samples(db: &Db) -> usize {
    let all = all(db, "cpu");
    all.iter().map(|(_, columns)| columns.values.len()).sum()
}

#[test]
fn a_delete_hides_at_once_wherever_the_samples_are_and_what_comes_later_lives() {
    let vfs = memory();
    let mut db = open(&vfs);
    for at in 1..=100 {
        append(&db, &cpu("a"), at, 1.0);
        append(&db, &cpu("b"), at, 1.0);
        if at == 31 {
            db.flush().unwrap();
        }
    }
    db.delete(&selector("cpu{host=\"a\"}"), 11..=90).unwrap();
    assert_eq!(samples(&db), 120);
    append(&db, &cpu("a"), 51, 2.0);
    assert_eq!(samples(&db), 121);
    for state in ["closed", "flushed", "compacted"] {
        match state {
            "flushed" => db.flush().unwrap(),
            "compacted" => db.compact().unwrap(),
            _ => {}
        }
        db.close().unwrap();
        db = open(&vfs);
        assert_eq!(samples(&db), 121, "{state}");
    }
    assert_eq!(db.stats().tombstones, 0);
    assert_eq!(db.stats().block_samples, 121);
    db.delete(&selector("cpu{host=~\"a|b\"}"), ..).unwrap();
    assert_eq!(samples(&db), 0);
    assert!(db.label_names(&selector("cpu"), ..).unwrap().is_empty());
    assert!(db.series_labels(&selector("cpu"), ..).unwrap().is_empty());
    // Whole blocks go at once.
    assert_eq!((db.stats().blocks, db.stats().blocks_dropped), (0, 1));
    assert!(files(&vfs, "/db/blocks").is_empty());
}

#[test]
fn namespaces_share_nothing_but_the_directory() {
    let vfs = memory();
    let mut db = open(&vfs);
    let week = NamespaceOptions::default().retention(Duration::from_secs(7 * 86_400));
    let fine = db.create_namespace("fine", week.clone()).unwrap();
    assert!(db.create_namespace("fine", week.clone()).is_err());
    assert!(db.create_namespace("no/path", week).is_err());
    append(&db, &cpu("a"), 1, 1.0);
    append(&fine, &cpu("a"), i64::MAX, 2.0);
    let reference = fine.series(&cpu("a")).unwrap();
    let refused = db.append(&Batch::new().sample(reference, 5, 5.0));
    assert!(matches!(refused, Err(Error::Rejected(_))));
    for _ in 0..2 {
        let fine = db.namespace("fine").unwrap();
        assert_eq!((samples(&db), samples(&fine)), (1, 1));
        assert_eq!(db.namespaces().len(), 2);
        db.flush().unwrap();
        db.close().unwrap();
        db = open(&vfs);
    }
    let fine = db.namespace("fine").unwrap();
    db.drop_namespace("fine").unwrap();
    assert!(matches!(
        fine.select(&selector("cpu"), ..),
        Err(Error::NoNamespace { .. })
    ));
    assert!(db.drop_namespace("default").is_err());
    let fine = db
        .create_namespace("fine", NamespaceOptions::default())
        .unwrap();
    assert_eq!(samples(&fine), 0);
    db.close().unwrap();
    let db = open(&vfs);
    let fine = db.namespace("fine").unwrap();
    assert_eq!((samples(&db), samples(&fine)), (1, 0));
    assert_eq!(db.stats().blocks, 1);
}

#[test]
fn retention_refuses_hides_and_drops() {
    let vfs = memory();
    let clock = Arc::new(ManualClock::new(1000 * HOUR));
    let db = Db::open("/db", manual(&vfs).clock(clock.clone())).unwrap();
    let day = NamespaceOptions::default().retention(Duration::from_secs(86_400));
    db.alter_namespace("default", day).unwrap();
    for hour in 980..1000 {
        append(&db, &cpu("a"), hour * HOUR, 1.0);
    }
    let old = Batch::new()
        .sample(cpu("a"), 975 * HOUR, 1.0)
        .sample(cpu("a"), 976 * HOUR, 1.0);
    let error = db.append(&old).unwrap_err();
    assert!(error.to_string().contains("NamespaceOptions::retention"));
    assert_eq!(db.append_partial(&old).unwrap().samples, 1);
    assert_eq!(samples(&db), 21);
    db.flush().unwrap();
    clock.advance(Duration::from_secs(5 * 3600));
    assert_eq!(samples(&db), 19);
    // The same chunk, summed up: what has expired is in no aggregate either.
    let count = Aggregate::new(Function::Count);
    let answer = db
        .aggregate(&selector("cpu"), ..1001 * HOUR, &count)
        .unwrap();
    assert_eq!(answer[0].points[0].value, 19.0);
    clock.advance(Duration::from_secs(48 * 3600));
    assert_eq!(samples(&db), 0);
    db.maintain().unwrap();
    assert_eq!(db.stats().blocks, 0);
    db.alter_namespace("default", NamespaceOptions::default())
        .unwrap();
    assert_eq!(samples(&db), 0);
    append(&db, &cpu("a"), 1, 1.0);
    assert_eq!(samples(&db), 1);
}

#[test]
fn a_namespace_holds_no_more_bytes_than_it_may() {
    let db = Db::in_memory().unwrap();
    let small = NamespaceOptions::default().retention_bytes(20_000);
    db.alter_namespace("default", small).unwrap();
    for day in 0..40i64 {
        let times: Vec<i64> = (1..500)
            .map(|at| day * 24 * HOUR + at * 1_000_003)
            .collect();
        let values: Vec<f64> = times.iter().map(|&at| (at as f64).sin()).collect();
        db.append(&Batch::new().column(cpu("a"), &times, &values))
            .unwrap();
        db.flush().unwrap();
    }
    db.compact().unwrap();
    let stats = db.stats();
    assert!(
        stats.block_bytes.total <= 20_000,
        "{}",
        stats.block_bytes.total
    );
    let (first, last) = stats.time_range.unwrap();
    assert!(first > 24 * HOUR && last > 39 * 24 * HOUR, "{first} {last}");
    append(&db, &cpu("a"), 5, 1.0);
    assert_eq!(all(&db, "cpu")[0].1.timestamps[0], 5);
}

#[test]
fn metadata_is_kept() {
    let vfs = memory();
    let mut db = open(&vfs);
    let known = Metadata::new(MetricKind::Counter)
        .unit("bytes")
        .help("read");
    db.set_metadata("disk_read", &known).unwrap();
    db.set_metadata("gone", &known).unwrap();
    db.remove_metadata("gone").unwrap();
    for _ in 0..3 {
        assert_eq!(db.metadata("disk_read"), Some(known.clone()));
        assert_eq!(db.all_metadata().len(), 1);
        db.flush().unwrap();
        db.close().unwrap();
        db = open(&vfs);
    }
}

#[test]
fn series_that_come_and_go_leave_the_memory() {
    let db = Db::in_memory().unwrap();
    let kept = db.series(&cpu("kept")).unwrap();
    let mut most = 0;
    for round in 0..60i64 {
        let mut batch = Batch::new();
        for host in 0..500 {
            let series = labels! { "__name__" => "cpu", "host" => format!("{round}-{host}") };
            batch.push(series, round, 1.0);
        }
        db.append(&batch).unwrap();
        db.flush().unwrap();
        most = most.max(db.stats().series);
    }
    assert!(most <= 1501, "{most}");
    // A reference keeps its series, until it is given back.
    db.append(&Batch::new().sample(kept, 100, 1.0)).unwrap();
    db.release(&[kept]);
    db.flush().unwrap();
    db.flush().unwrap();
    append(&db, &cpu("other"), 101, 1.0);
    db.flush().unwrap();
    append(&db, &cpu("another"), 102, 1.0);
    db.flush().unwrap();
    append(&db, &cpu("one more"), 103, 1.0);
    assert!(db.append(&Batch::new().sample(kept, 104, 1.0)).is_err());
    assert_eq!(samples(&db), 60 * 500 + 4);
}

#[test]
fn blocks_are_merged_by_call_and_nothing_else_changes() {
    let vfs = memory();
    let db = open(&vfs);
    for day in 0..30i64 {
        for host in ["a", "b"] {
            let times: Vec<i64> = (1..200).map(|at| (day * 200 + at) * HOUR / 10).collect();
            let values: Vec<f64> = times.iter().map(|&at| at as f64).collect();
            db.append(&Batch::new().column(cpu(host), &times, &values))
                .unwrap();
        }
        db.flush().unwrap();
    }
    let before = all(&db, "cpu");
    let blocks = db.stats().blocks;
    db.compact().unwrap();
    assert_eq!(all(&db, "cpu"), before);
    assert!(db.stats().blocks < blocks / 4, "{}", db.stats().blocks);
    assert_eq!(files(&vfs, "/db/blocks").len() as u64, db.stats().blocks);
    db.compact().unwrap();
    db.verify().unwrap();
    db.close().unwrap();
    let db = open(&vfs);
    assert_eq!(all(&db, "cpu"), before);
    assert!(db.recovery().removed.is_empty() && db.recovery().quarantined.is_empty());
}

#[test]
fn entropy_coding_makes_merged_blocks_smaller_and_changes_no_answer() {
    // Noise around a level: the sum of four dice.
    let noise = |at: i64| {
        let die = |die: i64| (at * 4 + die).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) >> 58;
        (0..4).map(die).sum::<i64>() as f64 / 10.0
    };
    let bytes = [false, true].map(|coding| {
        let vfs = memory();
        let db = Db::open("/db", manual(&vfs).entropy_coding(coding)).unwrap();
        for day in 0..8i64 {
            let times: Vec<i64> = (1..900).map(|at| (day * 900 + at) * HOUR / 100).collect();
            let values: Vec<f64> = times.iter().map(|&at| noise(at)).collect();
            db.append(&Batch::new().column(cpu("a"), &times, &values))
                .unwrap();
            db.flush().unwrap();
        }
        let before = all(&db, "cpu");
        db.compact().unwrap();
        assert_eq!(all(&db, "cpu"), before);
        db.verify().unwrap();
        db.close().unwrap();
        // What one wrote the other reads.
        let db = Db::open("/db", manual(&vfs).entropy_coding(!coding)).unwrap();
        assert_eq!(all(&db, "cpu"), before);
        db.stats().block_bytes.values
    });
    let [packed, coded] = bytes;
    assert!(coded < packed - packed / 25, "{coded} {packed}");
}
