//! One story per bug that was found, so that none comes back.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use treering::time::{Clock, ManualClock};
use treering::vfs::{CallKind, CrashVfs, Fault, FaultVfs, Repeat, Vfs};
use treering::{
    Aggregate, Batch, Db, Error, Function, Labels, NamespaceOptions, Options, Selector, Sync,
    labels,
};

use crate::support::{all, append, cpu, files, manual, memory, open, selector};

/// One failed fsync was reported to one of several threads that shared it; the next thread in the
/// queue called fsync again, was told Ok, and acknowledged bytes that the disk never got.
#[test]
fn a_failed_fsync_is_the_last_one() {
    for round in 0..20 {
        let faults = FaultVfs::new(memory());
        let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
        let db = Db::open("/db", manual(&vfs).sync(Sync::Always)).unwrap();
        append(&db, &cpu("before"), 1, 1.0);
        faults.fail_only(
            CallKind::Sync,
            faults.calls() + 1,
            Fault::Sync,
            Repeat::Once,
        );
        let acknowledged: usize = std::thread::scope(|scope| {
            let append = |host: usize| {
                let db = db.clone();
                move || {
                    db.append(&Batch::new().sample(cpu(&host.to_string()), 1, 1.0))
                        .is_ok()
                }
            };
            let threads: Vec<_> = (0..4).map(|host| scope.spawn(append(host))).collect();
            threads
                .into_iter()
                .map(|thread| usize::from(thread.join().unwrap()))
                .sum()
        });
        assert_eq!(faults.fired(), 1);
        assert_eq!(
            acknowledged, 0,
            "round {round}: acknowledged after a failed fsync"
        );
    }
}

/// A frame beyond what a reader takes was written and acknowledged; the next open found damage, or
/// cut it away as a tail. New series that are too many for a frame now go before it, in their own.
#[test]
fn a_batch_with_very_many_labels_survives() {
    let vfs = memory();
    let options = manual(&vfs).memory_bytes(4 << 30);
    let db = Db::open("/db", options.clone()).unwrap();
    let long = "x".repeat(4000);
    let named = |number: i64| {
        Labels::from_pairs([("__name__", "m"), ("id", &format!("{number:06}{long}"))]).unwrap()
    };
    let mut batch = Batch::new();
    (0..12_000).for_each(|number| batch.push(named(number), number, number as f64));
    db.append(&batch).unwrap();
    append(&db, &cpu("after"), 1, 1.0);
    drop(db);
    let db = Db::open("/db", options).unwrap();
    assert_eq!(db.recovery().wal_cut, None);
    assert_eq!(db.recovery().samples, 12_001);
    assert_eq!(all(&db, "m").len(), 12_000);
}

/// `close` let go of the directory while a flush of another clone was still under way; the flush
/// then changed files of the next open.
#[test]
fn close_waits_for_a_flush_of_another_clone() {
    let vfs = memory();
    for round in 0..30 {
        let db = open(&vfs);
        append(&db, &cpu("a"), round, 1.0);
        let flushing = db.clone();
        let flush = std::thread::spawn(move || flushing.flush());
        db.close().unwrap();
        let again = open(&vfs);
        append(&again, &cpu("b"), round, 1.0);
        let flushed = flush.join().unwrap();
        assert!(
            matches!(flushed, Ok(()) | Err(Error::Closed)),
            "{flushed:?}"
        );
        drop(again);
        let db = open(&vfs);
        assert_eq!(
            all(&db, "cpu").last().unwrap().1.values.len() as i64,
            round + 1
        );
    }
}

/// An open that refused a database had already cut the record that it could not read.
#[test]
fn a_refused_open_changes_nothing() {
    let vfs = memory();
    let db = open(&vfs);
    append(&db, &cpu("a"), 1, 1.0);
    db.flush().unwrap();
    append(&db, &cpu("a"), 2, 2.0);
    db.flush().unwrap();
    db.close().unwrap();
    let path = Path::new("/db/manifest");
    let mut bytes = vfs.read(path, 1 << 20).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    vfs.open_rw(path).unwrap().write_all_at(&bytes, 0).unwrap();
    let before = (
        files(&vfs, "/db"),
        files(&vfs, "/db/wal"),
        files(&vfs, "/db/blocks"),
    );
    let error = Db::open("/db", manual(&vfs)).unwrap_err();
    assert!(error.is_corruption(), "{error}");
    assert_eq!(vfs.read(path, 1 << 20).unwrap(), bytes);
    let after = (
        files(&vfs, "/db"),
        files(&vfs, "/db/wal"),
        files(&vfs, "/db/blocks"),
    );
    assert_eq!(after, before);
}

/// While blocks could not be written, every attempt froze another head and began another WAL file.
#[test]
fn failing_flushes_do_not_pile_up() {
    let faults = FaultVfs::new(memory());
    let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
    let db = open(&vfs);
    for round in 0..20 {
        append(&db, &cpu("a"), round, 1.0);
        // Blocks fail, the WAL works: only files named block are created in a flush after freezing.
        faults.fail_only(
            CallKind::Map,
            faults.calls() + 1,
            Fault::Io,
            Repeat::Forever,
        );
        assert!(db.flush().is_err());
        faults.heal();
    }
    assert!(
        files(&vfs, "/db/wal").len() <= 3,
        "{:?}",
        files(&vfs, "/db/wal")
    );
    db.flush().unwrap();
    assert!(files(&vfs, "/db/blocks").len() <= 2);
    assert_eq!(all(&db, "cpu")[0].1.values.len(), 20);
}

/// The memory of closed streams was guessed, five times too low for noise.
#[test]
fn the_memory_of_noise_is_counted() {
    let db = Db::in_memory_with(Options::default().memory_bytes(1 << 30)).unwrap();
    let series = db.series(&cpu("noise")).unwrap();
    let mut state = 1u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from_bits(state >> 2)
    };
    let times: Vec<i64> = (0..100_000).collect();
    let values: Vec<f64> = times.iter().map(|_| noise()).collect();
    db.append(&Batch::new().column(series, &times, &values))
        .unwrap();
    let per_sample = db.stats().head_bytes as f64 / 1e5;
    assert!(
        (6.0..20.0).contains(&per_sample),
        "{per_sample} bytes a sample"
    );
}

/// A relative path was resolved anew by every file call, so that a program that changed its
/// directory wrote into another database. It is resolved once; an empty one is refused.
#[test]
fn a_path_is_resolved_once() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("x/../data"), Options::default());
    drop(db);
    assert!(matches!(
        Db::open("", Options::default()),
        Err(Error::InvalidArgument { .. })
    ));
    let relative = Db::open("target/never-made", Options::default().create(false)).unwrap_err();
    let Error::NotADatabase { path, .. } = &relative else {
        panic!("{relative}")
    };
    assert!(path.is_absolute());
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Db::open(&file, Options::default()).unwrap_err();
    assert!(error.to_string().contains("it is a file"), "{error}");
}

/// A refused batch left its new series behind, against the limit.
#[test]
fn a_refused_batch_makes_no_series() {
    let db = Db::in_memory().unwrap();
    let other = Db::in_memory().unwrap();
    let stale = other.series(&cpu("a")).unwrap();
    let batch = Batch::new()
        .sample(cpu("new"), 1, 1.0)
        .sample(stale, 1, 1.0);
    assert!(db.append(&batch).is_err());
    db.append(&Batch::new().column(labels! { "__name__" => "empty" }, &[], &[]))
        .unwrap();
    assert_eq!(db.stats().series, 0);
}

/// A new database, or one that was closed well, has no leftovers to report.
#[test]
fn a_clean_open_reports_nothing() {
    let vfs = memory();
    for _ in 0..3 {
        let db = open(&vfs);
        assert!(db.recovery().removed.is_empty(), "{:?}", db.recovery());
        db.close().unwrap();
    }
}

/// A damaged file header with whole frames behind it was taken for a file that was just being made,
/// and the file was removed, when no frame said how far the WAL was synced. Headers are durable
/// before the first frame: any frame proves damage.
#[test]
fn a_damaged_header_before_frames_is_damage() {
    let crash = CrashVfs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(crash.clone());
    let db = Db::open("/db", manual(&vfs).wal_file_bytes(64 << 10)).unwrap();
    let values = vec![0.1; 5000];
    for round in 0..3i64 {
        let times: Vec<i64> = (0..5000).map(|at| round * 5000 + at).collect();
        db.append(&Batch::new().column(cpu("a"), &times, &values))
            .unwrap();
    }
    let image: Arc<dyn Vfs> = Arc::new(crash.kill_image());
    let wals = files(&image, "/db/wal");
    assert!(wals.len() > 1, "{wals:?}");
    let path = Path::new("/db/wal").join(wals.last().unwrap());
    image.open_rw(&path).unwrap().write_all_at(&[0], 0).unwrap();
    let error = Db::open("/db", manual(&image)).unwrap_err();
    assert!(error.is_corruption(), "{error}");
    assert_eq!(files(&image, "/db/wal"), wals);
}

/// A drop that could not be committed was forgotten by the next flush: the namespace was there again
/// after reopening, and until then no flush could commit another one of its name.
#[test]
fn a_drop_that_fails_is_carried_out_by_the_next_flush() {
    let faults = FaultVfs::new(memory());
    let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
    let db = open(&vfs);
    let options = NamespaceOptions::default;
    let team = db.create_namespace("team", options()).unwrap();
    append(&team, &cpu("old"), 1, 1.0);
    db.flush().unwrap();
    // The frame of the drop is written and synced; then the disk is full.
    let mut dropped = Ok(());
    for call in 1.. {
        let from = faults.calls() + call;
        faults.fail_only(CallKind::Write, from, Fault::NoSpace, Repeat::Forever);
        dropped = db.drop_namespace("team");
        faults.heal();
        if db.namespace("team").is_err() {
            break;
        }
    }
    assert!(dropped.unwrap_err().is_disk_full());
    let team = db.create_namespace("team", options()).unwrap();
    append(&team, &cpu("new"), 1, 2.0);
    db.flush().unwrap();
    db.close().unwrap();
    let db = open(&vfs);
    let names: Vec<_> = db.namespaces().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["default", "team"]);
    let found = all(&db.namespace("team").unwrap(), "{}");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, cpu("new").to_string());
    assert_eq!(found[0].1.values, [2.0]);
}

/// A flush told the manifest of the number of a namespace that was made after its heads were frozen;
/// the next flush, which makes it, was then refused for good.
#[test]
fn a_namespace_made_while_a_flush_is_under_way_is_flushed_by_the_next() {
    let faults = FaultVfs::new(memory());
    let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
    let db = open(&vfs);
    append(&db, &cpu("a"), 1, 1.0);
    // Frozen, and not yet in blocks.
    let call = faults.calls() + 1;
    faults.fail_only(CallKind::Map, call, Fault::Io, Repeat::Forever);
    assert!(db.flush().is_err());
    faults.heal();
    let options = NamespaceOptions::default();
    let late = db.create_namespace("late", options).unwrap();
    append(&late, &cpu("a"), 2, 2.0);
    db.flush().unwrap();
    db.close().unwrap();
    let db = open(&vfs);
    assert_eq!(db.recovery().frames, 0);
    assert_eq!(
        all(&db.namespace("late").unwrap(), "cpu")[0].1.values,
        [2.0]
    );
}

/// The head of a namespace without samples was not frozen with the others, and its next block began
/// at a sequence that had been flushed long ago. A crash before that block was live left a file
/// that nothing explained: the next open set it aside as evidence of damage.
#[test]
fn a_block_of_a_namespace_that_was_idle_is_explained_after_a_crash() {
    for call in 1.. {
        let faults = FaultVfs::new(memory());
        let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
        let db = open(&vfs);
        let idle = db
            .create_namespace("idle", NamespaceOptions::default())
            .unwrap();
        append(&db, &cpu("a"), 1, 1.0);
        db.flush().unwrap();
        append(&idle, &cpu("b"), 1, 1.0);
        faults.fail(faults.calls() + call, Fault::Io, Repeat::Forever);
        let flushed = db.flush();
        drop((idle, db));
        faults.heal();
        let db = open(&vfs);
        assert!(db.recovery().quarantined.is_empty(), "call {call}");
        assert_eq!(all(&db.namespace("idle").unwrap(), "{}").len(), 1);
        if flushed.is_ok() {
            break;
        }
    }
}

/// Samples past the retention were not selected, but counted: an aggregate whose range began
/// earlier took them from chunks and heads that hold newer ones too.
#[test]
fn an_aggregate_leaves_out_what_has_expired() {
    let vfs = memory();
    let clock = Arc::new(ManualClock::new(0));
    let second = 1_000_000_000;
    let db = Db::open("/db", manual(&vfs).clock(Arc::<ManualClock>::clone(&clock))).unwrap();
    let (times, values): (Vec<i64>, Vec<f64>) = (0..100).map(|at| (at * second, 1.0)).unzip();
    db.append(&Batch::new().column(cpu("a"), &times, &values))
        .unwrap();
    let kept = NamespaceOptions::default().retention(Duration::from_secs(10));
    db.alter_namespace("default", kept).unwrap();
    clock.set(99 * second);
    let count = Aggregate::new(Function::Count);
    for _ in 0..2 {
        let counted = db.aggregate(&selector("cpu"), .., &count).unwrap();
        assert_eq!(counted[0].points[0].value, 11.0);
        assert_eq!(all(&db, "cpu")[0].1.values.len(), 11);
        db.flush().unwrap();
    }
}

/// A namespace that was altered to have no bound on its series kept the old one until it was opened
/// again.
#[test]
fn a_bound_on_series_can_be_lifted() {
    let db = Db::in_memory().unwrap();
    let options = NamespaceOptions::default().max_series(1);
    let few = db.create_namespace("few", options).unwrap();
    append(&few, &cpu("a"), 1, 1.0);
    let second = Batch::new().sample(cpu("b"), 1, 1.0);
    assert!(few.append(&second).is_err());
    db.alter_namespace("few", NamespaceOptions::default())
        .unwrap();
    few.append(&second).unwrap();
}

/// `DbStats::samples_expired` was there, and nothing ever counted.
#[test]
fn what_is_refused_for_its_age_is_counted() {
    let vfs = memory();
    let clock = Arc::new(ManualClock::new(1_000_000_000_000));
    let db = Db::open("/db", manual(&vfs).clock(clock)).unwrap();
    let kept = NamespaceOptions::default().retention(Duration::from_secs(10));
    db.alter_namespace("default", kept).unwrap();
    let batch = Batch::new()
        .sample(cpu("a"), 5, 1.0)
        .column(cpu("b"), &[6, 7], &[1.0, 2.0])
        .sample(cpu("a"), 1_000_000_000_000, 1.0);
    db.append_partial(&batch).unwrap();
    assert_eq!(db.stats().samples_expired, 3);
    assert!(db.append(&batch).is_err());
    assert_eq!(db.stats().samples_expired, 4);
}

/// A block that was old enough became coarser while a younger one held later values of some of its
/// samples: these were summed up twice. It waits until both are old enough.
#[test]
fn what_was_written_anew_is_summed_up_once() {
    const SECOND: i64 = 1_000_000_000;
    let vfs = memory();
    let clock = Arc::new(ManualClock::new(0));
    let db = Db::open("/db", manual(&vfs).clock(clock.clone())).unwrap();
    let seconds = Duration::from_secs;
    let kept = NamespaceOptions::default()
        .block_window(seconds(3600))
        .downsample(seconds(1800), seconds(300));
    db.alter_namespace("default", kept).unwrap();
    append(&db, &cpu("a"), 915 * SECOND, 1.0);
    append(&db, &cpu("a"), 1080 * SECOND, 2.0);
    db.flush().unwrap();
    append(&db, &cpu("a"), 915 * SECOND, 10.0);
    append(&db, &cpu("b"), 3525 * SECOND, 0.0);
    let sum = || {
        let cpu = selector(r#"cpu{host="a"}"#);
        let sums = db.aggregate(&cpu, .., &Aggregate::new(Function::Sum));
        sums.unwrap()[0].points[0].value
    };
    for now in [2900, 4000, 6000] {
        clock.set(now * SECOND);
        db.flush().unwrap();
        db.compact().unwrap();
        assert_eq!(sum(), 12.0, "at {now} s");
    }
    // Now it is coarser: of the step there is the last sample.
    assert_eq!(
        all(&db, r#"cpu{host="a"}"#)[0].1.timestamps,
        [1080 * SECOND]
    );
}

/// A late sample that took the place of a step was summed up beside it once it was folded into a
/// step of its own block.
#[test]
fn what_takes_the_place_of_a_step_is_summed_up_once() {
    const SECOND: i64 = 1_000_000_000;
    let vfs = memory();
    let clock = Arc::new(ManualClock::new(10_000 * SECOND));
    let db = Db::open("/db", manual(&vfs).clock(clock)).unwrap();
    let seconds = Duration::from_secs;
    let kept = NamespaceOptions::default().downsample(seconds(1800), seconds(300));
    db.alter_namespace("default", kept).unwrap();
    for (at, value) in [(10, 1.0), (10, 2.0), (15, 4.0)] {
        append(&db, &cpu("a"), at * SECOND, value);
        if value != 2.0 {
            db.flush().unwrap();
            db.compact().unwrap();
        }
    }
    let cpu = Selector::metric("cpu");
    let sums = db.aggregate(&cpu, .., &Aggregate::new(Function::Sum));
    assert_eq!(sums.unwrap()[0].points[0].value, 6.0);
}

/// A clock at `HOUR`, which holds the first that asks once it is armed until it is let go on.
#[derive(Debug)]
struct Held {
    armed: AtomicBool,
    door: Barrier,
}

impl Clock for Held {
    fn now(&self) -> i64 {
        if self.armed.swap(false, Ordering::SeqCst) {
            self.door.wait();
            self.door.wait();
        }
        HOUR
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

const HOUR: i64 = 3600 * 1_000_000_000;

/// Whoever was still taking blocks away when the database was closed went on behind the back of the
/// next open: a block was gone that its manifest named.
#[test]
fn closing_ends_what_takes_blocks_away() {
    let vfs = memory();
    let clock = Arc::new(Held {
        armed: AtomicBool::new(false),
        door: Barrier::new(2),
    });
    let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
    let db = Db::open("/db", manual(&vfs).clock(shared)).unwrap();
    append(&db, &cpu("a"), 1, 1.0);
    db.flush().unwrap();
    db.alter_namespace(
        "default",
        NamespaceOptions::default().retention(Duration::from_secs(60)),
    )
    .unwrap();
    std::thread::scope(|scope| {
        let handle = db.clone();
        clock.armed.store(true, Ordering::SeqCst);
        let expires = scope.spawn(move || handle.compact());
        clock.door.wait();
        db.close().unwrap();
        let young: Arc<dyn Clock> = Arc::new(ManualClock::new(1));
        let again = Db::open("/db", manual(&vfs).clock(young)).unwrap();
        append(&again, &cpu("b"), 1, 1.0);
        again.flush().unwrap();
        clock.door.wait();
        let expired = expires.join().unwrap();
        assert!(matches!(expired, Err(Error::Closed)), "{expired:?}");
        again.close().unwrap();
    });
    let young: Arc<dyn Clock> = Arc::new(ManualClock::new(1));
    let db = Db::open("/db", manual(&vfs).clock(young)).unwrap();
    assert_eq!(all(&db, "cpu").len(), 2);
    assert!(db.verify().unwrap().is_clean());
}

/// A block that nobody needed any more went with its last reader, by its path; after closing, that
/// may be the path of a block of a restored database.
#[test]
fn a_reader_of_a_closed_database_removes_nothing() {
    let vfs = memory();
    let db = open(&vfs);
    for at in [1, 2] {
        append(&db, &cpu("a"), at, 1.0);
        db.flush().unwrap();
    }
    let mut asked = db.select(&selector("cpu"), ..).unwrap();
    db.compact().unwrap();
    db.close().unwrap();
    drop(db);
    let before = files(&vfs, "/db/blocks");
    asked.next().unwrap().unwrap();
    drop(asked);
    assert_eq!(files(&vfs, "/db/blocks"), before);
    // What nothing names goes with the next open.
    let db = open(&vfs);
    assert_eq!(files(&vfs, "/db/blocks").len() as u64, db.stats().blocks);
}

/// Deletes that waited in the log for a flush counted against the limits, and nothing asked for
/// that flush: without appends the 1,025th delete with a pattern was refused for good.
#[test]
fn maintenance_makes_room_for_more_deletes() {
    let vfs = memory();
    let db = open(&vfs);
    append(&db, &cpu("a"), 1, 1.0);
    append(&db, &cpu("b"), 1, 1.0);
    db.flush().unwrap();
    for at in 0..3000 {
        db.delete(&selector(r#"cpu{host=~"a|c"}"#), at..=at)
            .unwrap();
        if at % 100 == 0 {
            while db.maintain().unwrap() {}
        }
    }
    assert_eq!(all(&db, "cpu").len(), 1);
}

/// Once idle series had taken every place, refused appends left nothing to flush, and without a
/// flush no series was forgotten: the bound held new ones off for good.
#[test]
fn idle_series_make_room_without_an_append() {
    for by_call in [true, false] {
        let vfs = memory();
        let db = Db::open("/db", manual(&vfs).max_series(2)).unwrap();
        append(&db, &cpu("a"), 1, 1.0);
        append(&db, &cpu("b"), 1, 1.0);
        db.flush().unwrap();
        let third = Batch::new().sample(cpu("c"), 2, 1.0);
        assert!(db.append(&third).is_err());
        for _ in 0..2 {
            if by_call {
                db.flush().unwrap();
            } else {
                db.maintain().unwrap();
            }
        }
        db.append(&third).unwrap();
        assert_eq!(all(&db, "cpu").len(), 3);
        assert!(!db.maintain().unwrap());
    }
}

/// A WAL file whose header never became durable was removed by the next open, but not durably: a
/// power cut brought its name back without the header, before frames that were acknowledged since,
/// and the database did not open.
#[test]
fn an_unused_wal_file_is_gone_before_frames_come_behind_it() {
    let store = CrashVfs::new();
    let faults = FaultVfs::new(Arc::new(store.clone()));
    let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
    let options = manual(&vfs).sync(Sync::Always);
    let db = Db::open("/db", options.clone()).unwrap();
    append(&db, &cpu("a"), 1, 1.0);
    // Of the file that the flush begins.
    faults.fail_only(
        CallKind::Sync,
        faults.calls() + 1,
        Fault::Sync,
        Repeat::Once,
    );
    assert!(db.flush().is_err());
    assert!(faults.fired() == 1 && db.stats().poisoned);
    drop(db);
    let db = Db::open("/db", options).unwrap();
    append(&db, &cpu("a"), 2, 2.0);
    let calls = store.calls();
    for index in 0..64 {
        let image: Arc<dyn Vfs> = Arc::new(store.image(calls, 1, index));
        let db = open(&image);
        assert_eq!(all(&db, "cpu")[0].1.values, [1.0, 2.0], "image {index}");
    }
}
