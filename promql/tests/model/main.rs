//! Random series, asked by the evaluator and by a plain model that looks at each step by itself.

mod explain;
mod limits;
mod naive;
mod plain;
mod sliding;
mod steps;
mod threads;
mod world;

use proptest::prelude::*;
use treering::{Db, Selector, Source, SourceSet};
use treering_promql::{Evaluator, Features, Options, SampleValue, Value, parse};

use world::{Series, World, world};

const SECOND: i64 = 1_000_000_000;

/// A query over a grid of steps.
#[derive(Debug, Clone, Copy)]
struct Asked {
    start: i64,
    step: i64,
    count: i64,
    /// The width of windows.
    range: i64,
}

fn asked() -> impl Strategy<Value = Asked> {
    (-30..600i64, 1..90i64, 1..40i64, 1..400i64).prop_map(|(start, step, count, range)| Asked {
        start: start * SECOND,
        step: step * SECOND,
        count,
        range: range * SECOND,
    })
}

impl Asked {
    fn times(&self) -> impl Iterator<Item = i64> + '_ {
        (0..self.count).map(|at| self.start + at * self.step)
    }
}

/// The answer of the evaluator: for each series the value at each step. A source that hands out
/// nothing but samples must give the same as a database, which also answers from summaries.
fn evaluated(world: &World, text: &str, asked: &Asked) -> Vec<(String, Vec<Option<f64>>)> {
    let db = world.database();
    let found = evaluated_by(&db, text, asked);
    let plain = evaluated_by(&SamplesOnly(&db), text, asked);
    assert_same(text, found, plain.clone()).unwrap();
    plain
}

/// A database that gives no summaries.
#[derive(Debug)]
struct SamplesOnly<'a>(&'a Db);

impl Source for SamplesOnly<'_> {
    fn select<'a>(
        &'a self,
        selector: &Selector,
        first: i64,
        last: i64,
    ) -> treering::Result<SourceSet<'a>> {
        Source::select(self.0, selector, first, last)
    }
}

fn evaluated_by(source: &dyn Source, text: &str, asked: &Asked) -> Vec<(String, Vec<Option<f64>>)> {
    let expr = parse(text, &Features::all()).unwrap();
    let evaluator = Evaluator::new(source).options(Options {
        features: Features {
            delayed_name_removal: false,
            ..Features::all()
        },
        ..Options::default()
    });
    let end = asked.start + (asked.count - 1) * asked.step;
    let answer = evaluator
        .range(&expr, asked.start, end, asked.step)
        .unwrap();
    let Value::Matrix(series) = answer.value else {
        panic!("no matrix");
    };
    let values = |samples: &[(i64, SampleValue)]| -> Vec<Option<f64>> {
        let at = |time: i64| {
            let found = samples.iter().find(|sample| sample.0 == time)?;
            match &found.1 {
                SampleValue::Float(value) => Some(*value),
                SampleValue::Histogram(_) => panic!("a histogram"),
            }
        };
        asked.times().map(at).collect()
    };
    series
        .iter()
        .map(|series| (series.labels.to_string(), values(&series.samples)))
        .collect()
}

/// Whether two answers are the same but for rounding.
fn is_close(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (Some(a), Some(b)) => {
            let tolerance = 1e-7 * a.abs().max(b.abs()) + 1e-9;
            (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= tolerance
        }
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn assert_same(
    text: &str,
    found: Vec<(String, Vec<Option<f64>>)>,
    mut expected: Vec<(String, Vec<Option<f64>>)>,
) -> Result<(), TestCaseError> {
    expected.retain(|series| series.1.iter().any(Option::is_some));
    let names = |all: &[(String, Vec<Option<f64>>)]| {
        all.iter().map(|one| one.0.clone()).collect::<Vec<_>>()
    };
    let mut found = found;
    found.sort_by(|a, b| a.0.cmp(&b.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    prop_assert_eq!(names(&found), names(&expected), "{}", text);
    for (found, expected) in found.iter().zip(&expected) {
        for (at, (a, b)) in found.1.iter().zip(&expected.1).enumerate() {
            prop_assert!(
                is_close(*a, *b),
                "{text} {} step {at}: {a:?}, not {b:?}",
                found.0
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn range_functions_are_those_of_each_window_by_itself(world in world(), asked in asked()) {
        let seconds = asked.range / SECOND;
        for (name, function) in naive::RANGE_FUNCTIONS {
            let text = match *name {
                "quantile_over_time" => format!("{name}(0.3, m[{seconds}s])"),
                "predict_linear" => format!("{name}(m[{seconds}s], 100)"),
                "double_exponential_smoothing" => format!("{name}(m[{seconds}s], 0.4, 0.7)"),
                _ => format!("{name}(m[{seconds}s])"),
            };
            let keeps_name = matches!(*name, "last_over_time" | "first_over_time");
            let expected = world.series.iter().map(|series| {
                let value = |time: i64| {
                    let window = series.window(time - asked.range, time);
                    function(&window, time - asked.range, time)
                };
                (series.label(keeps_name), asked.times().map(value).collect())
            });
            assert_same(&text, evaluated(&world, &text, &asked), expected.collect())?;
        }
    }

    #[test]
    fn selectors_find_the_latest_sample_of_each_step(world in world(), asked in asked()) {
        for (text, offset) in [("m", 0), ("m offset 70s", 70), ("m offset -70s", -70)] {
            let expected = world.series.iter().map(|series| {
                let value = |time: i64| series.current(time - offset * SECOND);
                (series.label(true), asked.times().map(value).collect())
            });
            assert_same(text, evaluated(&world, text, &asked), expected.collect())?;
        }
        let expected = world.series.iter().map(|series| {
            let value = |_| series.current(200 * SECOND);
            (series.label(true), asked.times().map(value).collect())
        });
        assert_same("m @ 200", evaluated(&world, "m @ 200", &asked), expected.collect())?;
    }

    #[test]
    fn aggregations_are_those_of_each_step_by_itself(world in world(), asked in asked()) {
        for (name, function) in naive::AGGREGATIONS {
            for (clause, by) in [("", ""), ("by (g)", "g"), ("without (i)", "g")] {
                let text = match *name {
                    "quantile" => format!("quantile {clause} (0.7, m)"),
                    name => format!("{name} {clause} (m)"),
                };
                let mut groups: Vec<String> =
                    world.series.iter().map(|series| series.group(by)).collect();
                groups.sort();
                groups.dedup();
                let expected = groups.into_iter().map(|group| {
                    let value = |time: i64| {
                        let members = world.series.iter().filter(|one| one.group(by) == group);
                        let values = members.filter_map(|one| one.current(time));
                        let values: Vec<f64> = values.collect();
                        (!values.is_empty()).then(|| function(&values))
                    };
                    (group.clone(), asked.times().map(value).collect())
                });
                assert_same(&text, evaluated(&world, &text, &asked), expected.collect())?;
            }
        }
    }

    #[test]
    fn the_greatest_are_picked_anew_at_each_step(
        world in world(),
        asked in asked(),
        k in 0..4usize,
    ) {
        for (name, is_top) in [("topk", true), ("bottomk", false)] {
            let text = format!("count({name}({k}, m))");
            let there = |time: i64| {
                world.series.iter().filter(|one| one.current(time).is_some()).count()
            };
            let count = |time: i64| Some(there(time).min(k) as f64).filter(|&count| count > 0.0);
            let expected = vec![("{}".to_owned(), asked.times().map(count).collect())];
            assert_same(&text, evaluated(&world, &text, &asked), expected)?;
            let text = format!("sum({name}({k}, m))");
            let sum = |time: i64| {
                let mut values: Vec<f64> =
                    world.series.iter().filter_map(|one| one.current(time)).collect();
                naive::sort(&mut values);
                let numbers = values.iter().copied().filter(|value| !value.is_nan());
                let mut picked: Vec<f64> = numbers.collect();
                if is_top {
                    picked.reverse();
                }
                let nans = values.len() - picked.len();
                picked.extend(std::iter::repeat_n(f64::NAN, nans));
                picked.truncate(k);
                (!picked.is_empty()).then(|| picked.iter().sum())
            };
            let expected = vec![("{}".to_owned(), asked.times().map(sum).collect())];
            assert_same(&text, evaluated(&world, &text, &asked), expected)?;
        }
    }

    #[test]
    fn operators_meet_series_step_by_step(world in world(), asked in asked()) {
        let pairs: Vec<(&Series, &Series)> = world.series.iter().map(|one| (one, one)).collect();
        type Pair = fn(Option<f64>, Option<f64>) -> Option<f64>;
        let both: [(&str, bool, Pair); 5] = [
            ("m + m offset 40s", false, |a, b| Some(a? + b?)),
            ("m > m offset 40s", true, |a, b| a.filter(|&a| b.is_some_and(|b| a > b))),
            ("m > bool m offset 40s", false, |a, b| Some(f64::from(u8::from(a? > b?)))),
            ("m and m offset 40s", true, |a, b| a.filter(|_| b.is_some())),
            ("m unless m offset 40s", true, |a, b| a.filter(|_| b.is_none())),
        ];
        for (text, keeps_name, function) in both {
            let expected = pairs.iter().map(|(left, right)| {
                let value = |time: i64| {
                    function(left.current(time), right.current(time - 40 * SECOND))
                };
                (left.label(keeps_name), asked.times().map(value).collect())
            });
            assert_same(text, evaluated(&world, text, &asked), expected.collect())?;
        }
    }

    #[test]
    fn subqueries_are_windows_over_steps_at_multiples(
        world in world(),
        asked in asked(),
        every in 1..70i64,
    ) {
        let seconds = asked.range / SECOND;
        let text = format!("sum_over_time(m[{seconds}s:{every}s])");
        let every = every * SECOND;
        let expected = world.series.iter().map(|series| {
            let value = |time: i64| {
                let after = time - asked.range;
                let first = (after.div_euclid(every) + 1) * every;
                let steps = (0..).map(|at| first + at * every).take_while(|&step| step <= time);
                let values: Vec<f64> = steps.filter_map(|step| series.current(step)).collect();
                (!values.is_empty()).then(|| values.iter().sum())
            };
            (series.label(false), asked.times().map(value).collect())
        });
        assert_same(&text, evaluated(&world, &text, &asked), expected.collect())?;
    }
}
