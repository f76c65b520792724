//! Random lives of a database held against a plain model, sample by sample, bit by bit.
//!
//! The model is a map from series to a map from timestamp to value: the last write wins. Every
//! answer is asked of the database in whatever state it is: all in the head, all in blocks, both.
//! `TREERING_CASES` sets how many lives; a failing one is printed with its seed by proptest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use treering::time::ManualClock;
use treering::vfs::Vfs;
use treering::{Aggregate, Batch, Db, Function, Options, Reads, is_stale, labels};

use crate::support::{bits, manual, memory, selector};

type Model = BTreeMap<u8, BTreeMap<i64, u64>>;

const SECOND: i64 = 1_000_000_000;
/// Hosts that the random samples belong to.
const HOSTS: u8 = 6;

#[derive(Debug, Clone)]
enum Step {
    /// Samples of any series at any time, in one batch.
    Scatter(Vec<(u8, i64, f64)>),
    /// One sample of every series at one time.
    Scrape(i64, f64),
    /// Many samples of one series.
    Column {
        host: u8,
        start: i64,
        step: i64,
        count: usize,
        shape: u8,
    },
    Flush,
    Reopen,
    /// Reopens with blocks read the other way.
    SwitchReads,
    ClockJump(i64),
}

fn timestamps() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => (0..400i64).prop_map(|at| at * 15 * SECOND),
        4 => (-10..10i64).prop_map(|day| day * 86_400 * SECOND),
        2 => any::<i64>(),
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX]),
    ]
}

fn values() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-1000..1000i32).prop_map(f64::from),
        8 => (-100_000..100_000i32).prop_map(|value| f64::from(value) / 100.0),
        2 => any::<f64>(),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => prop::sample::select(vec![
            0.0, -0.0, f64::NAN, treering::stale_marker(), f64::INFINITY, f64::NEG_INFINITY,
        ]),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let column = (0..HOSTS, timestamps(), 1..40i64, 1..2500usize, 0..5u8);
    prop_oneof![
        6 => prop::collection::vec((0..HOSTS, timestamps(), values()), 1..40).prop_map(Step::Scatter),
        6 => (timestamps(), values()).prop_map(|(at, value)| Step::Scrape(at, value)),
        2 => column.prop_map(|(host, start, step, count, shape)| Step::Column {
            host, start, step: step * SECOND, count, shape,
        }),
        2 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => Just(Step::SwitchReads),
        1 => any::<i64>().prop_map(Step::ClockJump),
    ]
}

/// A database and what it should hold.
struct Life {
    vfs: Arc<dyn Vfs>,
    clock: Arc<ManualClock>,
    reads: Reads,
    db: Db,
    model: Model,
}

fn host(number: u8) -> treering::Labels {
    labels! { "__name__" => "m", "host" => format!("h{number}"), "odd" => (number % 2).to_string() }
}

impl Life {
    fn begin() -> Self {
        let (vfs, clock) = (memory(), Arc::new(ManualClock::new(0)));
        let reads = Reads::Mmap;
        let db = Db::open("/db", Self::options(&vfs, &clock, reads)).unwrap();
        Self {
            vfs,
            clock,
            reads,
            db,
            model: Model::new(),
        }
    }

    /// Small files and much flushing by itself, so that everything happens in a short life.
    fn options(vfs: &Arc<dyn Vfs>, clock: &Arc<ManualClock>, reads: Reads) -> Options {
        let clock: Arc<ManualClock> = Arc::clone(clock);
        manual(vfs)
            .clock(clock)
            .reads(reads)
            .wal_file_bytes(64 << 10)
            .wal_max_bytes(256 << 10)
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Scatter(rows) => {
                let mut batch = Batch::new();
                for &(number, at, value) in rows {
                    batch.push(host(number), at, value);
                    self.model
                        .entry(number)
                        .or_default()
                        .insert(at, value.to_bits());
                }
                self.db.append(&batch).unwrap();
            }
            Step::Scrape(at, value) => {
                let series = (0..HOSTS).map(|number| self.db.series(&host(number)).unwrap());
                let row: Vec<_> = series.map(|series| (series, *value)).collect();
                self.db.append(&Batch::new().row(*at, &row)).unwrap();
                for number in 0..HOSTS {
                    self.model
                        .entry(number)
                        .or_default()
                        .insert(*at, value.to_bits());
                }
            }
            Step::Column {
                host: number,
                start,
                step,
                count,
                shape,
            } => {
                let times: Vec<i64> = (0..*count as i64)
                    .map(|index| start.wrapping_add(index * step))
                    .collect();
                let column: Vec<f64> = (0..*count).map(|index| shaped(*shape, index)).collect();
                self.db
                    .append(&Batch::new().column(host(*number), &times, &column))
                    .unwrap();
                let bits = column.iter().map(|value| value.to_bits());
                self.model
                    .entry(*number)
                    .or_default()
                    .extend(times.into_iter().zip(bits));
            }
            Step::Flush => self.db.flush().unwrap(),
            Step::Reopen => self.reopen(),
            Step::SwitchReads => {
                self.reads = if self.reads == Reads::Mmap {
                    Reads::Pread
                } else {
                    Reads::Mmap
                };
                self.reopen();
            }
            Step::ClockJump(now) => {
                self.clock.set(*now);
                self.clock.advance(Duration::from_secs(3600));
            }
        }
    }

    fn reopen(&mut self) {
        self.db.close().unwrap();
        self.db = Db::open("/db", Self::options(&self.vfs, &self.clock, self.reads)).unwrap();
        assert_eq!(self.db.recovery().wal_cut, None);
    }

    /// Every sample in `first..=last`, series by series, as columns and one by one.
    fn check_samples(&self, first: i64, last: i64) {
        let mut found = Model::new();
        for series in self.db.select(&selector("m"), first..=last).unwrap() {
            let series = series.unwrap();
            let number = series.labels().get("host").unwrap()[1..].parse().unwrap();
            let columns = bits(&series.columns().unwrap());
            let one_by_one: Vec<_> = series
                .samples()
                .map(|sample| {
                    sample
                        .map(|sample| (sample.timestamp, sample.value.to_bits()))
                        .unwrap()
                })
                .collect();
            assert_eq!(columns, one_by_one);
            assert!(
                found
                    .insert(number, columns.into_iter().collect())
                    .is_none()
            );
        }
        let expected: Model = self
            .model
            .iter()
            .map(|(&number, samples)| (number, range_of(samples, first, last)))
            .filter(|(_, samples)| !samples.is_empty())
            .collect();
        assert_eq!(found, expected);
    }

    /// Aggregates of each series over the whole of `first..=last`.
    fn check_aggregates(&self, first: i64, last: i64) {
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
            let found = self
                .db
                .aggregate(&selector("m"), first..=last, &Aggregate::new(function))
                .unwrap();
            let found: BTreeMap<u8, f64> = found
                .iter()
                .map(|series| {
                    let number = series.labels.get("host").unwrap()[1..].parse().unwrap();
                    assert_eq!(series.points.len(), 1);
                    assert_eq!(series.points[0].timestamp, last);
                    (number, series.points[0].value)
                })
                .collect();
            let expected: BTreeMap<u8, (f64, f64)> = self
                .model
                .iter()
                .filter_map(|(&number, samples)| {
                    let values: Vec<f64> = range_of(samples, first, last)
                        .into_values()
                        .map(f64::from_bits)
                        .filter(|value| !is_stale(*value))
                        .collect();
                    (!values.is_empty()).then(|| (number, plain(function, &values)))
                })
                .collect();
            let keys = |map: &BTreeMap<u8, f64>| map.keys().copied().collect::<Vec<_>>();
            assert_eq!(keys(&found), expected.keys().copied().collect::<Vec<_>>());
            for (number, (value, size)) in expected {
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

    fn check_newest(&self) {
        let found: BTreeMap<String, (i64, u64)> = self
            .db
            .latest(&selector("m"))
            .unwrap()
            .iter()
            .map(|latest| {
                let sample = (latest.sample.timestamp, latest.sample.value.to_bits());
                (latest.labels.get("host").unwrap().to_owned(), sample)
            })
            .collect();
        let expected: BTreeMap<String, (i64, u64)> = self
            .model
            .iter()
            .filter_map(|(number, samples)| {
                let (&at, &bits) = samples.last_key_value()?;
                Some((format!("h{number}"), (at, bits)))
            })
            .collect();
        assert_eq!(found, expected);
        let hosts = self.db.label_values("host", &selector("m"), ..).unwrap();
        assert_eq!(hosts, expected.into_keys().collect::<Vec<_>>());
    }
}

fn range_of(samples: &BTreeMap<i64, u64>, first: i64, last: i64) -> BTreeMap<i64, u64> {
    samples
        .range(first..=last)
        .map(|(&at, &bits)| (at, bits))
        .collect()
}

/// Values of a column: constant, counter with resets, decimals, noise, with stale markers.
fn shaped(shape: u8, index: usize) -> f64 {
    match shape {
        0 => 42.0,
        1 => (index % 700) as f64 * 3.0,
        2 => ((index * 37) % 1000) as f64 / 100.0,
        3 => (index as f64).sin(),
        _ if index % 100 == 99 => treering::stale_marker(),
        _ => index as f64 / 8.0,
    }
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

fn cases() -> u32 {
    std::env::var("TREERING_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn any_life_equals_the_model(
        steps in prop::collection::vec(steps(), 1..60),
        ranges in prop::collection::vec((timestamps(), timestamps()), 3),
    ) {
        let mut life = Life::begin();
        for (number, step) in steps.iter().enumerate() {
            life.take(step);
            if number % 16 == 15 {
                life.check_samples(i64::MIN, i64::MAX);
            }
        }
        for (a, b) in ranges.into_iter().chain([(i64::MIN, i64::MAX)]) {
            life.check_samples(a.min(b), a.max(b));
            life.check_aggregates(a.min(b), a.max(b));
        }
        life.check_newest();
        life.db.flush().unwrap();
        life.check_samples(i64::MIN, i64::MAX);
        life.check_aggregates(i64::MIN, i64::MAX);
        life.reopen();
        life.check_samples(i64::MIN, i64::MAX);
        life.check_newest();
        let report = life.db.verify().unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
}
