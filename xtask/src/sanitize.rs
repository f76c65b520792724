//! `cargo xtask sanitize address|thread [PART]`: tests of the shipped crates under a sanitizer.
//!
//! Input: a kind, and one of its parts or none for all. Output: rows of the log with how many tests passed; failure with the report of the
//! sanitizer. Both need unstable flags, so the nightly compiler, or the stable one told so. std is not
//! instrumented: its own locks look like none to ThreadSanitizer, and `xtask/sanitize/thread.supp`
//! names the frames of std that it is not asked about.

use std::process::Command;
use std::time::Instant;

use crate::Outcome;
use crate::args::Args;
use crate::log::{self, Run};
use crate::shell::{self, root, unstable_cargo};

/// The sanitizers run for this machine's own target: with it, build scripts are left as they are.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A sanitizer, and what runs under it.
struct Kind {
    name: &'static str,
    shows: &'static str,
    flags: &'static str,
    /// What is run, and the words for `cargo test`; each has a row of its own in the log.
    runs: &'static [(&'static str, &'static str)],
    /// Its own options; `{root}` is the checkout.
    options: (&'static str, &'static str),
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "address",
        shows: "every test of codec, index and engine: reads and writes outside, leaks",
        flags: "-Zsanitizer=address",
        runs: &[
            (
                "codec and index",
                "-p treering-codec -p treering-index --lib --tests",
            ),
            ("engine", "-p treering --lib"),
            ("stories", "-p treering --test it"),
            ("power cuts", "-p treering --test crash"),
            ("questions", "-p treering --lib -- query:: sync::"),
            ("kills", "-p treering --test kill -- nothing_acknowledged"),
            // The other one there is of what a process takes in memory: not with a shadow of it.
            ("endurance", "-p treering --test endurance -- nothing_grows"),
        ],
        options: ("ASAN_OPTIONS", "detect_stack_use_after_return=1"),
    },
    Kind {
        name: "thread",
        shows: "threads at once on one database: unordered accesses",
        flags: "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer",
        runs: &[
            (
                "stories",
                "-p treering --test it -- concurrency questions_never watch snapshots_of \
                 lifecycle follow",
            ),
            ("kills", "-p treering --test kill -- nothing_acknowledged"),
            ("endurance", "-p treering --test endurance -- nothing_grows"),
        ],
        options: (
            "TSAN_OPTIONS",
            "suppressions={root}/xtask/sanitize/thread.supp history_size=7",
        ),
    },
];

/// Sizes of what is random: a sanitizer looks at each kind of access, not at how often it happens.
const SIZES: [(&str, &str); 4] = [
    ("TREERING_CRASH_IMAGES", "1000"),
    ("TREERING_FAULT_RUNS", "15"),
    ("TREERING_CASES", "300"),
    ("TREERING_KILLS", "5"),
];

/// Runs the tests of one sanitizer.
pub(crate) fn run(mut args: Args) -> Outcome {
    let (wanted, part) = (args.positional(), args.positional());
    args.done()?;
    let is_wanted = |kind: &&Kind| Some(kind.name) == wanted.as_deref();
    let Some(kind) = KINDS.iter().find(is_wanted) else {
        let known = KINDS
            .iter()
            .map(|kind| format!("{} ({})", kind.name, kind.shows));
        let known: Vec<_> = known.collect();
        return Err(format!("name a sanitizer: {}", known.join(", ")));
    };
    let is_part = |(what, _): &&(&str, &str)| part.as_deref().is_none_or(|part| part == *what);
    let runs: Vec<_> = kind.runs.iter().filter(is_part).collect();
    if runs.is_empty() {
        let parts: Vec<_> = kind.runs.iter().map(|(what, _)| *what).collect();
        return Err(format!("parts of {}: {}", kind.name, parts.join(", ")));
    }
    for (what, words) in runs {
        let (started, mut passed) = (Instant::now(), 0);
        let mut read = |line: &str| passed += passed_in(line);
        let ended = shell::run_showing(&mut test(kind, words), &mut read);
        log::record(&Run {
            recipe: "sanitize",
            what: &format!("{}: {what}", kind.name),
            seed: 0,
            executions: passed,
            unit: "tests",
            seconds: started.elapsed().as_secs(),
            result: if ended.is_ok() { "passed" } else { "failed" },
        })?;
        ended?;
        if passed == 0 {
            return Err(format!("{what}: no test has such a name: {words}"));
        }
    }
    Ok(())
}

fn test(kind: &Kind, words: &str) -> Command {
    let mut command = unstable_cargo();
    command.args(["test", "--locked", "--no-fail-fast", "--target", TARGET]);
    command.args(words.split_ascii_whitespace());
    command.env("RUSTFLAGS", kind.flags);
    for (name, size) in SIZES {
        command.env(name, size);
    }
    let (name, options) = kind.options;
    let checkout = root().display().to_string();
    command.env(name, options.replace("{root}", &checkout));
    let folder = format!("sanitize-{}", kind.name);
    command.env("CARGO_TARGET_DIR", shell::target().join(folder));
    command
}

/// How many tests passed, in a closing line of libtest.
fn passed_in(line: &str) -> u64 {
    let counts = line.strip_prefix("test result: ");
    let passed = counts.and_then(|line| line.split(". ").nth(1));
    let passed = passed.and_then(|rest| rest.split(' ').next());
    passed.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let line = "test result: ok. 27 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out";
        assert_eq!(passed_in(line), 27);
        let line = "test result: FAILED. 5 passed; 1 failed; 0 ignored";
        assert_eq!(passed_in(line), 5);
        assert_eq!(passed_in("test a ... ok"), 0);
    }
}
