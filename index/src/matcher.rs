//! Matcher: one label condition, `=`, `!=`, `=~` or `!~`.
//!
//! Input: a label name, an operator and a value or pattern. Output: whether a label's value meets
//! it. Invariant: a missing label has the value "" (so `{a=""}` and `{a!="x"}` match without the
//! label), and a pattern must match the whole value.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::labels::Labels;
use crate::pattern::Pattern;
use crate::text;

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`: the value is equal.
    Equal,
    /// `!=`: the value is not equal.
    NotEqual,
    /// `=~`: the pattern matches the whole value.
    Regex,
    /// `!~`: the pattern does not match the whole value.
    NotRegex,
}

impl MatchOp {
    /// Whether the condition is of the negated kind, `!=` or `!~`.
    pub fn is_negative(self) -> bool {
        matches!(self, MatchOp::NotEqual | MatchOp::NotRegex)
    }
}

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        })
    }
}

/// One label condition. Patterns are compiled once, when the matcher is made; cloning is cheap.
#[derive(Clone)]
pub struct Matcher {
    name: Arc<str>,
    op: MatchOp,
    value: Arc<str>,
    pattern: Option<Arc<Pattern>>,
}

impl Matcher {
    /// A matcher. For `=~` and `!~`, `value` is a pattern in RE2 syntax; the error says what is
    /// wrong with it. The other two operators never fail.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self> {
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Arc::new(Pattern::new(value)?)),
        };
        Ok(Self {
            name: name.into(),
            op,
            value: value.into(),
            pattern,
        })
    }

    /// `name="value"`.
    pub fn equal(name: &str, value: &str) -> Self {
        Self {
            name: name.into(),
            op: MatchOp::Equal,
            value: value.into(),
            pattern: None,
        }
    }

    /// `name!="value"`.
    pub fn not_equal(name: &str, value: &str) -> Self {
        Self {
            name: name.into(),
            op: MatchOp::NotEqual,
            value: value.into(),
            pattern: None,
        }
    }

    /// The name of the label.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The operator.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or pattern, as given.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label with this value meets the condition; "" stands for a missing label.
    pub fn matches_value(&self, value: &str) -> bool {
        self.positive(value.as_bytes()) != self.op.is_negative()
    }

    /// Whether `labels` meet the condition.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(labels.get(&self.name).unwrap_or_default())
    }

    /// Whether a series without the label meets the condition.
    pub fn matches_missing(&self) -> bool {
        self.matches_value("")
    }

    /// The compiled pattern of `=~` and `!~`.
    pub(crate) fn pattern(&self) -> Option<&Pattern> {
        self.pattern.as_deref()
    }

    /// The condition without its negation.
    pub(crate) fn positive(&self, value: &[u8]) -> bool {
        match &self.pattern {
            Some(pattern) => pattern.is_match(value),
            None => self.value.as_bytes() == value,
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_name(f, &self.name)?;
        write!(f, "{}", self.op)?;
        text::write_quoted(f, &self.value)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
