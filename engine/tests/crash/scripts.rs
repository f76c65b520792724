//! The scripts whose every call fails: steps, and the orders in which they are taken.
//!
//! Data only; `faults.rs` takes the steps. A workload of the power cuts is a script too: what it did
//! on its stage.

use std::ops::{Range, RangeInclusive};

use crate::history::SPACE_SERIES;

/// One call of a user, or something that happens to the disk, the clock or the process.
#[derive(Debug)]
pub(crate) enum Step {
    /// Series, first timestamp, how many samples of random values.
    Append(u32, i64, usize),
    /// These samples in one batch.
    Batch(Vec<(u32, i64, f64)>),
    /// Series, first and last timestamp.
    Delete(u32, i64, i64),
    Sync,
    Flush,
    Compact,
    Maintain,
    Reopen,
    /// Makes a namespace or changes how it is kept: for so many seconds, and with steps of so many
    /// after an hour, if any.
    Keep(u32, u64, Option<u64>),
    Drop(u32),
    /// Namespace, metric, length of its help text.
    Describe(u32, u32, Option<usize>),
    Snapshot,
    /// Series of a namespace.
    DeleteMany(u32, Range<u32>, RangeInclusive<i64>),
    /// Maintenance until nothing is due.
    MaintainAll,
    /// Holds the default namespace to so many bytes of blocks.
    Shrink(u64),
    Wait(u64),
    Clock(i64),
    Kill,
    /// Leaves so many bytes of the disk.
    FillDisk(u64),
    FreeDisk,
}

/// Frames in two WAL files, blocks, late samples, and opens in between.
pub(crate) static SCRIPT: [Step; 17] = [
    Step::Reopen,
    Step::Append(0, 0, 3),
    Step::Append(1, 10, 3000),
    Step::Append(2, 20, 3000),
    Step::Sync,
    Step::Append(3, 20, 3000),
    Step::Flush,
    Step::Append(1, 500, 40),
    Step::Append(2, 20, 2),
    Step::Reopen,
    Step::Append(2, 21, 2),
    Step::Append(0, 0, 5),
    Step::Flush,
    Step::Append(0, 1, 5),
    Step::Reopen,
    Step::Append(4, 100, 10),
    Step::Append(3, 100, 10),
];

/// Deletes in the head, in blocks and across, merges that apply them, blocks that go whole.
pub(crate) static LIFE: [Step; 25] = [
    Step::Reopen,
    Step::Append(0, 0, 30),
    Step::Append(1, 0, 30),
    Step::Flush,
    Step::Delete(0, 5, 9),
    Step::Append(0, 8, 4),
    Step::Flush,
    Step::Compact,
    Step::Append(1, 10, 40),
    Step::Delete(1, 12, 35),
    Step::Reopen,
    Step::Append(2, 1_000_000, 3000),
    Step::Flush,
    Step::Delete(2, 1_000_000, 2_000_000),
    Step::Append(0, 9, 2),
    Step::Flush,
    Step::Delete(0, 0, 100),
    Step::Compact,
    Step::Append(0, 50, 20),
    Step::Flush,
    Step::Append(0, 60, 20),
    Step::Flush,
    Step::Maintain,
    Step::Reopen,
    Step::Delete(1, 0, 1),
];

/// Series of the first namespace beside the default one.
const ONE: u32 = SPACE_SERIES;
/// An hour before the clock starts, and three.
const HOUR_AGO: i64 = -3600 * 1_000_000_000;

/// Namespaces that come, change, expire, become coarser and go, metadata, snapshots of all that.
pub(crate) static SPACES: [Step; 31] = [
    Step::Reopen,
    Step::Append(0, 0, 20),
    Step::Keep(1, 1_000_000, None),
    Step::Append(ONE, 0, 20),
    Step::Append(ONE + 1, 3 * HOUR_AGO, 20),
    Step::Describe(1, 0, Some(9)),
    Step::Snapshot,
    Step::Flush,
    Step::Append(ONE, 5, 20),
    // What is older goes at once, in blocks and in the head.
    Step::Keep(1, 7200, None),
    Step::Describe(0, 1, Some(30)),
    Step::Snapshot,
    Step::Reopen,
    Step::Maintain,
    Step::Keep(2, 1_000_000, None),
    Step::Append(2 * SPACE_SERIES, 0, 10),
    Step::Flush,
    Step::Append(2 * SPACE_SERIES + 1, 0, 10),
    Step::Delete(ONE, 3, 8),
    // One sample a step: rows of steps answer as the samples do.
    Step::Append(ONE + 2, HOUR_AGO - 1000, 1),
    Step::Keep(1, 7200, Some(60)),
    Step::Flush,
    Step::Maintain,
    Step::Drop(2),
    Step::Describe(1, 0, None),
    Step::Snapshot,
    Step::Keep(2, 1_000_000, None),
    Step::Compact,
    Step::Append(2 * SPACE_SERIES, 50, 3),
    Step::Reopen,
    Step::Snapshot,
];
