//! What may differ between 2.42 and ours, and nothing else may. docs/promql-differences.md explains
//! each rule to people.
//!
//! Input: a query. Output: a verdict. A rule either says the query in words that mean in 2.42 what
//! the query means in 3.x, and then the answers must be the same; or it shows, for each point that
//! differs, why neither answer is wrong.

use std::collections::BTreeSet;

use treering_benches::Result;
use treering_benches::rival::answer::{self, Answer, Difference, Points, difference, plain};
use treering_benches::rival::asked::Asked;
use treering_promql::syntax::{
    AggregateOp, At, BinaryOp, Cardinality, DurationExpr, DurationKind, Expr, ExprKind, Extent,
    ValueType,
};
use treering_promql::{Evaluator, parse};

use crate::grammar::Query;
use crate::rival::Connection;
use crate::rounding;
use crate::starts;
use crate::ties;
use crate::tree::{changed, children_mut, features, nodes, tree};
use crate::world::MILLISECOND;

/// Why two answers differ, as the log counts it.
pub(crate) type Rule = &'static str;

/// What came of a query.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The same; whether it was an answer and not an error, and whether it held anything.
    Same { is_answer: bool, is_empty: bool },
    /// Not the same, by these rules.
    Explained(Vec<Rule>),
    /// Not the same, and nobody knows why.
    Unexplained(Box<Wrong>),
}

/// Two answers that should be the same.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) ours: Answer,
    pub(crate) theirs: Answer,
    pub(crate) difference: Difference,
}

/// Asks both.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    pub(crate) evaluator: Evaluator<'a>,
    pub(crate) connection: Connection,
    pub(crate) on_grid: bool,
}

impl Judge<'_> {
    pub(crate) fn judge(&mut self, query: &Query) -> Result<Verdict> {
        let parsed = parse(&query.text, &features());
        let ours = answer::ours(&self.evaluator, parsed.as_ref(), query.asked);
        let theirs = match &parsed {
            Ok(expr) if self.on_grid && !query.is_mangled => self.ask(expr, query.asked)?,
            _ => self.connection.ask(&query.text, query.asked)?,
        };
        let refused = |answer: &Answer| matches!(answer, Answer::Refused(_));
        if query.is_mangled && refused(&ours) == refused(&theirs) {
            // Times of a mangled text may stand on edges: only whether it is a query counts.
            return Ok(Verdict::Same {
                is_answer: false,
                is_empty: true,
            });
        }
        let is_sorted = parsed.as_ref().is_ok_and(is_sorted);
        let Some(difference) = difference(&ours, &theirs, is_sorted) else {
            return Ok(same(&ours));
        };
        let wrong = Wrong {
            ours,
            theirs,
            difference,
        };
        match parsed {
            Err(_) => Ok(Verdict::Unexplained(Box::new(wrong))),
            Ok(expr) => self.explained(&expr, query, is_sorted, wrong),
        }
    }

    /// Theirs, of a tree.
    fn ask(&mut self, expr: &Expr, asked: Asked) -> Result<Answer> {
        let text = match self.on_grid {
            true => left_open(expr).to_string(),
            false => expr.to_string(),
        };
        self.connection.ask(&text, asked)
    }

    fn explained(
        &mut self,
        expr: &Expr,
        query: &Query,
        is_sorted: bool,
        mut wrong: Wrong,
    ) -> Result<Verdict> {
        let (asked, text) = (query.asked, query.text.as_str());
        let mut rules = Vec::new();
        if matches!(wrong.theirs, Answer::Refused(_)) && is_newer(expr, text) {
            return Ok(Verdict::Explained(vec!["newer words"]));
        }
        let mut reworded = expr.clone();
        let mut by_steps = false;
        for (rule, applies, reword) in REWORDINGS {
            if !nodes(&reworded).into_iter().any(applies) {
                continue;
            }
            let next = changed(&reworded, &mut |node| match applies(node) {
                true => Some(reword(node)),
                false => None,
            });
            let theirs = self.ask(&next, asked)?;
            if theirs == wrong.theirs {
                continue;
            }
            rules.push(rule);
            reworded = next;
            match difference(&wrong.ours, &theirs, is_sorted) {
                None => return Ok(Verdict::Explained(rules)),
                Some(left) => (wrong.difference, wrong.theirs) = (left, theirs),
            }
        }
        let by_itself = match asked {
            Asked::Instant(_) => None,
            Asked::Range { .. } if matches!(wrong.theirs, Answer::Failed(_)) => {
                Some("error that no step has")
            }
            Asked::Range { .. } if nodes(expr).into_iter().any(is_fixed_window) => {
                Some("window with @")
            }
            Asked::Range { .. } => None,
        };
        if let Some(rule) = by_itself {
            let theirs = self.ask_by_steps(&reworded, asked)?;
            if theirs != wrong.theirs {
                by_steps = true;
                rules.push(rule);
                match difference(&wrong.ours, &theirs, is_sorted) {
                    None => return Ok(Verdict::Explained(rules)),
                    Some(left) => (wrong.difference, wrong.theirs) = (left, theirs),
                }
            }
        }
        if let (Answer::Failed(_), Answer::Failed(theirs)) = (&wrong.ours, &wrong.theirs)
            && self.fails_elsewhere(expr, asked, theirs)
        {
            rules.push("one of several errors");
            return Ok(Verdict::Explained(rules));
        }
        if let Difference::Points(points) = &mut wrong.difference {
            if starts::is_near_zero(&self.evaluator, expr, asked) {
                rules.push("counters near zero");
                return Ok(Verdict::Explained(rules));
            }
            let before = points.len();
            points.retain(|point| !is_overflow(expr, point.2, point.3));
            if points.len() < before {
                rules.push("overflow of a compensated sum");
            }
            let before = points.len();
            let tied = ties::times(&self.evaluator, expr, asked);
            points.retain(|point| !tied.contains(&point.1));
            if points.len() < before {
                rules.push("equals in topk");
            }
            if points.is_empty() {
                return Ok(Verdict::Explained(rules));
            }
        }
        if let Difference::Points(points) = &wrong.difference {
            let mut ours = vec![wrong.ours.clone()];
            let mut theirs = vec![wrong.theirs.clone()];
            for variant in 0..rounding::VARIANTS {
                let moved = rounding::moved(expr, variant);
                ours.push(answer::ours(&self.evaluator, Ok(&moved), asked));
                let moved = rounding::moved(&reworded, variant);
                theirs.push(match by_steps {
                    true => self.ask_by_steps(&moved, asked)?,
                    false => self.ask(&moved, asked)?,
                });
            }
            if points
                .iter()
                .all(|point| rounding::explains(&ours, &theirs, &point.0, point.1))
            {
                rules.push("rounding");
                return Ok(Verdict::Explained(rules));
            }
        }
        Ok(Verdict::Unexplained(Box::new(wrong)))
    }

    /// Theirs, each step by itself.
    fn ask_by_steps(&mut self, expr: &Expr, asked: Asked) -> Result<Answer> {
        let expr = with_times(expr, asked);
        let mut all = Points::new();
        for time in asked.times() {
            match self.ask(&expr, Asked::Instant(time))? {
                Answer::Points { points, .. } => {
                    for (key, points) in points {
                        all.entry(key).or_default().extend(points);
                    }
                }
                failed => return Ok(failed),
            }
        }
        Ok(Answer::Points {
            kind: "matrix".to_owned(),
            points: all,
            order: Vec::new(),
        })
    }

    /// Whether a part of the query by itself fails as theirs did: which error comes first hangs on
    /// the order of evaluation.
    fn fails_elsewhere(&self, expr: &Expr, asked: Asked, theirs: &str) -> bool {
        if nodes(expr).into_iter().any(is_atan2) && theirs.starts_with(SAME_LABELS) {
            // The name that the rule drops is gone one operator later than with us.
            return true;
        }
        let mut looked = 0;
        let mut is_claimed = |node: &Expr, times: &BTreeSet<i64>| {
            let text = crowded(node, theirs);
            let query = text.map(|text| tree(&text));
            query.is_some_and(|query| {
                times.iter().any(|&time| {
                    looked += 1;
                    let found = answer::ours(&self.evaluator, Ok(&query), Asked::Instant(time));
                    looked < TIMES_MAX
                        && matches!(found, Answer::Points { points, .. } if !points.is_empty())
                })
            })
        };
        if starts::any_at_times(&with_times(expr, asked), asked, &mut is_claimed) {
            return true;
        }
        nodes(expr).into_iter().skip(1).any(|node| {
            let found = answer::ours(&self.evaluator, Ok(node), asked);
            matches!(found, Answer::Failed(text) if plain(&text) == plain(theirs))
        })
    }
}

fn same(ours: &Answer) -> Verdict {
    let (is_answer, is_empty) = match ours {
        Answer::Points { points, .. } => (true, points.is_empty()),
        Answer::Text(_) => (true, false),
        Answer::Refused(_) | Answer::Failed(_) => (false, true),
    };
    Verdict::Same {
        is_answer,
        is_empty,
    }
}

/// Whether the query asks for an order.
fn is_sorted(expr: &Expr) -> bool {
    match &expr.unparen().kind {
        ExprKind::Call(call) => call.function.name.starts_with("sort"),
        _ => false,
    }
}

/// Windows one millisecond shorter: all times are whole milliseconds, so that a window that holds
/// both its ends is then one that leaves out the first.
fn left_open(expr: &Expr) -> Expr {
    let mut expr = expr.clone();
    for child in children_mut(&mut expr) {
        *child = left_open(child);
    }
    let shorter = |range: &mut DurationExpr| {
        let nanos = range.literal_nanos().unwrap_or(0);
        *range = DurationExpr::from_nanos(nanos - MILLISECOND);
    };
    match &mut expr.kind {
        ExprKind::Matrix(matrix) => shorter(&mut matrix.range),
        ExprKind::Subquery(subquery) => shorter(&mut subquery.range),
        _ => {}
    }
    expr
}

const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

/// An error is not looked for at more times than these.
const TIMES_MAX: usize = 5000;

type Applies = fn(&Expr) -> bool;
type Reword = fn(&Expr) -> String;

/// Rules that say the query in other words: name, which nodes, what they become.
const REWORDINGS: [(Rule, Applies, Reword); 4] = [
    ("zero of a sum", is_sum, with_zero),
    ("name under atan2", is_atan2, without_name),
    ("several on the one side", is_matched, without_unmatched),
    ("deviation of what is not finite", is_deviation, with_nan),
];

fn is_matched(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Binary(binary) if binary.matching.is_some() && !binary.op.is_set())
}

/// In 2.42 two series of one group on the "one" side are an error, in 3.x only where there is
/// somebody on the other side to meet them: the side without those that meet nobody.
fn without_unmatched(expr: &Expr) -> String {
    let ExprKind::Binary(binary) = &expr.kind else {
        return expr.to_string();
    };
    let Some(matching) = &binary.matching else {
        return expr.to_string();
    };
    let labels = matching.labels.join(", ");
    let on = match (matching.on, matching.labels.is_empty()) {
        (true, _) => format!("on ({labels})"),
        (false, true) => String::new(),
        (false, false) => format!("ignoring ({labels})"),
    };
    let (left, right) = (&binary.lhs, &binary.rhs);
    let include = matching.include.join(", ");
    let (left, right, group) = match matching.cardinality {
        Cardinality::OneToMany => (
            format!("({left} and {on} {right})"),
            right.to_string(),
            format!("group_right ({include})"),
        ),
        Cardinality::ManyToOne => (
            left.to_string(),
            format!("({right} and {on} {left})"),
            format!("group_left ({include})"),
        ),
        Cardinality::OneToOne | Cardinality::ManyToMany => (
            left.to_string(),
            format!("({right} and {on} {left})"),
            String::new(),
        ),
    };
    // A group clause needs `on` or `ignoring` before it.
    let on = match (on.is_empty(), group.is_empty()) {
        (true, false) => "ignoring ()".to_owned(),
        _ => on,
    };
    let is_bool = if binary.return_bool { " bool" } else { "" };
    format!("{left} {}{is_bool} {on} {group} {right}", binary.op)
}

/// A query that answers something where an operator has the fault that an error tells of: several
/// series of one group on the side that may have one, or several on both.
fn crowded(expr: &Expr, error: &str) -> Option<String> {
    let ExprKind::Binary(binary) = &expr.kind else {
        return None;
    };
    let matching = binary.matching.as_ref()?;
    let (mut one, mut many) = (&binary.rhs, &binary.lhs);
    if matching.cardinality == Cardinality::OneToMany {
        (one, many) = (many, one);
    }
    let (several, other) = match error {
        _ if error.starts_with("found duplicate series") => (one, many),
        _ if error.starts_with("multiple matches for labels: many-to-one") => (many, one),
        _ => return None,
    };
    let labels = matching.labels.join(", ");
    let (by, on) = match matching.on {
        true => ("by", "on"),
        false => ("without", "ignoring"),
    };
    Some(format!(
        "(count {by} ({labels}) ({several}) > 1) and {on} ({labels}) {other}"
    ))
}

fn is_atan2(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Binary(binary) if binary.op == BinaryOp::Atan2)
        && expr.value_type() == ValueType::Vector
}

/// 2.42 leaves the name of the metric on what `atan2` gives, 3.x drops it as from all arithmetic.
fn without_name(expr: &Expr) -> String {
    format!("(({expr}) * 1)")
}

fn is_sum(expr: &Expr) -> bool {
    let ExprKind::Aggregate(aggregate) = &expr.kind else {
        return false;
    };
    let is_named = aggregate.grouping.iter().any(|label| label == "__name__");
    matches!(aggregate.op, AggregateOp::Sum | AggregateOp::Avg) && (aggregate.without || !is_named)
}

/// A sum of nothing but -0 is -0 in 2.42; in 3.x it is compensated, which makes it 0.
fn with_zero(expr: &Expr) -> String {
    format!("({expr} + 0)")
}

fn is_deviation(expr: &Expr) -> bool {
    let ExprKind::Aggregate(aggregate) = &expr.kind else {
        return false;
    };
    let is_named = aggregate.grouping.iter().any(|label| label == "__name__");
    matches!(aggregate.op, AggregateOp::Stddev | AggregateOp::Stdvar)
        && (aggregate.without || !is_named)
}

/// In 2.42 the deviation of a single infinity or NaN is 0, in 3.x it is NaN: nothing times the sum
/// is NaN just then.
fn with_nan(expr: &Expr) -> String {
    let ExprKind::Aggregate(aggregate) = &expr.kind else {
        return expr.to_string();
    };
    let mut sum = aggregate.clone();
    sum.op = AggregateOp::Sum;
    let mut absolute = expr.clone();
    absolute.kind = ExprKind::Aggregate(sum);
    format!("({expr} + 0 * {absolute})")
}

/// 2.42 looks through a window with `@` again at each step of a range, as far from it as it was from
/// the first, where the function has another argument that may change; and so it does with `@` in the
/// parameter of an aggregation.
fn is_fixed_window(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Call(call) => {
            matches!(call.function.name, "predict_linear" | "quantile_over_time")
                && call.args.iter().any(|arg| has_at(arg.unparen()))
        }
        ExprKind::Aggregate(aggregate) => {
            let param = aggregate.param.as_deref();
            param.is_some_and(|param| nodes(param).into_iter().any(has_at))
        }
        _ => false,
    }
}

fn has_at(node: &Expr) -> bool {
    match &node.kind {
        ExprKind::Vector(selector) => selector.shift.at.is_some(),
        ExprKind::Matrix(matrix) => matrix.selector.shift.at.is_some(),
        ExprKind::Subquery(subquery) => subquery.shift.at.is_some(),
        _ => false,
    }
}

/// A sum that is compensated (Kahan) and grows beyond all numbers is NaN in 2.42, infinite in 3.x.
/// Samples are too small for it; powers and exponentials in a subquery are not.
fn is_overflow(expr: &Expr, ours: Option<f64>, theirs: Option<f64>) -> bool {
    let is_summed = |node: &Expr| match &node.kind {
        ExprKind::Call(call) => {
            let of_subquery = |arg: &Expr| matches!(arg.unparen().kind, ExprKind::Subquery(_));
            SUMMED.contains(&call.function.name) && call.args.iter().any(of_subquery)
        }
        _ => false,
    };
    ours.is_some_and(f64::is_infinite)
        && theirs.is_some_and(f64::is_nan)
        && nodes(expr).into_iter().any(is_summed)
}

/// Functions that sum with compensation.
const SUMMED: &[&str] = &[
    "avg_over_time",
    "deriv",
    "predict_linear",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
];

/// Whether a tree says something that 2.42 has no words for.
fn is_newer(expr: &Expr, text: &str) -> bool {
    if has_parted_number(text) || has_no_offset(text) {
        return true;
    }
    // A length without a unit, or computed.
    let is_old_length = |length: &DurationExpr| {
        let written = length.span.of(text);
        matches!(length.kind, DurationKind::Literal { .. })
            && !written.starts_with('+')
            && written.ends_with(|last: char| last.is_ascii_alphabetic())
    };
    let is_old_offset = |length: &Option<DurationExpr>| length.as_ref().is_none_or(is_old_length);
    let is_old_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let is_old_selector = |selector: &treering_promql::syntax::VectorSelector| {
        selector.extent == Extent::Plain
            && is_old_offset(&selector.shift.offset)
            && selector.matchers.iter().all(|m| is_old_name(m.name()))
    };
    let is_old = |node: &Expr| match &node.kind {
        ExprKind::Number(number) => !number.is_duration,
        ExprKind::Call(call) => {
            let name = call.function.name;
            !call.function.experimental || name == "double_exponential_smoothing"
        }
        ExprKind::Vector(selector) => is_old_selector(selector),
        ExprKind::Matrix(matrix) => {
            is_old_selector(&matrix.selector) && is_old_length(&matrix.range)
        }
        ExprKind::Subquery(subquery) => {
            is_old_length(&subquery.range)
                && is_old_offset(&subquery.step)
                && is_old_offset(&subquery.shift.offset)
        }
        ExprKind::Binary(binary) => {
            let matching = binary.matching.iter();
            let mut names = matching.flat_map(|one| one.labels.iter().chain(&one.include));
            !matches!(binary.op, BinaryOp::TrimLower | BinaryOp::TrimUpper)
                && names.all(|name| is_old_name(name))
        }
        ExprKind::Aggregate(aggregate) => aggregate.grouping.iter().all(|name| is_old_name(name)),
        _ => true,
    };
    !nodes(expr).into_iter().all(is_old)
}

/// Whether a number has `_` between its digits.
fn has_parted_number(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':');
    let mut words = text.split(|c| !is_part(c));
    words.any(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('_'))
}

/// Whether an offset is zero.
fn has_no_offset(text: &str) -> bool {
    text.split("offset").skip(1).any(|after| {
        let after = after.trim_start().trim_start_matches('-');
        let digits = after.trim_start_matches('0');
        digits.len() < after.len() && digits.starts_with(|c: char| c.is_ascii_alphabetic())
    })
}

/// A tree whose `@ start()` and `@ end()` are times.
pub(crate) fn with_times(expr: &Expr, asked: Asked) -> Expr {
    let mut expr = expr.clone();
    for child in children_mut(&mut expr) {
        *child = with_times(child, asked);
    }
    let (start, end) = match asked {
        Asked::Instant(time) => (time, time),
        Asked::Range { start, end, .. } => (start, end),
    };
    let shift = match &mut expr.kind {
        ExprKind::Vector(selector) => &mut selector.shift,
        ExprKind::Matrix(matrix) => &mut matrix.selector.shift,
        ExprKind::Subquery(subquery) => &mut subquery.shift,
        _ => return expr,
    };
    match shift.at {
        Some(At::Start) => shift.at = Some(At::Time(start)),
        Some(At::End) => shift.at = Some(At::Time(end)),
        Some(At::Time(_)) | None => {}
    }
    expr
}
