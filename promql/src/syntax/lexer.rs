//! Lexer: text to tokens, one at a time.
//!
//! Input: the text of a query. Output: the next [`Token`], or what is wrong there in Prometheus'
//! words. Invariant: every call takes at least one byte or gives the end, so a parser that stops at
//! the end stops; a token's span lies on character boundaries.

use super::error::{Parsed, fault};
use super::literal::quote_char;
use super::operator::BinaryOp;
use super::span::Span;
use super::token::{Kind, Token};

/// Where the lexer stands. What a character means depends on the brackets around it.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Where the token that is being read begins.
    start: usize,
    in_braces: bool,
    in_brackets: bool,
    paren_depth: usize,
    /// Seen since the left bracket.
    has_colon: bool,
    has_duration: bool,
}

impl<'a> Lexer<'a> {
    /// At the beginning of `text`, which must be shorter than 4 GiB.
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            start: 0,
            in_braces: false,
            in_brackets: false,
            paren_depth: 0,
            has_colon: false,
            has_duration: false,
        }
    }

    /// The next token; spaces and comments are passed over.
    pub(crate) fn token(&mut self) -> Parsed<Token> {
        self.skip_space();
        self.start = self.at;
        let kind = if self.in_braces {
            self.inside_braces()?
        } else if self.in_brackets {
            self.inside_brackets()?
        } else {
            self.outside()?
        };
        Ok(Token {
            kind,
            span: self.span(),
        })
    }

    fn span(&self) -> Span {
        Span::new(self.start as u32, self.at as u32)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        match self.text.as_bytes().get(self.at) {
            Some(byte) if byte.is_ascii() => Some(char::from(*byte)),
            Some(_) => self.rest().chars().next(),
            None => None,
        }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += next.map_or(0, char::len_utf8);
        next
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn is_next(&self, wanted: &str) -> bool {
        self.peek().is_some_and(|next| wanted.contains(next))
    }

    /// Takes one of `wanted`.
    fn eat_any(&mut self, wanted: &str) -> bool {
        let found = self.is_next(wanted);
        if found {
            self.next();
        }
        found
    }

    fn eat_digits(&mut self) -> bool {
        let before = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.at > before
    }

    fn skip_space(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\n' | '\r') => self.at += 1,
                // Inside brackets, Prometheus reads no comments.
                Some('#') if !self.in_brackets => {
                    self.at += self.rest().find(['\n', '\r']).unwrap_or(self.rest().len());
                }
                _ => return,
            }
        }
    }

    fn wrong<T>(&self, message: impl Into<String>) -> Parsed<T> {
        fault(self.span(), message)
    }

    fn outside(&mut self) -> Parsed<Kind> {
        let Some(first) = self.next() else {
            return match self.paren_depth {
                0 => Ok(Kind::End),
                _ => self.wrong("unclosed left parenthesis"),
            };
        };
        if is_alpha(first) || first == ':' {
            return Ok(self.word());
        }
        Ok(match first {
            ',' => Kind::Comma,
            '@' => Kind::At,
            '(' => self.open_paren(),
            ')' => self.close_paren()?,
            '{' => {
                self.in_braces = true;
                Kind::LeftBrace
            }
            '[' => {
                self.in_brackets = true;
                self.has_colon = false;
                self.has_duration = false;
                Kind::LeftBracket
            }
            ']' => return self.wrong("unexpected right bracket ']'"),
            '"' | '\'' => self.string(first)?,
            '`' => self.raw_string()?,
            '0'..='9' => self.number_or_duration()?,
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => self.number_or_duration()?,
            '<' if self.eat('/') => Kind::Operator(BinaryOp::TrimUpper),
            '<' if self.eat('=') => Kind::Operator(BinaryOp::LessOrEqual),
            '<' => Kind::Operator(BinaryOp::Less),
            '>' if self.eat('/') => Kind::Operator(BinaryOp::TrimLower),
            '>' if self.eat('=') => Kind::Operator(BinaryOp::GreaterOrEqual),
            '>' => Kind::Operator(BinaryOp::Greater),
            '=' if self.eat('=') => Kind::Operator(BinaryOp::Equal),
            '=' if self.peek() == Some('~') => {
                return self.wrong("unexpected character after '=': '~'");
            }
            '=' => Kind::Assign,
            '!' => match self.next() {
                Some('=') => Kind::Operator(BinaryOp::NotEqual),
                other => {
                    let other = quote_char(other);
                    return self.wrong(format!("unexpected character after '!': {other}"));
                }
            },
            _ => match arithmetic(first) {
                Some(op) => Kind::Operator(op),
                None => {
                    let first = quote_char(Some(first));
                    return self.wrong(format!("unexpected character: {first}"));
                }
            },
        })
    }

    fn open_paren(&mut self) -> Kind {
        self.paren_depth += 1;
        Kind::LeftParen
    }

    fn close_paren(&mut self) -> Parsed<Kind> {
        match self.paren_depth.checked_sub(1) {
            Some(depth) => self.paren_depth = depth,
            None => return self.wrong("unexpected right parenthesis ')'"),
        }
        Ok(Kind::RightParen)
    }

    /// The rest of a name or keyword.
    fn word(&mut self) -> Kind {
        while self.peek().is_some_and(|c| is_alphanumeric(c) || c == ':') {
            self.at += 1;
        }
        Kind::of_word(self.span().of(self.text))
    }

    fn inside_braces(&mut self) -> Parsed<Kind> {
        let Some(first) = self.next() else {
            return self.wrong("unexpected end of input inside braces");
        };
        Ok(match first {
            ',' => Kind::Comma,
            '"' | '\'' => self.string(first)?,
            '`' => self.raw_string()?,
            '=' if self.eat('~') => Kind::Regex,
            '=' => Kind::Assign,
            '!' => match self.next() {
                Some('~') => Kind::NotRegex,
                Some('=') => Kind::Operator(BinaryOp::NotEqual),
                other => {
                    let other = quote_char(other);
                    let message = format!("unexpected character after '!' inside braces: {other}");
                    return self.wrong(message);
                }
            },
            '{' => return self.wrong("unexpected left brace '{'"),
            '}' => {
                self.in_braces = false;
                Kind::RightBrace
            }
            _ if is_alpha(first) => {
                while self.peek().is_some_and(is_alphanumeric) {
                    self.at += 1;
                }
                Kind::Identifier
            }
            _ => {
                let first = quote_char(Some(first));
                return self.wrong(format!("unexpected character inside braces: {first}"));
            }
        })
    }

    /// A duration expression between brackets.
    fn inside_brackets(&mut self) -> Parsed<Kind> {
        let Some(first) = self.next() else {
            return self.wrong("unexpected end of input in duration expression");
        };
        Ok(match first {
            ']' => {
                self.in_brackets = false;
                Kind::RightBracket
            }
            ':' if !self.has_duration => {
                return self.wrong("unexpected colon before duration in duration expression");
            }
            ':' if self.has_colon => {
                return self.wrong("unexpected repeated colon in duration expression");
            }
            ':' => {
                self.has_colon = true;
                Kind::Colon
            }
            '(' => self.open_paren(),
            ')' => self.close_paren()?,
            ',' => Kind::Comma,
            '0'..='9' => self.length()?,
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => self.length()?,
            _ if is_alpha(first) => self.bracket_word(first)?,
            _ => match arithmetic(first) {
                Some(op) => Kind::Operator(op),
                None => return self.wrong_in_brackets(first),
            },
        })
    }

    fn length(&mut self) -> Parsed<Kind> {
        self.has_duration = true;
        self.number_or_duration()
    }

    /// `step`, `range`, `min_of` or `max_of`; no other word stands in brackets.
    fn bracket_word(&mut self, first: char) -> Parsed<Kind> {
        use super::token::Keyword::{MaxOf, MinOf, Range, Step};
        let after_first = self.at;
        match self.word() {
            kind @ Kind::Keyword(Step | Range | MinOf | MaxOf) => {
                self.has_duration = true;
                Ok(kind)
            }
            _ => {
                self.at = after_first;
                self.wrong_in_brackets(first)
            }
        }
    }

    fn wrong_in_brackets(&self, first: char) -> Parsed<Kind> {
        let first = quote_char(Some(first));
        self.wrong(format!(
            "unexpected character in duration expression: {first}"
        ))
    }

    fn number_or_duration(&mut self) -> Parsed<Kind> {
        self.at = self.start;
        if self.scan_number() {
            return Ok(Kind::Number);
        }
        if self.scan_duration() {
            return Ok(Kind::Duration);
        }
        let written = super::literal::quote(self.span().of(self.text));
        self.wrong(format!("bad number or duration syntax: {written}"))
    }

    /// Takes what looks like a number; false when what follows cannot follow one.
    fn scan_number(&mut self) -> bool {
        let is_hex = self.rest().starts_with("0x") || self.rest().starts_with("0X");
        if is_hex {
            self.at += 2;
        }
        let digits = match is_hex {
            true => "0123456789abcdefABCDEF",
            false => "0123456789",
        };
        let mut has_dot = false;
        let mut has_exponent = false;
        loop {
            // What cannot follow a dot, an underscore or an exponent ends the number right there.
            if self.eat('.') {
                if has_dot || has_exponent || self.is_next("._") {
                    return false;
                }
                has_dot = true;
            } else if self.eat('_') {
                if self.is_next("._eE") || self.peek().is_none() {
                    return false;
                }
            } else if !is_hex && self.eat_any("eE") {
                let before_sign = self.is_next("._eE") || self.peek().is_none();
                if has_exponent || before_sign {
                    return false;
                }
                if self.eat_any("+-") && (self.is_next("._eE") || self.peek().is_none()) {
                    return false;
                }
                has_exponent = true;
            } else if !self.eat_any(digits) {
                break;
            }
        }
        !self.peek().is_some_and(is_alphanumeric)
    }

    /// Takes the units after the first number of a duration, and the other parts of it.
    fn scan_duration(&mut self) -> bool {
        if !self.eat_any("smhdwy") {
            return false;
        }
        self.eat('s');
        while self.eat_digits() {
            if !self.eat_any("smhdw") {
                return false;
            }
            self.eat('s');
        }
        let ends = !self.peek().is_some_and(is_alphanumeric);
        if !ends {
            // The message shows the character that does not fit.
            self.next();
        }
        ends
    }

    /// The rest of a string with escapes, after its quote.
    fn string(&mut self, quote: char) -> Parsed<Kind> {
        loop {
            match self.next() {
                None | Some('\n') => return self.wrong("unterminated quoted string"),
                Some('\\') => self.escape(quote)?,
                Some(next) if next == quote => return Ok(Kind::String),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self) -> Parsed<Kind> {
        loop {
            match self.next() {
                None => return self.wrong("unterminated raw string"),
                Some('`') => return Ok(Kind::String),
                Some(_) => {}
            }
        }
    }

    /// Checks one escape after its backslash.
    fn escape(&mut self, quote: char) -> Parsed<()> {
        let kind = self.peek();
        let (skip, count, radix, max) = match kind {
            None => return self.wrong("escape sequence not terminated"),
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => (1, 0, 0, 0),
            Some(next) if next == quote => (1, 0, 0, 0),
            Some('0'..='7') => (0, 3, 8, 255),
            Some('x') => (1, 2, 16, 255),
            Some('u') => (1, 4, 16, 0x10_ffff),
            Some('U') => (1, 8, 16, 0x10_ffff),
            Some(next) => {
                return self.wrong(format!("unknown escape sequence {}", code_point(next)));
            }
        };
        self.at += skip;
        let mut code = 0_u32;
        for _ in 0..count {
            let Some(next) = self.next() else {
                return self.wrong("escape sequence not terminated");
            };
            let Some(digit) = next.to_digit(radix) else {
                let next = code_point(next);
                return self.wrong(format!("illegal character {next} in escape sequence"));
            };
            code = code.saturating_mul(radix).saturating_add(digit);
        }
        match code > max || (0xd800..0xe000).contains(&code) {
            true => self.wrong("escape sequence is an invalid Unicode code point"),
            false => Ok(()),
        }
    }
}

fn arithmetic(character: char) -> Option<BinaryOp> {
    Some(match character {
        '+' => BinaryOp::Add,
        '-' => BinaryOp::Sub,
        '*' => BinaryOp::Mul,
        '/' => BinaryOp::Div,
        '%' => BinaryOp::Mod,
        '^' => BinaryOp::Pow,
        _ => return None,
    })
}

/// As Go's `%#U`: `U+0063 'c'`.
fn code_point(character: char) -> String {
    let code = u32::from(character);
    match character.is_control() {
        true => format!("U+{code:04X}"),
        false => format!("U+{code:04X} '{character}'"),
    }
}

fn is_alpha(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_'
}

fn is_alphanumeric(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}
