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
            Some(param) => self.scalar(param, grid)?,
            None => Vec::new(),
        };
        let rows = self.vector(&aggregate.expr, grid)?;
        if let Some(param) = &aggregate.param
            && self.is_nothing_asked(op, &params, param.span)?
        {
            return Ok(Vec::new());
        }
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

    /// Looks at the parameters of all steps, of which only the greatest and the least are told.
    /// True: whatever is there, no step gives anything.
    fn is_nothing_asked(&self, op: AggregateOp, params: &[f64], span: Span) -> Result<bool> {
        let has_nan = params.iter().any(|param| param.is_nan());
        let most = params.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = params.iter().copied().fold(f64::INFINITY, f64::min);
        match op {
            AggregateOp::Quantile => {
                let wrong = [
                    has_nan.then_some(f64::NAN),
                    (most > 1.0).then_some(most),
                    (least < 0.0).then_some(least),
                ];
                for rank in wrong.into_iter().flatten() {
                    self.note(&Notice::InvalidQuantile(rank), span);
                }
                Ok(false)
            }
            AggregateOp::LimitRatio => {
                if has_nan {
                    return Error::execution("Ratio value is NaN");
                }
                for given in [most, least] {
                    let used = given.clamp(-1.0, 1.0);
                    if used != given {
                        self.note(&Notice::InvalidRatio { given, used }, span);
                    }
                }
                Ok(most == 0.0 && least == 0.0)
            }
            _ if has_nan => Error::execution("Parameter value is NaN"),
            _ if most < 1.0 => Ok(true),
            _ if least <= i64::MIN as f64 => {
                let text = crate::histogram::go_float(least);
                Error::execution(format!("Scalar value {text} underflows int64"))
            }
            _ if most >= i64::MAX as f64 => {
                let text = crate::histogram::go_float(most);
                Error::execution(format!("Scalar value {text} overflows int64"))
            }
            _ => Ok(false),
        }
    }
}
