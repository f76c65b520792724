//! `cargo xtask python`: the Python package as its users have it: installed by pip, typed, called.
//!
//! Input: the checkout, and what pip can bring. Output: success of the tests of `python/tests`, of
//! the checks of the type stubs, of the examples. Everything stands in a virtual environment beside
//! the build output. What cannot run here says SKIPPED, why, and what would bring it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::shell::{self, root, succeeds};

/// What the tests use, at the versions that they pass with.
const REQUIREMENTS: &str = "python/requirements.txt";

/// A hanging step is ended after this; the build is among them.
const MINUTES: u64 = 30;

/// A virtual environment.
#[derive(Debug)]
pub(crate) struct Environment {
    folder: PathBuf,
}

/// Runs all of it.
pub(crate) fn run() -> Outcome {
    let Some(environment) = environment()? else {
        return Ok(());
    };
    environment.install(&["--profile", "dev"])?;
    environment.tests()?;
    environment.types()?;
    environment.examples()
}

/// The environment with everything that the tests use; none where pip cannot make it.
pub(crate) fn environment() -> Outcome<Option<Environment>> {
    made("python", &[REQUIREMENTS])
}

/// An environment of this name beside the build output, with what these files require. It is kept,
/// and made again when they change.
pub(crate) fn made(name: &str, requirements: &[&str]) -> Outcome<Option<Environment>> {
    let folder = shell::target().join(name).join("environment");
    let environment = Environment { folder };
    let wanted = requirements.iter().map(|path| read(&root().join(path)));
    let wanted = wanted.collect::<Outcome<Vec<String>>>()?.join("\n");
    let stamp = environment.folder.join("requirements.txt");
    if read(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(Some(environment));
    }
    let skipped = |what: &str, way_out: &str| {
        println!("SKIPPED: the Python package, because {what}: {way_out}");
    };
    let new_enough = "import sys; sys.exit(sys.version_info < (3, 10))";
    if !succeeds(Command::new("python3").args(["-c", new_enough])) {
        skipped("there is no python3 from 3.10 on", "install python3");
        return Ok(None);
    }
    let _ = std::fs::remove_dir_all(&environment.folder);
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&environment.folder);
    if let Err(error) = shell::run_within(MINUTES, &mut venv) {
        skipped(&error, "install python3-venv");
        return Ok(None);
    }
    let mut pip = environment.python();
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    for path in requirements {
        pip.arg("-r").arg(path);
    }
    if let Err(error) = shell::run_within(MINUTES, &mut pip) {
        skipped(
            &error,
            "let pip reach an index that has python/requirements.txt",
        );
        return Ok(None);
    }
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(Some(environment))
}

impl Environment {
    /// Its interpreter. The tree stays as it is: no compiled files are written beside sources.
    pub(crate) fn python(&self) -> Command {
        let bin = self.folder.join("bin");
        let mut command = Command::new(bin.join("python3"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(bin).chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(paths) {
            command.env("PATH", path);
        }
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("CARGO_TARGET_DIR", shell::target());
        command
    }

    /// `pip install ./python`, as a user would, but without fetching maturin for it again.
    pub(crate) fn install(&self, flags: &[&str]) -> Outcome {
        let mut pip = self.python();
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        pip.args([
            "--no-build-isolation",
            "--no-deps",
            "--force-reinstall",
            "./python",
        ]);
        pip.env("MATURIN_PEP517_ARGS", flags.join(" "));
        shell::run_within(MINUTES, &mut pip)
    }

    fn tests(&self) -> Outcome {
        let mut pytest = self.python();
        pytest.args([
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--durations=5",
        ]);
        shell::run_within(MINUTES, pytest.arg("python/tests"))
    }

    /// The stubs say what is there, and examples and package use it as they say.
    fn types(&self) -> Outcome {
        let cache = shell::target().join("python/mypy");
        let mut mypy = self.python();
        mypy.args(["-m", "mypy", "--strict", "--cache-dir"])
            .arg(&cache);
        mypy.args(["--config-file", "python/pyproject.toml"]);
        mypy.args(["python/python/treering", "python/examples"]);
        shell::run_within(MINUTES, &mut mypy)?;
        let mut stubtest = self.python();
        stubtest.args(["-m", "mypy.stubtest", "treering"]);
        stubtest.args(["--mypy-config-file", "python/pyproject.toml"]);
        shell::run_within(MINUTES, stubtest.env("MYPY_CACHE_DIR", &cache))
    }

    /// Each example in a folder of its own; what it draws is there afterwards.
    fn examples(&self) -> Outcome {
        for name in shell::files("python/examples", ".py")? {
            let folder = shell::target().join("python/examples").join(&name);
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
            let mut example = self.python();
            example.arg(root().join("python/examples").join(format!("{name}.py")));
            shell::run_within(MINUTES, example.arg(&folder))?;
            let plot = folder.join("plot.png");
            if name == "plot" && !read_bytes(&plot)?.starts_with(b"\x89PNG") {
                return Err(format!("{} is no PNG", plot.display()));
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_bytes(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
