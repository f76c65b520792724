//! Doors to changes other than samples: the payloads of their WAL frames, and manifest records that
//! hold them.
//!
//! Input: changes, or bytes. Output: bytes, or changes, or the error that an open would give.

use std::path::Path;
use std::sync::Arc;

use treering_index::Selector;

use super::{DATABASE, put, store};
use crate::error::{Error, Result};
use crate::manifest::format::Edit;
use crate::manifest::pending::Pending;
use crate::metadata::Metadata;
use crate::namespace::options::NamespaceOptions;
use crate::wal::change::{Change, Delete, MetadataChange, NamespaceChange};
use crate::wal::format::FrameKind;
use crate::wal::{WalReader, file_path};

/// What a WAL frame holds that is neither a batch nor a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalChange(Change);

impl WalChange {
    /// A delete of the samples from `first` to `last` that `selector` selects.
    pub fn delete(namespace: u32, selector: Selector, first: i64, last: i64) -> Self {
        Self(Change::Delete(Delete {
            namespace,
            selector,
            first,
            last,
        }))
    }

    /// A new namespace.
    pub fn create_namespace(id: u32, name: &str, options: NamespaceOptions) -> Self {
        let name = name.to_owned();
        Self(Change::Namespace(NamespaceChange::Create {
            id,
            name,
            options,
        }))
    }

    /// New options of a namespace.
    pub fn alter_namespace(id: u32, options: NamespaceOptions) -> Self {
        Self(Change::Namespace(NamespaceChange::Alter { id, options }))
    }

    /// The end of a namespace.
    pub fn drop_namespace(id: u32) -> Self {
        Self(Change::Namespace(NamespaceChange::Drop { id }))
    }

    /// New metadata of a metric; `None` removes it.
    pub fn metadata(namespace: u32, metric: &str, metadata: Option<Metadata>) -> Self {
        let metric = metric.to_owned();
        Self(Change::Metadata(MetadataChange {
            namespace,
            metric,
            metadata,
        }))
    }

    /// The kind of the frame and its payload.
    pub fn encode(&self) -> (u8, Vec<u8>) {
        let (kind, payload) = self.0.encode();
        (kind as u8, payload)
    }

    /// Reads the payload of a frame of `kind`; `None` for a kind that holds no change.
    pub fn decode(kind: u8, payload: &[u8]) -> Result<Option<Self>> {
        let Some(kind) = FrameKind::from_byte(kind) else {
            return Ok(None);
        };
        match Change::decode(kind, payload) {
            Ok(change) => Ok(change.map(Self)),
            Err(error) => Err(Error::content(Path::new("wal"), 0, error)),
        }
    }
}

/// The changes in the frames of `file`, which is read as the WAL file 1 of a database.
pub fn read_wal_changes(file: &[u8]) -> Result<Vec<WalChange>> {
    let (vfs, dir) = store();
    put(&*vfs, &file_path(&dir, 1), file)?;
    let mut reader = WalReader::open(Arc::clone(&vfs), dir, DATABASE, 1)?;
    let mut changes = Vec::new();
    while let Some(frame) = reader.next()? {
        changes.extend(WalChange::decode(frame.kind as u8, frame.payload)?);
    }
    Ok(changes)
}

/// The payload of a manifest record: next block, flushed through and WAL floor; what these changes
/// (with their sequences) add up to; blocks purged; tombstones forgotten.
pub fn manifest_record_of(
    counters: [u64; 3],
    changes: &[(u64, WalChange)],
    purge: &[(u64, u64)],
    forget: &[u64],
) -> Vec<u8> {
    let mut pending = Pending::default();
    for (sequence, change) in changes {
        pending.push(*sequence, change.0.clone());
    }
    let [next_block, flushed_through, wal_floor] = counters;
    let mut edit = Edit {
        next_block,
        flushed_through,
        wal_floor,
        purge: purge.to_vec(),
        forget: forget.to_vec(),
        ..Edit::default()
    };
    pending.put_into(&mut edit);
    edit.encode()
}

/// Reads the payload of a manifest record and writes it again.
pub fn rewrite_manifest_record(payload: &[u8]) -> Result<Vec<u8>> {
    let read = Edit::decode(payload);
    let edit = read.map_err(|error| Error::content(Path::new(crate::manifest::NAME), 0, error))?;
    Ok(edit.encode())
}
