//! `treering repair`: a new database of what is intact in a damaged one.
//!
//! Input: the directory of the damaged one, which is only read. Output: the new one, and a report of
//! what was saved and of everything that was not.

use treering::{Loss, Options, RepairReport};

use crate::cli::Repair;
use crate::outcome::{End, Ended, are, count, say, say_json, sentence, told_as_json};

pub(crate) fn run(args: &Repair) -> Ended {
    let report = treering::repair(&args.source, &args.target, Options::default())
        .map_err(|error| told_as_json(args.json, sentence(&error)))?;
    match args.json {
        true => say_json(&report)?,
        false => tell(args, &report)?,
    }
    Ok(End::clean(report.is_clean()))
}

fn tell(args: &Repair, report: &RepairReport) -> Result<(), String> {
    for loss in &report.lost {
        say(format_args!("lost: {}", line(loss)))?;
    }
    if report.lost_more > 0 {
        say(format_args!("lost: {} more", report.lost_more))?;
    }
    say(format_args!(
        "saved: {} whole, {} in part, {} in them; {} of the WAL, {} in them",
        count(report.blocks_copied, "block"),
        report.blocks_salvaged,
        count(report.block_samples, "sample"),
        count(report.frames, "frame"),
        count(report.frame_samples, "sample")
    ))?;
    if report.wal_tail_bytes > 0 {
        let bytes = count(report.wal_tail_bytes, "byte");
        say(format_args!(
            "not counted as lost: {bytes} at the end of the WAL that were never fsynced"
        ))?;
    }
    let target = args.target.display();
    match report.is_clean() {
        true => say(format_args!("nothing was lost; {target} has everything")),
        false => {
            let unknown = report.lost.iter().filter(|loss| loss.samples.is_none());
            let places = unknown.count() as u64 + report.lost_more;
            let more = match places {
                0 => String::new(),
                _ => {
                    let places = count(places, "place");
                    format!(", and how many more in {places} is not known")
                }
            };
            say(format_args!(
                "{} {} known to be lost{more}; {target} has the rest, {} is as it was",
                count(report.lost_samples, "sample"),
                are(report.lost_samples),
                args.source.display()
            ))
        }
    }
}

/// A loss in one line: where, what, and whose samples of which time went.
fn line(loss: &Loss) -> String {
    let mut line = loss.file.display().to_string();
    if let Some(offset) = loss.offset {
        line += &format!(" at offset {offset}");
    }
    line += &format!(": {}", loss.what);
    if let Some(samples) = loss.samples {
        line += &format!("; {}", count(samples, "sample"));
    }
    if let Some(series) = &loss.series {
        line += &format!(" of {series}");
    }
    if let Some((first, last)) = loss.range {
        line += &format!("; from {first} to {last} ns");
    }
    line
}
