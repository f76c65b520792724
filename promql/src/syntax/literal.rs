//! Literals: numbers, durations and strings, read and written as Go does.
//!
//! Input: the text of one token. Output: its value, or Prometheus' message about it. Invariant:
//! what the writers give, the readers read back as the same bits. Sources:
//! <https://go.dev/ref/spec#Integer_literals>,
//! <https://prometheus.io/docs/prometheus/latest/querying/basics/>.

use std::fmt::Write as _;

/// The NaN that Prometheus computes with: Go's, quiet.
const NAN_BITS: u64 = 0x7ff8_0000_0000_0001;
/// Units of durations from long to short, and their milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];
/// Most milliseconds of a duration: what an i64 of nanoseconds holds.
const MILLIS_MAX: u64 = i64::MAX as u64 / 1_000_000;

/// The value of a number without a sign.
pub(crate) fn parse_number(text: &str) -> Result<f64, String> {
    if let Some(value) = parse_integer(text) {
        return Ok(value as f64);
    }
    let wrong = |what: &str| {
        Err(format!(
            "error parsing number: strconv.ParseFloat: parsing {}: {what}",
            quote(text)
        ))
    };
    if text.eq_ignore_ascii_case("nan") {
        return Ok(f64::from_bits(NAN_BITS));
    }
    if text.eq_ignore_ascii_case("inf") {
        return Ok(f64::INFINITY);
    }
    if !underscores_separate_digits(text) {
        return wrong("invalid syntax");
    }
    match text.replace('_', "").parse::<f64>() {
        Ok(value) if value.is_infinite() => wrong("value out of range"),
        Ok(value) => Ok(value),
        Err(_) => wrong("invalid syntax"),
    }
}

/// A whole number in Go's base 0: decimal, `0x`, `0b`, `0o` or a leading 0 for octal.
fn parse_integer(text: &str) -> Option<i64> {
    if !underscores_separate_digits(text) {
        return None;
    }
    let digits = text.replace('_', "").to_ascii_lowercase();
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, digits.get(2..)?),
        [b'0', b'b', ..] => (2, digits.get(2..)?),
        [b'0', b'o', ..] => (8, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits.as_str()),
    };
    match digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => i64::from_str_radix(digits, radix).ok(),
        false => None,
    }
}

/// Whether each underscore stands between digits, or between a base prefix and a digit.
fn underscores_separate_digits(text: &str) -> bool {
    let is_hex = text.get(..2).is_some_and(|p| p.eq_ignore_ascii_case("0x"));
    let body = match is_hex {
        true => text.get(2..).unwrap_or_default(),
        false => text,
    };
    let is_digit = |byte: u8| byte.is_ascii_digit() || (is_hex && byte.is_ascii_hexdigit());
    let mut before_is_digit = is_hex;
    let mut before_is_underscore = false;
    for byte in body.bytes() {
        match byte {
            b'_' if !before_is_digit => return false,
            b'_' => (before_is_digit, before_is_underscore) = (false, true),
            _ if is_digit(byte) => (before_is_digit, before_is_underscore) = (true, false),
            _ if before_is_underscore => return false,
            _ => before_is_digit = false,
        }
    }
    !before_is_underscore
}

/// The milliseconds of a duration such as `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Result<u64, String> {
    let invalid = || format!("not a valid duration string: {}", quote(text));
    let out_of_range = || "duration out of range".to_owned();
    let mut rest = text;
    let mut units = UNITS.as_slice();
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits_len = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, after) = rest.split_at_checked(digits_len).ok_or_else(invalid)?;
        let count: u64 = digits.parse().map_err(|_| invalid())?;
        let unit_len = after.find(|c: char| c.is_ascii_digit());
        let (unit, after) = after
            .split_at_checked(unit_len.unwrap_or(after.len()))
            .ok_or_else(invalid)?;
        if unit.is_empty() {
            return Err(invalid());
        }
        if !UNITS.iter().any(|(name, _)| *name == unit) {
            let (unit, text) = (quote(unit), quote(text));
            return Err(format!("unknown unit {unit} in duration {text}"));
        }
        // Units go from the biggest to the smallest, each once.
        let at = units
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or_else(invalid)?;
        let (_, millis) = units.get(at).ok_or_else(invalid)?;
        units = units.get(at + 1..).unwrap_or_default();
        total = count
            .checked_mul(*millis)
            .and_then(|part| part.checked_add(total))
            .filter(|total| *total <= MILLIS_MAX)
            .ok_or_else(out_of_range)?;
        rest = after;
    }
    match text.is_empty() {
        true => Err("empty duration string".to_owned()),
        false => Ok(total),
    }
}

/// Seconds of milliseconds, rounded as Go's `Duration.Seconds` is.
pub(crate) fn seconds_of(millis: u64) -> f64 {
    let nanos = (millis % 1000) * 1_000_000;
    (millis / 1000) as f64 + nanos as f64 / 1e9
}

/// The whole milliseconds of `seconds`, where it is what [`seconds_of`] makes of them.
pub(crate) fn whole_millis(seconds: f64) -> Option<u64> {
    let millis = (seconds * 1000.0).round();
    if !(0.0..=MILLIS_MAX as f64).contains(&millis) {
        return None;
    }
    let millis = millis as u64;
    (millis <= MILLIS_MAX && seconds_of(millis).to_bits() == seconds.to_bits()).then_some(millis)
}

/// A duration as Prometheus prints it: `1h30m`; years and weeks only where they are whole.
pub(crate) fn write_duration(out: &mut String, millis: u64) {
    if millis == 0 {
        out.push_str("0s");
        return;
    }
    let mut rest = millis;
    for (unit, size) in UNITS {
        let must_be_whole = matches!(unit, "y" | "w");
        if rest < size || (must_be_whole && !rest.is_multiple_of(size)) {
            continue;
        }
        let _ = write!(out, "{}{unit}", rest / size);
        rest %= size;
    }
}

/// A number as Prometheus prints it: the shortest digits that read back, never an exponent.
pub(crate) fn write_number(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        let _ = write!(out, "{value}");
    }
}

/// The bytes of a string token, whose escapes the lexer has checked.
pub(crate) fn unquote(token: &str) -> Vec<u8> {
    let mut chars = token.chars();
    let (Some(open), Some(_)) = (chars.next(), chars.next_back()) else {
        return vec![];
    };
    let mut rest = chars.as_str();
    if open == '`' || !rest.contains('\\') {
        return rest.as_bytes().to_vec();
    }
    let mut out = Vec::with_capacity(rest.len());
    while let Some((before, escape)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        rest = unescape(escape, &mut out);
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// One escape after its backslash; gives what follows it.
fn unescape<'a>(escape: &'a str, out: &mut Vec<u8>) -> &'a str {
    let Some(kind) = escape.chars().next() else {
        return "";
    };
    let (skip, digits, radix) = match kind {
        'x' => (1, 2, 16),
        'u' => (1, 4, 16),
        'U' => (1, 8, 16),
        '0'..='7' => (0, 3, 8),
        _ => (kind.len_utf8(), 0, 0),
    };
    let rest = escape.get(skip..).unwrap_or_default();
    if digits == 0 {
        match kind {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(11),
            _ => out.extend_from_slice(kind.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        return rest;
    }
    let (number, rest) = rest.split_at_checked(digits).unwrap_or((rest, ""));
    let code = u32::from_str_radix(number, radix).unwrap_or(0);
    match kind {
        'u' | 'U' => {
            let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        _ => out.push((code & 0xff) as u8),
    }
    rest
}

/// `text` in double quotes, as Go's `%q`.
pub(crate) fn quote(text: &str) -> String {
    quote_bytes(text.as_bytes())
}

/// As [`quote`], for bytes that need not be UTF-8.
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for piece in bytes.utf8_chunks() {
        for character in piece.valid().chars() {
            write_escaped(&mut out, character, '"');
        }
        for byte in piece.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// A character in single quotes, as Go's `%q`; `None` is the end of the text.
pub(crate) fn quote_char(character: Option<char>) -> String {
    let mut out = String::from("'");
    let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
    write_escaped(&mut out, character, '\'');
    out.push('\'');
    out
}

fn write_escaped(out: &mut String, character: char, delimiter: char) {
    match character {
        '\\' => out.push_str("\\\\"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        _ if character == delimiter => {
            out.push('\\');
            out.push(character);
        }
        _ if is_print(character) => out.push(character),
        _ => {
            let code = u32::from(character);
            let _ = match code {
                0..=0x7f => write!(out, "\\x{code:02x}"),
                0x80..=0xffff => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            };
        }
    }
}

/// Nearly Go's `unicode.IsPrint`: no controls, formats, private use, nor spaces but ' '.
fn is_print(character: char) -> bool {
    let is_space = character.is_whitespace() && character != ' ';
    let is_format = matches!(
        character,
        '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{feff}'
            | '\u{f0000}'..
    );
    !character.is_control() && !is_space && !is_format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        let cases = [
            ("0", 0.0),
            ("0755", 493.0),
            ("08", 8.0),
            ("0x1F", 31.0),
            ("0x_1f", 31.0),
            ("1_000", 1000.0),
            ("1_0.5", 10.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("9223372036854775808", 9.223_372_036_854_776e18),
            ("iNf", f64::INFINITY),
        ];
        for (text, value) in cases {
            assert_eq!(parse_number(text), Ok(value), "{text}");
        }
        assert_eq!(parse_number("NaN").map(f64::to_bits), Ok(NAN_BITS));
        for text in ["1__0", "1_", "_1", "1_e3", "0x", "0x1.8", "1e400", "1.2.3"] {
            assert!(parse_number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_go_from_big_to_small() {
        assert_eq!(parse_duration("1h30m"), Ok(5_400_000));
        assert_eq!(parse_duration("1y2w3d4h5m6s7ms"), Ok(33_019_506_007));
        let wrong = |text| parse_duration(text).unwrap_err();
        assert_eq!(wrong("5m1h"), "not a valid duration string: \"5m1h\"");
        assert_eq!(wrong("5m1m"), "not a valid duration string: \"5m1m\"");
        assert_eq!(wrong("5y1hs"), "unknown unit \"hs\" in duration \"5y1hs\"");
        assert_eq!(wrong("300y"), "duration out of range");
        assert_eq!(
            wrong("99999999999999999999s"),
            "not a valid duration string: \"99999999999999999999s\""
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        for millis in [
            1,
            999,
            1001,
            59_999,
            90_000,
            7 * 86_400_000,
            90 * 86_400_000,
            MILLIS_MAX,
        ] {
            let mut text = String::new();
            write_duration(&mut text, millis);
            assert_eq!(parse_duration(&text), Ok(millis), "{text}");
            assert_eq!(whole_millis(seconds_of(millis)), Some(millis), "{text}");
        }
        for (value, text) in [
            (1e21, "1000000000000000000000"),
            (1_048_576.0, "1048576"),
            (0.1, "0.1"),
            (1.5e-7, "0.00000015"),
        ] {
            let mut out = String::new();
            write_number(&mut out, value);
            assert_eq!(out, text);
            assert_eq!(parse_number(&out), Ok(value));
        }
        for text in [
            "",
            "a\"b\\c\n",
            "\u{7f}\u{e000}\u{e9}\u{1f600}",
            "\0\x07\x0b",
        ] {
            assert_eq!(unquote(&quote(text)), text.as_bytes());
        }
        assert_eq!(unquote(&quote_bytes(b"a\xffz")), b"a\xffz");
    }

    #[test]
    fn escapes_are_those_of_go() {
        assert_eq!(
            unquote(r#""\a\b\f\n\r\t\v\\\"\101\x41\u00e9\U0001f600""#),
            "\x07\x08\x0c\n\r\t\x0b\\\"AA\u{e9}\u{1f600}".as_bytes()
        );
        assert_eq!(unquote(r"'\''"), b"'");
        assert_eq!(unquote(r"`\n`"), b"\\n");
    }
}
