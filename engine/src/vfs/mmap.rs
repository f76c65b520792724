//! Mapping finished files into memory: the only unsafe code of the crate. And memory for large reads
//! of files that are not mapped.
//!
//! In: a file opened for reading. Out: its whole length as [`Bytes`] that unmap themselves when the
//! last copy is dropped. Invariant: only files that are published and immutable come here; the
//! engine never writes or shortens one again, it only unlinks it, which leaves the mapping whole.
#![allow(unsafe_code, reason = "mapping a file cannot be expressed safely")]
#![allow(clippy::disallowed_methods, reason = "part of the door to files")]

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::{Mmap, MmapMut};

/// Maps the whole file; an empty file gives empty bytes, which cannot be mapped.
pub(super) fn map(file: &File) -> io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the mapping is private to reading, and the bytes under it do not change: callers map
    // only files listed in the manifest, which no code of the engine opens for writing, in a
    // directory of mode 0700 under an exclusive lock. Whoever writes to them from outside breaks
    // the contract stated in docs/guarantees.md; the checksums are checked when read.
    let map = unsafe { Mmap::map(file) }?;
    Ok(Bytes::from_owner(map))
}

/// Memory to read into. A large one goes back to the system when it is freed: an allocator would
/// keep it, and after it all that is freed up to its size, in each thread that reads.
#[derive(Debug)]
pub(crate) enum Buffer {
    Small(Vec<u8>),
    Large(MmapMut),
}

/// Bytes from which a buffer is large.
const LARGE_BYTES: usize = 64 << 10;

impl Buffer {
    /// Zeros; an error when there is no memory for them.
    pub(crate) fn zeroed(bytes: usize) -> io::Result<Self> {
        if bytes >= LARGE_BYTES {
            return MmapMut::map_anon(bytes).map(Self::Large);
        }
        let mut small = Vec::new();
        let reserved = small.try_reserve_exact(bytes);
        reserved.map_err(|_| io::ErrorKind::OutOfMemory)?;
        small.resize(bytes, 0);
        Ok(Self::Small(small))
    }

    /// The bytes to write to.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Large(bytes) => bytes,
        }
    }

    /// The bytes that were written.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Small(bytes) => Bytes::from(bytes),
            Self::Large(bytes) => Bytes::from_owner(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_all_sizes_hold_what_is_written() {
        for bytes in [0, 1, LARGE_BYTES - 1, LARGE_BYTES, 3 * LARGE_BYTES + 7] {
            let mut buffer = Buffer::zeroed(bytes).unwrap();
            assert!(buffer.bytes_mut().iter().all(|&byte| byte == 0));
            buffer.bytes_mut().fill(7);
            assert_eq!(buffer.into_bytes(), vec![7; bytes]);
        }
        assert!(Buffer::zeroed(usize::MAX / 2).is_err());
    }
}
