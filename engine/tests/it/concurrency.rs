//! Writers, readers, flushes and syncs at once: every answer is a prefix of each writer's samples,
//! with everything that was acknowledged before the question.

mod changes;
mod helpers;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use treering::{
    Aggregate, Batch, Db, Function, Labels, Options, Selector, Series, SeriesRef, SeriesSet, Sync,
    labels,
};

use crate::support::memory;
use crate::watchdog::Watchdog;

const fn sendable<T: Send + std::marker::Sync>() {}
const _: () = {
    sendable::<Db>();
    sendable::<SeriesSet>();
    sendable::<Series>();
    sendable::<SeriesRef>();
};

/// Batches of each writer, and samples of each batch on its own series.
const BATCHES: u64 = 3000;
const SAMPLES: u64 = 40;
const WRITERS: usize = 3;
/// Series that each row goes to.
const WIDTH: u64 = 16;

/// What the threads of a test share.
struct Scene {
    db: Db,
    /// Batches of each writer that were acknowledged.
    acknowledged: [AtomicU64; WRITERS],
    done: AtomicBool,
    dog: Watchdog,
}

#[test]
fn readers_see_prefixes_while_synced_always() {
    write_and_read(Sync::Always);
}

#[test]
fn readers_see_prefixes_while_synced_in_intervals() {
    write_and_read(Sync::Interval(Duration::from_millis(1)));
}

#[test]
fn readers_see_prefixes_while_never_synced() {
    write_and_read(Sync::Never);
}

fn write_and_read(sync: Sync) {
    let vfs = memory();
    let options = Options::default()
        .vfs(vfs)
        .sync(sync)
        .memory_bytes(8 << 20)
        .wal_file_bytes(64 << 10)
        .wal_max_bytes(256 << 10)
        .reserve_bytes(0);
    let db = Db::open("/db", options.clone()).unwrap();
    let scene = Scene {
        db,
        acknowledged: Default::default(),
        done: AtomicBool::new(false),
        dog: Watchdog::of("readers see prefixes"),
    };
    std::thread::scope(|scope| {
        let scene = &scene;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || scene.write(writer)))
            .collect();
        let others = [
            scope.spawn(|| scene.read(true)),
            scope.spawn(|| scene.read(false)),
            scope.spawn(|| scene.maintain()),
        ];
        // The others must end even when a writer panicked.
        let wrote: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        scene.done.store(true, Ordering::Release);
        let asked = others.map(|other| other.join());
        wrote
            .into_iter()
            .chain(asked)
            .for_each(|ended| ended.unwrap());
    });
    assert!(scene.db.stats().flushes > 0);
    scene.check_all(&[BATCHES; WRITERS]);
    scene.db.close().unwrap();
    let scene = Scene {
        db: Db::open("/db", options).unwrap(),
        ..scene
    };
    scene.check_all(&[BATCHES; WRITERS]);
}

fn own(writer: usize) -> Labels {
    labels! { "__name__" => "own", "writer" => writer.to_string() }
}

fn wide(series: u64) -> Labels {
    labels! { "__name__" => "wide", "series" => series.to_string() }
}

fn shared() -> Labels {
    labels! { "__name__" => "shared" }
}

fn value(at: i64) -> f64 {
    at as f64 * 0.5
}

impl Scene {
    /// Writer 0 names series by labels, 1 by references, 2 appends rows beside its own series. All
    /// of them write to the shared series, each at every third timestamp.
    fn write(&self, writer: usize) {
        let series = self.db.series(&own(writer)).unwrap();
        let row: Vec<SeriesRef> = (0..WIDTH)
            .map(|number| self.db.series(&wide(number)).unwrap())
            .collect();
        for number in 0..BATCHES {
            let mut batch = Batch::new();
            let times = (number * SAMPLES) as i64..((number + 1) * SAMPLES) as i64;
            for at in times {
                match writer {
                    0 => batch.push(own(writer), at, value(at)),
                    _ => batch.push(series, at, value(at)),
                }
            }
            let at = number as i64;
            if writer == 2 {
                let row: Vec<_> = row.iter().map(|&series| (series, value(at))).collect();
                batch.push_row(at, &row);
            }
            let at = at * WRITERS as i64 + writer as i64;
            batch.push(shared(), at, value(at));
            self.dog.note("append");
            self.db.append(&batch).unwrap();
            self.acknowledged[writer].store(number + 1, Ordering::Release);
        }
    }

    /// Asks until the writers are done; what was there once stays there.
    fn read(&self, samples: bool) {
        let mut least = [0; WRITERS];
        let mut counted = 0.0;
        while !self.done.load(Ordering::Acquire) {
            let before = self.acknowledged();
            let least_now: [u64; WRITERS] =
                std::array::from_fn(|writer| before[writer].max(least[writer]));
            if samples {
                self.dog.note("read samples");
                least = self.check_all(&least_now);
            } else {
                self.dog.note("ask for answers");
                counted = self.check_answers(&least_now, counted);
            }
        }
    }

    /// Flushes and syncs beside the threads of the database.
    fn maintain(&self) {
        while !self.done.load(Ordering::Acquire) {
            self.dog.note("sync");
            self.db.sync().unwrap();
            self.dog.note("flush");
            self.db.flush().unwrap();
            self.db.stats();
        }
    }

    /// Every series holds a prefix of what its writers appended, at least the first `least`
    /// batches; returns the whole batches seen on the writers' own series.
    fn check_all(&self, least: &[u64; WRITERS]) -> [u64; WRITERS] {
        let mut seen = [0; WRITERS];
        for series in self.db.select(&Selector::parse("{}").unwrap(), ..).unwrap() {
            let series = series.unwrap();
            // One by one: the columns of a long series would take the memory of all queries.
            let samples = series.samples().map(|sample| sample.unwrap());
            let times: Vec<i64> = samples
                .map(|sample| {
                    let expected = value(sample.timestamp).to_bits();
                    assert_eq!(sample.value.to_bits(), expected);
                    sample.timestamp
                })
                .collect();
            match series.labels().name() {
                Some("own") => {
                    let writer = series
                        .labels()
                        .get("writer")
                        .unwrap()
                        .parse::<usize>()
                        .unwrap();
                    assert_prefix(times.iter().copied(), least[writer] * SAMPLES);
                    seen[writer] = times.len() as u64 / SAMPLES;
                }
                Some("wide") => assert_prefix(times.iter().copied(), least[2]),
                _ => {
                    for (writer, &least) in least.iter().enumerate() {
                        let (writer, step) = (writer as i64, WRITERS as i64);
                        let mine = times.iter().filter(|&&at| at % step == writer);
                        assert_prefix(mine.map(|at| at / step), least);
                    }
                }
            }
        }
        assert!(
            least.iter().zip(&seen).all(|(least, seen)| seen >= least),
            "{least:?} {seen:?}"
        );
        seen
    }

    /// The other questions; returns the number of samples counted.
    fn check_answers(&self, least: &[u64; WRITERS], counted: f64) -> f64 {
        let own = Selector::parse("own").unwrap();
        let counts = self
            .db
            .aggregate(&own, .., &Aggregate::new(Function::Count))
            .unwrap();
        let count: f64 = counts
            .iter()
            .flat_map(|series| &series.points)
            .map(|p| p.value)
            .sum();
        let least_count = least.iter().sum::<u64>() * SAMPLES;
        assert!(
            count >= counted.max(least_count as f64),
            "{count} {counted} {least_count}"
        );
        for latest in self.db.latest(&own).unwrap() {
            let writer = latest
                .labels
                .get("writer")
                .unwrap()
                .parse::<usize>()
                .unwrap();
            let sample = latest.sample;
            assert!(sample.timestamp >= (least[writer] * SAMPLES) as i64 - 1);
            assert_eq!(sample.value.to_bits(), value(sample.timestamp).to_bits());
        }
        let wide = Selector::parse("wide").unwrap();
        let values = self.db.label_values("series", &wide, ..).unwrap();
        let labels = self.db.series_labels(&wide, ..).unwrap();
        if least[2] > 0 {
            assert_eq!((values.len() as u64, labels.len() as u64), (WIDTH, WIDTH));
        }
        count
    }

    fn acknowledged(&self) -> [u64; WRITERS] {
        std::array::from_fn(|writer| self.acknowledged[writer].load(Ordering::Acquire))
    }
}

/// 0, 1, 2 and so on, at least `least` of them.
fn assert_prefix(times: impl Iterator<Item = i64>, least: u64) {
    let mut count = 0;
    for at in times {
        assert_eq!(at, count as i64, "a sample is missing before {at}");
        count += 1;
    }
    assert!(count >= least, "{count} samples, {least} were acknowledged");
}
