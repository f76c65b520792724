//! Reading beside a writer: what a read-only open sees, and that it changes nothing.
//!
//! `TREERING_STEPS` is the number of random steps of the writer, `TREERING_SEED` where they start.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use treering::time::ManualClock;
use treering::vfs::{Entry, Fault, FaultVfs, File, Lock, MemVfs, Repeat, Vfs};
use treering::{
    Batch, Db, Error, Labels, Metadata, MetricKind, NamespaceOptions, Options, Reads, Selector,
    Sync, labels,
};

use crate::number::number;
use crate::support::{Told, all, append, cpu, files, manual, memory, open, selector, told};

/// A store that cannot be written, as a medium for reading only; it counts who tries.
#[derive(Debug)]
struct Unwritable {
    inner: Arc<dyn Vfs>,
    refused: AtomicU64,
}

impl Unwritable {
    fn of(inner: &Arc<dyn Vfs>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            refused: AtomicU64::new(0),
        })
    }

    fn refuse<T>(&self) -> io::Result<T> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }
}

impl Vfs for Unwritable {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }
    fn create(&self, _: &Path) -> io::Result<Arc<dyn File>> {
        self.refuse()
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        // A file that is open for reading only refuses to be written by itself.
        self.inner.open(path)
    }
    fn open_rw(&self, _: &Path) -> io::Result<Arc<dyn File>> {
        self.refuse()
    }
    fn map(&self, path: &Path) -> io::Result<Bytes> {
        self.inner.map(path)
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        self.refuse()
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }
    fn link(&self, _: &Path, _: &Path) -> io::Result<()> {
        self.refuse()
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.inner.list(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }
    fn lock(&self, _: &Path) -> io::Result<Box<dyn Lock>> {
        self.refuse()
    }
    fn absolute(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.absolute(path)
    }
}

/// Opens `/db` for reading, on a store that cannot be written.
fn reader(vfs: &Arc<dyn Vfs>) -> (Db, Arc<Unwritable>) {
    let store = Unwritable::of(vfs);
    let options = manual(&(Arc::clone(&store) as Arc<dyn Vfs>));
    (Db::open_read_only("/db", options).unwrap(), store)
}

fn count(told: &Told) -> usize {
    let series = told.iter().flat_map(|(_, series, _)| series);
    series.map(|(_, samples)| samples.len()).sum()
}

/// Something that a writer does, and its name.
type Step = (&'static str, Box<dyn Fn(&Db)>);

#[test]
fn a_reader_follows_everything_a_writer_does_and_writes_nothing() {
    let vfs = memory();
    let clock = Arc::new(ManualClock::new(0));
    let options = || manual(&vfs).clock(Arc::clone(&clock) as Arc<_>);
    let mut db = Db::open("/db", options()).unwrap();
    let store = Unwritable::of(&vfs);
    let reading = manual(&(Arc::clone(&store) as Arc<dyn Vfs>)).clock(Arc::clone(&clock) as Arc<_>);
    let reader = Db::open_read_only("/db", reading).unwrap();
    assert!(!reader.refresh().unwrap());
    let hour = 3_600_000_000_000;
    let week = NamespaceOptions::default().retention(Duration::from_secs(7 * 86_400));
    let steps: Vec<Step> = vec![
        ("append", Box::new(|db| append(db, &cpu("a"), 1, 1.0))),
        (
            "append more",
            Box::new(|db| append(db, &cpu("b"), 2, f64::NAN)),
        ),
        ("flush", Box::new(|db| db.flush().unwrap())),
        ("append again", Box::new(|db| append(db, &cpu("a"), 1, 2.0))),
        ("flush again", Box::new(|db| db.flush().unwrap())),
        (
            "delete in blocks",
            Box::new(|db| db.delete(&selector("cpu{host=\"b\"}"), ..).unwrap()),
        ),
        ("append after", Box::new(|db| append(db, &cpu("b"), 5, 5.0))),
        (
            "delete in head",
            Box::new(|db| db.delete(&selector("cpu"), 5..6).unwrap()),
        ),
        ("compact", Box::new(|db| db.compact().unwrap())),
        ("flush the delete", Box::new(|db| db.flush().unwrap())),
        ("compact it", Box::new(|db| db.compact().unwrap())),
        (
            "namespace",
            Box::new(move |db| {
                let new = db.create_namespace("week", week.clone()).unwrap();
                append(&new, &cpu("w"), hour, 1.0);
            }),
        ),
        (
            "metadata",
            Box::new(|db| {
                let metadata = Metadata::new(MetricKind::Counter).help("help");
                db.set_metadata("cpu", &metadata).unwrap();
            }),
        ),
        ("flush all", Box::new(|db| db.flush().unwrap())),
        (
            "append to it",
            Box::new(move |db| {
                append(&db.namespace("week").unwrap(), &cpu("x"), 2 * hour, 1.0);
            }),
        ),
        (
            "forget metadata",
            Box::new(|db| db.remove_metadata("cpu").unwrap()),
        ),
        ("drop it", Box::new(|db| db.drop_namespace("week").unwrap())),
        (
            "make it again",
            Box::new(|db| {
                let new = db
                    .create_namespace("week", NamespaceOptions::default())
                    .unwrap();
                append(&new, &cpu("y"), 3, 3.0);
            }),
        ),
        (
            "drop it unflushed",
            Box::new(|db| db.drop_namespace("week").unwrap()),
        ),
        ("flush the drop", Box::new(|db| db.flush().unwrap())),
        (
            "alter",
            Box::new(|db| {
                let day = NamespaceOptions::default().retention(Duration::from_secs(86_400));
                db.alter_namespace("default", day).unwrap();
            }),
        ),
    ];
    for (what, step) in &steps {
        let before = told(&reader);
        step(&db);
        assert_eq!(told(&reader), before, "{what}: before the refresh");
        let moved = reader.refresh().unwrap();
        assert_eq!(told(&reader), told(&db), "{what}");
        // A compaction may find nothing to do.
        assert!(moved || what.starts_with("compact"), "{what}");
        assert!(!reader.refresh().unwrap(), "{what}: nothing new");
        let found = reader.verify().unwrap();
        assert!(found.is_clean(), "{what}: {found:?}");
    }
    assert!(matches!(
        reader.namespace("week"),
        Err(Error::NoNamespace { .. })
    ));
    // Retention: the writer drops the blocks, the reader's clock hides them.
    append(&db, &cpu("new"), 10 * 24 * hour, 1.0);
    clock.set(10 * 24 * hour);
    db.maintain().unwrap();
    assert!(reader.refresh().unwrap());
    assert_eq!(told(&reader), told(&db));
    assert_eq!(count(&told(&reader)), 1);
    // The writer goes, comes back, and goes for good.
    db.close().unwrap();
    reader.refresh().unwrap();
    assert_eq!(count(&told(&reader)), 1);
    db = Db::open("/db", options()).unwrap();
    append(&db, &cpu("new"), 10 * 24 * hour + 1, 2.0);
    assert!(reader.refresh().unwrap());
    assert_eq!(told(&reader), told(&db));
    let last = told(&db);
    db.close().unwrap();
    reader.refresh().unwrap();
    assert_eq!(told(&reader), last);
    assert_eq!(
        store.refused.load(Ordering::Relaxed),
        0,
        "it tried to write"
    );
}

#[test]
fn every_change_through_a_reader_is_refused() {
    let vfs = memory();
    let db = open(&vfs);
    let ours = db.series(&cpu("a")).unwrap();
    append(&db, &cpu("a"), 1, 1.0);
    let (reader, store) = reader(&vfs);
    let before = told(&reader);
    let names = files(&vfs, "/db");
    let one = Batch::new().sample(cpu("a"), 2, 2.0);
    let nothing = (Bound::Excluded(2), Bound::Excluded(3));
    let refusals = [
        ("append", reader.append(&one)),
        ("append_partial", reader.append_partial(&one).map(|_| ())),
        ("series", reader.series(&cpu("a")).map(|_| ())),
        ("delete", reader.delete(&selector("cpu"), ..)),
        ("delete nothing", reader.delete(&selector("cpu"), nothing)),
        ("sync", reader.sync()),
        ("flush", reader.flush()),
        ("compact", reader.compact()),
        ("maintain", reader.maintain().map(|_| ())),
        (
            "create_namespace",
            reader
                .create_namespace("n", NamespaceOptions::default())
                .map(|_| ()),
        ),
        (
            "alter",
            reader.alter_namespace("default", NamespaceOptions::default()),
        ),
        ("drop", reader.drop_namespace("default")),
        (
            "set_metadata",
            reader.set_metadata("cpu", &Metadata::new(MetricKind::Gauge)),
        ),
        ("remove_metadata", reader.remove_metadata("cpu")),
        ("snapshot", reader.snapshot("/copy").map(|_| ())),
    ];
    for (what, refusal) in refusals {
        assert!(
            matches!(refusal, Err(Error::ReadOnly)),
            "{what}: {refusal:?}"
        );
    }
    reader.release(&[ours]);
    assert_eq!(told(&reader), before);
    assert_eq!(reader.stats().last_sequence, db.stats().last_sequence);
    let other = reader.clone();
    reader.close().unwrap();
    reader.close().unwrap();
    assert!(matches!(other.refresh(), Err(Error::Closed)));
    assert!(matches!(
        other.select(&selector("cpu"), ..),
        Err(Error::Closed)
    ));
    drop((reader, other));
    assert_eq!(files(&vfs, "/db"), names);
    assert_eq!(store.refused.load(Ordering::Relaxed), 0);
    // The writer never noticed, and refreshing it means nothing.
    append(&db, &cpu("a"), 3, 3.0);
    assert!(!db.refresh().unwrap());
}

#[test]
fn a_reader_needs_a_database_and_no_lock() {
    let vfs = memory();
    let nothing = Db::open_read_only("/db", manual(&vfs));
    assert!(
        matches!(nothing, Err(Error::NotADatabase { .. })),
        "{nothing:?}"
    );
    vfs.create_dir(Path::new("/db")).unwrap();
    let empty = Db::open_read_only("/db", manual(&vfs));
    assert!(
        matches!(empty, Err(Error::NotADatabase { .. })),
        "{empty:?}"
    );
    let db = open(&vfs);
    append(&db, &cpu("a"), 1, 1.0);
    db.close().unwrap();
    vfs.remove(Path::new("/db/LOCK")).unwrap();
    let (reader, store) = reader(&vfs);
    assert_eq!(count(&told(&reader)), 1);
    assert!(!files(&vfs, "/db").contains(&"LOCK".to_owned()));
    assert_eq!(store.refused.load(Ordering::Relaxed), 0);
    // Another database under the same name is not the one that was opened.
    let (db_path, old) = (Path::new("/db"), Path::new("/old"));
    vfs.rename(db_path, old).unwrap();
    assert!(matches!(reader.refresh(), Err(Error::NotADatabase { .. })));
    let other = open(&vfs);
    append(&other, &cpu("a"), 2, 2.0);
    assert!(matches!(reader.refresh(), Err(Error::NotADatabase { .. })));
    assert_eq!(count(&told(&reader)), 1);
}

#[test]
fn a_torn_tail_is_the_end_and_damage_before_durable_frames_is_an_error() {
    let mem = MemVfs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(mem.clone());
    let db = open(&vfs);
    let mut ends = Vec::new();
    let wal = Path::new("/db/wal/0000000002.wal");
    let len = |vfs: &MemVfs| vfs.open(wal).unwrap().len().unwrap();
    for at in 1..=4 {
        append(&db, &cpu("a"), at, 1.0);
        ends.push(len(&mem));
    }
    for cut in 64..=ends[3] {
        let torn = mem.fork();
        torn.open_rw(wal).unwrap().set_len(cut).unwrap();
        let store: Arc<dyn Vfs> = Arc::new(torn.clone());
        let (reader, _) = reader(&store);
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!(count(&told(&reader)), whole, "cut at {cut}");
        assert_eq!(len(&torn), cut);
        // The rest arrives: half a frame was being written.
        let rest = mem.read(wal, 1 << 20).unwrap();
        torn.open_rw(wal).unwrap().write_all_at(&rest, 0).unwrap();
        assert_eq!(reader.refresh().unwrap(), whole < 4);
        assert_eq!(told(&reader), told(&db));
    }
    // A sync, and a frame that tells of it: damage before is damage.
    db.sync().unwrap();
    append(&db, &cpu("a"), 5, 1.0);
    let damaged = mem.fork();
    let file = damaged.open_rw(wal).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, ends[1] + 8).unwrap();
    file.write_all_at(&[!byte[0]], ends[1] + 8).unwrap();
    let store: Arc<dyn Vfs> = Arc::new(damaged.clone());
    let error = Db::open_read_only("/db", manual(&store)).unwrap_err();
    assert!(
        matches!(&error, Error::Corrupt { offset, .. } if *offset == ends[1]),
        "{error:?}"
    );
    // A reader that was there before notices when it reads that far, and goes on once it is mended.
    let mended = mem.fork();
    mended.open_rw(wal).unwrap().set_len(ends[0]).unwrap();
    let store: Arc<dyn Vfs> = Arc::new(mended.clone());
    let (reader, _) = reader(&store);
    let bad = damaged.read(wal, 1 << 20).unwrap();
    mended.open_rw(wal).unwrap().write_all_at(&bad, 0).unwrap();
    assert!(reader.refresh().unwrap_err().is_corruption());
    let good = mem.read(wal, 1 << 20).unwrap();
    mended.open_rw(wal).unwrap().write_all_at(&good, 0).unwrap();
    reader.refresh().unwrap();
    assert_eq!(told(&reader), told(&db));
}

#[test]
fn an_iterator_keeps_what_it_sees_and_removed_files_stay_readable() {
    for reads in [Reads::Mmap, Reads::Pread] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let options = || {
            let options = Options::default().maintenance(treering::Maintenance::Manual);
            options.sync(Sync::Never).reads(reads)
        };
        let db = Db::open(&path, options()).unwrap();
        for at in 0..2000 {
            append(&db, &cpu("a"), at, at as f64);
            if at == 1000 {
                db.flush().unwrap();
            }
        }
        db.flush().unwrap();
        let reader = Db::open_read_only(&path, options()).unwrap();
        let before = all(&reader, "cpu");
        let mut under_way = reader.select(&selector("cpu"), ..).unwrap();
        db.delete(&selector("cpu"), ..).unwrap();
        db.flush().unwrap();
        db.compact().unwrap();
        assert_eq!(std::fs::read_dir(path.join("blocks")).unwrap().count(), 0);
        // The reader has not looked yet: the files are gone, what it has open is not.
        assert_eq!(all(&reader, "cpu"), before);
        assert!(reader.refresh().unwrap());
        assert!(all(&reader, "cpu").is_empty());
        let series = under_way.next().unwrap().unwrap();
        assert_eq!(series.columns().unwrap(), before[0].1);
    }
}

#[test]
fn memory_of_a_reader_goes_down_with_the_writers_flush() {
    let vfs = memory();
    let db = open(&vfs);
    for number in 1..=300 {
        append(&db, &cpu(&format!("h{number}")), number, 1.0);
    }
    let (reader, _) = reader(&vfs);
    let full = reader.stats();
    assert_eq!((full.head_samples, full.series, full.blocks), (300, 300, 0));
    assert!(full.head_bytes > 0 && full.label_bytes > 0 && full.wal_bytes > 0);
    let report = reader.recovery();
    assert_eq!(
        (report.samples, report.series, report.created),
        (300, 300, false)
    );
    db.flush().unwrap();
    reader.refresh().unwrap();
    let flushed = reader.stats();
    assert_eq!(
        (flushed.head_samples, flushed.series, flushed.blocks),
        (0, 0, 1)
    );
    assert!(flushed.head_bytes < full.head_bytes && flushed.label_bytes < full.label_bytes);
    assert_eq!(flushed.wal_bytes, 0);
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }
}

/// What the writer holds: namespace, series, time, bits.
type Model = std::collections::BTreeMap<(String, String, i64), u64>;

fn model_of(told: &Told) -> Model {
    let mut model = Model::new();
    for (namespace, series, _) in told {
        for (labels, samples) in series {
            for &(at, bits) in samples {
                model.insert((namespace.clone(), labels.clone(), at), bits);
            }
        }
    }
    model
}

/// One random step of a writer and of the model.
fn step(db: &mut Db, vfs: &Arc<dyn Vfs>, model: &mut Model, random: &mut Random) {
    let names: Vec<String> = db.namespaces().into_iter().map(|n| n.name).collect();
    let name = names[random.below(names.len() as u64) as usize].clone();
    match random.below(100) {
        0..60 => {
            let mut batch = Batch::new();
            for _ in 0..1 + random.below(8) {
                let host = cpu(&format!("h{}", random.below(40)));
                let at = random.below(400) as i64 * 60_000_000_000;
                let value = random.below(1000) as f64;
                model.insert((name.clone(), host.to_string(), at), value.to_bits());
                batch.push(host, at, value);
            }
            db.namespace(&name).unwrap().append(&batch).unwrap();
        }
        60..70 => {
            let hosts = random.below(4);
            let selector = selector(&format!("cpu{{host=~\"h{hosts}.*\"}}"));
            let first = random.below(400) as i64 * 60_000_000_000;
            let last = first + random.below(200) as i64 * 60_000_000_000;
            let db = db.namespace(&name).unwrap();
            db.delete(&selector, first..=last).unwrap();
            let host = format!("host=\"h{hosts}");
            model.retain(|(namespace, labels, at), _| {
                *namespace != name || !labels.contains(&host) || !(first..=last).contains(at)
            });
        }
        70..82 => db.flush().unwrap(),
        82..90 => drop(db.maintain().unwrap()),
        90..92 => db.compact().unwrap(),
        92..95 if names.len() < 4 => {
            let name = format!("n{}", random.below(6));
            let _ = db.create_namespace(&name, NamespaceOptions::default());
        }
        95..97 if name != "default" => {
            db.drop_namespace(&name).unwrap();
            model.retain(|(namespace, _, _), _| *namespace != name);
        }
        97..99 => {
            db.close().unwrap();
            *db = Db::open("/db", small(vfs)).unwrap();
        }
        _ => db.sync().unwrap(),
    }
}

/// Small files, so that everything happens in a short life.
fn small(vfs: &Arc<dyn Vfs>) -> Options {
    manual(vfs).wal_file_bytes(64 << 10).wal_max_bytes(64 << 10)
}

#[test]
fn readers_that_refresh_now_and_then_equal_the_model_through_thousands_of_steps() {
    let (steps, seed) = (
        number("TREERING_STEPS").unwrap_or(3000),
        number("TREERING_SEED"),
    );
    let seed = seed.unwrap_or(1);
    let mut random = Random(seed);
    let vfs = memory();
    let mut db = Db::open("/db", small(&vfs)).unwrap();
    let mut model = Model::new();
    let (often, store) = reader(&vfs);
    let (seldom, _) = reader(&vfs);
    for number in 0..steps {
        step(&mut db, &vfs, &mut model, &mut random);
        if random.below(3) == 0 {
            often.refresh().unwrap();
            assert_eq!(model_of(&told(&often)), model, "seed {seed}, step {number}");
        }
        if random.below(60) == 0 {
            seldom.refresh().unwrap();
            assert_eq!(
                model_of(&told(&seldom)),
                model,
                "seed {seed}, step {number}"
            );
            let (fresh, _) = reader(&vfs);
            assert_eq!(told(&fresh), told(&seldom), "seed {seed}, step {number}");
            let found = seldom.verify().unwrap();
            assert!(found.is_clean(), "seed {seed}, step {number}: {found:?}");
        }
    }
    assert_eq!(store.refused.load(Ordering::Relaxed), 0);
}

#[test]
fn a_store_that_fails_under_a_reader_gives_errors_and_never_other_samples() {
    let (steps, mut fired) = (12, 0);
    for fault in [Fault::Io, Fault::Interrupted, Fault::ShortRead] {
        for call in 1.. {
            let mut random = Random(7);
            let vfs = memory();
            let mut db = Db::open("/db", small(&vfs)).unwrap();
            let mut model = Model::new();
            let faulty = FaultVfs::new(Arc::clone(&vfs));
            faulty.fail(call, fault, Repeat::Once);
            let mut reader: Option<Db> = None;
            for _ in 0..steps {
                step(&mut db, &vfs, &mut model, &mut random);
                let store: Arc<dyn Vfs> = Arc::new(faulty.clone());
                let moved = match &reader {
                    Some(reader) => reader.refresh().map(|_| ()),
                    None => Db::open_read_only("/db", manual(&store).reads(Reads::Pread))
                        .map(|opened| reader = Some(opened)),
                };
                let failed = moved.is_err();
                if let Some(reader) = &reader
                    && !failed
                    && faulty.fired() > 0
                {
                    assert_eq!(model_of(&told(reader)), model, "{fault:?} at {call}");
                }
            }
            if faulty.fired() == 0 {
                break;
            }
            fired += 1;
            let reader = reader.unwrap();
            reader.refresh().unwrap();
            assert_eq!(model_of(&told(&reader)), model, "{fault:?} at {call}");
        }
    }
    assert!(fired > 300, "{fired} calls were failed");
}

/// The value of each sample says which series it belongs to.
fn tagged(series: i64, at: i64) -> f64 {
    (series * 1_000_000 + at) as f64
}

/// Each series holds samples 0, 1, 2, ... without a gap, its own; how many the shortest has.
fn prefix(db: &Db) -> i64 {
    let mut shortest = i64::MAX;
    for (labels, columns) in all(db, "cpu") {
        let series: i64 = labels.split("host=\"s").nth(1).unwrap()[..1]
            .parse()
            .unwrap();
        for (index, (&at, value)) in columns.timestamps.iter().zip(&columns.values).enumerate() {
            assert_eq!((at, *value), (index as i64, tagged(series, at)), "{labels}");
        }
        shortest = shortest.min(columns.timestamps.len() as i64);
    }
    shortest
}

#[test]
fn questions_never_mix_old_and_new_while_a_reader_refreshes_beside_a_busy_writer() {
    const SERIES: i64 = 8;
    const ROWS: i64 = 1500;
    let vfs = memory();
    let db = Db::open("/db", small(&vfs)).unwrap();
    let written = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    let row = |at: i64| {
        let mut batch = Batch::new();
        // Their order changes with the generation, and with it the ids that a replay gives them.
        for turn in 0..SERIES {
            let series = (turn + at / 40) % SERIES;
            batch.push(cpu(&format!("s{series}")), at, tagged(series, at));
        }
        db.append(&batch).unwrap();
        written.store(at as u64 + 1, Ordering::Release);
    };
    row(0);
    let (reader, store) = reader(&vfs);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for at in 1..ROWS {
                row(at);
                match at % 40 {
                    0 => db.flush().unwrap(),
                    20 => drop(db.maintain().unwrap()),
                    _ => {}
                }
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::Acquire) {
                let acknowledged = written.load(Ordering::Acquire) as i64;
                reader.refresh().unwrap();
                let shown = prefix(&reader);
                assert!(
                    shown >= acknowledged.max(seen),
                    "{shown} of {acknowledged}, {seen} before"
                );
                seen = shown;
            }
        });
        // These ask while the other one refreshes.
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = 0;
                while !done.load(Ordering::Acquire) {
                    let shown = prefix(&reader);
                    assert!(shown >= seen, "{shown} after {seen}");
                    seen = shown;
                    let hosts = reader.label_values("host", &selector("cpu"), ..).unwrap();
                    assert_eq!(hosts.len(), SERIES as usize);
                }
            });
        }
    });
    reader.refresh().unwrap();
    assert_eq!(prefix(&reader), ROWS);
    assert_eq!(store.refused.load(Ordering::Relaxed), 0);
}

const CHILD: &str = "TREERING_READERS_CHILD";

/// Ends the writing process when the test ends.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn child_options() -> Options {
    Options::default()
        .sync(Sync::Interval(Duration::from_millis(20)))
        .wal_file_bytes(64 << 10)
        .wal_max_bytes(256 << 10)
        .reserve_bytes(0)
}

/// The writing process: rows of all series, one after the other, until it is killed.
fn write_until_killed(path: &Path) {
    let db = Db::open(path, child_options()).unwrap();
    let start = if db.stats().time_range.is_some() {
        prefix(&db)
    } else {
        0
    };
    for at in start.. {
        let mut batch = Batch::new();
        for series in 0..8 {
            batch.push(cpu(&format!("s{series}")), at, tagged(series, at));
        }
        db.append(&batch).unwrap();
        // When the parent is gone there is nobody to tell.
        let _ = io::stdout()
            .lock()
            .write_all(format!("\nrow {at}\n").as_bytes());
        if at % 150 == 149 {
            db.flush().unwrap();
        }
    }
}

#[test]
fn a_reader_in_another_process_sees_what_was_acknowledged_and_outlives_the_writer() {
    if let Some(path) = std::env::var_os(CHILD) {
        return write_until_killed(Path::new(&path));
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let mut reader: Option<Db> = None;
    let mut rows = 0;
    for life in 0..3 {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "readers::a_reader_in_another_process_sees_what_was_acknowledged_and_outlives_the_writer",
                "--nocapture",
            ])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = Writer(child);
        let pipe = BufReader::new(child.0.stdout.take().unwrap());
        let mut seen = 0;
        for line in pipe.lines().map(|line| line.unwrap()) {
            let Some(at) = line.strip_prefix("row ") else {
                assert!(!line.contains("panicked"), "the writer: {line}");
                continue;
            };
            rows = at.parse::<i64>().unwrap() + 1;
            if rows % 7 != 0 {
                continue;
            }
            let reader =
                reader.get_or_insert_with(|| Db::open_read_only(&path, child_options()).unwrap());
            reader.refresh().unwrap();
            let shown = prefix(reader);
            assert!(shown >= rows.max(seen), "life {life}: {shown} of {rows}");
            seen = shown;
            if rows > 700 * (life + 1) {
                break;
            }
        }
        drop(child);
        // No writer any more: the reader goes on, and a second one sees the same.
        let reader = reader.as_ref().unwrap();
        reader.refresh().unwrap();
        assert!(prefix(reader) >= rows);
        let second = Db::open_read_only(&path, child_options()).unwrap();
        assert_eq!(told(&second), told(reader));
        let found = second.verify().unwrap();
        assert!(found.is_clean(), "{found:?}");
    }
}

#[test]
fn a_directory_that_must_not_be_written_is_enough() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let db = Db::open(&path, child_options()).unwrap();
    append(&db, &labels! { "__name__" => "m" }, 1, 1.0);
    db.flush().unwrap();
    append(&db, &labels! { "__name__" => "m" }, 2, 2.0);
    db.close().unwrap();
    let names = |dir: &Path| -> Vec<_> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let folders = [path.clone(), path.join("wal"), path.join("blocks")];
    let before: Vec<_> = folders.iter().map(|folder| names(folder)).collect();
    let allow = |mode| {
        for folder in &folders {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    allow(0o500);
    // Root may write all the same: the other stories have a store that refuses.
    let reader = Db::open_read_only(&path, child_options()).unwrap();
    let samples = reader.select(&Selector::all(), ..).unwrap();
    let samples: Vec<(Labels, usize)> = samples
        .map(|series| series.unwrap())
        .map(|series| {
            (
                series.labels().clone(),
                series.columns().unwrap().values.len(),
            )
        })
        .collect();
    assert_eq!(samples, [(labels! { "__name__" => "m" }, 2)]);
    assert!(!reader.refresh().unwrap());
    reader.close().unwrap();
    allow(0o700);
    let after: Vec<_> = folders.iter().map(|folder| names(folder)).collect();
    assert_eq!(after, before);
}
