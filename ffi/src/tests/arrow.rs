//! The Arrow stream, read as a consumer reads it: through its function pointers and buffers.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use super::{append, failed, labels, ok, open, select};
use crate::abi::append::treering_append_columns;
use crate::abi::database::treering_close;
use crate::abi::query::{treering_aggregate, treering_cancel_new, treering_cancel_now};
use crate::abi::result::treering_result_arrow;
use crate::abi::types::treering_status::*;
use crate::abi::types::*;
use crate::arrow::structs::{ArrowArray, ArrowArrayStream, ArrowSchema};

/// A row as a consumer sees it: each column as text.
type Row = Vec<(String, String)>;

/// Moves a result into a stream.
pub(super) fn stream_of(result: treering_result) -> ArrowArrayStream {
    let (mut stream, mut error) = (MaybeUninit::uninit(), treering_error::default());
    // SAFETY: places of this function's own; the stream is written when the status is good.
    unsafe {
        let status = treering_result_arrow(result, stream.as_mut_ptr(), &raw mut error);
        ok(status, error);
        stream.assume_init()
    }
}

/// The next batch; none at the end.
pub(super) fn next(stream: &mut ArrowArrayStream) -> Result<Option<ArrowArray>, i32> {
    let mut array = MaybeUninit::uninit();
    // SAFETY: a stream of the library, a place for the array, which is written when 0 comes back.
    unsafe {
        match (stream.get_next.unwrap())(stream, array.as_mut_ptr()) {
            0 => Ok(Some(array.assume_init()).filter(|array| array.release.is_some())),
            number => Err(number),
        }
    }
}

pub(super) fn schema_of(stream: &mut ArrowArrayStream) -> ArrowSchema {
    let mut schema = MaybeUninit::uninit();
    // SAFETY: a stream of the library, a place for the schema.
    unsafe {
        assert_eq!((stream.get_schema.unwrap())(stream, schema.as_mut_ptr()), 0);
        schema.assume_init()
    }
}

pub(super) fn release(mut stream: ArrowArrayStream) {
    // SAFETY: a stream of the library, released once.
    unsafe { (stream.release.unwrap())(&raw mut stream) };
    assert!(stream.release.is_none() && stream.private_data.is_null());
}

/// Reads a stream to its end and releases all of it.
pub(super) fn read(mut stream: ArrowArrayStream) -> (Vec<Row>, usize) {
    let mut schema = schema_of(&mut stream);
    let (mut rows, mut batches) = (Vec::new(), 0);
    while let Some(mut array) = next(&mut stream).unwrap() {
        batches += 1;
        // SAFETY: schema and array are of the library and not released yet.
        unsafe {
            assert_eq!(array.n_children, schema.n_children);
            for at in 0..array.length as usize {
                let column = |child: usize| {
                    let (field, data) =
                        (&**schema.children.add(child), &**array.children.add(child));
                    assert_eq!(data.length, array.length);
                    let name = CStr::from_ptr(field.name).to_str().unwrap().to_owned();
                    (name, cell(field, data, at))
                };
                rows.push((0..array.n_children as usize).map(column).collect());
            }
            (array.release.unwrap())(&raw mut array);
            assert!(array.release.is_none());
        }
    }
    assert!(next(&mut stream).unwrap().is_none(), "an end is an end");
    // SAFETY: a schema of the library, released once.
    unsafe { (schema.release.unwrap())(&raw mut schema) };
    release(stream);
    (rows, batches)
}

/// One cell as text, by the format of its column.
unsafe fn cell(field: &ArrowSchema, data: &ArrowArray, at: usize) -> String {
    // SAFETY: the buffers are as the format says, and `at` is a row; who calls promises both.
    unsafe {
        let buffer = |number: usize| *data.buffers.add(number);
        let bit = |bits: *const u8| *bits.add(at / 8) >> (at % 8) & 1;
        if !buffer(0).is_null() && bit(buffer(0).cast()) == 0 {
            assert!(data.null_count > 0 && field.flags == 2);
            return "null".to_owned();
        }
        match CStr::from_ptr(field.format).to_str().unwrap() {
            "i" => {
                let texts = &*data.dictionary;
                let index = *buffer(1).cast::<i32>().add(at) as usize;
                assert!(index < texts.length as usize);
                let offsets = (*texts.buffers.add(1)).cast::<i32>().add(index);
                let (start, end) = (*offsets as usize, *offsets.add(1) as usize);
                let bytes = (*texts.buffers.add(2)).cast::<u8>().add(start);
                let bytes = std::slice::from_raw_parts(bytes, end - start);
                std::str::from_utf8(bytes).unwrap().to_owned()
            }
            "tsn:UTC" => (*buffer(1).cast::<i64>().add(at)).to_string(),
            "g" => format!("{:#x}", (*buffer(1).cast::<f64>().add(at)).to_bits()),
            "b" => bit(buffer(1).cast()).to_string(),
            other => panic!("{other}"),
        }
    }
}

fn row(cells: &[(&str, &str)]) -> Row {
    let cell = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    cells.iter().map(cell).collect()
}

fn close(db: treering_db) {
    // SAFETY: no place is given.
    assert_eq!(unsafe { treering_close(db, null_mut()) }, TREERING_OK);
}

#[test]
fn labels_are_columns_and_what_a_series_has_not_is_null() {
    let db = open();
    append(
        db,
        &[("__name__", "cpu"), ("host", "a")],
        &[1, 2],
        &[-0.0, 2.0],
    );
    append(
        db,
        &[("__name__", "cpu"), ("value", "v")],
        &[3],
        &[f64::NAN],
    );
    let (rows, batches) = read(stream_of(select(db, "cpu")));
    let expected = [
        row(&[
            ("__name__", "cpu"),
            ("host", "a"),
            ("label_value", "null"),
            ("timestamp", "1"),
            ("value", "0x8000000000000000"),
        ]),
        row(&[
            ("__name__", "cpu"),
            ("host", "a"),
            ("label_value", "null"),
            ("timestamp", "2"),
            ("value", "0x4000000000000000"),
        ]),
        row(&[
            ("__name__", "cpu"),
            ("host", "null"),
            ("label_value", "v"),
            ("timestamp", "3"),
            ("value", "0x7ff8000000000000"),
        ]),
    ];
    assert_eq!((rows, batches), (expected.to_vec(), 1));
    close(db);
}

#[test]
fn long_answers_come_in_batches_and_empty_ones_in_none() {
    let db = open();
    let hosts = ["a", "b", "c", "d", "e"];
    for host in hosts {
        let times: Vec<i64> = (0..30_000).collect();
        let values: Vec<f64> = times.iter().map(|at| *at as f64).collect();
        append(db, &[("__name__", "cpu"), ("host", host)], &times, &values);
    }
    let (rows, batches) = read(stream_of(select(db, "cpu")));
    assert_eq!((rows.len(), batches), (150_000, 2));
    for (at, cells) in rows.iter().enumerate() {
        assert_eq!(cells[1].1, hosts[at / 30_000]);
        assert_eq!(cells[2].1, (at % 30_000).to_string());
    }
    assert_eq!(read(stream_of(select(db, "nothing"))), (Vec::new(), 0));
    close(db);
}

#[test]
fn aggregates_say_whether_they_are_approximate() {
    let db = open();
    append(
        db,
        &[("__name__", "cpu"), ("host", "a")],
        &[1, 2],
        &[1.0, 2.0],
    );
    let what = treering_aggregation {
        size: size_of::<treering_aggregation>(),
        function: TREERING_COUNT,
        grouping: TREERING_BY,
        quantile: 0.0,
        step_ns: 0,
        window_ns: 0,
        names: null(),
        names_len: 0,
        top: 0,
        bottom: 0,
    };
    let (mut result, mut error) = (treering_result::default(), treering_error::default());
    let places = (&raw mut result, &raw mut error);
    // SAFETY: slices and places of this test's own.
    let status = unsafe {
        let (start, what) = ("cpu".as_ptr().cast(), &raw const what);
        treering_aggregate(db, start, 3, 0, 9, what, null(), places.0, places.1)
    };
    ok(status, error);
    let cells = [
        ("timestamp", "9"),
        ("value", "0x4000000000000000"),
        ("approximate", "0"),
    ];
    assert_eq!(read(stream_of(result)), (vec![row(&cells)], 1));
    close(db);
}

#[test]
fn a_column_that_was_moved_out_is_released_by_its_new_owner() {
    let db = open();
    append(db, &[("__name__", "cpu")], &[1, 2], &[1.0, 2.0]);
    let mut stream = stream_of(select(db, "cpu"));
    close(db);
    let mut array = next(&mut stream).unwrap().unwrap();
    // SAFETY: a child is moved as the interface says: its content is copied, its release becomes
    // null; then parent and child are released apart.
    unsafe {
        let child = *array.children.add(1);
        let mut moved = child.read();
        (*child).release = None;
        (array.release.unwrap())(&raw mut array);
        let times = (*moved.buffers.add(1)).cast::<i64>();
        assert_eq!((*times, *times.add(1)), (1, 2));
        (moved.release.unwrap())(&raw mut moved);
        assert!(moved.release.is_none());
    }
    release(stream);
}

#[test]
fn a_failing_stream_tells_why_and_ends() {
    let db = open();
    let pairs = labels(&[("__name__", "cpu")]);
    let (times, values) = ([1_i64], [1.0]);
    let mut options = super::query_options();
    let (mut result, mut error) = (treering_result::default(), treering_error::default());
    // SAFETY: slices and places of this test's own.
    unsafe {
        let columns = (times.as_ptr(), values.as_ptr());
        let first = pairs.as_ptr();
        let out = &raw mut error;
        ok(
            treering_append_columns(db, first, 1, columns.0, columns.1, 1, out),
            error,
        );
        assert_eq!(
            treering_cancel_new(&raw mut options.cancel, null_mut()),
            TREERING_OK
        );
        let selector = ("cpu".as_ptr().cast(), 3);
        let status = crate::abi::query::treering_select(
            db,
            selector.0,
            selector.1,
            0,
            9,
            &raw const options,
            &raw mut result,
            &raw mut error,
        );
        ok(status, error);
        assert_eq!(treering_cancel_now(options.cancel, null_mut()), TREERING_OK);
        let mut stream = ArrowArrayStream::released();
        let status = treering_result_arrow(result, &raw mut stream, &raw mut error);
        failed(status, TREERING_ERROR_CANCELLED, error);
        assert!(stream.release.is_none());
        let status = treering_result_arrow(result, &raw mut stream, &raw mut error);
        failed(status, TREERING_ERROR_HANDLE, error);
    }
    close(db);
}
