//! Selector: several matchers, all of which a series must meet.
//!
//! Input: text such as `cpu{host=~"a.*"}`, or calls of the builder. Output: the matchers, which an
//! index answers and [`Selector::matches`] answers for one label set. Invariant: an index gives
//! exactly the series for which `matches` is true.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::labels::{Labels, METRIC_NAME};
use crate::matcher::{MatchOp, Matcher};
use crate::text;

/// Several matchers; all must hold. No matchers: everything.
///
/// ```
/// use treering_index::{Selector, labels};
/// let selector = Selector::parse(r#"cpu{host=~"a.*", dc!="x"}"#)?;
/// assert!(selector.matches(&labels! { "__name__" => "cpu", "host" => "a1" }));
/// assert!(!selector.matches(&labels! { "__name__" => "cpu", "host" => "b1" }));
/// # Ok::<(), treering_index::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Selector {
    matchers: Vec<Matcher>,
}

impl Selector {
    /// The selector of every series, `{}`.
    pub fn all() -> Self {
        Self::default()
    }

    /// The selector of one metric name.
    pub fn metric(name: &str) -> Self {
        Self::all().eq(METRIC_NAME, name)
    }

    /// The selector of exactly these matchers.
    pub fn from_matchers(matchers: Vec<Matcher>) -> Self {
        Self { matchers }
    }

    /// Reads PromQL's form: `cpu{host=~"a.*"}`, `{"my.metric", "a b"="c"}`, `{}`. Errors carry
    /// `line:col`; an invalid pattern is reported at the place of its string.
    pub fn parse(text: &str) -> Result<Self> {
        let mut matchers = Vec::new();
        for condition in text::parse_conditions(text)? {
            let matcher = Matcher::new(&condition.name, condition.op, &condition.value)
                .map_err(|error| text::syntax(text, condition.at, error.to_string()))?;
            matchers.push(matcher);
        }
        Ok(Self { matchers })
    }

    /// Adds `name="value"`.
    #[must_use]
    pub fn eq(mut self, name: &str, value: &str) -> Self {
        self.matchers.push(Matcher::equal(name, value));
        self
    }

    /// Adds `name!="value"`.
    #[must_use]
    pub fn ne(mut self, name: &str, value: &str) -> Self {
        self.matchers.push(Matcher::not_equal(name, value));
        self
    }

    /// Adds `name=~"pattern"`; refuses an invalid pattern.
    pub fn regex(mut self, name: &str, pattern: &str) -> Result<Self> {
        self.matchers
            .push(Matcher::new(name, MatchOp::Regex, pattern)?);
        Ok(self)
    }

    /// Adds `name!~"pattern"`; refuses an invalid pattern.
    pub fn not_regex(mut self, name: &str, pattern: &str) -> Result<Self> {
        self.matchers
            .push(Matcher::new(name, MatchOp::NotRegex, pattern)?);
        Ok(self)
    }

    /// The matchers, in the order given.
    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }

    /// Whether `labels` meet every matcher.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels))
    }

    /// Whether every matcher accepts a missing label: such a selector reads much or all of a
    /// database (PromQL refuses it).
    pub fn matches_everything(&self) -> bool {
        self.matchers.iter().all(Matcher::matches_missing)
    }
}

impl fmt::Display for Selector {
    /// PromQL's form; [`Selector::parse`] reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self
            .matchers
            .iter()
            .filter(|matcher| matcher.name() == METRIC_NAME);
        let metric = match (names.next(), names.next()) {
            (Some(only), None) if only.op() == MatchOp::Equal => Some(only),
            _ => None,
        };
        let plain = metric.filter(|metric| text::is_plain_name(metric.value(), true));
        if let Some(metric) = plain {
            f.write_str(metric.value())?;
            if self.matchers.len() == 1 {
                return Ok(());
            }
        }
        f.write_char('{')?;
        let mut first = true;
        let others = self
            .matchers
            .iter()
            .filter(|m| plain.is_none() || m.name() != METRIC_NAME);
        for matcher in others {
            if !first {
                f.write_char(',')?;
            }
            first = false;
            write!(f, "{matcher}")?;
        }
        f.write_char('}')
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}
