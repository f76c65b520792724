//! Appends of 1,000 samples while flush and compaction run: how long the slow ones take.
//!
//! Input: an empty folder. Output: milliseconds of the call, as fast as it goes and at a steady
//! rate. The WAL is kept small, so that flushes follow each other closely; without both a flush and
//! a merge under way the part fails. Before that, the same number of loops that take as long as a
//! fast append and touch nothing but a register show what the machine's other work adds (idle).

use std::path::Path;
use std::time::{Duration, Instant};

use treering::{Aggregate, Batch, Db, Function, Options, Selector};
use treering_benches::child::Measured;
use treering_benches::generator::{Generator, Shape, Values};
use treering_benches::random::Random;
use treering_benches::{Result, process};

use crate::SEED;
use treering_benches::workload::references;

/// Appends of each pace: more than the 20,000 that a 99.9th percentile wants.
const APPENDS: u32 = 40_000;
/// Random numbers drawn in a loop: about 50 microseconds.
const LOOP: u32 = 25_000;
/// Time between two appends at the steady rate: a million samples a second.
const PACE: Duration = Duration::from_millis(1);

/// Both paces, each in a database of its own.
pub(crate) fn run(quick: bool, folder: &Path) -> Result<Measured> {
    std::fs::create_dir_all(folder)?;
    println!("file system: {}", process::file_system(folder)?);
    let appends = if quick { APPENDS / 2 } else { APPENDS };
    let mut measured = Measured::new();
    for (name, pace) in [("idle", None), ("append", None), ("paced", Some(PACE))] {
        let mut times = match name {
            "idle" => loops(appends),
            _ => appends_of(&folder.join(name), appends, pace)?,
        };
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        println!(
            "{name}: {} times, p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, p99.99 {:.3} ms",
            times.len(),
            at(0.5),
            at(0.99),
            at(0.999),
            at(0.9999)
        );
        measured.insert(format!("{name}_p50"), at(0.5));
        measured.insert(format!("{name}_p999"), at(0.999));
        measured.insert(format!("{name}_most"), at(1.0));
    }
    Ok(measured)
}

/// Milliseconds of each of so many loops of a thread that neither waits nor writes.
fn loops(count: u32) -> Vec<f64> {
    let mut random = Random::new(SEED);
    let looped = |_| {
        let at = Instant::now();
        std::hint::black_box((0..LOOP).fold(0, |sum, _| sum ^ random.bits()));
        at.elapsed().as_secs_f64() * 1e3
    };
    (0..count).map(looped).collect()
}

/// Milliseconds of each append.
fn appends_of(folder: &Path, appends: u32, pace: Option<Duration>) -> Result<Vec<f64>> {
    let shape = Shape {
        samples: appends,
        ..Shape::s(Values::Dec2)
    };
    let options = Options::default()
        .wal_file_bytes(4 << 20)
        .wal_max_bytes(16 << 20);
    let db = Db::open(folder, options)?;
    let mut generator = Generator::new(shape, SEED);
    let references = references(&db, &generator)?;
    let (mut row, mut batch) = (Vec::new(), Batch::with_capacity(references.len()));
    let mut times = Vec::with_capacity(appends as usize);
    let start = Instant::now();
    while let Some(time) = generator.next_row(&mut row) {
        batch.clear();
        for (&reference, &value) in references.iter().zip(&row) {
            batch.push(reference, time, value);
        }
        if let Some(pace) = pace {
            let due = start + pace * times.len() as u32;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let at = Instant::now();
        db.append(&batch)?;
        times.push(at.elapsed().as_secs_f64() * 1e3);
    }
    let stats = db.stats();
    println!(
        "{} flushes, {} merges, {} waits in {:.1} s",
        stats.flushes,
        stats.compactions,
        stats.waits,
        start.elapsed().as_secs_f64()
    );
    if stats.flushes < 2 || stats.compactions == 0 {
        return Err("neither flushes nor merges ran beside the appends".into());
    }
    let counted = db.aggregate(
        &Selector::all(),
        ..,
        &Aggregate::new(Function::Count).by(["__name__"; 0]),
    )?;
    let counted: f64 = counted
        .iter()
        .flat_map(|s| &s.points)
        .map(|p| p.value)
        .sum();
    if counted != shape.total() as f64 {
        return Err(format!("{counted} samples of {}", shape.total()).into());
    }
    db.close()?;
    Ok(times)
}
