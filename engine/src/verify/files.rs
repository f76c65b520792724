//! Whether each file of the directory has a reason to be there.
//!
//! Input: the names, and what the manifest and the WAL say. Output: those that nothing explains.
//! What interrupted work leaves is explained: the next open removes it.

use std::path::{Path, PathBuf};

use crate::block::Block;
use crate::directory::is_ours;
use crate::error::Error;
use crate::flush::{self, is_temporary_name, parse_block_name};
use crate::options::Reads;
use crate::shared::Core;
use crate::verify::{Moment, VerifyReport};
use crate::vfs::EntryKind;
use crate::wal;

/// Checks the names in the directory and in its two folders.
/// `next_block` tells the number below which all blocks were given out.
pub(super) fn verify(
    core: &Core,
    moment: &Moment,
    next_block: impl FnOnce() -> u64,
    report: &mut VerifyReport,
) {
    let unexplained = "nothing explains this file";
    for (path, name, _) in list(core, &core.dir, report) {
        if !is_ours(&name) {
            report.problem(path, None, unexplained);
        }
    }
    for (path, name, kind) in list(core, &core.dir.join(wal::DIR), report) {
        let ours = wal::parse_name(&name).is_some() || wal::is_temporary_name(&name);
        if kind != EntryKind::File || !ours {
            report.problem(path, None, unexplained);
        }
    }
    let blocks = list(core, &core.dir.join(flush::DIR), report);
    // Asked after the names: a number is given out before there is a file of it.
    let next_block = next_block();
    for (path, name, kind) in blocks {
        let explained = match parse_block_name(&name) {
            Some(id) => id < next_block || (!moment.is_writer && is_in_wal(core, moment, &path)),
            None => is_temporary_name(&name),
        };
        if kind != EntryKind::File || !explained {
            report.problem(path, None, unexplained);
        }
    }
}

/// Whether a block is of a flush of the writer that the manifest does not know of yet. One that went away in the
/// meantime needs no reason.
fn is_in_wal(core: &Core, moment: &Moment, path: &Path) -> bool {
    match Block::open(&core.options.vfs, path, Reads::Pread) {
        Ok(block) => {
            let later = block.min_sequence() > moment.state.flushed_through;
            later && block.info().meta.database == moment.database
        }
        Err(Error::Io { source, .. }) => source.kind() == std::io::ErrorKind::NotFound,
        Err(_) => false,
    }
}

fn list(core: &Core, dir: &Path, report: &mut VerifyReport) -> Vec<(PathBuf, String, EntryKind)> {
    match core.options.vfs.list(dir) {
        Ok(entries) => {
            let entries = entries.into_iter();
            let entry = |entry: crate::vfs::Entry| (dir.join(&entry.name), entry.name, entry.kind);
            entries.map(entry).collect()
        }
        Err(error) => {
            report.error(dir.to_owned(), Error::io("list", dir, error));
            Vec::new()
        }
    }
}
