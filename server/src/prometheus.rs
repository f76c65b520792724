//! `treering import DB DIR`: the data directory of a Prometheus server, or one of its blocks.
//!
//! Input: a directory. Output: its samples in the database, batch after batch fsynced, and a report.
//! Nothing in the directory is changed; a server that is writing to it is not noticed, so it should be
//! ended before. Blocks come in order of time, then the log with what is in no block yet, deletes
//! observed. What is damaged is told and counted, and the rest goes on.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use treering::{Batch, Db, Labels, Options, Reads, SampleColumns, Sync};
use treering_formats::prometheus::{
    Block, ChunkFile, ChunkFiles, Entry, Index, Log, Tail, Tombstones,
};

use crate::cli::Import;
use crate::outcome::{End, Ended, are, count, say, say_json, sentence, told_as_json};

/// Damages that are told one by one; the others are counted.
const TOLD_MAX: u64 = 20;
/// What Prometheus calls a block that was made of late samples.
const LATE: &str = "from-out-of-order";

/// What an import did.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Samples that are in the database, fsynced; those that stand twice count twice.
    samples: u64,
    /// Blocks read.
    blocks: u64,
    /// Files of the log read.
    log_files: u64,
    /// Series of blocks, whole blocks and files of the log that are damaged, and samples that the
    /// database refused.
    left_out: u64,
}

/// What a block's `meta.json` tells.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    version: u32,
    min_time: i64,
    max_time: i64,
    compaction: Compaction,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Compaction {
    hints: Vec<String>,
    deletable: bool,
}

/// Imports `folder`.
pub(crate) fn run(args: &Import, folder: &Path) -> Ended {
    import(args, folder).map_err(|failure| told_as_json(args.json, failure))
}

fn import(args: &Import, folder: &Path) -> Ended {
    let blocks = blocks_of(folder)?;
    if blocks.is_empty() && !folder.join("wal").is_dir() {
        return Err(format!(
            "{} is a directory, but neither one of Prometheus' data nor one of its blocks",
            folder.display()
        ));
    }
    // A failing disk is an error, not a signal.
    let options = Options::default().sync(Sync::Always).reads(Reads::Pread);
    let db = Db::open(&args.db, options).map_err(|error| sentence(&error))?;
    let mut import = Importing {
        db: &db,
        batch: Batch::new(),
        batch_samples: args.batch,
        report: Report::default(),
    };
    let end = import.blocks(&blocks)?;
    import.log(folder, end)?;
    import.flush()?;
    let report = import.report;
    db.close().map_err(|error| sentence(&error))?;
    tell(args, &report)?;
    Ok(End::clean(report.left_out == 0))
}

fn tell(args: &Import, report: &Report) -> Result<(), String> {
    if args.json {
        return say_json(report);
    }
    say(format_args!(
        "{} of {} and {} of the log {} in",
        count(report.samples, "sample"),
        count(report.blocks, "block"),
        count(report.log_files, "file"),
        are(report.samples)
    ))?;
    match report.left_out {
        0 => Ok(()),
        left => say(format_args!("left out: {left}, as told above")),
    }
}

/// The blocks of a directory in order of time, those that others replaced left out; or the block
/// that the directory is.
fn blocks_of(folder: &Path) -> Result<Vec<(Meta, PathBuf)>, String> {
    let folders = match folder.join("index").is_file() {
        true => vec![folder.to_owned()],
        false => entries(folder)?,
    };
    let mut found = Vec::new();
    for path in folders {
        if path.join("index").is_file() {
            let meta = meta(&path)?;
            if !meta.compaction.deletable {
                found.push((meta, path));
            }
        }
    }
    found.sort_by_key(|(meta, _)| meta.min_time);
    Ok(found)
}

fn meta(block: &Path) -> Result<Meta, String> {
    let path = block.join("meta.json");
    let bytes = read(&path)?;
    let meta: Meta = serde_json::from_slice(&bytes)
        .map_err(|error| format!("{} is damaged: {error}", path.display()))?;
    match meta.version {
        1 => Ok(meta),
        other => Err(format!("{}: version {other} is not known", path.display())),
    }
}

/// What stands in a directory, by name; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed =
        |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", folder.display());
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(&error)),
    };
    let mut paths = Vec::new();
    for entry in listed {
        paths.push(entry.map_err(|error| failed(&error))?.path());
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// The number that is a file's whole name.
fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.parse().ok()
}

/// An import under way.
struct Importing<'a> {
    db: &'a Db,
    batch: Batch,
    batch_samples: usize,
    report: Report,
}

impl Importing<'_> {
    /// Appends what is pending, durably.
    fn flush(&mut self) -> Result<(), String> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let appended = self.db.append_partial(&self.batch);
        let appended = appended.map_err(|error| sentence(&error))?;
        self.report.samples += appended.samples as u64;
        for rejection in &appended.rejected {
            self.leave_out(&rejection.reason);
        }
        self.batch.clear();
        Ok(())
    }

    fn flush_if_full(&mut self) -> Result<(), String> {
        match self.batch.len() >= self.batch_samples {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn leave_out(&mut self, why: &dyn std::fmt::Display) {
        self.report.left_out += 1;
        let told = match self.report.left_out {
            ..TOLD_MAX => writeln!(std::io::stderr(), "left out: {why}"),
            TOLD_MAX => writeln!(std::io::stderr(), "left out: {why}; more are only counted"),
            _ => Ok(()),
        };
        // The count is in the report, also when nobody reads this.
        let _ = told;
    }

    /// Imports blocks. Returns where the newest one ends, in milliseconds, those of late samples
    /// aside.
    fn blocks(&mut self, blocks: &[(Meta, PathBuf)]) -> Result<Option<i64>, String> {
        let mut end = None;
        for (meta, block) in blocks {
            if let Err(why) = self.block(block)? {
                self.leave_out(&why);
            }
            self.report.blocks += 1;
            if !meta.compaction.hints.iter().any(|hint| hint == LATE) {
                end = end.max(Some(meta.max_time));
            }
        }
        Ok(end)
    }

    /// Imports one; inside, why it cannot be read.
    fn block(&mut self, block: &Path) -> Result<Result<(), String>, String> {
        let place = |file: &str, why: &dyn std::fmt::Display| {
            format!("{}: {why}", block.join(file).display())
        };
        let index = read(&block.join("index"))?;
        let names = entries(&block.join("chunks"))?;
        let mut files = Vec::with_capacity(names.len());
        for name in &names {
            let open = fs::File::open(name);
            files.push(Chunks(open.map_err(|error| {
                format!("cannot open {}: {error}", name.display())
            })?));
        }
        let tombstones = block.join("tombstones");
        let tombstones = match tombstones.is_file() {
            true => Tombstones::new(&read(&tombstones)?),
            false => Ok(Tombstones::default()),
        };
        let tombstones = match tombstones {
            Ok(tombstones) => tombstones,
            // Without it, what was deleted would come back.
            Err(error) => return Ok(Err(place("tombstones", &error))),
        };
        let index = match Index::new(&index) {
            Ok(index) => index,
            Err(error) => return Ok(Err(place("index", &error))),
        };
        let files = match ChunkFiles::new(files) {
            Ok(files) => files,
            Err((number, error)) => {
                let name = names.get(number).map_or(block, |name| name);
                return Ok(Err(format!("{}: {error}", name.display())));
            }
        };
        for series in Block::new(index, files, tombstones).series() {
            match series {
                Ok((labels, samples)) => self.series(&labels, &samples)?,
                Err(error) if error.file().is_some() => {
                    self.leave_out(&format_args!("a series of {}: {error}", block.display()));
                }
                Err(error) => self.leave_out(&place("index", &error)),
            }
            self.flush_if_full()?;
        }
        Ok(Ok(()))
    }

    /// Adds a series of a block, by as many samples as make a batch: a long one may have more than the
    /// database takes at once.
    fn series(&mut self, labels: &Labels, samples: &SampleColumns) -> Result<(), String> {
        for start in (0..samples.timestamps.len()).step_by(self.batch_samples) {
            let end = samples.timestamps.len().min(start + self.batch_samples);
            let piece = SampleColumns {
                timestamps: part(&samples.timestamps, start, end),
                values: part(&samples.values, start, end),
                histograms: part(&samples.histograms, start, end),
                starts: part(&samples.starts, start, end),
            };
            self.batch.push_samples(labels, &piece);
            self.flush_if_full()?;
        }
        Ok(())
    }

    /// Imports what no block has: the newest checkpoint, the files of the log behind it, and those of
    /// late samples. Samples before `end` are in blocks.
    fn log(&mut self, folder: &Path, end: Option<i64>) -> Result<(), String> {
        let files = log_files(folder)?;
        // Deletes are of samples before them: the log is read for them first.
        let mut deletes: HashMap<Labels, Vec<Delete>> = HashMap::new();
        let mut at = 0_u64;
        let mut log = Log::new(end);
        for file in &files {
            let read = read_log(&mut log, file, &mut |entry| {
                at += 1;
                if let Entry::Deleted {
                    labels,
                    first,
                    last,
                } = entry
                {
                    let deletes = deletes.entry(labels.clone()).or_default();
                    deletes.push(Delete { at, first, last });
                }
            });
            match read? {
                Ok(None) => {}
                // A server that was killed leaves half a record: nothing of it was acknowledged.
                Ok(Some(tail)) => tell_tail(file, &tail),
                Err(why) => self.leave_out(&why),
            }
            self.report.log_files += 1;
        }
        at = 0;
        let mut log = Log::new(end);
        for file in &files {
            let mut failed = Ok(());
            let read = read_log(&mut log, file, &mut |entry| {
                at += 1;
                if failed.is_ok() {
                    failed = self.entry(&entry, at, &deletes);
                }
            });
            // Damage was told before.
            let _ = read?;
            failed?;
        }
        match log.orphans {
            0 => Ok(()),
            orphans => {
                self.leave_out(&format_args!(
                    "{} of the log whose series nothing tells",
                    count(orphans, "sample")
                ));
                Ok(())
            }
        }
    }

    fn entry(
        &mut self,
        entry: &Entry<'_>,
        at: u64,
        deletes: &HashMap<Labels, Vec<Delete>>,
    ) -> Result<(), String> {
        let is_gone = |labels: &Labels, timestamp: i64| {
            let mut deletes = deletes.get(labels).into_iter().flatten();
            deletes.any(|delete| delete.takes(at, timestamp))
        };
        match *entry {
            Entry::Sample {
                labels,
                timestamp,
                value,
            } if !is_gone(labels, timestamp) => self.batch.push(labels, timestamp, value),
            Entry::Histogram {
                labels,
                timestamp,
                histogram,
            } if !is_gone(labels, timestamp) => {
                self.batch.push_histogram(labels, timestamp, histogram);
            }
            _ => {}
        }
        self.flush_if_full()
    }
}

/// A part of a column; of an empty one nothing.
fn part<T: Clone>(column: &[T], start: usize, end: usize) -> Vec<T> {
    column.get(start..end).unwrap_or_default().to_vec()
}

/// A file of chunks on disk.
#[derive(Debug)]
struct Chunks(fs::File);

impl ChunkFile for Chunks {
    fn part(&self, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
        let left = self.0.metadata()?.len().saturating_sub(offset);
        let length = usize::try_from(left).map_or(length, |left| left.min(length));
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// A delete in the log.
#[derive(Debug)]
struct Delete {
    /// Place among all entries.
    at: u64,
    first: i64,
    last: i64,
}

impl Delete {
    /// Whether a sample at place `at` is one of those that it took.
    fn takes(&self, at: u64, timestamp: i64) -> bool {
        at < self.at && (self.first..=self.last).contains(&timestamp)
    }
}

/// A file of the log, and how it is read.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    is_late: bool,
    is_last: bool,
}

/// Files of the log in the order in which they are read.
fn log_files(folder: &Path) -> Result<Vec<LogFile>, String> {
    let wal = folder.join("wal");
    let names = entries(&wal)?;
    let checkpoint = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        Some((
            name.strip_prefix("checkpoint.")?.parse::<u64>().ok()?,
            path.clone(),
        ))
    };
    let newest = names.iter().filter_map(checkpoint).max();
    let mut files = Vec::new();
    let mut add = |paths: Vec<PathBuf>, is_late: bool| {
        let last = paths.len().saturating_sub(1);
        files.extend(paths.into_iter().enumerate().map(|(at, path)| LogFile {
            path,
            is_late,
            is_last: at == last,
        }));
    };
    let from = newest
        .as_ref()
        .map_or(0, |(number, _)| number.saturating_add(1));
    if let Some((_, path)) = newest {
        add(numbered(entries(&path)?, 0), false);
    }
    add(numbered(names, from), false);
    add(numbered(entries(&folder.join("wbl"))?, 0), true);
    Ok(files)
}

/// The files whose names are numbers, from `from` on, in their order.
fn numbered(paths: Vec<PathBuf>, from: u64) -> Vec<PathBuf> {
    let numbers = paths
        .into_iter()
        .filter_map(|path| Some((number(&path)?, path)));
    let mut found: Vec<(u64, PathBuf)> = numbers.filter(|(number, _)| *number >= from).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Reads a file of the log; inside, what is wrong with it.
fn read_log(
    log: &mut Log,
    file: &LogFile,
    tell: &mut dyn FnMut(Entry<'_>),
) -> Result<Result<Option<Tail>, String>, String> {
    let bytes = read(&file.path)?;
    let told = log.read(&bytes, file.is_late, file.is_last, tell);
    Ok(told.map_err(|error| format!("{}: {error}", file.path.display())))
}

fn tell_tail(file: &LogFile, tail: &Tail) {
    let path = file.path.display();
    // It is no loss: the report does not count it.
    let _ = writeln!(
        std::io::stderr(),
        "{path} ends in half a record ({}), as a server leaves it that is killed",
        tail.why
    );
}
