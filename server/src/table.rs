//! Tables: answers as aligned text and as CSV.
//!
//! Input: values. Output: lines. Invariant: a line of CSV has as many fields as the first one; all
//! lines of aligned text have their columns at the same places.

use std::collections::BTreeSet;

use treering::Labels;
use treering_promql::histogram::Shown;
use treering_promql::{SampleValue, Value};
use treering_server::number::{push_decimal, push_float, push_time};
use treering_server::times::to_rfc3339;

/// A value for people: a line for each sample.
pub(crate) fn aligned(value: &Value) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    match value {
        Value::Scalar(_, number) => return decimal(*number) + "\n",
        Value::String(_, text) => return format!("{text}\n"),
        Value::Vector(samples) => {
            rows.push(["series", "value"].map(str::to_owned).to_vec());
            for sample in samples {
                rows.push(vec![sample.labels.to_string(), shown(&sample.value)]);
            }
        }
        Value::Matrix(series) => {
            rows.push(["series", "time", "value"].map(str::to_owned).to_vec());
            for one in series {
                let mut name = one.labels.to_string();
                for (time, value) in &one.samples {
                    // Once for all its lines.
                    let name = std::mem::take(&mut name);
                    rows.push(vec![name, to_rfc3339(*time), shown(value)]);
                }
            }
        }
    }
    match rows.len() {
        1 => "no series\n".to_owned(),
        _ => lines(&rows),
    }
}

/// A value for programs: a header, then a line for each sample: its labels, seconds, value.
pub(crate) fn csv(value: &Value) -> String {
    let none = Labels::empty();
    let samples: Vec<(&Labels, i64, String)> = match value {
        Value::Scalar(time, number) => vec![(&none, *time, decimal(*number))],
        Value::String(time, text) => vec![(&none, *time, text.clone())],
        Value::Vector(samples) => samples
            .iter()
            .map(|sample| (&sample.labels, sample.timestamp, shown(&sample.value)))
            .collect(),
        Value::Matrix(series) => series
            .iter()
            .flat_map(|one| {
                one.samples
                    .iter()
                    .map(|(at, value)| (&one.labels, *at, shown(value)))
            })
            .collect(),
    };
    let names = samples
        .iter()
        .flat_map(|(labels, ..)| labels.iter().map(|(name, _)| name));
    let names: BTreeSet<&str> = names.collect();
    let mut out = String::new();
    push_fields(
        &mut out,
        names.iter().copied().chain(["timestamp", "value"]),
    );
    for (labels, time, value) in &samples {
        let mut seconds = String::new();
        push_time(&mut seconds, *time);
        let values = names
            .iter()
            .map(|name| labels.get(name).unwrap_or_default());
        push_fields(&mut out, values.chain([seconds.as_str(), value]));
    }
    out
}

fn shown(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(number) => {
            let mut out = String::new();
            push_float(&mut out, *number);
            out
        }
        SampleValue::Histogram(histogram) => Shown(histogram).to_string(),
    }
}

fn decimal(number: f64) -> String {
    let mut out = String::new();
    push_decimal(&mut out, number);
    out
}

/// Rows with their columns below each other; the last one is not filled up.
fn lines(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match at + 1 == columns {
                true => out.push_str(cell),
                false => out.push_str(&format!("{cell:width$}  ")),
            }
        }
        out.push('\n');
    }
    out
}

/// A line of CSV, as RFC 4180 quotes it.
fn push_fields<'a>(out: &mut String, fields: impl Iterator<Item = &'a str>) {
    for (at, field) in fields.enumerate() {
        if at > 0 {
            out.push(',');
        }
        match field.contains([',', '"', '\n', '\r']) {
            true => out.push_str(&format!("\"{}\"", field.replace('"', "\"\""))),
            false => out.push_str(field),
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use treering::labels;
    use treering_promql::{ResultSeries, VectorSample};

    fn vector() -> Value {
        let sample = |labels, value| VectorSample {
            labels,
            timestamp: 1_500_000_000,
            value: SampleValue::Float(value),
        };
        Value::Vector(vec![
            sample(labels! { "__name__" => "up", "job" => "a,\"b\"" }, 1.0),
            sample(labels! { "host" => "long name" }, f64::NAN),
        ])
    }

    #[test]
    fn columns_stand_below_each_other() {
        let text = aligned(&vector());
        assert_eq!(
            text,
            "series              value\n\
             up{job=\"a,\\\"b\\\"\"}   1\n\
             {host=\"long name\"}  NaN\n"
        );
        assert_eq!(aligned(&Value::Vector(vec![])), "no series\n");
        assert_eq!(aligned(&Value::Scalar(0, 1e21)), "1000000000000000000000\n");
        let matrix = Value::Matrix(vec![ResultSeries {
            labels: labels! { "__name__" => "up" },
            samples: vec![
                (0, SampleValue::Float(1.0)),
                (500_000_000, SampleValue::Float(2.0)),
            ],
        }]);
        assert_eq!(
            aligned(&matrix),
            "series  time                    value\n\
             up      1970-01-01T00:00:00Z    1\n\
             \x20       1970-01-01T00:00:00.5Z  2\n"
        );
    }

    #[test]
    fn csv_has_a_column_for_each_label() {
        assert_eq!(
            csv(&vector()),
            "__name__,host,job,timestamp,value\n\
             up,,\"a,\"\"b\"\"\",1.500,1\n\
             ,long name,,1.500,NaN\n"
        );
        assert_eq!(csv(&Value::Scalar(0, 0.5)), "timestamp,value\n0,0.5\n");
        assert_eq!(csv(&Value::Matrix(vec![])), "timestamp,value\n");
    }
}
