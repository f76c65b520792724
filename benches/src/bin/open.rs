//! Opening: a database that was closed, and one whose process was killed with its log full.
//!
//! Input: workload S written, flushed, compacted and closed; workload M appended by a process of its
//! own that is then killed with nothing flushed. Output: median milliseconds of an open of the first,
//! the open itself and with the first answer; seconds of the first open of the second, which replays
//! 14.4 million samples. Every sample that was acknowledged must be there, bit for bit.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints and starts processes"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use treering::{Db, Labels, Options, Selector};
use treering_benches::child::{self, median};
use treering_benches::generator::{Generator, Shape, Values};
use treering_benches::report::{Report, Wish};
use treering_benches::{Result, process, workload};

const SEED: u64 = 1;
/// Opens of the closed database, and kills.
const OPENS: usize = 21;
const KILLS: usize = 3;
/// What the writer says when all is acknowledged.
const READY: &str = "acknowledged";

fn main() -> Result<()> {
    if let Some(words) = child::part() {
        let [folder, size] = &words[..] else {
            return Err(format!("a part needs a folder and a size, not {words:?}").into());
        };
        return write_and_wait(Path::new(folder), shape_m(size == "quick"));
    }
    let wish = Wish::of_process()?;
    let mut report = Report::new("open")?;
    let folder = tempfile::tempdir()?;
    println!("files in {}", process::file_system(folder.path())?);
    closed(&folder.path().join("closed"), wish.quick, &mut report)?;
    killed(folder.path(), wish.quick, &mut report)?;
    report.finish(&wish)
}

fn shape_m(is_quick: bool) -> Shape {
    let full = Shape::m(Values::Dec2);
    let hosts = if is_quick { 200 } else { full.hosts };
    Shape { hosts, ..full }
}

fn closed(folder: &Path, is_quick: bool, report: &mut Report) -> Result<()> {
    let mut shape = Shape::s(Values::Dec2);
    if is_quick {
        shape.hosts = 10;
    }
    let db = Db::open(folder, Options::default())?;
    workload::write_rows(&db, shape, SEED)?;
    db.flush()?;
    db.compact()?;
    db.close()?;
    let newest = Selector::metric("cpu_usage_user");
    let (mut opens, mut answers) = (Vec::new(), Vec::new());
    for _ in 0..OPENS {
        let at = Instant::now();
        let db = Db::open(folder, Options::default())?;
        opens.push(at.elapsed().as_secs_f64() * 1e3);
        let found = db.latest(&newest)?.len();
        answers.push(at.elapsed().as_secs_f64() * 1e3);
        if found as u32 != shape.hosts {
            return Err(format!("{found} newest samples, not {}", shape.hosts).into());
        }
        db.close()?;
    }
    report.tell("open.closed", median(opens))?;
    report.tell("open.closed_answer", median(answers))
}

fn killed(folder: &Path, is_quick: bool, report: &mut Report) -> Result<()> {
    let shape = shape_m(is_quick);
    let (mut opens, mut cpus) = (Vec::new(), Vec::new());
    for number in 0..if is_quick { 1 } else { KILLS } {
        let data = folder.join(format!("killed-{number}"));
        kill_when_written(&data, is_quick)?;
        let (cpu, at) = (process::cpu_seconds()?, Instant::now());
        let db = Db::open(&data, Options::default())?;
        opens.push(at.elapsed().as_secs_f64());
        cpus.push(process::cpu_seconds()? - cpu);
        let recovery = db.recovery();
        println!(
            "killed: {} frames, {} samples replayed of {}",
            recovery.frames,
            recovery.samples,
            shape.total()
        );
        if recovery.samples != shape.total() {
            return Err("the log was not all there was: it was flushed".into());
        }
        check(&db, shape)?;
        db.close()?;
        std::fs::remove_dir_all(&data)?;
    }
    report.tell("open.killed", median(opens))?;
    report.tell("open.killed_cpu", median(cpus))
}

/// A process appends everything, says so, and is killed.
fn kill_when_written(data: &Path, is_quick: bool) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    let size = if is_quick { "quick" } else { "full" };
    command.arg("part").arg(data).arg(size);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().ok_or("a child without stdout")?;
    let mut lines = BufReader::new(out).lines();
    let said = lines.next();
    child.kill()?;
    child.wait()?;
    match said {
        Some(Ok(line)) if line == READY => Ok(()),
        other => Err(format!("the writer said {other:?}").into()),
    }
}

/// Appends, tells, and stays until it is killed.
fn write_and_wait(data: &Path, shape: Shape) -> Result<()> {
    let db = Db::open(data, Options::default())?;
    workload::write_rows(&db, shape, SEED)?;
    println!("{READY}");
    loop {
        std::thread::park();
    }
}

/// Every series, all its samples.
fn check(db: &Db, shape: Shape) -> Result<()> {
    let generator = Generator::new(shape, SEED);
    let numbers = (0..shape.series())
        .map(|series| Ok((Labels::from_pairs(generator.labels(series))?, series)));
    let numbers: BTreeMap<Labels, u64> = numbers.collect::<Result<_>>()?;
    let mut found = 0;
    for series in db.select(&Selector::all(), ..)? {
        let series = series?;
        let number = numbers.get(series.labels());
        let number = *number.ok_or_else(|| format!("{} was invented", series.labels()))?;
        let columns = series.columns()?;
        let (times, values) = generator.series(number);
        let same_bits =
            (columns.values.iter().zip(&values)).all(|(a, b)| a.to_bits() == b.to_bits());
        if columns.timestamps != times || columns.values.len() != values.len() || !same_bits {
            return Err(format!("the samples of {} changed", series.labels()).into());
        }
        found += 1;
    }
    match found == shape.series() {
        true => Ok(()),
        false => Err(format!("{found} series, not {}", shape.series()).into()),
    }
}
