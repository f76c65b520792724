//! The state that edits add up to. Pure, no I/O.
//!
//! Input: edits in order. Output: what is live. Invariant: an edit is checked whole before anything
//! is changed, so it takes effect whole or not at all, at a cost that grows with the edit and not
//! with the state; and a state within its limits fits one record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::edit::{BlockEntry, Edit};
use crate::limits::{MAX_METADATA_BYTES, MAX_NAMESPACES};
use crate::metadata::{Metadata, check_metric};
use crate::namespace::options::{NamespaceOptions, check_name};
use crate::tombstone::{Tally, Tombstone};
use crate::wal::change::{MetadataChange, NamespaceChange, check_selector};

/// The namespace that is always there, and its name.
pub(crate) const DEFAULT_NAMESPACE: u32 = 0;
pub(crate) const DEFAULT_NAMESPACE_NAME: &str = "default";

/// A namespace, as far as the manifest tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamespaceRecord {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) options: NamespaceOptions,
}

/// What all edits so far add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) next_block: u64,
    pub(crate) flushed_through: u64,
    pub(crate) wal_floor: u64,
    pub(crate) next_namespace: u32,
    pub(crate) blocks: BTreeMap<u64, BlockEntry>,
    /// By id; the default one is always there.
    pub(crate) namespaces: BTreeMap<u32, NamespaceRecord>,
    /// By sequence.
    pub(crate) tombstones: BTreeMap<u64, Arc<Tombstone>>,
    /// By namespace and metric.
    pub(crate) metadata: BTreeMap<(u32, String), Metadata>,
    /// [`Metadata::bytes`] of all metadata.
    pub(crate) metadata_bytes: usize,
}

impl Default for State {
    fn default() -> Self {
        let record = NamespaceRecord {
            id: DEFAULT_NAMESPACE,
            name: DEFAULT_NAMESPACE_NAME.to_owned(),
            options: NamespaceOptions::default(),
        };
        Self {
            next_block: 0,
            flushed_through: 0,
            wal_floor: 0,
            next_namespace: DEFAULT_NAMESPACE + 1,
            blocks: BTreeMap::new(),
            namespaces: BTreeMap::from([(record.id, record)]),
            tombstones: BTreeMap::new(),
            metadata: BTreeMap::new(),
            metadata_bytes: 0,
        }
    }
}

/// `Err` says what no correct sequence of edits holds.
type Checked<T = ()> = Result<T, &'static str>;

impl State {
    /// Applies `edit`; refuses one that no correct sequence of edits holds, and changes nothing
    /// then.
    pub(crate) fn apply(&mut self, edit: &Edit) -> Checked {
        self.check(edit)?;
        self.apply_checked(edit);
        Ok(())
    }

    /// Whether [`State::apply`] would accept `edit`.
    pub(crate) fn check(&self, edit: &Edit) -> Checked {
        self.check_counters(edit)?;
        let removed = distinct(&edit.remove, "a manifest record removes a block twice")?;
        if !removed.iter().all(|id| self.blocks.contains_key(id)) {
            return Err("a manifest record removes a block that is not there");
        }
        let twice = "a manifest record forgets a tombstone twice";
        let forgotten = distinct(&edit.forget, twice)?;
        if !forgotten.iter().all(|at| self.tombstones.contains_key(at)) {
            return Err("a manifest record forgets a tombstone that is not there");
        }
        let after = self.check_namespaces(edit, &removed)?;
        let added = self.check_added(edit, &after)?;
        self.check_purged(edit, &removed, added)?;
        self.check_tombstones(edit, &forgotten, &after)?;
        self.check_metadata(edit, &after)
    }

    fn check_counters(&self, edit: &Edit) -> Checked {
        // Counters that a database cannot reach: arithmetic on the others never overflows.
        let counters = [edit.next_block, edit.flushed_through, edit.wal_floor];
        if counters.into_iter().any(|counter| counter > MAX_COUNTER) {
            return Err("a manifest record counts too far");
        }
        if edit.next_block < self.next_block
            || edit.flushed_through < self.flushed_through
            || edit.wal_floor < self.wal_floor
        {
            return Err("a manifest record goes back in time");
        }
        Ok(())
    }

    /// The namespaces as they are after the edit.
    fn check_namespaces(&self, edit: &Edit, removed: &BTreeSet<u64>) -> Checked<Namespaces<'_>> {
        let mut after = Namespaces {
            before: self,
            changed: BTreeMap::new(),
        };
        if edit.namespaces.is_empty() {
            return Ok(after);
        }
        let records = self.namespaces.values();
        let mut names: BTreeMap<&str, u32> = records.map(|r| (&*r.name, r.id)).collect();
        let mut next = self.next_namespace;
        for change in &edit.namespaces {
            let live = after.has(change.id());
            match change {
                NamespaceChange::Create { id, name, options } => {
                    if *id < next || *id == u32::MAX {
                        return Err("a manifest record creates a namespace with an old id");
                    }
                    if check_name(name).is_err() || options.check().is_err() {
                        return Err("a manifest record creates a namespace that none can be");
                    }
                    if names.insert(name, *id).is_some() {
                        return Err("a manifest record creates two namespaces of one name");
                    }
                    next = id + 1;
                    after.changed.insert(*id, true);
                }
                NamespaceChange::Alter { options, .. } => {
                    if !live || options.check().is_err() {
                        return Err("a manifest record alters a namespace that is not there");
                    }
                }
                NamespaceChange::Drop { id } => {
                    if !live || *id == DEFAULT_NAMESPACE {
                        return Err("a manifest record drops a namespace that is not there");
                    }
                    let mut blocks = self.blocks.values();
                    if blocks.any(|b| b.namespace == *id && !removed.contains(&b.id)) {
                        return Err("a manifest record drops a namespace and keeps its blocks");
                    }
                    names.retain(|_, named| named != id);
                    after.changed.insert(*id, false);
                }
            }
        }
        if names.len() > MAX_NAMESPACES {
            return Err("a manifest record makes more namespaces than allowed");
        }
        Ok(after)
    }

    /// The added blocks: their sequences purged, by id.
    fn check_added(&self, edit: &Edit, after: &Namespaces<'_>) -> Checked<BTreeMap<u64, u64>> {
        let mut added = BTreeMap::new();
        for block in &edit.add {
            let twice = added.insert(block.id, block.purged).is_some();
            if twice || block.id >= edit.next_block || self.blocks.contains_key(&block.id) {
                return Err("a manifest record adds a block twice");
            }
            if !after.has(block.namespace) {
                return Err("a manifest record adds a block to a namespace that is not there");
            }
            if block.purged < block.max_sequence || block.purged > MAX_COUNTER {
                return Err("a manifest record adds a block with a purge before its samples");
            }
        }
        Ok(added)
    }

    fn check_purged(
        &self,
        edit: &Edit,
        removed: &BTreeSet<u64>,
        mut purged: BTreeMap<u64, u64>,
    ) -> Checked {
        for (id, through) in &edit.purge {
            let live = self.blocks.get(id).filter(|_| !removed.contains(id));
            let before = purged.get(id).copied().or(live.map(|block| block.purged));
            match before {
                None => return Err("a manifest record purges a block that is not there"),
                Some(before) if *through < before || *through > MAX_COUNTER => {
                    return Err("a manifest record takes a purge back");
                }
                Some(_) => purged.insert(*id, *through),
            };
        }
        Ok(())
    }

    fn check_tombstones(
        &self,
        edit: &Edit,
        forgotten: &BTreeSet<u64>,
        after: &Namespaces<'_>,
    ) -> Checked {
        if edit.tombstones.is_empty() {
            return Ok(());
        }
        let sequences: Vec<u64> = edit.tombstones.iter().map(|one| one.sequence).collect();
        distinct(&sequences, "a manifest record adds a tombstone twice")?;
        for tombstone in &edit.tombstones {
            let sequence = tombstone.sequence;
            if sequence == 0 || sequence > edit.flushed_through {
                return Err("a manifest record adds a tombstone that the WAL still holds");
            }
            if self.tombstones.contains_key(&sequence) {
                return Err("a manifest record adds a tombstone twice");
            }
            if !after.has(tombstone.namespace) {
                return Err("a manifest record adds a tombstone to no namespace");
            }
            if tombstone.first > tombstone.last || check_selector(&tombstone.selector).is_err() {
                return Err("a manifest record adds a tombstone that none can be");
            }
        }
        let kept = self.tombstones.values();
        let kept =
            kept.filter(|old| !forgotten.contains(&old.sequence) && after.has(old.namespace));
        let selectors = kept.map(|old| &old.selector);
        let new = edit.tombstones.iter().map(|new| &new.selector);
        match Tally::of(selectors.chain(new)).over() {
            None => Ok(()),
            Some(_) => Err("a manifest record adds more tombstones than allowed"),
        }
    }

    fn check_metadata(&self, edit: &Edit, after: &Namespaces<'_>) -> Checked {
        if edit.metadata.is_empty() {
            return Ok(());
        }
        // Bytes of each entry that the edit changes, as they are at the end.
        let mut changed = BTreeMap::new();
        for change in &edit.metadata {
            if !after.has(change.namespace) {
                return Err("a manifest record has metadata of no namespace");
            }
            let metric = &change.metric;
            let mut bytes = 0;
            if let Some(metadata) = &change.metadata {
                if check_metric(metric).is_err() || metadata.check().is_err() {
                    return Err("a manifest record has metadata that none can be");
                }
                bytes = metadata.bytes(metric);
            }
            changed.insert((change.namespace, metric.clone()), bytes);
        }
        let new: usize = changed.values().sum();
        let replaced = changed.keys().filter_map(|key| {
            let old = self.metadata.get(key)?;
            Some(old.bytes(&key.1))
        });
        let gone = after.dropped().map(|id| self.metadata_bytes_of(id));
        let old = replaced.sum::<usize>() + gone.sum::<usize>();
        if self.metadata_bytes + new > MAX_METADATA_BYTES + old {
            return Err("a manifest record adds more metadata than allowed");
        }
        Ok(())
    }

    fn metadata_bytes_of(&self, namespace: u32) -> usize {
        let from = self.metadata.range((namespace, String::new())..);
        let entries = from.take_while(|(key, _)| key.0 == namespace);
        entries.map(|(key, metadata)| metadata.bytes(&key.1)).sum()
    }

    /// Applies an edit that [`State::check`] accepts.
    pub(crate) fn apply_checked(&mut self, edit: &Edit) {
        for id in &edit.remove {
            self.blocks.remove(id);
        }
        for sequence in &edit.forget {
            self.tombstones.remove(sequence);
        }
        for change in &edit.namespaces {
            self.change_namespace(change);
        }
        for block in &edit.add {
            self.blocks.insert(block.id, *block);
        }
        for (id, through) in &edit.purge {
            if let Some(block) = self.blocks.get_mut(id) {
                block.purged = *through;
            }
        }
        for tombstone in &edit.tombstones {
            let tombstone = Arc::new(tombstone.clone());
            self.tombstones.insert(tombstone.sequence, tombstone);
        }
        for change in &edit.metadata {
            self.change_metadata(change);
        }
        self.next_block = edit.next_block;
        self.flushed_through = edit.flushed_through;
        self.wal_floor = edit.wal_floor;
        self.next_namespace = self.next_namespace.max(edit.next_namespace);
    }

    fn change_namespace(&mut self, change: &NamespaceChange) {
        match change {
            NamespaceChange::Create { id, name, options } => {
                let record = NamespaceRecord {
                    id: *id,
                    name: name.clone(),
                    options: options.clone(),
                };
                self.namespaces.insert(*id, record);
                self.next_namespace = self.next_namespace.max(id.saturating_add(1));
            }
            NamespaceChange::Alter { id, options } => {
                if let Some(record) = self.namespaces.get_mut(id) {
                    record.options = options.clone();
                }
            }
            NamespaceChange::Drop { id } => {
                self.namespaces.remove(id);
                self.tombstones
                    .retain(|_, tombstone| tombstone.namespace != *id);
                let bytes = &mut self.metadata_bytes;
                self.metadata.retain(|(namespace, metric), metadata| {
                    let keep = namespace != id;
                    if !keep {
                        *bytes -= metadata.bytes(metric);
                    }
                    keep
                });
            }
        }
    }

    fn change_metadata(&mut self, change: &MetadataChange) {
        let key = (change.namespace, change.metric.clone());
        let old = match &change.metadata {
            None => self.metadata.remove(&key),
            Some(metadata) => {
                self.metadata_bytes += metadata.bytes(&key.1);
                self.metadata.insert(key, metadata.clone())
            }
        };
        if let Some(old) = old {
            self.metadata_bytes -= old.bytes(&change.metric);
        }
    }

    /// About how long a record that makes the whole state is, in bytes.
    pub(crate) fn record_bytes(&self) -> u64 {
        let tombstones = self.tombstones.values().map(|one| &one.selector);
        let bytes = self.blocks.len() * 64
            + self.namespaces.len() * 128
            + Tally::of(tombstones).bytes
            + self.metadata_bytes;
        bytes as u64
    }

    /// The edit that makes this state from an empty one.
    pub(crate) fn to_edit(&self) -> Edit {
        let namespace = |record: &NamespaceRecord| {
            let (id, options) = (record.id, record.options.clone());
            if id != DEFAULT_NAMESPACE {
                let name = record.name.clone();
                return Some(NamespaceChange::Create { id, name, options });
            }
            let changed = options != NamespaceOptions::default();
            changed.then_some(NamespaceChange::Alter { id, options })
        };
        let metadata = |(key, metadata): (&(u32, String), &Metadata)| MetadataChange {
            namespace: key.0,
            metric: key.1.clone(),
            metadata: Some(metadata.clone()),
        };
        Edit {
            next_block: self.next_block,
            flushed_through: self.flushed_through,
            wal_floor: self.wal_floor,
            next_namespace: self.next_namespace,
            add: self.blocks.values().copied().collect(),
            namespaces: self.namespaces.values().filter_map(namespace).collect(),
            tombstones: self
                .tombstones
                .values()
                .map(|one| (**one).clone())
                .collect(),
            metadata: self.metadata.iter().map(metadata).collect(),
            ..Edit::default()
        }
    }
}

/// Largest counter that is believed.
const MAX_COUNTER: u64 = 1 << 62;

/// Which namespaces are there after an edit.
struct Namespaces<'a> {
    before: &'a State,
    /// Those of the edit: whether each is there.
    changed: BTreeMap<u32, bool>,
}

impl Namespaces<'_> {
    fn has(&self, id: u32) -> bool {
        let changed = self.changed.get(&id).copied();
        changed.unwrap_or_else(|| self.before.namespaces.contains_key(&id))
    }

    /// Those that the edit drops.
    fn dropped(&self) -> impl Iterator<Item = u32> + '_ {
        let gone = self.changed.iter().filter(|(_, live)| !**live);
        gone.map(|(id, _)| *id)
    }
}

fn distinct(numbers: &[u64], twice: &'static str) -> Checked<BTreeSet<u64>> {
    let set: BTreeSet<u64> = numbers.iter().copied().collect();
    if set.len() == numbers.len() {
        Ok(set)
    } else {
        Err(twice)
    }
}
