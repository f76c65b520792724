//! `--json`: the fields are those of `docs/command-line.md`, and what was not done is JSON too.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use treering::{Db, Options};

use crate::support::{Ran, treering};

/// The fields that the page's table below the heading `command` names.
fn documented(command: &str) -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/command-line.md");
    let text = fs::read_to_string(page).unwrap();
    let heading = format!("\n## {command}\n");
    let section = text.split(&heading).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.flat_map(|row| row.split('|').next().unwrap().split("`, `"))
        .map(|field| field.trim().trim_end_matches('`').to_owned())
        .collect()
}

/// The paths of all fields of `value`: `a.b` of an object inside, `a[].b` of objects in an array.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let dot = if path.is_empty() { "" } else { "." };
            for (name, inner) in object {
                fields(inner, &format!("{path}{dot}{name}"), found);
            }
        }
        Value::Array(array) if array.iter().any(Value::is_object) => {
            for inner in array {
                fields(inner, &format!("{path}[]"), found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// The fields of a report of one line.
fn told(ran: &Ran) -> BTreeSet<String> {
    assert_eq!(ran.out.lines().count(), 1, "{ran:?}");
    let mut found = BTreeSet::new();
    fields(&serde_json::from_str(&ran.out).unwrap(), "", &mut found);
    found
}

/// What an object with nothing but an error says.
fn error(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found.as_object().unwrap().len(), 1, "{found}");
    found["error"].as_str().unwrap().to_owned()
}

/// A database in `db`, in which a page of chunks is damaged.
fn damaged(dir: &Path) {
    // Noise, so that chunks are most of the block.
    let line = |at: u64| format!("load {} {at}\n", at * 2_654_435_761 % 1_000_003);
    let lines: String = (0..4000).map(line).collect();
    treering(dir, &["import", "db"], lines.as_bytes());
    let db = Db::open(dir.join("db"), Options::default()).unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    let mut blocks = fs::read_dir(dir.join("db/blocks")).unwrap();
    let block = blocks.next().unwrap().unwrap().path();
    let mut bytes = fs::read(&block).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&block, bytes).unwrap();
}

#[test]
fn reports_have_the_fields_of_the_page() {
    let dir = tempfile::tempdir().unwrap();
    damaged(dir.path());
    let ran = treering(dir.path(), &["import", "other", "--json"], b"up 1 1\n");
    assert_eq!((ran.code, told(&ran)), (Some(0), documented("import")));
    let words = ["import", "other", "--json", "--strict"];
    let ran = treering(dir.path(), &words, b"nonsense\n");
    assert_eq!((ran.code, told(&ran)), (Some(2), documented("import")));
    // A server that has written nothing yet.
    fs::create_dir_all(dir.path().join("data/wal")).unwrap();
    let ran = treering(dir.path(), &["import", "other", "data", "--json"], b"");
    let wanted = documented("import of a directory");
    assert_eq!((ran.code, told(&ran)), (Some(0), wanted));
    let ran = treering(dir.path(), &["verify", "db", "--json"], b"");
    assert_eq!((ran.code, told(&ran)), (Some(1), documented("verify")));
    let ran = treering(dir.path(), &["repair", "db", "new", "--json"], b"");
    assert_eq!((ran.code, told(&ran)), (Some(1), documented("repair")));
}

#[test]
fn what_was_not_done_is_an_object_with_its_error() {
    let dir = tempfile::tempdir().unwrap();
    for words in [
        &["verify", "nothing", "--json"][..],
        &["repair", "nothing", "new", "--json"],
        &["repair", "--json", ".", "new"],
        &["import", "db", ".", "--json"],
    ] {
        let ran = treering(dir.path(), words, b"");
        assert_eq!(ran.err, format!("treering: {}\n", error(&ran)));
    }
    // An import that could not begin has its usual fields, the error among them.
    let ran = treering(dir.path(), &["import", "db", "missing", "--json"], b"");
    assert_eq!((ran.code, told(&ran)), (Some(2), documented("import")));
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        ran.err,
        format!("treering: {}\n", report["error"].as_str().unwrap())
    );
}

#[test]
fn words_that_make_no_sense_are_json_too_when_it_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let ran = treering(dir.path(), &["verify", "--json"], b"");
    let why = error(&ran);
    assert!(why.contains("<DB>") && !why.contains("Usage"), "{why}");
    let ran = treering(dir.path(), &["import", "db", "--batch", "0", "--json"], b"");
    assert!(error(&ran).contains("expected a number from 1"), "{ran:?}");
    // Help is no failure.
    let ran = treering(dir.path(), &["verify", "--json", "--help"], b"");
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("Usage:") && !ran.out.contains("\"error\""));
}

#[test]
fn damage_names_the_way_to_save_what_is_intact() {
    let dir = tempfile::tempdir().unwrap();
    damaged(dir.path());
    let ran = treering(dir.path(), &["verify", "db"], b"");
    let way = "1 problem; `treering repair SRC DST` saves what is intact\n";
    assert!(ran.out.ends_with(way), "{}", ran.out);
    let manifest = dir.path().join("db/manifest");
    let mut bytes = fs::read(&manifest).unwrap();
    bytes[0] ^= 1;
    fs::write(&manifest, bytes).unwrap();
    let ran = treering(dir.path(), &["import", "db", "--json"], b"up 1 1\n");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("`treering repair SRC DST`"), "{}", ran.err);
    assert!(told(&ran).contains("error"));
}
