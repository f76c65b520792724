//! Workload HC: a million series of ten samples in, flushed, replayed, reopened, asked.
//!
//! Input: the generator. Output: memory and disk per series, CPU per million samples, open and
//! query times. Every answer is checked against the generator; a wrong one fails the bench.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints and times"
)]

use std::path::Path;
use std::time::Instant;

use treering::{Batch, Db, Labels, Options, Selector, SeriesRef};
use treering_benches::child::{median, median_millis};
use treering_benches::generator::{Generator, Shape, Values};
use treering_benches::report::{Report, Wish};
use treering_benches::{Result, process};

const SEED: u64 = 1;
const BATCH_SAMPLES: usize = 10_000;
/// How often a query is asked; the median counts.
const ASKED: usize = 51;

fn main() -> Result<()> {
    let wish = Wish::of_process()?;
    let mut report = Report::new("cardinality")?;
    let full = Shape::hc(Values::Dec2);
    let shape = if wish.quick {
        Shape {
            hosts: 5_000,
            ..full
        }
    } else {
        full
    };
    let folder = tempfile::tempdir()?;
    let (data, killed) = (folder.path().join("data"), folder.path().join("killed"));
    report.tell("cardinality.series", shape.series() as f64)?;

    let db = Db::open(&data, Options::default())?;
    ingest(&db, shape, &mut report)?;
    db.sync()?;
    // A copy of the files under a running writer: what a kill would leave, without one.
    process::copy_folder(&data, &killed)?;
    let start = Instant::now();
    db.flush()?;
    report.tell("cardinality.flush", start.elapsed().as_secs_f64())?;
    db.close()?;
    drop(db);
    let bytes = process::folder_bytes(&data)?;
    report.tell("cardinality.disk", bytes as f64 / shape.series() as f64)?;

    let start = Instant::now();
    let db = Db::open(&killed, Options::default())?;
    report.tell("cardinality.replay", start.elapsed().as_secs_f64())?;
    check_newest(&db, shape)?;
    println!(
        "a copy taken under the writer: {} frames, {} samples replayed, all there",
        db.recovery().frames,
        db.recovery().samples
    );
    drop(db);

    ask(&data, shape, &mut report)?;
    report.finish(&wish)
}

/// Appends every row, ten thousand samples a batch, and tells what it cost.
fn ingest(db: &Db, shape: Shape, report: &mut Report) -> Result<()> {
    let mut generator = Generator::new(shape, SEED);
    let (mut row, mut batch) = (Vec::new(), Batch::with_capacity(BATCH_SAMPLES));
    let mut references: Vec<SeriesRef> = Vec::with_capacity(shape.series() as usize);
    row.reserve(shape.series() as usize);
    let (start_rss, start_cpu) = (process::rss_bytes()?, process::cpu_seconds()?);
    let (start, mut own_cpu, mut own_time) = (Instant::now(), 0.0, 0.0);
    loop {
        let (own, at) = (process::thread_cpu_seconds()?, Instant::now());
        let Some(time) = generator.next_row(&mut row) else {
            break;
        };
        own_cpu += process::thread_cpu_seconds()? - own;
        own_time += at.elapsed().as_secs_f64();
        for first in (0..row.len()).step_by(BATCH_SAMPLES) {
            let end = row.len().min(first + BATCH_SAMPLES);
            if references.len() < end {
                // Making the labels' text is the bench's work; making the series the engine's.
                let (own, at) = (process::thread_cpu_seconds()?, Instant::now());
                let labels = (references.len()..end)
                    .map(|series| Ok(Labels::from_pairs(generator.labels(series as u64))?));
                let labels: Vec<Labels> = labels.collect::<Result<_>>()?;
                own_cpu += process::thread_cpu_seconds()? - own;
                own_time += at.elapsed().as_secs_f64();
                for labels in &labels {
                    references.push(db.series(labels)?);
                }
            }
            batch.clear();
            for (reference, value) in references[first..end].iter().zip(&row[first..end]) {
                batch.push(*reference, time, *value);
            }
            db.append(&batch)?;
        }
    }
    let seconds = start.elapsed().as_secs_f64() - own_time;
    let cpu = process::cpu_seconds()? - start_cpu - own_cpu;
    let rss = process::rss_bytes()?;
    // What the bench itself touched since the start: references and one row.
    let own_bytes = references.len() * size_of::<SeriesRef>() + row.len() * size_of::<f64>();
    let held = rss
        .saturating_sub(start_rss)
        .saturating_sub(own_bytes as u64);
    let peak = process::rss_peak_bytes()?;
    println!(
        "RSS {} MB before, {} MB after {} samples of {} series, peak {} MB; the engine says {} MB",
        start_rss >> 20,
        rss >> 20,
        shape.total(),
        shape.series(),
        peak >> 20,
        (db.stats().head_bytes + db.stats().label_bytes) >> 20
    );
    report.tell("cardinality.ingest", shape.total() as f64 / seconds)?;
    report.tell("cardinality.ingest_cpu", cpu / (shape.total() as f64 / 1e6))?;
    report.tell("cardinality.memory", held as f64 / shape.series() as f64)?;
    report.tell(
        "cardinality.memory_peak",
        peak as f64 / shape.series() as f64,
    )
}

/// Opens the flushed database and asks it.
fn ask(data: &Path, shape: Shape, report: &mut Report) -> Result<()> {
    let mut opens = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let db = Db::open(data, Options::default())?;
        opens.push(start.elapsed().as_secs_f64() * 1e3);
        db.close()?;
    }
    report.tell("cardinality.open", median(opens))?;
    let db = Db::open(data, Options::default())?;
    let generator = Generator::new(shape, SEED);

    let host = u64::from(shape.hosts / 81 * 10 + 5).min(12_345);
    let exact = Selector::parse(&format!("{{hostname=\"host_{host}\"}}"))?;
    check_host(&db, &exact, &generator, host)?;
    report.tell(
        "cardinality.exact",
        median_millis(ASKED, || {
            for series in db.select(&exact, ..)? {
                series?.columns()?;
            }
            Ok(())
        })?,
    )?;
    for (metric, pattern, holds) in [
        (
            "cardinality.prefix",
            "host_123.*",
            (|n: &str| n.starts_with("123")) as fn(&str) -> bool,
        ),
        ("cardinality.infix", ".*234.*", |n: &str| n.contains("234")),
    ] {
        let selector = Selector::parse(&format!(
            "{{__name__=\"cpu_usage_user\",hostname=~\"{pattern}\"}}"
        ))?;
        let hosts = (0..shape.hosts)
            .filter(|host| holds(&host.to_string()))
            .count();
        let found = db.select(&selector, ..)?.count();
        if found != hosts {
            return Err(format!("{selector} found {found} series, not {hosts}").into());
        }
        report.tell(
            metric,
            median_millis(ASKED, || {
                db.select(&selector, ..)?;
                Ok(())
            })?,
        )?;
    }
    let start = Instant::now();
    let newest = db.latest(&Selector::all())?.len() as u64;
    report.tell("cardinality.lastpoint", start.elapsed().as_secs_f64())?;
    if newest != shape.series() {
        return Err(format!("the newest of {newest} series, not {}", shape.series()).into());
    }
    check_newest(&db, shape)?;
    println!("RSS {} MB after all queries", process::rss_bytes()? >> 20);
    Ok(db.close()?)
}

/// The ten series of a host, all their samples.
fn check_host(db: &Db, selector: &Selector, generator: &Generator, host: u64) -> Result<()> {
    let metrics = u64::from(generator.shape().metrics);
    let mut found = 0;
    for series in db.select(selector, ..)? {
        let series = series?;
        let number = (host * metrics..(host + 1) * metrics).find(|&number| {
            Labels::from_pairs(generator.labels(number)).as_ref() == Ok(series.labels())
        });
        let number = number.ok_or_else(|| format!("{} was invented", series.labels()))?;
        let columns = series.columns()?;
        if (columns.timestamps, columns.values) != generator.series(number) {
            return Err(format!("the samples of {} changed", series.labels()).into());
        }
        found += 1;
    }
    if found != metrics {
        return Err(format!("{selector} found {found} series, not {metrics}").into());
    }
    Ok(())
}

/// The newest sample of every series of the last host and of the whole.
fn check_newest(db: &Db, shape: Shape) -> Result<()> {
    let generator = Generator::new(shape, SEED);
    let wanted: std::collections::BTreeMap<Labels, u64> = (0..shape.series())
        .map(|series| {
            let (_, values) = generator.series(series);
            let last = values.last().map_or(0, |value| value.to_bits());
            Ok((Labels::from_pairs(generator.labels(series))?, last))
        })
        .collect::<Result<_>>()?;
    let newest = db.latest(&Selector::all())?;
    let found = newest
        .iter()
        .map(|latest| (&latest.labels, latest.sample.value.to_bits()));
    if !found.eq(wanted.iter().map(|(labels, bits)| (labels, *bits))) {
        return Err("the newest samples are not those appended last".into());
    }
    Ok(())
}
