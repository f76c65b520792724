//! The directory of a database: taken with its lock, or made.
//!
//! Input: a path. Output: a held lock; the manifest of a new database. A directory that holds other
//! people's files is left alone, and nothing is written into it.

use std::io::ErrorKind::{self, NotADirectory};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::flush::{self, parse_block_name};
use crate::manifest::{self, Manifest, format::State};
use crate::options::Options;
use crate::vfs::{Lock, Vfs};
use crate::wal::format::{FileHeader, HEADER_BYTES};
use crate::wal::{self, Wal};

/// Name of the lock file.
pub(crate) const LOCK: &str = "LOCK";
/// Folder for block files that nothing explains.
pub(crate) const QUARANTINE: &str = "quarantine";

/// The absolute form of the path that a database was opened by: it must not follow the process
/// into another directory.
pub(crate) fn resolve(dir: &Path, vfs: &dyn Vfs) -> Result<PathBuf> {
    if dir.as_os_str().is_empty() {
        let why = "is empty; name the directory of the database".to_owned();
        return Err(Error::InvalidArgument {
            argument: "dir",
            why,
        });
    }
    vfs.absolute(dir)
        .map_err(|error| Error::io("find", dir, error))
}

/// Takes the lock of the database in `dir`, which may not exist yet.
pub(crate) fn lock(dir: &Path, options: &Options) -> Result<Box<dyn Lock>> {
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
    if exists(dir)?
        && vfs
            .list(dir)
            .is_err_and(|error| error.kind() == NotADirectory)
    {
        return refuse("it is a file; name a directory");
    }
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
        ErrorKind::WouldBlock => {
            let holder = vfs.read(&path, 256).unwrap_or_default();
            let holder = String::from_utf8_lossy(&holder).trim().to_owned();
            let holder = match holder.strip_prefix("pid ") {
                Some(pid) if pid == std::process::id().to_string() => {
                    "this process; clone the open Db instead of opening it again".to_owned()
                }
                _ if holder.is_empty() => "another open of it".to_owned(),
                _ => holder,
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
pub(crate) fn make_dir(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    let mut made = vec![dir];
    let above = dir.ancestors().skip(1);
    let mut above = above.filter(|above| !above.as_os_str().is_empty());
    let mut there = None;
    for above in above.by_ref() {
        let exists = vfs.exists(above);
        if exists.map_err(|error| Error::io("look for", above, error))? {
            there = above.parent();
            break;
        }
        made.push(above);
    }
    vfs.create_dir(dir)
        .map_err(|error| Error::io("create", dir, error))?;
    // Those that are there may be of an open that was killed before it synced them. One that may
    // not be read, or is on a file system that cannot do it, was not made by us.
    for parent in there.into_iter().chain(above.filter_map(Path::parent)) {
        match vfs.sync_dir(parent).map_err(|error| (error.kind(), error)) {
            Ok(()) => {}
            Err((ErrorKind::PermissionDenied | ErrorKind::InvalidInput, _)) => {}
            Err((ErrorKind::Unsupported | ErrorKind::ReadOnlyFilesystem, _)) => {}
            Err((_, error)) => return Err(Error::io("fsync", parent, error)),
        }
    }
    for parent in made.into_iter().rev().filter_map(Path::parent) {
        // Makes the name of the directory in `parent` durable.
        vfs.sync_dir(parent)
            .map_err(|error| Error::io("fsync", parent, error))?;
    }
    Ok(())
}

/// Whether a name in a directory without a manifest may be a leftover of ours, or hidden.
pub(crate) fn is_ours(name: &str) -> bool {
    let ours = [
        LOCK,
        manifest::NAME,
        manifest::TEMPORARY_NAME,
        wal::DIR,
        flush::DIR,
        QUARANTINE,
        crate::reserve::NAME,
    ];
    ours.contains(&name) || name.starts_with('.') || name == "lost+found"
}

/// Makes a new database. The manifest comes last: before it is there, nothing is.
pub(crate) fn create(dir: &Path, options: &Options, random: u64) -> Result<Manifest> {
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
    Wal::create(Arc::clone(vfs), wal_dir, header, options.wal_file_most())?;
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
