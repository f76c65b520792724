//! Threads in every order that a scheduler can think of: small programs on a database in memory,
//! run thousands of times with another schedule each, chosen at every lock.
//!
//! Built with `RUSTFLAGS="--cfg shuttle"`, else empty. A deadlock, a panic or a wrong answer ends the
//! run with the schedule that repeats it. `TREERING_SCHEDULES` is how many are tried.
#![cfg(shuttle)]
#![allow(clippy::disallowed_methods, reason = "tests read the environment")]

use std::sync::Arc;

use shuttle::thread;
use treering::vfs::{MemVfs, Vfs};
use treering::{
    Aggregate, Batch, Db, Error, Function, Labels, Maintenance, NamespaceOptions, Options,
    Selector, Sync, labels,
};

fn schedules() -> usize {
    let set = std::env::var("TREERING_SCHEDULES").ok();
    set.and_then(|set| set.parse().ok()).unwrap_or(300)
}

/// Runs `program` under random schedules, and under such that change threads seldom.
fn explore(program: impl Fn() + Send + std::marker::Sync + 'static) {
    let program = Arc::new(program);
    let again = Arc::clone(&program);
    shuttle::check_random(move || program(), schedules());
    shuttle::check_pct(move || again(), schedules(), 3);
}

fn options(vfs: &Arc<dyn Vfs>) -> Options {
    Options::default()
        .vfs(Arc::clone(vfs))
        .maintenance(Maintenance::Manual)
        .sync(Sync::Always)
        .reserve_bytes(0)
        .memory_bytes(64 << 20)
}

fn memory() -> Arc<dyn Vfs> {
    Arc::new(MemVfs::new())
}

fn cpu(host: &str) -> Labels {
    labels! { "__name__" => "cpu", "host" => host }
}

fn append(db: &Db, host: &str, at: i64) -> Result<(), Error> {
    db.append(&Batch::new().sample(cpu(host), at, at as f64))
}

/// Timestamps of the series of a host.
fn times(db: &Db, host: &str) -> Vec<i64> {
    let one = Selector::metric("cpu").eq("host", host);
    let mut all = db.select(&one, ..).unwrap();
    all.next()
        .map(|series| series.unwrap().columns().unwrap().timestamps)
        .unwrap_or_default()
}

#[test]
fn appends_flushes_and_questions() {
    explore(|| {
        let vfs = memory();
        let db = Db::open("/db", options(&vfs)).unwrap();
        let writers = ["a", "b"].map(|host| {
            let db = db.clone();
            thread::spawn(move || (1..=3).for_each(|at| append(&db, host, at).unwrap()))
        });
        let flushes = {
            let db = db.clone();
            thread::spawn(move || (0..2).for_each(|_| db.flush().unwrap()))
        };
        // What is seen of a series is a beginning of what was appended, and never shrinks.
        let mut before = 0;
        for _ in 0..3 {
            let seen = times(&db, "a");
            assert!(
                seen.len() >= before && [1, 2, 3].starts_with(&seen),
                "{seen:?}"
            );
            before = seen.len();
        }
        for writer in writers {
            writer.join().unwrap();
        }
        flushes.join().unwrap();
        for host in ["a", "b"] {
            assert_eq!(times(&db, host), [1, 2, 3]);
        }
        drop(db);
        let db = Db::open("/db", options(&vfs)).unwrap();
        assert_eq!(times(&db, "b"), [1, 2, 3]);
    });
}

#[test]
fn appends_and_a_close() {
    explore(|| {
        let vfs = memory();
        let db = Db::open("/db", options(&vfs)).unwrap();
        let writer = {
            let db = db.clone();
            thread::spawn(move || {
                let done = (1..=4).take_while(|&at| match append(&db, "a", at) {
                    Ok(()) => true,
                    Err(Error::Closed) => false,
                    Err(error) => panic!("{error}"),
                });
                done.last().unwrap_or(0)
            })
        };
        let flusher = {
            let db = db.clone();
            thread::spawn(move || match db.flush() {
                Ok(()) | Err(Error::Closed) => {}
                Err(error) => panic!("{error}"),
            })
        };
        db.close().unwrap();
        // The directory is free at once, whoever still holds a handle.
        let again = Db::open("/db", options(&vfs)).unwrap();
        let acknowledged = writer.join().unwrap();
        flusher.join().unwrap();
        let kept = times(&again, "a");
        assert!(kept.len() as i64 >= acknowledged, "{kept:?} {acknowledged}");
        assert!(again.verify().unwrap().is_clean());
    });
}

#[test]
fn deletes_merges_and_appends() {
    explore(|| {
        let vfs = memory();
        let db = Db::open("/db", options(&vfs)).unwrap();
        for at in [1, 2] {
            append(&db, "a", at).unwrap();
            append(&db, "b", at).unwrap();
            db.flush().unwrap();
        }
        let deletes = {
            let db = db.clone();
            thread::spawn(move || {
                let a = Selector::metric("cpu").eq("host", "a");
                db.delete(&a, ..=1).unwrap();
                // A delete is seen by whatever comes after it.
                assert!(!times(&db, "a").contains(&1));
            })
        };
        let merges = {
            let db = db.clone();
            thread::spawn(move || db.compact().unwrap())
        };
        append(&db, "a", 3).unwrap();
        let count = Aggregate::new(Function::Count);
        let b = Selector::metric("cpu").eq("host", "b");
        let counted = db.aggregate(&b, .., &count).unwrap();
        assert_eq!(counted[0].points[0].value, 2.0);
        deletes.join().unwrap();
        merges.join().unwrap();
        assert_eq!(times(&db, "a"), [2, 3]);
        db.compact().unwrap();
        assert_eq!((times(&db, "a"), times(&db, "b")), (vec![2, 3], vec![1, 2]));
        assert!(db.verify().unwrap().is_clean());
    });
}

#[test]
fn a_namespace_that_goes_while_it_is_used() {
    explore(|| {
        let vfs = memory();
        let db = Db::open("/db", options(&vfs)).unwrap();
        let gone = |error: Error| match error {
            Error::NoNamespace { .. } => {}
            error => panic!("{error}"),
        };
        let team = db.create_namespace("team", NamespaceOptions::default());
        let team = team.unwrap();
        append(&team, "a", 1).unwrap();
        let writer = thread::spawn(move || {
            let _ = (2..=4)
                .try_for_each(|at| append(&team, "a", at))
                .map_err(gone);
        });
        let flushes = {
            let db = db.clone();
            thread::spawn(move || db.flush().unwrap())
        };
        append(&db, "a", 1).unwrap();
        db.drop_namespace("team").unwrap();
        let again = db.create_namespace("team", NamespaceOptions::default());
        assert_eq!(times(&again.unwrap(), "a"), [0i64; 0]);
        writer.join().unwrap();
        flushes.join().unwrap();
        db.flush().unwrap();
        db.close().unwrap();
        let db = Db::open("/db", options(&vfs)).unwrap();
        assert_eq!(times(&db, "a"), [1]);
        assert_eq!(times(&db.namespace("team").unwrap(), "a"), [0i64; 0]);
        assert!(db.verify().unwrap().is_clean());
    });
}

#[test]
fn series_that_are_forgotten_while_they_are_asked_for() {
    explore(|| {
        let vfs = memory();
        let db = Db::open("/db", options(&vfs)).unwrap();
        append(&db, "old", 1).unwrap();
        let generations = {
            let db = db.clone();
            thread::spawn(move || {
                for host in ["x", "y", "z"] {
                    append(&db, host, 5).unwrap();
                    db.flush().unwrap();
                }
            })
        };
        let questions = {
            let db = db.clone();
            thread::spawn(move || {
                for _ in 0..3 {
                    assert_eq!(times(&db, "old"), [1]);
                }
            })
        };
        append(&db, "new", 2).unwrap();
        generations.join().unwrap();
        questions.join().unwrap();
        assert_eq!(times(&db, "new"), [2]);
    });
}
