//! The words of the command line, and the help that explains them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::text::Format;

const EXIT_CODES: &str = "\
Exit codes:
  0  done, and nothing is wrong
  1  done, and something is damaged, was lost or was left out: the report says what
  2  not done: the words make no sense, or an error that is told on standard error";

const IMPORT: &str = "\
Each line is a sample: a series as Prometheus writes it, a value, a timestamp.

  node_load1{host=\"a\"} 0.7 1700000000000

Empty lines and lines that begin with # are passed over. A line that is no sample, or that stands
behind the # EOF of an OpenMetrics text, is told on standard error and left out. A timestamp that
was written before gets the new value, so the same input may be imported twice. Whatever the last
line of the report counts is fsynced.";

const EXAMPLES_IMPORT: &str = "\
Examples:
  treering import metrics.db < samples.txt
  treering import metrics.db --format openmetrics monday.om tuesday.om

Exit codes: 0 all was taken, 1 something was left out, 2 not done.";

const REPAIR: &str = "\
Reads SRC, which must not be open anywhere, and changes nothing in it. DST must not exist. What stood
under a right checksum is in DST afterwards; what did not is told, file by file.";

const EXAMPLES_REPAIR: &str = "\
Examples:
  treering repair metrics.db mended.db
  treering repair --json metrics.db mended.db > lost.json

Exit codes: 0 nothing was lost, 1 something was lost, 2 not done.";

const VERIFY: &str = "\
Reads every byte that a question may be answered from and holds it against its checksums: the manifest,
each frame of the WAL, each chunk of each block. A database that cannot be opened for its damage is
told by the first damage alone. Changes nothing, and needs no lock: another process may be writing.";

/// Time series in a directory.
#[derive(Debug, Parser)]
#[command(name = "treering", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Append samples from text, and make the database if there is none
    #[command(long_about = IMPORT, after_help = EXAMPLES_IMPORT)]
    Import(Import),
    /// Check a whole database
    #[command(long_about = VERIFY, after_help = EXIT_CODES)]
    Verify(Verify),
    /// Make a new database of what is intact in a damaged one
    #[command(long_about = REPAIR, after_help = EXAMPLES_REPAIR)]
    Repair(Repair),
}

/// Words of `import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Directory of the database
    #[arg(value_name = "DB")]
    pub(crate) db: PathBuf,
    /// Files to read, in this order; without one, or as -, standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// What a timestamp counts
    #[arg(long, value_enum, default_value_t = TextFormat::Prometheus)]
    pub(crate) format: TextFormat,
    /// Samples that are appended and fsynced together
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = batch_size)]
    pub(crate) batch: usize,
    /// Stop at the first line that is no sample, or after the batch with one that is refused
    #[arg(long)]
    pub(crate) strict: bool,
    /// Report as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Words of `verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Directory of the database
    #[arg(value_name = "DB")]
    pub(crate) db: PathBuf,
    /// Report as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Words of `repair`.
#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// Directory of the damaged database
    #[arg(value_name = "SRC")]
    pub(crate) source: PathBuf,
    /// Directory of the new one
    #[arg(value_name = "DST")]
    pub(crate) target: PathBuf,
    /// Report as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Text formats, by the name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextFormat {
    /// Milliseconds since the Unix epoch, as in Prometheus' text format
    Prometheus,
    /// Seconds, perhaps with a fraction, as in OpenMetrics
    Openmetrics,
}

impl From<TextFormat> for Format {
    fn from(format: TextFormat) -> Self {
        match format {
            TextFormat::Prometheus => Format::Prometheus,
            TextFormat::Openmetrics => Format::OpenMetrics,
        }
    }
}

/// A batch that the engine takes.
fn batch_size(text: &str) -> Result<usize, String> {
    let max = treering::limits::MAX_BATCH_SAMPLES;
    match text.parse() {
        Ok(size) if (1..=max).contains(&size) => Ok(size),
        _ => Err(format!("expected a number from 1 to {max}")),
    }
}
