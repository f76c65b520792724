//! The manifest alone: power cuts at every call of its commits and of its rewrites.
//!
//! Blocks come and go a hundred at a time, so that the file is mostly history and is written anew
//! several times; a flush alone never gets there.

use super::*;
use crate::vfs::{CrashVfs, MemVfs};
use format::BlockEntry;

const IMAGES: u64 = 12;

/// Edit number `number`: a hundred blocks take the place of the last hundred.
fn edit(number: u64) -> Edit {
    let block = |id| BlockEntry {
        id,
        namespace: 0,
        level: 0,
        min_time: -(id as i64) << 40,
        max_time: (id as i64) << 40,
        min_sequence: number,
        max_sequence: number,
        bytes: id << 20,
        purged: number,
        step: 0,
    };
    let ids = |number: u64| number * 100..(number + 1) * 100;
    Edit {
        next_block: (number + 1) * 100,
        flushed_through: number,
        wal_floor: number,
        add: ids(number).map(block).collect(),
        remove: number
            .checked_sub(1)
            .map(ids)
            .into_iter()
            .flatten()
            .collect(),
        ..Edit::default()
    }
}

/// What the manifest of an image says; `None` without one.
fn state_of(image: &MemVfs) -> Option<State> {
    let opened = Manifest::open(Arc::new(image.clone()), Path::new("/"));
    opened.unwrap().map(|(manifest, _)| manifest.state)
}

#[test]
fn a_power_cut_in_any_commit_or_rewrite_leaves_the_state_before_or_after_it() {
    let store = CrashVfs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(store.clone());
    let reserve = Reserve::new(Arc::clone(&vfs), Path::new("/"), 0);
    let create = Manifest::create(Arc::clone(&vfs), Path::new("/"), 7, State::default());
    let mut manifest = create.unwrap();
    // The states, and the numbers of calls between which each became durable.
    let mut states = vec![(0, store.calls(), State::default())];
    let mut rewrites = 0;
    for number in 0..70 {
        let (calls, len) = (store.calls(), manifest.len);
        manifest.commit(&edit(number), &reserve).unwrap();
        rewrites += u64::from(manifest.len < len);
        states.push((calls, store.calls(), manifest.state.clone()));
    }
    assert!(rewrites >= 2, "{rewrites} rewrites");
    let mut images = 0;
    for call in 0..=store.calls() {
        let durable = states.iter().rposition(|state| state.1 <= call);
        let begun = states.iter().rposition(|state| state.0 < call).unwrap_or(0);
        let allowed = &states[durable.unwrap_or(0)..=begun];
        for (index, image) in store.images(call, 3, IMAGES).enumerate() {
            let found = state_of(&image);
            let right = match &found {
                None => durable.is_none(),
                Some(found) => allowed.iter().any(|(_, _, state)| state == found),
            };
            assert!(
                right,
                "call {call}, image {index}:\n{}",
                store.describe(call, 3, index as u64)
            );
            // What was read is durable: a power cut right after it changes nothing.
            let again = CrashVfs::resume(&store.image(call, 3, index as u64));
            drop(Manifest::open(Arc::new(again.clone()), Path::new("/")).unwrap());
            for image in again.images(again.calls(), 3, 3) {
                assert_eq!(state_of(&image), found, "call {call}, image {index}");
            }
            images += 1;
        }
    }
    assert!(images > 500, "{images} images");
}

#[test]
fn a_rewrite_that_fails_keeps_the_long_manifest() {
    use crate::vfs::{CallKind, Fault, FaultVfs, Repeat};
    let faults = FaultVfs::new(Arc::new(MemVfs::new()));
    let vfs: Arc<dyn Vfs> = Arc::new(faults.clone());
    let reserve = Reserve::new(Arc::clone(&vfs), Path::new("/"), 0);
    let create = Manifest::create(Arc::clone(&vfs), Path::new("/"), 7, State::default());
    let mut manifest = create.unwrap();
    faults.fail_only(CallKind::Create, 1, Fault::NoSpace, Repeat::Forever);
    for number in 0..30 {
        manifest.commit(&edit(number), &reserve).unwrap();
    }
    assert!(manifest.len > REWRITE_BYTES && faults.fired() > 0);
    let (long, state) = (manifest.len, manifest.state.clone());
    faults.heal();
    manifest.commit(&edit(30), &reserve).unwrap();
    assert!(manifest.len < long / 2);
    assert_ne!(manifest.state, state);
    let opened = Manifest::open(vfs, Path::new("/")).unwrap();
    assert_eq!(opened.unwrap().0.state, manifest.state);
}
