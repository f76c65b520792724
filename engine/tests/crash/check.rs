//! Opens one image of a power cut and holds it against everything that was promised.
//!
//! Input: an image, what may be in it. Output: how many batches it holds, or what is wrong, in
//! words. The numbers in comments are those of docs/testing.md, "Invariants after every recovery".

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use treering::time::ManualClock;
use treering::vfs::{MemVfs, Vfs};
use treering::{Aggregate, Batch, Db, Function, NamespaceOptions, Selector};

use crate::beside::{bits_of, float_of};
use crate::followed::follow;
use crate::history::{Allowed, FACTS, History, Print, Row, SPACE_SERIES, labels_of};
use crate::stage::Case;

/// What an image is held against.
#[derive(Debug, Clone)]
pub(crate) struct Expected<'a> {
    pub(crate) case: &'a Case,
    pub(crate) history: &'a History,
    /// Numbers of batches that it may hold.
    pub(crate) allowed: Allowed,
    /// Bytes that its files may take together.
    pub(crate) space: u64,
}

/// Length of a WAL file without frames: the one that each open begins.
const EMPTY_WAL_FILE: usize = 64;

/// Opens the image and checks it; `number` varies what is tried afterwards.
pub(crate) fn check(image: &MemVfs, expected: &Expected<'_>, number: u64) -> Result<usize, String> {
    let db = open(expected.case, image)?;
    let print =
        read(&db, number.is_multiple_of(8)).map_err(|error| format!("reading failed: {error}"))?;
    // (1) to (3): a prefix of the batches, with all that are durable, bit for bit.
    let found = expected
        .history
        .batches_of(print.print, &expected.allowed)
        .ok_or_else(|| {
            expected
                .history
                .explain(&print.rows, print.print, &expected.allowed)
        })?;
    let after = image.fork();
    tidy(expected.case, &db, &after, expected.space)?;
    let keeps = expected.case.keep_bytes;
    if keeps > 0 {
        follow(&db, &print, keeps == u64::MAX)?;
    }
    if number % 4 == 1 {
        again(expected.case, &after, print.print, db.recovery().created)?;
    }
    if number % 4 == 3 {
        goes_on(expected.case, db, image, print.print, number)?;
    }
    Ok(found)
}

pub(crate) fn open(case: &Case, image: &MemVfs) -> Result<Db, String> {
    let clock = Arc::new(ManualClock::new(case.now));
    Db::open(case.dir, case.options_on(Arc::new(image.clone()), clock))
        .map_err(|error| format!("open failed: {error}"))
}

/// All that a database answers, decoded once.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) print: Print,
    pub(crate) rows: Vec<Row>,
}

/// Name of the namespace `space`: 0 is the one that is always there.
pub(crate) fn space_name(space: u32) -> String {
    match space {
        0 => "default".to_owned(),
        _ => format!("s{space}"),
    }
}

/// The fact that a namespace is there, kept for so many seconds.
pub(crate) fn space_fact(space: u32, options: &NamespaceOptions) -> Row {
    let age = options.retention.map_or(0, |age| age.as_secs());
    (FACTS + space * 1000, 0, age)
}

/// The fact that metric `metric` of a namespace has a help text of so many bytes.
pub(crate) fn metadata_fact(space: u32, metric: u32, help: usize) -> Row {
    (FACTS + space * 1000 + 1 + metric, 0, help as u64)
}

/// Reads everything; `widely`: through the other questions too, which must agree.
pub(crate) fn read(db: &Db, widely: bool) -> Result<Answer, String> {
    let mut answer = Answer::default();
    for info in db.namespaces() {
        let space = match &*info.name {
            "default" => 0,
            name => name[1..].parse().map_err(|_| format!("namespace {name}"))?,
        };
        let seen = db
            .namespace(&info.name)
            .map_err(|error| error.to_string())?;
        read_space(&seen, space, widely, &mut answer)?;
        if space > 0 || info.options != NamespaceOptions::default() {
            answer.add(space_fact(space, &info.options));
        }
        for (metric, metadata) in seen.all_metadata() {
            let metric = metric[1..]
                .parse()
                .map_err(|_| format!("metric {metric}"))?;
            answer.add(metadata_fact(space, metric, metadata.help.len()));
        }
    }
    Ok(answer)
}

impl Answer {
    fn add(&mut self, row: Row) {
        self.print.add(row);
        self.rows.push(row);
    }
}

fn read_space(db: &Db, space: u32, widely: bool, answer: &mut Answer) -> Result<(), String> {
    let words = |error: treering::Error| error.to_string();
    let everything = Selector::parse("{}").map_err(|error| error.to_string())?;
    let counted_before = answer.print.counted;
    let mut newest = Vec::new();
    for series in db.select(&everything, ..).map_err(words)? {
        let series = series.map_err(words)?;
        let number = series
            .labels()
            .get("n")
            .and_then(|number| number.parse().ok());
        let number: u32 = number.ok_or_else(|| format!("unknown series {}", series.labels()))?;
        if *series.labels() != labels_of(number) {
            return Err(format!("series {number} is named {}", series.labels()));
        }
        let columns = series.sample_columns().map_err(words)?;
        if !columns.timestamps.is_sorted_by(|a, b| a < b) {
            return Err(format!("series {number} is not in order of time"));
        }
        for (&at, bits) in columns.timestamps.iter().zip(bits_of(&columns)) {
            answer.add((space * SPACE_SERIES + number, at, bits));
        }
        let last = answer.rows.last();
        newest.extend(last.map(|row| (row.1, float_of(row.2).to_bits())));
    }
    if widely {
        let count = Aggregate::new(Function::Count);
        let counts = db.aggregate(&everything, .., &count).map_err(words)?;
        let points = counts.iter().flat_map(|series| &series.points);
        let counted: f64 = points.map(|point| point.value).sum();
        let latest = db.latest(&everything).map_err(words)?;
        let latest = latest
            .iter()
            .map(|latest| (latest.sample.timestamp, latest.sample.value));
        let latest: Vec<_> = latest.map(|(at, value)| (at, value.to_bits())).collect();
        if counted != (answer.print.counted - counted_before) as f64 || latest != newest {
            return Err(format!(
                "{counted} counted, newest {latest:?}, but read {newest:?}"
            ));
        }
    }
    Ok(())
}

/// (7) Nothing is left over, and the files are not too large. Snapshots lie elsewhere.
fn tidy(case: &Case, db: &Db, after: &MemVfs, space: u64) -> Result<(), String> {
    let report = db.recovery();
    if !report.quarantined.is_empty() || db.stats().poisoned {
        return Err(format!("quarantined or poisoned: {report:?}"));
    }
    let files = files_of(after);
    let names: BTreeSet<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
    let (mut blocks, mut fresh) = (0, 0);
    for (path, bytes) in &files {
        let inner = path.strip_prefix(case.dir.trim_start_matches('/'));
        let inner = inner.map_err(|_| format!("foreign file {}", path.display()))?;
        let inner = inner.to_string_lossy();
        if let Some(name) = inner.strip_prefix("blocks/") {
            blocks += u64::from(name.len() == 16 && name.ends_with(".block"));
        } else if inner.starts_with("wal/") && inner.ends_with(".wal") {
            fresh += u64::from(bytes.len() == EMPTY_WAL_FILE);
        } else if !["LOCK", "manifest", "reserve"].contains(&&*inner) {
            return Err(format!("leftover {inner}"));
        }
    }
    let all_blocks = names
        .iter()
        .filter(|path| path.to_string_lossy().contains("/blocks/"));
    if all_blocks.count() as u64 != blocks || blocks != db.stats().blocks || fresh != 1 {
        return Err(format!(
            "{fresh} WAL files without frames, or stray blocks: {names:?}"
        ));
    }
    let samples = files.iter().filter(|(path, _)| !path.ends_with("reserve"));
    let total: usize = samples.map(|(_, bytes)| bytes.len()).sum();
    if total as u64 > space {
        return Err(format!("{total} bytes of files, allowed are {space}"));
    }
    let dirs = after
        .list(Path::new(case.dir))
        .map_err(|error| error.to_string())?;
    let dirs = dirs
        .iter()
        .filter(|entry| entry.kind == treering::vfs::EntryKind::Dir);
    match dirs.map(|entry| &*entry.name).collect::<Vec<_>>()[..] {
        ["blocks", "wal"] => Ok(()),
        ref other => Err(format!("folders {other:?}")),
    }
}

/// All files but those of snapshots, finished or not.
fn files_of(store: &MemVfs) -> Vec<(PathBuf, Bytes)> {
    let mut files = store.files();
    files.retain(|(path, _)| !path.to_string_lossy().starts_with("copy"));
    files
}

/// (5) Killed right after its recovery and recovered again: same answer, same files byte for byte.
/// The WAL file without frames is left out: each open begins one and removes that of the last.
fn again(case: &Case, after: &MemVfs, print: Print, created: bool) -> Result<(), String> {
    let second = after.fork();
    let db = open(case, &second)?;
    if read(&db, false)?.print != print {
        return Err("a second recovery answers differently".to_owned());
    }
    let report = db.recovery();
    if report.wal_cut.is_some() || report.manifest_bytes_cut > 0 || report.created {
        return Err(format!(
            "a second recovery still found work: {report:?}, {created}"
        ));
    }
    let (first, second) = (lasting(after), lasting(&second));
    if first != second {
        let differs = first
            .iter()
            .zip(&second)
            .find(|(a, b)| a != b)
            .map(|(a, _)| &a.0);
        return Err(format!(
            "a second recovery changed files, {differs:?} first"
        ));
    }
    Ok(())
}

fn lasting(store: &MemVfs) -> Vec<(PathBuf, Bytes)> {
    let mut files = store.files();
    files.retain(|(path, bytes)| {
        let wal = path.extension().is_some_and(|extension| extension == "wal");
        !(wal && bytes.len() == EMPTY_WAL_FILE) && path.file_name().is_none_or(|n| n != "LOCK")
    });
    files
}

/// (8) The recovered database takes samples, is flushed, killed or closed, and has them all.
fn goes_on(
    case: &Case,
    db: Db,
    store: &MemVfs,
    mut print: Print,
    number: u64,
) -> Result<(), String> {
    let words = |error: treering::Error| format!("after recovery: {error}");
    let mut batch = Batch::new();
    for series in [0, 1_000_000] {
        let at = i64::MAX - (number % 100) as i64;
        batch.push(labels_of(series), at, 0.5);
        print.add((series, at, 0.5f64.to_bits()));
    }
    db.append(&batch).map_err(words)?;
    let killed = match number / 4 % 3 {
        0 => store.fork(),
        1 => {
            db.flush().map_err(words)?;
            let files = files_of(store);
            let wal = files
                .iter()
                .filter(|(path, _)| path.to_string_lossy().contains("/wal/"));
            if wal.count() != 1 && case.keep_bytes == 0 {
                return Err("a flush left old WAL files".to_owned());
            }
            store.fork()
        }
        _ => {
            db.close().map_err(words)?;
            store.clone()
        }
    };
    let db = open(case, &killed)?;
    match read(&db, true)?.print == print {
        true => Ok(()),
        false => Err("what was appended after recovery did not come back".to_owned()),
    }
}
