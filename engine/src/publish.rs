//! Small files written whole: durable under a temporary name first, then under their own.
//!
//! Input: bytes and two names. Output: the file, durable in place of the one that had the name.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::poison::Failure;
use crate::vfs::{File, Vfs};

/// Makes what was read from a file durable, whatever became of it before: its `bytes` are written
/// anew. An fsync of the old file could not be believed: when an earlier one failed, the system may
/// have called bytes clean that it never wrote (Rebello et al., ATC 2020). Only on a full disk the
/// file stays where it is, cut to these bytes.
pub(crate) fn renew(
    vfs: &dyn Vfs,
    temporary: &Path,
    path: &Path,
    bytes: &[u8],
) -> Result<Arc<dyn File>> {
    match publish(vfs, temporary, path, bytes) {
        Err(Failure::Refused(error)) if error.is_disk_full() => {
            let cut = |file: Arc<dyn File>| {
                file.set_len(bytes.len() as u64)?;
                // Makes the bytes and the cut durable, as far as the system can be trusted.
                file.sync()?;
                Ok(file)
            };
            let kept = vfs.open_rw(path).and_then(cut);
            kept.map_err(|error| Error::io("fsync", path, error))
        }
        published => published.map_err(Failure::into_error),
    }
}

/// Publishes a file with these bytes, in the place of an older one of this name.
pub(crate) fn publish(
    vfs: &dyn Vfs,
    temporary: &Path,
    path: &Path,
    bytes: &[u8],
) -> Result<Arc<dyn File>, Failure> {
    let written = write_temporary(vfs, temporary, bytes);
    let file = written.map_err(|error| {
        // Best effort: the next attempt and the next open remove it as well.
        let _ = vfs.remove(temporary);
        Failure::Refused(Error::io("write", temporary, error))
    })?;
    // The second call makes the name durable. Once a rename was tried, which of the two files has
    // the name is unknown until both calls are through.
    vfs.rename(temporary, path)
        .and_then(|()| vfs.sync_dir(path.parent().unwrap_or(Path::new(""))))
        .map_err(|error| Failure::Unknown(Error::io("publish", path, error)))?;
    Ok(file)
}

fn write_temporary(vfs: &dyn Vfs, path: &Path, bytes: &[u8]) -> std::io::Result<Arc<dyn File>> {
    if vfs.exists(path)? {
        vfs.remove(path)?;
    }
    let file = vfs.create(path)?;
    file.write_all_at(bytes, 0)?;
    // Makes the contents durable before the name points to them.
    file.sync()?;
    Ok(file)
}
