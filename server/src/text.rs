//! A line of Prometheus' text format, or of OpenMetrics, as a sample.
//!
//! Input: one line. Output: labels, nanoseconds, value; nothing for a comment; or why it is neither.
//! Invariant: a timestamp is told exactly or refused, and a value has the bits that its digits name:
//! digits never name infinity.

use treering::Labels;

/// What timestamps count, and what may stand behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Milliseconds; nothing behind them.
    Prometheus,
    /// Seconds, perhaps with a fraction; perhaps an exemplar behind them.
    OpenMetrics,
}

/// What a line is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Read {
    /// Nothing but spaces.
    Blank,
    /// A comment, or what is told of a family of series.
    Comment,
    /// The mark at the end of an OpenMetrics text.
    End,
    /// A sample.
    Sample(Line),
}

/// A sample and the series it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) labels: Labels,
    /// Nanoseconds since the Unix epoch.
    pub(crate) timestamp: i64,
    pub(crate) value: f64,
}

/// Reads a line.
pub(crate) fn parse(line: &str, format: Format) -> Result<Read, String> {
    let line = line.trim();
    match line.strip_prefix('#') {
        None if line.is_empty() => return Ok(Read::Blank),
        None => {}
        Some(" EOF") if format == Format::OpenMetrics => return Ok(Read::End),
        Some(_) => return Ok(Read::Comment),
    }
    let (series, rest) = line.split_at(series_end(line)?);
    let labels = Labels::parse(series).map_err(|error| format!("the series: {error}"))?;
    let mut words = rest.split_ascii_whitespace();
    let value = value(words.next().ok_or("there is no value")?)?;
    let timestamp = words.next().ok_or("there is no timestamp")?;
    let digits = match format {
        Format::Prometheus => 6,
        Format::OpenMetrics => 9,
    };
    let timestamp = nanoseconds(timestamp, digits)
        .ok_or_else(|| format!("`{timestamp}` is no timestamp that fits into nanoseconds"))?;
    match words.next() {
        None => {}
        // An exemplar: it belongs to no series.
        Some("#") if format == Format::OpenMetrics => {}
        Some(word) => return Err(format!("`{word}` stands behind the timestamp")),
    }
    Ok(Read::Sample(Line {
        labels,
        timestamp,
        value,
    }))
}

/// The float that `word` names.
fn value(word: &str) -> Result<f64, String> {
    let value: f64 = word.parse().map_err(|_| format!("`{word}` is no value"))?;
    // Infinity is a value of its own, and spelt out.
    if value.is_infinite() && word.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{word}` is more than an f64 holds"));
    }
    Ok(value)
}

/// Where the series ends: behind its brace, or behind its name when it has none.
fn series_end(line: &str) -> Result<usize, String> {
    let name = line
        .find(|c: char| c == '{' || c.is_ascii_whitespace())
        .unwrap_or(line.len());
    let behind = line.get(name..).unwrap_or_default();
    let space = behind.len() - behind.trim_ascii_start().len();
    let Some(labels) = behind.get(space..).filter(|rest| rest.starts_with('{')) else {
        return Ok(name);
    };
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, c) in labels.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '}' if !is_quoted => return Ok(name + space + at + 1),
            _ => {}
        }
    }
    Err("the labels do not end".to_owned())
}

/// A decimal number of units as nanoseconds, of which a unit has 10^`digits`. `None` when it is no
/// number, needs more than nanoseconds, or lies outside of what an `i64` holds.
fn nanoseconds(text: &str, digits: i32) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = all_digits(unsigned) && all_digits(fraction);
    if !is_number || unsigned.len() + fraction.len() == 0 || mantissa.len() > 36 {
        return None;
    }
    let mut count: i128 = format!("{unsigned}{fraction}").parse().ok()?;
    if whole.starts_with('-') {
        count = -count;
    }
    if count == 0 {
        return Some(0);
    }
    let power = digits
        .checked_add(exponent)?
        .checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let scale = 10_i128.checked_pow(power.unsigned_abs())?;
    let nanoseconds = match power {
        0.. => count.checked_mul(scale)?,
        _ if count % scale == 0 => count / scale,
        _ => return None,
    };
    i64::try_from(nanoseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use treering::labels;

    fn line(text: &str) -> Line {
        sample(text, Format::Prometheus)
    }

    fn sample(text: &str, format: Format) -> Line {
        match parse(text, format) {
            Ok(Read::Sample(line)) => line,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_line_is_a_sample() {
        let read = line(r#"cpu{host="a b", path="}\"" } 0.1 1700000000123"#);
        let labels = labels! { "__name__" => "cpu", "host" => "a b", "path" => "}\"" };
        assert_eq!(read.labels, labels);
        assert_eq!(read.timestamp, 1_700_000_000_123_000_000);
        assert_eq!(read.value.to_bits(), 0.1_f64.to_bits());
        assert_eq!(line("up\t-0 0").value.to_bits(), (-0.0_f64).to_bits());
        assert_eq!(line("up {} +Inf -1").value, f64::INFINITY);
        assert_eq!(line("up {} +Inf -1").timestamp, -1_000_000);
        assert!(line(r#"{"my.metric",a="1"} NaN 5"#).value.is_nan());
    }

    #[test]
    fn comments_are_passed_over_and_nonsense_is_refused() {
        for (text, read) in [
            ("", Read::Blank),
            (" \t", Read::Blank),
            ("# HELP cpu Time.", Read::Comment),
            ("#", Read::Comment),
            ("# EOF soon", Read::Comment),
            ("# EOF", Read::End),
            ("# EOF\r", Read::End),
        ] {
            assert_eq!(parse(text, Format::OpenMetrics), Ok(read), "{text}");
        }
        // Prometheus' own format has no such mark.
        assert_eq!(parse("# EOF", Format::Prometheus), Ok(Read::Comment));
        for text in [
            "cpu",
            "cpu 1",
            "cpu one 1",
            "cpu 1 noon",
            "cpu 1 1 1",
            "cpu{a=\"b\" 1 1",
            "cpu{a} 1 1",
            "{} 1 1.0000001",
            "cpu 1 9223372036855",
            "1 2 3",
            "cpu{a=\"b\\\"} 1 1",
            "cpu 1e400 1",
            "cpu -1e400 1",
            "cpu 179769313486231580793728971405303415e274 1",
        ] {
            assert!(parse(text, Format::Prometheus).is_err(), "{text}");
        }
    }

    #[test]
    fn infinity_is_spelt_out() {
        for word in ["+Inf", "Inf", "inf", "Infinity", "+infinity"] {
            assert_eq!(value(word), Ok(f64::INFINITY), "{word}");
        }
        assert_eq!(value("-Inf"), Ok(f64::NEG_INFINITY));
        assert_eq!(value("1.7976931348623157e308"), Ok(f64::MAX));
        assert_eq!(value("-17976931348623157e292"), Ok(f64::MIN));
        for word in ["1e309", "1.8e308", "-1e400", "1e999999999999"] {
            let why = value(word).unwrap_err();
            assert_eq!(why, format!("`{word}` is more than an f64 holds"));
        }
    }

    #[test]
    fn seconds_may_have_fractions_and_exemplars() {
        let text = "requests_total 7 1.5e9 # {trace=\"a\"} 0.5";
        let read = sample(text, Format::OpenMetrics);
        assert_eq!(read.timestamp, 1_500_000_000_000_000_000);
        assert!(parse(text, Format::Prometheus).is_err());
    }

    #[test]
    fn timestamps_are_exact_or_refused() {
        assert_eq!(nanoseconds("1.000000001", 9), Some(1_000_000_001));
        assert_eq!(nanoseconds("1.0000000010", 9), Some(1_000_000_001));
        assert_eq!(nanoseconds("1.0000000011", 9), None);
        assert_eq!(nanoseconds("-.5", 6), Some(-500_000));
        assert_eq!(nanoseconds("9223372036.854775807", 9), Some(i64::MAX));
        assert_eq!(nanoseconds("9223372036.854775808", 9), None);
        assert_eq!(nanoseconds("-9223372036.854775808", 9), Some(i64::MIN));
        for text in [
            "", "-", ".", "1e", "1e99", "1e-99", "0x1", "+-1", "1 ", "e5",
        ] {
            assert_eq!(nanoseconds(text, 9), None, "{text}");
        }
    }
}
