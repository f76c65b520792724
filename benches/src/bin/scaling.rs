//! What a database costs as it grows, and what a second thread gives.
//!
//! Input: a hundred series of a day, of ten and of a hundred days; workload S. Output: CPU seconds per
//! million samples to write them (flushed and merged), and milliseconds of questions that ask for the
//! same little at each size; how many times sooner two threads answer a large aggregate. Sizes run in
//! processes of their own. Every answer is held against the input; a wrong one fails the bench.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints and times"
)]

use std::time::{Duration, Instant};

use treering::{Aggregate, Batch, Db, Function, Labels, Options, Selector, SeriesRef};
use treering_benches::child::{self, Measured, median, median_millis};
use treering_benches::generator::{Generator, METRICS, START, Shape, Values};
use treering_benches::process::OwnWork;
use treering_benches::report::{Report, Wish};
use treering_benches::{Result, process};

const SEED: u64 = 1;
const HOUR: i64 = 3_600_000_000_000;
/// Days of each size.
const SIZES: [(&str, u32); 3] = [("1", 1), ("10", 10), ("100", 100)];
/// How often a question is asked; the median counts.
const ASKED: usize = 51;

fn main() -> Result<()> {
    if let Some(words) = child::part() {
        let measured = match &words[..] {
            [part, size] if part == "threads" => threads(size == "quick")?,
            [part, days] if part == "days" => grown(days.parse()?)?,
            _ => return Err(format!("unknown part {words:?}").into()),
        };
        return child::print(&measured);
    }
    let wish = Wish::of_process()?;
    let mut report = Report::new("scaling")?;
    let mut small = None;
    for (name, days) in SIZES {
        // Ten times and a hundred times as much stay so in the quick run.
        let days = if wish.quick { days.div_ceil(5) } else { days };
        let measured = child::run(&["days", &days.to_string()])?;
        for (what, value) in &measured {
            report.tell(&format!("scaling.{what}_{name}"), *value)?;
        }
        let cost = child::figure(&measured, "cost")?;
        match small {
            None => small = Some(cost),
            Some(small) => report.tell(&format!("scaling.growth_{name}"), cost / small)?,
        }
    }
    let size = if wish.quick { "quick" } else { "full" };
    for (what, value) in child::run(&["threads", size])? {
        report.tell(&format!("scaling.{what}"), value)?;
    }
    report.finish(&wish)
}

/// Writes so many days of a hundred series and asks for an hour of one and for what is newest.
fn grown(days: u32) -> Result<Measured> {
    let shape = Shape::days(days, Values::Dec2);
    let folder = tempfile::tempdir()?;
    let (cpu, mut own) = (process::cpu_seconds()?, OwnWork::default());
    let db = fill(folder.path(), shape, Options::default(), &mut own)?;
    let cpu = process::cpu_seconds()? - cpu - own.cpu;
    let mut measured = Measured::from([("cost".into(), cpu / (shape.total() as f64 / 1e6))]);

    let generator = Generator::new(shape, SEED);
    let (times, values) = generator.series(0);
    let first = START + i64::from(days / 2) * 24 * HOUR + HOUR / 7;
    let range = first + 1..=first + HOUR;
    let wanted: Vec<f64> = times
        .iter()
        .zip(&values)
        .filter(|(at, _)| range.contains(at))
        .map(|(_, value)| *value)
        .collect();
    let one = Selector::metric(METRICS[0]).eq("hostname", "host_0");
    let hour = || -> Result<Vec<f64>> {
        let mut found = Vec::new();
        for series in db.select(&one, range.clone())? {
            found.extend(series?.columns()?.values);
        }
        Ok(found)
    };
    if hour()? != wanted {
        return Err("an hour of one series is not what was written".into());
    }
    measured.insert("hour".into(), median_millis(ASKED, || hour().map(drop))?);
    let all = Selector::all();
    let newest = db.latest(&all)?;
    let last = START + i64::from(shape.samples) * shape.step;
    if newest.len() as u64 != shape.series() || newest.iter().any(|it| it.sample.timestamp != last)
    {
        return Err("the newest samples are not those written last".into());
    }
    let lastpoint = median_millis(ASKED, || {
        db.latest(&all)?;
        Ok(())
    })?;
    measured.insert("lastpoint".into(), lastpoint);
    println!("{days} days: {measured:?}");
    Ok(measured)
}

/// Means of every hour of all series of S, on one thread and on two, in turn.
fn threads(quick: bool) -> Result<Measured> {
    let mut shape = Shape::s(Values::Dec2);
    if quick {
        shape.samples /= 4;
    }
    let folder = tempfile::tempdir()?;
    let mut own = OwnWork::default();
    fill(folder.path(), shape, Options::default(), &mut own)?.close()?;
    let path = folder.path().join("data");
    let mut times = [Vec::new(), Vec::new()];
    let mut answers = Vec::new();
    let hourly = Aggregate::new(Function::Avg).step(Duration::from_secs(3600));
    let first = START + 433_000_000_000;
    for _ in 0..ASKED / 5 {
        for (threads, times) in (1..).zip(&mut times) {
            let db = Db::open(&path, Options::default().query_threads(threads))?;
            let range = first + 1..=first + 12 * HOUR;
            let ask = || db.aggregate(&Selector::all(), range.clone(), &hourly);
            answers.push(ask()?);
            times.push(best(|| ask().map(drop).map_err(Into::into))?);
            db.close()?;
        }
    }
    if answers.iter().any(|answer| *answer != answers[0]) {
        return Err("two threads answer otherwise than one".into());
    }
    let [one, two] = times.map(median);
    println!("means of S: {one} ms on one thread, {two} ms on two");
    Ok(Measured::from([("aggregate_threads".into(), one / two)]))
}

/// A database of the shape, written time by time, flushed and merged.
fn fill(folder: &std::path::Path, shape: Shape, options: Options, own: &mut OwnWork) -> Result<Db> {
    let db = Db::open(folder.join("data"), options)?;
    let mut generator = Generator::new(shape, SEED);
    let references: Vec<SeriesRef> = (0..shape.series())
        .map(|series| {
            let labels = Labels::from_pairs(generator.labels(series))?;
            Ok(db.series(&labels)?)
        })
        .collect::<Result<_>>()?;
    let (mut row, mut batch) = (Vec::new(), Batch::new());
    while let Some(time) = own.add(|| generator.next_row(&mut row))? {
        batch.clear();
        for (reference, value) in references.iter().zip(&row) {
            batch.push(*reference, time, *value);
        }
        db.append(&batch)?;
    }
    db.flush()?;
    db.compact()?;
    Ok(db)
}

/// Least milliseconds of five.
fn best(mut question: impl FnMut() -> Result<()>) -> Result<f64> {
    let times = (0..5).map(|_| once(&mut question));
    let times: Vec<f64> = times.collect::<Result<_>>()?;
    Ok(times.into_iter().fold(f64::INFINITY, f64::min))
}

fn once(question: &mut impl FnMut() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    question()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
