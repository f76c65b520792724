//! The one error of this crate.
//!
//! Input: what a caller, a selector's text or damaged bytes did wrong. Output: which label, which
//! `line:col` or which offset. Strings that come from input are cut before they enter a message.

use std::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was refused, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A label has an empty name.
    EmptyName {
        /// The value that came with it, cut to 64 bytes.
        value: String,
    },
    /// Two labels of one set have the same name.
    DuplicateName {
        /// That name, cut to 64 bytes.
        name: String,
    },
    /// A label set has more pairs than allowed.
    TooManyLabels {
        /// Pairs found.
        count: usize,
        /// Pairs allowed.
        max: usize,
    },
    /// A label name is longer than allowed.
    NameTooLong {
        /// The name, cut to 64 bytes.
        name: String,
        /// Its length in bytes.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A label value is longer than allowed.
    ValueTooLong {
        /// The name of the label, cut to 64 bytes.
        name: String,
        /// Length of its value in bytes.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The text of a selector or of a label set cannot be read.
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        col: usize,
        /// What is wrong there.
        message: String,
    },
    /// A regular expression is not valid RE2 syntax or is above a limit.
    Regex {
        /// The pattern, cut to 64 bytes.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// Series must be added to a writer in label order, each once.
    OutOfOrder {
        /// The label set that came too late, as text cut to 256 bytes.
        labels: String,
    },
    /// The index holds as much as its ids or offsets can name.
    Full {
        /// What has run out.
        what: &'static str,
    },
    /// The bytes of an index are damaged, or are not an index of a known version.
    Damaged(treering_codec::Error),
}

impl Error {
    /// Whether bytes of a file are at fault.
    pub fn is_corruption(&self) -> bool {
        matches!(self, Error::Damaged(_))
    }

    /// Whether a limit was exceeded.
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            Error::TooManyLabels { .. }
                | Error::NameTooLong { .. }
                | Error::ValueTooLong { .. }
                | Error::Full { .. }
        )
    }

    /// For damaged bytes, the offset in the index at which the damage was noticed.
    pub fn offset(&self) -> Option<usize> {
        match self {
            Error::Damaged(error) => Some(error.offset()),
            _ => None,
        }
    }

    /// For text, `(line, column)`, both from 1.
    pub fn position(&self) -> Option<(usize, usize)> {
        match *self {
            Error::Syntax { line, col, .. } => Some((line, col)),
            _ => None,
        }
    }
}

/// `text` cut to at most `max` bytes at a character boundary, for messages.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        if kept.len() + character.len_utf8() > max {
            break;
        }
        kept.push(character);
    }
    kept.push_str("...");
    kept
}

impl From<treering_codec::Error> for Error {
    fn from(error: treering_codec::Error) -> Self {
        Error::Damaged(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::EmptyName { value } => write!(f, "a label with value {value:?} has no name"),
            Error::DuplicateName { name } => write!(f, "label {name:?} is given twice"),
            Error::TooManyLabels { count, max } => {
                write!(f, "{count} labels in one series; at most {max} are allowed")
            }
            Error::NameTooLong { name, len, max } => {
                write!(
                    f,
                    "label name {name:?} has {len} bytes; at most {max} are allowed"
                )
            }
            Error::ValueTooLong { name, len, max } => {
                write!(
                    f,
                    "the value of label {name:?} has {len} bytes; at most {max} are allowed"
                )
            }
            Error::Syntax { line, col, message } => write!(f, "{line}:{col}: {message}"),
            Error::Regex { pattern, message } => {
                write!(f, "regular expression {pattern:?}: {message}")
            }
            Error::OutOfOrder { labels } => {
                write!(
                    f,
                    "series {labels} is not above the one before it; sort by labels first"
                )
            }
            Error::Full { what } => write!(f, "the index is full: no more {what}"),
            Error::Damaged(error) => write!(f, "damaged index: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Damaged(error) => Some(error),
            _ => None,
        }
    }
}
