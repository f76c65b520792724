//! Who takes part: engines whose programs are there; the others are named with how to get them.
//!
//! Input: the folder into which `cargo xtask bench rivals` put what it could get, and the path.
//! Output: engines in the order in which they take turns, ours first.

use std::path::{Path, PathBuf};

use treering_benches::rival::server::{Dialect, runs};

use crate::engine::Engine;
use crate::ours::Treering;
use crate::python::Python;
use crate::server::Server;
use crate::tsink_db::Tsink;

/// Engines beside which ours is embedded too: the best of them counts.
pub(crate) const EMBEDDED: [&str; 3] = ["sqlite", "duckdb", "tsink"];

/// Rivals that each have a ratio of their own to ours.
pub(crate) const SINGLE: [&str; 3] = ["tsink", "prometheus", "victoriametrics"];

/// All that are there.
pub(crate) fn roster(tools: Option<&Path>, is_quick: bool) -> Vec<Box<dyn Engine>> {
    let mut engines: Vec<Box<dyn Engine>> = vec![
        Box::new(Treering::new(false, is_quick)),
        Box::new(Treering::new(true, is_quick)),
    ];
    match python(tools, "import sqlite3") {
        Some(python) => engines.push(Box::new(Python::new("sqlite", &python))),
        None => println!("SKIPPED: SQLite, because there is no python3 with sqlite3: install it"),
    }
    match python(tools, "import duckdb, pyarrow") {
        Some(python) => {
            engines.push(Box::new(Python::new("duckdb", &python)));
            engines.push(Box::new(Python::new("duckdb_batches", &python)));
        }
        None => println!(
            "SKIPPED: DuckDB, because python3 has no duckdb and pyarrow: \
             pip install -r benches/rivals/databases/requirements.txt"
        ),
    }
    engines.push(Box::new(Tsink::new(is_quick)));
    for dialect in [Dialect::Prometheus, Dialect::VictoriaMetrics] {
        let name = dialect.program();
        match dialect.find(tools) {
            Some(program) => engines.push(Box::new(Server::new(dialect, program))),
            None => println!("SKIPPED: {name}, which is not there: apt-get install {name}"),
        }
    }
    engines
}

/// The first Python that has these modules.
fn python(tools: Option<&Path>, import: &str) -> Option<PathBuf> {
    let kept = tools.map(|folder| folder.join("python/bin/python3"));
    let mut programs = kept.into_iter().chain([PathBuf::from("python3")]);
    programs.find(|python| runs(python, &["-c", import]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_first_and_a_rival_in_rust_is_always_there() {
        let engines = roster(None, true);
        let names: Vec<_> = engines.iter().map(|engine| engine.name()).collect();
        assert_eq!(names[..2], ["treering", "treering_columns"]);
        assert!(names.contains(&"tsink"));
        assert!(python(None, "import no_such_module_here").is_none());
    }
}
