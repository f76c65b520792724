//! Repair: what is intact of a damaged database becomes a new one.
//!
//! Input: a directory of which any file may be damaged, cut or missing; nothing in it is changed.
//! Output: a database beside it with every intact chunk and every intact WAL frame, and a report of
//! what was lost. Invariant: what the new database answers stood under a checksum in the old one.

mod blocks;
mod catalogue;
mod log;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Clock;
use crate::db::Db;
use crate::directory::{self, LOCK};
use crate::error::{Error, Result};
use crate::options::{Maintenance, Options, Sync};
use crate::snapshot::target::{self, Target};
use crate::vfs::{Lock, Vfs};

/// What [`repair`] saved and what it could not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RepairReport {
    /// Blocks without damage, copied as they are.
    pub blocks_copied: u64,
    /// Damaged blocks of which intact chunks were written anew.
    pub blocks_salvaged: u64,
    /// Samples in all of these.
    pub block_samples: u64,
    /// WAL frames applied.
    pub frames: u64,
    /// Samples in them.
    pub frame_samples: u64,
    /// Bytes at the end of the WAL that are no frames and were never promised to anyone.
    pub wal_tail_bytes: u64,
    /// What was lost, file by file; at most 10,000 entries.
    pub lost: Vec<Loss>,
    /// Entries beyond those.
    pub lost_more: u64,
    /// Samples that were lost, as far as anything intact tells how many they were.
    pub lost_samples: u64,
    /// How long it took.
    pub took: Duration,
}

/// Something that [`repair`] could not save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Loss {
    /// The damaged file.
    pub file: PathBuf,
    /// Offset in it, where that is known.
    pub offset: Option<u64>,
    /// What is wrong there, and what went with it.
    pub what: String,
    /// Samples that went, where that is known.
    pub samples: Option<u64>,
    /// Labels of their series, where these are known.
    pub series: Option<String>,
    /// Their first and last timestamp, in nanoseconds since the Unix epoch, where that is known.
    pub range: Option<(i64, i64)>,
}

impl Loss {
    /// Something in `file`.
    fn of(file: &Path, offset: impl Into<Option<u64>>, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            offset: offset.into(),
            what: what.into(),
            samples: None,
            series: None,
            range: None,
        }
    }

    /// What `error` tells, where `file` was read.
    fn error(file: &Path, error: Error) -> Self {
        match error {
            Error::Corrupt { file, offset, what } | Error::Unsupported { file, offset, what } => {
                Self::of(&file, offset, what)
            }
            error => Self::of(file, None, error.to_string()),
        }
    }

    fn samples(mut self, samples: u64) -> Self {
        self.samples = Some(samples);
        self
    }
}

/// Most entries of a report.
const MAX_LOSSES: usize = 10_000;

impl RepairReport {
    /// Whether nothing was lost.
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty()
    }

    fn lose(&mut self, loss: Loss) {
        tracing::warn!(file = %loss.file.display(), offset = loss.offset, what = loss.what, "lost");
        self.lost_samples += loss.samples.unwrap_or(0);
        if self.lost.len() < MAX_LOSSES {
            self.lost.push(loss);
        } else {
            self.lost_more += 1;
        }
    }
}

/// Makes a database in the new directory `dir` of all that is intact in the directory `source`,
/// which is only read; nobody may have it open for writing meanwhile ([`Error::Locked`]).
///
/// Blocks without damage are copied as they are; of the others each chunk whose checksums are right
/// is written anew. Of the WAL each intact frame is applied, in order, as far as intact frames
/// define its series. Without a manifest the blocks in the directory tell what there was: names and
/// options of namespaces and deletes that were not compacted away are then lost, and said to be. A
/// block whose footer is damaged is lost as a whole.
///
/// Of `options` store, limits and memory count. An error leaves no directory `dir` behind:
/// [`Error::NotADatabase`] when nothing in `source` tells which database it was,
/// [`Error::Version`] when a newer release wrote it, [`Error::Io`] when `dir` cannot be written.
pub fn repair(
    source: impl AsRef<Path>,
    dir: impl AsRef<Path>,
    options: Options,
) -> Result<RepairReport> {
    let vfs = Arc::clone(&options.vfs);
    let clock = Arc::clone(&options.clock);
    let started = clock.monotonic();
    let dir = directory::resolve(dir.as_ref(), &*vfs)?;
    let source = directory::resolve(source.as_ref(), &*vfs)?;
    target::check(&*vfs, &dir, &source)?;
    let _lock = lock(&*vfs, &source)?;
    let mut report = RepairReport::default();
    let database = catalogue::database(&*vfs, &source)?;
    let log = log::Log::scan(&vfs, &source, database, &mut report)?;
    let mut state = catalogue::state(&vfs, (&source, database), log.held(), &mut report)?;
    let work = work_dir(&dir);
    if exists(&*vfs, &work)? {
        let argument = "the directory to make";
        let work = work.display();
        let why = format!("cannot be made: {work} is left of an earlier repair; remove it");
        return Err(Error::InvalidArgument { argument, why });
    }
    let mut target = Target::begin(&vfs, &work, &source)?;
    blocks::salvage(
        &vfs,
        &source,
        &mut target,
        (database, &mut state),
        &mut report,
    )?;
    target.begin_wal(database, &state)?;
    target.finish(database, state.clone())?;
    let work = Work {
        vfs: &vfs,
        dir: work,
    };
    let options = options
        .create(false)
        .clock(Arc::new(Beginning))
        .maintenance(Maintenance::Manual)
        .sync(Sync::Never);
    let db = Db::open(&work.dir, options)?;
    log.apply(&db, &state, &mut report)?;
    db.flush()?;
    db.close()?;
    drop(db);
    work.publish(&dir)?;
    report.took = clock.monotonic().saturating_sub(started);
    tracing::info!(dir = %dir.display(), lost = report.lost.len(), "repaired");
    Ok(report)
}

/// Where the new database is while it is made.
fn work_dir(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".repair-tmp");
    dir.with_file_name(name)
}

/// The new database under work; goes unless it is published.
#[derive(Debug)]
struct Work<'a> {
    vfs: &'a Arc<dyn Vfs>,
    dir: PathBuf,
}

impl Work<'_> {
    /// Gives it its name, durably.
    fn publish(&self, dir: &Path) -> Result<()> {
        target::check_free(&**self.vfs, dir)?;
        let renamed = self.vfs.rename(&self.dir, dir);
        renamed.map_err(|error| Error::io("rename", &self.dir, error))?;
        let parent = dir.parent().unwrap_or(Path::new(""));
        // The name is durable when the caller hears that it is there, and gone after an error.
        let synced = self.vfs.sync_dir(parent);
        synced.map_err(|error| {
            target::clear(&**self.vfs, dir);
            Error::io("fsync", parent, error)
        })
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        // Best effort, and nothing once it has its name: what stays is named by the next attempt.
        target::clear(&**self.vfs, &self.dir);
    }
}

/// A clock for which nothing has expired.
#[derive(Debug)]
struct Beginning;

impl Clock for Beginning {
    fn now(&self) -> i64 {
        i64::MIN
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// Keeps a writer away, where there is a lock to take; a disk that cannot be written has no writer.
fn lock(vfs: &dyn Vfs, source: &Path) -> Result<Option<Box<dyn Lock>>> {
    let path = source.join(LOCK);
    if !exists(vfs, &path)? {
        return Ok(None);
    }
    match vfs.lock(&path) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err(Error::Locked {
            path,
            holder: "a program that has the database open".to_owned(),
        }),
        Err(_) => Ok(None),
    }
}

fn exists(vfs: &dyn Vfs, path: &Path) -> Result<bool> {
    let exists = vfs.exists(path);
    exists.map_err(|error| Error::io("look for", path, error))
}
