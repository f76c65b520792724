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

/// A batch with every series named by its id.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) runs: Vec<IdRun>,
    pub(crate) timestamps: Cow<'a, [i64]>,
    pub(crate) values: Cow<'a, [f64]>,
    /// Rows left out, each with its reason.
    pub(crate) rejected: Vec<Rejection>,
}

/// Resolves `batch` for the open named `open`.
pub(crate) fn resolve<'a>(
    batch: &'a Batch,
    registry: &RwLock<Registry>,
    open: u64,
) -> Result<Resolved<'a>> {
    if let Some(uneven) = batch.uneven {
        let why = format!(
            "has {} timestamps and {} values at row {}; a column needs one of each per sample",
            uneven.timestamps, uneven.values, uneven.row
        );
        return Err(Error::InvalidArgument {
            argument: "the batch",
            why,
        });
    }
    if batch.len() > MAX_BATCH_SAMPLES {
        return Err(Error::limit(
            "batch sample limit",
            MAX_BATCH_SAMPLES as u64,
            format!("a batch of {} samples", batch.len()),
            "append it in smaller batches",
        ));
    }
    let ids = label_ids(&batch.labels, registry);
    let series = registry.read().len() as u64;
    let mut rejected = Vec::new();
    let mut runs = Vec::with_capacity(batch.runs.len().min(64));
    let mut row = 0;
    for run in &batch.runs {
        match id_of(run, &ids, open, series) {
            Ok(id) => push_run(&mut runs, id, run.len),
            Err(reason) => {
                rejected.push(Rejection {
                    row,
                    samples: run.len as usize,
                    reason,
                });
            }
        }
        row += run.len as usize;
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

/// The ids of the label sets of a batch: known ones under the read lock, new ones under one write
/// lock for all.
fn label_ids(labels: &[treering_index::Labels], registry: &RwLock<Registry>) -> Vec<Result<u32>> {
    if labels.is_empty() {
        return Vec::new();
    }
    let known: Vec<Option<u32>> = {
        let registry = registry.read();
        labels.iter().map(|labels| registry.get(labels)).collect()
    };
    if let Some(ids) = known.iter().copied().map(|id| id.map(Ok)).collect() {
        return ids;
    }
    let mut registry = registry.write();
    let ids = known.into_iter().zip(labels);
    ids.map(|(id, labels)| id.map_or_else(|| registry.get_or_insert(labels), Ok))
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
