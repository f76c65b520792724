//! Lives of a database with histograms, starts and floats, and the plain model of them.
//!
//! Input: steps. Output: the database, and maps that say what it should hold, bit by bit.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use treering::vfs::Vfs;
use treering::{
    Aggregate, Batch, CUSTOM_SCHEMA, Db, ExportedChunk, Function, Histogram, Labels, ResetHint,
    SampleColumns, Selector, Source, is_stale, stale_marker,
};

use super::SECOND;
use crate::support::{cpu, memory, open, selector};

/// One sample as the model has it.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) bits: u64,
    pub(super) histogram: Option<Histogram>,
    pub(super) start: i64,
}

pub(super) type Series = BTreeMap<i64, Kept>;
pub(super) type Model = BTreeMap<Labels, Series>;

/// What is appended as one sample.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Float(i32),
    Stale,
    /// Of the exponential ones, of the custom ones, or a stale one.
    Exponential(u8),
    Custom(u8),
    Gone,
}

/// A histogram that tells `number`, `at` a time.
pub(super) fn histogram(value: &Value, at: i64) -> Histogram {
    match *value {
        Value::Custom(number) => Histogram {
            schema: CUSTOM_SCHEMA,
            hint: ResetHint::Gauge,
            count: f64::from(number) + 1.0,
            sum: at as f64 / 7.0,
            positive: vec![(0, 1.0), (2, f64::from(number))],
            bounds: vec![0.5, 1.0].into(),
            ..Histogram::default()
        },
        Value::Exponential(number) => Histogram {
            schema: (number % 3) as i8,
            count: f64::from(number) * 2.0 + 3.0,
            sum: at as f64 / 3.0,
            zero_threshold: 0.001,
            zero_count: 3.0,
            positive: vec![(i32::from(number) - 7, f64::from(number)), (400, 0.0)],
            negative: vec![(-2, f64::from(number))],
            ..Histogram::default()
        },
        _ => Histogram {
            sum: stale_marker(),
            ..Histogram::default()
        },
    }
}

impl Value {
    /// What is to come back of it.
    pub(super) fn kept(&self, at: i64, start: i64) -> Kept {
        let histogram = match self {
            Value::Exponential(_) | Value::Custom(_) => {
                let mut one = histogram(self, at);
                one.positive.retain(|bucket| bucket.1 != 0.0);
                one.negative.retain(|bucket| bucket.1 != 0.0);
                Some(one)
            }
            _ => None,
        };
        let value = match self {
            Value::Float(value) => f64::from(*value) / 4.0,
            _ => stale_marker(),
        };
        Kept {
            bits: value.to_bits(),
            histogram,
            start,
        }
    }

    pub(super) fn add_to(&self, batch: &mut Batch, labels: &Labels, at: i64, start: i64) {
        match self {
            Value::Float(value) => {
                batch.push_since(labels, at, f64::from(*value) / 4.0, start);
            }
            Value::Stale => batch.push_since(labels, at, stale_marker(), start),
            other => batch.push_histogram_since(labels, at, &histogram(other, at), start),
        }
    }
}

/// One step of a life.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Series, and of each sample time in seconds, value, start.
    Append(u8, Vec<(i64, Value, i64)>),
    /// One series or all, from second to second.
    Delete(Option<u8>, i64, i64),
    Flush,
    Compact,
    Reopen,
}

pub(super) fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (-9i32..9).prop_map(Value::Float),
        1 => Just(Value::Stale),
        4 => (0u8..9).prop_map(Value::Exponential),
        2 => (0u8..3).prop_map(Value::Custom),
        1 => Just(Value::Gone),
    ]
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    let start = prop_oneof![2 => Just(0i64), 3 => 1i64..4];
    let samples = prop::collection::vec((0i64..200, values(), start), 1..40);
    // Some in order of time, as most are.
    let samples = (samples, any::<bool>()).prop_map(|(mut samples, sorted)| {
        if sorted {
            samples.sort_by_key(|sample| sample.0);
        }
        samples
    });
    let delete = (prop::option::of(0u8..3), 0i64..200, 0i64..80);
    prop_oneof![
        8 => (0u8..3, samples).prop_map(|(series, samples)| Step::Append(series, samples)),
        2 => delete.prop_map(|(series, first, length)| Step::Delete(series, first, first + length)),
        2 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

pub(super) fn host(number: u8) -> Labels {
    cpu(["a", "b", "c"][usize::from(number)])
}

/// A database and what it should hold.
pub(super) struct Life {
    pub(super) vfs: Arc<dyn Vfs>,
    pub(super) db: Db,
    pub(super) model: Model,
}

impl Life {
    pub(super) fn new() -> Self {
        let vfs = memory();
        Self {
            db: open(&vfs),
            vfs,
            model: Model::new(),
        }
    }

    pub(super) fn take(&mut self, step: &Step) {
        match step {
            Step::Append(series, samples) => {
                let labels = host(*series);
                let mut batch = Batch::new();
                let model = self.model.entry(labels.clone()).or_default();
                for (second, value, start) in samples {
                    let at = second * SECOND;
                    value.add_to(&mut batch, &labels, at, *start);
                    model.insert(at, value.kept(at, *start));
                }
                self.db.append(&batch).unwrap();
            }
            Step::Delete(series, first, last) => {
                let range = first * SECOND..=last * SECOND;
                let wanted = series.map(host);
                let selector = match &wanted {
                    Some(labels) => selector(&labels.to_string()),
                    None => Selector::all(),
                };
                self.db.delete(&selector, range.clone()).unwrap();
                for (labels, series) in &mut self.model {
                    if wanted.as_ref().is_none_or(|wanted| wanted == labels) {
                        series.retain(|at, _| !range.contains(at));
                    }
                }
            }
            Step::Flush => self.db.flush().unwrap(),
            Step::Compact => self.db.compact().unwrap(),
            Step::Reopen => {
                self.db.close().unwrap();
                self.db = open(&self.vfs);
            }
        }
        self.model.retain(|_, series| !series.is_empty());
    }

    pub(super) fn check(&self) {
        check(&self.db, &self.model, i64::MIN, i64::MAX);
        check(&self.db, &self.model, 50 * SECOND, 120 * SECOND);
    }
}

/// Holds all that `db` tells of a range against the model.
pub(super) fn check(db: &Db, model: &Model, first: i64, last: i64) {
    let inside = |series: &Series| -> Series {
        let inside = series.range(first..=last);
        inside.map(|(at, kept)| (*at, kept.clone())).collect()
    };
    let mut wanted: Model = model
        .iter()
        .map(|(labels, series)| (labels.clone(), inside(series)))
        .collect();
    wanted.retain(|_, series| !series.is_empty());
    let mut found = 0;
    for series in db.select(&Selector::all(), first..=last).unwrap() {
        let series = series.unwrap();
        let model = &wanted[series.labels()];
        let samples = series.sample_columns().unwrap();
        same_samples(&samples, model, series.labels());
        let columns = series.columns().unwrap();
        let bits: Vec<u64> = columns.values.iter().map(|value| value.to_bits()).collect();
        assert!(bits.iter().eq(model.values().map(|kept| &kept.bits)));
        let one_by_one = series
            .samples()
            .map(|sample| sample.unwrap().value.to_bits());
        assert!(one_by_one.eq(bits));
        found += 1;
    }
    assert_eq!(found, wanted.len());
    // An answer from summaries is given only where there is no histogram.
    let count = Aggregate::new(Function::Count);
    for (labels, series) in &wanted {
        let selector = selector(&labels.to_string());
        let answer = Source::aggregate(db, &selector, first, last, &count);
        let has_histograms = series.values().any(|kept| kept.histogram.is_some());
        match answer {
            Some(answer) => {
                assert!(!has_histograms, "{labels}");
                let floats = series
                    .values()
                    .filter(|kept| !is_stale(f64::from_bits(kept.bits)));
                let told = answer
                    .unwrap()
                    .first()
                    .map_or(0.0, |one| one.points[0].value);
                assert_eq!(told, floats.count() as f64);
            }
            // What was deleted or lies outside may count too.
            None => assert!(model.contains_key(labels)),
        }
        let newest = series.iter().next_back().unwrap();
        match Source::latest(db, &selector, first, last) {
            Some(latest) => {
                assert!(newest.1.histogram.is_none(), "{labels}");
                let (_, sample) = latest.unwrap().remove(0);
                assert_eq!(sample.timestamp, *newest.0);
                assert_eq!(sample.value.to_bits(), newest.1.bits);
            }
            None => assert!(is_stale(f64::from_bits(newest.1.bits))),
        }
    }
}

pub(super) fn same_samples(samples: &SampleColumns, model: &Series, labels: &Labels) {
    assert!(samples.timestamps.iter().eq(model.keys()), "{labels}");
    for (place, (at, kept)) in model.iter().enumerate() {
        assert_eq!(samples.values[place].to_bits(), kept.bits, "{labels} {at}");
        let own = samples.histograms.get(place).and_then(Option::as_deref);
        let same = match (own, &kept.histogram) {
            (Some(own), Some(wanted)) => own.is_identical(wanted),
            (own, wanted) => own.is_none() && wanted.is_none(),
        };
        assert!(same, "{labels} {at}: {own:?}, not {:?}", kept.histogram);
        let start = samples.starts.get(place).copied().unwrap_or(0);
        assert_eq!(start, kept.start, "{labels} {at}");
    }
}

/// A database of what another one exports.
pub(super) fn imported(db: &Db) -> Db {
    let copy = Db::in_memory().unwrap();
    for chunk in db.export(.., ..).unwrap() {
        let chunk = chunk.unwrap();
        let floats = ExportedChunk::decode(&chunk.bytes).unwrap();
        let samples = ExportedChunk::decode_samples(&chunk.bytes).unwrap();
        assert_eq!(floats.timestamps, samples.timestamps);
        assert_eq!(chunk.count as usize, samples.values.len());
        copy.append(&Batch::new().samples(&chunk.labels, &samples))
            .unwrap();
    }
    copy
}
