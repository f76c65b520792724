//! Compaction by call: everything that can be merged, per window of the top rung to one block.
//!
//! Input as in `plan`. Output: all jobs at once; run them in this order. Wide blocks that would
//! make a window grow beyond the most bytes of a block are cut alone, and their windows wait: ask
//! again when the jobs are done, until there are none.

use std::collections::{BTreeMap, BTreeSet};

use super::lawful::cut;
use super::plan::Planner;
use super::windows::Rungs;
use super::{Job, Knobs, PlanBlock, Reason};

/// Every job that brings the blocks nearer to one per window.
pub(crate) fn plan_major(
    blocks: &[PlanBlock],
    rungs: &dyn Fn(u32) -> Rungs,
    newest: i64,
    knobs: &Knobs,
) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut state = blocks.to_vec();
    let mut made = Made {
        ids: BTreeSet::new(),
        next: blocks.iter().map(|block| block.id).max().unwrap_or(0),
    };
    loop {
        let planner = Planner::new(&state, rungs, newest, knobs);
        let major = Major {
            planner: &planner,
            made: &made.ids,
        };
        let Some((set, edges)) = major.next() else {
            return jobs;
        };
        let job = planner.job(&set, &edges, Reason::Major);
        let outputs = made.outputs(&planner, &set, &job);
        state.retain(|block| !job.inputs.contains(&block.id));
        state.extend(outputs);
        jobs.push(job);
    }
}

/// Outputs of the jobs so far. They stand in the way of others, but have no id yet to be named by.
struct Made {
    ids: BTreeSet<u64>,
    next: u64,
}

impl Made {
    /// What a job leaves, at its largest.
    fn outputs(&mut self, planner: &Planner<'_>, set: &[usize], job: &Job) -> Vec<PlanBlock> {
        let mut pieces: BTreeMap<usize, PlanBlock> = BTreeMap::new();
        let inputs = || set.iter().map(|&at| &planner.live[at]);
        let min_sequence = inputs().map(|block| block.min_sequence).min().unwrap_or(0);
        let max_sequence = inputs().map(|block| block.max_sequence).max().unwrap_or(0);
        for block in inputs() {
            for (piece, min, max) in cut(block.min_time, block.max_time, &job.edges) {
                let output = pieces.entry(piece).or_insert_with(|| {
                    self.next = self.next.wrapping_add(1);
                    self.ids.insert(self.next);
                    PlanBlock {
                        id: self.next,
                        min_time: min,
                        max_time: max,
                        min_sequence,
                        max_sequence,
                        deleted: None,
                        ..block.clone()
                    }
                });
                output.min_time = output.min_time.min(min);
                output.max_time = output.max_time.max(max);
            }
        }
        pieces.into_values().collect()
    }
}

/// The search for the next job.
struct Major<'a> {
    planner: &'a Planner<'a>,
    made: &'a BTreeSet<u64>,
}

impl Major<'_> {
    /// Positions of the blocks to merge, ascending, and edges to cut at.
    fn next(&self) -> Option<(Vec<usize>, Vec<i64>)> {
        self.cut_wide()
            .or_else(|| Some((self.merge_window()?, Vec::new())))
    }

    /// All wide blocks of one step with all that lies in their windows; else as many of them as may
    /// be cut together.
    fn cut_wide(&self) -> Option<(Vec<usize>, Vec<i64>)> {
        self.planner
            .wide()
            .into_iter()
            .find_map(|(step, mut wide)| {
                let edges = &self.planner.ladder(step).edges;
                wide.retain(|&at| self.is_live(at));
                wide.first()?;
                let set = self.whole_windows(&wide, step, edges).or_else(|| {
                    let mut runs = (0..wide.len()).map(|from| &wide[from..]);
                    runs.find_map(|run| self.planner.cut_run(run, edges, &|at| self.is_live(at)))
                })?;
                Some((set, edges.clone()))
            })
    }

    /// The wide blocks and what shares windows with them, if no window has too much.
    fn whole_windows(&self, wide: &[usize], step: u32, edges: &[i64]) -> Option<Vec<usize>> {
        let pieces = |at: usize| {
            let block = &self.planner.live[at];
            cut(block.min_time, block.max_time, edges).map(|(piece, _, _)| piece)
        };
        let touched: BTreeSet<_> = wide.iter().flat_map(|&at| pieces(at)).collect();
        let seed: Vec<_> = (0..self.planner.live.len())
            .filter(|&at| self.planner.live[at].step == step && self.is_live(at))
            .filter(|&at| pieces(at).any(|piece| touched.contains(&piece)))
            .collect();
        let set = self
            .planner
            .close(&seed, edges, &|at| self.is_live(at))
            .ok()?;
        let mut bytes: BTreeMap<_, u64> = BTreeMap::new();
        for &at in &set {
            for piece in pieces(at) {
                let sum = bytes.entry(piece).or_default();
                *sum = sum.saturating_add(self.planner.live[at].bytes);
            }
        }
        let knobs = self.planner.knobs;
        let fits = bytes.values().all(|&sum| sum <= knobs.max_bytes);
        (fits && set.len() <= knobs.max_inputs).then_some(set)
    }

    /// Neighbours in one window of the top rung, as many as fit one block; or one deleted block.
    fn merge_window(&self) -> Option<Vec<usize>> {
        let mut windows: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (at, block) in self.planner.live.iter().enumerate() {
            if self.is_live(at) && self.planner.home(block).is_some() {
                let edges = &self.planner.ladder(block.step).edges;
                let window = edges.partition_point(|&edge| edge < block.max_time);
                windows.entry((window, block.step)).or_default().push(at);
            }
        }
        windows.values().find_map(|list| {
            (0..list.len())
                .map(|from| self.grow(&list[from..], list))
                .find(|set| set.len() > 1 || self.planner.live[set[0]].deleted.is_some())
        })
    }

    /// The first of `list` and the neighbours after it that fit one block with it.
    fn grow(&self, list: &[usize], window: &[usize]) -> Vec<usize> {
        let knobs = self.planner.knobs;
        let mut set = list[..1].to_vec();
        for &at in &list[1..] {
            if set.contains(&at) {
                continue;
            }
            let seed: Vec<_> = set.iter().copied().chain([at]).collect();
            match self.planner.close(&seed, &[], &|at| window.contains(&at)) {
                Ok(more)
                    if more.len() <= knobs.max_inputs
                        && self.planner.bytes(&more) <= knobs.max_bytes =>
                {
                    set = more;
                }
                _ => break,
            }
        }
        set
    }

    fn is_live(&self, at: usize) -> bool {
        !self.made.contains(&self.planner.live[at].id)
    }
}
