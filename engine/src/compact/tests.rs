//! The planner against stories, against writers that go on for years, and against a plain model.

mod model;
mod policy;
mod simulation;

use super::PlanBlock;

const HOUR: i64 = 3600 * 1_000_000_000;
const DAY: i64 = 24 * HOUR;
/// The first of January 2024.
const START: i64 = 19_723 * DAY;
const MIB: u64 = 1 << 20;

/// A raw block of a mebibyte.
fn block(id: u64, times: (i64, i64), sequences: (u64, u64)) -> PlanBlock {
    PlanBlock {
        id,
        level: 0,
        step: 0,
        min_time: times.0,
        max_time: times.1,
        min_sequence: sequences.0,
        max_sequence: sequences.1,
        bytes: MIB,
        deleted: None,
    }
}
