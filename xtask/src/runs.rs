//! `cargo xtask runs`: sums of the log of long runs, in the page about testing.
//!
//! Input: `docs/testing/runs.csv`, which the recipes write. Output: a table between two marks of
//! `docs/testing.md`, written anew. Invariant: only runs that passed count; the tests hold the page
//! against the log, so no number in it is typed.

use std::collections::BTreeMap;

use crate::Outcome;
use crate::shell::root;

const PAGE: &str = "docs/testing.md";
const LOG: &str = "docs/testing/runs.csv";
const START: &str = "<!-- sums of runs.csv, by cargo xtask runs -->\n";
const END: &str = "<!-- end of sums -->\n";

/// Writes the table anew, and prints it.
pub(crate) fn run() -> Outcome {
    renew()?;
    print!("{}", table(&read(LOG)?)?);
    Ok(())
}

/// Writes the table anew.
pub(crate) fn renew() -> Outcome {
    let page = read(PAGE)?;
    let (before, _, after) = parts(&page)?;
    let table = table(&read(LOG)?)?;
    let page = format!("{before}{START}{table}{END}{after}");
    std::fs::write(root().join(PAGE), page).map_err(|error| format!("{PAGE}: {error}"))
}

fn read(path: &str) -> Outcome<String> {
    std::fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))
}

/// What is before the table, the table, what is behind it.
fn parts(page: &str) -> Outcome<(&str, &str, &str)> {
    let found = page.split_once(START).and_then(|(before, rest)| {
        let (table, after) = rest.split_once(END)?;
        Some((before, table, after))
    });
    found.ok_or_else(|| format!("{PAGE} has no marks for the sums of {LOG}"))
}

/// Runs that did the same.
#[derive(Debug, Default)]
struct Sum {
    runs: u64,
    executions: u64,
    seconds: u64,
    commits: Vec<String>,
}

/// One row for each recipe, what it ran and its unit; seeds and failed runs are in the log.
fn table(log: &str) -> Outcome<String> {
    let mut sums: BTreeMap<[&str; 3], Sum> = BTreeMap::new();
    for line in log.lines().skip(1) {
        let words: Vec<&str> = line.split(',').collect();
        let [
            _,
            commit,
            recipe,
            what,
            _,
            executions,
            unit,
            seconds,
            result,
        ] = words[..]
        else {
            return Err(format!("{LOG}: {line:?} is no row"));
        };
        if result != "passed" {
            continue;
        }
        let number = |text: &str| {
            let number = text.parse::<u64>();
            number.map_err(|error| format!("{LOG}: {text:?} in {line:?}: {error}"))
        };
        let sum = sums.entry([recipe, what, unit]).or_default();
        sum.runs += 1;
        sum.executions += number(executions)?;
        sum.seconds += number(seconds)?;
        if !sum.commits.iter().any(|known| known == commit) {
            sum.commits.push(commit.to_owned());
        }
    }
    let mut table = String::from(
        "| recipe | what | runs | done | seconds | commits |\n|---|---|---|---|---|---|\n",
    );
    for ([recipe, what, unit], sum) in sums {
        let Sum {
            runs,
            executions,
            seconds,
            commits,
        } = sum;
        let (done, commits) = (grouped(executions), commits.join(", "));
        table +=
            &format!("| {recipe} | {what} | {runs} | {done} {unit} | {seconds} | {commits} |\n");
    }
    Ok(table)
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_did_the_same_are_added_up_and_failed_ones_left_out() {
        let log = "day,commit,recipe,what,seed,executions,unit,seconds,result\n\
                   d,aa,soak,kill,1,600,kills,5,passed\n\
                   d,bb,soak,kill,2,1900,kills,6,passed\n\
                   d,bb,soak,kill,3,7,kills,1,failed\n\
                   d,bb,fuzz,varint,0,12,runs,1,passed\n";
        let table = table(log).unwrap();
        assert!(table.contains("| soak | kill | 2 | 2,500 kills | 11 | aa, bb |\n"));
        assert!(table.contains("| fuzz | varint | 1 | 12 runs | 1 | bb |\n"));
        assert_eq!(table.lines().count(), 4);
        assert!(super::table("head\na,b\n").is_err());
    }

    #[test]
    fn the_page_says_what_the_log_says() {
        let page = read(PAGE).unwrap();
        let log = read(LOG).unwrap();
        assert_eq!(
            parts(&page).unwrap().1,
            table(&log).unwrap(),
            "cargo xtask runs"
        );
    }
}
