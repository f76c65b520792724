//! Every question, after any history of appends, deletes, freezes, flushes and rewrites, against a
//! plain model; and the stories of what deletes must and must not hide.

mod best;
mod groups;
mod views;
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use treering_codec::{Sample, stale_marker};
use treering_index::{Labels, Selector};

use self::world::{Place, World, labels_of};
use crate::options::QueryLimits;
use crate::query::aggregate::{Aggregate, Function, aggregate};
use crate::query::guard::Buffers;
use crate::query::labels::{Listing, list};
use crate::query::newest::Newest;
use crate::query::plan::{Reach, select};
use crate::query::run::{Run, SeriesRuns};

/// A change of the world.
#[derive(Debug, Clone)]
enum Step {
    /// Samples of any series at any time, in one batch.
    Scatter(Vec<(u8, i64, f64)>),
    /// Many samples of one series: enough for statistics and for closed streams.
    Column(u8, i64, i64, usize),
    Freeze,
    Flush,
    Delete(u8, i64, i64),
    /// Writes a block anew without what is hidden in it.
    Rewrite(usize),
    /// Lets go of the tombstones that hide nothing any more.
    Forget,
}

/// A selector by number, so that a case shrinks and prints well.
fn selector(number: u8) -> Selector {
    match number % 6 {
        0 => Selector::all(),
        1 => Selector::metric("cpu"),
        2 => Selector::all().eq("host", "a"),
        3 => Selector::metric("cpu").eq("host", "b"),
        4 => Selector::all().ne("host", "a"),
        _ => Selector::all().regex("host", "a|c").unwrap(),
    }
}

fn value() -> impl Strategy<Value = f64> {
    // Whole numbers add up to the same sum in any order.
    prop_oneof![
        12 => (0..40i32).prop_map(f64::from),
        1 => Just(stale_marker()),
    ]
}

fn times() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => 0..600i64,
        1 => Just(i64::MIN),
        1 => Just(i64::MAX),
    ]
}

fn ranges() -> impl Strategy<Value = (i64, i64)> {
    prop_oneof![
        6 => (times(), 0..200i64).prop_map(|(first, width)| (first, first.saturating_add(width))),
        2 => (times(), times()).prop_map(|(a, b)| (a.min(b), a.max(b))),
        2 => Just((i64::MIN, i64::MAX)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let sample = (0..world::SERIES, times(), value());
    prop_oneof![
        4 => prop::collection::vec(sample, 1..30).prop_map(Step::Scatter),
        3 => (0..world::SERIES, 0..500i64, 1..4i64, 1..300usize)
            .prop_map(|(series, start, step, count)| Step::Column(series, start, step, count)),
        2 => Just(Step::Freeze),
        3 => Just(Step::Flush),
        5 => (0..6u8, ranges()).prop_map(|(what, (first, last))| Step::Delete(what, first, last)),
        1 => (0..8usize).prop_map(Step::Rewrite),
        1 => Just(Step::Forget),
    ]
}

fn apply(world: &mut World, step: &Step) {
    match step {
        Step::Scatter(samples) => world.append(samples),
        Step::Column(series, start, step, count) => {
            let samples: Vec<_> = (0..*count as i64)
                .map(|at| (*series, start + at * step, (at % 9) as f64))
                .collect();
            world.append(&samples);
        }
        Step::Freeze => world.freeze(),
        Step::Flush => world.flush(),
        Step::Delete(what, first, last) => world.delete(selector(*what), *first, *last),
        Step::Rewrite(index) => world.rewrite(*index),
        Step::Forget => world.forget(),
    }
}

/// Asks everything about a selector and a range.
fn check(world: &World, selector: &Selector, range: (i64, i64)) -> Result<(), TestCaseError> {
    let expected = world.expected(selector, range);
    let series: Vec<_> = world.select(selector, range).map(Result::unwrap).collect();
    let names: Vec<&Labels> = series.iter().map(|series| series.labels()).collect();
    prop_assert_eq!(names, expected.keys().collect::<Vec<_>>());
    for (series, (_, samples)) in series.iter().zip(&expected) {
        let columns = series.columns().unwrap();
        let pairs = columns.timestamps.iter().zip(&columns.values);
        let found: Vec<_> = pairs.map(|(&at, value)| (at, value.to_bits())).collect();
        prop_assert_eq!(&found, samples, "{}", series.labels());
        let one_by_one = series.samples().map(Result::unwrap);
        let one_by_one: Vec<_> = one_by_one.map(world::bits).collect();
        prop_assert_eq!(&one_by_one, samples, "{}", series.labels());
    }
    check_newest(world, selector, range)?;
    check_lists(world, selector, range)?;
    best::check(world, selector, range)?;
    for asked in [
        Aggregate::new(Function::Count),
        Aggregate::new(Function::Sum).step(Duration::from_nanos(50)),
        Aggregate::new(Function::Max)
            .step(Duration::from_nanos(40))
            .by(["host"]),
        Aggregate::new(Function::Last)
            .step(Duration::from_nanos(40))
            .window(Duration::from_nanos(90)),
        Aggregate::new(Function::Increase).step(Duration::from_nanos(100)),
        Aggregate::new(Function::Quantile(0.5)).step(Duration::from_nanos(100)),
    ] {
        check_aggregate(world, selector, range, &asked)?;
    }
    Ok(())
}

fn check_newest(
    world: &World,
    selector: &Selector,
    (first, last): (i64, i64),
) -> Result<(), TestCaseError> {
    let mut series = world.select(selector, (first, last));
    let mut newest = Newest::new(Buffers::new(&series.guard()));
    let mut found = Vec::new();
    while let Some(runs) = series.next_runs() {
        let SeriesRuns { labels, runs } = runs.unwrap();
        if let Some(sample) = newest.of(&runs, first, last).unwrap() {
            found.push((labels, world::bits(sample)));
        }
    }
    let expected = world.expected(selector, (first, last)).into_iter();
    let expected = expected.map(|(labels, samples)| (labels, samples[samples.len() - 1]));
    prop_assert_eq!(found, expected.collect::<Vec<_>>());
    Ok(())
}

/// Every name of a series with samples is listed, and none of a series that one delete took whole.
fn check_lists(world: &World, selector: &Selector, range: (i64, i64)) -> Result<(), TestCaseError> {
    let view = world.view.get();
    for (listing, name) in [
        (Listing::Names, None),
        (Listing::Values("host"), Some("host")),
    ] {
        let found = list(
            &view,
            &world.registry,
            selector,
            range,
            listing,
            &world.guard(),
        );
        let listed = found.unwrap();
        let found: BTreeSet<String> = listed.iter().cloned().collect();
        prop_assert!(
            listed.iter().eq(&found),
            "out of order, or twice: {:?}",
            listed
        );
        let of = |series: &Labels| -> Vec<String> {
            match name {
                None => series.iter().map(|(name, _)| name.to_owned()).collect(),
                Some(name) => series.get(name).map(str::to_owned).into_iter().collect(),
            }
        };
        let must = world.expected(selector, range).into_keys();
        let must: BTreeSet<String> = must.flat_map(|series| of(&series)).collect();
        let may = world.listable(selector);
        let may: BTreeSet<String> = may.iter().flat_map(of).collect();
        prop_assert!(must.is_subset(&found), "{:?} of {:?}", found, must);
        prop_assert!(found.is_subset(&may), "{:?} of {:?}", found, may);
    }
    Ok(())
}

/// The same aggregate over runs of plain samples: that it is right is shown elsewhere.
fn check_aggregate(
    world: &World,
    selector: &Selector,
    (first, last): (i64, i64),
    asked: &Aggregate,
) -> Result<(), TestCaseError> {
    let (first, last) = (first.max(-10_000), last.min(10_000));
    if first > last {
        return Ok(());
    }
    let series = world.select(selector, (first, last));
    let guard = series.guard();
    let series = series.summed(Arc::new(asked.summing((first, last), first).unwrap()));
    let runs = series.split_runs(3);
    let found = aggregate(runs, 2, asked, (first, last), first, &guard).unwrap();
    let plain = world.expected(selector, (first, last)).into_iter();
    let plain = plain.map(|(labels, samples)| {
        let samples = samples.into_iter();
        let samples = samples.map(|(at, bits)| Sample::new(at, f64::from_bits(bits)));
        let runs = Run::of_samples(samples.collect()).into_iter().collect();
        Ok(SeriesRuns { labels, runs })
    });
    let guard = world.guard();
    let expected = aggregate(vec![plain], 1, asked, (first, last), first, &guard).unwrap();
    let bits = |answer: &[crate::AggregatedSeries]| -> Vec<_> {
        let points = |one: &crate::AggregatedSeries| -> Vec<_> {
            let points = one.points.iter();
            points
                .map(|point| (point.timestamp, point.value.to_bits()))
                .collect()
        };
        answer
            .iter()
            .map(|one| (one.labels.clone(), points(one)))
            .collect()
    };
    prop_assert_eq!(bits(&found), bits(&expected), "{:?}", asked);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("TREERING_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200)
    ))]

    #[test]
    fn every_question_after_any_history_equals_the_model(
        steps in prop::collection::vec(step(), 1..25),
        questions in prop::collection::vec((0..6u8, ranges()), 1..4),
    ) {
        let mut world = World::new();
        for (number, step) in steps.iter().enumerate() {
            apply(&mut world, step);
            // Not after every step: postings that were looked up must outlive changes, too.
            if number % 4 == 3 || number + 1 == steps.len() {
                for (what, range) in &questions {
                    check(&world, &selector(*what), *range)?;
                }
            }
        }
    }
}

/// Ten samples of each series, 0, 10, .. 90.
fn world_with(place: Place) -> World {
    let mut world = World::new();
    let samples: Vec<_> = (0..world::SERIES)
        .flat_map(|series| (0..10i64).map(move |at| (series, at * 10, at as f64)))
        .collect();
    world.append(&samples);
    world.bring_to(place);
    world
}

#[test]
fn a_delete_shows_at_once_wherever_the_samples_are() {
    for place in [Place::Live, Place::Frozen, Place::Block] {
        let mut world = world_with(place);
        world.delete(Selector::all().eq("host", "a"), 0, 50);
        let all = (i64::MIN, i64::MAX);
        check(&world, &Selector::all(), all).unwrap();
        let first: Vec<_> = world
            .select(&Selector::all().eq("host", "a"), all)
            .map(|series| series.unwrap().samples().next().unwrap().unwrap().timestamp)
            .collect();
        assert!(
            !first.is_empty() && first.iter().all(|&at| at == 60),
            "{place:?}"
        );
        // In a range that the delete covers they are nowhere to be seen.
        check(&world, &Selector::all(), (10, 40)).unwrap();
        let (view, guard) = (world.view.get(), world.guard());
        let hosts = Listing::Values("host");
        let listed = list(
            &view,
            &world.registry,
            &Selector::all(),
            (10, 40),
            hosts,
            &guard,
        );
        assert!(!listed.unwrap().contains(&"a".to_owned()), "{place:?}");
    }
}

#[test]
fn what_is_appended_after_a_delete_lives() {
    for place in [Place::Live, Place::Frozen, Place::Block] {
        let mut world = world_with(place);
        world.delete(Selector::all(), i64::MIN, i64::MAX);
        assert_eq!(
            world.select(&Selector::all(), (0, 1000)).count(),
            0,
            "{place:?}"
        );
        world.append(&[(0, 30, 7.0)]);
        for then in [Place::Live, Place::Frozen, Place::Block] {
            world.bring_to(then);
            check(&world, &Selector::all(), (i64::MIN, i64::MAX)).unwrap();
            let found: Vec<_> = world.select(&Selector::all(), (0, 1000)).collect();
            assert_eq!(found.len(), 1, "{place:?} {then:?}");
        }
    }
}

#[test]
fn the_newest_sample_is_found_behind_deleted_ones() {
    for place in [Place::Live, Place::Frozen, Place::Block] {
        let mut world = world_with(place);
        // A late run in the middle, then everything but its first sample deleted around it.
        world.append(&[(0, 41, 1.0), (0, 42, 2.0), (0, 95, 3.0)]);
        world.bring_to(place);
        world.delete(Selector::all(), 42, 94);
        check(&world, &Selector::all(), (0, 94)).unwrap();
        world.delete(Selector::all(), 95, 95);
        check(&world, &Selector::all(), (0, 1000)).unwrap();
        world.delete(Selector::all(), 5, 41);
        check(&world, &Selector::all(), (0, 1000)).unwrap();
    }
}

#[test]
fn blocks_that_a_delete_covers_cost_a_query_no_series() {
    let mut world = world_with(Place::Block);
    world.delete(Selector::metric("cpu"), 0, 1000);
    let left = world.expected(&Selector::all(), (0, 1000)).len() as u64;
    assert!(left < u64::from(world::SERIES) && left > 0);
    let guard = world.guard_of(QueryLimits::default().with_series(left));
    let all = Selector::all();
    let found = select(
        world.view.get(),
        &world.registry,
        &all,
        (0, 1000),
        Reach::Samples,
        guard,
    )
    .unwrap();
    assert_eq!(found.count() as u64, left);
    assert_eq!(labels_of(0).name(), Some("cpu"));
}
