//! The state against a plain model that applies an edit step by step to a copy of everything.
//!
//! Histories of small edits over few ids, so that most kinds of nonsense come up. Both must accept
//! and refuse the same edits and hold the same after them; a refused edit changes nothing.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use state::NamespaceRecord;

/// The plain model.
#[derive(Debug, Clone)]
struct Model {
    counters: [u64; 3],
    next_namespace: u32,
    blocks: Vec<BlockEntry>,
    namespaces: Vec<NamespaceRecord>,
    tombstones: Vec<Tombstone>,
    metadata: Vec<(u32, String, Metadata)>,
}

impl Model {
    fn new() -> Self {
        let default = NamespaceRecord {
            id: 0,
            name: "default".to_owned(),
            options: NamespaceOptions::default(),
        };
        Self {
            counters: [0; 3],
            next_namespace: 1,
            blocks: Vec::new(),
            namespaces: vec![default],
            tombstones: Vec::new(),
            metadata: Vec::new(),
        }
    }

    fn has(&self, id: u32) -> bool {
        self.namespaces.iter().any(|record| record.id == id)
    }

    /// The model after `edit`, if it makes sense.
    fn apply(&self, edit: &Edit) -> Option<Self> {
        let mut after = self.clone();
        after.counters = [edit.next_block, edit.flushed_through, edit.wal_floor];
        for (before, now) in self.counters.iter().zip(after.counters) {
            (*before <= now).then_some(())?;
        }
        for id in &edit.remove {
            let at = after.blocks.iter().position(|block| block.id == *id)?;
            after.blocks.remove(at);
        }
        for sequence in &edit.forget {
            let at = after
                .tombstones
                .iter()
                .position(|one| one.sequence == *sequence)?;
            after.tombstones.remove(at);
        }
        for change in &edit.namespaces {
            after.change(change)?;
        }
        for block in &edit.add {
            let same = |known: &BlockEntry| known.id == block.id;
            let new = !self.blocks.iter().any(same) && !after.blocks.iter().any(same);
            let right = block.id < edit.next_block && block.purged >= block.max_sequence;
            (new && right && after.has(block.namespace)).then(|| after.blocks.push(*block))?;
        }
        for (id, through) in &edit.purge {
            let block = after.blocks.iter_mut().find(|block| block.id == *id)?;
            (block.purged <= *through).then_some(())?;
            block.purged = *through;
        }
        for new in &edit.tombstones {
            let same = |known: &Tombstone| known.sequence == new.sequence;
            let known = self.tombstones.iter().any(same) || after.tombstones.iter().any(same);
            let right = new.sequence > 0 && new.sequence <= edit.flushed_through;
            let right = right && after.has(new.namespace) && !known;
            right.then(|| after.tombstones.push(new.clone()))?;
        }
        for change in &edit.metadata {
            let (id, metric) = (change.namespace, &change.metric);
            after.has(id).then_some(())?;
            after
                .metadata
                .retain(|known| (known.0, &known.1) != (id, metric));
            if let Some(metadata) = &change.metadata {
                after.metadata.push((id, metric.clone(), metadata.clone()));
            }
        }
        after.next_namespace = after.next_namespace.max(edit.next_namespace);
        Some(after)
    }

    fn change(&mut self, change: &NamespaceChange) -> Option<()> {
        match change.clone() {
            NamespaceChange::Create { id, name, options } => {
                let named = self.namespaces.iter().any(|record| record.name == name);
                (id >= self.next_namespace && !named).then_some(())?;
                self.next_namespace = id + 1;
                self.namespaces.push(NamespaceRecord { id, name, options });
            }
            NamespaceChange::Alter { id, options } => {
                let mut records = self.namespaces.iter_mut();
                records.find(|record| record.id == id)?.options = options;
            }
            NamespaceChange::Drop { id } => {
                let used = self.blocks.iter().any(|block| block.namespace == id);
                (id != 0 && self.has(id) && !used).then_some(())?;
                self.namespaces.retain(|record| record.id != id);
                self.tombstones.retain(|one| one.namespace != id);
                self.metadata.retain(|known| known.0 != id);
            }
        }
        Some(())
    }

    /// The state must hold the same, and what it derives must be right.
    fn check(&self, state: &State) {
        let counters = [state.next_block, state.flushed_through, state.wal_floor];
        assert_eq!(counters, self.counters);
        assert_eq!(state.next_namespace, self.next_namespace);
        let mut blocks = self.blocks.clone();
        blocks.sort_by_key(|block| block.id);
        assert_eq!(state.blocks.values().copied().collect::<Vec<_>>(), blocks);
        let mut namespaces = self.namespaces.clone();
        namespaces.sort_by_key(|record| record.id);
        assert_eq!(
            state.namespaces.values().cloned().collect::<Vec<_>>(),
            namespaces
        );
        let mut tombstones = self.tombstones.clone();
        tombstones.sort_by_key(|one| one.sequence);
        assert!(state.tombstones.values().map(|one| &**one).eq(&tombstones));
        let mut metadata = self.metadata.clone();
        metadata.sort_by_key(|known| (known.0, known.1.clone()));
        let held = state.metadata.iter();
        let held = held.map(|(key, known)| (key.0, key.1.clone(), known.clone()));
        assert!(held.eq(metadata.iter().cloned()));
        let bytes = metadata
            .iter()
            .map(|known| known.2.bytes(&known.1))
            .sum::<usize>();
        assert_eq!(state.metadata_bytes, bytes);
    }
}

/// A part of an edit, small enough that parts meet.
#[derive(Debug, Clone)]
enum Part {
    Remove(u64),
    Forget(u64),
    Create(u32, &'static str),
    Alter(u32),
    Drop(u32),
    Add {
        id: u64,
        namespace: u32,
        purged: u64,
        step: u32,
    },
    Purge(u64, u64),
    Delete(u64, u32),
    Metadata(u32, &'static str, Option<usize>),
}

fn parts() -> impl Strategy<Value = Part> {
    let spaces = || prop_oneof![2 => Just(0u32), 1 => 0u32..4];
    let metric = select(vec!["cpu", "mem", "net"]);
    prop_oneof![
        (0u64..12).prop_map(Part::Remove),
        (1u64..30).prop_map(Part::Forget),
        (1u32..6, select(vec!["a", "b", "default"])).prop_map(|(id, name)| Part::Create(id, name)),
        (0u32..6).prop_map(Part::Alter),
        (0u32..6).prop_map(Part::Drop),
        (0u64..12, spaces(), 3u64..9, 0u32..2).prop_map(|(id, namespace, purged, step)| {
            Part::Add {
                id,
                namespace,
                purged,
                step,
            }
        }),
        (0u64..12, 3u64..20).prop_map(|(id, through)| Part::Purge(id, through)),
        (0u64..30, spaces()).prop_map(|(sequence, namespace)| Part::Delete(sequence, namespace)),
        (spaces(), metric, prop::option::of(0usize..40))
            .prop_map(|(namespace, metric, help)| Part::Metadata(namespace, metric, help)),
    ]
}

/// Parts of one edit, and how far its counters go on; now and then one goes back.
type Draft = (Vec<Part>, [i64; 3]);

fn histories() -> impl Strategy<Value = Vec<Draft>> {
    let step = || prop_oneof![40 => 0i64..3, 1 => Just(-1)];
    let counters = [step(), step(), step()];
    prop::collection::vec((prop::collection::vec(parts(), 0..3), counters), 1..60)
}

fn edit_of(state: &State, (parts, counters): &Draft) -> Edit {
    let on = |counter: u64, by: i64| counter.saturating_add_signed(by);
    let mut edit = Edit {
        next_block: on(state.next_block, counters[0]),
        flushed_through: on(state.flushed_through, counters[1]),
        wal_floor: on(state.wal_floor, counters[2]),
        ..Edit::default()
    };
    let options = |id: u32| NamespaceOptions::default().max_series(1 + u64::from(id));
    // Odd numbers stand for something that is there or new, so that half of all parts make sense.
    let one_of = |known: Vec<u64>, number: u64| match known.len() {
        count @ 1.. if number % 2 == 1 => known[number as usize / 2 % count],
        _ => number,
    };
    let block = |number| one_of(state.blocks.keys().copied().collect(), number);
    let tombstone = |number| one_of(state.tombstones.keys().copied().collect(), number);
    let fresh = |next: u64, number: u64| if number % 2 == 1 { next } else { number };
    for part in parts.iter().cloned() {
        match part {
            Part::Remove(id) => edit.remove.push(block(id)),
            Part::Forget(sequence) => edit.forget.push(tombstone(sequence)),
            Part::Create(id, name) => edit.namespaces.push(NamespaceChange::Create {
                id: fresh(state.next_namespace.into(), id.into()) as u32,
                name: name.to_owned(),
                options: options(id),
            }),
            Part::Alter(id) => {
                let options = options(id + 7);
                edit.namespaces.push(NamespaceChange::Alter { id, options });
            }
            Part::Drop(id) => edit.namespaces.push(NamespaceChange::Drop { id }),
            Part::Add {
                id,
                namespace,
                purged,
                step,
            } => edit.add.push(BlockEntry {
                id: fresh(edit.next_block.saturating_sub(1), id),
                namespace,
                level: 1,
                min_time: -9,
                max_time: 9,
                min_sequence: 1,
                max_sequence: 4,
                bytes: 77,
                purged,
                step,
            }),
            Part::Purge(id, through) => edit.purge.push((block(id), through)),
            Part::Delete(sequence, namespace) => edit.tombstones.push(Tombstone {
                sequence: fresh(edit.flushed_through, sequence),
                namespace,
                selector: Selector::metric("cpu"),
                first: 0,
                last: 5,
            }),
            Part::Metadata(namespace, metric, help) => edit.metadata.push(MetadataChange {
                metadata: help.and_then(|help| metadata(namespace, metric, help).metadata),
                ..metadata(namespace, metric, 0)
            }),
        }
    }
    edit
}

/// Plays a history; how many edits that say something were accepted and refused.
fn play(history: &[Draft]) -> (usize, usize) {
    let (mut state, mut model) = (State::default(), Model::new());
    let (mut accepted, mut refused) = (0, 0);
    for draft in history {
        let edit = edit_of(&state, draft);
        let before = state.clone();
        match (state.apply(&edit), model.apply(&edit)) {
            (Ok(()), Some(after)) => {
                model = after;
                accepted += usize::from(!draft.0.is_empty());
            }
            (Err(_), None) => {
                assert_eq!(state, before, "refused, yet changed");
                refused += 1;
            }
            (found, expected) => panic!("{found:?}, expected {expected:?}, for {edit:?}"),
        }
        model.check(&state);
        let mut anew = State::default();
        anew.apply(&Edit::decode(&state.to_edit().encode()).unwrap())
            .unwrap();
        assert_eq!(anew, state, "one edit makes the whole state");
    }
    (accepted, refused)
}

proptest! {
    #[test]
    fn the_state_accepts_and_holds_what_the_model_does(history in histories()) {
        play(&history);
    }
}

#[test]
fn histories_hold_both_sense_and_nonsense() {
    let mut runner = TestRunner::deterministic();
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..200 {
        let history = histories().new_tree(&mut runner).unwrap().current();
        let (yes, no) = play(&history);
        accepted += yes;
        refused += no;
    }
    assert!(accepted > 300, "{accepted} edits accepted");
    assert!(refused > 300, "{refused} edits refused");
}
