//! tsink, the embedded time-series database in Rust.
//!
//! Input: the workload. Output: figures and answers. Settings as docs/performance-tuning.md of the
//! crate recommends for throughput: `WalSyncMode::Periodic` (200 ms, as ours), a WAL buffer of
//! 64 KiB, one writer. Rows carry their metric and labels as owned strings; they are built once and
//! their points set anew for each batch, the cheapest use that its interface allows. Questions:
//! `select_series`, then `select_many`, folded by a plain loop: its PromQL does the same and more.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use treering_benches::child::{self, Measured};
use treering_benches::questions::{Question, Task};
use treering_benches::{Result, process};
use tsink::{
    DataPoint, Label, Row, SeriesMatcher, SeriesPoints, SeriesSelection, Storage, StorageBuilder,
    TimestampPrecision, WalSyncMode,
};

use crate::engine::{Engine, Found};
use crate::workload::Rows;

/// See the head of this file.
pub(crate) struct Tsink {
    is_quick: bool,
    folder: PathBuf,
    /// The last time of the workload.
    end: i64,
    open: Option<Arc<dyn Storage>>,
}

impl Tsink {
    pub(crate) fn new(is_quick: bool) -> Self {
        Self {
            is_quick,
            folder: PathBuf::new(),
            end: 0,
            open: None,
        }
    }
}

fn open(folder: &Path) -> Result<Arc<dyn Storage>> {
    let builder = StorageBuilder::new()
        .with_data_path(folder)
        .with_timestamp_precision(TimestampPrecision::Nanoseconds)
        .with_retention(Duration::from_secs(100 * 365 * 86_400))
        .with_max_writers(1)
        .with_wal_buffer_size(64 << 10)
        .with_wal_sync_mode(WalSyncMode::Periodic(Duration::from_millis(200)));
    Ok(builder.build()?)
}

impl Engine for Tsink {
    fn name(&self) -> &'static str {
        "tsink"
    }

    fn about(&self) -> String {
        "0.10: WAL synced every 200 ms, buffer of 64 KiB, one writer; batches of 10,000 rows built \
         beforehand; in process, select_series and select_many"
            .to_owned()
    }

    fn append(&mut self, rows: &Rows, folder: &Path) -> Result<Measured> {
        self.open = None;
        self.end = rows.times.last().copied().unwrap_or_default();
        self.folder = folder.to_path_buf();
        let size = if self.is_quick { "quick" } else { "full" };
        let place = folder.to_str().ok_or("a folder that is not UTF-8")?;
        child::run(&[self.name(), size, place])
    }

    fn ask(&mut self, question: &Question) -> Result<(f64, Found)> {
        let storage = match self.open.take() {
            Some(storage) => storage,
            None => open(&self.folder)?,
        };
        let storage = self.open.insert(storage);
        let at = Instant::now();
        let answer = answer(storage.as_ref(), question, self.end)?;
        let took = at.elapsed().as_secs_f64() * 1e3;
        Ok((took, answer.named()))
    }
}

/// The part in a process of its own.
pub(crate) fn append(rows: &Rows, folder: &Path) -> Result<Measured> {
    let storage = open(folder)?;
    let mut batch: Vec<Row> = Vec::new();
    let series = (0..rows.width() as u64).map(|series| row(rows, series));
    let series: Vec<Row> = series.collect();
    let millions = rows.values.len() as f64 / 1e6;
    let (cpu, at) = (process::cpu_seconds()?, Instant::now());
    for (times, values) in rows.batches() {
        while batch.len() < values.len() {
            batch.extend_from_slice(&series);
        }
        let times = times
            .iter()
            .flat_map(|&time| std::iter::repeat_n(time, rows.width()));
        for ((row, time), &value) in batch.iter_mut().zip(times).zip(values) {
            row.set_data_point(DataPoint::new(time, value));
        }
        storage.insert_rows(&batch[..values.len()])?;
    }
    let (seconds, appended) = (at.elapsed().as_secs_f64(), process::cpu_seconds()?);
    storage.close()?;
    let settled = process::cpu_seconds()?;
    let bytes = process::folder_bytes(folder)? as f64;
    Ok(Measured::from([
        ("rate".to_owned(), millions * 1e6 / seconds),
        ("cpu".to_owned(), (appended - cpu) / millions),
        ("settled_cpu".to_owned(), (settled - cpu) / millions),
        ("bytes".to_owned(), bytes / (millions * 1e6)),
    ]))
}

fn row(rows: &Rows, series: u64) -> Row {
    let mut metric = String::new();
    let mut labels = Vec::new();
    for (name, value) in rows.generator.labels(series) {
        match name {
            "__name__" => metric = value,
            _ => labels.push(Label::new(name, value)),
        }
    }
    Row::with_labels(metric, labels, DataPoint::new(0, 0.0))
}

/// What was found, not named yet: that is not its work.
#[derive(Default)]
struct Answer {
    by_metric: Vec<(&'static str, BTreeMap<i64, f64>)>,
    by_series: Vec<(SeriesPoints, Vec<(i64, f64)>)>,
}

impl Answer {
    fn named(self) -> Found {
        let by_metric = self.by_metric.into_iter().map(|(metric, points)| {
            let key = (metric.to_owned(), String::new());
            (key, points.into_iter().collect())
        });
        let by_series = self.by_series.into_iter().map(|(found, points)| {
            let hostname = found
                .series
                .labels
                .iter()
                .find(|label| label.name == "hostname");
            let hostname = hostname
                .map(|label| label.value.clone())
                .unwrap_or_default();
            ((found.series.name, hostname), points)
        });
        let all = by_metric.chain(by_series);
        all.filter(|(_, points): &(_, Vec<_>)| !points.is_empty())
            .collect()
    }
}

fn answer(storage: &dyn Storage, question: &Question, end: i64) -> Result<Answer> {
    let mut answer = Answer::default();
    let names = question.host_names();
    // The end of a range is not in it. The newest sample has no call of its own: who asks is told
    // where the data end.
    let (first, end) = match question.task {
        Task::Newest => (end - NEWEST_WITHIN, end + 1),
        _ => (question.first, question.last + 1),
    };
    for &metric in question.metric_names() {
        let mut selection = SeriesSelection::new()
            .with_metric(metric)
            .with_time_range(first, end);
        match &names[..] {
            [] => {}
            [one] => selection = selection.with_matcher(SeriesMatcher::equal("hostname", one)),
            some => {
                let pattern = some.join("|");
                selection = selection.with_matcher(SeriesMatcher::regex_match("hostname", pattern));
            }
        }
        let series = storage.select_series(&selection)?;
        let found = storage.select_many(&series, first, end)?;
        match question.task {
            Task::MaxByMetric(step) => {
                let mut windows = BTreeMap::new();
                for (time, value) in found.iter().flat_map(samples) {
                    let most: &mut f64 = windows.entry(window(first, step, time)).or_insert(value);
                    *most = most.max(value);
                }
                answer.by_metric.push((metric, windows));
            }
            Task::MeanBySeries(step) => {
                answer.by_series.extend(found.into_iter().map(|found| {
                    let means = means(first, step, &found);
                    (found, means)
                }));
            }
            Task::High => answer.by_series.extend(found.into_iter().map(|found| {
                let high = samples(&found).filter(|(_, value)| *value > 90.0).collect();
                (found, high)
            })),
            Task::Newest => answer.by_series.extend(found.into_iter().map(|found| {
                let newest = samples(&found).last().into_iter().collect();
                (found, newest)
            })),
        }
    }
    Ok(answer)
}

/// How far back the newest sample is looked for: what Prometheus looks back by default.
const NEWEST_WITHIN: i64 = 300 * 1_000_000_000;

fn samples(found: &SeriesPoints) -> impl Iterator<Item = (i64, f64)> {
    let points = found.points.iter();
    points.filter_map(|point| Some((point.timestamp, point.value_as_f64()?)))
}

/// The end of the left-open window that a time lies in.
fn window(first: i64, step: i64, time: i64) -> i64 {
    first - 1 + ((time - first) / step + 1) * step
}

fn means(first: i64, step: i64, found: &SeriesPoints) -> Vec<(i64, f64)> {
    let mut windows: Vec<(i64, f64, f64)> = Vec::new();
    for (time, value) in samples(found) {
        let at = window(first, step, time);
        match windows.last_mut() {
            Some((end, sum, count)) if *end == at => {
                *sum += value;
                *count += 1.0;
            }
            _ => windows.push((at, value, 1.0)),
        }
    }
    let windows = windows.into_iter();
    windows
        .map(|(end, sum, count)| (end, sum / count))
        .collect()
}
