//! `treering verify`: a whole database held against its checksums.
//!
//! Input: a directory, which another process may be writing. Output: what was checked, each problem
//! with file and offset. A database that is too damaged to be opened is a problem too, no error.

use std::path::PathBuf;

use serde::Serialize;
use treering::{Db, Error, Options, Reads};

use crate::cli::Verify;
use crate::outcome::{End, Ended, count, say, say_json, sentence, told_as_json};

/// What was found, for people and as JSON.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Live blocks read.
    blocks: u64,
    /// WAL frames read.
    frames: u64,
    /// Bytes read.
    bytes: u64,
    problems: Vec<Problem>,
    /// Whether the damage kept it from being opened: nothing behind it was checked.
    stopped: bool,
}

/// Something that is wrong.
#[derive(Debug, Serialize)]
struct Problem {
    file: PathBuf,
    offset: Option<u64>,
    what: String,
}

pub(crate) fn run(args: &Verify) -> Ended {
    let report = report(args).map_err(|failure| told_as_json(args.json, failure))?;
    let is_clean = report.problems.is_empty();
    if args.json {
        say_json(&report)?;
        return Ok(End::clean(is_clean));
    }
    for problem in &report.problems {
        let Problem { file, offset, what } = problem;
        let at = offset.map_or_else(String::new, |offset| format!(" at offset {offset}"));
        say(format_args!("{}{at}: {what}", file.display()))?;
    }
    let Report {
        blocks,
        frames,
        bytes,
        ..
    } = report;
    say(format_args!(
        "{}, {} of the WAL, {} read",
        count(blocks, "block"),
        count(frames, "frame"),
        count(bytes, "byte")
    ))?;
    if report.stopped {
        say("it cannot be opened for this damage: nothing else was checked")?;
    }
    match report.problems.len() {
        0 => say("nothing is wrong")?,
        problems => say(format_args!(
            "{}; `treering repair SRC DST` saves what is intact",
            count(problems as u64, "problem")
        ))?,
    }
    Ok(End::clean(is_clean))
}

fn report(args: &Verify) -> Result<Report, String> {
    let db = match Db::open_read_only(&args.db, Options::default().reads(Reads::Pread)) {
        Ok(db) => db,
        Err(Error::Corrupt { file, offset, what }) => {
            let offset = Some(offset);
            let problem = Problem { file, offset, what };
            return Ok(Report {
                problems: vec![problem],
                stopped: true,
                ..Report::default()
            });
        }
        Err(error) => return Err(sentence(&error)),
    };
    let found = db.verify().map_err(|error| sentence(&error))?;
    let problems = found.problems.into_iter().map(|problem| Problem {
        file: problem.file,
        offset: problem.offset,
        what: problem.what,
    });
    Ok(Report {
        blocks: found.blocks,
        frames: found.frames,
        bytes: found.bytes,
        problems: problems.collect(),
        stopped: false,
    })
}
