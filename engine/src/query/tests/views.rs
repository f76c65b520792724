//! What a view keeps: which tombstones its blocks carry, and what they were found to select.

use std::sync::Arc;

use treering_index::Selector;

use super::world::{Place, World};
use super::{Step, apply, check, world_with};
use crate::vfs::{Fault, FaultVfs, MemVfs, Repeat, Vfs};
use crate::view::Hidden;

const ALL: (i64, i64) = (i64::MIN, i64::MAX);

/// What is hidden in the block with this id.
fn hidden(world: &World, id: u64) -> Vec<Hidden> {
    let view = world.view.get();
    let live = view.blocks.iter().find(|live| live.block.id() == id);
    live.unwrap().hidden().unwrap()
}

/// The block that holds the times 10, 20, .. 90.
fn newest_block(world: &World) -> u64 {
    let view = world.view.get();
    assert_eq!(view.blocks.len(), 2);
    assert_eq!(
        (
            view.blocks[1].block.min_time(),
            view.blocks[1].block.max_time()
        ),
        (10, 90)
    );
    view.blocks[1].block.id()
}

#[test]
fn postings_are_looked_up_once_whatever_becomes_of_the_view() {
    let mut world = world_with(Place::Block);
    world.delete(Selector::metric("cpu"), 10, 20);
    let id = newest_block(&world);
    let found = hidden(&world, id);
    assert_eq!(found.len(), 1);
    let same = |world: &World| {
        let again = hidden(world, id);
        again
            .iter()
            .any(|one| Arc::ptr_eq(&one.series, &found[0].series))
    };
    let samples = vec![(0, 500, 1.0)];
    for step in [
        Step::Scatter(samples.clone()),
        Step::Freeze,
        Step::Delete(2, 15, 30),
        Step::Flush,
        Step::Scatter(samples),
        Step::Freeze,
        Step::Flush,
        Step::Rewrite(0),
        Step::Forget,
    ] {
        apply(&mut world, &step);
        assert!(same(&world), "{step:?}");
    }
    world.rewrite(1);
    check(&world, &Selector::all(), ALL).unwrap();
}

#[test]
fn a_block_carries_only_what_can_hide_something_in_it() {
    let mut world = world_with(Place::Block);
    let id = newest_block(&world);
    world.delete(Selector::all(), 91, 1000);
    world.delete(Selector::all(), i64::MIN, 9);
    world.delete(Selector::metric("nobody"), 10, 90);
    assert!(hidden(&world, id).is_empty());
    world.delete(Selector::metric("cpu"), 90, 90);
    world.delete(Selector::metric("disk"), -50, 10);
    let ranges = |found: Vec<Hidden>| -> Vec<_> {
        found.into_iter().map(|one| (one.first, one.last)).collect()
    };
    assert_eq!(ranges(hidden(&world, id)), [(90, 90), (-50, 10)]);
    let view = world.view.get();
    let tombstones = &view.tombstones;
    assert!(tombstones.is_sorted_by_key(|tombstone| tombstone.sequence));
    // What was purged through the first of the two leaves the second.
    world.view.purge(&[(id, tombstones[3].sequence)]);
    assert_eq!(ranges(hidden(&world, id)), [(-50, 10)]);
    world.view.forget(&[tombstones[4].sequence]);
    assert!(hidden(&world, id).is_empty());
    assert_eq!(world.view.get().tombstones.len(), 4);
    // The view taken before is as it was.
    assert_eq!(view.blocks.last().unwrap().hidden().unwrap().len(), 2);
}

#[test]
fn a_failed_look_up_is_tried_again() {
    let disk = Arc::new(FaultVfs::new(Arc::new(MemVfs::new())));
    let mut world = World::on(Arc::clone(&disk) as Arc<dyn Vfs>);
    world.append(&[(0, 1, 1.0), (1, 1, 1.0)]);
    world.bring_to(Place::Block);
    world.delete(Selector::all().eq("host", "a"), 0, 10);
    let id = world.view.get().blocks[0].block.id();
    disk.fail(1, Fault::Io, Repeat::Once);
    let view = world.view.get();
    assert!(view.blocks[0].hidden().is_err());
    assert_eq!(disk.fired(), 1);
    assert_eq!(hidden(&world, id)[0].series.to_vec(), [0]);
    check(&world, &Selector::all(), ALL).unwrap();
}
