//! Conformance: scripts in the notation of Prometheus' own PromQL tests.
//!
//! The scripts of Prometheus are read from the folder that `TREERING_PROMQLTEST` names and are not
//! part of this repository; those in `tests/cases` are ours and run always.

#![allow(clippy::print_stdout, reason = "a test says what it skipped")]
#![allow(dead_code, reason = "what only evaluation reads")]

mod almost;
mod buckets;
mod script;
mod values;

use std::path::{Path, PathBuf};

use script::{Command, CommandKind, What};
use treering_promql::{Features, parse};

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

fn commands(path: &Path) -> Vec<Command> {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    script::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Expressions that are refused though nothing says that they fail, and how many there are in all.
fn refused(path: &Path) -> (Vec<String>, usize) {
    let mut refused = vec![];
    let mut count = 0;
    for command in commands(path) {
        let CommandKind::Eval(eval) = &command.kind else {
            continue;
        };
        count += 1;
        match parse(&eval.text, &Features::all()) {
            Ok(expr) => {
                let printed = expr.to_string();
                if let Err(error) = parse(&printed, &Features::all()) {
                    refused.push(format!("line {}: printed {printed}: {error}", command.line));
                }
            }
            Err(_) if eval.has(What::Fail) => {}
            Err(error) => refused.push(format!("line {}: {}: {error}", command.line, eval.text)),
        }
    }
    (refused, count)
}

#[test]
fn every_expression_of_prometheus_is_read_and_printed() {
    let Some(folder) = std::env::var_os("TREERING_PROMQLTEST") else {
        println!("SKIPPED: Prometheus' own cases, because TREERING_PROMQLTEST names no folder");
        return;
    };
    let mut all = 0;
    let mut misses = vec![];
    for path in scripts(Path::new(&folder)) {
        let (refused, count) = refused(&path);
        println!(
            "{}: {count} expressions, {} refused",
            path.display(),
            refused.len()
        );
        all += count;
        misses.extend(refused);
    }
    println!("{all} expressions");
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}
