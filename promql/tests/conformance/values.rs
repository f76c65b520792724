//! Lines of series in scripts: labels, then values in a short notation.
//!
//! Input: `m{a="b"} 1 _ 2+3x4 stale {{count:1}}x2`. Output: labels and one slot for each step.
//! Invariant: `ax3` has four slots, as upstream counts them.

use std::sync::Arc;

use treering::{Histogram, Labels, stale_marker};
use treering_promql::syntax::ExprKind;
use treering_promql::{Features, parse};

use super::buckets;
use super::script::nanos;

/// What a step has.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    Nothing,
    Float(f64),
    /// A histogram, and whether its hint was written.
    Histogram(Arc<Histogram>, bool),
}

/// A line of a load.
#[derive(Debug)]
pub(crate) struct SeriesLine {
    pub(crate) labels: Labels,
    pub(crate) slots: Vec<Slot>,
    /// For each slot the start of its counter relative to it, in nanoseconds.
    pub(crate) starts: Vec<Option<i64>>,
}

/// The lines of a load; one with `@st` belongs to the next of the same labels.
pub(crate) fn series_lines(lines: &[&str]) -> Result<Vec<SeriesLine>, String> {
    let mut series: Vec<SeriesLine> = vec![];
    let mut starts: Vec<(Labels, Vec<Option<i64>>)> = vec![];
    for line in lines {
        let (labels, rest) = split(line)?;
        match rest.strip_prefix("@st") {
            Some(rest) => starts.push((labels, start_slots(rest)?)),
            None => {
                let at = starts.iter().position(|(of, _)| *of == labels);
                let starts = at.map(|at| starts.swap_remove(at).1).unwrap_or_default();
                series.push(SeriesLine {
                    labels,
                    slots: slots(rest)?,
                    starts,
                });
            }
        }
    }
    match starts.first() {
        Some((labels, _)) => Err(format!("start timestamps of {labels} have no series")),
        None => Ok(series),
    }
}

/// A line of expected values.
pub(crate) fn series_line(line: &str) -> Result<SeriesLine, String> {
    let (labels, rest) = split(line)?;
    Ok(SeriesLine {
        labels,
        slots: slots(rest)?,
        starts: vec![],
    })
}

/// Labels, and what follows them.
fn split(line: &str) -> Result<(Labels, &str), String> {
    let name_len = line
        .find(|c: char| c.is_whitespace() || matches!(c, '{' | '@'))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(name_len);
    let has_braces = rest.trim_start().starts_with('{') && !rest.trim_start().starts_with("{{");
    let end = match has_braces {
        true => {
            let from = line.len() - rest.trim_start().len();
            from + braces_len(&line[from..]).ok_or("braces without an end")?
        }
        false => name.len(),
    };
    let labels = Labels::parse(&line[..end]).map_err(|error| error.to_string())?;
    Ok((labels, line[end..].trim()))
}

/// Bytes up to the brace that closes the first one; quotes hide braces.
fn braces_len(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some('"' | '\'') if character == '\\' => is_escaped = true,
            Some(open) if open == character => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '\'' | '`') => quote = Some(character),
            None if character == '}' => return Some(at + 1),
            None => {}
        }
    }
    None
}

/// Values to slots.
fn slots(text: &str) -> Result<Vec<Slot>, String> {
    let mut slots = vec![];
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let len = item_len(rest);
        let (item, after) = rest.split_at(len);
        item_slots(item, &mut slots).map_err(|error| format!("{item:?}: {error}"))?;
        rest = after.trim_start();
    }
    Ok(slots)
}

/// Bytes of the first item; spaces inside `{{...}}` belong to it.
fn item_len(text: &str) -> usize {
    let mut depth = 0_i32;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if depth == 0 && character.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

fn item_slots(item: &str, slots: &mut Vec<Slot>) -> Result<(), String> {
    if let Some(rest) = item.strip_prefix('_') {
        let count = match rest.strip_prefix('x') {
            Some(count) => times(count)?,
            None if rest.is_empty() => 1,
            None => return Err("unknown item".to_owned()),
        };
        slots.extend(std::iter::repeat_n(Slot::Nothing, count));
        return Ok(());
    }
    if item.starts_with("{{") {
        return histogram_slots(item, slots);
    }
    let (value, count) = match item.split_once('x') {
        Some((value, count)) => (value, times(count)?),
        None => (item, 0),
    };
    let (start, step) = match value.get(1..).and_then(sign_at) {
        Some(at) => value.split_at(at + 1),
        None => (value, "0"),
    };
    let (mut value, step) = (number(start)?, number(step)?);
    for _ in 0..=count {
        slots.push(Slot::Float(value));
        value += step;
    }
    Ok(())
}

/// Where the step of `1-2` begins, after its first byte; the sign of an exponent is none.
fn sign_at(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_step = |at: &usize| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        matches!(bytes[*at], b'+' | b'-') && !matches!(before, Some(b'e' | b'E'))
    };
    (0..bytes.len()).find(is_step)
}

fn histogram_slots(item: &str, slots: &mut Vec<Slot>) -> Result<(), String> {
    let end = item.find("}}").ok_or("a histogram without an end")? + 2;
    let (base, rest) = item.split_at(end);
    let (mut current, is_hinted) = buckets::read(base)?;
    let (change, count) = match rest.as_bytes() {
        [] => (None, 0),
        [b'x', ..] => (None, times(&rest[1..])?),
        [sign @ (b'+' | b'-'), ..] => {
            let end = rest.find("}}").ok_or("a histogram without an end")? + 2;
            let (change, _) = buckets::read(&rest[1..end])?;
            let count = rest[end..]
                .strip_prefix('x')
                .ok_or("no count of repetitions")?;
            let factor = if *sign == b'-' { -1.0 } else { 1.0 };
            (Some((change, factor)), times(count)?)
        }
        _ => return Err("unknown item".to_owned()),
    };
    slots.push(Slot::Histogram(Arc::new(current.clone()), is_hinted));
    for _ in 0..count {
        if let Some((change, factor)) = &change {
            buckets::add(&mut current, change, *factor)?;
        }
        slots.push(Slot::Histogram(Arc::new(current.clone()), is_hinted));
    }
    Ok(())
}

fn times(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text:?} is no count"))
}

/// A value; hexadecimal ones do not exist here, since `x` repeats.
pub(crate) fn number(text: &str) -> Result<f64, String> {
    match text.strip_prefix('+').unwrap_or(text) {
        "stale" => Ok(stale_marker()),
        "" => Err("a value is missing".to_owned()),
        text => text.parse().map_err(|_| format!("{text:?} is no number")),
    }
}

/// `_`, `-1m`, `-30s-1mx2`: starts relative to their samples.
fn start_slots(text: &str) -> Result<Vec<Option<i64>>, String> {
    let mut starts = vec![];
    for item in text.split_whitespace() {
        if let Some(rest) = item.strip_prefix('_') {
            let count = match rest.strip_prefix('x') {
                Some(count) => times(count)?,
                None => 1,
            };
            starts.extend(std::iter::repeat_n(None, count));
            continue;
        }
        let (value, count) = match item.split_once('x') {
            Some((value, count)) => (value, times(count)?),
            None => (item, 0),
        };
        let (start, step) = match value.get(1..).and_then(sign_at) {
            Some(at) => value.split_at(at + 1),
            None => (value, "0"),
        };
        let (start, step) = (nanos(start)?, nanos(step)?);
        starts.extend((0..=count as i64).map(|at| Some(start + at * step)));
    }
    Ok(starts)
}

/// The text of a quoted string.
pub(crate) fn unquoted(text: &str) -> Result<String, String> {
    let expr = parse(text, &Features::default()).map_err(|error| error.to_string())?;
    match &expr.kind {
        ExprKind::String(string) => Ok(string.text().into_owned()),
        _ => Err(format!("{text:?} is no string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(text: &str) -> Vec<Option<f64>> {
        let slots = slots(text).unwrap();
        let float = |slot: &Slot| match slot {
            Slot::Float(value) => Some(*value),
            _ => None,
        };
        slots.iter().map(float).collect()
    }

    #[test]
    fn repetitions_are_one_more_than_their_count() {
        assert_eq!(
            floats("1 2x1 _ 3"),
            [Some(1.0), Some(2.0), Some(2.0), None, Some(3.0)]
        );
        assert_eq!(floats("1+2x2"), [Some(1.0), Some(3.0), Some(5.0)]);
        assert_eq!(floats("-1-2x1"), [Some(-1.0), Some(-3.0)]);
        assert_eq!(floats("1e-3-1e+2x1"), [Some(0.001), Some(0.001 - 100.0)]);
        assert_eq!(floats("_x3"), [None, None, None]);
        assert_eq!(floats("0x2"), [Some(0.0), Some(0.0), Some(0.0)]);
        assert_eq!(
            floats("-Inf Inf"),
            [Some(f64::NEG_INFINITY), Some(f64::INFINITY)]
        );
        assert!(floats("NaN")[0].is_some_and(f64::is_nan));
        assert!(slots("1x").is_err() && slots("abc").is_err());
    }

    #[test]
    fn labels_end_where_values_begin() {
        let labels = |line: &str| {
            let (labels, rest) = split(line).unwrap();
            (labels.to_string(), rest.to_owned())
        };
        assert_eq!(labels("m 1 2"), ("m".into(), "1 2".into()));
        assert_eq!(labels("m {{}}"), ("m".into(), "{{}}".into()));
        assert_eq!(
            labels("m{a=\"}\"}@st _"),
            ("m{a=\"}\"}".into(), "@st _".into())
        );
        assert_eq!(labels("{} 5"), ("{}".into(), "5".into()));
        assert_eq!(labels("{}"), ("{}".into(), String::new()));
    }

    #[test]
    fn starts_go_by_their_own_steps() {
        let minute = 60_000_000_000;
        assert_eq!(
            start_slots("_ -30s-1mx1 0 +1m").unwrap(),
            [
                None,
                Some(-minute / 2),
                Some(-minute / 2 - minute),
                Some(0),
                Some(minute)
            ]
        );
    }
}
