//! What a program does with the library, and what it does wrong.

use std::ffi::c_char;
use std::ptr::{null, null_mut};

use super::{append, failed, labels, ok, open, query_options, select, small, string};
use crate::abi::append::{
    treering_append, treering_append_batch, treering_append_columns, treering_series_free,
    treering_series_open, treering_series_parse,
};
use crate::abi::database::{treering_close, treering_open, treering_open_read_only};
use crate::abi::error::{
    treering_error_free, treering_error_message, treering_error_status, treering_error_text,
};
use crate::abi::maintain::{
    treering_compact, treering_delete, treering_flush, treering_refresh, treering_snapshot,
    treering_stats, treering_sync, treering_text_free, treering_text_get, treering_verify,
};
use crate::abi::query::{
    treering_aggregate, treering_cancel_free, treering_cancel_new, treering_cancel_now,
    treering_promql, treering_promql_range, treering_select,
};
use crate::abi::result::{treering_result_free, treering_result_next, treering_result_notes};
use crate::abi::types::treering_status::*;
use crate::abi::types::*;

const SECOND: i64 = 1_000_000_000;

/// What a result hands out: labels as text, timestamps, bits of the values.
type Rows = Vec<(String, Vec<i64>, Vec<u64>)>;

fn blank() -> treering_columns {
    treering_columns {
        size: size_of::<treering_columns>(),
        labels: null(),
        labels_len: 0,
        timestamps: null(),
        values: null(),
        len: 0,
        approximate: 0,
        reserved: 0,
    }
}

fn text(string: treering_string) -> String {
    // SAFETY: strings of the library are good as long as their owner, which each caller has.
    let bytes = unsafe { std::slice::from_raw_parts(string.text.cast::<u8>(), string.len) };
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Reads a result to its end and frees it.
fn rows(result: treering_result) -> Rows {
    let (mut rows, mut error) = (Vec::new(), treering_error::default());
    loop {
        let mut columns = blank();
        // SAFETY: places of this function's own.
        let status = unsafe { treering_result_next(result, &raw mut columns, &raw mut error) };
        if status == TREERING_END {
            break;
        }
        ok(status, error);
        // SAFETY: lent until the next call, which is after the copies.
        let (labels, timestamps, values) = unsafe {
            (
                std::slice::from_raw_parts(columns.labels, columns.labels_len),
                std::slice::from_raw_parts(columns.timestamps, columns.len),
                std::slice::from_raw_parts(columns.values, columns.len),
            )
        };
        let label = |label: &treering_label| format!("{}={}", text(label.name), text(label.value));
        let labels: Vec<String> = labels.iter().map(label).collect();
        let bits = values.iter().map(|value| value.to_bits()).collect();
        rows.push((labels.join(","), timestamps.to_vec(), bits));
    }
    // SAFETY: no place is given.
    ok(unsafe { treering_result_free(result, null_mut()) }, error);
    rows
}

fn owned_text(text: treering_text) -> String {
    let (mut first, mut len) = (null::<c_char>(), 0);
    // SAFETY: places of this function's own; the bytes are copied before the text is freed.
    let copy = unsafe {
        let status = treering_text_get(text, &raw mut first, &raw mut len, null_mut());
        assert_eq!(status, TREERING_OK);
        std::slice::from_raw_parts(first.cast::<u8>(), len).to_vec()
    };
    // SAFETY: no place is given.
    assert_eq!(unsafe { treering_text_free(text, null_mut()) }, TREERING_OK);
    String::from_utf8(copy).unwrap()
}

fn close(db: treering_db) {
    let mut error = treering_error::default();
    // SAFETY: a place of this function's own.
    ok(unsafe { treering_close(db, &raw mut error) }, error);
}

#[test]
fn what_goes_in_comes_out_bit_for_bit() {
    let db = open();
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let values = [0.1, -0.0, f64::INFINITY, stale, f64::from_bits(1)];
    let times = [5, 1, 3, i64::MIN, i64::MAX];
    append(db, &[("__name__", "cpu"), ("host", "a")], &times, &values);
    let labels = labels(&[("host", "b"), ("__name__", "cpu")]);
    let mut error = treering_error::default();
    // SAFETY: slices and places of this test's own.
    let status =
        unsafe { treering_append(db, labels.as_ptr(), labels.len(), 7, 7.5, &raw mut error) };
    ok(status, error);
    let found = rows(select(db, "cpu"));
    let bits = [stale, -0.0, f64::INFINITY, 0.1, f64::from_bits(1)].map(f64::to_bits);
    let times = vec![i64::MIN, 1, 3, 5, i64::MAX];
    assert_eq!(
        found[0],
        ("__name__=cpu,host=a".to_owned(), times, bits.to_vec())
    );
    assert_eq!(
        found[1],
        (
            "__name__=cpu,host=b".to_owned(),
            vec![7],
            vec![7.5_f64.to_bits()]
        )
    );
    assert_eq!(found.len(), 2);
    close(db);
}

#[test]
fn series_handles_append_and_outlive_their_database() {
    let db = open();
    let (mut one, mut two) = (treering_series::default(), treering_series::default());
    let (pairs, text) = (labels(&[("__name__", "cpu")]), "disk{host=\"a\"}");
    let times = [1, 2, 3, 4];
    let mut error = treering_error::default();
    // SAFETY: slices and places of this test's own.
    unsafe {
        ok(
            treering_series_open(db, pairs.as_ptr(), 1, &raw mut one, &raw mut error),
            error,
        );
        let (start, len) = (text.as_ptr().cast(), text.len());
        ok(
            treering_series_parse(db, start, len, &raw mut two, &raw mut error),
            error,
        );
        let series = [one, two, one, two];
        let values = [1.0, 2.0, 3.0, 4.0];
        let (series, times, values) = (series.as_ptr(), times.as_ptr(), values.as_ptr());
        ok(
            treering_append_batch(db, series, times, values, 4, &raw mut error),
            error,
        );
    }
    assert_eq!(rows(select(db, "{__name__=~\".+\"}")).len(), 2);
    close(db);
    // SAFETY: no place is given.
    unsafe {
        assert_eq!(treering_series_free(one, null_mut()), TREERING_OK);
        assert_eq!(treering_series_free(one, null_mut()), TREERING_ERROR_HANDLE);
        let other = open();
        let (times, values) = (times.as_ptr(), [1.0].as_ptr());
        let status = treering_append_batch(other, &raw const two, times, values, 1, null_mut());
        assert_eq!(status, TREERING_ERROR_STALE_SERIES);
        assert_eq!(treering_series_free(two, null_mut()), TREERING_OK);
        close(other);
    }
}

#[test]
fn null_closed_and_mistaken_handles_are_errors() {
    let db = open();
    append(db, &[("__name__", "cpu")], &[1], &[1.0]);
    let result = select(db, "cpu");
    let mut error = treering_error::default();
    // SAFETY: no places but the error's.
    unsafe {
        let status = treering_close(treering_db { id: result.id }, &raw mut error);
        let said = failed(status, TREERING_ERROR_HANDLE, error);
        assert!(said.contains("is not one of a treering_db"), "{said}");
        let status = treering_flush(treering_db { id: 0 }, &raw mut error);
        assert!(failed(status, TREERING_ERROR_HANDLE, error).contains("is null"));
    }
    close(db);
    // SAFETY: as above.
    unsafe {
        let status = treering_close(db, &raw mut error);
        assert!(failed(status, TREERING_ERROR_HANDLE, error).contains("closed or freed before"));
        let status = treering_sync(db, &raw mut error);
        failed(status, TREERING_ERROR_HANDLE, error);
    }
    // An answer outlives its database.
    assert_eq!(rows(result).len(), 1);
    // SAFETY: as above.
    let again = unsafe { treering_result_free(result, &raw mut error) };
    failed(again, TREERING_ERROR_HANDLE, error);
    // SAFETY: as above; null may be freed.
    let none = unsafe { treering_result_free(treering_result::default(), null_mut()) };
    assert_eq!(none, TREERING_OK);
}

#[test]
fn errors_are_owned_and_can_be_passed_over() {
    let db = open();
    let (selector, mut result) = ("cpu{", treering_result { id: 7 });
    let ask = |result, error| {
        let (start, len) = (selector.as_ptr().cast(), selector.len());
        // SAFETY: places of this test's own, or null.
        unsafe { treering_select(db, start, len, 0, 1, null(), result, error) }
    };
    assert_eq!(ask(&raw mut result, null_mut()), TREERING_ERROR_LABELS);
    assert_eq!(result.id, 0, "what failed leaves null");
    assert_eq!(ask(null_mut(), null_mut()), TREERING_ERROR_ARGUMENT);
    let mut error = treering_error::default();
    ask(&raw mut result, &raw mut error);
    assert_eq!(treering_error_status(error), TREERING_ERROR_LABELS);
    let (mut text, mut len) = (null::<c_char>(), 0);
    // SAFETY: places of this test's own.
    let status = unsafe { treering_error_text(error, &raw mut text, &raw mut len) };
    assert!(status == TREERING_OK && len > 10 && text == treering_error_message(error));
    assert_eq!(treering_error_free(error), TREERING_OK);
    assert_eq!(treering_error_free(error), TREERING_ERROR_HANDLE);
    assert_eq!(treering_error_status(error), TREERING_ERROR_HANDLE);
    assert!(super::message(error).contains("not an error"));
    assert_eq!(treering_error_free(treering_error::default()), TREERING_OK);
    close(db);
}

#[test]
fn lengths_and_pointers_that_cannot_be_are_errors() {
    let db = open();
    let labels = labels(&[("__name__", "cpu")]);
    let (times, values) = ([1_i64, 2], [1.0, 2.0]);
    let columns = |labels: *const treering_label, times: *const i64, len| {
        let mut error = treering_error::default();
        let (values, error) = (values.as_ptr(), &raw mut error);
        // SAFETY: slices of this test's own, or pointers and lengths that must be refused unread.
        unsafe { treering_append_columns(db, labels, 1, times, values, len, error) }
    };
    let good = (labels.as_ptr(), times.as_ptr());
    assert_eq!(columns(null(), good.1, 2), TREERING_ERROR_ARGUMENT);
    assert_eq!(columns(good.0, null(), 2), TREERING_ERROR_ARGUMENT);
    for len in [usize::MAX, usize::MAX / 8, 1 << 61] {
        assert_eq!(columns(good.0, good.1, len), TREERING_ERROR_ARGUMENT);
    }
    assert_eq!(columns(good.0, good.1, (4 << 20) + 1), TREERING_ERROR_LIMIT);
    let crooked = good.1.cast::<u8>().wrapping_add(1).cast();
    assert_eq!(columns(good.0, crooked, 1), TREERING_ERROR_ARGUMENT);
    let crooked = good.0.cast::<u8>().wrapping_add(4).cast();
    assert_eq!(columns(crooked, good.1, 1), TREERING_ERROR_ARGUMENT);
    assert_eq!(columns(good.0, good.1, 0), TREERING_OK);
    assert!(rows(select(db, "cpu")).is_empty());
    assert_eq!(columns(good.0, good.1, 2), TREERING_OK);
    let mut error = treering_error::default();
    let out = (&raw mut error).cast::<u8>().wrapping_add(1).cast();
    // SAFETY: a misaligned place, which is refused unread.
    assert_eq!(unsafe { treering_sync(db, out) }, TREERING_ERROR_ARGUMENT);
    let bad = treering_label {
        name: string("host"),
        value: treering_string {
            text: [0xff_u8, 0xfe].as_ptr().cast(),
            len: 2,
        },
    };
    assert_eq!(columns(&raw const bad, good.1, 1), TREERING_ERROR_ARGUMENT);
    close(db);
}

#[test]
fn aggregates_group_and_window() {
    let db = open();
    for (host, value) in [("a", 1.0), ("b", 3.0)] {
        append(
            db,
            &[("__name__", "cpu"), ("host", host)],
            &[1, 11],
            &[value, value + 1.0],
        );
    }
    let names = [string("__name__")];
    let mut what = treering_aggregation {
        size: size_of::<treering_aggregation>(),
        function: TREERING_SUM,
        grouping: TREERING_BY,
        quantile: 0.0,
        step_ns: 10,
        window_ns: 0,
        names: names.as_ptr(),
        names_len: 1,
        top: 0,
        bottom: 0,
    };
    let ask = |what: *const treering_aggregation| {
        let (mut result, mut error) = (treering_result::default(), treering_error::default());
        // SAFETY: slices and places of this test's own, or null.
        let status = unsafe {
            let (start, len) = ("cpu".as_ptr().cast(), 3);
            let places = (&raw mut result, &raw mut error);
            treering_aggregate(db, start, len, 1, 20, what, null(), places.0, places.1)
        };
        match status {
            TREERING_OK => Ok(rows(result)),
            status => Err(failed(status, TREERING_ERROR_ARGUMENT, error)),
        }
    };
    let sums = [4.0_f64, 6.0].map(f64::to_bits).to_vec();
    let expected = ("__name__=cpu".to_owned(), vec![10, 20], sums);
    assert_eq!(ask(&raw const what).unwrap(), [expected]);
    what.function = 99;
    assert!(ask(&raw const what).unwrap_err().contains("TREERING_COUNT"));
    (what.function, what.grouping) = (TREERING_MAX, TREERING_EACH);
    assert!(ask(&raw const what).unwrap_err().contains("TREERING_EACH"));
    (what.names_len, what.step_ns, what.top) = (0, 0, 1);
    assert_eq!(ask(&raw const what).unwrap()[0].0, "__name__=cpu,host=b");
    what.bottom = 1;
    assert!(ask(&raw const what).is_err() && ask(null()).is_err());
    close(db);
}

#[test]
fn promql_answers_with_columns_and_notes() {
    let db = open();
    let times: Vec<i64> = (0..=20).map(|at| at * 15 * SECOND).collect();
    let values: Vec<f64> = (0..=20).map(|at| f64::from(at) * 30.0).collect();
    append(
        db,
        &[("__name__", "requests"), ("job", "api")],
        &times,
        &values,
    );
    let instant = |query: &str| {
        let (mut result, mut error) = (treering_result::default(), treering_error::default());
        let (start, len) = (query.as_ptr().cast(), query.len());
        let places = (&raw mut result, &raw mut error);
        // SAFETY: slices and places of this test's own.
        let status =
            unsafe { treering_promql(db, start, len, 300 * SECOND, null(), places.0, places.1) };
        (status, result, error)
    };
    let (status, result, error) = instant("sum by (job) (rate(requests[2m]))");
    ok(status, error);
    let mut notes = treering_text::default();
    // SAFETY: a place of this test's own.
    unsafe { treering_result_notes(result, &raw mut notes, null_mut()) };
    assert!(owned_text(notes).contains("might not be a counter"));
    let found = rows(result);
    assert!(
        (f64::from_bits(found[0].2[0]) - 2.0).abs() < 1e-9,
        "{found:?}"
    );
    assert_eq!(found[0].0, "job=api");
    let (status, _, error) = instant("sum(");
    failed(status, TREERING_ERROR_QUERY, error);
    let (status, _, error) = instant("\"a text\"");
    failed(status, TREERING_ERROR_UNSUPPORTED, error);
    let (status, result, _) = instant("1 + 1");
    assert_eq!(status, TREERING_OK);
    let two = vec![2.0_f64.to_bits()];
    assert_eq!(rows(result), [(String::new(), vec![300 * SECOND], two)]);
    let (mut result, mut error) = (treering_result::default(), treering_error::default());
    let (query, places) = ("requests * 2", (&raw mut result, &raw mut error));
    // SAFETY: slices and places of this test's own.
    let status = unsafe {
        let (start, len, step) = (query.as_ptr().cast(), query.len(), 60 * SECOND);
        treering_promql_range(
            db,
            start,
            len,
            0,
            300 * SECOND,
            step,
            null(),
            places.0,
            places.1,
        )
    };
    ok(status, error);
    assert_eq!(rows(result)[0].1.len(), 6);
    close(db);
}

#[test]
fn a_database_on_disk_is_kept_checked_copied_and_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (home, copy) = (path("db"), path("copy"));
    let (mut db, mut reader, options) = (treering_db::default(), treering_db::default(), small());
    let mut error = treering_error::default();
    let (start, len, options) = (home.as_ptr().cast(), home.len(), &raw const options);
    // SAFETY: slices and places of this test's own.
    unsafe {
        ok(
            treering_open(start, len, options, &raw mut db, &raw mut error),
            error,
        );
        let status = treering_open(start, len, options, &raw mut reader, &raw mut error);
        failed(status, TREERING_ERROR_LOCKED, error);
        let status = treering_open_read_only(start, len, options, &raw mut reader, &raw mut error);
        ok(status, error);
    }
    append(db, &[("__name__", "cpu")], &[1, 2, 3], &[1.0, 2.0, 3.0]);
    let (mut changed, mut problems) = (0, 9);
    let (mut stats, mut report) = (treering_text::default(), treering_text::default());
    // SAFETY: slices and places of this test's own.
    unsafe {
        ok(
            treering_refresh(reader, &raw mut changed, &raw mut error),
            error,
        );
        assert_eq!(changed, 1);
        let status = treering_flush(reader, &raw mut error);
        failed(status, TREERING_ERROR_READ_ONLY, error);
        let all = ("cpu".as_ptr().cast(), 3);
        ok(
            treering_delete(db, all.0, all.1, 2, 2, &raw mut error),
            error,
        );
        ok(treering_flush(db, &raw mut error), error);
        ok(treering_compact(db, &raw mut error), error);
        let (place, length) = (copy.as_ptr().cast(), copy.len());
        ok(treering_snapshot(db, place, length, &raw mut error), error);
        ok(
            treering_verify(db, &raw mut problems, &raw mut report, &raw mut error),
            error,
        );
        ok(treering_stats(db, &raw mut stats, &raw mut error), error);
    }
    assert_eq!(problems, 0);
    assert!(owned_text(report).contains("\"problems\":[]"));
    let stats: serde_json::Value = serde_json::from_str(&owned_text(stats)).unwrap();
    assert_eq!(stats["block_samples"], 2);
    close(db);
    close(reader);
    // SAFETY: slices and places of this test's own.
    unsafe {
        let (start, len) = (copy.as_ptr().cast(), copy.len());
        ok(
            treering_open(start, len, options, &raw mut db, &raw mut error),
            error,
        );
    }
    assert_eq!(rows(select(db, "cpu"))[0].1, [1, 3]);
    close(db);
}

#[test]
fn a_question_is_cancelled_from_outside() {
    let db = open();
    append(db, &[("__name__", "cpu")], &[1], &[1.0]);
    let mut options = query_options();
    let (mut result, mut error) = (treering_result::default(), treering_error::default());
    // SAFETY: slices and places of this test's own.
    unsafe {
        assert_eq!(
            treering_cancel_new(&raw mut options.cancel, null_mut()),
            TREERING_OK
        );
        let ask = |options: &treering_query_options, result, error| {
            let start = "cpu".as_ptr().cast();
            treering_select(
                db,
                start,
                3,
                0,
                9,
                std::ptr::from_ref(options),
                result,
                error,
            )
        };
        ok(ask(&options, &raw mut result, &raw mut error), error);
        assert_eq!(treering_cancel_now(options.cancel, null_mut()), TREERING_OK);
        let mut columns = blank();
        let status = treering_result_next(result, &raw mut columns, &raw mut error);
        failed(status, TREERING_ERROR_CANCELLED, error);
        let status = treering_result_next(result, &raw mut columns, &raw mut error);
        assert_eq!(
            status, TREERING_END,
            "after a failure there is nothing more"
        );
        assert_eq!(treering_result_free(result, null_mut()), TREERING_OK);
        let status = ask(&options, &raw mut result, &raw mut error);
        failed(status, TREERING_ERROR_CANCELLED, error);
        assert_eq!(
            treering_cancel_free(options.cancel, null_mut()),
            TREERING_OK
        );
        let status = ask(&options, &raw mut result, &raw mut error);
        failed(status, TREERING_ERROR_HANDLE, error);
    }
    close(db);
}

#[test]
fn threads_share_a_database_while_one_closes_it() {
    let db = open();
    std::thread::scope(|scope| {
        for thread in 0..4_i64 {
            scope.spawn(move || {
                let labels = labels(&[("__name__", "cpu")]);
                for at in 0.. {
                    let (first, time) = (labels.as_ptr(), thread << 32 | at);
                    // SAFETY: slices of this thread's own.
                    let status = unsafe { treering_append(db, first, 1, time, 1.0, null_mut()) };
                    match status {
                        TREERING_OK => {}
                        TREERING_ERROR_HANDLE | TREERING_ERROR_CLOSED => break,
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
        scope.spawn(move || {
            while rows(select(db, "cpu"))
                .iter()
                .map(|row| row.1.len())
                .sum::<usize>()
                < 200
            {}
            close(db);
        });
    });
}
