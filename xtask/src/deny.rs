//! `cargo xtask deny`: licences, sources, banned and doubled crates of every workspace, as
//! `deny.toml` says.
//!
//! Input: the lock files. Output: failure when cargo-deny refuses one of them. Where the tool is not
//! there it is built once into a folder beside the build output; where that cannot be done, this says
//! that nothing was checked.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::shell::{self, cargo, root};

/// What is checked; advisories need a database from outside.
const CHECKS: [&str; 3] = ["bans", "licenses", "sources"];

/// The version whose words deny.toml speaks.
const VERSION: &str = "0.20.2";

/// The workspaces of the repository.
const MANIFESTS: [&str; 3] = ["Cargo.toml", "fuzz/Cargo.toml", "benches/rivals/Cargo.toml"];

/// Checks all.
pub(crate) fn run() -> Outcome {
    match tool() {
        Some(tool) => check(&tool),
        None => Err(missing()),
    }
}

/// Checks all, or says loudly why not.
pub(crate) fn run_if_there() -> Outcome {
    match tool() {
        Some(tool) => check(&tool),
        None => {
            println!(
                "SKIPPED: licences, sources and doubled crates; {}",
                missing()
            );
            Ok(())
        }
    }
}

fn missing() -> String {
    format!(
        "cargo-deny is not there and could not be installed: \
         cargo install cargo-deny --locked --version {VERSION}"
    )
}

fn check(tool: &Path) -> Outcome {
    for manifest in MANIFESTS {
        let mut check = Command::new(tool);
        check.args(["--locked", "--workspace", "--manifest-path", manifest]);
        check.arg("--config").arg(root().join("deny.toml"));
        check.args(["check", "--hide-inclusion-graph", "--show-stats"]);
        check.args(CHECKS);
        shell::run(&mut check)?;
    }
    Ok(())
}

/// The program: of the kept folder, of the path, or built now.
fn tool() -> Option<PathBuf> {
    let kept = shell::target().join("tools");
    let programs = [kept.join("bin/cargo-deny"), PathBuf::from("cargo-deny")];
    let there = |program: &PathBuf| shell::succeeds(Command::new(program).arg("--version"));
    if let Some(found) = programs.iter().find(|program| there(program)) {
        return Some(found.clone());
    }
    let mut install = cargo(&["install", "cargo-deny", "--locked", "--version", VERSION]);
    install.arg("--root").arg(&kept);
    install.arg("--target-dir").arg(kept.join("build"));
    // It runs for a second: what counts is how long it takes to build.
    install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    install.env("CARGO_PROFILE_RELEASE_LTO", "off");
    install.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    let installed = shell::run(&mut install);
    // A few hundred megabytes that nobody needs again.
    let _ = std::fs::remove_dir_all(kept.join("build"));
    installed.ok()?;
    programs.into_iter().find(|program| there(program))
}
