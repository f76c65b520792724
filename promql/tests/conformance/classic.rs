//! Classic histograms of a load as native ones with custom buckets.
//!
//! Input: series `x_bucket{le=...}`, `x_count`, `x_sum`. Output: series `x` of histograms.
//! Invariant: a time at which counts fall from one bound to the next has no histogram.

use std::collections::BTreeMap;
use std::sync::Arc;

use treering::{CUSTOM_SCHEMA, Histogram, Labels};

use super::script::Load;
use super::store::Sample;
use super::values::Slot;

/// What is known of one histogram at one time.
#[derive(Debug, Default)]
struct Parts {
    /// Bound and cumulative count, by rising bound.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

#[derive(Clone, Copy)]
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

/// The native histograms of `load`.
pub(crate) fn convert(load: &Load) -> BTreeMap<Labels, BTreeMap<i64, Sample>> {
    let mut parts: BTreeMap<Labels, BTreeMap<i64, Parts>> = BTreeMap::new();
    for line in &load.series {
        let Some((labels, part)) = part_of(&line.labels) else {
            continue;
        };
        let of_labels = parts.entry(labels).or_default();
        for (at, slot) in line.slots.iter().enumerate() {
            if let Slot::Float(value) = slot {
                let time = at as i64 * load.step;
                of_labels.entry(time).or_default().set(part, *value);
            }
        }
    }
    let whole = |parts: BTreeMap<i64, Parts>| {
        let samples = parts.into_iter().filter_map(|(time, parts)| {
            let sample = Sample {
                value: 0.0,
                histogram: Some(Arc::new(parts.histogram()?)),
                start: 0,
            };
            Some((time, sample))
        });
        samples.collect()
    };
    let series = parts.into_iter();
    series
        .map(|(labels, parts)| (labels, whole(parts)))
        .collect()
}

/// The labels of the histogram that this series is a part of, and which part.
fn part_of(labels: &Labels) -> Option<(Labels, Part)> {
    let name = labels.name()?;
    let (base, part) = if let Some(base) = name.strip_suffix("_bucket") {
        let bound: f64 = labels.get("le")?.parse().ok()?;
        (base, Part::Bucket(bound))
    } else if let Some(base) = name.strip_suffix("_count") {
        (base, Part::Count)
    } else {
        (name.strip_suffix("_sum")?, Part::Sum)
    };
    let others = labels
        .iter()
        .filter(|(name, _)| !matches!(*name, "le" | "__name__"));
    let pairs = others.chain([("__name__", base)]);
    Some((Labels::from_pairs(pairs).ok()?, part))
}

impl Parts {
    fn set(&mut self, part: Part, value: f64) {
        match part {
            Part::Count => self.count = Some(value),
            Part::Sum => self.sum = value,
            Part::Bucket(bound) => {
                let at = self.buckets.partition_point(|(other, _)| *other < bound);
                if self
                    .buckets
                    .get(at)
                    .is_none_or(|(other, _)| *other != bound)
                {
                    self.buckets.insert(at, (bound, value));
                }
            }
        }
    }

    fn histogram(mut self) -> Option<Histogram> {
        let last = self.buckets.last().map(|(_, count)| *count);
        let count = self.count.or(last)?;
        if self
            .buckets
            .last()
            .is_none_or(|(bound, _)| *bound != f64::INFINITY)
        {
            self.buckets.push((f64::INFINITY, count));
        }
        let mut before = 0.0;
        let mut positive = vec![];
        for (index, (_, cumulative)) in (0..).zip(&self.buckets) {
            if *cumulative < before {
                return None;
            }
            if *cumulative != before {
                positive.push((index, cumulative - before));
            }
            before = *cumulative;
        }
        self.buckets.pop();
        let bounds = self.buckets.iter().map(|(bound, _)| *bound);
        Some(Histogram {
            schema: CUSTOM_SCHEMA,
            count,
            sum: self.sum,
            positive,
            bounds: bounds.collect(),
            ..Histogram::default()
        })
    }
}
