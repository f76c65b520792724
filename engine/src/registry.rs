//! The series known to this open of the database: labels to ids and back, and which of them the
//! current generation of the WAL has defined.
//!
//! Input: labels. Output: dense ids, valid while the database is open. Shared behind one
//! read-write lock; defining is noted through atomics, so that appends of known series only read.

use std::sync::atomic::{AtomicU32, Ordering};

use treering_index::{LabelLimits, Labels, MemIndex};

use crate::error::{Error, Result};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Registry {
    index: MemIndex,
    /// Low bits of the WAL generation in which each series was defined last; 0 is never.
    defined: Vec<AtomicU32>,
    limits: Limits,
}

/// What a new series is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) series: u64,
    /// Heap that labels and their index may take, in bytes.
    pub(crate) bytes: u64,
    pub(crate) labels: LabelLimits,
}

impl Registry {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            index: MemIndex::new(),
            defined: Vec::new(),
            limits,
        }
    }

    pub(crate) fn index(&self) -> &MemIndex {
        &self.index
    }

    /// How many series it holds; ids are below.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Heap that it takes, in bytes.
    pub(crate) fn heap_bytes(&self) -> u64 {
        (self.index.heap_bytes() + self.defined.capacity() * size_of::<AtomicU32>()) as u64
    }

    pub(crate) fn get(&self, labels: &Labels) -> Option<u32> {
        self.index.get(labels)
    }

    /// The id of `labels`, made when they are new and within the limits.
    pub(crate) fn get_or_insert(&mut self, labels: &Labels) -> Result<u32> {
        if let Some(id) = self.get(labels) {
            return Ok(id);
        }
        self.check(labels)?;
        self.insert(labels)
    }

    /// Whether a new series with these labels keeps within the limits.
    pub(crate) fn check(&self, labels: &Labels) -> Result<()> {
        self.limits.labels.check(labels)?;
        if self.len() as u64 >= self.limits.series {
            return Err(Error::limit(
                "series limit",
                self.limits.series,
                named(labels),
                "raise Options::max_series or drop a label; reopening forgets series without new samples",
            ));
        }
        if self.heap_bytes() >= self.limits.bytes {
            return Err(Error::limit(
                "label memory limit",
                self.limits.bytes,
                named(labels),
                "raise Options::memory_bytes (labels may take half of it) or drop a label",
            ));
        }
        Ok(())
    }

    /// The id of `labels`, made when they are new: for replay, which no limit may stop.
    pub(crate) fn insert(&mut self, labels: &Labels) -> Result<u32> {
        let (id, new) = self.index.insert(labels)?;
        if new {
            self.defined.push(AtomicU32::new(0));
        }
        Ok(id)
    }

    /// Whether frames of `generation` may name the series without its labels.
    pub(crate) fn is_defined(&self, id: u32, generation: u64) -> bool {
        let defined = self.defined.get(id as usize);
        defined.is_some_and(|mark| mark.load(Ordering::Acquire) == mark_of(generation))
    }

    /// Notes that a frame of `generation` that defines the series was written.
    pub(crate) fn set_defined(&self, id: u32, generation: u64) {
        if let Some(mark) = self.defined.get(id as usize) {
            mark.store(mark_of(generation), Ordering::Release);
        }
    }
}

/// Generations count up from 1; their low bits only repeat after four billion flushes.
fn mark_of(generation: u64) -> u32 {
    generation as u32
}

fn named(labels: &Labels) -> String {
    labels
        .name()
        .map_or_else(|| labels.to_string(), |name| format!("`{name}`"))
}
