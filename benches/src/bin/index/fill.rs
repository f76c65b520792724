//! Fills a database with many series of few samples.
//!
//! Input: how many hosts, how often it is flushed, whether hosts come and go. Output: the database,
//! reopened unless all stays in the heads, and what it took.

use std::path::Path;
use std::time::Instant;

use treering::{Batch, Db, Labels, Maintenance, Options};
use treering_benches::Result;
use treering_benches::child::Measured;
use treering_benches::generator::{START, Shape, Values, labels};
use treering_benches::process::{self, OwnWork};

/// Seed of the labels.
const SEED: u64 = 1;
const BATCH: usize = 10_000;
const HOUR: i64 = 3_600_000_000_000;
/// Of so many hosts one lives on when the others are replaced.
const LIVES_ON: u32 = 10;

/// What there is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Hosts at a time, of ten series each.
    pub(crate) hosts: u32,
    /// Rows of a sample for each series, an hour apart; each becomes a block.
    pub(crate) rows: u32,
    is_flushed: bool,
    is_churning: bool,
}

impl Plan {
    /// So many hosts in one block.
    pub(crate) fn of(hosts: u32) -> Self {
        Self {
            hosts,
            rows: 1,
            is_flushed: true,
            is_churning: false,
        }
    }

    /// The same, not flushed.
    pub(crate) fn in_heads(self) -> Self {
        Self {
            is_flushed: false,
            ..self
        }
    }

    /// The same in so many blocks.
    pub(crate) fn flushed_often(self, rows: u32) -> Self {
        Self { rows, ..self }
    }

    /// The same; with each row nine hosts in ten are replaced.
    pub(crate) fn churning(self) -> Self {
        Self {
            is_churning: true,
            ..self
        }
    }

    /// What host `number` is called in a row.
    pub(crate) fn name(&self, number: u32, row: u32) -> String {
        match self.is_churning && row > 0 && !number.is_multiple_of(LIVES_ON) {
            true => format!("host_{number}_{row}"),
            false => format!("host_{number}"),
        }
    }

    /// The name of every host there ever was.
    pub(crate) fn names(&self) -> Vec<String> {
        let rows = if self.is_churning { self.rows } else { 1 };
        let mut names: Vec<String> = (0..rows)
            .flat_map(|row| (0..self.hosts).map(move |host| (host, row)))
            .map(|(host, row)| self.name(host, row))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn shape(&self) -> Shape {
        Shape {
            hosts: self.hosts,
            ..Shape::hc(Values::Dec2)
        }
    }

    /// Labels of the ten series of a host in a row.
    pub(crate) fn labels(&self, host: u32, row: u32) -> Result<Vec<Labels>> {
        let shape = self.shape();
        let metrics = u64::from(shape.metrics);
        let first = u64::from(host) * metrics;
        let series = first..first + metrics;
        series
            .map(|series| {
                let mut pairs = labels(&shape, SEED, series);
                for (name, value) in &mut pairs {
                    if *name == "hostname" {
                        *value = self.name(host, row);
                    }
                }
                Ok(Labels::from_pairs(pairs)?)
            })
            .collect()
    }
}

/// A database, and what it took to fill.
pub(crate) struct Filled {
    pub(crate) db: Db,
    pub(crate) measured: Measured,
}

/// The value of a host's series in a row.
pub(crate) fn value(host: u32, row: u32) -> f64 {
    f64::from(host % 10_000) / 100.0 + f64::from(row)
}

/// The time of a row.
pub(crate) fn time(row: u32) -> i64 {
    START + i64::from(row) * HOUR + HOUR / 2
}

/// Fills a database in `folder`.
pub(crate) fn fill(folder: &Path, plan: &Plan) -> Result<Filled> {
    let options = Options::default()
        .memory_bytes(8 << 30)
        .wal_max_bytes(8 << 30)
        .max_series(u64::from(plan.hosts) * 10 * 8)
        .maintenance(Maintenance::Manual);
    let path = folder.join("data");
    let mut measured = Measured::new();
    let mut db = Db::open(&path, options.clone())?;
    let (rss, mut own, start) = (process::rss_bytes()?, OwnWork::default(), Instant::now());
    let mut flushes = Vec::new();
    for row in 0..plan.rows {
        append(&db, plan, row, &mut own)?;
        if row == 0 {
            // The first row is all new series.
            let seconds = start.elapsed().as_secs_f64() - own.wall;
            let series = f64::from(plan.hosts) * 10.0;
            measured.insert("insert".into(), series / seconds);
            let held = process::rss_bytes()?.saturating_sub(rss);
            measured.insert("memory".into(), held as f64 / series);
        }
        if plan.is_flushed {
            let at = Instant::now();
            db.flush()?;
            flushes.push(at.elapsed().as_secs_f64());
        }
    }
    if plan.is_flushed {
        measured.insert("flush".into(), treering_benches::child::median(flushes));
        db.close()?;
        drop(db);
        let at = Instant::now();
        db = Db::open(&path, options)?;
        measured.insert("open".into(), at.elapsed().as_secs_f64() * 1e3);
        let blocks = db.stats().blocks;
        if blocks != u64::from(plan.rows) {
            return Err(format!("{blocks} blocks, not {}", plan.rows).into());
        }
    }
    Ok(Filled { db, measured })
}

/// Appends one row, by labels: ten thousand samples a batch.
fn append(db: &Db, plan: &Plan, row: u32, own: &mut OwnWork) -> Result<()> {
    let mut batch = Batch::with_capacity(BATCH);
    let hosts = BATCH as u32 / 10;
    for first in (0..plan.hosts).step_by(hosts as usize) {
        let series = own.add(|| {
            let hosts = first..plan.hosts.min(first + hosts);
            hosts
                .map(|host| Ok((host, plan.labels(host, row)?)))
                .collect::<Result<Vec<_>>>()
        })??;
        batch.clear();
        for (host, labels) in &series {
            for labels in labels {
                batch.push(labels, time(row), value(*host, row));
            }
        }
        db.append(&batch)?;
    }
    Ok(())
}
