//! What may stand between a binary operator and its right operand.
//!
//! Input: the tokens after an operator. Output: `bool`, and how series meet. Invariant: a metric
//! whose name is that of a modifier (`fill`) stays a metric where no parenthesis follows it.

use super::ast::{Cardinality, VectorMatching};
use super::error::{Parsed, fault};
use super::literal::quote;
use super::operator::BinaryOp;
use super::parser::Parser;
use super::token::{Keyword, Kind, Token};

/// The modifiers of a binary operator.
#[derive(Debug, Default)]
pub(crate) struct Modifiers {
    pub(crate) return_bool: bool,
    pub(crate) matching: VectorMatching,
    /// Where the operator with its modifiers ends.
    pub(crate) end: u32,
    /// A token that looked like a modifier and is the name of the right operand.
    pub(crate) metric: Option<Token>,
}

impl Parser<'_> {
    /// `bool`, `on`, `ignoring`, `group_left`, `group_right` and the fill modifiers, in this order.
    pub(crate) fn binary_modifiers(&mut self) -> Parsed<Modifiers> {
        let mut modifiers = Modifiers {
            return_bool: self.eat(Kind::Keyword(Keyword::Bool))?,
            ..Modifiers::default()
        };
        let matching = &mut modifiers.matching;
        if let Kind::Keyword(word @ (Keyword::On | Keyword::Ignoring)) = self.current.kind {
            self.bump()?;
            matching.on = word == Keyword::On;
            matching.labels = self.grouping_labels()?;
            let cardinality = match self.current.kind {
                Kind::Keyword(Keyword::GroupLeft) => Some(Cardinality::ManyToOne),
                Kind::Keyword(Keyword::GroupRight) => Some(Cardinality::OneToMany),
                _ => None,
            };
            if let Some(cardinality) = cardinality {
                self.bump()?;
                matching.cardinality = cardinality;
                if self.current.kind == Kind::LeftParen {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        modifiers.end = self.last_end;
        while let Kind::Keyword(word @ (Keyword::Fill | Keyword::FillLeft | Keyword::FillRight)) =
            self.current.kind
        {
            let token = self.bump()?;
            if self.current.kind != Kind::LeftParen {
                modifiers.metric = Some(token);
                return Ok(modifiers);
            }
            let fill = &mut modifiers.matching.fill;
            let is_taken = match word {
                Keyword::FillLeft => fill.left.is_some(),
                Keyword::FillRight => fill.right.is_some(),
                _ => fill.left.is_some() || fill.right.is_some(),
            };
            if is_taken {
                let message = format!("unexpected {}", token.describe(self.text));
                return fault(token.span, message);
            }
            let value = Some(self.fill_value()?);
            if word != Keyword::FillRight {
                fill.left = value;
            }
            if word != Keyword::FillLeft {
                fill.right = value;
            }
            modifiers.end = self.last_end;
        }
        Ok(modifiers)
    }

    /// A number in parentheses.
    fn fill_value(&mut self) -> Parsed<f64> {
        self.bump()?;
        let is_negative = self.current.kind == Kind::Operator(BinaryOp::Sub);
        if is_negative || self.current.kind == Kind::Operator(BinaryOp::Add) {
            self.bump()?;
        }
        if !matches!(self.current.kind, Kind::Number | Kind::Duration) {
            return self.unexpected_here();
        }
        let token = self.bump()?;
        let (value, _) = self.number(token)?;
        if !self.eat(Kind::RightParen)? {
            return self.unexpected_here();
        }
        Ok(if is_negative { -value } else { value })
    }

    /// Label names in parentheses.
    pub(crate) fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        if !self.eat(Kind::LeftParen)? {
            return self.unexpected("grouping opts", "\"(\"");
        }
        let mut labels = vec![];
        loop {
            if self.current.kind == Kind::RightParen {
                self.bump()?;
                return Ok(labels);
            }
            labels.push(self.grouping_label()?);
            match self.current.kind {
                Kind::RightParen => {}
                Kind::Comma => {
                    self.bump()?;
                }
                _ => return self.unexpected("grouping opts", "\",\" or \")\""),
            }
        }
    }

    fn grouping_label(&mut self) -> Parsed<String> {
        let token = self.current;
        if token.kind.may_be_label() {
            self.bump()?;
            return Ok(token.span.of(self.text).to_owned());
        }
        if token.kind != Kind::String {
            return self.unexpected("grouping opts", "label");
        }
        self.bump()?;
        let name = self.quoted_name(token)?;
        match name.is_empty() {
            true => fault(
                token.span,
                format!("invalid label name {} in grouping", quote("")),
            ),
            false => Ok(name),
        }
    }
}
