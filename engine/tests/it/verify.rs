//! What `verify` finds: nothing in a whole database, and each kind of damage by file and offset.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use treering::vfs::{CallKind, Fault, FaultVfs, MemVfs, Repeat, Vfs};
use treering::{Db, Error, VerifyReport};

use crate::support::{append, cpu, files, manual, memory, open, selector};

/// A database with two blocks and a WAL of several frames and files.
fn lived(vfs: &Arc<dyn Vfs>) -> Db {
    let db = Db::open("/db", manual(vfs).wal_file_bytes(64 << 10)).unwrap();
    for at in 1..=300 {
        append(&db, &cpu("a"), at, at as f64);
        append(&db, &cpu("b"), at * 1000, (at as f64).sin());
        if at % 100 == 0 && at < 300 {
            db.flush().unwrap();
        }
    }
    db.delete(&selector("cpu{host=\"b\"}"), 5..=45).unwrap();
    db
}

fn verified(db: &Db) -> VerifyReport {
    db.verify().unwrap()
}

/// Problems as (name of file, offset).
fn problems(report: &VerifyReport) -> Vec<(String, Option<u64>)> {
    let name = |path: &Path| path.strip_prefix("/db").unwrap().display().to_string();
    let problems = report.problems.iter();
    problems
        .map(|problem| (name(&problem.file), problem.offset))
        .collect()
}

/// Flips the byte at `offset` of a file.
fn flip(vfs: &Arc<dyn Vfs>, path: &Path, offset: u64) {
    let file = vfs.open_rw(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

fn len(vfs: &Arc<dyn Vfs>, path: &Path) -> u64 {
    vfs.open(path).unwrap().len().unwrap()
}

fn in_folder(vfs: &Arc<dyn Vfs>, folder: &str) -> Vec<PathBuf> {
    let names = files(vfs, folder).into_iter();
    names.map(|name| Path::new(folder).join(name)).collect()
}

#[test]
fn a_whole_database_has_no_problems_and_says_what_was_read() {
    let vfs = memory();
    let db = lived(&vfs);
    let report = verified(&db);
    assert!(report.is_clean(), "{report:?}");
    let stats = db.stats();
    assert_eq!(report.blocks, stats.blocks);
    assert_eq!(report.blocks, 2);
    assert_eq!(report.frames, 201);
    let bytes: u64 = ["/db/blocks", "/db/wal", "/db"]
        .iter()
        .flat_map(|folder| vfs.list(Path::new(folder)).unwrap())
        .filter(|entry| entry.name != "LOCK")
        .map(|entry| entry.len)
        .sum();
    assert_eq!(report.bytes, bytes);
    for state in ["flushed", "compacted", "reopened", "closed"] {
        match state {
            "flushed" => db.flush().unwrap(),
            "compacted" => db.compact().unwrap(),
            "reopened" => {
                db.close().unwrap();
                let db = open(&vfs);
                assert!(verified(&db).is_clean(), "{:?}", verified(&db));
            }
            _ => {
                let reader = Db::open_read_only("/db", manual(&vfs)).unwrap();
                assert!(verified(&reader).is_clean(), "{:?}", verified(&reader));
            }
        }
        if !matches!(state, "reopened" | "closed") {
            assert!(verified(&db).is_clean(), "{state}: {:?}", verified(&db));
        }
    }
    assert!(matches!(db.verify(), Err(Error::Closed)));
}

#[test]
fn damage_anywhere_in_any_file_is_found_and_the_rest_is_checked_all_the_same() {
    let mem = MemVfs::new();
    let whole: Arc<dyn Vfs> = Arc::new(mem.clone());
    let db = lived(&whole);
    db.sync().unwrap();
    let folders = ["/db/blocks", "/db/wal"];
    let mut damaged: Vec<PathBuf> = folders.iter().flat_map(|f| in_folder(&whole, f)).collect();
    damaged.push(PathBuf::from("/db/manifest"));
    let mut places = 0;
    for path in &damaged {
        let len = len(&whole, path);
        let step = if path.starts_with("/db/blocks") {
            len / 120
        } else {
            len / 60
        };
        for offset in (0..len).step_by(step.max(1) as usize) {
            let bytes = whole.read(path, 1 << 30).unwrap();
            flip(&whole, path, offset);
            let report = verified(&db);
            let found = problems(&report);
            let name = path.strip_prefix("/db").unwrap().display().to_string();
            // The padding behind a block's header and in headers means nothing to anybody.
            assert!(!found.is_empty(), "{name} at {offset}");
            assert!(
                found.iter().all(|(file, _)| *file == name),
                "{name}: {found:?}"
            );
            assert_eq!(report.blocks, 2);
            whole
                .open_rw(path)
                .unwrap()
                .write_all_at(&bytes, 0)
                .unwrap();
            places += 1;
        }
    }
    assert!(verified(&db).is_clean());
    assert!(places > 300, "{places} places");
    // Damage in all of them is found in all of them.
    for path in &damaged {
        flip(&whole, path, len(&whole, path) / 2);
    }
    let mut found: Vec<String> = problems(&verified(&db)).into_iter().map(|p| p.0).collect();
    found.dedup();
    assert_eq!(found.len(), damaged.len(), "{found:?}");
}

#[test]
fn a_bad_frame_is_one_problem_at_its_offset_and_the_frames_behind_it_are_read() {
    let vfs = memory();
    let db = open(&vfs);
    let wal = Path::new("/db/wal/0000000002.wal");
    let mut ends = vec![len(&vfs, wal)];
    for at in 0..10 {
        append(&db, &cpu("a"), at, 1.0);
        ends.push(len(&vfs, wal));
    }
    flip(&vfs, wal, ends[3] + 40);
    flip(&vfs, wal, ends[7] + 1);
    let report = verified(&db);
    let name = "wal/0000000002.wal".to_owned();
    assert_eq!(
        problems(&report),
        [(name.clone(), Some(ends[3])), (name, Some(ends[7]))]
    );
    assert_eq!(report.frames, 8);
    flip(&vfs, wal, ends[3] + 40);
    flip(&vfs, wal, ends[7] + 1);
    // A whole frame that is not there any more is no tail to be cut: it was written.
    let bytes = vfs.read(wal, 1 << 20).unwrap();
    vfs.open_rw(wal).unwrap().set_len(ends[9]).unwrap();
    let found = verified(&db);
    assert!(!found.is_clean() && found.frames == 9, "{found:?}");
    vfs.open_rw(wal).unwrap().write_all_at(&bytes, 0).unwrap();
    assert!(verified(&db).is_clean());
    vfs.rename(wal, Path::new("/elsewhere")).unwrap();
    assert_eq!(problems(&verified(&db)).len(), 1);
}

#[test]
fn missing_exchanged_and_unexplained_files_are_problems() {
    let vfs = memory();
    let db = lived(&vfs);
    let blocks = in_folder(&vfs, "/db/blocks");
    let [first, second] = &blocks[..] else {
        panic!("{blocks:?}")
    };
    let aside = Path::new("/aside");
    vfs.rename(first, aside).unwrap();
    assert_eq!(problems(&verified(&db)).len(), 1);
    let bytes = vfs.read(second, 1 << 30).unwrap();
    vfs.create(first).unwrap().write_all_at(&bytes, 0).unwrap();
    let report = verified(&db);
    assert_eq!(report.problems.len(), 1);
    assert_eq!(&report.problems[0].file, first);
    vfs.rename(aside, first).unwrap();
    assert!(verified(&db).is_clean());
    for (name, explained) in [
        ("LOCK.old", false),
        ("wal/notes", false),
        ("blocks/notes", false),
        ("blocks/0000099999.block", false),
        (".hidden", true),
        ("wal/0000000002.wal.tmp", true),
        ("manifest.tmp", true),
    ] {
        let path = Path::new("/db").join(name);
        drop(vfs.create(&path).unwrap());
        let report = verified(&db);
        assert_eq!(report.is_clean(), explained, "{name}: {report:?}");
        assert!(
            report.problems.iter().all(|problem| problem.file == path),
            "{report:?}"
        );
        vfs.remove(&path).unwrap();
    }
    let manifest = Path::new("/db/manifest");
    let bytes = vfs.read(manifest, 1 << 30).unwrap();
    let file = vfs.open_rw(manifest).unwrap();
    file.write_all_at(b"more", bytes.len() as u64).unwrap();
    assert_eq!(problems(&verified(&db)).len(), 1);
    file.set_len(bytes.len() as u64 - 1).unwrap();
    assert!(!verified(&db).is_clean());
    vfs.rename(manifest, aside).unwrap();
    assert_eq!(problems(&verified(&db)), [("manifest".to_owned(), None)]);
}

#[test]
fn a_read_that_fails_is_a_problem_and_no_end() {
    let mem = MemVfs::new();
    let faulty = FaultVfs::new(Arc::new(mem));
    let vfs: Arc<dyn Vfs> = Arc::new(faulty.clone());
    let db = lived(&vfs);
    let mut reads = 0;
    for kind in [
        CallKind::Read,
        CallKind::Open,
        CallKind::List,
        CallKind::Len,
    ] {
        for skip in 0.. {
            let (before, calls) = (faulty.fired(), faulty.calls());
            faulty.fail_only(kind, calls + 1 + skip * 3, Fault::Io, Repeat::Once);
            let report = verified(&db);
            faulty.heal();
            if faulty.fired() == before {
                assert!(report.is_clean());
                break;
            }
            assert_eq!(report.problems.len(), 1, "{kind:?} {skip}: {report:?}");
            reads += 1;
        }
    }
    assert!(reads > 10, "{reads} calls were failed");
    faulty.fail_only(CallKind::Read, 0, Fault::Io, Repeat::Forever);
    let report = verified(&db);
    assert!(report.problems.len() >= 4, "{report:?}");
    assert_eq!((report.frames, report.blocks), (0, 2));
}
