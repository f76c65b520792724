//! `cargo xtask fuzz`: live fuzzing with cargo-fuzz. The committed seeds replay as ordinary tests
//! without it.
//!
//! Input: target names, minutes, whether without AddressSanitizer. Output: failure as soon as one target finds something; libFuzzer
//! prints where it wrote the input, which then belongs into fuzz/seeds/TARGET/.

use std::process::Command;
use std::time::Instant;

use crate::Outcome;
use crate::args::Args;
use crate::log::{self, Run};
use crate::shell::{self, programs, root, unstable_cargo};

/// Runs one target, or each in turn.
pub(crate) fn run(mut args: Args) -> Outcome {
    let minutes = args.number("--minutes")?.unwrap_or(1);
    let is_plain = args.flag("--plain");
    let wanted = args.positional();
    args.done()?;
    let mut targets = targets()?;
    if let Some(name) = wanted {
        if !targets.contains(&name) {
            return Err(format!(
                "no target {name:?}; there are {}",
                targets.join(", ")
            ));
        }
        targets = vec![name];
    }
    if !shell::succeeds(cargo_fuzz().arg("--version")) {
        return Err(
            "cargo-fuzz is not installed; `cargo install cargo-fuzz --locked` brings it \
                    (a C++ compiler is needed to build targets)"
                .to_owned(),
        );
    }
    for target in &targets {
        let started = Instant::now();
        let mut executions = 0;
        let ran = shell::run_reading(&mut fuzz_command(target, minutes, is_plain), &mut |line| {
            let count = line.strip_prefix("stat::number_of_executed_units:");
            executions = count
                .and_then(|n| n.trim().parse().ok())
                .unwrap_or(executions);
        });
        log::record(&Run {
            recipe: if is_plain { "fuzz --plain" } else { "fuzz" },
            what: target,
            seed: 0,
            executions,
            unit: "runs",
            seconds: started.elapsed().as_secs(),
            result: if ran.is_ok() { "passed" } else { "failed" },
        })?;
        ran?;
    }
    Ok(())
}

/// cargo-fuzz needs unstable compiler flags.
fn cargo_fuzz() -> Command {
    let mut command = unstable_cargo();
    command.arg("fuzz");
    command
}

/// New inputs go to fuzz/corpus (not committed); the seeds are read, never written.
fn fuzz_command(target: &str, minutes: u64, is_plain: bool) -> Command {
    let mut command = cargo_fuzz();
    command.args(["run", target]);
    if is_plain {
        command.args(["--sanitizer", "none"]);
    }
    for folder in ["corpus", "seeds"] {
        let path = root().join("fuzz").join(folder).join(target);
        if folder == "seeds" || std::fs::create_dir_all(&path).is_ok() {
            command.arg(path);
        }
    }
    command.args(["--", "-timeout=10", "-rss_limit_mb=2048"]);
    command.arg("-print_final_stats=1");
    command.arg(format!("-max_total_time={}", minutes.saturating_mul(60)));
    command
}

fn targets() -> Outcome<Vec<String>> {
    programs("fuzz/fuzz_targets")
}
