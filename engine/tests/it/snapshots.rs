//! Snapshots of living databases, and databases made of them.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use treering::vfs::{CrashVfs, Entry, Fault, FaultVfs, File, Lock, MemVfs, Repeat, Vfs};
use treering::{
    Batch, Db, Error, Metadata, MetricKind, NamespaceOptions, Options, SnapshotReport, Sync,
    restore,
};

use crate::support::{all, append, cpu, files, manual, memory, open, selector, told};

/// A store whose file system has no second names for this reason.
#[derive(Debug)]
struct Linkless(Arc<dyn Vfs>, ErrorKind);

impl Vfs for Linkless {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.0.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.0.open(path)
    }
    fn open_rw(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.0.open_rw(path)
    }
    fn map(&self, path: &Path) -> io::Result<Bytes> {
        self.0.map(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn link(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(self.1.into())
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.0.list(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.0.lock(path)
    }
    fn absolute(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.absolute(path)
    }
}

/// A database with blocks, deletes in and over them, two namespaces, metadata, and samples that no
/// block holds yet.
fn lived(vfs: &Arc<dyn Vfs>) -> Db {
    let db = open(vfs);
    let other = db
        .create_namespace("other", NamespaceOptions::default())
        .unwrap();
    for at in 1..=50 {
        append(&db, &cpu("a"), at, at as f64);
        append(&db, &cpu("b"), at, -0.0);
        append(&other, &cpu("a"), at, f64::from_bits(at as u64));
        if at % 20 == 0 {
            db.flush().unwrap();
        }
    }
    db.delete(&selector("cpu{host=\"b\"}"), 5..=45).unwrap();
    db.set_metadata("cpu", &Metadata::new(MetricKind::Gauge).help("help"))
        .unwrap();
    append(&db, &cpu("b"), 30, 3.0);
    db
}

fn opened(vfs: &Arc<dyn Vfs>, dir: &str) -> Db {
    let db = Db::open(dir, manual(vfs).create(false)).unwrap();
    let found = db.verify().unwrap();
    assert!(found.is_clean(), "{dir}: {found:?}");
    db
}

#[test]
fn a_snapshot_holds_everything_and_the_two_go_their_own_ways() {
    let vfs = memory();
    let db = lived(&vfs);
    let before = told(&db);
    let report = db.snapshot("/copies/monday").unwrap();
    assert_eq!(told(&db), before);
    assert_eq!(report.sequence, db.stats().last_sequence);
    assert_eq!((report.blocks, report.copied), (report.linked, 0));
    assert_eq!(report.blocks, db.stats().blocks);
    let bytes = |dir: &str| -> u64 {
        let entries = vfs.list(Path::new(dir)).unwrap().into_iter();
        entries.filter(|e| e.name != "LOCK").map(|e| e.len).sum()
    };
    let sum =
        bytes("/copies/monday") + bytes("/copies/monday/wal") + bytes("/copies/monday/blocks");
    assert_eq!(report.bytes, sum);
    assert_eq!(files(&vfs, "/copies"), ["monday"]);
    // Whatever becomes of the source.
    db.delete(&selector("cpu"), ..).unwrap();
    db.drop_namespace("other").unwrap();
    append(&db, &cpu("new"), 99, 9.0);
    db.flush().unwrap();
    db.compact().unwrap();
    let source = told(&db);
    // It is looked at without being changed, then used.
    let looked = Db::open_read_only("/copies/monday", manual(&vfs)).unwrap();
    assert_eq!(told(&looked), before);
    assert!(looked.verify().unwrap().is_clean());
    drop(looked);
    let copy = opened(&vfs, "/copies/monday");
    assert_eq!(told(&copy), before);
    // Its changes go on from where the snapshot ends.
    assert!(copy.stats().last_sequence >= report.sequence);
    append(&copy, &cpu("mine"), 1, 1.0);
    copy.namespace("other")
        .unwrap()
        .delete(&selector("cpu"), ..10)
        .unwrap();
    copy.flush().unwrap();
    copy.compact().unwrap();
    let changed = told(&copy);
    copy.close().unwrap();
    assert_eq!(told(&db), source);
    db.close().unwrap();
    assert_eq!(told(&opened(&vfs, "/copies/monday")), changed);
    assert_eq!(told(&opened(&vfs, "/db")), source);
}

#[test]
fn where_there_are_no_links_blocks_are_copied() {
    let kinds = [
        ErrorKind::CrossesDevices,
        ErrorKind::Unsupported,
        ErrorKind::PermissionDenied,
        ErrorKind::TooManyLinks,
    ];
    for kind in kinds {
        let mem = memory();
        let vfs: Arc<dyn Vfs> = Arc::new(Linkless(Arc::clone(&mem), kind));
        let db = lived(&vfs);
        let report = db.snapshot("/copy").unwrap();
        assert_eq!((report.linked, report.copied), (0, report.blocks), "{kind}");
        assert!(report.copied > 0);
        assert_eq!(told(&opened(&vfs, "/copy")), told(&db));
        let restored = restore("/copy", "/again", manual(&vfs)).unwrap();
        assert_eq!((restored.linked, restored.copied), (0, report.blocks));
        assert_eq!(told(&opened(&vfs, "/again")), told(&db));
    }
    let vfs: Arc<dyn Vfs> = Arc::new(Linkless(memory(), ErrorKind::InvalidInput));
    assert!(matches!(
        lived(&vfs).snapshot("/copy"),
        Err(Error::Io { .. })
    ));
}

#[test]
fn a_snapshot_takes_no_place_that_is_taken() {
    let vfs = memory();
    let db = lived(&vfs);
    vfs.create_dir(Path::new("/taken")).unwrap();
    for dir in [
        "/taken",
        "/db",
        "/db/copy",
        "/db/blocks/copy",
        "/",
        "/other/../db/copy",
    ] {
        let refused = db.snapshot(dir);
        let is_clear = matches!(&refused, Err(Error::InvalidArgument { .. }));
        // The store itself has no such paths.
        assert!(is_clear || dir.contains(".."), "{dir}: {refused:?}");
        assert!(refused.is_err(), "{dir}");
    }
    assert!(matches!(
        db.snapshot(""),
        Err(Error::InvalidArgument { .. })
    ));
    assert!(files(&vfs, "/taken").is_empty());
    // Somebody else's directory under the name of the work.
    vfs.create_dir(Path::new("/copy.snapshot-tmp")).unwrap();
    drop(vfs.create(Path::new("/copy.snapshot-tmp/letter")).unwrap());
    let error = db.snapshot("/copy").unwrap_err();
    assert!(error.to_string().contains("letter"), "{error}");
    assert!(files(&vfs, "/copy.snapshot-tmp").contains(&"letter".to_owned()));
    // One of ours that an attempt left behind.
    vfs.remove(Path::new("/copy.snapshot-tmp/letter")).unwrap();
    for name in [
        "manifest",
        "wal/0000000001.wal",
        "blocks/0000000009.block.tmp",
    ] {
        let path = Path::new("/copy.snapshot-tmp").join(name);
        vfs.create_dir(path.parent().unwrap()).unwrap();
        drop(vfs.create(&path).unwrap());
    }
    let held = vfs.lock(Path::new("/copy.snapshot-tmp/LOCK")).unwrap();
    assert!(matches!(db.snapshot("/copy"), Err(Error::Locked { .. })));
    drop(held);
    if let Err(error) = db.snapshot("/copy") {
        panic!("{error}: {:?}", files(&vfs, "/copy.snapshot-tmp/blocks"));
    }
    assert_eq!(told(&opened(&vfs, "/copy")), told(&db));
    assert!(matches!(
        db.snapshot("/copy"),
        Err(Error::InvalidArgument { .. })
    ));
    db.close().unwrap();
    assert!(matches!(db.snapshot("/late"), Err(Error::Closed)));
}

#[test]
fn a_database_in_memory_has_snapshots_too() {
    let db = Db::in_memory().unwrap();
    append(&db, &cpu("a"), 1, 1.0);
    let report = db.snapshot("/copy").unwrap();
    assert_eq!((report.blocks, report.linked), (1, 1));
    assert!(matches!(
        db.snapshot("/memory/copy"),
        Err(Error::InvalidArgument { .. })
    ));
}

#[test]
fn a_damaged_snapshot_is_not_restored() {
    let vfs = memory();
    let db = lived(&vfs);
    db.snapshot("/copy").unwrap();
    let before = told(&db);
    let whole = restore("/copy", "/whole", manual(&vfs)).unwrap();
    assert_eq!((whole.linked, whole.copied), (whole.blocks, 0));
    assert_eq!(told(&opened(&vfs, "/whole")), before);
    for dir in ["/whole", "/copy", "/copy/in"] {
        let refused = restore("/copy", dir, manual(&vfs));
        assert!(
            matches!(refused, Err(Error::InvalidArgument { .. })),
            "{dir}: {refused:?}"
        );
    }
    let missing = restore("/nowhere", "/new", manual(&vfs));
    assert!(
        matches!(missing, Err(Error::NotADatabase { .. })),
        "{missing:?}"
    );
    for folder in ["/copy/blocks", "/copy"] {
        for name in files(&vfs, folder) {
            let path = Path::new(folder).join(&name);
            let Ok(bytes) = vfs.read(&path, 1 << 30) else {
                continue;
            };
            if name == "LOCK" {
                continue;
            }
            let file = vfs.open_rw(&path).unwrap();
            let middle = bytes.len() as u64 / 2;
            file.write_all_at(&[!bytes[bytes.len() / 2]], middle)
                .unwrap();
            let refused = restore("/copy", "/new", manual(&vfs)).unwrap_err();
            assert!(refused.is_corruption(), "{name}: {refused}");
            assert!(!vfs.exists(Path::new("/new")).unwrap());
            assert!(!vfs.exists(Path::new("/new.snapshot-tmp")).unwrap());
            file.write_all_at(&bytes, 0).unwrap();
        }
    }
    restore("/copy", "/new", manual(&vfs)).unwrap();
    assert_eq!(told(&opened(&vfs, "/new")), before);
}

#[test]
fn any_failing_call_leaves_the_source_whole_and_the_copy_whole_or_not_there() {
    let mut failed = 0;
    for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite, Fault::Sync] {
        for call in 1.. {
            let mem = MemVfs::new();
            let faulty = FaultVfs::new(Arc::new(mem.clone()));
            let vfs: Arc<dyn Vfs> = Arc::new(faulty.clone());
            let db = lived(&vfs);
            let before = told(&db);
            faulty.fail(faulty.calls() + call, fault, Repeat::Once);
            let made = db.snapshot("/copy");
            if faulty.fired() == 0 {
                assert!(made.is_ok());
                break;
            }
            faulty.heal();
            failed += 1;
            let left = mem.exists(Path::new("/copy.snapshot-tmp")).unwrap();
            assert!(
                made.is_ok() || !left,
                "{fault:?} at {call} leaves work behind"
            );
            if mem.exists(Path::new("/copy")).unwrap() {
                assert_eq!(told(&opened(&vfs, "/copy")), before, "{fault:?} at {call}");
            } else {
                assert!(made.is_err(), "{fault:?} at {call}");
            }
            assert_eq!(told(&db), before, "{fault:?} at {call}");
            // Whatever was in the way is gone: reopen, as after a failed fsync one must.
            drop(db);
            let db = opened(&vfs, "/db");
            assert_eq!(told(&db), before, "{fault:?} at {call}");
            if !mem.exists(Path::new("/copy")).unwrap() {
                db.snapshot("/copy").unwrap();
                assert_eq!(told(&opened(&vfs, "/copy")), before, "{fault:?} at {call}");
            }
        }
    }
    assert!(failed > 100, "{failed} calls were failed");
}

#[test]
fn a_power_cut_during_a_snapshot_leaves_a_whole_one_or_none() {
    let store = CrashVfs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(store.clone());
    let db = lived(&vfs);
    db.sync().unwrap();
    let before = told(&db);
    let start = store.calls();
    let report = db.snapshot("/copy").unwrap();
    let end = store.calls();
    let (mut whole, mut none) = (0, 0);
    for call in start..=end {
        for index in 0..24 {
            let image = store.image(call, 1, index);
            let vfs: Arc<dyn Vfs> = Arc::new(image.clone());
            assert_eq!(told(&opened(&vfs, "/db")), before, "{call}:{index}");
            if image.exists(Path::new("/copy")).unwrap() {
                whole += 1;
                let copy = opened(&vfs, "/copy");
                assert_eq!(told(&copy), before, "{call}:{index}");
            } else {
                none += 1;
                assert!(call < end, "{call}:{index}: it was reported as made");
                let db = opened(&vfs, "/db");
                // What the cut left beside it is replaced.
                assert_eq!(db.snapshot("/copy").unwrap().blocks, report.blocks);
                assert_eq!(told(&opened(&vfs, "/copy")), before, "{call}:{index}");
            }
        }
    }
    assert!(whole > 24 && none > 24, "{whole} whole, {none} without");
}

#[test]
fn snapshots_of_a_busy_database_are_each_of_one_moment() {
    const ROWS: i64 = 3000;
    let vfs = memory();
    let options = || {
        let options = Options::default().vfs(Arc::clone(&vfs)).sync(Sync::Never);
        options
            .wal_file_bytes(64 << 10)
            .wal_max_bytes(64 << 10)
            .reserve_bytes(0)
    };
    let db = Db::open("/db", options()).unwrap();
    let (written, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let reports: Vec<SnapshotReport> = std::thread::scope(|scope| {
        scope.spawn(|| {
            for at in 0..ROWS {
                let mut batch = Batch::new();
                for series in 0..4 {
                    batch.push(cpu(&format!("s{series}")), at, at as f64);
                }
                db.append(&batch).unwrap();
                // A row that is deleted before the next is appended: no moment has two of them.
                db.append(&Batch::new().sample(cpu("one"), at, 1.0))
                    .unwrap();
                written.store(at as u64 + 1, Ordering::Release);
                if at % 10 == 0 {
                    db.delete(&selector("cpu{host=\"one\"}"), ..at).unwrap();
                }
                if at % 100 == 50 {
                    let name = format!("n{at}");
                    let new = db
                        .create_namespace(&name, NamespaceOptions::default())
                        .unwrap();
                    append(&new, &cpu("x"), at, 1.0);
                    if at % 200 == 50 {
                        db.flush().unwrap();
                    }
                    db.drop_namespace(&name).unwrap();
                }
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                db.maintain().unwrap();
            }
        });
        let mut reports = Vec::new();
        while !done.load(Ordering::Acquire) {
            let acknowledged = written.load(Ordering::Acquire) as usize;
            let dir = format!("/copy{}", reports.len());
            let report = db.snapshot(&dir).unwrap();
            let copy = opened(&vfs, &dir);
            let rows = all(&copy, "cpu{host=~\"s.\"}");
            for (labels, columns) in &rows {
                let times: Vec<i64> = (0..columns.timestamps.len() as i64).collect();
                assert_eq!(columns.timestamps, times, "{labels}");
                assert_eq!(columns.timestamps, rows[0].1.timestamps, "{labels}");
            }
            let shown = rows.first().map_or(0, |(_, columns)| columns.values.len());
            assert!(
                shown >= acknowledged,
                "{dir}: {shown} rows of {acknowledged}"
            );
            let one = all(&copy, "cpu{host=\"one\"}");
            let held = one.first().map_or(0, |(_, columns)| columns.values.len());
            assert!(held <= 11, "{dir}: {held} rows, deleted ones among them");
            reports.push(report);
        }
        reports
    });
    assert!(reports.len() >= 2, "{} snapshots", reports.len());
    assert!(reports.is_sorted_by_key(|report| report.sequence));
    assert!(db.verify().unwrap().is_clean());
}

#[test]
fn a_snapshot_on_a_real_disk_shares_the_bytes_of_its_blocks() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let options = || Options::default().reserve_bytes(64 << 10);
    let db = Db::open(dir.path().join("db"), options()).unwrap();
    for at in 1..=500 {
        append(&db, &cpu("a"), at, at as f64);
    }
    let report = db.snapshot(dir.path().join("deep/below/copy")).unwrap();
    assert_eq!((report.blocks, report.linked), (1, 1));
    let inode = |name: &str| {
        let mut files = std::fs::read_dir(dir.path().join(name).join("blocks")).unwrap();
        files.next().unwrap().unwrap().metadata().unwrap().ino()
    };
    assert_eq!(inode("db"), inode("deep/below/copy"));
    restore(
        dir.path().join("deep/below/copy"),
        dir.path().join("again"),
        options(),
    )
    .unwrap();
    let again = Db::open(dir.path().join("again"), options()).unwrap();
    assert_eq!(told(&again), told(&db));
    db.delete(&selector("cpu"), ..).unwrap();
    assert_eq!(told(&again)[0].1[0].1.len(), 500);
}
