//! Type check: what the grammar allows and the language does not.
//!
//! Input: a tree as it was read. Output: its type, or the first error in Prometheus' words and
//! order. Invariant: `matching` of a binary expression is left only between two instant vectors.

use super::ast::{Aggregate, Binary, Call, Cardinality, Expr, ExprKind, ValueType, VectorSelector};
use super::error::{Parsed, fault};
use super::literal::quote;
use super::operator::AggregateOp;
use super::selectors::METRIC_NAME;
use super::signatures::Variadic;
use super::span::Span;

/// Checks `expr` and all below it; gives its type.
pub(crate) fn check(expr: &mut Expr) -> Parsed<ValueType> {
    let span = expr.span;
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Vector(selector) => check_selector(selector, span)?,
        ExprKind::Matrix(matrix) => check_selector(&matrix.selector, matrix.selector_span)?,
        ExprKind::Subquery(subquery) => {
            let found = check(&mut subquery.expr)?;
            if found != ValueType::Vector {
                let found = found.result_name();
                let message =
                    format!("subquery is only allowed on instant vector, got {found} instead");
                return fault(span, message);
            }
        }
        ExprKind::Unary(unary) => {
            let found = check(&mut unary.expr)?;
            if !is_scalar_or_vector(found) {
                let message = format!(
                    "unary expression only allowed on expressions of type scalar or instant \
                     vector, got \"{found}\""
                );
                return fault(span, message);
            }
        }
        ExprKind::Paren(inner) => {
            check(inner)?;
        }
        ExprKind::Binary(binary) => check_binary(binary, span)?,
        ExprKind::Aggregate(aggregate) => check_aggregate(aggregate)?,
        ExprKind::Call(call) => check_call(call, span)?,
    }
    Ok(expr.value_type())
}

fn is_scalar_or_vector(found: ValueType) -> bool {
    matches!(found, ValueType::Scalar | ValueType::Vector)
}

fn expect(expr: &mut Expr, wanted: ValueType, place: &str) -> Parsed<()> {
    let found = check(expr)?;
    match found == wanted {
        true => Ok(()),
        false => fault(
            expr.span,
            format!("expected type {wanted} in {place}, got {found}"),
        ),
    }
}

fn check_selector(selector: &VectorSelector, span: Span) -> Parsed<()> {
    if let Some(name) = &selector.name {
        // The last matcher is the one that the name made.
        let others = selector
            .matchers
            .split_last()
            .map_or(&[][..], |(_, rest)| rest);
        let second = others.iter().find(|matcher| matcher.name() == METRIC_NAME);
        return match second {
            Some(second) => fault(
                span,
                format!(
                    "metric name must not be set twice: {} or {}",
                    quote(name),
                    quote(second.value())
                ),
            ),
            None => Ok(()),
        };
    }
    match selector.matchers.iter().all(|m| m.matches_missing()) {
        true => fault(
            span,
            "vector selector must contain at least one non-empty matcher",
        ),
        false => Ok(()),
    }
}

fn check_binary(binary: &mut Binary, span: Span) -> Parsed<()> {
    let lhs = check(&mut binary.lhs)?;
    let rhs = check(&mut binary.rhs)?;
    let op = binary.op;
    if binary.return_bool && !op.is_comparison() {
        let message = "bool modifier can only be used on comparison operators";
        return fault(binary.op_span, message);
    }
    let are_scalars = lhs == ValueType::Scalar && rhs == ValueType::Scalar;
    if op.is_comparison() && !binary.return_bool && are_scalars {
        let message = "comparisons between scalars must use BOOL modifier";
        return fault(binary.op_span, message);
    }
    let matching = binary.matching.get_or_insert_default();
    let both = |label: &&String| matching.on && matching.include.contains(label);
    if let Some(label) = matching.labels.iter().find(both) {
        let label = quote(label);
        let message = format!("label {label} must not occur in ON and GROUP clause at once");
        return fault(binary.op_span, message);
    }
    let message = "binary expression must contain only scalar and instant vector types";
    if !is_scalar_or_vector(lhs) {
        return fault(binary.lhs.span, message);
    }
    if !is_scalar_or_vector(rhs) {
        return fault(binary.rhs.span, message);
    }
    let has_fill = matching.fill.left.is_some() || matching.fill.right.is_some();
    if lhs != ValueType::Vector || rhs != ValueType::Vector {
        if !matching.labels.is_empty() {
            return fault(span, "vector matching only allowed between instant vectors");
        }
        if has_fill {
            let message = "filling in missing series only allowed between instant vectors";
            return fault(span, message);
        }
        binary.matching = None;
    } else if op.is_set() {
        if matching.cardinality != Cardinality::ManyToMany {
            return fault(span, format!("no grouping allowed for \"{op}\" operation"));
        }
        if has_fill {
            let message = "filling in missing series not allowed for set operators";
            return fault(span, message);
        }
    }
    if op.is_set() && (lhs == ValueType::Scalar || rhs == ValueType::Scalar) {
        let message = format!("set operator \"{op}\" not allowed in binary scalar expression");
        return fault(span, message);
    }
    Ok(())
}

fn check_aggregate(aggregate: &mut Aggregate) -> Parsed<()> {
    expect(
        &mut aggregate.expr,
        ValueType::Vector,
        "aggregation expression",
    )?;
    let wanted = match aggregate.op {
        AggregateOp::CountValues => ValueType::String,
        _ => ValueType::Scalar,
    };
    match &mut aggregate.param {
        Some(param) => expect(param, wanted, "aggregation parameter"),
        None => Ok(()),
    }
}

fn check_call(call: &mut Call, span: Span) -> Parsed<()> {
    let function = call.function;
    let name = quote(function.name);
    let count = call.args.len();
    let (least, most) = function.arity();
    if function.variadic == Variadic::No && count != least {
        let message = format!("expected {least} argument(s) in call to {name}, got {count}");
        return fault(span, message);
    }
    if count < least {
        let message =
            format!("expected at least {least} argument(s) in call to {name}, got {count}");
        return fault(span, message);
    }
    if let Some(most) = most
        && count > most
    {
        let message = format!("expected at most {most} argument(s) in call to {name}, got {count}");
        return fault(span, message);
    }
    let place = format!("call to function {name}");
    let is_info = function.name == "info";
    if is_info && let Some(labels) = call.args.get(1) {
        check_info_labels(labels, span)?;
    }
    for (at, arg) in call.args.iter_mut().enumerate() {
        let Some(wanted) = function.args.get(at).or(function.args.last()) else {
            break;
        };
        if !is_info || at != 1 {
            expect(arg, *wanted, &place)?;
        }
    }
    Ok(())
}

/// The second argument of `info` is a selector without a name, and may match everything.
fn check_info_labels(arg: &Expr, call: Span) -> Parsed<()> {
    let found = arg.value_type();
    if found != ValueType::Vector {
        let message =
            format!("expected type instant vector in call to function \"info\", got {found}");
        return fault(call, message);
    }
    match &arg.kind {
        ExprKind::Vector(selector) if selector.name.is_none() => Ok(()),
        _ => fault(
            arg.span,
            "expected label selectors only, got vector selector instead",
        ),
    }
}
