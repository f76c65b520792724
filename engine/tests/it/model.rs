//! Random lives of a database held against a plain model, sample by sample, bit by bit.
//!
//! The model is a map from series to a map from timestamp to value, for each namespace: the last
//! write wins, a delete takes out what is there, what is past the retention is not seen, and what is
//! old may be folded into its step. Every answer is asked of the database in whatever state it is:
//! in the head, in blocks, in both, half compacted; of a snapshot of it, and of a reader beside it.
//! `TREERING_CASES` sets how many lives, `TREERING_SEED` where they start; a failing one is printed,
//! as short as it can be made, with its seed.

mod answers;
mod beside;
mod life;
mod plain;
mod steps;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

use crate::number::number;
use life::Life;
use steps::{ALL, Step, timestamps, windows};

fn live(window: Option<u64>, steps: &[Step], ranges: &[(i64, i64)]) {
    let mut life = Life::begin(window);
    for step in steps {
        life.take(step);
    }
    for &(a, b) in ranges {
        life.look_at_all((a.min(b), a.max(b)));
    }
    life.look_at_all(ALL);
    life.db.flush().unwrap();
    life.look_at_all(ALL);
    life.tidy(|db| db.compact().map(|()| true));
    life.look_at_all(ALL);
    // What retention deletes by itself is in the WAL until then.
    life.db.flush().unwrap();
    let stats = life.db.stats();
    assert_eq!(stats.tombstones, 0, "compacted, but {stats:?}");
    if life.model.values().all(|plain| plain.kept.bytes.is_none()) {
        life.db.compact().unwrap();
        assert_eq!(life.db.stats().compactions, stats.compactions, "again");
    }
    life.reopen();
    life.look_at_all(ALL);
    let report = life.db.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// Threads that share the lives.
const THREADS: u64 = 2;
/// Lives of an ordinary run.
const CASES: u64 = 2000;

#[test]
fn any_life_equals_the_model() {
    let cases = number("TREERING_CASES").unwrap_or(CASES);
    let seed = number("TREERING_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut config = ProptestConfig::with_cases(cases.div_ceil(THREADS) as u32);
                let own = seed.wrapping_mul(THREADS).wrapping_add(thread);
                config.rng_seed = RngSeed::Fixed(own);
                config.failure_persistence = None;
                config.max_shrink_iters = 2000;
                // Two hundred steps in the mean.
                let steps = prop::collection::vec(steps::steps(), 1..400);
                let ranges = prop::collection::vec((timestamps(), timestamps()), 2);
                let lives = (windows(), steps, ranges);
                let ended = TestRunner::new(config).run(&lives, |(window, steps, ranges)| {
                    live(window, &steps, &ranges);
                    Ok(())
                });
                if let Err(error) = ended {
                    panic!("TREERING_SEED={seed}: {error}");
                }
            });
        }
    });
    eprintln!("lives: {cases}, seed {seed}");
}
