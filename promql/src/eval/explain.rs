//! Explain: what the evaluator would do with an expression, without doing it.
//!
//! Input: an expression and a grid. Output: a [`Plan`]. Invariant: it takes the same turns as the
//! evaluator: the same grids, the same ranges, the same questions to the source.

use treering::{Matcher, Selector};

use super::grid::Grid;
use super::invariant::is_invariant;
use super::node::is_worth_once;
use super::run::Run;
use crate::error::Result;
use crate::functions::{Summary, slides};
use crate::plan::{Plan, Reads};
use crate::syntax::{Aggregate, Call, Expr, ExprKind, Subquery, ValueType, VectorSelector};

impl Run<'_> {
    /// How an expression would be answered at all times of a grid.
    pub(super) fn explain(&self, expr: &Expr, grid: &Grid) -> Result<Plan> {
        let expr = expr.unparen();
        if grid.count() > 1 && is_worth_once(expr) && is_invariant(expr) {
            let mut plan = self.explain_node(expr, &Grid::instant(grid.start()))?;
            plan.how = match plan.how.is_empty() {
                true => "once for all steps".to_owned(),
                false => format!("once for all steps, {}", plan.how),
            };
            return Ok(plan);
        }
        self.explain_node(expr, grid)
    }

    fn explain_node(&self, expr: &Expr, grid: &Grid) -> Result<Plan> {
        match &expr.kind {
            ExprKind::Vector(selector) => self.explain_selector(expr, selector, grid),
            ExprKind::Matrix(matrix) => {
                let how = "samples of the windows of all steps, each read once";
                self.explain_matrix(expr, &matrix.selector.matchers, how, grid)
            }
            ExprKind::Subquery(subquery) => self.explain_subquery(expr, subquery, grid),
            ExprKind::Call(call) => self.explain_call(call, grid),
            ExprKind::Aggregate(aggregate) => Ok(Plan {
                what: outline(aggregate),
                how: format!("columns of {}", steps(grid)),
                reads: None,
                children: self.explain_all(expr.children(), grid)?,
            }),
            ExprKind::Binary(binary) => Ok(Plan {
                what: binary.op.to_string(),
                how: match binary.matching.is_some() {
                    true => "series matched once for all steps".to_owned(),
                    false => String::new(),
                },
                reads: None,
                children: self.explain_all(expr.children(), grid)?,
            }),
            ExprKind::Unary(unary) => Ok(Plan {
                what: unary.op.to_string(),
                how: String::new(),
                reads: None,
                children: self.explain_all(expr.children(), grid)?,
            }),
            _ => Ok(Plan {
                what: expr.to_string(),
                how: String::new(),
                reads: None,
                children: Vec::new(),
            }),
        }
    }

    fn explain_all(&self, exprs: Vec<&Expr>, grid: &Grid) -> Result<Vec<Plan>> {
        let plans = exprs.into_iter().map(|expr| self.explain(expr, grid));
        plans.collect()
    }

    fn explain_selector(
        &self,
        expr: &Expr,
        selector: &VectorSelector,
        grid: &Grid,
    ) -> Result<Plan> {
        let moved = self.moved(&selector.shift)?;
        let first = moved.time(grid.start()).saturating_sub(self.lookback());
        let last = moved.time(grid.end());
        let range = (first.saturating_add(1), last);
        // An empty range costs nothing, and shows whether there is an answer.
        let matchers = Selector::from_matchers(selector.matchers.clone());
        let knows_newest = grid.count() == 1 && self.source().latest(&matchers, 1, 0).is_some();
        Ok(Plan {
            what: expr.to_string(),
            how: match knows_newest {
                true => "newest samples, at most".to_owned(),
                false => format!("samples current at {}", steps(grid)),
            },
            reads: Some(self.reads(&selector.matchers, range)?),
            children: Vec::new(),
        })
    }

    fn explain_matrix(
        &self,
        expr: &Expr,
        matchers: &[Matcher],
        how: &str,
        grid: &Grid,
    ) -> Result<Plan> {
        let frame = self.frame(expr)?;
        let first = frame.given(grid.start()).0.saturating_add(1);
        let last = frame.given(grid.end()).1;
        Ok(Plan {
            what: expr.to_string(),
            how: how.to_owned(),
            reads: Some(self.reads(matchers, (first, last))?),
            children: Vec::new(),
        })
    }

    fn explain_subquery(&self, expr: &Expr, subquery: &Subquery, grid: &Grid) -> Result<Plan> {
        let frame = self.frame(expr)?;
        let inner = self.inner_grid(subquery, &frame, grid)?;
        let Some(inner) = inner else {
            return Ok(Plan {
                what: "subquery".to_owned(),
                how: "no step of its own lies in any window".to_owned(),
                reads: None,
                children: Vec::new(),
            });
        };
        Ok(Plan {
            what: "subquery".to_owned(),
            how: format!("{} of its own", steps(&inner)),
            reads: None,
            children: vec![self.explain(&subquery.expr, &inner)?],
        })
    }

    fn explain_call(&self, call: &Call, grid: &Grid) -> Result<Plan> {
        let name = call.function.name;
        let mut plan = Plan {
            what: name.to_owned(),
            how: String::new(),
            reads: None,
            children: Vec::new(),
        };
        for arg in &call.args {
            if arg.value_type() != ValueType::Matrix {
                plan.children.push(self.explain(arg, grid)?);
                continue;
            }
            let arg = arg.unparen();
            let frame = self.frame(arg)?;
            let summary = Summary::of(name, arg, &frame, grid);
            let is_summed = summary.is_some_and(|summary| summary.is_known_to(self.source()));
            let child = match (&arg.kind, is_summed) {
                (ExprKind::Matrix(matrix), true) => {
                    plan.how = "from summaries of the source".to_owned();
                    let how = "read only where summaries do not tell, at most";
                    self.explain_matrix(arg, &matrix.selector.matchers, how, grid)?
                }
                _ => {
                    plan.how = match slides(name, &frame, grid) {
                        true => "from one window to the next".to_owned(),
                        false => "each window by itself".to_owned(),
                    };
                    self.explain(arg, grid)?
                }
            };
            plan.children.push(child);
        }
        Ok(plan)
    }

    /// What a selector would read.
    fn reads(&self, matchers: &[Matcher], (first, last): (i64, i64)) -> Result<Reads> {
        let selector = Selector::from_matchers(matchers.to_vec());
        let mut reads = Reads {
            first,
            last,
            ..Reads::default()
        };
        for series in self.source().select(&selector, first, last)? {
            self.meter.check()?;
            let size = series?.size().unwrap_or_default();
            reads.series += 1;
            reads.chunks += size.chunks;
            reads.samples += size.samples;
            reads.bytes += size.bytes;
        }
        Ok(reads)
    }
}

fn steps(grid: &Grid) -> String {
    match grid.count() {
        1 => "1 step".to_owned(),
        count => format!("{count} steps"),
    }
}

/// An aggregation without what is aggregated.
fn outline(aggregate: &Aggregate) -> String {
    match (aggregate.without, aggregate.grouping.as_slice()) {
        (false, []) => aggregate.op.to_string(),
        (false, names) => format!("{} by ({})", aggregate.op, names.join(", ")),
        (true, names) => format!("{} without ({})", aggregate.op, names.join(", ")),
    }
}
