//! Which WAL files below the floor are kept for those who follow.
//!
//! Input: the files of the folder, the floor, how many bytes to keep. Output: the numbers of the
//! files that go. What recovery needs starts at the floor and is no concern of this. Invariant: a
//! kept file is kept together with all later ones and with the earlier ones of its generation,
//! whose frames define its series.

use std::path::Path;

use super::walk::read_header;
use super::{file_path, parse_name};
use crate::error::{Error, Result};
use crate::vfs::{EntryKind, Vfs};

/// Numbers of the WAL files of a folder, ascending.
pub(super) fn numbers(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<u64>> {
    let entries = vfs.list(dir);
    let entries = entries.map_err(|error| Error::io("list", dir, error))?;
    let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
    let mut numbers: Vec<u64> = files.filter_map(|entry| parse_name(&entry.name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The files below `floor` that go when the last `keep` bytes before it are kept, rounded up to
/// whole files and to the start of a generation. Newest first: whatever interrupts their removal,
/// a gap tells those that stayed from the ones that are kept.
pub(crate) fn unneeded(vfs: &dyn Vfs, dir: &Path, floor: u64, keep: u64) -> Result<Vec<u64>> {
    let mut below = numbers(vfs, dir)?;
    below.retain(|number| *number < floor);
    below.reverse();
    if keep == 0 {
        return Ok(below);
    }
    let (mut kept, mut bytes, mut generation) = (0, 0u64, None);
    for &number in &below {
        let Some((of, len)) = measure(vfs, &file_path(dir, number)) else {
            // Without a header nobody can follow it, nor what is older.
            break;
        };
        if bytes >= keep && generation != Some(of) {
            break;
        }
        kept += 1;
        bytes = bytes.saturating_add(len);
        generation = Some(of);
    }
    Ok(below.split_off(kept.min(below.len())))
}

/// Generation and length of a WAL file, if it is one.
fn measure(vfs: &dyn Vfs, path: &Path) -> Option<(u64, u64)> {
    let file = vfs.open(path).ok()?;
    let header = read_header(&*file, path).ok()?;
    Some((header.generation, file.len().ok()?))
}
