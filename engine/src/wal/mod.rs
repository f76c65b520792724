//! The write-ahead log: every change is a frame, in order of sequence, before anything else sees it.
//!
//! `format` has the bytes of files and frames, `payload` those of a batch, `writer` appends and
//! rotates, `syncer` makes frames durable (group commit), `reader` walks the frames of a directory
//! and tells an unsynced tail from damage; `walk` reads them while they are written, for those who
//! follow the database, for whom `keep` keeps files that recovery has no use for. A position counts bytes over the whole WAL, file after
//! file, so "how far is it fsynced" is one number.

pub(crate) mod change;
pub(crate) mod format;
mod keep;
pub(crate) mod payload;
mod reader;
pub(crate) mod stretches;
mod syncer;
pub(crate) mod walk;
mod writer;

pub(crate) use keep::unneeded;
pub(crate) use reader::{Cut, Frame, MAX_FILE_BYTES, WalReader};
pub(crate) use syncer::Syncer;
pub(crate) use writer::{Draft, Wal};

use std::path::{Path, PathBuf};

use crate::vfs::Vfs;

/// Folder of the WAL inside the database directory.
pub(crate) const DIR: &str = "wal";

/// Path of WAL file `number` in the folder `dir`.
pub(crate) fn file_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.wal"))
}

/// Path under which a copy of WAL file `number` is written before it takes its place.
pub(crate) fn temporary_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.wal.tmp"))
}

/// Whether a file name is that of a copy being written.
pub(crate) fn is_temporary_name(name: &str) -> bool {
    name.strip_suffix(".tmp")
        .is_some_and(|file| parse_name(file).is_some())
}

/// Number of the WAL file with this name, if it is one.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    let well_formed = digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits
        .parse()
        .ok()
        .filter(|number| well_formed && *number <= 1 << 62)?;
    (file_path(Path::new(""), number).as_os_str() == name).then_some(number)
}

/// The first bytes of the file at `path`, as long as a header; none when they cannot be read.
pub(crate) fn header_bytes(vfs: &dyn Vfs, path: &Path) -> Option<[u8; format::HEADER_BYTES]> {
    let mut bytes = [0; format::HEADER_BYTES];
    let file = vfs.open(path).ok()?;
    file.read_exact_at(&mut bytes, 0).ok()?;
    Some(bytes)
}
