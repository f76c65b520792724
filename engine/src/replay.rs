//! Frames on their way back into the head, each through the same function as an append.
//!
//! Input: payloads of batch frames in order. Output: the registry and the head that they make. Ids
//! in frames mean something only in their generation; here they become ids of this open.

use std::collections::HashMap;

use treering_index::Labels;

use crate::error::Result;
use crate::head::Head;
use crate::ingest::push_run;
use crate::registry::Registry;
use crate::wal::payload::BatchPayload;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Replay<'a> {
    registry: &'a mut Registry,
    head: &'a Head,
    /// Ids of each generation in the files, to ids of this open.
    ids: HashMap<u64, IdMap>,
}

impl<'a> Replay<'a> {
    /// A replay into an empty registry and an empty head.
    pub(crate) fn new(registry: &'a mut Registry, head: &'a Head) -> Self {
        Self {
            registry,
            head,
            ids: HashMap::new(),
        }
    }

    /// Applies one batch; the error says what no writer of ours would have written.
    pub(crate) fn apply(
        &mut self,
        generation: u64,
        payload: &BatchPayload<'_>,
    ) -> Result<(), &'static str> {
        if payload.namespace != 0 {
            return Err("a frame names a namespace that does not exist");
        }
        let ids = self.ids.entry(generation).or_default();
        for definition in &payload.definitions {
            let labels = Labels::from_canonical(definition.labels)
                .map_err(|_| "a frame defines a series with malformed labels")?;
            let id = self
                .registry
                .insert(&labels)
                .map_err(|_| "a frame defines too many series")?;
            ids.set(definition.id, id);
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
        let shards = self.head.lock(&runs);
        self.head
            .apply(shards, &runs, &payload.timestamps, &payload.values);
        Ok(())
    }
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
