//! Downsampling, as a program meets it: data grow old and coarser, and the answers stay the same
//! or say that they do not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use treering::time::ManualClock;
use treering::vfs::Vfs;
use treering::{
    Aggregate, AggregatedSeries, Batch, Db, ExportedChunk, Function, Labels, NamespaceOptions,
    is_stale, labels, stale_marker,
};

use crate::support::{all, append, bits, cpu, manual, memory, selector};

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// When the data begin; they last so many hours.
const START: i64 = 19_700 * DAY;
const HOURS: i64 = 4;
const END: i64 = START + HOURS * HOUR;

type Model = BTreeMap<Labels, BTreeMap<i64, f64>>;

/// All functions that steps answer exactly.
const EXACT: [Function; 9] = [
    Function::Count,
    Function::Sum,
    Function::Avg,
    Function::Min,
    Function::Max,
    Function::First,
    Function::Last,
    Function::Increase,
    Function::Rate,
];

/// A database whose data become coarser after a day and after a week, and its clock.
struct World {
    vfs: Arc<dyn Vfs>,
    clock: Arc<ManualClock>,
    db: Db,
    model: Model,
}

impl World {
    fn new() -> Self {
        let vfs = memory();
        let clock = Arc::new(ManualClock::new(END));
        let db = Db::open("/db", manual(&vfs).clock(clock.clone())).unwrap();
        let day = Duration::from_secs(86_400);
        let options = NamespaceOptions::default()
            .downsample(day, Duration::from_secs(300))
            .downsample(7 * day, Duration::from_secs(3600));
        db.alter_namespace("default", options).unwrap();
        let mut world = Self {
            vfs,
            clock,
            db,
            model: Model::new(),
        };
        world.fill();
        world
    }

    /// Gauges that share their timestamps, a counter with resets, a series with NaN and stale
    /// markers, and one of few samples.
    fn fill(&mut self) {
        let wave = |at: i64, by: i64| ((at * by) % 997) as f64 / 8.0 - 50.0;
        for at in 1..=HOURS * 240 {
            let time = START + at * 15 * SECOND;
            self.put(cpu("a"), time, wave(at, 37));
            self.put(cpu("b"), time, wave(at, 91));
            let odd = match at % 50 {
                7 => f64::NAN,
                20 | 23 => stale_marker(),
                _ => wave(at, 13),
            };
            self.put(cpu("odd"), time + 1, odd);
            self.put(cpu("counter"), time - 7 * SECOND, (at % 333 * 5) as f64);
            if at % 70 == 3 {
                self.put(cpu("sparse"), time, wave(at, 5));
            }
        }
        let mut batch = Batch::new();
        for (labels, samples) in &self.model {
            let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().unzip();
            batch = batch.column(labels, &times, &values);
        }
        self.db.append(&batch).unwrap();
        self.db.flush().unwrap();
    }

    fn put(&mut self, labels: Labels, time: i64, value: f64) {
        self.model.entry(labels).or_default().insert(time, value);
    }

    /// Lets the data grow `days` older, compacts, and opens the database anew.
    fn age(&mut self, days: i64) {
        self.clock
            .advance(Duration::from_secs(days as u64 * 86_400));
        self.db.compact().unwrap();
        self.reopen();
    }

    fn reopen(&mut self) {
        self.db.close().unwrap();
        let options = manual(&self.vfs).clock(self.clock.clone());
        self.db = Db::open("/db", options).unwrap();
    }

    fn ask(&self, asked: &Aggregate, first: i64, last: i64) -> Vec<AggregatedSeries> {
        let everything = selector("cpu");
        self.db.aggregate(&everything, first..=last, asked).unwrap()
    }

    /// Asks every function over windows of `width` every `step`; none may be approximate.
    fn check(&self, (first, last): (i64, i64), step: i64, width: i64) {
        for function in EXACT {
            let asked = every(function, step).window(nanos(width));
            let answer = self.ask(&asked, first, last);
            assert_eq!(answer.len(), self.model.len(), "{function:?}");
            for one in &answer {
                assert!(!one.approximate, "{function:?} of {}", one.labels);
                let samples = &self.model[&one.labels];
                let wanted = plain(function, samples, (first, last), step, width);
                assert_same(&format!("{function:?} of {}", one.labels), one, &wanted);
            }
        }
    }
}

fn nanos(nanos: i64) -> Duration {
    Duration::from_nanos(nanos as u64)
}

fn every(function: Function, step: i64) -> Aggregate {
    Aggregate::new(function).step(nanos(step))
}

fn assert_same(what: &str, found: &AggregatedSeries, wanted: &[(i64, f64, f64)]) {
    let ends: Vec<i64> = found.points.iter().map(|point| point.timestamp).collect();
    let wanted_ends: Vec<i64> = wanted.iter().map(|point| point.0).collect();
    assert_eq!(ends, wanted_ends, "{what}");
    for (point, &(end, value, near)) in found.points.iter().zip(wanted) {
        let same = point.value.to_bits() == value.to_bits()
            || (point.value.is_nan() && value.is_nan())
            || (point.value - value).abs() <= near;
        assert!(same, "{what} at {end}: {} not {value}", point.value);
    }
}

/// End, answer, and how far from it rounding may lead, for each window with samples.
fn plain(
    function: Function,
    samples: &BTreeMap<i64, f64>,
    (first, last): (i64, i64),
    step: i64,
    width: i64,
) -> Vec<(i64, f64, f64)> {
    let mut points = Vec::new();
    let mut end = first - 1 + step;
    loop {
        let from = (end - width + 1).max(first);
        let values: Vec<f64> = samples
            .range(from..=end.min(last))
            .map(|sample| *sample.1)
            .filter(|value| !is_stale(*value))
            .collect();
        if !values.is_empty() {
            let (value, near) = compute(function, &values, width);
            points.push((end, value, near));
        }
        if end >= last {
            return points;
        }
        end += step;
    }
}

fn compute(function: Function, values: &[f64], width: i64) -> (f64, f64) {
    let (first, last) = (values[0], values[values.len() - 1]);
    let sum: f64 = values.iter().sum();
    let near = 1e-12 * values.iter().map(|value| value.abs()).sum::<f64>();
    let resets = values.windows(2).filter(|pair| pair[1] < pair[0]);
    let increase = last - first + resets.map(|pair| pair[0]).sum::<f64>();
    let count = values.len() as f64;
    match function {
        Function::Count => (count, 0.0),
        Function::Sum => (sum, near),
        Function::Avg => (sum / count, near / count),
        Function::Min => (values.iter().copied().fold(f64::NAN, f64::min), 0.0),
        Function::Max => (values.iter().copied().fold(f64::NAN, f64::max), 0.0),
        Function::First => (first, 0.0),
        Function::Last => (last, 0.0),
        Function::Increase => (increase, near),
        Function::Rate => (increase / (width as f64 / 1e9), near),
        other => panic!("steps do not answer {other:?}"),
    }
}

#[test]
fn windows_of_whole_steps_answer_as_before_in_one_tier_after_the_other() {
    let mut world = World::new();
    let range = (START + 1, END);
    for (days, step) in [(0, SECOND), (2, 5 * MINUTE), (8, HOUR)] {
        let before = world.db.stats().block_samples;
        world.age(days);
        if days > 0 {
            assert!(world.db.stats().block_samples < before);
        }
        world.check(range, HOURS * HOUR, HOURS * HOUR);
        world.check(range, HOUR, HOUR);
        world.check(range, HOUR, 2 * HOUR);
        world.check((START + HOUR + 1, START + 3 * HOUR), 2 * HOUR, 2 * HOUR);
        if step <= 5 * MINUTE {
            world.check(range, 5 * MINUTE, 5 * MINUTE);
            world.check(range, 5 * MINUTE, 15 * MINUTE);
            world.check((START + 5 * MINUTE + 1, END - 10 * MINUTE), HOUR, HOUR);
        }
    }
}

#[test]
fn what_steps_cannot_tell_is_marked() {
    let mut world = World::new();
    let range = (START + 1, END);
    let marks = |world: &World, asked: &Aggregate, (first, last): (i64, i64)| {
        let answer = world.ask(asked, first, last);
        let marked = answer.iter().filter(|one| one.approximate).count();
        (marked, answer.len())
    };
    let quantile = every(Function::Quantile(0.5), HOUR);
    let groups = every(Function::Sum, HOUR).by(["__name__"]);
    assert_eq!(marks(&world, &quantile, range), (0, 5));
    world.age(2);
    // Six minutes cut steps of five; so does a range that begins a second late or ends one early.
    for function in EXACT {
        let cut = every(function, 6 * MINUTE);
        // No step of the sparse series has two samples.
        assert_eq!(marks(&world, &cut, range), (4, 5), "{function:?}");
        let hourly = every(function, HOUR);
        assert_eq!(marks(&world, &hourly, (START + 30 * SECOND, END)).0, 4);
        assert!(marks(&world, &hourly, (START + 1, END - 30 * SECOND)).0 >= 4);
    }
    assert_eq!(marks(&world, &quantile, range).0, 4);
    assert_eq!(marks(&world, &every(Function::Stddev, HOUR), range).0, 4);
    assert_eq!(marks(&world, &groups, range), (0, 1));
    assert_eq!(
        marks(&world, &every(Function::Sum, HOUR).by(["host"]), range),
        (0, 5)
    );
    let first = every(Function::First, HOUR).without(["host"]);
    assert_eq!(marks(&world, &first, range), (1, 1));
    world.age(8);
    assert_eq!(
        marks(&world, &every(Function::Sum, 5 * MINUTE), range),
        (5, 5)
    );
    assert_eq!(marks(&world, &groups, range), (0, 1));
    let answer = world.ask(&groups, START + 1, END);
    let present = world.model.values().flatten();
    let sum: f64 = present
        .map(|sample| *sample.1)
        .filter(|value| !is_stale(*value))
        .sum();
    let found: f64 = answer[0].points.iter().map(|point| point.value).sum();
    assert!(sum.is_nan() && found.is_nan());
    let counts = world.ask(
        &every(Function::Count, HOUR).by(["__name__"]),
        START + 1,
        END,
    );
    let count = world
        .model
        .values()
        .flatten()
        .filter(|sample| *sample.0 <= END && !is_stale(*sample.1))
        .count();
    let found: f64 = counts[0].points.iter().map(|point| point.value).sum();
    assert_eq!(found, count as f64);
}

#[test]
fn rows_are_true_samples_to_everything_else() {
    let mut world = World::new();
    let newest = world.db.query().latest(&selector("cpu"), ..).unwrap();
    let names = world.db.label_values("host", &selector("cpu"), ..).unwrap();
    let listed = world.db.series_labels(&selector("cpu"), ..).unwrap();
    for (days, step) in [(2, 5 * MINUTE), (8, HOUR)] {
        world.age(days);
        let last_of_steps = |samples: &BTreeMap<i64, f64>| {
            let step_of = |at: i64| (at - 1).div_euclid(step);
            let steps: BTreeSet<i64> = samples.keys().map(|at| step_of(*at)).collect();
            let last = |one: &i64| samples.range(..=(one + 1) * step).next_back().unwrap();
            let pairs = steps.iter().map(last);
            pairs
                .map(|(at, value)| (*at, value.to_bits()))
                .collect::<Vec<_>>()
        };
        let read = all(&world.db, "cpu");
        assert_eq!(read.len(), 5);
        for ((name, columns), (labels, samples)) in read.iter().zip(&world.model) {
            assert_eq!(*name, labels.to_string());
            assert_eq!(bits(columns), last_of_steps(samples));
        }
        let found = world.db.query().latest(&selector("cpu"), ..).unwrap();
        assert_eq!(found.len(), newest.len());
        for (found, wanted) in found.iter().zip(&newest) {
            assert_eq!(found.sample.timestamp, wanted.sample.timestamp);
            assert_eq!(found.sample.value.to_bits(), wanted.sample.value.to_bits());
        }
        assert_eq!(
            world.db.label_values("host", &selector("cpu"), ..).unwrap(),
            names
        );
        assert_eq!(
            world.db.series_labels(&selector("cpu"), ..).unwrap(),
            listed
        );
        // An export has the same samples as a select.
        let mut exported: BTreeMap<String, Vec<(i64, u64)>> = BTreeMap::new();
        for chunk in world.db.export(.., ..).unwrap() {
            let chunk = chunk.unwrap();
            let columns = ExportedChunk::decode(&chunk.bytes).unwrap();
            let samples = exported.entry(chunk.labels.to_string()).or_default();
            samples.extend(bits(&columns));
        }
        let selected = read
            .into_iter()
            .map(|(name, columns)| (name, bits(&columns)));
        assert_eq!(exported, selected.collect());
    }
}

#[test]
fn deletes_before_count_as_before_and_deletes_after_are_marked_where_they_cut_steps() {
    let mut world = World::new();
    let hide = |world: &mut World, host: &str, first: i64, last: i64| {
        let text = format!("cpu{{host=\"{host}\"}}");
        world.db.delete(&selector(&text), first..=last).unwrap();
        let samples = world.model.get_mut(&cpu(host)).unwrap();
        samples.retain(|at, _| !(first..=last).contains(at));
    };
    hide(&mut world, "a", START + 17 * MINUTE, START + 93 * MINUTE);
    world.age(2);
    world.check((START + 1, END), HOUR, HOUR);
    // Whole steps leave whole steps.
    hide(
        &mut world,
        "b",
        START + 20 * MINUTE + 1,
        START + 50 * MINUTE,
    );
    for _ in 0..2 {
        world.check((START + 1, END), HOUR, HOUR);
        world.check((START + 1, END), 5 * MINUTE, 5 * MINUTE);
        world.age(0);
    }
    // The middle of a step: its samples count until their row goes, and the answer says so.
    let text = selector("cpu{host=\"counter\"}");
    world
        .db
        .delete(&text, START + 61 * MINUTE..=START + 62 * MINUTE)
        .unwrap();
    let answer = world.ask(&every(Function::Count, HOUR), START + 1, END);
    for one in &answer {
        assert_eq!(
            one.approximate,
            one.labels == cpu("counter"),
            "{}",
            one.labels
        );
    }
    // The end of a step: its row is gone, and the samples before it with it.
    let before: f64 = count(&world, "b");
    let text = selector("cpu{host=\"b\"}");
    world
        .db
        .delete(&text, START + 119 * MINUTE..=START + 120 * MINUTE)
        .unwrap();
    assert_eq!(count(&world, "b"), before - 20.0);
    let answer = world.ask(&every(Function::Count, HOUR), START + 1, END);
    assert!(
        answer
            .iter()
            .any(|one| one.approximate && one.labels == cpu("b"))
    );
}

/// All samples of a host, by the aggregate.
fn count(world: &World, host: &str) -> f64 {
    let text = selector(&format!("cpu{{host=\"{host}\"}}"));
    let asked = Aggregate::new(Function::Count);
    let answer = world.db.aggregate(&text, START + 1..=END, &asked).unwrap();
    answer[0].points[0].value
}

#[test]
fn late_samples_are_counted_and_marked_until_they_are_worked_in() {
    let mut world = World::new();
    world.age(2);
    let before = count(&world, "a");
    let late = START + 62 * MINUTE + 1;
    append(&world.db, &cpu("a"), late, 3.5);
    for flushed in [false, true] {
        assert_eq!(count(&world, "a"), before + 1.0);
        let answer = world.ask(&every(Function::Sum, HOUR), START + 1, END);
        for one in &answer {
            assert_eq!(one.approximate, one.labels == cpu("a"), "{}", one.labels);
        }
        if !flushed {
            world.db.flush().unwrap();
            world.reopen();
        }
    }
    // The answer over hours without the late sample is exact.
    let hourly = every(Function::Sum, HOUR);
    let answer = world.ask(&hourly, START + 2 * HOUR + 1, END);
    assert!(answer.iter().all(|one| !one.approximate));
    world.put(cpu("a"), late, 3.5);
    // One tier further, the steps of the late sample and of the others are made one.
    world.age(8);
    assert_eq!(count(&world, "a"), before + 1.0);
    let answer = world.ask(&hourly, START + 1, END);
    let one = answer.iter().find(|one| one.labels == cpu("a")).unwrap();
    assert!(!one.approximate);
    let range = (START + 1, END);
    let wanted = plain(Function::Sum, &world.model[&cpu("a")], range, HOUR, HOUR);
    assert_same("the sum with the late sample", one, &wanted);
    let other = labels! { "__name__" => "cpu", "host" => "new" };
    append(&world.db, &other, START + 1, 1.0);
    let answer = world.ask(&hourly, START + 1, END);
    assert!(answer.iter().all(|one| !one.approximate));
    assert_eq!(answer.len(), 6);
}
