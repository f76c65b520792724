//! The same question at a fixed time: `@ t` on every selector and subquery that has none.
//!
//! Input: a tree and a time. Output: a tree whose answer does not depend on when it is asked.
//! Invariant: inside a subquery with `@`, nothing is changed.

use treering_promql::syntax::{At, DurationExpr, DurationKind, Expr, ExprKind, Shift};

/// Functions whose result depends on the time of the evaluation, or on that of samples.
const UNSAFE: &[&str] = &[
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "end",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
    "year",
];

/// `expr` at `time`, in nanoseconds; `None` where that is not the same question.
pub(crate) fn at(expr: &Expr, time: i64) -> Option<Expr> {
    let mut fixed = expr.clone();
    is_safe(expr).then(|| {
        fix(&mut fixed, time);
        fixed
    })
}

fn is_safe(expr: &Expr) -> bool {
    let is_unsafe = match &expr.kind {
        ExprKind::Call(call) => UNSAFE.contains(&call.function.name),
        _ => false,
    };
    !is_unsafe && expr.children().into_iter().all(is_safe)
}

fn fix(expr: &mut Expr, time: i64) {
    let fix_shift = |shift: &mut Shift| {
        if !matches!(shift.at, Some(At::Time(_))) {
            shift.at = Some(At::Time(time));
        }
    };
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Vector(selector) => fix_shift(&mut selector.shift),
        ExprKind::Matrix(matrix) => fix_shift(&mut matrix.selector.shift),
        ExprKind::Subquery(subquery) => fix_shift(&mut subquery.shift),
        ExprKind::Unary(unary) => fix(&mut unary.expr, time),
        ExprKind::Paren(inner) => fix(inner, time),
        ExprKind::Binary(binary) => {
            fix(&mut binary.lhs, time);
            fix(&mut binary.rhs, time);
        }
        ExprKind::Aggregate(aggregate) => {
            fix(&mut aggregate.expr, time);
            if let Some(param) = &mut aggregate.param {
                fix(param, time);
            }
        }
        ExprKind::Call(call) => call.args.iter_mut().for_each(|arg| fix(arg, time)),
    }
}

/// Whether the answer depends on the first, last or number of steps.
pub(crate) fn knows_its_steps(expr: &Expr) -> bool {
    let shift_knows = |shift: &Shift| {
        matches!(shift.at, Some(At::Start | At::End))
            || shift.offset.as_ref().is_some_and(length_knows)
    };
    let knows = match &expr.kind {
        ExprKind::Vector(selector) => shift_knows(&selector.shift),
        ExprKind::Matrix(matrix) => {
            shift_knows(&matrix.selector.shift) || length_knows(&matrix.range)
        }
        ExprKind::Subquery(subquery) => {
            shift_knows(&subquery.shift)
                || length_knows(&subquery.range)
                || subquery.step.as_ref().is_some_and(length_knows)
        }
        ExprKind::Call(call) => {
            matches!(call.function.name, "start" | "end" | "step" | "range")
        }
        _ => false,
    };
    knows || expr.children().into_iter().any(knows_its_steps)
}

fn length_knows(length: &DurationExpr) -> bool {
    match &length.kind {
        DurationKind::Literal { .. } => false,
        DurationKind::Step | DurationKind::Range => true,
        DurationKind::Negate(inner) | DurationKind::Paren(inner) => length_knows(inner),
        DurationKind::Binary { lhs, rhs, .. }
        | DurationKind::MinOf(lhs, rhs)
        | DurationKind::MaxOf(lhs, rhs) => length_knows(lhs) || length_knows(rhs),
    }
}
