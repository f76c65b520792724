//! Tokens: the words of the language.
//!
//! Input: none; the lexer makes these. Output: a kind and a place, and how errors name it.
//! Invariant: keywords, operators and aggregations are found in any case.

use super::literal::quote;
use super::operator::{AggregateOp, BinaryOp};
use super::span::Span;

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    End,
    /// A name; with a colon only a metric may have it.
    Identifier,
    MetricIdentifier,
    String,
    Number,
    Duration,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`, also between a label and its value.
    Assign,
    /// `=~` and `!~`, which stand inside braces only.
    Regex,
    NotRegex,
    At,
    Operator(BinaryOp),
    Aggregate(AggregateOp),
    Keyword(Keyword),
}

/// Words with a meaning of their own; most may be metric names too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    Anchored,
    Bool,
    By,
    End,
    Fill,
    FillLeft,
    FillRight,
    GroupLeft,
    GroupRight,
    Ignoring,
    MaxOf,
    MinOf,
    Offset,
    On,
    Range,
    Smoothed,
    Start,
    Step,
    Without,
}

/// Words with a meaning, lower case, and what they are. Sorted.
const WORDS: &[(&str, Kind)] = &[
    ("anchored", Kind::Keyword(Keyword::Anchored)),
    ("and", Kind::Operator(BinaryOp::And)),
    ("atan2", Kind::Operator(BinaryOp::Atan2)),
    ("avg", Kind::Aggregate(AggregateOp::Avg)),
    ("bool", Kind::Keyword(Keyword::Bool)),
    ("bottomk", Kind::Aggregate(AggregateOp::Bottomk)),
    ("by", Kind::Keyword(Keyword::By)),
    ("count", Kind::Aggregate(AggregateOp::Count)),
    ("count_values", Kind::Aggregate(AggregateOp::CountValues)),
    ("end", Kind::Keyword(Keyword::End)),
    ("fill", Kind::Keyword(Keyword::Fill)),
    ("fill_left", Kind::Keyword(Keyword::FillLeft)),
    ("fill_right", Kind::Keyword(Keyword::FillRight)),
    ("group", Kind::Aggregate(AggregateOp::Group)),
    ("group_left", Kind::Keyword(Keyword::GroupLeft)),
    ("group_right", Kind::Keyword(Keyword::GroupRight)),
    ("ignoring", Kind::Keyword(Keyword::Ignoring)),
    ("inf", Kind::Number),
    ("limit_ratio", Kind::Aggregate(AggregateOp::LimitRatio)),
    ("limitk", Kind::Aggregate(AggregateOp::Limitk)),
    ("max", Kind::Aggregate(AggregateOp::Max)),
    ("max_of", Kind::Keyword(Keyword::MaxOf)),
    ("min", Kind::Aggregate(AggregateOp::Min)),
    ("min_of", Kind::Keyword(Keyword::MinOf)),
    ("nan", Kind::Number),
    ("offset", Kind::Keyword(Keyword::Offset)),
    ("on", Kind::Keyword(Keyword::On)),
    ("or", Kind::Operator(BinaryOp::Or)),
    ("quantile", Kind::Aggregate(AggregateOp::Quantile)),
    ("range", Kind::Keyword(Keyword::Range)),
    ("smoothed", Kind::Keyword(Keyword::Smoothed)),
    ("start", Kind::Keyword(Keyword::Start)),
    ("stddev", Kind::Aggregate(AggregateOp::Stddev)),
    ("stdvar", Kind::Aggregate(AggregateOp::Stdvar)),
    ("step", Kind::Keyword(Keyword::Step)),
    ("sum", Kind::Aggregate(AggregateOp::Sum)),
    ("topk", Kind::Aggregate(AggregateOp::Topk)),
    ("unless", Kind::Operator(BinaryOp::Unless)),
    ("without", Kind::Keyword(Keyword::Without)),
];

/// Longest of [`WORDS`].
const WORD_BYTES_MAX: usize = 12;

impl Kind {
    /// What `word` is outside of braces.
    pub(crate) fn of_word(word: &str) -> Kind {
        let mut lower = [0_u8; WORD_BYTES_MAX];
        let found = lower.get_mut(..word.len()).and_then(|lower| {
            lower.copy_from_slice(word.as_bytes());
            lower.make_ascii_lowercase();
            let at = WORDS
                .binary_search_by(|(name, _)| name.as_bytes().cmp(lower))
                .ok()?;
            WORDS.get(at)
        });
        match found {
            Some((_, kind)) => *kind,
            None if word.contains(':') => Kind::MetricIdentifier,
            None => Kind::Identifier,
        }
    }

    /// Whether a metric may have this word for its name.
    pub(crate) fn may_be_metric(self) -> bool {
        match self {
            Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregate(_) => true,
            Kind::Operator(op) => op.is_set(),
            Kind::Keyword(word) => !matches!(
                word,
                Keyword::Bool
                    | Keyword::On
                    | Keyword::Ignoring
                    | Keyword::GroupLeft
                    | Keyword::GroupRight
            ),
            _ => false,
        }
    }

    /// Whether this word may stand in `by (...)` and its like without quotes.
    pub(crate) fn may_be_label(self) -> bool {
        match self {
            Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregate(_) | Kind::Keyword(_) => {
                true
            }
            Kind::Operator(op) => op.is_set() || op == BinaryOp::Atan2,
            _ => false,
        }
    }
}

impl Token {
    /// As errors name it.
    pub(crate) fn describe(self, text: &str) -> String {
        let written = self.span.of(text);
        let shown = match written.char_indices().nth(SHOWN_CHARS_MAX) {
            Some((end, _)) if written.len() > SHOWN_CHARS_MAX => {
                format!("{}...", quote(written.get(..end).unwrap_or_default()))
            }
            _ => quote(written),
        };
        match self.kind {
            Kind::End => "end of input".to_owned(),
            Kind::Identifier => format!("identifier {}", quote(written)),
            Kind::MetricIdentifier => format!("metric identifier {}", quote(written)),
            Kind::String => format!("string {shown}"),
            Kind::Number => format!("number {shown}"),
            Kind::Duration => format!("duration {shown}"),
            Kind::Operator(_) | Kind::At | Kind::Regex | Kind::NotRegex => {
                format!("<op:{written}>")
            }
            Kind::Aggregate(_) => format!("<aggr:{written}>"),
            Kind::Keyword(_) => format!("<{written}>"),
            _ => shown,
        }
    }
}

/// Characters of a string or number that an error shows.
const SHOWN_CHARS_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_in_any_case() {
        assert!(WORDS.is_sorted_by_key(|(word, _)| *word));
        for (word, kind) in WORDS {
            assert!(word.len() <= WORD_BYTES_MAX);
            assert_eq!(Kind::of_word(word), *kind);
            assert_eq!(Kind::of_word(&word.to_uppercase()), *kind);
        }
        assert_eq!(Kind::of_word("rate"), Kind::Identifier);
        assert_eq!(Kind::of_word("a:b"), Kind::MetricIdentifier);
        assert_eq!(
            Kind::of_word("a_very_long_name_of_a_metric"),
            Kind::Identifier
        );
    }
}
