//! The one door to other programs.
//!
//! Input: a command. Output: its success, after its command line was printed, so that a reader of
//! a log can run the failing step alone. Commands run in the root of the checkout.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{Outcome, hang};

/// Root of the checkout: the parent of this package's folder.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root().join(set.unwrap_or_else(|| "target".into()))
}

/// `cargo` of the toolchain that runs this recipe.
pub(crate) fn cargo(words: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(words);
    command
}

/// `cargo` that takes unstable compiler flags: of the nightly toolchain, or the stable one told so.
pub(crate) fn unstable_cargo() -> Command {
    let mut command = Command::new("cargo");
    let nightly = ["run", "nightly", "rustc", "--version"];
    if succeeds(Command::new("rustup").args(nightly)) {
        command.arg("+nightly");
    } else {
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    // What cargo tells its own children would override the toolchain chosen above.
    for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTDOC"] {
        command.env_remove(variable);
    }
    command
}

/// Names of the programs in a folder of the checkout, one per `.rs` file or folder with a `main.rs`,
/// sorted.
pub(crate) fn programs(folder: &str) -> Outcome<Vec<String>> {
    let folder = root().join(folder);
    let entries =
        std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let name = |entry: std::fs::DirEntry| {
        let is_folder = entry.path().join("main.rs").exists();
        let name = entry.file_name().to_str()?.to_owned();
        let stem = name.strip_suffix(".rs").map(str::to_owned);
        if is_folder { Some(name) } else { stem }
    };
    let mut names: Vec<String> = entries.filter_map(Result::ok).filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// Names of the files in a folder of the checkout that end with `suffix`, without it, sorted.
pub(crate) fn files(folder: &str, suffix: &str) -> Outcome<Vec<String>> {
    let folder = root().join(folder);
    let entries =
        std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let name = |entry: std::fs::DirEntry| {
        let name = entry.file_name().to_str()?.to_owned();
        name.strip_suffix(suffix).map(str::to_owned)
    };
    let mut names: Vec<String> = entries.filter_map(Result::ok).filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// Runs `command` to its end; an exit code other than 0 is an error that names the step.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let (line, child) = spawn(command)?;
    ended(&line, child)
}

/// As [`run`]; what takes longer than `minutes` hangs: it is ended, and what it did is told.
pub(crate) fn run_within(minutes: u64, command: &mut Command) -> Outcome {
    let (line, mut child) = spawn(command)?;
    match hang::wait(&mut child, Duration::from_secs(minutes * 60)) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(format!("`{line}` ended with {status}")),
        Ok(None) => Err(format!("`{line}` hung for {minutes} minutes")),
        Err(error) => Err(format!("`{line}` was lost: {error}")),
    }
}

/// As [`run`], showing each line that it writes to its errors to `read` too.
pub(crate) fn run_reading(command: &mut Command, read: &mut dyn FnMut(&str)) -> Outcome {
    let (line, mut child) = spawn(command.stderr(Stdio::piped()))?;
    if let Some(errors) = child.stderr.take() {
        for said in BufReader::new(errors).lines().map_while(Result::ok) {
            eprintln!("{said}");
            read(&said);
        }
    }
    ended(&line, child)
}

/// As [`run`], showing each line of its output to `read` too.
pub(crate) fn run_showing(command: &mut Command, read: &mut dyn FnMut(&str)) -> Outcome {
    let (line, mut child) = spawn(command.stdout(Stdio::piped()))?;
    if let Some(output) = child.stdout.take() {
        for said in BufReader::new(output).lines().map_while(Result::ok) {
            println!("{said}");
            read(&said);
        }
    }
    ended(&line, child)
}

/// Starts a command in the root of the checkout; gives its line too.
fn spawn(command: &mut Command) -> Outcome<(String, Child)> {
    let line = describe(command);
    println!("\n$ {line}");
    match command.current_dir(root()).spawn() {
        Ok(child) => Ok((line, child)),
        Err(error) => Err(format!("`{line}` did not start: {error}")),
    }
}

/// Waits for a command.
fn ended(line: &str, mut child: Child) -> Outcome {
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}")),
        Err(error) => Err(format!("`{line}` was lost: {error}")),
    }
}

/// Whether `command` can be started and exits with 0; its output is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command as a person would type it, with the variables it sets.
fn describe(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!(
                "{}={}",
                name.to_string_lossy(),
                value.to_string_lossy()
            ));
        }
    }
    let program = Path::new(command.get_program());
    words.push(
        program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    );
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_is_named() {
        let error = run(cargo(&["no-such-subcommand"]).stderr(Stdio::null())).unwrap_err();
        assert!(error.contains("cargo no-such-subcommand"), "{error}");
        assert!(run(&mut Command::new("no-such-program-here")).is_err());
    }

    #[test]
    fn the_root_is_the_workspace() {
        assert!(root().join("Cargo.lock").is_file());
    }
}
