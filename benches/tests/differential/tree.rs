//! Trees of queries taken apart and put together again.
//!
//! Input: a tree. Output: another one, as text where operators may have moved. Invariant: what takes
//! the place of an operand is in parentheses where it needs them.

use treering_promql::syntax::{Expr, ExprKind, NumberLiteral};
use treering_promql::{Features, parse};

/// What the texts of the grammar need: smoothing is experimental by now.
pub(crate) fn features() -> Features {
    Features {
        experimental_functions: true,
        ..Features::default()
    }
}

/// The tree of a text that this program wrote.
pub(crate) fn tree(text: &str) -> Expr {
    parse(text, &features()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The expressions right below one.
pub(crate) fn children_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(_) => {
            Vec::new()
        }
        ExprKind::Subquery(subquery) => vec![&mut subquery.expr],
        ExprKind::Unary(unary) => vec![&mut unary.expr],
        ExprKind::Binary(binary) => vec![&mut binary.lhs, &mut binary.rhs],
        ExprKind::Aggregate(aggregate) => {
            let param = aggregate.param.as_deref_mut();
            param.into_iter().chain([&mut *aggregate.expr]).collect()
        }
        ExprKind::Call(call) => call.args.iter_mut().collect(),
        ExprKind::Paren(inner) => vec![inner],
    }
}

/// Number of nodes.
pub(crate) fn count(expr: &Expr) -> usize {
    1 + expr.children().into_iter().map(count).sum::<usize>()
}

/// Every node, from the root down.
pub(crate) fn nodes(expr: &Expr) -> Vec<&Expr> {
    let mut all = vec![expr];
    for child in expr.children() {
        all.extend(nodes(child));
    }
    all
}

/// The node of a number as [`nodes`] counts them.
pub(crate) fn node_mut(expr: &mut Expr, number: usize) -> Option<&mut Expr> {
    if number == 0 {
        return Some(expr);
    }
    let mut before = 1;
    for child in children_mut(expr) {
        let size = count(child);
        if number < before + size {
            return node_mut(child, number - before);
        }
        before += size;
    }
    None
}

/// A tree in which every node, from the leaves up, is what `change` makes of it; `None` keeps it.
pub(crate) fn changed(expr: &Expr, change: &mut dyn FnMut(&Expr) -> Option<String>) -> Expr {
    let mut expr = expr.clone();
    for child in children_mut(&mut expr) {
        *child = changed(child, change);
    }
    match change(&expr) {
        Some(text) => tree(&text),
        None => expr,
    }
}

/// In parentheses, where what is around could take it apart.
pub(crate) fn operand(expr: &Expr) -> Expr {
    match &expr.kind {
        ExprKind::Binary(_) | ExprKind::Unary(_) => tree(&format!("({expr})")),
        ExprKind::Number(NumberLiteral { value, .. }) if value.is_sign_negative() => {
            tree(&format!("({expr})"))
        }
        _ => expr.clone(),
    }
}
