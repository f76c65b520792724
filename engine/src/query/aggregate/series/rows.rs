//! Rows of steps, folded as the samples that they stand for.
//!
//! Input: a cluster of runs of which some are stepped. Output: its rows in the windows of their
//! timestamps, and a mark where that is not exact. Invariant: without the mark, each window has
//! what it would have of the samples; a row counts once, wholly, or not at all.

use treering_codec::Stats;

use super::Fold;
use crate::block::{samples, step_bounds};
use crate::error::Result;
use crate::query::aggregate::accumulator::Accumulator;
use crate::query::guard::Guard;
use crate::query::run::Run;

/// One step of a stepped run, or one sample of another run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Its samples lie in `since..=timestamp`.
    since: i64,
    timestamp: i64,
    stats: Stats,
}

impl Row {
    /// Whether it stands for more than the sample at its timestamp.
    fn is_step(&self) -> bool {
        samples(&self.stats) > 1
    }
}

/// Bytes of working memory per row of one run: as it comes, and in `rows`.
const ROW_BYTES: usize = 16 + size_of::<Stats>() + size_of::<Row>();

/// The same per row of runs that overlap: the sort takes half of the rows again.
const MERGED_ROW_BYTES: usize = ROW_BYTES + size_of::<Row>() / 2;

impl<A: Accumulator> Fold<'_, A> {
    /// Folds a cluster of `runs` of which some are stepped.
    pub(super) fn stepped(
        &mut self,
        runs: &[Run],
        cluster: &[usize],
        guard: &mut Guard,
    ) -> Result<()> {
        if let [run] = cluster
            && self.answer_steps(&runs[*run], guard)?
        {
            return Ok(());
        }
        let count = cluster.iter().map(|&run| runs[run].count as u64).sum();
        let each = match cluster.len() {
            1 => ROW_BYTES,
            _ => MERGED_ROW_BYTES,
        };
        self.count(count, each as u64, guard)?;
        self.rows.clear();
        for &run in cluster {
            self.read_rows(&runs[run])?;
        }
        if cluster.len() > 1 {
            self.merge_rows();
        }
        // Stale markers are no samples.
        self.rows.retain(|row| row.stats.count > 0);
        self.approximate |= self.is_cut();
        self.fold_rows(guard)
    }

    /// Answers for a stepped run from its statistics, or says that its rows have to be read.
    fn answer_steps(&mut self, run: &Run, guard: &mut Guard) -> Result<bool> {
        let since = run.since();
        let whole = self.first <= since && run.max_time <= self.last;
        if !whole || self.windows.pane_end(since) < run.max_time {
            return Ok(false);
        }
        let Some(stats) = run.stats() else {
            return Ok(false);
        };
        if stats.count == 0 || self.windows.between(since) {
            return Ok(true);
        }
        match A::of_rows(stats, since, run.max_time) {
            Some(part) => {
                self.approximate |= self.grouped && !A::is_dated(stats);
                self.put(since, part, guard).map(|()| true)
            }
            None => Ok(false),
        }
    }

    /// Appends the rows of a run that lie in the range and are not deleted.
    fn read_rows(&mut self, run: &Run) -> Result<()> {
        self.timestamps.clear();
        self.values.clear();
        self.summaries.clear();
        run.decode_rows(&mut self.timestamps, &mut self.values, &mut self.summaries)?;
        let mut before = None;
        for (&timestamp, stats) in self.timestamps.iter().zip(&self.summaries) {
            let mut row = Row {
                since: timestamp,
                timestamp,
                stats: *stats,
            };
            if row.is_step() {
                let start = step_bounds(timestamp, run.step()).0;
                // Of two rows in one step the first has all samples up to its own.
                row.since = before.map_or(start, |before: i64| start.max(before + 1));
            }
            before = Some(timestamp);
            if timestamp < self.first || row.since > self.last {
                continue;
            }
            let hidden = run.holes.hide(timestamp);
            let rest = !run.holes.cover(row.since, timestamp);
            let out = hidden || timestamp > self.last;
            // A row that is left out takes with it what of its samples is asked for.
            let partly = (out && rest) || run.holes.touch(row.since, timestamp);
            self.approximate |= row.is_step() && rest && partly;
            if !out {
                self.rows.push(row);
            }
        }
        Ok(())
    }

    /// Puts the rows of several runs, in order of precedence, in order of time: of equal timestamps
    /// the last is kept.
    fn merge_rows(&mut self) {
        // The sort is stable, so equal timestamps stay in order of precedence.
        self.rows.sort_by_key(|row| row.timestamp);
        let mut approximate = false;
        self.rows.dedup_by(|next, kept| {
            let same = next.timestamp == kept.timestamp;
            // One step, of which another row has samples too, and perhaps the same ones.
            approximate |= next.since <= kept.timestamp && (next.is_step() || kept.is_step());
            if same {
                *kept = *next;
            }
            same
        });
        self.approximate |= approximate;
    }

    /// Whether an edge of a window or of the range lies within a row.
    fn is_cut(&self) -> bool {
        let (mut start, mut end) = (i64::MAX, i64::MIN);
        self.rows.iter().any(|row| {
            if !row.is_step() {
                return false;
            }
            if row.since < self.first {
                return true;
            }
            if row.since < start || row.since > end {
                (start, end) = (row.since, self.windows.pane_end(row.since));
            }
            row.timestamp > end
        })
    }

    /// Folds the rows into the windows.
    fn fold_rows(&mut self, guard: &mut Guard) -> Result<()> {
        self.timestamps.clear();
        self.timestamps
            .extend(self.rows.iter().map(|row| row.timestamp));
        let timestamps = &self.timestamps;
        let mut kept = false;
        if self.panes {
            for pane in self.windows.panes(timestamps) {
                let start = timestamps[pane.start];
                if let Some(part) = part(&self.rows[pane], self.grouped, &mut kept) {
                    self.slide
                        .push(start, part, self.windows, &mut self.cells, guard)?;
                }
            }
        } else {
            for (window, slice) in self.windows.slices(timestamps) {
                if let Some(part) = part(&self.rows[slice], self.grouped, &mut kept) {
                    self.cells.put(window, part, guard)?;
                }
            }
        }
        self.approximate |= kept;
        Ok(())
    }
}

/// What rows in order of time amount to; `inexact` becomes true where less is known of one than of
/// its samples.
fn part<A: Accumulator>(rows: &[Row], grouped: bool, inexact: &mut bool) -> Option<A> {
    let of_row = |row: &Row| match A::of_rows(&row.stats, row.since, row.timestamp) {
        Some(part) => {
            *inexact |= grouped && !A::is_dated(&row.stats);
            part
        }
        None => {
            *inexact |= row.stats.count > 1;
            A::of_samples(&[row.timestamp], &[row.stats.last])
        }
    };
    rows.iter().map(of_row).reduce(|mut whole, next| {
        whole.append(&next);
        whole
    })
}
