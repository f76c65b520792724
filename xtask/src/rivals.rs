//! Programs of the databases that `cargo xtask bench rivals` measures ours against.
//!
//! Input: the package managers of the machine. Output: a folder beside the build output: `python`,
//! a virtual environment with DuckDB, and `debian`, the servers out of their Debian packages,
//! unpacked, not installed, so that nothing of the machine changes and no service starts. What
//! cannot be had is left out; the bench names it and says how to get it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::shell::{self, root};

/// Versions of what the bench asks in Python.
const REQUIREMENTS: &str = "benches/rivals/databases/requirements.txt";

/// Debian packages, and the program that each is for.
const PACKAGES: [&str; 2] = ["prometheus", "victoria-metrics"];

/// The folder, with all that could be had.
pub(crate) fn prepare() -> Outcome<PathBuf> {
    let folder = folder()?;
    for what in [python(&folder), debian(&folder)] {
        if let Err(why) = what {
            println!("left out: {why}");
        }
    }
    Ok(folder)
}

/// The folder, with the servers that could be had.
pub(crate) fn servers() -> Outcome<PathBuf> {
    let folder = folder()?;
    if let Err(why) = debian(&folder) {
        println!("left out: {why}");
    }
    Ok(folder)
}

/// Prometheus: on the path, or fetched.
pub(crate) fn prometheus() -> Outcome<PathBuf> {
    if shell::succeeds(Command::new("prometheus").arg("--version")) {
        return Ok("prometheus".into());
    }
    let folder = folder()?;
    debian(&folder)?;
    Ok(folder.join("debian/usr/bin/prometheus"))
}

fn folder() -> Outcome<PathBuf> {
    let folder = shell::target().join("rivals");
    let made = std::fs::create_dir_all(&folder);
    made.map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

fn python(folder: &Path) -> Outcome {
    let environment = folder.join("python");
    let python = environment.join("bin/python3");
    let is_there = |python: &Path| {
        let mut command = Command::new(python);
        shell::succeeds(command.args(["-c", "import duckdb, pyarrow"]))
    };
    if is_there(&python) {
        return Ok(());
    }
    shell::run(
        Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment),
    )?;
    let install = ["-m", "pip", "install", "--quiet", "--requirement"];
    shell::run(
        Command::new(&python)
            .args(install)
            .arg(root().join(REQUIREMENTS)),
    )
}

fn debian(folder: &Path) -> Outcome {
    let (unpacked, fetched) = (folder.join("debian"), folder.join("packages"));
    for package in PACKAGES {
        if unpacked.join("usr/bin").join(package).exists() {
            continue;
        }
        // An empty folder, so that what lies in it afterwards is the package.
        let _ = std::fs::remove_dir_all(&fetched);
        let made = std::fs::create_dir_all(&fetched);
        made.map_err(|error| format!("{}: {error}", fetched.display()))?;
        let mut fetch = Command::new("sh");
        // The package manager writes where it stands; commands of this crate stand in the root.
        fetch.args(["-c", "cd \"$1\" && apt-get download \"$2\"", "sh"]);
        shell::run(fetch.arg(&fetched).arg(package))?;
        let entries = std::fs::read_dir(&fetched);
        let entries = entries.map_err(|error| format!("{}: {error}", fetched.display()))?;
        for file in entries.filter_map(Result::ok) {
            let mut unpack = Command::new("dpkg-deb");
            shell::run(unpack.arg("--extract").arg(file.path()).arg(&unpacked))?;
        }
    }
    Ok(())
}
