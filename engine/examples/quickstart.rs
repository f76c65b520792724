//! Quickstart: an hour of a real machine in, three questions, and a crash that loses nothing.
//!
//! Input: the capture beside this file (engine/examples/data/README.md). Output: answers, a plot
//! and sizes on the terminal; the database lives in a temporary directory. Run it with
//! `cargo run --release --example quickstart`.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example prints, and starts a process of its own"
)]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use treering::{
    Aggregate, AggregatedSeries, Batch, Db, Function, Labels, Options, Selector, Sync, labels,
    stale_marker,
};

const CAPTURE: &[u8] = include_bytes!("data/node.capture.zst");
const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One series of the capture.
struct Series {
    labels: Labels,
    timestamps: Vec<i64>,
    values: Vec<f64>,
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let done = match (args.next().as_deref(), args.next()) {
        (Some("--writer"), Some(dir)) => write_until_killed(Path::new(&dir)),
        _ => tour(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nFAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn tour() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let capture = read_capture()?;
    let db = Db::open(dir.path(), Options::default())?;
    import(&db, &capture)?;
    flush(&db)?;
    let hour = whole_minutes(&db)?;
    how_busy(&db, &hour)?;
    how_full(&db, &hour)?;
    which_disk(&db, &hour)?;
    db.close()?;
    crash(dir.path(), &capture)
}

// ---- In ---------------------------------------------------------------------------------------

fn import(db: &Db, capture: &[Series]) -> Result<()> {
    let start = Instant::now();
    let mut samples = 0;
    for series in capture {
        let reference = db.series(&series.labels)?;
        db.append(&Batch::new().column(reference, &series.timestamps, &series.values))?;
        samples += series.values.len();
    }
    let took = start.elapsed().as_secs_f64();
    println!(
        "import  {} samples of {} series in {:.0} ms, {:.1} million a second",
        grouped(samples as u64),
        capture.len(),
        took * 1e3,
        samples as f64 / took / 1e6
    );
    Ok(())
}

fn flush(db: &Db) -> Result<()> {
    let start = Instant::now();
    db.flush()?;
    let took = start.elapsed().as_secs_f64();
    let stats = db.stats();
    let bytes = stats.block_bytes;
    let each = |bytes: u64| bytes as f64 / stats.block_samples as f64;
    println!(
        "flush   {} kB on disk in {:.0} ms, {:.2} bytes a sample instead of 16",
        grouped(bytes.total / 1000),
        took * 1e3,
        each(bytes.total)
    );
    println!(
        "        (values {:.3}, timestamps {:.3}, directory {:.3}, index {:.3})",
        each(bytes.values),
        each(bytes.timestamps),
        each(bytes.directory),
        each(bytes.index)
    );
    Ok(())
}

/// The capture's series, parsed; `#series LABELS`, then `MILLISECONDS,VALUE` lines.
fn read_capture() -> Result<Vec<Series>> {
    let mut text = String::new();
    zstd::Decoder::new(CAPTURE)?.read_to_string(&mut text)?;
    let mut capture: Vec<Series> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with("# ")) {
        if let Some(labels) = line.strip_prefix("#series ") {
            let labels = Labels::parse(labels)?;
            capture.push(Series {
                labels,
                timestamps: Vec::new(),
                values: Vec::new(),
            });
            continue;
        }
        let series = capture.last_mut().ok_or("a sample before its series")?;
        let (millis, value) = line.split_once(',').ok_or("a line without a comma")?;
        series.timestamps.push(millis.parse::<i64>()? * 1_000_000);
        series.values.push(match value {
            "STALE" => stale_marker(),
            _ => value.parse()?,
        });
    }
    Ok(capture)
}

// ---- Three questions ----------------------------------------------------------------------------

fn how_busy(db: &Db, hour: &RangeInclusive<i64>) -> Result<()> {
    println!("\nHow busy was the machine? CPU in use by minute, all cores.\n");
    let cores = db
        .label_values("cpu", &Selector::metric("node_cpu_seconds_total"), ..)?
        .len();
    let used = Selector::parse(r#"node_cpu_seconds_total{mode!~"idle|iowait"}"#)?;
    let seconds = db.aggregate(&used, hour.clone(), &growth_by_minute().by(["job"]))?;
    let share: Vec<f64> = one(&seconds)?
        .points
        .iter()
        .map(|p| p.value / 60.0 / cores as f64 * 100.0)
        .collect();
    plot(&share, *hour.start());
    Ok(())
}

fn how_full(db: &Db, hour: &RangeInclusive<i64>) -> Result<()> {
    let total = Selector::metric("node_memory_MemTotal_bytes");
    let total = db.aggregate(&total, hour.clone(), &Aggregate::new(Function::Last))?;
    let total = one(&total)?.points.first().ok_or("no memory at all")?.value;
    let least = Aggregate::new(Function::Min).step(Duration::from_secs(60));
    let free = Selector::metric("node_memory_MemAvailable_bytes");
    let free = db.aggregate(&free, hour.clone(), &least)?;
    let tightest = one(&free)?
        .points
        .iter()
        .min_by(|a, b| a.value.total_cmp(&b.value));
    let tightest = tightest.ok_or("no samples of free memory")?;
    println!(
        "\nDid it run short of memory? At its tightest, around {}, it had {} of {} left.",
        clock(tightest.timestamp),
        bytes(tightest.value),
        bytes(total)
    );
    Ok(())
}

fn which_disk(db: &Db, hour: &RangeInclusive<i64>) -> Result<()> {
    println!("\nWhich disk worked?\n");
    println!(
        "    {:8} {:>10} {:>10}   busiest minute",
        "device", "read", "written"
    );
    let read = Selector::metric("node_disk_read_bytes_total");
    let written = Selector::metric("node_disk_written_bytes_total");
    let all = Aggregate::new(Function::Increase).by(["device"]);
    let reads = db.aggregate(&read, hour.clone(), &all)?;
    let writes = db.aggregate(&written, hour.clone(), &all)?;
    let minutes = db.aggregate(&written, hour.clone(), &growth_by_minute().by(["device"]))?;
    for ((read, written), by_minute) in reads.iter().zip(&writes).zip(&minutes) {
        let sum = |series: &AggregatedSeries| series.points.iter().map(|p| p.value).sum::<f64>();
        let busiest = by_minute
            .points
            .iter()
            .max_by(|a, b| a.value.total_cmp(&b.value));
        let busiest = busiest.filter(|point| point.value > 0.0).map_or_else(
            || "never wrote".to_owned(),
            |point| {
                format!(
                    "{}/s at {}",
                    bytes(point.value / 60.0),
                    clock(point.timestamp)
                )
            },
        );
        let device = read.labels.get("device").unwrap_or_default();
        println!(
            "    {device:8} {:>10} {:>10}   {busiest}",
            bytes(sum(read)),
            bytes(sum(written))
        );
    }
    Ok(())
}

/// What a counter grew in each minute. A window holds the samples after its start up to and with
/// its end; one second more takes in the sample that the minute starts from.
fn growth_by_minute() -> Aggregate {
    Aggregate::new(Function::Increase)
        .step(Duration::from_secs(60))
        .window(Duration::from_secs(61))
}

/// The whole minutes of the capture, left-open: the second one starts where the first one ends.
fn whole_minutes(db: &Db) -> Result<RangeInclusive<i64>> {
    let (first, last) = db.stats().time_range.ok_or("the database is empty")?;
    let start = (first / MINUTE + 1) * MINUTE;
    Ok(start + 1..=last / MINUTE * MINUTE)
}

fn one(answer: &[AggregatedSeries]) -> Result<&AggregatedSeries> {
    match answer {
        [series] => Ok(series),
        _ => Err(format!("{} series where one was asked for", answer.len()).into()),
    }
}

// ---- A crash ------------------------------------------------------------------------------------

/// Acknowledgements to wait for before the kill, and the longest wait.
const ACKNOWLEDGED: u64 = 2000;
const PATIENCE: Duration = Duration::from_secs(3);
/// Samples of one batch of the writer.
const BATCH: u64 = 10;

/// Kills a writing process, reopens its database and compares every sample.
fn crash(dir: &Path, capture: &[Series]) -> Result<()> {
    println!("\nA crash: another process appends, each batch acknowledged, and is killed.\n");
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--writer")
        .arg(dir)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut acknowledgements = BufReader::new(child.stdout.take().ok_or("no pipe")?);
    let start = Instant::now();
    let (mut acknowledged, mut line) = (0, String::new());
    while acknowledged < ACKNOWLEDGED && start.elapsed() < PATIENCE {
        line.clear();
        if acknowledgements.read_line(&mut line)? == 0 {
            return Err(format!("the writer ended by itself: {}", child.wait()?).into());
        }
        acknowledged = line.trim().parse()?;
    }
    // On Unix this is SIGKILL: the writer gets no chance to tidy up.
    child.kill()?;
    child.wait()?;
    // What it said before it died is in the pipe still; a last line cut short was never said.
    let mut rest = String::new();
    acknowledgements.read_to_string(&mut rest)?;
    let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
    if let Some(last) = whole.lines().last() {
        acknowledged = last.parse()?;
    }
    println!(
        "    killed   after {} acknowledged batches",
        grouped(acknowledged)
    );

    let start = Instant::now();
    let db = Db::open(dir, Options::default())?;
    let took = start.elapsed().as_secs_f64() * 1e3;
    let replayed = db.recovery().samples;
    println!(
        "    reopened in {took:.0} ms, {} samples replayed",
        grouped(replayed)
    );
    let written = compare_written(&db, acknowledged)?;
    let imported = compare_capture(&db, capture)?;
    println!(
        "    compared {} samples: every acknowledged one is there, bit for bit, and no other",
        grouped(written + imported)
    );
    Ok(db.close()?)
}

/// The other process: appends until it is killed and says so after each acknowledgement.
fn write_until_killed(dir: &Path) -> Result<()> {
    let db = Db::open(dir, Options::default().sync(Sync::Always))?;
    let series = db.series(&written_labels())?;
    let mut said = std::io::stdout().lock();
    for number in 1.. {
        let mut batch = Batch::new();
        for sample in (number - 1) * BATCH..number * BATCH {
            batch.push(series, sample as i64 * SECOND, written_value(sample));
        }
        db.append(&batch)?;
        writeln!(said, "{number}")?;
        said.flush()?;
    }
    Ok(())
}

fn written_labels() -> Labels {
    labels! { "__name__" => "quickstart_written" }
}

fn written_value(sample: u64) -> f64 {
    (sample as f64).sqrt()
}

/// All acknowledged samples and at most the batch that was under way, nothing else.
fn compare_written(db: &Db, acknowledged: u64) -> Result<u64> {
    let mut found = 0;
    for series in db.select(&Selector::metric("quickstart_written"), ..)? {
        let columns = series?.columns()?;
        for (timestamp, value) in columns.timestamps.iter().zip(&columns.values) {
            let is_right = *timestamp == found as i64 * SECOND
                && value.to_bits() == written_value(found).to_bits();
            if !is_right {
                return Err(format!("sample {found} is not the one appended").into());
            }
            found += 1;
        }
    }
    let may_be = [acknowledged * BATCH, (acknowledged + 1) * BATCH];
    if !may_be.contains(&found) {
        return Err(format!("{found} samples after {acknowledged} batches").into());
    }
    Ok(found)
}

/// The capture as it was imported.
fn compare_capture(db: &Db, capture: &[Series]) -> Result<u64> {
    let mut compared = 0;
    let mut wanted: Vec<&Series> = capture.iter().collect();
    wanted.sort_by(|a, b| a.labels.cmp(&b.labels));
    let everything_else = Selector::all().ne("__name__", "quickstart_written");
    let mut found = db.select(&everything_else, ..)?;
    for series in wanted {
        let stored = found
            .next()
            .ok_or_else(|| format!("{} is lost", series.labels))??;
        let columns = stored.columns()?;
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let is_same = *stored.labels() == series.labels
            && columns.timestamps == series.timestamps
            && bits(&columns.values) == bits(&series.values);
        if !is_same {
            return Err(format!("{} changed", series.labels).into());
        }
        compared += series.values.len() as u64;
    }
    match found.next() {
        None => Ok(compared),
        Some(_) => Err("a series was invented".into()),
    }
}

// ---- On the terminal ------------------------------------------------------------------------------

/// Rows of the plot; each holds eight levels.
const ROWS: usize = 8;

/// Columns of shares (0 to 100) with axes; the first ends a minute after `start`.
fn plot(shares: &[f64], start: i64) {
    const LEVELS: [char; 9] = [
        ' ', '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}',
        '\u{2588}',
    ];
    for row in (0..ROWS).rev() {
        let label = match row + 1 {
            ROWS => "100 %",
            half if half == ROWS / 2 => "50 %",
            _ => "",
        };
        let cells = shares.iter().map(|share| {
            let eighths = share / 100.0 * (8 * ROWS) as f64 - (8 * row) as f64;
            LEVELS[eighths.round().clamp(0.0, 8.0) as usize]
        });
        println!("    {label:>5} |{}", cells.collect::<String>());
    }
    println!("    {:>5} +{}", "0 %", "-".repeat(shares.len()));
    let ticks = (0..shares.len()).step_by(15);
    let times = ticks.map(|minute| format!("{:15}", clock(start + minute as i64 * MINUTE)));
    println!("           {} UTC", times.collect::<String>().trim_end());
}

/// Hours and minutes in UTC.
fn clock(timestamp: i64) -> String {
    let minutes = timestamp.div_euclid(MINUTE).rem_euclid(24 * 60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Bytes with a binary unit.
fn bytes(count: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = ((count.max(1.0).log2() / 10.0) as usize).min(units.len() - 1);
    format!("{:.1} {}", count / 1024f64.powi(power as i32), units[power])
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
