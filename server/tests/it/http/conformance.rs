//! Prometheus' PromQL scripts through the HTTP door: loaded by remote write, asked by the query
//! API.
//!
//! Input: the folder that `TREERING_PROMQLTEST` names, and our own cases of `promql/tests/cases`.
//! The reader of scripts and the rules of comparison are those of `promql/tests/conformance`.
//! Invariant: each instant question is asked at its time, again with `@` at other times, and each
//! of these as the middle step of a range. What remote write 1.0 cannot carry is skipped, and
//! counted.

#[path = "../../../../promql/tests/conformance/almost.rs"]
mod almost;
#[path = "../../../../promql/tests/conformance/buckets.rs"]
mod buckets;
#[path = "../../../../promql/tests/conformance/classic.rs"]
mod classic;
#[path = "../../../../promql/tests/conformance/compare.rs"]
mod compare;
#[path = "../../../../promql/tests/conformance/rewrite.rs"]
mod rewrite;
#[expect(dead_code, reason = "what answers from a database in process needs")]
#[path = "../../../../promql/tests/conformance/script.rs"]
mod script;
#[path = "../../../../promql/tests/conformance/values.rs"]
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;
use treering::{CUSTOM_SCHEMA, Histogram, Labels, ResetHint};
use treering_promql::histogram::all_buckets;
use treering_promql::{Features, ResultSeries, SampleValue, Value, VectorSample, parse};

use self::script::{CommandKind, Eval, Load, Steps, What, When};
use self::values::Slot;
use super::client::{Client, Served};
use super::messages::{self, TimeSeries};

/// Samples, as `classic` makes them.
mod store {
    use std::sync::Arc;

    use treering::Histogram;

    #[derive(Debug, Clone)]
    pub(crate) struct Sample {
        #[allow(dead_code, reason = "what is made here is a histogram")]
        pub(crate) value: f64,
        pub(crate) histogram: Option<Arc<Histogram>>,
        #[allow(dead_code, reason = "remote write 1.0 has no place for it")]
        pub(crate) start: i64,
    }
}

const MINUTE: i64 = 60_000_000_000;

/// What came of one script.
#[derive(Debug, Default)]
struct Report {
    asked: usize,
    skipped: usize,
    misses: Vec<String>,
}

/// A server that is asked.
struct World {
    _served: Served,
    client: Client,
    /// Whether what was loaded needs more than remote write 1.0 carries.
    lacks: bool,
}

/// An answer, read back.
struct Told {
    value: Value,
    warnings: Vec<String>,
    infos: Vec<String>,
}

impl World {
    fn new() -> Self {
        let served = Served::new(Features::all());
        let client = served.client();
        Self {
            _served: served,
            client,
            lacks: false,
        }
    }

    fn load(&mut self, load: &Load) -> Result<(), String> {
        self.lacks |= load.series.iter().any(|line| !line.starts.is_empty());
        let mut all: BTreeMap<Labels, TimeSeries> = BTreeMap::new();
        let mut push = |labels: &Labels, time: i64, slot: &Slot| {
            let series = all.entry(labels.clone()).or_insert_with(|| TimeSeries {
                labels: messages::labels(&labels.iter().collect::<Vec<_>>()),
                ..TimeSeries::default()
            });
            let timestamp = time / 1_000_000;
            match slot {
                Slot::Nothing => {}
                Slot::Float(value) => series.samples.push(messages::Sample {
                    value: *value,
                    timestamp,
                }),
                Slot::Histogram(one, _) => series.histograms.push(sent(one, timestamp)),
            }
        };
        for line in &load.series {
            for (at, slot) in (0..).zip(&line.slots) {
                push(&line.labels, at * load.step, slot);
            }
        }
        if load.with_custom_buckets {
            for (labels, samples) in classic::convert(load) {
                for (time, sample) in samples {
                    if let Some(one) = sample.histogram {
                        push(&labels, time, &Slot::Histogram(one, false));
                    }
                }
            }
        }
        let request = messages::request(all.into_values().collect());
        let reply = self.client.write(&request);
        match reply.status {
            204 => Ok(()),
            status => Err(format!("load: {status} {}", reply.body.trim_end())),
        }
    }

    fn instant(&mut self, text: &str, time: i64) -> Result<Told, String> {
        let time = seconds(time);
        self.ask("/api/v1/query", &[("query", text), ("time", &time)])
    }

    fn range(&mut self, text: &str, steps: Steps) -> Result<Told, String> {
        let times = [steps.start, steps.end, steps.step].map(seconds);
        let [start, end, step] = times.each_ref().map(String::as_str);
        let params = [
            ("query", text),
            ("start", start),
            ("end", end),
            ("step", step),
        ];
        self.ask("/api/v1/query_range", &params)
    }

    fn ask(&mut self, path: &str, params: &[(&str, &str)]) -> Result<Told, String> {
        let reply = self.client.post(path, params);
        let body = reply.json();
        let texts = |name: &str| -> Vec<String> {
            let texts = body[name].as_array().into_iter().flatten();
            texts
                .map(|text| text.as_str().unwrap().to_owned())
                .collect()
        };
        if reply.status != 200 {
            let error = body["error"].as_str().unwrap();
            let error = error.strip_prefix("invalid parameter \"query\": ");
            return Err(error
                .unwrap_or_else(|| body["error"].as_str().unwrap())
                .to_owned());
        }
        Ok(Told {
            value: value(&body["data"]),
            warnings: texts("warnings"),
            infos: texts("infos"),
        })
    }
}

/// Nanoseconds as seconds.
fn seconds(nanos: i64) -> String {
    format!("{}", nanos as f64 / 1e9)
}

/// A histogram as a sender writes it: whole where all of its counts are.
fn sent(histogram: &Histogram, timestamp: i64) -> messages::Histogram {
    let sides = [&histogram.positive, &histogram.negative];
    let buckets = sides
        .iter()
        .flat_map(|side| side.iter().map(|bucket| bucket.1));
    let in_all = buckets.clone().sum::<f64>() + histogram.zero_count;
    let mut counts = buckets.chain([histogram.count, histogram.zero_count]);
    let is_whole = counts.all(|count| count.fract() == 0.0 && (0.0..1e15).contains(&count))
        && (in_all == histogram.count || histogram.sum.is_nan() && in_all < histogram.count);
    let (positive_spans, positive) = spans(&histogram.positive);
    let (negative_spans, negative) = spans(&histogram.negative);
    let mut sent = messages::Histogram {
        sum: histogram.sum,
        schema: i32::from(histogram.schema),
        zero_threshold: histogram.zero_threshold,
        positive_spans,
        negative_spans,
        reset_hint: match histogram.hint {
            ResetHint::Unknown => 0,
            ResetHint::Reset => 1,
            ResetHint::NotReset => 2,
            ResetHint::Gauge => 3,
        },
        timestamp,
        custom_values: histogram.bounds.to_vec(),
        ..messages::Histogram::default()
    };
    if is_whole {
        sent.count = Some(messages::Count::Whole(histogram.count as u64));
        sent.zero_count = Some(messages::ZeroCount::Whole(histogram.zero_count as u64));
        sent.positive_deltas = deltas(&positive);
        sent.negative_deltas = deltas(&negative);
    } else {
        sent.count = Some(messages::Count::Float(histogram.count));
        sent.zero_count = Some(messages::ZeroCount::Float(histogram.zero_count));
        sent.positive_counts = positive;
        sent.negative_counts = negative;
    }
    sent
}

/// Spans of buckets that follow each other, and all counts.
fn spans(buckets: &[(i32, f64)]) -> (Vec<messages::Span>, Vec<f64>) {
    let mut spans: Vec<messages::Span> = Vec::new();
    let mut next = 0;
    for &(index, _) in buckets {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(messages::Span {
                offset: index - next,
                length: 1,
            }),
        }
        next = index + 1;
    }
    (spans, buckets.iter().map(|bucket| bucket.1).collect())
}

fn deltas(counts: &[f64]) -> Vec<i64> {
    let before = [0.0].into_iter().chain(counts.iter().copied());
    let pairs = counts.iter().zip(before);
    pairs
        .map(|(count, before)| *count as i64 - before as i64)
        .collect()
}

/// The `data` of an answer.
fn value(data: &Json) -> Value {
    let result = &data["result"];
    let series = || result.as_array().unwrap().iter();
    match data["resultType"].as_str().unwrap() {
        "scalar" => Value::Scalar(time(&result[0]), number(&result[1])),
        "string" => Value::String(time(&result[0]), result[1].as_str().unwrap().to_owned()),
        "vector" => Value::Vector(series().map(sample).collect()),
        "matrix" => Value::Matrix(series().map(row).collect()),
        other => panic!("a result of type {other:?}"),
    }
}

fn sample(json: &Json) -> VectorSample {
    let floats = json
        .get("value")
        .map(|pair| (time(&pair[0]), float(&pair[1])));
    let histograms = json.get("histogram");
    let histograms = histograms.map(|pair| (time(&pair[0]), buckets_of(&pair[1])));
    let (timestamp, value) = floats.or(histograms).unwrap();
    VectorSample {
        labels: labels(&json["metric"]),
        timestamp,
        value,
    }
}

fn row(json: &Json) -> ResultSeries {
    let list = |name: &str| json[name].as_array().into_iter().flatten();
    let floats = list("values").map(|pair| (time(&pair[0]), float(&pair[1])));
    let histograms = list("histograms").map(|pair| (time(&pair[0]), buckets_of(&pair[1])));
    let mut samples: Vec<_> = floats.chain(histograms).collect();
    samples.sort_by_key(|sample| sample.0);
    ResultSeries {
        labels: labels(&json["metric"]),
        samples,
    }
}

fn labels(json: &Json) -> Labels {
    let pairs = json.as_object().unwrap().iter();
    Labels::from_pairs(pairs.map(|(name, value)| (name, value.as_str().unwrap()))).unwrap()
}

fn time(json: &Json) -> i64 {
    (json.as_f64().unwrap() * 1e3).round() as i64 * 1_000_000
}

fn number(json: &Json) -> f64 {
    json.as_str().unwrap().parse().unwrap()
}

fn float(json: &Json) -> SampleValue {
    SampleValue::Float(number(json))
}

/// A histogram as far as an answer shows it: a bucket is its count and its bounds.
fn shown(count: f64, sum: f64, buckets: impl Iterator<Item = [f64; 3]>) -> Histogram {
    let buckets: Vec<[f64; 3]> = buckets.filter(|bucket| bucket[2] != 0.0).collect();
    Histogram {
        schema: CUSTOM_SCHEMA,
        count,
        sum,
        positive: (0..).zip(buckets.iter().map(|bucket| bucket[2])).collect(),
        bounds: buckets
            .iter()
            .flat_map(|bucket| [bucket[0], bucket[1]])
            .collect(),
        ..Histogram::default()
    }
}

fn buckets_of(json: &Json) -> SampleValue {
    let buckets = json["buckets"].as_array().into_iter().flatten();
    let buckets = buckets.map(|bucket| [1, 2, 3].map(|at| number(&bucket[at])));
    let shown = shown(number(&json["count"]), number(&json["sum"]), buckets);
    SampleValue::Histogram(Arc::new(shown))
}

/// What is expected, as far as an answer shows it.
fn visible(mut eval: Eval) -> Eval {
    for slot in eval.series.iter_mut().flat_map(|(_, slots)| slots) {
        if let Slot::Histogram(one, _) = slot {
            let buckets = all_buckets(one).into_iter();
            let buckets = buckets.map(|bucket| [bucket.lower, bucket.upper, bucket.count]);
            *slot = Slot::Histogram(Arc::new(shown(one.count, one.sum, buckets)), false);
        }
    }
    eval
}

fn ask(world: &mut World, eval: &Eval) -> Result<(), String> {
    let time = match eval.when {
        When::Steps(steps) => {
            let told = world.range(&eval.text, steps);
            return check(eval, told, Some(steps), true).map(|_| ());
        }
        When::At(time) => time,
    };
    at(world, eval, &eval.text, time, true)?;
    let Ok(expr) = parse(&eval.text, &Features::all()) else {
        return Ok(());
    };
    let Some(fixed) = rewrite::at(&expr, time) else {
        return Ok(());
    };
    let text = fixed.to_string();
    let second = 1_000_000_000;
    let others = match time {
        0 => vec![-second, 0, second],
        _ => vec![-10 * time, 0, time / 5_000_000 * 1_000_000, time, 10 * time],
    };
    for other in others {
        let wrong = |error| format!("{text} at {}: {error}", other / 1_000_000);
        // Its places are not those of the text that was written.
        at(world, eval, &text, other, false).map_err(wrong)?;
    }
    Ok(())
}

/// An instant query, and the same as a step of a range query.
fn at(world: &mut World, eval: &Eval, text: &str, time: i64, notes: bool) -> Result<(), String> {
    let told = world.instant(text, time);
    let is_scalar = match check(eval, told, eval.matrix, notes)? {
        Some(Value::Scalar(..)) => true,
        Some(Value::Vector(_)) => false,
        _ => return Ok(()),
    };
    let expr = parse(text, &Features::all()).map_err(|error| error.to_string())?;
    if eval.has(What::Ordered) || rewrite::knows_its_steps(&expr) {
        return Ok(());
    }
    let steps = Steps {
        start: time - MINUTE,
        end: time + MINUTE,
        step: MINUTE,
    };
    let told = world.range(text, steps)?;
    middle_step(eval, &told.value, time, is_scalar)
        .map_err(|error| format!("as a range query: {error}"))
}

fn middle_step(eval: &Eval, value: &Value, time: i64, is_scalar: bool) -> Result<(), String> {
    let Value::Matrix(series) = value else {
        return Err("no matrix".to_owned());
    };
    compare::is_sorted(series)?;
    let mut samples = vec![];
    for series in series {
        let at_time = series.samples.iter().find(|(at, _)| *at == time);
        samples.extend(at_time.map(|(_, value)| (&series.labels, value)));
    }
    match (is_scalar, samples.first()) {
        (true, Some((_, SampleValue::Float(number)))) => compare::scalar(eval, *number),
        (true, _) => Err("no number".to_owned()),
        (false, _) => compare::vector(eval, &samples, false),
    }
}

/// Compares an answer with what is expected; gives its value back where it is one.
fn check(
    eval: &Eval,
    told: Result<Told, String>,
    steps: Option<Steps>,
    notes: bool,
) -> Result<Option<Value>, String> {
    let told = match told {
        Ok(_) if eval.has(What::Fail) => return Err("it did not fail".to_owned()),
        Ok(told) => told,
        Err(error) if eval.has(What::Fail) => {
            return compare::failure(eval, &error).map(|()| None);
        }
        Err(error) => return Err(error),
    };
    if notes {
        compare::annotations(eval, What::Warn, &told.warnings)?;
        compare::annotations(eval, What::Info, &told.infos)?;
    }
    compare::value(eval, &told.value, steps)?;
    Ok(Some(told.value))
}

fn run(path: &Path) -> Report {
    let text = std::fs::read_to_string(path).unwrap();
    let commands = script::read(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut report = Report::default();
    let mut world = World::new();
    for command in commands {
        let at = |what: String| format!("{name}:{}: {what}", command.line);
        match command.kind {
            CommandKind::Clear => world = World::new(),
            CommandKind::Load(load) => {
                let loaded = world.load(&load);
                report.misses.extend(loaded.err().map(at));
            }
            CommandKind::Eval(_) if world.lacks => report.skipped += 1,
            CommandKind::Eval(eval) => {
                report.asked += 1;
                let eval = visible(*eval);
                let asked = ask(&mut world, &eval);
                let wrong = asked
                    .err()
                    .map(|wrong| format!("{}\n    {wrong}", eval.text));
                report.misses.extend(wrong.map(at));
            }
        }
    }
    report
}

fn run_all(folder: &Path) {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "test")
    });
    paths.sort();
    assert!(!paths.is_empty(), "no scripts in {}", folder.display());
    let reports: Vec<Report> = paths.iter().map(|path| run(path)).collect();
    let sum = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>();
    let (asked, skipped) = (sum(|one| one.asked), sum(|one| one.skipped));
    eprintln!(
        "{}: {asked} cases over HTTP, {skipped} SKIPPED",
        folder.display()
    );
    let misses: Vec<String> = reports.into_iter().flat_map(|one| one.misses).collect();
    assert!(
        misses.is_empty(),
        "{} misses\n{}",
        misses.len(),
        misses.join("\n")
    );
}

#[test]
fn scripts_of_prometheus() {
    match std::env::var_os("TREERING_PROMQLTEST") {
        Some(folder) => run_all(Path::new(&folder)),
        None => eprintln!(
            "SKIPPED: Prometheus' own cases over HTTP; TREERING_PROMQLTEST names the folder of its \
             promql/promqltest/testdata"
        ),
    }
}

#[test]
fn scripts_of_ours() {
    run_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../promql/tests/cases"));
}
