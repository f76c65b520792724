//! Memory that Rust and Python share: Arrow capsules, and numpy arrays over our columns.
//!
//! Input: Arrow structs behind pointers of capsules; columns. Output: readers that own what they
//! read; arrays and capsules that own what they show. This is the one file that says `unsafe`:
//! the Arrow PyCapsule interface hands out pointers, and an array over our memory is made of one.
#![allow(
    unsafe_code,
    reason = "capsules hold pointers, and arrays are made over ours"
)]

use std::ffi::CStr;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{RecordBatchReader, make_array};
use arrow_buffer::{ArrowNativeType, Buffer, ScalarBuffer};
use arrow_schema::Schema;
use numpy::ndarray::ArrayView1;
use numpy::{Element, PyArray1};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};

use crate::failure::{Failure, Outcome};

const STREAM: &CStr = c"arrow_array_stream";
const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";

/// Keeps a column while an array shows it.
#[pyclass(frozen, module = "treering._native")]
struct Column {
    _kept: Buffer,
}

/// What a producer of Arrow data gives: arrays of one type, and the field that names it.
pub(crate) type Arrays = Box<dyn Iterator<Item = Outcome<arrow_array::ArrayRef>> + Send>;

/// The arrays of an object with `__arrow_c_stream__` or `__arrow_c_array__`; `None` for one that has
/// neither.
pub(crate) fn arrays_of(object: &Bound<'_, PyAny>) -> Outcome<Option<Arrays>> {
    if let Some(method) = object.getattr_opt("__arrow_c_stream__")? {
        let capsule = method.call0()?;
        let capsule = capsule.cast::<PyCapsule>().map_err(PyErr::from)?;
        let pointer = capsule.pointer_checked(Some(STREAM))?.cast();
        // SAFETY: a capsule of this name holds a stream, by the Arrow PyCapsule interface. It is
        // moved out: what stays behind is released, as the interface asks.
        let stream = unsafe { FFI_ArrowArrayStream::from_raw(pointer.as_ptr()) };
        let reader = ArrayStreamReader::try_new(stream)?;
        return Ok(Some(Box::new(reader.map(|array| Ok(array?)))));
    }
    let Some(method) = object.getattr_opt("__arrow_c_array__")? else {
        return Ok(None);
    };
    let pair: (Bound<'_, PyAny>, Bound<'_, PyAny>) = method.call0()?.extract()?;
    let schema = pair
        .0
        .cast::<PyCapsule>()
        .map_err(PyErr::from)?
        .pointer_checked(Some(SCHEMA))?;
    let array = pair
        .1
        .cast::<PyCapsule>()
        .map_err(PyErr::from)?
        .pointer_checked(Some(ARRAY))?;
    // SAFETY: capsules of these names hold these structs, by the Arrow PyCapsule interface; both are
    // moved out, and what stays behind is released.
    let data = unsafe {
        let schema = FFI_ArrowSchema::from_raw(schema.cast().as_ptr());
        let array = FFI_ArrowArray::from_raw(array.cast().as_ptr());
        if array.is_released() {
            return Err(Failure::new(
                "FrameError",
                "the Arrow array was taken already",
            ));
        }
        from_ffi(array, &schema)?
    };
    Ok(Some(Box::new(std::iter::once(Ok(make_array(data))))))
}

/// A capsule with a stream of batches, which releases the stream if nobody takes it.
pub(crate) fn stream_capsule<'py>(
    py: Python<'py>,
    reader: Box<dyn RecordBatchReader + Send>,
) -> Outcome<Bound<'py, PyCapsule>> {
    let stream = FFI_ArrowArrayStream::new(reader);
    Ok(PyCapsule::new_with_value(py, stream, STREAM)?)
}

/// A capsule with the type of the rows.
pub(crate) fn schema_capsule<'py>(
    py: Python<'py>,
    schema: &Schema,
) -> Outcome<Bound<'py, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(schema)?;
    Ok(PyCapsule::new_with_value(py, schema, SCHEMA)?)
}

/// A read-only `datetime64[ns]` array over these timestamps.
pub(crate) fn times_array<'py>(
    py: Python<'py>,
    times: &ScalarBuffer<i64>,
) -> Outcome<Bound<'py, PyAny>> {
    let array = array_over(py, times)?;
    Ok(array.call_method1("view", ("datetime64[ns]",))?)
}

/// A read-only `float64` array over these values.
pub(crate) fn values_array<'py>(
    py: Python<'py>,
    values: &ScalarBuffer<f64>,
) -> Outcome<Bound<'py, PyAny>> {
    array_over(py, values)
}

fn array_over<'py, T: Element + ArrowNativeType>(
    py: Python<'py>,
    column: &ScalarBuffer<T>,
) -> Outcome<Bound<'py, PyAny>> {
    let kept = column.inner().clone();
    let keeper = Bound::new(py, Column { _kept: kept })?.into_any();
    let view = ArrayView1::from(&column[..]);
    // SAFETY: `keeper` is the array's base object and holds the same buffer, which is immutable and
    // stays where it is.
    let array = unsafe { PyArray1::borrow_from_array(&view, keeper) }.into_any();
    // Others show the same memory.
    let flags = pyo3::types::PyDict::new(py);
    flags.set_item("write", false)?;
    array.call_method("setflags", (), Some(&flags))?;
    Ok(array)
}
