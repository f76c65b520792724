//! `treering import`: samples from text into a database.
//!
//! Input: lines. Output: batches, each fsynced before the next is read, and a report that counts what
//! is in the database for good. Invariant: the report counts no sample that a power cut can take.

use std::io::Write;

use serde::Serialize;
use treering::{Batch, Db, Options, Reads, Sync};

use crate::cli::Import;
use crate::lines::{Lines, Place};
use crate::outcome::{End, Ended, are, count, say, say_json, sentence};
use crate::text::{self, Format, Line, Read};

/// Text of a batch at most, however many samples it may have.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Lines that are told one by one; the others are counted.
const TOLD_MAX: u64 = 20;

/// What an import did.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Samples that are in the database, fsynced.
    samples: u64,
    /// Lines read.
    lines: u64,
    /// Lines that are no samples, or whose sample the database refused.
    left_out: u64,
    /// Where to begin again, when an error ended the import.
    resume_at: Option<String>,
    /// That error.
    error: Option<String>,
}

/// Samples on their way.
#[derive(Debug, Default)]
struct Pending {
    batch: Batch,
    /// Where each of them stands.
    places: Vec<Place>,
    /// Bytes of their lines.
    bytes: usize,
}

pub(crate) fn run(args: &Import) -> Ended {
    let mut report = Report::default();
    let ended = import(args, &mut report);
    report.error = ended.as_ref().err().cloned();
    match (args.json, &ended) {
        (true, _) => say_json(&report)?,
        (false, Ok(())) => {
            let samples = count(report.samples, "sample");
            let lines = count(report.lines, "line");
            say(format_args!(
                "{samples} of {lines} {} in",
                are(report.samples)
            ))?;
        }
        (false, Err(_)) => {
            let samples = count(report.samples, "sample");
            say(format_args!("{samples} {} in", are(report.samples)))?;
        }
    }
    if report.left_out > 0 && !args.json {
        let verb = match report.left_out {
            1 => "was",
            _ => "were",
        };
        say(format_args!(
            "{} {verb} left out",
            count(report.left_out, "line")
        ))?;
    }
    if let Some(place) = &report.resume_at {
        let error = ended.err().unwrap_or_default();
        return Err(format!(
            "{error}\nwhat stands before {place} is in the database; once that is mended, import \
             the same again"
        ));
    }
    ended?;
    Ok(End::clean(report.left_out == 0))
}

fn import(args: &Import, report: &mut Report) -> Result<(), String> {
    let format = Format::from(args.format);
    // A mistyped name is an error before there is a database.
    let mut lines = Lines::new(&args.files)?;
    // A failing disk is an error, not a signal.
    let options = Options::default().sync(Sync::Always).reads(Reads::Pread);
    let db = Db::open(&args.db, options).map_err(|error| sentence(&error))?;
    let mut pending = Pending::default();
    let mut is_over = false;
    loop {
        let read = match lines.next_line() {
            Ok(Some(line)) => line.map(|text| (text.len(), text::parse(text, format))),
            Ok(None) => break,
            Err(error) => {
                append(&db, &mut pending, &lines, args, report)?;
                report.resume_at = Some(lines.name(&lines.place()));
                return Err(error);
            }
        };
        report.lines += 1;
        is_over &= !lines.place().begins_file();
        match read.and_then(|(bytes, read)| Ok((bytes, unless_over(is_over, read)?))) {
            Ok((_, Read::Blank | Read::Comment)) => {}
            Ok((_, Read::End)) => is_over = true,
            Ok((bytes, Read::Sample(line))) => pending.push(line, bytes, lines.place()),
            Err(why) if args.strict => {
                append(&db, &mut pending, &lines, args, report)?;
                let place = lines.name(&lines.place());
                report.resume_at = Some(place.clone());
                return Err(format!("{place}: {why}"));
            }
            Err(why) => leave_out(&lines, &lines.place(), &why, report),
        }
        if pending.places.len() >= args.batch || pending.bytes >= BATCH_BYTES_MAX {
            append(&db, &mut pending, &lines, args, report)?;
        }
    }
    append(&db, &mut pending, &lines, args, report)?;
    db.close().map_err(|error| sentence(&error))
}

/// What was read, unless it stands behind the end of its text: there are blank lines only.
fn unless_over(is_over: bool, read: Result<Read, String>) -> Result<Read, String> {
    match read {
        Ok(Read::Blank) => read,
        _ if is_over => Err("it stands behind `# EOF`".to_owned()),
        _ => read,
    }
}

impl Pending {
    fn push(&mut self, line: Line, bytes: usize, place: Place) {
        self.batch.push(line.labels, line.timestamp, line.value);
        self.places.push(place);
        self.bytes += bytes;
    }

    fn clear(&mut self) {
        self.batch.clear();
        self.places.clear();
        self.bytes = 0;
    }
}

/// Appends what is pending, durably.
fn append(
    db: &Db,
    pending: &mut Pending,
    lines: &Lines,
    args: &Import,
    report: &mut Report,
) -> Result<(), String> {
    let Some(first) = pending.places.first() else {
        return Ok(());
    };
    let appended = db.append_partial(&pending.batch).map_err(|error| {
        report.resume_at = Some(lines.name(first));
        sentence(&error)
    })?;
    report.samples += appended.samples as u64;
    for rejection in &appended.rejected {
        for at in rejection.row..rejection.row + rejection.samples {
            let Some(place) = pending.places.get(at) else {
                continue;
            };
            let why = rejection.reason.to_string();
            leave_out(lines, place, &why, report);
            if args.strict {
                let place = lines.name(place);
                report.resume_at = Some(place.clone());
                return Err(format!("{place}: {why}"));
            }
        }
    }
    pending.clear();
    Ok(())
}

/// Counts a line that is not imported, and tells which and why.
fn leave_out(lines: &Lines, place: &Place, why: &str, report: &mut Report) {
    report.left_out += 1;
    let place = lines.name(place);
    let told = match report.left_out {
        ..TOLD_MAX => writeln!(std::io::stderr(), "{place}: left out: {why}"),
        TOLD_MAX => writeln!(
            std::io::stderr(),
            "{place}: left out: {why}; more of them are only counted"
        ),
        _ => Ok(()),
    };
    // The count is in the report, also when nobody reads this.
    let _ = told;
}
