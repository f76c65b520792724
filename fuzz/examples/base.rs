//! Makes the small database of `fuzz/base/` anew: needed when a format gets a new version.
//!
//! Input: nothing. Output: the files of a database with one block and a WAL file that was not
//! closed, in `fuzz/base/`; then run the example `seeds`. Its random id differs each time.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use treering::vfs::MemVfs;
use treering::{Batch, Db, Labels, Maintenance, Options, Sync, stale_marker};

const SECOND: i64 = 1_000_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = MemVfs::new();
    let options = Options::default()
        .vfs(Arc::new(store.clone()))
        .sync(Sync::Never)
        .maintenance(Maintenance::Manual)
        .reserve_bytes(0);
    let db = Db::open("/db", options)?;
    append(&db, 0, 50)?;
    append_long(&db)?;
    db.flush()?;
    append(&db, 50, 10)?;
    append(&db, 20, 3)?;
    db.sync()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("base");
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    for (path, bytes) in store.files() {
        let name = path
            .strip_prefix("/db")
            .or_else(|_| path.strip_prefix("db"))?;
        if name == Path::new("LOCK") || bytes.is_empty() {
            continue;
        }
        let target = root.join(name);
        std::fs::create_dir_all(target.parent().ok_or("a file without a folder")?)?;
        std::fs::write(&target, &bytes)?;
        println!("{} bytes {}", bytes.len(), name.display());
    }
    Ok(())
}

/// A series of enough chunks that the directory sums them up.
fn append_long(db: &Db) -> Result<(), Box<dyn std::error::Error>> {
    let labels = Labels::from_pairs([("__name__", "requests_total")])?;
    let times: Vec<i64> = (0..5000)
        .map(|i| (1_700_000_000 + 15 * i) * SECOND)
        .collect();
    let values: Vec<f64> = (0..5000).map(f64::from).collect();
    Ok(db.append(&Batch::new().column(&labels, &times, &values))?)
}

/// Twelve series of different nature, `count` samples each.
fn append(db: &Db, first: i64, count: i64) -> Result<(), Box<dyn std::error::Error>> {
    let mut batch = Batch::new();
    for number in 0..12i64 {
        let name = ["up", "node_load1", "cpu"][number as usize % 3].to_owned();
        let host = format!("host_{}", number / 3);
        let labels = Labels::from_pairs([("__name__", name), ("host", host)])?;
        let times = (first..first + count).map(|i| (1_700_000_000 + 15 * i) * SECOND + number % 2);
        let values = (first..first + count).map(|i| match number % 6 {
            0 => 1.0,
            1 => (i * i % 997) as f64 / 100.0,
            2 => (i * 17 + i % 5) as f64,
            3 => ((i * i % 997) as f64).sqrt(),
            4 if i % 20 == 19 => stale_marker(),
            _ => [0.1, f64::NAN, -0.0, 7e77][i as usize % 4],
        });
        let (times, values): (Vec<i64>, Vec<f64>) = (times.collect(), values.collect());
        batch.push_column(&labels, &times, &values);
    }
    Ok(db.append(&batch)?)
}
