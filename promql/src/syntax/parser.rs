//! Parser: tokens to a tree, by precedence climbing.
//!
//! Input: the text of a query and the [`Features`] that are on. Output: a well typed [`Expr`], or
//! the first error in Prometheus' words. Invariant: neither nesting nor height of a tree passes
//! [`limits`], so nothing that recurses over it can run out of stack.
//! Source of the method: V. Pratt, "Top Down Operator Precedence", POPL 1973.

use super::ast::{Binary, Cardinality, Expr, ExprKind, NumberLiteral, StringLiteral, Unary};
use super::error::{Fault, ParseError, Parsed, fault};
use super::features::Features;
use super::lexer::Lexer;
use super::limits::{MAX_HEIGHT, MAX_NESTING, MAX_QUERY_BYTES};
use super::literal::{parse_duration, parse_number, seconds_of, unquote};
use super::operator::{BinaryOp, UnaryOp};
use super::span::Span;
use super::token::{Keyword, Kind, Token};
use super::types;

/// Reads a query.
///
/// ```
/// use treering_promql::{Features, parse};
/// let expr = parse("sum by (job) (rate(http_requests_total[5m]))", &Features::default())?;
/// assert_eq!(expr.to_string(), "sum by (job) (rate(http_requests_total[5m]))");
/// let error = parse("sum(", &Features::default()).unwrap_err();
/// assert_eq!(error.to_string(), "1:5: parse error: unclosed left parenthesis");
/// # Ok::<(), treering_promql::ParseError>(())
/// ```
pub fn parse(text: &str, features: &Features) -> Result<Expr, ParseError> {
    let parsed = parse_untyped(text, features).and_then(|mut expr| {
        types::check(&mut expr)?;
        Ok(expr)
    });
    parsed.map_err(|fault| fault.of(text))
}

fn parse_untyped(text: &str, features: &Features) -> Parsed<Expr> {
    if text.len() > MAX_QUERY_BYTES {
        let message = format!(
            "the query has {} bytes; at most {MAX_QUERY_BYTES}",
            text.len()
        );
        return fault(Span::default(), message);
    }
    let mut parser = Parser::new(text, *features)?;
    if parser.current.kind == Kind::End {
        return fault(Span::default(), "no expression found in input");
    }
    let tree = parser.expression(Power::Lowest)?;
    match parser.current.kind {
        Kind::End => Ok(tree.expr),
        _ => parser.unexpected("", ""),
    }
}

/// An expression, and how many nodes lie on the longest way down.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) expr: Expr,
    pub(crate) height: usize,
}

/// The state of one reading.
#[derive(Debug)]
pub(crate) struct Parser<'a> {
    pub(crate) text: &'a str,
    lexer: Lexer<'a>,
    /// The token that is looked at.
    pub(crate) current: Token,
    /// The end of the token before it.
    pub(crate) last_end: u32,
    pub(crate) features: Features,
    nesting: usize,
    /// Aggregations that are open around here: errors name them.
    pub(crate) open_aggregates: usize,
}

/// How tightly an operator binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Power {
    Lowest,
    Or,
    And,
    Compare,
    Add,
    Multiply,
    Raise,
}

impl Power {
    pub(crate) fn of(op: BinaryOp) -> Power {
        match op {
            BinaryOp::Or => Power::Or,
            BinaryOp::And | BinaryOp::Unless => Power::And,
            BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Less
            | BinaryOp::LessOrEqual
            | BinaryOp::Greater
            | BinaryOp::GreaterOrEqual
            | BinaryOp::TrimUpper
            | BinaryOp::TrimLower => Power::Compare,
            BinaryOp::Add | BinaryOp::Sub => Power::Add,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => Power::Multiply,
            BinaryOp::Pow => Power::Raise,
        }
    }

    /// Whether an operator of this power is taken into the right operand of one of power `outer`.
    pub(crate) fn binds_within(self, outer: Power) -> bool {
        // Only raising associates to the right.
        self > outer || (self == Power::Raise && outer == Power::Raise)
    }
}

impl Tree {
    pub(crate) fn leaf(span: Span, kind: ExprKind) -> Tree {
        let expr = Expr { span, kind };
        Tree { expr, height: 1 }
    }
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, features: Features) -> Parsed<Self> {
        let mut lexer = Lexer::new(text);
        let current = lexer.token()?;
        Ok(Self {
            text,
            lexer,
            current,
            last_end: 0,
            features,
            nesting: 0,
            open_aggregates: 0,
        })
    }

    /// Takes the current token.
    pub(crate) fn bump(&mut self) -> Parsed<Token> {
        let taken = self.current;
        self.last_end = taken.span.end;
        self.current = self.lexer.token()?;
        Ok(taken)
    }

    /// Takes the current token if it is of this kind.
    pub(crate) fn eat(&mut self, kind: Kind) -> Parsed<bool> {
        let found = self.current.kind == kind;
        if found {
            self.bump()?;
        }
        Ok(found)
    }

    /// Says that the current token does not belong here.
    pub(crate) fn unexpected<T>(&self, place: &str, expected: &str) -> Parsed<T> {
        let mut message = format!("unexpected {}", self.current.describe(self.text));
        if !place.is_empty() {
            message.push_str(" in ");
            message.push_str(place);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        fault(self.current.span, message)
    }

    /// As [`unexpected`](Self::unexpected), at a place where only an expression is open.
    pub(crate) fn unexpected_here<T>(&self) -> Parsed<T> {
        match self.open_aggregates {
            0 => self.unexpected("", ""),
            _ => self.unexpected("aggregation", ""),
        }
    }

    /// A tree one higher than `below`.
    pub(crate) fn grow(&self, span: Span, kind: ExprKind, below: usize) -> Parsed<Tree> {
        self.check_height(span, below)?;
        let expr = Expr { span, kind };
        Ok(Tree {
            expr,
            height: below + 1,
        })
    }

    pub(crate) fn check_height(&self, span: Span, below: usize) -> Parsed<()> {
        match below < MAX_HEIGHT {
            true => Ok(()),
            false => fault(
                span,
                format!("the expression is nested more than {MAX_HEIGHT} deep"),
            ),
        }
    }

    /// Runs `read` one level deeper.
    pub(crate) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= MAX_NESTING {
            let message = format!("the expression is nested more than {MAX_NESTING} deep");
            return fault(self.current.span, message);
        }
        self.nesting += 1;
        let read = read(self);
        self.nesting -= 1;
        read
    }

    /// An expression of operators that bind more tightly than `outer`.
    pub(crate) fn expression(&mut self, outer: Power) -> Parsed<Tree> {
        self.nested(|parser| {
            let first = parser.prefix()?;
            parser.operators(first, outer)
        })
    }

    fn operators(&mut self, mut lhs: Tree, outer: Power) -> Parsed<Tree> {
        loop {
            let Kind::Operator(op) = self.current.kind else {
                return Ok(lhs);
            };
            let power = Power::of(op);
            if !power.binds_within(outer) {
                return Ok(lhs);
            }
            lhs = self.binary(lhs, op, power)?;
        }
    }

    fn binary(&mut self, lhs: Tree, op: BinaryOp, power: Power) -> Parsed<Tree> {
        let op_span = self.bump()?.span;
        let modifiers = self.binary_modifiers()?;
        let rhs = match modifiers.metric {
            // A metric with the name of a modifier was taken while looking for one.
            Some(token) => self.nested(|parser| {
                let first = parser.named(token)?;
                let first = parser.postfix(first)?;
                parser.operators(first, power)
            })?,
            None => self.expression(power)?,
        };
        let span = lhs.expr.span.to(rhs.expr.span);
        let mut matching = modifiers.matching;
        if !self.features.fill_modifiers
            && (matching.fill.left.is_some() || matching.fill.right.is_some())
        {
            return fault(
                span,
                "binop fill modifiers are experimental and not enabled",
            );
        }
        if op.is_set() && matching.cardinality == Cardinality::OneToOne {
            matching.cardinality = Cardinality::ManyToMany;
        }
        let binary = Binary {
            op,
            op_span: Span::new(op_span.start, modifiers.end),
            lhs: Box::new(lhs.expr),
            rhs: Box::new(rhs.expr),
            return_bool: modifiers.return_bool,
            matching: Some(matching),
        };
        let below = lhs.height.max(rhs.height);
        self.grow(span, ExprKind::Binary(binary), below)
    }

    /// What an expression may begin with, and what may follow it without an operator.
    fn prefix(&mut self) -> Parsed<Tree> {
        let token = self.current;
        let tree = match token.kind {
            Kind::Operator(BinaryOp::Add) => return self.sign(UnaryOp::Plus),
            Kind::Operator(BinaryOp::Sub) => return self.sign(UnaryOp::Minus),
            Kind::Number | Kind::Duration => {
                self.bump()?;
                let (value, is_duration) = self.number(token)?;
                let number = NumberLiteral { value, is_duration };
                Tree::leaf(token.span, ExprKind::Number(number))
            }
            Kind::String => {
                self.bump()?;
                let bytes = unquote(token.span.of(self.text));
                Tree::leaf(token.span, ExprKind::String(StringLiteral { bytes }))
            }
            Kind::LeftParen => {
                self.bump()?;
                let inner = self.expression(Power::Lowest)?;
                if self.current.kind != Kind::RightParen {
                    return self.unexpected_here();
                }
                self.bump()?;
                let span = Span::new(token.span.start, self.last_end);
                let kind = ExprKind::Paren(Box::new(inner.expr));
                self.grow(span, kind, inner.height)?
            }
            Kind::LeftBrace => self.selector(None)?,
            kind if kind.may_be_metric() => {
                self.bump()?;
                self.named(token)?
            }
            _ => return self.unexpected_here(),
        };
        self.postfix(tree)
    }

    /// What begins with a name: a selector, a call or an aggregation.
    fn named(&mut self, token: Token) -> Parsed<Tree> {
        let is_call = self.current.kind == Kind::LeftParen;
        let has_grouping = matches!(
            self.current.kind,
            Kind::Keyword(Keyword::By | Keyword::Without)
        );
        match token.kind {
            Kind::Aggregate(op) if is_call || has_grouping => self.aggregate(token, op),
            Kind::Identifier if is_call => self.call(token),
            Kind::Keyword(
                Keyword::Start
                | Keyword::End
                | Keyword::Step
                | Keyword::Range
                | Keyword::MinOf
                | Keyword::MaxOf,
            ) if is_call => self.call(token),
            _ => self.selector(Some(token)),
        }
    }

    /// A sign and its operand, which binds like a factor: `-a ^ b` is `-(a ^ b)`.
    fn sign(&mut self, op: UnaryOp) -> Parsed<Tree> {
        let start = self.bump()?.span.start;
        let mut operand = self.expression(Power::Multiply)?;
        let span = Span::new(start, operand.expr.span.end);
        if let ExprKind::Number(number) = &mut operand.expr.kind {
            if op == UnaryOp::Minus {
                number.value = -number.value;
            }
            operand.expr.span = span;
            return Ok(operand);
        }
        let unary = Unary {
            op,
            expr: Box::new(operand.expr),
        };
        self.grow(span, ExprKind::Unary(unary), operand.height)
    }

    /// The value of a number or duration, and whether it is a duration.
    pub(crate) fn number(&self, token: Token) -> Parsed<(f64, bool)> {
        let written = token.span.of(self.text);
        let value = match token.kind {
            Kind::Duration => parse_duration(written).map(seconds_of),
            _ => parse_number(written),
        };
        let wrong = |message| Box::new(Fault::new(token.span, message));
        Ok((value.map_err(wrong)?, token.kind == Kind::Duration))
    }
}
