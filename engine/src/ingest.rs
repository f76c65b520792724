//! Resolves a batch: rows named by labels or by reference become ids of the registry; rows older
//! than the retention are refused.
//!
//! Input: a [`Batch`]. Output: [`Resolved`], ids in runs beside the columns, and what was rejected.
//! No WAL and no head is touched; new series are known to the registry afterwards, which shows
//! nowhere until they have samples.

use std::borrow::Cow;

use crate::batch::{Batch, BatchRun, RunSeries};
use crate::error::{Error, Rejection, Result};
use crate::limits::{MAX_BATCH_EXTRA_BYTES, MAX_BATCH_SAMPLES};
use crate::registry::Registry;
use crate::space::Space;
use crate::wal::payload::IdRun;
use treering_codec::Extras;
use treering_index::Labels;

/// A batch with every series named by its id.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) runs: Vec<IdRun>,
    pub(crate) timestamps: Cow<'a, [i64]>,
    pub(crate) values: Cow<'a, [f64]>,
    /// What samples have beside their floats.
    pub(crate) extras: Cow<'a, Extras>,
    /// Rows left out, each with its reason.
    pub(crate) rejected: Vec<Rejection>,
    /// Generation of the WAL in which the series were looked up: they are not forgotten before the
    /// end of the next one.
    pub(crate) generation: u64,
}

impl Resolved<'_> {
    /// Timestamps and values.
    pub(crate) fn columns(&self) -> (&[i64], &[f64]) {
        (&self.timestamps, &self.values)
    }
}

/// What a bad row refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The batch: the first bad row is the error, and no new series is made.
    Whole,
    /// Itself only.
    Rows,
}

/// What a batch is resolved against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series<'a> {
    pub(crate) space: &'a Space,
    /// Names the open in references.
    pub(crate) open: u32,
    /// Generation of the WAL now.
    pub(crate) generation: u64,
    /// The first timestamp that is not expired.
    pub(crate) horizon: i64,
}

/// Resolves `batch`.
pub(crate) fn resolve<'a>(
    batch: &'a Batch,
    series: &Series<'_>,
    refusal: Refusal,
) -> Result<Resolved<'a>> {
    if batch.len() > MAX_BATCH_SAMPLES {
        return Err(Error::limit(
            "batch sample limit",
            MAX_BATCH_SAMPLES as u64,
            format!("a batch of {} samples", batch.len()),
            "append it in smaller batches",
        ));
    }
    if batch.extra_bytes > MAX_BATCH_EXTRA_BYTES {
        return Err(Error::limit(
            "histogram limit of a batch",
            MAX_BATCH_EXTRA_BYTES as u64,
            format!("a batch with {} bytes of histograms", batch.extra_bytes),
            "append it in smaller batches",
        ));
    }
    let mut rejected = malformed(batch);
    let pieces = Pieces::of(batch, series.horizon);
    let known = series.look_up(&batch.labels);
    if refusal == Refusal::Whole {
        // Before any new series is made for a batch that will be refused.
        let foreseen = series.first_rejection(&pieces, &known);
        if let Some(first) = rejected
            .into_iter()
            .chain(foreseen)
            .min_by_key(|bad| bad.row)
        {
            return Err(Error::Rejected(Box::new(first)));
        }
        rejected = Vec::new();
    }
    let ids = series.make_missing(&batch.labels, known);
    let mut runs = Vec::with_capacity(pieces.runs.len().min(64));
    let mut row = 0;
    let registry = series.space.registry.read();
    for (run, expired) in pieces.iter() {
        let samples = run.len as usize;
        match series.id_of(&registry, run, expired, &ids) {
            Ok(id) => {
                registry.touch(id, series.generation);
                push_run(&mut runs, id, run.len);
            }
            Err(reason) => rejected.push(Rejection {
                row,
                samples,
                reason,
            }),
        }
        row += samples;
    }
    drop(registry);
    rejected.sort_by_key(|rejection| rejection.row);
    if refusal == Refusal::Whole && !rejected.is_empty() {
        return Err(Error::Rejected(Box::new(rejected.remove(0))));
    }
    let (timestamps, values, extras) = if rejected.is_empty() {
        (
            Cow::Borrowed(&batch.timestamps[..]),
            Cow::Borrowed(&batch.values[..]),
            Cow::Borrowed(&batch.extras),
        )
    } else {
        let samples = match batch.extras.is_empty() {
            true => 0,
            false => batch.len() as u32,
        };
        let places: Vec<u32> = (0..samples).collect();
        (
            Cow::Owned(without(&batch.timestamps, &rejected)),
            Cow::Owned(without(&batch.values, &rejected)),
            Cow::Owned(batch.extras.pick(without(&places, &rejected))),
        )
    };
    Ok(Resolved {
        runs,
        timestamps,
        values,
        extras,
        rejected,
        generation: series.generation,
    })
}

/// What was left out of a batch when it was put together.
fn malformed(batch: &Batch) -> Vec<Rejection> {
    let refused = |row, argument, why| Rejection {
        row,
        samples: 0,
        reason: Error::InvalidArgument { argument, why },
    };
    let uneven = batch.uneven.iter().map(|uneven| {
        let why = format!(
            "has {} timestamps and {} values; it needs one of each per sample",
            uneven.timestamps, uneven.values
        );
        refused(uneven.row, "a column", why)
    });
    let faults = batch.faults.iter();
    let faults = faults.map(|fault| refused(fault.row, "a histogram", fault.what.to_owned()));
    uneven.chain(faults).collect()
}

/// The runs of a batch, cut so that each is expired as a whole or not at all.
struct Pieces<'a> {
    runs: Cow<'a, [BatchRun]>,
    /// Timestamp of the first sample of each run that is expired; empty when none is.
    expired: Vec<Option<i64>>,
}

impl<'a> Pieces<'a> {
    fn of(batch: &'a Batch, horizon: i64) -> Self {
        let fresh = horizon == i64::MIN || batch.timestamps.iter().all(|&at| at >= horizon);
        let mut pieces = Self {
            runs: Cow::Borrowed(&batch.runs),
            expired: Vec::new(),
        };
        if fresh {
            return pieces;
        }
        let mut runs = Vec::with_capacity(batch.runs.len());
        let mut rest = &batch.timestamps[..];
        for run in &batch.runs {
            let (timestamps, after) = rest.split_at(run.len as usize);
            for piece in timestamps.chunk_by(|&a, &b| (a < horizon) == (b < horizon)) {
                let len = piece.len() as u32;
                runs.push(BatchRun { len, ..*run });
                pieces
                    .expired
                    .push(piece.first().copied().filter(|&at| at < horizon));
            }
            rest = after;
        }
        pieces.runs = Cow::Owned(runs);
        pieces
    }

    /// The runs, each with its first timestamp if it is expired.
    fn iter(&self) -> impl Iterator<Item = (&BatchRun, Option<i64>)> {
        let expired = self.expired.iter().copied().chain(std::iter::repeat(None));
        self.runs.iter().zip(expired)
    }
}

/// Stands for the id of labels that are fine and new.
const NEW: u32 = u32::MAX;

impl Series<'_> {
    /// The first piece that would be refused.
    fn first_rejection(&self, pieces: &Pieces<'_>, ids: &[Result<u32>]) -> Option<Rejection> {
        let registry = self.space.registry.read();
        let mut row = 0;
        for (run, expired) in pieces.iter() {
            let samples = run.len as usize;
            if let Err(reason) = self.id_of(&registry, run, expired, ids) {
                return Some(Rejection {
                    row,
                    samples,
                    reason,
                });
            }
            row += samples;
        }
        None
    }

    /// The ids of the label sets of a batch, [`NEW`] for new ones, an error for those that break a
    /// limit.
    fn look_up(&self, labels: &[Labels]) -> Vec<Result<u32>> {
        let registry = self.space.registry.read();
        let id = |labels: &Labels| match registry.get(labels) {
            Some(id) => {
                registry.touch(id, self.generation);
                Ok(id)
            }
            None => registry.check(labels).map(|()| NEW),
        };
        labels.iter().map(id).collect()
    }

    /// Makes the new series among `known`, under one write lock for all.
    fn make_missing(&self, labels: &[Labels], known: Vec<Result<u32>>) -> Vec<Result<u32>> {
        if known.iter().all(|id| !matches!(id, Ok(NEW))) {
            return known;
        }
        let mut registry = self.space.registry.write();
        let ids = known.into_iter().zip(labels);
        ids.map(|(id, labels)| match id {
            Ok(NEW) => {
                let id = registry.get_or_insert(labels)?;
                registry.touch(id, self.generation);
                Ok(id)
            }
            id => id,
        })
        .collect()
    }

    fn id_of(
        &self,
        registry: &Registry,
        run: &BatchRun,
        expired: Option<i64>,
        ids: &[Result<u32>],
    ) -> Result<u32> {
        if let Some(timestamp) = expired {
            return Err(Error::Expired {
                namespace: self.space.name.clone(),
                timestamp,
                horizon: self.horizon,
            });
        }
        match run.series {
            RunSeries::Ref(series) => {
                let ours = series.open == self.open && series.namespace == self.space.id;
                if ours && registry.is(series.id, series.epoch) {
                    Ok(series.id)
                } else {
                    Err(Error::StaleRef)
                }
            }
            RunSeries::Labels(index) => ids
                .get(index as usize)
                .cloned()
                .unwrap_or(Err(Error::StaleRef)),
        }
    }
}

/// Adds `len` samples of `id`, as part of the last run where it goes on.
#[inline]
pub(crate) fn push_run(runs: &mut Vec<IdRun>, id: u32, len: u32) {
    if let Some(last) = runs.last_mut()
        && last.len == len
        && last.first + last.ids == id
    {
        last.ids += 1;
        return;
    }
    runs.push(IdRun {
        first: id,
        ids: 1,
        len,
    });
}

/// `column` without the samples of the rejected rows.
fn without<T: Copy>(column: &[T], rejected: &[Rejection]) -> Vec<T> {
    let mut kept = Vec::with_capacity(column.len());
    let mut from = 0;
    for rejection in rejected {
        kept.extend_from_slice(column.get(from..rejection.row).unwrap_or_default());
        from = rejection.row + rejection.samples;
    }
    kept.extend_from_slice(column.get(from..).unwrap_or_default());
    kept
}
