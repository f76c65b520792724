//! Reading of duration expressions: lengths in brackets and after `offset`.
//!
//! Input: the tokens of a length. Output: a [`DurationExpr`]. Invariant: a length that is a literal
//! is one in the tree too, without sign or parentheses around it, and is within an i64 of
//! nanoseconds.

use super::duration::{DurationExpr, DurationKind, DurationOp, nanos_of};
use super::error::{Parsed, fault};
use super::literal::whole_millis;
use super::operator::BinaryOp;
use super::parser::{Parser, Power};
use super::span::Span;
use super::token::{Keyword, Kind};

/// A duration expression, and how many nodes lie on the longest way down.
struct Length {
    expr: DurationExpr,
    height: usize,
}

/// What the grammar expects where a length must stand.
const EXPECTED: &str = "number, duration, step(), or range()";

impl Parser<'_> {
    /// A length in brackets: above zero, as far as the text says.
    pub(crate) fn positive_duration(&mut self) -> Parsed<DurationExpr> {
        let length = self.length(Power::Lowest)?.expr;
        if let DurationKind::Literal { seconds, .. } = length.kind
            && seconds <= 0.0
        {
            return fault(length.span, "duration must be greater than 0");
        }
        self.finish_length(length)
    }

    /// A length after `offset`: one literal, call or parenthesis with signs; operators after it
    /// belong to the expression.
    pub(crate) fn offset_duration(&mut self) -> Parsed<DurationExpr> {
        if !self.begins_duration() {
            return self.unexpected("offset", EXPECTED);
        }
        let sign = match self.current.kind {
            Kind::Operator(_) => Some(self.bump()?),
            _ => None,
        };
        if matches!(self.current.kind, Kind::Operator(_)) || !self.begins_duration() {
            return self.unexpected("offset", EXPECTED);
        }
        let mut length = self.length_leaf()?;
        if let Some(sign) = sign {
            let is_minus = sign.kind == Kind::Operator(BinaryOp::Sub);
            length = self.signed(sign.span.start, is_minus, length)?;
        }
        self.finish_length(length.expr)
    }

    /// Whether a duration expression can begin with the current token.
    pub(crate) fn begins_duration(&self) -> bool {
        matches!(
            self.current.kind,
            Kind::Number
                | Kind::Duration
                | Kind::LeftParen
                | Kind::Operator(BinaryOp::Add | BinaryOp::Sub)
                | Kind::Keyword(Keyword::Step | Keyword::Range | Keyword::MinOf | Keyword::MaxOf)
        )
    }

    fn finish_length(&self, mut length: DurationExpr) -> Parsed<DurationExpr> {
        match &mut length.kind {
            // As Prometheus prints it: a length that stands alone is a duration if it can be one.
            DurationKind::Literal {
                seconds,
                is_duration,
            } => *is_duration = whole_millis(seconds.abs()).is_some(),
            _ if !self.features.duration_expressions => {
                let message = "experimental duration expression is not enabled";
                return fault(length.span, message);
            }
            _ => {}
        }
        Ok(length)
    }

    fn length(&mut self, outer: Power) -> Parsed<Length> {
        self.nested(|parser| {
            let mut lhs = parser.length_prefix()?;
            loop {
                let Some((op, power)) = duration_op(parser.current.kind) else {
                    return Ok(lhs);
                };
                if !power.binds_within(outer) {
                    return Ok(lhs);
                }
                let op_span = parser.bump()?.span;
                let rhs = parser.length(power)?;
                let is_zero = matches!(rhs.expr.kind,
                    DurationKind::Literal { seconds, .. } if seconds == 0.0);
                match op {
                    DurationOp::Div if is_zero => return fault(op_span, "division by zero"),
                    DurationOp::Mod if is_zero => return fault(op_span, "modulo by zero"),
                    _ => {}
                }
                let below = lhs.height.max(rhs.height);
                let span = lhs.expr.span.to(rhs.expr.span);
                let (lhs_expr, rhs_expr) = (Box::new(lhs.expr), Box::new(rhs.expr));
                let kind = DurationKind::Binary {
                    op,
                    lhs: lhs_expr,
                    rhs: rhs_expr,
                };
                lhs = parser.grow_length(span, kind, below)?;
            }
        })
    }

    fn length_prefix(&mut self) -> Parsed<Length> {
        let token = self.current;
        match token.kind {
            Kind::Operator(BinaryOp::Add | BinaryOp::Sub) => {
                self.bump()?;
                let operand = self.length(Power::Multiply)?;
                let is_minus = token.kind == Kind::Operator(BinaryOp::Sub);
                self.signed(token.span.start, is_minus, operand)
            }
            _ => self.length_leaf(),
        }
    }

    /// A literal, a call or a parenthesis.
    fn length_leaf(&mut self) -> Parsed<Length> {
        let token = self.current;
        match token.kind {
            Kind::Number | Kind::Duration => {
                self.bump()?;
                let (seconds, is_duration) = self.number(token)?;
                if nanos_of(seconds).is_none() {
                    return fault(token.span, "duration out of range");
                }
                let kind = DurationKind::Literal {
                    seconds,
                    is_duration,
                };
                self.grow_length(token.span, kind, 0)
            }
            Kind::Keyword(word @ (Keyword::Step | Keyword::Range)) => {
                self.bump()?;
                if !self.eat(Kind::LeftParen)? || !self.eat(Kind::RightParen)? {
                    return self.unexpected_length();
                }
                let kind = match word {
                    Keyword::Step => DurationKind::Step,
                    _ => DurationKind::Range,
                };
                let span = Span::new(token.span.start, self.last_end);
                self.grow_length(span, kind, 0)
            }
            Kind::Keyword(word @ (Keyword::MinOf | Keyword::MaxOf)) => {
                self.bump()?;
                if !self.eat(Kind::LeftParen)? {
                    return self.unexpected_length();
                }
                let lhs = self.length(Power::Lowest)?;
                if !self.eat(Kind::Comma)? {
                    return self.unexpected_length();
                }
                let rhs = self.length(Power::Lowest)?;
                if !self.eat(Kind::RightParen)? {
                    return self.unexpected_length();
                }
                let below = lhs.height.max(rhs.height);
                let (lhs, rhs) = (Box::new(lhs.expr), Box::new(rhs.expr));
                let kind = match word {
                    Keyword::MinOf => DurationKind::MinOf(lhs, rhs),
                    _ => DurationKind::MaxOf(lhs, rhs),
                };
                let span = Span::new(token.span.start, self.last_end);
                self.grow_length(span, kind, below)
            }
            Kind::LeftParen => {
                self.bump()?;
                let mut inner = self.length(Power::Lowest)?;
                if !self.eat(Kind::RightParen)? {
                    return self.unexpected_length();
                }
                let span = Span::new(token.span.start, self.last_end);
                if matches!(inner.expr.kind, DurationKind::Literal { .. }) {
                    inner.expr.span = span;
                    return Ok(inner);
                }
                let kind = DurationKind::Paren(Box::new(inner.expr));
                self.grow_length(span, kind, inner.height)
            }
            _ => self.unexpected_length(),
        }
    }

    fn signed(&self, start: u32, is_minus: bool, mut operand: Length) -> Parsed<Length> {
        let span = Span::new(start, operand.expr.span.end);
        match &mut operand.expr.kind {
            DurationKind::Literal { seconds, .. } if is_minus => *seconds = -*seconds,
            _ if is_minus => {
                let (expr, height) = (Box::new(operand.expr), operand.height);
                return self.grow_length(span, DurationKind::Negate(expr), height);
            }
            _ => {}
        }
        operand.expr.span = span;
        Ok(operand)
    }

    fn unexpected_length<T>(&self) -> Parsed<T> {
        self.unexpected("subquery or range selector", EXPECTED)
    }

    fn grow_length(&self, span: Span, kind: DurationKind, below: usize) -> Parsed<Length> {
        self.check_height(span, below)?;
        let expr = DurationExpr { span, kind };
        Ok(Length {
            expr,
            height: below + 1,
        })
    }
}

fn duration_op(kind: Kind) -> Option<(DurationOp, Power)> {
    let Kind::Operator(op) = kind else {
        return None;
    };
    let duration_op = match op {
        BinaryOp::Add => DurationOp::Add,
        BinaryOp::Sub => DurationOp::Sub,
        BinaryOp::Mul => DurationOp::Mul,
        BinaryOp::Div => DurationOp::Div,
        BinaryOp::Mod => DurationOp::Mod,
        BinaryOp::Pow => DurationOp::Pow,
        _ => return None,
    };
    Some((duration_op, Power::of(op)))
}
