//! Changes that are not samples: in the WAL until a flush carries them into the manifest.
//!
//! Input: deletes, namespaces, metadata, in order of sequence. Output: the part of a manifest edit
//! that makes them durable without the WAL.

use std::sync::Arc;

use crate::manifest::format::Edit;
use crate::tombstone::Tombstone;
use crate::wal::change::{MetadataChange, NamespaceChange};

/// See the head of this file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    pub(crate) tombstones: Vec<Arc<Tombstone>>,
    pub(crate) namespaces: Vec<NamespaceChange>,
    pub(crate) metadata: Vec<MetadataChange>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.tombstones.is_empty() && self.namespaces.is_empty() && self.metadata.is_empty()
    }

    /// Adds them to `edit`, but for those of namespaces that are `gone`: dropping one is committed
    /// at once, and nothing is said of it afterwards.
    pub(crate) fn add_to(&self, edit: &mut Edit, gone: impl Fn(u32) -> bool) {
        let tombstones = self.tombstones.iter().filter(|t| !gone(t.namespace));
        edit.tombstones.extend(tombstones.map(|t| Tombstone::clone(t)));
        let namespaces = self.namespaces.iter().filter(|change| !gone(change.id()));
        edit.namespaces.extend(namespaces.cloned());
        let metadata = self.metadata.iter().filter(|change| !gone(change.namespace));
        edit.metadata.extend(metadata.cloned());
    }
}
