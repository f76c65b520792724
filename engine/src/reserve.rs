//! A file of ballast, so that a full disk can still be tidied.
//!
//! Nothing is ever read from it. When the manifest cannot grow because the disk is full, the file
//! is removed and the manifest takes its place; when there is room again, it is made anew.

use std::path::PathBuf;
use std::sync::Arc;

use crate::vfs::Vfs;

/// Name of the reserve in the database directory.
pub(crate) const NAME: &str = "reserve";

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Reserve {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    bytes: u64,
    /// Whether it may be given up.
    spendable: bool,
}

impl Reserve {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, dir: &std::path::Path, bytes: u64) -> Self {
        Self {
            vfs,
            path: dir.join(NAME),
            bytes,
            spendable: true,
        }
    }

    /// The same file, for work that must not use it up: what only wants more room later.
    pub(crate) fn spared(&self) -> Self {
        Self {
            vfs: Arc::clone(&self.vfs),
            path: self.path.clone(),
            bytes: self.bytes,
            spendable: false,
        }
    }

    /// Makes the reserve if it is missing or short and there is room; never an error.
    pub(crate) fn fill(&self) {
        if self.bytes == 0 || self.is_whole().unwrap_or(true) {
            return;
        }
        // A crash may have left a short one.
        let _ = self.vfs.remove(&self.path);
        if let Err(error) = self.write() {
            tracing::warn!(%error, "no room for the reserve file");
            let _ = self.vfs.remove(&self.path);
        }
    }

    /// Gives the reserve up; whether there was one.
    pub(crate) fn spend(&self) -> bool {
        let spent = self.spendable && self.vfs.remove(&self.path).is_ok();
        if spent {
            tracing::warn!("disk full: reserve file removed");
        }
        spent
    }

    fn is_whole(&self) -> std::io::Result<bool> {
        Ok(self.vfs.exists(&self.path)? && self.vfs.open(&self.path)?.len()? >= self.bytes)
    }

    /// Real bytes, not a hole. Not fsynced: a reserve that a crash loses is made again.
    fn write(&self) -> std::io::Result<()> {
        let file = self.vfs.create(&self.path)?;
        let piece = vec![0x5a; 64 << 10];
        let mut at = 0;
        while at < self.bytes {
            let len = piece.len().min((self.bytes - at) as usize);
            file.write_all_at(&piece[..len], at)?;
            at += len as u64;
        }
        Ok(())
    }
}
