//! Rows: what happens to the labels of an instant vector.
//!
//! Input: rows. Output: rows without metric names, or with those of equal labels made one.
//! Invariant: of rows with equal labels no two have a value at the same time; else there is an
//! error.

use std::collections::HashMap;

use treering::Labels;

use super::column::Row;
use crate::error::{Error, Result, SAME_LABELS};

/// Labels that say what a metric is, and no longer hold once it was computed with.
pub(crate) const METADATA_LABELS: [&str; 3] = ["__name__", "__type__", "__unit__"];

/// The metric name, or "".
pub(crate) fn metric_name(labels: &Labels) -> &str {
    labels.name().unwrap_or_default()
}

/// The labels without what says what the metric is.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    labels.without(&METADATA_LABELS)
}

/// Makes rows of equal labels one.
pub(crate) fn merge_equal(rows: Vec<Row>) -> Result<Vec<Row>> {
    if rows.len() < 2 {
        return Ok(rows);
    }
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        let place = *places.entry(row.labels.clone()).or_insert(merged.len());
        match merged.get_mut(place) {
            None => merged.push(row),
            Some(known) => {
                known.drop_name &= row.drop_name;
                if !known.column.merge(row.column) {
                    return Error::execution(SAME_LABELS);
                }
            }
        }
    }
    Ok(merged)
}

/// Drops the names of rows whose names were to be dropped in the end.
pub(crate) fn drop_names(mut rows: Vec<Row>) -> Result<Vec<Row>> {
    let mut any = false;
    for row in rows.iter_mut().filter(|row| row.drop_name) {
        row.labels = without_metadata(&row.labels);
        row.drop_name = false;
        any = true;
    }
    if any { merge_equal(rows) } else { Ok(rows) }
}
