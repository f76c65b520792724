//! Rounding: both compute with some sixteen digits, in other orders.
//!
//! Input: a tree. Output: variants of it in which each result that is not exact is multiplied by a
//! number that is 1 to twelve digits, some at each step by another one. Where the answer of one side moves by as much as the two
//! differ, the difference says nothing: the query takes the difference of equals, or rounds or
//! compares what should be equal. Samples are whole multiples of powers of two and so are their
//! sums and products, which are not moved: `sum(x) == 3` answers as it did.

use treering_benches::rival::answer::{Answer, Key, is_near};
use treering_promql::syntax::{Aggregate, AggregateOp, BinaryOp, Expr, ExprKind};

use crate::tree::{changed, nodes};

pub(crate) const VARIANTS: u64 = 6;

/// Functions of a window that lose what hangs on its largest number.
const OF_ALL: &[&str] = &[
    "avg_over_time",
    "deriv",
    "stddev_over_time",
    "stdvar_over_time",
];

/// Functions whose results are rounded.
const ROUNDED: &[&str] = &[
    "delta",
    "double_exponential_smoothing",
    "histogram_quantile",
    "increase",
    "irate",
    "predict_linear",
    "quantile_over_time",
    "rate",
];

/// Functions of one number that make much of a small change of it.
const STEEP: &[&str] = &[
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "deg", "exp", "ln", "log10",
    "log2", "rad", "sin", "sinh", "sqrt", "tan", "tanh",
];

/// A variant of a tree.
pub(crate) fn moved(expr: &Expr, variant: u64) -> Expr {
    let is_common = variant + 2 >= VARIANTS;
    let mut number = variant << 32;
    let mut factor = || {
        // In the last two variants all by the same, so that equals stay equal.
        number += u64::from(!is_common);
        let bits = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let share = ((bits >> 40) % 8) as f64 - 3.5;
        let most = share / (1_u64 << 43) as f64;
        match variant % 2 {
            0 => format!("{}", 1.0 + most),
            // Another one at each step, for differences between steps.
            _ => format!(
                "(1 + {most} * scalar(sin(vector(time() * {}))))",
                bits >> 50
            ),
        }
    };
    changed(expr, &mut |node| match &node.kind {
        ExprKind::Call(call) => {
            let name = call.function.name;
            match call.args.as_slice() {
                [.., window] if OF_ALL.contains(&name) => {
                    let least = format!("abs(min_over_time({window}))");
                    let most = format!("abs(max_over_time({window}))");
                    let more = format!("({least} + {most}) * ({} - 1)", factor());
                    Some(format!("({node} * {} + {more})", factor()))
                }
                [window, _] if name == "predict_linear" => {
                    let least = format!("abs(min_over_time({window}))");
                    let most = format!("abs(max_over_time({window}))");
                    let more = format!("({least} + {most}) * ({} - 1)", factor());
                    Some(format!("({node} * {} + {more})", factor()))
                }
                _ if ROUNDED.contains(&name) => Some(format!("({node} * {})", factor())),
                [arg] if STEEP.contains(&name) => {
                    let (inner, outer) = (factor(), factor());
                    Some(format!("({name}(({arg}) * {inner}) * {outer})"))
                }
                [arg, to] if name == "round" => {
                    let (inner, outer) = (factor(), factor());
                    Some(format!("(round(({arg}) * {inner}, {to}) * {outer})"))
                }
                _ => None,
            }
        }
        ExprKind::Aggregate(aggregate) => of_aggregate(node, aggregate, is_common, &mut factor),
        ExprKind::Binary(binary) => match binary.op {
            BinaryOp::Atan2 | BinaryOp::Div | BinaryOp::Mod => {
                Some(format!("(({node}) * {})", factor()))
            }
            // Where powers end in almost nothing they have few digits.
            BinaryOp::Pow => Some(format!("(({node}) * {} + 1e-307 * {variant})", factor())),
            _ => None,
        },
        _ => None,
    })
}

/// What an aggregation of several numbers loses hangs on the largest of them.
fn of_aggregate(
    node: &Expr,
    aggregate: &Aggregate,
    is_common: bool,
    factor: &mut dyn FnMut() -> String,
) -> Option<String> {
    use AggregateOp::{Avg, Quantile, Stddev, Stdvar, Sum};
    let is_rounded = match aggregate.op {
        Avg | Quantile | Stddev | Stdvar => true,
        // Of samples it is exact.
        Sum => !is_common && !is_exact(&aggregate.expr),
        _ => false,
    };
    let is_named = aggregate.grouping.iter().any(|label| label == "__name__");
    if !is_rounded || (is_named && !aggregate.without) {
        return None;
    }
    if is_common {
        return Some(format!("({node} * {})", factor()));
    }
    let clause = match (aggregate.without, aggregate.grouping.is_empty()) {
        (false, true) => String::new(),
        (is_without, _) => {
            let clause = if is_without { "without" } else { "by" };
            format!("{clause} ({})", aggregate.grouping.join(", "))
        }
    };
    let largest = format!("max {clause} (abs({}))", aggregate.expr);
    Some(format!(
        "({node} * {} + {largest} * ({} - 1))",
        factor(),
        factor()
    ))
}

/// Whether an expression gives nothing but samples, and sums and products of them.
fn is_exact(expr: &Expr) -> bool {
    nodes(expr).into_iter().all(|node| match &node.kind {
        ExprKind::Call(call) => {
            let name = call.function.name;
            !ROUNDED.contains(&name) && !STEEP.contains(&name) && !OF_ALL.contains(&name)
        }
        ExprKind::Aggregate(aggregate) => {
            use AggregateOp::{Avg, Quantile, Stddev, Stdvar};
            !matches!(aggregate.op, Avg | Quantile | Stddev | Stdvar)
        }
        ExprKind::Binary(binary) => {
            use BinaryOp::{Atan2, Div, Mod, Pow};
            !matches!(binary.op, Atan2 | Div | Mod | Pow)
        }
        _ => true,
    })
}

/// Whether the point at some milliseconds differs no more between the sides than on one of them
/// between its variants.
pub(crate) fn explains(ours: &[Answer], theirs: &[Answer], key: &Key, millis: i64) -> bool {
    let values = |answers: &[Answer]| -> Vec<Option<f64>> {
        let value = |answer: &Answer| match answer {
            Answer::Points { points, .. } => points.get(key)?.get(&millis).copied(),
            _ => None,
        };
        answers.iter().map(value).collect()
    };
    let (ours, theirs) = (values(ours), values(theirs));
    let is_met = |one: &Option<f64>, other: &Option<f64>| match (one, other) {
        (Some(a), Some(b)) => is_near(*a, *b),
        (a, b) => a.is_none() && b.is_none(),
    };
    // The answer of one side is among those of the other.
    let first = |values: &[Option<f64>]| values.first().copied().flatten();
    if theirs.iter().any(|one| is_met(one, &first(&ours)))
        || ours.iter().any(|one| is_met(one, &first(&theirs)))
    {
        return true;
    }
    let (Some(a), Some(b)) = (spread(&ours), spread(&theirs)) else {
        // Whether it is there, and a number, hangs on the last digits.
        return changes_kind(&ours) || changes_kind(&theirs);
    };
    let reach = 16.0 * (a.1 - a.0).max(b.1 - b.0);
    a.0 - reach <= b.1 && b.0 - reach <= a.1
}

/// Whether the variants are of another kind than the answer: absent, NaN, infinite, a number.
fn changes_kind(values: &[Option<f64>]) -> bool {
    let kind = |value: &Option<f64>| value.map(|value| (value.is_nan(), value.is_finite()));
    let mut kinds = values.iter().map(kind);
    let first = kinds.next();
    kinds.any(|kind| Some(kind) != first)
}

/// The least and the largest of the values that are there and finite, as the first must be.
fn spread(values: &[Option<f64>]) -> Option<(f64, f64)> {
    let first = values.first().copied()??;
    let finite = values.iter().flatten().filter(|value| value.is_finite());
    first.is_finite().then(|| {
        finite.fold((first, first), |(least, most), &value| {
            (least.min(value), most.max(value))
        })
    })
}
