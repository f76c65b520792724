//! Changes between two flushes: the edit they end in has the effect that each alone would have.

use proptest::prelude::*;

use super::*;
use crate::wal::change::{Change, Delete};
use pending::Pending;

/// Changes over few namespaces, metrics and names.
fn changes() -> impl Strategy<Value = Change> {
    let metric = prop::sample::select(vec!["cpu", "mem"]);
    let name = prop::sample::select(vec!["a", "b"]);
    let options = |series| NamespaceOptions::default().max_series(series);
    prop_oneof![
        3 => (1u32..9, name, 1u64..9).prop_map(move |(id, name, series)| {
            let (name, options) = (name.to_owned(), options(series));
            Change::Namespace(NamespaceChange::Create { id, name, options })
        }),
        1 => (0u32..9, 1u64..9).prop_map(move |(id, series)| {
            let options = options(series);
            Change::Namespace(NamespaceChange::Alter { id, options })
        }),
        1 => (1u32..9).prop_map(|id| Change::Namespace(NamespaceChange::Drop { id })),
        2 => (0u32..9, 0i64..9).prop_map(|(namespace, last)| Change::Delete(Delete {
            namespace,
            selector: Selector::metric("cpu"),
            first: 0,
            last,
        })),
        2 => (0u32..9, metric, prop::option::of(0usize..9)).prop_map(|(namespace, metric, help)| {
            let made = metadata(namespace, metric, help.unwrap_or(0));
            let metadata = made.metadata.filter(|_| help.is_some());
            Change::Metadata(MetadataChange { metadata, ..made })
        }),
    ]
}

fn edit_of(state: &State, sequence: u64, change: Option<&Change>) -> Edit {
    let mut edit = Edit {
        next_block: state.next_block,
        flushed_through: sequence,
        wal_floor: state.wal_floor,
        ..Edit::default()
    };
    match change.cloned() {
        None => (),
        Some(Change::Delete(delete)) => edit.tombstones.push(delete.into_tombstone(sequence)),
        Some(Change::Namespace(change)) => edit.namespaces.push(change),
        Some(Change::Metadata(change)) => edit.metadata.push(change),
    }
    edit
}

proptest! {
    #[test]
    fn one_edit_has_the_effect_of_all(
        changes in prop::collection::vec(changes(), 0..60),
        flushes in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let flushes: Vec<_> = flushes.iter().map(|at| at.index(changes.len() + 1)).collect();
        let (mut each, mut together) = (State::default(), State::default());
        let mut pending = Pending::default();
        for (sequence, change) in (1u64..).zip(&changes) {
            // What the engine would refuse to make never gets into the WAL.
            if each.apply(&edit_of(&each, sequence, Some(change))).is_ok() {
                pending.push(sequence, change.clone());
            }
            let last = sequence as usize == changes.len();
            if last || flushes.contains(&(sequence as usize)) {
                let mut edit = edit_of(&together, sequence, None);
                std::mem::take(&mut pending).put_into(&mut edit);
                prop_assert_eq!(together.apply(&edit), Ok(()));
                each.apply(&edit_of(&each, sequence, None)).unwrap();
                prop_assert_eq!(&together, &each);
            }
        }
        prop_assert!(pending.is_empty());
    }
}

#[test]
fn what_is_undone_before_the_flush_leaves_only_its_id() {
    let mut pending = Pending::default();
    assert!(pending.is_empty());
    let options = NamespaceOptions::default();
    let create = NamespaceChange::Create {
        id: 4,
        name: "x".to_owned(),
        options,
    };
    pending.push(1, Change::Namespace(create));
    let delete = Delete {
        namespace: 4,
        selector: Selector::all(),
        first: 0,
        last: 1,
    };
    pending.push(2, Change::Delete(delete));
    pending.push(3, Change::Metadata(metadata(4, "cpu", 3)));
    pending.push(4, Change::Namespace(NamespaceChange::Drop { id: 4 }));
    let mut edit = Edit::default();
    pending.put_into(&mut edit);
    assert_eq!(
        edit,
        Edit {
            next_namespace: 5,
            ..Edit::default()
        }
    );
    assert!(!pending.is_empty(), "the id must not be used again");
}
