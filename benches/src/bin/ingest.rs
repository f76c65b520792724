//! Appending, one way after another: rows, columns, single samples, by reference and by labels.
//!
//! Input: workload S with two decimals (M, or the shape that meets no edge and another seed, where it
//! says so), drawn before the clock starts. Output:
//! samples a second and CPU seconds per million, of the whole process, until the last append is
//! acknowledged and synced (`columns`: until all is in blocks). Each way runs in a process of its
//! own, in turn with the others, several rounds; medians count. The database must then hold exactly
//! what was drawn, bit for bit.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints and times"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use treering::{Batch, Db, Labels, Options, Selector, SeriesRef, Sync};
use treering_benches::child::{self, Measured, figure, medians};
use treering_benches::generator::{Generator, Shape, Values};
use treering_benches::report::{Report, Wish};
use treering_benches::{Result, process};

const SEED: u64 = 1;
const BATCH: usize = 10_000;
const ROUNDS: usize = 3;
const THREADS: usize = 64;
/// Samples of each of the threads that append one at a time.
const THREAD_SAMPLES: usize = 400;

/// Every way, in the order of a round.
const WAYS: [&str; 10] = [
    "refs",
    "odd",
    "labels",
    "always",
    "columns",
    "odd_columns",
    "single",
    "writers",
    "m",
    "threads",
];

fn main() -> Result<()> {
    if let Some(words) = child::part() {
        let [way, size] = &words[..] else {
            return Err(format!("a part needs two words, not {words:?}").into());
        };
        return child::print(&run(way, size == "quick")?);
    }
    let wish = Wish::of_process()?;
    let mut report = Report::new("ingest")?;
    let folder = tempfile::tempdir()?;
    println!("files in {}", process::file_system(folder.path())?);
    let mut runs: BTreeMap<&str, Vec<Measured>> = BTreeMap::new();
    for round in 0..if wish.quick { 1 } else { ROUNDS } {
        for way in WAYS {
            let size = if wish.quick { "quick" } else { "full" };
            let measured = child::run(&[way, size])?;
            println!("{round} {way} {measured:?}");
            runs.entry(way).or_default().push(measured);
        }
    }
    let medians: BTreeMap<&str, Measured> = runs
        .iter()
        .map(|(way, runs)| (*way, medians(runs)))
        .collect();
    for (way, measured) in &medians {
        for (what, value) in measured {
            report.tell(&format!("ingest.{way}.{what}"), *value)?;
        }
    }
    for (name, of, to) in [
        ("writers_to_one", "writers", "refs"),
        ("odd_to_s", "odd", "refs"),
        ("odd_columns_to_s", "odd_columns", "columns"),
    ] {
        // Of neighbours in time, so that what else the machine does hits both.
        let pairs = runs[of].iter().zip(&runs[to]);
        let ratios = pairs.map(|(of, to)| Ok(figure(of, "rate")? / figure(to, "rate")?));
        let ratios: Vec<f64> = ratios.collect::<Result<_>>()?;
        report.tell(&format!("ingest.{name}"), child::median(ratios))?;
    }
    report.finish(&wish)
}

/// The samples of a workload: rows one after the other.
struct Drawn {
    generator: Generator,
    times: Vec<i64>,
    rows: Vec<f64>,
}

impl Drawn {
    fn of(shape: Shape, seed: u64) -> Self {
        let mut generator = Generator::new(shape, seed);
        let (mut times, mut rows, mut row) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(time) = generator.next_row(&mut row) {
            times.push(time);
            rows.extend_from_slice(&row);
        }
        Self {
            generator,
            times,
            rows,
        }
    }

    fn width(&self) -> usize {
        self.rows.len() / self.times.len()
    }

    /// The values series by series.
    fn columns(&self) -> Vec<Vec<f64>> {
        let mut columns = vec![Vec::with_capacity(self.times.len()); self.width()];
        for row in self.rows.chunks(self.width()) {
            for (column, &value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        columns
    }

    fn labels(&self) -> Result<Vec<Labels>> {
        (0..self.width() as u64)
            .map(|series| Ok(Labels::from_pairs(self.generator.labels(series))?))
            .collect()
    }

    /// Fails unless the first `samples` of the `series` first series are all that `db` holds.
    fn check(&self, db: &Db, series: usize, samples: usize) -> Result<()> {
        let width = self.width();
        let labels = self.labels()?.into_iter().zip(0..series);
        let numbers: BTreeMap<Labels, usize> = labels.collect();
        let mut found = 0;
        for series in db.select(&Selector::all(), ..)? {
            let series = series?;
            let number = numbers.get(series.labels());
            let number = *number.ok_or_else(|| format!("{} was invented", series.labels()))?;
            let columns = series.columns()?;
            let wanted = self.rows[number..].iter().step_by(width).take(samples);
            if columns.timestamps != self.times[..samples]
                || !columns
                    .values
                    .iter()
                    .map(|v| v.to_bits())
                    .eq(wanted.map(|v| v.to_bits()))
            {
                return Err(format!("the samples of {} changed", series.labels()).into());
            }
            found += 1;
        }
        if found != series {
            return Err(format!("{found} series of {series}").into());
        }
        Ok(())
    }
}

/// One way, in the process that was started for it.
fn run(way: &str, quick: bool) -> Result<Measured> {
    let mut shape = Shape::s(Values::Dec2);
    let mut seed = SEED;
    match way {
        "m" => shape = Shape::m(Values::Dec2),
        "odd" | "odd_columns" => (shape, seed) = (Shape::odd(Values::Dec2), SEED + 1),
        _ => {}
    }
    if quick || way == "threads" || way == "single" {
        shape.samples /= 8;
    }
    let drawn = Drawn::of(shape, seed);
    let sync = match way {
        "always" | "threads" => Sync::Always,
        _ => Sync::Interval(Duration::from_millis(200)),
    };
    let folder = tempfile::tempdir()?;
    let db = Db::open(folder.path().join("data"), Options::default().sync(sync))?;
    let labels = drawn.labels()?;
    let references: Vec<SeriesRef> = match way {
        "labels" => Vec::new(),
        _ => labels
            .iter()
            .map(|l| db.series(l))
            .collect::<std::result::Result<_, _>>()?,
    };
    let turned = match way {
        "columns" | "odd_columns" => drawn.columns(),
        _ => Vec::new(),
    };
    let (mut series, mut samples) = (labels.len(), drawn.times.len());
    let (cpu, at) = (process::cpu_seconds()?, Instant::now());
    match way {
        "refs" | "odd" | "always" | "m" => rows(&db, &drawn, &references, 0)?,
        "labels" => rows_by_labels(&db, &drawn, &labels)?,
        "columns" | "odd_columns" => columns(&db, &drawn, &references, &turned)?,
        "single" => singles(&db, &drawn, &references)?,
        "writers" => writers(&db, &drawn, &references)?,
        "threads" => {
            (series, samples) = (THREADS, THREAD_SAMPLES.min(samples));
            threads(&db, &drawn, &references[..series], samples)?;
        }
        _ => return Err(format!("no way {way:?}").into()),
    }
    if way.ends_with("columns") {
        db.flush()?;
    }
    db.sync()?;
    let seconds = at.elapsed().as_secs_f64();
    let cpu = process::cpu_seconds()? - cpu;
    drawn.check(&db, series, samples)?;
    if db.stats().waits > 0 {
        println!("{} appends waited for a flush", db.stats().waits);
    }
    let appended = (series * samples) as f64;
    Ok(Measured::from([
        ("rate".into(), appended / seconds),
        ("cpu".into(), cpu / (appended / 1e6)),
    ]))
}

/// Batches of rows; those of the series from `first` on that `references` name.
fn rows(db: &Db, drawn: &Drawn, references: &[SeriesRef], first: usize) -> Result<()> {
    let mut batch = Batch::with_capacity(BATCH + references.len());
    for (&time, row) in drawn.times.iter().zip(drawn.rows.chunks(drawn.width())) {
        for part in 0..references.len().div_ceil(BATCH) {
            let from = part * BATCH;
            let to = references.len().min(from + BATCH);
            for (&reference, &value) in references[from..to].iter().zip(&row[first + from..]) {
                batch.push(reference, time, value);
            }
            if batch.len() >= BATCH {
                db.append(&batch)?;
                batch.clear();
            }
        }
    }
    Ok(db.append(&batch)?)
}

fn rows_by_labels(db: &Db, drawn: &Drawn, labels: &[Labels]) -> Result<()> {
    let mut batch = Batch::with_capacity(BATCH);
    for (&time, row) in drawn.times.iter().zip(drawn.rows.chunks(drawn.width())) {
        for (labels, &value) in labels.iter().zip(row) {
            batch.push(labels, time, value);
        }
        if batch.len() >= BATCH {
            db.append(&batch)?;
            batch.clear();
        }
    }
    Ok(db.append(&batch)?)
}

/// One series after another, as slices.
fn columns(db: &Db, drawn: &Drawn, references: &[SeriesRef], columns: &[Vec<f64>]) -> Result<()> {
    let mut batch = Batch::with_capacity(drawn.times.len());
    for (&reference, column) in references.iter().zip(columns) {
        batch.clear();
        batch.push_column(reference, &drawn.times, column);
        db.append(&batch)?;
    }
    Ok(())
}

/// One sample per call.
fn singles(db: &Db, drawn: &Drawn, references: &[SeriesRef]) -> Result<()> {
    let mut batch = Batch::with_capacity(1);
    for (&time, row) in drawn.times.iter().zip(drawn.rows.chunks(drawn.width())) {
        for (&reference, &value) in references.iter().zip(row) {
            batch.clear();
            batch.push(reference, time, value);
            db.append(&batch)?;
        }
    }
    Ok(())
}

/// As [`rows`], by two threads of half of the series each.
fn writers(db: &Db, drawn: &Drawn, references: &[SeriesRef]) -> Result<()> {
    let middle = references.len() / 2;
    std::thread::scope(|scope| {
        let second = scope.spawn(|| rows(db, drawn, &references[middle..], middle));
        rows(db, drawn, &references[..middle], 0)?;
        second.join().map_err(|_| "a writer panicked")?
    })
}

/// Many threads, each one series and one sample per call.
fn threads(db: &Db, drawn: &Drawn, references: &[SeriesRef], samples: usize) -> Result<()> {
    let width = drawn.width();
    let append = |series: usize| -> Result<()> {
        let values = drawn.rows[series..].iter().step_by(width);
        for (&time, &value) in drawn.times.iter().zip(values).take(samples) {
            db.append(&Batch::new().sample(references[series], time, value))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let append = &append;
        let handles: Vec<_> = (0..references.len())
            .map(|series| scope.spawn(move || append(series)))
            .collect();
        handles
            .into_iter()
            .try_for_each(|handle| handle.join().map_err(|_| "a thread panicked")?)
    })
}
