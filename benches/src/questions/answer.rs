//! The answer to a question: points by labels, however it was found.
//!
//! Input: series with their points. Output: whether two answers are the same: labels and times
//! exactly, values exactly or, being means, to a relative 1e-12.

use std::collections::BTreeMap;

use crate::Result;
use treering::{AggregatedSeries, Labels};

/// Points, nanoseconds and values, by labels.
pub type Points = BTreeMap<Labels, Vec<(i64, f64)>>;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Answer {
    series: Vec<(Labels, Vec<(i64, f64)>)>,
    aggregated: Vec<AggregatedSeries>,
}

impl Answer {
    /// What the engine answered, not taken apart yet: that is not its work.
    pub fn of(aggregated: Vec<AggregatedSeries>) -> Self {
        Self {
            series: Vec::new(),
            aggregated,
        }
    }

    /// Adds a series; one without points is none.
    pub fn add(&mut self, labels: Labels, points: Vec<(i64, f64)>) {
        if !points.is_empty() {
            self.series.push((labels, points));
        }
    }

    /// The answer taken apart.
    pub fn into_points(self) -> Points {
        let aggregated = self.aggregated.into_iter().map(|series| {
            let points = series.points.iter();
            let points = points.map(|point| (point.timestamp, point.value)).collect();
            (series.labels, points)
        });
        self.series.into_iter().chain(aggregated).collect()
    }

    /// Fails unless this is what `wanted` is.
    pub fn compare(self, wanted: &Points) -> Result<()> {
        let all = self.into_points();
        if !all.keys().eq(wanted.keys()) {
            let counts = (all.len(), wanted.len());
            return Err(format!("{} series instead of {}", counts.0, counts.1).into());
        }
        for ((labels, found), wanted) in all.iter().zip(wanted.values()) {
            let same = |(a, b): (&(i64, f64), &(i64, f64))| a.0 == b.0 && is_near(a.1, b.1);
            if found.len() != wanted.len() || !found.iter().zip(wanted).all(same) {
                return Err(format!("{labels}: {found:?} instead of {wanted:?}").into());
            }
        }
        Ok(())
    }
}

fn is_near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}
