//! `treering verify`: clean, damaged, too damaged to open, not there.

use std::fs;

use treering::{Db, Options};

use crate::support::{lines, treering};

#[test]
fn a_whole_database_is_clean_also_beside_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    treering(dir.path(), &["import", "db"], lines(1000).as_bytes());
    let ran = treering(dir.path(), &["verify", "db"], b"");
    assert_eq!((ran.code, &*ran.err), (Some(0), ""));
    assert!(ran.out.ends_with("nothing is wrong\n"), "{}", ran.out);
    let db = Db::open(dir.path().join("db"), Options::default()).unwrap();
    let ran = treering(dir.path(), &["verify", "db", "--json"], b"");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["problems"], serde_json::json!([]));
    assert!(report["frames"].as_u64() > Some(0), "{report}");
    db.close().unwrap();
}

#[test]
fn damage_is_told_with_file_and_offset() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    treering(dir.path(), &["import", "db"], lines(1000).as_bytes());
    let db = Db::open(&path, Options::default()).unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    let mut blocks = fs::read_dir(path.join("blocks")).unwrap();
    let block = blocks.next().unwrap().unwrap().path();
    let mut bytes = fs::read(&block).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&block, bytes).unwrap();
    let ran = treering(dir.path(), &["verify", "db"], b"");
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.contains(".block at offset "), "{}", ran.out);

    let manifest = path.join("manifest");
    let mut bytes = fs::read(&manifest).unwrap();
    bytes[0] ^= 1;
    fs::write(&manifest, bytes).unwrap();
    let ran = treering(dir.path(), &["verify", "db", "--json"], b"");
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let file = report["problems"][0]["file"].as_str().unwrap();
    assert!(file.ends_with("manifest"), "{report}");
}

#[test]
fn what_is_no_database_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let ran = treering(dir.path(), &["verify", "db"], b"");
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    assert!(
        ran.err.contains("is not a Treering database"),
        "{}",
        ran.err
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
