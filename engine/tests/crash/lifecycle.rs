//! Workloads of what is taken away and put together: deletes, compaction, retention, namespaces.
//!
//! As those of `workloads.rs`; that one names the cases.

use crate::history::SPACE_SERIES;
use crate::stage::Stage;
use crate::workloads::{HOUR, SECOND};

const ALL: std::ops::RangeInclusive<i64> = i64::MIN..=i64::MAX;

/// In the head, in blocks, across both; again after it came back; then a kill and an open.
pub(crate) fn delete_everywhere(stage: &mut Stage) {
    stage.open();
    for round in 0..3 {
        let at = round * 2 * HOUR;
        stage.scrape(0..4, at, 6);
        stage.wait(80);
        stage.delete(0, 1..3, at + 2 * SECOND..=at + 3 * SECOND);
        stage.scrape(1..3, at + 3 * SECOND, 1);
        stage.flush();
        stage.scrape(0..4, at + 4 * SECOND, 6);
        stage.wait(80);
        stage.delete(0, 0..2, at + 5 * SECOND..=at + 7 * SECOND);
        // Whole blocks go.
        stage.delete(0, 0..10, i64::MIN..=at - HOUR);
        stage.wait(80);
        stage.scrape(0..1, at + 6 * SECOND, 1);
        if round == 1 {
            stage.kill();
        }
        stage.delete(0, 3..4, ALL);
        stage.wait(80);
        stage.scrape(3..5, at, 2);
        stage.open();
    }
}

/// Histograms and starts, over floats and under them, in order and late; deleted, merged, and after
/// a kill.
pub(crate) fn keep_what_is_beside(stage: &mut Stage) {
    stage.open();
    for round in 0..3 {
        let at = round * HOUR / 2;
        stage.scrape(0..3, at, 4);
        stage.wait(80);
        stage.scrape_beside(1..4, at + 2 * SECOND, 40);
        stage.wait(80);
        stage.scrape(2..3, at + 5 * SECOND, 2);
        stage.flush();
        stage.scrape_beside(0..2, at + SECOND, 3);
        stage.delete(0, 1..3, at + 3 * SECOND..=at + 9 * SECOND);
        stage.wait(80);
        if round == 1 {
            stage.kill();
            stage.open();
        }
    }
    stage.flush();
    stage.compact();
    stage.scrape_beside(2..4, HOUR, 2);
}

/// Blocks of one hour merged into wider ones, late samples among them.
pub(crate) fn compact_blocks(stage: &mut Stage) {
    stage.open();
    for batch in 0..20 {
        stage.wait(60);
        stage.scrape(0..3, batch * HOUR / 2, 4);
        if batch % 4 == 3 {
            stage.scrape(1..2, batch * HOUR / 2 - 3 * HOUR, 3);
        }
        stage.flush();
        if batch % 5 == 4 {
            stage.maintain();
        }
    }
    stage.scrape(0..2, HOUR, 2);
    stage.compact();
    stage.scrape(0..2, HOUR, 2);
    stage.flush();
    stage.compact();
}

/// Blocks wider than any window are cut into many.
pub(crate) fn compact_wide_blocks(stage: &mut Stage) {
    stage.open();
    for series in 0..5u32 {
        let rows: Vec<_> = (0..40)
            .map(|day| (series, day * 11 * 24 * HOUR, stage.random.value()))
            .collect();
        stage.append(&rows);
        stage.wait(150);
        stage.flush();
        if series == 3 {
            stage.delete(0, 1..2, 100 * 24 * HOUR..=200 * 24 * HOUR);
        }
    }
    stage.maintain();
    stage.append(&[(9, 0, 1.0)]);
    stage.compact();
}

/// Tombstones are applied by merges while newer deletes come.
pub(crate) fn compact_with_deletes(stage: &mut Stage) {
    stage.open();
    for round in 0..4 {
        for hour in 0..4 {
            stage.scrape(0..4, hour * HOUR + round * SECOND, 5);
            stage.flush();
        }
        stage.delete(0, 0..2, HOUR..=2 * HOUR);
        stage.wait(120);
        match round {
            0 => stage.maintain(),
            1 => stage.kill(),
            2 => stage.compact(),
            _ => stage.open(),
        }
        stage.delete(0, 2..3, 0..=HOUR);
        stage.scrape(0..1, HOUR, 2);
        stage.maintain();
    }
    stage.compact();
}

/// What the clock shows at the end of [`expire_by_age`].
pub(crate) const EXPIRY_END: i64 = 40 * HOUR;

/// Samples that will have expired in the end are not counted on; all others are.
pub(crate) fn expire_by_age(stage: &mut Stage) {
    stage.open();
    stage.keep(0, 10 * 3600);
    stage.expect_horizon(EXPIRY_END - 10 * HOUR);
    for hour in 0..40 {
        stage.set_clock(hour * HOUR);
        stage.wait(60);
        stage.scrape(0..3, hour * HOUR - HOUR / 3, 3);
        if hour % 5 == 0 {
            // Late: it lies over what will be dropped before it.
            stage.scrape(1..2, hour * HOUR - 8 * HOUR, 3);
        }
        if hour % 2 == 1 {
            stage.flush();
        }
        if hour % 7 == 6 {
            stage.maintain();
        }
    }
    stage.set_clock(EXPIRY_END);
    stage.maintain();
    stage.compact();
}

/// The oldest blocks go, until the rest fits.
pub(crate) fn expire_by_size(stage: &mut Stage) {
    stage.open();
    for hour in 0..12 {
        stage.scrape(0..3, hour * HOUR, 40);
        stage.wait(90);
        stage.flush();
    }
    stage.scrape(0..1, 5 * HOUR, 3);
    stage.flush();
    stage.shrink(20_000);
    stage.scrape(0..3, 12 * HOUR, 5);
    stage.flush();
    stage.shrink(8_000);
    stage.scrape(0..3, 0, 5);
}

/// Made, filled, changed, described, dropped and made again, before and after flushes.
pub(crate) fn make_and_drop_namespaces(stage: &mut Stage) {
    stage.open();
    let one = SPACE_SERIES;
    let two = 2 * SPACE_SERIES;
    for round in 0..3 {
        stage.keep(1, 1_000_000_000 + round);
        stage.describe(1, 0, Some(5 + round as usize));
        stage.scrape(one..one + 3, 0, 4);
        stage.wait(90);
        stage.scrape(0..2, HOUR * round as i64, 2);
        stage.flush();
        stage.describe(0, 1, (round != 1).then_some(40));
        stage.keep(2, 2_000_000_000);
        stage.scrape(two..two + 2, HOUR, 3);
        stage.wait(90);
        if round == 1 {
            stage.kill();
        }
        stage.delete(1, 0..1, ALL);
        stage.keep(1, 1_500_000_000);
        stage.drop_space(2);
        stage.describe(1, 0, None);
        stage.scrape(one..one + 2, HOUR, 1);
        if round != 2 {
            stage.flush();
            stage.drop_space(1);
        }
        stage.wait(90);
        stage.scrape(0..1, 5 * HOUR, 1);
        stage.compact();
    }
    // Only this one has samples in the head: the others' blocks begin where theirs ended.
    stage.scrape(one..one + 1, 2 * HOUR, 1);
    stage.flush();
    stage.scrape(0..1, 6 * HOUR, 1);
    stage.flush();
}

/// Frames of every kind in many WAL files, kept across flushes, kills and opens.
pub(crate) fn keep_for_followers(stage: &mut Stage) {
    stage.open();
    let one = SPACE_SERIES;
    for round in 0..4 {
        let at = round * HOUR;
        stage.scrape(0..4, at, 10);
        stage.wait(80);
        stage.keep(1, 1_000_000_000 + round as u64);
        stage.scrape(one..one + 2, at, 3);
        stage.flush();
        // Known series in a new generation, and new ones.
        stage.scrape(1..6, at + 20 * SECOND, 4);
        stage.delete(0, 2..4, at..=at + 21 * SECOND);
        stage.describe(1, 0, (round != 2).then_some(7));
        stage.wait(80);
        match round {
            0 => stage.kill(),
            1 => stage.open(),
            2 => stage.drop_space(1),
            _ => stage.compact(),
        }
        stage.scrape(0..2, at + 30 * SECOND, 2);
        stage.wait(80);
        stage.flush();
        stage.flush();
    }
    stage.scrape(0..1, 5 * HOUR, 1);
}
