//! What a full disk is given: WAL files that are kept for those who follow, then a file of ballast.
//!
//! A write that finds no room has the kept files given up, whatever it is: who follows begins anew
//! from a snapshot, but a sample that is refused may be lost. Nothing is ever read from the ballast:
//! when the manifest cannot grow because the disk is full, it is removed and the manifest takes its
//! place; when there is room again, it is made anew.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::poison::Failure;
use crate::vfs::Vfs;
use crate::wal;

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
    wal: PathBuf,
    /// The first WAL file that recovery needs; 0 when it is not known.
    wal_floor: Arc<AtomicU64>,
}

impl Reserve {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, dir: &std::path::Path, bytes: u64) -> Self {
        Self {
            vfs,
            path: dir.join(NAME),
            bytes,
            spendable: true,
            wal: dir.join(wal::DIR),
            wal_floor: Arc::default(),
        }
    }

    /// The same file, for work that must not use it up: what only wants more room later.
    pub(crate) fn spared(&self) -> Self {
        Self {
            vfs: Arc::clone(&self.vfs),
            path: self.path.clone(),
            bytes: self.bytes,
            spendable: false,
            wal: self.wal.clone(),
            wal_floor: Arc::clone(&self.wal_floor),
        }
    }

    /// Notes the first WAL file that recovery needs.
    pub(crate) fn keep_from(&self, wal_floor: u64) {
        self.wal_floor.fetch_max(wal_floor, Ordering::AcqRel);
    }

    /// Removes the WAL files that are kept for those who follow; whether there were any.
    pub(crate) fn drop_kept(&self) -> bool {
        let floor = self.wal_floor.load(Ordering::Acquire);
        let files = wal::unneeded(&*self.vfs, &self.wal, floor, 0).unwrap_or_default();
        let mut dropped = 0;
        for number in files {
            if self.vfs.remove(&wal::file_path(&self.wal, number)).is_ok() {
                dropped += 1;
            }
        }
        if dropped > 0 {
            tracing::warn!(dropped, "disk full: WAL files kept for followers removed");
        }
        dropped > 0
    }

    /// Does what may find no room; once more after the kept files were given up for it.
    pub(crate) fn with_room<T>(
        &self,
        mut write: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match write() {
            Err(Failure::Refused(error)) if error.is_disk_full() && self.drop_kept() => write(),
            written => written,
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

    /// Gives up the kept files, or without any the reserve; whether there was something.
    pub(crate) fn spend(&self) -> bool {
        if self.drop_kept() {
            return true;
        }
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
