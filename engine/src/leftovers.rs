//! What interrupted work left behind: removed, or set aside when nothing explains it.
//!
//! Input: a directory whose manifest and WAL were read and found right. Output: the names of what
//! was removed and of what was set aside. Only names of ours are touched.

use std::path::{Path, PathBuf};

use crate::block::Block;
use crate::directory::QUARANTINE;
use crate::error::{Error, Result};
use crate::flush::{self, is_temporary_name, parse_block_name};
use crate::manifest::{self, Manifest};
use crate::options::Options;
use crate::vfs::{EntryKind, Vfs};
use crate::wal;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Leftovers<'a> {
    dir: &'a Path,
    options: &'a Options,
    manifest: &'a Manifest,
    found: Cleared,
}

/// What was done about leftovers.
#[derive(Debug, Default)]
pub(crate) struct Cleared {
    /// Paths of files that were removed.
    pub(crate) removed: Vec<String>,
    /// Names of block files in quarantine.
    pub(crate) quarantined: Vec<String>,
}

impl<'a> Leftovers<'a> {
    pub(crate) fn new(dir: &'a Path, options: &'a Options, manifest: &'a Manifest) -> Self {
        Self {
            dir,
            options,
            manifest,
            found: Cleared::default(),
        }
    }

    /// Clears all of them; the WAL ends at the sequence `wal_end`.
    pub(crate) fn clear(mut self, wal_end: u64) -> Result<Cleared> {
        let temporary = self.dir.join(manifest::TEMPORARY_NAME);
        let exists = self.vfs().exists(&temporary);
        if exists.map_err(|error| Error::io("look for", &temporary, error))? {
            self.remove(&temporary)?;
        }
        self.clear_blocks(wal_end)?;
        self.drop_old_wal_files()?;
        Ok(self.found)
    }

    /// Removes or sets aside the block files that are not live; the WAL ends at `wal_end`.
    fn clear_blocks(&mut self, wal_end: u64) -> Result<()> {
        let dir = self.dir.join(flush::DIR);
        for (name, kind) in self.list(&dir)? {
            let path = dir.join(&name);
            if kind == EntryKind::File && is_temporary_name(&name) {
                self.remove(&path)?;
            } else if kind == EntryKind::File
                && let Some(id) = parse_block_name(&name)
                && !self.manifest.state().blocks.contains_key(&id)
            {
                self.clear_block(id, &path, wal_end)?;
            }
        }
        Ok(())
    }

    /// A block file that is not live: one that the manifest removed, or whose samples are still in
    /// the WAL, goes; one that nothing explains is evidence and is set aside.
    fn clear_block(&mut self, id: u64, path: &Path, wal_end: u64) -> Result<()> {
        let state = self.manifest.state();
        let in_wal = || match Block::open(&self.options.vfs, path, self.options.reads) {
            Ok(block) => {
                block.min_sequence() > state.flushed_through && block.max_sequence() <= wal_end
            }
            Err(_) => false,
        };
        if id < state.next_block || in_wal() {
            return self.remove(path);
        }
        let folder = self.dir.join(QUARANTINE);
        self.vfs()
            .create_dir(&folder)
            .map_err(|error| Error::io("create", &folder, error))?;
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        let target = self.free_name(&folder, &name)?;
        // The last two make the move durable: evidence must not get lost between two folders.
        self.vfs()
            .rename(path, &target)
            .and_then(|()| self.vfs().sync_dir(&folder))
            .and_then(|()| self.vfs().sync_dir(&self.dir.join(flush::DIR)))
            .map_err(|error| Error::io("set aside", path, error))?;
        tracing::warn!(file = %target.display(), "block file that nothing explains set aside");
        self.found.quarantined.push(name.display().to_string());
        Ok(())
    }

    /// A path in `folder` that nothing has: evidence never replaces evidence.
    fn free_name(&self, folder: &Path, name: &Path) -> Result<PathBuf> {
        let mut target = folder.join(name);
        for number in 1.. {
            let taken = self.vfs().exists(&target);
            if !taken.map_err(|error| Error::io("look for", &target, error))? {
                break;
            }
            target = folder.join(format!("{}.{number}", name.display()));
        }
        Ok(target)
    }

    /// Removes the WAL files whose frames are all in blocks, as far as they are not kept, and
    /// copies that were being made.
    fn drop_old_wal_files(&mut self) -> Result<()> {
        let dir = self.dir.join(wal::DIR);
        for (name, kind) in self.list(&dir)? {
            if kind == EntryKind::File && wal::is_temporary_name(&name) {
                self.remove(&dir.join(name))?;
            }
        }
        let (floor, keep) = (self.manifest.state().wal_floor, self.options.wal_keep_bytes);
        for number in wal::unneeded(self.vfs(), &dir, floor, keep)? {
            self.remove(&wal::file_path(&dir, number))?;
        }
        Ok(())
    }

    fn vfs(&self) -> &dyn Vfs {
        &*self.options.vfs
    }

    fn list(&self, dir: &Path) -> Result<Vec<(String, EntryKind)>> {
        let listed = self.vfs().list(dir);
        let entries = listed.map_err(|error| Error::io("list", dir, error))?;
        Ok(entries
            .into_iter()
            .map(|entry| (entry.name, entry.kind))
            .collect())
    }

    /// Not followed by an fsync of the folder: if a crash brings the file back, the next open
    /// removes it again.
    fn remove(&mut self, path: &Path) -> Result<()> {
        let removed = self.vfs().remove(path);
        removed.map_err(|error| Error::io("remove", path, error))?;
        self.found.removed.push(path.display().to_string());
        Ok(())
    }
}
