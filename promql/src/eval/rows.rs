//! Rows: what happens to the labels of an instant vector.
//!
//! Input: rows. Output: rows without metric names, or with those of equal labels made one.
//! Invariant: of rows with equal labels no two have a value at the same time; else there is an
//! error.

use std::collections::HashMap;

use treering::Labels;

use super::column::Row;
use super::node::WORK_OF_LABELS;
use super::run::Run;
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

impl Run<'_> {
    /// Makes rows of equal labels one.
    pub(crate) fn merge_equal(&self, rows: Vec<Row>) -> Result<Vec<Row>> {
        if rows.len() < 2 || self.are_distinct(&rows)? {
            return Ok(rows);
        }
        let mut places: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
        let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
        for row in rows {
            self.spend(WORK_OF_LABELS + row.column.len())?;
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

    /// Whether the labels of rows rise from one to the next, as those of a selector do: then no two
    /// are equal.
    fn are_distinct(&self, rows: &[Row]) -> Result<bool> {
        let pairs = rows.iter().zip(rows.iter().skip(1));
        for (before, after) in pairs {
            self.spend(1)?;
            if before.labels >= after.labels {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Drops the names of rows whose names were to be dropped in the end.
    pub(super) fn drop_names(&self, mut rows: Vec<Row>) -> Result<Vec<Row>> {
        let mut any = false;
        for row in rows.iter_mut().filter(|row| row.drop_name) {
            self.spend(WORK_OF_LABELS)?;
            row.labels = without_metadata(&row.labels);
            row.drop_name = false;
            any = true;
        }
        match any {
            true => self.merge_equal(rows),
            false => Ok(rows),
        }
    }
}
