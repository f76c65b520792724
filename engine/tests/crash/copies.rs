//! Snapshots in the images of a power cut: each is there whole, or not at all.
//!
//! Input: the snapshots that a workload made, each with the calls before and after it. Output: what
//! is wrong with one in an image, in words. Invariant: a snapshot that was reported is there; one
//! that is there opens, and answers as the database did when it was asked for.

use std::path::Path;
use std::sync::Arc;

use treering::Db;
use treering::time::ManualClock;
use treering::vfs::{MemVfs, Vfs};

use crate::check::read;
use crate::history::History;
use crate::stage::{Case, Stage};
use crate::workloads::{HOUR, SECOND};

/// A snapshot that a workload made.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) dir: String,
    /// Calls to the store until it was reported.
    pub(crate) made: u64,
    /// Batches that the database held.
    pub(crate) batches: usize,
}

/// Holds each of `copies` in the image after `call` calls against what was promised.
pub(crate) fn check_copies(
    case: &Case,
    copies: &[Copy],
    history: &History,
    (image, call): (&MemVfs, u64),
) -> Result<(), String> {
    for copy in copies {
        let dir = Path::new(&copy.dir);
        if !image.exists(dir).map_err(|error| error.to_string())? {
            match copy.made > call {
                true => continue,
                false => return Err(format!("the snapshot {} is gone", copy.dir)),
            }
        }
        let clock = Arc::new(ManualClock::new(case.now));
        let options = case.options_on(Arc::new(image.fork()), clock);
        let opened = Db::open(dir, options);
        let db = opened.map_err(|error| format!("the snapshot {}: {error}", copy.dir))?;
        let found = read(&db, true)?;
        let exactly = copy.batches..=copy.batches;
        if history.batches_of(found.print, &exactly).is_none() {
            let how = history.explain(&found.rows, found.print, &exactly);
            return Err(format!("the snapshot {}: {how}", copy.dir));
        }
    }
    Ok(())
}

/// Of heads and of blocks, beside deletes and merges; the last one of a database opened anew.
pub(crate) fn take_snapshots(stage: &mut Stage) {
    stage.open();
    for round in 0..4 {
        let at = round * HOUR;
        stage.wait(60);
        stage.scrape(0..4, at, 5);
        stage.snapshot();
        stage.flush();
        stage.scrape(0..4, at + 20 * SECOND, 3);
        stage.delete(0, 1..2, at..=at + 2 * SECOND);
        if round == 1 {
            stage.compact();
        }
        stage.snapshot();
        if round == 2 {
            stage.open();
        }
    }
    stage.snapshot();
}
