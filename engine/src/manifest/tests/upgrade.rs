//! From version 1 to this one: read as it is, written anew with the first change.

use super::*;
use crate::vfs::{CallKind, Fault, FaultVfs, Repeat};

/// Written by the release that knew version 1 only.
const OLD: &[u8] = include_bytes!("../../../tests/golden/v1.manifest");

/// The version in the header of the manifest in `vfs`.
fn version(vfs: &dyn Vfs) -> u32 {
    let bytes = vfs.read(Path::new("/manifest"), MAX_BYTES).unwrap();
    format::decode_header(&bytes).unwrap().1
}

fn put_old(vfs: &dyn Vfs) {
    let file = vfs.create(Path::new("/manifest")).unwrap();
    file.write_all_at(OLD, 0).unwrap();
    file.sync().unwrap();
    vfs.sync_dir(Path::new("/")).unwrap();
}

fn open(vfs: &Arc<dyn Vfs>) -> Manifest {
    let opened = Manifest::open(Arc::clone(vfs), Path::new("/")).unwrap();
    let mut manifest = opened.unwrap().0;
    manifest.renew().unwrap();
    manifest
}

/// A namespace comes and a block of the old version is purged.
fn change(manifest: &Manifest) -> Edit {
    let mut edit = manifest.edit();
    edit.namespaces.push(NamespaceChange::Create {
        id: edit.next_namespace,
        name: "new".to_owned(),
        options: NamespaceOptions::default(),
    });
    edit.purge.push((2, 7));
    edit
}

#[test]
fn an_old_manifest_has_the_default_namespace_and_blocks_purged_up_to_their_samples() {
    let vfs: Arc<dyn Vfs> = Arc::new(MemVfs::new());
    put_old(&*vfs);
    let manifest = open(&vfs);
    let state = manifest.state();
    assert_eq!(state.namespaces, State::default().namespaces);
    assert_eq!(state.next_namespace, 1);
    let purged: Vec<_> = state
        .blocks
        .values()
        .map(|block| (block.purged, block.step))
        .collect();
    assert_eq!(purged, [(5, 0), (6, 0)]);
    assert_eq!(version(&*vfs), 1, "opening changes no version");
}

#[test]
fn a_power_cut_in_the_first_change_leaves_the_old_version_or_the_new() {
    let store = CrashVfs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(store.clone());
    put_old(&*vfs);
    let reserve = Reserve::new(Arc::clone(&vfs), Path::new("/"), 0);
    let mut manifest = open(&vfs);
    let before = (manifest.state.clone(), store.calls());
    manifest.commit(&change(&manifest), &reserve).unwrap();
    let after = (manifest.state.clone(), store.calls());
    assert_eq!(version(&*vfs), VERSION);
    let mut edit = manifest.edit();
    edit.metadata.push(metadata(1, "cpu", 5));
    manifest.commit(&edit, &reserve).unwrap();
    let last = (manifest.state.clone(), store.calls());
    let (mut old, mut new) = (0, 0);
    for call in before.1..=last.1 {
        for (index, image) in store.images(call, 3, 12).enumerate() {
            let found = state_of(&image).unwrap();
            let place = format!("call {call}, image {index}");
            if version(&image) == 1 {
                assert!(found == before.0 && call < after.1, "{place}");
                old += 1;
            } else {
                let known = found == after.0 || (found == last.0 && call > after.1);
                assert!(known && call > before.1, "{place}");
                assert!(found == last.0 || call < last.1, "{place}");
                new += 1;
            }
        }
    }
    assert!(old > 10 && new > 10, "{old} old, {new} new");
}

#[test]
fn on_a_full_disk_the_old_manifest_stays_until_there_is_room() {
    let memory: Arc<dyn Vfs> = Arc::new(MemVfs::new());
    put_old(&*memory);
    let faults = FaultVfs::new(Arc::clone(&memory));
    let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
    let reserve = Reserve::new(Arc::clone(&vfs), Path::new("/"), 0);
    faults.fail_only(CallKind::Create, 1, Fault::NoSpace, Repeat::Forever);
    let mut manifest = open(&vfs);
    let before = manifest.state.clone();
    for _ in 0..2 {
        match manifest.commit(&change(&manifest), &reserve) {
            Err(Failure::Refused(error)) => assert!(error.is_disk_full(), "{error}"),
            other => panic!("{other:?}"),
        }
        assert_eq!((&manifest.state, version(&*memory)), (&before, 1));
    }
    faults.heal();
    manifest.commit(&change(&manifest), &reserve).unwrap();
    manifest.commit(&manifest.edit(), &reserve).unwrap();
    assert_eq!(version(&*memory), VERSION);
    assert_eq!(open(&memory).state, manifest.state);
    assert_ne!(manifest.state, before);
}
