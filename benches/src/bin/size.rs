//! What a database takes on disk, and what the entropy stage buys and costs.
//!
//! Input: workload S with whole numbers, two decimals and counters, M, and the shape that meets no
//! edge with another seed, each in a database of its own with default options; S again with the
//! entropy stage on (`_cold`). Output: bytes per sample of all blocks by what they hold, and of all
//! files; CPU seconds per million samples of writing and compacting; nanoseconds of CPU to read a
//! sample back, and milliseconds for the mean of each series and hour over twelve hours. Every sample
//! is read back and compared bit for bit, every answer with a plain scan.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench prints")]

use std::time::Instant;

use treering::{Db, Labels, Options, Selector};
use treering_benches::child::median;
use treering_benches::generator::{Generator, Shape, Values};
use treering_benches::questions::{KINDS, Plain};
use treering_benches::report::{Report, Wish};
use treering_benches::{Result, process, workload};

/// How often the question is asked; the median counts.
const ASKED: usize = 20;

/// One database: its name in the figures, what it holds, and whether its values are coded by their
/// entropy.
struct Case {
    name: &'static str,
    shape: Shape,
    seed: u64,
    is_cold: bool,
}

impl Case {
    const fn new(name: &'static str, shape: Shape, seed: u64) -> Self {
        Self {
            name,
            shape,
            seed,
            is_cold: false,
        }
    }

    const fn cold(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            shape,
            seed: 1,
            is_cold: true,
        }
    }
}

const CASES: [Case; 8] = [
    Case::new("s_int", Shape::s(Values::Int), 1),
    Case::new("s_dec2", Shape::s(Values::Dec2), 1),
    Case::new("s_counter", Shape::s(Values::Counter), 1),
    Case::new("m_dec2", Shape::m(Values::Dec2), 1),
    Case::new("odd", Shape::odd(Values::Dec2), 2),
    Case::cold("s_int_cold", Shape::s(Values::Int)),
    Case::cold("s_dec2_cold", Shape::s(Values::Dec2)),
    Case::cold("s_counter_cold", Shape::s(Values::Counter)),
];

fn main() -> Result<()> {
    let wish = Wish::of_process()?;
    let mut report = Report::new("size")?;
    for case in &CASES {
        let mut shape = case.shape;
        if wish.quick {
            shape.hosts = shape.hosts.div_ceil(10);
        }
        measure(case, shape, &mut report)?;
    }
    report.finish(&wish)
}

fn measure(case: &Case, shape: Shape, report: &mut Report) -> Result<()> {
    let Case { name, seed, .. } = *case;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let samples = shape.total() as f64;
    let db = Db::open(&data, Options::default().entropy_coding(case.is_cold))?;
    let cpu = process::cpu_seconds()?;
    // Two flushes over the same times, so that compaction writes everything anew.
    for half in 0..2 {
        workload::write_columns(&db, shape, seed, half, 2)?;
        db.flush()?;
    }
    db.compact()?;
    let mut tell = |what: &str, value: f64| report.tell(&format!("size.{name}.{what}"), value);
    tell("cpu", (process::cpu_seconds()? - cpu) / (samples / 1e6))?;
    let bytes = db.stats().block_bytes;
    for (what, bytes) in [
        ("timestamps", bytes.timestamps),
        ("values", bytes.values),
        ("directory", bytes.directory),
        ("index", bytes.index),
        ("blocks", bytes.total),
        ("files", process::folder_bytes(&data)?),
    ] {
        tell(what, bytes as f64 / samples)?;
    }
    tell("decode", check(&db, shape, seed)?)?;
    tell("mean", ask(&db, shape, seed)?)?;
    println!("{name}: every sample is there, every answer right");
    Ok(db.close()?)
}

/// Reads every series, bit for bit what was drawn. Returns CPU nanoseconds per sample.
fn check(db: &Db, shape: Shape, seed: u64) -> Result<f64> {
    let generator = Generator::new(shape, seed);
    let mut cpu = 0.0;
    for series in 0..shape.series() {
        let labels = Labels::from_pairs(generator.labels(series))?;
        let text: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
        let selector = Selector::parse(&format!("{{{}}}", text.join(",")))?;
        let mut found = db.select(&selector, ..)?;
        let found = found.next().ok_or_else(|| format!("{labels} is gone"))??;
        let before = process::exact_thread_cpu_seconds()?;
        let columns = found.columns()?;
        cpu += process::exact_thread_cpu_seconds()? - before;
        let (times, values) = generator.series(series);
        let is_same = columns.timestamps == times
            && columns.values.len() == values.len()
            && (columns.values.iter().zip(&values)).all(|(a, b)| a.to_bits() == b.to_bits());
        if !is_same {
            return Err(format!("the samples of {labels} changed").into());
        }
    }
    Ok(cpu * 1e9 / shape.total() as f64)
}

/// Median milliseconds of twenty seeded questions after one that does not count.
fn ask(db: &Db, shape: Shape, seed: u64) -> Result<f64> {
    let plain = Plain::of(shape, seed);
    let kind = KINDS.iter().find(|kind| kind.name == "double_groupby_all");
    let questions = kind.ok_or("no such question")?;
    let mut took = Vec::new();
    for question in questions.questions(&shape, ASKED + 1, seed)? {
        let at = Instant::now();
        let answer = question.ask(db)?;
        took.push(at.elapsed().as_secs_f64() * 1e3);
        answer.compare(&plain.answer(&question))?;
    }
    Ok(median(took.split_off(1)))
}
