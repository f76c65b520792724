//! Checking a whole database: every byte that a later question may be answered from.
//!
//! Input: an open database, of a writer or of a reader. Output: what was checked, and every problem
//! found; a failing read is one of them, and the rest is checked all the same. Nothing is changed,
//! and everything is read with `pread`.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::block::Block;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::manifest::format::{BlockEntry, State};
use crate::manifest::{self, Contents};
use crate::options::Reads;
use crate::recover::is_of;
use crate::shared::Core;
use crate::snapshot::wal_files;
use crate::{flush, wal};

mod blocks;
mod files;
mod log;

/// What [`Db::verify`] checked and found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Live blocks read.
    pub blocks: u64,
    /// WAL frames read.
    pub frames: u64,
    /// Bytes of these blocks, of the WAL and of the manifest.
    pub bytes: u64,
    /// What is wrong, in the order in which it was found.
    pub problems: Vec<Problem>,
}

/// Something that is wrong with a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Offset in it, where that is known.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, file: PathBuf, offset: Option<u64>, what: impl Into<String>) {
        let what = what.into();
        self.problems.push(Problem { file, offset, what });
    }

    /// Takes an error as a problem of `file`.
    fn error(&mut self, file: PathBuf, error: Error) {
        match error {
            Error::Corrupt { file, offset, what } | Error::Unsupported { file, offset, what } => {
                self.problem(file, Some(offset), what);
            }
            error => self.problem(file, None, error.to_string()),
        }
    }
}

/// What is checked: the database at one moment.
#[derive(Debug)]
struct Moment {
    database: u64,
    state: State,
    /// Live blocks, held so that their files stay.
    blocks: Vec<Arc<Block>>,
    /// WAL files to be read, by number, each with the length up to which it must be right.
    wal: Vec<(u64, u64)>,
    /// Sequence of the last frame in them.
    last_sequence: u64,
    is_writer: bool,
}

impl Db {
    /// Reads the whole database and holds it against its checksums and against itself: the manifest
    /// as it is on disk, every frame of the WAL, every chunk of every live block and what is stored
    /// about it, how blocks may lie beside each other, and whether each file has a reason to be
    /// there. Appends, queries and compaction go on; flushes wait while the WAL is read.
    ///
    /// Damage and failing reads are in the report, not errors: `Error::Closed` is the only one.
    pub fn verify(&self) -> Result<VerifyReport> {
        let core = self.core();
        core.check_open()?;
        let mut report = VerifyReport::default();
        let moment = match self.follower() {
            None => self.verify_writer(&mut report)?,
            Some(follower) => {
                let follower = follower.lock();
                let contents = follower.manifest();
                let moment = Moment {
                    database: contents.database,
                    state: contents.state.clone(),
                    blocks: blocks_of(core),
                    wal: follower.wal_files(),
                    last_sequence: follower.last_sequence(),
                    is_writer: false,
                };
                verify_manifest(core, None, &mut report);
                log::verify(core, &moment, &mut report);
                moment
            }
        };
        for entry in moment.state.blocks.values() {
            verify_block(core, &moment, entry, &mut report);
        }
        blocks::verify(core, &moment.state, &mut report);
        let next_block = || match self.shared() {
            Ok(shared) => shared.take_block_ids(0),
            Err(_) => on_disk(core).map_or(0, |contents| contents.state.next_block),
        };
        files::verify(core, &moment, next_block, &mut report);
        if !report.is_clean() {
            tracing::error!(problems = report.problems.len(), first = ?report.problems.first(), "verify");
        }
        Ok(report)
    }

    /// Checks manifest and WAL of a database that is being written.
    fn verify_writer(&self, report: &mut VerifyReport) -> Result<Moment> {
        let shared = self.shared()?;
        // The WAL is not shortened while the turn is ours.
        let _turn = shared.flushing.lock();
        shared.check_open()?;
        let (database, state, blocks) = {
            let manifest = shared.manifest.lock();
            verify_manifest(
                self.core(),
                Some((manifest.state(), manifest.len())),
                report,
            );
            let blocks = blocks_of(self.core());
            (manifest.database(), manifest.state().clone(), blocks)
        };
        let (last_sequence, last, len) = {
            let commit = shared.commit.lock();
            let wal = &commit.wal;
            (wal.last_sequence(), wal.number(), wal.offset())
        };
        let wal = match wal_files(shared, state.wal_floor, (last, len)) {
            Ok(files) => {
                if files.last().is_none_or(|(number, _)| *number != last) {
                    let path = wal::file_path(&shared.dir.join(wal::DIR), last);
                    report.problem(path, None, "the WAL file that is being written is missing");
                }
                files
            }
            Err(error) => {
                report.error(shared.dir.join(wal::DIR), error);
                Vec::new()
            }
        };
        let moment = Moment {
            database,
            state,
            blocks,
            wal,
            last_sequence,
            is_writer: true,
        };
        log::verify(self.core(), &moment, report);
        Ok(moment)
    }
}

/// Reads the manifest again; a writer knows what it must say and how long it is.
fn verify_manifest(core: &Core, expected: Option<(&State, u64)>, report: &mut VerifyReport) {
    let path = core.dir.join(manifest::NAME);
    let bytes = match manifest::read(&*core.options.vfs, &core.dir) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return report.problem(path, None, "the manifest is missing"),
        Err(error) => return report.error(path, error),
    };
    report.bytes += bytes.len() as u64;
    let contents = match Contents::parse(&path, &bytes) {
        Ok(contents) => contents,
        Err(error) => return report.error(path, error),
    };
    let Some((state, len)) = expected else { return };
    if contents.len != len || bytes.len() as u64 != len {
        let what = format!(
            "it holds {} bytes of records, {len} were written",
            contents.len
        );
        report.problem(path, Some(contents.len.min(len)), what);
    } else if contents.state != *state {
        report.problem(path, None, "it says something else than what was written");
    }
}

/// Reads a live block whole.
fn verify_block(core: &Core, moment: &Moment, entry: &BlockEntry, report: &mut VerifyReport) {
    let path = flush::block_path(&core.dir.join(flush::DIR), entry.id);
    let Some(live) = moment.blocks.iter().find(|block| block.id() == entry.id) else {
        // Its namespace is being dropped.
        return;
    };
    let vfs = &core.options.vfs;
    let gone = |dropped: bool| match vfs.exists(&path) {
        Ok(exists) => !exists && dropped,
        Err(_) => false,
    };
    let is_dropped = core.spaces.get(entry.namespace).is_none();
    let checked = Block::open(vfs, &path, Reads::Pread).and_then(|block| {
        if !is_of(&block, entry) || block.info() != live.info() {
            let what = "the file is not the block that the manifest lists under this name";
            return Err(Error::corrupt(&path, 0, what));
        }
        block.verify()
    });
    match checked {
        Ok(()) => {}
        // The writer beside a reader may have merged it away; a dropped namespace takes its own.
        Err(_) if gone(!moment.is_writer || is_dropped) && !is_listed(core, entry.id) => return,
        Err(error) => report.error(path, error),
    }
    report.blocks += 1;
    report.bytes += entry.bytes;
}

/// Whether the manifest on disk lists a block, as far as it can be read.
fn is_listed(core: &Core, id: u64) -> bool {
    on_disk(core).is_none_or(|contents| contents.state.blocks.contains_key(&id))
}

/// What the manifest says now, if it can be read.
fn on_disk(core: &Core) -> Option<Contents> {
    let bytes = manifest::read(&*core.options.vfs, &core.dir).ok()??;
    Contents::parse(&core.dir.join(manifest::NAME), &bytes).ok()
}

fn blocks_of(core: &Core) -> Vec<Arc<Block>> {
    let mut blocks = Vec::new();
    for space in core.spaces.all() {
        let view = space.view.get();
        blocks.extend(view.blocks.iter().map(|live| Arc::clone(&live.block)));
    }
    blocks
}
