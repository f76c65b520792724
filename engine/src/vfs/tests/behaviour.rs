//! One table of behaviours for all stores, and a random walk on which they must agree.

use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::{memory_stores, on_each_store};
use crate::vfs::{DiskVfs, Entry, EntryKind, File, MemVfs, Vfs, total_memory};

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn a_file_keeps_what_is_written_and_reads_zeros_in_gaps() {
    on_each_store(|store, dir| {
        let path = dir.join("a");
        let file = store.create(&path).unwrap();
        file.write_all_at(b"head", 0).unwrap();
        file.write_all_at(b"tail", 6).unwrap();
        file.write_all_at(b"EA", 1).unwrap();
        file.sync().unwrap();
        assert_eq!(file.len().unwrap(), 10);
        assert_eq!(store.read(&path, 10).unwrap(), b"hEAd\0\0tail");
        let mut buf = [0; 6];
        assert_eq!(file.read_at(&mut buf, 8).unwrap(), 2);
        assert_eq!(&buf[..2], b"il");
        assert_eq!(file.read_at(&mut buf, 10).unwrap(), 0);
        assert_eq!(file.read_at(&mut buf, 1 << 40).unwrap(), 0);
        assert_eq!(
            kind(file.read_exact_at(&mut buf, 8)),
            Some(ErrorKind::UnexpectedEof)
        );
        file.write_all_at(b"", 100).unwrap();
        assert_eq!(file.len().unwrap(), 10);
    });
}

#[test]
fn cutting_and_extending_leaves_zeros_behind_the_cut() {
    on_each_store(|store, dir| {
        let path = dir.join("a");
        let file = store.create(&path).unwrap();
        file.write_all_at(b"0123456789", 0).unwrap();
        file.set_len(4).unwrap();
        file.set_len(8).unwrap();
        assert_eq!(store.read(&path, 8).unwrap(), b"0123\0\0\0\0");
        file.set_len(0).unwrap();
        assert!(store.map(&path).unwrap().is_empty());
    });
}

#[test]
fn a_map_keeps_its_bytes_after_the_file_is_removed() {
    on_each_store(|store, dir| {
        let path = dir.join("block");
        store
            .create(&path)
            .unwrap()
            .write_all_at(&[7; 10_000], 0)
            .unwrap();
        let bytes = store.map(&path).unwrap();
        store.remove(&path).unwrap();
        assert!(!store.exists(&path).unwrap());
        assert_eq!(bytes, vec![7; 10_000]);
    });
}

#[test]
fn a_removed_file_stays_readable_through_its_handles() {
    on_each_store(|store, dir| {
        let path = dir.join("a");
        let file = store.create(&path).unwrap();
        file.write_all_at(b"first", 0).unwrap();
        store.remove(&path).unwrap();
        store
            .create(&path)
            .unwrap()
            .write_all_at(b"other", 0)
            .unwrap();
        let mut buf = [0; 5];
        file.read_exact_at(&mut buf, 0).unwrap();
        assert_eq!(&buf, b"first");
        assert_eq!(store.read(&path, 5).unwrap(), b"other");
    });
}

#[test]
fn opening_says_what_is_wrong() {
    on_each_store(|store, dir| {
        let (path, sub) = (dir.join("a"), dir.join("sub"));
        assert_eq!(kind(store.open(&path)), Some(ErrorKind::NotFound));
        assert_eq!(kind(store.open_rw(&path)), Some(ErrorKind::NotFound));
        assert_eq!(kind(store.map(&path)), Some(ErrorKind::NotFound));
        assert_eq!(
            kind(store.create(&sub.join("a"))),
            Some(ErrorKind::NotFound)
        );
        store
            .create(&path)
            .unwrap()
            .write_all_at(b"12345", 0)
            .unwrap();
        assert_eq!(kind(store.create(&path)), Some(ErrorKind::AlreadyExists));
        assert_eq!(
            kind(store.create(&path.join("b"))),
            Some(ErrorKind::NotADirectory)
        );
        assert_eq!(
            kind(store.exists(&path.join("b"))),
            Some(ErrorKind::NotADirectory)
        );
        store.create_dir(&sub).unwrap();
        assert_eq!(kind(store.open(&sub)), Some(ErrorKind::InvalidInput));
        assert_eq!(kind(store.open_rw(&sub)), Some(ErrorKind::IsADirectory));
        assert_eq!(kind(store.create(&sub)), Some(ErrorKind::AlreadyExists));
        assert_eq!(kind(store.read(&path, 4)), Some(ErrorKind::FileTooLarge));
        assert!(store.open(&path).unwrap().write_at(b"x", 0).is_err());
        assert!(store.open(&path).unwrap().set_len(0).is_err());
        store.open_rw(&path).unwrap().write_all_at(b"x", 0).unwrap();
        assert_eq!(store.read(&path, 5).unwrap(), b"x2345");
    });
}

#[test]
fn directories_are_made_with_their_parents_and_listed_by_name() {
    on_each_store(|store, dir| {
        store.create_dir(&dir.join("wal/old")).unwrap();
        store.create_dir(&dir.join("wal/old")).unwrap();
        store
            .create(&dir.join("wal/b"))
            .unwrap()
            .write_all_at(b"12", 0)
            .unwrap();
        store.create(&dir.join("wal/a")).unwrap();
        let entry = |name: &str, kind| Entry {
            name: name.into(),
            len: 0,
            kind,
        };
        let mut entries = store.list(&dir.join("wal")).unwrap();
        assert_eq!(entries[1].len, 2);
        entries.iter_mut().for_each(|entry| entry.len = 0);
        let (a, b) = (entry("a", EntryKind::File), entry("b", EntryKind::File));
        assert_eq!(entries, [a, b, entry("old", EntryKind::Dir)]);
        assert_eq!(
            kind(store.create_dir(&dir.join("wal/a"))),
            Some(ErrorKind::AlreadyExists)
        );
        assert_eq!(
            kind(store.create_dir(&dir.join("wal/a/b"))),
            Some(ErrorKind::NotADirectory)
        );
        assert_eq!(
            kind(store.list(&dir.join("none"))),
            Some(ErrorKind::NotFound)
        );
        assert_eq!(
            kind(store.list(&dir.join("wal/a"))),
            Some(ErrorKind::NotADirectory)
        );
        store.sync_dir(&dir.join("wal")).unwrap();
        assert_eq!(
            kind(store.sync_dir(&dir.join("none"))),
            Some(ErrorKind::NotFound)
        );
        assert_eq!(
            kind(store.sync_dir(&dir.join("wal/a"))),
            Some(ErrorKind::NotADirectory)
        );
    });
}

#[test]
fn a_rename_replaces_a_file_and_nothing_else() {
    on_each_store(|store, dir| {
        let (a, b, sub) = (dir.join("a"), dir.join("b"), dir.join("sub"));
        assert_eq!(kind(store.rename(&a, &b)), Some(ErrorKind::NotFound));
        store.create(&a).unwrap().write_all_at(b"new", 0).unwrap();
        store.create(&b).unwrap().write_all_at(b"old", 0).unwrap();
        store.rename(&a, &b).unwrap();
        assert!(!store.exists(&a).unwrap());
        assert_eq!(store.read(&b, 3).unwrap(), b"new");
        store.create_dir(&sub).unwrap();
        assert_eq!(kind(store.rename(&b, &sub)), Some(ErrorKind::IsADirectory));
        assert_eq!(kind(store.rename(&sub, &b)), Some(ErrorKind::NotADirectory));
        assert_eq!(
            kind(store.rename(&sub, &sub.join("in"))),
            Some(ErrorKind::InvalidInput)
        );
        store.rename(&b, &sub.join("b")).unwrap();
        store.rename(&sub, &dir.join("moved")).unwrap();
        assert_eq!(store.read(&dir.join("moved/b"), 3).unwrap(), b"new");
    });
}

#[test]
fn a_link_is_a_second_name_of_the_same_bytes() {
    on_each_store(|store, dir| {
        let (a, b) = (dir.join("a"), dir.join("b"));
        assert_eq!(kind(store.link(&a, &b)), Some(ErrorKind::NotFound));
        let file = store.create(&a).unwrap();
        store.link(&a, &b).unwrap();
        file.write_all_at(b"both", 0).unwrap();
        assert_eq!(store.read(&b, 4).unwrap(), b"both");
        assert_eq!(kind(store.link(&a, &b)), Some(ErrorKind::AlreadyExists));
        // POSIX: renaming one name of a file onto another does nothing.
        store.rename(&a, &b).unwrap();
        assert!(store.exists(&a).unwrap());
        store.remove(&a).unwrap();
        assert_eq!(store.read(&b, 4).unwrap(), b"both");
        assert_eq!(kind(store.remove(&a)), Some(ErrorKind::NotFound));
        assert_eq!(kind(store.remove(dir)), Some(ErrorKind::IsADirectory));
    });
}

#[test]
fn a_lock_excludes_everyone_until_it_is_dropped() {
    on_each_store(|store, dir| {
        let path = dir.join("LOCK");
        let lock = store.lock(&path).unwrap();
        assert_eq!(kind(store.lock(&path)), Some(ErrorKind::WouldBlock));
        assert_eq!(kind(store.lock(&path)), Some(ErrorKind::WouldBlock));
        drop(lock);
        // The file that is left behind means nothing.
        assert!(store.exists(&path).unwrap());
        let _lock = store.lock(&path).unwrap();
    });
}

#[test]
fn the_lock_file_names_its_process_for_people() {
    let dir = tempfile::tempdir().unwrap();
    let stores: [(&dyn Vfs, &Path); 2] = [
        (&DiskVfs::new(), dir.path()),
        (&MemVfs::new(), Path::new("")),
    ];
    for (store, dir) in stores {
        let path = dir.join("LOCK");
        store
            .create(&path)
            .unwrap()
            .write_all_at(b"pid 99999999999\n", 0)
            .unwrap();
        let _lock = store.lock(&path).unwrap();
        let note = store.read(&path, 100).unwrap();
        assert_eq!(note, format!("pid {}\n", std::process::id()).as_bytes());
    }
}

#[test]
fn the_disk_follows_no_symbolic_links_and_opens_no_pipes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let store = DiskVfs::new();
    store.create(&dir.join("target")).unwrap();
    let link = dir.join("link");
    std::os::unix::fs::symlink(dir.join("target"), &link).unwrap();
    for result in [store.open(&link), store.open_rw(&link), store.create(&link)] {
        assert!(result.is_err());
    }
    assert!(store.map(&link).is_err());
    assert!(store.lock(&link).is_err());
    let listed = store.list(dir).unwrap();
    assert_eq!(listed[0].kind, EntryKind::Other);
    let socket = dir.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(store.open(&socket).is_err());
    assert!(store.exists(&socket).unwrap());
}

#[test]
fn the_disk_gives_files_and_directories_to_their_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskVfs::new();
    let (sub, path) = (dir.path().join("sub"), dir.path().join("sub/file"));
    store.create_dir(&sub).unwrap();
    store.create(&path).unwrap();
    let _lock = store.lock(&dir.path().join("LOCK")).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&sub), 0o700);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&dir.path().join("LOCK")), 0o600);
}

#[test]
fn memory_is_known() {
    assert!(total_memory() >= 64 << 20);
    assert!(memory_stores().iter().all(|store| store.total_memory() > 0));
}

#[test]
fn a_fork_shares_bytes_until_either_side_writes() {
    let store = MemVfs::new();
    store.create_dir(Path::new("d")).unwrap();
    let file = store.create(Path::new("d/a")).unwrap();
    file.write_all_at(b"before", 0).unwrap();
    store.link(Path::new("d/a"), Path::new("b")).unwrap();
    let fork = store.fork();
    assert_eq!(
        fork.map(Path::new("b")).unwrap().as_ptr(),
        store.map(Path::new("b")).unwrap().as_ptr()
    );
    file.write_all_at(b"BEFORE", 0).unwrap();
    fork.open_rw(Path::new("b"))
        .unwrap()
        .write_all_at(b"after!", 0)
        .unwrap();
    let bytes = |store: &MemVfs| {
        store
            .files()
            .into_iter()
            .map(|(_, bytes)| bytes)
            .collect::<Vec<_>>()
    };
    assert_eq!(bytes(&store), [&b"BEFORE"[..], b"BEFORE"]);
    assert_eq!(bytes(&fork), [&b"after!"[..], b"after!"]);
    assert_eq!(fork.files()[1].0, PathBuf::from("d/a"));
}

#[test]
fn an_absurd_length_in_memory_is_an_error() {
    let file = MemVfs::new().create(Path::new("a")).unwrap();
    assert!(file.set_len(u64::MAX).is_err());
    assert!(file.write_at(b"x", u64::MAX).is_err());
    assert!(file.write_all_at(b"xy", u64::MAX - 1).is_err());
    assert_eq!(file.len().unwrap(), 0);
}

#[derive(Debug, Clone)]
enum Step {
    CreateDir(usize),
    Create(usize),
    Write {
        name: usize,
        offset: u64,
        len: usize,
    },
    SetLen(usize, u64),
    Rename(usize, usize),
    Remove(usize),
    Link(usize, usize),
    List(usize),
    Read(usize),
    Exists(usize),
}

const NAMES: [&str; 7] = ["a", "b", "d", "d/a", "d/b", "d/e", "d/e/a"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || 0..NAMES.len();
    let step = prop_oneof![
        name().prop_map(Step::CreateDir),
        name().prop_map(Step::Create),
        (name(), 0..40_u64, 0..40_usize).prop_map(|(name, offset, len)| Step::Write {
            name,
            offset,
            len
        }),
        (name(), 0..60_u64).prop_map(|(name, len)| Step::SetLen(name, len)),
        (name(), name()).prop_map(|(from, to)| Step::Rename(from, to)),
        name().prop_map(Step::Remove),
        (name(), name()).prop_map(|(from, to)| Step::Link(from, to)),
        name().prop_map(Step::List),
        name().prop_map(Step::Read),
        name().prop_map(Step::Exists),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What a step answers, in a form that compares.
fn take(store: &dyn Vfs, dir: &Path, step: &Step) -> Result<String, ErrorKind> {
    let path = |name: &usize| dir.join(NAMES[*name]);
    let file = |name: &usize| -> io::Result<Arc<dyn File>> { store.open_rw(&path(name)) };
    let answer = match step {
        Step::CreateDir(name) => store.create_dir(&path(name)).map(|()| String::new()),
        Step::Create(name) => store.create(&path(name)).map(|_| String::new()),
        Step::Write { name, offset, len } => file(name).and_then(|file| {
            file.write_all_at(&vec![*len as u8; *len], *offset)?;
            Ok(file.len()?.to_string())
        }),
        Step::SetLen(name, len) => file(name)
            .and_then(|file| file.set_len(*len))
            .map(|()| String::new()),
        Step::Rename(from, to) => store.rename(&path(from), &path(to)).map(|()| String::new()),
        Step::Remove(name) => store.remove(&path(name)).map(|()| String::new()),
        Step::Link(from, to) => store.link(&path(from), &path(to)).map(|()| String::new()),
        Step::List(name) => store.list(&path(name)).map(|mut entries| {
            let dirs = entries
                .iter_mut()
                .filter(|entry| entry.kind == EntryKind::Dir);
            dirs.for_each(|entry| entry.len = 0);
            format!("{entries:?}")
        }),
        Step::Read(name) => store
            .read(&path(name), 1 << 20)
            .map(|bytes| format!("{bytes:?}")),
        Step::Exists(name) => store.exists(&path(name)).map(|found| found.to_string()),
    };
    answer.map_err(|error| error.kind())
}

const CASES: u32 = 300;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn all_stores_answer_alike(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let answers: Vec<_> =
            steps.iter().map(|step| take(&DiskVfs::new(), dir.path(), step)).collect();
        for store in memory_stores() {
            for (step, on_disk) in steps.iter().zip(&answers) {
                let here = take(&*store, Path::new(""), step);
                prop_assert_eq!(&here, on_disk, "{:?} on {:?}", step, store);
            }
        }
    }
}
