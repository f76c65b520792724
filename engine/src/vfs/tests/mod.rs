//! Stories about the stores: what all of them answer alike, then what crashes and faults may do.

mod behaviour;
mod crash;
mod fault;

use std::path::Path;
use std::sync::Arc;

use super::{CrashVfs, DiskVfs, FaultVfs, MemVfs, Vfs};

/// Runs a story on each kind of store, in an empty directory of it.
fn on_each_store(story: impl Fn(&dyn Vfs, &Path)) {
    let dir = tempfile::tempdir().unwrap();
    story(&DiskVfs::new(), dir.path());
    for store in memory_stores() {
        let dir = Path::new("/data/db");
        store.create_dir(dir).unwrap();
        story(&*store, dir);
    }
}

fn memory_stores() -> Vec<Arc<dyn Vfs>> {
    vec![
        Arc::new(MemVfs::new()),
        Arc::new(CrashVfs::new()),
        Arc::new(FaultVfs::new(Arc::new(MemVfs::new()))),
    ]
}

/// Makes a file with these bytes, not synced.
fn put(store: &dyn Vfs, path: &str, bytes: &[u8]) {
    store
        .create(Path::new(path))
        .unwrap()
        .write_all_at(bytes, 0)
        .unwrap();
}

/// The bytes of a file, none when it is not there.
fn get(store: &dyn Vfs, path: &str) -> Option<Vec<u8>> {
    let path = Path::new(path);
    store
        .exists(path)
        .unwrap()
        .then(|| store.read(path, 1 << 20).unwrap())
}
