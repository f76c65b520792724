//! Pick: `topk`, `bottomk`, `limitk`, `limit_ratio`: some members of a group at each step.
//!
//! Input: the rows of a group. Output: the same rows, with the values that were picked. Invariant:
//! labels and values stay as they are; of equal values the first ones are picked; NaN is picked
//! last.

use std::cmp::Ordering;

use treering::Labels;
use xxhash_rust::xxh64::xxh64;

use super::Task;
use super::group::Group;
use crate::annotation::Notice;
use crate::error::Result;
use crate::eval::column::{Column, Row};
use crate::syntax::AggregateOp;

impl Task<'_> {
    /// Adds the rows of a group with what is picked of them.
    pub(super) fn pick(&self, rows: &[Row], group: &Group, results: &mut Vec<Row>) -> Result<()> {
        let members: Vec<&Row> = group
            .members
            .iter()
            .filter_map(|&at| rows.get(at))
            .collect();
        let is_ranked = matches!(self.op, AggregateOp::Topk | AggregateOp::Bottomk);
        if is_ranked && members.iter().any(|row| row.column.has_histograms()) {
            let operator = self.op.as_str();
            let notice = Notice::HistogramIgnoredInAggregation { operator };
            self.run.note(&notice, self.span);
        }
        let mut picked: Vec<Option<Column>> = Vec::new();
        picked.resize(members.len(), None);
        let mut order: Vec<usize> = (0..members.len()).collect();
        for at in 0..self.steps {
            self.run.spend(4 * members.len())?;
            let param = self.params.get(at).copied().unwrap_or(0.0);
            let chosen = match self.op {
                AggregateOp::LimitRatio => by_ratio(&members, at, param),
                AggregateOp::Limitk => first(&members, at, param),
                _ => self.ranked(&members, at, param),
            };
            for &which in &chosen {
                let (Some(picked), Some(row)) = (picked.get_mut(which), members.get(which)) else {
                    continue;
                };
                if picked.is_none() {
                    let column = Column::absent(self.steps);
                    self.run.spend(self.steps)?;
                    self.run.meter.hold(column.amount())?;
                    *picked = Some(column);
                }
                if let Some(column) = picked {
                    column.set(at, row.column.get(at));
                }
            }
            // At a single step what is picked comes in its order.
            if self.steps == 1 {
                order = chosen;
            }
        }
        for which in order {
            let column = picked.get_mut(which).and_then(Option::take);
            if let (Some(row), Some(column)) = (members.get(which), column) {
                results.push(Row {
                    labels: row.labels.clone(),
                    drop_name: row.drop_name,
                    column,
                });
            }
        }
        Ok(())
    }

    /// The first `k` by value, in that order.
    fn ranked(&self, members: &[&Row], at: usize, k: f64) -> Vec<usize> {
        let values = members.iter().enumerate();
        let mut values: Vec<(usize, f64)> = values
            .filter_map(|(which, row)| Some((which, row.column.float(at)?)))
            .collect();
        let k = (k.max(0.0) as usize).min(values.len());
        let is_top = self.op == AggregateOp::Topk;
        let order = |a: &(usize, f64), b: &(usize, f64)| {
            let by_value = match (a.1.is_nan(), b.1.is_nan()) {
                (false, false) if is_top => b.1.partial_cmp(&a.1),
                (false, false) => a.1.partial_cmp(&b.1),
                (a, b) => Some(a.cmp(&b)),
            };
            by_value.unwrap_or(Ordering::Equal).then(a.0.cmp(&b.0))
        };
        if k == 0 {
            return Vec::new();
        }
        if k < values.len() {
            values.select_nth_unstable_by(k - 1, order);
            values.truncate(k);
        }
        values.sort_by(order);
        values.into_iter().map(|value| value.0).collect()
    }
}

/// The first `k`.
fn first(members: &[&Row], at: usize, k: f64) -> Vec<usize> {
    let there = members.iter().enumerate();
    let there = there.filter(|(_, row)| row.column.has(at));
    let k = k.max(0.0) as usize;
    there.take(k).map(|(which, _)| which).collect()
}

/// Those whose hash is below the ratio; of a negative one, those that its complement leaves.
fn by_ratio(members: &[&Row], at: usize, ratio: f64) -> Vec<usize> {
    let ratio = ratio.clamp(-1.0, 1.0);
    let is_in = |labels: &Labels| {
        let place = label_hash(labels) as f64 / u64::MAX as f64;
        match ratio >= 0.0 {
            true => place < ratio,
            false => place >= 1.0 + ratio,
        }
    };
    let there = members.iter().enumerate();
    there
        .filter(|(_, row)| row.column.has(at) && is_in(&row.labels))
        .map(|(which, _)| which)
        .collect()
}

/// The hash of labels that Prometheus samples by: xxh64 of names and values, each after its length.
fn label_hash(labels: &Labels) -> u64 {
    let mut bytes = Vec::new();
    let mut put = |text: &str| {
        let length = text.len();
        match length < 255 {
            true => bytes.push(length as u8),
            false => {
                bytes.push(255);
                bytes.extend_from_slice(&(length as u32).to_le_bytes()[..3]);
            }
        }
        bytes.extend_from_slice(text.as_bytes());
    };
    for (name, value) in labels.iter() {
        put(name);
        put(value);
    }
    xxh64(&bytes, 0)
}
