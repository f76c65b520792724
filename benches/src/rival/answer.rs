//! Answers of both in one form, and what differs between two of them.
//!
//! Input: a value of ours, a reply in JSON. Output: points by labels and time, or an error. Values
//! are equal when their bits are, when both are NaN, or when they differ by less than 1e-9 of
//! themselves.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use treering_promql::syntax::Expr;
use treering_promql::{Evaluator, ParseError, SampleValue, Value};

use super::asked::Asked;
use crate::Result;

const MILLISECOND: i64 = 1_000_000;

const TOLERANCE: f64 = 1e-9;

/// Sorted names and values.
pub type Key = Vec<(String, String)>;

/// Milliseconds and values of each series.
pub type Points = BTreeMap<Key, BTreeMap<i64, f64>>;

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The text is no query.
    Refused(String),
    /// It failed.
    Failed(String),
    /// A text.
    Text(String),
    /// Numbers.
    Points {
        /// `scalar`, `vector` or `matrix`.
        kind: String,
        /// By series and time.
        points: Points,
        /// Of a vector also the values in their order.
        order: Vec<f64>,
    },
}

/// What is not the same in two answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// Not even the kind, or the text of an error.
    Whole,
    /// Points: series, milliseconds, ours, theirs.
    Points(Vec<(Key, i64, Option<f64>, Option<f64>)>),
    /// The order of a vector that was asked to be sorted.
    Order,
}

/// The answer of ours.
pub fn ours(
    evaluator: &Evaluator<'_>,
    expr: std::result::Result<&Expr, &ParseError>,
    asked: Asked,
) -> Answer {
    let expr = match expr {
        Ok(expr) => expr,
        Err(error) => return Answer::Refused(error.to_string()),
    };
    match asked.of_ours(evaluator, expr) {
        Ok(answer) => of_value(answer.value),
        Err(error) => {
            let text = error.to_string();
            match text.starts_with("invalid expression type") {
                true => Answer::Refused(text),
                false => Answer::Failed(text),
            }
        }
    }
}

/// The answer that a value of ours is. A histogram becomes a NaN, which no server answers; a series
/// that comes twice is an answer that failed.
pub fn of_value(value: Value) -> Answer {
    let float = |value: &SampleValue| match value {
        SampleValue::Float(value) => *value,
        SampleValue::Histogram(_) => f64::from_bits(0x7ff8_dead_0000_0000),
    };
    let key = |labels: &treering::Labels| -> Key {
        let pairs = labels.iter();
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let millis = |nanos: i64| nanos / MILLISECOND;
    let mut order = Vec::new();
    let mut series: Vec<(Key, BTreeMap<i64, f64>)> = Vec::new();
    let kind = match value {
        Value::String(_, text) => return Answer::Text(text),
        Value::Scalar(time, value) => {
            series.push((Key::new(), BTreeMap::from([(millis(time), value)])));
            "scalar"
        }
        Value::Vector(samples) => {
            for sample in &samples {
                let value = float(&sample.value);
                let point = BTreeMap::from([(millis(sample.timestamp), value)]);
                series.push((key(&sample.labels), point));
                order.push(value);
            }
            "vector"
        }
        Value::Matrix(all) => {
            for one in &all {
                let points = one.samples.iter();
                let points = points.map(|(time, value)| (millis(*time), float(value)));
                series.push((key(&one.labels), points.collect()));
            }
            "matrix"
        }
    };
    let count = series.len();
    let points: Points = series.into_iter().collect();
    match points.len() == count {
        true => Answer::Points {
            kind: kind.to_owned(),
            points,
            order,
        },
        false => Answer::Failed("a series comes twice".to_owned()),
    }
}

/// The answer that a reply of the HTTP API holds; fails when it is in no form of that API.
pub fn theirs(reply: &[u8]) -> Result<Answer> {
    let reply: Json = serde_json::from_slice(reply)?;
    if let Some(error) = reply["error"].as_str() {
        return Ok(match reply["errorType"].as_str() {
            Some("bad_data") => {
                let text = error.split_once("\": ").map_or(error, |(_, text)| text);
                Answer::Refused(text.to_owned())
            }
            _ => Answer::Failed(error.to_owned()),
        });
    }
    let kind = reply["data"]["resultType"].as_str().ok_or("no type")?;
    let result = &reply["data"]["result"];
    let mut points = Points::new();
    let mut order = Vec::new();
    match kind {
        "string" => {
            let text = result[1].as_str().ok_or("no text")?;
            return Ok(Answer::Text(text.to_owned()));
        }
        "scalar" => {
            let (time, value) = point(result)?;
            points.insert(Key::new(), BTreeMap::from([(time, value)]));
        }
        _ => {
            for series in result.as_array().ok_or("no list")? {
                let labels = series["metric"].as_object().ok_or("no labels")?;
                let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
                let key: Key = labels.iter().map(|(n, v)| (n.clone(), text(v))).collect();
                let one = match series.get("values").and_then(Json::as_array) {
                    Some(values) => values.iter().map(point).collect::<Result<_>>()?,
                    None => {
                        let (time, value) = point(&series["value"])?;
                        order.push(value);
                        BTreeMap::from([(time, value)])
                    }
                };
                if points.insert(key, one).is_some() {
                    return Err("a series comes twice".into());
                }
            }
        }
    }
    Ok(Answer::Points {
        kind: kind.to_owned(),
        points,
        order,
    })
}

/// Seconds and a value as text.
fn point(pair: &Json) -> Result<(i64, f64)> {
    let time = pair[0].as_f64().ok_or("a point without a time")?;
    let value = pair[1].as_str().ok_or("a point without a value")?;
    Ok(((time * 1e3).round() as i64, value.parse()?))
}

/// Whether two values count as one.
pub fn is_near(a: f64, b: f64) -> bool {
    let is_nan = a.is_nan() && b.is_nan();
    is_nan || a == b || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

/// What differs; `None` when nothing does. `is_sorted`: the order of a vector counts.
pub fn difference(ours: &Answer, theirs: &Answer, is_sorted: bool) -> Option<Difference> {
    match (ours, theirs) {
        // The words of refusals have a test of their own.
        (Answer::Refused(_), Answer::Refused(_)) => None,
        (Answer::Failed(a), Answer::Failed(b)) => {
            (plain(a) != plain(b)).then_some(Difference::Whole)
        }
        (
            Answer::Points {
                kind,
                points,
                order,
            },
            Answer::Points {
                kind: their_kind,
                points: their_points,
                order: their_order,
            },
        ) => {
            if kind != their_kind {
                return Some(Difference::Whole);
            }
            let wrong = different_points(points, their_points);
            if !wrong.is_empty() {
                return Some(Difference::Points(wrong));
            }
            let mut pairs = order.iter().zip(their_order);
            let is_ordered = !is_sorted || pairs.all(|(a, b)| is_near(*a, *b));
            (!is_ordered).then_some(Difference::Order)
        }
        (a, b) => (a != b).then_some(Difference::Whole),
    }
}

fn different_points(ours: &Points, theirs: &Points) -> Vec<(Key, i64, Option<f64>, Option<f64>)> {
    let none = BTreeMap::new();
    let mut wrong = Vec::new();
    let more = theirs.keys().filter(|key| !ours.contains_key(*key));
    for key in ours.keys().chain(more) {
        let (a, b) = (
            ours.get(key).unwrap_or(&none),
            theirs.get(key).unwrap_or(&none),
        );
        let more = b.keys().filter(|time| !a.contains_key(time));
        for time in a.keys().chain(more) {
            let pair = (a.get(time).copied(), b.get(time).copied());
            let is_same = matches!(pair, (Some(a), Some(b)) if is_near(a, b));
            if !is_same {
                wrong.push((key.clone(), *time, pair.0, pair.1));
            }
        }
    }
    wrong
}

/// An error without what hangs on the order in which series were looked at: the series themselves.
pub fn plain(error: &str) -> &str {
    let end = error.find(['{', '[']).unwrap_or(error.len());
    error.get(..end).unwrap_or(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use treering::labels;
    use treering_promql::{ResultSeries, VectorSample};

    fn series(samples: &[(i64, f64)]) -> ResultSeries {
        let samples = samples.iter();
        ResultSeries {
            labels: labels! { "a" => "b" },
            samples: samples
                .map(|(time, value)| (*time, SampleValue::Float(*value)))
                .collect(),
        }
    }

    #[test]
    fn a_reply_and_a_value_of_ours_become_the_same() {
        let reply = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"a":"b"},"values":[[1.5,"0.25"],[2,"NaN"],[3,"+Inf"]]}]}}"#;
        let theirs = theirs(reply).unwrap();
        let samples = [
            (1_500_000_000, 0.25),
            (2_000_000_000, f64::NAN),
            (3_000_000_000, f64::INFINITY),
        ];
        let ours = of_value(Value::Matrix(vec![series(&samples)]));
        assert_eq!(difference(&ours, &theirs, false), None);
        for (at, value) in [(0, 0.250001), (1, 0.0), (2, f64::MAX)] {
            let mut wrong = samples;
            wrong[at].1 = value;
            let wrong = of_value(Value::Matrix(vec![series(&wrong)]));
            let found = difference(&wrong, &theirs, false);
            assert!(matches!(found, Some(Difference::Points(points)) if points.len() == 1));
        }
        let less = of_value(Value::Matrix(vec![series(&samples[..2])]));
        assert!(difference(&less, &theirs, false).is_some());
        let twice = of_value(Value::Matrix(vec![
            series(&samples[..2]),
            series(&samples[2..]),
        ]));
        assert!(difference(&twice, &theirs, false).is_some());
    }

    #[test]
    fn errors_are_compared_without_the_series_that_they_name() {
        let reply = |kind: &str, text: &str| {
            let text = format!(r#"{{"status":"error","errorType":"{kind}","error":"{text}"}}"#);
            theirs(text.as_bytes()).unwrap()
        };
        let failed = reply("execution", "found duplicate series for {a} there");
        let ours = Answer::Failed("found duplicate series for {b} there".to_owned());
        assert_eq!(difference(&ours, &failed, false), None);
        let other = Answer::Failed("something else".to_owned());
        assert_eq!(difference(&other, &failed, false), Some(Difference::Whole));
        let refused = reply("bad_data", "1:2: parse error");
        assert_eq!(difference(&ours, &refused, false), Some(Difference::Whole));
    }

    #[test]
    fn the_order_of_a_vector_counts_where_it_was_asked_for() {
        let sample = |name: &str, value: f64| VectorSample {
            labels: treering::Labels::from_pairs([("n", name)]).unwrap(),
            timestamp: 0,
            value: SampleValue::Float(value),
        };
        let up = of_value(Value::Vector(vec![sample("a", 1.0), sample("b", 2.0)]));
        let down = of_value(Value::Vector(vec![sample("b", 2.0), sample("a", 1.0)]));
        assert_eq!(difference(&up, &down, false), None);
        assert_eq!(difference(&up, &down, true), Some(Difference::Order));
    }
}
