//! Merging the runs of a series: in order of time, the run later in the list wins.
//!
//! Input: runs in order of precedence. Output: columns of timestamps and values, strictly
//! increasing in time and clipped to the range. Runs that meet no other in time are never sorted,
//! and only such runs may be answered from their statistics.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use treering_codec::{Extras, Histogram};

use super::run::Run;
use crate::error::Result;
use crate::extras::TimedExtras;

/// Bytes of working memory per sample while runs that overlap are merged: both columns, the pairs
/// and half of them again for the sort.
pub(crate) const MERGE_BYTES: u64 = 16 + 16 + 8;

/// Samples in order of time, and what they have beside their floats.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    pub(crate) timestamps: Vec<i64>,
    pub(crate) values: Vec<f64>,
    pub(crate) extras: TimedExtras,
}

impl Merged {
    pub(crate) fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.extras.clear();
    }
}

/// Appends the samples of `runs` (in order of precedence) in `first..=last` to `out`, in order of
/// time and one per timestamp: that of the latest run in the list that has it.
#[cfg(test)]
pub(crate) fn merge_columns(runs: &[Run], first: i64, last: i64, out: &mut Merged) -> Result<()> {
    let mut merger = Merger::new(first, last);
    let clusters = Clusters::of(runs, first, last);
    clusters
        .iter()
        .try_for_each(|cluster| merger.merge_extended(runs, cluster, out))
}

/// The runs of a series that touch a range, in clusters that do not overlap in time: nor do the
/// steps that their rows stand for.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    /// Indices of runs: cluster by cluster in order of time, in a cluster by precedence.
    order: Vec<usize>,
    /// Where in `order` each cluster ends.
    ends: Vec<usize>,
}

impl Clusters {
    /// The clusters of those of `runs` that may hold samples of `first..=last`.
    pub(crate) fn of(runs: &[Run], first: i64, last: i64) -> Self {
        let mut clusters = Self::default();
        clusters.refill(runs, first, last);
        clusters
    }

    /// [`Clusters::of`] in the memory of an earlier series.
    pub(crate) fn refill(&mut self, runs: &[Run], first: i64, last: i64) {
        self.order.clear();
        self.ends.clear();
        self.order
            .extend((0..runs.len()).filter(|&at| runs[at].overlaps(first, last)));
        self.order
            .sort_by_key(|&at| (runs[at].since(), Reverse(runs[at].max_time)));
        let (mut start, mut reach) = (0, None);
        for at in 0..self.order.len() {
            let run = &runs[self.order[at]];
            if reach.is_some_and(|reach| run.since() > reach) {
                self.order[start..at].sort_unstable();
                self.ends.push(at);
                (start, reach) = (at, None);
            }
            reach = reach.max(Some(run.max_time));
        }
        if start < self.order.len() {
            self.order[start..].sort_unstable();
            self.ends.push(self.order.len());
        }
    }

    /// The clusters in order of time: indices of runs in order of precedence.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[usize]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.order[start..end])
    }
}

/// Decodes and merges clusters, within a range, in memory of its own.
#[derive(Debug)]
pub(crate) struct Merger {
    first: i64,
    last: i64,
    timestamps: Vec<i64>,
    values: Vec<f64>,
    pairs: Vec<(i64, f64)>,
    /// What the samples so far of the cluster at hand have beside their floats.
    extras: BTreeMap<i64, (Option<Arc<Histogram>>, i64)>,
}

impl Merger {
    pub(crate) fn new(first: i64, last: i64) -> Self {
        Self {
            first,
            last,
            timestamps: Vec::new(),
            values: Vec::new(),
            pairs: Vec::new(),
            extras: BTreeMap::new(),
        }
    }

    /// Appends the samples of one cluster of `runs` to the two columns.
    pub(crate) fn merge(
        &mut self,
        runs: &[Run],
        cluster: &[usize],
        timestamps: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> Result<()> {
        if let [run] = cluster {
            let start = timestamps.len();
            runs[*run].decode(timestamps, values)?;
            self.clip(start, timestamps, values);
            return Ok(());
        }
        self.pairs.clear();
        for &run in cluster {
            self.timestamps.clear();
            self.values.clear();
            runs[run].decode(&mut self.timestamps, &mut self.values)?;
            self.pair();
        }
        self.unite(timestamps, values);
        Ok(())
    }

    /// As [`Merger::merge`], with what the samples have beside their floats.
    pub(crate) fn merge_extended(
        &mut self,
        runs: &[Run],
        cluster: &[usize],
        out: &mut Merged,
    ) -> Result<()> {
        let extended = cluster.iter().any(|&run| runs[run].may_have_extras());
        if !extended {
            return self.merge(runs, cluster, &mut out.timestamps, &mut out.values);
        }
        let start = out.timestamps.len();
        if let [run] = cluster {
            let mut own = TimedExtras::default();
            runs[*run].decode_extended(&mut out.timestamps, &mut out.values, &mut own)?;
            self.clip(start, &mut out.timestamps, &mut out.values);
            out.extras.add_within(&own, self.first, self.last);
            return Ok(());
        }
        self.pairs.clear();
        self.extras.clear();
        for &run in cluster {
            self.timestamps.clear();
            self.values.clear();
            let mut own = TimedExtras::default();
            runs[run].decode_extended(&mut self.timestamps, &mut self.values, &mut own)?;
            self.lay_over(&own.placed(&self.timestamps));
            self.pair();
        }
        self.unite(&mut out.timestamps, &mut out.values);
        let merged = out.timestamps.get(start..).unwrap_or_default();
        out.extras.add(&self.united_extras(merged), merged);
        Ok(())
    }

    /// Puts the extras of the run at hand in the place of those that the samples of earlier runs
    /// with its timestamps have.
    fn lay_over(&mut self, own: &Extras) {
        if !self.extras.is_empty() {
            for timestamp in &self.timestamps {
                self.extras.remove(timestamp);
            }
        }
        for (place, histogram) in &own.histograms {
            if let Some(&at) = self.timestamps.get(*place as usize) {
                self.extras.insert(at, (Some(Arc::clone(histogram)), 0));
            }
        }
        for (places, start) in &own.starts {
            let places = places.start as usize..places.end as usize;
            for &at in self.timestamps.get(places).unwrap_or_default() {
                self.extras.entry(at).or_default().1 = *start;
            }
        }
    }

    /// The extras of the cluster by place in `merged`, its timestamps.
    fn united_extras(&mut self, merged: &[i64]) -> Extras {
        let mut extras = Extras::new();
        for (at, (histogram, start)) in std::mem::take(&mut self.extras) {
            if let Ok(place) = merged.binary_search(&at) {
                extras.push(place as u32, histogram, start);
            }
        }
        extras
    }

    /// Adds the samples of the run at hand that lie in the range to the pairs.
    fn pair(&mut self) {
        let values = self.values.iter().copied();
        let pairs = self.timestamps.iter().copied().zip(values);
        self.pairs
            .extend(pairs.filter(|(at, _)| (self.first..=self.last).contains(at)));
    }

    /// Appends the pairs in order of time, of equal timestamps the last.
    fn unite(&mut self, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) {
        // The sort is stable, so equal timestamps stay in order of precedence.
        self.pairs.sort_by_key(|&(timestamp, _)| timestamp);
        let mut pairs = self.pairs.iter().peekable();
        while let Some(&(timestamp, value)) = pairs.next() {
            if pairs.peek().is_none_or(|next| next.0 != timestamp) {
                timestamps.push(timestamp);
                values.push(value);
            }
        }
    }

    /// Takes out what was appended from `start` on and lies outside the range.
    fn clip(&self, start: usize, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) {
        let inside = clip(
            timestamps.get(start..).unwrap_or_default(),
            self.first,
            self.last,
        );
        timestamps.truncate(start + inside.end);
        values.truncate(start + inside.end);
        if inside.start > 0 {
            timestamps.drain(start..start + inside.start);
            values.drain(start..start + inside.start);
        }
    }
}

/// The indices of sorted timestamps that lie in `first..=last`.
pub(crate) fn clip(timestamps: &[i64], first: i64, last: i64) -> Range<usize> {
    let start = match timestamps.first() {
        Some(&earliest) if earliest < first => timestamps.partition_point(|&at| at < first),
        _ => 0,
    };
    let end = match timestamps.last() {
        Some(&latest) if latest > last => timestamps.partition_point(|&at| at <= last),
        _ => timestamps.len(),
    };
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use treering_codec::Sample;

    fn run(samples: &[(i64, f64)]) -> Run {
        let samples = samples
            .iter()
            .map(|&(at, value)| Sample::new(at, value))
            .collect();
        Run::of_samples(samples).unwrap()
    }

    fn merged(runs: &[Run], first: i64, last: i64) -> Vec<(i64, f64)> {
        let mut merged = Merged::default();
        merge_columns(runs, first, last, &mut merged).unwrap();
        merged.timestamps.into_iter().zip(merged.values).collect()
    }

    #[test]
    fn runs_that_do_not_meet_are_put_in_order_of_time() {
        let runs = [run(&[(5, 5.0), (6, 6.0)]), run(&[(1, 1.0), (2, 2.0)])];
        assert_eq!(merged(&runs, 2, 5), [(2, 2.0), (5, 5.0)]);
        assert_eq!(
            Clusters::of(&runs, 2, 5).iter().collect::<Vec<_>>(),
            [[1], [0]]
        );
    }

    #[test]
    fn the_run_later_in_the_list_wins_whatever_its_place_in_time() {
        let runs = [
            run(&[(2, 1.0), (3, 1.0)]),
            run(&[(1, 2.0), (3, 2.0), (9, 2.0)]),
        ];
        assert_eq!(
            merged(&runs, 0, 9),
            [(1, 2.0), (2, 1.0), (3, 2.0), (9, 2.0)]
        );
        let runs = [runs[1].clone(), runs[0].clone()];
        assert_eq!(
            merged(&runs, 0, 9),
            [(1, 2.0), (2, 1.0), (3, 1.0), (9, 2.0)]
        );
    }

    #[test]
    fn a_wide_run_holds_those_inside_it_in_one_cluster() {
        let wide = run(&[(1, 0.0), (20, 0.0)]);
        let runs = [run(&[(2, 1.0)]), run(&[(9, 1.0)]), wide, run(&[(21, 1.0)])];
        let clusters = Clusters::of(&runs, 0, 30);
        assert_eq!(clusters.iter().collect::<Vec<_>>(), [&[0, 1, 2][..], &[3]]);
        let clusters = Clusters::of(&runs[..2], 3, 30);
        assert_eq!(clusters.iter().collect::<Vec<_>>(), [[1]]);
        assert_eq!(Clusters::of(&[], 0, 30).iter().count(), 0);
    }
}
