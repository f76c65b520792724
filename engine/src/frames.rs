//! Following: every change of the database after a sequence, in order, as it is in the WAL.
//!
//! Input: a sequence. Output: frames through the last one written when they were asked for, with
//! labels in the place of ids. Appends go on meanwhile. Invariant: no frame is left out: one that
//! the WAL does not have any more is an error that says from where on it can be followed.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use treering_codec::Histogram;
use treering_index::{Labels, Selector};

use crate::db::Db;
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::namespace::options::NamespaceOptions;
use crate::wal;
use crate::wal::change::{self, NamespaceChange};
use crate::wal::format::FrameKind;
use crate::wal::payload::{BatchPayload, Definition};
use crate::wal::walk::Walk;

/// One change of a database, and its place in the order of all change.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Frame {
    /// Counts up by one from frame to frame.
    pub sequence: u64,
    /// What changed.
    pub change: Change,
}

/// What a frame changes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// Samples of one batch; it may hold none.
    Samples {
        /// Where they went.
        namespace: NamespaceKey,
        /// Series, and which of the samples below are its own, in order: a series may come twice,
        /// and of two samples with one timestamp the later wins.
        series: Vec<(Labels, Range<usize>)>,
        /// Nanoseconds since the Unix epoch, one per sample.
        timestamps: Vec<i64>,
        /// As many values; where a sample is a histogram, the stale marker.
        values: Vec<f64>,
        /// For each sample the histogram that it is, if any; empty where all samples are floats.
        histograms: Vec<Option<Arc<Histogram>>>,
        /// For each sample the time since which its counter counts, or 0 where that is not known;
        /// empty where it is known of none.
        starts: Vec<i64>,
    },
    /// Samples with a lower sequence went.
    Delete {
        /// From where.
        namespace: NamespaceKey,
        /// Of which series.
        selector: Selector,
        /// Their first timestamp.
        first: i64,
        /// Their last timestamp.
        last: i64,
    },
    /// A namespace came.
    CreateNamespace {
        /// Its number and name.
        namespace: NamespaceKey,
        /// How it is kept.
        options: NamespaceOptions,
    },
    /// A namespace is kept in another way.
    AlterNamespace {
        /// Which.
        namespace: NamespaceKey,
        /// How it is kept from now on.
        options: NamespaceOptions,
    },
    /// A namespace went, with everything in it.
    DropNamespace {
        /// Which.
        namespace: NamespaceKey,
    },
    /// Something else is known of a metric.
    Metadata {
        /// Where.
        namespace: NamespaceKey,
        /// The name of the metric.
        metric: String,
        /// What is known from now on; `None` for nothing.
        metadata: Option<Metadata>,
    },
    /// Nothing changed: the database was closed.
    Mark,
}

/// Which namespace a frame is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NamespaceKey {
    /// Its number: 0 is `default`, and none is used twice.
    pub number: u32,
    /// Its name. `None` when it was dropped meanwhile and the WAL does not tell any more how it
    /// was made: then a later frame drops it.
    pub name: Option<Arc<str>>,
}

/// The changes after a sequence; an iterator of [`Frame`]. Made by [`Db::frames_since`].
///
/// It has the files of the WAL open, so it gives all of its frames whatever is flushed meanwhile.
#[derive(Debug)]
pub struct Frames {
    walk: Walk,
    since: u64,
    last: u64,
    durable: u64,
    names: HashMap<u32, Arc<str>>,
    /// The generation that `ids` are of.
    generation: u64,
    ids: HashMap<(u32, u32), Labels>,
    failed: bool,
}

impl Db {
    /// Every change of the database, in all namespaces, after the one with this sequence: in order,
    /// through the last one written when this is called. 0 stands before the first change; go on
    /// from [`Frames::last_sequence`], or start from [`Export::sequence`](crate::Export::sequence).
    ///
    /// The frames are those of the write-ahead log. What a flush moved into blocks leaves the log,
    /// unless [`Options::wal_keep_bytes`](crate::Options::wal_keep_bytes) keeps it for a while.
    ///
    /// # Errors
    /// [`Error::FramesGone`] when the next change is not in the log any more: take a
    /// [`Db::export`] and go on from there. [`Error::InvalidArgument`] for a sequence that has not
    /// been written yet. [`Error::ReadOnly`] for a read-only open: [`Db::watch`] follows there.
    pub fn frames_since(&self, sequence: u64) -> Result<Frames> {
        let shared = self.shared()?;
        shared.check_open()?;
        // The frames through this one are written: changes take the WAL one at a time.
        let last = shared.commit.lock().wal.last_sequence();
        let durable = shared.syncer.synced_sequence().min(last);
        if sequence > last {
            return Err(Error::InvalidArgument {
                argument: "the sequence",
                why: format!("is {sequence}, but the last change of this database is {last}"),
            });
        }
        let spaces = shared.spaces.all();
        let names = spaces.iter().map(|space| (space.id, space.name.as_str()));
        let database = shared.manifest.lock().database();
        let dir = shared.dir.join(wal::DIR);
        let vfs = &*shared.options.vfs;
        Ok(Frames {
            walk: Walk::open(vfs, &dir, database, (sequence, last))?,
            since: sequence,
            last,
            durable,
            names: names.map(|(id, name)| (id, Arc::from(name))).collect(),
            generation: 0,
            ids: HashMap::new(),
            failed: false,
        })
    }
}

impl Frames {
    /// Sequence of the last of these frames: where the next call goes on.
    pub fn last_sequence(&self) -> u64 {
        self.last
    }

    /// Sequence of the last change that was durable when these frames were asked for. A power cut
    /// may take the ones after it away again, and give their sequences to others.
    pub fn durable_through(&self) -> u64 {
        self.durable
    }

    fn read(&mut self) -> Result<Option<Frame>> {
        loop {
            let Some(frame) = self.walk.next()? else {
                return Ok(None);
            };
            let damaged = |error| Error::codec(frame.file, frame.offset, error);
            let sequence = frame.sequence;
            if frame.generation != self.generation {
                // Ids mean something in their generation only.
                self.ids.clear();
                self.generation = frame.generation;
            }
            if frame.kind == FrameKind::Batch {
                if sequence <= self.since {
                    let defined = BatchPayload::definitions(frame.payload);
                    let (namespace, defined) = defined.map_err(damaged)?;
                    define(&mut self.ids, namespace, &defined).map_err(damaged)?;
                    continue;
                }
                let batch = BatchPayload::decode(frame.payload).map_err(damaged)?;
                define(&mut self.ids, batch.namespace, &batch.definitions).map_err(damaged)?;
                let Some(series) = series_of(&self.ids, &batch) else {
                    // A crash took the start of the generation away.
                    let oldest = self.walk.next_generation();
                    return Err(Error::FramesGone { oldest });
                };
                let (histograms, starts) = batch.extras.spread(batch.values.len());
                let change = Change::Samples {
                    namespace: key(&self.names, batch.namespace),
                    series,
                    timestamps: batch.timestamps,
                    values: batch.values,
                    histograms,
                    starts,
                };
                return Ok(Some(Frame { sequence, change }));
            }
            let change = change::Change::decode(frame.kind, frame.payload).map_err(damaged)?;
            if let Some(change::Change::Namespace(NamespaceChange::Create { id, name, .. })) =
                &change
            {
                self.names.insert(*id, Arc::from(name.as_str()));
            }
            if sequence > self.since {
                let change = change.map_or(Change::Mark, |change| told(&self.names, change));
                return Ok(Some(Frame { sequence, change }));
            }
        }
    }
}

impl Iterator for Frames {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.read().transpose()?;
        self.failed = next.is_err();
        Some(next)
    }
}

/// Notes the labels of ids.
fn define(
    ids: &mut HashMap<(u32, u32), Labels>,
    namespace: u32,
    definitions: &[Definition<'_>],
) -> treering_codec::Result<()> {
    for definition in definitions {
        let labels = Labels::from_canonical(definition.labels);
        let labels = labels.map_err(|_| treering_codec::Error::Malformed {
            offset: 0,
            what: "a frame defines a series with malformed labels",
        })?;
        ids.insert((namespace, definition.id), labels);
    }
    Ok(())
}

/// The series of a batch, each with the range of its samples; `None` when one was never defined.
fn series_of(
    ids: &HashMap<(u32, u32), Labels>,
    batch: &BatchPayload<'_>,
) -> Option<Vec<(Labels, Range<usize>)>> {
    let mut series = Vec::new();
    let mut at = 0;
    for run in &batch.runs {
        for id in run.first..run.first + run.ids {
            let labels = ids.get(&(batch.namespace, id))?.clone();
            series.push((labels, at..at + run.len as usize));
            at += run.len as usize;
        }
    }
    Some(series)
}

fn key(names: &HashMap<u32, Arc<str>>, number: u32) -> NamespaceKey {
    let name = names.get(&number).cloned();
    NamespaceKey { number, name }
}

/// A change as it is told to those who follow.
fn told(names: &HashMap<u32, Arc<str>>, change: change::Change) -> Change {
    let key = |number| key(names, number);
    match change {
        change::Change::Delete(delete) => Change::Delete {
            namespace: key(delete.namespace),
            selector: delete.selector,
            first: delete.first,
            last: delete.last,
        },
        change::Change::Metadata(change) => Change::Metadata {
            namespace: key(change.namespace),
            metric: change.metric,
            metadata: change.metadata,
        },
        change::Change::Namespace(change) => match change {
            NamespaceChange::Create { id, options, .. } => Change::CreateNamespace {
                namespace: key(id),
                options,
            },
            NamespaceChange::Alter { id, options } => Change::AlterNamespace {
                namespace: key(id),
                options,
            },
            NamespaceChange::Drop { id } => Change::DropNamespace { namespace: key(id) },
        },
    }
}
