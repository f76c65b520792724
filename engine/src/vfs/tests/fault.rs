//! Faults hit the calls that they name, once or for ever, and change nothing else.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::{get, put};
use crate::vfs::{CallKind, Fault, FaultVfs, MemVfs, Repeat, Vfs};

fn store() -> (FaultVfs, MemVfs) {
    let mem = MemVfs::new();
    (FaultVfs::new(Arc::new(mem.clone())), mem)
}

/// A small program that makes calls of every kind and stops at the first error.
fn program(store: &dyn Vfs) -> std::io::Result<Vec<u8>> {
    let (tmp, path, dir) = (Path::new("d/tmp"), Path::new("d/a"), Path::new("d"));
    let _lock = store.lock(Path::new("LOCK"))?;
    store.create_dir(dir)?;
    let file = store.create(tmp)?;
    file.write_all_at(b"0123456789", 0)?;
    file.set_len(8)?;
    file.sync()?;
    store.rename(tmp, path)?;
    store.sync_dir(dir)?;
    store.link(path, tmp)?;
    if store.exists(tmp)? {
        store.remove(tmp)?;
    }
    assert_eq!(store.list(dir)?.len(), 1);
    assert_eq!(store.map(path)?, &b"01234567"[..]);
    store.open_rw(path)?.write_all_at(b"X", 0)?;
    store.read(path, 100)
}

#[test]
fn every_call_can_fail_in_every_way_that_it_can() {
    let (counting, _) = store();
    assert_eq!(program(&counting).unwrap(), b"X1234567");
    let calls = counting.calls();
    assert_eq!(counting.fired(), 0);
    for fault in Fault::ALL {
        for repeat in [Repeat::Once, Repeat::Forever] {
            let mut hits = 0;
            for call in 1..=calls {
                let (store, _) = store();
                store.fail(call, fault, repeat);
                let result = program(&store);
                if store.fired() == 0 {
                    assert!(result.is_ok(), "no fault, no failure");
                    continue;
                }
                hits += 1;
                let healed = match (fault, repeat) {
                    (Fault::Interrupted, Repeat::Once) | (Fault::ShortRead, _) => true,
                    // The last write is of one byte: it cannot be short, so it fails.
                    _ => false,
                };
                assert_eq!(
                    result.is_ok(),
                    healed,
                    "{fault:?} {repeat:?} at call {call}"
                );
            }
            assert!(hits > 0, "{fault:?} never fired");
        }
    }
}

#[test]
fn a_fault_that_comes_once_leaves_the_next_call_alone() {
    let (store, mem) = store();
    put(&store, "a", b"x");
    store.fail(store.calls() + 2, Fault::Io, Repeat::Once);
    assert!(store.exists(Path::new("a")).unwrap());
    let error = store.remove(Path::new("a")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    assert_eq!(
        get(&mem, "a"),
        Some(b"x".to_vec()),
        "the failed call did nothing"
    );
    store.remove(Path::new("a")).unwrap();
}

#[test]
fn a_fault_that_stays_hits_until_it_is_healed() {
    let (store, _) = store();
    let file = store.create(Path::new("a")).unwrap();
    store.fail(1, Fault::NoSpace, Repeat::Forever);
    for _ in 0..3 {
        let error = file.write_all_at(b"x", 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        file.sync().unwrap();
    }
    assert_eq!(store.fired(), 3);
    store.heal();
    file.write_all_at(b"x", 0).unwrap();
}

#[test]
fn only_the_kind_that_was_asked_for_fails() {
    let (store, _) = store();
    store.fail_only(CallKind::SyncDir, 1, Fault::Sync, Repeat::Forever);
    let file = store.create(Path::new("a")).unwrap();
    file.sync().unwrap();
    store.sync_dir(Path::new("")).unwrap_err();
    store.fail_only(CallKind::Rename, 1, Fault::Io, Repeat::Once);
    store.rename(Path::new("a"), Path::new("b")).unwrap_err();
    store.rename(Path::new("a"), Path::new("b")).unwrap();
}

#[test]
fn interruptions_are_repeated_but_not_for_ever() {
    let (store, _) = store();
    let file = store.create(Path::new("a")).unwrap();
    for call in 0..3 {
        store.fail(store.calls() + call, Fault::Interrupted, Repeat::Once);
    }
    file.write_all_at(b"whole", 0).unwrap();
    assert_eq!(store.fired(), 3);
    store.fail(1, Fault::Interrupted, Repeat::Forever);
    let mut buf = [0; 5];
    assert_eq!(
        file.read_exact_at(&mut buf, 0).unwrap_err().kind(),
        ErrorKind::Interrupted
    );
    assert_eq!(
        file.write_all_at(b"x", 0).unwrap_err().kind(),
        ErrorKind::Interrupted
    );
    store.heal();
    file.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(&buf, b"whole");
}

#[test]
fn a_short_write_leaves_half_and_then_the_disk_is_full() {
    let (store, mem) = store();
    let file = store.create(Path::new("a")).unwrap();
    store.fail(1, Fault::ShortWrite, Repeat::Once);
    assert_eq!(
        file.write_all_at(b"12345678", 0).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    assert_eq!(get(&mem, "a"), Some(b"1234".to_vec()));
    file.write_all_at(b"ABCDEFGH", 0).unwrap();
    assert_eq!(get(&mem, "a"), Some(b"ABCDEFGH".to_vec()));
}

#[test]
fn a_full_disk_takes_what_fits_and_gets_room_back() {
    let (store, mem) = store();
    mem.create_dir(Path::new("d")).unwrap();
    put(&mem, "d/before", &[0; 30]);
    store.set_capacity(Path::new(""), 100).unwrap();
    assert_eq!(store.used(), 30);
    let file = store.create(Path::new("a")).unwrap();
    file.write_all_at(&[1; 50], 0).unwrap();
    assert_eq!(file.write_at(&[2; 50], 50).unwrap(), 20);
    assert_eq!(
        file.write_at(&[2; 50], 70).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    file.write_all_at(&[3; 70], 0).unwrap();
    assert_eq!(store.used(), 100);
    // Removing gives room when the last name and the last handle are gone.
    store
        .link(Path::new("d/before"), Path::new("d/link"))
        .unwrap();
    store.remove(Path::new("d/before")).unwrap();
    assert_eq!(store.used(), 100);
    store.remove(Path::new("d/link")).unwrap();
    assert_eq!(store.used(), 70);
    file.set_len(10).unwrap();
    assert_eq!(store.used(), 10);
    store.rename(Path::new("a"), Path::new("b")).unwrap();
    store.remove(Path::new("b")).unwrap();
    assert_eq!(store.used(), 10, "an open file keeps its room");
    drop(file);
    assert_eq!(store.used(), 0);
    store.clear_capacity();
    put(&store, "big", &[0; 1000]);
}

#[test]
fn extending_a_file_reserves_nothing() {
    let (store, _) = store();
    store.set_capacity(Path::new(""), 100).unwrap();
    let file = store.create(Path::new("a")).unwrap();
    file.set_len(1000).unwrap();
    assert_eq!(store.used(), 0);
    assert_eq!(file.write_at(&[1; 10], 95).unwrap(), 5);
    assert_eq!(
        file.write_at(&[1; 10], 500).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
}

#[test]
fn a_replaced_file_gives_its_room_back() {
    let (store, _) = store();
    put(&store, "d", &[0; 10]);
    put(&store, "tmp", &[0; 7]);
    store.rename(Path::new("tmp"), Path::new("d")).unwrap();
    assert_eq!(store.used(), 7);
}

#[test]
fn the_last_calls_tell_what_happened() {
    let (store, _) = store();
    let file = store.create(Path::new("a")).unwrap();
    store.fail_only(CallKind::Write, 1, Fault::Io, Repeat::Once);
    file.write_all_at(b"xyz", 4).unwrap_err();
    assert_eq!(
        store.last_calls(),
        ["call 1: Create a", "call 2: Write a, 3 bytes at 4: Io"]
    );
    for _ in 0..100 {
        file.len().unwrap();
    }
    assert_eq!(store.last_calls().len(), 64);
    assert_eq!(store.last_calls()[63], "call 102: Len a");
}
