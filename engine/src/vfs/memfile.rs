//! One file in memory: its bytes, the handles that are open on it, its lock.
//!
//! In: offsets and bytes. Out: what `pread`, `pwrite` and `flock` would answer. Invariant: bytes
//! that were shared by [`MemFile::share`] never change; the next write works on a copy of its own
//! when anyone still has them.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::{File, Lock};
use crate::sync::RwLock;

/// The bytes of one file, whatever its names.
pub(super) struct MemFile {
    id: u64,
    content: RwLock<Content>,
    locked: AtomicBool,
}

impl MemFile {
    pub(super) fn new(id: u64, bytes: Bytes) -> Arc<MemFile> {
        let content = RwLock::new(Content::Whole(bytes));
        Arc::new(MemFile {
            id,
            content,
            locked: AtomicBool::new(false),
        })
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn len(&self) -> u64 {
        self.content.read().as_slice().len() as u64
    }

    /// All bytes as they are now, not copied.
    pub(super) fn share(&self) -> Bytes {
        self.content.write().freeze()
    }
}

/// Bytes that grow, or bytes that are shared.
enum Content {
    Growing(Vec<u8>),
    Whole(Bytes),
}

impl Content {
    fn as_slice(&self) -> &[u8] {
        match self {
            Content::Growing(bytes) => bytes,
            Content::Whole(bytes) => bytes,
        }
    }

    fn freeze(&mut self) -> Bytes {
        match self {
            Content::Whole(bytes) => bytes.clone(),
            Content::Growing(bytes) => {
                if bytes.capacity() - bytes.len() > bytes.len() / 8 {
                    bytes.shrink_to_fit();
                }
                let bytes = Bytes::from(std::mem::take(bytes));
                *self = Content::Whole(bytes.clone());
                bytes
            }
        }
    }

    /// The bytes for writing, with room for `len` in all; copied when someone else has them.
    fn thaw(&mut self, len: usize) -> io::Result<&mut Vec<u8>> {
        if let Content::Whole(bytes) = self {
            let grown = if bytes.is_unique() {
                Vec::from(std::mem::take(bytes))
            } else {
                let mut copy = Vec::new();
                copy.try_reserve(bytes.len().max(len))
                    .map_err(|_| ErrorKind::StorageFull)?;
                copy.extend_from_slice(bytes);
                copy
            };
            *self = Content::Growing(grown);
        }
        match self {
            Content::Growing(bytes) => {
                let more = len.saturating_sub(bytes.len());
                bytes
                    .try_reserve(more)
                    .map_err(|_| ErrorKind::StorageFull)?;
                Ok(bytes)
            }
            Content::Whole(_) => Err(ErrorKind::Other.into()),
        }
    }
}

/// An open file of a [`MemVfs`].
#[derive(Clone)]
pub(super) struct MemHandle {
    file: Arc<MemFile>,
    writable: bool,
}

impl MemHandle {
    pub(super) fn new(file: Arc<MemFile>, writable: bool) -> MemHandle {
        MemHandle { file, writable }
    }

    pub(super) fn share(&self) -> Bytes {
        self.file.share()
    }

    pub(super) fn lock(self) -> io::Result<MemLock> {
        if self.file.locked.swap(true, Ordering::AcqRel) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(MemLock { file: self.file })
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn id(&self) -> u64 {
        self.file.id
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(ErrorKind::PermissionDenied.into())
        }
    }
}

impl fmt::Debug for MemHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemHandle")
            .field("file", &self.file.id)
            .finish_non_exhaustive()
    }
}

impl File for MemHandle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.file.content.read();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = content.as_slice().get(start..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        if buf.is_empty() {
            return Ok(0);
        }
        let start = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
        let end = start
            .checked_add(buf.len())
            .ok_or(ErrorKind::FileTooLarge)?;
        let mut content = self.file.content.write();
        overwrite(content.thaw(end)?, start, buf);
        Ok(buf.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let len = usize::try_from(len).map_err(|_| ErrorKind::FileTooLarge)?;
        self.file.content.write().thaw(len)?.resize(len, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts `data` at `start`, filling a gap with zeros. `start + data.len()` does not overflow.
pub(super) fn overwrite(bytes: &mut Vec<u8>, start: usize, data: &[u8]) {
    if bytes.len() < start {
        bytes.resize(start, 0);
    }
    let inside = data.len().min(bytes.len() - start);
    bytes[start..start + inside].copy_from_slice(&data[..inside]);
    bytes.extend_from_slice(&data[inside..]);
}

/// The lock that a file's name stands for, held until dropped.
pub(super) struct MemLock {
    file: Arc<MemFile>,
}

impl MemLock {
    /// What people find in the lock file.
    pub(super) fn note(&self, note: Bytes) {
        *self.file.content.write() = Content::Whole(note);
    }
}

impl Lock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.file.locked.store(false, Ordering::Release);
    }
}

impl fmt::Debug for MemLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemLock")
            .field("file", &self.file.id)
            .finish()
    }
}
