//! `cargo xtask mutants`: planted bugs, each of which the ordinary tests must catch.
//!
//! Input: the patches of `xtask/mutants/`, whose first line says what is wrong. Output: for each the
//! first test that failed, or an error that names those that none did. A patch is applied to a copy
//! of the tree; no bug stands in the sources, nor a switch for one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Outcome;
use crate::args::Args;
use crate::shell::{self, cargo, root};

/// Folder of the patches.
const FOLDER: &str = "xtask/mutants";

/// A planted bug.
struct Mutant {
    name: String,
    patch: PathBuf,
    /// What is wrong.
    what: String,
}

/// Applies each patch in turn, or the one that is named, and runs the tests of the three crates.
pub(crate) fn run(mut args: Args) -> Outcome {
    let wanted = args.positional();
    args.done()?;
    let mut mutants = mutants()?;
    if let Some(wanted) = &wanted {
        mutants.retain(|mutant| mutant.name.contains(wanted.as_str()));
    }
    if mutants.is_empty() {
        return Err(format!("no patch in {FOLDER} has {wanted:?} in its name"));
    }
    let tree = shell::target().join("mutants");
    let mut rows = Vec::new();
    for mutant in &mutants {
        copy_tree(&tree)?;
        git(&tree, ["apply".as_ref(), mutant.patch.as_os_str()])?;
        println!("\n{}: {}", mutant.name, mutant.what);
        let started = Instant::now();
        let caught = first_failure(&tree)?;
        let by = caught.as_deref().unwrap_or("NOT CAUGHT");
        println!("{}: {by}, {} s", mutant.name, started.elapsed().as_secs());
        rows.push((mutant, caught));
    }
    println!("\n| planted bug | caught by |\n|---|---|");
    for (mutant, caught) in &rows {
        let by = caught.as_deref().unwrap_or("**nothing**");
        println!("| {} | {by} |", mutant.what);
    }
    let missed = rows.iter().filter(|(_, caught)| caught.is_none());
    let missed: Vec<_> = missed.map(|(mutant, _)| &*mutant.name).collect();
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
        mutants.push(Mutant {
            name: name.unwrap_or_default().to_owned(),
            what: text.lines().next().unwrap_or_default().to_owned(),
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
fn first_failure(tree: &Path) -> Outcome<Option<String>> {
    let target = tree.with_file_name("mutants-target");
    let tests = [
        "-p",
        "treering-codec",
        "-p",
        "treering-index",
        "-p",
        "treering",
    ];
    let build = cargo(&["test", "--locked", "--quiet", "--no-run"])
        .args(tests)
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", &target)
        .status();
    if !build.is_ok_and(|status| status.success()) {
        return Err(format!("the tree in {} cannot be built", tree.display()));
    }
    let run = cargo(&["test", "--locked", "--lib", "--tests"])
        .args(tests)
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", &target)
        .stderr(Stdio::null())
        .output();
    let run = run.map_err(|error| format!("cargo did not start: {error}"))?;
    if run.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&run.stdout);
    let failed = text.lines().find_map(|line| {
        let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
        Some(format!("`{name}`"))
    });
    Ok(Some(
        failed.unwrap_or_else(|| "a test that ended early".to_owned()),
    ))
}
