//! What there was: the database, its namespaces, its blocks, its tombstones.
//!
//! Input: the manifest, as far as it is intact, and the footers of the blocks. Output: a state that
//! a manifest can hold. Of a manifest that is whole nothing is doubted. Behind damage its records are
//! taken for what they say, and the blocks in the directory for what is live: one that another of
//! later make covers was merged into that.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Loss, RepairReport, exists};
use crate::block::{BlockInfo, block_path, parse_block_name};
use crate::error::{Error, Result};
use crate::flush::{self, entry_of};
use crate::manifest::format::{BlockEntry, Edit, HEADER_BYTES, Record, State, decode_header};
use crate::manifest::state::NamespaceRecord;
use crate::manifest::{self, Contents};
use crate::namespace::options::NamespaceOptions;
use crate::vfs::Vfs;
use crate::wal;
use crate::wal::format::FileHeader;

/// The id of the database in `source`, as the first intact header tells it.
pub(super) fn database(vfs: &dyn Vfs, source: &Path) -> Result<u64> {
    let path = source.join(manifest::NAME);
    if let Ok(bytes) = vfs.read(&path, u64::MAX) {
        match decode_header(&bytes) {
            Ok((database, _)) => return Ok(database),
            Err(treering_codec::Error::Unsupported { found, .. }) => {
                return Err(Error::Version {
                    file: path,
                    found: u32::try_from(found).unwrap_or(u32::MAX),
                    supported: manifest::format::VERSION,
                });
            }
            Err(_) => {}
        }
    }
    for (_, path) in numbered(vfs, &source.join(wal::DIR), wal::parse_name) {
        let header = wal::header_bytes(vfs, &path).map(|bytes| FileHeader::decode(&bytes));
        if let Some(Ok(header)) = header {
            return Ok(header.database);
        }
    }
    for (_, path) in numbered(vfs, &source.join(flush::DIR), parse_block_name) {
        if let Ok(info) = BlockInfo::of_file(vfs, &path, None) {
            return Ok(info.meta.database);
        }
    }
    Err(Error::NotADatabase {
        path: source.to_owned(),
        why: "no manifest, WAL file or block with an intact header is in it".to_owned(),
    })
}

/// The files of a folder that have a number, by number; none when it cannot be listed.
pub(super) fn numbered(
    vfs: &dyn Vfs,
    dir: &Path,
    parse: impl Fn(&str) -> Option<u64>,
) -> Vec<(u64, PathBuf)> {
    let entries = vfs.list(dir).unwrap_or_default().into_iter();
    let numbered = entries.filter_map(|entry| Some((parse(&entry.name)?, dir.join(&entry.name))));
    let mut files: Vec<_> = numbered.collect();
    files.sort();
    files
}

/// The state of `database`, as the manifest tells it and, where that is damaged, the blocks. `held`
/// are the sequences of the intact frames of the WAL.
pub(super) fn state(
    vfs: &Arc<dyn Vfs>,
    (source, database): (&Path, u64),
    held: &[RangeInclusive<u64>],
    report: &mut RepairReport,
) -> Result<State> {
    let path = source.join(manifest::NAME);
    let mut state = State::default();
    let problem = if exists(&**vfs, &path)? {
        match vfs.read(&path, u64::MAX) {
            Ok(bytes) => match Contents::parse(&path, &bytes) {
                Ok(contents) => {
                    state = contents.state;
                    let lost = "it ends before the changes that blocks or the WAL begin with";
                    match is_behind(&**vfs, (source, database), held, &state) {
                        true => Loss::of(&path, contents.len, lost),
                        false => return Ok(state),
                    }
                }
                Err(error @ Error::Version { .. }) => return Err(error),
                Err(error) => {
                    state = records(database, &bytes);
                    Loss::error(&path, error)
                }
            },
            Err(error) => Loss::error(&path, Error::io("read", &path, error)),
        }
    } else {
        Loss::of(&path, None, "the manifest is missing")
    };
    let what = &problem.what;
    let what =
        format!("{what}; namespaces, deletes, metadata and what was merged are told from the rest");
    report.lose(Loss { what, ..problem });
    add_blocks(&**vfs, (source, database), held, &mut state);
    settle(&mut state);
    Ok(state)
}

/// Whether a manifest that is whole so far lost its last records: the WAL begins later than it
/// ends, or a block of later changes is there that the WAL does not explain.
fn is_behind(
    vfs: &dyn Vfs,
    (source, database): (&Path, u64),
    held: &[RangeInclusive<u64>],
    state: &State,
) -> bool {
    let flushed = state.flushed_through;
    let files = numbered(vfs, &source.join(wal::DIR), wal::parse_name).into_iter();
    let headers = files.filter_map(|(_, path)| wal::header_bytes(vfs, &path));
    let first = headers
        .filter_map(|bytes| FileHeader::decode(&bytes).ok())
        .filter(|header| header.database == database)
        .map(|header| header.first_sequence)
        .min();
    if first.is_some_and(|first| first > flushed + 1) {
        return true;
    }
    let blocks = numbered(vfs, &source.join(flush::DIR), parse_block_name).into_iter();
    let mut infos = blocks.filter_map(|(_, path)| BlockInfo::of_file(vfs, &path, None).ok());
    infos.any(|info| {
        info.meta.database == database
            && info.meta.max_sequence > flushed
            && !is_held(held, &entry_of(&info))
    })
}

/// Whether all changes in `block` are in intact frames of the WAL.
fn is_held(held: &[RangeInclusive<u64>], block: &BlockEntry) -> bool {
    let holds = |held: &RangeInclusive<u64>| {
        held.contains(&block.min_sequence) && held.contains(&block.max_sequence)
    };
    held.iter().any(holds)
}

/// What the intact records of a damaged manifest add up to.
fn records(database: u64, bytes: &[u8]) -> State {
    let mut state = State::default();
    let mut at = HEADER_BYTES;
    let mut next = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        // Records count up: what has a number far from the next is not read as one.
        let number = rest.get(8..16).and_then(|bytes| bytes.try_into().ok());
        let number = number.map_or(u64::MAX, u64::from_le_bytes);
        let near = (next..next + (1 << 20)).contains(&number);
        let record = near.then(|| Record::open(database, rest).ok()).flatten();
        let Some(record) = record else {
            at += 1;
            continue;
        };
        if let Ok(edit) = Edit::decode(record.payload) {
            state.apply_checked(&edit);
        }
        next = record.number + 1;
        at += record.len();
    }
    state
}

/// Adds the blocks in the directory that `state` does not know.
fn add_blocks(
    vfs: &dyn Vfs,
    (source, database): (&Path, u64),
    held: &[RangeInclusive<u64>],
    state: &mut State,
) {
    let files = numbered(vfs, &source.join(flush::DIR), parse_block_name);
    let there: BTreeSet<u64> = files.iter().map(|(id, _)| *id).collect();
    state.blocks.retain(|id, _| there.contains(id));
    let listed: BTreeSet<u64> = state.blocks.keys().copied().collect();
    for (id, path) in files {
        let known = state.blocks.contains_key(&id);
        let info = BlockInfo::of_file(vfs, &path, None);
        // One whose header is damaged is looked at again by what the others tell.
        let info = info.or_else(|_| BlockInfo::of_file(vfs, &path, Some((database, id))));
        let ours = |info: &BlockInfo| info.meta.database == database && info.meta.id == id;
        if let Some(info) = info.ok().filter(ours)
            && !known
        {
            state.blocks.insert(id, entry_of(&info));
        }
    }
    let all: Vec<BlockEntry> = state.blocks.values().copied().collect();
    let covered = |block: &BlockEntry| all.iter().any(|other| covers(other, block));
    // The blocks of a flush that was not committed: all their changes are in the WAL, none later in
    // any block.
    let newest = |block: &BlockEntry| {
        !all.iter()
            .any(|other| other.max_sequence > block.max_sequence)
    };
    let in_wal = |block: &BlockEntry| {
        let range = block.min_sequence..=block.max_sequence;
        let holds =
            |held: &RangeInclusive<u64>| held.contains(range.start()) && held.contains(range.end());
        !listed.contains(&block.id) && newest(block) && held.iter().any(holds)
    };
    state
        .blocks
        .retain(|_, block| !covered(block) && !in_wal(block));
    let sequences = state.blocks.values().map(|block| block.max_sequence);
    state.flushed_through = state.flushed_through.max(sequences.max().unwrap_or(0));
}

/// Whether `block` was merged into `other`.
fn covers(other: &BlockEntry, block: &BlockEntry) -> bool {
    other.id > block.id
        && other.namespace == block.namespace
        && other.min_sequence <= block.min_sequence
        && block.max_sequence <= other.max_sequence
        && other.min_time <= block.max_time
        && block.min_time <= other.max_time
}

/// Makes a state of it that a manifest can hold: namespaces for all blocks, names that differ,
/// counters past everything.
fn settle(state: &mut State) {
    let needed: BTreeSet<u32> = state.blocks.values().map(|block| block.namespace).collect();
    for id in needed {
        let record = NamespaceRecord {
            id,
            name: format!("recovered-{id}"),
            options: NamespaceOptions::default(),
        };
        state.namespaces.entry(id).or_insert(record);
    }
    let mut names = BTreeSet::new();
    for record in state.namespaces.values_mut() {
        while !names.insert(record.name.clone()) {
            record.name = format!("recovered-{}", record.id);
        }
    }
    let namespaces = &state.namespaces;
    let flushed = state.flushed_through;
    state.tombstones.retain(|_, tombstone| {
        namespaces.contains_key(&tombstone.namespace) && tombstone.sequence <= flushed
    });
    let known = |namespace: u32| namespaces.contains_key(&namespace);
    state.metadata.retain(|(namespace, _), _| known(*namespace));
    let bytes = state.metadata.iter().map(|(key, one)| one.bytes(&key.1));
    state.metadata_bytes = bytes.sum();
    let last = state.blocks.keys().next_back().copied();
    state.next_block = state.next_block.max(last.map_or(0, |last| last + 1));
    let last = state.namespaces.keys().next_back().copied();
    let next = last.map_or(1, |last| last.saturating_add(1));
    state.next_namespace = state.next_namespace.max(next);
}

/// The file of a block.
pub(super) fn path_of(source: &Path, id: u64) -> PathBuf {
    block_path(&source.join(flush::DIR), id)
}
