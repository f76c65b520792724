//! The best of many answers are those of all answers, sorted: whatever was passed over on the way.

use std::sync::Arc;

use proptest::prelude::*;
use treering_index::{Selector, labels};

use super::world::World;
use crate::query::aggregate::aggregate;
use crate::{Aggregate, AggregatedSeries, Batch, Db, Function, QueryLimits};

const FUNCTIONS: [Function; 9] = [
    Function::Max,
    Function::Min,
    Function::Avg,
    Function::Last,
    Function::First,
    Function::Sum,
    Function::Count,
    Function::Quantile(0.5),
    Function::Increase,
];

/// What a user sees of an answer.
fn seen(answer: &[AggregatedSeries]) -> Vec<(String, u64)> {
    let value = |one: &AggregatedSeries| one.points[0].value.to_bits();
    answer
        .iter()
        .map(|one| (one.labels.to_string(), value(one)))
        .collect()
}

fn ask(
    world: &World,
    selector: &Selector,
    range: (i64, i64),
    asked: &Aggregate,
) -> Vec<AggregatedSeries> {
    let series = world.select(selector, range);
    let guard = series.guard();
    let series = series.summed(Arc::new(asked.summing(range, range.0).unwrap()));
    aggregate(series.split_runs(2), 2, asked, range, range.0, &guard).unwrap()
}

/// The best of all answers, found by sorting them.
fn sorted(mut all: Vec<AggregatedSeries>, count: usize, largest: bool) -> Vec<AggregatedSeries> {
    // The sort is stable: of equal values the first in label order stays first.
    all.sort_by(|a, b| {
        let (a, b) = (a.points[0].value, b.points[0].value);
        let order = match largest {
            true => b.partial_cmp(&a),
            false => a.partial_cmp(&b),
        };
        let numbers = a.is_nan().cmp(&b.is_nan());
        numbers.then(order.unwrap_or(std::cmp::Ordering::Equal))
    });
    all.truncate(count);
    all
}

/// Holds the best few against all of them; the range picks the function and how many.
pub(super) fn check(
    world: &World,
    selector: &Selector,
    (first, last): (i64, i64),
) -> Result<(), TestCaseError> {
    let range = (first.max(-10_000), last.min(10_000));
    if range.0 > range.1 {
        return Ok(());
    }
    let picked = range.0.abs_diff(range.1) as usize;
    let asked = Aggregate::new(FUNCTIONS[picked % FUNCTIONS.len()]);
    let count = picked / FUNCTIONS.len() % 4;
    for asked in [asked.clone(), asked.by(["host"])] {
        let all = ask(world, selector, range, &asked);
        let top = ask(world, selector, range, &asked.clone().top(count));
        let expected = sorted(all.clone(), count, true);
        prop_assert_eq!(seen(&top), seen(&expected), "top {} of {:?}", count, asked);
        let bottom = ask(world, selector, range, &asked.clone().bottom(count));
        let expected = sorted(all, count, false);
        prop_assert_eq!(
            seen(&bottom),
            seen(&expected),
            "bottom {} of {:?}",
            count,
            asked
        );
    }
    Ok(())
}

#[test]
fn the_best_of_one_window_only() {
    let asked = Aggregate::new(Function::Max).step(std::time::Duration::from_secs(1));
    let error = asked.top(3).check(Some((0, 10))).unwrap_err().to_string();
    assert!(error.contains("Aggregate::top"), "{error}");
}

/// A hundred series of an hour in blocks; those of large numbers are larger.
fn flushed() -> Db {
    let db = Db::in_memory().unwrap();
    let times: Vec<i64> = (0..360).collect();
    for number in 0..100 {
        let series = labels! { "__name__" => "load", "n" => format!("{number:02}") };
        let values: Vec<f64> = (0..360)
            .map(|step| f64::from(number * 10 + step % 7))
            .collect();
        db.append(&Batch::new().column(&series, &times, &values))
            .unwrap();
    }
    db.flush().unwrap();
    db
}

#[test]
fn series_that_cannot_be_among_the_best_are_not_read() {
    let db = flushed();
    // The range cuts each chunk, so statistics answer for none.
    let range = 5..=300;
    let least = Aggregate::new(Function::Avg).bottom(2);
    let largest = Aggregate::new(Function::Avg).top(2);
    let few = QueryLimits::default().with_samples(5 * 360);
    let ask = |asked: &Aggregate| {
        let query = db.query().limits(few);
        query.aggregate(&Selector::all(), range.clone(), asked)
    };
    let answer = ask(&least).unwrap();
    let found: Vec<_> = answer
        .iter()
        .map(|one| one.labels.get("n").unwrap())
        .collect();
    assert_eq!(found, ["00", "01"]);
    // Each of these is larger than all before it.
    let error = ask(&largest).unwrap_err().to_string();
    assert!(error.contains("samples"), "{error}");
}

/// The average of numbers without a sum is infinite: far above the largest of them.
#[test]
fn an_average_beyond_all_numbers_is_not_passed_over() {
    let db = Db::in_memory().unwrap();
    let series = |name: &str| labels! { "__name__" => name };
    let append = |name: &str, values: &[f64]| {
        let times: Vec<i64> = (1..).take(values.len()).collect();
        db.append(&Batch::new().column(series(name), &times, values))
            .unwrap();
    };
    append("a", &[1.5e308]);
    append("b", &[1e308; 4]);
    append("c", &[1.0]);
    db.flush().unwrap();
    for function in [Function::Avg, Function::Quantile(0.5)] {
        let all = db
            .aggregate(&Selector::all(), 1..=4, &Aggregate::new(function))
            .unwrap();
        let asked = Aggregate::new(function).top(1);
        let top = db.aggregate(&Selector::all(), 1..=4, &asked).unwrap();
        assert_eq!(seen(&top), seen(&sorted(all, 1, true)), "{function:?}");
    }
}
