//! What follows an expression without an operator: `[...]`, `@`, `offset`, `anchored`, `smoothed`.
//!
//! Input: the expression and the tokens after it. Output: the expression with them. Invariant: each
//! modifier is set at most once, and `@` and `offset` come in any order.

use super::ast::{At, Expr, ExprKind, Extent, MatrixSelector, Shift, Subquery, VectorSelector};
use super::duration::DurationExpr;
use super::error::{Parsed, fault};
use super::operator::BinaryOp;
use super::parser::{Parser, Tree};
use super::span::Span;
use super::token::{Keyword, Kind};

const NANOS_PER_MILLI: i64 = 1_000_000;

impl Parser<'_> {
    /// Takes all that follows `tree`.
    pub(crate) fn postfix(&mut self, mut tree: Tree) -> Parsed<Tree> {
        loop {
            match self.current.kind {
                Kind::LeftBracket => tree = self.brackets(tree)?,
                Kind::At => self.at_modifier(&mut tree.expr)?,
                Kind::Keyword(Keyword::Offset) => self.offset(&mut tree.expr)?,
                Kind::Keyword(Keyword::Anchored) => {
                    self.extent(&mut tree.expr, Extent::Anchored)?;
                }
                Kind::Keyword(Keyword::Smoothed) => {
                    self.extent(&mut tree.expr, Extent::Smoothed)?;
                }
                _ => return Ok(tree),
            }
        }
    }

    /// `[range]` or `[range:step]`.
    fn brackets(&mut self, tree: Tree) -> Parsed<Tree> {
        let open = self.bump()?.span;
        let range = self.positive_duration()?;
        let is_subquery = match self.current.kind {
            Kind::RightBracket => false,
            Kind::Colon => true,
            _ => return self.unexpected("subquery or range", "\":\" or \"]\""),
        };
        self.bump()?;
        if !is_subquery {
            return self.matrix(tree.expr, open, range);
        }
        let step = match self.current.kind {
            Kind::RightBracket => None,
            _ => Some(self.subquery_step()?),
        };
        self.bump()?;
        let span = Span::new(tree.expr.span.start, self.last_end);
        let subquery = Subquery {
            expr: Box::new(tree.expr),
            range,
            step,
            shift: Shift::default(),
        };
        self.grow(span, ExprKind::Subquery(subquery), tree.height)
    }

    fn subquery_step(&mut self) -> Parsed<DurationExpr> {
        if !self.begins_duration() {
            let expected = "number, duration, step(), range(), or \"]\"";
            return self.unexpected("subquery selector", expected);
        }
        let step = self.positive_duration()?;
        match self.current.kind {
            Kind::RightBracket => Ok(step),
            _ => self.unexpected("subquery selector", "\"]\""),
        }
    }

    fn matrix(&mut self, expr: Expr, open: Span, range: DurationExpr) -> Parsed<Tree> {
        let brackets = Span::new(open.start, self.last_end);
        let ExprKind::Vector(selector) = expr.kind else {
            return fault(brackets, "ranges only allowed for vector selectors");
        };
        if selector.shift.offset.is_some() {
            return fault(brackets, "no offset modifiers allowed before range");
        }
        if selector.shift.at.is_some() {
            return fault(brackets, "no @ modifiers allowed before range");
        }
        let matrix = MatrixSelector {
            selector,
            selector_span: expr.span,
            range,
        };
        let span = Span::new(expr.span.start, self.last_end);
        Ok(Tree::leaf(span, ExprKind::Matrix(matrix)))
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.bump()?;
        let offset = self.offset_duration()?;
        let place = expr.span;
        expr.span.end = self.last_end;
        let Some(shift) = shift_of(expr) else {
            let message = "offset modifier must be preceded by an instant vector selector or range \
                           vector selector or a subquery";
            return fault(place, message);
        };
        if shift.offset.is_some() {
            return fault(place, "offset may not be set multiple times");
        }
        // No offset is one of zero.
        if offset.literal_nanos() != Some(0) {
            shift.offset = Some(offset);
        }
        Ok(())
    }

    fn at_modifier(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.bump()?;
        let at = self.at_time(expr.span)?;
        let place = expr.span;
        expr.span.end = self.last_end;
        let Some(shift) = shift_of(expr) else {
            let message = "@ modifier must be preceded by an instant vector selector or range \
                           vector selector or a subquery";
            return fault(place, message);
        };
        if shift.at.is_some() {
            return fault(place, "@ <timestamp> may not be set multiple times");
        }
        shift.at = Some(at);
        Ok(())
    }

    fn at_time(&mut self, place: Span) -> Parsed<At> {
        let named = match self.current.kind {
            Kind::Keyword(Keyword::Start) => Some(At::Start),
            Kind::Keyword(Keyword::End) => Some(At::End),
            _ => None,
        };
        if let Some(at) = named {
            self.bump()?;
            if !self.eat(Kind::LeftParen)? || !self.eat(Kind::RightParen)? {
                return self.unexpected("@", "timestamp");
            }
            return Ok(at);
        }
        let is_negative = self.current.kind == Kind::Operator(BinaryOp::Sub);
        if is_negative || self.current.kind == Kind::Operator(BinaryOp::Add) {
            self.bump()?;
        }
        if !matches!(self.current.kind, Kind::Number | Kind::Duration) {
            return self.unexpected("@", "timestamp");
        }
        let token = self.bump()?;
        let (value, _) = self.number(token)?;
        let seconds = if is_negative { -value } else { value };
        if seconds.is_nan() || seconds.abs() >= i64::MAX as f64 {
            let shown = match seconds.is_finite() {
                true => format!("{seconds:.6}"),
                false if seconds.is_nan() => "NaN".to_owned(),
                false => format!("{}Inf", if seconds > 0.0 { '+' } else { '-' }),
            };
            let message = format!("timestamp out of bounds for @ modifier: {shown}");
            return fault(place, message);
        }
        let millis = (seconds * 1000.0).round() as i64;
        let bound = i64::MAX / NANOS_PER_MILLI;
        Ok(At::Time(millis.clamp(-bound, bound) * NANOS_PER_MILLI))
    }

    fn extent(&mut self, expr: &mut Expr, extent: Extent) -> Parsed<()> {
        let word = match extent {
            Extent::Anchored => "anchored",
            _ => "smoothed",
        };
        let place = expr.span;
        self.bump()?;
        if !self.features.extended_ranges {
            let message = format!("{word} modifier is experimental and not enabled");
            return fault(place, message);
        }
        let selector: &mut VectorSelector = match &mut expr.kind {
            ExprKind::Vector(selector) => selector,
            ExprKind::Matrix(matrix) => &mut matrix.selector,
            ExprKind::Subquery(_) => {
                let message = format!("{word} modifier is not supported for subqueries");
                return fault(place, message);
            }
            _ => return fault(place, format!("{word} modifier not implemented")),
        };
        if selector.extent != Extent::Plain && selector.extent != extent {
            let message = "anchored and smoothed modifiers cannot be used together";
            return fault(place, message);
        }
        selector.extent = extent;
        expr.span.end = self.last_end;
        Ok(())
    }
}

/// What `@` and `offset` change.
fn shift_of(expr: &mut Expr) -> Option<&mut Shift> {
    match &mut expr.kind {
        ExprKind::Vector(selector) => Some(&mut selector.shift),
        ExprKind::Matrix(matrix) => Some(&mut matrix.selector.shift),
        ExprKind::Subquery(subquery) => Some(&mut subquery.shift),
        _ => None,
    }
}
