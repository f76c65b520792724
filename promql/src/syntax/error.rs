//! The error of reading a query.
//!
//! Input: a place and a message. Output: `line:col: parse error: message`, as Prometheus writes it.
//! Invariant: pieces of the text in a message are cut to a bounded length.

use std::fmt;

use super::span::Span;

/// Why a text is not a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Where.
    pub span: Span,
    /// Line from 1; 0 when there is no text at all.
    pub line: usize,
    /// Column in bytes, from 1.
    pub col: usize,
    /// What is wrong, without the place.
    pub message: String,
}

impl ParseError {
    /// An error at `span` of `text`.
    pub(crate) fn new(text: &str, span: Span, message: impl Into<String>) -> Self {
        let (line, col) = match text.is_empty() {
            true => (0, 0),
            false => span.line_col(text),
        };
        Self {
            span,
            line,
            col,
            message: message.into(),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str("unknown position")?,
            line => write!(f, "{line}:{}", self.col)?,
        }
        write!(f, ": parse error: {}", self.message)
    }
}

impl std::error::Error for ParseError {}

/// What went wrong while the text is not at hand to say the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where.
    pub(crate) span: Span,
    /// What.
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
        }
    }

    pub(crate) fn of(self, text: &str) -> ParseError {
        ParseError::new(text, self.span, self.message)
    }
}

/// `Result` with a [`Fault`].
pub(crate) type Parsed<T> = Result<T, Box<Fault>>;

/// A failed [`Parsed`].
pub(crate) fn fault<T>(span: Span, message: impl Into<String>) -> Parsed<T> {
    Err(Box::new(Fault::new(span, message)))
}
