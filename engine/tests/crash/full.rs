//! A disk that fills up: appends are refused, everything else goes on.

use std::path::Path;
use std::sync::Arc;

use treering::time::ManualClock;
use treering::vfs::{FaultVfs, MemVfs, Vfs};
use treering::{Batch, Db, NamespaceOptions, Selector, Sync};

use crate::check::read;
use crate::history::{FACTS, labels_of};
use crate::stage::{Case, MODES};

fn case(sync: Sync) -> Case {
    Case {
        name: "full disk",
        sync,
        dir: "/db",
        options: |options| options.reserve_bytes(64 << 10),
        keep_bytes: 0,
        run: |_| {},
        now: 0,
    }
}

fn open(case: &Case, vfs: &Arc<dyn Vfs>) -> Db {
    Db::open(
        case.dir,
        case.options_on(Arc::clone(vfs), Arc::new(ManualClock::new(0))),
    )
    .unwrap()
}

/// A store whose capacity can be set, and a database in it.
fn begin(sync: Sync) -> (FaultVfs, Arc<dyn Vfs>, Case, Db) {
    let faults = FaultVfs::new(Arc::new(MemVfs::new()));
    let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
    let case = case(sync);
    let db = open(&case, &vfs);
    (faults, vfs, case, db)
}

fn batch(number: i64) -> Batch {
    let times: Vec<i64> = (0..500).map(|index| number * 1000 + index).collect();
    let values: Vec<f64> = times.iter().map(|&at| at as f64 / 7.0).collect();
    Batch::new().column(labels_of(1), &times, &values)
}

/// Appends until the disk is full; how many batches were taken.
fn fill(db: &Db, from: i64) -> i64 {
    let mut number = from;
    loop {
        match db.append(&batch(number)) {
            Ok(()) => number += 1,
            Err(error) => {
                assert!(error.is_disk_full(), "{error}");
                return number;
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_appends_answers_and_goes_on_when_there_is_room() {
    for sync in MODES {
        let (faults, vfs, case, db) = begin(sync);
        faults
            .set_capacity(Path::new("/"), faults.used() + (300 << 10))
            .unwrap();
        let taken = fill(&db, 0);
        assert!(taken > 50, "{taken}");
        for _ in 0..3 {
            assert!(db.append(&batch(taken)).unwrap_err().is_disk_full());
            let answer = read(&db, true).unwrap();
            assert_eq!(answer.rows.len() as i64, taken * 500);
            assert!(!db.stats().poisoned);
        }
        faults
            .set_capacity(Path::new("/"), faults.used() + (100 << 10))
            .unwrap();
        let more = fill(&db, taken);
        assert!(more > taken + 10, "{taken} {more}");
        // A flush that does not fit changes nothing either.
        if let Err(error) = db.flush() {
            assert!(error.is_disk_full(), "{error}");
        }
        assert_eq!(read(&db, true).unwrap().rows.len() as i64, more * 500);
        faults.clear_capacity();
        db.append(&batch(more)).unwrap();
        db.flush().unwrap();
        assert_eq!(db.stats().head_samples, 0);
        db.close().unwrap();
        let db = open(&case, &vfs);
        let answer = read(&db, true).unwrap();
        assert_eq!(answer.rows.len() as i64, (more + 1) * 500);
        assert_eq!(db.recovery().wal_cut, None);
    }
}

/// What is deleted, and what retention takes, makes room for appends, on a disk without any.
#[test]
fn deletes_and_retention_work_on_a_full_disk_and_make_room() {
    for sync in MODES {
        let (faults, vfs, case, db) = begin(sync);
        for number in 0..30 {
            db.append(&batch(number)).unwrap();
            if number % 5 == 4 {
                db.flush().unwrap();
            }
        }
        let full = faults.used() + (20 << 10);
        faults.set_capacity(Path::new("/"), full).unwrap();
        let taken = fill(&db, 30);
        faults.set_capacity(Path::new("/"), faults.used()).unwrap();
        // Two blocks and a part of a third.
        let kept = 12_000;
        db.delete(&Selector::all(), ..kept).unwrap();
        let rows = read(&db, true).unwrap().rows;
        assert_eq!(rows.len() as i64, taken * 500 - 12 * 500);
        let more = fill(&db, taken);
        assert!(more > taken, "{sync:?}: no room was made");
        // No append fits, but a change does: the reserve was spent on the delete.
        let full = faults.used() + 4096;
        faults.set_capacity(Path::new("/"), full).unwrap();
        let bytes = db.stats().block_bytes.total;
        let options = NamespaceOptions::default().retention_bytes(bytes / 2);
        db.alter_namespace("default", options).unwrap();
        // The blocks go; there may be no room to merge others.
        if let Err(error) = db.maintain() {
            assert!(error.is_disk_full(), "{error}");
        }
        assert!(db.stats().block_bytes.total <= bytes / 2);
        let last = fill(&db, more);
        assert!(last > more, "{sync:?}: retention made no room");
        let rows = read(&db, true).unwrap();
        let samples = rows.rows.iter().filter(|row| row.0 < FACTS);
        let first = samples.map(|row| row.1).min().unwrap();
        faults.clear_capacity();
        db.close().unwrap();
        let db = open(&case, &vfs);
        assert_eq!(read(&db, true).unwrap().print, rows.print);
        let report = db.recovery();
        assert!(report.quarantined.is_empty(), "{report:?}");
        assert!(first > kept, "{first} of {kept}");
    }
}

/// The reserve lets the next process in, which can answer and, when room comes, take samples.
#[test]
fn a_full_disk_can_be_opened_and_asked() {
    for sync in MODES {
        let (faults, vfs, case, db) = begin(sync);
        faults
            .set_capacity(Path::new("/"), faults.used() + (200 << 10))
            .unwrap();
        let taken = fill(&db, 0);
        faults.set_capacity(Path::new("/"), faults.used()).unwrap();
        db.close().unwrap();
        drop(db);
        let db = open(&case, &vfs);
        assert_eq!(read(&db, true).unwrap().rows.len() as i64, taken * 500);
        let taken = fill(&db, taken);
        faults.clear_capacity();
        db.append(&batch(taken)).unwrap();
        assert_eq!(
            read(&db, true).unwrap().rows.len() as i64,
            (taken + 1) * 500
        );
    }
}

/// Frames that are kept for followers took the room of samples that nobody had anywhere else.
#[test]
fn what_is_kept_for_followers_is_given_up_before_a_write_is_refused() {
    for sync in MODES {
        let faults = FaultVfs::new(Arc::new(MemVfs::new()));
        let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
        let case = Case {
            keep_bytes: 1 << 20,
            ..case(sync)
        };
        let db = open(&case, &vfs);
        let kept = |number: i64| {
            for number in number..number + 20 {
                db.append(&batch(number)).unwrap();
            }
            db.flush().unwrap();
            let first = db.frames_since(0).map(|mut frames| frames.next().is_some());
            assert!(matches!(first, Ok(true)), "{first:?}");
            let full = faults.used();
            faults.set_capacity(Path::new("/"), full).unwrap();
        };
        let reserve = || vfs.exists(Path::new("/db/reserve")).unwrap();
        // An append.
        kept(0);
        let taken = fill(&db, 20);
        assert!(taken > 30, "{sync:?}: {taken}");
        assert!(db.frames_since(0).is_err() && reserve());
        faults.clear_capacity();
        let frames = db.stats().last_sequence;
        // A delete, for which the reserve would have gone next.
        for number in taken..taken + 20 {
            db.append(&batch(number)).unwrap();
        }
        db.flush().unwrap();
        faults.set_capacity(Path::new("/"), faults.used()).unwrap();
        db.delete(&Selector::all(), ..1000).unwrap();
        assert!(reserve() && db.frames_since(frames).is_err());
        faults.clear_capacity();
        let before = read(&db, true).unwrap().print;
        db.close().unwrap();
        let db = open(&case, &vfs);
        assert_eq!(read(&db, true).unwrap().print, before);
        assert!(db.recovery().wal_cut.is_none() && db.recovery().quarantined.is_empty());
    }
}
