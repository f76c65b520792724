//! Fold: the aggregations that make one value of a group at each step.
//!
//! Input: the rows of a group. Output: a column. Invariant: columns are gone through one after the
//! other, with the state of each step beside them; sums keep what rounding loses.

use super::Task;
use super::group::Group;
use crate::annotation::Notice;
use crate::error::Result;
use crate::eval::column::{ABSENT, Column, Row, is_absent, quiet};
use crate::functions::Mean;
use crate::functions::kahan::{kahan_add, kahan_total};
use crate::functions::quantile::quantile_of;
use crate::syntax::AggregateOp;

impl Task<'_> {
    /// The value of a group at each step.
    pub(super) fn fold(&self, rows: &[Row], group: &Group) -> Result<Column> {
        let members = || group.members.iter().filter_map(|&at| rows.get(at));
        let has_histograms = members().any(|row| row.column.has_histograms());
        match self.op {
            AggregateOp::Sum | AggregateOp::Avg if has_histograms => {
                return self.fold_histograms(&members().collect::<Vec<&Row>>());
            }
            AggregateOp::Count | AggregateOp::Group => {
                return self.fold_presence(members());
            }
            _ if has_histograms => self.run.note(
                &Notice::HistogramIgnoredInAggregation {
                    operator: self.op.as_str(),
                },
                self.span,
            ),
            _ => {}
        }
        let columns = members().map(|row| row.column.floats());
        let floats = match self.op {
            AggregateOp::Sum => self.sums(columns)?,
            AggregateOp::Avg => self.means(columns)?,
            AggregateOp::Min => self.extremes(columns, |value, best| value < best)?,
            AggregateOp::Max => self.extremes(columns, |value, best| value > best)?,
            AggregateOp::Stddev => self.spreads(columns, f64::sqrt)?,
            AggregateOp::Stdvar => self.spreads(columns, |variance| variance)?,
            _ => self.quantiles(&columns.collect::<Vec<&[f64]>>())?,
        };
        Ok(Column::of_floats(floats))
    }

    /// How many members have a value at each step, or 1 where any has.
    fn fold_presence<'r>(&self, members: impl Iterator<Item = &'r Row>) -> Result<Column> {
        let mut counts = vec![0.0; self.steps];
        for row in members {
            self.run.spend(self.steps)?;
            if row.column.has_histograms() {
                for (at, count) in counts.iter_mut().enumerate() {
                    *count += f64::from(u8::from(row.column.has(at)));
                }
                continue;
            }
            for (count, &value) in counts.iter_mut().zip(row.column.floats()) {
                *count += f64::from(u8::from(!is_absent(value)));
            }
        }
        for count in &mut counts {
            *count = match *count {
                0.0 => ABSENT,
                _ if self.op == AggregateOp::Group => 1.0,
                count => count,
            };
        }
        Ok(Column::of_floats(counts))
    }

    fn sums<'r>(&self, columns: impl Iterator<Item = &'r [f64]>) -> Result<Vec<f64>> {
        let mut sums = vec![ABSENT; self.steps];
        let mut lost = vec![0.0; self.steps];
        for column in columns {
            self.run.spend(self.steps)?;
            let states = sums.iter_mut().zip(&mut lost);
            for ((sum, lost), &value) in states.zip(column) {
                if is_absent(value) {
                    continue;
                }
                let before = if is_absent(*sum) { 0.0 } else { *sum };
                let (total, more) = kahan_add(value, before, *lost);
                (*sum, *lost) = (quiet(total), more);
            }
        }
        for (sum, &lost) in sums.iter_mut().zip(&lost) {
            if !is_absent(*sum) {
                *sum = quiet(kahan_total(*sum, lost));
            }
        }
        Ok(sums)
    }

    fn means<'r>(&self, columns: impl Iterator<Item = &'r [f64]>) -> Result<Vec<f64>> {
        let mut means: Vec<Option<Mean>> = vec![None; self.steps];
        for column in columns {
            self.run.spend(self.steps)?;
            for (mean, &value) in means.iter_mut().zip(column) {
                if !is_absent(value) {
                    mean.get_or_insert_default().add(value);
                }
            }
        }
        let value = |mean: Option<Mean>| mean.map_or(ABSENT, |mean| quiet(mean.value()));
        Ok(means.into_iter().map(value).collect())
    }

    fn extremes<'r>(
        &self,
        columns: impl Iterator<Item = &'r [f64]>,
        is_better: impl Fn(f64, f64) -> bool,
    ) -> Result<Vec<f64>> {
        let mut extremes = vec![ABSENT; self.steps];
        for column in columns {
            self.run.spend(self.steps)?;
            for (best, &value) in extremes.iter_mut().zip(column) {
                // Nothing has the bits of a NaN, so anything is better.
                if !is_absent(value) && (is_better(value, *best) || best.is_nan()) {
                    *best = value;
                }
            }
        }
        Ok(extremes)
    }

    /// The variance of the population, after Welford.
    fn spreads<'r>(
        &self,
        columns: impl Iterator<Item = &'r [f64]>,
        of_variance: impl Fn(f64) -> f64,
    ) -> Result<Vec<f64>> {
        // Count, mean, sum of squared differences.
        let mut states = vec![(0.0, 0.0, 0.0); self.steps];
        for column in columns {
            self.run.spend(self.steps)?;
            for ((count, mean, squares), &value) in states.iter_mut().zip(column) {
                if is_absent(value) {
                    continue;
                }
                *count += 1.0;
                let delta = value - *mean;
                *mean += delta / *count;
                *squares += delta * (value - *mean);
            }
        }
        let value = |(count, _, squares): (f64, f64, f64)| match count {
            0.0 => ABSENT,
            count => quiet(of_variance(squares / count)),
        };
        Ok(states.into_iter().map(value).collect())
    }

    fn quantiles(&self, columns: &[&[f64]]) -> Result<Vec<f64>> {
        let mut values = Vec::with_capacity(columns.len());
        let mut quantile = |at: usize| {
            self.run.spend(4 * columns.len())?;
            values.clear();
            let of_step = columns.iter().filter_map(|column| column.get(at).copied());
            values.extend(of_step.filter(|&value| !is_absent(value)));
            let rank = self.params.get(at).copied().unwrap_or(f64::NAN);
            Ok(match values.is_empty() {
                true => ABSENT,
                false => quiet(quantile_of(rank, &mut values)),
            })
        };
        (0..self.steps).map(&mut quantile).collect()
    }
}
