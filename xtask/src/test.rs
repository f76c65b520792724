//! Every test that fits into minutes: unit, integration and doc tests, fuzz seeds, the C library from
//! C, the Python package, quickstart.
//!
//! Input: the checkout and the data variables. Output: success of every step. What cannot run
//! here is printed with the reason; cargo's own lines tell the counts.

use std::process::Command;

use crate::shell::{self, cargo, root};
use crate::{Outcome, c, data, python};

/// What takes so long, with the build, hangs: several times what it takes on two cores.
const TESTS_MINUTES: u64 = 50;
const SCHEDULES_MINUTES: u64 = 20;

/// Runs the workspace's tests, then the quickstart as a newcomer would.
pub(crate) fn run() -> Outcome {
    data::announce()?;
    if !shell::succeeds(Command::new("python3").arg("--version")) {
        println!(
            "SKIPPED: docs/format/read_chunk.py against the codec, because python3 is missing"
        );
    }
    if !shell::succeeds(Command::new("strace").args(["-o", "/dev/null", "true"])) {
        println!(
            "SKIPPED: failing fsync under the binary, because strace is missing or may not trace"
        );
    }
    let all = ["test", "--locked", "--workspace", "--no-fail-fast"];
    shell::run_within(TESTS_MINUTES, &mut cargo(&all))?;
    c::run()?;
    python::run()?;
    schedules()?;
    quickstart()
}

/// The engine on the locks of a model checker, in a build of its own.
fn schedules() -> Outcome {
    let words = ["test", "--locked", "-p", "treering", "--test", "schedules"];
    let mut command = cargo(&words);
    command.env("RUSTFLAGS", "--cfg shuttle");
    command.env("CARGO_TARGET_DIR", shell::target().join("shuttle"));
    shell::run_within(SCHEDULES_MINUTES, &mut command)
}

fn quickstart() -> Outcome {
    if !root().join("engine/examples/quickstart.rs").is_file() {
        println!("SKIPPED: quickstart, because engine/examples/quickstart.rs is not there");
        return Ok(());
    }
    shell::run(&mut cargo(&[
        "run",
        "--locked",
        "--quiet",
        "-p",
        "treering",
        "--example",
        "quickstart",
    ]))
}
