//! Groups: how the series of an aggregate are put together, and the windows of each group.
//!
//! Input: the windows of one series after another, in the order of their labels. Output: the
//! windows of each group, in the order of the groups' labels. The memory is counted by the guard.

use std::collections::HashMap;

use treering_index::Labels;

use super::aggregate::accumulator::Accumulator;
use super::guard::Guard;
use crate::error::Result;

/// How the series of an aggregate are put together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Grouping {
    /// Each series by itself.
    #[default]
    Series,
    /// Series with the same values of these labels are one group, which has only these labels;
    /// without any name, all series are one group without labels.
    By(Vec<String>),
    /// Series that are the same but for these labels are one group, which has all other labels.
    /// `__name__` is kept unless it is named.
    Without(Vec<String>),
}

impl Grouping {
    /// The labels of the group that a series belongs to.
    pub(crate) fn labels(&self, series: &Labels) -> Labels {
        match self {
            Grouping::Series => series.clone(),
            Grouping::By(names) => series.keep(names),
            Grouping::Without(names) => series.without(names),
        }
    }
}

/// The groups met so far.
#[derive(Debug)]
pub(crate) struct Groups<A> {
    found: HashMap<Labels, usize>,
    groups: Vec<Group<A>>,
}

impl<A: Accumulator> Groups<A> {
    pub(crate) fn new() -> Self {
        Self {
            found: HashMap::new(),
            groups: Vec::new(),
        }
    }

    /// Pools the closed windows of one series, in ascending order, into the group of `labels`; it
    /// is approximate as soon as one of its series is.
    pub(crate) fn pool(
        &mut self,
        labels: Labels,
        cells: impl ExactSizeIterator<Item = (u64, A)>,
        approximate: bool,
        guard: &mut Guard,
    ) -> Result<()> {
        let next = self.groups.len();
        let at = match self.found.get(&labels) {
            Some(&at) => at,
            None => {
                guard.bytes((labels.as_canonical().len() + GROUP_BYTES) as u64)?;
                self.groups.push(Group {
                    cells: Vec::new(),
                    late: Vec::new(),
                    approximate: false,
                });
                self.found.insert(labels, next);
                next
            }
        };
        match self.groups.get_mut(at) {
            Some(group) => {
                group.approximate |= approximate;
                group.pool(cells, guard)
            }
            None => Ok(()),
        }
    }

    /// Pools the groups of series that come later in the order of labels.
    pub(crate) fn absorb(&mut self, later: Self, guard: &mut Guard) -> Result<()> {
        if self.groups.is_empty() {
            *self = later;
            return Ok(());
        }
        let mut groups = later.groups;
        for (labels, at) in later.found {
            if let Some(group) = groups.get_mut(at) {
                let (cells, approximate) = (group.take(), group.approximate);
                // What they take is counted anew where they go.
                let heap: usize = cells.iter().map(|(_, part)| part.heap_bytes()).sum();
                guard.release((cells.len() * size_of::<(u64, A)>() + heap) as u64);
                self.pool(labels, cells.into_iter(), approximate, guard)?;
            }
        }
        Ok(())
    }

    /// The groups with windows, in the order of their labels: the windows in order, and whether they
    /// are approximate.
    pub(crate) fn finish(self) -> impl Iterator<Item = (Labels, Vec<(u64, A)>, bool)> {
        let mut labels: Vec<_> = self.found.into_iter().collect();
        labels.sort_unstable();
        let mut groups = self.groups;
        labels.into_iter().filter_map(move |(labels, at)| {
            let group = groups.get_mut(at)?;
            let cells = group.take();
            (!cells.is_empty()).then_some((labels, cells, group.approximate))
        })
    }
}

/// Bytes of a group beside its labels' text and its windows, roughly.
const GROUP_BYTES: usize = 128;

/// The windows of one group.
#[derive(Debug)]
struct Group<A> {
    /// By window, ascending, each once.
    cells: Vec<(u64, A)>,
    /// Windows that `cells` lacks, in order of arrival; merged when they are many, so that series
    /// of different times do not move each other's windows about.
    late: Vec<(u64, A)>,
    approximate: bool,
}

impl<A: Accumulator> Group<A> {
    fn pool(
        &mut self,
        cells: impl ExactSizeIterator<Item = (u64, A)>,
        guard: &mut Guard,
    ) -> Result<()> {
        guard.bytes((cells.len() * size_of::<(u64, A)>()) as u64)?;
        let (mut at, mut pooled) = (0, 0);
        for (window, part) in cells {
            at += distance(self.cells.get(at..).unwrap_or_default(), window);
            match self.cells.get_mut(at) {
                Some(cell) if cell.0 == window => {
                    guard.bytes(part.heap_bytes() as u64)?;
                    cell.1.pool(part);
                    pooled += 1;
                }
                _ => {
                    guard.bytes(part.heap_bytes() as u64)?;
                    self.late.push((window, part));
                }
            }
        }
        guard.release((pooled * size_of::<(u64, A)>()) as u64);
        if self.late.len() > self.cells.len().max(LATE) || self.cells.is_empty() {
            self.settle();
        }
        Ok(())
    }

    fn take(&mut self) -> Vec<(u64, A)> {
        self.settle();
        std::mem::take(&mut self.cells)
    }

    /// Merges the late windows into the others.
    fn settle(&mut self) {
        if self.late.is_empty() {
            return;
        }
        self.cells.append(&mut self.late);
        // Both sorts of the same window keep their order of arrival: the sort is stable.
        self.cells.sort_by_key(|cell| cell.0);
        let mut merged: Vec<(u64, A)> = Vec::with_capacity(self.cells.len());
        for (window, part) in self.cells.drain(..) {
            match merged.last_mut() {
                Some(cell) if cell.0 == window => cell.1.pool(part),
                _ => merged.push((window, part)),
            }
        }
        self.cells = merged;
    }
}

/// Late windows that a group keeps, however few others it has.
const LATE: usize = 256;

/// How many of the ascending `cells` are before `window`: the next one is tried first.
fn distance<A>(cells: &[(u64, A)], window: u64) -> usize {
    match cells.iter().take(4).position(|cell| cell.0 >= window) {
        Some(near) => near,
        None => cells.partition_point(|cell| cell.0 < window),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::options::QueryLimits;
    use crate::query::aggregate::accumulator::Edge;
    use crate::query::guard::Pool;
    use std::sync::Arc;

    fn guard(limits: QueryLimits) -> Guard {
        let (clock, pool) = (Arc::new(SystemClock::new()), Arc::new(Pool::new(u64::MAX)));
        Guard::new(limits, Vec::new(), clock, pool)
    }

    fn cell(window: u64, timestamp: i64, value: f64) -> (u64, Edge<true>) {
        (window, Edge::of_samples(&[timestamp], &[value]))
    }

    fn values(groups: Groups<Edge<true>>) -> Vec<(Labels, Vec<(u64, f64)>)> {
        let cells = |cells: Vec<(u64, Edge<true>)>| {
            cells
                .into_iter()
                .map(|(window, edge)| (window, edge.value))
                .collect()
        };
        groups
            .finish()
            .map(|(labels, group, _)| (labels, cells(group)))
            .collect()
    }

    #[test]
    fn series_of_other_times_are_pooled_window_by_window_in_order_of_arrival() {
        let (mut groups, mut guard) = (Groups::new(), guard(QueryLimits::default()));
        let all = Labels::empty();
        // Each later series brings an earlier window, and once more the window of all.
        for series in 0..2000u64 {
            let cells = [
                cell(5000 - series, 0, series as f64),
                cell(9000, 7, series as f64),
            ];
            groups
                .pool(all.clone(), cells.into_iter(), false, &mut guard)
                .unwrap();
        }
        let found = values(groups).remove(0).1;
        assert_eq!(found.len(), 2001);
        assert!(found.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(found.last(), Some(&(9000, 1999.0)));
        assert_eq!(found.first(), Some(&(3001, 1999.0)));
    }

    #[test]
    fn groups_come_in_the_order_of_their_labels() {
        let (mut groups, mut guard) = (Groups::new(), guard(QueryLimits::default()));
        for host in ["b", "a", "c", "a"] {
            let labels = Labels::from_pairs([("host", host)]).unwrap();
            groups
                .pool(labels, [cell(0, 1, 1.0)].into_iter(), false, &mut guard)
                .unwrap();
        }
        let hosts: Vec<_> = values(groups)
            .into_iter()
            .map(|(labels, ..)| labels)
            .collect();
        assert_eq!(hosts.len(), 3);
        assert!(hosts.is_sorted());
    }

    #[test]
    fn what_groups_take_is_counted() {
        let mut groups = Groups::new();
        let mut guard = guard(QueryLimits::default().with_bytes(1000));
        let cells = (0..100)
            .map(|window| cell(window, 0, 0.0))
            .collect::<Vec<_>>();
        let refused = groups.pool(Labels::empty(), cells.into_iter(), false, &mut guard);
        assert!(refused.unwrap_err().is_limit());
    }
}
