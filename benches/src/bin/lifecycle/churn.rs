//! Series that come and go: 20,000 new ones each minute of data, by labels, ten samples each.
//!
//! Input: an empty folder. Output: what the heap comes to, early and late: it must not grow, because
//! labels of series without new samples are forgotten. Memory is bounded tightly, so that heads are
//! flushed as often as in hours of a larger program.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Instant;

use treering::{Aggregate, Batch, Db, Function, Labels, Options, Selector};
use treering_benches::Result;
use treering_benches::child::Measured;
use treering_benches::generator::{START, Shape, Values, labels};
use treering_benches::process::{self, OwnWork};
use treering_benches::random::Random;

use crate::SEED;

/// New series of a minute.
const NEW: u64 = 20_000;
/// Minutes that a series lives.
const LIVES: usize = 5;
/// Samples of each series in a minute.
const ROWS: i64 = 2;
const MINUTE: i64 = 60_000_000_000;
const BATCH: usize = 10_000;
const MEMORY: u64 = 128 << 20;

/// What the process holds at the end of a minute.
#[derive(Debug, Clone, Copy)]
struct Held {
    heap: u64,
    labels: u64,
    series: u64,
}

/// Minutes of coming and going.
pub(crate) fn run(quick: bool, folder: &Path) -> Result<Measured> {
    let minutes = if quick { 96 } else { 180 };
    let db = Db::open(folder, Options::default().memory_bytes(MEMORY))?;
    let mut live: VecDeque<Vec<Labels>> = VecDeque::new();
    let (mut held, mut own) = (Vec::new(), OwnWork::default());
    let (cpu, at) = (process::cpu_seconds()?, Instant::now());
    let (mut random, mut batch) = (Random::new(SEED), Batch::with_capacity(BATCH));
    let mut samples = 0u64;
    for minute in 0..minutes {
        own.add(|| come_and_go(minute, &mut live))??;
        for row in 1..=ROWS {
            let time = START + minute as i64 * MINUTE + row * MINUTE / ROWS;
            for series in live.iter().flat_map(|born| born.chunks(BATCH)) {
                batch.clear();
                for labels in series {
                    batch.push(labels, time, (random.below(10_000)) as f64 / 100.0);
                }
                db.append(&batch)?;
                samples += series.len() as u64;
            }
        }
        let stats = db.stats();
        held.push(Held {
            heap: process::heap_bytes()?,
            labels: stats.label_bytes,
            series: stats.series,
        });
    }
    let wall = at.elapsed().as_secs_f64() - own.wall;
    let cpu = process::cpu_seconds()? - cpu - own.cpu;
    let stats = db.stats();
    println!(
        "{} series in {minutes} minutes of data, {samples} samples, {} flushes, {} merges, {} waits",
        NEW * minutes,
        stats.flushes,
        stats.compactions,
        stats.waits
    );
    db.close()?;
    drop(db);
    // Asking so much at once takes more than the open before had for queries.
    let db = Db::open(folder, Options::default())?;
    check(&db, minutes, samples)?;
    db.close()?;
    let mut measured = tell(&held);
    measured.insert("churn".into(), samples as f64 / wall);
    measured.insert("churn_cpu".into(), cpu / (samples as f64 / 1e6));
    Ok(measured)
}

/// The oldest go, new ones come.
fn come_and_go(minute: u64, live: &mut VecDeque<Vec<Labels>>) -> Result<()> {
    // As many metrics a host as in HC; the number of hosts does not matter for labels.
    let shape = Shape::hc(Values::Dec2);
    if live.len() == LIVES {
        live.pop_front();
    }
    let born = (minute * NEW..(minute + 1) * NEW)
        .map(|series| Ok(Labels::from_pairs(labels(&shape, SEED, series))?));
    live.push_back(born.collect::<Result<_>>()?);
    Ok(())
}

/// Counts hour by hour: the plan of a query takes memory for each series.
fn check(db: &Db, minutes: u64, samples: u64) -> Result<()> {
    let count = Aggregate::new(Function::Count).by(["__name__"; 0]);
    let mut counted = 0.0;
    for hour in 0..minutes.div_ceil(60) as i64 {
        let start = START + hour * 60 * MINUTE;
        let answer = db.aggregate(&Selector::all(), start + 1..=start + 60 * MINUTE, &count)?;
        let points = answer.iter().flat_map(|series| &series.points);
        counted += points.map(|point| point.value).sum::<f64>();
    }
    if counted != samples as f64 {
        return Err(format!("{counted} samples of {samples}").into());
    }
    Ok(())
}

/// The most of the second quarter against the most of the last.
fn tell(held: &[Held]) -> Measured {
    let most = |part: &[Held], of: fn(&Held) -> u64| part.iter().map(of).max().unwrap_or(0) as f64;
    let quarter = held.len() / 4;
    let (early, late) = (&held[quarter..2 * quarter], &held[3 * quarter..]);
    let mib = f64::from(1 << 20);
    let (before, after) = (most(early, |h| h.heap), most(late, |h| h.heap));
    Measured::from([
        ("churn_heap".into(), after / mib),
        ("churn_growth".into(), after / before),
        ("churn_labels".into(), most(held, |h| h.labels) / mib),
        ("churn_series".into(), most(held, |h| h.series)),
    ])
}
