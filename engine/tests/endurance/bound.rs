//! The memory of an open database under load stays within what it was given.
//!
//! The test runs itself as a child for each bound, so that what is measured is of nothing else.
//! Load: more series with long labels than fit, samples in and out of order, wide queries, deletes
//! and compaction. The child checks the accounts all along, and its resident memory at the end.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use treering::{
    Aggregate, Batch, Db, Error, Function, Labels, Options, Reads, Selector, SeriesRef, labels,
};

use crate::gauge::status_bytes;

const CHILD: &str = "TREERING_BOUND_CHILD";
/// What the process may take beside the bound and what open blocks hold: code, stacks, what the
/// allocator keeps back, results handed to the caller, labels of the block being written.
const SLACK_MIB: f64 = 40.0;

#[test]
fn memory_stays_within_its_bound_under_load() {
    if let Some(mib) = crate::number::number(CHILD) {
        load(mib);
        return;
    }
    for mib in [8u64, 16, 32] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["memory_stays_within_its_bound_under_load", "--nocapture"])
            .env(CHILD, mib.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{mib} MiB:\n{text}");
        let result = text.lines().find(|line| line.starts_with("RESULT"));
        eprintln!("{}", result.unwrap());
    }
}

/// Ends the other threads, also when this one panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn named(number: u64) -> Labels {
    let long = format!("{number:08}").repeat(24);
    labels! { "__name__" => "m", "id" => number.to_string(), "long" => long }
}

fn load(mib: u64) {
    let bound = mib << 20;
    let dir = tempfile::tempdir().unwrap();
    let options = Options::default()
        .memory_bytes(bound)
        .wal_file_bytes(1 << 20)
        .wal_max_bytes(8 << 20)
        .reads(Reads::Pread)
        .block_window(Duration::from_secs(3600));
    let db = Db::open(dir.path().join("db"), options).unwrap();
    let before = status_bytes("VmRSS");
    let done = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let _end = End(&done);
        let watch = scope.spawn(|| watch(&db, bound, &done));
        let asked = scope.spawn(|| ask(&db, &done));
        let known = fill(&db);
        rewrite(&db, &known);
        db.flush().unwrap();
        db.compact().unwrap();
        done.store(true, Ordering::Release);
        let refused = asked.join().unwrap();
        assert!(refused > 0, "no question was refused");
        (known.len(), watch.join().unwrap())
    });
    let (known, (most, blocks)) = most;
    let rss = (status_bytes("VmHWM") - before) / f64::from(1 << 20);
    eprintln!(
        "RESULT memory bound {mib} MiB: {known} series, at most {:.1} MiB counted and {blocks:.1} \
         MiB of blocks, resident {rss:.1} MiB above the empty database",
        most as f64 / f64::from(1 << 20)
    );
    assert!(rss <= mib as f64 + blocks + SLACK_MIB, "{rss:.1} MiB");
}

/// New series until they are refused by name; those that were made. A reference keeps each in the
/// memory: one that is forgotten comes back as a new one, and may be refused as such.
fn fill(db: &Db) -> Vec<SeriesRef> {
    let mut known = Vec::new();
    loop {
        let number = known.len() as u64;
        let mut batch = Batch::new();
        (number..number + 50).for_each(|id| batch.push(named(id), 1, id as f64));
        match db.append(&batch) {
            Ok(()) => {
                let made = (number..number + 50).map(|id| db.series(&named(id)).unwrap());
                known.extend(made);
            }
            Err(Error::Rejected(first)) => {
                let text = first.reason.to_string();
                assert!(matches!(first.reason, Error::Limit(_)), "{text}");
                assert!(
                    text.contains("label memory limit") && text.contains("`m`"),
                    "{text}"
                );
                return known;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Samples of the known series, which go on: in order, late, deleted; with compaction between.
fn rewrite(db: &Db, known: &[SeriesRef]) {
    let minute = 60_000_000_000;
    for row in 0..600i64 {
        let mut batch = Batch::new();
        let at = if row % 5 == 4 { row - 200 } else { row } * minute;
        let some = row as usize * 131;
        for number in (some..some + 200).map(|number| number % known.len()) {
            batch.push(
                known[number],
                at + number as i64 % 7,
                1.0 / (number + 1) as f64,
            );
        }
        db.append(&batch).unwrap();
        if row % 100 == 99 {
            let one = Selector::metric("m").eq("id", &(row * 3).to_string());
            db.delete(&one, ..).unwrap();
        }
    }
}

/// The accounts at every moment; the most that was counted, and the most MiB that open blocks held:
/// with `Reads::Pread` an index is on the heap while it is read.
fn watch(db: &Db, bound: u64, done: &AtomicBool) -> (u64, f64) {
    let (mut most, mut blocks) = (0, 0);
    while !done.load(Ordering::Acquire) {
        let stats = db.stats();
        let counted = stats.label_bytes + stats.head_bytes + stats.query_bytes;
        most = most.max(counted);
        blocks = blocks.max(stats.block_heap_bytes);
        assert!(counted <= bound, "{counted} of {bound}: {stats:?}");
        assert!(stats.query_bytes <= bound / 4, "{stats:?}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
    (most, blocks as f64 / f64::from(1 << 20))
}

/// Narrow questions are answered; those that together ask for more than their share are refused
/// with their numbers; how many were.
fn ask(db: &Db, done: &AtomicBool) -> u64 {
    let mut refused = 0;
    let all = Selector::metric("m");
    while !done.load(Ordering::Acquire) {
        let mut sets = Vec::new();
        while sets.len() < 64 {
            match db.select(&all, ..) {
                Ok(set) => sets.push(set),
                Err(Error::Limit(limit)) => {
                    assert!(limit.value > 0 && !limit.by.is_empty(), "{limit:?}");
                    refused += 1;
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        drop(sets);
        let one = all.clone().eq("id", "7");
        let count = Aggregate::new(Function::Count);
        for series in db.aggregate(&one, .., &count).unwrap() {
            assert!(series.points[0].value >= 1.0);
        }
    }
    refused
}
