//! What the stories share: databases on a store in memory, and short ways to say things.

use std::path::Path;
use std::sync::Arc;

use treering::vfs::{MemVfs, Vfs};
use treering::{Batch, Columns, Db, Labels, Maintenance, Options, Selector, Sync, labels};

/// Options of a database on `vfs` that does nothing by itself.
pub(crate) fn manual(vfs: &Arc<dyn Vfs>) -> Options {
    Options::default()
        .vfs(Arc::clone(vfs))
        .maintenance(Maintenance::Manual)
        .sync(Sync::Never)
        .reserve_bytes(0)
}

/// A store in memory.
pub(crate) fn memory() -> Arc<dyn Vfs> {
    Arc::new(MemVfs::new())
}

/// The database in `/db` of a store.
pub(crate) fn open(vfs: &Arc<dyn Vfs>) -> Db {
    Db::open("/db", manual(vfs)).unwrap()
}

/// A series of the metric `cpu`.
pub(crate) fn cpu(host: &str) -> Labels {
    labels! { "__name__" => "cpu", "host" => host }
}

pub(crate) fn selector(text: &str) -> Selector {
    Selector::parse(text).unwrap()
}

/// All samples of the series that `text` selects, as (labels, columns).
pub(crate) fn all(db: &Db, text: &str) -> Vec<(String, Columns)> {
    let series = db.select(&selector(text), ..).unwrap();
    let read = series.map(|series| {
        let series = series.unwrap();
        (series.labels().to_string(), series.columns().unwrap())
    });
    read.collect()
}

/// The bits of the values of one series, with their timestamps.
pub(crate) fn bits(columns: &Columns) -> Vec<(i64, u64)> {
    let values = columns.values.iter().map(|value| value.to_bits());
    columns.timestamps.iter().copied().zip(values).collect()
}

/// Appends one sample.
pub(crate) fn append(db: &Db, labels: &Labels, timestamp: i64, value: f64) {
    db.append(&Batch::new().sample(labels, timestamp, value))
        .unwrap();
}

/// Names of the files of a folder.
pub(crate) fn files(vfs: &Arc<dyn Vfs>, dir: &str) -> Vec<String> {
    vfs.list(Path::new(dir))
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect()
}

/// Everything that a database tells: each namespace with its series, samples and metadata.
pub(crate) type Told = Vec<(String, Vec<(String, Vec<(i64, u64)>)>, Vec<String>)>;

/// Everything that `db` tells.
pub(crate) fn told(db: &Db) -> Told {
    let names = db.namespaces().into_iter().map(|namespace| namespace.name);
    let namespace = |name: String| {
        let db = db.namespace(&name).unwrap();
        let all = db.select(&Selector::all(), ..).unwrap();
        let series = all.map(|series| {
            let series = series.unwrap();
            let columns = series.columns().unwrap();
            (series.labels().to_string(), bits(&columns))
        });
        let series = series.collect();
        let metadata = db.all_metadata().into_iter();
        (
            name,
            series,
            metadata.map(|known| format!("{known:?}")).collect(),
        )
    };
    names.map(namespace).collect()
}
