//! What to compact next: size-tiered ("universal") merging inside windows of time.
//!
//! Input: the live blocks of a namespace, the ladder of windows, the newest time, knobs. Output:
//! one job, or none when nothing is due. Each job leaves fewer wide blocks, or as many and fewer
//! blocks, or fewer deleted ones: without new blocks the jobs come to an end.
//!
//! - Blocks wider than every window are cut at the edges of the top rung.
//! - A window that is over (the newest data lie past its end) gathers all it contains, the widest
//!   windows first; one that still grows only blocks that no smaller window contains, and twice as
//!   many of them, for more will come.
//! - Neighbours in sequence are merged from [`Knobs::fanout`] on, as many as can be, when none
//!   holds most of the bytes: so a byte is rewritten only when what lies around it has grown as
//!   much again.
//! - Where many are left all the same, the smallest neighbours are merged whatever their sizes.
//!
//! Source of the idea: size-tiered compaction of LSM trees (O'Neil et al. 1996; "universal" in
//! RocksDB), in windows of time as in Cassandra's date-tiered and Prometheus' ranges.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::ladder::Ladder;
use super::lawful::close;
use super::windows::Rungs;
use super::{Job, Knobs, PlanBlock, Reason};

/// The next job, if any is due.
///
/// `rungs` tells the windows of the blocks of each step. `newest` is the newest time of the data:
/// pass the clock where data claim to be newer than it, for windows up to there count as over.
pub(crate) fn plan(
    blocks: &[PlanBlock],
    rungs: &dyn Fn(u32) -> Rungs,
    newest: i64,
    knobs: &Knobs,
) -> Option<Job> {
    let planner = Planner::new(blocks, rungs, newest, knobs);
    None.or_else(|| knobs.pressed.then(|| planner.reclaim()).flatten())
        .or_else(|| planner.cut_wide())
        .or_else(|| planner.merge_windows())
        .or_else(|| planner.reclaim())
}

/// One question to the planner: the blocks in order of precedence, and the windows they lie in.
pub(super) struct Planner<'a> {
    pub(super) live: Vec<PlanBlock>,
    pub(super) knobs: &'a Knobs,
    /// By the step of blocks.
    ladders: BTreeMap<u32, Ladder>,
    raw: Ladder,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        blocks: &[PlanBlock],
        rungs: &dyn Fn(u32) -> Rungs,
        newest: i64,
        knobs: &'a Knobs,
    ) -> Self {
        let mut live = blocks.to_vec();
        live.sort_unstable_by_key(PlanBlock::precedence);
        let ladder = |step| Ladder::new(rungs(step), newest);
        let steps: BTreeSet<_> = live.iter().map(|block| block.step).collect();
        Self {
            live,
            knobs,
            ladders: steps.into_iter().map(|step| (step, ladder(step))).collect(),
            raw: ladder(0),
        }
    }

    /// The windows of blocks of this step.
    pub(super) fn ladder(&self, step: u32) -> &Ladder {
        self.ladders.get(&step).unwrap_or(&self.raw)
    }

    /// The lowest rung with a window that contains a block; `None` where there is none ("wide").
    pub(super) fn home(&self, block: &PlanBlock) -> Option<usize> {
        self.ladder(block.step).home(block)
    }

    /// Blocks in no window, of one step together.
    pub(super) fn wide(&self) -> BTreeMap<u32, Vec<usize>> {
        let mut wide: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (at, block) in self.live.iter().enumerate() {
            if self.home(block).is_none() {
                wide.entry(block.step).or_default().push(at);
            }
        }
        wide
    }

    fn cut_wide(&self) -> Option<Job> {
        self.wide().into_iter().find_map(|(step, wide)| {
            let edges = &self.ladder(step).growing_edges;
            let is_due = wide.len() >= self.knobs.fanout;
            let set = is_due.then(|| self.cut_run(&wide, edges, &|_| true))??;
            Some(self.job(&set, edges, Reason::Wide))
        })
    }

    /// As many of the oldest wide blocks as may be cut together. Alone each may: what would have to
    /// come along, and is larger than the rest, is not worth it.
    pub(super) fn cut_run(
        &self,
        wide: &[usize],
        edges: &[i64],
        admit: &dyn Fn(usize) -> bool,
    ) -> Option<Vec<usize>> {
        let most = wide.len().min(self.knobs.max_inputs.max(1));
        (1..=most).rev().find_map(|count| {
            let seed = &wide[..count];
            let set = self.close(seed, edges, admit).ok()?;
            let more: Vec<_> = outside(&set, seed).collect();
            let fits = more.is_empty()
                || (self.is_part(self.largest(&more), self.bytes(&set))
                    && self.bytes(&more) <= self.knobs.max_bytes
                    && set.len() <= self.knobs.max_inputs);
            fits.then_some(set)
        })
    }

    fn merge_windows(&self) -> Option<Job> {
        self.windows().iter().find_map(|(window, list)| {
            self.merge_run(window, list)
                .or_else(|| self.merge_crowd(window, list))
        })
    }

    /// What each window may merge, the widest windows first.
    fn windows(&self) -> BTreeMap<Window, Vec<usize>> {
        let mut windows: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (at, block) in self.live.iter().enumerate() {
            let ladder = self.ladder(block.step);
            let Some(home) = ladder.home(block) else {
                continue;
            };
            let rungs = home..=ladder.outer();
            for (rung, end) in rungs.filter_map(|rung| Some((rung, ladder.end_of(rung, block)?))) {
                if rung == home || ladder.is_over(rung, end) {
                    let step = block.step;
                    let window = Window {
                        rung: Reverse(rung),
                        end,
                        step,
                    };
                    windows.entry(window).or_default().push(at);
                }
            }
        }
        windows
    }

    /// The best run of neighbours in a window's list that may be merged. Where a block that cannot
    /// come along lies between, the list is searched on both sides of it.
    fn merge_run(&self, window: &Window, list: &[usize]) -> Option<Job> {
        let run = self.best_run(list, self.fewest(window))?;
        let crossed = match self.merge(window, &list[run.clone()]) {
            Ok(job) => return Some(job),
            Err(crossed) => &self.live[crossed],
        };
        let older = |&at: &usize| self.live[at].max_sequence < crossed.min_sequence;
        let newer = |&&at: &&usize| self.live[at].min_sequence > crossed.max_sequence;
        let mut below = list.partition_point(older);
        let mut above = list.len() - list.iter().rev().take_while(newer).count();
        if below >= run.end || above <= run.start {
            // It crosses only what would come along.
            below = run.start + run.len() / 2;
            above = below;
        }
        self.merge_run(window, &list[above..])
            .or_else(|| self.merge_run(window, &list[..below]))
    }

    /// The smallest neighbours that may be merged, where the window has too many.
    fn merge_crowd(&self, window: &Window, list: &[usize]) -> Option<Job> {
        if list.len() <= self.knobs.crowded {
            return None;
        }
        let mut runs: Vec<_> = list.windows(self.knobs.fanout.max(2)).collect();
        runs.sort_by_key(|run| self.bytes(run));
        runs.into_iter()
            .take_while(|run| self.bytes(run) <= self.knobs.max_bytes)
            .find_map(|run| self.merge(window, run).ok())
    }

    /// The job that merges neighbours of one window and what must come along; `Err` with the
    /// position of a block that may not, or that is too large for it.
    fn merge(&self, window: &Window, run: &[usize]) -> Result<Job, usize> {
        let (rung, end) = (window.rung.0, window.end);
        let ladder = self.ladder(window.step);
        let near = |at: usize| ladder.is_near(rung, end, &self.live[at]);
        let set = self.close(run, &[], &near)?;
        let more: Vec<_> = outside(&set, run).collect();
        match more.iter().copied().max_by_key(|&at| self.live[at].bytes) {
            Some(largest) if !self.fits(&more, &set) => Err(largest),
            _ => Ok(self.job(&set, &[], Reason::Window)),
        }
    }

    /// Fewest neighbours worth merging: more where more are still to come.
    fn fewest(&self, window: &Window) -> usize {
        let is_over = self.ladder(window.step).is_over(window.rung.0, window.end);
        self.knobs.fanout.max(2) * if is_over { 1 } else { 2 }
    }

    /// The longest run of `fewest` neighbours or more that is worth merging; of several, the
    /// smallest.
    fn best_run(&self, list: &[usize], fewest: usize) -> Option<Range<usize>> {
        let mut best: Option<(usize, Reverse<u64>, Range<usize>)> = None;
        for from in 0..list.len() {
            let (mut sum, mut largest) = (0u64, 0u64);
            let inputs = self.knobs.max_inputs.max(fewest);
            for (to, &at) in list.iter().enumerate().skip(from).take(inputs) {
                let bytes = self.live[at].bytes;
                sum = sum.saturating_add(bytes);
                largest = largest.max(bytes);
                if sum > self.knobs.max_bytes {
                    break;
                }
                let length = to + 1 - from;
                if length >= fewest && self.is_part(largest, sum) {
                    let better = best
                        .as_ref()
                        .is_none_or(|best| (length, Reverse(sum)) > (best.0, best.1));
                    if better {
                        best = Some((length, Reverse(sum), from..to + 1));
                    }
                }
            }
        }
        best.map(|(_, _, run)| run)
    }

    /// Whether `more` may come along in `set`: it is not most of it, and all fit one job and block.
    fn fits(&self, more: &[usize], set: &[usize]) -> bool {
        self.is_part(self.largest(more), self.bytes(set))
            && self.bytes(set) <= self.knobs.max_bytes
            && set.len() <= self.knobs.max_inputs
    }

    /// Rewrites the block that is due because of the oldest tombstone, and neighbours in its window
    /// that are due or cost little beside them.
    fn reclaim(&self) -> Option<Job> {
        let oldest = |at: &usize| self.live[*at].deleted.map(|deleted| deleted.oldest);
        let due: Vec<bool> = (0..self.live.len()).map(|at| self.is_due(at)).collect();
        let deleted = (0..due.len()).filter(|&at| due[at]).min_by_key(oldest)?;
        // All that comes along and is not due, at most half of what is.
        let is_cheap = |set: &[usize]| {
            let (due, rest): (Vec<_>, Vec<_>) = set.iter().partition(|&&at| due[at]);
            self.bytes(&rest) <= self.bytes(&due) / 2
        };
        let windows = self.windows();
        let found = windows.iter().find(|(_, list)| list.contains(&deleted));
        let Some((_, list)) = found else {
            let edges = &self.ladder(self.live[deleted].step).edges;
            return Some(self.job(&[deleted], edges, Reason::Deleted));
        };
        let mut set = vec![deleted];
        let position = list.iter().position(|&at| at == deleted)?;
        let newer = list[position + 1..].iter();
        for &at in newer.chain(list[..position].iter().rev()) {
            let seed: Vec<_> = set.iter().copied().chain([at]).collect();
            if set.contains(&at) || !is_cheap(&seed) {
                continue;
            }
            let inside = |at: usize| list.contains(&at);
            let Ok(more) = self.close(&seed, &[], &inside) else {
                break;
            };
            if self.bytes(&more) > self.knobs.max_bytes
                || more.len() > self.knobs.max_inputs
                || !is_cheap(&more)
            {
                break;
            }
            set = more;
        }
        Some(self.job(&set, &[], Reason::Deleted))
    }

    /// The lawful set around `seed`, all of its step and admitted.
    pub(super) fn close(
        &self,
        seed: &[usize],
        edges: &[i64],
        admit: &dyn Fn(usize) -> bool,
    ) -> Result<Vec<usize>, usize> {
        let step = seed.first().map_or(0, |&at| self.live[at].step);
        close(&self.live, seed, edges, &|at| {
            self.live[at].step == step && admit(at)
        })
    }

    pub(super) fn bytes(&self, set: &[usize]) -> u64 {
        let bytes = set.iter().map(|&at| self.live[at].bytes);
        bytes.fold(0, u64::saturating_add)
    }

    fn largest(&self, set: &[usize]) -> u64 {
        let bytes = set.iter().map(|&at| self.live[at].bytes);
        bytes.max().unwrap_or(0)
    }

    /// Whether the largest input takes no more than its part of all.
    fn is_part(&self, largest: u64, sum: u64) -> bool {
        u128::from(largest) * 100 <= u128::from(sum) * u128::from(self.knobs.largest_percent)
    }

    /// The job that merges `set` (ascending) and cuts at those of `edges` that lie inside.
    pub(super) fn job(&self, set: &[usize], edges: &[i64], reason: Reason) -> Job {
        let inputs = || set.iter().map(|&at| &self.live[at]);
        let min = inputs().map(|block| block.min_time).min().unwrap_or(0);
        let max = inputs().map(|block| block.max_time).max().unwrap_or(0);
        let step = inputs().map(|block| block.step).next().unwrap_or(0);
        let rungs = &self.ladder(step).rungs;
        let rung = rungs.rung_of(min, max).unwrap_or(rungs.top());
        Job {
            inputs: inputs().map(|block| block.id).collect(),
            edges: edges
                .iter()
                .copied()
                .filter(|&edge| min <= edge && edge < max)
                .collect(),
            level: u8::try_from(rung + 1).unwrap_or(u8::MAX),
            reason,
        }
    }
}

/// Members of `set` that are not in `seed`.
fn outside<'s>(set: &'s [usize], seed: &'s [usize]) -> impl Iterator<Item = usize> + 's {
    set.iter().copied().filter(|at| !seed.contains(at))
}

/// One window, and the step of the blocks that it gathers; the widest come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Window {
    rung: Reverse<usize>,
    end: i64,
    step: u32,
}
