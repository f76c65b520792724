//! Following a database: every change after a sequence, for as long as the WAL has it.

use std::sync::Arc;
use std::time::Duration;

use treering::vfs::{CrashVfs, Vfs};
use treering::{
    Batch, Change, Db, Error, Frame, Metadata, MetricKind, NamespaceOptions, SampleColumns, Sync,
};

use crate::support::{all, append, bits, cpu, files, manual, memory, open, selector};

/// A database that starts a WAL file every 64 KiB and keeps `keep` bytes of it after a flush.
pub(crate) fn open_keeping(vfs: &Arc<dyn Vfs>, keep: u64) -> Db {
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
pub(crate) fn apply(db: &Db, frame: &Frame) {
    let there = |key: &treering::NamespaceKey| db.namespace(key.name.as_deref().unwrap()).unwrap();
    match &frame.change {
        Change::Samples {
            namespace,
            series,
            timestamps,
            values,
            histograms,
            starts,
            ..
        } => {
            let mut batch = Batch::new();
            for (labels, samples) in series {
                let samples = SampleColumns {
                    timestamps: timestamps[samples.clone()].to_vec(),
                    values: values[samples.clone()].to_vec(),
                    histograms: histograms.get(samples.clone()).unwrap_or_default().to_vec(),
                    starts: starts.get(samples.clone()).unwrap_or_default().to_vec(),
                };
                batch.push_samples(labels, &samples);
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

/// All samples, bit by bit.
pub(crate) fn contents(db: &Db) -> Vec<(String, Vec<(i64, u64)>)> {
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
        ..
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
pub(crate) fn fill(db: &Db, batches: i64) {
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
