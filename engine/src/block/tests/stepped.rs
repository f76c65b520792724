//! Stepped blocks: rows of steps with their statistics, written, read, damaged.

use super::*;
use crate::block::Fold;

/// Five minutes.
pub(super) const STEPPED: BlockMeta = BlockMeta { step: 300, ..META };
const STEP: i64 = 300 * SECOND;

/// A series and what its rows stand for.
pub(super) type Stepped = (Plain, Vec<Stats>);

/// Rows of the last samples of steps in which `samples` were, all of them on a regular grid.
fn steps(host: usize, count: i64, samples: impl Fn(i64) -> Vec<f64>) -> Stepped {
    let samples: Vec<_> = (0..count).map(samples).collect();
    let last = |row: usize| samples[row][samples[row].len() - 1];
    let series = plain(host, grid(START, STEP, count), last);
    (series, samples.iter().map(|step| Stats::of(step)).collect())
}

/// Every kind of row: gauges, counters, constants, single samples, stale markers.
pub(super) fn series(count: i64) -> Vec<Stepped> {
    let wave = |at: i64| (at * 37 % 101) as f64 / 4.0;
    vec![
        steps(0, count, |row| {
            (row * 20..row * 20 + 20).map(wave).collect()
        }),
        steps(1, count, |row| {
            (row * 20..row * 20 + 20).map(|at| at as f64).collect()
        }),
        steps(2, count, |_| vec![0.5; 30]),
        steps(3, count, |row| vec![wave(row)]),
        steps(4, count, |row| match row % 7 {
            0 => vec![stale_marker()],
            1 => vec![1.0, f64::NAN, -0.0],
            2 => vec![3.0, 2.0, stale_marker()],
            _ => vec![1e300, -1e300, 5e-324],
        }),
    ]
}

pub(super) fn write_steps(vfs: &Arc<dyn Vfs>, path: &Path, series: &[Stepped]) -> BlockInfo {
    let mut writer = BlockWriter::create(vfs, path, STEPPED).unwrap();
    for (one, rows) in series {
        writer.begin_series(&one.labels).unwrap();
        let part = Part::of(&one.timestamps, &one.values, rows);
        writer.push(&part).unwrap();
        writer.end_series().unwrap();
    }
    writer.finish().unwrap()
}

/// Samples, rows, statistics of chunks.
type Everything = (Vec<Row>, Vec<Stats>, Vec<Option<Stats>>);

/// Everything that a stepped block can be asked.
fn everything(block: &Block) -> Result<Everything> {
    let (mut rows, mut stats) = (Vec::new(), Vec::new());
    let mut cursor = Cursor::default();
    for ordinal in 0..block.info().series as u32 {
        let mut chunks = Vec::new();
        block.all_chunks(&mut cursor, ordinal, &mut chunks)?;
        for chunk in &chunks {
            let (mut times, mut values) = (Vec::new(), Vec::new());
            block.decode_rows(chunk, &mut times, &mut values, &mut rows)?;
            stats.push(chunk.stats);
        }
    }
    Ok((read(block)?, rows, stats))
}

/// Holds a stepped block against the model.
pub(super) fn check_steps(block: &Block, series: &[Stepped]) {
    block.verify().unwrap();
    assert_eq!(block.info().meta, STEPPED);
    let (samples, rows, stats) = everything(block).unwrap();
    let (plain, wanted): (Vec<Plain>, Vec<Vec<Stats>>) = series.iter().cloned().unzip();
    assert_eq!(samples, model(&plain));
    assert_eq!(rows, wanted.concat());
    let total = |stats: &mut dyn Iterator<Item = &Stats>| {
        stats.map(|stats| u64::from(stats.count)).sum::<u64>()
    };
    assert_eq!(total(&mut stats.iter().flatten()), total(&mut rows.iter()));
}

#[test]
fn rows_come_back_with_their_statistics() {
    for count in [40, 700, 3000] {
        let (vfs, series) = (store(), series(count));
        write_steps(&vfs, path(), &series);
        for reads in [Reads::Mmap, Reads::Pread] {
            check_steps(&Block::open(&vfs, path(), reads).unwrap(), &series);
        }
    }
}

#[test]
fn what_rows_stand_for_costs_what_it_tells() {
    let count = 1000;
    let bytes = |which: usize| {
        let vfs = store();
        let info = write_steps(&vfs, path(), &series(count)[which..=which]);
        (info.bytes.values + info.bytes.directory) as f64 / count as f64
    };
    let (gauge, counter, constant, single) = (bytes(0), bytes(1), bytes(2), bytes(3));
    assert!(gauge < 9.0 && counter < 0.5, "{gauge} {counter}");
    assert!(constant < 0.1 && single < 1.5, "{constant} {single}");
}

/// Statistics count in 32 bits: a chunk is cut before they cannot.
#[test]
fn chunks_of_very_many_samples_are_cut() {
    let (one, rows) = &series(100)[1];
    let many = |row: &Stats| Stats {
        count: 100_000_000,
        ..*row
    };
    let rows: Vec<_> = rows.iter().map(many).collect();
    let series = [(one.clone(), rows)];
    let vfs = store();
    let info = write_steps(&vfs, path(), &series);
    assert_eq!(info.chunks, 4);
    check_steps(&Block::open(&vfs, path(), Reads::Mmap).unwrap(), &series);
}

#[test]
fn no_flipped_byte_of_a_stepped_block_goes_unnoticed() {
    let (vfs, series) = (store(), series(40));
    write_steps(&vfs, path(), &series);
    let intact = vfs.map(path()).unwrap();
    let wanted = everything(&Block::open(&vfs, path(), Reads::Mmap).unwrap()).unwrap();
    for offset in 0..intact.len() {
        let mut bytes = intact.to_vec();
        bytes[offset] ^= 0x11;
        let vfs = store();
        vfs.create(path()).unwrap().write_all_at(&bytes, 0).unwrap();
        let block = Block::open(&vfs, path(), Reads::Mmap);
        match block.as_ref().map_err(Clone::clone).and_then(everything) {
            Ok(found) => assert_eq!(found, wanted, "offset {offset}"),
            Err(error) => assert!(error.is_corruption(), "offset {offset}: {error}"),
        }
        let verified = block.and_then(|block| block.verify());
        assert!(
            matches!(verified, Err(Error::Corrupt { .. })),
            "offset {offset}"
        );
    }
}

/// A row that does not end with its last sample, or counts otherwise than its chunk: written by a
/// mistaken hand, with right checksums.
#[test]
fn rows_that_contradict_their_chunk_do_not_verify() {
    let mut series = series(40);
    series.truncate(1);
    series[0].1[7].last += 1.0;
    let vfs = store();
    write_steps(&vfs, path(), &series);
    let block = Block::open(&vfs, path(), Reads::Mmap).unwrap();
    let verified = block.verify();
    assert!(
        matches!(verified, Err(Error::Corrupt { .. })),
        "{verified:?}"
    );
    assert_eq!(Fold::of(&series[0].1).stats().count, 800);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn forged_stepped_blocks_are_answered_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let vfs = store();
        write_steps(&vfs, path(), &series(40));
        let mut bytes = vfs.map(path()).unwrap().to_vec();
        for (place, value) in changes {
            let inside = 36..bytes.len() - 176;
            bytes[inside.start + place.index(inside.len())] = value;
        }
        damage::sum_anew(&mut bytes);
        let vfs = store();
        vfs.create(path()).unwrap().write_all_at(&bytes, 0).unwrap();
        let block = Block::open(&vfs, path(), Reads::Pread).unwrap();
        for error in [everything(&block).err(), block.verify().err()].into_iter().flatten() {
            prop_assert!(error.is_corruption(), "{}", error);
        }
    }
}
