//! The text form of label sets and selectors, as in PromQL: read and written.
//!
//! Input: text such as `cpu{host="a", "a b"!~'x.*'}`. Output: conditions (name, operator, value),
//! or an error with `line:col`. Invariant: what the writers print, the readers read back as the
//! same thing. Grammar: <https://prometheus.io/docs/prometheus/latest/querying/basics/>.

use std::fmt::{self, Write as _};

use crate::error::{Error, Result, cut};
use crate::labels::{Labels, METRIC_NAME};
use crate::limits::{MAX_MATCHERS, MAX_TEXT_BYTES};
use crate::matcher::MatchOp;

/// One condition as written.
#[derive(Debug)]
pub(crate) struct Condition {
    /// Name of the label.
    pub(crate) name: String,
    /// How it is compared.
    pub(crate) op: MatchOp,
    /// With what.
    pub(crate) value: String,
    /// Byte offset of the value in the text, for errors about it.
    pub(crate) at: usize,
}

/// Reads a selector's conditions.
pub(crate) fn parse_conditions(text: &str) -> Result<Vec<Condition>> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!(
            "the text has {} bytes; at most {MAX_TEXT_BYTES}",
            text.len()
        );
        return Err(Error::Syntax {
            line: 1,
            col: 1,
            message,
        });
    }
    Scanner { text, at: 0 }.conditions()
}

/// Reads a label set: like a selector with `=` only.
pub(crate) fn parse_labels(text: &str) -> Result<Labels> {
    let mut pairs = Vec::new();
    for condition in parse_conditions(text)? {
        if condition.op != MatchOp::Equal {
            let message = format!("labels have values: expected =, found {}", condition.op);
            return Err(syntax(text, condition.at, message));
        }
        pairs.push((condition.name, condition.value));
    }
    Labels::from_pairs(pairs)
}

/// A syntax error at byte `at` of `text`.
pub(crate) fn syntax(text: &str, at: usize, message: impl Into<String>) -> Error {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let col = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    Error::Syntax {
        line,
        col,
        message: message.into(),
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(syntax(self.text, self.at, message))
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// What stands here, for messages.
    fn found(&self) -> String {
        match self.peek() {
            Some(character) => format!("found {character:?}"),
            None => "the text ends".to_owned(),
        }
    }

    fn conditions(&mut self) -> Result<Vec<Condition>> {
        let mut conditions = Vec::new();
        self.skip_space();
        let at = self.at;
        let metric = self.identifier(true);
        if let Some(name) = metric {
            conditions.push(Condition::metric(name.to_owned(), at));
        }
        if self.eat("{") {
            self.braces(&mut conditions, metric.is_some())?;
        } else if metric.is_none() {
            return self.error(format!("expected a metric name or {{; {}", self.found()));
        }
        self.skip_space();
        if self.peek().is_some() {
            return self.error(format!("expected the end; {}", self.found()));
        }
        Ok(conditions)
    }

    fn braces(&mut self, conditions: &mut Vec<Condition>, mut named: bool) -> Result<()> {
        while !self.eat("}") {
            if conditions.len() >= MAX_MATCHERS {
                return self.error(format!("more than {MAX_MATCHERS} conditions"));
            }
            let at = self.at;
            let condition = self.condition()?;
            if condition.name == METRIC_NAME && named {
                return Err(syntax(self.text, at, "the metric name is given twice"));
            }
            named |= condition.at == at;
            conditions.push(condition);
            if !self.eat(",") {
                if self.eat("}") {
                    return Ok(());
                }
                return self.error(format!("expected , or }}; {}", self.found()));
            }
        }
        Ok(())
    }

    /// `name op "value"`, or a quoted metric name alone.
    fn condition(&mut self) -> Result<Condition> {
        let at = self.at;
        let quoted = matches!(self.peek(), Some('"' | '\'' | '`'));
        let name = if quoted {
            self.string()?
        } else if let Some(name) = self.identifier(false) {
            name.to_owned()
        } else {
            return self.error(format!("expected a label name; {}", self.found()));
        };
        if name.is_empty() {
            return Err(syntax(self.text, at, "a label name cannot be empty"));
        }
        self.skip_space();
        if quoted && matches!(self.peek(), Some(',' | '}')) {
            return Ok(Condition::metric(name, at));
        }
        let op = self.operator()?;
        self.skip_space();
        let at = self.at;
        if !matches!(self.peek(), Some('"' | '\'' | '`')) {
            return self.error(format!("expected a quoted value; {}", self.found()));
        }
        Ok(Condition {
            name,
            op,
            value: self.string()?,
            at,
        })
    }

    fn operator(&mut self) -> Result<MatchOp> {
        for (token, op) in [
            ("=~", MatchOp::Regex),
            ("!~", MatchOp::NotRegex),
            ("!=", MatchOp::NotEqual),
            ("=", MatchOp::Equal),
        ] {
            if self.eat(token) {
                return Ok(op);
            }
        }
        self.error(format!("expected one of = != =~ !~; {}", self.found()))
    }

    fn identifier(&mut self, metric: bool) -> Option<&'a str> {
        let rest = self.rest();
        let end = rest
            .bytes()
            .position(|byte| !is_name_byte(byte, metric))
            .unwrap_or(rest.len());
        let name = rest.get(..end).filter(|name| is_plain_name(name, metric))?;
        self.at += end;
        Some(name)
    }

    /// A string in one of Go's three quotes; backquoted ones have no escapes.
    fn string(&mut self) -> Result<String> {
        let start = self.at;
        let quote = self.peek().unwrap_or('"');
        self.at += quote.len_utf8();
        let mut out: Vec<u8> = Vec::new();
        loop {
            let Some(character) = self.peek() else {
                return Err(syntax(self.text, start, "this string has no end"));
            };
            if character == quote {
                self.at += 1;
                break;
            }
            match character {
                '\n' if quote != '`' => return self.error("a line ends inside a string"),
                '\\' if quote != '`' => self.escape(quote, &mut out)?,
                _ => {
                    self.at += character.len_utf8();
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        String::from_utf8(out)
            .map_err(|_| syntax(self.text, start, "the escapes of this string are not UTF-8"))
    }

    /// One escape sequence as in Go: <https://go.dev/ref/spec#String_literals>.
    fn escape(&mut self, quote: char, out: &mut Vec<u8>) -> Result<()> {
        let start = self.at;
        self.at += 1;
        let Some(kind) = self.peek() else {
            return self.error("the text ends inside an escape");
        };
        let (skip, digits, radix) = match kind {
            'x' => (1, 2, 16),
            'u' => (1, 4, 16),
            'U' => (1, 8, 16),
            '0'..='7' => (0, 3, 8),
            _ => (1, 0, 0),
        };
        self.at += kind.len_utf8() * skip;
        if digits == 0 {
            let byte = match kind {
                'a' => 7,
                'b' => 8,
                'f' => 12,
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                'v' => 11,
                '\\' => b'\\',
                _ if kind == quote => kind as u8,
                _ => return Err(syntax(self.text, start, format!("unknown escape \\{kind}"))),
            };
            out.push(byte);
            return Ok(());
        }
        let written = self.rest().get(..digits).unwrap_or_default();
        let valid = written.len() == digits && written.chars().all(|c| c.is_digit(radix));
        let number = u32::from_str_radix(written, radix).ok().filter(|_| valid);
        self.at += digits;
        match (number, kind) {
            (Some(code), 'u' | 'U') => match char::from_u32(code) {
                Some(character) => {
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                None => return Err(syntax(self.text, start, "an escape names no character")),
            },
            (Some(byte @ 0..=255), _) => out.push(byte as u8),
            _ => return Err(syntax(self.text, start, "an escape has wrong digits")),
        }
        Ok(())
    }
}

impl Condition {
    fn metric(value: String, at: usize) -> Self {
        Self {
            name: METRIC_NAME.to_owned(),
            op: MatchOp::Equal,
            value,
            at,
        }
    }
}

fn is_name_byte(byte: u8, metric: bool) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || (metric && byte == b':')
}

/// Whether `name` needs no quotes: as a metric name, or as a label name.
pub(crate) fn is_plain_name(name: &str, metric: bool) -> bool {
    name.bytes()
        .next()
        .is_some_and(|byte| !byte.is_ascii_digit())
        && name.bytes().all(|byte| is_name_byte(byte, metric))
}

/// Writes `text` in double quotes, so that [`parse_conditions`] reads it back.
pub(crate) fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\0'..='\x1f' | '\x7f' => write!(f, "\\x{:02x}", character as u32)?,
            _ => f.write_char(character)?,
        }
    }
    f.write_char('"')
}

/// Writes a label name, in quotes where it needs them.
pub(crate) fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if is_plain_name(name, false) {
        f.write_str(name)
    } else {
        write_quoted(f, name)
    }
}

/// Writes `metric{a="b"}`, `{"my.metric", a="b"}` or `{a="b"}`; `{}` for the empty set.
pub(crate) fn write_labels(f: &mut fmt::Formatter<'_>, labels: &Labels) -> fmt::Result {
    let metric = labels.name();
    let plain = metric.filter(|name| is_plain_name(name, true));
    f.write_str(plain.unwrap_or_default())?;
    if plain.is_some() && labels.len() == 1 {
        return Ok(());
    }
    f.write_char('{')?;
    let mut first = true;
    if let (None, Some(name)) = (plain, metric) {
        write_quoted(f, name)?;
        first = false;
    }
    for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
        if !first {
            f.write_str(", ")?;
        }
        first = false;
        write_name(f, name)?;
        f.write_char('=')?;
        write_quoted(f, value)?;
    }
    f.write_char('}')
}

/// `labels` as text of at most `max` bytes, for errors.
pub(crate) fn short_text(labels: &Labels, max: usize) -> String {
    cut(&labels.to_string(), max)
}
