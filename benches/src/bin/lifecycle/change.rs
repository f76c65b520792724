//! A year that is copied, and then loses a host: what a snapshot and a delete cost.
//!
//! Input: the compacted database of Y. Output: times and bytes. The answers of the copy stay what
//! they were; those of the database are without the host, at once and after compaction.

use std::path::Path;
use std::time::Instant;

use treering::{Db, Function, Options, Selector};
use treering_benches::Result;
use treering_benches::child::{Measured, median};
use treering_benches::generator::Shape;
use treering_benches::process;

use crate::plain::{Plain, ask};

/// The host that is deleted.
const HOST: u64 = 3;
/// How often a question is asked for a median.
const ASKED: usize = 5;

/// Copies, deletes, compacts.
pub(crate) fn run(shape: Shape, folder: &Path) -> Result<Measured> {
    let plain = Plain::of(shape, &[0])?;
    let db = Db::open(folder, Options::default())?;
    let mut measured = Measured::new();
    let mut tell = |name: &str, value: f64| measured.insert(name.to_owned(), value);

    let copy = folder.with_extension("snapshot");
    let report = db.snapshot(&copy)?;
    println!(
        "snapshot: {} blocks, {} linked, {} copied",
        report.blocks, report.linked, report.copied
    );
    if report.copied > 0 {
        return Err("blocks were copied within one file system".into());
    }
    tell("snapshot", report.took.as_secs_f64() * 1e3);
    tell("snapshot_bytes", report.bytes as f64 / f64::from(1 << 20));

    let question = || {
        let at = Instant::now();
        ask(&db, &shape, 0, Function::Max)?;
        Ok::<f64, treering_benches::Error>(at.elapsed().as_secs_f64() * 1e3)
    };
    let many = || (0..ASKED).map(|_| question()).collect::<Result<Vec<_>>>();
    let before = median(many()?);
    let bytes = process::folder_bytes(folder)?;
    let at = Instant::now();
    db.delete(
        &Selector::parse(&format!("{{hostname=\"host_{HOST}\"}}"))?,
        ..,
    )?;
    tell("delete", at.elapsed().as_secs_f64() * 1e3);
    let at = Instant::now();
    let first = ask(&db, &shape, 0, Function::Max)?;
    let took = at.elapsed().as_secs_f64() * 1e3;
    tell("delete_first", took);

    // At once: the thread of the database begins with it by itself.
    let (at, cpu) = (Instant::now(), process::cpu_seconds()?);
    db.compact()?;
    tell("delete_compact", at.elapsed().as_secs_f64());
    let cpu = process::cpu_seconds()? - cpu;
    tell("delete_compact_cpu", cpu / (shape.total() as f64 / 1e6));
    let left = process::folder_bytes(folder)?;
    let back = bytes.saturating_sub(left) as f64 / bytes as f64;
    tell("delete_back", back * 100.0);
    plain.check_series(&shape, &first, Some(HOST))?;
    plain.check_days(0, Function::Max, &first)?;
    plain.check(&shape, &db, Some(HOST))?;
    println!(
        "daily maxima: {before:.3} ms before the delete, {took:.3} ms the first time after it, \
         {:.3} ms after compaction",
        median(many()?)
    );
    // The delete itself stands in the WAL until a flush.
    db.flush()?;
    if db.stats().tombstones > 0 {
        return Err("a tombstone outlived what it hides".into());
    }
    db.close()?;

    let copied = Db::open(&copy, Options::default())?;
    plain.check(&shape, &copied, None)?;
    copied.close()?;
    Ok(measured)
}
