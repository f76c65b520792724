//! Everything a change must pass, in the order that fails soonest.
//!
//! Input: the checkout. Output: success of every step; the first failing one ends the run.

use crate::shell::{self, cargo};
use crate::{Outcome, deny, mutants, test, tidy};

/// Format, tidy, clippy, docs, licences, tests.
pub(crate) fn run() -> Outcome {
    shell::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    tidy::run()?;
    mutants::check()?;
    let clippy = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    shell::run(&mut cargo(&clippy))?;
    let doc = ["doc", "--locked", "--workspace", "--no-deps"];
    shell::run(cargo(&doc).env("RUSTDOCFLAGS", "-D warnings"))?;
    deny::run_if_there()?;
    test::run()
}
