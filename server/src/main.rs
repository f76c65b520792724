//! The binary `treering`: databases from a terminal.
//!
//! Input: command-line words, files, standard input. Output: a report on standard output, as text or
//! with `--json` as one line of JSON, or answers; what went wrong on standard error; an exit code
//! that says which of the three ends it was. Thin: what is done is done by the engine.
#![forbid(unsafe_code)]

mod chart;
mod cli;
mod import;
mod lines;
mod outcome;
mod prometheus;
mod query;
mod repair;
mod serve;
mod table;
mod text;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use outcome::{End, told_as_json};

fn main() -> ExitCode {
    let ended = match words().command {
        Command::Import(args) => match &args.files[..] {
            [folder] if folder.is_dir() => prometheus::run(&args, folder),
            _ => import::run(&args),
        },
        Command::Verify(args) => verify::run(&args),
        Command::Repair(args) => repair::run(&args),
        Command::Query(args) => query::run(&args),
        Command::Serve(args) => serve::run(&args),
    };
    match ended {
        Ok(End::Clean) => ExitCode::SUCCESS,
        Ok(End::Losses) => ExitCode::from(1),
        Err(failure) => {
            // When nobody reads it there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "treering: {failure}");
            ExitCode::from(2)
        }
    }
}

/// The words of the command line. Those that make no sense, or ask for help, end the process here.
fn words() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        let is_json = std::env::args_os().any(|word| word == "--json");
        let text = error.to_string();
        // The usage is for people; what stands before it is the failure.
        let failure = text.split("\n\n").next().unwrap_or_default();
        let failure: Vec<_> = failure.split_whitespace().collect();
        told_as_json(is_json && error.use_stderr(), failure.join(" "));
        error.exit()
    })
}
