//! Every corpus through the engine: in, flushed, reopened, compared bit for bit each time.
//!
//! Input: the folder of `TREERING_CORPORA`; words on the command line choose corpora (then no
//! RESULT lines, which need all). Output: bytes per sample by what they hold, import speed. A
//! sample that does not come back with its bits fails the bench.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints and times"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use treering::{Batch, Db, DbStats, Labels, Options, Selector};
use treering_benches::Result;
use treering_benches::corpus::{self, CorpusSeries};
use treering_benches::report::{Report, Wish};

/// Samples of one batch.
const BATCH_SAMPLES: usize = 10_000;

/// What the database must hold: series by labels, their samples by time, the last of several at
/// one time.
type Expected = BTreeMap<Labels, BTreeMap<i64, u64>>;

fn main() -> Result<()> {
    let wish = Wish::of_process()?;
    let folder = corpus::folder().ok_or("TREERING_CORPORA is not set")?;
    let mut report = Report::new("corpora")?;
    println!(
        "{:10} {:>9} {:>7} {:>39}",
        "", "", "import", "bytes per sample"
    );
    println!(
        "{:10} {:>9} {:>7} {:>8} {:>8} {:>9} {:>7} {:>7}",
        "corpus", "samples", "M/s", "times", "values", "directory", "index", "blocks"
    );
    for name in corpus::names(&folder)? {
        if wish.words.is_empty() || wish.words.contains(&name) {
            run(&folder, &name, &wish, &mut report)?;
        }
    }
    if wish.words.is_empty() {
        report.finish(&wish)
    } else {
        Ok(())
    }
}

fn run(folder: &Path, name: &str, wish: &Wish, report: &mut Report) -> Result<()> {
    let mut all = corpus::read(folder, name)?;
    if wish.quick {
        all.truncate(20);
    }
    let expected = expect(&all)?;
    let dir = tempfile::tempdir()?;
    let db = Db::open(dir.path().join(name), Options::default())?;
    let start = Instant::now();
    import(&db, &all)?;
    let appended = start.elapsed();
    compare(&db, &expected).map_err(|error| format!("{name}, from the head: {error}"))?;
    let start = Instant::now();
    db.flush()?;
    let took = appended + start.elapsed();
    compare(&db, &expected).map_err(|error| format!("{name}, from blocks: {error}"))?;
    db.close()?;
    let db = Db::open(dir.path().join(name), Options::default())?;
    compare(&db, &expected).map_err(|error| format!("{name}, reopened: {error}"))?;
    tell(name, &db.stats(), samples(&expected), took, report)?;
    db.close()?;
    Ok(())
}

fn import(db: &Db, all: &[CorpusSeries]) -> Result<()> {
    let mut batch = Batch::with_capacity(BATCH_SAMPLES);
    for series in all {
        let labels = Labels::from_pairs(series.labels.iter().map(|(n, v)| (n, v)))?;
        let reference = db.series(&labels)?;
        let pieces = series.timestamps.chunks(BATCH_SAMPLES);
        for (timestamps, values) in pieces.zip(series.values.chunks(BATCH_SAMPLES)) {
            if batch.len() + values.len() > BATCH_SAMPLES {
                db.append(&batch)?;
                batch.clear();
            }
            batch.push_column(reference, timestamps, values);
        }
    }
    Ok(db.append(&batch)?)
}

fn expect(all: &[CorpusSeries]) -> Result<Expected> {
    let mut expected = Expected::new();
    for series in all {
        let labels = Labels::from_pairs(series.labels.iter().map(|(n, v)| (n, v)))?;
        let bits = series.values.iter().map(|value| value.to_bits());
        expected
            .entry(labels)
            .or_default()
            .extend(series.timestamps.iter().copied().zip(bits));
    }
    Ok(expected)
}

fn samples(expected: &Expected) -> u64 {
    expected.values().map(|samples| samples.len() as u64).sum()
}

/// Every series in label order, every sample with its bits, nothing else.
fn compare(db: &Db, expected: &Expected) -> Result<()> {
    let mut wanted = expected.iter();
    for series in db.select(&Selector::all(), ..)? {
        let series = series?;
        let (labels, samples) = wanted
            .next()
            .ok_or_else(|| format!("{} was invented", series.labels()))?;
        if series.labels() != labels {
            return Err(format!("{} where {labels} should be", series.labels()).into());
        }
        let columns = series.columns()?;
        let found = columns.timestamps.iter().zip(&columns.values);
        let found = found.map(|(timestamp, value)| (*timestamp, value.to_bits()));
        if !found.eq(samples.iter().map(|(timestamp, bits)| (*timestamp, *bits))) {
            return Err(format!("the samples of {labels} changed").into());
        }
    }
    match wanted.next() {
        None => Ok(()),
        Some((labels, _)) => Err(format!("{labels} is missing").into()),
    }
}

fn tell(
    name: &str,
    stats: &DbStats,
    samples: u64,
    took: Duration,
    report: &mut Report,
) -> Result<()> {
    if stats.block_samples != samples {
        return Err(format!("{} samples in blocks, not {samples}", stats.block_samples).into());
    }
    let bytes = &stats.block_bytes;
    let each = |bytes: u64| bytes as f64 / samples as f64;
    let speed = samples as f64 / took.as_secs_f64();
    println!(
        "{name:10} {samples:9} {:7.2} {:8.4} {:8.4} {:9.4} {:7.4} {:7.4}",
        speed / 1e6,
        each(bytes.timestamps),
        each(bytes.values),
        each(bytes.directory),
        each(bytes.index),
        each(bytes.total)
    );
    for (what, value) in [
        ("samples", samples as f64),
        ("timestamps", each(bytes.timestamps)),
        ("values", each(bytes.values)),
        ("directory", each(bytes.directory)),
        ("index", each(bytes.index)),
        (
            "chunks",
            each(bytes.timestamps + bytes.values + bytes.directory),
        ),
        ("blocks", each(bytes.total)),
        ("import", speed),
    ] {
        report.tell(&format!("corpora.{name}.{what}"), value)?;
    }
    Ok(())
}
