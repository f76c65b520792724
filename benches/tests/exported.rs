//! An exported chunk is read by `docs/format/read_chunk.py` as by the engine, bit for bit.
//!
//! Without `python3` the test says that it was skipped and passes.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test starts a program and says when it cannot"
)]

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use treering::{Batch, Db, Histogram, labels};

#[test]
fn exported_chunks_hold_the_same_for_a_second_reader() {
    let timestamps: Vec<i64> = (0..500).map(|i| i * 15_000_000_000 + i * i % 7).collect();
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let values: Vec<f64> = (0..500)
        .map(|i| match i % 100 {
            99 => stale,
            _ => f64::from(i * i % 997) / 100.0,
        })
        .collect();
    let db = Db::in_memory().unwrap();
    let batch = Batch::new().column(labels! { "__name__" => "m" }, &timestamps, &values);
    db.append(&batch).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    for chunk in db.export(.., ..).unwrap() {
        let path = folder.path().join("chunk");
        std::fs::write(&path, &chunk.unwrap().bytes).unwrap();
        match read(&path) {
            Some(lines) => found.extend(lines),
            None => return,
        }
    }
    let pairs = timestamps.iter().zip(&values);
    let wanted: Vec<String> = pairs
        .map(|(time, value)| format!("{time} {:016x}", value.to_bits()))
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn what_is_beside_the_floats_is_the_same_for_a_second_reader() {
    let db = Db::in_memory().unwrap();
    let series = labels! { "__name__" => "m" };
    let histogram = Histogram {
        schema: 3,
        count: 2.0,
        positive: vec![(-1, 2.0)],
        ..Histogram::default()
    };
    let batch = Batch::new()
        .sample_since(&series, 1, 0.5, 7)
        .histogram_since(&series, 2, &histogram, 7)
        .sample(&series, 3, 1.5);
    db.append(&batch).unwrap();
    let chunk = db.export(.., ..).unwrap().next().unwrap().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chunk");
    std::fs::write(&path, &chunk.bytes).unwrap();
    let Some(lines) = read(&path) else { return };
    let word = |value: f64| format!("{:016x}", value.to_bits());
    let (zero, two) = (word(0.0), word(2.0));
    let wanted = [
        format!("1 {}", word(0.5)),
        "2 7ff0000000000002".to_owned(),
        format!("3 {}", word(1.5)),
        format!("1 h3,0,{zero},{two},{zero},{zero},p-1={two}"),
        "0-2 7".to_owned(),
    ];
    assert_eq!(lines, wanted);
}

/// The lines that the reader prints; `None` without Python.
fn read(chunk: &Path) -> Option<Vec<String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format/read_chunk.py");
    let mut command = Command::new("python3");
    let output = match command.arg(script).arg("exported").arg(chunk).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("SKIPPED: the second reader of exported chunks, because there is no python3");
            return None;
        }
        ended => ended.unwrap(),
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(str::to_owned).collect())
}
