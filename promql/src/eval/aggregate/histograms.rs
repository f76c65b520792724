//! Sums and means of groups with native histograms.
//!
//! Input: the rows of a group. Output: a column. Invariant: a step with floats and histograms, or
//! with exponential and custom buckets, gives nothing and a warning.

use std::sync::Arc;

use super::Task;
use crate::annotation::{Notice, Operation};
use crate::error::Result;
use crate::eval::column::{Column, Point, Row};
use crate::eval::rows::metric_name;
use crate::functions::Mean;
use crate::functions::kahan::{kahan_add, kahan_total};
use crate::histogram::{Histogram, HistogramSum, Mixed};
use crate::syntax::AggregateOp;

impl Task<'_> {
    pub(super) fn fold_histograms(&self, members: &[&Row]) -> Result<Column> {
        let mut column = Column::absent(self.steps);
        for at in 0..self.steps {
            self.run.spend(32 * members.len())?;
            let floats = members.iter().filter_map(|row| row.column.float(at));
            let histograms: Vec<&Histogram> = members
                .iter()
                .filter_map(|row| row.column.histogram(at).map(|one| &**one))
                .collect();
            let has_floats = floats.clone().next().is_some();
            let point = match (has_floats, histograms.is_empty()) {
                (false, true) => continue,
                (true, true) => Point::Float(self.of_floats(floats)),
                (true, false) => {
                    let notice = Notice::MixedFloatsHistogramsInAggregation;
                    self.run.note(&notice, self.span);
                    continue;
                }
                (false, false) => match self.of_histograms(&histograms, members) {
                    Some(histogram) => Point::Histogram(Arc::new(histogram)),
                    None => continue,
                },
            };
            column.set(at, point);
        }
        Ok(column)
    }

    fn of_floats(&self, floats: impl Iterator<Item = f64>) -> f64 {
        if self.op == AggregateOp::Avg {
            let mut mean = Mean::default();
            floats.for_each(|value| mean.add(value));
            return mean.value();
        }
        let add = |(sum, lost): (f64, f64), value: f64| kahan_add(value, sum, lost);
        let (sum, lost) = floats.fold((0.0, 0.0), add);
        kahan_total(sum, lost)
    }

    fn of_histograms(&self, histograms: &[&Histogram], members: &[&Row]) -> Option<Histogram> {
        let (first, rest) = histograms.split_first()?;
        let is_mean = self.op == AggregateOp::Avg;
        let mut sum = HistogramSum::new(first, is_mean);
        for histogram in rest {
            match sum.add(histogram) {
                Ok(combined) => {
                    if combined.reset_conflict {
                        let notice = Notice::ResetConflict(Operation::Aggregation);
                        self.run.note(&notice, self.span);
                    }
                    if combined.bounds_reconciled {
                        let notice = Notice::BoundsReconciled(Operation::Aggregation);
                        self.run.note(&notice, self.span);
                    }
                }
                Err(Mixed) => {
                    let metric = members.first().map_or("", |row| metric_name(&row.labels));
                    let notice = Notice::MixedExponentialCustom { metric };
                    self.run.note(&notice, self.span);
                    return None;
                }
            }
        }
        Some(match is_mean {
            true => sum.mean(),
            false => sum.finish(),
        })
    }
}
