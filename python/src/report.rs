//! Reports of the engine as dicts.
//!
//! Input: anything that serde can write. Output: dicts, lists and numbers; lengths of time are
//! `timedelta`. Invariant: names are those of the Rust structs.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde::Serialize;
use serde_json::Value;

use crate::failure::{Failure, Outcome};

/// The report as Python's own types.
pub(crate) fn to_python<'py>(
    py: Python<'py>,
    report: &impl Serialize,
) -> Outcome<Bound<'py, PyAny>> {
    let lost = |error| Failure::new("InternalError", format_args!("a report: {error}"));
    let value = serde_json::to_value(report).map_err(lost)?;
    Ok(object_of(py, &value)?)
}

fn object_of<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(bool) => bool.into_pyobject(py)?.to_owned().into_any(),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into_pyobject(py)?.into_any(),
            (None, Some(number)) => number.into_pyobject(py)?.into_any(),
            (None, None) => number.as_f64().into_pyobject(py)?.into_any(),
        },
        Value::String(text) => text.into_pyobject(py)?.into_any(),
        Value::Array(all) => {
            let list = PyList::empty(py);
            for one in all {
                list.append(object_of(py, one)?)?;
            }
            list.into_any()
        }
        Value::Object(fields) => {
            if let (2, Some(seconds), Some(nanos)) =
                (fields.len(), fields.get("secs"), fields.get("nanos"))
            {
                return delta_of(py, seconds, nanos);
            }
            let dict = PyDict::new(py);
            for (name, one) in fields {
                dict.set_item(name, object_of(py, one)?)?;
            }
            dict.into_any()
        }
    })
}

/// A `Duration`, as serde writes it.
fn delta_of<'py>(py: Python<'py>, seconds: &Value, nanos: &Value) -> PyResult<Bound<'py, PyAny>> {
    let (seconds, nanos) = (seconds.as_u64().unwrap_or(0), nanos.as_u64().unwrap_or(0));
    let class = py.import("datetime")?.getattr("timedelta")?;
    class.call1((seconds / 86_400, seconds % 86_400, nanos / 1000))
}
