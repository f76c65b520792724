//! Treering: rows by reference, and whole columns.
//!
//! Input: the workload. Output: figures and answers of a database with default options.
//! `Sync::Interval` of 200 ms, the default; batches of 10,000 samples, or a column each.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use treering::{Batch, Db, Labels, Options, SeriesRef, Sync};
use treering_benches::child::{self, Measured};
use treering_benches::questions::Question;
use treering_benches::{Result, process};

use crate::engine::{Engine, Found, found};
use crate::workload::{BATCH, Rows};

const SYNC: Duration = Duration::from_millis(200);

/// Treering, appended to in one of two ways.
#[derive(Debug)]
pub(crate) struct Treering {
    is_columns: bool,
    is_quick: bool,
    folder: PathBuf,
    open: Option<Db>,
}

impl Treering {
    /// Rows by reference, or columns.
    pub(crate) fn new(is_columns: bool, is_quick: bool) -> Self {
        Self {
            is_columns,
            is_quick,
            folder: PathBuf::new(),
            open: None,
        }
    }
}

impl Engine for Treering {
    fn name(&self) -> &'static str {
        if self.is_columns {
            "treering_columns"
        } else {
            "treering"
        }
    }

    fn about(&self) -> String {
        let how = match self.is_columns {
            true => "one column per append, until all is in blocks",
            false => "rows by SeriesRef, batches of 10,000 samples, then sync; in process",
        };
        format!("default options, Sync::Interval(200 ms); {how}")
    }

    fn rounds(&self) -> usize {
        3
    }

    fn append(&mut self, _: &Rows, folder: &Path) -> Result<Measured> {
        self.open = None;
        self.folder = folder.to_path_buf();
        let size = if self.is_quick { "quick" } else { "full" };
        let place = folder.to_str().ok_or("a folder that is not UTF-8")?;
        child::run(&[self.name(), size, place])
    }

    fn answers(&self) -> bool {
        !self.is_columns
    }

    fn ask(&mut self, question: &Question) -> Result<(f64, Found)> {
        let db = match self.open.take() {
            Some(db) => db,
            None => Db::open(&self.folder, Options::default())?,
        };
        let db = self.open.insert(db);
        let at = Instant::now();
        let answer = question.ask(db)?;
        let took = at.elapsed().as_secs_f64() * 1e3;
        Ok((took, found(answer.into_points())))
    }
}

/// The part in a process of its own.
pub(crate) fn append(is_columns: bool, rows: &Rows, folder: &Path) -> Result<Measured> {
    let db = Db::open(folder, Options::default().sync(Sync::Interval(SYNC)))?;
    let reference = |series| -> Result<SeriesRef> {
        Ok(db.series(&Labels::from_pairs(rows.generator.labels(series))?)?)
    };
    let references: Vec<SeriesRef> = (0..rows.width() as u64)
        .map(reference)
        .collect::<Result<_>>()?;
    let columns = if is_columns {
        columns(rows)
    } else {
        Vec::new()
    };
    let millions = rows.values.len() as f64 / 1e6;
    let (cpu, at) = (process::cpu_seconds()?, Instant::now());
    if is_columns {
        for (&reference, column) in references.iter().zip(&columns) {
            let mut batch = Batch::with_capacity(column.len());
            batch.push_column(reference, &rows.times, column);
            db.append(&batch)?;
        }
        db.flush()?;
    } else {
        append_rows(&db, rows, &references)?;
    }
    db.sync()?;
    let (seconds, appended) = (at.elapsed().as_secs_f64(), process::cpu_seconds()?);
    db.flush()?;
    db.compact()?;
    db.close()?;
    let settled = process::cpu_seconds()?;
    let bytes = process::folder_bytes(folder)? as f64;
    Ok(Measured::from([
        ("rate".to_owned(), millions * 1e6 / seconds),
        ("cpu".to_owned(), (appended - cpu) / millions),
        ("settled_cpu".to_owned(), (settled - cpu) / millions),
        ("bytes".to_owned(), bytes / (millions * 1e6)),
    ]))
}

fn append_rows(db: &Db, rows: &Rows, references: &[SeriesRef]) -> Result<()> {
    let mut batch = Batch::with_capacity(BATCH);
    for (times, values) in rows.batches() {
        batch.clear();
        for (&time, row) in times.iter().zip(values.chunks(rows.width())) {
            for (&reference, &value) in references.iter().zip(row) {
                batch.push(reference, time, value);
            }
        }
        db.append(&batch)?;
    }
    Ok(())
}

/// The values series by series.
fn columns(rows: &Rows) -> Vec<Vec<f64>> {
    let mut columns = vec![Vec::with_capacity(rows.times.len()); rows.width()];
    for row in rows.values.chunks(rows.width()) {
        for (column, &value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    columns
}
