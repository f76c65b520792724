//! What becomes coarser with age: which blocks are rewritten with a longer step next.
//!
//! Input: the live blocks of a namespace, and from which age on which step will do. Output: a job
//! and its step. Invariant: blocks that overlap become coarser together, and with what is so coarse
//! already, so that a sample that was written twice is summed up once; where one of them is too
//! young or too coarse, or they are too many, they wait. Without new blocks or the passing of time the jobs come to an end.

use super::lawful::close;
use super::{Job, Knobs, PlanBlock, Reason};

/// Samples before a time need no more than one row for each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tier {
    /// The first timestamp that is too young.
    pub(crate) before: i64,
    /// In seconds, above 0.
    pub(crate) step: u32,
}

/// The next block to make coarser with those around it, if one is due, and its step in seconds.
pub(crate) fn plan_coarser(
    blocks: &[PlanBlock],
    tiers: &[Tier],
    knobs: &Knobs,
) -> Option<(Job, u32)> {
    let mut live = blocks.to_vec();
    live.sort_unstable_by_key(PlanBlock::precedence);
    let due = |block: &PlanBlock| {
        let tiers = tiers.iter().filter(|tier| block.max_time < tier.before);
        let step = tiers.map(|tier| tier.step).max()?;
        grows(block, step).then_some(step)
    };
    let mut seeds: Vec<usize> = (0..live.len())
        .filter(|&at| due(&live[at]).is_some())
        .collect();
    seeds.sort_by_key(|&at| live[at].max_time);
    seeds.into_iter().find_map(|seed| {
        let step = due(&live[seed])?;
        // What is due for a longer step takes this one meanwhile.
        let fits = |at: usize| {
            let block = &live[at];
            block.step == step || due(block) >= Some(step) && grows(block, step)
        };
        let set = together(&live, seed, step, &fits)?;
        let set = close(&live, &set, &[], &fits).ok()?;
        if set.len() > knobs.max_inputs {
            return None;
        }
        let job = Job {
            inputs: set.iter().map(|&at| live[at].id).collect(),
            edges: Vec::new(),
            level: live[seed].level,
            reason: Reason::Coarser,
        };
        Some((job, step))
    })
}

/// Whether rows of `step` seconds can be made of the block: steps that another setting left may be
/// coarser already, or not add up to this one.
fn grows(block: &PlanBlock, step: u32) -> bool {
    block.step < step && (block.step == 0 || step.is_multiple_of(block.step))
}

/// The block at `seed` with all that overlap it or one of them; none when one of them does not fit.
/// Steps that do not add up to each other stay apart.
fn together(
    live: &[PlanBlock],
    seed: usize,
    step: u32,
    fits: &impl Fn(usize) -> bool,
) -> Option<Vec<usize>> {
    let mut set = vec![seed];
    while let Some(more) = (0..live.len()).find(|at| {
        let meets = |&of: &usize| {
            live[of].min_time <= live[*at].max_time && live[*at].min_time <= live[of].max_time
        };
        let own = live[*at].step;
        let adds_up = own == 0 || step.is_multiple_of(own) || own.is_multiple_of(step);
        adds_up && !set.contains(at) && set.iter().any(meets)
    }) {
        if !fits(more) {
            return None;
        }
        set.push(more);
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(id: u64, times: (i64, i64), sequences: (u64, u64), step: u32) -> PlanBlock {
        PlanBlock {
            id,
            level: 0,
            step,
            min_time: times.0,
            max_time: times.1,
            min_sequence: sequences.0,
            max_sequence: sequences.1,
            bytes: 1,
            deleted: None,
        }
    }

    const TIERS: [Tier; 2] = [
        Tier {
            before: 100,
            step: 60,
        },
        Tier {
            before: 50,
            step: 600,
        },
    ];

    fn ids(blocks: &[PlanBlock]) -> Option<(Vec<u64>, u32)> {
        plan_coarser(blocks, &TIERS, &Knobs::default()).map(|(job, step)| (job.inputs, step))
    }

    #[test]
    fn the_oldest_goes_first_with_what_overlaps_it() {
        let young = block(1, (60, 120), (1, 1), 0);
        let old = block(2, (51, 90), (2, 2), 0);
        let late = block(3, (80, 99), (4, 4), 0);
        assert_eq!(ids(std::slice::from_ref(&young)), None);
        assert_eq!(ids(std::slice::from_ref(&old)), Some((vec![2], 60)));
        assert_eq!(ids(&[late.clone(), old.clone()]), Some((vec![2, 3], 60)));
        // What may be written anew in the young one is not summed up before it is old.
        assert_eq!(ids(&[late.clone(), young, old.clone()]), None);
        let apart = block(4, (100, 150), (3, 3), 0);
        assert_eq!(ids(&[late, apart, old]), Some((vec![2, 3], 60)));
    }

    #[test]
    fn a_block_waits_with_a_finer_step_for_a_younger_one() {
        let (old, young) = (block(1, (0, 49), (1, 1), 0), block(2, (40, 99), (2, 2), 0));
        let both = [old, young.clone()];
        assert_eq!(ids(&both), Some((vec![1, 2], 60)));
        // A step of another setting, which does not add up to this one, holds nothing up.
        let odd = block(3, (50, 120), (3, 3), 7);
        assert_eq!(ids(&[odd, young]), Some((vec![2], 60)));
    }

    #[test]
    fn late_samples_meet_the_steps_that_are_there() {
        let (coarse, late) = (block(1, (0, 99), (1, 1), 60), block(2, (60, 70), (2, 2), 0));
        assert_eq!(ids(&[coarse, late.clone()]), Some((vec![1, 2], 60)));
        // In coarser steps they wait until they may be as coarse.
        let coarser = block(1, (0, 99), (1, 1), 600);
        assert_eq!(ids(&[coarser.clone(), late]), None);
        let old = block(2, (10, 20), (2, 2), 0);
        assert_eq!(ids(&[coarser, old]), Some((vec![1, 2], 600)));
    }

    #[test]
    fn steps_only_grow_and_add_up() {
        assert_eq!(ids(&[block(1, (0, 49), (1, 1), 60)]), Some((vec![1], 600)));
        assert_eq!(ids(&[block(1, (0, 49), (1, 1), 600)]), None);
        assert_eq!(ids(&[block(1, (0, 49), (1, 1), 90)]), None);
        assert_eq!(ids(&[block(1, (0, 99), (1, 1), 60)]), None);
    }
}
