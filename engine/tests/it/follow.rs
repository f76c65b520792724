//! Following a database: frames since a sequence, exports, and both together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use treering::time::ManualClock;
use treering::vfs::{CrashVfs, Vfs};
use treering::{
    Batch, Change, Db, Error, ExportedChunk, Frame, Metadata, MetricKind, NamespaceOptions, Sync,
};

use crate::support::{all, append, bits, cpu, files, manual, memory, open, selector};

/// A database that starts a WAL file every 64 KiB and keeps `keep` bytes of it after a flush.
fn open_keeping(vfs: &Arc<dyn Vfs>, keep: u64) -> Db {
    let options = manual(vfs).wal_file_bytes(64 << 10).wal_keep_bytes(keep);
    Db::open("/db", options).unwrap()
}

/// The frames after `sequence`, which count up one by one.
fn frames(db: &Db, sequence: u64) -> Vec<Frame> {
    let frames = db.frames_since(sequence).unwrap();
    let last = frames.last_sequence();
    let frames: Vec<Frame> = frames.map(Result::unwrap).collect();
    let sequences: Vec<u64> = frames.iter().map(|frame| frame.sequence).collect();
    assert_eq!(sequences, (sequence + 1..=last).collect::<Vec<_>>());
    frames
}

/// Does to `db` what the frame did to the database that it is of.
fn apply(db: &Db, frame: &Frame) {
    let there = |key: &treering::NamespaceKey| db.namespace(key.name.as_deref().unwrap()).unwrap();
    match &frame.change {
        Change::Samples {
            namespace,
            series,
            timestamps,
            values,
        } => {
            let mut batch = Batch::new();
            for (labels, samples) in series {
                let (times, values) = (&timestamps[samples.clone()], &values[samples.clone()]);
                batch.push_column(labels, times, values);
            }
            there(namespace).append(&batch).unwrap();
        }
        Change::Delete {
            namespace,
            selector,
            first,
            last,
        } => there(namespace).delete(selector, *first..=*last).unwrap(),
        Change::CreateNamespace { namespace, options } => {
            let name = namespace.name.as_deref().unwrap();
            db.create_namespace(name, options.clone()).unwrap();
        }
        Change::AlterNamespace { namespace, options } => {
            let name = namespace.name.as_deref().unwrap();
            db.alter_namespace(name, options.clone()).unwrap();
        }
        Change::DropNamespace { namespace } => {
            db.drop_namespace(namespace.name.as_deref().unwrap())
                .unwrap();
        }
        Change::Metadata {
            namespace,
            metric,
            metadata,
        } => match metadata {
            Some(metadata) => there(namespace).set_metadata(metric, metadata).unwrap(),
            None => there(namespace).remove_metadata(metric).unwrap(),
        },
        Change::Mark => {}
        other => panic!("a change that nobody applies: {other:?}"),
    }
}

/// Writes an export into `db`; what series follow each other, and their chunks, is checked.
fn import(db: &Db, export: treering::Export) -> u64 {
    let sequence = export.sequence();
    let mut before: Option<ExportedChunk> = None;
    for chunk in export {
        let chunk = chunk.unwrap();
        let columns = ExportedChunk::decode(&chunk.bytes).unwrap();
        assert_eq!(columns.timestamps.len(), chunk.count as usize);
        assert_eq!(columns.timestamps.first(), Some(&chunk.min_time));
        assert_eq!(columns.timestamps.last(), Some(&chunk.max_time));
        assert_eq!(chunk.hash, chunk.labels.hash64());
        if let Some(before) = before {
            let follows = before.labels < chunk.labels
                || (before.labels == chunk.labels && before.max_time < chunk.min_time);
            assert!(follows, "{before:?} stands before {chunk:?}");
        }
        let batch = Batch::new().column(&chunk.labels, &columns.timestamps, &columns.values);
        db.append(&batch).unwrap();
        before = Some(chunk);
    }
    sequence
}

/// All samples, bit by bit.
fn contents(db: &Db) -> Vec<(String, Vec<(i64, u64)>)> {
    let series = all(db, "{}").into_iter();
    series
        .map(|(labels, columns)| (labels, bits(&columns)))
        .collect()
}

#[test]
fn every_kind_of_change_is_told_in_order() {
    let vfs = memory();
    let db = open(&vfs);
    append(&db, &cpu("a"), 1, -0.0);
    let options = NamespaceOptions::default().retention(Duration::from_secs(3600));
    let own = db.create_namespace("own", options.clone()).unwrap();
    let known = Metadata::new(MetricKind::Gauge).help("How busy.");
    own.set_metadata("cpu", &known).unwrap();
    own.remove_metadata("cpu").unwrap();
    db.delete(&selector(r#"cpu{host=~"a|b"}"#), 0..=1).unwrap();
    db.alter_namespace("own", NamespaceOptions::default())
        .unwrap();
    let rows = Batch::new()
        .sample(cpu("a"), 7, 7.0)
        .sample(cpu("c"), 7, 8.0)
        .sample(cpu("a"), 6, f64::NAN);
    db.append(&rows).unwrap();
    db.drop_namespace("own").unwrap();
    let told = frames(&db, 0);
    let kind = |frame: &Frame| match &frame.change {
        Change::Samples { series, .. } => format!("samples of {}", series.len()),
        Change::Delete {
            selector,
            first,
            last,
            ..
        } => format!("delete {selector} {first} {last}"),
        Change::CreateNamespace { namespace, .. } => format!("create {:?}", namespace.name),
        Change::AlterNamespace { namespace, .. } => format!("alter {}", namespace.number),
        Change::DropNamespace { namespace } => format!("drop {:?}", namespace.name),
        Change::Metadata { metadata, .. } => format!("metadata {}", metadata.is_some()),
        other => format!("{other:?}"),
    };
    let kinds: Vec<String> = told.iter().map(kind).collect();
    let expected = [
        "samples of 1",
        "create Some(\"own\")",
        "metadata true",
        "metadata false",
        r#"delete cpu{host=~"a|b"} 0 1"#,
        "alter 1",
        "samples of 3",
        "drop Some(\"own\")",
    ];
    assert_eq!(kinds, expected);
    let Change::Samples {
        namespace,
        series,
        timestamps,
        values,
    } = &told[6].change
    else {
        panic!("{:?}", told[6]);
    };
    assert_eq!(
        (namespace.number, namespace.name.as_deref()),
        (0, Some("default"))
    );
    let expected = [(cpu("a"), 0..1), (cpu("c"), 1..2), (cpu("a"), 2..3)];
    assert_eq!(series, &expected);
    assert_eq!(timestamps, &[7, 7, 6]);
    assert_eq!(values[2].to_bits(), f64::NAN.to_bits());
    // From the middle on: the series were defined before.
    let from_there = format!("{:?}", frames(&db, 6));
    assert_eq!(from_there, format!("{:?}", &told[6..]));
    assert_eq!(frames(&db, 8), []);
    let ahead = db.frames_since(9).unwrap_err();
    assert!(matches!(ahead, Error::InvalidArgument { .. }), "{ahead}");
    // Another database becomes the same by them.
    let other = Db::in_memory().unwrap();
    frames(&db, 0).iter().for_each(|frame| apply(&other, frame));
    assert_eq!(contents(&other), contents(&db));
    db.close().unwrap();
    assert!(matches!(db.frames_since(0), Err(Error::Closed)));
    let db = open(&vfs);
    assert_eq!(frames(&db, 8)[0].change, Change::Mark);
}

/// Frames are told when they are written; how far they are durable is told too.
#[test]
fn what_is_not_durable_yet_is_told_as_such() {
    let vfs = memory();
    let db = Db::open("/db", manual(&vfs).sync(Sync::Never)).unwrap();
    append(&db, &cpu("a"), 1, 1.0);
    append(&db, &cpu("a"), 2, 2.0);
    db.sync().unwrap();
    append(&db, &cpu("a"), 3, 3.0);
    let told = db.frames_since(1).unwrap();
    assert_eq!((told.last_sequence(), told.durable_through()), (3, 2));
    assert_eq!(told.count(), 2);
    db.sync().unwrap();
    assert_eq!(db.frames_since(3).unwrap().durable_through(), 3);
}

/// Fills several WAL files, one series each in turn.
fn fill(db: &Db, batches: i64) {
    let first = db.stats().last_sequence as i64;
    for at in first..first + batches {
        let times: Vec<i64> = (0..500).map(|step| at * 1000 + step).collect();
        let values: Vec<f64> = times.iter().map(|at| *at as f64).collect();
        let host = format!("h{}", at % 7);
        db.append(&Batch::new().column(cpu(&host), &times, &values))
            .unwrap();
    }
}

#[test]
fn flushed_frames_are_gone_unless_they_are_kept() {
    let vfs = memory();
    let db = open_keeping(&vfs, 0);
    fill(&db, 60);
    db.flush().unwrap();
    fill(&db, 5);
    let gone = db.frames_since(59).unwrap_err();
    assert!(matches!(gone, Error::FramesGone { oldest: 61 }), "{gone}");
    assert!(gone.to_string().contains("Db::export"));
    assert_eq!(frames(&db, 60).len(), 5);
    db.flush().unwrap();
    assert_eq!(frames(&db, 65), []);
    assert!(matches!(
        db.frames_since(0),
        Err(Error::FramesGone { oldest: 66 })
    ));
    db.close().unwrap();
}

/// Kept files are followed across flushes and opens, are not replayed, and go when an open keeps
/// fewer.
#[test]
fn kept_files_survive_flushes_and_opens_and_are_not_replayed() {
    let vfs = memory();
    let db = open_keeping(&vfs, 1 << 30);
    fill(&db, 60);
    db.flush().unwrap();
    fill(&db, 40);
    let own = db.create_namespace("own", NamespaceOptions::default());
    append(&own.unwrap(), &cpu("x"), 1, 1.0);
    db.flush().unwrap();
    fill(&db, 3);
    let told = frames(&db, 0);
    assert_eq!(told.len(), 105);
    let held = contents(&db);
    drop(db);
    let db = open_keeping(&vfs, 1 << 30);
    // The three batches behind the last flush, and the mark that the close left.
    assert_eq!((db.recovery().frames, db.recovery().samples), (4, 1500));
    assert_eq!(db.recovery().removed, Vec::<String>::new());
    assert_eq!(db.stats().wal_bytes, db.recovery().wal_bytes + 64);
    assert_eq!(frames(&db, 0)[..105], told);
    assert_eq!(frames(&db, 77)[..28], told[77..]);
    let other = Db::in_memory().unwrap();
    frames(&db, 0).iter().for_each(|frame| apply(&other, frame));
    assert_eq!(contents(&other), held);
    assert_eq!(contents(&db), held);
    drop(db);
    // A little is less than the last generation, which is kept whole.
    let before = files(&vfs, "/db/wal").len();
    let db = open_keeping(&vfs, 1);
    assert!(files(&vfs, "/db/wal").len() < before);
    assert!(!db.recovery().removed.is_empty());
    assert!(matches!(
        db.frames_since(0),
        Err(Error::FramesGone { oldest: 61 })
    ));
    assert_eq!(frames(&db, 60)[..45], told[60..]);
    drop(db);
    let db = open_keeping(&vfs, 0);
    let gone = db.frames_since(60).unwrap_err();
    assert!(matches!(gone, Error::FramesGone { oldest: 103 }), "{gone}");
    assert_eq!(contents(&db), held);
}

/// Frames that were asked for are all given, although a flush takes their files meanwhile.
#[test]
fn a_flush_takes_nothing_from_those_who_read() {
    let vfs = memory();
    let db = open_keeping(&vfs, 0);
    fill(&db, 60);
    let mut told = db.frames_since(10).unwrap();
    assert_eq!(told.next().unwrap().unwrap().sequence, 11);
    db.flush().unwrap();
    fill(&db, 2);
    assert!(files(&vfs, "/db/wal").len() < 3);
    assert_eq!(told.map(Result::unwrap).count(), 49);
}

/// A crash can bring the later files of a flushed generation back, and not the first, which defines
/// its series. They are as good as gone.
#[test]
fn files_without_the_start_of_their_generation_are_no_use() {
    let vfs = memory();
    let db = open_keeping(&vfs, 1 << 30);
    fill(&db, 60);
    db.flush().unwrap();
    fill(&db, 5);
    let first = format!("/db/wal/{}", files(&vfs, "/db/wal")[0]);
    vfs.remove(first.as_ref()).unwrap();
    let mut told = db.frames_since(50).unwrap();
    let gone = told.next().unwrap().unwrap_err();
    assert!(matches!(gone, Error::FramesGone { oldest: 61 }), "{gone}");
    assert!(told.next().is_none());
    assert!(matches!(db.frames_since(1), Err(Error::FramesGone { .. })));
    assert_eq!(frames(&db, 60).len(), 5);
    // Damage is damage.
    let name = files(&vfs, "/db/wal").pop().unwrap();
    let last = vfs.open_rw(format!("/db/wal/{name}").as_ref()).unwrap();
    last.write_all_at(b"damage", 200).unwrap();
    let damaged = db.frames_since(60).unwrap().find_map(Result::err).unwrap();
    assert!(damaged.is_corruption(), "{damaged}");
}

/// An export of each part of the hashes, put together, is the database; each part has its own.
#[test]
fn parts_by_hash_add_up() {
    let vfs = memory();
    let db = open(&vfs);
    fill_states(&db);
    let whole = Db::in_memory().unwrap();
    import(&whole, db.export(.., ..).unwrap());
    assert_eq!(contents(&whole), contents(&db));
    let parts = Db::in_memory().unwrap();
    let mut series = 0;
    for part in 0..4u64 {
        let (least, most) = (part << 62, (part << 62) | (u64::MAX >> 2));
        let one = Db::in_memory().unwrap();
        for chunk in db.export(least..=most, ..).unwrap() {
            assert!((least..=most).contains(&chunk.unwrap().hash));
        }
        import(&one, db.export(least..=most, ..).unwrap());
        import(&parts, db.export(least..=most, ..).unwrap());
        series += contents(&one).len();
    }
    assert_eq!(series, contents(&db).len());
    assert_eq!(contents(&parts), contents(&db));
    let hash = cpu("h3").hash64();
    let only = Db::in_memory().unwrap();
    import(&only, db.export(hash..=hash, ..).unwrap());
    assert_eq!(all(&only, "{}"), all(&db, r#"cpu{host="h3"}"#));
    assert_eq!(db.export(hash..hash, ..).unwrap().count(), 0);
    assert_eq!(db.export(.., 5..5).unwrap().count(), 0);
}

/// Sealed chunks alone and overlapping, deleted ones, heads, late samples.
fn fill_states(db: &Db) {
    fill(db, 60);
    db.flush().unwrap();
    db.delete(&selector(r#"cpu{host="h1"}"#), 8_100..=15_200)
        .unwrap();
    db.delete(&selector(r#"cpu{host="h2"}"#), ..).unwrap();
    let late: Vec<i64> = (0..300).map(|step| 3_000 + step * 2).collect();
    let column = Batch::new().column(cpu("h3"), &late, &[0.5; 300]);
    db.append(&column.column(cpu("new"), &late, &[-0.0; 300]))
        .unwrap();
    db.flush().unwrap();
    append(db, &cpu("h4"), 4_100, f64::NAN);
    append(db, &cpu("h5"), i64::MAX, 5.0);
}

#[test]
fn an_export_has_the_range_asked_for_and_no_more() {
    let vfs = memory();
    let db = open(&vfs);
    fill_states(&db);
    for (first, last) in [
        (3_100, 9_300),
        (0, 0),
        (8_000, 8_150),
        (15_000, i64::MAX),
        (i64::MIN, -1),
    ] {
        let part = Db::in_memory().unwrap();
        import(&part, db.export(.., first..=last).unwrap());
        let expected: BTreeMap<String, Vec<(i64, u64)>> = db
            .select(&selector("{}"), first..=last)
            .unwrap()
            .map(|series| {
                let series = series.unwrap();
                let columns = series.columns().unwrap();
                (series.labels().to_string(), bits(&columns))
            })
            .collect();
        let found: BTreeMap<_, _> = contents(&part).into_iter().collect();
        assert_eq!(found, expected, "{first}..={last}");
    }
}

/// What has expired is not exported, although it is still in a block.
#[test]
fn an_export_leaves_out_what_has_expired() {
    let vfs = memory();
    let clock = Arc::new(ManualClock::new(0));
    let options = manual(&vfs).clock(Arc::clone(&clock) as _);
    let db = Db::open("/db", options).unwrap();
    let kept = NamespaceOptions::default().retention(Duration::from_secs(100));
    let own = db.create_namespace("own", kept).unwrap();
    let times: Vec<i64> = (0..50).map(|step| step * 1_000_000_000).collect();
    own.append(&Batch::new().column(cpu("a"), &times, &[1.0; 50]))
        .unwrap();
    db.flush().unwrap();
    clock.advance(Duration::from_secs(120));
    let chunks: Vec<_> = own.export(.., ..).unwrap().map(Result::unwrap).collect();
    assert_eq!(chunks.len(), 1);
    assert_eq!(
        (chunks[0].min_time, chunks[0].count),
        (20 * 1_000_000_000, 30)
    );
    assert_eq!(db.export(.., ..).unwrap().count(), 0);
    db.drop_namespace("own").unwrap();
    assert!(matches!(own.export(.., ..), Err(Error::NoNamespace { .. })));
}

/// Numbers without a pattern, from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// One random change of a database.
fn change(db: &Db, dice: &mut Dice) {
    let host = |dice: &mut Dice| cpu(&format!("h{}", dice.below(12)));
    match dice.below(40) {
        0 => db.flush().unwrap(),
        1 => db.compact().unwrap(),
        2 => {
            let first = dice.below(4000) as i64;
            let what = format!(r#"cpu{{host=~"h{}.*"}}"#, dice.below(12));
            let range = first..first + dice.below(400) as i64;
            db.delete(&selector(&what), range).unwrap();
        }
        3..10 => {
            let first = dice.below(4000) as i64;
            let times: Vec<i64> = (first..first + 1 + dice.below(600) as i64).collect();
            let value = dice.below(1000) as f64 / 8.0;
            let values = vec![value; times.len()];
            db.append(&Batch::new().column(host(dice), &times, &values))
                .unwrap();
        }
        _ => {
            let mut batch = Batch::new();
            for _ in 0..dice.below(30) {
                let value = f64::from_bits(dice.below(u64::MAX));
                batch.push(host(dice), dice.below(5000) as i64, value);
            }
            db.append(&batch).unwrap();
        }
    }
}

/// Whoever imports an export and follows from its sequence on has everything, while two writers go
/// on, flush, compact and delete; wherever the export begins.
#[test]
fn an_export_and_the_frames_since_are_everything() {
    const STEPS: u64 = 250;
    for seed in 1..=3u64 {
        let vfs = memory();
        let db = open_keeping(&vfs, 1 << 30);
        let writing = AtomicU64::new(2);
        let mut followers = Vec::new();
        thread::scope(|scope| {
            for writer in 0..2 {
                let (db, writing) = (db.clone(), &writing);
                scope.spawn(move || {
                    let mut dice = Dice(seed * 0x9e37_79b9_7f4a_7c15 + writer);
                    (0..STEPS).for_each(|_| change(&db, &mut dice));
                    writing.fetch_sub(1, Ordering::Relaxed);
                });
            }
            for number in 0..3 {
                while db.stats().last_sequence < number * STEPS / 2
                    && writing.load(Ordering::Relaxed) > 0
                {
                    thread::yield_now();
                }
                let other = Db::in_memory().unwrap();
                let since = import(&other, db.export(.., ..).unwrap());
                let since = follow(&db, &other, since);
                followers.push((other, since));
            }
        });
        for (other, since) in followers {
            assert_eq!(follow(&db, &other, since), db.stats().last_sequence);
            assert!(contents(&other) == contents(&db), "seed {seed}");
        }
    }
}

/// Applies what came since; the sequence to go on from.
fn follow(db: &Db, other: &Db, since: u64) -> u64 {
    let told = db.frames_since(since).unwrap();
    let last = told.last_sequence();
    told.for_each(|frame| apply(other, &frame.unwrap()));
    last
}

/// Without kept files a follower that came too late starts over with an export, and ends the same.
#[test]
fn a_follower_that_comes_too_late_starts_over() {
    let vfs = memory();
    let db = open_keeping(&vfs, 0);
    let mut dice = Dice(7);
    let (mut other, mut since, mut starts) = (Db::in_memory().unwrap(), 0, 0);
    for step in 0..600 {
        change(&db, &mut dice);
        if step % 23 != 0 {
            continue;
        }
        match db.frames_since(since) {
            Ok(told) => {
                since = told.last_sequence();
                told.for_each(|frame| apply(&other, &frame.unwrap()));
            }
            Err(Error::FramesGone { oldest }) => {
                assert!(oldest > since + 1);
                starts += 1;
                other = Db::in_memory().unwrap();
                since = import(&other, db.export(.., ..).unwrap());
            }
            Err(error) => panic!("{error}"),
        }
        assert!(contents(&other) == contents(&db), "step {step}");
    }
    assert!(starts > 2, "{starts} starts");
}

/// After a power cut at any call the frames that are still there follow each other, back to the
/// oldest that is told; whatever became of the removal of older files.
#[test]
fn after_a_power_cut_frames_are_whole_or_gone() {
    for keep in [100 << 10, 1 << 30] {
        let crash = CrashVfs::new();
        let store: Arc<dyn Vfs> = Arc::new(crash.clone());
        let open = |vfs: &Arc<dyn Vfs>| {
            let options = manual(vfs).sync(Sync::Always);
            let options = options.wal_file_bytes(64 << 10).wal_keep_bytes(keep);
            Db::open("/db", options).unwrap()
        };
        let db = open(&store);
        let made = crash.calls();
        for _ in 0..3 {
            fill(&db, 40);
            db.flush().unwrap();
        }
        fill(&db, 3);
        drop(db);
        let (mut from_start, mut gone) = (0, 0);
        for call in (made..=crash.calls()).step_by(9) {
            for (index, image) in crash.images(call, 1, 2).enumerate() {
                let vfs: Arc<dyn Vfs> = Arc::new(image);
                let db = open(&vfs);
                let at = format!("keep {keep}, call {call}, image {index}");
                match whole(&db, 0, &at) {
                    Some(oldest) => {
                        gone += 1;
                        assert_eq!(whole(&db, oldest - 1, &at), None, "{at}");
                    }
                    None => from_start += 1,
                }
            }
        }
        assert!(from_start > 20, "{from_start}");
        assert_eq!(gone > 20, keep < 1 << 30, "{gone}");
    }
}

/// Reads all frames after `since`; the oldest that is there when some of them are gone. From the
/// start they are the database.
fn whole(db: &Db, since: u64, at: &str) -> Option<u64> {
    let other = Db::in_memory().unwrap();
    let mut next = since;
    let told = match db.frames_since(since) {
        Ok(told) => told,
        Err(Error::FramesGone { oldest }) => return Some(oldest),
        Err(error) => panic!("{at}: {error}"),
    };
    let last = told.last_sequence();
    assert_eq!(last, db.stats().last_sequence, "{at}");
    for frame in told {
        match frame {
            Ok(frame) => {
                next += 1;
                assert_eq!(frame.sequence, next, "{at}");
                apply(&other, &frame);
            }
            Err(Error::FramesGone { oldest }) => return Some(oldest),
            Err(error) => panic!("{at}: {error}"),
        }
    }
    assert_eq!(next, last, "{at}");
    if since == 0 {
        assert!(contents(&other) == contents(db), "{at}");
    }
    None
}
