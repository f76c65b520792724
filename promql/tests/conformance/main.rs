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

use store::Store;

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

/// Maps, and a database.
const STORES: [run::Make; 2] = [Store::default, Store::database];

/// Runs every script of a folder; fails with all that came out wrong.
fn run_all(folder: &Path, make: run::Make) {
    let mut asked = 0;
    let mut misses = vec![];
    for path in scripts(folder) {
        let report = run::script(&path, make);
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
        Some(folder) => STORES
            .into_iter()
            .for_each(|make| run_all(Path::new(&folder), make)),
        None => println!(
            "SKIPPED: Prometheus' own cases; TREERING_PROMQLTEST names the folder of its \
             promql/promqltest/testdata"
        ),
    }
}

#[test]
fn scripts_of_ours() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    STORES.into_iter().for_each(|make| run_all(&folder, make));
}

/// A runner that finds nothing wrong would make every script look right.
#[test]
fn wrong_expectations_are_misses() {
    let load = "load 1m\n  m{a=\"x\"} 1+1x9\n  m{a=\"y\"} 5x9\n  h {{count:1 buckets:[1]}}x9\n\n";
    let right = [
        "eval instant at 2m m\n  m{a=\"y\"} 5\n  m{a=\"x\"} 3.000001",
        "eval instant at 2m sort(m)\n  expect ordered\n  m{a=\"x\"} 3\n  m{a=\"y\"} 5",
        "eval instant at 2m sum(m)\n  {} 8",
        "eval instant at 2m 1 + 1\n  2",
        "eval instant at 2m h\n  h {{count:1 buckets:[1 0]}}",
        "eval range from 0 to 2m step 1m m{a=\"x\"} > 1\n  m{a=\"x\"} _ 2 3",
        "eval instant at 2m nothing",
        "eval instant at 2m quantile(2, m)\n  expect warn\n  {} Inf",
        "eval instant at 2m m(\n  expect fail",
        "eval_fail instant at 2m label_replace(m, \"a\", \"\", \"a\", \".*\")",
    ];
    let wrong = [
        "eval instant at 2m m\n  m{a=\"y\"} 5",
        "eval instant at 2m m{a=\"x\"}\n  m{a=\"y\"} 5\n  m{a=\"x\"} 3",
        "eval instant at 2m m{a=\"x\"}\n  m{a=\"x\"} 3.00001",
        "eval instant at 2m m{a=\"x\"}\n  3",
        "eval instant at 2m sort(m)\n  expect ordered\n  m{a=\"y\"} 5\n  m{a=\"x\"} 3",
        "eval instant at 2m 1 + 1\n  3",
        "eval instant at 2m 1 + 1\n  {} 2",
        "eval instant at 2m h\n  h {{count:1 buckets:[0 1]}}",
        "eval instant at 2m h\n  h {{schema:1 count:1 buckets:[1]}}",
        "eval instant at 2m h\n  h 1",
        "eval range from 0 to 2m step 1m m{a=\"x\"} > 1\n  m{a=\"x\"} 1 2 3",
        "eval range from 0 to 2m step 1m m{a=\"x\"} > 1\n  m{a=\"x\"} _ 2 3 4",
        "eval range from 0 to 2m step 1m m{a=\"x\"}\n  m{a=\"x\"} 1 2",
        "eval instant at 2m nothing\n  nothing 0",
        "eval instant at 2m quantile(2, m)\n  expect no_warn\n  {} Inf",
        "eval instant at 2m quantile(2, m)\n  expect info\n  {} Inf",
        "eval instant at 2m quantile(2, m)\n  expect warn msg: something else\n  {} Inf",
        "eval instant at 2m m(\n  expect fail msg: something else",
        "eval instant at 2m m\n  expect fail",
        "eval instant at 2m m(",
        "eval instant at 2m \"a\"\n  expect string \"b\"",
    ];
    let misses = |evals: &[&str]| {
        let report = run::run(&format!("{load}{}", evals.join("\n\n")), Store::default).unwrap();
        assert_eq!(report.asked, evals.len());
        report.misses
    };
    assert_eq!(misses(&right), []);
    let found: Vec<String> = misses(&wrong).into_iter().map(|miss| miss.1).collect();
    assert_eq!(found.len(), wrong.len(), "only {found:?}");
    assert!(script::read("eval instant at x m").is_err());
    assert!(script::read("load 1m\n  m 1 nonsense").is_err());
    assert!(script::read("evil 5").is_err());
}
