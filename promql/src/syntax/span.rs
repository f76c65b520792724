//! Span: the place of a node in the text of a query.
//!
//! Input: byte offsets. Output: `line:col` as Prometheus writes it. Invariant: columns count bytes,
//! lines and columns begin at 1.

/// A half-open range of bytes, `start..end`, of the text of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The span `start..end`.
    pub fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// From the start of this span to the end of `last`.
    #[must_use]
    pub fn to(self, last: Span) -> Self {
        Self::new(self.start, last.end)
    }

    /// Line and column of the start in `text`, both from 1; the column counts bytes.
    pub fn line_col(self, text: &str) -> (usize, usize) {
        let start = (self.start as usize).min(text.len());
        let before = text.as_bytes().get(..start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let line_start = before.iter().rposition(|byte| *byte == b'\n');
        (line, start - line_start.map_or(0, |at| at + 1) + 1)
    }

    /// The text at this place; "" when the span is not of this text.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}
