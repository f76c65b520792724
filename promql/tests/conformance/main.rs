//! Conformance: scripts in the notation of Prometheus' own PromQL tests.
//!
//! The scripts of Prometheus are read from the folder that `TREERING_PROMQLTEST` names and are not
//! part of this repository; those in `tests/cases` are ours and run always.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it skipped and reads its files"
)]

mod almost;
mod buckets;
mod classic;
mod compare;
mod rewrite;
mod run;
mod script;
mod store;
mod values;

use std::path::{Path, PathBuf};

/// The scripts of a folder, sorted by name.
fn scripts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("folder {}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "test")
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scripts in {}", folder.display());
    paths
}

/// Runs every script of a folder; fails with all that came out wrong.
fn run_all(folder: &Path) {
    let mut asked = 0;
    let mut misses = vec![];
    for path in scripts(folder) {
        let report = run::script(&path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        println!(
            "{name}: {} of {} right",
            report.asked - report.misses.len(),
            report.asked
        );
        asked += report.asked;
        for (line, question, wrong) in report.misses {
            misses.push(format!("{name}:{line}: {question}\n    {wrong}"));
        }
    }
    let right = asked - misses.len();
    println!("{right} of {asked} right");
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}

#[test]
fn scripts_of_prometheus() {
    match std::env::var_os("TREERING_PROMQLTEST") {
        Some(folder) => run_all(Path::new(&folder)),
        None => println!(
            "SKIPPED: Prometheus' own cases; TREERING_PROMQLTEST names the folder of its \
             promql/promqltest/testdata"
        ),
    }
}

#[test]
fn scripts_of_ours() {
    run_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"));
}
