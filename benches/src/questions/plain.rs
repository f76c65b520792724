//! A plain scan of the input: what every answer is compared with.
//!
//! Input: a workload, drawn anew. Output: the answer to a question, computed sample by sample.

use std::collections::BTreeMap;

use super::{Points, Question, Task};
use crate::generator::{Generator, START, Shape};
use treering::Labels;

/// Every sample of a workload.
#[derive(Debug)]
pub struct Plain {
    shape: Shape,
    labels: Vec<Labels>,
    columns: Vec<Vec<f64>>,
}

impl Plain {
    /// Draws all of it.
    pub fn of(shape: Shape, seed: u64) -> Self {
        let generator = Generator::new(shape, seed);
        let all = 0..shape.series();
        let labels = |series| {
            Labels::from_pairs(generator.labels(series)).unwrap_or_else(|error| panic!("{error}"))
        };
        Self {
            shape,
            labels: all.clone().map(labels).collect(),
            columns: all.map(|series| generator.series(series).1).collect(),
        }
    }

    /// The answer to `question`.
    pub fn answer(&self, question: &Question) -> Points {
        match question.task {
            Task::MaxByMetric(step) => self.windows(question, step, true),
            Task::MeanBySeries(step) => self.windows(question, step, false),
            Task::High => self.samples(question, |value| value > 90.0),
            Task::Newest => {
                let newest = |series: usize| {
                    let column = &self.columns[series];
                    let value = column.last().copied().into_iter();
                    value.map(move |value| (self.time(column.len() - 1), value))
                };
                let all = self
                    .series(question)
                    .map(|series| (self.labels[series].clone(), newest(series).collect()));
                all.collect()
            }
        }
    }

    fn time(&self, index: usize) -> i64 {
        START + (index as i64 + 1) * self.shape.step
    }

    /// Numbers of the series asked about.
    fn series(&self, question: &Question) -> impl Iterator<Item = usize> {
        let metrics = u64::from(self.shape.metrics);
        let (named, hosts) = (question.metrics, question.hosts.clone());
        (0..self.columns.len()).filter(move |&series| {
            let (host, metric) = (series as u64 / metrics, series as u64 % metrics);
            metric < named && hosts.as_ref().is_none_or(|hosts| hosts.contains(&host))
        })
    }

    /// Samples in the range that `keep` keeps.
    fn samples(&self, question: &Question, keep: impl Fn(f64) -> bool) -> Points {
        let mut points = Points::new();
        for series in self.series(question) {
            let all = self.columns[series].iter().enumerate();
            let all = all.map(|(index, &value)| (self.time(index), value));
            let kept = all.filter(|(at, _)| (question.first..=question.last).contains(at));
            let kept: Vec<(i64, f64)> = kept.filter(|(_, value)| keep(*value)).collect();
            if !kept.is_empty() {
                points.insert(self.labels[series].clone(), kept);
            }
        }
        points
    }

    /// Largest values of the series with one metric name, or means of each series, by window.
    fn windows(&self, question: &Question, step: i64, largest: bool) -> Points {
        let mut windows: BTreeMap<Labels, BTreeMap<i64, (f64, f64, f64)>> = BTreeMap::new();
        for (labels, samples) in self.samples(question, |_| true) {
            let key = match labels.get("__name__").filter(|_| largest) {
                Some(name) => Labels::from_pairs([("__name__", name)]).unwrap_or(labels),
                None => labels,
            };
            let cells = windows.entry(key).or_default();
            for (at, value) in samples {
                let end = question.first - 1 + ((at - question.first) / step + 1) * step;
                let cell = cells.entry(end).or_insert((f64::NEG_INFINITY, 0.0, 0.0));
                *cell = (cell.0.max(value), cell.1 + value, cell.2 + 1.0);
            }
        }
        let point = |(at, (max, sum, count)): (i64, (f64, f64, f64))| {
            (at, if largest { max } else { sum / count })
        };
        let series = windows.into_iter();
        series
            .map(|(labels, cells)| (labels, cells.into_iter().map(point).collect()))
            .collect()
    }
}
