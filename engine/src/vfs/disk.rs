//! The real disk: files of the operating system, for Linux.
//!
//! In: paths below a data directory. Out: open files, mapped bytes, locks. Invariant: a file is
//! opened only when it is a regular file reached without following a symbolic link as its last
//! part; new files are 0600 and new directories 0700.
#![allow(
    clippy::disallowed_methods,
    reason = "this file is the door that the others must use"
)]

use std::fs::{self, DirBuilder, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::{Entry, EntryKind, File, Lock, Vfs, mmap};

/// The files of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskVfs;

impl DiskVfs {
    /// The store of the real disk.
    pub fn new() -> DiskVfs {
        DiskVfs
    }
}

impl Vfs for DiskVfs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        // O_EXCL refuses a symbolic link too, so no O_NOFOLLOW is needed here.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(path)?;
        Ok(Arc::new(DiskFile { file }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = open_regular(OpenOptions::new().read(true), path)?;
        Ok(Arc::new(DiskFile { file }))
    }

    fn open_rw(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = open_regular(OpenOptions::new().read(true).write(true), path)?;
        Ok(Arc::new(DiskFile { file }))
    }

    fn map(&self, path: &Path) -> io::Result<Bytes> {
        mmap::map(&open_regular(OpenOptions::new().read(true), path)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(or_here(dir))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed between the reading of its name and this call.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let kind = if metadata.is_file() {
                EntryKind::File
            } else if metadata.is_dir() {
                EntryKind::Dir
            } else {
                EntryKind::Other
            };
            entries.push(Entry {
                name,
                len: metadata.len(),
                kind,
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn absolute(&self, path: &Path) -> io::Result<PathBuf> {
        std::path::absolute(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let flags = libc::O_DIRECTORY;
        OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(or_here(dir))?
            .sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE);
        let file = open_regular(&mut options, path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // A note for people only: a full disk must not keep a database from opening.
        let note = format!("pid {}\n", std::process::id());
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all_at(note.as_bytes(), 0));
        Ok(Box::new(DiskLock { _file: file }))
    }
}

/// The memory of this machine in bytes, or the limit that its control group sets below that;
/// 1 GiB when neither can be read. Read once in a process.
pub fn total_memory() -> u64 {
    static TOTAL: OnceLock<u64> = OnceLock::new();
    *TOTAL.get_or_init(|| {
        let machine = fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| mem_total(&text));
        let limit = cgroup_limit();
        machine
            .unwrap_or(MEMORY_FALLBACK)
            .min(limit.unwrap_or(u64::MAX))
    })
}

#[derive(Debug)]
struct DiskFile {
    file: fs::File,
}

impl File for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// The descriptor that holds the lock; the kernel lets go when it is closed.
#[derive(Debug)]
struct DiskLock {
    _file: fs::File,
}

impl Lock for DiskLock {}

/// Opens without following a symbolic link and without waiting for the other end of a pipe.
fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<fs::File> {
    let file = options
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

/// The parent of a relative path of one part is the empty path, which means the current directory.
fn or_here(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    }
}

/// The `MemTotal` line of `/proc/meminfo` (proc(5)), in bytes.
fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The smallest memory limit of this process' control groups (cgroups(7)), of both versions.
fn cgroup_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = groups
        .lines()
        .filter_map(cgroup_place)
        .flat_map(|(root, group, file)| {
            // A limit of any ancestor binds. In a container the path may be one of the host, then
            // only the root of the mount, the last ancestor, can be read.
            let group = PathBuf::from(group);
            let inner: PathBuf = group
                .components()
                .filter(|c| matches!(c, Component::Normal(_)))
                .collect();
            let places: Vec<PathBuf> = inner.ancestors().map(|a| Path::new(root).join(a)).collect();
            places
                .into_iter()
                .filter_map(move |place| fs::read_to_string(place.join(file)).ok())
        });
    // "max" does not parse: no limit.
    limits.filter_map(|text| text.trim().parse().ok()).min()
}

/// Where the limit of one line of `/proc/self/cgroup` is kept: mount, group, name of the file.
fn cgroup_place(line: &str) -> Option<(&'static str, &str, &'static str)> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
    if controllers.is_empty() {
        Some(("/sys/fs/cgroup", group, "memory.max"))
    } else if controllers.split(',').any(|name| name == "memory") {
        Some(("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"))
    } else {
        None
    }
}

const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const MEMORY_FALLBACK: u64 = 1 << 30;
