//! Opening: lock, manifest, blocks, replay; the write path without the WAL.
//!
//! Input: a directory. Output: everything an open database starts from, and a report. Replay hands
//! each frame to the same head function as an append. Nothing acknowledged is dropped silently:
//! damage is an error, a tail that was never durable is cut and reported, and a block file that
//! neither the manifest nor the WAL explains is set aside, not removed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::block::Block;
use crate::directory;
use crate::error::{Error, Result};
use crate::flush::{self, block_path};
use crate::head::Head;
use crate::leftovers::Leftovers;
use crate::manifest::format::{BlockEntry, State};
use crate::manifest::pending::Pending;
use crate::manifest::{self, Manifest};
use crate::memory::Memory;
use crate::namespace::options::NamespaceOptions;
use crate::options::Options;
use crate::publish::renew;
use crate::registry::{Limits, Registry};
use crate::replay::Replay;
use crate::reserve::Reserve;
use crate::space::{Space, Spaces};
use crate::tombstone::Tombstone;
use crate::vfs::{Lock, Vfs};
use crate::view::CurrentView;
use crate::wal::format::FileHeader;
use crate::wal::{self, Cut, Wal, WalReader};

/// What opening a database found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Whether the database was made by this open.
    pub created: bool,
    /// Frames replayed from the WAL.
    pub frames: u64,
    /// Samples in them.
    pub samples: u64,
    /// Series they belong to.
    pub series: u64,
    /// Bytes of these frames.
    pub wal_bytes: u64,
    /// The WAL tail that was never durable and was cut, if there was one.
    pub wal_cut: Option<WalCut>,
    /// Bytes of a manifest record that was never durable and was cut.
    pub manifest_bytes_cut: u64,
    /// Leftovers of interrupted work that were removed.
    pub removed: Vec<String>,
    /// Block files that neither the manifest nor the WAL explains; they are kept in `quarantine/`.
    pub quarantined: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// A WAL tail that was cut: written, never fsynced, and damaged by the crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WalCut {
    /// Number of the WAL file.
    pub file: u64,
    /// Offset in it of the first bad byte.
    pub offset: u64,
    /// Bytes dropped, in this file and later ones.
    pub bytes: u64,
}

/// What an open database starts from.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) lock: Box<dyn Lock>,
    pub(crate) manifest: Manifest,
    pub(crate) spaces: Spaces,
    /// Changes in the WAL that the manifest does not know yet.
    pub(crate) changes: Pending,
    /// Namespaces whose drop is in the WAL and perhaps not in the manifest.
    pub(crate) dropped: Vec<u32>,
    pub(crate) wal: Wal,
    /// Position of the oldest WAL byte that is not in blocks.
    pub(crate) wal_start: u64,
    /// Whether the WAL ends without a frame that says that it is durable.
    pub(crate) unmarked: bool,
    pub(crate) report: RecoveryReport,
}

/// Opens the database in `dir` (absolute), or makes it. Nothing is changed before everything that must be
/// there was read and found right.
pub(crate) fn recover(
    dir: &Path,
    options: &Options,
    memory: &Memory,
    random: u64,
) -> Result<Recovered> {
    let started = options.clock.monotonic();
    let lock = directory::lock(dir, options)?;
    let mut report = RecoveryReport::default();
    let mut manifest = match Manifest::open(Arc::clone(&options.vfs), dir)? {
        Some((manifest, cut)) => {
            report.manifest_bytes_cut = cut;
            manifest
        }
        None => {
            report.created = true;
            directory::create(dir, options, random)?
        }
    };
    let maker = Maker {
        options,
        memory,
        after_sequence: manifest.state().flushed_through,
    };
    let (database, state) = (manifest.database(), manifest.state());
    let spaces = open_spaces(dir, (database, state), &maker, &Known::new())?;
    let mut recovery = Recovery {
        dir,
        options,
        manifest: &manifest,
        report: &mut report,
    };
    let (reader, replay) = recovery.read_wal(&spaces, &maker)?;
    let (wal, wal_start) = recovery.settle_wal(&reader)?;
    if !report.created {
        manifest.renew()?;
    }
    make_block_folder(dir, options)?;
    let cleared = Leftovers::new(dir, options, &manifest).clear(wal.last_sequence())?;
    report.removed.extend(cleared.removed);
    report.quarantined = cleared.quarantined;
    for space in spaces.all() {
        // Whatever was replayed has samples in the heads of this generation.
        space.registry.write().touch_all(wal.generation());
    }
    report.took = options.clock.monotonic().saturating_sub(started);
    tracing::info!(
        dir = %dir.display(),
        blocks = manifest.state().blocks.len(),
        frames = report.frames,
        samples = report.samples,
        took = ?report.took,
        "database open"
    );
    Ok(Recovered {
        lock,
        manifest,
        spaces,
        changes: replay.changes,
        dropped: replay.dropped,
        wal,
        wal_start,
        unmarked: reader.ends_unmarked(),
        report,
    })
}

/// Makes the namespaces of an open database.
#[derive(Debug)]
pub(crate) struct Maker<'a> {
    pub(crate) options: &'a Options,
    pub(crate) memory: &'a Memory,
    /// Sequence up to which changes are in blocks.
    pub(crate) after_sequence: u64,
}

impl Maker<'_> {
    /// A namespace with these blocks, each with the sequence up to which deletes are applied to it.
    pub(crate) fn make(
        &self,
        named: (u32, &str),
        options: NamespaceOptions,
        blocks: Vec<(Arc<Block>, u64)>,
        tombstones: Vec<Arc<Tombstone>>,
    ) -> Space {
        let limits = Limits {
            series: self.options.max_series,
            own_series: options.max_series.unwrap_or(u64::MAX),
            bytes: self.memory.labels_most(),
            labels: self.options.label_limits,
        };
        let registry = Registry::new(limits, Arc::clone(&self.memory.labels));
        let account = Arc::clone(&self.memory.heads);
        let live = Arc::new(Head::new(self.after_sequence, account));
        let view = CurrentView::new(blocks, tombstones, live);
        Space::new(named, options, registry, view)
    }
}

/// Open blocks by id.
pub(crate) type Known = HashMap<u64, Arc<Block>>;

/// The namespaces that the manifest of `database` tells of, with their blocks; those of `known` are
/// not opened again.
pub(crate) fn open_spaces(
    dir: &Path,
    (database, state): (u64, &State),
    maker: &Maker<'_>,
    known: &Known,
) -> Result<Spaces> {
    let spaces = Spaces::default();
    spaces.used(state.next_namespace);
    for record in state.namespaces.values() {
        let opener = (maker.options, maker.memory);
        let blocks = open_blocks(dir, (database, state), record.id, opener, known)?;
        let tombstones = state.tombstones.values();
        let tombstones = tombstones.filter(|tombstone| tombstone.namespace == record.id);
        let space = maker.make(
            (record.id, &record.name),
            record.options.clone(),
            blocks,
            tombstones.cloned().collect(),
        );
        for ((namespace, metric), known) in &state.metadata {
            if *namespace == record.id {
                space.metadata.write().set(metric, Some(known.clone()));
            }
        }
        spaces.insert(Arc::new(space));
    }
    Ok(spaces)
}

/// The live blocks of a namespace, each with the sequence up to which deletes are applied to it.
pub(crate) fn open_blocks(
    dir: &Path,
    (database, state): (u64, &State),
    namespace: u32,
    opener: (&Options, &Memory),
    known: &Known,
) -> Result<Vec<(Arc<Block>, u64)>> {
    let entries = state.blocks.values();
    let entries = entries.filter(|entry| entry.namespace == namespace);
    let open = |entry: &BlockEntry| {
        let block = match known.get(&entry.id).filter(|block| is_of(block, entry)) {
            Some(block) => Arc::clone(block),
            None => open_block(dir, database, entry, opener)?,
        };
        Ok((block, entry.purged))
    };
    entries.map(open).collect()
}

/// Opens a live block and holds it against what the manifest says of it.
fn open_block(
    dir: &Path,
    database: u64,
    entry: &BlockEntry,
    (options, memory): (&Options, &Memory),
) -> Result<Arc<Block>> {
    let path = block_path(&dir.join(flush::DIR), entry.id);
    let exists = options.vfs.exists(&path);
    if !exists.map_err(|error| Error::io("look for", &path, error))? {
        let what = "the manifest lists it, but it is missing";
        return Err(Error::corrupt(&path, 0, what));
    }
    let block = Block::open_with(&options.vfs, &path, options.reads, &memory.blocks)?;
    if !is_of(&block, entry) || block.info().meta.database != database {
        let what = "the file is not the block that the manifest lists under this name";
        return Err(Error::corrupt(&path, 0, what));
    }
    Ok(Arc::new(block))
}

/// Whether a block is the one that the manifest lists.
pub(crate) fn is_of(block: &Block, entry: &BlockEntry) -> bool {
    let found = BlockEntry {
        purged: entry.purged,
        ..flush::entry_of(block.info())
    };
    found == *entry
}

/// The WAL must go on where the blocks end: otherwise the manifest or the WAL lost its end.
pub(crate) fn check_complete(dir: &Path, state: &State, reader: &WalReader) -> Result<()> {
    let flushed = state.flushed_through;
    match reader.headers().first() {
        Some(header) if header.first_sequence > flushed + 1 => {
            let what = format!(
                "it ends at change {flushed}, but the WAL starts at {}: a later record is lost",
                header.first_sequence
            );
            Err(Error::corrupt(&dir.join(manifest::NAME), 0, what))
        }
        Some(_) => Ok(()),
        None => {
            let path = wal::file_path(&dir.join(wal::DIR), state.wal_floor);
            Err(Error::corrupt(&path, 0, "the WAL file is missing"))
        }
    }
}

/// The folder of the blocks is made with the database; a copy made by hand may lack an empty one.
fn make_block_folder(dir: &Path, options: &Options) -> Result<()> {
    let path = dir.join(flush::DIR);
    let made = options.vfs.create_dir(&path);
    made.map_err(|error| Error::io("create", &path, error))
}

/// Opening under way.
struct Recovery<'a> {
    dir: &'a Path,
    options: &'a Options,
    manifest: &'a Manifest,
    report: &'a mut RecoveryReport,
}

impl Recovery<'_> {
    /// Reads the WAL into the heads; the reader then knows where it ends.
    fn read_wal(&mut self, spaces: &Spaces, maker: &Maker<'_>) -> Result<(WalReader, Replay)> {
        let state = self.manifest.state();
        let dir = self.dir.join(wal::DIR);
        let database = self.manifest.database();
        if !self.exists(&dir)? {
            return Err(Error::corrupt(&dir, 0, "the folder of the WAL is missing"));
        }
        let vfs = Arc::clone(&self.options.vfs);
        let mut reader = WalReader::open(vfs, dir, database, state.wal_floor)?;
        let mut replay = Replay::default();
        let make = |id, name: &str, options| maker.make((id, name), options, vec![], vec![]);
        while let Some(frame) = reader.next()? {
            replay.apply(&frame, spaces, &make)?;
        }
        self.report.frames = replay.frames;
        self.report.samples = replay.samples;
        let series = spaces.all().into_iter().map(|s| s.registry.read().len());
        self.report.series = series.sum::<usize>() as u64;
        self.report.wal_bytes = reader.bytes();
        check_complete(self.dir, self.manifest.state(), &reader)?;
        Ok((reader, replay))
    }

    /// Ends the WAL where it was found to end, durably, and begins a new file behind it.
    fn settle_wal(&mut self, reader: &WalReader) -> Result<(Wal, u64)> {
        let dir = self.dir.join(wal::DIR);
        if let Some(cut) = reader.cut() {
            self.cut(&dir, cut)?;
        }
        self.make_durable(&dir, reader)?;
        self.begin_file(dir, reader)
    }

    /// After a kill, frames may be in the system's memory only. They are durable before the next
    /// frame says so; those that some frame calls durable are left as they are.
    fn make_durable(&self, dir: &Path, reader: &WalReader) -> Result<()> {
        let headers = reader.headers();
        let next = headers.iter().skip(1).map(|header| header.position);
        for (header, end) in headers.iter().zip(next.chain([reader.end()])) {
            if end > reader.synced() && end > header.position {
                let path = wal::file_path(dir, header.number);
                let bytes = reader.load(&path)?;
                renew(
                    self.vfs(),
                    &wal::temporary_path(dir, header.number),
                    &path,
                    &bytes,
                )?;
            }
        }
        Ok(())
    }

    /// Drops what was never durable; durably, before anything is written behind it.
    fn cut(&mut self, dir: &Path, cut: &Cut) -> Result<()> {
        tracing::warn!(
            file = cut.file,
            offset = cut.len,
            bytes = cut.bytes,
            "WAL tail cut"
        );
        self.report.wal_cut = Some(WalCut {
            file: cut.file,
            offset: cut.len,
            bytes: cut.bytes,
        });
        for &number in cut.later.iter().rev() {
            self.remove(&wal::file_path(dir, number))?;
        }
        let path = wal::file_path(dir, cut.file);
        if cut.len == 0 {
            self.remove(&path)?;
        } else {
            let file = self
                .vfs()
                .open_rw(&path)
                .map_err(|error| Error::io("open", &path, error))?;
            // Makes the new length durable: no later frame may have bad bytes before it.
            file.set_len(cut.len)
                .and_then(|()| file.sync())
                .map_err(|error| Error::io("shorten", &path, error))?;
        }
        // Makes the removals durable.
        self.vfs()
            .sync_dir(dir)
            .map_err(|error| Error::io("fsync", dir, error))
    }

    /// Begins the file that this open writes to, then removes the ones that hold no frame.
    fn begin_file(&mut self, dir: PathBuf, reader: &WalReader) -> Result<(Wal, u64)> {
        let headers = reader.headers();
        let last = headers.iter().map(|header| header.number);
        let cut = reader
            .cut()
            .into_iter()
            .flat_map(|cut| cut.later.iter().chain([&cut.file]));
        let number = last
            .chain(cut.copied())
            .max()
            .unwrap_or(self.manifest.state().wal_floor);
        let last_sequence = reader.last_sequence().unwrap_or(0);
        let first_sequence = last_sequence.max(self.manifest.state().flushed_through) + 1;
        let header = FileHeader {
            database: self.manifest.database(),
            number: number + 1,
            generation: headers
                .iter()
                .map(|header| header.generation)
                .max()
                .unwrap_or(0)
                + 1,
            position: reader.end(),
            first_sequence,
        };
        let begin = || {
            let vfs = Arc::clone(&self.options.vfs);
            Wal::create(vfs, dir.clone(), header, self.options.wal_file_most())
        };
        let reserve = Reserve::new(Arc::clone(&self.options.vfs), self.dir, 0);
        reserve.keep_from(self.manifest.state().wal_floor);
        let mut begun = begin();
        // A full disk must not keep a database shut.
        while begun.as_ref().is_err_and(Error::is_disk_full) && reserve.spend() {
            begun = begin();
        }
        let wal = begun?;
        let unused = reader.empty_files();
        for number in &unused {
            // Each open begins a file; one that was not used is nothing to report.
            let path = wal::file_path(&dir, *number);
            let removed = self.vfs().remove(&path);
            removed.map_err(|error| Error::io("remove", &path, error))?;
        }
        if !unused.is_empty() {
            // Their headers may not be durable. Once frames come behind them, a name that comes
            // back without its header would be damage.
            let synced = self.vfs().sync_dir(&dir);
            synced.map_err(|error| Error::io("fsync", &dir, error))?;
        }
        let start = headers
            .first()
            .map_or(header.position, |header| header.position);
        Ok((wal, start))
    }

    fn vfs(&self) -> &dyn Vfs {
        &*self.options.vfs
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.vfs()
            .exists(path)
            .map_err(|error| Error::io("look for", path, error))
    }

    /// Removes a leftover. Not followed by an fsync of the folder: if a crash brings it back, the
    /// next open removes it again.
    fn remove(&mut self, path: &Path) -> Result<()> {
        self.vfs()
            .remove(path)
            .map_err(|error| Error::io("remove", path, error))?;
        self.report.removed.push(path.display().to_string());
        Ok(())
    }
}
