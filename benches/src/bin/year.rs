//! A year of a thousand series, a sample every ten seconds: 3.15 thousand million, summed up by day.
//!
//! Input: workload Y with ten times the hosts, written series by series, flushed and compacted.
//! Output: milliseconds of the first question of an open (and of the same again, `_warm`): daily
//! maxima, means and counts of all series and of one; the ten series with the largest mean of a month,
//! and the same by all means and sorting (`_sorted`). Counts and maxima are compared with what was
//! drawn bit for bit, sums to one part in 10^12. `--quick`: a hundred series of thirty days.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench prints")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use treering::{Aggregate, AggregatedSeries, Batch, Db, Function, Labels, Options, Selector};
use treering_benches::child::median;
use treering_benches::generator::{Generator, START, Shape, Values};
use treering_benches::report::{Report, Wish};
use treering_benches::workload::BATCH;
use treering_benches::{Result, process};

const SEED: u64 = 1;
const ASKED: usize = 11;
const DAY: i64 = 86_400_000_000_000;
/// Samples of a day.
const OF_DAY: usize = 8640;
/// Days of the question for the best.
const MONTH: usize = 30;
const BEST: usize = 10;

fn main() -> Result<()> {
    let wish = Wish::of_process()?;
    let mut report = Report::new("year")?;
    let (days, hosts) = if wish.quick { (30, 10) } else { (365, 100) };
    let shape = Shape {
        hosts,
        ..Shape::days(days, Values::Dec2)
    };
    let folder = tempfile::tempdir()?;
    println!("files in {}", process::file_system(folder.path())?);
    let data = folder.path().join("data");
    let days = write(shape, &data, &mut report)?;
    ask(&days, &data, &mut report)?;
    report.finish(&wish)
}

/// What the samples of a day come to.
#[derive(Debug, Clone, Copy)]
struct Day {
    max: f64,
    sum: f64,
}

/// Days of each series.
type Days = BTreeMap<Labels, Vec<Day>>;

fn write(shape: Shape, folder: &Path, report: &mut Report) -> Result<Days> {
    let generator = Generator::new(shape, SEED);
    let db = Db::open(folder, Options::default())?;
    let (mut days, at) = (Days::new(), Instant::now());
    let (mut times, mut values) = (Vec::new(), Vec::new());
    let mut batch = Batch::with_capacity(BATCH);
    for series in 0..shape.series() {
        let labels = Labels::from_pairs(generator.labels(series))?;
        let reference = db.series(&labels)?;
        let mut stream = generator.stream(series);
        let folds = days.entry(labels).or_default();
        // Windows are left-open and the first sample stands one step after the start: whole days.
        while stream.next_column(OF_DAY, &mut times, &mut values) > 0 {
            folds.push(Day {
                max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                sum: values.iter().sum(),
            });
            batch.clear();
            batch.push_column(reference, &times, &values);
            db.append(&batch)?;
        }
    }
    db.flush()?;
    db.compact()?;
    report.tell("year.samples", shape.total() as f64)?;
    report.tell("year.write", at.elapsed().as_secs_f64())?;
    let bytes = process::folder_bytes(folder)? as f64 / shape.total() as f64;
    report.tell("year.bytes", bytes)?;
    db.close()?;
    Ok(days)
}

fn ask(days: &Days, data: &Path, report: &mut Report) -> Result<()> {
    let length = days.values().next().map_or(0, Vec::len);
    let (labels, _) = days.iter().nth(days.len() / 3).ok_or("no series")?;
    let text: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
    let one = Selector::parse(&format!("{{{}}}", text.join(",")))?;
    for (name, function) in [
        ("max", Function::Max),
        ("mean", Function::Avg),
        ("count", Function::Count),
    ] {
        for (whose, selector, series) in [
            ("all", Selector::all(), days.len()),
            ("one", one.clone(), 1),
        ] {
            let daily = Aggregate::new(function).step(Duration::from_hours(24));
            let range = START + 1..=START + length as i64 * DAY;
            let ask = |db: &Db| Ok(db.aggregate(&selector, range.clone(), &daily)?);
            let check = |answer: &[_]| check_days(days, &function, answer, series);
            let took = time(data, ask, check)?;
            report.tell(&format!("year.{name}_{whose}"), took[0])?;
            report.tell(&format!("year.{name}_{whose}_warm"), took[1])?;
        }
    }
    best(days, data, report)
}

/// The series with the largest mean of the last month.
fn best(days: &Days, data: &Path, report: &mut Report) -> Result<()> {
    let length = days.values().next().map_or(0, Vec::len);
    let from = length.saturating_sub(MONTH);
    let range = START + from as i64 * DAY + 1..=START + length as i64 * DAY;
    let samples = (length - from) * OF_DAY;
    let mut wanted: Vec<(f64, &Labels)> = days
        .iter()
        .map(|(labels, days)| (days[from..].iter().map(|day| day.sum).sum(), labels))
        .map(|(sum, labels): (f64, _)| (sum / samples as f64, labels))
        .collect();
    wanted.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let mean = Aggregate::new(Function::Avg);
    let check = |answer: &[AggregatedSeries]| -> Result<()> {
        for (found, (mean, labels)) in answer.iter().zip(&wanted) {
            let value = found.points.first().map_or(f64::NAN, |point| point.value);
            if found.labels != **labels || !is_near(value, *mean) {
                return Err(format!("{} was not the next best", found.labels).into());
            }
        }
        match answer.len() == BEST {
            true => Ok(()),
            false => Err(format!("{} were best, not {BEST}", answer.len()).into()),
        }
    };
    let top = mean.clone().top(BEST);
    let ask = |db: &Db| Ok(db.aggregate(&Selector::all(), range.clone(), &top)?);
    let took = time(data, ask, check)?;
    report.tell("year.best", took[0])?;
    report.tell("year.best_warm", took[1])?;
    let sort = |db: &Db| {
        let mut all = db.aggregate(&Selector::all(), range.clone(), &mean)?;
        let value = |series: &AggregatedSeries| series.points.first().map_or(f64::NAN, |p| p.value);
        all.sort_by(|a, b| value(b).total_cmp(&value(a)).then(a.labels.cmp(&b.labels)));
        all.truncate(BEST);
        Ok(all)
    };
    let took = time(data, sort, check)?;
    report.tell("year.best_sorted", took[0])?;
    report.tell("year.best_sorted_warm", took[1])
}

/// Median milliseconds of the first question of an open and of the same again.
fn time(
    data: &Path,
    question: impl Fn(&Db) -> Result<Vec<AggregatedSeries>>,
    check: impl Fn(&[AggregatedSeries]) -> Result<()>,
) -> Result<[f64; 2]> {
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..ASKED {
        let db = Db::open(data, Options::default())?;
        for took in &mut took {
            let at = Instant::now();
            let answer = question(&db)?;
            took.push(at.elapsed().as_secs_f64() * 1e3);
            check(&answer)?;
        }
        db.close()?;
    }
    Ok(took.map(median))
}

fn check_days(
    days: &Days,
    function: &Function,
    answer: &[AggregatedSeries],
    series: usize,
) -> Result<()> {
    if answer.len() != series {
        return Err(format!("{} series, not {series}", answer.len()).into());
    }
    for found in answer {
        let days = days.get(&found.labels).ok_or("a series was invented")?;
        let is_right = |value: f64, day: &Day| match function {
            Function::Max => value.to_bits() == day.max.to_bits(),
            Function::Count => value == OF_DAY as f64,
            _ => is_near(value, day.sum / OF_DAY as f64),
        };
        let mut points = found.points.iter().zip(days).zip(1..);
        let is_at = |time: i64, day: i64| time == START + day * DAY;
        let all = points.all(|((p, day), n)| is_at(p.timestamp, n) && is_right(p.value, day));
        if found.points.len() != days.len() || !all {
            return Err(format!("{}: {function:?} is wrong", found.labels).into());
        }
    }
    Ok(())
}

fn is_near(value: f64, wanted: f64) -> bool {
    (value - wanted).abs() <= wanted.abs() * 1e-12
}
