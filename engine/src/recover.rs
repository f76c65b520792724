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
use treering_index::Labels;

use crate::block::Block;
use crate::error::{Error, Result};
use crate::flush::{self, block_path, is_temporary_name, parse_block_name};
use crate::head::Head;
use crate::ingest::push_run;
use crate::manifest::{self, Manifest, format::State};
use crate::options::Options;
use crate::registry::{Limits, Registry};
use crate::reserve::Reserve;
use crate::vfs::{EntryKind, Lock, Vfs};
use crate::wal::format::{FileHeader, FrameKind, HEADER_BYTES};
use crate::wal::payload::BatchPayload;
use crate::wal::{self, Cut, Wal, WalReader};

/// Name of the lock file in the database directory.
const LOCK: &str = "LOCK";
/// Folder for block files that nothing explains.
const QUARANTINE: &str = "quarantine";

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
    pub(crate) report: RecoveryReport,
}

/// Opens the database in `dir`, or makes it.
pub(crate) fn recover(dir: &Path, options: &Options, random: u64) -> Result<Recovered> {
    let started = options.clock.monotonic();
    let lock = lock(dir, options)?;
    let mut report = RecoveryReport::default();
    let manifest = match Manifest::open(Arc::clone(&options.vfs), dir)? {
        Some((manifest, cut)) => {
            report.manifest_bytes_cut = cut;
            manifest
        }
        None => {
            report.created = true;
            create(dir, options, random)?
        }
    };
    let mut recovery = Recovery {
        dir,
        options,
        manifest: &manifest,
        report: &mut report,
    };
    recovery.make_folders()?;
    let blocks = recovery.open_blocks()?;
    let limits = Limits {
        series: options.max_series,
        bytes: options.memory_bytes / 2,
        labels: options.label_limits,
    };
    let mut registry = Registry::new(limits);
    let head = Head::new(manifest.state().flushed_through);
    let (wal, wal_start) = recovery.replay(&mut registry, &head)?;
    // Nothing is removed before everything that must be there was found.
    recovery.clear_blocks(wal.last_sequence())?;
    recovery.drop_old_wal_files()?;
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
        report,
    })
}

/// Takes the lock of the database in `dir`, which may not exist yet.
fn lock(dir: &Path, options: &Options) -> Result<Box<dyn Lock>> {
    let vfs = &*options.vfs;
    let exists = |path: &Path| {
        vfs.exists(path)
            .map_err(|error| Error::io("look for", path, error))
    };
    let refuse = |why: &str| {
        Err(Error::NotADatabase {
            path: dir.to_owned(),
            why: why.to_owned(),
        })
    };
    if !exists(&dir.join(manifest::NAME))? {
        if !options.create {
            return refuse("it holds no manifest, and Options::create is off");
        }
        if exists(dir)? {
            let entries = vfs
                .list(dir)
                .map_err(|error| Error::io("list", dir, error))?;
            if entries.iter().any(|entry| !is_ours(&entry.name)) {
                return refuse("it holds other files; name an empty or a new directory");
            }
        }
        make_dir(vfs, dir)?;
    }
    let path = dir.join(LOCK);
    vfs.lock(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => {
            let holder = vfs.read(&path, 256).unwrap_or_default();
            let holder = String::from_utf8_lossy(&holder).trim().to_owned();
            let holder = if holder.is_empty() {
                "another writer".to_owned()
            } else {
                holder
            };
            Error::Locked {
                path: path.clone(),
                holder,
            }
        }
        _ => Error::io("lock", &path, error),
    })
}

/// Makes the directory of a new database and the missing ones above it, durably: a power cut that
/// took one of their names would take the whole database.
fn make_dir(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    let mut made = vec![dir];
    for above in dir
        .ancestors()
        .skip(1)
        .filter(|above| !above.as_os_str().is_empty())
    {
        if vfs
            .exists(above)
            .map_err(|error| Error::io("look for", above, error))?
        {
            break;
        }
        made.push(above);
    }
    vfs.create_dir(dir)
        .map_err(|error| Error::io("create", dir, error))?;
    for parent in made.into_iter().rev().filter_map(Path::parent) {
        // Makes the name of the directory in `parent` durable.
        vfs.sync_dir(parent)
            .map_err(|error| Error::io("fsync", parent, error))?;
    }
    Ok(())
}

/// Whether a name in a directory without a manifest may be a leftover of ours, or hidden.
fn is_ours(name: &str) -> bool {
    let ours = [
        LOCK,
        manifest::NAME,
        "manifest.tmp",
        wal::DIR,
        flush::DIR,
        QUARANTINE,
        crate::reserve::NAME,
    ];
    ours.contains(&name) || name.starts_with('.') || name == "lost+found"
}

/// Makes a new database. The manifest comes last: before it is there, nothing is.
fn create(dir: &Path, options: &Options, random: u64) -> Result<Manifest> {
    let vfs = &options.vfs;
    let (wal_dir, block_dir) = (dir.join(wal::DIR), dir.join(flush::DIR));
    for folder in [&wal_dir, &block_dir] {
        vfs.create_dir(folder)
            .map_err(|error| Error::io("create", folder, error))?;
    }
    // A crash while a database was being made leaves a WAL without frames, and no block.
    let missing = || Error::corrupt(&dir.join(manifest::NAME), 0, "the manifest is missing");
    let list = |path: &Path| {
        vfs.list(path)
            .map_err(|error| Error::io("list", path, error))
    };
    if list(&block_dir)?
        .iter()
        .any(|entry| parse_block_name(&entry.name).is_some())
    {
        return Err(missing());
    }
    let mut first_file = 1;
    for entry in list(&wal_dir)? {
        let Some(number) = wal::parse_name(&entry.name) else {
            continue;
        };
        if entry.len > HEADER_BYTES as u64 {
            return Err(missing());
        }
        let path = wal_dir.join(&entry.name);
        vfs.remove(&path)
            .map_err(|error| Error::io("remove", &path, error))?;
        first_file = first_file.max(number + 1);
    }
    let header = FileHeader {
        database: random,
        number: first_file,
        generation: 1,
        position: 0,
        first_sequence: 1,
    };
    Wal::create(Arc::clone(vfs), wal_dir, header, options.wal_file_bytes)?;
    // Makes the names of the two folders durable before the manifest says that they are there.
    vfs.sync_dir(dir)
        .map_err(|error| Error::io("fsync", dir, error))?;
    let state = State {
        next_block: 1,
        wal_floor: first_file,
        ..State::default()
    };
    tracing::info!(dir = %dir.display(), "database created");
    Manifest::create(Arc::clone(vfs), dir, random, state)
}

/// Opening under way.
struct Recovery<'a> {
    dir: &'a Path,
    options: &'a Options,
    manifest: &'a Manifest,
    report: &'a mut RecoveryReport,
}

impl Recovery<'_> {
    /// The folders are made with the database; a copy by hand may lack an empty one.
    fn make_folders(&mut self) -> Result<()> {
        for folder in [wal::DIR, flush::DIR] {
            let path = self.dir.join(folder);
            self.vfs()
                .create_dir(&path)
                .map_err(|error| Error::io("create", &path, error))?;
        }
        let temporary = self.dir.join("manifest.tmp");
        if self.exists(&temporary)? {
            self.remove(&temporary)?;
        }
        Ok(())
    }

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

    /// Removes or sets aside the block files that are not live; the WAL ends at `wal_end`.
    fn clear_blocks(&mut self, wal_end: u64) -> Result<()> {
        let dir = self.dir.join(flush::DIR);
        for (name, kind) in self.list(&dir)? {
            let path = dir.join(&name);
            if kind == EntryKind::File && is_temporary_name(&name) {
                self.remove(&path)?;
            } else if kind == EntryKind::File
                && let Some(id) = parse_block_name(&name)
                && !self.manifest.state().blocks.contains_key(&id)
            {
                self.clear_block(id, &path, wal_end)?;
            }
        }
        Ok(())
    }

    /// A block file that is not live: one that the manifest removed, or whose samples are still in
    /// the WAL, goes; one that nothing explains is evidence and is set aside.
    fn clear_block(&mut self, id: u64, path: &Path, wal_end: u64) -> Result<()> {
        let state = self.manifest.state();
        let in_wal = || match Block::open(&self.options.vfs, path, self.options.reads) {
            Ok(block) => {
                block.min_sequence() > state.flushed_through && block.max_sequence() <= wal_end
            }
            Err(_) => false,
        };
        if id < state.next_block || in_wal() {
            return self.remove(path);
        }
        let folder = self.dir.join(QUARANTINE);
        self.vfs()
            .create_dir(&folder)
            .map_err(|error| Error::io("create", &folder, error))?;
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        let target = folder.join(&name);
        self.vfs()
            .rename(path, &target)
            .map_err(|error| Error::io("set aside", path, error))?;
        tracing::warn!(file = %target.display(), "block file that nothing explains set aside");
        self.report.quarantined.push(name.display().to_string());
        Ok(())
    }

    /// Removes the WAL files whose frames are all in blocks, and copies that were being made.
    fn drop_old_wal_files(&mut self) -> Result<()> {
        let dir = self.dir.join(wal::DIR);
        for (name, kind) in self.list(&dir)? {
            let number = wal::parse_name(&name);
            let old = number.is_some_and(|number| number < self.manifest.state().wal_floor);
            if kind == EntryKind::File && (old || wal::is_temporary_name(&name)) {
                self.remove(&dir.join(name))?;
            }
        }
        Ok(())
    }

    /// Replays the WAL into `head` and begins a new file behind it.
    fn replay(&mut self, registry: &mut Registry, head: &Head) -> Result<(Wal, u64)> {
        let state = self.manifest.state();
        let dir = self.dir.join(wal::DIR);
        let database = self.manifest.database();
        let vfs = Arc::clone(&self.options.vfs);
        let mut reader = WalReader::open(vfs, dir.clone(), database, state.wal_floor)?;
        let mut replay = Replay {
            registry,
            head,
            ids: HashMap::new(),
        };
        while let Some(frame) = reader.next()? {
            if frame.header.kind == FrameKind::Batch {
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
        if let Some(cut) = reader.cut() {
            self.cut(&dir, cut)?;
        }
        self.make_durable(&dir, &reader)?;
        self.begin_file(dir, &reader)
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
                manifest::renew(
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
            self.remove(&wal::file_path(&dir, number))?;
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

    fn list(&self, dir: &Path) -> Result<Vec<(String, EntryKind)>> {
        let entries = self
            .vfs()
            .list(dir)
            .map_err(|error| Error::io("list", dir, error))?;
        Ok(entries
            .into_iter()
            .map(|entry| (entry.name, entry.kind))
            .collect())
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

/// Frames on their way into the head.
struct Replay<'a> {
    registry: &'a mut Registry,
    head: &'a Head,
    /// Ids of each generation in the files, to ids of this open.
    ids: HashMap<u64, IdMap>,
}

impl Replay<'_> {
    fn apply(&mut self, generation: u64, payload: &BatchPayload<'_>) -> Result<(), &'static str> {
        if payload.namespace != 0 {
            return Err("a frame names a namespace that does not exist");
        }
        let ids = self.ids.entry(generation).or_default();
        for definition in &payload.definitions {
            let labels = Labels::from_canonical(definition.labels)
                .map_err(|_| "a frame defines a series with malformed labels")?;
            let id = self
                .registry
                .insert(&labels)
                .map_err(|_| "a frame defines too many series")?;
            ids.set(definition.id, id);
        }
        let mut runs = Vec::with_capacity(payload.runs.len());
        for run in &payload.runs {
            for id in run.first..run.first + run.ids {
                let id = ids
                    .get(id)
                    .ok_or("a frame names a series that was never defined")?;
                push_run(&mut runs, id, run.len);
            }
        }
        let shards = self.head.lock(&runs);
        self.head
            .apply(shards, &runs, &payload.timestamps, &payload.values);
        Ok(())
    }
}

/// A map between ids, in pages, so that a wild id costs one page and not the whole range.
#[derive(Debug, Default)]
struct IdMap {
    pages: Vec<Option<Box<[u32; ID_PAGE]>>>,
}

const ID_PAGE: usize = 1024;
const NO_ID: u32 = u32::MAX;

impl IdMap {
    fn set(&mut self, from: u32, to: u32) {
        let page = from as usize / ID_PAGE;
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| Box::new([NO_ID; ID_PAGE]));
        page[from as usize % ID_PAGE] = to;
    }

    fn get(&self, from: u32) -> Option<u32> {
        let page = self.pages.get(from as usize / ID_PAGE)?.as_ref()?;
        Some(page[from as usize % ID_PAGE]).filter(|&id| id != NO_ID)
    }
}
