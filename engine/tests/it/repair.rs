//! Repair: what is intact of a damaged database is in the new one, what is not is in the report, and
//! nothing else is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use treering::vfs::{Fault, FaultVfs, MemVfs, Repeat, Vfs};
use treering::{
    Batch, Db, Error, Metadata, MetricKind, NamespaceOptions, RepairReport, labels, repair,
};

use crate::support::{Told, append, cpu, manual, open, selector, told};

const SECOND: i64 = 1_000_000_000;

/// A database with blocks of two namespaces, merged and not, deletes in the manifest and in the WAL,
/// metadata, and a WAL of several files.
fn lived(vfs: &Arc<dyn Vfs>) -> Db {
    let db = Db::open("/db", manual(vfs).wal_file_bytes(64 << 10)).unwrap();
    let other = db.create_namespace("other", NamespaceOptions::default());
    let other = other.unwrap();
    let help = Metadata::new(MetricKind::Gauge).help("How busy it is.");
    db.set_metadata("cpu", &help).unwrap();
    for part in 0..5 {
        let mut batch = Batch::new();
        for at in part * 400..(part + 1) * 400 {
            for host in 0..12 {
                let labels = cpu(&format!("host-{host:02}"));
                let noise = (at * 37 + host * 11) % 101;
                batch.push(labels, at * SECOND, noise as f64 / 10.0);
            }
        }
        db.append(&batch).unwrap();
        append(&other, &labels! { "__name__" => "up" }, part, 1.0);
        match part {
            0 => db.flush().unwrap(),
            1 => {
                db.flush().unwrap();
                db.compact().unwrap();
            }
            2 => {
                db.delete(&selector(r#"cpu{host="host-03"}"#), 5..=50 * SECOND)
                    .unwrap();
                db.flush().unwrap();
            }
            3 => db
                .delete(&selector(r#"cpu{host="host-04"}"#), ..=100 * SECOND)
                .unwrap(),
            _ => {}
        }
    }
    db
}

/// Samples by namespace, series and time.
type Samples = BTreeMap<(String, String, i64), u64>;

fn samples(told: &Told) -> Samples {
    let mut samples = Samples::new();
    for (name, series, _) in told {
        for (labels, each) in series {
            let key = |at: i64| (name.clone(), labels.clone(), at);
            samples.extend(each.iter().map(|&(at, bits)| (key(at), bits)));
        }
    }
    samples
}

/// Everything that was ever written.
fn ever() -> Samples {
    let vfs: Arc<dyn Vfs> = Arc::new(MemVfs::new());
    let db = lived(&vfs);
    let mut all = samples(&told(&db));
    for host in ["host-03", "host-04"] {
        for at in 0..=100 {
            let host_number: i64 = host[5..].parse().unwrap();
            let noise = (at * 37 + host_number * 11) % 101;
            let key = ("default".to_owned(), cpu(host).to_string(), at * SECOND);
            all.insert(key, (noise as f64 / 10.0).to_bits());
        }
    }
    all
}

/// The store as the process leaves it that is killed.
fn killed() -> MemVfs {
    let vfs = MemVfs::new();
    let shared: Arc<dyn Vfs> = Arc::new(vfs.clone());
    let db = lived(&shared);
    let left = vfs.fork();
    drop(db);
    left
}

struct Repaired {
    report: RepairReport,
    told: Told,
}

/// Repairs `/db` of a copy of `left` that `damage` was done to.
fn repaired(left: &MemVfs, damage: impl FnOnce(&dyn Vfs)) -> Result<Repaired, Error> {
    let vfs = left.fork();
    damage(&vfs);
    let before = vfs.files();
    let shared: Arc<dyn Vfs> = Arc::new(vfs.clone());
    let report = repair("/db", "/new", manual(&shared))?;
    let after = vfs.files().into_iter();
    let after: Vec<_> = after.filter(|(path, _)| path.starts_with("db")).collect();
    assert!(after == before, "the damaged database was changed");
    let db = Db::open("/new", manual(&shared)).unwrap();
    let verified = db.verify().unwrap();
    assert!(verified.is_clean(), "{verified:?}");
    let told = told(&db);
    Ok(Repaired { report, told })
}

fn flip(vfs: &dyn Vfs, path: &Path, offset: u64, bit: u64) {
    let file = vfs.open_rw(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << bit], offset).unwrap();
}

fn cut(vfs: &dyn Vfs, path: &Path, len: u64) {
    vfs.open_rw(path).unwrap().set_len(len).unwrap();
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Block,
    Wal,
    Manifest,
}

/// The files of the database, with what they are and how long.
fn database_files(left: &MemVfs) -> Vec<(PathBuf, Kind, u64)> {
    let files = left.files().into_iter();
    let kinds = files.filter_map(|(path, bytes)| {
        let kind = match path.extension().and_then(|it| it.to_str()) {
            Some("block") => Kind::Block,
            Some("wal") => Kind::Wal,
            _ if path.ends_with("manifest") => Kind::Manifest,
            _ => return None,
        };
        Some((Path::new("/").join(path), kind, bytes.len() as u64))
    });
    kinds.collect()
}

#[test]
fn a_whole_database_is_told_as_it_was() {
    let left = killed();
    let shared: Arc<dyn Vfs> = Arc::new(left.fork());
    let before = told(&open(&shared));
    let new = repaired(&left, |_| ()).unwrap();
    assert!(new.report.is_clean(), "{:?}", new.report);
    assert!(new.told == before);
    assert_eq!(new.report.blocks_salvaged, 0);
    assert!(new.report.blocks_copied > 2 && new.report.frames > 2);
}

/// Holds what a repair made of damage to one file against what there was.
fn check(what: &str, kind: Kind, new: &Repaired, before: &Samples, ever: &Samples) {
    let after = samples(&new.told);
    for (key, bits) in &after {
        let mut key = key.clone();
        if let Some(id) = key.0.strip_prefix("recovered-") {
            key.0 = ["default", "other"][id.parse::<usize>().unwrap()].to_owned();
        }
        // Where a delete was lost, what it hid is seen again; never anything else.
        let known = match kind {
            Kind::Block => before.get(&key),
            _ => ever.get(&key),
        };
        assert_eq!(known, Some(bits), "{what}: {key:?}");
    }
    let lost = before.keys().filter(|key| !after.contains_key(*key));
    let lost = lost.count() as u64;
    match kind {
        Kind::Block => {
            let whole = new
                .report
                .lost
                .iter()
                .any(|loss| loss.what.ends_with("whole"));
            let told = new.report.lost_samples;
            assert!(lost == 0 || whole || lost <= told, "{what}: {lost}, {told}");
        }
        Kind::Wal => assert!(
            lost == 0 || !new.report.is_clean() || new.report.wal_tail_bytes > 0,
            "{what}: {lost} are missing; {:?}",
            new.report
        ),
        Kind::Manifest => {
            let found: BTreeSet<_> = after.keys().map(|(_, labels, at)| (labels, at)).collect();
            let missing = before.keys().find(|key| !found.contains(&(&key.1, &key.2)));
            assert_eq!(missing, None, "{what}: {:?}", new.report);
        }
    }
}

#[test]
fn a_flipped_bit_loses_what_stood_there() {
    let (left, ever) = (killed(), ever());
    let shared: Arc<dyn Vfs> = Arc::new(left.fork());
    let before = samples(&told(&open(&shared)));
    let mut cases = 0;
    for (path, kind, len) in database_files(&left) {
        let step = (len / 24).max(1) | 1;
        for offset in (0..len).step_by(step as usize) {
            let what = format!("{} at {offset}", path.display());
            let new = repaired(&left, |vfs| flip(vfs, &path, offset, offset % 8)).unwrap();
            check(&what, kind, &new, &before, &ever);
            cases += 1;
        }
    }
    assert!(cases > 200, "{cases}");
}

#[test]
fn a_cut_or_missing_file_loses_what_it_held() {
    let (left, ever) = (killed(), ever());
    let shared: Arc<dyn Vfs> = Arc::new(left.fork());
    let before = samples(&told(&open(&shared)));
    for (path, kind, len) in database_files(&left) {
        for part in 0..12 {
            let to = len * part / 12;
            let what = format!("{} cut to {to}", path.display());
            let new = repaired(&left, |vfs| cut(vfs, &path, to)).unwrap();
            // A shorter WAL may be one whose end was never durable.
            if kind != Kind::Wal && kind != Kind::Block {
                check(&what, kind, &new, &before, &ever);
            }
            assert!(samples(&new.told).iter().all(|(key, bits)| {
                key.0.starts_with("recovered") || ever.get(key) == Some(bits)
            }));
        }
        let new = repaired(&left, |vfs| vfs.remove(&path).unwrap()).unwrap();
        if kind == Kind::Manifest {
            check("no manifest", kind, &new, &before, &ever);
        }
        if kind == Kind::Block {
            assert!(!new.report.is_clean());
        }
    }
}

/// A block of many pages, and one of it with steps.
fn large(vfs: &Arc<dyn Vfs>) {
    let db = open(vfs);
    let coarse = NamespaceOptions::default().downsample(
        std::time::Duration::from_secs(3600),
        std::time::Duration::from_secs(60),
    );
    let stepped = db.create_namespace("stepped", coarse).unwrap();
    for host in 0..200u64 {
        let labels = cpu(&format!("host-{host:03}"));
        let mut batch = Batch::new();
        for at in 0..1000u64 {
            let noise = (at * 0x9E37_79B9 + host * 0x85EB_CA6B) % 65_537;
            batch.push(&labels, at as i64 * 10 * SECOND, noise as f64 / 100.0);
        }
        db.append(&batch).unwrap();
        stepped.append(&batch).unwrap();
    }
    db.flush().unwrap();
    db.compact().unwrap();
    db.close().unwrap();
}

#[test]
fn what_is_hit_in_one_page_leaves_the_others() {
    let left = MemVfs::new();
    let shared: Arc<dyn Vfs> = Arc::new(left.clone());
    large(&shared);
    let before = samples(&told(&open(&shared.clone())));
    let blocks = database_files(&left).into_iter();
    let blocks = blocks.filter(|(_, kind, len)| *kind == Kind::Block && *len > 100_000);
    let mut salvaged = 0;
    for (path, _, len) in blocks {
        // The header is told by the rest, the checksum of the page table by its entries.
        let pages = (0..len - 176).step_by(32 << 10).map(|page| page + 3);
        for offset in pages.chain([len - 176 - 3, len - 176 - 200]) {
            let new = repaired(&left, |vfs| flip(vfs, &path, offset, 1)).unwrap();
            let what = format!("{} at {offset} of {len}", path.display());
            check(&what, Kind::Block, &new, &before, &before);
            let kept = samples(&new.told).len();
            salvaged += new.report.blocks_salvaged;
            let lost = new.report.lost_samples;
            assert_eq!(lost as usize, before.len() - kept, "{what}");
        }
    }
    assert!(salvaged > 5, "{salvaged}");
}

#[test]
fn what_cannot_be_repaired_is_refused_and_leaves_nothing() {
    let left = killed();
    let nothing = repaired(&left, |vfs| {
        for (path, _, _) in database_files(&left) {
            vfs.remove(&path).unwrap();
        }
    });
    assert!(matches!(nothing, Err(Error::NotADatabase { .. })));

    let shared: Arc<dyn Vfs> = Arc::new(left.fork());
    let db = open(&shared);
    let locked = repair("/db", "/new", manual(&shared));
    assert!(matches!(locked, Err(Error::Locked { .. })), "{locked:?}");
    drop(db);
    let inside = repair("/db", "/db/new", manual(&shared));
    assert!(matches!(inside, Err(Error::InvalidArgument { .. })));
    let there = repair("/db", "/db", manual(&shared));
    assert!(matches!(there, Err(Error::InvalidArgument { .. })));
    assert!(!shared.exists(Path::new("/new")).unwrap());
    repair("/db", "/new", manual(&shared)).unwrap();
    let again = repair("/db", "/new", manual(&shared));
    assert!(matches!(again, Err(Error::InvalidArgument { .. })));
}

/// When the fsync failed that makes the name of the new database durable, or of the directory that it
/// was made in, that directory stayed, and stood in the way of the next attempt.
#[test]
fn a_repair_that_fails_leaves_nothing() {
    let vfs = MemVfs::new();
    let shared: Arc<dyn Vfs> = Arc::new(vfs.clone());
    let db = open(&shared);
    append(&db, &cpu("a"), 1, 1.0);
    db.flush().unwrap();
    append(&db, &cpu("a"), 2, 2.0);
    db.close().unwrap();
    let mut errors = 0;
    for call in 1.. {
        let faults = FaultVfs::new(Arc::new(vfs.fork()));
        faults.fail(call, Fault::Io, Repeat::Once);
        let shared: Arc<dyn Vfs> = Arc::new(faults.clone());
        let outcome = repair("/db", "/new", manual(&shared));
        if faults.fired() == 0 {
            break;
        }
        let names = shared.list(Path::new("/")).unwrap().into_iter();
        let names: Vec<String> = names.map(|entry| entry.name).collect();
        match outcome {
            // What could not be read is lost, and the rest is there.
            Ok(_) => assert_eq!(names, ["db", "new"], "call {call}"),
            Err(error) => {
                errors += 1;
                assert_eq!(names, ["db"], "call {call}: {error}");
                repair("/db", "/new", manual(&shared)).unwrap();
            }
        }
    }
    assert!(errors > 20, "{errors} calls failed");
}
