//! Aggregations: many series to one for each group, or some of them.
//!
//! Input: an aggregation and a grid. Output: rows. Invariant: labels are grouped once for each
//! series, not for each step; members of a group are taken in their order.

mod count_values;
mod fold;
mod group;
mod histograms;
mod pick;

use self::group::Group;
use super::column::Row;
use super::grid::Grid;
use super::run::Run;
use crate::annotation::Notice;
use crate::error::{Error, Result};
use crate::syntax::{Aggregate, AggregateOp, Span};

/// An aggregation under way.
#[derive(Debug, Clone, Copy)]
struct Task<'a> {
    run: &'a Run<'a>,
    op: AggregateOp,
    /// The parameter at each step, where there is one.
    params: &'a [f64],
    /// Where what is aggregated stands.
    span: Span,
    steps: usize,
}

impl Run<'_> {
    pub(super) fn aggregate(&self, aggregate: &Aggregate, grid: &Grid) -> Result<Vec<Row>> {
        let op = aggregate.op;
        if op == AggregateOp::CountValues {
            let label = count_values::label(aggregate)?;
            let rows = self.vector(&aggregate.expr, grid)?;
            return self.count_values(aggregate, &label, &rows, grid.count());
        }
        let params = match &aggregate.param {
            Some(param) => {
                let params = self.scalar(param, grid)?;
                self.check_param(op, &params, param.span)?;
                params
            }
            None => Vec::new(),
        };
        let rows = self.vector(&aggregate.expr, grid)?;
        let task = Task {
            run: self,
            op,
            params: &params,
            span: aggregate.expr.span,
            steps: grid.count(),
        };
        let groups = self.groups_of(&rows, aggregate)?;
        let mut results = Vec::new();
        match op {
            AggregateOp::Topk
            | AggregateOp::Bottomk
            | AggregateOp::Limitk
            | AggregateOp::LimitRatio => {
                for group in &groups {
                    task.pick(&rows, group, &mut results)?;
                }
            }
            _ => {
                for group in groups {
                    let column = task.fold(&rows, &group)?;
                    if !column.is_empty() {
                        let Group {
                            labels, drop_name, ..
                        } = group;
                        results.push(Row {
                            labels,
                            drop_name,
                            column,
                        });
                    }
                }
            }
        }
        Ok(results)
    }

    fn check_param(&self, op: AggregateOp, params: &[f64], span: Span) -> Result<()> {
        for &param in params {
            match op {
                AggregateOp::Quantile => {
                    if !(0.0..=1.0).contains(&param) {
                        self.note(&Notice::InvalidQuantile(param), span);
                    }
                }
                AggregateOp::LimitRatio => {
                    if param.is_nan() {
                        return Error::execution("Ratio value is NaN");
                    }
                    let used = param.clamp(-1.0, 1.0);
                    if used != param {
                        self.note(&Notice::InvalidRatio { given: param, used }, span);
                    }
                }
                _ => {
                    if param.is_nan() {
                        return Error::execution("Parameter value is NaN");
                    }
                    let text = crate::histogram::go_float(param);
                    if param >= i64::MAX as f64 {
                        return Error::execution(format!("Scalar value {text} overflows int64"));
                    }
                    if param <= i64::MIN as f64 {
                        return Error::execution(format!("Scalar value {text} underflows int64"));
                    }
                }
            }
        }
        Ok(())
    }
}
