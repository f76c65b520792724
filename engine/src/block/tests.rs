//! Blocks against a plain model: what is written comes back, from a map and from the file alike.

mod damage;
mod faults;
mod golden;
mod memory;
mod stepped;

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use treering_codec::{Stats, stale_marker};
use treering_index::{Labels, Selector};

use super::format::MAX_STEP_SECONDS;
use super::outputs::publish;
use super::{
    Block, BlockInfo, BlockMeta, BlockWriter, ChunkRef, Cursor, Need, Part, Suffices, Values,
};
use crate::error::{Error, Result};
use crate::limits::CHUNK_SAMPLES;
use crate::options::Reads;
use crate::vfs::{MemVfs, Vfs};

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_704_067_200 * SECOND;
const META: BlockMeta = BlockMeta {
    id: 7,
    namespace: 3,
    min_sequence: 11,
    max_sequence: 19,
    level: 2,
    database: 99,
    step: 0,
    extended: false,
};

/// A series of the model.
#[derive(Debug, Clone)]
struct Plain {
    labels: Labels,
    timestamps: Vec<i64>,
    values: Vec<f64>,
}

/// Labels, timestamps and bits of the values of a series.
type Row = (Labels, Vec<i64>, Vec<u64>);

fn path() -> &'static Path {
    Path::new("7.block")
}

fn store() -> Arc<dyn Vfs> {
    Arc::new(MemVfs::new())
}

fn write(vfs: &Arc<dyn Vfs>, path: &Path, meta: BlockMeta, series: &[Plain]) -> Result<BlockInfo> {
    let temporary = path.with_extension("tmp");
    let mut writer = BlockWriter::create(vfs, &temporary, meta)?;
    for one in series {
        writer.add_series(&one.labels, &one.timestamps, &one.values)?;
    }
    let info = writer.finish()?;
    let names = [(temporary, path.to_owned())];
    publish(&**vfs, path.parent().unwrap(), names)?;
    Ok(info)
}

fn plain(host: usize, timestamps: Vec<i64>, value: impl Fn(usize) -> f64) -> Plain {
    let host = format!("host_{host:04}");
    let labels = [
        ("__name__", "cpu"),
        ("host", host.as_str()),
        ("dc", "north"),
    ];
    let labels = Labels::from_pairs(labels).expect("plain labels");
    let values = (0..timestamps.len()).map(value).collect();
    Plain {
        labels,
        timestamps,
        values,
    }
}

fn grid(start: i64, step: i64, count: i64) -> Vec<i64> {
    (0..count).map(|index| start + index * step).collect()
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// All series with their samples, read back through selector, directory and chunks.
fn read(block: &Block) -> Result<Vec<Row>> {
    let mut series = Vec::new();
    let mut cursor = Cursor::default();
    for ordinal in block.select(Selector::all().matchers())?.iter() {
        let (mut chunks, mut timestamps, mut values) = (Vec::new(), Vec::new(), Vec::new());
        block.chunks_with(&mut cursor, ordinal, i64::MIN, i64::MAX, &mut chunks)?;
        for chunk in &chunks {
            block.decode(chunk, &mut timestamps, &mut values)?;
        }
        series.push((block.labels(ordinal)?, timestamps, bits(&values)));
    }
    Ok(series)
}

fn model(series: &[Plain]) -> Vec<Row> {
    let row = |one: &Plain| {
        (
            one.labels.clone(),
            one.timestamps.clone(),
            bits(&one.values),
        )
    };
    series.iter().map(row).collect()
}

/// Holds a block against the model: samples, chunks, statistics, totals, ranges of time.
fn check(block: &Block, series: &[Plain], ranges: &[(i64, i64)]) {
    assert_eq!(read(block).unwrap(), model(series));
    block.verify().unwrap();
    let (mut samples, mut chunk_count) = (0, 0);
    for (ordinal, one) in series.iter().enumerate() {
        let mut chunks = Vec::new();
        block
            .chunks(ordinal as u32, i64::MIN, i64::MAX, &mut chunks)
            .unwrap();
        for chunk in &chunks {
            check_chunk(block, chunk);
        }
        samples += one.timestamps.len() as u64;
        chunk_count += chunks.len() as u64;
        for &(first, last) in ranges {
            let mut found = Vec::new();
            block
                .chunks(ordinal as u32, first, last, &mut found)
                .unwrap();
            let wanted = chunks
                .iter()
                .filter(|c| c.min_time <= last && c.max_time >= first);
            let key = |c: &ChunkRef| (c.min_time, c.max_time, c.count, c.column, c.stats);
            assert!(
                found.iter().map(key).eq(wanted.map(key)),
                "{first}..={last}"
            );
            let decoded = |chunk: &ChunkRef| {
                let mut values = Vec::new();
                block.decode_values(chunk, &mut values).unwrap();
                bits(&values)
            };
            let wanted = chunks
                .iter()
                .filter(|c| c.min_time <= last && c.max_time >= first);
            assert!(found.iter().map(decoded).eq(wanted.map(decoded)));
        }
    }
    let info = block.info();
    assert_eq!((info.series, info.samples), (series.len() as u64, samples));
    assert_eq!(info.chunks, chunk_count);
    let times = || series.iter().flat_map(|one| &one.timestamps);
    assert_eq!(Some(&block.min_time()), times().min());
    assert_eq!(Some(&block.max_time()), times().max());
}

fn check_chunk(block: &Block, chunk: &ChunkRef) {
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    block.decode(chunk, &mut timestamps, &mut values).unwrap();
    assert_eq!(timestamps.len(), chunk.count as usize);
    assert_eq!(timestamps.first(), Some(&chunk.min_time));
    assert_eq!(timestamps.last(), Some(&chunk.max_time));
    assert!(timestamps.len() <= CHUNK_SAMPLES);
    if let Some(stats) = chunk.stats {
        assert_eq!(stats, Stats::of(&values));
    }
}

fn check_both(series: &[Plain], ranges: &[(i64, i64)]) -> BlockInfo {
    let vfs = store();
    let info = write(&vfs, path(), META, series).unwrap();
    for reads in [Reads::Mmap, Reads::Pread] {
        let block = Block::open(&vfs, path(), reads).unwrap();
        assert_eq!(*block.info(), info);
        check(&block, series, ranges);
    }
    info
}

fn odd_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-1000i32..1000).prop_map(|number| f64::from(number) / 100.0),
        2 => Just(1.5),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => prop::sample::select(vec![
            0.0,
            -0.0,
            stale_marker(),
            f64::NAN,
            f64::from_bits(0xfff8_0000_dead_beef),
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE / 3.0,
            f64::MAX,
        ]),
    ]
}

/// Values of a series: arbitrary ones, or one and the same throughout.
fn odd_values() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![
        prop::collection::vec(odd_value(), 1..400),
        (odd_value(), 1usize..2500).prop_map(|(value, count)| vec![value; count]),
        (odd_value(), odd_value(), 1usize..1500).prop_map(|(value, last, count)| {
            let mut values = vec![value; count];
            values.push(last);
            values
        }),
    ]
}

fn odd_times(count: usize) -> impl Strategy<Value = Vec<i64>> {
    prop_oneof![
        3 => (0i64..3).prop_map(move |start| {
            grid(START + start * 777 * SECOND, 10 * SECOND, count as i64)
        }),
        1 => (any::<i64>(), 1i64..1_000_000).prop_map(move |(start, step)| {
            let room = step * count as i64;
            grid(start.min(i64::MAX - room), step, count as i64)
        }),
        1 => prop::collection::vec(1i64..400 * SECOND, count).prop_map(|steps| {
            steps.into_iter().scan(START, |at, step| { *at += step; Some(*at) }).collect()
        }),
    ]
}

fn odd_series() -> impl Strategy<Value = Vec<Plain>> {
    let one = odd_values().prop_flat_map(|values| {
        odd_times(values.len()).prop_map(move |times| (times, values.clone()))
    });
    prop::collection::vec(one, 1..50).prop_map(|columns| {
        let series = columns.into_iter().enumerate();
        series
            .map(|(host, (times, values))| plain(host, times, |index| values[index]))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_written_comes_back(
        series in odd_series(),
        ranges in prop::collection::vec((-2000i64..30_000, 0i64..20_000), 4),
    ) {
        let ranges: Vec<_> = ranges
            .into_iter()
            .map(|(first, length)| {
                (START + first * SECOND, START + (first + length) * SECOND)
            })
            .collect();
        check_both(&series, &ranges);
    }
}

#[test]
fn series_scraped_together_share_their_columns() {
    let times = grid(START, 10 * SECOND, 8640);
    let series: Vec<_> = (0..100)
        .map(|host| plain(host, times.clone(), |index| (index * host) as f64))
        .collect();
    let info = check_both(
        &series,
        &[(START, START), (START + 1, START + 7200 * SECOND)],
    );
    assert_eq!(info.chunks, 100 * info.columns);
    assert!(info.columns <= 13, "{}", info.columns);
    assert!(info.bytes.timestamps < 1000, "{:?}", info.bytes);
}

/// More chunks than a stride: whole strides are skipped, and a range that begins or ends inside of
/// one is found.
#[test]
fn a_long_series_is_searched_in_strides() {
    let times = grid(START, 13, 200 * CHUNK_SAMPLES as i64);
    let chunk = |index: usize| START + 13 * (index * CHUNK_SAMPLES) as i64;
    // Constant chunks between others, so that a skipped constant is not taken for the last one.
    let value = |index: usize| match index / CHUNK_SAMPLES % 5 {
        0 | 1 => 4.5,
        2 => 7.0,
        _ => (index % 977) as f64 / 10.0,
    };
    let series = [
        plain(1, times.clone(), value),
        plain(2, times, |index| index as f64),
    ];
    let mut ranges = Vec::new();
    for index in [0, 1, 63, 64, 65, 127, 128, 191, 192, 199] {
        ranges.push((chunk(index), chunk(index)));
        ranges.push((chunk(index) - 1, chunk(index + 1)));
        ranges.push((chunk(index), i64::MAX));
        ranges.push((i64::MIN, chunk(index)));
    }
    let info = check_both(&series, &ranges);
    assert_eq!(info.chunks, 400);
}

#[test]
fn a_cursor_answers_in_any_order() {
    let times = grid(START, 10 * SECOND, 2000);
    let series: Vec<_> = (0..200)
        .map(|host| {
            plain(host, times[host..].to_vec(), |index| {
                (index % 7 + host) as f64
            })
        })
        .collect();
    let vfs = store();
    write(&vfs, path(), META, &series).unwrap();
    let block = Block::open(&vfs, path(), Reads::Mmap).unwrap();
    let mut cursor = Cursor::default();
    for step in [1, 3, 77, 199] {
        for index in 0..200 {
            let host = index * step % 200;
            let mut chunks = Vec::new();
            block
                .chunks_with(&mut cursor, host as u32, START, i64::MAX, &mut chunks)
                .unwrap();
            assert_eq!(
                chunks.first().map(|chunk| chunk.min_time),
                Some(times[host]),
                "{host}"
            );
        }
    }
    let mut chunks = Vec::new();
    assert!(
        block
            .chunks_with(&mut cursor, 200, START, i64::MAX, &mut chunks)
            .is_err()
    );
    block
        .chunks_with(&mut cursor, 5, START, i64::MAX, &mut chunks)
        .unwrap();
}

#[test]
fn days_come_as_sums_where_those_will_do() {
    const DAY: i64 = 86_400 * SECOND;
    let start = START - START % DAY;
    let days = grid(start + 10 * SECOND, 10 * SECOND, 3 * 8640);
    let mut series: Vec<_> = (0..3)
        .map(|host| {
            plain(host, days.clone(), |index| {
                (index * 31 % (97 + host)) as f64
            })
        })
        .collect();
    series.push(plain(3, days[..100].to_vec(), |index| index as f64));
    let vfs = store();
    write(&vfs, path(), META, &series).unwrap();
    let block = Block::open(&vfs, path(), Reads::Pread).unwrap();
    block.verify().unwrap();
    let mut cursor = Cursor::default();
    let mut ask = |ordinal: usize, range: (i64, i64), most: i64| {
        let mut found = Vec::new();
        let short = Short(most);
        block
            .chunks_needed(
                &mut cursor,
                ordinal as u32,
                range,
                Need::Sums(&short),
                &mut found,
            )
            .unwrap();
        found
    };
    for (ordinal, one) in series.iter().take(3).enumerate() {
        let sums = ask(ordinal, (i64::MIN, i64::MAX), DAY);
        assert_eq!(sums.len(), 3);
        for (day, sum) in sums.iter().enumerate() {
            assert!(matches!(sum.values, Values::Summed));
            let own = day * 8640..(day + 1) * 8640;
            let ends = (one.timestamps[own.start], one.timestamps[own.end - 1]);
            assert_eq!((sum.min_time, sum.max_time), ends);
            let (stats, wanted) = (sum.stats.unwrap(), Stats::of(&one.values[own]));
            assert_eq!(
                stats,
                Stats {
                    sum: stats.sum,
                    dropped: stats.dropped,
                    ..wanted
                }
            );
            assert!((stats.sum - wanted.sum).abs() <= 1e-12 * wanted.sum.abs());
            assert!((stats.dropped - wanted.dropped).abs() <= 1e-12 * wanted.dropped.abs());
        }
        // Days of which the range has a part only, and days that will not do, come in chunks.
        let parts = ask(ordinal, (start + 3 * 3600 * SECOND, i64::MAX), DAY);
        let chunks = parts
            .iter()
            .filter(|part| !matches!(part.values, Values::Summed));
        assert!(parts.len() - chunks.count() == 2 && parts.len() > 8);
        assert!(ask(ordinal, (i64::MIN, i64::MAX), 3600 * SECOND).len() >= 36);
    }
    assert_eq!(ask(3, (i64::MIN, i64::MAX), DAY).len(), 1);
}

/// The newest chunk is the last one of all, whatever strides and constants lie before it, also
/// where the cursor has just read all of them.
#[test]
fn the_newest_chunk_is_the_last_one_in_the_range() {
    let times = grid(START, 10 * SECOND, 3 * 8640);
    let series: Vec<_> = (0..5)
        .map(|host| {
            plain(host, times.clone(), |index| {
                match (host % 2, index / 3000 % 2) {
                    (0, 0) => 7.5,
                    _ => (index * 31 % 97) as f64 / 10.0,
                }
            })
        })
        .collect();
    let vfs = store();
    write(&vfs, path(), META, &series).unwrap();
    let block = Block::open(&vfs, path(), Reads::Pread).unwrap();
    let mut cursor = Cursor::default();
    for last in [
        i64::MAX,
        START + 86_400 * SECOND,
        START + 40_000 * SECOND,
        START,
    ] {
        for ordinal in 0..series.len() as u32 {
            let mut ask = |need| {
                let mut found = Vec::new();
                let range = (i64::MIN, last);
                block
                    .chunks_needed(&mut cursor, ordinal, range, need, &mut found)
                    .unwrap();
                found
            };
            let (all, newest) = (ask(Need::Chunks), ask(Need::Newest));
            assert_eq!(newest.len(), 1);
            let key = |chunk: &ChunkRef| {
                let stats = chunk.stats.map(|stats| (stats.min, stats.last, stats.sum));
                (
                    chunk.max_time,
                    chunk.count,
                    format!("{:?}", chunk.values),
                    stats,
                )
            };
            assert_eq!(newest.first().map(key), all.last().map(key));
        }
    }
}

/// Sums of so many nanoseconds or fewer will do.
#[derive(Debug)]
struct Short(i64);

impl Suffices for Short {
    fn suffices(&self, _: &Stats, first: i64, last: i64) -> bool {
        last - first <= self.0
    }
}

#[test]
fn constants_cost_a_few_bytes() {
    let times = grid(START, 10 * SECOND, 8640);
    let series: Vec<_> = (0..64)
        .map(|host| plain(host, times.clone(), |_| 0.25))
        .collect();
    let info = check_both(&series, &[]);
    assert_eq!(info.bytes.values, 0);
    let per_chunk = info.bytes.directory as f64 / info.chunks as f64;
    assert!(per_chunk <= 4.0, "{per_chunk} bytes per chunk");
}

/// As a scrape has them: few values, one after the other, in many series.
#[test]
fn constants_that_take_turns_are_told_once_in_a_group() {
    let values = [0.0, 1.0, 42.0, 0.25, 1.5e9, 4_294_967_296.0, 99.99, -1.0];
    let times = grid(START, SECOND, 120);
    let series: Vec<_> = (0..2000)
        .map(|host| plain(host, times.clone(), |_| values[host % values.len()]))
        .collect();
    let info = check_both(&series, &[]);
    let per_sample = info.bytes.directory as f64 / info.samples as f64;
    assert!(per_sample <= 0.03, "{per_sample} bytes per sample");
}

/// Found by chance: the directory kept statistics without any value, which cannot be passed over
/// while their chunk's length is unknown.
#[test]
fn chunks_of_stale_markers_only_are_passed_over() {
    let times = grid(START, 1, 100);
    let series = [
        plain(0, times.clone(), |_| stale_marker()),
        plain(1, times, |index| index as f64),
    ];
    let info = check_both(&series, &[(START, START)]);
    assert_eq!(info.chunks, 2);
}

#[test]
fn matchers_find_ordinals_in_label_order() {
    let series: Vec<_> = (0..20)
        .map(|host| plain(host, vec![START], |_| host as f64))
        .collect();
    let vfs = store();
    write(&vfs, path(), META, &series).unwrap();
    let block = Block::open(&vfs, path(), Reads::Pread).unwrap();
    let select = |text: &str| {
        let selector = Selector::parse(text).unwrap();
        block.select(selector.matchers()).unwrap().to_vec()
    };
    assert_eq!(select(r#"cpu{host="host_0012"}"#), [12]);
    assert_eq!(select(r#"{host=~"host_000[1-3]"}"#), [1, 2, 3]);
    assert_eq!(select(r#"mem"#), [0u32; 0]);
    assert_eq!(block.label_names(None).unwrap(), ["__name__", "dc", "host"]);
    assert_eq!(
        block.index().unwrap().label_values("dc", None).unwrap(),
        ["north"]
    );
}

#[test]
fn what_is_no_series_is_refused_and_leaves_no_file() {
    let good = plain(5, vec![1, 2, 3], |index| index as f64);
    let earlier = plain(4, vec![1], |_| 0.0);
    let mut uneven = plain(6, vec![1, 2], |_| 0.0);
    uneven.values.pop();
    let bad = [
        plain(6, vec![], |_| 0.0),
        plain(6, vec![2, 2], |_| 0.0),
        plain(6, vec![3, 2], |_| 0.0),
        uneven,
        earlier,
        good.clone(),
    ];
    for series in bad {
        let vfs = store();
        let mut writer = BlockWriter::create(&vfs, path(), META).unwrap();
        writer
            .add_series(&good.labels, &good.timestamps, &good.values)
            .unwrap();
        assert!(
            writer
                .add_series(&series.labels, &series.timestamps, &series.values)
                .is_err()
        );
        let later = plain(9, vec![1], |_| 0.0);
        let refused = writer.add_series(&later.labels, &later.timestamps, &later.values);
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })));
        assert!(writer.finish().is_err());
        assert!(!vfs.exists(path()).unwrap());
    }
    let vfs = store();
    assert!(
        BlockWriter::create(&vfs, path(), META)
            .unwrap()
            .finish()
            .is_err()
    );
    drop(BlockWriter::create(&vfs, path(), META).unwrap());
    assert!(!vfs.exists(path()).unwrap());
}

#[test]
fn the_file_of_a_doomed_block_goes_with_its_last_reader() {
    for reads in [Reads::Mmap, Reads::Pread] {
        let vfs = store();
        write(&vfs, path(), META, &[plain(1, vec![1, 2, 3], |_| 0.5)]).unwrap();
        drop(Block::open(&vfs, path(), reads).unwrap());
        assert!(vfs.exists(path()).unwrap());
        let block = Arc::new(Block::open(&vfs, path(), reads).unwrap());
        let reader = Arc::clone(&block);
        block.doom();
        drop(block);
        assert_eq!(read(&reader).unwrap()[0].1, [1, 2, 3]);
        assert!(vfs.exists(path()).unwrap());
        drop(reader);
        assert!(!vfs.exists(path()).unwrap());
    }
}

/// The step stands in a footer of version 4; blocks of samples as they came are of version 3.
#[test]
fn a_step_makes_a_block_of_an_even_version() {
    for (step, version) in [(0, 3), (300, 4), (MAX_STEP_SECONDS, 4)] {
        let vfs = store();
        let meta = BlockMeta { step, ..META };
        write(&vfs, path(), meta, &[plain(1, vec![1, 2, 3], |_| 0.5)]).unwrap();
        assert_eq!(vfs.map(path()).unwrap()[8..12], [version, 0, 0, 0]);
        let block = Block::open(&vfs, path(), Reads::Mmap).unwrap();
        assert_eq!(block.info().meta, meta);
    }
    let step = MAX_STEP_SECONDS + 1;
    let refused = BlockWriter::create(&store(), path(), BlockMeta { step, ..META });
    assert!(matches!(refused, Err(Error::InvalidArgument { .. })));
}
