//! Invariant: expressions that give the same at every step.
//!
//! Input: an expression. Output: whether one evaluation stands for all steps. Invariant: an
//! expression is one only if all selectors in it are pinned by `@`, and nothing asks for the time.

use crate::syntax::{Expr, ExprKind};

/// Whether an expression gives the same at every step.
pub(super) fn is_invariant(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => true,
        ExprKind::Vector(selector) => selector.shift.at.is_some(),
        ExprKind::Matrix(matrix) => matrix.selector.shift.at.is_some(),
        // The steps of a pinned subquery do not move, whatever is in it.
        ExprKind::Subquery(subquery) => subquery.shift.at.is_some(),
        ExprKind::Call(call) => {
            !asks_for_time(call.function.name, call.args.len())
                && call.args.iter().all(is_invariant)
        }
        _ => expr.children().into_iter().all(is_invariant),
    }
}

/// Whether a function looks at the time of the step.
fn asks_for_time(function: &str, arguments: usize) -> bool {
    match function {
        "time" | "timestamp" | "predict_linear" | "sort" | "sort_desc" | "sort_by_label"
        | "sort_by_label_desc" => true,
        "day_of_month" | "day_of_week" | "day_of_year" | "days_in_month" | "hour" | "minute"
        | "month" | "year" => arguments == 0,
        _ => false,
    }
}
