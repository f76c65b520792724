//! A world of random series, some ended by stale markers, some with gaps and resets.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use treering::{Batch, Db, Labels, is_stale, stale_marker};

use crate::SECOND;

const LOOKBACK: i64 = 300 * SECOND;

/// One series: time and value of its samples.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    group: usize,
    member: usize,
    samples: Vec<(i64, f64)>,
}

/// All series; each has the metric name `m` and the labels `g` and `i`.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) series: Vec<Series>,
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        20 => (-1000..1000i32).prop_map(|value| f64::from(value) / 8.0),
        20 => (0..50i32).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        2 => Just(stale_marker()),
    ]
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    let samples = btree_map(0..1200i64, value(), 0..80);
    vec(samples, 1..7).prop_map(|all| {
        let series = all.into_iter().enumerate().map(|(at, samples)| Series {
            group: at % 3,
            member: at,
            samples: samples
                .into_iter()
                .map(|(time, value)| (time * SECOND, value))
                .collect(),
        });
        World {
            series: series.collect(),
        }
    })
}

impl World {
    /// A database with all series.
    pub(crate) fn database(&self) -> Db {
        let db = Db::in_memory().unwrap();
        for series in &self.series {
            let pairs = [
                ("__name__", "m".to_owned()),
                ("g", series.group.to_string()),
                ("i", series.member.to_string()),
            ];
            let labels = Labels::from_pairs(pairs).unwrap();
            let (times, values): (Vec<i64>, Vec<f64>) = series.samples.iter().copied().unzip();
            if !times.is_empty() {
                db.append(&Batch::new().column(&labels, &times, &values))
                    .unwrap();
            }
        }
        db
    }
}

impl Series {
    /// Its labels as they print, with or without the metric name.
    pub(crate) fn label(&self, with_name: bool) -> String {
        let name = if with_name { "m" } else { "" };
        format!("{name}{{g=\"{}\", i=\"{}\"}}", self.group, self.member)
    }

    /// The labels of its group.
    pub(crate) fn group(&self, by: &str) -> String {
        match by {
            "" => "{}".to_owned(),
            _ => format!("{{g=\"{}\"}}", self.group),
        }
    }

    /// Its samples after `start` up to and including `end`, without stale markers.
    pub(crate) fn window(&self, start: i64, end: i64) -> Vec<(i64, f64)> {
        let inside = |sample: &&(i64, f64)| sample.0 > start && sample.0 <= end;
        let samples = self.samples.iter().filter(inside).copied();
        samples.filter(|sample| !is_stale(sample.1)).collect()
    }

    /// The value that is current at a time.
    pub(crate) fn current(&self, time: i64) -> Option<f64> {
        let before = self.samples.iter().rfind(|sample| sample.0 <= time)?;
        let is_current = before.0 > time - LOOKBACK && !is_stale(before.1);
        is_current.then_some(before.1)
    }
}
