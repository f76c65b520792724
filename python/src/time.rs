//! Points in time and lengths of time, from what Python programs have.
//!
//! Input: integers, ISO 8601 texts, aware datetimes, numpy's and pandas' times. Output: nanoseconds
//! since the Unix epoch, or a `Duration`. Invariant: nothing is guessed or rounded: a time without a
//! zone and a float that stands for a time are refused.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};

use crate::arrays::nanos_of_scalar;
use crate::door::door;
use crate::failure::{Failure, Outcome};

const SECOND: i128 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Nanoseconds since the Unix epoch of a point in time, as every call takes them: an aware
/// `datetime` or pandas `Timestamp`, a `numpy.datetime64` (UTC), an ISO 8601 text with a zone, or an
/// integer of nanoseconds.
#[pyfunction]
pub(crate) fn timestamp(py: Python<'_>, time: &Bound<'_, PyAny>) -> PyResult<i64> {
    door(py, || nanos_of(time))
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn nanos_of(time: &Bound<'_, PyAny>) -> Outcome<i64> {
    let py = time.py();
    if let Ok(nanos) = time.cast_exact::<PyInt>() {
        return nanos.extract().map_err(|_| out_of_range(time));
    }
    if time.is_instance_of::<PyBool>() || time.is_none() {
        return Err(refused(time));
    }
    if time.is_instance_of::<PyFloat>() {
        return Err(Failure::kind(
            "a time cannot be a float, which is too coarse for nanoseconds: give an integer of \
             nanoseconds, a datetime with a zone, or a text",
        ));
    }
    if let Ok(text) = time.cast::<PyString>() {
        return nanos_of_text(text.to_str()?);
    }
    if time.is_instance(&py.import("datetime")?.getattr("datetime")?)? {
        return nanos_of_datetime(time);
    }
    if let Some(nanos) = nanos_of_scalar(time, "M")? {
        return Ok(nanos);
    }
    if time.hasattr("__index__")? {
        return time.extract().map_err(|_| out_of_range(time));
    }
    Err(refused(time))
}

/// The ends of a closed range of time; `None` is without end.
pub(crate) fn range_of(
    start: Option<&Bound<'_, PyAny>>,
    end: Option<&Bound<'_, PyAny>>,
) -> Outcome<(i64, i64)> {
    let first = start.map_or(Ok(i64::MIN), nanos_of)?;
    let last = end.map_or(Ok(i64::MAX), nanos_of)?;
    Ok((first, last))
}

/// A length of time that is not negative: a `timedelta`, a `numpy.timedelta64`, seconds as a number,
/// or a text such as `1h30m`.
pub(crate) fn duration_of(length: &Bound<'_, PyAny>, name: &str) -> Outcome<Duration> {
    let py = length.py();
    let negative = || Failure::value(format_args!("{name} must not be negative"));
    let wide = || Failure::overflow(format_args!("{name} is longer than 292 years"));
    if length.is_instance_of::<PyBool>() || length.is_none() {
        return Err(no_duration(length, name));
    }
    if let Ok(text) = length.cast::<PyString>() {
        return duration_of_text(text.to_str()?, name);
    }
    let nanos = if length.is_instance(&py.import("datetime")?.getattr("timedelta")?)? {
        nanos_of_delta(length)?
    } else if let Some(nanos) = nanos_of_scalar(length, "m")? {
        i128::from(nanos)
    } else if length.is_instance_of::<PyFloat>() {
        let seconds: f64 = length.extract()?;
        if seconds < 0.0 {
            return Err(negative());
        }
        if seconds.is_nan() {
            return Err(Failure::value(format_args!("{name} must not be NaN")));
        }
        let length = Duration::try_from_secs_f64(seconds).map_err(|_| wide())?;
        i128::try_from(length.as_nanos()).map_err(|_| wide())?
    } else if length.hasattr("__index__")? {
        let seconds: i64 = length.extract().map_err(|_| wide())?;
        i128::from(seconds) * SECOND
    } else {
        return Err(no_duration(length, name));
    };
    if nanos < 0 {
        return Err(negative());
    }
    let nanos = i64::try_from(nanos).map_err(|_| wide())?;
    Ok(Duration::from_nanos(nanos.unsigned_abs()))
}

/// As [`duration_of`], where it is given.
pub(crate) fn optional_duration(
    length: Option<&Bound<'_, PyAny>>,
    name: &str,
) -> Outcome<Option<Duration>> {
    length.map(|length| duration_of(length, name)).transpose()
}

fn refused(time: &Bound<'_, PyAny>) -> Failure {
    let kind = time.get_type();
    let kind = kind
        .qualname()
        .map_or_else(|_| "this".to_owned(), |n| n.to_string());
    Failure::kind(format_args!(
        "{kind} is no time: give a datetime with a zone, a numpy.datetime64, an ISO 8601 text with \
         a zone, or an integer of nanoseconds since 1970"
    ))
}

fn no_duration(length: &Bound<'_, PyAny>, name: &str) -> Failure {
    let kind = length.get_type();
    let kind = kind
        .qualname()
        .map_or_else(|_| "this".to_owned(), |n| n.to_string());
    Failure::kind(format_args!(
        "{name} cannot be {kind}: give a timedelta, seconds, or a text such as \"5m\""
    ))
}

fn out_of_range(time: &Bound<'_, PyAny>) -> Failure {
    let shown = time
        .str()
        .map_or_else(|_| "it".to_owned(), |text| text.to_string());
    let shown: String = shown.chars().take(60).collect();
    Failure::overflow(format_args!(
        "{shown} is no time that 64 bits of nanoseconds hold: they reach from 1677 to 2262"
    ))
}

/// Of an aware datetime; a pandas Timestamp is one that also has nanoseconds.
fn nanos_of_datetime(time: &Bound<'_, PyAny>) -> Outcome<i64> {
    let py = time.py();
    // No equal of itself is what pandas has where there is no time.
    if time.ne(time)? {
        return Err(Failure::value("there is no time (NaT)"));
    }
    if time.call_method0("utcoffset")?.is_none() {
        return Err(Failure::value(
            "the datetime has no time zone: make it aware, as in \
             datetime(2026, 11, 1, tzinfo=timezone.utc)",
        ));
    }
    let zone = py.import("datetime")?.getattr("timezone")?.getattr("utc")?;
    let class = py.import("datetime")?.getattr("datetime")?;
    let epoch = class.call1((1970, 1, 1, 0, 0, 0, 0, zone))?;
    let nanos = nanos_of_delta(&time.sub(epoch)?)?;
    i64::try_from(nanos).map_err(|_| out_of_range(time))
}

fn nanos_of_delta(delta: &Bound<'_, PyAny>) -> Outcome<i128> {
    let part = |name: &str| delta.getattr(name)?.extract::<i64>().map(i128::from);
    let seconds = part("days")? * i128::from(DAY_SECONDS) + part("seconds")?;
    let nanos = match delta.getattr_opt("nanoseconds")? {
        Some(nanos) => nanos.extract::<i64>().map(i128::from)?,
        None => 0,
    };
    Ok(seconds * SECOND + part("microseconds")? * 1000 + nanos)
}

/// Of ISO 8601 as RFC 3339 narrows it: `2026-11-01T12:00:00.5Z`, `2026-11-01 12:00+01:00`.
fn nanos_of_text(text: &str) -> Outcome<i64> {
    let bad = |why: &str| {
        let shown: String = text.chars().take(60).collect();
        Failure::value(format_args!("{shown:?} is no time: {why}"))
    };
    let form = "write it as 2026-11-01T12:00:00Z, or with +01:00 in place of Z";
    let mut rest = text.trim().as_bytes();
    let date = date(&mut rest).ok_or_else(|| bad(form))?;
    let days = days_of(date).ok_or_else(|| bad("there is no such day"))?;
    if rest.is_empty() {
        return Err(bad(
            "it has no time zone: add T00:00Z, or another time and zone",
        ));
    }
    let (seconds, nanos) = clock(&mut rest).ok_or_else(|| bad(form))?;
    if rest.is_empty() {
        return Err(bad(
            "it has no time zone: add Z for UTC, or an offset such as +01:00",
        ));
    }
    let offset = zone(&mut rest)
        .filter(|_| rest.is_empty())
        .ok_or_else(|| bad(form))?;
    let seconds = days * DAY_SECONDS + seconds - offset;
    let nanos = i128::from(seconds) * SECOND + i128::from(nanos);
    let range = "64 bits of nanoseconds reach from 1677 to 2262";
    i64::try_from(nanos).map_err(|_| bad(range))
}

/// Takes `count` digits.
fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (number, after) = rest.split_at_checked(count)?;
    if !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    *rest = after;
    Some(
        number
            .iter()
            .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')),
    )
}

/// Takes one of these bytes.
fn one_of(rest: &mut &[u8], bytes: &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    bytes.contains(first).then(|| {
        *rest = after;
        *first
    })
}

fn date(rest: &mut &[u8]) -> Option<(i64, i64, i64)> {
    let year = digits(rest, 4)?;
    one_of(rest, b"-")?;
    let month = digits(rest, 2)?;
    one_of(rest, b"-")?;
    Some((year, month, digits(rest, 2)?))
}

/// Seconds of the day and nanoseconds.
fn clock(rest: &mut &[u8]) -> Option<(i64, i64)> {
    one_of(rest, b"Tt ")?;
    let hour = digits(rest, 2)?;
    one_of(rest, b":")?;
    let minute = digits(rest, 2)?;
    let (mut second, mut nanos) = (0, 0);
    if one_of(rest, b":").is_some() {
        second = digits(rest, 2)?;
        if one_of(rest, b".,").is_some() {
            let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&count) {
                return None;
            }
            nanos = digits(rest, count)? * 10_i64.pow(9 - count as u32);
        }
    }
    let is_clock = hour < 24 && minute < 60 && second < 60;
    is_clock.then_some((hour * 3600 + minute * 60 + second, nanos))
}

/// Seconds that local time is ahead of UTC.
fn zone(rest: &mut &[u8]) -> Option<i64> {
    let sign = match one_of(rest, b"Zz+-")? {
        b'+' => 1,
        b'-' => -1,
        _ => return Some(0),
    };
    let hours = digits(rest, 2)?;
    let _ = one_of(rest, b":");
    let minutes = digits(rest, 2)?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days since the Unix epoch, by years that begin in March (Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms").
fn days_of((year, month, day): (i64, i64, i64)) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Numbers with units from weeks to nanoseconds, largest first or not: `1h30m`, `500ms`.
fn duration_of_text(text: &str, name: &str) -> Outcome<Duration> {
    const UNITS: [(&str, i64); 9] = [
        ("w", 604_800_000_000_000),
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("ms", 1_000_000),
        ("m", 60_000_000_000),
        ("us", 1_000),
        ("ns", 1),
        ("s", 1_000_000_000),
        ("y", 31_536_000_000_000_000),
    ];
    let bad = || {
        let shown: String = text.chars().take(60).collect();
        Failure::value(format_args!(
            "{name} cannot be {shown:?}: write numbers with units, such as 30s, 5m or 1h30m"
        ))
    };
    let (mut rest, mut sum) = (text.trim(), Duration::ZERO);
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, after) = rest.split_at(end);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let unit = UNITS
            .iter()
            .find_map(|&(unit, nanos)| Some((after.strip_prefix(unit)?, nanos)));
        let (after, nanos) = unit.ok_or_else(bad)?;
        let nanos = number.checked_mul(nanos.unsigned_abs()).ok_or_else(bad)?;
        sum = sum
            .checked_add(Duration::from_nanos(nanos))
            .ok_or_else(bad)?;
        rest = after;
    }
    match i64::try_from(sum.as_nanos()) {
        Ok(_) => Ok(sum),
        Err(_) => Err(bad()),
    }
}
