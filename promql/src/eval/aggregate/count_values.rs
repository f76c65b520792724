//! `count_values`: how many members of a group have each value.
//!
//! Input: rows, and the label that takes the value. Output: a row for each value. Invariant: values
//! are told apart as their texts are.

use std::collections::HashMap;

use treering::Labels;

use crate::error::{Error, Result};
use crate::eval::column::{Column, Point, Row};
use crate::eval::node::WORK_OF_LABELS;
use crate::eval::run::Run;
use crate::functions::{go_quote, with_label};
use crate::histogram::Shown;
use crate::syntax::{Aggregate, ExprKind};

/// The label that takes the value.
pub(super) fn label(aggregate: &Aggregate) -> Result<String> {
    let bytes: &[u8] = match aggregate.param.as_ref().map(|param| &param.unparen().kind) {
        Some(ExprKind::String(string)) => &string.bytes,
        _ => return Error::execution("count_values takes a label name"),
    };
    match std::str::from_utf8(bytes) {
        Ok(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Error::execution(format!("invalid label name {}", go_quote(bytes))),
    }
}

impl Run<'_> {
    /// Counts the values of each group.
    pub(super) fn count_values(
        &self,
        aggregate: &Aggregate,
        label: &str,
        rows: &[Row],
        steps: usize,
    ) -> Result<Vec<Row>> {
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut results: Vec<Row> = Vec::new();
        for group in self.groups_of(rows, aggregate)? {
            for row in group.members.iter().filter_map(|&at| rows.get(at)) {
                for at in 0..steps {
                    self.spend(WORK_OF_LABELS)?;
                    let text = match row.column.get(at) {
                        Point::Absent => continue,
                        Point::Float(float) => plain_float(float),
                        Point::Histogram(histogram) => Shown(&histogram).to_string(),
                    };
                    let labels = with_label(&group.labels, label, &text)?;
                    let place = *places.entry(labels.clone()).or_insert(results.len());
                    if place == results.len() {
                        let row = Row {
                            labels,
                            drop_name: group.drop_name,
                            column: Column::absent(steps),
                        };
                        self.meter.hold(row.amount())?;
                        results.push(row);
                    }
                    if let Some(result) = results.get_mut(place) {
                        let before = result.column.float(at).unwrap_or(0.0);
                        result.column.set_float(at, Some(before + 1.0));
                    }
                }
            }
        }
        Ok(results)
    }
}

/// A number in full, without an exponent.
fn plain_float(number: f64) -> String {
    match number {
        number if number.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        number => format!("{number}"),
    }
}
