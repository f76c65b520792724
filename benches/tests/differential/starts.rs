//! Counters that were zero just before a window: 2.42 and 3.x differ in how far they go back.
//!
//! Input: a query. Output: whether a `rate` or `increase` of it has a window for which the two rules
//! give different results. A rate goes back from the first sample to the start of the window; when
//! that is further than 1.1 mean distances, by half a distance; of a counter no further than to where
//! it was zero. 2.42 takes that zero for the start before it looks how far that is (so that a zero
//! 0.5 to 1.1 distances back is gone back to), 3.x looks first.

use std::collections::BTreeSet;

use treering_benches::rival::asked::Asked;
use treering_promql::syntax::{At, Call, Expr, ExprKind, Shift};
use treering_promql::{Evaluator, ResultSeries, SampleValue, Value};

use crate::rules::with_times;
use crate::world::{MINUTE, SECOND};

/// More windows are not looked at.
const WINDOWS_MAX: usize = 20_000;

/// Whether some window is such.
pub(crate) fn is_near_zero(evaluator: &Evaluator<'_>, expr: &Expr, asked: Asked) -> bool {
    let mut looked = 0;
    any_at_times(
        &with_times(expr, asked),
        asked,
        &mut |node, times| match &node.kind {
            ExprKind::Call(call) if matches!(call.function.name, "rate" | "increase") => {
                of_call(evaluator, call, times, &mut looked)
            }
            _ => false,
        },
    )
}

/// Whether something is so of a node and the times at which it is asked: those of the query, below a
/// subquery its steps.
pub(crate) fn any_at_times(
    expr: &Expr,
    asked: Asked,
    is_so: &mut dyn FnMut(&Expr, &BTreeSet<i64>) -> bool,
) -> bool {
    below(expr, &asked.times().into_iter().collect(), is_so)
}

fn below(
    expr: &Expr,
    times: &BTreeSet<i64>,
    is_so: &mut dyn FnMut(&Expr, &BTreeSet<i64>) -> bool,
) -> bool {
    if is_so(expr, times) {
        return true;
    }
    if let ExprKind::Subquery(subquery) = &expr.kind {
        let range = subquery.range.literal_nanos().unwrap_or(0);
        let step = subquery.step.as_ref();
        let step = step.and_then(|step| step.literal_nanos()).unwrap_or(MINUTE);
        let mut steps = BTreeSet::new();
        for &time in times {
            let end = moved(&subquery.shift, time);
            let first = ((end - range).div_euclid(step) + 1) * step;
            steps.extend((first..=end).step_by(step.max(1) as usize));
        }
        return below(&subquery.expr, &steps, is_so);
    }
    let children = expr.children();
    children.into_iter().any(|child| below(child, times, is_so))
}

/// Where a selector or subquery looks that is asked at a time.
fn moved(shift: &Shift, time: i64) -> i64 {
    let at = match shift.at {
        Some(At::Time(at)) => at,
        _ => time,
    };
    let offset = shift.offset.as_ref();
    at - offset
        .and_then(|offset| offset.literal_nanos())
        .unwrap_or(0)
}

fn of_call(
    evaluator: &Evaluator<'_>,
    call: &Call,
    times: &BTreeSet<i64>,
    looked: &mut usize,
) -> bool {
    let Some(arg) = call.args.first() else {
        return false;
    };
    let (range, shift) = match &arg.unparen().kind {
        ExprKind::Matrix(matrix) => (&matrix.range, &matrix.selector.shift),
        ExprKind::Subquery(subquery) => (&subquery.range, &subquery.shift),
        _ => return false,
    };
    let range = range.literal_nanos().unwrap_or(0);
    times.iter().any(|&time| {
        *looked += 1;
        if *looked > WINDOWS_MAX {
            return false;
        }
        let start = moved(shift, time) - range;
        let Ok(answer) = evaluator.instant(arg, time) else {
            return false;
        };
        let Value::Matrix(series) = answer.value else {
            return false;
        };
        series.iter().any(|one| differs(one, start))
    })
}

/// Whether the two rules go back by different lengths.
fn differs(series: &ResultSeries, start: i64) -> bool {
    let samples: Vec<(i64, f64)> = series
        .samples
        .iter()
        .filter_map(|(time, value)| match value {
            SampleValue::Float(value) => Some((*time, *value)),
            SampleValue::Histogram(_) => None,
        })
        .collect();
    let (Some(&first), Some(&last)) = (samples.first(), samples.last()) else {
        return false;
    };
    let mut rise = last.1 - first.1;
    for pair in samples.windows(2) {
        if pair[1].1 < pair[0].1 {
            rise += pair[0].1;
        }
    }
    if rise.is_nan() || rise <= 0.0 || first.1 < 0.0 || samples.len() < 2 {
        return false;
    }
    let seconds = |nanos: i64| nanos as f64 / SECOND as f64;
    let sampled = seconds(last.0 - first.0);
    let between = sampled / (samples.len() - 1) as f64;
    let threshold = between * 1.1;
    let to_start = seconds(first.0 - start);
    let to_zero = sampled * (first.1 / rise);
    let half = between / 2.0;
    let old = match to_start.min(to_zero) {
        near if near < threshold => near,
        _ => half,
    };
    let new = match to_start < threshold {
        true => to_start,
        false => half,
    };
    (old - new.min(to_zero)).abs() > 1e-12 * sampled
}
