//! Changes that the WAL holds and the manifest does not: what a flush commits besides blocks.
//!
//! Input: changes in order of sequence, as they are made or replayed. Output: the part of an edit
//! that has their effect. Invariant: what a later change undoes is left out, so that a state accepts
//! the edit and its size is bounded by what is there at its end.

use std::collections::BTreeMap;

use super::edit::Edit;
use crate::metadata::Metadata;
use crate::tombstone::Tombstone;
use crate::wal::change::{Change, MetadataChange, NamespaceChange};

/// See the head of this file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    namespaces: Vec<NamespaceChange>,
    /// Above each namespace created.
    next_namespace: u32,
    tombstones: Vec<Tombstone>,
    metadata: BTreeMap<(u32, String), Option<Metadata>>,
}

impl Pending {
    /// Takes the change that frame `sequence` holds, the next one.
    pub(crate) fn push(&mut self, sequence: u64, change: Change) {
        match change {
            Change::Delete(delete) => self.tombstones.push(delete.into_tombstone(sequence)),
            Change::Namespace(change) => self.push_namespace(change),
            Change::Metadata(change) => {
                let key = (change.namespace, change.metric);
                self.metadata.insert(key, change.metadata);
            }
        }
    }

    fn push_namespace(&mut self, change: NamespaceChange) {
        match change {
            NamespaceChange::Create { id, .. } => {
                self.next_namespace = self.next_namespace.max(id.saturating_add(1));
                self.namespaces.push(change);
            }
            NamespaceChange::Alter { id, options: new } => {
                let known = self.namespaces.iter_mut().find(|known| known.id() == id);
                match known {
                    Some(
                        NamespaceChange::Create { options, .. }
                        | NamespaceChange::Alter { options, .. },
                    ) => *options = new,
                    _ => self
                        .namespaces
                        .push(NamespaceChange::Alter { id, options: new }),
                }
            }
            NamespaceChange::Drop { id } => {
                let created = |known: &NamespaceChange| {
                    known.id() == id && matches!(known, NamespaceChange::Create { .. })
                };
                let here = self.namespaces.iter().any(created);
                self.namespaces.retain(|known| known.id() != id);
                self.tombstones
                    .retain(|tombstone| tombstone.namespace != id);
                self.metadata.retain(|(namespace, _), _| *namespace != id);
                if !here {
                    self.namespaces.push(change);
                }
            }
        }
    }

    /// What of it is not about namespaces that are `gone`: nothing may be said of them any more.
    /// Whoever commits it sees to the drops.
    pub(crate) fn without(&self, gone: impl Fn(u32) -> bool) -> Self {
        let mut kept = self.clone();
        kept.namespaces.retain(|change| !gone(change.id()));
        kept.tombstones.retain(|one| !gone(one.namespace));
        kept.metadata.retain(|(namespace, _), _| !gone(*namespace));
        kept
    }

    /// The namespaces that are dropped, of those made before.
    pub(crate) fn dropped(&self) -> impl Iterator<Item = u32> + '_ {
        self.namespaces.iter().filter_map(|change| match change {
            NamespaceChange::Drop { id } => Some(*id),
            _ => None,
        })
    }

    /// Whether there is nothing to commit.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many deletes wait.
    pub(crate) fn deletes(&self) -> usize {
        self.tombstones.len()
    }

    /// Adds all changes to `edit`, whose `flushed_through` must be at or above their sequences.
    pub(crate) fn put_into(&self, edit: &mut Edit) {
        edit.namespaces.extend_from_slice(&self.namespaces);
        edit.next_namespace = edit.next_namespace.max(self.next_namespace);
        edit.tombstones.extend_from_slice(&self.tombstones);
        let metadata = self.metadata.iter().map(|(key, metadata)| MetadataChange {
            namespace: key.0,
            metric: key.1.clone(),
            metadata: metadata.clone(),
        });
        edit.metadata.extend(metadata);
    }
}
