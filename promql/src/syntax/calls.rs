//! Calls and aggregations.
//!
//! Input: the tokens after the name of a function or aggregation. Output: the call. Invariant: the
//! number of an aggregation's arguments is right; that of a function's is for the type check.

use super::ast::{Aggregate, Call, Expr, ExprKind};
use super::error::{Parsed, fault};
use super::literal::quote;
use super::operator::AggregateOp;
use super::parser::{Parser, Power, Tree};
use super::signatures::Signature;
use super::span::Span;
use super::token::{Keyword, Kind, Token};

/// Arguments, and the height of the highest.
struct Arguments {
    exprs: Vec<Expr>,
    height: usize,
}

impl Parser<'_> {
    /// A call, after the name of the function.
    pub(crate) fn call(&mut self, name: Token) -> Parsed<Tree> {
        let args = self.arguments()?;
        let written = name.span.of(self.text);
        let Some(function) = Signature::find(written) else {
            let written = quote(written);
            return fault(name.span, format!("unknown function with name {written}"));
        };
        let is_start_timestamp = function.name == "start_timestamp";
        let is_on = self.features.experimental_functions
            || (is_start_timestamp && self.features.start_timestamps);
        if function.experimental && !is_on {
            let written = quote(written);
            return fault(name.span, format!("function {written} is not enabled"));
        }
        let call = Call {
            function,
            args: args.exprs,
        };
        let span = Span::new(name.span.start, self.last_end);
        self.grow(span, ExprKind::Call(call), args.height)
    }

    /// An aggregation, after its name. The grouping stands before or after the arguments.
    pub(crate) fn aggregate(&mut self, name: Token, op: AggregateOp) -> Parsed<Tree> {
        self.open_aggregates += 1;
        let before = self.grouping()?;
        if self.current.kind != Kind::LeftParen {
            return self.unexpected_here();
        }
        let args = self.arguments()?;
        let (without, grouping) = match before {
            Some(grouping) => grouping,
            None => self.grouping()?.unwrap_or_default(),
        };
        self.open_aggregates -= 1;
        let span = Span::new(name.span.start, self.last_end);
        if args.exprs.is_empty() {
            return fault(span, "no arguments for aggregate expression provided");
        }
        if op.is_experimental() && !self.features.experimental_functions {
            let message = format!(
                "{op}() is experimental and must be enabled with \
                 --enable-feature=promql-experimental-functions"
            );
            return fault(span, message);
        }
        let wanted = 1 + usize::from(op.has_param());
        let count = args.exprs.len();
        let mut exprs = args.exprs.into_iter();
        let param = match op.has_param() {
            true => exprs.next().map(Box::new),
            false => None,
        };
        let (Some(expr), None) = (exprs.next(), exprs.next()) else {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, \
                 expected {wanted}, got {count}"
            );
            return fault(span, message);
        };
        let aggregate = Aggregate {
            op,
            expr: Box::new(expr),
            param,
            grouping,
            without,
        };
        self.grow(span, ExprKind::Aggregate(aggregate), args.height)
    }

    /// `by (...)` or `without (...)`, if it stands here; whether it is `without`, and the labels.
    fn grouping(&mut self) -> Parsed<Option<(bool, Vec<String>)>> {
        let without = match self.current.kind {
            Kind::Keyword(Keyword::By) => false,
            Kind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.bump()?;
        Ok(Some((without, self.grouping_labels()?)))
    }

    /// Expressions in parentheses.
    fn arguments(&mut self) -> Parsed<Arguments> {
        self.bump()?;
        let mut args = Arguments {
            exprs: vec![],
            height: 0,
        };
        if self.eat(Kind::RightParen)? {
            return Ok(args);
        }
        loop {
            let arg = self.expression(Power::Lowest)?;
            args.height = args.height.max(arg.height);
            args.exprs.push(arg.expr);
            let separator = self.current;
            match separator.kind {
                Kind::RightParen => {
                    self.bump()?;
                    return Ok(args);
                }
                Kind::Comma => {
                    self.bump()?;
                    if self.current.kind == Kind::RightParen {
                        return fault(
                            separator.span,
                            "trailing commas not allowed in function call args",
                        );
                    }
                }
                _ => return self.unexpected_here(),
            }
        }
    }
}
