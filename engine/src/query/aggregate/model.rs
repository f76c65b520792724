//! The plain model that aggregates are held against: maps of samples, and a loop per window.
//!
//! Input: samples in maps, and what to compute. Output: what the answer must be, and how far an
//! answer that is rounded may be away from it.

use std::collections::BTreeMap;

use treering_codec::is_stale;
use treering_index::Labels;

use super::Function;
use crate::query::group::Grouping;

/// All samples of one series.
pub(super) type Samples = BTreeMap<i64, f64>;

/// What to compute, as in [`super::Aggregate`].
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) function: Function,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) step: Option<i64>,
    pub(super) width: Option<i64>,
    pub(super) grouping: Grouping,
}

/// One point: end of the window, value, and how far from it the answer may be (0: bit-equal, and
/// the one quiet NaN for any NaN).
pub(super) type Expected = (i64, f64, f64);

/// In place of a distance: bit-equal, and of a NaN sign and payload too.
pub(super) const BITS: f64 = -1.0;

/// The answer to `question` over `series`.
pub(super) fn answer(
    series: &BTreeMap<Labels, Samples>,
    question: &Question,
) -> BTreeMap<Labels, Vec<Expected>> {
    let mut groups: BTreeMap<Labels, Vec<&Samples>> = BTreeMap::new();
    for (labels, samples) in series {
        groups
            .entry(question.grouping.labels(labels))
            .or_default()
            .push(samples);
    }
    let mut answer = BTreeMap::new();
    for (labels, group) in groups {
        let points: Vec<Expected> = ends(question)
            .into_iter()
            .filter_map(|end| point(&group, question, end))
            .collect();
        if !points.is_empty() {
            answer.insert(labels, points);
        }
    }
    answer
}

fn ends(question: &Question) -> Vec<i128> {
    let (first, last) = (i128::from(question.first), i128::from(question.last));
    let Some(step) = question.step else {
        return vec![last];
    };
    let mut ends = vec![first - 1 + i128::from(step)];
    while ends[ends.len() - 1] < last {
        ends.push(ends[ends.len() - 1] + i128::from(step));
    }
    ends
}

fn point(group: &[&Samples], question: &Question, end: i128) -> Option<Expected> {
    let whole = i128::from(question.last) - i128::from(question.first) + 1;
    let width = question.width.or(question.step).map_or(whole, i128::from);
    let inside = |at: i64| {
        let window = end - width < i128::from(at) && i128::from(at) <= end;
        window && (question.first..=question.last).contains(&at)
    };
    let parts: Vec<Vec<(i64, f64)>> = group
        .iter()
        .map(|samples| samples.iter().map(|(&at, &value)| (at, value)))
        .map(|samples| {
            samples
                .filter(|&(at, value)| inside(at) && !is_stale(value))
                .collect()
        })
        .filter(|part: &Vec<_>| !part.is_empty())
        .collect();
    if parts.is_empty() {
        return None;
    }
    let (value, tolerance) = compute(question.function, &parts, width);
    Some((i64::try_from(end).unwrap_or(i64::MAX), value, tolerance))
}

/// `function` over samples of several series, each not empty.
fn compute(function: Function, parts: &[Vec<(i64, f64)>], width: i128) -> (f64, f64) {
    let values: Vec<f64> = parts.iter().flatten().map(|sample| sample.1).collect();
    let count = values.len() as f64;
    let sum: f64 = values.iter().sum();
    let finite = values.iter().filter(|value| value.is_finite());
    let magnitude: f64 = finite.map(|value| value.abs()).sum();
    // Above 0 whatever the values, since a sum of nothing but zeros has either sign.
    let rounding = 1e-12 * magnitude + f64::MIN_POSITIVE;
    let increase = || parts.iter().map(|part| increase(part)).sum::<f64>();
    let seconds = width as f64 / 1e9;
    match function {
        Function::Count => (count, 0.0),
        Function::Sum => (sum, rounding),
        Function::Avg => (sum / count, rounding / count),
        Function::Min => (extreme(&values, |a, b| a < b), 0.0),
        Function::Max => (extreme(&values, |a, b| a > b), 0.0),
        Function::First => (edge(parts, |at, best| at < best), BITS),
        Function::Last => (edge(parts, |at, best| at >= best), BITS),
        Function::Stddev => {
            let mean = sum / count;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            ((squares / count).sqrt(), rounding)
        }
        Function::Quantile(q) => (quantile(q, values), 0.0),
        Function::Increase => (increase(), rounding),
        Function::Rate => (increase() / seconds, rounding / seconds),
    }
}

fn extreme(values: &[f64], beats: impl Fn(f64, f64) -> bool) -> f64 {
    let numbers = values.iter().copied().filter(|value| !value.is_nan());
    numbers
        .reduce(|best, value| if beats(value, best) { value } else { best })
        .unwrap_or(f64::NAN)
}

fn edge(parts: &[Vec<(i64, f64)>], beats: impl Fn(i64, i64) -> bool) -> f64 {
    let mut best = parts[0][0];
    for &sample in parts.iter().flatten() {
        if beats(sample.0, best.0) {
            best = sample;
        }
    }
    best.1
}

fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if q.is_nan() || !(0.0..=1.0).contains(&q) {
        return if q.is_nan() {
            f64::NAN
        } else {
            q * f64::INFINITY
        };
    }
    values.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let rank = q * (values.len() - 1) as f64;
    let (lower, weight) = (rank as usize, rank.fract());
    if weight == 0.0 {
        return values[lower];
    }
    values[lower] * (1.0 - weight) + values[lower + 1] * weight
}

fn increase(part: &[(i64, f64)]) -> f64 {
    let pairs = part.windows(2).map(|pair| (pair[0].1, pair[1].1));
    let dropped: f64 = pairs.filter(|(a, b)| b < a).map(|(before, _)| before).sum();
    if part.len() == 1 {
        0.0
    } else {
        part[part.len() - 1].1 - part[0].1 + dropped
    }
}
