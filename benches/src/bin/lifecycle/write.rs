//! Workload Y written one way or the other, then compacted: what it costs and what it leaves.
//!
//! Input: an order and an empty folder. Output: the closed database, and figures of writing (the
//! flush at its end included) and of compaction. The answers are checked between the two and
//! afterwards. CPU of the thread that compacts while samples are written counts as compaction.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use treering::{Batch, Db, DbStats, Options};
use treering_benches::Result;
use treering_benches::child::Measured;
use treering_benches::generator::{Generator, Shape};
use treering_benches::process::{self, OwnWork};
use treering_benches::workload::{BATCH, references};

use crate::SEED;
use crate::plain::Plain;

/// The order in which the samples come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// All series of one time after another.
    Time,
    /// All times of one series after another.
    Series,
}

/// Options of the databases of Y: the defaults; for the quick shape a WAL as small beside it.
pub(crate) fn options(quick: bool) -> Options {
    if quick {
        Options::default()
            .wal_file_bytes(1 << 20)
            .wal_max_bytes(8 << 20)
    } else {
        Options::default()
    }
}

/// Writes, checks, compacts, checks.
pub(crate) fn run(order: Order, shape: Shape, folder: &Path, options: Options) -> Result<Measured> {
    let mut measured = Measured::new();
    let mut tell = |name: &str, value: f64| measured.insert(name.to_owned(), value);
    let samples = shape.total() as f64;
    let files = FileCount::start(folder)?;
    let db = Db::open(folder, options)?;

    let (cpu, at) = (process::cpu_seconds()?, Instant::now());
    let own = match order {
        Order::Time => by_time(&db, shape)?,
        Order::Series => by_series(&db, shape)?,
    };
    let ingest_s = at.elapsed().as_secs_f64() - own.wall;
    db.flush()?;
    tell("write", at.elapsed().as_secs_f64() - own.wall);
    let background = process::named_cpu_seconds("treering-compact")?;
    let write_cpu = process::cpu_seconds()? - cpu - own.cpu - background;
    tell("ingest", samples / ingest_s);
    tell("write_cpu", write_cpu / (samples / 1e6));
    tell(
        "write_peak",
        process::rss_peak_bytes()? as f64 / f64::from(1 << 20),
    );
    tell("files_written", process::folder_files(folder)? as f64);
    tell(
        "bytes_written",
        process::folder_bytes(folder)? as f64 / samples,
    );
    let written = db.stats();
    let plain = Plain::of(shape, &[0])?;
    plain.check(&shape, &db, None)?;

    process::reset_peak()?;
    // The thread may have gone on while the answers were checked.
    let before = process::named_cpu_seconds("treering-compact")?;
    let (cpu, at) = (process::cpu_seconds()?, Instant::now());
    db.compact()?;
    tell("compact", at.elapsed().as_secs_f64());
    let compact_cpu = process::cpu_seconds()? - cpu + before;
    tell("compact_cpu", compact_cpu / (samples / 1e6));
    tell("background_cpu", background / (samples / 1e6));
    tell(
        "compact_peak",
        process::rss_peak_bytes()? as f64 / f64::from(1 << 20),
    );
    tell("files_compacted", process::folder_files(folder)? as f64);
    tell("files_most", files.stop()? as f64);
    tell(
        "bytes_compacted",
        process::folder_bytes(folder)? as f64 / samples,
    );
    let compacted = db.stats();
    let blocks = (compacted.flushed_bytes + compacted.compacted_bytes) as f64;
    tell("rewritten_flushed", blocks / compacted.flushed_bytes as f64);
    tell(
        "rewritten_final",
        blocks / compacted.block_bytes.total as f64,
    );
    let bits = plain.check(&shape, &db, None)?;
    // Exact in an f64.
    tell("answer_bits", (bits >> 12) as f64);
    describe(order, &written, &compacted);
    db.close()?;
    Ok(measured)
}

fn describe(order: Order, written: &DbStats, compacted: &DbStats) {
    println!(
        "{order:?}: {} samples, {} flushes, {} waits, {} blocks and {} merges when written; \
         {} blocks after {} merges",
        written.samples_appended,
        written.flushes,
        written.waits,
        written.blocks,
        written.compactions,
        compacted.blocks,
        compacted.compactions
    );
}

/// Rows of all series, as many as make a batch.
fn by_time(db: &Db, shape: Shape) -> Result<OwnWork> {
    let mut generator = Generator::new(shape, SEED);
    let references = references(db, &generator)?;
    let rows = BATCH / references.len();
    let (mut row, mut values, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let (mut own, mut batch) = (OwnWork::default(), Batch::with_capacity(BATCH));
    loop {
        own.add(|| {
            times.clear();
            values.clear();
            while times.len() < rows
                && let Some(time) = generator.next_row(&mut row)
            {
                times.push(time);
                values.extend_from_slice(&row);
            }
        })?;
        if times.is_empty() {
            return Ok(own);
        }
        batch.clear();
        for (&time, row) in times.iter().zip(values.chunks(references.len())) {
            for (&reference, &value) in references.iter().zip(row) {
                batch.push(reference, time, value);
            }
        }
        db.append(&batch)?;
    }
}

/// Columns of one series after another.
fn by_series(db: &Db, shape: Shape) -> Result<OwnWork> {
    let generator = Generator::new(shape, SEED);
    let references = references(db, &generator)?;
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    let (mut own, mut batch) = (OwnWork::default(), Batch::with_capacity(BATCH));
    for (series, &reference) in (0..).zip(&references) {
        let mut stream = generator.stream(series);
        while own.add(|| stream.next_column(BATCH, &mut timestamps, &mut values))? > 0 {
            batch.clear();
            batch.push_column(reference, &timestamps, &values);
            db.append(&batch)?;
        }
    }
    Ok(own)
}

/// Looks again and again how many files a folder holds.
#[derive(Debug)]
struct FileCount {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    handle: JoinHandle<()>,
}

impl FileCount {
    fn start(folder: &Path) -> Result<Self> {
        let (stop, most) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, seen) = (Arc::clone(&stop), Arc::clone(&most));
        let folder: PathBuf = folder.to_owned();
        let look = move || {
            while !stopped.load(Ordering::Acquire) {
                // A file may go while the folder is read; the next look counts again.
                let files = process::folder_files(&folder).unwrap_or(0);
                seen.fetch_max(files, Ordering::AcqRel);
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        let handle = std::thread::Builder::new().spawn(look)?;
        Ok(Self { stop, most, handle })
    }

    /// The most that was seen.
    fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Release);
        self.handle.join().map_err(|_| "counting files panicked")?;
        Ok(self.most.load(Ordering::Acquire))
    }
}
