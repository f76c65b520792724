//! `cargo xtask bench`: the binaries of `benches/` and its criterion kernels, in release.
//!
//! Input: a name and flags. Output: the bench's own RESULT lines and exit code; wrong answers and
//! left-out figures fail there, not here.

use crate::args::Args;
use crate::shell::{self, cargo, programs};
use crate::{Outcome, data};

/// The name under which all criterion kernels run.
const KERNELS: &str = "kernels";

/// Runs one bench, or lists them.
pub(crate) fn run(mut args: Args) -> Outcome {
    let quick = args.flag("--quick");
    let json = args.option("--json")?;
    let name = args.positional();
    args.done()?;
    let names = names()?;
    let Some(name) = name else {
        println!("benches: {}, {KERNELS}", names.join(", "));
        return Ok(());
    };
    if name == KERNELS {
        return shell::run(&mut cargo(&["bench", "--locked", "-p", "treering-benches"]));
    }
    if !names.contains(&name) {
        return Err(format!(
            "no bench {name:?}; there are {}, {KERNELS}",
            names.join(", ")
        ));
    }
    data::announce()?;
    let mut command = cargo(&[
        "run",
        "--locked",
        "--release",
        "-p",
        "treering-benches",
        "--bin",
    ]);
    command.args([name.as_str(), "--"]);
    if quick {
        command.arg("--quick");
    }
    if let Some(file) = json {
        let absolute = std::path::absolute(&file).map_err(|error| format!("{file}: {error}"))?;
        command.arg("--json").arg(absolute);
    }
    shell::run(&mut command)
}

/// One bench per file or folder of benches/src/bin, except the recipes for data.
fn names() -> Outcome<Vec<String>> {
    let mut names = programs("benches/src/bin")?;
    names.retain(|name| name != "capture");
    Ok(names)
}
