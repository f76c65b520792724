//! A database in steady use for hours: nothing that it takes may grow.
//!
//! A writer at full rate with series that come and go, late samples, deletes, a short retention,
//! the threads of the database, a reader; all on a real disk and the real clock. What is live reaches
//! its full size within the retention and two flushes. `TREERING_ENDURANCE_MINUTES` is the length;
//! without it the test is short and checks what can be seen in seconds.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use treering::{Aggregate, Batch, Db, Error, Function, Labels, NamespaceOptions, Options};
use treering::{Selector, labels, time};

use crate::gauge::{Figures, line};
use crate::number::number;

const SECOND: i64 = 1_000_000_000;
/// Series at one time.
const LIVE: u64 = 1000;

/// How long everything lasts.
#[derive(Debug, Clone, Copy)]
struct Pace {
    run: Duration,
    /// Between two takes of the figures.
    every: Duration,
    retention: Duration,
    /// After so long a series is replaced by another.
    life: Duration,
}

impl Pace {
    fn of_the_environment() -> Self {
        let seconds = Duration::from_secs;
        match number("TREERING_ENDURANCE_MINUTES") {
            Some(minutes) => Self {
                run: seconds(minutes * 60),
                every: seconds(10),
                retention: seconds(60),
                life: seconds(20),
            },
            None => Self {
                run: seconds(6),
                every: Duration::from_millis(250),
                retention: seconds(2),
                life: seconds(1),
            },
        }
    }
}

/// What the last three quarters of a run may grow by: a part of their mean, and what is always
/// allowed. Noise of a steady run is within it; a leak of one block an hour is not.
const GROWTH: f64 = 0.10;
const SLACK: [(&str, f64); 4] = [
    ("rss MiB", 24.0),
    ("open files", 12.0),
    ("files", 24.0),
    ("disk MiB", 24.0),
];

struct Scene {
    db: Db,
    pace: Pace,
    started: Instant,
    done: AtomicBool,
    written: AtomicU64,
    asked: AtomicU64,
    deleted: AtomicU64,
}

#[test]
fn nothing_grows_in_steady_use() {
    let pace = Pace::of_the_environment();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let options = Options::default()
        .memory_bytes(64 << 20)
        .wal_file_bytes(1 << 20)
        .wal_max_bytes(32 << 20)
        .flush_interval(Duration::from_secs(2))
        .block_window(Duration::from_secs(60));
    let db = Db::open(&path, options).unwrap();
    let kept = NamespaceOptions::default().retention(pace.retention);
    db.alter_namespace("default", kept).unwrap();
    let scene = Scene {
        db,
        pace,
        started: Instant::now(),
        done: AtomicBool::new(false),
        written: AtomicU64::new(0),
        asked: AtomicU64::new(0),
        deleted: AtomicU64::new(0),
    };
    let figures = std::thread::scope(|scope| {
        let threads = [
            scope.spawn(|| scene.write()),
            scope.spawn(|| scene.read()),
            scope.spawn(|| scene.delete()),
        ];
        let figures = scene.watch(&path, || threads.iter().any(|it| it.is_finished()));
        scene.done.store(true, Ordering::Release);
        for thread in threads {
            thread.join().unwrap();
        }
        figures
    });
    let growths = report(&figures);
    let stats = scene.db.stats();
    eprintln!(
        "RESULT endurance: {} s, {} samples written, {} questions, {} deletes, {} flushes, {} \
         compactions, {} blocks dropped; {growths:?}",
        scene.started.elapsed().as_secs(),
        scene.written.load(Ordering::Relaxed),
        scene.asked.load(Ordering::Relaxed),
        scene.deleted.load(Ordering::Relaxed),
        stats.flushes,
        stats.compactions,
        stats.blocks_dropped,
    );
    assert!(stats.flushes > 0 && !stats.poisoned, "{stats:?}");
    assert!(scene.asked.load(Ordering::Relaxed) > 0);
    if number("TREERING_ENDURANCE_MINUTES").is_some() {
        for (name, growth, most) in growths {
            assert!(
                growth <= most,
                "{name} grew by {growth:.1}, at most {most:.1}"
            );
        }
    }
    scene.db.close().unwrap();
}

/// Prints the figures; by how much each grew over the last three quarters, and how much it may.
fn report(figures: &[Figures]) -> Vec<(&'static str, f64, f64)> {
    let mib = f64::from(1 << 20);
    let of = |figures: &Figures| {
        [
            figures.rss_bytes / mib,
            figures.open_files,
            figures.files,
            figures.disk_bytes / mib,
        ]
    };
    eprintln!("| s | rss MiB | open files | files | disk MiB |\n|---|---|---|---|---|");
    for one in figures.iter().step_by(figures.len().div_ceil(24)) {
        let [rss, open, files, disk] = of(one);
        eprintln!(
            "| {:.0} | {rss:.1} | {open} | {files} | {disk:.1} |",
            one.at
        );
    }
    let steady = &figures[figures.len() / 4..];
    let time = steady.last().unwrap().at - steady[0].at;
    let growth = |(index, (name, slack)): (usize, (&'static str, f64))| {
        let points: Vec<_> = steady.iter().map(|one| (one.at, of(one)[index])).collect();
        let (mean, slope) = line(&points);
        (name, slope * time, mean * GROWTH + slack)
    };
    SLACK.into_iter().enumerate().map(growth).collect()
}

/// Series number `slot` of the generation `age`.
fn named(slot: u64, age: u64) -> Labels {
    labels! {
        "__name__" => "churn",
        "slot" => slot.to_string(),
        "pod" => format!("pod-{age:08x}-{:08x}", slot.wrapping_mul(0x9e37_79b9)),
    }
}

impl Scene {
    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Takes the figures until the run is over or a thread has ended.
    fn watch(&self, path: &Path, ended: impl Fn() -> bool) -> Vec<Figures> {
        let mut figures = Vec::new();
        while self.started.elapsed() < self.pace.run && !ended() {
            std::thread::park_timeout(self.pace.every);
            figures.push(Figures::take(self.started.elapsed().as_secs_f64(), path));
        }
        figures
    }

    fn age(&self) -> u64 {
        (self.started.elapsed().as_millis() / self.pace.life.as_millis()) as u64
    }

    /// All series, row after row; every tenth row is late by up to half of the retention.
    fn write(&self) {
        let mut row = 0u64;
        let retention = self.pace.retention.as_nanos() as i64;
        while !self.is_done() {
            let age = self.age();
            let late = match row % 10 {
                9 => (row as i64).wrapping_mul(7919) % (retention / 2),
                _ => 0,
            };
            let at = time::now() - late;
            let mut batch = Batch::with_capacity(LIVE as usize);
            for slot in 0..LIVE {
                // Not all at once: a few series go in every row.
                batch.push(named(slot, age + slot % 7), at, (row + slot) as f64);
            }
            match self.db.append(&batch) {
                Ok(()) => drop(self.written.fetch_add(LIVE, Ordering::Relaxed)),
                Err(Error::Rejected(_)) => {}
                Err(error) => panic!("{error}"),
            }
            row += 1;
        }
    }

    /// Nothing past the retention is seen, and what is recent is there.
    fn read(&self) {
        let retention = self.pace.retention.as_nanos() as i64;
        let mut slot = 0;
        while !self.is_done() {
            slot = (slot + 101) % LIVE;
            let selector = Selector::metric("churn").eq("slot", &slot.to_string());
            let horizon = time::now() - retention;
            for series in self.db.select(&selector, ..).unwrap() {
                let columns = series.unwrap().columns().unwrap();
                assert!(columns.timestamps.iter().all(|&at| at >= horizon));
                assert!(columns.timestamps.is_sorted_by(|a, b| a < b));
            }
            let count = Aggregate::new(Function::Count).by(["__name__"]);
            let recent = time::now() - SECOND..;
            self.db
                .aggregate(&Selector::metric("churn"), recent, &count)
                .unwrap();
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A slot every fifth of a second, a bit of its past.
    fn delete(&self) {
        let mut slot = 0;
        while !self.is_done() {
            std::thread::park_timeout(Duration::from_millis(200));
            slot = (slot + 37) % LIVE;
            let selector = Selector::metric("churn").eq("slot", &slot.to_string());
            let last = time::now() - self.pace.retention.as_nanos() as i64 / 4;
            match self.db.delete(&selector, last - SECOND..=last) {
                Ok(()) => drop(self.deleted.fetch_add(1, Ordering::Relaxed)),
                Err(Error::Limit(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}
