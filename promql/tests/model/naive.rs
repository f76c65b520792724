//! What functions mean, computed from one window or one step at a time.

use crate::SECOND;

type Window<'a> = &'a [(i64, f64)];
type RangeFunction = fn(Window<'_>, i64, i64) -> Option<f64>;

/// Range functions: a window, its start and its end to a value.
pub(crate) const RANGE_FUNCTIONS: &[(&str, RangeFunction)] = &[
    ("count_over_time", |w, _, _| some(w, w.len() as f64)),
    ("present_over_time", |w, _, _| some(w, 1.0)),
    ("sum_over_time", |w, _, _| some(w, sum(w))),
    ("avg_over_time", |w, _, _| some(w, sum(w) / w.len() as f64)),
    ("min_over_time", |w, _, _| some(w, best(w, |a, b| a < b).1)),
    ("max_over_time", |w, _, _| some(w, best(w, |a, b| a > b).1)),
    ("ts_of_min_over_time", |w, _, _| {
        some(w, best(w, |a, b| a <= b).0)
    }),
    ("ts_of_max_over_time", |w, _, _| {
        some(w, best(w, |a, b| a >= b).0)
    }),
    ("first_over_time", |w, _, _| Some(w.first()?.1)),
    ("last_over_time", |w, _, _| Some(w.last()?.1)),
    ("ts_of_first_over_time", |w, _, _| {
        Some(seconds(w.first()?.0))
    }),
    ("ts_of_last_over_time", |w, _, _| Some(seconds(w.last()?.0))),
    ("stdvar_over_time", |w, _, _| some(w, variance(&values(w)))),
    ("stddev_over_time", |w, _, _| {
        some(w, variance(&values(w)).sqrt())
    }),
    ("quantile_over_time", |w, _, _| {
        some(w, quantile(0.3, &values(w)))
    }),
    ("mad_over_time", |w, _, _| some(w, mad(&values(w)))),
    ("changes", |w, _, _| {
        some(w, pairs(w, |a, b| a != b && !(a.is_nan() && b.is_nan())))
    }),
    ("resets", |w, _, _| some(w, pairs(w, |a, b| b < a))),
    ("rate", |w, start, end| {
        Some(rise(w, start, end, true)? / seconds(end - start))
    }),
    ("increase", |w, start, end| rise(w, start, end, true)),
    ("delta", |w, start, end| rise(w, start, end, false)),
    ("irate", |w, _, _| last_two(w, true)),
    ("idelta", |w, _, _| last_two(w, false)),
    ("deriv", |w, _, _| Some(line(w, w.first()?.0)?.0)),
    ("predict_linear", |w, _, end| {
        let (slope, intercept) = line(w, end)?;
        Some(slope * 100.0 + intercept)
    }),
    ("double_exponential_smoothing", |w, _, _| {
        smoothed(&values(w))
    }),
];

type Aggregation = fn(&[f64]) -> f64;

/// Aggregations: the values of a group at a step to one.
pub(crate) const AGGREGATIONS: &[(&str, Aggregation)] = &[
    ("sum", |all| all.iter().sum()),
    ("avg", |all| all.iter().sum::<f64>() / all.len() as f64),
    ("count", |all| all.len() as f64),
    ("group", |_| 1.0),
    ("min", |all| all.iter().copied().fold(f64::NAN, f64::min)),
    ("max", |all| all.iter().copied().fold(f64::NAN, f64::max)),
    ("stdvar", variance),
    ("stddev", |all| variance(all).sqrt()),
    ("quantile", |all| quantile(0.7, all)),
];

fn some(window: Window<'_>, value: f64) -> Option<f64> {
    (!window.is_empty()).then_some(value)
}

fn seconds(nanos: i64) -> f64 {
    nanos as f64 / SECOND as f64
}

fn values(window: Window<'_>) -> Vec<f64> {
    window.iter().map(|sample| sample.1).collect()
}

fn sum(window: Window<'_>) -> f64 {
    window.iter().map(|sample| sample.1).sum()
}

/// Time in seconds and value of the sample that no other beats.
fn best(window: Window<'_>, is_better: fn(f64, f64) -> bool) -> (f64, f64) {
    let mut best = (f64::NAN, f64::NAN);
    for (at, &(time, value)) in window.iter().enumerate() {
        if at == 0 || is_better(value, best.1) || best.1.is_nan() {
            best = (seconds(time), value);
        }
    }
    best
}

fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares = values.iter().map(|value| (value - mean) * (value - mean));
    squares.sum::<f64>() / values.len() as f64
}

/// Sorts numbers, NaN first.
pub(crate) fn sort(values: &mut [f64]) {
    values.sort_by(|a, b| {
        a.partial_cmp(b)
            .unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
    });
}

fn quantile(rank: f64, values: &[f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let mut values = values.to_vec();
    sort(&mut values);
    let at = rank * (values.len() - 1) as f64;
    let upper = (at.floor() as usize + 1).min(values.len() - 1);
    let weight = at - at.floor();
    values[at.floor() as usize] * (1.0 - weight) + values[upper] * weight
}

fn mad(values: &[f64]) -> f64 {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let median = quantile(0.5, values);
    let deviations: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    quantile(0.5, &deviations)
}

fn pairs(window: Window<'_>, is_one: fn(f64, f64) -> bool) -> f64 {
    let found = window
        .windows(2)
        .filter(|pair| is_one(pair[0].1, pair[1].1));
    found.count() as f64
}

/// The rise of a window, extrapolated as the documentation of `rate` says.
fn rise(window: Window<'_>, start: i64, end: i64, is_counter: bool) -> Option<f64> {
    let (first, last) = (window.first()?, window.last()?);
    if window.len() < 2 {
        return None;
    }
    let mut rise = last.1 - first.1;
    if is_counter {
        let lost = window.windows(2).filter(|pair| pair[1].1 < pair[0].1);
        for pair in lost {
            rise += pair[0].1;
        }
    }
    let sampled = seconds(last.0 - first.0);
    let between = sampled / (window.len() - 1) as f64;
    let reach = |gap: f64| {
        if gap >= between * 1.1 {
            between / 2.0
        } else {
            gap
        }
    };
    let mut before = reach(seconds(first.0 - start));
    if is_counter && rise > 0.0 && first.1 >= 0.0 {
        before = before.min(sampled * first.1 / rise);
    }
    Some(rise * (sampled + before + reach(seconds(end - last.0))) / sampled)
}

fn last_two(window: Window<'_>, is_rate: bool) -> Option<f64> {
    let [.., before, last] = window else {
        return None;
    };
    let rise = match is_rate && last.1 < before.1 {
        true => last.1,
        false => last.1 - before.1,
    };
    Some(match is_rate {
        true => rise / seconds(last.0 - before.0),
        false => rise,
    })
}

/// Slope and value at `origin` of the line of least squares.
fn line(window: Window<'_>, origin: i64) -> Option<(f64, f64)> {
    if window.len() < 2 {
        return None;
    }
    let first = window[0].1;
    if window.iter().all(|sample| sample.1 == first) {
        return Some(match first.is_infinite() {
            true => (f64::NAN, f64::NAN),
            false => (0.0, first),
        });
    }
    let count = window.len() as f64;
    let x = |sample: &(i64, f64)| seconds(sample.0 - origin);
    let mean_x = window.iter().map(x).sum::<f64>() / count;
    let mean_y = sum(window) / count;
    let together = window
        .iter()
        .map(|one| (x(one) - mean_x) * (one.1 - mean_y));
    let alone = window.iter().map(|one| (x(one) - mean_x).powi(2));
    let slope = together.sum::<f64>() / alone.sum::<f64>();
    Some((slope, mean_y - slope * mean_x))
}

fn smoothed(values: &[f64]) -> Option<f64> {
    let [first, second, rest @ ..] = values else {
        return None;
    };
    let mut trend = second - first;
    let (mut before, mut level) = (*first, 0.4 * second + 0.6 * (first + trend));
    for value in rest {
        trend = 0.7 * (level - before) + 0.3 * trend;
        (before, level) = (level, 0.4 * value + 0.6 * (level + trend));
    }
    Some(level)
}
