//! Files as earlier releases wrote them: every later one reads them, byte for byte as they are.
//!
//! `engine/tests/golden/` holds WAL files, a manifest and a whole database (flushed blocks and a
//! WAL behind them) of version 1, which nobody writes any more, a database of version 2, and one
//! with histograms. With
//! `TREERING_REGENERATE_GOLDEN=1` the tests write anew what is still written, which is right only
//! together with a change of the pages in `docs/format/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use treering::testing::{
    WalChange, read_manifest, read_wal_changes, read_wal_files, wal_file_of, wal_file_of_frames,
    wal_payload_of,
};
use treering::{
    Batch, CUSTOM_SCHEMA, Db, ExportedChunk, Histogram, Maintenance, Metadata, MetricKind,
    NamespaceOptions, Options, SampleColumns, Selector, labels, stale_marker,
};

use crate::support::{all, cpu};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn regenerate() -> bool {
    std::env::var_os("TREERING_REGENERATE_GOLDEN").is_some()
}

/// The committed bytes of `name`, which must be what is written today.
fn held(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = golden(name);
    if regenerate() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    let kept = fs::read(path).unwrap();
    assert!(
        kept == bytes,
        "{name} is not what this code writes: a format changed"
    );
    kept
}

#[test]
fn a_wal_file_of_version_one() {
    let (a, b) = (cpu("a"), cpu("b"));
    let series = [a.as_canonical(), b.as_canonical()];
    let first = wal_payload_of(&series, 1_700_000_000_000_000_000, &[0.5, -0.0]);
    let second = wal_payload_of(&[], -1, &[stale_marker(), f64::MAX]);
    let bytes = held("v1.wal", &wal_file_of(&[&first, &second]));
    assert_eq!(read_wal_files(&[&bytes]).unwrap(), (2, 0));
    // The end of the second frame was never synced: a torn one is cut, the first stays.
    let torn = &bytes[..bytes.len() - 1];
    let (frames, cut) = read_wal_files(&[torn]).unwrap();
    assert_eq!(frames, 1);
    assert!(cut > 0);
}

#[test]
fn a_wal_file_with_changes_of_all_kinds() {
    let options = NamespaceOptions::default()
        .retention(Duration::from_secs(86_400))
        .downsample(Duration::from_secs(3600), Duration::from_secs(60));
    let selector = Selector::parse(r#"cpu{host=~"a|b.+",dc!="x",rack!~"(?i:r)1",os=""}"#).unwrap();
    let help = "Bytes sent, \u{b5}s ago.";
    let sent = Metadata::new(MetricKind::Counter).unit("bytes").help(help);
    let changes = [
        WalChange::create_namespace(1, "Team-7_x.y", options.clone()),
        WalChange::metadata(1, "sent", Some(sent)),
        WalChange::delete(1, selector, i64::MIN, 1_700_000_000_000_000_000),
        WalChange::delete(0, Selector::all(), -1, -1),
        WalChange::alter_namespace(0, options.max_series(9).retention_bytes(1 << 40)),
        WalChange::metadata(1, "sent", None),
        WalChange::drop_namespace(1),
    ];
    let encoded: Vec<_> = changes.iter().map(WalChange::encode).collect();
    let mut frames: Vec<_> = encoded
        .iter()
        .map(|(kind, payload)| (*kind, &payload[..]))
        .collect();
    let batch = wal_payload_of(&[cpu("a").as_canonical()], 7, &[0.5]);
    frames.insert(2, (1, &batch));
    frames.push((2, &[]));
    let bytes = held("v1-changes.wal", &wal_file_of_frames(&frames));
    assert_eq!(read_wal_files(&[&bytes]).unwrap(), (9, 0));
    assert_eq!(read_wal_changes(&bytes).unwrap(), changes);
}

/// A constant and a column with a stale marker, two chunks of one series after the other.
#[test]
fn exported_chunks_of_version_one() {
    let db = Db::in_memory().unwrap();
    let times: Vec<i64> = (0..300).map(|at| FIRST + at * 15_000_000_000).collect();
    let mut values: Vec<f64> = (0..300).map(|at| f64::from(at % 17) / 10.0).collect();
    values[7] = stale_marker();
    db.append(&Batch::new().column(cpu("a"), &times, &values).column(
        cpu("b"),
        &times[..9],
        &[-0.0; 9],
    ))
    .unwrap();
    let exported = |db: &Db| -> Vec<ExportedChunk> {
        let export = db.export(.., ..).unwrap();
        export.map(Result::unwrap).collect()
    };
    let chunks = exported(&db);
    for (chunk, name) in chunks.iter().zip(["a", "b"]) {
        let kept = held(&format!("v1-{name}.chunk"), &chunk.bytes);
        let columns = ExportedChunk::decode(&kept).unwrap();
        assert_eq!(columns.timestamps, times[..columns.values.len()]);
    }
    let columns = ExportedChunk::decode(&chunks[0].bytes).unwrap();
    assert_eq!(columns.values[7].to_bits(), stale_marker().to_bits());
    // A chunk of a block goes through as it is, and is the same.
    db.flush().unwrap();
    assert_eq!(exported(&db), chunks);
}

#[test]
fn a_frame_of_a_kind_to_come_is_refused_by_name() {
    let error = read_wal_files(&[&wal_file_of_frames(&[(2, &[]), (6, b"new")])]).unwrap_err();
    let what = "holds a WAL frame of kind 6 [0, 0, 0, 0, 0, 0, 0] at offset 96, which this release";
    assert!(error.to_string().contains(what), "{error}");
}

#[test]
fn a_manifest_of_version_one() {
    let bytes = fs::read(golden("v1.manifest")).unwrap();
    assert_eq!(read_manifest(&bytes).unwrap(), (2, 0));
    let (blocks, cut) = read_manifest(&bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(blocks, 1);
    assert!(cut > 0);
}

const FIRST: i64 = 1_700_000_000_000_000_000;

fn fill(db: &Db) {
    let times: Vec<i64> = (0..3000)
        .map(|step| FIRST + step * 10_000_000_000)
        .collect();
    let walk: Vec<f64> = (0..3000)
        .map(|step| f64::from((step * 37) % 1000) / 100.0)
        .collect();
    let count: Vec<f64> = (0..3000).map(|step| f64::from(step % 2000)).collect();
    db.append(
        &Batch::new()
            .column(cpu("a"), &times, &walk)
            .column(cpu("b"), &times, &count),
    )
    .unwrap();
    db.flush().unwrap();
    let late = labels! { "__name__" => "mem", "unit" => "\u{b5}s" };
    db.append(
        &Batch::new()
            .sample(cpu("a"), FIRST, 9.0)
            .sample(late, 5, stale_marker()),
    )
    .unwrap();
}

/// Copies the files of a database, but neither its lock nor its reserve.
fn copy(home: &Path, dir: &Path) {
    for folder in ["", "wal", "blocks"] {
        fs::create_dir_all(dir.join(folder)).unwrap();
        for entry in fs::read_dir(home.join(folder)).unwrap().map(Result::unwrap) {
            let name = entry.file_name();
            let kept = name != "LOCK" && name != "reserve";
            if kept && entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), dir.join(folder).join(name)).unwrap();
            }
        }
    }
}

/// Opens a copy of the committed database: what is in it must be what was put in.
#[test]
fn a_database_of_version_one() {
    let home = golden("v1.db");
    let dir = tempfile::tempdir().unwrap();
    copy(&home, dir.path());
    let db = Db::open(dir.path(), Options::default().create(false)).unwrap();
    let model = Db::in_memory().unwrap();
    fill(&model);
    let bits = |db: &Db| -> Vec<_> {
        let series = all(db, "{}").into_iter();
        series
            .map(|(labels, columns)| (labels, crate::support::bits(&columns)))
            .collect()
    };
    assert_eq!(bits(&db), bits(&model));
    assert_eq!(db.recovery().wal_cut, None);
    assert_eq!(db.stats().block_samples, 6000);
}

/// Namespaces (one dropped again), deletes that are applied, in the manifest and in the WAL, merged
/// blocks and small ones, metadata in the manifest and in the WAL.
fn fill_and_change(db: &Db) {
    fill(db);
    let day = Duration::from_secs(86_400);
    let options = NamespaceOptions::default()
        .retention_bytes(1 << 40)
        .max_series(1000);
    let team = db.create_namespace("team", options).unwrap();
    db.create_namespace("gone", NamespaceOptions::default())
        .unwrap();
    let bytes = Metadata::new(MetricKind::Counter)
        .unit("bytes")
        .help("Sent.");
    team.set_metadata("sent", &bytes).unwrap();
    db.set_metadata("cpu", &Metadata::new(MetricKind::Gauge))
        .unwrap();
    for hour in 0..6 {
        let at = FIRST + hour * 3_600_000_000_000;
        let batch = Batch::new().column(cpu("a"), &[at, at + 5, at + 9], &[1.0, 2.0, hour as f64]);
        team.append(&batch).unwrap();
        db.flush().unwrap();
    }
    let one = Selector::metric("cpu").eq("host", "b");
    db.delete(&one, FIRST..FIRST + 500_000_000_000).unwrap();
    db.compact().unwrap();
    let late = Batch::new().sample(cpu("a"), FIRST + 5, -1.0);
    team.append(&late).unwrap();
    team.delete(&Selector::all(), FIRST + 9..=FIRST + 9)
        .unwrap();
    db.flush().unwrap();
    let altered = NamespaceOptions::default()
        .block_window(day)
        .downsample(100 * 365 * day, Duration::from_secs(60));
    db.alter_namespace("team", altered).unwrap();
    db.drop_namespace("gone").unwrap();
    db.remove_metadata("cpu").unwrap();
    db.set_metadata("mem", &bytes).unwrap();
    team.delete(
        &Selector::metric("cpu").regex("host", "a|b").unwrap(),
        ..=FIRST,
    )
    .unwrap();
    team.append(&Batch::new().sample(cpu("c"), FIRST - 1, f64::NAN))
        .unwrap();
}

#[test]
fn a_database_with_namespaces_deletes_and_merged_blocks() {
    let home = golden("v2.db");
    let manual = || {
        Options::default()
            .maintenance(Maintenance::Manual)
            .reserve_bytes(0)
    };
    if regenerate() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), manual()).unwrap();
        fill_and_change(&db);
        db.close().unwrap();
        let _ = fs::remove_dir_all(&home);
        copy(dir.path(), &home);
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&home, dir.path());
    let db = Db::open(dir.path(), manual().create(false)).unwrap();
    let model = Db::in_memory_with(manual()).unwrap();
    fill_and_change(&model);
    let told = |db: &Db| -> Vec<_> {
        let infos = db.namespaces().into_iter();
        infos.map(|info| (info.name, info.options)).collect()
    };
    assert_eq!(told(&db), told(&model));
    for (name, _) in told(&db) {
        let (db, model) = (
            db.namespace(&name).unwrap(),
            model.namespace(&name).unwrap(),
        );
        assert_eq!(db.all_metadata(), model.all_metadata());
        let bits = |db: &Db| -> Vec<_> {
            let series = all(db, "{}").into_iter();
            series
                .map(|(labels, columns)| (labels, crate::support::bits(&columns)))
                .collect()
        };
        assert_eq!(bits(&db), bits(&model), "{name}");
    }
    assert_eq!(db.recovery().wal_cut, None);
    let stats = db.stats();
    assert_eq!(stats.tombstones, 2, "{stats:?}");
    assert!(db.recovery().frames >= 6 && stats.blocks >= 3, "{stats:?}");
    assert!(db.verify().unwrap().is_clean());
}

/// Histograms of two shapes, floats between them, with starts: `count` samples, a minute apart.
fn beside(first: i64, count: i64) -> Batch {
    let mut batch = Batch::new();
    for step in first..first + count {
        let at = FIRST + step * 60_000_000_000;
        let exponential = Histogram {
            schema: 2,
            count: (step * 9 + 3) as f64,
            sum: step as f64 / 7.0,
            zero_threshold: 0.001,
            zero_count: 3.0,
            positive: vec![(-4, step as f64), (9, (step * 8) as f64)],
            ..Histogram::default()
        };
        let custom = Histogram {
            schema: CUSTOM_SCHEMA,
            count: 2.5,
            sum: -1.25,
            positive: vec![(1, 2.5)],
            bounds: vec![0.5, 1.0].into(),
            ..Histogram::default()
        };
        match step % 10 {
            0 => batch.push(cpu("h"), at, step as f64),
            1 => batch.push_since(cpu("h"), at, step as f64, FIRST),
            2..5 => batch.push_histogram(cpu("h"), at, &custom),
            _ => batch.push_histogram_since(cpu("h"), at, &exponential, FIRST - 1),
        }
    }
    batch
}

/// Blocks with histograms as they came and with steps, and frames with them.
fn fill_beside(db: &Db) {
    let day = Duration::from_secs(86_400);
    let options = NamespaceOptions::default().downsample(day, Duration::from_secs(300));
    let coarse = db.create_namespace("coarse", options).unwrap();
    for part in 0..3 {
        for space in [db, &coarse] {
            space.append(&beside(part * 100, 130)).unwrap();
        }
        if part < 2 {
            db.flush().unwrap();
            db.compact().unwrap();
        }
    }
}

fn samples_of(db: &Db) -> SampleColumns {
    let mut found = db.select(&Selector::all(), ..).unwrap();
    found.next().unwrap().unwrap().sample_columns().unwrap()
}

#[test]
fn a_database_with_histograms() {
    let home = golden("beside.db");
    let manual = || {
        Options::default()
            .maintenance(Maintenance::Manual)
            .reserve_bytes(0)
    };
    if regenerate() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), manual()).unwrap();
        fill_beside(&db);
        db.close().unwrap();
        let _ = fs::remove_dir_all(&home);
        copy(dir.path(), &home);
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&home, dir.path());
    let db = Db::open(dir.path(), manual().create(false)).unwrap();
    let model = Db::in_memory_with(manual()).unwrap();
    fill_beside(&model);
    for name in ["default", "coarse"] {
        let (db, model) = (db.namespace(name).unwrap(), model.namespace(name).unwrap());
        let found = samples_of(&db);
        assert_eq!(
            format!("{found:?}"),
            format!("{:?}", samples_of(&model)),
            "{name}"
        );
        assert!(found.histograms.iter().flatten().count() > 80, "{name}");
        assert!(found.starts.contains(&(FIRST - 1)), "{name}");
    }
    assert!(db.recovery().frames >= 2 && db.verify().unwrap().is_clean());
    let blocks = fs::read_dir(home.join("blocks")).unwrap();
    let versions = blocks.map(|entry| fs::read(entry.unwrap().path()).unwrap()[8]);
    assert_eq!(
        versions.collect::<std::collections::BTreeSet<u8>>(),
        [5, 6].into()
    );
}

#[test]
fn an_exported_chunk_with_histograms() {
    let db = Db::in_memory().unwrap();
    db.append(&beside(0, 100)).unwrap();
    let chunks: Vec<_> = db.export(.., ..).unwrap().map(Result::unwrap).collect();
    let kept = held("v1-beside.chunk", &chunks[0].bytes);
    let samples = ExportedChunk::decode_samples(&kept).unwrap();
    assert_eq!(format!("{samples:?}"), format!("{:?}", samples_of(&db)));
}
