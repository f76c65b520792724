//! Windows that share samples come to what each comes to by itself, whatever the numbers are.

use proptest::prelude::*;
use treering::{Labels, SampleColumns};
use treering_promql::{Evaluator, Features, SampleValue, Value, parse};

use crate::SECOND;
use crate::plain::{Plain, columns};

/// Functions that are computed from one window to the next.
const SLIDING: &[&str] = &[
    "sum_over_time(m[#])",
    "avg_over_time(m[#])",
    "min_over_time(m[#])",
    "max_over_time(m[#])",
    "ts_of_min_over_time(m[#])",
    "ts_of_max_over_time(m[#])",
    "stddev_over_time(m[#])",
    "stdvar_over_time(m[#])",
    "quantile_over_time(0.37, m[#])",
    "mad_over_time(m[#])",
    "deriv(m[#])",
    "predict_linear(m[#], 600)",
    "predict_linear(m[#] offset 3m, -60)",
    "double_exponential_smoothing(m[#], 0.3, 0.2)",
    "double_exponential_smoothing(m[#], 0.02, 0.9)",
    "rate(m[#])",
    "increase(m[#])",
    "delta(m[#])",
    "changes(m[#])",
    "resets(m[#])",
];

/// What series look like: steady, far from zero, near it, rising, jumping, without end.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let count = 200..400usize;
    let small = || (-1000..1000i32).prop_map(|value| f64::from(value) / 8.0);
    prop_oneof![
        proptest::collection::vec(small(), count.clone()),
        (
            -1e12..1e12f64,
            proptest::collection::vec(small(), count.clone())
        )
            .prop_map(|(far, all)| all.into_iter().map(|one| far + one).collect()),
        proptest::collection::vec(0..4i32, count.clone())
            .prop_map(|all| all.into_iter().map(|one| f64::from(one / 2)).collect()),
        proptest::collection::vec(0..9u32, count.clone()).prop_map(|all| {
            let mut counter = 0.0;
            let next = |step: u32| match step {
                0 => {
                    counter = 0.0;
                    counter
                }
                step => {
                    counter += f64::from(step) * 1e3;
                    counter
                }
            };
            all.into_iter().map(next).collect()
        }),
        (
            proptest::collection::vec(small(), count.clone()),
            0..200usize
        )
            .prop_map(|(mut all, at)| {
                all[at] = f64::INFINITY;
                all[at / 2] = f64::NAN;
                all
            }),
        proptest::collection::vec(-300..300i32, count)
            .prop_map(|all| all.into_iter().map(|power| 10f64.powi(power)).collect()),
    ]
}

fn series() -> impl Strategy<Value = SampleColumns> {
    values().prop_flat_map(|values| {
        let steps = proptest::collection::vec(1..40i64, values.len());
        (Just(values), steps, any::<bool>()).prop_map(|(values, steps, is_even)| {
            let mut time = 0;
            let next = |step: i64| {
                time += if is_even { 15 } else { step };
                time * SECOND + if is_even { 0 } else { step * 1_000_000 }
            };
            columns(steps.into_iter().map(next).collect::<Vec<i64>>(), values)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn windows_that_overlap_are_those_that_stand_alone(
        columns in series(),
        range in 120..2500i64,
        step in 5..15i64,
    ) {
        let labels = Labels::from_pairs([("__name__", "m")]).unwrap();
        let source = Plain::new([(labels, columns)]);
        let evaluator = Evaluator::new(&source);
        let (start, end, step) = (300 * SECOND, 2500 * SECOND, step * SECOND);
        for text in SLIDING {
            let text = text.replace('#', &format!("{range}s"));
            let expr = parse(&text, &Features::all()).unwrap();
            let answer = evaluator.range(&expr, start, end, step).unwrap();
            let Value::Matrix(together) = answer.value else {
                panic!("no matrix");
            };
            let mut together = together.iter().flat_map(|series| &series.samples).peekable();
            for time in (start..=end).step_by(step as usize) {
                let alone = evaluator.instant(&expr, time).unwrap();
                let Value::Vector(alone) = alone.value else {
                    panic!("no vector");
                };
                let alone = alone.first().map(|sample| number(&sample.value));
                let found = together.next_if(|sample| sample.0 == time);
                let found = found.map(|sample| number(&sample.1));
                prop_assert!(
                    is_close(found, alone),
                    "{text} at {}: {found:?}, alone {alone:?}", time / SECOND
                );
            }
        }
    }
}

fn number(value: &SampleValue) -> f64 {
    match value {
        SampleValue::Float(value) => *value,
        SampleValue::Histogram(_) => panic!("a histogram"),
    }
}

fn is_close(found: Option<f64>, alone: Option<f64>) -> bool {
    match (found, alone) {
        (Some(a), Some(b)) => {
            a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
        }
        (a, b) => a.is_none() && b.is_none(),
    }
}
