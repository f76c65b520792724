//! Comparing: what came out with what a script says.
//!
//! Input: a value and the expectations of a command. Output: nothing, or the first difference in
//! words. Invariant: a matrix must be sorted by labels.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use treering::{Labels, MatchOp, Matcher};
use treering_promql::{ResultSeries, SampleValue, Value};

use super::almost::almost_equal;
use super::buckets;
use super::script::{Eval, Steps, Text, What};
use super::values::Slot;

/// Compares a whole result; `steps` are those of a matrix.
pub(crate) fn value(eval: &Eval, found: &Value, steps: Option<Steps>) -> Result<(), String> {
    if let Some(wanted) = &eval.string {
        return match found {
            Value::String(_, text) if text == wanted => Ok(()),
            other => Err(format!("expected string {wanted:?}, found {other:?}")),
        };
    }
    match (found, steps) {
        (Value::Scalar(_, number), _) => scalar(eval, *number),
        (Value::Vector(samples), _) => {
            let samples: Vec<_> = samples.iter().map(|s| (&s.labels, &s.value)).collect();
            vector(eval, &samples, eval.has(What::Ordered))
        }
        (Value::Matrix(series), Some(steps)) => matrix(eval, series, steps),
        (Value::Matrix(_), None) => Err("a matrix, which nothing says".to_owned()),
        (Value::String(_, text), _) => Err(format!("a string, {text:?}")),
    }
}

pub(crate) fn scalar(eval: &Eval, found: f64) -> Result<(), String> {
    match eval.scalar {
        Some(wanted) if almost_equal(wanted, found) => Ok(()),
        Some(wanted) => Err(format!("expected {wanted}, found {found}")),
        None => Err(format!("a scalar, {found}, which nothing says")),
    }
}

/// One sample for each series.
pub(crate) fn vector(
    eval: &Eval,
    found: &[(&Labels, &SampleValue)],
    is_ordered: bool,
) -> Result<(), String> {
    if eval.scalar.is_some() {
        return Err("a vector; expected a scalar".to_owned());
    }
    let mut wanted = by_labels(eval);
    for (at, (labels, value)) in found.iter().enumerate() {
        let Some((place, slots)) = wanted.remove(*labels) else {
            return Err(format!("unexpected series {labels} {}", show(value)));
        };
        if is_ordered && place != at {
            return Err(format!("{labels} is at place {at}, not at {place}"));
        }
        let first = slots
            .first()
            .ok_or_else(|| format!("{labels} without a value"))?;
        same(first, value).map_err(|error| format!("{labels}: {error}"))?;
    }
    missing(&wanted)
}

fn matrix(eval: &Eval, found: &[ResultSeries], steps: Steps) -> Result<(), String> {
    is_sorted(found)?;
    if eval.scalar.is_some() || eval.has(What::Ordered) {
        return Err("a matrix; expected something else".to_owned());
    }
    let mut wanted = by_labels(eval);
    for series in found {
        let labels = &series.labels;
        let Some((_, slots)) = wanted.remove(labels) else {
            return Err(format!("unexpected series {labels} {}", show_all(series)));
        };
        let times = (0..).map(|at| steps.start + at * steps.step);
        let filled: Vec<(i64, &Slot)> = times
            .zip(slots)
            .filter(|(_, slot)| !matches!(slot, Slot::Nothing))
            .collect();
        if filled.last().is_some_and(|(time, _)| *time > steps.end) {
            return Err(format!(
                "{labels}: more values are expected than there are steps"
            ));
        }
        let times = |it: &mut dyn Iterator<Item = i64>| it.collect::<Vec<_>>();
        let wanted_times = times(&mut filled.iter().map(|(time, _)| *time));
        let found_times = times(&mut series.samples.iter().map(|(time, _)| *time));
        if wanted_times != found_times {
            let found = show_all(series);
            return Err(format!(
                "{labels}: expected {} values, found {found}",
                filled.len()
            ));
        }
        for ((time, slot), (_, value)) in filled.iter().zip(&series.samples) {
            same(slot, value).map_err(|error| {
                format!(
                    "{labels} at {}: {error}; all: {}",
                    time / 1_000_000,
                    show_all(series)
                )
            })?;
        }
    }
    missing(&wanted)
}

/// Whether series rise strictly by labels.
pub(crate) fn is_sorted(series: &[ResultSeries]) -> Result<(), String> {
    match series.is_sorted_by(|a, b| a.labels < b.labels) {
        true => Ok(()),
        false => Err("the matrix is not sorted by labels".to_owned()),
    }
}

/// The expected series by labels, with their places.
fn by_labels(eval: &Eval) -> BTreeMap<&Labels, (usize, &[Slot])> {
    let series = eval.series.iter().enumerate();
    series
        .map(|(place, (labels, slots))| (labels, (place, slots.as_slice())))
        .collect()
}

fn missing(wanted: &BTreeMap<&Labels, (usize, &[Slot])>) -> Result<(), String> {
    match wanted.keys().next() {
        None => Ok(()),
        Some(labels) => Err(format!("expected series {labels} is not there")),
    }
}

fn same(wanted: &Slot, found: &SampleValue) -> Result<(), String> {
    let is_same = match (wanted, found) {
        (Slot::Float(wanted), SampleValue::Float(found)) => almost_equal(*wanted, *found),
        (Slot::Histogram(wanted, is_hinted), SampleValue::Histogram(found)) => {
            buckets::is_same(wanted, *is_hinted, found)
        }
        _ => false,
    };
    match is_same {
        true => Ok(()),
        false => Err(format!("expected {wanted:?}, found {}", show(found))),
    }
}

fn show(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(value) => value.to_string(),
        SampleValue::Histogram(histogram) => format!("{histogram:?}"),
    }
}

fn show_all(series: &ResultSeries) -> String {
    let mut out = String::new();
    for (time, value) in &series.samples {
        let _ = write!(out, "{}@{} ", show(value), time / 1_000_000);
    }
    out
}

/// Compares the annotations of one kind with what is expected of them.
pub(crate) fn annotations(eval: &Eval, kind: What, found: &[String]) -> Result<(), String> {
    let none = match kind {
        What::Warn => What::NoWarn,
        _ => What::NoInfo,
    };
    if eval.has(none) && !found.is_empty() {
        return Err(format!("unexpected annotations {found:?}"));
    }
    let wanted: Vec<&Text> = eval.expects(kind).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    if let Some(text) = wanted
        .iter()
        .find(|text| !found.iter().any(|f| is_text(text, f)))
    {
        return Err(format!("expected {kind:?} {text:?}, found {found:?}"));
    }
    match found
        .iter()
        .find(|f| !wanted.iter().any(|text| is_text(text, f)))
    {
        Some(other) => Err(format!("unexpected {kind:?}: {other}")),
        None => Ok(()),
    }
}

/// Compares the error of a query with what is expected of it.
pub(crate) fn failure(eval: &Eval, error: &str) -> Result<(), String> {
    match eval.expects(What::Fail).find(|text| !is_text(text, error)) {
        None => Ok(()),
        Some(text) => Err(format!(
            "expected to fail with {text:?}, failed with {error}"
        )),
    }
}

fn is_text(wanted: &Text, found: &str) -> bool {
    match wanted {
        Text::Any => true,
        Text::Equal(text) => text == found,
        Text::Regex(pattern) => {
            let pattern = format!(".*(?:{pattern}).*");
            Matcher::new("text", MatchOp::Regex, &pattern).is_ok_and(|m| m.matches_value(found))
        }
    }
}
