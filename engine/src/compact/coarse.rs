//! What becomes coarser with age: which blocks are rewritten with a longer step next.
//!
//! Input: the live blocks of a namespace, and from which age on which step will do. Output: a job
//! and its step. Blocks that overlap go together where that is lawful, so that a sample that was
//! written twice is summed up once. Without new blocks or the passing of time the jobs come to an
//! end.

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
        // Steps that another setting left are coarser already, or do not add up to this one.
        let fits = block.step < step && (block.step == 0 || step.is_multiple_of(block.step));
        fits.then_some(step)
    };
    let oldest = (0..live.len()).filter(|&at| due(&live[at]).is_some());
    let seed = oldest.min_by_key(|&at| live[at].max_time)?;
    let step = due(&live[seed])?;
    let fits = |at: usize| due(&live[at]) == Some(step);
    let mut set = vec![seed];
    while let Some(more) = (0..live.len()).find(|at| {
        let meets = |&of: &usize| {
            live[of].min_time <= live[*at].max_time && live[*at].min_time <= live[of].max_time
        };
        !set.contains(at) && fits(*at) && set.iter().any(meets)
    }) {
        set.push(more);
    }
    let bytes = |set: &[usize]| set.iter().map(|&at| live[at].bytes).sum::<u64>();
    let set = match close(&live, &set, &[], &fits) {
        Ok(set) if set.len() <= knobs.max_inputs && bytes(&set) <= knobs.max_bytes => set,
        // Alone it keeps its place in time and in sequence.
        _ => vec![seed],
    };
    let job = Job {
        inputs: set.iter().map(|&at| live[at].id).collect(),
        edges: Vec::new(),
        level: live[seed].level,
        reason: Reason::Coarser,
    };
    Some((job, step))
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
            deleted: false,
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
        assert_eq!(ids(&[young.clone(), old.clone()]), Some((vec![2], 60)));
        // The young one lies between the two in time, but below both in sequence.
        let all = [late.clone(), young, old.clone()];
        assert_eq!(ids(&all), Some((vec![2, 3], 60)));
        let between = block(4, (85, 150), (3, 3), 0);
        assert_eq!(ids(&[late, between, old]), Some((vec![2], 60)));
    }

    #[test]
    fn steps_only_grow_and_add_up() {
        assert_eq!(ids(&[block(1, (0, 49), (1, 1), 60)]), Some((vec![1], 600)));
        assert_eq!(ids(&[block(1, (0, 49), (1, 1), 600)]), None);
        assert_eq!(ids(&[block(1, (0, 49), (1, 1), 90)]), None);
        assert_eq!(ids(&[block(1, (0, 99), (1, 1), 60)]), None);
    }
}
