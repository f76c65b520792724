//! What a power cut may do, rule by rule, and what it may not.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{get, put};
use crate::vfs::{CrashVfs, Fault, FaultVfs, MemVfs, Repeat, Vfs};

const SEED: u64 = 42;

/// What one file holds in the images of a power cut now: none where it is missing.
fn states(store: &CrashVfs, path: &str, count: u64) -> BTreeSet<Option<Vec<u8>>> {
    store
        .images(store.calls(), SEED, count)
        .map(|image| get(&image, path))
        .collect()
}

/// A store whose file `a` holds `bytes`, all of it durable.
fn durable(bytes: &[u8]) -> CrashVfs {
    let image = MemVfs::new();
    put(&image, "a", bytes);
    CrashVfs::resume(&image)
}

#[test]
fn what_is_synced_is_in_every_image() {
    let store = CrashVfs::new();
    let file = store.create(Path::new("a")).unwrap();
    file.write_all_at(b"synced", 0).unwrap();
    file.sync().unwrap();
    store.sync_dir(Path::new("")).unwrap();
    assert_eq!(store.unsynced(store.calls()), 0);
    assert_eq!(store.images(store.calls(), SEED, 100).count(), 1);
    file.write_all_at(b", more", 6).unwrap();
    for bytes in states(&store, "a", 500) {
        assert_eq!(&bytes.unwrap()[..6], b"synced");
    }
}

#[test]
fn a_new_file_may_be_missing_until_its_directory_is_synced() {
    let store = CrashVfs::new();
    let file = store.create(Path::new("a")).unwrap();
    file.write_all_at(b"synced", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(
        states(&store, "a", 100),
        BTreeSet::from([None, Some(b"synced".to_vec())])
    );
    store.sync_dir(Path::new("")).unwrap();
    assert_eq!(
        states(&store, "a", 100),
        BTreeSet::from([Some(b"synced".to_vec())])
    );
}

#[test]
fn a_new_directory_may_be_missing_with_all_that_is_in_it() {
    let store = CrashVfs::new();
    store.create_dir(Path::new("d")).unwrap();
    put(&store, "d/a", b"");
    store.sync_dir(Path::new("d")).unwrap();
    assert_eq!(
        states(&store, "d/a", 100),
        BTreeSet::from([None, Some(Vec::new())])
    );
    store.sync_dir(Path::new("")).unwrap();
    assert_eq!(
        states(&store, "d/a", 100),
        BTreeSet::from([Some(Vec::new())])
    );
}

#[test]
fn a_removed_file_may_come_back_until_its_directory_is_synced() {
    let store = durable(b"x");
    store.remove(Path::new("a")).unwrap();
    assert_eq!(
        states(&store, "a", 100),
        BTreeSet::from([None, Some(b"x".to_vec())])
    );
    store.sync_dir(Path::new("")).unwrap();
    assert_eq!(states(&store, "a", 100), BTreeSet::from([None]));
}

#[test]
fn a_write_may_be_torn_at_the_lengths_where_disks_tear() {
    let len = 10_000;
    let store = durable(&vec![1; len]);
    store
        .open_rw(Path::new("a"))
        .unwrap()
        .write_all_at(&vec![2; len], 0)
        .unwrap();
    let mut prefixes = BTreeSet::new();
    let mut zeroed = false;
    let mut garbage = false;
    for state in states(&store, "a", 2000) {
        let state = state.unwrap();
        assert_eq!(state.len(), len);
        zeroed |= state.iter().all(|&byte| byte == 0);
        garbage |= state.iter().filter(|&&byte| byte > 2).count() > len / 2;
        let prefix = state.iter().take_while(|&&byte| byte == 2).count();
        if state[prefix..].iter().all(|&byte| byte == 1) {
            prefixes.insert(prefix);
        }
    }
    assert!(zeroed, "the written range may read as zeros");
    assert!(garbage, "the written range may read as garbage");
    for expected in [0, 1, 512, 4096, len - 1, len] {
        assert!(
            prefixes.contains(&expected),
            "{expected} not in {prefixes:?}"
        );
    }
}

#[test]
fn a_write_may_arrive_from_its_end_or_in_any_of_its_sectors() {
    let (offset, len) = (100, 5000);
    let old = vec![1; offset + len];
    let data: Vec<u8> = (0..len).map(|index| (index % 250) as u8 + 2).collect();
    let store = durable(&old);
    store
        .open_rw(Path::new("a"))
        .unwrap()
        .write_all_at(&data, offset as u64)
        .unwrap();
    let (mut from_end, mut by_sector) = (0, 0);
    for state in states(&store, "a", 1000).into_iter().flatten() {
        let written = &state[offset..];
        if !written
            .iter()
            .zip(&data)
            .all(|(byte, new)| byte == new || *byte == 1)
        {
            continue;
        }
        let is_new = |index: &usize| written[*index] != 1;
        let edges: Vec<_> = (1..len)
            .filter(|&at| is_new(&at) != is_new(&(at - 1)))
            .collect();
        from_end += u32::from(edges.len() == 1 && is_new(&(len - 1)));
        let aligned = edges.iter().all(|edge| (offset + edge) % 512 == 0);
        by_sector += u32::from(edges.len() >= 3 && aligned);
    }
    assert!(
        from_end > 5 && by_sector > 5,
        "{from_end} from the end, {by_sector} by sector"
    );
}

#[test]
fn a_name_that_is_used_again_brings_along_what_happened_to_it_before() {
    let store = durable(b"old");
    store.rename(Path::new("a"), Path::new("b")).unwrap();
    put(&store, "a", b"new");
    for image in store.images(store.calls(), SEED, 100) {
        let names = ["a", "b"].map(|name| get(&image, name));
        assert!(names.contains(&Some(b"old".to_vec())), "{names:?}");
    }
}

#[test]
fn a_durable_name_makes_durable_what_happened_to_it_before() {
    let store = durable(b"old");
    store.create_dir(Path::new("d")).unwrap();
    store.sync_dir(Path::new("")).unwrap();
    store.rename(Path::new("a"), Path::new("d/a")).unwrap();
    store.create(Path::new("a")).unwrap();
    // The directory "d" is not synced, but the new "a" cannot be there beside the old one.
    store.sync_dir(Path::new("")).unwrap();
    assert_eq!(states(&store, "a", 50), BTreeSet::from([Some(Vec::new())]));
    assert_eq!(
        states(&store, "d/a", 50),
        BTreeSet::from([Some(b"old".to_vec())])
    );
}

#[test]
fn a_rename_onto_another_name_of_the_same_file_removes_nothing() {
    let store = durable(b"x");
    store.link(Path::new("a"), Path::new("b")).unwrap();
    store.rename(Path::new("a"), Path::new("b")).unwrap();
    store.sync_dir(Path::new("")).unwrap();
    assert_eq!(
        states(&store, "a", 50),
        BTreeSet::from([Some(b"x".to_vec())])
    );
    assert_eq!(
        states(&store, "b", 50),
        BTreeSet::from([Some(b"x".to_vec())])
    );
}

#[test]
fn the_writes_of_a_file_that_is_gone_for_good_are_forgotten() {
    let store = durable(b"x");
    store
        .open_rw(Path::new("a"))
        .unwrap()
        .write_all_at(b"y", 0)
        .unwrap();
    store.remove(Path::new("a")).unwrap();
    assert_eq!(store.unsynced(store.calls()), 2);
    store.sync_dir(Path::new("")).unwrap();
    assert_eq!(store.unsynced(store.calls()), 0);
    // Asking about an earlier call after a later one starts again from the beginning.
    assert_eq!([0, 1, 2].map(|call| store.unsynced(call)), [0, 1, 2]);
    assert_eq!(get(&store.image(1, SEED, 0), "a"), Some(b"x".to_vec()));
}

#[test]
fn bytes_outside_of_the_written_range_never_change() {
    let store = durable(&[1; 3000]);
    store
        .open_rw(Path::new("a"))
        .unwrap()
        .write_all_at(&[2; 1000], 1000)
        .unwrap();
    for state in states(&store, "a", 1000) {
        let state = state.unwrap();
        assert_eq!(&state[..1000], [1; 1000]);
        assert_eq!(&state[2000..], [1; 1000]);
    }
}

#[test]
fn a_file_may_grow_before_its_data_arrives() {
    let store = durable(b"old");
    store
        .open_rw(Path::new("a"))
        .unwrap()
        .write_all_at(b"new", 3)
        .unwrap();
    let states = states(&store, "a", 500);
    for expected in [&b"old"[..], b"oldnew", b"oldn", b"old\0\0\0", b"oldold"] {
        assert!(
            states.contains(&Some(expected.to_vec())),
            "{expected:?} in {states:?}"
        );
    }
    assert!(
        states
            .iter()
            .flatten()
            .all(|state| state.len() <= 6 && state.starts_with(b"old"))
    );
}

#[test]
fn a_cut_or_an_extension_may_be_lost() {
    let store = durable(b"1234567890");
    let file = store.open_rw(Path::new("a")).unwrap();
    file.set_len(4).unwrap();
    let cut = BTreeSet::from([Some(b"1234567890".to_vec()), Some(b"1234".to_vec())]);
    assert_eq!(states(&store, "a", 200), cut);
    file.sync().unwrap();
    file.set_len(6).unwrap();
    let grown = states(&store, "a", 200);
    assert!(grown.contains(&Some(b"1234".to_vec())));
    assert!(grown.contains(&Some(b"1234\0\0".to_vec())));
    assert!(
        grown
            .iter()
            .flatten()
            .all(|state| state.starts_with(b"1234") && state.len() <= 6)
    );
}

#[test]
fn with_few_unsynced_calls_every_subset_is_there() {
    let store = durable(&[b'.'; 8]);
    let file = store.open_rw(Path::new("a")).unwrap();
    for at in 0..8 {
        file.write_all_at(b"#", at).unwrap();
    }
    let even: BTreeSet<_> = (0..512).step_by(2).collect();
    let call = store.calls();
    let mut subsets: BTreeSet<_> = even
        .into_iter()
        .map(|index| get(&store.image(call, SEED, index), "a").unwrap())
        .collect();
    subsets.insert(get(&store.image(call, SEED, 1), "a").unwrap());
    assert_eq!(subsets.len(), 256);
}

#[test]
fn the_first_images_have_lost_everything_and_nothing() {
    let store = durable(b"old");
    store
        .open_rw(Path::new("a"))
        .unwrap()
        .write_all_at(b"new", 0)
        .unwrap();
    put(&store, "b", b"b");
    let none = store.image(store.calls(), SEED, 0);
    assert_eq!(
        (get(&none, "a"), get(&none, "b")),
        (Some(b"old".to_vec()), None)
    );
    let all = store.image(store.calls(), SEED, 1);
    assert_eq!(all.files(), store.kill_image().files());
    assert_eq!(get(&all, "a"), Some(b"new".to_vec()));
}

#[test]
fn a_rename_is_there_as_a_whole_or_not_at_all() {
    let store = durable(b"old");
    put(&store, "tmp", b"new");
    store.open_rw(Path::new("tmp")).unwrap().sync().unwrap();
    store.sync_dir(Path::new("")).unwrap();
    store.rename(Path::new("tmp"), Path::new("a")).unwrap();
    let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    let pairs: BTreeSet<_> = store
        .images(store.calls(), SEED, 100)
        .map(|image| (get(&image, "a"), get(&image, "tmp")))
        .collect();
    assert_eq!(pairs, BTreeSet::from([(old, new.clone()), (new, None)]));
}

#[test]
fn a_rename_between_directories_is_durable_after_both_are_synced() {
    let store = durable(b"x");
    store.create_dir(Path::new("d")).unwrap();
    store.sync_dir(Path::new("")).unwrap();
    store.rename(Path::new("a"), Path::new("d/a")).unwrap();
    store.sync_dir(Path::new("d")).unwrap();
    let places = |store: &CrashVfs| -> BTreeSet<_> {
        let images = store.images(store.calls(), SEED, 100);
        images
            .map(|image| (get(&image, "a").is_some(), get(&image, "d/a").is_some()))
            .collect()
    };
    assert_eq!(
        places(&store),
        BTreeSet::from([(true, false), (false, true)])
    );
    store.sync_dir(Path::new("")).unwrap();
    assert_eq!(places(&store), BTreeSet::from([(false, true)]));
}

#[test]
fn a_link_may_be_lost_and_never_hurts_the_first_name() {
    let store = durable(b"x");
    store.link(Path::new("a"), Path::new("b")).unwrap();
    store.remove(Path::new("a")).unwrap();
    // Both calls are of the same directory and of different names: each may be lost by itself.
    assert_eq!(states(&store, "a", 100).len(), 2);
    store.sync_dir(Path::new("")).unwrap();
    assert_eq!(
        states(&store, "b", 100),
        BTreeSet::from([Some(b"x".to_vec())])
    );
}

/// Writes `new` beside `a` and renames it over `a`; without `sync_file` it is the classic mistake.
fn publish(store: &dyn Vfs, sync_file: bool) {
    let file = store.create(Path::new("tmp")).unwrap();
    file.write_all_at(b"new", 0).unwrap();
    if sync_file {
        file.sync().unwrap();
    }
    store.rename(Path::new("tmp"), Path::new("a")).unwrap();
    store.sync_dir(Path::new("")).unwrap();
}

#[test]
fn publishing_is_atomic_at_every_call_and_a_missing_sync_is_found() {
    for sync_file in [true, false] {
        let store = durable(b"old");
        publish(&store, sync_file);
        let mut broken = 0;
        for call in 0..=store.calls() {
            for image in store.images(call, SEED, 200) {
                let state = get(&image, "a").unwrap();
                broken += u32::from(state != b"old" && state != b"new");
            }
        }
        assert_eq!(broken == 0, sync_file, "{broken} broken images");
        let last = get(&store.image(store.calls(), SEED, 0), "a").unwrap();
        assert_eq!(last == b"new", sync_file, "acknowledged means durable");
    }
}

#[test]
fn after_a_failed_sync_a_later_one_does_not_bring_the_data_back() {
    let crash = durable(b"....");
    let store = FaultVfs::new(Arc::new(crash.clone()));
    let file = store.open_rw(Path::new("a")).unwrap();
    file.write_all_at(b"A", 0).unwrap();
    store.fail(1, Fault::Sync, Repeat::Once);
    assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(libc::EIO));
    file.write_all_at(b"B", 1).unwrap();
    file.sync().unwrap();
    let states = states(&crash, "a", 100);
    // The write before the failure is there or not; the one after it was synced truly.
    assert!(states.contains(&Some(b".B..".to_vec())));
    assert!(states.contains(&Some(b"AB..".to_vec())));
    assert!(
        states
            .iter()
            .flatten()
            .all(|state| state[1] == b'B' && &state[2..] == b"..")
    );
    assert_eq!(
        get(&store, "a"),
        Some(b"AB..".to_vec()),
        "the running program sees its write"
    );
}

#[test]
fn after_a_failed_directory_sync_names_stay_uncertain() {
    let crash = CrashVfs::new();
    let store = FaultVfs::new(Arc::new(crash.clone()));
    put(&store, "a", b"");
    store.fail(1, Fault::Sync, Repeat::Once);
    store.sync_dir(Path::new("")).unwrap_err();
    put(&store, "b", b"");
    store.sync_dir(Path::new("")).unwrap();
    assert_eq!(
        states(&crash, "a", 100),
        BTreeSet::from([None, Some(Vec::new())])
    );
    assert_eq!(states(&crash, "b", 100), BTreeSet::from([Some(Vec::new())]));
}

#[test]
fn a_recovery_may_crash_too() {
    let store = durable(b"log");
    store
        .open_rw(Path::new("a"))
        .unwrap()
        .write_all_at(b"+", 3)
        .unwrap();
    let mut seen = BTreeSet::new();
    for image in store.images(store.calls(), SEED, 50) {
        // The recovery cuts the file back. What it found was durable, whatever it was.
        let found = get(&image, "a").unwrap();
        let again = CrashVfs::resume(&image);
        again.open_rw(Path::new("a")).unwrap().set_len(3).unwrap();
        for call in 0..=again.calls() {
            for second in again.images(call, SEED, 20) {
                let state = get(&second, "a").unwrap();
                assert!(
                    state == found || state == b"log",
                    "{state:?} from {found:?}"
                );
                seen.insert(state);
            }
        }
        assert_eq!(get(&image, "a").unwrap(), found, "the image itself stays");
    }
    assert!(seen.len() > 2);
}

#[test]
fn an_image_is_named_by_its_numbers() {
    let store = durable(&[1; 5000]);
    let file = store.open_rw(Path::new("a")).unwrap();
    for at in 0..20 {
        file.write_all_at(&[at as u8; 700], at * 200).unwrap();
    }
    let call = store.calls() - 3;
    for (index, image) in store.images(call, 7, 300).enumerate() {
        assert_eq!(image.files(), store.image(call, 7, index as u64).files());
    }
    let text = store.describe(call, 7, 1);
    assert_eq!(text.lines().count(), store.unsynced(call));
    assert!(
        text.contains("call 1: write of file 1, 700 bytes at 0: Kept"),
        "{text}"
    );
    assert_eq!(
        store.last_calls(call, 1),
        ["call 17: write a, 700 bytes at 3200"]
    );
}

#[test]
fn locks_are_gone_after_a_crash() {
    let store = CrashVfs::new();
    let _lock = store.lock(Path::new("LOCK")).unwrap();
    for image in store
        .images(store.calls(), SEED, 10)
        .chain([store.kill_image()])
    {
        image.lock(Path::new("LOCK")).unwrap();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Write { offset: usize, data: Vec<u8> },
    Sync,
    Rename,
    SyncDir,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let data = proptest::collection::vec(any::<u8>(), 1..40);
    let step = prop_oneof![
        4 => (0..100_usize, data).prop_map(|(offset, data)| Step::Write { offset, data }),
        2 => Just(Step::Sync),
        1 => Just(Step::Rename),
        1 => Just(Step::SyncDir),
    ];
    proptest::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// A plain model of the promise: a byte is certain while nothing was written over it since a
    /// sync covered it, and the file has exactly one of the names that it had since the last sync
    /// of the directory.
    #[test]
    fn no_image_breaks_the_promise(steps in steps(), seed: u64) {
        let store = durable(b"");
        let file = store.open_rw(Path::new("a")).unwrap();
        let (mut bytes, mut certain) = (Vec::new(), Vec::new());
        let (mut name, mut names) = (0, BTreeSet::from([0]));
        for step in steps {
            match step {
                Step::Write { offset, data } => {
                    file.write_all_at(&data, offset as u64).unwrap();
                    let end = offset + data.len();
                    bytes.resize(bytes.len().max(end), 0);
                    bytes[offset..end].copy_from_slice(&data);
                    certain.iter_mut().take(end).skip(offset).for_each(|byte| *byte = None);
                }
                Step::Sync => {
                    file.sync().unwrap();
                    certain = bytes.iter().copied().map(Some).collect();
                }
                Step::Rename => {
                    let [from, to] = [name, 1 - name].map(|name| ["a", "b"][name]);
                    store.rename(Path::new(from), Path::new(to)).unwrap();
                    name = 1 - name;
                    names.insert(name);
                }
                Step::SyncDir => {
                    store.sync_dir(Path::new("")).unwrap();
                    names = BTreeSet::from([name]);
                }
            }
            for image in store.images(store.calls(), seed, 12) {
                let files = image.files();
                prop_assert_eq!(files.len(), 1);
                let (path, found) = &files[0];
                prop_assert!(names.iter().any(|&name| path == Path::new(["a", "b"][name])));
                prop_assert!(found.len() >= certain.len() && found.len() <= bytes.len());
                for (byte, certain) in found.iter().zip(&certain) {
                    prop_assert!(certain.is_none_or(|certain| certain == *byte));
                }
            }
        }
        let all = store.image(store.calls(), seed, 1).files();
        prop_assert_eq!(&all[0].1[..], &bytes[..]);
    }
}
