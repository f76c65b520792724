//! What the planner decides, one story each.

use super::super::{
    Deleted, Job, Knobs, MAX_OUTPUTS, PlanBlock, Reason, Rungs, expired, over_bytes, plan,
    plan_major,
};
use super::{DAY, HOUR, MIB, START, block};

/// The newest time of the stories, some hours into a window of each rung.
const NEWEST: i64 = START + 400 * DAY + 5 * HOUR;
/// A window of 64 days that is over.
const WINDOW: (i64, i64) = (19_712 * DAY, 19_776 * DAY);

fn due(blocks: &[PlanBlock], knobs: &Knobs) -> Option<Job> {
    plan(blocks, &|_| Rungs::automatic(), NEWEST, knobs)
}

fn major(blocks: &[PlanBlock], knobs: &Knobs) -> Vec<Job> {
    plan_major(blocks, &|_| Rungs::automatic(), NEWEST, knobs)
}

/// Blocks that span a window that is over, one flush after the other.
fn neighbours(sizes: &[u64]) -> Vec<PlanBlock> {
    let made = sizes.iter().zip(1..).map(|(&size, id)| PlanBlock {
        bytes: size * MIB,
        ..block(id, (WINDOW.0 + 1, WINDOW.1), (id * 10, id * 10 + 9))
    });
    made.collect()
}

fn inputs(job: Option<Job>) -> Vec<u64> {
    job.map_or_else(Vec::new, |job| job.inputs)
}

#[test]
fn nothing_is_due_without_blocks_or_with_few() {
    let knobs = Knobs::default();
    assert_eq!(due(&[], &knobs), None);
    assert!(major(&[], &knobs).is_empty());
    assert_eq!(due(&neighbours(&[1, 1, 1]), &knobs), None);
    assert_eq!(due(&neighbours(&[100, 1, 1, 1]), &knobs), None);
}

#[test]
fn neighbours_of_like_size_are_merged_in_order_whatever_the_order_they_are_named_in() {
    let knobs = Knobs::default();
    let mut blocks = neighbours(&[64, 4, 4, 1, 1, 2]);
    blocks.reverse();
    let job = due(&blocks, &knobs).unwrap();
    assert_eq!(job.inputs, [2, 3, 4, 5, 6]);
    assert_eq!(
        (job.edges.len(), job.level, job.reason),
        (0, 5, Reason::Window)
    );
    // One that is most of the bytes is left alone until the rest has grown.
    assert_eq!(
        inputs(due(&neighbours(&[13, 4, 4, 1, 1, 3]), &knobs)),
        [1, 2, 3, 4, 5, 6]
    );
    let small = Knobs {
        max_bytes: 10 * MIB,
        ..Knobs::default()
    };
    assert_eq!(
        inputs(due(&neighbours(&[13, 4, 4, 1, 1, 3]), &small)),
        [3, 4, 5, 6]
    );
}

#[test]
fn a_window_that_still_grows_waits_for_more_and_leaves_smaller_windows_alone() {
    let knobs = Knobs::default();
    let hour = |n: u64| {
        let at = NEWEST - HOUR + n.cast_signed();
        block(n, (at, at), (n, n))
    };
    let mut blocks: Vec<_> = (1..8).map(hour).collect();
    assert_eq!(due(&blocks, &knobs), None);
    blocks.push(hour(8));
    assert_eq!(inputs(due(&blocks, &knobs)).len(), 8);
    // The last days of a window of eight days that is not over: a day each.
    let day = |n: u64| {
        let end = 19_720 * DAY + n.cast_signed() * DAY;
        block(n, (end - 23 * HOUR, end), (n, n))
    };
    let days: Vec<_> = (1..8).map(day).collect();
    let rungs = |_| Rungs::automatic();
    assert_eq!(plan(&days, &rungs, 19_727 * DAY, &knobs), None);
    assert_eq!(plan(&days, &rungs, 19_728 * DAY, &knobs), None);
    assert_eq!(
        inputs(plan(&days, &rungs, 19_728 * DAY + 1, &knobs)).len(),
        7
    );
}

#[test]
fn wide_blocks_are_cut_at_the_top_windows_and_what_is_older_shares_one() {
    let knobs = Knobs::default();
    let year = |n: u64| block(n, (START, NEWEST), (n, n));
    let mut blocks: Vec<_> = (1..4).map(year).collect();
    assert_eq!(due(&blocks, &knobs), None);
    blocks.push(year(4));
    let job = due(&blocks, &knobs).unwrap();
    assert_eq!((job.inputs, job.reason), (vec![1, 2, 3, 4], Reason::Wide));
    // Six edges of 64 days, and the one below the window of eight days that still grows.
    assert_eq!(job.edges.len(), 7);
    assert!(job.edges[..6].iter().all(|edge| edge % (64 * DAY) == 0));
    let ever: Vec<_> = (1..5)
        .map(|n| block(n, (i64::MIN, i64::MAX), (n, n)))
        .collect();
    let job = due(&ever, &knobs).unwrap();
    assert_eq!(job.edges.len(), MAX_OUTPUTS - 1);
    assert!(job.edges.is_sorted());
    assert!(job.edges.last().unwrap() < &(NEWEST + 130 * DAY));
    for newest in [i64::MIN, i64::MAX] {
        let job = plan(&ever, &|_| Rungs::of(1), newest, &knobs).unwrap();
        assert!(!job.edges.is_empty() && job.edges.len() < MAX_OUTPUTS);
    }
}

#[test]
fn a_large_block_between_wide_ones_is_not_rewritten_for_them() {
    let knobs = Knobs::default();
    let mut blocks: Vec<_> = (1..5)
        .map(|n| block(n, (START, NEWEST), (n * 10, n * 10)))
        .collect();
    blocks.push(PlanBlock {
        bytes: 100 * MIB,
        ..block(9, (START, START + DAY), (25, 25))
    });
    // It lies between the second and the third: the first two may go without it.
    assert_eq!(inputs(due(&blocks, &knobs)), [1, 2]);
    blocks[4].bytes = 2 * MIB;
    assert_eq!(inputs(due(&blocks, &knobs)), [1, 2, 9, 3, 4]);
}

#[test]
fn what_lies_between_comes_along_or_keeps_its_neighbours_apart() {
    let knobs = Knobs::default();
    let mut blocks = neighbours(&[1; 8]);
    // A wide block between the fourth and the fifth flush.
    blocks.push(block(9, (START, NEWEST), (50, 50)));
    for (at, block) in blocks.iter_mut().enumerate().skip(4).take(4) {
        (block.min_sequence, block.max_sequence) = (at as u64 * 10 + 20, at as u64 * 10 + 29);
    }
    assert_eq!(inputs(due(&blocks, &knobs)), [5, 6, 7, 8]);
    // A day inside the same window comes along.
    (blocks[8].min_time, blocks[8].max_time) = (START, START + DAY);
    assert_eq!(inputs(due(&blocks, &knobs)), [1, 2, 3, 4, 9, 5, 6, 7, 8]);
    // One of another step does not.
    blocks[8].step = 60;
    assert_eq!(inputs(due(&blocks, &knobs)), [5, 6, 7, 8]);
    assert!(
        major(&blocks, &knobs)
            .iter()
            .all(|job| !job.inputs.contains(&9))
    );
}

#[test]
fn steps_are_not_mixed() {
    let knobs = Knobs::default();
    let mut blocks = neighbours(&[1; 8]);
    for block in &mut blocks[4..] {
        block.step = 3600;
    }
    let first = inputs(due(&blocks, &knobs));
    assert!(first == [1, 2, 3, 4] || first == [5, 6, 7, 8]);
    blocks[2].step = 3600;
    blocks[5].step = 0;
    assert_eq!(due(&blocks, &knobs), None);
}

#[test]
fn too_many_blocks_in_a_window_are_merged_whatever_their_sizes() {
    let knobs = Knobs {
        crowded: 8,
        ..Knobs::default()
    };
    let sizes: Vec<_> = (0..9).rev().map(|n| 1 << (2 * n)).collect();
    assert_eq!(due(&neighbours(&sizes[1..]), &knobs), None);
    assert_eq!(inputs(due(&neighbours(&sizes), &knobs)), [6, 7, 8, 9]);
}

fn deleted(percent: u64, oldest: u64, tombstones: usize) -> Option<Deleted> {
    Some(Deleted {
        percent,
        oldest,
        tombstones,
    })
}

#[test]
fn deleted_samples_go_when_nothing_better_is_due() {
    let mut blocks = neighbours(&[64, 2, 2]);
    blocks[1].deleted = deleted(50, 40, 1);
    let job = due(&blocks, &Knobs::default()).unwrap();
    assert_eq!((job.inputs, job.reason), (vec![2], Reason::Deleted));
    // With a large block its small neighbours are no matter.
    blocks[0].deleted = deleted(50, 40, 1);
    assert_eq!(inputs(due(&blocks, &Knobs::default())), [1, 2, 3]);
    // Something better is due, unless deletes would be refused soon.
    let mut blocks = neighbours(&[64, 1, 1, 1, 1]);
    blocks[0].deleted = deleted(50, 60, 1);
    assert_eq!(inputs(due(&blocks, &Knobs::default())), [2, 3, 4, 5]);
    let pressed = Knobs {
        pressed: true,
        ..Knobs::default()
    };
    assert_eq!(inputs(due(&blocks, &pressed)), [1, 2, 3, 4, 5]);
    // A wide one is cut at the same time.
    let wide = PlanBlock {
        deleted: deleted(50, 9, 1),
        ..block(1, (START, NEWEST), (1, 1))
    };
    assert_eq!(due(&[wide], &Knobs::default()).unwrap().edges.len(), 6);
}

#[test]
fn a_block_is_rewritten_for_deletes_when_something_pays_for_it() {
    let knobs = Knobs::default();
    let mut blocks = neighbours(&[64, 20, 4]);
    // Little of it is hidden, by few deletes, and nothing was written since.
    blocks[0].deleted = deleted(1, 39, 2);
    assert_eq!(due(&blocks, &knobs), None);
    blocks[0].deleted = deleted(12, 39, 2);
    assert_eq!(inputs(due(&blocks, &knobs)), [1, 2, 3]);
    blocks[0].deleted = deleted(1, 39, 1000);
    assert_eq!(inputs(due(&blocks, &knobs)), [1, 2, 3]);
    let pressed = Knobs {
        pressed: true,
        ..knobs.clone()
    };
    blocks[0].deleted = deleted(1, 39, 2);
    assert_eq!(inputs(due(&blocks, &pressed)), [1, 2, 3]);
    // As much was written since as the blocks have that tombstones touch.
    blocks[2].deleted = deleted(1, 31, 1);
    blocks[0].deleted = None;
    blocks[1].deleted = None;
    assert_eq!(due(&blocks, &knobs), None);
    blocks.push(PlanBlock {
        bytes: 4 * MIB,
        ..block(4, (NEWEST - HOUR, NEWEST), (40, 49))
    });
    assert_eq!(inputs(due(&blocks, &knobs)), [3]);
    // A large one that waits too keeps it: both are rewritten for what is written then.
    blocks[0].deleted = deleted(1, 35, 1);
    assert_eq!(due(&blocks, &knobs), None);
    // What is due does not take along more than half of it that is not.
    blocks[2].deleted = deleted(60, 31, 1);
    assert_eq!(inputs(due(&blocks, &knobs)), [3]);
}

#[test]
fn by_call_each_window_of_the_top_becomes_one_block() {
    let knobs = Knobs::default();
    let mut blocks = neighbours(&[64, 1]);
    blocks.push(block(3, (NEWEST - HOUR, NEWEST), (30, 30)));
    blocks.push(block(4, (NEWEST - DAY, NEWEST), (40, 40)));
    blocks.push(block(5, (WINDOW.1 + 1, WINDOW.1 + DAY), (50, 50)));
    let jobs: Vec<_> = major(&blocks, &knobs)
        .into_iter()
        .map(|job| job.inputs)
        .collect();
    assert_eq!(jobs, [vec![1, 2], vec![3, 4]]);
    // A wide block takes along what is in its windows.
    blocks.push(block(6, (WINDOW.1 - DAY, WINDOW.1 + DAY), (60, 60)));
    let jobs = major(&blocks, &knobs);
    assert_eq!(jobs[0].inputs, [1, 2, 5, 6]);
    assert_eq!(jobs[0].edges, [WINDOW.1]);
    assert_eq!(
        (jobs.len(), jobs[1].inputs.as_slice()),
        (2, [3, 4].as_slice())
    );
    // Where that is more than a block may hold, it is cut alone, and the rest waits for it.
    let small = Knobs {
        max_bytes: 65 * MIB,
        ..Knobs::default()
    };
    let jobs: Vec<_> = major(&blocks, &small)
        .into_iter()
        .map(|job| job.inputs)
        .collect();
    assert_eq!(jobs, [vec![6], vec![1, 2], vec![3, 4]]);
    // Space of deleted samples comes back in any case.
    let mut alone = block(1, (NEWEST - HOUR, NEWEST), (30, 30));
    assert!(major(&[alone.clone()], &knobs).is_empty());
    alone.deleted = deleted(1, 40, 1);
    assert_eq!(major(&[alone], &knobs)[0].inputs, [1]);
}

#[test]
fn whole_blocks_leave_by_age_and_by_size() {
    let blocks = [
        PlanBlock {
            bytes: 10,
            ..block(1, (0, 9), (1, 1))
        },
        PlanBlock {
            bytes: 20,
            ..block(2, (3, 5), (2, 2))
        },
        PlanBlock {
            bytes: 30,
            ..block(3, (5, 9), (3, 3))
        },
        PlanBlock {
            bytes: 40,
            ..block(4, (1, 12), (4, 4))
        },
    ];
    assert_eq!(expired(&blocks, 4), Vec::<u64>::new());
    assert_eq!(expired(&blocks, 5), [2]);
    assert_eq!(expired(&blocks, 9), [1, 2, 3]);
    assert_eq!(over_bytes(&blocks, 100), None);
    assert_eq!(over_bytes(&blocks, 99), Some(5));
    assert_eq!(over_bytes(&blocks, 80), Some(5));
    assert_eq!(over_bytes(&blocks, 79), Some(9));
    assert_eq!(over_bytes(&blocks, 40), Some(9));
    assert_eq!(over_bytes(&blocks, 0), Some(12));
    assert_eq!(over_bytes(&[], 0), None);
    let huge = [u64::MAX; 3].map(|bytes| PlanBlock {
        bytes,
        ..blocks[0].clone()
    });
    assert_eq!(over_bytes(&huge, u64::MAX), Some(9));
}
