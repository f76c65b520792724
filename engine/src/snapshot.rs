//! Snapshots: a database made of another one at one moment, while that one goes on.
//!
//! Input: an open database, or a snapshot, and the name of a directory that is not there yet.
//! Output: a database of its own in that directory: the blocks as second names of the same files
//! (they never change), the few changes behind them as a copy of the WAL, a manifest of its own.
//! Invariant: it is made beside the target and gets its name in the end, durably, so it is there
//! whole or not at all.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::block::Block;
use crate::db::Db;
use crate::directory;
use crate::error::{Error, Result};
use crate::freeze;
use crate::manifest::format::{Edit, State};
use crate::options::Options;
use crate::shared::Shared;
use crate::snapshot::target::Target;
use crate::space::Space;
use crate::wal;
use crate::wal::change::NamespaceChange;

pub(crate) mod target;

/// What a snapshot, or a database restored from one, holds and took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SnapshotReport {
    /// Sequence of the last change in it.
    pub sequence: u64,
    /// Its blocks.
    pub blocks: u64,
    /// Of these, those that share their bytes with the source: second names of the same files.
    pub linked: u64,
    /// Those that were copied, because the file system could not give them a second name.
    pub copied: u64,
    /// Bytes of all of its files, shared ones included.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
}

/// How often a snapshot is begun when a namespace is dropped under it.
const ATTEMPTS: u32 = 4;

impl Db {
    /// Makes a copy of the database in the new directory `dir`, of all namespaces at one moment,
    /// while appends, queries, flushes and compaction go on. It holds everything that was
    /// acknowledged before the call.
    ///
    /// Within one file system the blocks are hard links: it takes next to no time and room, and room
    /// that compaction or retention frees later stays taken until the snapshot is removed. Elsewhere
    /// they are copied. The directory appears whole and durable, or not at all; it opens like any
    /// database, and changes in one of the two do not show in the other. `dir` must not exist nor
    /// lie in the database. Of a database in memory it is in memory too. Not through
    /// a read-only open: [`Error::ReadOnly`].
    pub fn snapshot(&self, dir: impl AsRef<Path>) -> Result<SnapshotReport> {
        let shared = self.shared()?;
        shared.check_writable()?;
        let dir = directory::resolve(dir.as_ref(), &*shared.options.vfs)?;
        let started = shared.options.clock.monotonic();
        let mut attempt = 1;
        let mut report = loop {
            match of_open(shared, &dir) {
                // The blocks of a namespace that is dropped go at once.
                Err(error) if is_missing(&error) && attempt < ATTEMPTS => attempt += 1,
                made => break made?,
            }
        };
        report.took = shared.options.clock.monotonic().saturating_sub(started);
        tracing::info!(dir = %dir.display(), ?report, "snapshot made");
        Ok(report)
    }
}

/// Makes a database in the new directory `dir` of the snapshot in the directory `snapshot`, which
/// stays as it is: by hard links within one file system, else by copying.
///
/// Everything is checked first, as by [`Db::verify`]; damage is `Error::Corrupt` and nothing is
/// made. `dir` must not exist nor lie in the snapshot. Open it with `Db::open`. Of `options`, the
/// store and the clock count.
pub fn restore(
    snapshot: impl AsRef<Path>,
    dir: impl AsRef<Path>,
    options: Options,
) -> Result<SnapshotReport> {
    let vfs = Arc::clone(&options.vfs);
    let clock = Arc::clone(&options.clock);
    let started = clock.monotonic();
    let dir = directory::resolve(dir.as_ref(), &*vfs)?;
    let source = directory::resolve(snapshot.as_ref(), &*vfs)?;
    target::check(&*vfs, &dir, &source)?;
    let db = Db::open_read_only(&source, options)?;
    if let Some(problem) = db.verify()?.problems.into_iter().next() {
        let offset = problem.offset.unwrap_or(0);
        return Err(Error::corrupt(&problem.file, offset, problem.what));
    }
    let Some(follower) = db.follower() else {
        return Err(Error::ReadOnly);
    };
    let follower = follower.lock();
    let mut target = Target::begin(&vfs, &dir, &source)?;
    target.copy_wal(&source.join(wal::DIR), &follower.wal_files())?;
    for block in blocks_of(&db.core().spaces.all()) {
        target.add_block(&block)?;
    }
    let contents = follower.manifest();
    let mut report = target.finish(contents.database, contents.state.clone())?;
    report.sequence = follower.last_sequence();
    report.took = clock.monotonic().saturating_sub(started);
    tracing::info!(dir = %dir.display(), ?report, "snapshot restored");
    Ok(report)
}

/// Makes a snapshot of an open database.
fn of_open(shared: &Shared, dir: &Path) -> Result<SnapshotReport> {
    let mut target = Target::begin(&shared.options.vfs, dir, &shared.dir)?;
    let turn = shared.flushing.lock();
    shared.check_open()?;
    freeze::flush_in_turn(shared, &turn)?;
    let (database, state, blocks) = {
        let manifest = shared.manifest.lock();
        let spaces = shared.spaces.all();
        let state = without_dropped(manifest.state(), &spaces);
        // Blocks that somebody holds keep their files.
        (manifest.database(), state, blocks_of(&spaces))
    };
    // What came behind the flush is in the WAL; that is not shortened while the turn is ours. A
    // change of the manifest from here on is only another form of what the two hold.
    let (sequence, last, len) = {
        let commit = shared.commit.lock();
        let wal = &commit.wal;
        (wal.last_sequence(), wal.number(), wal.offset())
    };
    let files = wal_files(shared, state.wal_floor, (last, len))?;
    target.copy_wal(&shared.dir.join(wal::DIR), &files)?;
    drop(turn);
    for block in blocks {
        if state.blocks.contains_key(&block.id()) {
            target.add_block(&block)?;
        }
    }
    let mut report = target.finish(database, state)?;
    report.sequence = sequence;
    Ok(report)
}

/// The state without the namespaces that are being dropped: the WAL says so already.
fn without_dropped(state: &State, spaces: &[Arc<Space>]) -> State {
    let mut state = state.clone();
    let known = state.namespaces.keys().copied();
    let dropped = known.filter(|id| !spaces.iter().any(|space| space.id == *id));
    for id in dropped.collect::<Vec<_>>() {
        let blocks = state.blocks.values();
        let blocks = blocks.filter(|block| block.namespace == id);
        let edit = Edit {
            next_block: state.next_block,
            flushed_through: state.flushed_through,
            wal_floor: state.wal_floor,
            remove: blocks.map(|block| block.id).collect(),
            namespaces: vec![NamespaceChange::Drop { id }],
            ..Edit::default()
        };
        state.apply_checked(&edit);
    }
    state
}

/// All live blocks.
fn blocks_of(spaces: &[Arc<Space>]) -> Vec<Arc<Block>> {
    let views = spaces.iter().map(|space| space.view.get());
    let blocks = views.flat_map(|view| {
        let blocks = view.blocks.iter().map(|live| Arc::clone(&live.block));
        blocks.collect::<Vec<_>>()
    });
    blocks.collect()
}

/// The WAL files from number `floor` through `last`, each with its length; that of the last one is
/// `len`, which may be less than is there by now.
pub(crate) fn wal_files(
    shared: &Shared,
    floor: u64,
    (last, len): (u64, u64),
) -> Result<Vec<(u64, u64)>> {
    let dir = shared.dir.join(wal::DIR);
    let entries = shared.options.vfs.list(&dir);
    let entries = entries.map_err(|error| Error::io("list", &dir, error))?;
    let numbered = entries.iter().filter_map(|entry| {
        let number = wal::parse_name(&entry.name)?;
        Some((number, if number == last { len } else { entry.len }))
    });
    Ok(numbered
        .filter(|(number, _)| (floor..=last).contains(number))
        .collect())
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::NotFound)
}
