//! Frames on their way back into memory, each through the same functions as when it was new.
//!
//! Input: frames in order. Output: the namespaces, registries and heads that they make, and the
//! changes that no manifest holds yet. Ids in frames mean something only in their generation; here
//! they become ids of this open.

use std::collections::HashMap;
use std::sync::Arc;

use treering_index::Labels;

use crate::error::{Error, Result};
use crate::head::Sealed;
use crate::ingest::push_run;
use crate::manifest::pending::Pending;
use crate::namespace::options::NamespaceOptions;
use crate::space::{Space, Spaces};
use crate::tombstone::Tombstone;
use crate::wal::Frame;
use crate::wal::change::{Change, MetadataChange, NamespaceChange};
use crate::wal::format::FrameKind;
use crate::wal::payload::BatchPayload;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Ids of each generation and namespace in the files, to ids of this open.
    ids: HashMap<(u64, u32), IdMap>,
    /// What the manifest does not know yet.
    pub(crate) changes: Pending,
    /// Namespaces that were dropped.
    pub(crate) dropped: Vec<u32>,
    /// Frames applied.
    pub(crate) frames: u64,
    /// Samples in them.
    pub(crate) samples: u64,
}

/// Makes a namespace: its registry and its head are those of the database.
pub(crate) type Make<'a> = &'a dyn Fn(u32, &str, NamespaceOptions) -> Space;

impl Replay {
    /// Applies one frame.
    pub(crate) fn apply(
        &mut self,
        frame: &Frame<'_>,
        spaces: &Spaces,
        make: Make<'_>,
    ) -> Result<()> {
        self.frames += 1;
        let damaged = |error| Error::codec(frame.file, frame.offset, error);
        let wrong = |what: &'static str| Error::corrupt(frame.file, frame.offset, what);
        if frame.kind == FrameKind::Batch {
            let payload = BatchPayload::decode(frame.payload).map_err(damaged)?;
            let space = self.space(spaces, payload.namespace).map_err(wrong)?;
            return match space {
                Some(space) => self.batch(&space, frame, &payload).map_err(wrong),
                None => Ok(()),
            };
        }
        match Change::decode(frame.kind, frame.payload).map_err(damaged)? {
            Some(change) => self
                .change(frame.sequence, change, spaces, make)
                .map_err(wrong),
            None => Ok(()),
        }
    }

    fn change(
        &mut self,
        sequence: u64,
        change: Change,
        spaces: &Spaces,
        make: Make<'_>,
    ) -> Result<(), &'static str> {
        match &change {
            Change::Delete(delete) => {
                let Some(space) = self.space(spaces, delete.namespace)? else {
                    return Ok(());
                };
                hide(
                    &space,
                    &Arc::new(delete.clone().into_tombstone(sequence)),
                    || (),
                );
            }
            Change::Metadata(change) => {
                let Some(space) = self.space(spaces, change.namespace)? else {
                    return Ok(());
                };
                describe(&space, change);
            }
            Change::Namespace(change) => {
                if !self.namespace(change, spaces, make)? {
                    return Ok(());
                }
            }
        }
        self.changes.push(sequence, change);
        Ok(())
    }

    /// The namespace of a frame; none when it was dropped later.
    fn space(&self, spaces: &Spaces, id: u32) -> Result<Option<Arc<Space>>, &'static str> {
        match spaces.get(id) {
            None if u64::from(id) >= spaces.next() => {
                Err("a frame names a namespace that was never made")
            }
            found => Ok(found),
        }
    }

    fn batch(
        &mut self,
        space: &Space,
        frame: &Frame<'_>,
        payload: &BatchPayload<'_>,
    ) -> Result<(), &'static str> {
        let ids = self.ids.entry((frame.generation, space.id)).or_default();
        if !payload.definitions.is_empty() {
            let mut registry = space.registry.write();
            for definition in &payload.definitions {
                let labels = Labels::from_canonical(definition.labels)
                    .map_err(|_| "a frame defines a series with malformed labels")?;
                let id = registry
                    .insert(&labels)
                    .map_err(|_| "a frame defines too many series")?;
                ids.set(definition.id, id);
            }
        }
        let mut runs = Vec::with_capacity(payload.runs.len());
        for run in &payload.runs {
            for id in run.first..run.first + run.ids {
                let id = ids
                    .get(id)
                    .ok_or("a frame names a series that was never defined")?;
                push_run(&mut runs, id, run.len);
            }
        }
        let head = Arc::clone(&space.view.get().live);
        let shards = head.lock(&runs);
        let (columns, extras) = ((&*payload.timestamps, &*payload.values), &payload.extras);
        // Nothing is sealed: an open does not wait for what the next flush can do.
        head.apply(shards, &runs, columns, extras, &Sealed::default());
        if let Some(turn) = space.watchers.enter(frame.sequence, frame.generation) {
            turn.publish(space, &runs, columns, extras);
        }
        self.samples += payload.values.len() as u64;
        Ok(())
    }

    /// Whether the change is of a namespace that is not known to be dropped later.
    fn namespace(
        &mut self,
        change: &NamespaceChange,
        spaces: &Spaces,
        make: Make<'_>,
    ) -> Result<bool, &'static str> {
        match change {
            NamespaceChange::Create { id, name, options } => {
                if spaces.get(*id).is_some() {
                    return Err("a frame makes a namespace twice");
                }
                spaces.insert(Arc::new(make(*id, name, options.clone())));
            }
            NamespaceChange::Alter { id, options } => match self.space(spaces, *id)? {
                Some(space) => space.alter(options.clone()),
                None => return Ok(false),
            },
            NamespaceChange::Drop { id } => {
                self.space(spaces, *id)?;
                spaces.remove(*id);
                self.dropped.push(*id);
            }
        }
        Ok(true)
    }
}

/// Applies a delete to the live head and hides what is older; the one way, for a new one and for
/// replay. `ordered` is called once later changes cannot overtake it any more.
pub(crate) fn hide(space: &Space, tombstone: &Arc<Tombstone>, ordered: impl FnOnce()) {
    let matchers = tombstone.selector.matchers();
    let ids: Arc<[u32]> = space
        .registry
        .read()
        .index()
        .select(matchers)
        .iter()
        .collect();
    let head = Arc::clone(&space.view.get().live);
    let mut shards = head.lock_all();
    let erasing = head.note(&mut shards, tombstone, ids);
    space.view.hide(Arc::clone(tombstone));
    ordered();
    drop(shards);
    erasing.finish(&head);
}

/// Notes what is known of a metric, or forgets it.
pub(crate) fn describe(space: &Space, change: &MetadataChange) {
    let mut metadata = space.metadata.write();
    metadata.set(&change.metric, change.metadata.clone());
}

/// A map between ids, in pages, so that a wild id costs one page and not the whole range.
#[derive(Debug, Default)]
struct IdMap {
    pages: Vec<Option<Box<[u32; ID_PAGE]>>>,
}

const ID_PAGE: usize = 1024;
const NO_ID: u32 = u32::MAX;

impl IdMap {
    fn set(&mut self, from: u32, to: u32) {
        let page = from as usize / ID_PAGE;
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| Box::new([NO_ID; ID_PAGE]));
        page[from as usize % ID_PAGE] = to;
    }

    fn get(&self, from: u32) -> Option<u32> {
        let page = self.pages.get(from as usize / ID_PAGE)?.as_ref()?;
        Some(page[from as usize % ID_PAGE]).filter(|&id| id != NO_ID)
    }
}
