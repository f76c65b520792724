//! Owners append to and delete from their own series while others ask, flush, compact, and make
//! and drop namespaces.
//!
//! Each owner notes every change of a series before it makes it, and again when it returned. So
//! whatever a reader finds must be the series after some number of its changes: at least those that
//! had returned before the question, at most those that had begun when the answer was there.
//! `TREERING_READERS_SECONDS` is how long it lasts.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use treering::{
    Aggregate, Batch, Db, Error, Function, Labels, NamespaceOptions, Options, Sync, labels,
};

use super::memory;
use crate::support::selector;
use crate::watchdog::Watchdog;

const OWNERS: usize = 2;
/// Series of each owner.
const SERIES: usize = 3;
/// Timestamps of a series; small, so that samples are overwritten again and again.
const SLOTS: u64 = 60;

/// One change of a series.
#[derive(Debug, Clone, Copy)]
enum Change {
    Set(i64, f64),
    Take(i64, i64),
}

/// A series and all that was done to it.
#[derive(Debug, Default)]
struct Owned {
    log: Mutex<Vec<Change>>,
    /// Changes of the log that have returned.
    returned: AtomicU64,
}

/// A series as a reader knows it.
#[derive(Debug, Default, Clone)]
struct Known {
    samples: BTreeMap<i64, u64>,
    changes: usize,
}

struct Scene {
    db: Db,
    owned: Vec<Owned>,
    done: AtomicBool,
    asked: AtomicU64,
    compacted: AtomicU64,
    /// Deletes refused because of tombstones that wait for compaction.
    refused: AtomicU64,
    dog: Watchdog,
}

#[test]
fn readers_see_each_series_between_two_of_its_changes() {
    let seconds = std::env::var("TREERING_READERS_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(4);
    let options = Options::default()
        .vfs(memory())
        .sync(Sync::Interval(Duration::from_millis(5)))
        .memory_bytes(16 << 20)
        .block_window(Duration::from_secs(60))
        .wal_file_bytes(64 << 10)
        .wal_max_bytes(256 << 10)
        .reserve_bytes(0);
    let scene = Scene {
        db: Db::open("/db", options.clone()).unwrap(),
        owned: (0..OWNERS * SERIES).map(|_| Owned::default()).collect(),
        done: AtomicBool::new(false),
        asked: AtomicU64::new(0),
        compacted: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        dog: Watchdog::of("readers see each series between two of its changes"),
    };
    let until = Instant::now() + Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        let scene = &scene;
        let threads = [
            scope.spawn(move || scene.own(0)),
            scope.spawn(move || scene.own(1)),
            scope.spawn(move || scene.read_samples()),
            scope.spawn(move || scene.read_samples()),
            scope.spawn(move || scene.read_answers()),
            scope.spawn(move || scene.maintain()),
            scope.spawn(move || scene.make_and_drop()),
        ];
        while Instant::now() < until && threads.iter().all(|thread| !thread.is_finished()) {
            std::thread::yield_now();
            let _ = scene.db.stats();
        }
        scene.done.store(true, Ordering::Release);
        for thread in threads {
            thread.join().unwrap();
        }
    });
    let ends = scene
        .owned
        .iter()
        .map(Owned::state_at_end)
        .collect::<Vec<_>>();
    assert_eq!(scene.all_samples(), ends);
    let changes: usize = scene
        .owned
        .iter()
        .map(|it| it.log.lock().unwrap().len())
        .sum();
    eprintln!(
        "changes: {changes}, questions: {}, compactions asked for: {}, made: {}, deletes refused: {}",
        scene.asked.load(Ordering::Relaxed),
        scene.compacted.load(Ordering::Relaxed),
        scene.db.stats().compactions,
        scene.refused.load(Ordering::Relaxed),
    );
    assert!(changes > 20 && scene.asked.load(Ordering::Relaxed) > 5);
    scene.db.close().unwrap();
    let scene = Scene {
        db: Db::open("/db", options).unwrap(),
        ..scene
    };
    assert_eq!(scene.all_samples(), ends);
    assert_eq!(scene.db.namespaces().len(), 1);
}

fn named(index: usize) -> Labels {
    labels! { "__name__" => "owned", "series" => format!("{index:02}") }
}

impl Owned {
    fn begin(&self, change: Change) {
        self.log.lock().unwrap().push(change);
    }

    fn end(&self) {
        let begun = self.log.lock().unwrap().len() as u64;
        self.returned.store(begun, Ordering::Release);
    }

    fn state_at_end(&self) -> BTreeMap<i64, u64> {
        let mut known = Known::default();
        let log = self.log.lock().unwrap();
        log.iter().for_each(|change| known.apply(change));
        known.samples
    }
}

impl Known {
    fn apply(&mut self, change: &Change) {
        match *change {
            Change::Set(at, value) => {
                self.samples.insert(at, value.to_bits());
            }
            Change::Take(first, last) => {
                self.samples.retain(|at, _| !(first..=last).contains(at));
            }
        }
        self.changes += 1;
    }

    /// Goes on to the first state from `least` changes on that `fits`; panics when none does.
    fn advance(&mut self, owned: &Owned, least: u64, what: &str, fits: impl Fn(&Known) -> bool) {
        let log: Vec<Change> = owned.log.lock().unwrap()[self.changes..].to_vec();
        let before = self.clone();
        for change in log.iter().map(Some).chain([None]) {
            if self.changes as u64 >= least && fits(self) {
                return;
            }
            match change {
                Some(change) => self.apply(change),
                None => break,
            }
        }
        panic!(
            "{what}: no state from {least} changes on; known is {before:?}, then come {:?}",
            &log[..log.len().min(12)]
        );
    }
}

/// Xorshift (Marsaglia 2003).
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

impl Scene {
    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    fn own(&self, owner: usize) {
        let mut random = 0x9e37_79b9 + owner as u64;
        let mut value = 0.0;
        // A minute apart: every slot has a block window of its own.
        let minute = 60_000_000_000;
        while !self.is_done() {
            let index = owner * SERIES + next(&mut random) as usize % SERIES;
            let owned = &self.owned[index];
            let at = (next(&mut random) % SLOTS) as i64 * minute;
            if next(&mut random).is_multiple_of(4) {
                let last = at + (next(&mut random) % 20) as i64 * minute;
                owned.begin(Change::Take(at, last));
                self.dog.note("delete");
                let selector = selector(&format!(r#"owned{{series="{index:02}"}}"#));
                // Tombstones may come faster than compaction: then nothing was changed, and the
                // same delete is made again. It stays in the log, where readers may have met it.
                while let Err(error) = self.db.delete(&selector, at..=last) {
                    assert!(matches!(error, Error::Limit(_)), "{error}");
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    self.db.compact().unwrap();
                }
                owned.end();
            } else {
                // Tells of which series it is, and when it was.
                value += 16.0;
                let value = value + index as f64;
                owned.begin(Change::Set(at, value));
                self.dog.note("append");
                self.db
                    .append(&Batch::new().sample(named(index), at, value))
                    .unwrap();
                owned.end();
            }
        }
    }

    fn returned(&self) -> Vec<u64> {
        let returned = self.owned.iter().map(|owned| &owned.returned);
        returned.map(|it| it.load(Ordering::Acquire)).collect()
    }

    fn all_samples(&self) -> Vec<BTreeMap<i64, u64>> {
        let mut found = vec![BTreeMap::new(); self.owned.len()];
        for series in self.db.select(&selector("owned"), ..).unwrap() {
            let series = series.unwrap();
            let index: usize = series.labels().get("series").unwrap().parse().unwrap();
            let columns = series.columns().unwrap();
            let values = columns.values.iter().map(|value| value.to_bits());
            found[index] = columns.timestamps.iter().copied().zip(values).collect();
        }
        found
    }

    fn read_samples(&self) {
        let mut known = vec![Known::default(); self.owned.len()];
        while !self.is_done() {
            self.dog.note("read samples");
            let least = self.returned();
            for (index, found) in self.all_samples().into_iter().enumerate() {
                let what = format!("series {index} is {found:?}");
                let fits = |known: &Known| known.samples == found;
                known[index].advance(&self.owned[index], least[index], &what, fits);
            }
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts and newest samples, each by itself.
    fn read_answers(&self) {
        let mut counts = vec![Known::default(); self.owned.len()];
        let mut newest = counts.clone();
        let owned = selector("owned");
        let index = |labels: &Labels| labels.get("series").unwrap().parse::<usize>().unwrap();
        while !self.is_done() {
            self.dog.note("ask for counts and newest");
            let least = self.returned();
            let mut found = vec![0.0; self.owned.len()];
            let counted = self
                .db
                .aggregate(&owned, .., &Aggregate::new(Function::Count));
            for series in counted.unwrap() {
                found[index(&series.labels)] = series.points[0].value;
            }
            for (number, count) in found.into_iter().enumerate() {
                let fits = |known: &Known| known.samples.len() as f64 == count;
                let what = format!("{count} samples in series {number}");
                counts[number].advance(&self.owned[number], least[number], &what, fits);
            }
            let least = self.returned();
            let mut found = vec![None; self.owned.len()];
            for latest in self.db.latest(&owned).unwrap() {
                let sample = (latest.sample.timestamp, latest.sample.value.to_bits());
                found[index(&latest.labels)] = Some(sample);
            }
            for (number, last) in found.into_iter().enumerate() {
                let fits = |known: &Known| {
                    let newest = known.samples.last_key_value();
                    newest.map(|(&at, &bits)| (at, bits)) == last
                };
                let what = format!("newest of series {number} is {last:?}");
                newest[number].advance(&self.owned[number], least[number], &what, fits);
            }
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn maintain(&self) {
        while !self.is_done() {
            self.dog.note("flush");
            self.db.flush().unwrap();
            self.dog.note("compact");
            if self.db.stats().blocks > 40 {
                self.db.compact().unwrap();
                self.compacted.fetch_add(1, Ordering::Relaxed);
            } else {
                self.db.maintain().unwrap();
            }
        }
    }

    /// A namespace of its own, with series of the same labels.
    fn make_and_drop(&self) {
        let mut round = 0.0;
        while !self.is_done() {
            self.dog.note("make and drop a namespace");
            let made = self
                .db
                .create_namespace("short", NamespaceOptions::default())
                .unwrap();
            for at in 0..20 {
                made.append(&Batch::new().sample(named(0), at, round))
                    .unwrap();
            }
            made.delete(&selector("owned"), 5..10).unwrap();
            let count = made.aggregate(&selector("owned"), .., &Aggregate::new(Function::Count));
            assert_eq!(count.unwrap()[0].points[0].value, 15.0);
            self.db.drop_namespace("short").unwrap();
            let batch = Batch::new().sample(named(0), 0, 0.0);
            assert!(matches!(
                made.append(&batch),
                Err(Error::NoNamespace { .. })
            ));
            round += 1.0;
        }
    }
}
