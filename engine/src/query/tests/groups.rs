//! Blocks that have the same series are asked once for them, and answer as each would.

use treering_index::Selector;

use super::check;
use super::world::World;

const ALL: (i64, i64) = (i64::MIN, i64::MAX);

/// Indices of the blocks that a question about all series takes together.
fn groups(world: &World) -> Vec<Vec<u32>> {
    world.select(&Selector::all(), ALL).groups.to_vec()
}

/// A block for each of `hours`, with these series.
fn world_of(hours: &[&[u8]]) -> World {
    let mut world = World::new();
    for (hour, series) in (0..).zip(hours) {
        let samples = series
            .iter()
            .map(|number| (*number, hour * 100, f64::from(*number)));
        world.append(&samples.collect::<Vec<_>>());
        world.freeze();
        world.flush();
    }
    world
}

#[test]
fn blocks_in_a_row_with_the_same_series_are_asked_once() {
    let world = world_of(&[&[0, 1], &[0, 1], &[0, 2], &[0, 1], &[0, 1], &[0, 1]]);
    assert_eq!(groups(&world), [vec![0, 1], vec![2], vec![3, 4, 5]]);
    check(&world, &Selector::all(), ALL).unwrap();
    let some = world.select(&Selector::all(), (100, 300));
    assert_eq!(*some.groups, [vec![1], vec![2], vec![3]]);
}

/// A delete hides a series in one of them and not in the others.
#[test]
fn a_block_with_something_deleted_is_asked_by_itself() {
    let mut world = world_of(&[&[0, 1], &[0, 1], &[0, 1], &[0, 1]]);
    world.delete(Selector::metric("cpu"), 100, 100);
    assert_eq!(groups(&world), [vec![0], vec![1], vec![2, 3]]);
    check(&world, &Selector::all(), ALL).unwrap();
    check(&world, &Selector::metric("cpu"), (50, 250)).unwrap();
}
