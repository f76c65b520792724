//! The one door to files: every file call of the engine goes through [`Vfs`] and [`File`].
//!
//! In: paths and bytes. Out: `std::io` results, whose meaning the caller adds (which file, what
//! for). [`DiskVfs`] is the real disk, [`MemVfs`] keeps files in memory; with the feature `testing`
//! `CrashVfs` shows what a disk may hold after a power cut and `FaultVfs` makes any call fail.
//! Invariant: all stores answer alike, so what is proven on one of them holds on the others.
//!
//! What a store promises, and no more: [`File::sync`] that returned `Ok` makes the file's bytes and
//! length durable, [`Vfs::sync_dir`] the entries of one directory. Until then a crash may keep any
//! part of them. A rename is atomic but not durable until the directories of both names are synced.
//! A sync that failed is never worth repeating: the next one may answer `Ok` with the data lost.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

#[cfg(any(test, feature = "testing"))]
mod crash;
mod disk;
#[cfg(any(test, feature = "testing"))]
mod fault;
#[cfg(any(test, feature = "testing"))]
mod image;
mod mem;
mod memfile;
mod mmap;
#[cfg(any(test, feature = "testing"))]
mod room;

#[cfg(any(test, feature = "testing"))]
pub use crash::CrashVfs;
pub use disk::{DiskVfs, total_memory};
#[cfg(any(test, feature = "testing"))]
pub use fault::{CallKind, Fault, FaultVfs, Repeat};
#[cfg(any(test, feature = "testing"))]
pub use image::Images;
pub use mem::MemVfs;
pub(crate) use mmap::Buffer;

/// A store of files: directories, names, locks. Shared by all threads of a database.
///
/// No call follows a symbolic link in the last part of its path, with the exceptions that
/// `create_dir`, `list` and `sync_dir` accept a directory reached through one.
pub trait Vfs: fmt::Debug + Send + Sync + 'static {
    /// Makes a directory (mode 0700) and its missing parents; `Ok` when it is there already.
    ///
    /// The new entries are durable after [`Vfs::sync_dir`] of each parent. Fails when the path
    /// names a file.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes a new file (mode 0600), open for reading and writing.
    ///
    /// Fails with [`io::ErrorKind::AlreadyExists`] when the name is taken by anything.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens an existing regular file for reading only.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens an existing regular file for reading and writing.
    fn open_rw(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// The whole of a finished file, mapped or copied. The empty file gives empty bytes.
    ///
    /// Only for files that nobody writes or shortens any more: a mapped file that shrinks, or a
    /// disk that cannot read, ends the process with SIGBUS.
    fn map(&self, path: &Path) -> io::Result<Bytes>;

    /// Gives a file or directory another name, replacing a file that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes the name of a file; its bytes stay for those that have it open. Not for directories.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory that is empty. A store that cannot says
    /// [`io::ErrorKind::Unsupported`]: nothing depends on it.
    fn remove_dir(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives a file a second name. Fails when that name is taken.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// The entries of a directory, sorted by name; names that are not UTF-8 are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Whether the path names anything (a dangling symbolic link counts).
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Makes the entries of this directory durable: what was created, renamed or removed in it.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the exclusive lock named by this file, creating the file when it is missing.
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] while anyone holds it, this process included. The
    /// lock ends when the result is dropped or the process dies; the file stays and means nothing.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;

    /// The path in a form that does not depend on the current directory; a store without one
    /// returns it as it is.
    fn absolute(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    /// The memory of this machine in bytes, or what this process may use of it.
    fn total_memory(&self) -> u64 {
        total_memory()
    }

    /// The whole of a file as bytes on the heap, read without mapping.
    ///
    /// Fails with [`io::ErrorKind::FileTooLarge`], before allocating, when it is longer than
    /// `len_max` bytes.
    fn read(&self, path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        let len = file.len()?;
        let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, format!("{len} bytes long"));
        if len > len_max {
            return Err(too_large());
        }
        let len = usize::try_from(len).map_err(|_| too_large())?;
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(len)
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        bytes.resize(len, 0);
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Told by `FaultVfs` that it failed a [`Vfs::sync_dir`] of this directory.
    #[cfg(any(test, feature = "testing"))]
    #[doc(hidden)]
    fn sync_dir_failed(&self, _dir: &Path) {}
}

/// An open file. Calls take offsets, so threads may share it without a common position.
#[expect(
    clippy::len_without_is_empty,
    reason = "asking a file whether it is empty is a call too"
)]
pub trait File: fmt::Debug + Send + Sync {
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Reads some bytes at `offset`, like `pread`: 0 at and after the end, else perhaps fewer than
    /// asked.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some bytes at `offset`, like `pwrite`: fewer than given at will, the file grows as
    /// needed and a gap reads as zeros.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the bytes and the length durable (`fdatasync`). Never repeat one that failed.
    fn sync(&self) -> io::Result<()>;

    /// Fills `buf` from `offset`; [`io::ErrorKind::UnexpectedEof`] when the file ends before.
    ///
    /// Interrupted calls are repeated, at most [`INTERRUPTS_MAX`] in a row.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        let mut interrupts = 0;
        while done < buf.len() {
            match self.read_at(&mut buf[done..], advance(offset, done)?) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    done += count.min(buf.len() - done);
                    interrupts = 0;
                }
                Err(error) => interrupts = count_interrupt(interrupts, error)?,
            }
        }
        Ok(())
    }

    /// Writes all of `buf` at `offset`. After an error any part of it may be in the file.
    ///
    /// Interrupted calls are repeated, at most [`INTERRUPTS_MAX`] in a row; a call that writes
    /// nothing is [`io::ErrorKind::WriteZero`].
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        let mut interrupts = 0;
        while done < buf.len() {
            match self.write_at(&buf[done..], advance(offset, done)?) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    done += count.min(buf.len() - done);
                    interrupts = 0;
                }
                Err(error) => interrupts = count_interrupt(interrupts, error)?,
            }
        }
        Ok(())
    }

    /// Told by `FaultVfs` that it failed a [`File::sync`] of this file.
    #[cfg(any(test, feature = "testing"))]
    #[doc(hidden)]
    fn sync_failed(&self) {}
}

/// A held lock; dropping it lets go.
pub trait Lock: fmt::Debug + Send + Sync {}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the directory.
    pub name: String,
    /// Length in bytes of a file; of no meaning for the others.
    pub len: u64,
    /// What has this name.
    pub kind: EntryKind,
}

/// What a name in a directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// Anything else: a symbolic link, a pipe, a device. Never one of ours.
    Other,
}

/// How many interrupted calls in a row are repeated before the interruption becomes the error.
pub const INTERRUPTS_MAX: u32 = 1000;

fn advance(offset: u64, done: usize) -> io::Result<u64> {
    let end = u64::try_from(done)
        .ok()
        .and_then(|done| offset.checked_add(done));
    end.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn count_interrupt(interrupts: u32, error: io::Error) -> io::Result<u32> {
    if error.kind() == io::ErrorKind::Interrupted && interrupts < INTERRUPTS_MAX {
        Ok(interrupts + 1)
    } else {
        Err(error)
    }
}

#[cfg(test)]
mod tests;
