//! Opening: lock, manifest, blocks, replay; the write path without the WAL.
//!
//! Input: a directory. Output: everything an open database starts from, and a report. Replay hands
//! each frame to the same head function as an append. Nothing acknowledged is dropped silently:
//! damage is an error, a tail that was never durable is cut and reported, and a block file that
//! neither the manifest nor the WAL explains is set aside, not removed.

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
use crate::manifest::{self, Manifest};
use crate::options::Options;
use crate::publish::renew;
use crate::registry::{Limits, Registry};
use crate::replay::Replay;
use crate::reserve::Reserve;
use crate::vfs::{Lock, Vfs};
use crate::wal::format::{FileHeader, FrameKind};
use crate::wal::payload::BatchPayload;
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
    pub(crate) blocks: Vec<Arc<Block>>,
    pub(crate) registry: Registry,
    pub(crate) head: Head,
    pub(crate) wal: Wal,
    /// Position of the oldest WAL byte that is not in blocks.
    pub(crate) wal_start: u64,
    /// Whether the WAL ends without a frame that says that it is durable.
    pub(crate) unmarked: bool,
    pub(crate) report: RecoveryReport,
}

/// Opens the database in `dir` (absolute), or makes it. Nothing is changed before everything that must be
/// there was read and found right.
pub(crate) fn recover(dir: &Path, options: &Options, random: u64) -> Result<Recovered> {
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
    let limits = Limits {
        series: options.max_series,
        bytes: options.memory_bytes / 2,
        labels: options.label_limits,
    };
    let mut registry = Registry::new(limits);
    let head = Head::new(manifest.state().flushed_through);
    let mut recovery = Recovery {
        dir,
        options,
        manifest: &manifest,
        report: &mut report,
    };
    let blocks = recovery.open_blocks()?;
    let reader = recovery.read_wal(&mut registry, &head)?;
    let (wal, wal_start) = recovery.settle_wal(&reader)?;
    if !report.created {
        manifest.renew()?;
    }
    make_block_folder(dir, options)?;
    let cleared = Leftovers::new(dir, options, &manifest).clear(wal.last_sequence())?;
    report.removed.extend(cleared.removed);
    report.quarantined = cleared.quarantined;
    report.took = options.clock.monotonic().saturating_sub(started);
    tracing::info!(
        dir = %dir.display(),
        blocks = blocks.len(),
        frames = report.frames,
        samples = report.samples,
        took = ?report.took,
        "database open"
    );
    Ok(Recovered {
        lock,
        manifest,
        blocks,
        registry,
        head,
        wal,
        wal_start,
        unmarked: reader.ends_unmarked(),
        report,
    })
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
    /// Opens the live blocks.
    fn open_blocks(&self) -> Result<Vec<Arc<Block>>> {
        let dir = self.dir.join(flush::DIR);
        let mut blocks = Vec::new();
        for entry in self.manifest.state().blocks.values() {
            let path = block_path(&dir, entry.id);
            if !self.exists(&path)? {
                return Err(Error::corrupt(
                    &path,
                    0,
                    "the manifest lists it, but it is missing",
                ));
            }
            let block = Block::open(&self.options.vfs, &path, self.options.reads)?;
            if flush::entry_of(block.info()) != *entry
                || block.info().meta.database != self.manifest.database()
            {
                let what = "the file is not the block that the manifest lists under this name";
                return Err(Error::corrupt(&path, 0, what));
            }
            blocks.push(Arc::new(block));
        }
        Ok(blocks)
    }

    /// Reads the WAL into `head`; the reader then knows where it ends.
    fn read_wal(&mut self, registry: &mut Registry, head: &Head) -> Result<WalReader> {
        let state = self.manifest.state();
        let dir = self.dir.join(wal::DIR);
        let database = self.manifest.database();
        if !self.exists(&dir)? {
            return Err(Error::corrupt(&dir, 0, "the folder of the WAL is missing"));
        }
        let vfs = Arc::clone(&self.options.vfs);
        let mut reader = WalReader::open(vfs, dir, database, state.wal_floor)?;
        let mut replay = Replay::new(registry, head);
        while let Some(frame) = reader.next()? {
            if frame.kind == FrameKind::Batch {
                let damaged = |error| Error::codec(frame.file, frame.offset, error);
                let payload = BatchPayload::decode(frame.payload).map_err(damaged)?;
                replay
                    .apply(frame.generation, &payload)
                    .map_err(|what| Error::corrupt(frame.file, frame.offset, what))?;
                self.report.samples += payload.values.len() as u64;
            }
            self.report.frames += 1;
        }
        self.report.series = registry.len() as u64;
        self.report.wal_bytes = reader.bytes();
        self.check_complete(&reader)?;
        Ok(reader)
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

    /// The WAL must go on where the blocks end: otherwise the manifest or the WAL lost its end.
    fn check_complete(&self, reader: &WalReader) -> Result<()> {
        let flushed = self.manifest.state().flushed_through;
        let path = self.dir.join(manifest::NAME);
        match reader.headers().first() {
            Some(header) if header.first_sequence > flushed + 1 => {
                let what = format!(
                    "it ends at change {flushed}, but the WAL starts at {}: a later record is lost",
                    header.first_sequence
                );
                Err(Error::corrupt(&path, 0, what))
            }
            Some(_) => Ok(()),
            None => {
                let floor = self.manifest.state().wal_floor;
                let path = wal::file_path(&self.dir.join(wal::DIR), floor);
                Err(Error::corrupt(&path, 0, "the WAL file is missing"))
            }
        }
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
            Wal::create(vfs, dir.clone(), header, self.options.wal_file_bytes)
        };
        let reserve = Reserve::new(Arc::clone(&self.options.vfs), self.dir, 0);
        let wal = match begin() {
            // A full disk must not keep a database shut.
            Err(error) if error.is_disk_full() && reserve.spend() => begin()?,
            begun => begun?,
        };
        for number in reader.empty_files() {
            // Each open begins a file; one that was not used is nothing to report.
            let path = wal::file_path(&dir, number);
            let removed = self.vfs().remove(&path);
            removed.map_err(|error| Error::io("remove", &path, error))?;
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
