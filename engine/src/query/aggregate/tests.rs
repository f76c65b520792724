//! Aggregates against the plain model, from head samples, head streams and chunks of blocks, and
//! the stories of what is answered without decoding and what is refused.

mod stepped;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use treering_codec::{Sample, StreamEncoder, stale_marker};
use treering_index::Labels;

use super::model::{self, Question, Samples};
use super::{Aggregate, AggregatedSeries, Function, aggregate};
use crate::block::{Block, BlockMeta, BlockWriter};
use crate::clock::SystemClock;
use crate::error::{Error, Result};
use crate::options::{QueryLimits, Reads};
use crate::query::group::Grouping;
use crate::query::guard::{CancelToken, Guard, Pool};
use crate::query::holes::Holes;
use crate::query::run::{Run, RunSource, SeriesRuns};
use crate::vfs::{MemVfs, Vfs};

/// Where a run keeps its samples.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Samples,
    Stream,
    Block,
}

fn runs(kind: Kind, samples: &[(i64, f64)]) -> Vec<Run> {
    let (min_time, max_time) = (samples[0].0, samples[samples.len() - 1].0);
    let run = |source| {
        vec![Run {
            min_time,
            max_time,
            count: samples.len(),
            source,
            extras: None,
            holes: Holes::default(),
        }]
    };
    match kind {
        Kind::Samples => {
            let samples: Vec<_> = samples
                .iter()
                .map(|&(at, value)| Sample::new(at, value))
                .collect();
            run(RunSource::Samples(samples.into()))
        }
        Kind::Stream => {
            let mut encoder = StreamEncoder::new();
            samples
                .iter()
                .for_each(|&(at, value)| encoder.push(at, value));
            run(RunSource::Stream(encoder.finish().into()))
        }
        Kind::Block => chunks(&[samples]).remove(0),
    }
}

/// The chunks of a block that holds these series.
fn chunks(series: &[&[(i64, f64)]]) -> Vec<Vec<Run>> {
    let vfs: Arc<dyn Vfs> = Arc::new(MemVfs::new());
    let path = Path::new("block");
    let meta = BlockMeta {
        id: 1,
        namespace: 0,
        min_sequence: 1,
        max_sequence: 1,
        level: 0,
        database: 7,
        step: 0,
        extended: false,
    };
    let mut writer = BlockWriter::create(&vfs, path, meta).unwrap();
    for (number, samples) in series.iter().enumerate() {
        let (timestamps, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
        let labels = labels(&[("series", &format!("{number:04}"))]);
        writer.add_series(&labels, &timestamps, &values).unwrap();
    }
    writer.finish().unwrap();
    let block = Arc::new(Block::open(&vfs, path, Reads::Pread).unwrap());
    let runs_of = |ordinal| {
        let mut chunks = Vec::new();
        block
            .chunks(ordinal, i64::MIN, i64::MAX, &mut chunks)
            .unwrap();
        let run = |chunk: crate::block::ChunkRef| Run {
            min_time: chunk.min_time,
            max_time: chunk.max_time,
            count: chunk.count as usize,
            source: RunSource::Chunk {
                block: Arc::clone(&block),
                chunk,
            },
            extras: None,
            holes: Holes::default(),
        };
        chunks.into_iter().map(run).collect()
    };
    (0..series.len() as u32).map(runs_of).collect()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn guard(limits: QueryLimits) -> Guard {
    let (clock, pool) = (Arc::new(SystemClock::new()), Arc::new(Pool::new(u64::MAX)));
    Guard::new(limits, Vec::new(), clock, pool)
}

fn ask_within(
    limits: QueryLimits,
    series: &BTreeMap<Labels, Vec<Run>>,
    asked: &Aggregate,
    range: (i64, i64),
) -> Result<Vec<AggregatedSeries>> {
    let series = series.iter();
    let series = series.map(|(labels, runs)| SeriesRuns {
        labels: labels.clone(),
        runs: runs.clone(),
    });
    let series = vec![series.map(Ok)];
    aggregate(series, 1, asked, range, range.0, &guard(limits))
}

fn ask(
    series: &BTreeMap<Labels, Vec<Run>>,
    asked: &Aggregate,
    range: (i64, i64),
) -> Vec<AggregatedSeries> {
    ask_within(QueryLimits::default(), series, asked, range).unwrap()
}

/// Asks about one series without labels; its points.
fn points(runs: &[Run], asked: &Aggregate, range: (i64, i64)) -> Vec<(i64, f64)> {
    let series = BTreeMap::from([(Labels::empty(), runs.to_vec())]);
    let answer = ask(&series, asked, range);
    answer
        .iter()
        .flat_map(|one| &one.points)
        .map(|point| (point.timestamp, point.value))
        .collect()
}

fn every(function: Function, nanos: u64) -> Aggregate {
    Aggregate::new(function).step(Duration::from_nanos(nanos))
}

/// Samples 1, 2, .. at 10, 20, ..
fn ramp(count: i64) -> Vec<(i64, f64)> {
    (1..=count).map(|at| (at * 10, at as f64)).collect()
}

#[test]
fn a_counter_that_resets_between_two_chunks_goes_on_rising() {
    let before: Vec<_> = (0..100).map(|at| (at, 1000.0 + at as f64)).collect();
    let after: Vec<_> = (100..200).map(|at| (at, at as f64)).collect();
    for kinds in [[Kind::Block, Kind::Block], [Kind::Stream, Kind::Block]] {
        let mut both = runs(kinds[0], &before);
        both.extend(runs(kinds[1], &after));
        let found = points(&both, &Aggregate::new(Function::Increase), (0, 199));
        assert_eq!(found, [(199, 99.0 + 100.0 + 99.0)]);
        let rate = Aggregate::new(Function::Rate).step(Duration::from_nanos(200));
        assert_eq!(points(&both, &rate, (0, 199)), [(199, 298.0 / 200e-9)]);
    }
}

#[test]
fn whole_chunks_are_answered_without_reading_a_sample() {
    let block = runs(Kind::Block, &ramp(100));
    let series = BTreeMap::from([(Labels::empty(), block)]);
    let nothing = QueryLimits::default().with_samples(0);
    for (function, value) in [
        (Function::Count, 100.0),
        (Function::Sum, 5050.0),
        (Function::Min, 1.0),
        (Function::Max, 100.0),
        (Function::Avg, 50.5),
        (Function::First, 1.0),
        (Function::Last, 100.0),
        (Function::Increase, 99.0),
    ] {
        let asked = Aggregate::new(function);
        let answer = ask_within(nothing, &series, &asked, (0, 1000)).unwrap();
        assert_eq!(answer[0].points[0].value, value, "{function:?}");
        // One nanosecond less, and the last sample is outside: the chunk has to be read.
        assert!(
            ask_within(nothing, &series, &asked, (0, 999))
                .unwrap_err()
                .is_limit()
        );
    }
    let sliding = every(Function::Sum, 1000).window(Duration::from_nanos(3000));
    let answer = ask_within(nothing, &series, &sliding, (-999, 5000)).unwrap();
    let found: Vec<_> = answer[0]
        .points
        .iter()
        .map(|point| (point.timestamp, point.value))
        .collect();
    assert_eq!(found, [(1000, 5050.0), (2000, 5050.0), (3000, 5050.0)]);
}

#[test]
fn a_late_sample_inside_a_chunk_takes_away_the_word_of_its_statistics() {
    let mut both = runs(Kind::Block, &ramp(100));
    both.extend(runs(Kind::Samples, &[(500, 7000.0)]));
    assert_eq!(
        points(&both, &Aggregate::new(Function::Max), (0, 1000)),
        [(1000, 7000.0)]
    );
    assert_eq!(
        points(&both, &Aggregate::new(Function::Sum), (0, 1000)),
        [(1000, 12000.0)]
    );
    assert_eq!(
        points(&both, &Aggregate::new(Function::Count), (0, 1000)),
        [(1000, 100.0)]
    );
}

#[test]
fn chunks_in_the_gaps_between_windows_are_not_read() {
    let block = runs(Kind::Block, &ramp(100));
    let series = BTreeMap::from([(Labels::empty(), block)]);
    let nothing = QueryLimits::default().with_samples(0);
    let narrow = every(Function::Stddev, 5000).window(Duration::from_nanos(10));
    assert_eq!(
        ask_within(nothing, &series, &narrow, (1, 10_000)).unwrap(),
        []
    );
}

#[test]
fn series_of_stale_markers_alone_are_not_there() {
    let stale: Vec<_> = (0..50).map(|at| (at, stale_marker())).collect();
    for kind in [Kind::Samples, Kind::Stream, Kind::Block] {
        let runs = runs(kind, &stale);
        for function in [Function::Count, Function::Last, Function::Quantile(0.5)] {
            assert_eq!(points(&runs, &every(function, 7), (0, 100)), [], "{kind:?}");
        }
    }
}

#[test]
fn hours_of_many_series_with_one_timestamp_column_equal_those_of_each() {
    let step = 10_000_000_000;
    let series: Vec<Vec<(i64, f64)>> = (0..20i64)
        .map(|number| {
            (1..=2000)
                .map(|at| (at * step, (at % (number + 7)) as f64))
                .collect()
        })
        .collect();
    let borrowed: Vec<&[(i64, f64)]> = series.iter().map(Vec::as_slice).collect();
    let name = |number: usize| labels(&[("series", &format!("{number:04}"))]);
    let shared: BTreeMap<_, _> = chunks(&borrowed)
        .into_iter()
        .enumerate()
        .map(|(at, runs)| (name(at), runs))
        .collect();
    let alone = series
        .iter()
        .map(|samples| runs(Kind::Samples, samples))
        .enumerate();
    let alone: BTreeMap<_, _> = alone.map(|(at, runs)| (name(at), runs)).collect();
    for function in [
        Function::Max,
        Function::Avg,
        Function::Last,
        Function::Increase,
    ] {
        for width in [1800, 3600, 7200] {
            let asked = every(function, 3_600_000_000_000).window(Duration::from_secs(width));
            let range = (step * 5, step * 1900);
            assert_eq!(
                ask(&shared, &asked, range),
                ask(&alone, &asked, range),
                "{asked:?}"
            );
        }
    }
}

#[test]
fn limits_and_cancelling_end_a_query() {
    let series = BTreeMap::from([(Labels::empty(), runs(Kind::Samples, &ramp(100)))]);
    let few = QueryLimits::default().with_samples(99);
    let asked = Aggregate::new(Function::Sum);
    assert!(
        ask_within(few, &series, &asked, (0, 1000))
            .unwrap_err()
            .is_limit()
    );
    let small = QueryLimits::default().with_bytes(5000);
    assert!(
        ask_within(small, &series, &every(Function::Sum, 10), (0, 1000))
            .unwrap_err()
            .is_limit()
    );
    // A window of a second every nanosecond: a hundred samples would make ten million points.
    let dense = every(Function::Sum, 1).window(Duration::from_secs(1));
    let medium = QueryLimits::default().with_bytes(1 << 20);
    assert!(
        ask_within(medium, &series, &dense, (0, 10_000_000))
            .unwrap_err()
            .is_limit()
    );

    let roomy = QueryLimits::default();
    let dense = every(Function::Count, 1).window(Duration::from_secs(1));
    let refused = ask_within(roomy, &series, &dense, (0, 12_000_000)).unwrap_err();
    assert!(
        refused.to_string().contains("window limit 11000000"),
        "{refused}"
    );
    // Empty windows are none: a range without end costs what its samples cost.
    let sparse = ask(&series, &every(Function::Count, 7), (0, i64::MAX));
    assert_eq!(sparse[0].points.len(), 100);

    let token = CancelToken::new();
    token.cancel();
    let (clock, pool) = (Arc::new(SystemClock::new()), Arc::new(Pool::new(u64::MAX)));
    let guard = Guard::new(QueryLimits::default(), vec![token], clock, pool);
    let one = SeriesRuns {
        labels: Labels::empty(),
        runs: runs(Kind::Samples, &ramp(1)),
    };
    let refused = aggregate(vec![[Ok(one)].into_iter()], 1, &asked, (0, 100), 0, &guard);
    assert!(matches!(refused, Err(Error::Cancelled)));
}

#[test]
fn senseless_steps_are_refused_and_senseless_ranges_are_empty() {
    let series = BTreeMap::from([(Labels::empty(), runs(Kind::Samples, &ramp(3)))]);
    let refused = ask_within(
        QueryLimits::default(),
        &series,
        &every(Function::Sum, 0),
        (0, 9),
    );
    assert!(matches!(
        refused,
        Err(Error::InvalidArgument {
            argument: "step",
            ..
        })
    ));
    assert_eq!(ask(&series, &every(Function::Sum, 5), (9, 0)), []);
}

#[test]
fn damaged_series_end_the_query_with_their_error() {
    let broken = RunSource::Stream([0xff; 3].into());
    let run = Run {
        min_time: 0,
        max_time: 9,
        count: 5,
        source: broken,
        extras: None,
        holes: Holes::default(),
    };
    let series = BTreeMap::from([(Labels::empty(), vec![run])]);
    let refused = ask_within(
        QueryLimits::default(),
        &series,
        &every(Function::Sum, 5),
        (0, 9),
    );
    assert!(refused.unwrap_err().is_corruption());
}

/// A run to come: its kind, whether it is late (overlaps), a gap, and (step, value) pairs.
type Piece = (Kind, bool, i64, Vec<(i64, f64)>);

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (0..20i32).prop_map(f64::from),
        8 => (-1000..1000i32).prop_map(|cents| f64::from(cents) / 100.0),
        2 => prop_oneof![Just(0.0), Just(-0.0)],
        1 => prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
        1 => prop_oneof![Just(1e100), Just(-1e100), Just(5e-324)],
        1 => prop_oneof![Just(f64::NAN), Just(f64::from_bits(0xfff8_dead_beef_0001))],
        1 => Just(stale_marker()),
    ]
}

/// Mostly values of one sort, so that special values do not drown every sum in NaN.
fn values() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![
        3 => prop::collection::vec((-1000..1000i32).prop_map(|at| f64::from(at) / 8.0), 1..80),
        2 => prop::collection::vec((0..50i32).prop_map(f64::from), 1..80),
        2 => prop::collection::vec(value(), 1..80),
        1 => (value(), 1..80usize).prop_map(|(value, count)| vec![value; count]),
    ]
}

fn piece() -> impl Strategy<Value = Piece> {
    let kind = prop_oneof![Just(Kind::Samples), Just(Kind::Stream), Just(Kind::Block)];
    let steps = prop::collection::vec(prop_oneof![3 => Just(5i64), 2 => 1..25i64], 80);
    (kind, prop::bool::weighted(0.3), 0..200i64, steps, values()).prop_map(
        |(kind, late, gap, steps, values)| {
            (kind, late, gap, steps.into_iter().zip(values).collect())
        },
    )
}

/// Lays pieces out in time from `base` on; the runs, and what they come to.
fn lay_out(base: i64, pieces: &[Piece]) -> (Vec<Run>, Samples) {
    let (mut list, mut samples, mut newest) = (Vec::new(), Samples::new(), base);
    for (kind, late, gap, steps) in pieces {
        let mut at = if *late { base } else { newest } + gap;
        let mut column = Vec::new();
        for &(step, value) in steps {
            at += step;
            column.push((at, value));
        }
        newest = newest.max(at);
        samples.extend(column.iter().copied());
        list.extend(runs(*kind, &column));
    }
    (list, samples)
}

fn function() -> impl Strategy<Value = Function> {
    prop_oneof![
        Just(Function::Count),
        Just(Function::Sum),
        Just(Function::Min),
        Just(Function::Max),
        Just(Function::Avg),
        Just(Function::First),
        Just(Function::Last),
        Just(Function::Stddev),
        prop_oneof![
            0.0..1.0,
            Just(0.0),
            Just(1.0),
            Just(0.5),
            Just(-1.0),
            Just(2.0)
        ]
        .prop_map(Function::Quantile),
        Just(Function::Increase),
        Just(Function::Rate),
    ]
}

fn grouping() -> impl Strategy<Value = Grouping> {
    prop_oneof![
        Just(Grouping::Series),
        Just(Grouping::By(vec![])),
        Just(Grouping::By(vec!["host".to_owned(), "absent".to_owned()])),
        Just(Grouping::Without(vec!["cpu".to_owned()])),
    ]
}

fn question(base: i64) -> impl Strategy<Value = Question> {
    let range = (-100..3000i64, -100..6000i64)
        .prop_map(move |(first, last)| (base.saturating_add(first), base.saturating_add(last)));
    let step = prop::option::weighted(0.8, prop_oneof![5 => 20..900i64, 1 => 1..20i64]);
    let width = prop::option::of(prop_oneof![
        Just(1i64),
        5..100i64,
        100..2000i64,
        Just(i64::MAX)
    ]);
    (function(), range, step, width, grouping()).prop_map(
        |(function, (first, last), step, width, grouping)| Question {
            function,
            first: first.min(last),
            last: first.max(last),
            step,
            width,
            grouping,
        },
    )
}

fn asked(question: &Question) -> Aggregate {
    let mut asked = Aggregate::new(question.function).grouping(question.grouping.clone());
    if let Some(step) = question.step {
        asked = asked.step(Duration::from_nanos(step as u64));
    }
    if let Some(width) = question.width {
        asked = asked.window(Duration::from_nanos(width as u64));
    }
    asked
}

fn equal(found: f64, expected: f64, tolerance: f64) -> bool {
    if expected.is_nan() && tolerance != model::BITS {
        return found.to_bits() == 0x7ff8 << 48;
    }
    let same = found.to_bits() == expected.to_bits();
    same || (expected.is_finite() && tolerance > 0.0 && (found - expected).abs() <= tolerance)
}

fn check(
    series: &BTreeMap<Labels, (Vec<Run>, Samples)>,
    question: &Question,
) -> std::result::Result<(), TestCaseError> {
    let runs = series
        .iter()
        .map(|(labels, (runs, _))| (labels.clone(), runs.clone()))
        .collect();
    let samples = series
        .iter()
        .map(|(labels, (_, samples))| (labels.clone(), samples.clone()));
    let expected = model::answer(&samples.collect(), question);
    let found = ask(&runs, &asked(question), (question.first, question.last));
    let names: Vec<_> = found.iter().map(|one| one.labels.clone()).collect();
    prop_assert_eq!(names, expected.keys().cloned().collect::<Vec<_>>());
    for one in found {
        let expected = &expected[&one.labels];
        let times: Vec<_> = one.points.iter().map(|point| point.timestamp).collect();
        let expected_times: Vec<_> = expected.iter().map(|point| point.0).collect();
        prop_assert_eq!(times, expected_times, "{}", one.labels);
        for (point, &(at, value, tolerance)) in one.points.iter().zip(expected) {
            prop_assert!(
                equal(point.value, value, tolerance),
                "{} at {}: {:?} ({:#x}), not {:?} ({:#x}) +- {:e}",
                one.labels,
                at,
                point.value,
                point.value.to_bits(),
                value,
                value.to_bits(),
                tolerance
            );
        }
    }
    Ok(())
}

fn bases() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0),
        Just(1_700_000_000_000_000_000),
        Just(i64::MIN),
        Just(i64::MAX - 20_000),
    ]
}

proptest! {
    #[test]
    fn every_aggregate_equals_the_model(
        (base, questions) in bases().prop_flat_map(|base| {
            (Just(base), prop::collection::vec(question(base), 1..8))
        }),
        pieces in prop::collection::vec(prop::collection::vec(piece(), 0..5), 1..5),
    ) {
        let mut series = BTreeMap::new();
        for (number, pieces) in pieces.iter().enumerate() {
            let host = if number % 3 == 0 { "a" } else { "b" };
            let labels = labels(&[("host", host), ("cpu", &number.to_string())]);
            series.insert(labels, lay_out(base, pieces));
        }
        for question in &questions {
            check(&series, question)?;
        }
    }
}
