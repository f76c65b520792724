//! The words of the command line, and the help that explains them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use treering_server::number::nanos;
use treering_server::times::{parse_duration, parse_time};

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
line of the report counts is fsynced.

A directory is one of Prometheus: that of its data, or a block in it. End the server before.";

const EXAMPLES_IMPORT: &str = "\
Examples:
  treering import metrics.db < samples.txt
  treering import metrics.db --format openmetrics monday.om tuesday.om
  treering import metrics.db /var/lib/prometheus/metrics2

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

const QUERY: &str = "\
Answers an expression in PromQL, at one time or over a range. Needs no lock: another process may be
writing; what it has written so far is seen, and nothing is changed. Times are RFC 3339 or seconds
since the Unix epoch, steps are seconds or such as 5m.";

const EXAMPLES_QUERY: &str = "\
Examples:
  treering query --db metrics.db 'sum by (host) (rate(requests_total[5m]))'
  treering query --db metrics.db up --time 2026-11-01T12:00:00Z --format json
  treering query --db metrics.db node_load1 --start 2026-11-01T00:00:00Z --step 10m --plot

Exit codes: 0 answered, 2 not.";

const SERVE: &str = "\
Opens a database, or makes it, and answers over HTTP: Prometheus' remote write 1.0 and its query API
(docs/http.md). The first line on standard output says the address. SIGTERM or SIGINT end it: requests
under way are answered, then the database is closed. There is no authentication.";

const EXAMPLES_SERVE: &str = "\
Examples:
  treering serve --db metrics.db
  treering serve --db metrics.db --listen 127.0.0.1:0 --enable-feature all

Exit codes: 0 ended by a signal, 2 not served.";

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
    /// Answer an expression in PromQL
    #[command(long_about = QUERY, after_help = EXAMPLES_QUERY)]
    Query(Query),
    /// Answer over HTTP, as Prometheus does
    #[command(long_about = SERVE, after_help = EXAMPLES_SERVE)]
    Serve(Serve),
}

/// Words of `import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Directory of the database
    #[arg(value_name = "DB")]
    pub(crate) db: PathBuf,
    /// Files to read, in this order; without one, or as -, standard input; or one directory of
    /// Prometheus
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

/// Words of `query`.
#[derive(Debug, Args)]
pub(crate) struct Query {
    /// The expression
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    pub(crate) expr: String,
    /// Directory of the database
    #[arg(long, value_name = "DB")]
    pub(crate) db: PathBuf,
    /// Ask at this time; without it, now
    #[arg(long, value_parser = time, allow_hyphen_values = true, conflicts_with = "start")]
    pub(crate) time: Option<i64>,
    /// Ask over a range that begins here
    #[arg(long, value_parser = time, allow_hyphen_values = true)]
    pub(crate) start: Option<i64>,
    /// Where the range ends; without it, now
    #[arg(long, value_parser = time, allow_hyphen_values = true, requires = "start")]
    pub(crate) end: Option<i64>,
    /// Distance of the range's steps; without it, a hundredth of the range
    #[arg(long, value_parser = step, requires = "start")]
    pub(crate) step: Option<i64>,
    /// How the answer is written; JSON is that of Prometheus' HTTP API
    #[arg(long, value_enum, default_value_t = AnswerFormat::Table)]
    pub(crate) format: AnswerFormat,
    /// Draw the series over time
    #[arg(long, conflicts_with = "format")]
    pub(crate) plot: bool,
    /// Do not answer: tell what would be read
    #[arg(long, conflicts_with_all = ["format", "plot"])]
    pub(crate) explain: bool,
    #[arg(long = "enable-feature", value_name = "LIST", help = FEATURES)]
    pub(crate) features: Vec<String>,
}

/// Words of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Directory of the database
    #[arg(long, value_name = "DB")]
    pub(crate) db: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9090")]
    pub(crate) listen: String,
    #[arg(long = "enable-feature", value_name = "LIST", help = FEATURES)]
    pub(crate) features: Vec<String>,
}

const FEATURES: &str = "\
Experimental parts of PromQL by Prometheus' names, with commas between them, or all";

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswerFormat {
    /// Columns for people
    Table,
    /// Prometheus' shape, one line
    Json,
    /// A line for each sample, a column for each label
    Csv,
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

/// Nanoseconds since the Unix epoch.
fn time(text: &str) -> Result<i64, String> {
    let millis = parse_time(text).map_err(|why| {
        format!("{why}: say seconds since the Unix epoch, or such as 2026-11-01T12:00:00Z")
    })?;
    nanos(millis).ok_or_else(|| {
        "it is out of range: seconds since the Unix epoch, in the years 1678 to 2261".to_owned()
    })
}

/// Nanoseconds, a whole number of milliseconds.
fn step(text: &str) -> Result<i64, String> {
    let length = parse_duration(text)?;
    match length > 0 && length % 1_000_000 == 0 {
        true => Ok(length),
        false => Err("expected whole milliseconds above zero".to_owned()),
    }
}
