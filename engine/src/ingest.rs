//! Resolves a batch: rows named by labels or by reference become ids of the registry.
//!
//! Input: a [`Batch`]. Output: [`Resolved`], ids in runs beside the columns, and what was rejected.
//! No WAL and no head is touched; new series are known to the registry afterwards, which shows
//! nowhere until they have samples.

use std::borrow::Cow;

use crate::batch::{Batch, BatchRun, RunSeries};
use crate::error::{Error, Rejection, Result};
use crate::limits::MAX_BATCH_SAMPLES;
use crate::registry::Registry;
use crate::sync::RwLock;
use crate::wal::payload::IdRun;
use treering_index::Labels;

/// A batch with every series named by its id.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) runs: Vec<IdRun>,
    pub(crate) timestamps: Cow<'a, [i64]>,
    pub(crate) values: Cow<'a, [f64]>,
    /// Rows left out, each with its reason.
    pub(crate) rejected: Vec<Rejection>,
}

/// What a bad row refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The batch: the first bad row is the error, and no new series is made.
    Whole,
    /// Itself only.
    Rows,
}

/// Resolves `batch` for the open named `open`.
pub(crate) fn resolve<'a>(
    batch: &'a Batch,
    registry: &RwLock<Registry>,
    open: u64,
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
    let uneven = batch.uneven.iter().map(|uneven| Rejection {
        row: uneven.row,
        samples: 0,
        reason: Error::InvalidArgument {
            argument: "a column",
            why: format!(
                "has {} timestamps and {} values; it needs one of each per sample",
                uneven.timestamps, uneven.values
            ),
        },
    });
    let mut rejected: Vec<Rejection> = uneven.collect();
    let (known, series) = look_up(&batch.labels, registry);
    if refusal == Refusal::Whole {
        // Before any new series is made for a batch that will be refused.
        let foreseen = first_rejection(batch, |run| id_of(run, &known, open, series).map(|_| ()));
        if let Some(first) = rejected
            .into_iter()
            .chain(foreseen)
            .min_by_key(|bad| bad.row)
        {
            return Err(Error::Rejected(Box::new(first)));
        }
        rejected = Vec::new();
    }
    let ids = make_missing(&batch.labels, known, registry);
    let mut runs = Vec::with_capacity(batch.runs.len().min(64));
    let mut row = 0;
    for run in &batch.runs {
        let samples = run.len as usize;
        match id_of(run, &ids, open, series) {
            Ok(id) => push_run(&mut runs, id, run.len),
            Err(reason) => rejected.push(Rejection {
                row,
                samples,
                reason,
            }),
        }
        row += samples;
    }
    rejected.sort_by_key(|rejection| rejection.row);
    if refusal == Refusal::Whole && !rejected.is_empty() {
        return Err(Error::Rejected(Box::new(rejected.remove(0))));
    }
    let (timestamps, values) = if rejected.is_empty() {
        (
            Cow::Borrowed(&batch.timestamps[..]),
            Cow::Borrowed(&batch.values[..]),
        )
    } else {
        (
            Cow::Owned(without(&batch.timestamps, &rejected)),
            Cow::Owned(without(&batch.values, &rejected)),
        )
    };
    Ok(Resolved {
        runs,
        timestamps,
        values,
        rejected,
    })
}

/// The first row that `check` refuses.
fn first_rejection(batch: &Batch, check: impl Fn(&BatchRun) -> Result<()>) -> Option<Rejection> {
    let mut row = 0;
    for run in &batch.runs {
        let samples = run.len as usize;
        if let Err(reason) = check(run) {
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

/// Stands for the id of labels that are fine and new.
const NEW: u32 = u32::MAX;

/// The ids of the label sets of a batch, [`NEW`] for new ones, an error for those that break a
/// limit; and how many series there are.
fn look_up(labels: &[Labels], registry: &RwLock<Registry>) -> (Vec<Result<u32>>, u64) {
    let registry = registry.read();
    let id = |labels: &Labels| match registry.get(labels) {
        Some(id) => Ok(id),
        None => registry.check(labels).map(|()| NEW),
    };
    (labels.iter().map(id).collect(), registry.len() as u64)
}

/// Makes the new series among `known`, under one write lock for all.
fn make_missing(
    labels: &[Labels],
    known: Vec<Result<u32>>,
    registry: &RwLock<Registry>,
) -> Vec<Result<u32>> {
    if known.iter().all(|id| !matches!(id, Ok(NEW))) {
        return known;
    }
    let mut registry = registry.write();
    let ids = known.into_iter().zip(labels);
    ids.map(|(id, labels)| match id {
        Ok(NEW) => registry.get_or_insert(labels),
        id => id,
    })
    .collect()
}

fn id_of(run: &BatchRun, ids: &[Result<u32>], open: u64, series: u64) -> Result<u32> {
    match run.series {
        RunSeries::Ref(series_ref) => {
            let valid = series_ref.open == open
                && series_ref.namespace == 0
                && u64::from(series_ref.id) < series;
            if valid {
                Ok(series_ref.id)
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
        kept.extend_from_slice(&column[from..rejection.row]);
        from = rejection.row + rejection.samples;
    }
    kept.extend_from_slice(&column[from..]);
    kept
}
