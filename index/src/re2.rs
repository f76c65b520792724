//! RE2's dialect in terms of the regular expressions of `regex-syntax`.
//!
//! Input: a pattern as RE2 and Go read it, <https://github.com/google/re2/wiki/Syntax>. Output: a
//! pattern that means the same to `regex-syntax`, or what RE2 has against it. Invariant: characters
//! that only `regex-syntax` finds special leave here escaped, and classes leave here as ASCII.

use std::fmt::Write as _;

/// Most repetitions that `{n,m}` may ask for.
const MAX_REPEAT: u32 = 1000;
/// The names of `[[:name:]]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Translates `pattern`, or says what is wrong with it.
pub(crate) fn translate(pattern: &str) -> Result<String, String> {
    translated(pattern, false)
}

/// As [`translate`], with groups that catch what they match.
pub(crate) fn translate_catching(pattern: &str) -> Result<String, String> {
    translated(pattern, true)
}

fn translated(pattern: &str, catches: bool) -> Result<String, String> {
    let mut translator = Translator {
        rest: pattern,
        out: String::with_capacity(pattern.len() + 16),
        names: vec![],
        catches,
    };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    /// Names of groups seen.
    names: Vec<&'a str>,
    /// Whether groups catch what they match.
    catches: bool,
}

/// One escape sequence.
enum Escape {
    Char(char),
    /// The inside of a class, and whether it is negated.
    Class(String, bool),
}

impl<'a> Translator<'a> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self, character: char) {
        // Writing to a String cannot fail.
        let _ = write!(self.out, "\\x{{{:x}}}", u32::from(character));
    }

    fn run(&mut self) -> Result<(), String> {
        let mut repeated = false;
        while let Some(character) = self.next() {
            let repeats = match character {
                '*' | '+' | '?' => {
                    self.out.push(character);
                    true
                }
                '{' => self.repetition()?,
                _ => false,
            };
            if repeats && repeated {
                return Err("a repetition of a repetition; put the inner one in a group".into());
            }
            repeated = repeats;
            if repeats {
                // Whether a repetition is lazy does not matter here.
                self.eat("?");
                continue;
            }
            match character {
                '{' => self.literal('{'),
                '\\' => self.escape_outside()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '.' | '^' | '$' | '|' | ')' => self.out.push(character),
                _ if character.is_alphanumeric() => self.out.push(character),
                _ => self.literal(character),
            }
        }
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}` after its brace; anything else leaves the brace a literal.
    fn repetition(&mut self) -> Result<bool, String> {
        let Some((inside, rest)) = self.rest.split_once('}') else {
            return Ok(false);
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (least, most) = match inside.split_once(',') {
            None => (inside, Some(inside)),
            Some((least, "")) => (least, None),
            Some((least, most)) => (least, Some(most)),
        };
        if !digits(least) || !most.is_none_or(digits) {
            return Ok(false);
        }
        let number = |text: &str| {
            text.parse::<u32>()
                .ok()
                .filter(|count| *count <= MAX_REPEAT)
        };
        let too_many = || format!("more than {MAX_REPEAT} repetitions in {{{inside}}}");
        let least = number(least).ok_or_else(too_many)?;
        if let Some(most) = most
            && number(most).ok_or_else(too_many)? < least
        {
            return Err(format!("the repetition {{{inside}}} ends below its start"));
        }
        let _ = write!(self.out, "{{{inside}}}");
        self.rest = rest;
        Ok(true)
    }

    /// A group after its parenthesis. Nothing is captured, so groups lose their names.
    fn group(&mut self) -> Result<(), String> {
        if !self.eat("?") {
            self.out.push_str(if self.catches { "(" } else { "(?:" });
            return Ok(());
        }
        if self.eat("P<") || self.eat("<") {
            let (name, rest) = self
                .rest
                .split_once('>')
                .ok_or("a group name without an end")?;
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(word) {
                return Err("a group name may have letters, digits and _ only".into());
            }
            if self.names.contains(&name) {
                return Err(format!("two groups have the name {name}"));
            }
            self.names.push(name);
            self.rest = rest;
            match self.catches {
                // Writing to a String cannot fail.
                true => drop(write!(self.out, "(?P<{name}>")),
                false => self.out.push_str("(?:"),
            }
            return Ok(());
        }
        let end = self.rest.find([':', ')']).ok_or("a group without an end")?;
        let (flags, rest) = self
            .rest
            .split_at_checked(end)
            .ok_or("a group without an end")?;
        if let Some(unknown) = flags.chars().find(|flag| !"imsU-".contains(*flag)) {
            return Err(format!("unknown group or flag (?{unknown}"));
        }
        let _ = write!(self.out, "(?{flags}");
        self.rest = rest;
        // The colon or parenthesis goes with it, so that run() does not see it.
        let end = self.next().unwrap_or(')');
        self.out.push(end);
        Ok(())
    }

    fn escape_outside(&mut self) -> Result<(), String> {
        for (token, meaning) in [
            ("A", "\\A"),
            ("z", "\\z"),
            ("b", "(?-u:\\b)"),
            ("B", "(?-u:\\B)"),
        ] {
            if self.eat(token) {
                self.out.push_str(meaning);
                return Ok(());
            }
        }
        if self.eat("Q") {
            let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
            quoted.chars().for_each(|character| self.literal(character));
            self.rest = rest;
            return Ok(());
        }
        match self.escape()? {
            Escape::Char(character) => self.literal(character),
            Escape::Class(inside, negated) => {
                let _ = write!(self.out, "[{}{inside}]", if negated { "^" } else { "" });
            }
        }
        Ok(())
    }

    /// What follows a backslash, inside a class or outside.
    fn escape(&mut self) -> Result<Escape, String> {
        let kind = self.next().ok_or("a backslash at the end")?;
        let class = |inside: &str, negated| Ok(Escape::Class(inside.to_owned(), negated));
        let character = match kind {
            'd' | 'D' => return class("0-9", kind == 'D'),
            'w' | 'W' => return class("0-9A-Za-z_", kind == 'W'),
            's' | 'S' => return class("\\t\\n\\x0C\\r\\x20", kind == 'S'),
            'p' | 'P' => return self.property(kind == 'P'),
            'a' => '\x07',
            'f' => '\x0c',
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'v' => '\x0b',
            'x' => self.hexadecimal()?,
            '0'..='7' => self.octal(kind)?,
            _ if kind.is_ascii() && !kind.is_ascii_alphanumeric() => kind,
            _ => return Err(format!("unknown escape \\{kind}")),
        };
        Ok(Escape::Char(character))
    }

    fn property(&mut self, negated: bool) -> Result<Escape, String> {
        let name = if self.eat("{") {
            let (name, rest) = self.rest.split_once('}').ok_or("\\p{ without an end")?;
            self.rest = rest;
            name
        } else {
            let len = self.rest.chars().next().map_or(0, char::len_utf8);
            let (name, rest) = self.rest.split_at_checked(len).unwrap_or_default();
            self.rest = rest;
            name
        };
        let (name, inverted) = name
            .strip_prefix('^')
            .map_or((name, false), |name| (name, true));
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("unknown character class \\p{{{name}}}"));
        }
        Ok(Escape::Class(format!("\\p{{{name}}}"), negated != inverted))
    }

    fn hexadecimal(&mut self) -> Result<char, String> {
        let digits = if self.eat("{") {
            let (digits, rest) = self.rest.split_once('}').ok_or("\\x{ without an end")?;
            self.rest = rest;
            digits
        } else {
            let (digits, rest) = self
                .rest
                .split_at_checked(2)
                .ok_or("\\x without two digits")?;
            self.rest = rest;
            digits
        };
        let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let code = u32::from_str_radix(digits, 16).ok().filter(|_| valid);
        code.and_then(char::from_u32)
            .ok_or_else(|| format!("\\x{digits} names no character"))
    }

    /// Up to three octal digits; a single one but 0 would be a backreference, which RE2 lacks.
    fn octal(&mut self, first: char) -> Result<char, String> {
        let mut code = first.to_digit(8).unwrap_or(0);
        let mut digits = 1;
        while digits < 3
            && let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8))
        {
            self.next();
            code = code * 8 + digit;
            digits += 1;
        }
        if digits == 1 && first != '0' {
            return Err(format!(
                "backreferences such as \\{first} are not supported"
            ));
        }
        char::from_u32(code).ok_or_else(|| "an octal escape names no character".to_owned())
    }

    /// A class after its bracket.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.eat("^") {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            if self.rest.is_empty() {
                return Err("a class without an end".into());
            }
            if !first && self.eat("]") {
                self.out.push(']');
                return Ok(());
            }
            first = false;
            if self.posix()? {
                continue;
            }
            let low = match self.class_char()? {
                Escape::Char(low) => low,
                Escape::Class(inside, negated) => {
                    let _ = write!(self.out, "[{}{inside}]", if negated { "^" } else { "" });
                    continue;
                }
            };
            self.literal(low);
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.eat("-");
                let Escape::Char(high) = self.class_char()? else {
                    return Err("a range that ends in a class".into());
                };
                if high < low {
                    return Err(format!("the range {low:?}-{high:?} ends below its start"));
                }
                self.out.push('-');
                self.literal(high);
            }
        }
    }

    fn class_char(&mut self) -> Result<Escape, String> {
        match self.next() {
            Some('\\') => self.escape(),
            Some(character) => Ok(Escape::Char(character)),
            None => Err("a class without an end".into()),
        }
    }

    /// `[:name:]` inside a class.
    fn posix(&mut self) -> Result<bool, String> {
        let Some((name, rest)) = self
            .rest
            .strip_prefix("[:")
            .and_then(|inside| inside.split_once(":]"))
        else {
            return Ok(false);
        };
        if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err("an unknown class between [: and :]".into());
        }
        let _ = write!(self.out, "[:{name}:]");
        self.rest = rest;
        Ok(true)
    }
}
