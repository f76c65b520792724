//! The database, as Python sees it: its methods, each one line or two around the door.
//!
//! Input: objects of Python. Output: results, reports, exceptions. Invariant: every method goes
//! through the door, and runs detached from the interpreter where it may block.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use treering::{Db, Metadata, MetricKind, NamespaceOptions};

use crate::append;
use crate::door::{detached, door};
use crate::failure::{Failure, Outcome};
use crate::held::{Held, SeriesRef};
use crate::options::{namespace_options, one_of, open_options};
use crate::question::{Bounds, What, explain, instant, range, select, step_of};
use crate::report::to_python;
use crate::result::Result;
use crate::rows::Rows;
use crate::scan::Scan;
use crate::time::{nanos_of, range_of};
use crate::words::{labels_to_dict, selector_of};

type Any<'a, 'py> = &'a Bound<'py, PyAny>;
type Keywords<'a, 'py> = &'a Bound<'py, PyDict>;

/// The kinds of metrics, in the words of OpenMetrics.
const KINDS: [(&str, MetricKind); 8] = [
    ("unknown", MetricKind::Unknown),
    ("counter", MetricKind::Counter),
    ("gauge", MetricKind::Gauge),
    ("histogram", MetricKind::Histogram),
    ("gaugehistogram", MetricKind::GaugeHistogram),
    ("summary", MetricKind::Summary),
    ("info", MetricKind::Info),
    ("stateset", MetricKind::StateSet),
];

/// Opens the database in the directory `path`, or makes it when it is missing.
#[pyfunction]
#[pyo3(signature = (path, *, read_only=false, **options))]
pub(crate) fn open(
    py: Python<'_>,
    path: PathBuf,
    read_only: bool,
    options: Option<Keywords<'_, '_>>,
) -> PyResult<Database> {
    door(py, || {
        let (options, limits) = open_options(options)?;
        let db = detached(py, || {
            Ok(match read_only {
                true => Db::open_read_only(path, options)?,
                false => Db::open(path, options)?,
            })
        })?;
        Ok(Database {
            held: Held::new(db, limits),
            read_only,
        })
    })
}

/// Opens a database that lives in memory and ends with its last handle.
#[pyfunction]
#[pyo3(signature = (**options))]
pub(crate) fn in_memory(py: Python<'_>, options: Option<Keywords<'_, '_>>) -> PyResult<Database> {
    door(py, || {
        let (options, limits) = open_options(options)?;
        let db = detached(py, || Ok(Db::in_memory_with(options)?))?;
        Ok(Database {
            held: Held::new(db, limits),
            read_only: false,
        })
    })
}

/// Makes a database in the new directory `path` of a snapshot, which stays as it is.
#[pyfunction]
pub(crate) fn restore(
    py: Python<'_>,
    snapshot: PathBuf,
    path: PathBuf,
) -> PyResult<Bound<'_, PyAny>> {
    door(py, || {
        let (options, _) = open_options(None)?;
        let report = detached(py, || Ok(treering::restore(snapshot, path, options)?))?;
        to_python(py, &report)
    })
}

/// Makes a database in the new directory `path` of all that is intact in a damaged one.
#[pyfunction]
pub(crate) fn repair(
    py: Python<'_>,
    damaged: PathBuf,
    path: PathBuf,
) -> PyResult<Bound<'_, PyAny>> {
    door(py, || {
        let (options, _) = open_options(None)?;
        let report = detached(py, || Ok(treering::repair(damaged, path, options)?))?;
        to_python(py, &report)
    })
}

/// An open database, seen from one of its namespaces. Made by `open`, `in_memory` and `namespace`.
#[pyclass(frozen, weakref, module = "treering")]
#[derive(Debug)]
pub(crate) struct Database {
    held: Arc<Held>,
    read_only: bool,
}

impl Database {
    /// What `call` gives, detached from the interpreter.
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Db) -> Outcome<T> + Send,
    ) -> PyResult<T> {
        door(py, || detached(py, || call(self.held.db()?)))
    }

    /// A report of the database.
    fn report<'py, T: Send + serde::Serialize>(
        &self,
        py: Python<'py>,
        call: impl FnOnce(&Db) -> Outcome<T> + Send,
    ) -> PyResult<Bound<'py, PyAny>> {
        let report = self.run(py, call)?;
        door(py, || to_python(py, &report))
    }

    /// The answer to a question.
    fn ask(
        &self,
        py: Python<'_>,
        limits: Option<Keywords<'_, '_>>,
        ask: impl FnOnce(&Db, &Bounds) -> Outcome<Rows> + Send,
    ) -> PyResult<Result> {
        door(py, || {
            let bounds = Bounds::of(&self.held, limits)?;
            let rows = bounds.ask(py, &self.held, |db| ask(db, &bounds))?;
            Ok(Result::new(rows))
        })
    }

    /// The same database, seen from another namespace.
    fn beside(&self, db: Db) -> Self {
        Self {
            held: self.held.beside(db),
            read_only: self.read_only,
        }
    }
}

#[pymethods]
impl Database {
    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*exception))]
    fn __exit__(&self, py: Python<'_>, exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        let _ = exception;
        self.close(py)
    }

    fn __repr__(&self) -> String {
        let state = match (self.held.is_closed(), self.read_only) {
            (true, _) => ", closed",
            (false, true) => ", read-only",
            (false, false) => "",
        };
        format!(
            "<treering.Database {:?}{state}>",
            self.held.path().display().to_string()
        )
    }

    /// Makes everything durable and lets go of the directory, for all handles of this open.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        door(py, || detached(py, || self.held.close()))
    }

    /// Whether the database was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.held.is_closed()
    }

    /// The directory of the database.
    #[getter]
    fn path(&self) -> PathBuf {
        self.held.path()
    }

    /// Whether it was opened for reading only.
    #[getter]
    fn read_only(&self) -> bool {
        self.read_only
    }

    /// A reference to a series, for loops that append to it again and again.
    fn series(&self, py: Python<'_>, labels: Any<'_, '_>) -> PyResult<SeriesRef> {
        door(py, || {
            SeriesRef::new(py, &self.held, crate::words::labels_of(labels)?)
        })
    }

    /// Appends one sample.
    fn append(
        &self,
        py: Python<'_>,
        series: Any<'_, '_>,
        timestamp: Any<'_, '_>,
        value: f64,
    ) -> PyResult<()> {
        door(py, || append::sample(&self.held, series, timestamp, value))
    }

    /// Appends columns of one series; how many samples they had.
    fn append_columns(
        &self,
        py: Python<'_>,
        series: Any<'_, '_>,
        timestamps: Any<'_, '_>,
        values: Any<'_, '_>,
    ) -> PyResult<usize> {
        door(py, || {
            append::columns(&self.held, series, timestamps, values)
        })
    }

    /// Appends one value to each of many series; how many samples that made.
    fn append_rows(
        &self,
        py: Python<'_>,
        series: Any<'_, '_>,
        timestamps: Any<'_, '_>,
        values: Any<'_, '_>,
    ) -> PyResult<usize> {
        door(py, || append::rows(&self.held, series, timestamps, values))
    }

    /// Appends a frame of Arrow data; how many samples it had.
    #[pyo3(signature = (frame, *, timestamp=None, value=None, labels=None, metric=None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn append_arrow(
        &self,
        py: Python<'_>,
        frame: Any<'_, '_>,
        timestamp: Option<String>,
        value: Option<Any<'_, '_>>,
        labels: Option<Any<'_, '_>>,
        metric: Option<String>,
    ) -> PyResult<u64> {
        door(py, || {
            append::arrow(&self.held, frame, timestamp, value, labels, metric)
        })
    }

    /// The series of a selector with their samples from `start` to `end`, both included.
    #[pyo3(signature = (selector=None, start=None, end=None, **limits))]
    fn select(
        &self,
        py: Python<'_>,
        selector: Option<Any<'_, '_>>,
        start: Option<Any<'_, '_>>,
        end: Option<Any<'_, '_>>,
        limits: Option<Keywords<'_, '_>>,
    ) -> PyResult<Result> {
        let (selector, range) = door(py, || Ok((selector_of(selector)?, range_of(start, end)?)))?;
        self.ask(py, limits, |db, bounds| {
            select(db, bounds, &selector, range)
        })
    }

    /// As `select`, but each series is read when its turn comes.
    #[pyo3(signature = (selector=None, start=None, end=None, **limits))]
    fn scan(
        &self,
        py: Python<'_>,
        selector: Option<Any<'_, '_>>,
        start: Option<Any<'_, '_>>,
        end: Option<Any<'_, '_>>,
        limits: Option<Keywords<'_, '_>>,
    ) -> PyResult<Scan> {
        door(py, || {
            let (selector, (first, last)) = (selector_of(selector)?, range_of(start, end)?);
            let bounds = Bounds::of(&self.held, limits)?;
            let set = bounds.ask(py, &self.held, |db| {
                Ok(bounds.query(db).select(&selector, first..=last)?)
            })?;
            Ok(Scan::new(set))
        })
    }

    /// One number for each window of time and each series or group of them, over the samples after
    /// `start` up to and including `end`.
    #[pyo3(signature = (selector=None, start=None, end=None, *, r#fn, step=None, window=None, by=None,
        without=None, quantile=None, top=None, bottom=None, **limits))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn aggregate(
        &self,
        py: Python<'_>,
        selector: Option<Any<'_, '_>>,
        start: Option<Any<'_, '_>>,
        end: Option<Any<'_, '_>>,
        r#fn: Any<'_, '_>,
        step: Option<Any<'_, '_>>,
        window: Option<Any<'_, '_>>,
        by: Option<Any<'_, '_>>,
        without: Option<Any<'_, '_>>,
        quantile: Option<f64>,
        top: Option<usize>,
        bottom: Option<usize>,
        limits: Option<Keywords<'_, '_>>,
    ) -> PyResult<Result> {
        let function = r#fn;
        let (selector, what, range) = door(py, || {
            if step.is_some() && (start.is_none() || end.is_none()) {
                return Err(Failure::value("with a step, give start= and end= too"));
            }
            let what = What {
                function,
                quantile,
                step,
                window,
                by,
                without,
                top,
                bottom,
            };
            let (first, last) = range_of(start, end)?;
            let after = match start {
                // Nothing is after the last moment that there is.
                Some(_) if first == i64::MAX => {
                    return Ok((selector_of(selector)?, what.aggregate()?, (1, 0)));
                }
                Some(_) => first + 1,
                None => first,
            };
            Ok((selector_of(selector)?, what.aggregate()?, (after, last)))
        })?;
        self.ask(py, limits, |db, bounds| {
            let series = bounds
                .query(db)
                .aggregate(&selector, range.0..=range.1, &what)?;
            Ok(Rows::of_aggregate(series))
        })
    }

    /// The newest sample of each series of a selector, from `start` to `end`.
    #[pyo3(signature = (selector=None, start=None, end=None, **limits))]
    fn latest(
        &self,
        py: Python<'_>,
        selector: Option<Any<'_, '_>>,
        start: Option<Any<'_, '_>>,
        end: Option<Any<'_, '_>>,
        limits: Option<Keywords<'_, '_>>,
    ) -> PyResult<Result> {
        let (selector, range) = door(py, || Ok((selector_of(selector)?, range_of(start, end)?)))?;
        self.ask(py, limits, |db, bounds| {
            Ok(Rows::of_latest(
                bounds.query(db).latest(&selector, range.0..=range.1)?,
            ))
        })
    }

    /// The value of a PromQL query at one time, by default now.
    #[pyo3(signature = (promql, time=None, **limits))]
    fn query(
        &self,
        py: Python<'_>,
        promql: &str,
        time: Option<Any<'_, '_>>,
        limits: Option<Keywords<'_, '_>>,
    ) -> PyResult<Result> {
        let time = door(py, || {
            time.map_or_else(|| Ok(treering::time::now()), nanos_of)
        })?;
        self.ask(py, limits, |db, bounds| instant(db, bounds, promql, time))
    }

    /// The values of a PromQL query at `start`, `start + step` and so on up to `end`.
    #[pyo3(signature = (promql, start, end, step, **limits))]
    fn query_range(
        &self,
        py: Python<'_>,
        promql: &str,
        start: Any<'_, '_>,
        end: Any<'_, '_>,
        step: Any<'_, '_>,
        limits: Option<Keywords<'_, '_>>,
    ) -> PyResult<Result> {
        let times = door(py, || {
            Ok((range_of(Some(start), Some(end))?, step_of(step)?))
        })?;
        self.ask(py, limits, |db, bounds| {
            range(db, bounds, promql, times.0, times.1)
        })
    }

    /// How a PromQL query would be answered, and how much it would read; nothing is read.
    #[pyo3(signature = (promql, start, end, step, **limits))]
    fn explain(
        &self,
        py: Python<'_>,
        promql: &str,
        start: Any<'_, '_>,
        end: Any<'_, '_>,
        step: Any<'_, '_>,
        limits: Option<Keywords<'_, '_>>,
    ) -> PyResult<String> {
        door(py, || {
            let (times, step) = (range_of(Some(start), Some(end))?, step_of(step)?);
            let bounds = Bounds::of(&self.held, limits)?;
            bounds.ask(py, &self.held, |db| {
                explain(db, &bounds, promql, times, step)
            })
        })
    }

    /// The labels of all series of a selector with samples from `start` to `end`, sorted.
    #[pyo3(signature = (selector=None, start=None, end=None, **limits))]
    fn series_labels<'py>(
        &self,
        py: Python<'py>,
        selector: Option<Any<'_, '_>>,
        start: Option<Any<'_, '_>>,
        end: Option<Any<'_, '_>>,
        limits: Option<Keywords<'_, '_>>,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        door(py, || {
            let (selector, (first, last)) = (selector_of(selector)?, range_of(start, end)?);
            let bounds = Bounds::of(&self.held, limits)?;
            let all = bounds.ask(py, &self.held, |db| {
                Ok(bounds.query(db).series_labels(&selector, first..=last)?)
            })?;
            all.iter()
                .map(|labels| labels_to_dict(py, labels))
                .collect()
        })
    }

    /// The label names of the series of a selector, sorted.
    #[pyo3(signature = (selector=None, start=None, end=None, **limits))]
    fn label_names(
        &self,
        py: Python<'_>,
        selector: Option<Any<'_, '_>>,
        start: Option<Any<'_, '_>>,
        end: Option<Any<'_, '_>>,
        limits: Option<Keywords<'_, '_>>,
    ) -> PyResult<Vec<String>> {
        door(py, || {
            let (selector, (first, last)) = (selector_of(selector)?, range_of(start, end)?);
            let bounds = Bounds::of(&self.held, limits)?;
            bounds.ask(py, &self.held, |db| {
                Ok(bounds.query(db).label_names(&selector, first..=last)?)
            })
        })
    }

    /// The values of the label `name` of the series of a selector, sorted.
    #[pyo3(signature = (name, selector=None, start=None, end=None, **limits))]
    fn label_values(
        &self,
        py: Python<'_>,
        name: &str,
        selector: Option<Any<'_, '_>>,
        start: Option<Any<'_, '_>>,
        end: Option<Any<'_, '_>>,
        limits: Option<Keywords<'_, '_>>,
    ) -> PyResult<Vec<String>> {
        door(py, || {
            let (selector, (first, last)) = (selector_of(selector)?, range_of(start, end)?);
            let bounds = Bounds::of(&self.held, limits)?;
            bounds.ask(py, &self.held, |db| {
                Ok(bounds
                    .query(db)
                    .label_values(name, &selector, first..=last)?)
            })
        })
    }

    /// Deletes the samples of the series of `selector` from `start` to `end`, both included.
    #[pyo3(signature = (selector, start=None, end=None))]
    fn delete(
        &self,
        py: Python<'_>,
        selector: Any<'_, '_>,
        start: Option<Any<'_, '_>>,
        end: Option<Any<'_, '_>>,
    ) -> PyResult<()> {
        let (selector, (first, last)) = door(py, || {
            Ok((selector_of(Some(selector))?, range_of(start, end)?))
        })?;
        self.run(py, |db| Ok(db.delete(&selector, first..=last)?))
    }

    /// Makes everything appended so far durable.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, |db| Ok(db.sync()?))
    }

    /// Moves everything appended so far into blocks.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, |db| Ok(db.flush()?))
    }

    /// Merges the blocks of all namespaces as far as that goes.
    fn compact(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, |db| Ok(db.compact()?))
    }

    /// One round of maintenance; whether it found anything to compact.
    fn maintain(&self, py: Python<'_>) -> PyResult<bool> {
        self.run(py, |db| Ok(db.maintain()?))
    }

    /// Moves a read-only database on to what its writer has written; whether anything changed.
    fn refresh(&self, py: Python<'_>) -> PyResult<bool> {
        self.run(py, |db| Ok(db.refresh()?))
    }

    /// Makes a copy of the database in the new directory `path`, while it is in use.
    fn snapshot<'py>(&self, py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyAny>> {
        self.report(py, |db| Ok(db.snapshot(path)?))
    }

    /// Reads the whole database and holds it against its checksums and against itself.
    fn verify<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.report(py, |db| Ok(db.verify()?))
    }

    /// What the database holds and has done.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.report(py, |db| Ok(db.stats()))
    }

    /// What opening the database found.
    fn recovery<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.report(py, |db| Ok(db.recovery().clone()))
    }

    /// The series in memory by size: at most `limit` of the largest of each kind.
    #[pyo3(signature = (limit=10))]
    fn cardinality<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyAny>> {
        self.report(py, |db| {
            let found = db.cardinality(limit);
            Ok(serde_json::json!({
                "series": found.series,
                "label_names": found.label_names,
                "label_pairs": found.label_pairs,
                "top_metrics": found.top_metrics,
                "top_value_counts": found.top_value_counts,
                "top_bytes": found.top_bytes,
            }))
        })
    }

    /// The same database, seen from the namespace `name`.
    fn namespace(&self, py: Python<'_>, name: &str) -> PyResult<Self> {
        Ok(self.beside(self.run(py, |db| Ok(db.namespace(name)?))?))
    }

    /// Makes a namespace, with retention and limits of its own; the database seen from it.
    #[pyo3(signature = (name, **options))]
    fn create_namespace(
        &self,
        py: Python<'_>,
        name: &str,
        options: Option<Keywords<'_, '_>>,
    ) -> PyResult<Self> {
        let options = door(py, || {
            namespace_options(NamespaceOptions::default(), options)
        })?;
        Ok(self.beside(self.run(py, |db| Ok(db.create_namespace(name, options)?))?))
    }

    /// Changes how a namespace is kept; what is not named stays, `None` takes a bound away.
    #[pyo3(signature = (name, **options))]
    fn alter_namespace(
        &self,
        py: Python<'_>,
        name: &str,
        options: Option<Keywords<'_, '_>>,
    ) -> PyResult<()> {
        let before = self.run(py, |db| {
            let found = db.namespaces().into_iter().find(|one| one.name == name);
            let missing = || treering::Error::NoNamespace {
                name: name.to_owned(),
            };
            Ok(found.ok_or_else(missing)?.options)
        })?;
        let options = door(py, || namespace_options(before, options))?;
        self.run(py, |db| Ok(db.alter_namespace(name, options)?))
    }

    /// Drops a namespace with everything in it, at once and for good.
    fn drop_namespace(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.run(py, |db| Ok(db.drop_namespace(name)?))
    }

    /// All namespaces: name, options and stats of each.
    fn namespaces<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.report(py, |db| Ok(db.namespaces()))
    }

    /// What is known of the metric `metric`; `None` where nothing is.
    fn metadata<'py>(&self, py: Python<'py>, metric: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        let found = self.run(py, |db| Ok(db.metadata(metric)))?;
        found.map(|found| metadata_dict(py, &found)).transpose()
    }

    /// Keeps kind, unit and help of the metric `metric`.
    #[pyo3(signature = (metric, kind, unit="", help=""))]
    fn set_metadata(
        &self,
        py: Python<'_>,
        metric: &str,
        kind: Any<'_, '_>,
        unit: &str,
        help: &str,
    ) -> PyResult<()> {
        let kind = door(py, || one_of(kind, "kind", &KINDS))?;
        let metadata = Metadata::new(kind).unit(unit).help(help);
        self.run(py, |db| Ok(db.set_metadata(metric, &metadata)?))
    }

    /// Forgets what is known of the metric `metric`.
    fn remove_metadata(&self, py: Python<'_>, metric: &str) -> PyResult<()> {
        self.run(py, |db| Ok(db.remove_metadata(metric)?))
    }

    /// What is known of all metrics, by name.
    fn all_metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = self.run(py, |db| Ok(db.all_metadata()))?;
        let dict = PyDict::new(py);
        for (metric, metadata) in all {
            dict.set_item(metric, metadata_dict(py, &metadata)?)?;
        }
        Ok(dict)
    }
}

fn metadata_dict<'py>(py: Python<'py>, metadata: &Metadata) -> PyResult<Bound<'py, PyDict>> {
    let kind = KINDS.iter().find(|(_, kind)| *kind == metadata.kind);
    let dict = PyDict::new(py);
    dict.set_item("kind", kind.map_or("unknown", |(word, _)| word))?;
    dict.set_item("unit", &metadata.unit)?;
    dict.set_item("help", &metadata.help)?;
    Ok(dict)
}
