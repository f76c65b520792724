//! The workloads whose every call is crashed, and fails, each in all three sync modes.
//!
//! A workload is a sequence of steps on a stage. They are short: what matters is which calls follow
//! each other, not how much data they move.

use std::time::Duration;

use treering::Options;

use crate::stage::{MODES, Stage};

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const HOUR: i64 = 3600 * SECOND;

/// A module for each workload, with tests for each mode.
macro_rules! workloads {
    ($($name:ident: $run:expr, $dir:expr, $options:expr, $now:expr $(, $keep:expr)?;)*) => {$(
        mod $name {
            fn case(sync: treering::Sync) -> crate::stage::Case {
                crate::stage::Case {
                    name: stringify!($name),
                    sync,
                    dir: $dir,
                    options: $options,
                    keep_bytes: 0 $(+ $keep)?,
                    run: $run,
                    now: $now,
                }
            }

            #[test]
            fn synced_always() {
                crate::enumerate::enumerate(&case(super::MODES[0]));
            }

            #[test]
            fn synced_in_intervals() {
                crate::enumerate::enumerate(&case(super::MODES[1]));
            }

            #[test]
            fn never_synced() {
                crate::enumerate::enumerate(&case(super::MODES[2]));
            }

            #[test]
            fn any_call_may_fail() {
                for sync in super::MODES {
                    crate::faults::fail_workload(&case(sync));
                }
            }
        }
    )*};
}

workloads! {
    appends: super::append_batches, "/db", |options| options, 0;
    rotation: super::rotate_the_wal, "/db", |options| options, 0;
    one_flush: super::flush_once, "/db", |options| options, 0;
    many_flushes: super::flush_often, "/db", super::hourly, 0;
    full_wal: super::append_into_a_full_wal, "/db", |options| options.wal_max_bytes(128 << 10), 0;
    wide_times: super::flush_wide_times, "/db", super::hourly, 0;
    late_samples: super::append_late, "/db", super::hourly, 0;
    new_series: super::burst_of_series, "/db", |options| options, 0;
    reopening: super::reopen_often, "/db", |options| options, 0;
    killing: super::kill_and_go_on, "/db", |options| options, 0;
    long_life: super::go_on_with_an_old_database, "/db", super::hourly, 0;
    creation: super::create, "/var/data/db", |options| options.reserve_bytes(1 << 10), 0;
    full_disk: super::fill_the_disk, "/db", |options| options.reserve_bytes(16 << 10), 0;
    deletes: crate::lifecycle::delete_everywhere, "/db", super::hourly, 0;
    compaction: crate::lifecycle::compact_blocks, "/db", super::hourly, 0;
    wide_compaction: crate::lifecycle::compact_wide_blocks, "/db", super::hourly, 0;
    lifecycle: crate::lifecycle::compact_with_deletes, "/db", super::hourly, 0;
    retention: crate::lifecycle::expire_by_age, "/db", super::hourly, crate::lifecycle::EXPIRY_END;
    size: crate::lifecycle::expire_by_size, "/db", super::hourly, 0;
    namespaces: crate::lifecycle::make_and_drop_namespaces, "/db", super::hourly, 0;
    snapshots: crate::copies::take_snapshots, "/db", super::hourly, 0;
    manifest_rewrites: super::rewrite_the_manifest, "/db", |options| options, 0;
    beside: crate::lifecycle::keep_what_is_beside, "/db", super::hourly, 0;
    followers: crate::lifecycle::keep_for_followers, "/db", super::hourly, 0, u64::MAX;
    left_behind: crate::lifecycle::keep_for_followers, "/db", super::hourly, 0, 1500;
}

fn hourly(options: Options) -> Options {
    options.block_window(Duration::from_secs(3600))
}

fn append_batches(stage: &mut Stage) {
    stage.open();
    for batch in 0..40 {
        stage.wait(30);
        let series = stage.random.below(8) as u32;
        stage.scrape(
            series..series + 4,
            batch * 10 * SECOND,
            1 + batch as usize % 5,
        );
        if batch % 13 == 12 {
            stage.sync();
        }
    }
}

/// Batches of about 10 KiB into files of 64 KiB.
fn rotate_the_wal(stage: &mut Stage) {
    stage.open();
    for batch in 0..36 {
        stage.wait(30);
        stage.scrape(batch as u32 % 4..batch as u32 % 4 + 1, batch * HOUR, 1250);
        if batch % 15 == 14 {
            stage.sync();
        }
    }
}

fn flush_once(stage: &mut Stage) {
    stage.open();
    for batch in 0..12 {
        stage.wait(50);
        stage.scrape(0..6, batch * 60 * SECOND, 4);
        if batch == 7 {
            stage.flush();
        }
    }
}

/// A manifest of 64 KiB and more is written anew: metadata fill it.
fn rewrite_the_manifest(stage: &mut Stage) {
    stage.open();
    let (mut before, mut rewritten) = (0, 0);
    for round in 0..12 {
        stage.wait(50);
        stage.scrape(0..2, round * 60 * SECOND, 3);
        stage.describe(0, 0, Some(12_000 + round as usize));
        stage.flush();
        let image = stage.store.kill_image();
        let files = image.files();
        let manifest = files.iter().find(|(path, _)| path.ends_with("db/manifest"));
        let len = manifest.map_or(0, |(_, bytes)| bytes.len());
        rewritten += u32::from(len < before);
        before = len;
    }
    assert!(rewritten >= 2, "{rewritten} rewrites");
}

/// Each flush makes one to four blocks.
fn flush_often(stage: &mut Stage) {
    stage.open();
    for batch in 0..24 {
        stage.wait(50);
        let at = batch * HOUR / 2;
        stage.scrape(0..3, at, 5);
        if batch % 5 == 0 {
            stage.scrape(2..5, at - 3 * HOUR, 2);
        }
        if batch % 3 == 2 {
            stage.flush();
        }
    }
}

/// The append that finds the WAL full flushes.
fn append_into_a_full_wal(stage: &mut Stage) {
    stage.open();
    for batch in 0..30 {
        stage.wait(70);
        stage.scrape(0..5, batch * 300 * SECOND, 250);
    }
}

/// Four hundred days in one flush, then samples between them.
fn flush_wide_times(stage: &mut Stage) {
    stage.open();
    for round in 0..3 {
        let rows: Vec<(u32, i64, f64)> = (0..400)
            .map(|day| {
                (
                    day as u32 % 3,
                    day * 24 * HOUR + round,
                    stage.random.value(),
                )
            })
            .collect();
        stage.append(&rows);
        stage.wait(300);
        stage.append(&[(1, i64::MIN, 1.0), (1, i64::MAX - 1000, 2.0), (2, -1, 3.0)]);
        stage.flush();
    }
}

/// Samples that are older than the newest, and samples that overwrite others, before and after
/// these are in blocks.
fn append_late(stage: &mut Stage) {
    stage.open();
    for batch in 0..30 {
        stage.wait(40);
        let rows: Vec<(u32, i64, f64)> = (0..20)
            .map(|_| {
                let at = stage.random.below(200) as i64 * 60 * SECOND;
                (stage.random.below(4) as u32, at, stage.random.value())
            })
            .collect();
        stage.append(&rows);
        match batch % 10 {
            4 => stage.flush(),
            7 => stage.sync(),
            _ => {}
        }
    }
}

/// Hundreds of new series in each batch; after the flush the WAL must name known ones again.
fn burst_of_series(stage: &mut Stage) {
    stage.open();
    for batch in 0..6 {
        stage.wait(90);
        let first = batch as u32 * 150;
        stage.scrape(first..first + 200, batch * 60 * SECOND, 1);
        stage.scrape(0..10, batch * 60 * SECOND + 1, 2);
        if batch % 3 == 2 {
            stage.flush();
        }
    }
    stage.scrape(0..900, 3600 * SECOND, 1);
}

fn reopen_often(stage: &mut Stage) {
    stage.open();
    for batch in 0..12 {
        stage.wait(150);
        stage.scrape(0..4, batch * 60 * SECOND, 3);
        if batch % 4 == 1 {
            stage.flush();
        }
        stage.open();
        if batch % 3 == 0 {
            stage.open();
        }
    }
}

/// The process dies with unsynced frames in the system's memory, and a new one goes on from them.
fn kill_and_go_on(stage: &mut Stage) {
    stage.open();
    for batch in 0..16 {
        stage.wait(60);
        stage.scrape(0..3, batch * 60 * SECOND, 40 * (1 + batch as usize % 4));
        if batch % 6 == 5 {
            stage.flush();
        }
        if batch % 2 == 1 {
            stage.kill();
        }
    }
}

/// A database with many blocks, WAL files and overwritten samples, of which all is durable.
fn go_on_with_an_old_database(stage: &mut Stage) {
    stage.open();
    for batch in 0..60 {
        stage.scrape(0..5, batch * HOUR / 3, 40);
        if batch % 4 == 3 {
            stage.flush();
        }
    }
    stage.rebase();
    for batch in 60..72 {
        stage.wait(110);
        stage.scrape(0..5, batch * HOUR / 3 - 2 * HOUR, 40);
        if batch % 4 == 3 {
            stage.flush();
        }
    }
}

/// From an empty disk; the folders above the database are new too.
fn create(stage: &mut Stage) {
    stage.open();
    for batch in 0..3 {
        stage.wait(150);
        stage.scrape(0..3, batch * SECOND, 2);
    }
}

/// Twice the disk fills up while batches come, and is freed: what was refused is not there.
fn fill_the_disk(stage: &mut Stage) {
    stage.open();
    for round in 0..2 {
        stage.scrape(0..4, round * HOUR, 50);
        stage.fill_disk(9000 + 1000 * round as u64);
        let mut refused = 0;
        for batch in 0..12 {
            stage.wait(50);
            let rows: Vec<(u32, i64, f64)> = (0..150)
                .map(|at| {
                    (
                        batch as u32,
                        round * HOUR + at * SECOND,
                        stage.random.value(),
                    )
                })
                .collect();
            refused += u32::from(stage.try_append(&rows).is_err());
            if batch == 9 {
                stage.flush_in_vain();
            }
        }
        assert!(refused > 0);
        stage.free_disk();
        stage.scrape(0..4, round * HOUR + HOUR / 2, 10);
        stage.flush();
    }
}
