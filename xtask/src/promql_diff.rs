//! `cargo xtask promql-diff`: random queries, asked of our PromQL and of Debian's Prometheus.
//!
//! Input: how many, where random choices start. Output: what differs for no known reason, as small
//! as it can be made, with the variables that repeat it; a row in the log of long runs. The test
//! that does it is `benches/tests/differential`; this fetches Prometheus. As that does most of the work,
//! ours is built as for other tests.

use std::time::Instant;

use crate::Outcome;
use crate::args::Args;
use crate::log::{self, Run};
use crate::rivals;
use crate::shell::{self, cargo};
use crate::soak::{counted, seed_of_now};

const QUERIES: u64 = 100_000;

/// What stands before the number of queries that were asked.
const COUNTS: &str = "differential queries: ";

pub(crate) fn run(mut args: Args) -> Outcome {
    let queries = args.number("--queries")?.unwrap_or(QUERIES);
    let seed = args.number("--seed")?.unwrap_or_else(seed_of_now);
    args.done()?;
    let program = rivals::prometheus()?;
    let words = ["test", "--locked", "-p", "treering-benches"];
    let mut command = cargo(&words);
    command.args(["--test", "differential", "--", "--nocapture"]);
    command.arg("prometheus_answers_the_same");
    command.env("TREERING_PROMETHEUS", program);
    command.env("TREERING_DIFF_QUERIES", queries.to_string());
    command.env("TREERING_SEED", seed.to_string());
    let start = Instant::now();
    let mut done = 0;
    let ran = shell::run_showing(&mut command, &mut |line| done += counted(line, COUNTS));
    log::record(&Run {
        recipe: "promql-diff",
        what: "Prometheus 2.42",
        seed,
        executions: done,
        unit: "queries",
        seconds: start.elapsed().as_secs(),
        result: if ran.is_ok() { "passed" } else { "failed" },
    })?;
    ran
}
