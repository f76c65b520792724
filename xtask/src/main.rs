//! The recipes of the repository, run as `cargo xtask NAME`: no tool to install, the same ones
//! locally and in CI.
//!
//! Input: command-line words. Output: the exit code, 0 only when everything asked for was done.
//! This file parses and dispatches; each recipe has a file of its own and starts other programs
//! only through `shell`.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command-line tool prints, and reads files and clocks of its own"
)]

mod args;
mod bench;
mod c;
mod capture;
mod ci;
mod data;
mod deny;
mod edges;
mod fuzz;
mod hang;
mod header;
mod install;
mod log;
mod mutants;
mod promql_diff;
mod python;
mod rivals;
mod runs;
mod sanitize;
mod sbom;
mod shell;
mod soak;
mod source;
mod test;
#[path = "../../engine/tests/shared/threads.rs"]
mod threads;
mod tidy;

use std::process::ExitCode;

use args::Args;

/// What a recipe returns: `Err` carries the sentence to print before exiting with 1.
type Outcome<T = ()> = Result<T, String>;

const HELP: &str = "\
cargo xtask NAME, where NAME is one of

  test                          every test, doctest and the quickstart
  ci                            format, clippy, docs, tidy, deny and test: what .ci/run calls
  tidy                          rules of the source: crate edges, unsafe, module heads, words
  deny                          licences, sources and doubled crates, by cargo-deny
  bench [NAME] [--quick] [--json FILE]
                                a bench of benches/ in release; without NAME lists them
  bench codec [--corpus DIR] [--portable] [--quick] [--json FILE]
                                our codec beside pco, alp, zstd, tsz, Gorilla and Prometheus'
                                chunks, which are built for this only (--portable: for any CPU)
  bench rivals [--quick] [--json FILE] [--chart FILE]
                                the engine beside SQLite, DuckDB, tsink, VictoriaMetrics and
                                Prometheus, which are fetched for this only; a chart as SVG
  bench python [--quick] [--json FILE]
                                the Python package beside DuckDB, tsink and pandas with Parquet,
                                which are fetched for this only
  bench promql [--quick] [--json FILE]
                                PromQL in process beside Prometheus and VictoriaMetrics, which are
                                fetched for this only
  fuzz [TARGET] [--minutes N] [--plain]
                                cargo-fuzz on one target or on each in turn (1 minute each);
                                --plain: more runs, without AddressSanitizer
  soak KIND [--minutes N] [--seed N]
                                KIND is crash, damage, faults, kill, power, full, model, readers or
                                endurance;
                                rounds of new seeds (10 minutes)
  promql-diff [--queries N] [--seed N]
                                random queries (100,000), answered by our PromQL as by Debian's
                                Prometheus, which is fetched for this only
  runs                          what long runs came to, into docs/testing.md
  mutants [NAME]...             planted bugs: each must be caught by the ordinary tests
  sanitize address|thread [PART]
                                tests under a sanitizer, built for it (half an hour each)
  sbom [FILE]                   what a release is made of, as CycloneDX
  c                             the C library from C, C++ and pyarrow, under sanitizers; in test too
  python                        the Python package: tests, type stubs, examples; in test too
  header                        write treering.h and the list of exports, from ffi/src/abi
  install --prefix DIR [--debug]
                                libtreering, treering.h and its pkg-config file, into DIR
  capture                       make the quickstart's data file from the corpora again
  help                          this text

Environment
  TREERING_CORPORA      folder of the corpora, for the tests and benches that need real series
  TREERING_PROMQLTEST   folder of the PromQL conformance cases
  TREERING_EXCHANGES    folder of recorded bodies of remote write
Tests that need a folder whose variable is unset say that they were skipped.";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_else(|| "help".to_owned());
    match dispatch(&name, Args::new(words.collect())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("cargo xtask {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(name: &str, args: Args) -> Outcome {
    match name {
        "test" => args.done().and_then(|()| test::run()),
        "ci" => args.done().and_then(|()| ci::run()),
        "tidy" => args.done().and_then(|()| tidy::run()),
        "deny" => args.done().and_then(|()| deny::run()),
        "capture" => args.done().and_then(|()| capture::run()),
        "c" => args.done().and_then(|()| c::run()),
        "python" => args.done().and_then(|()| python::run()),
        "header" => args.done().and_then(|()| header::run()),
        "install" => install::run(args),
        "bench" => bench::run(args),
        "fuzz" => fuzz::run(args),
        "soak" => soak::run(args),
        "promql-diff" => promql_diff::run(args),
        "runs" => args.done().and_then(|()| runs::run()),
        "mutants" => mutants::run(args),
        "sanitize" => sanitize::run(args),
        "sbom" => sbom::run(args),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        _ => Err(format!("there is no such recipe\n\n{HELP}")),
    }
}
