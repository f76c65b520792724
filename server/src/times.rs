//! Times and durations as Prometheus' HTTP API takes them.
//!
//! Input: text: seconds since the Unix epoch, RFC 3339, `1h30m`. Output: milliseconds or
//! nanoseconds, or Prometheus' sentence about what the text is not. Invariant: what needs more than
//! an i64 is refused, but for the two ends of time by name.

use treering_promql::syntax::ExprKind;
use treering_promql::{Features, parse};

/// The texts by which Prometheus' clients mean the beginning and the end of time.
const BEGINNING: &str = "-292273086-05-16T16:47:06Z";
const END: &str = "292277025-08-18T07:12:54.999999999Z";

/// A point in time as milliseconds since the Unix epoch: seconds as a number, or RFC 3339.
pub fn parse_time(text: &str) -> Result<i64, String> {
    let found = match text.parse::<f64>() {
        Ok(seconds) => millis_of(seconds),
        Err(_) if text == BEGINNING => Some(i64::MIN),
        Err(_) if text == END => Some(i64::MAX),
        Err(_) => rfc3339(text),
    };
    found.ok_or_else(|| format!("cannot parse {text:?} to a valid timestamp"))
}

/// A length of time in nanoseconds: seconds as a number, or `1h30m`.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("cannot parse {text:?} to a valid duration");
    if let Ok(seconds) = text.parse::<f64>() {
        let nanos = seconds * 1e9;
        // 2^63 itself is a float, and one too many.
        return match nanos.abs() < i64::MAX as f64 {
            true => Ok(nanos as i64),
            false if nanos.is_nan() => Err(invalid()),
            false => Err(format!("{}. It overflows int64", invalid())),
        };
    }
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let expr = parse(text, &Features::default()).map_err(|_| invalid())?;
    match expr.kind {
        ExprKind::Number(number) if is_word && number.is_duration => {
            // Units are whole milliseconds.
            let millis = (number.value * 1e3).round();
            match millis < (i64::MAX / 1_000_000) as f64 {
                true => Ok(millis as i64 * 1_000_000),
                false => Err(invalid()),
            }
        }
        _ => Err(invalid()),
    }
}

fn millis_of(seconds: f64) -> Option<i64> {
    let whole = seconds.trunc();
    // Apart, so that a fraction of many digits is rounded as it was written.
    let fraction = ((seconds - whole) * 1e3).round();
    let is_held = whole.abs() < (i64::MAX / 1000) as f64;
    is_held.then(|| whole as i64 * 1000 + fraction as i64)
}

/// `2006-01-02T15:04:05.999Z` or with `+07:00`, by RFC 3339; what is finer than a millisecond is
/// cut off.
fn rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let (year, month, day) = three(date, '-')?;
    let zone = rest.find(['Z', '+', '-'])?;
    let (time, zone) = rest.split_at_checked(zone)?;
    let (time, fraction) = match time.split_once('.') {
        Some((time, fraction)) => (time, millis_of_fraction(fraction)?),
        None => (time, 0),
    };
    let (hour, minute, second) = three(time, ':')?;
    let is_date = date.len() == 10 && (1..=12).contains(&month) && day >= 1;
    let is_time = time.len() == 8 && hour < 24 && minute < 60 && second < 60;
    if !is_date || !is_time || day > days_in(year, month) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    let seconds = ((days * 24 + hour) * 60 + minute - zone_minutes(zone)?) * 60 + second;
    Some(seconds * 1000 + fraction)
}

/// Three numbers without signs.
fn three(text: &str, separator: char) -> Option<(i64, i64, i64)> {
    let mut numbers = text.split(separator).map(whole);
    let found = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(found)
}

fn whole(digits: &str) -> Option<i64> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

fn millis_of_fraction(digits: &str) -> Option<i64> {
    let is_fraction = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let first: String = digits.chars().chain("000".chars()).take(3).collect();
    is_fraction.then(|| whole(&first)).flatten()
}

fn zone_minutes(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let is_zone = hours.len() == 2 && minutes.len() == 2;
    let (hours, minutes) = (whole(hours)?, whole(minutes)?);
    (is_zone && hours < 24 && minutes < 60).then(|| sign * (hours * 60 + minutes))
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the Unix epoch of a date of the Gregorian calendar. Years begin in March here, so
/// that the leap day is their last (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Nanoseconds since the Unix epoch as RFC 3339 in UTC, with as many digits as it takes.
pub fn to_rfc3339(nanos: i64) -> String {
    let (seconds, fraction) = (
        nanos.div_euclid(1_000_000_000),
        nanos.rem_euclid(1_000_000_000),
    );
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = match fraction {
        0 => String::new(),
        _ => format!(".{fraction:09}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The date of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let leaps = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        for (text, millis) in [
            ("0", 0),
            ("1435781451.781", 1_435_781_451_781),
            ("-0.5", -500),
            ("1e3", 1_000_000),
            ("2015-07-01T20:10:51.781Z", 1_435_781_451_781),
            ("2015-07-01T22:10:51.7819+02:00", 1_435_781_451_781),
            ("1969-12-31T23:59:59.5Z", -500),
            ("2000-02-29T00:00:00-00:30", 951_784_200_000),
            (BEGINNING, i64::MIN),
            (END, i64::MAX),
        ] {
            assert_eq!(parse_time(text), Ok(millis), "{text}");
        }
        for text in [
            "",
            "now",
            "NaN",
            "Inf",
            "1e30",
            "2015-07-01",
            "2015-07-01T20:10:51",
            "2015-13-01T00:00:00Z",
            "2015-02-29T00:00:00Z",
            "2015-07-01T24:00:00Z",
            "2015-07-01T20:10:51.Z",
            "2015-07-01T20:10:51Z+",
            "2015-7-01T20:10:51Z",
            "+015-07-01T20:10:51Z",
            "2015-07-01t20:10:51Z",
        ] {
            let wrong = format!("cannot parse {text:?} to a valid timestamp");
            assert_eq!(parse_time(text), Err(wrong), "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_or_units() {
        for (text, nanos) in [
            ("0", 0),
            ("15", 15_000_000_000),
            ("0.25", 250_000_000),
            ("-3", -3_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("10ms", 10_000_000),
            ("1d", 86_400_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(nanos), "{text}");
        }
        for text in [
            "", "m", "1h 30m", " 5m", "5m # x", "1m1h", "(5m)", "-5m", "NaN",
        ] {
            let wrong = format!("cannot parse {text:?} to a valid duration");
            assert_eq!(parse_duration(text), Err(wrong));
        }
        let wrong = parse_duration("1e10").unwrap_err();
        assert!(wrong.ends_with("It overflows int64"), "{wrong}");
    }

    #[test]
    fn dates_come_back() {
        for days in (-800_000..800_000).step_by(97) {
            let nanos = days * 3_600_000_000_000 + days * 1_000_000;
            let text = to_rfc3339(nanos);
            assert_eq!(parse_time(&text), Ok(nanos / 1_000_000), "{text}");
        }
        assert_eq!(to_rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(to_rfc3339(-1), "1969-12-31T23:59:59.999999999Z");
    }
}
