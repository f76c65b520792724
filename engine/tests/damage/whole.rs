//! The database that is damaged: small, and with every kind of file, chunk and change in it.
//!
//! Input: how it ends. Output: its files at the end and after each step on the way, and what it
//! told after each change that only the WAL holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use treering::time::ManualClock;
use treering::vfs::MemVfs;
use treering::{
    Batch, Db, Histogram, Labels, Maintenance, Metadata, MetricKind, NamespaceOptions, Options,
    Reads, Selector, Sync, labels, stale_marker,
};
use treering_codec::Encoding;

use crate::answers::{Print, told};
use crate::mixed::mixed;

const SECOND: i64 = 1_000_000_000;
const HOUR: Duration = Duration::from_secs(3600);
/// What the clock shows, for ever.
pub(crate) const NOW: i64 = 1_795_294_800 * SECOND;
/// Where the samples begin, on a full hour.
const START: i64 = NOW - 40 * 86_400 * SECOND;

/// How the process that wrote it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Closed,
    /// In the middle, with frames that were never synced.
    Killed,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) end: Ended,
    pub(crate) store: MemVfs,
    /// Its files, without those that hold nothing.
    pub(crate) files: Vec<(PathBuf, Bytes)>,
    /// The files after each step.
    pub(crate) earlier: Vec<Vec<(PathBuf, Bytes)>>,
    /// What it told once everything was in blocks, and after each change since.
    pub(crate) told: Vec<Print>,
}

/// Options of an open that does nothing by itself.
pub(crate) fn options(store: &MemVfs, reads: Reads) -> Options {
    Options::default()
        .vfs(Arc::new(store.clone()))
        .clock(Arc::new(ManualClock::new(NOW)))
        .maintenance(Maintenance::Manual)
        .memory_bytes(64 << 20)
        .sync(Sync::Never)
        .wal_file_bytes(64 << 10)
        .reserve_bytes(0)
        .reads(reads)
}

impl Whole {
    pub(crate) fn new(end: Ended) -> Self {
        let mut whole = Self {
            end,
            store: MemVfs::new(),
            files: Vec::new(),
            earlier: Vec::new(),
            told: Vec::new(),
        };
        whole.blocks();
        let db = Db::open("/db", options(&whole.store, Reads::Mmap)).unwrap();
        whole.recent(&db);
        match end {
            Ended::Closed => db.close().unwrap(),
            Ended::Killed => whole.store = whole.store.fork(),
        }
        whole.files = files_of(&whole.store);
        whole
    }

    /// Blocks of each kind, as they come from flushes, merges and downsampling.
    fn blocks(&mut self) {
        let coarse = NamespaceOptions::default().downsample(HOUR, Duration::from_secs(60));
        let db = Db::open("/db", options(&self.store, Reads::Mmap)).unwrap();
        let cold = db.create_namespace("cold", NamespaceOptions::default());
        let cold = cold.unwrap();
        let beside = db.create_namespace("beside", coarse.clone()).unwrap();
        let coarse = db.create_namespace("coarse", coarse).unwrap();
        for part in 0..2 {
            cold.append(&dice(part)).unwrap();
            coarse.append(&steps(part)).unwrap();
            cold.append(&latency(part as i64 * 120, 120)).unwrap();
            beside.append(&latency(part as i64 * 90, 120)).unwrap();
            db.flush().unwrap();
            self.step();
        }
        db.close().unwrap();
        drop((cold, coarse, beside, db));
        let options = options(&self.store, Reads::Mmap).entropy_coding(true);
        let db = Db::open("/db", options).unwrap();
        db.compact().unwrap();
        self.step();
        db.append(&every_encoding()).unwrap();
        let help = Metadata::new(MetricKind::Gauge).help("How busy it is.");
        db.set_metadata("cpu", &help).unwrap();
        db.flush().unwrap();
        self.step();
        db.delete(
            &Selector::metric("cpu").eq("n", "3"),
            ..START + 900 * SECOND,
        )
        .unwrap();
        db.append(&times()).unwrap();
        db.flush().unwrap();
        self.step();
        db.close().unwrap();
        self.step();
    }

    /// Changes of each kind that only the WAL holds, in several files, the first of them synced.
    fn recent(&mut self, db: &Db) {
        self.told.push(told(db));
        for number in 0..24i64 {
            match number {
                4 => db.delete(&Selector::metric("up"), ..START).unwrap(),
                7 => drop(
                    db.create_namespace("late", NamespaceOptions::default())
                        .unwrap(),
                ),
                9 => db
                    .alter_namespace("late", NamespaceOptions::default().max_series(1000))
                    .unwrap(),
                11 => db
                    .set_metadata("up", &Metadata::new(MetricKind::Counter).unit("1"))
                    .unwrap(),
                14 => db.append(&latency(6000, 40)).unwrap(),
                number if number % 5 == 3 && number > 7 => {
                    let late = db.namespace("late").unwrap();
                    late.append(&scrape(number, 5)).unwrap();
                }
                number => db.append(&scrape(number, 500)).unwrap(),
            }
            self.told.push(told(db));
            if number == 17 {
                db.sync().unwrap();
            }
            if number % 6 == 5 {
                self.step();
            }
        }
    }

    fn step(&mut self) {
        self.earlier.push(files_of(&self.store.fork()));
    }

    /// The files of which `folder` is a part of the path.
    pub(crate) fn of<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a Path, &'a Bytes)> {
        let files = self.files.iter();
        let found = files.filter(move |(path, _)| path.starts_with(Path::new("db").join(folder)));
        found.map(|(path, bytes)| (&**path, bytes))
    }
}

fn files_of(store: &MemVfs) -> Vec<(PathBuf, Bytes)> {
    let mut files = store.files();
    files.retain(|(path, bytes)| !bytes.is_empty() && !path.ends_with("LOCK"));
    files
}

fn named(name: &str, number: u64) -> Labels {
    labels! { "__name__" => name, "n" => number.to_string(), "host" => format!("h{}", number % 3) }
}

/// A grid of 15 seconds.
fn grid(count: i64) -> Vec<i64> {
    (0..count).map(|at| START + at * 15 * SECOND).collect()
}

/// A series for each encoding of values.
fn every_encoding() -> Batch {
    let mut batch = Batch::new();
    for (number, encoding) in (0..).zip(Encoding::ALL) {
        let values = values_for(encoding);
        let times = grid(values.len() as i64);
        batch.push_column(named("cpu", number), &times, &values);
    }
    batch
}

/// A column that this encoding suits best.
fn values_for(encoding: Encoding) -> Vec<f64> {
    let of = |value: fn(u64) -> f64| (0..300).map(value).collect::<Vec<f64>>();
    match encoding {
        // More than a page.
        Encoding::Raw => (0..5000).map(|at| f64::from_bits(mixed(at))).collect(),
        Encoding::Constant => vec![-0.125; 300],
        Encoding::Xor => {
            let mut bits = 1e200f64.to_bits();
            let next = |at: u64| {
                bits ^= (mixed(at) >> 54) << (39 - at / 75 * 13);
                f64::from_bits(bits)
            };
            (0..300).map(next).collect()
        }
        Encoding::Decimal => of(|at| (at * at % 997) as f64 / 100.0),
        Encoding::DecimalUlps => of(|at| (at * 37 % 500) as f64 * 0.1 + 0.2),
        Encoding::Dictionary => {
            of(|at| [0.123_456_789_012_3, 77e77, -1e-9][mixed(at) as usize % 3])
        }
        Encoding::Ordered => of(|at| f64::from_bits(1f64.to_bits() + (mixed(at) >> 24))),
        Encoding::Patched => of(|at| match at % 90 {
            7 => stale_marker(),
            _ => (at * at % 997) as f64 / 100.0,
        }),
        Encoding::Decimal32 => of(|at| f64::from((at * at % 997) as f32 / 1000.0)),
        Encoding::Split => of(|at| {
            let dice = (0..6).map(|die| mixed(at * 6 + die) as i64 as f64 * 1e-19);
            dice.sum()
        }),
        Encoding::Quotient => of(|at| (at * at % 997 + 13 * at) as f64 / 7.0 + (at % 2) as f64),
        // A newer one: whoever adds it puts a column here that it suits.
        other => panic!("no column for {other:?}"),
    }
}

/// Two series whose timestamps are no grid: one jitters, one is farther apart than can be counted.
fn times() -> Batch {
    let jitter = grid(300).into_iter().zip(0u64..);
    let jitter: Vec<i64> = jitter
        .map(|(at, number)| at + (mixed(number) % 700) as i64 * 1_000_000)
        .collect();
    let far: Vec<i64> = (0..9)
        .map(|at: i64| (at - 4) * (1 << 60) + mixed(at as u64) as i64 % (1 << 40))
        .collect();
    let values = |count: usize| (0..count).map(|at| at as f64 / 4.0).collect::<Vec<f64>>();
    Batch::new()
        .column(named("jitter", 0), &jitter, &values(300))
        .column(named("far", 0), &far, &values(9))
}

/// Sums of dice: what entropy coding is for. Both parts lie over the same time.
fn dice(part: u64) -> Batch {
    let mut batch = Batch::new();
    for (at, number) in grid(600).into_iter().zip(0u64..) {
        if number % 2 == part {
            let sum: u64 = (0..4).map(|die| mixed(number * 4 + die) >> 58).sum();
            batch.push(named("dice", 0), at, sum as f64 / 10.0);
        }
    }
    batch
}

/// Samples that will be folded into steps of a minute.
fn steps(part: u64) -> Batch {
    let times = grid(400)
        .into_iter()
        .map(|at| at + part as i64 * 7000 * SECOND);
    let times: Vec<i64> = times.collect();
    let values = times
        .iter()
        .map(|&at| (mixed(at as u64) % 1000) as f64 / 8.0);
    let values: Vec<f64> = values.collect();
    let mut batch = Batch::new();
    for number in 0..3 {
        batch.push_column(named("load", number), &times, &values);
    }
    batch
}

/// Histograms of a service with a float now and then; they know since when they count.
fn latency(first: i64, count: i64) -> Batch {
    let (mut batch, labels) = (Batch::new(), named("latency", 0));
    for step in first..first + count {
        let at = START + step * 15 * SECOND;
        if step % 17 == 0 {
            batch.push_since(&labels, at, step as f64, START);
            continue;
        }
        let bucket = |at: i32| (at, (step * 10 + i64::from(at)) as f64);
        let histogram = Histogram {
            schema: if step % 50 < 40 { 3 } else { 2 },
            count: (step * 80 + 28) as f64,
            sum: mixed(step as u64) as f64 * 1e-15,
            zero_threshold: 1e-9,
            positive: (0..8).map(bucket).collect(),
            ..Histogram::default()
        };
        batch.push_histogram_since(&labels, at, &histogram, START + step / 100);
    }
    batch
}

/// Recent samples of a few series, late ones among them.
fn scrape(number: i64, count: i64) -> Batch {
    let mut batch = Batch::new();
    for at in 0..count {
        let series = (at % 5) as u64;
        let time = START + 90_000 * SECOND + (number % 20 * count + at) * SECOND;
        let value = mixed((number * count + at) as u64) % 10_000;
        batch.push(named("up", series), time, value as f64 / 10.0);
    }
    batch
}
