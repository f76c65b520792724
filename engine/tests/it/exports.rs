//! Exports: the samples of a part of a database in chunks, and with the frames since, everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use treering::time::ManualClock;
use treering::{Batch, Db, Error, ExportedChunk, NamespaceOptions};

use crate::follow::{apply, contents, fill, open_keeping};
use crate::support::{all, append, bits, cpu, manual, memory, open, selector};

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
        let mut followers = Vec::new();
        thread::scope(|scope| {
            let writers = [seed, seed + 100].map(|seed| {
                let db = db.clone();
                scope.spawn(move || {
                    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    (0..STEPS).for_each(|_| change(&db, &mut dice));
                })
            });
            for number in 0..3 {
                let ended = || writers.iter().all(|writer| writer.is_finished());
                while db.stats().last_sequence < number * STEPS / 2 && !ended() {
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
