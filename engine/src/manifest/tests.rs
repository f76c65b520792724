//! The manifest alone: power cuts at every call of its commits and of its rewrites.
//!
//! Blocks come and go a hundred at a time, so that the file is mostly history and is written anew
//! several times; a flush alone never gets there.

mod damage;
mod flushes;
mod golden;
mod model;
mod records;
mod upgrade;

use super::*;
use crate::metadata::{Metadata, MetricKind};
use crate::namespace::options::NamespaceOptions;
use crate::tombstone::Tombstone;
use crate::vfs::{CrashVfs, MemVfs};
use crate::wal::change::{MetadataChange, NamespaceChange};
use format::BlockEntry;
use treering_index::Selector;

const IMAGES: u64 = 12;

/// Edit number `number`: a hundred blocks take the place of the last hundred, and with them the
/// namespace they were in, its tombstone and its metadata.
fn edit(number: u64) -> Edit {
    let block = |id| BlockEntry {
        id,
        namespace: number as u32 + 1,
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
    let id = number as u32 + 1;
    let create = NamespaceChange::Create {
        id,
        name: format!("n{}", number % 3),
        options: NamespaceOptions::default().max_series(1 + number),
    };
    let drop = (number > 0).then(|| NamespaceChange::Drop { id: id - 1 });
    let tombstone = Tombstone {
        sequence: number,
        namespace: id,
        selector: Selector::metric("cpu"),
        first: -1,
        last: number as i64,
    };
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
        purge: ids(number).step_by(50).map(|id| (id, number + 1)).collect(),
        namespaces: drop.into_iter().chain([create]).collect(),
        tombstones: (number > 0).then_some(tombstone).into_iter().collect(),
        metadata: vec![metadata(id, "cpu", 9)],
        ..Edit::default()
    }
}

fn metadata(namespace: u32, metric: &str, help: usize) -> MetadataChange {
    MetadataChange {
        namespace,
        metric: metric.to_owned(),
        metadata: Some(Metadata::new(MetricKind::Gauge).help("h".repeat(help))),
    }
}

/// A manifest of database 7 in a new store.
fn new_manifest() -> (Manifest, Reserve, Arc<dyn Vfs>) {
    let vfs: Arc<dyn Vfs> = Arc::new(MemVfs::new());
    let reserve = Reserve::new(Arc::clone(&vfs), Path::new("/"), 0);
    let made = Manifest::create(Arc::clone(&vfs), Path::new("/"), 7, State::default());
    (made.unwrap(), reserve, vfs)
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

#[test]
fn metadata_is_written_anew_when_it_is_mostly_history_and_only_then() {
    let (mut manifest, reserve, vfs) = new_manifest();
    let mut commit = |change: MetadataChange| {
        let len = manifest.len;
        let mut edit = manifest.edit();
        edit.metadata.push(change);
        manifest.commit(&edit, &reserve).unwrap();
        assert_eq!(
            manifest.len,
            vfs.open(Path::new("/manifest")).unwrap().len().unwrap()
        );
        manifest.len < len
    };
    let grown = (0..500).filter(|number| commit(metadata(0, &format!("m{number}"), 1000)));
    assert_eq!(grown.count(), 0, "everything is live");
    let replaced =
        (0..4000).filter(|number| commit(metadata(0, &format!("m{}", number % 500), 1000)));
    let replaced = replaced.count();
    assert!(
        (2..=4).contains(&replaced),
        "{replaced} times for eight times the live bytes"
    );
    assert_eq!(manifest.state.metadata.len(), 500);
}

#[test]
fn an_edit_starts_from_the_counters_of_now() {
    let (mut manifest, reserve, _) = new_manifest();
    manifest.commit(&edit(0), &reserve).unwrap();
    manifest.commit(&edit(1), &reserve).unwrap();
    let before = manifest.state.clone();
    manifest.commit(&manifest.edit(), &reserve).unwrap();
    assert_eq!(manifest.state, before);
    assert_eq!(
        (manifest.edit().next_block, manifest.edit().next_namespace),
        (200, 3)
    );
}

#[test]
fn what_would_not_be_read_is_not_written() {
    let path = Path::new("/manifest");
    let most = RECORD_HEADER_BYTES + MAX_MANIFEST_RECORD_BYTES;
    check_length(path, 0, most).unwrap();
    check_length(path, MAX_BYTES - most as u64, most).unwrap();
    for (at, record) in [(0, most + 1), (MAX_BYTES - 99, 100), (u64::MAX, 1)] {
        match check_length(path, at, record) {
            Err(Failure::Refused(error)) if error.is_limit() => (),
            other => panic!("{at}, {record}: {other:?}"),
        }
    }
}
