//! Results: the answer to a question, as Python sees it.
//!
//! Input: rows. Output: numpy arrays over them, streams of Arrow batches, a sequence of series.
//! Invariant: a result never changes and needs no open database.

use std::sync::Arc;

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyList, PyTuple};

use crate::batches::Batches;
use crate::door::door;
use crate::failure::{Failure, Outcome};
use crate::lend::{schema_capsule, stream_capsule, times_array, values_array};
use crate::rows::{Row, Rows};
use crate::words::labels_to_dict;
use arrow_array::RecordBatchReader;

/// The answer to a question: series, each with labels, timestamps and values.
///
/// A sequence of `Series` and an Arrow stream (`__arrow_c_stream__`), whose arrays share its memory.
#[pyclass(frozen, weakref, module = "treering")]
#[derive(Debug)]
pub(crate) struct Result(Arc<Rows>);

impl Result {
    /// A result of these rows.
    pub(crate) fn new(rows: Rows) -> Self {
        Self(Arc::new(rows))
    }
}

#[pymethods]
impl Result {
    fn __len__(&self) -> usize {
        self.0.rows.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyAny>> {
        door(py, || {
            let rows = &self.0.rows;
            let at = if index < 0 {
                rows.len().checked_add_signed(index)
            } else {
                Some(index.unsigned_abs())
            };
            let Some(row) = at.and_then(|at| rows.get(at)) else {
                return Err(PyIndexError::new_err("there are fewer series").into());
            };
            series_of(py, row)
        })
    }

    /// All series: labels, timestamps and values of each, the arrays over the memory of the result.
    fn to_numpy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        door(py, || {
            let list = PyList::empty(py);
            for row in &self.0.rows {
                list.append(series_of(py, row)?)?;
            }
            Ok(list)
        })
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.to_numpy(py)?.call_method0("__iter__")
    }

    /// An Arrow stream of record batches: a column for each label name, `timestamp`, `value`.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A wish, which the interface lets a producer pass over.
        let _ = requested_schema;
        door(py, || {
            stream_capsule(py, Box::new(Batches::of_rows(&self.0)?))
        })
    }

    /// The Arrow type of the rows.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        door(py, || {
            schema_capsule(py, &Batches::of_rows(&self.0)?.schema())
        })
    }

    /// How many samples there are, in all series together.
    #[getter]
    fn samples(&self) -> usize {
        self.0.samples()
    }

    /// What kind of answer it is: `samples`, `aggregate`, or of PromQL `scalar`, `vector`, `matrix`,
    /// `string`.
    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind.as_str()
    }

    /// What the author of a PromQL query should know, such as a rate of what is no counter.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.0.notes.clone()
    }

    /// The value of a PromQL query that is a text.
    #[getter]
    fn text(&self) -> Option<String> {
        self.0.text.clone()
    }

    /// For each series whether it may be off because samples were downsampled.
    #[getter]
    fn approximate(&self) -> Vec<bool> {
        self.0.rows.iter().map(|row| row.approximate).collect()
    }

    /// For each series the native histograms among its samples, as Prometheus prints them, by place.
    #[getter]
    fn histograms<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let places = |row: &Row| {
            let all = row.histograms.iter().cloned().enumerate();
            all.filter_map(|(at, one)| Some((at, one?)))
                .collect::<std::collections::BTreeMap<_, _>>()
        };
        PyList::new(py, self.0.rows.iter().map(places))
    }

    /// A `pyarrow.Table`.
    fn to_arrow<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        shown(&slf, "to_arrow", None)
    }

    /// A pandas `DataFrame`: long, a row for each sample, or wide, a column for each series.
    #[pyo3(signature = (shape="long"))]
    fn to_pandas<'py>(slf: Bound<'py, Self>, shape: &str) -> PyResult<Bound<'py, PyAny>> {
        shown(&slf, "to_pandas", Some(shape))
    }

    /// A polars `DataFrame`, a row for each sample.
    fn to_polars<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        shown(&slf, "to_polars", None)
    }

    fn __repr__<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        shown(&slf, "text", None)
    }

    fn _repr_html_<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        shown(&slf, "html", None)
    }
}

/// What `treering._display` makes of a result.
fn shown<'py>(
    result: &Bound<'py, Result>,
    how: &str,
    shape: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    let display = result.py().import("treering._display")?;
    match shape {
        Some(shape) => display.call_method1(how, (result, shape)),
        None => display.call_method1(how, (result,)),
    }
}

/// A `treering.Series` of a row.
pub(crate) fn series_of<'py>(py: Python<'py>, row: &Row) -> Outcome<Bound<'py, PyAny>> {
    let labels = labels_to_dict(py, &row.labels)?;
    let times = times_array(py, &row.timestamps)?;
    let values = values_array(py, &row.values)?;
    let class = py.import("treering._series")?.getattr("Series")?;
    let fields = PyTuple::new(py, [labels.into_any(), times, values])?;
    class.call1(fields).map_err(Failure::from)
}
