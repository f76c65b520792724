//! Mapping finished files into memory: the only unsafe code of the crate.
//!
//! In: a file opened for reading. Out: its whole length as [`Bytes`] that unmap themselves when the
//! last copy is dropped. Invariant: only files that are published and immutable come here; the
//! engine never writes or shortens one again, it only unlinks it, which leaves the mapping whole.
#![allow(unsafe_code, reason = "mapping a file cannot be expressed safely")]
#![allow(clippy::disallowed_methods, reason = "part of the door to files")]

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::Mmap;

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
