//! The binary `treering`: databases from a terminal.
//!
//! Input: command-line words, files, standard input. Output: a report on standard output, as text or
//! with `--json` as one line of JSON; what went wrong on standard error; an exit code that says which
//! of the three ends it was. Thin: what is done is done by the engine.
#![forbid(unsafe_code)]

mod cli;
mod import;
mod lines;
mod outcome;
mod repair;
mod text;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use outcome::End;

fn main() -> ExitCode {
    // Words that make no sense end here, with the code of an error and the usage.
    let ended = match Cli::parse().command {
        Command::Import(args) => import::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Repair(args) => repair::run(&args),
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
