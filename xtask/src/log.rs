//! The logs of long runs, `docs/testing/*.csv`: written by the recipes that ran, never by hand.
//!
//! Input: what ran and how it ended. Output: one more row, with the day and the commit; of a planted
//! bug the row in the place of its last one.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;

use crate::Outcome;
use crate::runs;
use crate::shell::root;

/// Where the rows are.
const FILE: &str = "docs/testing/runs.csv";
const HEADER: &str = "day,commit,recipe,what,seed,executions,unit,seconds,result";

/// A run that ended.
pub(crate) struct Run<'a> {
    /// The recipe: `soak` or `fuzz`.
    pub(crate) recipe: &'a str,
    /// Its kind or target.
    pub(crate) what: &'a str,
    /// Where its random choices began.
    pub(crate) seed: u64,
    /// How much was done, as the tests or the fuzzer print it.
    pub(crate) executions: u64,
    /// Of what.
    pub(crate) unit: &'a str,
    pub(crate) seconds: u64,
    /// `passed` or `failed`.
    pub(crate) result: &'a str,
}

/// Adds a row. A commit with changes in the checkout beside it has a `+`.
pub(crate) fn record(run: &Run<'_>) -> Outcome {
    let path = root().join(FILE);
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let is_new = !path.exists();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(failed)?;
    if is_new {
        writeln!(file, "{HEADER}").map_err(failed)?;
    }
    let Run {
        recipe,
        what,
        seed,
        executions,
        unit,
        seconds,
        result,
    } = run;
    let (day, commit) = (said("date", &["-u", "+%F"]), commit());
    let row =
        format!("{day},{commit},{recipe},{what},{seed},{executions},{unit},{seconds},{result}");
    println!("logged in {FILE}: {row}");
    writeln!(file, "{row}").map_err(failed)?;
    runs::renew()
}

/// Which test catches each planted bug, by its last run.
const CAUGHT: &str = "docs/testing/mutants.csv";
const CAUGHT_HEADER: &str = "name,day,commit,seconds,what,caught by";

/// A planted bug that was run.
pub(crate) struct Caught<'a> {
    /// Its patch.
    pub(crate) name: &'a str,
    /// What is wrong.
    pub(crate) what: &'a str,
    /// The test that failed.
    pub(crate) by: &'a str,
    pub(crate) seconds: u64,
}

/// Takes `row` for what is known of its bug; rows of bugs that are not `known` go.
pub(crate) fn record_caught(row: &Caught<'_>, known: &[String]) -> Outcome {
    let old = caught().unwrap_or_default();
    let mut rows: BTreeMap<&str, String> = old
        .lines()
        .skip(1)
        .filter_map(|line| Some((line.split_once(',')?.0, line.to_owned())))
        .filter(|(name, _)| known.iter().any(|known| known == name))
        .collect();
    let Caught {
        name,
        what,
        by,
        seconds,
    } = row;
    let (day, commit) = (said("date", &["-u", "+%F"]), commit());
    let what = what.replace('"', "'");
    let line = format!("{name},{day},{commit},{seconds},\"{what}\",{by}");
    println!("logged in {CAUGHT}: {line}");
    rows.insert(name, line);
    let rows: Vec<String> = rows.into_values().collect();
    let text = format!("{CAUGHT_HEADER}\n{}\n", rows.join("\n"));
    std::fs::write(root().join(CAUGHT), text).map_err(|error| format!("{CAUGHT}: {error}"))
}

/// The table of planted bugs.
pub(crate) fn caught() -> Outcome<String> {
    std::fs::read_to_string(root().join(CAUGHT)).map_err(|error| format!("{CAUGHT}: {error}"))
}

fn commit() -> String {
    let dirty = said("git", &["status", "--porcelain", "--", ":!docs/testing"]);
    let mark = if dirty.is_empty() { "" } else { "+" };
    said("git", &["rev-parse", "--short", "HEAD"]) + mark
}

/// What a command prints, without the line end; nothing where it cannot be run.
fn said(program: &str, words: &[&str]) -> String {
    let ran = Command::new(program)
        .args(words)
        .current_dir(root())
        .output();
    let text = ran.map(|ran| String::from_utf8_lossy(&ran.stdout).trim().to_owned());
    text.unwrap_or_default()
}
