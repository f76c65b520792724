//! Replays every committed fuzz seed through the body of its target, on the stable toolchain.
//!
//! Input: `fuzz/seeds/TARGET/*`. A seed was once a finding or is a real encoding; a target without
//! seeds, or a folder without a target, fails.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test reads its files"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use treering_fuzz::{Base, TARGETS};

fn seeds_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_seed_keeps_the_promises_of_its_target() {
    let mut replayed = 0;
    for (name, target) in TARGETS {
        for path in entries(&seeds_folder().join(name)) {
            // A panic inside says nothing of the file, so name it first; the test harness shows
            // this only on a failure.
            println!("seed {}", path.display());
            target(&std::fs::read(&path).unwrap());
            replayed += 1;
        }
    }
    assert!(replayed >= 3 * TARGETS.len(), "only {replayed} seeds");
}

/// Not a seed kept for ever but near ones: each cut short, and each with one byte changed.
#[test]
fn damaged_seeds_keep_the_promises_too() {
    for (name, target) in TARGETS {
        for path in entries(&seeds_folder().join(name)) {
            println!("damaged seed {}", path.display());
            let bytes = std::fs::read(&path).unwrap();
            let stride = bytes.len() / 64 + 1;
            for at in (0..bytes.len()).step_by(stride) {
                target(&bytes[..at]);
                for flip in [0x01, 0x80, 0xff] {
                    let mut changed = bytes.clone();
                    changed[at] ^= flip;
                    target(&changed);
                }
            }
        }
    }
}

#[test]
fn targets_binaries_and_seeds_are_the_same_names() {
    let stems = |folder: &Path| -> BTreeSet<String> {
        let paths = entries(folder);
        paths
            .iter()
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    let named: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stems(&seeds_folder()), named);
    assert_eq!(stems(&seeds_folder().join("../fuzz_targets")), named);
}

/// Targets that make checksums right again reach what lies behind them only if they make them as
/// the engine does.
#[test]
fn checksums_are_made_as_the_engine_makes_them() {
    let base = Base::get();
    assert_eq!(base.block(&[]), base.file("blocks"));
    // A WAL file is a header of 64 bytes, then frames: 32 bytes and the payload.
    let wal = base.file("wal");
    let len = u32::from_le_bytes(wal[68..72].try_into().unwrap()) as usize;
    let made = base.wal(&[(1, &wal[96..96 + len])]);
    // What was synced is the engine's to say; without it the checksum differs too.
    assert_eq!(made[68..88], wal[68..88]);
    assert_eq!(made[96..], wal[96..made.len()]);
}
