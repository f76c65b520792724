//! Selectors: `name{matchers}`.
//!
//! Input: the tokens of a selector. Output: a [`VectorSelector`]. Invariant: the matcher that a
//! name before the braces makes is the last one.

use treering::{MatchOp, Matcher};

use super::ast::{ExprKind, Extent, Shift, VectorSelector};
use super::error::{Fault, Parsed, fault};
use super::literal::{quote_bytes, unquote};
use super::operator::BinaryOp;
use super::parser::{Parser, Tree};
use super::span::Span;
use super::token::{Kind, Token};

/// The label that holds the name of a metric.
pub(crate) const METRIC_NAME: &str = "__name__";

impl Parser<'_> {
    /// A selector; `name` is the token before the braces, already taken.
    pub(crate) fn selector(&mut self, name: Option<Token>) -> Parsed<Tree> {
        let start = name.map_or(self.current.span, |name| name.span).start;
        let mut matchers = match self.current.kind {
            Kind::LeftBrace => self.braces()?,
            _ => vec![],
        };
        let name = name.map(|name| name.span.of(self.text).to_owned());
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name));
        }
        let selector = VectorSelector {
            name,
            matchers,
            shift: Shift::default(),
            extent: Extent::Plain,
        };
        let span = Span::new(start, self.last_end);
        Ok(Tree::leaf(span, ExprKind::Vector(selector)))
    }

    fn braces(&mut self) -> Parsed<Vec<Matcher>> {
        self.bump()?;
        let mut matchers = vec![];
        loop {
            if self.current.kind == Kind::RightBrace {
                self.bump()?;
                return Ok(matchers);
            }
            matchers.push(self.matcher()?);
            match self.current.kind {
                Kind::RightBrace => {}
                Kind::Comma => {
                    self.bump()?;
                }
                _ => return self.unexpected("label matching", "\",\" or \"}\""),
            }
        }
    }

    /// `name op "value"`, or the quoted name of a metric.
    fn matcher(&mut self) -> Parsed<Matcher> {
        let token = self.current;
        let name = match token.kind {
            Kind::Identifier => {
                self.bump()?;
                token.span.of(self.text).to_owned()
            }
            Kind::String => {
                self.bump()?;
                let name = self.quoted_name(token)?;
                if matches!(self.current.kind, Kind::Comma | Kind::RightBrace) {
                    return Ok(Matcher::equal(METRIC_NAME, &name));
                }
                name
            }
            _ => return self.unexpected("label matching", "identifier or \"}\""),
        };
        let op = match self.current.kind {
            Kind::Assign => MatchOp::Equal,
            Kind::Operator(BinaryOp::NotEqual) => MatchOp::NotEqual,
            Kind::Regex => MatchOp::Regex,
            Kind::NotRegex => MatchOp::NotRegex,
            _ if token.kind == Kind::String => {
                return self.unexpected("label matching", "\",\" or \"}\"");
            }
            _ => return self.unexpected("label matching", "label matching operator"),
        };
        self.bump()?;
        if self.current.kind != Kind::String {
            return self.unexpected("label matching", "string");
        }
        let value = self.bump()?;
        let span = token.span.to(value.span);
        let bytes = unquote(value.span.of(self.text));
        // A value that is not UTF-8 is no label's, and its replacement hardly is one's.
        let text = String::from_utf8_lossy(&bytes);
        Matcher::new(&name, op, &text).map_err(|error| {
            let message = format!("error parsing regexp: {error}");
            Box::new(Fault::new(span, message))
        })
    }

    /// The text of a string token that names a label or metric.
    pub(crate) fn quoted_name(&self, token: Token) -> Parsed<String> {
        String::from_utf8(unquote(token.span.of(self.text))).or_else(|error| {
            let name = quote_bytes(error.as_bytes());
            fault(token.span, format!("invalid label name {name}"))
        })
    }
}
