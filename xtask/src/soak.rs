//! `cargo xtask soak KIND`: the long forms of the tests, in rounds of new seeds until the time is
//! over.
//!
//! Input: a kind, minutes, a first seed. Output: the rounds passed, or the seed that failed with
//! the command that repeats it. The tests read `TREERING_SEED` (where their random choices start)
//! and `TREERING_SOAK` (set to 1: choose the long sizes); without them they are the short forms.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Outcome;
use crate::args::Args;
use crate::shell::{self, cargo, root};

/// Kind, the integration test of the engine that it repeats, a filter, and what it shows.
const KINDS: &[Kind] = &[
    Kind {
        name: "crash",
        test: "crash",
        filter: "",
        shows: "power cuts at every call",
    },
    Kind {
        name: "kill",
        test: "it",
        filter: "kill",
        shows: "kill -9 of a writing process",
    },
    Kind {
        name: "model",
        test: "it",
        filter: "model",
        shows: "random operations and a model",
    },
];

/// One row of [`KINDS`].
struct Kind {
    name: &'static str,
    test: &'static str,
    filter: &'static str,
    shows: &'static str,
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
    if !root()
        .join("engine/tests")
        .join(kind.test)
        .join("main.rs")
        .is_file()
    {
        return Err(format!("engine/tests/{}/main.rs is not there", kind.test));
    }
    let start = Instant::now();
    let time = Duration::from_secs(minutes.saturating_mul(60));
    let mut rounds = 0;
    while rounds == 0 || start.elapsed() < time {
        let seed = first_seed.wrapping_add(rounds);
        round(kind, seed).map_err(|error| {
            format!(
                "{error}; again: cargo xtask soak {} --minutes 0 --seed {seed}",
                kind.name
            )
        })?;
        rounds += 1;
    }
    let seconds = start.elapsed().as_secs();
    println!(
        "soak {}: {rounds} rounds passed in {seconds} s, seeds from {first_seed}",
        kind.name
    );
    Ok(())
}

fn round(kind: &Kind, seed: u64) -> Outcome {
    let mut command = cargo(&["test", "--locked", "--release", "-p", "treering", "--test"]);
    command.args([kind.test, "--", "--nocapture"]);
    if !kind.filter.is_empty() {
        command.arg(kind.filter);
    }
    command
        .env("TREERING_SOAK", "1")
        .env("TREERING_SEED", seed.to_string());
    shell::run(&mut command)
}

/// Printed at the end and in every failure, so that it need not be chosen well.
fn seed_of_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}
