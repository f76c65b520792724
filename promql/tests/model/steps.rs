//! A range query is its steps: random expressions over floats and histograms, asked at once and one
//! step at a time.

use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use treering::{
    Histogram, Labels, Result, SampleColumns, Selector, Source, SourceSeries, SourceSet,
};
use treering_promql::{Answer, Evaluator, Features, Options, SampleValue, Value, histogram, parse};

use crate::SECOND;

/// Series in memory.
#[derive(Debug, Clone)]
struct Memory {
    series: Vec<Stored>,
}

#[derive(Debug, Clone)]
struct Stored {
    labels: Labels,
    columns: SampleColumns,
}

impl SourceSeries for Stored {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn read(&self) -> Result<SampleColumns> {
        Ok(self.columns.clone())
    }
}

impl Source for Memory {
    fn select<'a>(&'a self, selector: &Selector, first: i64, last: i64) -> Result<SourceSet<'a>> {
        let mut found: Vec<Result<Box<dyn SourceSeries + 'a>>> = Vec::new();
        for series in self
            .series
            .iter()
            .filter(|one| selector.matches(&one.labels))
        {
            let mut part = SampleColumns::default();
            let all = &series.columns;
            for (at, &time) in all.timestamps.iter().enumerate() {
                if (first..=last).contains(&time) {
                    part.timestamps.push(time);
                    part.values.push(all.values[at]);
                    part.histograms.push(all.histograms[at].clone());
                    part.starts.push(all.starts[at]);
                }
            }
            if !part.timestamps.is_empty() {
                let labels = series.labels.clone();
                found.push(Ok(Box::new(Stored {
                    labels,
                    columns: part,
                })));
            }
        }
        Ok(Box::new(found.into_iter()))
    }
}

fn sample() -> impl Strategy<Value = (f64, Option<Arc<Histogram>>)> {
    let buckets = btree_map(-4..5i32, 1..20u32, 0..4);
    let histogram = (any::<bool>(), -1..2i8, buckets).prop_map(|(is_custom, schema, buckets)| {
        let positive: Vec<(i32, f64)> = match is_custom {
            true => (0..)
                .zip(buckets.values().map(|&count| f64::from(count)))
                .collect(),
            false => buckets
                .iter()
                .map(|(&at, &count)| (at, f64::from(count)))
                .collect(),
        };
        let bounds = buckets.keys().take(buckets.len().saturating_sub(1));
        let count = positive.iter().map(|bucket| bucket.1).sum();
        Arc::new(Histogram {
            schema: if is_custom {
                histogram::CUSTOM_SCHEMA
            } else {
                schema
            },
            count,
            sum: count * 1.5,
            bounds: match is_custom {
                true => bounds.map(|&bound| f64::from(bound)).collect(),
                false => Arc::from([]),
            },
            positive,
            ..Histogram::default()
        })
    });
    prop_oneof![
        6 => (0..40i32).prop_map(|value| (f64::from(value) / 4.0, None)),
        1 => Just((f64::NAN, None)),
        1 => Just((treering::stale_marker(), None)),
        2 => histogram.prop_map(|histogram| (0.0, Some(histogram))),
    ]
}

fn memory() -> impl Strategy<Value = Memory> {
    let samples = btree_map(0..400i64, (sample(), 0..30i64), 0..30);
    vec(samples, 1..6).prop_map(|all| {
        let stored = |(at, samples): (usize, std::collections::BTreeMap<i64, _>)| {
            let pairs = [
                ("__name__", ["m", "n_total"][at % 2].to_owned()),
                ("g", (at % 3).to_string()),
                ("i", (at / 2).to_string()),
                ("le", ["1", "2", "+Inf"][at % 3].to_owned()),
            ];
            let mut columns = SampleColumns::default();
            for (time, ((value, histogram), age)) in samples {
                columns.timestamps.push(time * SECOND);
                columns.values.push(value);
                columns.histograms.push(histogram);
                columns.starts.push((time - age) * SECOND);
            }
            Stored {
                labels: Labels::from_pairs(pairs).unwrap(),
                columns,
            }
        };
        let mut series: Vec<Stored> = all.into_iter().enumerate().map(stored).collect();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Memory { series }
    })
}

fn selector() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["m", "n_total", "{g=\"1\"}", "{i=~\"0|1\"}"]);
    (
        name,
        prop::sample::select(vec!["", " offset 30s", " offset -45s", " @ 150"]),
    )
        .prop_map(|(name, shift)| format!("{name}{shift}"))
}

fn window() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["m", "n_total", "{g=\"1\"}"]);
    let extent = prop::sample::select(vec![
        "[50s]",
        "[3m]",
        "[90s] offset 20s",
        "[90s] @ 200",
        "[2m:25s]",
        "[70s:7s] @ 180",
    ]);
    (name, extent).prop_map(|(name, extent)| format!("{name}{extent}"))
}

fn leaf() -> impl Strategy<Value = String> {
    let over = vec![
        "rate",
        "increase",
        "delta",
        "irate",
        "idelta",
        "resets",
        "changes",
        "deriv",
        "sum_over_time",
        "avg_over_time",
        "min_over_time",
        "max_over_time",
        "count_over_time",
        "last_over_time",
        "first_over_time",
        "stddev_over_time",
        "mad_over_time",
        "absent_over_time",
        "present_over_time",
        "ts_of_max_over_time",
    ];
    let extended = prop::sample::select(vec![
        "rate(m[1m] anchored)",
        "increase(m[90s] smoothed)",
        "delta(n_total[1m] smoothed)",
        "changes(m[1m] anchored)",
        "m smoothed",
        "start_timestamp(m)",
        "timestamp(n_total)",
        "vector(time())",
        "hour()",
        "quantile_over_time(0.4, m[2m])",
        "predict_linear(m[2m], 30)",
        "double_exponential_smoothing(m[2m], 0.3, 0.6)",
    ]);
    prop_oneof![
        3 => selector(),
        3 => (prop::sample::select(over), window()).prop_map(|(name, of)| format!("{name}({of})")),
        1 => extended.prop_map(str::to_owned),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    leaf().prop_recursive(3, 8, 2, |inner| {
        let wraps = prop::sample::select(vec![
            "sum(#)",
            "avg by (g) (#)",
            "max without (i) (#)",
            "min(#)",
            "count by (g) (#)",
            "group(#)",
            "stddev(#)",
            "quantile(0.3, #)",
            "sum(topk(2, #))",
            "sum(bottomk(1, #))",
            "count(limitk(2, #))",
            "limit_ratio(0.5, #)",
            "count_values(\"v\", #)",
            "abs(#)",
            "-(#)",
            "(#) * 2",
            "(#) / 0",
            "5 - (#)",
            "(#) > 3",
            "(#) == bool 2",
            "(#) </ 1.5",
            "(#) >/ 2",
            "clamp(#, 1, 5)",
            "round(#, 0.5)",
            "absent(#)",
            "scalar(#) + (#)",
            "histogram_quantile(0.6, #)",
            "histogram_fraction(0, 2, #)",
            "histogram_count(#)",
            "histogram_sum(#)",
            "histogram_stddev(#)",
            "histogram_avg(#)",
            "label_replace(#, \"i\", \"x$1\", \"g\", \"(.)\")",
            "label_join(#, \"j\", \"-\", \"g\", \"i\")",
            "sum_over_time((#)[1m:20s])",
            "rate((#)[90s:30s])",
            "last_over_time((#)[2m:40s] @ 160)",
            "year(#)",
            "sgn(#)",
            "timestamp(#)",
        ]);
        let joins = prop::sample::select(vec![
            "(#) + (&)",
            "(#) - on (g, i) (&)",
            "(#) * on (g) group_left () (&)",
            "(#) and (&)",
            "(#) or (&)",
            "(#) unless on (g) (&)",
            "(#) > bool ignoring (le) (&)",
            "(#) == (&)",
            "(#) - fill (1) (&)",
            "(#) </ on (g) group_right (i) (&)",
        ]);
        prop_oneof![
            3 => (wraps, inner.clone()).prop_map(|(shape, of)| shape.replace('#', &of)),
            1 => (joins, inner.clone(), inner)
                .prop_map(|(shape, a, b)| shape.replace('#', &a).replace('&', &b)),
        ]
    })
}

/// Labels with what their value comes to: floats alone, or count, sum and buckets.
type Found = Vec<(String, Vec<f64>)>;

fn numbers(value: &SampleValue) -> Vec<f64> {
    match value {
        SampleValue::Float(value) => vec![*value],
        SampleValue::Histogram(one) => {
            let buckets = histogram::all_buckets(one).into_iter();
            let full = buckets.filter(|bucket| bucket.count.abs() > 1e-9);
            let buckets = full.flat_map(|bucket| [bucket.lower, bucket.upper, bucket.count]);
            [one.count, one.sum].into_iter().chain(buckets).collect()
        }
    }
}

fn at_step(answer: &Answer, time: i64) -> Found {
    let mut found: Found = match &answer.value {
        Value::Scalar(_, value) => vec![("{}".to_owned(), vec![*value])],
        Value::Vector(samples) => samples
            .iter()
            .map(|sample| (sample.labels.to_string(), numbers(&sample.value)))
            .collect(),
        Value::Matrix(series) => {
            let of_step = |series: &treering_promql::ResultSeries| {
                let sample = series.samples.iter().find(|sample| sample.0 == time)?;
                Some((series.labels.to_string(), numbers(&sample.1)))
            };
            series.iter().filter_map(of_step).collect()
        }
        Value::String(..) => Vec::new(),
    };
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn is_same(a: &Found, b: &Found) -> bool {
    let close = |(a, b): (&f64, &f64)| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-6 * a.abs().max(b.abs()) + 1e-9
    };
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| a.0 == b.0 && a.1.len() == b.1.len() && a.1.iter().zip(&b.1).all(close))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_range_query_is_its_steps(
        memory in memory(),
        text in expression(),
        start in -20..300i64,
        step in 1..60i64,
        is_delayed in any::<bool>(),
    ) {
        let Ok(expr) = parse(&text, &Features::all()) else {
            return Err(TestCaseError::fail(format!("not read: {text}")));
        };
        let evaluator = Evaluator::new(&memory).options(Options {
            features: Features {
                delayed_name_removal: is_delayed,
                ..Features::all()
            },
            ..Options::default()
        });
        let (start, step) = (start * SECOND, step * SECOND);
        let times: Vec<i64> = (0..6).map(|at| start + at * step).collect();
        let whole = evaluator.range(&expr, start, start + 5 * step, step);
        let steps: Vec<_> = times.iter().map(|&time| evaluator.instant(&expr, time)).collect();
        let failed = steps.iter().find_map(|step| step.as_ref().err());
        match whole {
            Err(error) => prop_assert!(failed.is_some(), "{text}: {error}"),
            Ok(whole) => {
                prop_assert!(failed.is_none(), "{text}: {failed:?}");
                for (time, step) in times.iter().zip(steps) {
                    let found = at_step(&whole, *time);
                    let expected = at_step(&step.unwrap(), *time);
                    prop_assert!(
                        is_same(&found, &expected),
                        "{text} at {}: {found:?}, by itself {expected:?}", time / SECOND
                    );
                }
            }
        }
    }
}
