//! `cargo xtask mutants`: planted bugs, each of which the ordinary tests must catch.
//!
//! Input: the patches of `xtask/mutants/`, whose first line says what is wrong, and whose second one
//! which tests to begin with. Output: for each the first test that failed, as a row of
//! `docs/testing/mutants.csv`, or an error that names those that none did. A patch is applied to a
//! copy of the tree; no bug stands in the sources, nor a switch for one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Outcome;
use crate::args::Args;
use crate::log::{self, Caught};
use crate::shell::{self, cargo, root};

/// Folder of the patches.
const FOLDER: &str = "xtask/mutants";

/// What stands before the tests to begin with, in the second line of a patch.
const FIRST: &str = "First: ";

/// The ordinary tests of what a program embeds.
const ALL: &str = "-p treering-codec -p treering-index -p treering --lib --tests";

/// A planted bug.
struct Mutant {
    name: String,
    patch: PathBuf,
    /// What is wrong.
    what: String,
    /// Words for `cargo test`: those of the ordinary tests that most likely catch it. They save
    /// the time of the others, and decide nothing when they pass.
    first: String,
}

/// Applies each patch in turn, or those that are named, and runs the tests of the three crates.
pub(crate) fn run(mut args: Args) -> Outcome {
    let mut wanted = Vec::new();
    while let Some(word) = args.positional() {
        wanted.push(word);
    }
    args.done()?;
    let mut mutants = mutants()?;
    let known: Vec<String> = mutants.iter().map(|mutant| mutant.name.clone()).collect();
    if !wanted.is_empty() {
        mutants.retain(|mutant| wanted.iter().any(|word| mutant.name.contains(&**word)));
    }
    if mutants.is_empty() {
        return Err(format!("no patch in {FOLDER} has {wanted:?} in its name"));
    }
    let tree = shell::target().join("mutants");
    let mut missed = Vec::new();
    for mutant in &mutants {
        copy_tree(&tree)?;
        git(&tree, ["apply".as_ref(), mutant.patch.as_os_str()])?;
        println!("\n{}: {}", mutant.name, mutant.what);
        let started = Instant::now();
        let by = first_failure(&tree, mutant)?;
        if by.is_none() {
            missed.push(&*mutant.name);
        }
        let row = Caught {
            name: &mutant.name,
            what: &mutant.what,
            by: by.as_deref().unwrap_or("nothing"),
            seconds: started.elapsed().as_secs(),
        };
        log::record_caught(&row, &known)?;
    }
    println!("\n{}", log::caught()?);
    match missed.is_empty() {
        true => Ok(()),
        false => Err(format!("no test catches {}", missed.join(", "))),
    }
}

/// That every patch still applies to the sources.
pub(crate) fn check() -> Outcome {
    if !shell::succeeds(Command::new("git").args(["rev-parse", "--is-inside-work-tree"])) {
        println!("SKIPPED: whether the planted bugs still apply; that needs git and a checkout");
        return Ok(());
    }
    for mutant in mutants()? {
        let words = [
            "apply".as_ref(),
            "--check".as_ref(),
            mutant.patch.as_os_str(),
        ];
        git(&root(), words)
            .map_err(|error| format!("{error}; make the patch anew for the sources of now"))?;
    }
    Ok(())
}

/// All planted bugs, by name.
fn mutants() -> Outcome<Vec<Mutant>> {
    let folder = root().join(FOLDER);
    let failed = |error| format!("{}: {error}", folder.display());
    let mut mutants = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let patch = entry.map_err(failed)?.path();
        let text = std::fs::read_to_string(&patch).map_err(failed)?;
        let name = patch.file_stem().and_then(OsStr::to_str);
        let mut lines = text.lines();
        let what = lines.next().unwrap_or_default().to_owned();
        let Some(first) = lines.next().and_then(|line| line.strip_prefix(FIRST)) else {
            let patch = patch.display();
            return Err(format!("{patch}: its second line is not `{FIRST}...`"));
        };
        mutants.push(Mutant {
            name: name.unwrap_or_default().to_owned(),
            what,
            first: first.to_owned(),
            patch,
        });
    }
    mutants.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(mutants)
}

/// Makes `tree` what is committed or added here. Files that are the same stay as they are, so that
/// little is compiled again.
fn copy_tree(tree: &Path) -> Outcome {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(tree).map_err(|error| failed(tree, error))?;
    if !tree.join(".git").exists() {
        // Patches apply from the root of a repository.
        git(tree, ["init".as_ref(), "--quiet".as_ref()])?;
    }
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("`git ls-files` did not start: {error}"))?;
    for name in listed.stdout.split(|&byte| byte == 0) {
        let name = String::from_utf8_lossy(name);
        let from = root().join(&*name);
        if name.is_empty() || !from.is_file() {
            continue;
        }
        let to = tree.join(&*name);
        let bytes = std::fs::read(&from).map_err(|error| failed(&from, error))?;
        if std::fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        let parent = to.parent().unwrap_or(tree);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&to, bytes))
            .map_err(|error| failed(&to, error))?;
    }
    Ok(())
}

fn git<const N: usize>(dir: &Path, words: [&OsStr; N]) -> Outcome {
    let mut command = Command::new("git");
    command.args(words).current_dir(dir);
    let ended = command.output();
    let ended = ended.map_err(|error| format!("git did not start: {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(format!("git in {}: {}", dir.display(), said.trim()))
}

/// The first test that fails in `tree`; an error when it cannot be built.
fn first_failure(tree: &Path, mutant: &Mutant) -> Outcome<Option<String>> {
    if let Some(failed) = failure_of(tree, &mutant.first)? {
        return Ok(Some(failed));
    }
    println!("{}: not by {}", mutant.name, mutant.first);
    failure_of(tree, ALL)
}

/// The first of the tests that `words` choose which fails.
fn failure_of(tree: &Path, words: &str) -> Outcome<Option<String>> {
    let target = tree.with_file_name("mutants-target");
    let test = |build: &[&str]| {
        let mut command = cargo(&["test", "--locked"]);
        command.args(build).args(words.split(' '));
        command.current_dir(tree);
        command.env("CARGO_TARGET_DIR", &target);
        // Nobody reads the stacks of a planted bug.
        command.env("CARGO_PROFILE_DEV_DEBUG", "0");
        command
    };
    let built = test(&["--quiet", "--no-run"]).status();
    if !built.is_ok_and(|status| status.success()) {
        return Err(format!("the tree in {} cannot be built", tree.display()));
    }
    let run = test(&[]).stderr(Stdio::null()).output();
    let run = run.map_err(|error| format!("cargo did not start: {error}"))?;
    let text = String::from_utf8_lossy(&run.stdout);
    if tests_in(&text) == 0 {
        return Err(format!("`cargo test {words}` ran no test"));
    }
    if run.status.success() {
        return Ok(None);
    }
    let failed = failed_in(&text).unwrap_or("a test that ended early");
    Ok(Some(failed.to_owned()))
}

/// How many tests began, as libtest says.
fn tests_in(text: &str) -> u64 {
    let counts = text.lines().filter_map(|line| {
        let count = line.strip_prefix("running ")?.split(' ').next()?;
        count.parse::<u64>().ok()
    });
    counts.sum()
}

/// The first test that libtest calls failed.
fn failed_in(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
        Some(name.strip_suffix(" - should panic").unwrap_or(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libtest_says_is_read() {
        let text = "\nrunning 2 tests\ntest a::b ... ok\ntest a::c ... FAILED\n\nfailures:\n\
                    \nrunning 1 test\ntest d ... FAILED\n";
        assert_eq!(tests_in(text), 3);
        assert_eq!(failed_in(text), Some("a::c"));
        assert_eq!((tests_in("running 0 tests\n"), failed_in("")), (0, None));
    }

    #[test]
    fn every_patch_says_what_is_wrong_and_what_to_try_first() {
        let mutants = mutants().unwrap();
        assert!(mutants.len() >= 10, "{}", mutants.len());
        for mutant in mutants {
            assert!(mutant.what.ends_with('.'), "{}", mutant.name);
            assert!(mutant.first.starts_with("-p treering"), "{}", mutant.name);
        }
    }
}
