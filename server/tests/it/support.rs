//! Running the binary, and looking at what it left.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use treering::{Db, Maintenance, Options, Selector};

/// The binary that cargo built.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_treering");

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs `treering` with these words in `dir`.
pub(crate) fn treering(dir: &Path, words: &[&str], input: &[u8]) -> Ran {
    feed(Command::new(BINARY).args(words).current_dir(dir), input)
}

/// Runs a command with standard input.
pub(crate) fn feed(command: &mut Command, input: &[u8]) -> Ran {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // From a thread: the child may end, or say much, before it has read everything.
    let output = std::thread::scope(|scope| {
        // A child that ended early closed its end; what it said about that is looked at.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    output.into()
}

/// All samples of a database: series, nanoseconds, bits; in order.
pub(crate) fn samples(db: &Path) -> Vec<(String, i64, u64)> {
    let options = Options::default()
        .create(false)
        .maintenance(Maintenance::Manual);
    let db = Db::open(db, options).unwrap();
    let mut found = Vec::new();
    for series in db.select(&Selector::all(), ..).unwrap() {
        let series = series.unwrap();
        for sample in series.samples() {
            let sample = sample.unwrap();
            let labels = series.labels().to_string();
            found.push((labels, sample.timestamp, sample.value.to_bits()));
        }
    }
    db.close().unwrap();
    found.sort();
    found
}

/// `count` lines on two series, in milliseconds.
pub(crate) fn lines(count: u64) -> String {
    let line = |at: u64| {
        let host = ["a", "b"][(at % 2) as usize];
        format!("load{{host=\"{host}\"}} {}.5 {at}\n", at / 3)
    };
    (0..count).map(line).collect()
}

/// The samples of the first `count` lines of [`lines`].
pub(crate) fn samples_of_lines(count: u64) -> Vec<(String, i64, u64)> {
    let sample = |at: u64| {
        let host = ["a", "b"][(at % 2) as usize];
        let value = (at / 3) as f64 + 0.5;
        let labels = format!("load{{host=\"{host}\"}}");
        (labels, at as i64 * 1_000_000, value.to_bits())
    };
    let mut samples: Vec<_> = (0..count).map(sample).collect();
    samples.sort();
    samples
}
