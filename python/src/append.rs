//! Appends of Python: one sample, columns of a series, rows of many series, frames.
//!
//! Input: objects of Python. Output: batches, appended detached from the interpreter. Invariant:
//! what is lent by numpy is copied into the batch while no other thread of Python runs.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyString;
use treering::{Batch, CancelToken, Labels};

use crate::arrays::{Lent, times_of, values_of};
use crate::door::{detached, interruptible};
use crate::failure::{Failure, Outcome};
use crate::frame::{self, Named};
use crate::held::{Held, SeriesRef};
use crate::lend::arrays_of;
use crate::time::nanos_of;
use crate::words::{labels_of, names_of};

/// Samples of columns that are one batch; more are several.
const BATCH_SAMPLES: usize = 1 << 20;

/// A series by labels or by reference.
enum Target {
    Labels(Labels),
    Ref(treering::SeriesRef),
}

/// When rows are: all at one time, or each at its own.
enum Times<'py> {
    One(i64),
    Each(Lent<'py, i64>),
}

impl Target {
    fn of(series: &Bound<'_, PyAny>) -> Outcome<Self> {
        match series.cast::<SeriesRef>() {
            Ok(series) => Ok(Self::Ref(series.get().get())),
            Err(_) => labels_of(series).map(Self::Labels),
        }
    }

    fn push(&self, batch: &mut Batch, times: &[i64], values: &[f64]) {
        match self {
            Self::Labels(labels) => batch.push_column(labels, times, values),
            Self::Ref(series) => batch.push_column(*series, times, values),
        }
    }
}

/// Appends one sample.
pub(crate) fn sample(
    held: &Arc<Held>,
    series: &Bound<'_, PyAny>,
    time: &Bound<'_, PyAny>,
    value: f64,
) -> Outcome<()> {
    let (target, time) = (Target::of(series)?, nanos_of(time)?);
    let mut batch = Batch::new();
    target.push(&mut batch, &[time], &[value]);
    detached(series.py(), || Ok(held.db()?.append(&batch)?))
}

/// Appends columns of one series; how many samples they had.
pub(crate) fn columns(
    held: &Arc<Held>,
    series: &Bound<'_, PyAny>,
    times: &Bound<'_, PyAny>,
    values: &Bound<'_, PyAny>,
) -> Outcome<usize> {
    let py = series.py();
    let target = Target::of(series)?;
    let (times, values) = (times_of(times)?, values_of(values)?);
    let count = times.slice()?.len();
    same_length(count, values.slice()?.len())?;
    let mut begin = 0;
    while begin < count {
        let piece = begin..count.min(begin + BATCH_SAMPLES);
        // Looked at anew for each batch: meanwhile others ran, who can do odd things to an array.
        let own = times
            .slice()?
            .get(piece.clone())
            .zip(values.slice()?.get(piece.clone()));
        let (own_times, own_values) =
            own.ok_or_else(|| Failure::value("the columns became shorter on the way"))?;
        let mut batch = Batch::new();
        target.push(&mut batch, own_times, own_values);
        detached(py, || {
            let appended = held.db()?.append(&batch);
            Ok(appended.map_err(|error| moved(error, begin))?)
        })?;
        py.check_signals()?;
        begin = piece.end;
    }
    held.db()?;
    Ok(count)
}

/// Appends one value to each of many series, at one time or at a time for each.
pub(crate) fn rows(
    held: &Arc<Held>,
    series: &Bound<'_, PyAny>,
    times: &Bound<'_, PyAny>,
    values: &Bound<'_, PyAny>,
) -> Outcome<usize> {
    let py = series.py();
    let values = values_of(values)?;
    let count = values.slice()?.len();
    // Kept to the end: a series whose last reference goes is released.
    let mut kept: Vec<Bound<'_, SeriesRef>> = Vec::new();
    for one in series.try_iter()? {
        let one = one?;
        let one = one.cast_into::<SeriesRef>().map_err(|_| {
            Failure::kind("append_rows takes a list of SeriesRef, made by series(labels)")
        })?;
        if kept.len() == count {
            return Err(Failure::value("there are more series than values"));
        }
        kept.push(one);
    }
    let times = match is_one_time(times)? {
        true => Times::One(nanos_of(times)?),
        false => Times::Each(times_of(times)?),
    };
    // Code of Python ran until here, which can do odd things to an array; from here on none does.
    let values = values.slice()?;
    same_length(kept.len(), values.len())?;
    let rows: Vec<(treering::SeriesRef, f64)> = kept
        .iter()
        .map(|one| one.get().get())
        .zip(values.iter().copied())
        .collect();
    let batches = match &times {
        Times::One(time) => rows
            .chunks(BATCH_SAMPLES)
            .map(|piece| Batch::new().row(*time, piece))
            .collect(),
        Times::Each(times) => batches_of(times.slice()?, &rows)?,
    };
    detached(py, || {
        let db = held.db()?;
        let mut begin = 0;
        for batch in &batches {
            db.append(batch).map_err(|error| moved(error, begin))?;
            begin += batch.len();
        }
        Ok(())
    })?;
    Ok(rows.len())
}

/// Rows, each with a time of its own, as batches.
fn batches_of(times: &[i64], rows: &[(treering::SeriesRef, f64)]) -> Outcome<Vec<Batch>> {
    same_length(times.len(), rows.len())?;
    let pieces = times.chunks(BATCH_SAMPLES).zip(rows.chunks(BATCH_SAMPLES));
    let batch = |(times, rows): (&[i64], &[(treering::SeriesRef, f64)])| {
        let mut batch = Batch::with_capacity(rows.len());
        for (time, (series, value)) in times.iter().zip(rows) {
            batch.push(*series, *time, *value);
        }
        batch
    };
    Ok(pieces.map(batch).collect())
}

/// Appends a frame; how many samples it had.
pub(crate) fn arrow(
    held: &Arc<Held>,
    frame: &Bound<'_, PyAny>,
    timestamp: Option<String>,
    value: Option<&Bound<'_, PyAny>>,
    labels: Option<&Bound<'_, PyAny>>,
    metric: Option<String>,
) -> Outcome<u64> {
    let py = frame.py();
    held.db()?;
    let named = Named {
        timestamp,
        values: value.map(|value| names_of(value, "value")).transpose()?,
        labels: labels
            .map(|labels| names_of(labels, "labels"))
            .transpose()?,
        metric,
        is_long: value.is_some_and(|value| value.is_instance_of::<PyString>()),
    };
    let Some(arrays) = arrays_of(frame)? else {
        return Err(Failure::kind(
            "append_arrow takes what has __arrow_c_stream__ or __arrow_c_array__: a pyarrow table or \
             batch, a data frame of pandas (with pyarrow) or polars, a result of DuckDB or of ours",
        ));
    };
    let token = CancelToken::new();
    interruptible(py, &token, || {
        frame::append(held.db()?, arrays, &named, &token)
    })
}

/// Whether it is a point in time, not a column of them.
fn is_one_time(times: &Bound<'_, PyAny>) -> Outcome<bool> {
    if times.is_instance_of::<PyString>() || !times.hasattr("__len__")? {
        return Ok(!times.hasattr("__arrow_c_stream__")? && !times.hasattr("__arrow_c_array__")?);
    }
    // Scalars of numpy have the method, and no length.
    Ok(times.len().is_err())
}

fn same_length(left: usize, right: usize) -> Outcome<()> {
    if left == right {
        return Ok(());
    }
    Err(Failure::value(format_args!(
        "the columns have different lengths: {left} and {right}"
    )))
}

/// An error of a piece that began at this row.
fn moved(mut error: treering::Error, begin: usize) -> treering::Error {
    if let treering::Error::Rejected(rejection) = &mut error {
        rejection.row += begin;
    }
    error
}
