//! Equals at the end of `topk` and `bottomk`: whichever of them is taken is right.
//!
//! Input: a query. Output: the milliseconds at which some `topk` or `bottomk` of it, not below a
//! subquery, has to leave out a value that is equal to one that it takes.

use std::collections::{BTreeMap, BTreeSet};

use treering_benches::rival::answer::{Answer, Key, is_near, ours};
use treering_benches::rival::asked::Asked;
use treering_promql::Evaluator;
use treering_promql::syntax::{Aggregate, AggregateOp, Expr, ExprKind};

use crate::rules::with_times;

/// The times.
pub(crate) fn times(evaluator: &Evaluator<'_>, expr: &Expr, asked: Asked) -> BTreeSet<i64> {
    let expr = with_times(expr, asked);
    let mut times = BTreeSet::new();
    below(evaluator, &expr, asked, &mut times);
    times
}

fn below(evaluator: &Evaluator<'_>, expr: &Expr, asked: Asked, times: &mut BTreeSet<i64>) {
    match &expr.kind {
        ExprKind::Subquery(_) => return,
        ExprKind::Aggregate(aggregate)
            if matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk) =>
        {
            of_one(evaluator, aggregate, asked, times);
        }
        _ => {}
    }
    for child in expr.children() {
        below(evaluator, child, asked, times);
    }
}

fn of_one(
    evaluator: &Evaluator<'_>,
    aggregate: &Aggregate,
    asked: Asked,
    times: &mut BTreeSet<i64>,
) {
    let Some(param) = &aggregate.param else {
        return;
    };
    let (Answer::Points { points, .. }, Answer::Points { points: counts, .. }) = (
        ours(evaluator, Ok(&aggregate.expr), asked),
        ours(evaluator, Ok(param), asked),
    ) else {
        return;
    };
    let count_at = |millis: i64| counts.get(&Key::new())?.get(&millis).copied();
    let mut groups: BTreeMap<(Key, i64), Vec<f64>> = BTreeMap::new();
    for (key, points) in points {
        let kept = |name: &str| {
            let is_named = aggregate.grouping.iter().any(|label| label == name);
            match aggregate.without {
                true => !is_named && name != "__name__",
                false => is_named,
            }
        };
        let group: Key = key.into_iter().filter(|(name, _)| kept(name)).collect();
        for (millis, value) in points {
            groups
                .entry((group.clone(), millis))
                .or_default()
                .push(value);
        }
    }
    for ((_, millis), mut values) in groups {
        let Some(count) = count_at(millis).filter(|count| *count >= 1.0) else {
            continue;
        };
        // NaN is the last to be taken by either.
        let is_top = aggregate.op == AggregateOp::Topk;
        values.sort_by(|a, b| match is_top {
            true => a.is_nan().cmp(&b.is_nan()).then(b.total_cmp(a)),
            false => a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b)),
        });
        let count = count as usize;
        if let (Some(taken), Some(left)) = (values.get(count - 1), values.get(count))
            && is_near(*taken, *left)
        {
            times.insert(millis);
        }
    }
}
