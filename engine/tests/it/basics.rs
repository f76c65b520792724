//! The first whole thing: open, append, ask, flush, close, open again.

use treering::{Batch, Db, Error, Options, labels, stale_marker};

use crate::support::{all, append, bits, cpu, files, manual, memory, open, selector};

#[test]
fn appended_is_visible_at_once_and_after_flush_and_reopen() {
    let vfs = memory();
    let db = open(&vfs);
    let (a, b) = (db.series(&cpu("a")).unwrap(), db.series(&cpu("b")).unwrap());
    for step in 0..1000i64 {
        db.append(&Batch::new().row(
            step * 1_000_000_000,
            &[(a, step as f64), (b, 0.1 * step as f64)],
        ))
        .unwrap();
    }
    let before = all(&db, "cpu");
    assert_eq!(before.len(), 2);
    assert_eq!(before[0].0, r#"cpu{host="a"}"#);
    assert_eq!(before[0].1.values.len(), 1000);
    db.flush().unwrap();
    assert_eq!(all(&db, "cpu"), before);
    assert_eq!(db.stats().head_samples, 0);
    assert_eq!(db.stats().block_samples, 2000);
    append(&db, &cpu("a"), 5_000_000_000_000, 7.0);
    db.close().unwrap();
    let db = open(&vfs);
    assert_eq!(db.recovery().samples, 1);
    let after = all(&db, "cpu");
    assert_eq!(after[1], before[1]);
    assert_eq!(after[0].1.values.len(), 1001);
}

#[test]
fn the_last_write_wins_wherever_the_two_are() {
    let vfs = memory();
    let db = open(&vfs);
    append(&db, &cpu("a"), 10, 1.0);
    append(&db, &cpu("a"), 20, 2.0);
    db.flush().unwrap();
    append(&db, &cpu("a"), 10, 3.0);
    let expected = vec![(10, 3.0f64.to_bits()), (20, 2.0f64.to_bits())];
    assert_eq!(bits(&all(&db, "cpu")[0].1), expected);
    db.flush().unwrap();
    assert_eq!(bits(&all(&db, "cpu")[0].1), expected);
    append(&db, &cpu("a"), 20, 4.0);
    append(&db, &cpu("a"), 20, 5.0);
    let db = {
        drop(db);
        open(&vfs)
    };
    let expected = vec![(10, 3.0f64.to_bits()), (20, 5.0f64.to_bits())];
    assert_eq!(bits(&all(&db, "cpu")[0].1), expected);
}

#[test]
fn every_bit_of_a_value_comes_back() {
    let odd = [
        0.0,
        -0.0,
        f64::NAN,
        f64::from_bits(0x7ff8_0000_dead_beef),
        f64::from_bits(0xfff0_0000_0000_0001),
        stale_marker(),
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE / 2.0,
        f64::MAX,
        0.1 + 0.2,
    ];
    let times = [
        i64::MIN,
        i64::MIN + 1,
        -1,
        0,
        1,
        2,
        3,
        4,
        5,
        i64::MAX - 1,
        i64::MAX,
    ];
    let vfs = memory();
    let db = open(&vfs);
    db.append(&Batch::new().column(cpu("a"), &times, &odd))
        .unwrap();
    let expected: Vec<_> = times.iter().copied().zip(odd.map(f64::to_bits)).collect();
    assert_eq!(bits(&all(&db, "cpu")[0].1), expected);
    drop(db);
    let db = open(&vfs);
    assert_eq!(bits(&all(&db, "cpu")[0].1), expected);
    db.flush().unwrap();
    assert_eq!(bits(&all(&db, "cpu")[0].1), expected);
    let samples: Vec<_> = db
        .select(&selector("cpu"), ..)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .samples()
        .map(|sample| {
            sample
                .map(|sample| (sample.timestamp, sample.value.to_bits()))
                .unwrap()
        })
        .collect();
    assert_eq!(samples, expected);
}

#[test]
fn a_reference_of_another_open_is_refused() {
    let vfs = memory();
    let db = open(&vfs);
    let series = db.series(&cpu("a")).unwrap();
    drop(db);
    let db = open(&vfs);
    db.series(&cpu("b")).unwrap();
    let refused = db.append(&Batch::new().sample(series, 1, 1.0)).unwrap_err();
    assert!(matches!(refused, Error::Rejected(row) if matches!(row.reason, Error::StaleRef)));
    assert!(all(&db, "{}").is_empty());
}

#[test]
fn a_bad_row_refuses_the_batch_and_a_partial_append_keeps_the_rest() {
    let db = Db::in_memory().unwrap();
    let long = "x".repeat(5000);
    let batch = Batch::new()
        .sample(cpu("a"), 1, 1.0)
        .sample(labels! { "__name__" => "cpu", "host" => &long }, 1, 2.0)
        .column(cpu("b"), &[1, 2, 3], &[1.0, 2.0, 3.0]);
    let error = db.append(&batch).unwrap_err();
    assert!(
        matches!(&error, Error::Rejected(row) if row.row == 1),
        "{error}"
    );
    assert!(error.to_string().contains("host"), "{error}");
    assert!(all(&db, "cpu").is_empty());
    let appended = db.append_partial(&batch).unwrap();
    assert_eq!((appended.samples, appended.rejected.len()), (4, 1));
    assert_eq!(appended.rejected[0].row, 1);
    assert_eq!(all(&db, "cpu").len(), 2);
    let uneven = Batch::new()
        .sample(cpu("a"), 9, 9.0)
        .column(cpu("a"), &[1, 2], &[1.0]);
    let error = db.append(&uneven).unwrap_err();
    assert!(
        matches!(&error, Error::Rejected(row) if row.row == 1),
        "{error}"
    );
    let appended = db.append_partial(&uneven).unwrap();
    assert_eq!((appended.samples, appended.rejected.len()), (1, 1));
}

#[test]
fn names_and_values_are_listed() {
    let vfs = memory();
    let db = open(&vfs);
    append(&db, &cpu("a"), 10, 1.0);
    append(&db, &cpu("b"), 20, 1.0);
    db.flush().unwrap();
    append(&db, &labels! { "__name__" => "mem", "dc" => "x" }, 30, 1.0);
    assert_eq!(
        db.label_names(&selector("{}"), ..).unwrap(),
        ["__name__", "dc", "host"]
    );
    assert_eq!(
        db.label_values("host", &selector("{}"), ..).unwrap(),
        ["a", "b"]
    );
    assert_eq!(
        db.label_values("host", &selector(r#"{host!="a"}"#), ..)
            .unwrap(),
        ["b"]
    );
    assert_eq!(
        db.label_names(&selector("mem"), ..).unwrap(),
        ["__name__", "dc"]
    );
    assert!(db.label_names(&selector("{}"), 1000..).unwrap().is_empty());
    let labels = db.series_labels(&selector("cpu"), 15..).unwrap();
    assert_eq!(labels, [cpu("b")]);
    let latest = db.latest(&selector("{}")).unwrap();
    let latest: Vec<_> = latest
        .iter()
        .map(|latest| (latest.labels.to_string(), latest.sample.timestamp))
        .collect();
    let expected = [
        (r#"cpu{host="a"}"#, 10),
        (r#"cpu{host="b"}"#, 20),
        (r#"mem{dc="x"}"#, 30),
    ];
    assert_eq!(latest, expected.map(|(labels, at)| (labels.to_owned(), at)));
}

#[test]
fn two_opens_at_once_are_refused() {
    let vfs = memory();
    let db = open(&vfs);
    let error = Db::open("/db", manual(&vfs)).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    db.close().unwrap();
    let again = open(&vfs);
    assert!(matches!(
        db.append(&Batch::new().sample(cpu("a"), 1, 1.0)),
        Err(Error::Closed)
    ));
    assert!(matches!(db.select(&selector("{}"), ..), Err(Error::Closed)));
    db.close().unwrap();
    drop(again);
}

#[test]
fn a_directory_with_other_files_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    let error = Db::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, Error::NotADatabase { .. }), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let missing = dir.path().join("missing");
    let error = Db::open(&missing, Options::default().create(false)).unwrap_err();
    assert!(matches!(error, Error::NotADatabase { .. }), "{error}");
    assert!(!missing.exists());
}

#[test]
fn flushing_tidies_the_wal_and_empty_flushes_do_nothing() {
    let vfs = memory();
    let db = open(&vfs);
    db.flush().unwrap();
    assert!(files(&vfs, "/db/blocks").is_empty());
    append(&db, &cpu("a"), 1, 1.0);
    db.flush().unwrap();
    db.flush().unwrap();
    assert_eq!(files(&vfs, "/db/blocks"), ["0000000001.block"]);
    assert_eq!(files(&vfs, "/db/wal").len(), 1);
    assert!(db.stats().wal_bytes < 200, "{}", db.stats().wal_bytes);
    // Many opens leave few files.
    drop(db);
    for _ in 0..10 {
        drop(open(&vfs));
    }
    assert_eq!(files(&vfs, "/db/wal").len(), 1);
}

#[test]
fn old_samples_do_not_make_many_blocks() {
    let vfs = memory();
    let db = open(&vfs);
    let day = 86_400_000_000_000i64;
    let times: Vec<i64> = (0..400).map(|index| index * day + 1).collect();
    let values = vec![1.5; times.len()];
    db.append(&Batch::new().column(cpu("a"), &times, &values))
        .unwrap();
    db.flush().unwrap();
    let blocks = files(&vfs, "/db/blocks").len();
    assert!(blocks <= treering::limits::FLUSH_BLOCKS, "{blocks} blocks");
    assert_eq!(all(&db, "cpu")[0].1.timestamps, times);
}
