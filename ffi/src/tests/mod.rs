//! Tests of the library through the functions that it exports, called as C would call them.
//!
//! Input: calls, right and wrong ones. Output: what they must come to. This file has what the tests
//! share; `tests/c/` beside the sources has the same from C.
#![allow(unsafe_code, reason = "what C calls is unsafe to call")]
#![allow(clippy::print_stdout, reason = "what a test counted is for its log")]

mod arrow;
mod calls;
mod steps;
mod stories;

use std::ffi::CStr;

use crate::abi::append::treering_append_columns;
use crate::abi::database::treering_open_in_memory;
use crate::abi::error::{treering_error_free, treering_error_message};
use crate::abi::query::treering_select;
use crate::abi::types::treering_status::TREERING_OK;
use crate::abi::types::{
    treering_db, treering_error, treering_label, treering_options, treering_query_options,
    treering_result, treering_status, treering_string,
};

/// Options that cost a test little.
pub(crate) fn small() -> treering_options {
    treering_options {
        size: size_of::<treering_options>(),
        memory_bytes: 16 << 20,
        manual_maintenance: 1,
        query_threads: 1,
        ..zeroed_options()
    }
}

/// As C's `{0}`.
pub(crate) fn zeroed_options() -> treering_options {
    treering_options {
        size: 0,
        memory_bytes: 0,
        max_series: 0,
        wal_file_bytes: 0,
        wal_max_bytes: 0,
        flush_interval_ns: 0,
        block_window_ns: 0,
        sync_interval_ns: 0,
        sync: 0,
        reads: 0,
        must_exist: 0,
        manual_maintenance: 0,
        entropy_coding: 0,
        query_threads: 0,
    }
}

/// As C's `{0}` with the size set.
pub(crate) fn query_options() -> treering_query_options {
    treering_query_options {
        size: size_of::<treering_query_options>(),
        max_series: 0,
        max_samples: 0,
        max_bytes: 0,
        timeout_ns: 0,
        lookback_ns: 0,
        cancel: Default::default(),
    }
}

/// Labels as C gives them.
pub(crate) fn labels(pairs: &[(&'static str, &'static str)]) -> Vec<treering_label> {
    let label = |&(name, value): &(&'static str, &'static str)| treering_label {
        name: string(name),
        value: string(value),
    };
    pairs.iter().map(label).collect()
}

pub(crate) fn string(text: &'static str) -> treering_string {
    treering_string {
        text: text.as_ptr().cast(),
        len: text.len(),
    }
}

/// A database in memory.
pub(crate) fn open() -> treering_db {
    let (mut db, options) = (treering_db::default(), small());
    // SAFETY: places of this function's own.
    let status =
        unsafe { treering_open_in_memory(&raw const options, &raw mut db, std::ptr::null_mut()) };
    assert_eq!(status, TREERING_OK);
    db
}

/// Appends a column of a series.
pub(crate) fn append(
    db: treering_db,
    pairs: &[(&'static str, &'static str)],
    timestamps: &[i64],
    values: &[f64],
) {
    let (labels, mut error) = (labels(pairs), treering_error::default());
    // SAFETY: slices and places of this function's own.
    let status = unsafe {
        treering_append_columns(
            db,
            labels.as_ptr(),
            labels.len(),
            timestamps.as_ptr(),
            values.as_ptr(),
            timestamps.len(),
            &raw mut error,
        )
    };
    ok(status, error);
}

/// All samples of a selector.
pub(crate) fn select(db: treering_db, selector: &str) -> treering_result {
    let (mut result, mut error) = (treering_result::default(), treering_error::default());
    // SAFETY: slices and places of this function's own.
    let status = unsafe {
        treering_select(
            db,
            selector.as_ptr().cast(),
            selector.len(),
            i64::MIN,
            i64::MAX,
            std::ptr::null(),
            &raw mut result,
            &raw mut error,
        )
    };
    ok(status, error);
    result
}

/// The call went well; otherwise what it said.
#[track_caller]
pub(crate) fn ok(status: treering_status, error: treering_error) {
    assert!(status == TREERING_OK, "{status:?}: {}", message(error));
    assert_eq!(error.id, 0);
}

/// The call failed as it should; frees the error and gives its sentence.
#[track_caller]
pub(crate) fn failed(
    status: treering_status,
    expected: treering_status,
    error: treering_error,
) -> String {
    let text = message(error);
    assert_eq!(status, expected, "{text}");
    assert_eq!(treering_error_free(error), TREERING_OK);
    text
}

/// The sentence of an error.
pub(crate) fn message(error: treering_error) -> String {
    // SAFETY: the message is never null, ends with a zero byte, and the error is not freed yet.
    let text = unsafe { CStr::from_ptr(treering_error_message(error)) };
    text.to_string_lossy().into_owned()
}
