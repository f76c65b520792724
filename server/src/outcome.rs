//! How a command ends, and the one way to standard output.
//!
//! Input: what a command has to say. Output: bytes on standard output, or a failure: a pipe that
//! nobody reads any more is one, not a panic.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;
use treering::Error;

/// How a command ended that did what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing is wrong and nothing was left out. Exit code 0.
    Clean,
    /// Something is damaged, was lost or was left out, and the report says what. Exit code 1.
    Losses,
}

impl End {
    /// Clean or not.
    pub(crate) fn clean(is_clean: bool) -> Self {
        if is_clean { End::Clean } else { End::Losses }
    }
}

/// A command's end; `Err` is the sentence for standard error. Exit code 2.
pub(crate) type Ended = Result<End, String>;

/// Writes text and a line end to standard output.
pub(crate) fn say(text: impl Display) -> Result<(), String> {
    told(writeln!(io::stdout(), "{text}"))
}

/// Writes a report as one line of JSON to standard output.
pub(crate) fn say_json(report: &impl Serialize) -> Result<(), String> {
    let json = serde_json::to_string(report).map_err(|error| format!("JSON: {error}"))?;
    say(json)
}

/// Tells a failure in the place of a report, when that was to be JSON: an object with one field,
/// `error`. Gives the failure back for standard error.
pub(crate) fn told_as_json(is_json: bool, failure: String) -> String {
    if is_json {
        // The failure itself is told on standard error, also when nobody reads this.
        let _ = say_json(&serde_json::json!({ "error": failure }));
    }
    failure
}

/// A number and what it counts: "1 line", "2 lines".
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// The verb behind [`count`].
pub(crate) fn are(number: u64) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

/// An error of the engine in the words of this program.
pub(crate) fn sentence(error: &Error) -> String {
    match error {
        Error::Locked { path, holder } => format!(
            "the database is in use: {} is held by {holder}; end that first (`treering verify` \
             needs no lock and can run beside it)",
            path.display()
        ),
        Error::Corrupt { file, offset, what } => format!(
            "{} is damaged at offset {offset}: {what}; nothing was changed: keep what is there, and \
             restore a copy or save what is intact (`treering repair SRC DST`)",
            file.display()
        ),
        error => error.to_string(),
    }
}

fn told(wrote: io::Result<()>) -> Result<(), String> {
    wrote.map_err(|error| format!("standard output: {error}"))
}
