//! JSON: answers in the shapes of Prometheus' HTTP API.
//!
//! Input: values, labels, notes, failures. Output: text. Invariant: the text is one JSON object
//! without line ends, whatever labels and sentences hold; numbers of samples are strings, so that
//! `NaN` and infinities have a place.

use std::fmt::Write as _;
use std::time::Duration;

use treering::{Histogram, Labels};
use treering_promql::histogram::{Bucket, all_buckets};
use treering_promql::{QueryStats, ResultSeries, SampleValue, Value, VectorSample};

use crate::failure::Failure;
use crate::number::{push_decimal, push_float, push_time};

/// What a query took, beside what the evaluator counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Took {
    /// Time until its turn came.
    pub queued: Duration,
    /// Time of its evaluation.
    pub evaluated: Duration,
}

/// The envelope of an answer, whose `data` member `push_data` appends.
pub fn success(
    push_data: impl FnOnce(&mut String),
    warnings: &[String],
    infos: &[String],
) -> String {
    let mut out = String::from("{\"status\":\"success\",\"data\":");
    push_data(&mut out);
    for (name, notes) in [("warnings", warnings), ("infos", infos)] {
        if !notes.is_empty() {
            let _ = write!(out, ",\"{name}\":");
            push_texts(&mut out, notes);
        }
    }
    out.push('}');
    out
}

/// The envelope of a failure.
pub fn failed(failure: &Failure) -> String {
    let mut out = String::from("{\"status\":\"error\",\"errorType\":");
    push_text(&mut out, failure.kind.name());
    out.push_str(",\"error\":");
    push_text(&mut out, &failure.text);
    out.push('}');
    out
}

/// Appends the `data` of a query: `resultType`, `result`, and `stats` where they were asked for.
pub fn push_result(out: &mut String, value: &Value, stats: Option<(&QueryStats, &Took)>) {
    out.push_str("{\"resultType\":");
    match value {
        Value::Scalar(time, number) => {
            out.push_str("\"scalar\",\"result\":");
            push_scalar(out, *time, |out| push_decimal(out, *number));
        }
        Value::String(time, text) => {
            out.push_str("\"string\",\"result\":");
            push_pair(out, *time, |out| push_text(out, text));
        }
        Value::Vector(samples) => {
            out.push_str("\"vector\",\"result\":");
            push_list(out, samples, push_sample);
        }
        Value::Matrix(series) => {
            out.push_str("\"matrix\",\"result\":");
            push_list(out, series, push_series);
        }
    }
    if let Some((stats, took)) = stats {
        out.push_str(",\"stats\":");
        push_stats(out, stats, took);
    }
    out.push('}');
}

/// Appends labels as an object.
pub fn push_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_text(out, name);
        out.push(':');
        push_text(out, value);
    }
    out.push('}');
}

/// Appends a list whose members `push` appends.
pub fn push_list<T>(out: &mut String, list: &[T], push: impl Fn(&mut String, &T)) {
    out.push('[');
    for (at, member) in list.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push(out, member);
    }
    out.push(']');
}

/// Appends a list of texts.
pub fn push_texts(out: &mut String, texts: &[String]) {
    push_list(out, texts, |out, text| push_text(out, text));
}

/// Appends a text in quotes.
pub fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", control as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

fn push_sample(out: &mut String, sample: &VectorSample) {
    out.push_str("{\"metric\":");
    push_labels(out, &sample.labels);
    out.push_str(match sample.value {
        SampleValue::Float(_) => ",\"value\":",
        SampleValue::Histogram(_) => ",\"histogram\":",
    });
    push_point(out, sample.timestamp, &sample.value);
    out.push('}');
}

/// A series: its floats under `values`, its histograms under `histograms`.
fn push_series(out: &mut String, series: &ResultSeries) {
    out.push_str("{\"metric\":");
    push_labels(out, &series.labels);
    let is_float = |value: &SampleValue| matches!(value, SampleValue::Float(_));
    for (name, floats) in [("values", true), ("histograms", false)] {
        let of_kind = |sample: &&(i64, SampleValue)| is_float(&sample.1) == floats;
        let mut samples = series.samples.iter().filter(of_kind).peekable();
        if samples.peek().is_none() {
            continue;
        }
        let _ = write!(out, ",\"{name}\":");
        for (at, (time, value)) in samples.enumerate() {
            out.push(if at > 0 { ',' } else { '[' });
            push_point(out, *time, value);
        }
        out.push(']');
    }
    out.push('}');
}

fn push_point(out: &mut String, time: i64, value: &SampleValue) {
    push_pair(out, time, |out| match value {
        SampleValue::Float(number) => push_quoted(out, *number),
        SampleValue::Histogram(histogram) => push_histogram(out, histogram),
    });
}

fn push_pair(out: &mut String, time: i64, push: impl FnOnce(&mut String)) {
    out.push('[');
    push_time(out, time);
    out.push(',');
    push(out);
    out.push(']');
}

fn push_scalar(out: &mut String, time: i64, push: impl FnOnce(&mut String)) {
    push_pair(out, time, |out| {
        out.push('"');
        push(out);
        out.push('"');
    });
}

fn push_quoted(out: &mut String, number: f64) {
    out.push('"');
    push_float(out, number);
    out.push('"');
}

/// Count, sum and the buckets that hold anything.
fn push_histogram(out: &mut String, histogram: &Histogram) {
    out.push_str("{\"count\":");
    push_quoted(out, histogram.count);
    out.push_str(",\"sum\":");
    push_quoted(out, histogram.sum);
    let mut buckets = all_buckets(histogram);
    buckets.retain(|bucket| bucket.count != 0.0);
    if !buckets.is_empty() {
        out.push_str(",\"buckets\":");
        push_list(out, &buckets, |out, bucket| {
            let _ = write!(out, "[{},", rule(bucket, histogram.is_custom()));
            push_quoted(out, bucket.lower);
            out.push(',');
            push_quoted(out, bucket.upper);
            out.push(',');
            push_quoted(out, bucket.count);
            out.push(']');
        });
    }
    out.push('}');
}

/// Which bounds belong to a bucket: 0 the upper, 1 the lower, 2 none, 3 both.
fn rule(bucket: &Bucket, is_custom: bool) -> u8 {
    if is_custom {
        return if bucket.lower == f64::NEG_INFINITY {
            3
        } else {
            0
        };
    }
    let is_zero = bucket.lower == -bucket.upper;
    match (is_zero, bucket.lower < 0.0) {
        (true, _) => 3,
        (false, true) => 1,
        (false, false) => 0,
    }
}

fn push_stats(out: &mut String, stats: &QueryStats, took: &Took) {
    let evaluated = took.evaluated.as_secs_f64();
    let queued = took.queued.as_secs_f64();
    let _ = write!(
        out,
        "{{\"timings\":{{\"evalTotalTime\":{evaluated},\"resultSortTime\":0,\
         \"queryPreparationTime\":{},\"innerEvalTime\":{},\"execQueueTime\":{queued},\
         \"execTotalTime\":{}}},\"samples\":{{\"totalQueryableSamples\":{},\"peakSamples\":{},\
         \"samplesRead\":{}}}}}",
        stats.select.as_secs_f64(),
        stats.total.saturating_sub(stats.select).as_secs_f64(),
        evaluated + queued,
        stats.samples,
        stats.peak_samples,
        stats.samples
    );
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use treering::{CUSTOM_SCHEMA, labels};

    fn result(value: &Value) -> String {
        let mut out = String::new();
        push_result(&mut out, value, None);
        out
    }

    #[test]
    fn values_have_prometheus_shapes() {
        assert_eq!(
            result(&Value::Scalar(1_500_000_000, 1e21)),
            r#"{"resultType":"scalar","result":[1.500,"1000000000000000000000"]}"#
        );
        assert_eq!(
            result(&Value::String(0, "a\"\\\n\u{1}\u{e9}".to_owned())),
            "{\"resultType\":\"string\",\"result\":[0,\"a\\\"\\\\\\n\\u0001\u{e9}\"]}"
        );
        let vector = Value::Vector(vec![VectorSample {
            labels: labels! { "__name__" => "up", "a b" => "c" },
            timestamp: 10_000_000,
            value: SampleValue::Float(f64::NEG_INFINITY),
        }]);
        assert_eq!(
            result(&vector),
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","a b":"c"},"value":[0.010,"-Inf"]}]}"#
        );
        assert_eq!(
            result(&Value::Matrix(vec![])),
            r#"{"resultType":"matrix","result":[]}"#
        );
    }

    #[test]
    fn histograms_stand_apart_from_floats() {
        let exponential = Histogram {
            count: 12.0,
            sum: -1.5,
            zero_threshold: 0.001,
            zero_count: 2.0,
            positive: vec![(0, 1.0), (1, 0.0), (2, 4.0)],
            negative: vec![(1, 5.0)],
            ..Histogram::default()
        };
        let custom = Histogram {
            schema: CUSTOM_SCHEMA,
            count: 3.0,
            positive: vec![(0, 1.0), (2, 2.0)],
            bounds: vec![0.5, 10.0].into(),
            ..Histogram::default()
        };
        let series = ResultSeries {
            labels: Labels::empty(),
            samples: vec![
                (0, SampleValue::Histogram(Arc::new(exponential))),
                (1_000_000_000, SampleValue::Float(0.25)),
                (2_000_000_000, SampleValue::Histogram(Arc::new(custom))),
            ],
        };
        let exponential = concat!(
            r#"[0,{"count":"12","sum":"-1.5","buckets":[[1,"-2","-1","5"],"#,
            r#"[3,"-0.001","0.001","2"],[0,"0.5","1","1"],[0,"2","4","4"]]}]"#
        );
        let custom = concat!(
            r#"[2,{"count":"3","sum":"0","buckets":[[3,"-Inf","0.5","1"],"#,
            r#"[0,"10","+Inf","2"]]}]"#
        );
        assert_eq!(
            result(&Value::Matrix(vec![series])),
            format!(
                "{{\"resultType\":\"matrix\",\"result\":[{{\"metric\":{{}},\"values\":\
                 [[1,\"0.25\"]],\"histograms\":[{exponential},{custom}]}}]}}"
            )
        );
    }

    #[test]
    fn envelopes_have_notes_where_there_are_some() {
        let push = |out: &mut String| push_texts(out, &[]);
        assert_eq!(success(push, &[], &[]), r#"{"status":"success","data":[]}"#);
        assert_eq!(
            success(push, &["w".to_owned()], &["i".to_owned(), "j".to_owned()]),
            r#"{"status":"success","data":[],"warnings":["w"],"infos":["i","j"]}"#
        );
        assert_eq!(
            failed(&Failure::bad_data("say \"why\"")),
            r#"{"status":"error","errorType":"bad_data","error":"say \"why\""}"#
        );
    }

    #[test]
    fn statistics_are_numbers() {
        let stats = QueryStats {
            samples: 7,
            peak_samples: 9,
            select: Duration::from_millis(125),
            total: Duration::from_millis(375),
            ..QueryStats::default()
        };
        let took = Took {
            queued: Duration::from_millis(250),
            evaluated: Duration::from_millis(500),
        };
        let mut out = String::new();
        push_result(&mut out, &Value::Scalar(0, 1.0), Some((&stats, &took)));
        let read: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(read["stats"]["samples"]["totalQueryableSamples"], 7);
        assert_eq!(read["stats"]["samples"]["peakSamples"], 9);
        let timings = &read["stats"]["timings"];
        assert_eq!(timings["execTotalTime"], 0.75);
        assert_eq!(timings["queryPreparationTime"], 0.125);
        assert_eq!(timings["innerEvalTime"], 0.25);
    }
}
