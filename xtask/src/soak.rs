//! `cargo xtask soak KIND`: the long forms of the reliability tests, in rounds of new seeds until
//! the time is over.
//!
//! Input: a kind, minutes, a first seed. Output: the rounds passed, or the seed that failed with
//! the command that repeats it. Tests read `TREERING_SEED` (where their random choices start) and
//! a variable that chooses the long sizes; without them they are the short forms.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Outcome;
use crate::args::Args;
use crate::log::{self, Run};
use crate::shell::{self, cargo, root};

/// Kind, and what one round of it runs.
const KINDS: &[Kind] = &[
    Kind {
        name: "crash",
        shows: "power cuts at every call",
        binary: "crash",
        filter: "synced",
        // Failing calls are a kind of their own.
        skip: Some("any_call"),
        counts: "crash images: ",
        long: ("TREERING_SOAK", "1"),
    },
    Kind {
        name: "damage",
        shows: "every bit flipped, every length, every sector zeroed, swapped or lost",
        binary: "damage",
        filter: "",
        skip: None,
        counts: "damaged images: ",
        long: ("TREERING_DAMAGE_IMAGES", "1000000000"),
    },
    Kind {
        name: "faults",
        shows: "every call of every script and workload fails, in every way",
        binary: "crash",
        filter: "any_call",
        skip: None,
        counts: "fault runs: ",
        long: ("TREERING_FAULT_RUNS", "1000000000"),
    },
    Kind {
        name: "kill",
        shows: "kill -9 of a writing process",
        binary: "kill",
        filter: "nothing_acknowledged",
        skip: None,
        counts: "kills: ",
        long: ("TREERING_KILLS", "200"),
    },
    Kind {
        name: "power",
        shows: "power cuts of ext4 and XFS under a writing process",
        binary: "kill",
        filter: "power",
        skip: None,
        counts: "power cuts: ",
        long: ("TREERING_POWER_CUTS", "500"),
    },
    Kind {
        name: "full",
        shows: "ext4 and XFS that run full under a writing database",
        binary: "kill",
        filter: "a_full_disk",
        skip: None,
        counts: "full disks: ",
        long: ("TREERING_FULL_ROUNDS", "20"),
    },
    Kind {
        name: "model",
        shows: "random operations and a model",
        binary: "it",
        filter: "model",
        skip: None,
        counts: "lives: ",
        long: ("TREERING_CASES", "10000"),
    },
    Kind {
        name: "readers",
        shows: "readers, writers, deletes, flushes and merges at once, ten minutes a round",
        binary: "it",
        filter: "readers_see_each_series_between",
        skip: None,
        counts: "changes: ",
        long: ("TREERING_READERS_SECONDS", "600"),
    },
    Kind {
        name: "endurance",
        shows: "a database in steady use for two hours: nothing grows",
        binary: "endurance",
        filter: "nothing_grows_in_steady_use",
        skip: None,
        counts: "RESULT endurance: ",
        long: ("TREERING_ENDURANCE_MINUTES", "120"),
    },
];

/// One row of [`KINDS`].
struct Kind {
    name: &'static str,
    shows: &'static str,
    /// An integration test of the engine, and a filter on its tests.
    binary: &'static str,
    filter: &'static str,
    /// Those of them that are left out.
    skip: Option<&'static str>,
    /// What stands before the number that the tests print of what they did.
    counts: &'static str,
    /// The variable that chooses long sizes.
    long: (&'static str, &'static str),
}

pub(crate) fn run(mut args: Args) -> Outcome {
    let minutes = args.number("--minutes")?.unwrap_or(10);
    let first_seed = args.number("--seed")?.unwrap_or_else(seed_of_now);
    let wanted = args.positional();
    args.done()?;
    let Some(kind) = KINDS
        .iter()
        .find(|kind| Some(kind.name) == wanted.as_deref())
    else {
        let known: Vec<_> = KINDS
            .iter()
            .map(|k| format!("{} ({})", k.name, k.shows))
            .collect();
        return Err(format!("name a kind: {}", known.join(", ")));
    };
    let start = Instant::now();
    let time = Duration::from_secs(minutes.saturating_mul(60));
    let mut rounds = 0;
    let mut done = 0;
    while rounds == 0 || start.elapsed() < time {
        let seed = first_seed.wrapping_add(rounds);
        let ran = shell::run_reading(&mut round(kind, seed)?, &mut |line| {
            done += counted(line, kind.counts);
        });
        let row = |result| Run {
            recipe: "soak",
            what: kind.name,
            seed: first_seed,
            executions: done,
            unit: kind
                .counts
                .trim_end_matches(": ")
                .trim_start_matches("RESULT "),
            seconds: start.elapsed().as_secs(),
            result,
        };
        if let Err(error) = ran {
            log::record(&row("failed"))?;
            return Err(format!(
                "{error}; again: cargo xtask soak {} --minutes 0 --seed {seed}",
                kind.name
            ));
        }
        rounds += 1;
        if start.elapsed() >= time {
            log::record(&row("passed"))?;
        }
    }
    let seconds = start.elapsed().as_secs();
    println!(
        "soak {}: {rounds} rounds passed in {seconds} s, seeds from {first_seed}",
        kind.name
    );
    Ok(())
}

/// The number that stands behind `prefix` in a line.
pub(crate) fn counted(line: &str, prefix: &str) -> u64 {
    let Some(at) = line.find(prefix) else {
        return 0;
    };
    let rest = line.get(at + prefix.len()..).unwrap_or_default();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

fn round(kind: &Kind, seed: u64) -> Outcome<Command> {
    let main = root()
        .join("engine/tests")
        .join(kind.binary)
        .join("main.rs");
    if !main.is_file() {
        return Err(format!("{} is not there", main.display()));
    }
    let words = [
        "test",
        "--locked",
        "--release",
        "-p",
        "treering",
        "--test",
        kind.binary,
    ];
    let mut command = cargo(&words);
    command.args(["--", "--nocapture"]);
    if !kind.filter.is_empty() {
        command.arg(kind.filter);
    }
    if let Some(skip) = kind.skip {
        command.args(["--skip", skip]);
    }
    // What the caller has set stays: a shorter round of hours, a single case.
    if std::env::var_os(kind.long.0).is_none() {
        command.env(kind.long.0, kind.long.1);
    }
    command.env("TREERING_SEED", seed.to_string());
    // proptest takes where it starts from a variable of its own.
    command.env("PROPTEST_RNG_SEED", seed.to_string());
    Ok(command)
}

/// Printed at the end and in every failure, so that it need not be chosen well.
pub(crate) fn seed_of_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}
