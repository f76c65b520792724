//! `treering repair`: everything of a whole database, what is intact of a damaged one, and exactly
//! what is not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use treering::{Db, Options};

use crate::support::{lines, samples, samples_of_lines, treering};

/// A database of 20,000 samples: one block and frames behind it.
fn database(dir: &Path) {
    treering(dir, &["import", "db"], lines(16_000).as_bytes());
    let db = Db::open(dir.join("db"), Options::default()).unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    let words = ["import", "db", "--batch", "1000"];
    let ran = treering(
        dir,
        &words,
        lines(20_000).split_at(offset(16_000)).1.as_bytes(),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

/// Where a line begins.
fn offset(line: u64) -> usize {
    lines(line).len()
}

/// Every file of a folder with its bytes; but for the lock, in which who takes it notes its process.
fn bytes_of(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(bytes_of(&path)),
            false if path.ends_with("LOCK") => {}
            false => found.push((path.clone(), fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

#[test]
fn a_whole_database_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path());
    let before = bytes_of(&dir.path().join("db"));
    let ran = treering(dir.path(), &["repair", "db", "new"], b"");
    assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{}", ran.out);
    assert!(ran.out.contains("nothing was lost; new has everything"));
    assert_eq!(samples(&dir.path().join("new")), samples_of_lines(20_000));
    assert!(bytes_of(&dir.path().join("db")) == before, "it was changed");
}

#[test]
fn damage_loses_what_is_told_and_the_source_stays() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path());
    // A page of the block, and a frame of the log.
    for folder in ["db/blocks", "db/wal"] {
        let files = bytes_of(&dir.path().join(folder));
        let (path, mut bytes) = files.into_iter().next_back().unwrap();
        let third = bytes.len() / 3;
        bytes[third] ^= 0x40;
        fs::write(path, bytes).unwrap();
    }
    let before = bytes_of(&dir.path().join("db"));
    let ran = treering(dir.path(), &["repair", "--json", "db", "new"], b"");
    assert_eq!((ran.code, &*ran.err), (Some(1), ""));
    assert!(bytes_of(&dir.path().join("db")) == before, "it was changed");
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let lost = report["lost"].as_array().unwrap();
    let files: Vec<_> = lost
        .iter()
        .map(|loss| loss["file"].as_str().unwrap())
        .collect();
    assert!(
        files.iter().any(|file| file.ends_with(".block")),
        "{report}"
    );
    assert!(files.iter().any(|file| file.ends_with(".wal")), "{report}");

    let all: BTreeSet<_> = samples_of_lines(20_000).into_iter().collect();
    let found: BTreeSet<_> = samples(&dir.path().join("new")).into_iter().collect();
    assert!(found.is_subset(&all), "something was invented");
    let missing = all.len() - found.len();
    let told = report["lost_samples"].as_u64().unwrap() as usize;
    // Of a frame that cannot be read nothing tells how many samples were in it: here 1,000.
    assert!(
        told > 0 && missing == told + 1000,
        "{missing} are missing, {told} were told"
    );
    // The same words for people, into another directory.
    let ran = treering(dir.path(), &["repair", "db", "again"], b"");
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.out.matches("lost: ").count(), lost.len(), "{}", ran.out);
    assert!(
        ran.out.contains("again has the rest, db is as it was"),
        "{}",
        ran.out
    );
    assert_eq!(treering(dir.path(), &["verify", "new"], b"").code, Some(0));
}

#[test]
fn what_cannot_be_done_is_an_error_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    let ran = treering(dir.path(), &["repair", "empty", "new"], b"");
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.contains("is not a Treering database"),
        "{}",
        ran.err
    );
    assert!(!dir.path().join("new").exists());
    treering(dir.path(), &["import", "db"], lines(10).as_bytes());
    // Never over something that is there.
    let ran = treering(dir.path(), &["repair", "db", "empty"], b"");
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    // Nor under the hands of a writer.
    let db = Db::open(dir.path().join("db"), Options::default()).unwrap();
    let ran = treering(dir.path(), &["repair", "db", "new"], b"");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("the database is in use"), "{}", ran.err);
    // A hint for those who have a terminal and no program.
    assert!(ran.err.contains("`treering verify` needs no lock"));
    assert!(!ran.err.contains("Db::"), "{}", ran.err);
    let imported = treering(dir.path(), &["import", "db"], b"up 1 1\n");
    assert_eq!(imported.code, Some(2));
    let by = format!(
        "is held by pid {}; end that first (`treering ",
        std::process::id()
    );
    assert!(imported.err.contains(&by), "{}", imported.err);
    db.close().unwrap();
}
