//! Columns of timestamps and values, from arrays, buffers, series of data frames and lists.
//!
//! Input: any of them. Output: slices of nanoseconds and doubles. Invariant: contiguous arrays of
//! the right type are lent, not copied; types that would be guessed or rounded are refused.

use arrow_array::Array;
use arrow_buffer::{ArrowNativeType, ScalarBuffer};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::column;
use crate::failure::{Failure, Outcome};
use crate::lend::arrays_of;
use crate::time::nanos_of;

/// A column that is lent by numpy, or of our own.
pub(crate) enum Lent<'py, T: numpy::Element + ArrowNativeType> {
    Numpy(PyReadonlyArray1<'py, T>),
    Own(ScalarBuffer<T>),
}

impl<T: numpy::Element + ArrowNativeType> Lent<'_, T> {
    /// The column.
    pub(crate) fn slice(&self) -> Outcome<&[T]> {
        match self {
            Lent::Numpy(array) => array
                .as_slice()
                .map_err(|error| Failure::value(error.to_string())),
            Lent::Own(own) => Ok(own),
        }
    }
}

/// Nanoseconds since the Unix epoch, of each element.
pub(crate) fn times_of<'py>(object: &Bound<'py, PyAny>) -> Outcome<Lent<'py, i64>> {
    if let Some(arrays) = arrow_columns(object)? {
        let columns = arrays
            .iter()
            .map(|array| column::times_of("timestamps", array));
        return Ok(Lent::Own(joined(columns)?));
    }
    let array = as_array(object, "timestamps")?;
    let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
    match kind.as_str() {
        "M" => times_of_datetime64(&array),
        "i" => lent(&array, "int64"),
        "u" => {
            let most = array.call_method0("max")?;
            if array.len()? > 0 && most.gt(i64::MAX)? {
                return Err(Failure::overflow(
                    "timestamps are 64-bit nanoseconds, with a sign",
                ));
            }
            lent(&array, "int64")
        }
        "O" | "U" => {
            let mut times = Vec::with_capacity(array.len()?);
            for one in array.call_method0("tolist")?.try_iter()? {
                times.push(nanos_of(&one?)?);
            }
            Ok(Lent::Own(times.into()))
        }
        // An empty list is an array of doubles to numpy.
        "f" if array.len()? == 0 => Ok(Lent::Own(Vec::new().into())),
        "f" => Err(Failure::kind(
            "timestamps cannot be floats, which are too coarse for nanoseconds: give datetime64 or \
             integers of nanoseconds",
        )),
        _ => Err(Failure::kind(format_args!(
            "timestamps of the dtype {} are not taken: give datetime64, integers of nanoseconds, \
             datetimes with a zone, or texts",
            array.getattr("dtype")?
        ))),
    }
}

/// Doubles, of each element.
pub(crate) fn values_of<'py>(object: &Bound<'py, PyAny>) -> Outcome<Lent<'py, f64>> {
    if let Some(arrays) = arrow_columns(object)? {
        let one = |array: &arrow_array::ArrayRef| {
            if let Some(row) = column::first_null(array) {
                return Err(Failure::value(format_args!(
                    "values has no number in row {row}"
                )));
            }
            column::floats_of("values", array)
        };
        return Ok(Lent::Own(joined(arrays.iter().map(one))?));
    }
    let array = as_array(object, "values")?;
    let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
    if !["f", "i", "u", "b"].contains(&kind.as_str()) {
        return Err(Failure::kind(format_args!(
            "values of the dtype {} are not taken: values are numbers",
            array.getattr("dtype")?
        )));
    }
    lent(&array, "float64")
}

/// Nanoseconds of a scalar of numpy of this kind: `M`, a datetime64, or `m`, a timedelta64.
pub(crate) fn nanos_of_scalar(object: &Bound<'_, PyAny>, kind: &str) -> Outcome<Option<i64>> {
    let Some(dtype) = object.getattr_opt("dtype")? else {
        return Ok(None);
    };
    let is_kind = dtype
        .getattr_opt("kind")?
        .is_some_and(|found| found.eq(kind).unwrap_or(false));
    let has_shape = object
        .getattr_opt("ndim")?
        .is_none_or(|dims| !dims.eq(0).unwrap_or(false));
    if !is_kind || has_shape {
        return Ok(None);
    }
    let array = object
        .py()
        .import("numpy")?
        .call_method1("atleast_1d", (object,))?;
    let nanos = times_of_datetime64(&array)?;
    Ok(nanos.slice()?.first().copied())
}

/// Of an array of datetime64 or timedelta64, whatever its unit.
fn times_of_datetime64<'py>(array: &Bound<'py, PyAny>) -> Outcome<Lent<'py, i64>> {
    let py = array.py();
    let unit = py
        .import("numpy")?
        .call_method1("datetime_data", (array.getattr("dtype")?,))?;
    let (unit, count): (String, i64) = unit.extract()?;
    let (array, nanos): (_, i64) = match unit.as_str() {
        "ns" => (array.clone(), 1),
        "us" => (array.clone(), 1_000),
        "ms" => (array.clone(), 1_000_000),
        "s" => (array.clone(), 1_000_000_000),
        "m" => (array.clone(), 60_000_000_000),
        "h" => (array.clone(), 3_600_000_000_000),
        "D" => (array.clone(), 86_400_000_000_000),
        "W" => (array.clone(), 604_800_000_000_000),
        "M" | "Y" => {
            let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
            if kind == "m" {
                return Err(Failure::value("months and years have no fixed length"));
            }
            (
                array.call_method1("astype", ("datetime64[s]",))?,
                1_000_000_000,
            )
        }
        "generic" => return Err(Failure::value("there is no time (NaT)")),
        _ => {
            return Err(Failure::value(format_args!(
                "datetime64[{unit}] is not taken: times are nanoseconds"
            )));
        }
    };
    // Calendar units were made seconds, one each.
    let count = if matches!(unit.as_str(), "M" | "Y") {
        1
    } else {
        count
    };
    let dtype = array.getattr("dtype")?;
    let native = dtype.call_method1("newbyteorder", ("=",))?;
    let array = array.call_method("astype", (native,), Some(&uncopied(py)?))?;
    let numbers: Lent<'py, i64> = lent(&array.call_method1("view", ("int64",))?, "int64")?;
    let slice = numbers.slice()?;
    if let Some(row) = slice.iter().position(|&time| time == i64::MIN) {
        return Err(Failure::value(format_args!(
            "there is no time (NaT) in row {row}"
        )));
    }
    match nanos.checked_mul(count) {
        Some(1) => Ok(numbers),
        Some(unit) => Ok(Lent::Own(column::scaled("the column", slice, unit)?)),
        None => Err(Failure::overflow(
            "the unit of the times is longer than 292 years",
        )),
    }
}

/// As an array of one dimension, without a copy where there is memory to share.
fn as_array<'py>(object: &Bound<'py, PyAny>, what: &str) -> Outcome<Bound<'py, PyAny>> {
    let py = object.py();
    let array = py
        .import("numpy")?
        .call_method1("asarray", (object,))
        .map_err(|error| {
            if error.is_instance_of::<PyValueError>(py) || error.is_instance_of::<PyTypeError>(py) {
                let text = error
                    .value(py)
                    .str()
                    .map(|text| text.to_string())
                    .unwrap_or_default();
                return Failure::kind(format_args!("{what} cannot be made an array: {text}"));
            }
            error.into()
        })?;
    let dims: usize = array.getattr("ndim")?.extract()?;
    if dims != 1 {
        return Err(Failure::value(format_args!(
            "{what} must be a column, of one dimension; it has {dims}"
        )));
    }
    Ok(array)
}

/// Lends an array as one of `dtype`, copied only where it must be.
fn lent<'py, T: numpy::Element + ArrowNativeType>(
    array: &Bound<'py, PyAny>,
    dtype: &str,
) -> Outcome<Lent<'py, T>> {
    let py = array.py();
    let array = array.call_method("astype", (dtype,), Some(&uncopied(py)?))?;
    let array = py
        .import("numpy")?
        .call_method1("ascontiguousarray", (array,))?;
    let array = array.cast::<PyArray1<T>>().map_err(PyErr::from)?;
    let array = array
        .try_readonly()
        .map_err(|error| Failure::value(error.to_string()))?;
    Ok(Lent::Numpy(array))
}

fn uncopied(py: Python<'_>) -> Outcome<Bound<'_, PyDict>> {
    let named = PyDict::new(py);
    named.set_item("copy", false)?;
    Ok(named)
}

/// The pieces of a column of Arrow data; none where the object is something else.
fn arrow_columns(object: &Bound<'_, PyAny>) -> Outcome<Option<Vec<arrow_array::ArrayRef>>> {
    if object.is_instance_of::<PyList>() {
        return Ok(None);
    }
    let Some(arrays) = arrays_of(object)? else {
        return Ok(None);
    };
    let checked = arrays.map(|array| {
        let array = array?;
        array.to_data().validate_full()?;
        Ok(array)
    });
    checked.collect::<Outcome<Vec<_>>>().map(Some)
}

/// One column of several.
fn joined<T: ArrowNativeType>(
    mut columns: impl Iterator<Item = Outcome<ScalarBuffer<T>>>,
) -> Outcome<ScalarBuffer<T>> {
    let Some(first) = columns.next().transpose()? else {
        return Ok(Vec::new().into());
    };
    let Some(second) = columns.next() else {
        return Ok(first);
    };
    let mut all = first.to_vec();
    all.extend_from_slice(&second?);
    for column in columns {
        all.extend_from_slice(&column?);
    }
    Ok(all.into())
}
