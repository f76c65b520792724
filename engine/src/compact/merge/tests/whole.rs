//! Chunks that go through a merge as they are, and small ones that are joined.

use super::*;

/// The chunks of the only series of a block: first and last timestamp, count.
fn chunks(block: &Block) -> Vec<(i64, i64, u32)> {
    let mut chunks = Vec::new();
    block
        .all_chunks(&mut Cursor::default(), 0, &mut chunks)
        .unwrap();
    chunks
        .iter()
        .map(|chunk| (chunk.min_time, chunk.max_time, chunk.count))
        .collect()
}

/// Blocks of one series of these runs: start, step, count.
fn blocks(vfs: &Arc<dyn Vfs>, runs: &[(i64, i64, i64)]) -> Vec<MergeInput> {
    let block = |(id, &(start, step, count)): (u64, &(i64, i64, i64))| {
        input(write(vfs, id, &samples(&vec![(1, start, step, count)], id)))
    };
    (1..).zip(runs).map(block).collect()
}

fn merged(vfs: &Arc<dyn Vfs>, inputs: &[MergeInput], edges: &[i64]) -> Vec<Arc<Block>> {
    let entries = merge(&plan(vfs, inputs, edges)).unwrap().unwrap();
    outputs(vfs, &entries, edges)
}

#[test]
fn full_chunks_of_blocks_that_do_not_meet_stay() {
    let vfs = store();
    let inputs = blocks(&vfs, &[(0, 1, 700), (700, 1, 700), (1400, 1, 700)]);
    let blocks = merged(&vfs, &inputs, &[]);
    let wanted = [(0, 699, 700), (700, 1399, 700), (1400, 2099, 700)];
    assert_eq!(chunks(&blocks[0]), wanted);
}

#[test]
fn small_chunks_are_joined_to_full_ones() {
    let vfs = store();
    let runs: Vec<_> = (0..8).map(|index| (index * 300, 1, 300)).collect();
    let inputs = blocks(&vfs, &runs);
    let blocks = merged(&vfs, &inputs, &[]);
    let wanted = [(0, 899, 900), (900, 1799, 900), (1800, 2399, 600)];
    assert_eq!(chunks(&blocks[0]), wanted);
}

#[test]
fn a_late_sample_opens_only_the_chunk_that_it_falls_into() {
    let vfs = store();
    // Chunks of 1000, each a block; late samples in the second and the fourth, years of nothing
    // around them notwithstanding.
    let mut runs: Vec<_> = (0..5).map(|index| (index * 10_000, 10, 1000)).collect();
    runs.push((15_005, 20_000, 2));
    let inputs = blocks(&vfs, &runs);
    let blocks = merged(&vfs, &inputs, &[]);
    let found = chunks(&blocks[0]);
    for chunk in [
        (0, 9990, 1000),
        (20_000, 29_990, 1000),
        (40_000, 49_990, 1000),
    ] {
        assert!(found.contains(&chunk), "{found:?}");
    }
    assert_eq!(found.iter().map(|chunk| chunk.2).sum::<u32>(), 5002);
}

#[test]
fn chunks_are_cut_at_the_edges_of_outputs() {
    let vfs = store();
    let inputs = blocks(&vfs, &[(0, 1, 1000), (1000, 1, 1000), (2000, 1, 1000)]);
    let blocks = merged(&vfs, &inputs, &[1499]);
    assert_eq!(chunks(&blocks[0]), [(0, 999, 1000), (1000, 1499, 500)]);
    assert_eq!(chunks(&blocks[1]), [(1500, 1999, 500), (2000, 2999, 1000)]);
}

/// Samples that come in parts are cut as if they had come at once.
#[test]
fn parts_of_any_size_make_the_same_chunks() {
    let vfs = store();
    let (first, second): (Vec<i64>, Vec<i64>) =
        (0..9000).map(|at| at * 7).partition(|at| at % 3 == 0);
    let model = |times: &[i64]| {
        let samples = times.iter().map(|&at| (at, (at as f64).to_bits()));
        Model::from([(labels(1), samples.collect())])
    };
    let all: Vec<i64> = (0..9000).map(|at| at * 7).collect();
    let inputs =
        [&first, &second].map(|times| input(write(&vfs, 1 + (times[0] > 0) as u64, &model(times))));
    let whole = write(&vfs, 3, &model(&all));
    let blocks = merged(&vfs, &inputs, &[]);
    assert_eq!(chunks(&blocks[0]), chunks(&whole));
    assert_eq!(blocks[0].info().bytes.values, whole.info().bytes.values);
}
