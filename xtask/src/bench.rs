//! `cargo xtask bench`: the binaries of `benches/` and its criterion kernels, in release.
//!
//! Input: a name and flags. Output: the bench's own RESULT lines and exit code; wrong answers and
//! left-out figures fail there, not here.

use std::path::PathBuf;
use std::process::Command;

use crate::args::Args;
use crate::shell::{self, cargo, programs};
use crate::{Outcome, data};

/// The name under which all criterion kernels run.
const KERNELS: &str = "kernels";

/// The codec beside other people's, from a workspace of its own.
const RIVALS: &str = "codec";
const RIVALS_MANIFEST: &str = "benches/rivals/Cargo.toml";

/// Runs one bench, or lists them.
pub(crate) fn run(mut args: Args) -> Outcome {
    let quick = args.flag("--quick");
    let json = args.option("--json")?;
    let corpus = args.option("--corpus")?;
    let is_portable = args.flag("--portable");
    let name = args.positional();
    args.done()?;
    let is_rivals = name.as_deref() == Some(RIVALS);
    if !is_rivals && (corpus.is_some() || is_portable) {
        return Err(format!("only {RIVALS} takes --corpus and --portable"));
    }
    let names = names()?;
    let Some(name) = name else {
        println!("benches: {}, {RIVALS}, {KERNELS}", names.join(", "));
        return Ok(());
    };
    if name == KERNELS {
        return shell::run(&mut cargo(&["bench", "--locked", "-p", "treering-benches"]));
    }
    if !is_rivals && !names.contains(&name) {
        return Err(format!(
            "no bench {name:?}; there are {}, {RIVALS}, {KERNELS}",
            names.join(", ")
        ));
    }
    data::announce()?;
    let mut command = match is_rivals {
        true => rivals(is_portable),
        false => cargo(&["run", "--locked", "--release", "-p", "treering-benches"]),
    };
    if !is_rivals {
        command.args(["--bin", name.as_str()]);
    }
    command.arg("--");
    if let Some(folder) = corpus {
        command.arg("--corpus").arg(absolute(&folder)?);
    }
    if quick {
        command.arg("--quick");
    }
    if let Some(file) = json {
        command.arg("--json").arg(absolute(&file)?);
    }
    shell::run(&mut command)
}

/// Built for CPUs with AVX2 unless asked not to: what pco's documentation recommends, and the same
/// for all.
fn rivals(is_portable: bool) -> Command {
    let mut command = cargo(&["run", "--locked", "--release", "--manifest-path"]);
    command.arg(RIVALS_MANIFEST);
    if cfg!(target_arch = "x86_64") && !is_portable {
        command.env("RUSTFLAGS", "-C target-cpu=x86-64-v3");
    }
    command
}

fn absolute(path: &str) -> Outcome<PathBuf> {
    std::path::absolute(path).map_err(|error| format!("{path}: {error}"))
}

/// One bench per file or folder of benches/src/bin, except the recipes for data.
fn names() -> Outcome<Vec<String>> {
    let mut names = programs("benches/src/bin")?;
    names.retain(|name| name != "capture");
    Ok(names)
}
