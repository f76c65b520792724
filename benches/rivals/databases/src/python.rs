//! SQLite and DuckDB through Python (`databases.py`).
//!
//! Input: the workload as a file of columns. Output: figures of a Python process that appends it,
//! and answers of another that asks; times are taken there, around the engine's calls alone.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use treering_benches::child::{self, Measured};
use treering_benches::questions::{Question, Task};
use treering_benches::{Result, process};

use crate::engine::{Engine, Found};
use crate::workload::{Rows, write_columns};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/databases.py");

/// One engine of `databases.py`.
#[derive(Debug)]
pub(crate) struct Python {
    name: &'static str,
    python: PathBuf,
    folder: PathBuf,
    asked: Option<Asked>,
}

/// The process that is asked.
#[derive(Debug)]
struct Asked {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Python {
    pub(crate) fn new(name: &'static str, python: &Path) -> Self {
        Self {
            name,
            python: python.to_path_buf(),
            folder: PathBuf::new(),
            asked: None,
        }
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.args([SCRIPT, self.name, what]).arg(&self.folder);
        command
    }

    fn start(&self) -> Result<Asked> {
        let mut command = self.command("ask");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = child.stdin.take().ok_or("a child without stdin")?;
        let answers = child.stdout.take().ok_or("a child without stdout")?;
        let mut asked = Asked {
            child,
            questions,
            answers: BufReader::new(answers),
        };
        let about = asked.line()?;
        println!("{}: version {}", self.name, about["version"]);
        Ok(asked)
    }
}

impl Asked {
    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Err(format!("{SCRIPT} ended: {}", self.child.wait()?).into()),
            _ => Ok(serde_json::from_str(&line)?),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // Nothing of it is kept: its files go with their folder.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Engine for Python {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> String {
        let about = match self.name {
            "sqlite" => {
                "a row per host and time, clustered by both (WITHOUT ROWID); WAL, synchronous=NORMAL, \
                 cache of 256 MiB, mmap; executemany of 1,000 rows a transaction; then ANALYZE, VACUUM"
            }
            "duckdb" => {
                "defaults; a row per host and time; one Arrow table, one transaction; then CHECKPOINT"
            }
            _ => "defaults; Arrow slices of 1,000 rows, a transaction (fsync) each",
        };
        format!("in process of Python; {about}")
    }

    fn rounds(&self) -> usize {
        3
    }

    fn append(&mut self, rows: &Rows, folder: &Path) -> Result<Measured> {
        self.asked = None;
        self.folder = folder.to_path_buf();
        let data = tempfile::tempdir()?;
        write_columns(rows, data.path())?;
        let mut command = self.command("ingest");
        let mut measured = child::run_command(command.arg(data.path()), self.name)?;
        let bytes = process::folder_bytes(folder)? as f64;
        measured.insert("bytes".to_owned(), bytes / rows.values.len() as f64);
        Ok(measured)
    }

    fn answers(&self) -> bool {
        self.name != "duckdb_batches"
    }

    fn ask(&mut self, question: &Question) -> Result<(f64, Found)> {
        let asked = match self.asked.take() {
            Some(asked) => asked,
            None => self.start()?,
        };
        let asked = self.asked.insert(asked);
        writeln!(asked.questions, "{}", words(question))?;
        asked.questions.flush()?;
        let mut answer = asked.line()?;
        let took = answer["ms"].as_f64().ok_or("an answer without ms")?;
        Ok((took, found(answer["points"].take())?))
    }
}

/// A question as a line of JSON.
fn words(question: &Question) -> Value {
    let (task, step) = match question.task {
        Task::MaxByMetric(step) => ("max", step),
        Task::MeanBySeries(step) => ("mean", step),
        Task::High => ("high", 0),
        Task::Newest => ("newest", 0),
    };
    json!({
        "task": task,
        "step": step,
        "metrics": question.metrics,
        "hosts": question.hosts,
        "first": question.first,
        "last": question.last,
    })
}

/// Points from `[metric, host, time, value]`, in any order.
fn found(points: Value) -> Result<Found> {
    let mut found = Found::new();
    let points: Vec<(usize, String, i64, f64)> = serde_json::from_value(points)?;
    for (metric, host, time, value) in points {
        let name = treering_benches::generator::METRICS.get(metric);
        let name = name.ok_or("a metric that is not there")?;
        let key = ((*name).to_owned(), host);
        found.entry(key).or_default().push((time, value));
    }
    for points in found.values_mut() {
        points.sort_by_key(|(time, _)| *time);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_sql_become_points_in_the_order_of_time() {
        let rows = json!([
            [0, "host_1", 20, 2.5],
            [1, "", 10, 0.1],
            [0, "host_1", 10, 1.0]
        ]);
        let key = |metric: &str, host: &str| (metric.to_owned(), host.to_owned());
        let wanted = Found::from([
            (key("cpu_usage_user", "host_1"), vec![(10, 1.0), (20, 2.5)]),
            (key("cpu_usage_system", ""), vec![(10, 0.1)]),
        ]);
        assert_eq!(found(rows).unwrap(), wanted);
        assert!(found(json!([[99, "", 1, 1.0]])).is_err());
        assert!(found(json!([["x"]])).is_err());
    }
}
