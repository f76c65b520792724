//! Writes small real seeds for the fuzz targets, made by our own encoders, into `fuzz/seeds/`.
//!
//! Input: nothing. Output: files `fuzz/seeds/TARGET/NAME`; existing ones with other names stay.
//! Run: `cargo run --manifest-path fuzz/Cargo.toml --no-default-features --example seeds`.
#![forbid(unsafe_code)]

use std::path::Path;
use std::time::Duration;

use treering::testing::{self, WalChange};
use treering::{Batch, Db, Metadata, MetricKind, NamespaceOptions, Selector, labels};
use treering_codec::{
    Stats, StreamEncoder, encode_timestamps, encode_values, stale_marker, varint,
};
use treering_fuzz::Base;
use treering_index::{IndexWriter, Labels};

const SECOND: i64 = 1_000_000_000;

fn main() -> std::io::Result<()> {
    for (name, values) in columns() {
        let count = (values.len() as u16).to_le_bytes();
        let timestamps: Vec<i64> = (0..values.len() as i64)
            .map(|i| (1_700_000_000 + 15 * i) * SECOND)
            .collect();
        let mut stream = StreamEncoder::new();
        for (timestamp, value) in timestamps.iter().zip(&values) {
            stream.push(*timestamp, *value);
        }
        write("codec_stream", name, &stream.finish())?;
        let mut chunk = count.to_vec();
        encode_values(&values, &mut chunk);
        write("codec_values", name, &chunk)?;
        write("codec_plain", name, &chunk)?;
        let mut stats = count.to_vec();
        Stats::of(&values).encode(&mut stats);
        write("codec_stats", name, &stats)?;
        let mut raw = vec![0];
        for (timestamp, value) in timestamps.iter().zip(&values).take(64) {
            raw.extend(timestamp.to_le_bytes());
            raw.extend(value.to_bits().to_le_bytes());
        }
        write("codec_roundtrip", name, &raw)?;
        write_exported(name, &timestamps, &values)?;
    }
    for (name, timestamps) in times() {
        let mut column = Vec::new();
        encode_timestamps(&timestamps, &mut column);
        write("codec_timestamps", name, &column)?;
        write(
            "codec_plain",
            &format!("times-{name}"),
            &[&[0, 0], &column[..]].concat(),
        )?;
    }
    write_golden()?;
    write_m3()?;
    for mode in 1..4u8 {
        let dense: Vec<u8> = (0..200u8).map(|i| i.wrapping_mul(37) >> 2).collect();
        let name = ["", "decimals", "counter", "neighbours"][usize::from(mode)];
        write(
            "codec_roundtrip",
            name,
            &[&[mode | 0x2c], &dense[..]].concat(),
        )?;
    }
    let mut numbers = Vec::new();
    for value in [0, 127, 128, 1 << 32, u64::MAX] {
        varint::put_u64(&mut numbers, value);
    }
    write("varint", "edges", &numbers)?;
    write_texts()?;
    write_lives()?;
    write_files()?;
    write("index_open", "empty", &index(0))?;
    write("index_open", "one", &index(1))?;
    write("index_open", "hundred", &index(100))
}

/// The golden value columns, one of each encoding (40 values raw, 300 of the others), and extras.
fn write_golden() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../codec/tests/golden");
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if let Some(form) = name.strip_prefix("extras_") {
            let seed = [&300u16.to_le_bytes()[..], &std::fs::read(&path)?].concat();
            write("codec_extras", form, &seed)?;
        }
        if let Some(encoding) = name.strip_prefix("values_") {
            let count: u16 = if encoding == "raw" { 40 } else { 300 };
            let seed = [&count.to_le_bytes()[..], &std::fs::read(&path)?].concat();
            write("codec_values", &format!("golden-{encoding}"), &seed)?;
            write("codec_plain", &format!("golden-{encoding}"), &seed)?;
        }
    }
    Ok(())
}

/// Two of the real blocks, and the start of one without integer optimisation.
fn write_m3() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../codec/tests/m3tsz");
    for block in [1, 7] {
        let stream = std::fs::read(folder.join(format!("block_{block}.bin")))?;
        write(
            "m3tsz",
            &format!("block_{block}"),
            &[&[0], &stream[..]].concat(),
        )?;
    }
    let stream = std::fs::read(folder.join("block_2.bin"))?;
    write("m3tsz", "start", &[&[0], &stream[..200]].concat())?;
    let mut floats = vec![1];
    floats.extend((1_700_000_000 * SECOND).to_be_bytes());
    // 1.5 whole, a change of one bit, the same again, no steps between them; the end.
    floats.extend([
        0x1f, 0xfc, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x33, 0x00, 0x90, 0x00,
    ]);
    write("m3tsz", "floats", &floats)
}

/// An exported chunk whole, and what stands in it between the value kind and the checksum.
fn write_exported(name: &str, timestamps: &[i64], values: &[f64]) -> std::io::Result<()> {
    let export = || {
        let db = Db::in_memory()?;
        let series = labels! { "__name__" => "m" };
        db.append(&Batch::new().column(series, timestamps, values))?;
        db.export(.., ..)?.collect::<treering::Result<Vec<_>>>()
    };
    for chunk in export().map_err(std::io::Error::other)? {
        let bytes = chunk.bytes;
        write("exported_chunk", name, &bytes)?;
        let body = &bytes[2..bytes.len() - 4];
        write("exported_chunk", &format!("{name}-body"), body)?;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/golden");
    let bytes = std::fs::read(folder.join("v1-beside.chunk"))?;
    write("exported_chunk", "beside", &bytes)?;
    write("exported_chunk", "beside-body", &bytes[2..bytes.len() - 4])
}

/// One column per encoding of the codec, most of them short.
fn columns() -> Vec<(&'static str, Vec<f64>)> {
    let wave = |i: u32| f64::from(i * i % 997);
    vec![
        ("empty", vec![]),
        ("single", vec![42.5]),
        ("constant", vec![1.0; 130]),
        (
            "constant_stale",
            [vec![3.0; 60], vec![stale_marker()]].concat(),
        ),
        ("decimal", (0..150).map(|i| wave(i) / 100.0).collect()),
        (
            "counter",
            (0..150).map(|i| f64::from(i * 17 + i % 5)).collect(),
        ),
        ("irrational", (0..40).map(|i| wave(i).sqrt()).collect()),
        (
            "few",
            (0..140)
                .map(|i| [0.1, f64::NAN, -0.0, 7e77][i % 4])
                .collect(),
        ),
        (
            "thirds",
            (0..130).map(|i| f64::from(i) * 0.1 + 0.2).collect(),
        ),
        (
            "extremes",
            vec![f64::MAX, f64::MIN_POSITIVE, 5e-324, f64::NEG_INFINITY, -0.0],
        ),
    ]
}

fn times() -> Vec<(&'static str, Vec<i64>)> {
    let start = 1_700_000_000 * SECOND;
    vec![
        ("empty", vec![]),
        ("single", vec![start]),
        ("grid", (0..200).map(|i| start + 15 * SECOND * i).collect()),
        (
            "jitter",
            (0..200)
                .map(|i| start + 15 * SECOND * i + i * i % 7 * 1_000_000)
                .collect(),
        ),
        (
            "gap",
            (0..200)
                .map(|i| start + SECOND * (i + i / 150 * 4000))
                .collect(),
        ),
        (
            "backwards",
            (0..50).map(|i| start - SECOND * (i * i % 31)).collect(),
        ),
        ("extremes", vec![i64::MIN, 0, i64::MAX, i64::MAX, -1]),
    ]
}

fn write_texts() -> std::io::Result<()> {
    for (name, text) in [
        ("metric", "up"),
        ("pairs", r#"cpu{host="a",mode="user"}"#),
        ("quoted", r#"{"my.metric", "a b"="c", d='\n\x41\u00e9'}"#),
        ("raw", "{a=`b\\c`}"),
    ] {
        write("labels_parse", name, text.as_bytes())?;
        write("selector_parse", name, text.as_bytes())?;
    }
    for (name, text) in [
        (
            "regex",
            r#"cpu{host=~"a.*|b[0-9]+",dc!="x",rack!~"(?i:r)\\d{1,3}"}"#,
        ),
        ("missing", r#"{a="",b!="",c=~".*",d=~".+"}"#),
        ("nested", r#"{a=~"((((((((a|b)|c)|d)|e)*)+)?){2})"}"#),
        ("broken", r#"cpu{host=~"(","#),
    ] {
        write("selector_parse", name, text.as_bytes())?;
    }
    let labels = labels(3);
    write("labels_parse", "canonical", labels.as_canonical())
}

/// Operations of `engine_ops`: the first byte chooses how to sync and read.
fn write_lives() -> std::io::Result<()> {
    // A batch, a column, a delete, a namespace, metadata; see `Life::operation`.
    let (batch, column) = ([0, 0, 1, 2, 10, 7, 3, 20, 120], [5, 0, 4, 0, 14, 60, 90]);
    let (delete, space, help) = ([8, 0, 4, 1, 5, 30], [18, 0], [19, 0, 9]);
    let (flush, compact, reopen, kill, ask) = ([10], [12], [15], [16], [23, 0]);
    let lives: [(&str, u8, Vec<&[u8]>); 5] = [
        (
            "quiet",
            0,
            vec![&batch, &column, &flush, &delete, &reopen, &ask],
        ),
        (
            "merged",
            1,
            vec![
                &column, &flush, &batch, &flush, &delete, &compact, &ask, &reopen,
            ],
        ),
        (
            "killed",
            130,
            vec![
                &space, &help, &batch, &flush, &column, &kill, &delete, &kill,
            ],
        ),
        // A power cut of each kind.
        (
            "cut",
            2,
            vec![
                &batch,
                &[14],
                &column,
                &[17, 5],
                &batch,
                &flush,
                &delete,
                &[17, 131],
            ],
        ),
        // An fsync that fails, a disk that is full for ever, healed.
        (
            "failing",
            0,
            vec![
                &batch,
                &[21, 5, 3],
                &column,
                &reopen,
                &[21, 1, 140],
                &flush,
                &batch,
                &[22],
            ],
        ),
    ];
    for (name, choice, operations) in lives {
        write(
            "engine_ops",
            name,
            &[&[choice], &operations.concat()[..]].concat(),
        )?;
    }
    for number in 1..3u64 {
        let byte = |at: u64| (number * 1000 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let life: Vec<u8> = (0..250).map(|at| byte(at) as u8).collect();
        write("engine_ops", &format!("long-{number}"), &life)?;
    }
    Ok(())
}

/// The files of the committed base, and what changes them.
fn write_files() -> std::io::Result<()> {
    let base = Base::get();
    let (wal, manifest, block) = (base.file("wal"), base.file("manifest"), base.file("blocks"));
    let canonical = labels(3);
    let payload = testing::wal_payload_of(&[canonical.as_canonical()], 7, &[0.5]);
    let file = testing::wal_file_of(&[&payload, &payload]);
    write("wal_replay", "whole", &file)?;
    write("wal_replay", "cut", &file[..file.len() - 9])?;
    write("wal_replay", "header", &file[..64])?;
    write("wal_replay", "payload", &payload)?;
    let payload = |at: usize| {
        let len = u32::from_le_bytes([wal[at + 4], wal[at + 5], wal[at + 6], wal[at + 7]]);
        &wal[at + 32..at + 32 + len as usize]
    };
    let first = payload(64);
    let second = payload(64 + 32 + first.len().next_multiple_of(8));
    let framed = |payload: &[u8]| framed(1, payload);
    write("wal_frames", "one", &framed(first))?;
    write(
        "wal_frames",
        "two",
        &[framed(first), framed(second)].concat(),
    )?;
    write("wal_frames", "empty", &framed(&[]))?;
    write_changes(&framed(first))?;
    write(
        "manifest_open",
        "made",
        &testing::manifest_of(&[(1, 9, 4), (10, 20, 9)]),
    )?;
    write("manifest_open", "whole", manifest)?;
    write("manifest_open", "cut", &manifest[..manifest.len() - 5])?;
    write("manifest_open", "header", &manifest[..32])?;
    // Next block id, flushed through, WAL floor, nothing removed, nothing added.
    write("manifest_records", "nothing", &[9, 1, 3, 0, 0])?;
    write("manifest_records", "removed", &[9, 1, 3, 1, 1, 0])?;
    write("manifest_records", "newer", &[9, 1, 3, 0, 0, 9, 1, 0])?;
    write(
        "manifest_records",
        "added",
        &[9, 1, 3, 0, 1, 7, 0, 0, 2, 4, 1, 1, 90],
    )?;
    // The same, purged up to three sequences later and with a step of a minute.
    write(
        "manifest_records",
        "stepped",
        &[9, 1, 3, 0, 1, 7, 0, 0, 2, 4, 1, 1, 90, 1, 2, 3, 60],
    )?;
    write("block_open", "whole", block)?;
    write("block_open", "cut", &block[..block.len() - 40])?;
    write("block_open", "header", &block[..36])?;
    let middle = (block.len() / 2) as u16;
    let stepped = treering_fuzz::stepped_block();
    write("block_open", "stepped", &stepped)?;
    write("block_stepped", "nothing", &[])?;
    write("block_stepped", "values", &[40, 0, 0xff, 90, 0, 1])?;
    write("block_stepped", "version", &[8, 0, 1])?;
    write("block_patched", "nothing", &[])?;
    write("block_patched", "values", &[40, 0, 0xff, 90, 0, 1])?;
    let [low, high] = middle.to_le_bytes();
    write("block_patched", "middle", &[low, high, 0x80])
}

/// Changes other than samples: alone, in frames behind a batch, and in manifest records.
fn write_changes(batch: &[u8]) -> std::io::Result<()> {
    let hour = Duration::from_secs(3600);
    let options = NamespaceOptions::default()
        .retention(365 * 24 * hour)
        .retention_bytes(1 << 30)
        .downsample(hour, Duration::from_secs(60))
        .downsample(24 * hour, hour);
    let selector = Selector::parse(r#"up{host=~"host_[0-3]",job!="x",dc!~"(?i:b)+"}"#);
    let selector = selector.expect("a selector of ours");
    let metadata = Metadata::new(MetricKind::Counter)
        .unit("bytes")
        .help("Sent.");
    let changes = [
        ("delete", WalChange::delete(0, selector, 0, i64::MAX)),
        (
            "delete_all",
            WalChange::delete(0, Selector::all(), i64::MIN, -1),
        ),
        (
            "create",
            WalChange::create_namespace(1, "Team-7_x.y", options.clone()),
        ),
        (
            "alter",
            WalChange::alter_namespace(0, options.max_series(1000)),
        ),
        ("metadata", WalChange::metadata(0, "up", Some(metadata))),
        ("no_metadata", WalChange::metadata(0, "up", None)),
        ("drop", WalChange::drop_namespace(1)),
    ];
    let mut frames = batch.to_vec();
    let mut before = Vec::new();
    for (name, change) in changes {
        let (kind, payload) = change.encode();
        let alone = [&[kind - 3], &payload[..]].concat();
        write("wal_change", name, &alone)?;
        frames.extend(framed(kind, &payload));
        write(
            "wal_frames",
            name,
            &[batch, &framed(kind, &payload)].concat(),
        )?;
        let one = [(1, change.clone())];
        let record = testing::manifest_record_of([9, 1, 3], &one, &[(1, 1)], &[]);
        write("manifest_records", name, &record)?;
        before.push((1 + before.len() as u64, change));
    }
    write("wal_frames", "changes", &[&frames[..], batch].concat())?;
    // All but the last, which would undo some.
    before.pop();
    let record = testing::manifest_record_of([9, 8, 3], &before, &[(1, 7)], &[]);
    write("manifest_records", "changes", &record)
}

/// A frame as the target `wal_frames` reads it.
fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let head = (payload.len() as u16) | u16::from(kind - 1) << 13;
    [&head.to_le_bytes(), payload].concat()
}

fn labels(number: u32) -> Labels {
    Labels::from_pairs([
        (
            "__name__",
            ["up", "node_load1", "cpu"][number as usize % 3].to_owned(),
        ),
        ("cpu", (number % 4).to_string()),
        ("host", format!("host_{number}")),
        ("job", "node".to_owned()),
    ])
    .expect("labels of ours")
}

fn index(count: u32) -> Vec<u8> {
    let mut all: Vec<Labels> = (0..count).map(labels).collect();
    all.sort();
    let mut writer = IndexWriter::new();
    for labels in &all {
        writer.add(labels).expect("sorted");
    }
    writer.finish().expect("small")
}

fn write(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), bytes)
}
