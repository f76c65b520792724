//! Series and samples: what goes in.
//!
//! Input: labels or series handles beside columns of numbers. Output: statuses. Each call is one
//! batch: all of it or nothing.

use std::ffi::c_char;
use std::sync::Arc;

use treering::limits::MAX_BATCH_SAMPLES;
use treering::{Batch, Labels};

use super::types::{treering_db, treering_error, treering_label, treering_series, treering_status};
use crate::door::{Out, Slice, Text, done, pairs};
use crate::failure::Result;
use crate::object::{Database, Series};
use crate::table::TABLE;

/// Appends one sample of the series with these labels, given in any order. When it returns
/// TREERING_OK the sample is seen by the next question.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_append(
    db: treering_db,
    labels: *const treering_label,
    labels_len: usize,
    timestamp: i64,
    value: f64,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (labels, error) = unsafe { (Slice::new(labels, labels_len), Out::new(error)) };
    done(error, || {
        let database = Database::of(db.id)?;
        let batch = Batch::new().sample(labels_of(&labels)?, timestamp, value);
        Ok(database.db.append(&batch)?)
    })
}

/// Appends `len` samples of one series, in any order of time; of equal timestamps the later wins.
/// At most 4,194,304 at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_append_columns(
    db: treering_db,
    labels: *const treering_label,
    labels_len: usize,
    timestamps: *const i64,
    values: *const f64,
    len: usize,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (labels, timestamps, values, error) = unsafe {
        (
            Slice::new(labels, labels_len),
            Slice::new(timestamps, len),
            Slice::new(values, len),
            Out::new(error),
        )
    };
    done(error, || {
        let database = Database::of(db.id)?;
        let timestamps = timestamps.get("timestamps", MAX_BATCH_SAMPLES)?;
        let values = values.get("values", MAX_BATCH_SAMPLES)?;
        let batch = Batch::new().column(labels_of(&labels)?, timestamps, values);
        Ok(database.db.append(&batch)?)
    })
}

/// Appends `len` samples, each with the series that it is of: the fast way for many series. Three
/// arrays of equal length. At most 4,194,304 at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_append_batch(
    db: treering_db,
    series: *const treering_series,
    timestamps: *const i64,
    values: *const f64,
    len: usize,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks. The struct of a series is
    // one id, so that many of them are as many ids.
    let (series, timestamps, values, error) = unsafe {
        (
            Slice::<u64>::new(series.cast(), len),
            Slice::new(timestamps, len),
            Slice::new(values, len),
            Out::new(error),
        )
    };
    done(error, || {
        let database = Database::of(db.id)?;
        let ids = series.get("series", MAX_BATCH_SAMPLES)?;
        let timestamps = timestamps.get("timestamps", MAX_BATCH_SAMPLES)?;
        let values = values.get("values", MAX_BATCH_SAMPLES)?;
        let series = TABLE.each(ids, |series: &Series| series.series)?;
        let mut batch = Batch::with_capacity(series.len());
        for ((series, timestamp), value) in series.into_iter().zip(timestamps).zip(values) {
            batch.push(series, *timestamp, *value);
        }
        Ok(database.db.append(&batch)?)
    })
}

/// A handle on the series with these labels, made when it is new. It shows in questions once it has
/// samples, and stays in memory until its last handle is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_series_open(
    db: treering_db,
    labels: *const treering_label,
    labels_len: usize,
    series: *mut treering_series,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (labels, series, error) = unsafe {
        (
            Slice::new(labels, labels_len),
            Out::new(series),
            Out::new(error),
        )
    };
    done(error, || {
        let place = series.required("series")?;
        place.set(treering_series::default());
        let labels = labels_of(&labels)?;
        place.set(opened(db, &labels)?);
        Ok(())
    })
}

/// The same with the labels as a text: `cpu{host="a"}`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_series_parse(
    db: treering_db,
    labels: *const c_char,
    labels_len: usize,
    series: *mut treering_series,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (labels, series, error) = unsafe {
        (
            Text::new(labels, labels_len),
            Out::new(series),
            Out::new(error),
        )
    };
    done(error, || {
        let place = series.required("series")?;
        place.set(treering_series::default());
        let labels = Labels::parse(labels.get("labels")?).map_err(treering::Error::Labels)?;
        place.set(opened(db, &labels)?);
        Ok(())
    })
}

/// Frees a handle on a series; the series and its samples stay. Also after its database was closed.
/// Null is TREERING_OK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_series_free(
    series: treering_series,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: the pointer is null, misaligned or good, as the header asks.
    let error = unsafe { Out::new(error) };
    done(error, || match series.id {
        0 => Ok(()),
        id => TABLE.remove::<Series>(id).map(drop),
    })
}

fn opened(db: treering_db, labels: &Labels) -> Result<treering_series> {
    let series = Database::of(db.id)?.series(labels)?;
    let id = TABLE.insert(Arc::new(series))?;
    Ok(treering_series { id })
}

fn labels_of(labels: &Slice<treering_label>) -> Result<Labels> {
    Ok(Labels::from_pairs(pairs(labels)?).map_err(treering::Error::Labels)?)
}
