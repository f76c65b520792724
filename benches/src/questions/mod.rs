//! The kinds of questions, and single ones with their parameters drawn.
//!
//! Input: a workload's shape and a seed. Output: a question that the engine, a plain scan or a rival
//! can answer. Times of a question are nanoseconds; windows are left-open and begin with its range,
//! which begins at a whole second.

mod answer;
mod plain;

use std::time::Duration;

use crate::Result;
use crate::generator::{METRICS, START, Shape};
use crate::random::Random;
use treering::{Aggregate, Db, Function, Selector};

pub use answer::{Answer, Points};
pub use plain::Plain;

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// What kind of question, and how large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kind {
    /// As in the figures: TSBS' name with underscores.
    pub name: &'static str,
    metrics: usize,
    /// Hosts that are asked about; all without.
    hosts: Option<usize>,
    /// Width of the range.
    range: i64,
    task: Task,
}

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Largest value per step of all series with one metric name.
    MaxByMetric(i64),
    /// Mean per step of each series.
    MeanBySeries(i64),
    /// Samples above 90.
    High,
    /// The newest sample of each series.
    Newest,
}

/// All kinds, in the order of TSBS.
pub const KINDS: [Kind; 9] = [
    group_by("single_groupby_1_1_1", 1, Some(1), HOUR),
    group_by("single_groupby_1_8_1", 1, Some(8), HOUR),
    group_by("single_groupby_5_8_1", 5, Some(8), HOUR),
    Kind {
        name: "cpu_max_all_8",
        metrics: 10,
        hosts: Some(8),
        range: 8 * HOUR,
        task: Task::MaxByMetric(HOUR),
    },
    double("double_groupby_1", 1),
    double("double_groupby_all", 10),
    Kind {
        name: "high_cpu_all",
        metrics: 1,
        hosts: None,
        range: 12 * HOUR,
        task: Task::High,
    },
    Kind {
        name: "lastpoint",
        metrics: 10,
        hosts: None,
        range: 0,
        task: Task::Newest,
    },
    group_by("groupby_orderby_limit", 1, None, 5 * MINUTE),
];

const fn group_by(name: &'static str, metrics: usize, hosts: Option<usize>, range: i64) -> Kind {
    Kind {
        name,
        metrics,
        hosts,
        range,
        task: Task::MaxByMetric(MINUTE),
    }
}

const fn double(name: &'static str, metrics: usize) -> Kind {
    Kind {
        name,
        metrics,
        hosts: None,
        range: 12 * HOUR,
        task: Task::MeanBySeries(HOUR),
    }
}

impl Kind {
    /// So many questions of this kind. A range longer than the workload is cut to it.
    ///
    /// Fails when the engine refuses a regular expression made of names.
    pub fn questions(&self, shape: &Shape, count: usize, seed: u64) -> Result<Vec<Question>> {
        let of_name = self.name.bytes().fold(0u64, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        let mut random = Random::stream(seed ^ u64::MAX, of_name);
        (0..count)
            .map(|_| self.question(shape, &mut random))
            .collect()
    }

    fn question(&self, shape: &Shape, random: &mut Random) -> Result<Question> {
        let end = START + i64::from(shape.samples) * shape.step;
        let seconds = ((end - START - self.range) / SECOND).max(0) as u64;
        let first = START + random.below(seconds + 1) as i64 * SECOND + 1;
        let mut hosts = Vec::new();
        while self.hosts.is_some_and(|wanted| hosts.len() < wanted) {
            let host = random.below(shape.hosts.into());
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        // All of them where no name is named.
        let metrics = match self.metrics >= shape.metrics.min(10) as usize {
            true => shape.metrics as usize,
            false => self.metrics,
        };
        let mut selector = Selector::all();
        match metrics {
            1 => selector = Selector::metric(METRICS[0]),
            _ if metrics == shape.metrics as usize => {}
            _ => selector = selector.regex("__name__", &METRICS[..metrics].join("|"))?,
        }
        let names: Vec<String> = hosts.iter().map(|host| format!("host_{host}")).collect();
        match &names[..] {
            [] => {}
            [one] => selector = selector.eq("hostname", one),
            some => selector = selector.regex("hostname", &some.join("|"))?,
        }
        Ok(Question {
            task: self.task,
            selector,
            metrics: metrics as u64,
            hosts: (self.hosts.is_some()).then_some(hosts),
            first,
            last: (first - 1 + self.range).min(end),
        })
    }
}

/// One question with its parameters.
#[derive(Debug, Clone)]
pub struct Question {
    /// What is computed.
    pub task: Task,
    selector: Selector,
    /// The first so many metrics of the workload.
    pub metrics: u64,
    /// Numbers of the hosts; all without.
    pub hosts: Option<Vec<u64>>,
    /// The first nanosecond of the range.
    pub first: i64,
    /// Its last one.
    pub last: i64,
}

impl Question {
    /// Names of the metrics that it is about.
    pub fn metric_names(&self) -> &'static [&'static str] {
        &METRICS[..METRICS.len().min(self.metrics as usize)]
    }

    /// Names of the hosts that it names; none when it is about all of them.
    pub fn host_names(&self) -> Vec<String> {
        let hosts = self.hosts.iter().flatten();
        hosts.map(|host| format!("host_{host}")).collect()
    }

    /// Asks the engine; the answer as it comes, nothing computed afterwards but names.
    ///
    /// Fails as the engine does.
    pub fn ask(&self, db: &Db) -> Result<Answer> {
        let range = self.first..=self.last;
        let every = |step: i64| Duration::from_nanos(step as u64);
        Ok(match self.task {
            Task::MaxByMetric(step) => {
                let max = Aggregate::new(Function::Max).step(every(step));
                Answer::of(db.aggregate(&self.selector, range, &max.by(["__name__"]))?)
            }
            Task::MeanBySeries(step) => {
                let mean = Aggregate::new(Function::Avg).step(every(step));
                Answer::of(db.aggregate(&self.selector, range, &mean)?)
            }
            Task::High => {
                let mut answer = Answer::default();
                for series in db.select(&self.selector, range)? {
                    let series = series?;
                    let columns = series.columns()?;
                    let samples = columns.timestamps.iter().zip(&columns.values);
                    let high = samples.filter(|(_, value)| **value > 90.0);
                    let high: Vec<(i64, f64)> = high.map(|(at, value)| (*at, *value)).collect();
                    answer.add(series.labels().clone(), high);
                }
                answer
            }
            Task::Newest => {
                let mut answer = Answer::default();
                for newest in db.latest(&self.selector)? {
                    let sample = newest.sample;
                    answer.add(newest.labels, vec![(sample.timestamp, sample.value)]);
                }
                answer
            }
        })
    }
}
