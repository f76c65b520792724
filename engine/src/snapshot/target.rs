//! The directory of a snapshot while it is made: beside its target, under a name of its own.
//!
//! Input: files of a database, one by one. Output: the finished directory under its name. What an
//! attempt leaves behind, the next one to the same target replaces; a directory with anything else
//! in it is not touched.

use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::block::{Block, block_path, is_temporary_name, parse_block_name};
use crate::directory::{LOCK, make_dir};
use crate::error::{Error, Result};
use crate::flush;
use crate::manifest::{self, Manifest, format::State};
use crate::snapshot::SnapshotReport;
use crate::vfs::{EntryKind, Lock, Vfs};
use crate::wal;
use crate::wal::format::FileHeader;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    vfs: &'a Arc<dyn Vfs>,
    dir: &'a Path,
    temporary: PathBuf,
    report: SnapshotReport,
    finished: bool,
    /// Keeps other attempts to the same target away.
    _lock: Box<dyn Lock>,
}

/// Bytes that are copied at a time.
const PIECE_BYTES: u64 = 1 << 20;

impl<'a> Target<'a> {
    /// Begins a directory that is to become `dir`, of files of the directory `source`.
    pub(crate) fn begin(vfs: &'a Arc<dyn Vfs>, dir: &'a Path, source: &Path) -> Result<Self> {
        check(&**vfs, dir, source)?;
        let mut name = dir.file_name().unwrap_or_default().to_owned();
        name.push(".snapshot-tmp");
        let temporary = dir.with_file_name(name);
        let made = make_dir(&**vfs, &temporary);
        let lock = made.and_then(|()| take_lock(&**vfs, &temporary.join(LOCK)));
        let lock = lock.inspect_err(|_| {
            // Nothing but an empty directory goes by this.
            let _ = vfs.remove_dir(&temporary);
        })?;
        let target = Self {
            vfs,
            dir,
            temporary,
            report: SnapshotReport::default(),
            finished: false,
            _lock: lock,
        };
        for path in target.leftovers()? {
            let removed = vfs.remove(&path);
            removed.map_err(|error| Error::io("remove", &path, error))?;
        }
        for folder in [target.folder(wal::DIR), target.folder(flush::DIR)] {
            let made = vfs.create_dir(&folder);
            made.map_err(|error| Error::io("create", &folder, error))?;
        }
        Ok(target)
    }

    /// Copies WAL files (number, length) from the folder `from`.
    pub(super) fn copy_wal(&mut self, from: &Path, files: &[(u64, u64)]) -> Result<()> {
        let folder = self.folder(wal::DIR);
        for &(number, len) in files {
            let (from, to) = (
                wal::file_path(from, number),
                wal::file_path(&folder, number),
            );
            self.copy(&from, &to, len)?;
            self.report.bytes += len;
        }
        Ok(())
    }

    /// Gives the file of a block a second name, or copies it where the file system has none.
    pub(super) fn add_block(&mut self, block: &Block) -> Result<()> {
        let (from, to) = (
            block.path(),
            block_path(&self.folder(flush::DIR), block.id()),
        );
        let bytes = block.info().bytes.total;
        match self.vfs.link(from, &to) {
            Ok(()) => self.report.linked += 1,
            Err(error) if is_unable(&error) => {
                self.copy(from, &to, bytes)?;
                self.report.copied += 1;
            }
            Err(error) => return Err(Error::io("link", from, error)),
        }
        self.report.blocks += 1;
        self.report.bytes += bytes;
        Ok(())
    }

    /// Copies the file of a block, durably.
    pub(crate) fn copy_block(&mut self, block: &Block) -> Result<()> {
        let to = block_path(&self.block_folder(), block.id());
        self.copy(block.path(), &to, block.info().bytes.total)
    }

    /// The folder of the blocks.
    pub(crate) fn block_folder(&self) -> PathBuf {
        self.folder(flush::DIR)
    }

    /// Begins a WAL without frames behind the changes that `state` has in blocks.
    pub(crate) fn begin_wal(&mut self, database: u64, state: &State) -> Result<()> {
        let header = FileHeader {
            database,
            number: state.wal_floor,
            generation: 0,
            position: 0,
            first_sequence: state.flushed_through + 1,
        };
        let path = wal::file_path(&self.folder(wal::DIR), header.number);
        let file = self.vfs.create(&path);
        let file = file.map_err(|error| Error::io("create", &path, error))?;
        let written = file.write_all_at(&header.encode(), 0);
        written.map_err(|error| Error::io("write", &path, error))?;
        // Durable before the directory gets its name.
        file.sync()
            .map_err(|error| Error::io("fsync", &path, error))
    }

    /// Writes the manifest and gives the directory its name.
    pub(crate) fn finish(mut self, database: u64, state: State) -> Result<SnapshotReport> {
        // Durable before the manifest says that they are there.
        for folder in [self.folder(wal::DIR), self.folder(flush::DIR)] {
            self.sync_dir(&folder)?;
        }
        let vfs = Arc::clone(self.vfs);
        let manifest = Manifest::create(vfs, &self.temporary, database, state)?;
        self.report.bytes += manifest.len();
        check_free(&**self.vfs, self.dir)?;
        let renamed = self.vfs.rename(&self.temporary, self.dir);
        renamed.map_err(|error| Error::io("rename", &self.temporary, error))?;
        self.finished = true;
        let named = self.sync_dir(self.dir.parent().unwrap_or(Path::new("")));
        // A name that a power cut may take away is none: an error leaves nothing.
        named.inspect_err(|_| clear(&**self.vfs, self.dir))?;
        Ok(std::mem::take(&mut self.report))
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.temporary.join(name)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let synced = self.vfs.sync_dir(dir);
        synced.map_err(|error| Error::io("fsync", dir, error))
    }

    /// Copies the first `len` bytes of a file, durably.
    fn copy(&self, from: &Path, to: &Path, len: u64) -> Result<()> {
        let source = self.vfs.open(from);
        let source = source.map_err(|error| Error::io("open", from, error))?;
        let copy = self.vfs.create(to);
        let copy = copy.map_err(|error| Error::io("create", to, error))?;
        let mut piece = Vec::new();
        let mut at = 0;
        while at < len {
            piece.resize(PIECE_BYTES.min(len - at) as usize, 0);
            let read = source.read_exact_at(&mut piece, at);
            read.map_err(|error| Error::io("read", from, error))?;
            let written = copy.write_all_at(&piece, at);
            written.map_err(|error| Error::io("write", to, error))?;
            at += piece.len() as u64;
        }
        // Makes the copy durable.
        copy.sync().map_err(|error| Error::io("fsync", to, error))
    }

    /// What an attempt that was given up left behind; an error when there is anything else.
    fn leftovers(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in self.list(&self.temporary)? {
            let path = self.temporary.join(&entry.0);
            match (&*entry.0, entry.1) {
                (LOCK, EntryKind::File) => {}
                (manifest::NAME | manifest::TEMPORARY_NAME, EntryKind::File) => found.push(path),
                (wal::DIR | flush::DIR, EntryKind::Dir) => {
                    for (name, kind) in self.list(&path)? {
                        if kind != EntryKind::File || !is_ours(&name) {
                            return Err(self.foreign(&path.join(name)));
                        }
                        found.push(path.join(name));
                    }
                }
                _ => return Err(self.foreign(&path)),
            }
        }
        Ok(found)
    }

    fn foreign(&self, path: &Path) -> Error {
        refuse(format!(
            "cannot be made: {} is in the way of the snapshot under work in {}; move it away",
            path.display(),
            self.temporary.display()
        ))
    }

    fn list(&self, dir: &Path) -> Result<Vec<(String, EntryKind)>> {
        let listed = self.vfs.list(dir);
        let entries = listed.map_err(|error| Error::io("list", dir, error))?;
        let entries = entries.into_iter().map(|entry| (entry.name, entry.kind));
        Ok(entries.collect())
    }
}

impl Drop for Target<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // Best effort: the next attempt to this target removes what stays.
        let Ok(leftovers) = self.leftovers() else {
            return;
        };
        for path in leftovers {
            let _ = self.vfs.remove(&path);
        }
        for folder in [self.folder(wal::DIR), self.folder(flush::DIR)] {
            let _ = self.vfs.remove_dir(&folder);
        }
        let _ = self.vfs.remove(&self.temporary.join(LOCK));
        let _ = self.vfs.remove_dir(&self.temporary);
    }
}

/// The lock of a snapshot under work. An attempt that is given up removes the file: whoever had it
/// open then would hold a lock that nobody else meets.
fn take_lock(vfs: &dyn Vfs, path: &Path) -> Result<Box<dyn Lock>> {
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::WouldBlock => Error::Locked {
            path: path.to_owned(),
            holder: "another snapshot to the same directory".to_owned(),
        },
        _ => Error::io("lock", path, error),
    };
    let lock = vfs.lock(path).map_err(failed)?;
    match vfs.exists(path) {
        Ok(true) => Ok(lock),
        Ok(false) => Err(failed(ErrorKind::WouldBlock.into())),
        Err(error) => {
            let _ = vfs.remove(path);
            Err(failed(error))
        }
    }
}

/// Refuses a directory that is there, or lies in the one that is copied.
pub(crate) fn check(vfs: &dyn Vfs, dir: &Path, source: &Path) -> Result<()> {
    if dir.file_name().is_none() {
        return Err(refuse(format!(
            "cannot be {}; name a new one",
            dir.display()
        )));
    }
    if plain(dir).starts_with(plain(source)) {
        return Err(refuse(format!(
            "{} lies in {}, which is copied; name one beside it",
            dir.display(),
            source.display()
        )));
    }
    check_free(vfs, dir)
}

pub(crate) fn check_free(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    let exists = vfs.exists(dir);
    if exists.map_err(|error| Error::io("look for", dir, error))? {
        let why = format!("{} exists already; name a new one", dir.display());
        return Err(refuse(why));
    }
    Ok(())
}

/// Removes a directory of ours, which holds files and folders of files, as far as it can be done.
pub(crate) fn clear(vfs: &dyn Vfs, dir: &Path) {
    for entry in vfs.list(dir).unwrap_or_default() {
        let path = dir.join(&entry.name);
        if entry.kind == EntryKind::Dir {
            for file in vfs.list(&path).unwrap_or_default() {
                let _ = vfs.remove(&path.join(&file.name));
            }
            let _ = vfs.remove_dir(&path);
        } else {
            let _ = vfs.remove(&path);
        }
    }
    let _ = vfs.remove_dir(dir);
}

fn refuse(why: String) -> Error {
    let argument = "the directory to make";
    Error::InvalidArgument { argument, why }
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

/// Whether a file in one of the two folders is one that a snapshot puts there.
fn is_ours(name: &str) -> bool {
    let is_wal = wal::parse_name(name).is_some() || wal::is_temporary_name(name);
    is_wal || parse_block_name(name).is_some() || is_temporary_name(name)
}

/// Whether the file system cannot give this file a second name in that place.
fn is_unable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::CrossesDevices
            | ErrorKind::Unsupported
            | ErrorKind::PermissionDenied
            | ErrorKind::TooManyLinks
    )
}
