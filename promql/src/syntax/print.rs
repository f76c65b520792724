//! Printing: a tree as the text that Prometheus makes of it.
//!
//! Input: an [`Expr`]. Output: one line of text, which parses to the same tree. Invariant: nothing
//! depends on how the query was spaced or quoted.

use std::fmt::{self, Write as _};

use treering::Matcher;

use super::ast::{
    Aggregate, At, Binary, Cardinality, Expr, ExprKind, Extent, MatrixSelector, NumberLiteral,
    Shift, Subquery, VectorMatching, VectorSelector,
};
use super::duration::{DurationExpr, DurationKind};
use super::literal::{quote, quote_bytes, whole_millis, write_duration, write_number};
use super::operator::BinaryOp;

const NANOS_PER_MILLI: i64 = 1_000_000;

impl fmt::Display for Expr {
    /// As Prometheus prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(number) => number.fmt(f),
            ExprKind::String(string) => f.write_str(&quote_bytes(&string.bytes)),
            ExprKind::Vector(selector) => {
                write_selector(f, selector)?;
                write_extent(f, selector.extent)?;
                write_shift(f, &selector.shift)
            }
            ExprKind::Matrix(matrix) => write_matrix(f, matrix),
            ExprKind::Subquery(subquery) => write_subquery(f, subquery),
            ExprKind::Unary(unary) => write!(f, "{}{}", unary.op, unary.expr),
            ExprKind::Binary(binary) => write_binary(f, binary),
            ExprKind::Aggregate(aggregate) => write_aggregate(f, aggregate),
            ExprKind::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                for (at, arg) in call.args.iter().enumerate() {
                    write!(f, "{}{arg}", if at == 0 { "" } else { ", " })?;
                }
                f.write_char(')')
            }
            ExprKind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

impl fmt::Display for NumberLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&seconds_text(self.value, self.is_duration))
    }
}

impl fmt::Display for DurationExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DurationKind::Literal {
                seconds,
                is_duration,
            } => f.write_str(&seconds_text(*seconds, *is_duration)),
            DurationKind::Step => f.write_str("step()"),
            DurationKind::Range => f.write_str("range()"),
            DurationKind::Negate(inner) => write!(f, "-{inner}"),
            DurationKind::Binary { op, lhs, rhs } => write!(f, "{lhs} {} {rhs}", op.as_str()),
            DurationKind::MinOf(lhs, rhs) => write!(f, "min_of({lhs}, {rhs})"),
            DurationKind::MaxOf(lhs, rhs) => write!(f, "max_of({lhs}, {rhs})"),
            DurationKind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

/// A number, as a duration where it was one and milliseconds can tell it.
fn seconds_text(seconds: f64, is_duration: bool) -> String {
    let mut out = String::new();
    match whole_millis(seconds.abs()) {
        Some(millis) if is_duration => {
            if seconds.is_sign_negative() {
                out.push('-');
            }
            write_duration(&mut out, millis);
        }
        _ => write_number(&mut out, seconds),
    }
    out
}

/// Name and matchers.
fn write_selector(f: &mut fmt::Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    f.write_str(selector.name.as_deref().unwrap_or_default())?;
    let shown = match (&selector.name, selector.matchers.split_last()) {
        (Some(_), Some((_, others))) => others,
        _ => &selector.matchers[..],
    };
    if shown.is_empty() {
        return match selector.name {
            Some(_) => Ok(()),
            None => f.write_str("{}"),
        };
    }
    for (at, matcher) in shown.iter().enumerate() {
        f.write_char(if at == 0 { '{' } else { ',' })?;
        write_matcher(f, matcher)?;
    }
    f.write_char('}')
}

fn write_matcher(f: &mut fmt::Formatter<'_>, matcher: &Matcher) -> fmt::Result {
    write_label(f, matcher.name())?;
    write!(f, "{}{}", matcher.op(), quote(matcher.value()))
}

/// A label name, in quotes where it needs them.
fn write_label(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_plain = name.bytes().all(is_word)
        && name
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit());
    match is_plain {
        true => f.write_str(name),
        false => f.write_str(&quote(name)),
    }
}

/// Names in parentheses. One that a number could be is put in quotes.
fn write_labels(f: &mut fmt::Formatter<'_>, labels: &[String]) -> fmt::Result {
    f.write_char('(')?;
    for (at, label) in labels.iter().enumerate() {
        f.write_str(if at == 0 { "" } else { ", " })?;
        match label.eq_ignore_ascii_case("inf") || label.eq_ignore_ascii_case("nan") {
            true => f.write_str(&quote(label))?,
            false => write_label(f, label)?,
        }
    }
    f.write_char(')')
}

fn write_extent(f: &mut fmt::Formatter<'_>, extent: Extent) -> fmt::Result {
    f.write_str(match extent {
        Extent::Plain => "",
        Extent::Anchored => " anchored",
        Extent::Smoothed => " smoothed",
    })
}

fn write_shift(f: &mut fmt::Formatter<'_>, shift: &Shift) -> fmt::Result {
    match shift.at {
        None => {}
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        Some(At::Time(nanos)) => {
            let millis = nanos / NANOS_PER_MILLI;
            let sign = if millis < 0 { "-" } else { "" };
            let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
            write!(f, " @ {sign}{seconds}.{rest:03}")?;
        }
    }
    match &shift.offset {
        None => Ok(()),
        Some(offset) if is_offset_term(offset) => write!(f, " offset {offset}"),
        Some(offset) => write!(f, " offset ({offset})"),
    }
}

/// Whether `offset` stands after the keyword without parentheses.
fn is_offset_term(offset: &DurationExpr) -> bool {
    match &offset.kind {
        DurationKind::Binary { .. } => false,
        DurationKind::Negate(inner) => !matches!(
            inner.kind,
            DurationKind::Binary { .. } | DurationKind::Negate(_)
        ),
        _ => true,
    }
}

fn write_matrix(f: &mut fmt::Formatter<'_>, matrix: &MatrixSelector) -> fmt::Result {
    write_selector(f, &matrix.selector)?;
    write!(f, "[{}]", matrix.range)?;
    write_extent(f, matrix.selector.extent)?;
    write_shift(f, &matrix.selector.shift)
}

fn write_subquery(f: &mut fmt::Formatter<'_>, subquery: &Subquery) -> fmt::Result {
    write!(f, "{}[{}:", subquery.expr, subquery.range)?;
    if let Some(step) = &subquery.step {
        write!(f, "{step}")?;
    }
    f.write_char(']')?;
    write_shift(f, &subquery.shift)
}

fn write_binary(f: &mut fmt::Formatter<'_>, binary: &Binary) -> fmt::Result {
    match &binary.lhs.kind {
        // A sign would take the whole power for its operand.
        ExprKind::Number(number) if binary.op == BinaryOp::Pow && number.value == f64::INFINITY => {
            f.write_str("Inf")?;
        }
        _ => write!(f, "{}", binary.lhs)?,
    }
    write!(f, " {}", binary.op)?;
    if binary.return_bool {
        f.write_str(" bool")?;
    }
    if let Some(matching) = &binary.matching {
        write_matching(f, matching)?;
    }
    write!(f, " {}", binary.rhs)
}

fn write_matching(f: &mut fmt::Formatter<'_>, matching: &VectorMatching) -> fmt::Result {
    let group = match matching.cardinality {
        Cardinality::ManyToOne => Some("group_left"),
        Cardinality::OneToMany => Some("group_right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if matching.on || group.is_some() || !matching.labels.is_empty() {
        f.write_str(if matching.on { " on " } else { " ignoring " })?;
        write_labels(f, &matching.labels)?;
    }
    if let Some(group) = group {
        write!(f, " {group} ")?;
        write_labels(f, &matching.include)?;
    }
    let (left, right) = (matching.fill.left, matching.fill.right);
    let bits = |side: Option<f64>| side.map(f64::to_bits);
    let number = |value: f64| seconds_text(value, false);
    match (left, right) {
        (Some(value), Some(_)) if bits(left) == bits(right) => {
            write!(f, " fill ({})", number(value))
        }
        _ => {
            for (word, side) in [("fill_left", left), ("fill_right", right)] {
                if let Some(value) = side {
                    write!(f, " {word} ({})", number(value))?;
                }
            }
            Ok(())
        }
    }
}

fn write_aggregate(f: &mut fmt::Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
    write!(f, "{}", aggregate.op)?;
    if aggregate.without || !aggregate.grouping.is_empty() {
        f.write_str(if aggregate.without {
            " without "
        } else {
            " by "
        })?;
        write_labels(f, &aggregate.grouping)?;
        f.write_char(' ')?;
    }
    f.write_char('(')?;
    if let Some(param) = &aggregate.param {
        write!(f, "{param}, ")?;
    }
    write!(f, "{})", aggregate.expr)
}
