//! `cargo xtask bench`: the binaries of `benches/` and its criterion kernels, in release.
//!
//! Input: a name and flags. Output: the bench's own RESULT lines and exit code; wrong answers and
//! left-out figures fail there, not here.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::args::Args;
use crate::shell::{self, cargo, programs};
use crate::{Outcome, data, python, rivals};

/// The name under which all criterion kernels run.
const KERNELS: &str = "kernels";

/// The codec beside other people's, from a workspace of its own.
const CODEC: &str = "codec";
const CODEC_MANIFEST: &str = "benches/rivals/Cargo.toml";

/// The engine beside other databases, of the same workspace.
const RIVALS: &str = "rivals";
const RIVALS_MANIFEST: &str = "benches/rivals/databases/Cargo.toml";

/// PromQL beside other servers', of the ordinary workspace.
const PROMQL: &str = "promql";

/// The Python package beside others: a program of Python.
const PYTHON: &str = "python";

/// The engine by itself: its benches one after the other, under one name.
const ENGINE: &str = "engine";
const OF_ENGINE: [&str; 6] = [
    "ingest",
    "size",
    "open",
    "lifecycle",
    "scaling",
    "cardinality",
];

/// Flags of single benches.
struct Own {
    corpus: Option<String>,
    is_portable: bool,
    chart: Option<String>,
}

/// Runs one bench, or lists them.
pub(crate) fn run(mut args: Args) -> Outcome {
    let quick = args.flag("--quick");
    let json = args.option("--json")?;
    let own = Own {
        corpus: args.option("--corpus")?,
        is_portable: args.flag("--portable"),
        chart: args.option("--chart")?,
    };
    let name = args.positional();
    args.done()?;
    if name.as_deref() != Some(CODEC) && (own.corpus.is_some() || own.is_portable) {
        return Err(format!("only {CODEC} takes --corpus and --portable"));
    }
    if name.as_deref() != Some(RIVALS) && own.chart.is_some() {
        return Err(format!("only {RIVALS} takes --chart"));
    }
    let names = names()?;
    let all = format!(
        "{}, {CODEC}, {RIVALS}, {PYTHON}, {KERNELS}, {ENGINE} ({})",
        names.join(", "),
        OF_ENGINE.join(", ")
    );
    let Some(name) = name else {
        println!("benches: {all}");
        return Ok(());
    };
    if name == KERNELS {
        if quick || json.is_some() {
            return Err(format!(
                "{KERNELS} (criterion) takes neither --quick nor --json"
            ));
        }
        return shell::run(&mut cargo(&["bench", "--locked", "-p", "treering-benches"]));
    }
    if name == ENGINE {
        return engine(quick, json.as_deref());
    }
    let mut command = match name.as_str() {
        CODEC => codec(&own)?,
        RIVALS => rivals(&own)?,
        PYTHON => python_bench()?,
        PROMQL => {
            let mut command = own_bench(PROMQL);
            command.arg("--tools").arg(rivals::servers()?);
            command
        }
        name if names.iter().any(|known| known == name) => own_bench(name),
        name => return Err(format!("no bench {name:?}; there are {all}")),
    };
    data::announce()?;
    if quick {
        command.arg("--quick");
    }
    if let Some(file) = json {
        command.arg("--json").arg(absolute(&file)?);
    }
    shell::run(&mut command)
}

fn own_bench(name: &str) -> Command {
    let mut command = cargo(&["run", "--locked", "--release", "-p", "treering-benches"]);
    command.args(["--bin", name, "--"]);
    command
}

/// The benches of the engine; their figures in one file.
fn engine(quick: bool, json: Option<&str>) -> Outcome {
    data::announce()?;
    let json = json.map(absolute).transpose()?;
    let mut figures = Vec::new();
    for name in OF_ENGINE {
        println!("\n== {name}");
        let mut command = own_bench(name);
        if quick {
            command.arg("--quick");
        }
        if let Some(file) = &json {
            command.arg("--json").arg(file);
        }
        shell::run(&mut command)?;
        if let Some(file) = &json {
            let failed = |error: &dyn Display| format!("{}: {error}", file.display());
            let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
            let more: Vec<Value> = serde_json::from_str(&text).map_err(|error| failed(&error))?;
            figures.extend(more);
            let text = serde_json::to_string_pretty(&figures).map_err(|error| failed(&error))?;
            std::fs::write(file, text + "\n").map_err(|error| failed(&error))?;
        }
    }
    Ok(())
}

/// Built for CPUs with AVX2 unless asked not to: what pco's documentation recommends, and the same
/// for all.
fn codec(own: &Own) -> Outcome<Command> {
    let mut command = cargo(&["run", "--locked", "--release", "--manifest-path"]);
    command.args([CODEC_MANIFEST, "--"]);
    if cfg!(target_arch = "x86_64") && !own.is_portable {
        command.env("RUSTFLAGS", "-C target-cpu=x86-64-v3");
    }
    if let Some(folder) = &own.corpus {
        command.arg("--corpus").arg(absolute(folder)?);
    }
    Ok(command)
}

/// Built as a user would; the programs of the others are got first.
fn rivals(own: &Own) -> Outcome<Command> {
    let tools = rivals::prepare()?;
    let mut command = cargo(&["run", "--locked", "--release", "--manifest-path"]);
    command.args([RIVALS_MANIFEST, "--", "--tools"]).arg(tools);
    if let Some(file) = &own.chart {
        command.arg("--chart").arg(absolute(file)?);
    }
    Ok(command)
}

/// Built in release, as `pip install` does; the others are got first.
fn python_bench() -> Outcome<Command> {
    let requirements = ["python/requirements.txt", "benches/python/requirements.txt"];
    let Some(environment) = python::made("python-bench", &requirements)? else {
        return Err("there is no environment of Python to measure in".to_owned());
    };
    environment.install(&[])?;
    let mut command = environment.python();
    command.arg("benches/python/frames.py");
    Ok(command)
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
