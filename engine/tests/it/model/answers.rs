//! Every question, held against plain samples.
//!
//! Input: a database seen from one namespace, and what it should hold in a range. Output: nothing,
//! or a panic that says what differs. Bits must agree; sums to twelve digits.

use std::collections::{BTreeMap, BTreeSet};

use treering::{Aggregate, Db, Function, is_stale};

use super::life::host;
use super::plain::{Samples, Values};
use crate::support::{bits, selector};

fn number(labels: &treering::Labels) -> u8 {
    labels.get("host").unwrap()[1..].parse().unwrap()
}

/// Every sample in `first..=last`, series by series, as columns and one by one.
pub(crate) fn samples(db: &Db, (first, last): (i64, i64)) -> Samples {
    let mut found = Samples::new();
    for series in db.select(&selector("m"), first..=last).unwrap() {
        let series = series.unwrap();
        let columns = bits(&series.columns().unwrap());
        let one_by_one = series.samples().map(|sample| {
            let sample = sample.unwrap();
            (sample.timestamp, sample.value.to_bits())
        });
        assert_eq!(columns, one_by_one.collect::<Vec<_>>());
        let samples: BTreeMap<_, _> = columns.into_iter().collect();
        assert!(!samples.is_empty(), "{} without samples", series.labels());
        let before = found.insert(number(series.labels()), samples);
        assert!(before.is_none(), "{} twice", series.labels());
    }
    found
}

/// Aggregates of each series over the whole of `first..=last`.
///
/// With `steps` an answer may say that it is approximate, and functions that go by the order of
/// samples are not checked for those hosts.
pub(crate) fn check_aggregates(
    db: &Db,
    held: &Values,
    (first, last): (i64, i64),
    steps: Option<&BTreeSet<u8>>,
) {
    for function in [
        Function::Count,
        Function::Sum,
        Function::Min,
        Function::Max,
        Function::Avg,
        Function::First,
        Function::Last,
        Function::Stddev,
        Function::Increase,
    ] {
        let found = db.aggregate(&selector("m"), first..=last, &Aggregate::new(function));
        let found = found.unwrap();
        let (cut, exact): (Vec<_>, Vec<_>) = found.iter().partition(|it| it.approximate);
        assert!(steps.is_some() || cut.is_empty(), "{function:?}: {cut:?}");
        let cut: BTreeSet<u8> = cut.iter().map(|series| number(&series.labels)).collect();
        let points = exact.into_iter().map(|series| {
            assert_eq!(series.points.len(), 1);
            assert_eq!(series.points[0].timestamp, last);
            (number(&series.labels), series.points[0].value)
        });
        let found: BTreeMap<u8, f64> = points.collect();
        let held = held.iter().filter(|(number, _)| !cut.contains(number));
        let expected = held.filter_map(|(&number, values)| {
            let values = values.iter().copied();
            let values: Vec<f64> = values.filter(|value| !is_stale(*value)).collect();
            (!values.is_empty()).then(|| (number, plain(function, &values)))
        });
        let expected: BTreeMap<u8, (f64, f64)> = expected.collect();
        assert!(found.keys().eq(expected.keys()), "{function:?}: {found:?}");
        let ordered = matches!(
            function,
            Function::First | Function::Last | Function::Increase
        );
        let mixed = |number: u8| ordered && steps.is_some_and(|mixed| mixed.contains(&number));
        for (number, (value, size)) in expected {
            if mixed(number) {
                continue;
            }
            let got = found[&number];
            let close = if size == 0.0 {
                got.to_bits() == value.to_bits() || (got.is_nan() && value.is_nan())
            } else if !size.is_finite() || !value.is_finite() {
                true
            } else {
                (got - value).abs() <= 1e-12 * size
            };
            assert!(close, "{function:?} of h{number}: {got} is not {value}");
        }
    }
}

/// Newest samples and lists of names. `exact`: lists from indexes hold nothing more either.
pub(crate) fn check_newest_and_names(db: &Db, held: &Samples, exact: bool) {
    let latest = db
        .latest(&selector("m"))
        .unwrap()
        .into_iter()
        .map(|latest| {
            let sample = (latest.sample.timestamp, latest.sample.value.to_bits());
            (number(&latest.labels), sample)
        });
    let newest = held.iter().map(|(&number, samples)| {
        let (&at, &bits) = samples.last_key_value().unwrap();
        (number, (at, bits))
    });
    assert_eq!(latest.collect::<BTreeMap<_, _>>(), newest.collect());
    let labels = db.series_labels(&selector("{}"), ..).unwrap();
    let expected: Vec<_> = held.keys().map(|&number| host(number)).collect();
    assert_eq!(labels, expected);
    let values = db.label_values("host", &selector("m"), ..).unwrap();
    let all = db.label_values("host", &selector("{}"), ..).unwrap();
    assert!(all.is_sorted_by(|a, b| a < b) && values.iter().all(|value| all.contains(value)));
    let names = db.label_names(&selector("{}"), ..).unwrap();
    let least: Vec<_> = held.keys().map(|number| format!("h{number}")).collect();
    if exact {
        assert_eq!(values, least);
        assert_eq!(names.is_empty(), held.is_empty());
    } else {
        let values: BTreeSet<_> = values.iter().collect();
        assert!(
            least.iter().all(|host| values.contains(host)),
            "{values:?} {least:?}"
        );
    }
    assert!(names.is_empty() || names == ["__name__", "host", "odd"]);
}

/// The plain answer, and the magnitude that an error is relative to; 0 where bits must agree.
fn plain(function: Function, values: &[f64]) -> (f64, f64) {
    let numbers = || values.iter().copied().filter(|value| !value.is_nan());
    let size: f64 = numbers().map(f64::abs).sum::<f64>().max(f64::MIN_POSITIVE);
    let count = values.len() as f64;
    match function {
        Function::Count => (count, 0.0),
        Function::Min => (numbers().reduce(smaller).unwrap_or(f64::NAN), 0.0),
        Function::Max => (numbers().reduce(larger).unwrap_or(f64::NAN), 0.0),
        Function::First => (values[0], 0.0),
        Function::Last => (values[values.len() - 1], 0.0),
        Function::Sum => (exact_sum(values.iter().copied()), size),
        Function::Avg => (exact_sum(values.iter().copied()) / count, size / count),
        Function::Stddev => {
            let mean = exact_sum(values.iter().copied()) / count;
            let squares = exact_sum(values.iter().map(|value| (value - mean).powi(2)));
            // Squares of what is larger leave the numbers: one way of computing tells, another does not.
            let size = if size > 1e150 { f64::INFINITY } else { size };
            // A mean of squares is no finer than the least number above zero, 5e-324 for each value:
            // its root may be off by 1e-159 whatever the values are.
            let size = size.max(1e-147);
            ((squares / count).sqrt(), size)
        }
        _ => {
            let drops = values
                .windows(2)
                .filter(|pair| pair[1] < pair[0])
                .map(|pair| pair[0]);
            let ends = [values[values.len() - 1], -values[0]];
            (exact_sum(drops.chain(ends)), size)
        }
    }
}

/// Of zeros of both signs the first, as a scan that looks for strictly smaller values finds it.
fn smaller(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}

fn larger(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

/// Sum by pairwise exact expansion (Shewchuk): right to the last bit.
fn exact_sum(values: impl Iterator<Item = f64>) -> f64 {
    let mut parts: Vec<f64> = Vec::new();
    for mut value in values {
        let mut kept = Vec::new();
        for part in parts {
            let (large, small) = if value.abs() < part.abs() {
                (part, value)
            } else {
                (value, part)
            };
            let sum = large + small;
            let rest = small - (sum - large);
            if rest != 0.0 {
                kept.push(rest);
            }
            value = sum;
        }
        kept.push(value);
        parts = kept;
    }
    parts.iter().rev().sum()
}
