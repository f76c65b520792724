//! The benches' workload: TSBS "devops cpu-only" (names and shape from timescale/tsbs, MIT).
//!
//! Input: a [`Shape`] and a seed. Output: the labels of every series and its samples, either one
//! time at a time for all series ([`Generator::next_row`]) or one series at a time, whole
//! ([`Generator::series`]) or by and by ([`Generator::stream`]); all give the same bits. Every host has ten tags and a number of
//! metrics; series `host * metrics + metric`. Each series has a random stream of its own:
//!
//! - `Int`: a random walk with steps N(0,1) clamped to 0..=100, truncated, as in TSBS;
//! - `Dec2`: the same walk rounded to two decimals;
//! - `Counter`: starts at 0, grows by `max(0, floor(200 + 55 N))`, resets to 0 once in 10,000.
//!
//! The first sample stands one step after the start, so that a whole number of steps fills
//! left-open windows.

use crate::random::Random;

/// 2024-01-01T00:00:00Z in nanoseconds.
pub const START: i64 = 1_704_067_200 * SECOND;

const SECOND: i64 = 1_000_000_000;

/// Names of the first ten metrics; more are numbered.
pub const METRICS: [&str; 10] = [
    "cpu_usage_user",
    "cpu_usage_system",
    "cpu_usage_idle",
    "cpu_usage_nice",
    "cpu_usage_iowait",
    "cpu_usage_irq",
    "cpu_usage_softirq",
    "cpu_usage_steal",
    "cpu_usage_guest",
    "cpu_usage_guest_nice",
];

const REGIONS: [(&str, u64); 9] = [
    ("us-east-1", 5),
    ("us-west-1", 2),
    ("us-west-2", 3),
    ("eu-west-1", 3),
    ("eu-central-1", 2),
    ("ap-southeast-1", 2),
    ("ap-southeast-2", 2),
    ("ap-northeast-1", 2),
    ("sa-east-1", 3),
];
const SYSTEMS: [&str; 3] = ["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"];
const ARCHITECTURES: [&str; 2] = ["x64", "x86"];
const TEAMS: [&str; 4] = ["SF", "NYC", "LON", "CHI"];
const ENVIRONMENTS: [&str; 3] = ["production", "staging", "test"];

/// What the values look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Whole numbers of a walk in 0..=100.
    Int,
    /// The walk with two decimals.
    Dec2,
    /// A counter with resets.
    Counter,
}

/// How many series, how many samples each, how far apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Hosts.
    pub hosts: u32,
    /// Metrics of each host.
    pub metrics: u32,
    /// Samples of each series.
    pub samples: u32,
    /// Nanoseconds between two samples.
    pub step: i64,
    /// What the values look like.
    pub values: Values,
}

impl Shape {
    /// Workload S: 100 hosts for 24 hours, 1,000 series, 8.64 million samples.
    pub const fn s(values: Values) -> Self {
        Self {
            hosts: 100,
            metrics: 10,
            samples: 8640,
            step: 10 * SECOND,
            values,
        }
    }

    /// Workload M: 4,000 hosts for an hour, 40,000 series, 14.4 million samples.
    pub const fn m(values: Values) -> Self {
        Self {
            hosts: 4000,
            metrics: 10,
            samples: 360,
            step: 10 * SECOND,
            values,
        }
    }

    /// Workload HC: 100,000 hosts, 1,000,000 series of 10 samples.
    pub const fn hc(values: Values) -> Self {
        Self {
            hosts: 100_000,
            metrics: 10,
            samples: 10,
            step: 10 * SECOND,
            values,
        }
    }

    /// Workload Y: 10 hosts for a year of 365 days, 100 series, 315 million samples.
    pub const fn y(values: Values) -> Self {
        Self::days(365, values)
    }

    /// The 100 series of workload Y for so many days.
    pub const fn days(days: u32, values: Values) -> Self {
        Self {
            hosts: 10,
            metrics: 10,
            samples: days * 8640,
            step: 10 * SECOND,
            values,
        }
    }

    /// The shape that meets no edge, to show that nothing is aligned to a bench: 77 hosts, 13
    /// metrics, 7 s, 37-minute windows times 38.
    pub const fn odd(values: Values) -> Self {
        Self {
            hosts: 77,
            metrics: 13,
            samples: 37 * 60 * 38 / 7,
            step: 7 * SECOND,
            values,
        }
    }

    /// Number of series.
    pub const fn series(&self) -> u64 {
        self.hosts as u64 * self.metrics as u64
    }

    /// Number of samples of all series.
    pub const fn total(&self) -> u64 {
        self.series() * self.samples as u64
    }
}

/// The state of every series, moved on one row at a time.
#[derive(Debug)]
pub struct Generator {
    shape: Shape,
    seed: u64,
    walks: Vec<Walk>,
    row: u32,
}

impl Generator {
    /// All series before their first sample.
    pub fn new(shape: Shape, seed: u64) -> Self {
        let walks = (0..shape.series()).map(|series| Walk::new(shape.values, seed, series));
        Self {
            shape,
            seed,
            walks: walks.collect(),
            row: 0,
        }
    }

    /// The shape given to [`new`](Self::new).
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Labels of a series, sorted by name.
    pub fn labels(&self, series: u64) -> Vec<(&'static str, String)> {
        labels(&self.shape, self.seed, series)
    }

    /// One series from its first sample, wherever the rows are.
    pub fn stream(&self, series: u64) -> Stream {
        Stream {
            walk: Walk::new(self.shape.values, self.seed, series),
            shape: self.shape,
            row: 0,
        }
    }

    /// Puts the next value of every series, in series order, into `values` and returns its time;
    /// `None` after the last row.
    pub fn next_row(&mut self, values: &mut Vec<f64>) -> Option<i64> {
        values.clear();
        if self.row == self.shape.samples {
            return None;
        }
        self.row += 1;
        values.extend(self.walks.iter_mut().map(Walk::next));
        Some(START + i64::from(self.row) * self.shape.step)
    }

    /// Every sample of one series, from its first, wherever the rows are.
    pub fn series(&self, series: u64) -> (Vec<i64>, Vec<f64>) {
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        let all = self.shape.samples as usize;
        self.stream(series)
            .next_column(all, &mut timestamps, &mut values);
        (timestamps, values)
    }
}

/// One series between two samples, moved on a piece at a time.
#[derive(Debug, Clone)]
pub struct Stream {
    walk: Walk,
    shape: Shape,
    row: u32,
}

impl Stream {
    /// Puts the next `most` samples, fewer at the end, into the two columns; how many.
    pub fn next_column(
        &mut self,
        most: usize,
        timestamps: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> usize {
        timestamps.clear();
        values.clear();
        let left = (self.shape.samples - self.row) as usize;
        let rows = self.row + 1..=self.row + left.min(most) as u32;
        self.row = *rows.end();
        timestamps.extend(rows.map(|row| START + i64::from(row) * self.shape.step));
        values.extend((0..timestamps.len()).map(|_| self.walk.next()));
        timestamps.len()
    }
}

/// Labels of series `series` of a shape, beyond its number of hosts too: metric name and the ten
/// tags of its host.
pub fn labels(shape: &Shape, seed: u64, series: u64) -> Vec<(&'static str, String)> {
    let (host, metric) = (
        series / u64::from(shape.metrics),
        series % u64::from(shape.metrics),
    );
    // A stream of its own, far from those of the values.
    let mut random = Random::stream(!seed, host);
    let (region, zones) = REGIONS[random.below(REGIONS.len() as u64) as usize];
    let zone = char::from(b'a' + random.below(zones) as u8);
    let name = match METRICS.get(metric as usize) {
        Some(name) => (*name).to_owned(),
        None => format!("cpu_usage_extra_{metric}"),
    };
    vec![
        ("__name__", name),
        ("arch", pick(&mut random, &ARCHITECTURES)),
        ("datacenter", format!("{region}{zone}")),
        ("hostname", format!("host_{host}")),
        ("os", pick(&mut random, &SYSTEMS)),
        ("rack", random.below(100).to_string()),
        ("region", region.to_owned()),
        ("service", random.below(20).to_string()),
        ("service_environment", pick(&mut random, &ENVIRONMENTS)),
        ("service_version", random.below(2).to_string()),
        ("team", pick(&mut random, &TEAMS)),
    ]
}

fn pick(random: &mut Random, words: &[&str]) -> String {
    words[random.below(words.len() as u64) as usize].to_owned()
}

/// One series between two samples.
#[derive(Debug, Clone, Copy)]
struct Walk {
    random: Random,
    state: f64,
    values: Values,
}

impl Walk {
    fn new(values: Values, seed: u64, series: u64) -> Self {
        let mut random = Random::stream(seed, series);
        let state = if values == Values::Counter {
            0.0
        } else {
            random.unit() * 100.0
        };
        Self {
            random,
            state,
            values,
        }
    }

    fn next(&mut self) -> f64 {
        match self.values {
            Values::Int => self.step().trunc(),
            Values::Dec2 => (self.step() * 100.0).round() / 100.0,
            Values::Counter => {
                let grown = self.state + (200.0 + 55.0 * self.random.normal()).floor().max(0.0);
                self.state = if self.random.below(10_000) == 0 {
                    0.0
                } else {
                    grown
                };
                self.state
            }
        }
    }

    fn step(&mut self) -> f64 {
        self.state = (self.state + self.random.normal()).clamp(0.0, 100.0);
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn small(values: Values) -> Shape {
        Shape {
            hosts: 7,
            metrics: 13,
            samples: 50,
            step: 7 * SECOND,
            values,
        }
    }

    #[test]
    fn rows_and_series_give_the_same_bits() {
        for values in [Values::Int, Values::Dec2, Values::Counter] {
            let mut generator = Generator::new(small(values), 11);
            let mut columns = vec![Vec::new(); generator.shape().series() as usize];
            let mut times = Vec::new();
            let mut row = Vec::new();
            while let Some(time) = generator.next_row(&mut row) {
                times.push(time);
                for (column, value) in columns.iter_mut().zip(&row) {
                    column.push(value.to_bits());
                }
            }
            for (series, column) in (0..).zip(&columns) {
                let (timestamps, values) = generator.series(series);
                assert_eq!(timestamps, times);
                assert_eq!(
                    &values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
                    column
                );
                let (mut stream, mut pieces) = (generator.stream(series), Vec::new());
                let (mut timestamps, mut values) = (Vec::new(), Vec::new());
                while stream.next_column(7, &mut timestamps, &mut values) > 0 {
                    let bits = values.iter().map(|v| v.to_bits());
                    pieces.extend(timestamps.iter().copied().zip(bits));
                }
                let whole = times.iter().copied().zip(column.iter().copied());
                assert!(pieces.into_iter().eq(whole));
            }
        }
    }

    #[test]
    fn every_series_has_labels_of_its_own_sorted_by_name() {
        let generator = Generator::new(small(Values::Int), 11);
        let all: BTreeSet<_> = (0..generator.shape().series())
            .map(|s| generator.labels(s))
            .collect();
        assert_eq!(all.len() as u64, generator.shape().series());
        for labels in &all {
            assert_eq!(labels.len(), 11);
            assert!(labels.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }

    #[test]
    fn the_workload_never_changes() {
        let sum = |values| {
            let generator = Generator::new(
                Shape {
                    samples: 8640,
                    ..small(values)
                },
                1,
            );
            (0..4).fold(0u64, |sum, series| {
                let (_, values) = generator.series(series);
                values
                    .iter()
                    .fold(sum, |sum, v| sum.rotate_left(5) ^ v.to_bits())
            })
        };
        let sums = [Values::Int, Values::Dec2, Values::Counter].map(sum);
        // A change here makes every published figure incomparable with the next one.
        let known = [
            6364936661304885611,
            15787893410495432800,
            14875696997963542160,
        ];
        assert_eq!(sums, known);
    }

    /// Order-0 entropy of first differences in bytes a sample: 0.268, 1.084 and 0.978 were
    /// measured on the workload that the targets were made from.
    #[test]
    fn the_values_are_as_hard_as_the_targets_assume() {
        for (values, expected) in [
            (Values::Int, 0.268),
            (Values::Dec2, 1.084),
            (Values::Counter, 0.978),
        ] {
            let generator = Generator::new(Shape::s(values), 1);
            let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
            for series in 0..20 {
                let (_, values) = generator.series(series);
                for pair in values.windows(2) {
                    *counts
                        .entry(((pair[1] - pair[0]) * 100.0).round() as i64)
                        .or_default() += 1;
                }
            }
            let total = counts.values().sum::<u64>() as f64;
            let bits: f64 = counts
                .values()
                .map(|&count| -(count as f64 / total).log2() * (count as f64 / total))
                .sum();
            assert!(
                (bits / 8.0 - expected).abs() < 0.03,
                "{values:?}: {}",
                bits / 8.0
            );
        }
    }
}
