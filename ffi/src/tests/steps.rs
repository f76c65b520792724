//! The calls of the random sequences, one function for each kind: arguments from numbers, the call,
//! and what it must have come to.

use std::ptr::{null, null_mut};

use super::arrow::{next, release, schema_of};
use super::calls::Kind::{Cancel, Db, Error, Result, Series, Text};
use super::calls::{Chosen, Step, World, at, span, text};
use super::{labels, query_options, small, zeroed_options};
use crate::abi::append::*;
use crate::abi::database::*;
use crate::abi::error::*;
use crate::abi::maintain::*;
use crate::abi::query::*;
use crate::abi::result::*;
use crate::abi::types::treering_status::*;
use crate::abi::types::*;
use crate::arrow::structs::ArrowArrayStream;

const SELECTORS: [&str; 6] = [
    "cpu",
    "{host=\"a\"}",
    "{__name__=~\".+\"}",
    "cpu{",
    "",
    "x{a=~\"(\"}",
];
const QUERIES: [&str; 6] = [
    "cpu",
    "rate(cpu[1m])",
    "1 + 1",
    "\"text\"",
    "sum(",
    "count(cpu) by (host)",
];

/// Makes one call, or a few that belong together.
///
/// SAFETY of all blocks below: arrays and places live as long as the call; those that do not are
/// null, misaligned, or have lengths that the library must refuse unread.
pub(super) fn step(world: &mut World, (call, a, b): Step) {
    match call % 12 {
        0..2 => open_close(world, call, a, b),
        2..4 => append(world, call, a, b),
        4 => series(world, a, b),
        5..7 => ask(world, call, a, b),
        7..9 => results(world, a, b),
        9 => maintain(world, a, b),
        10 => reports(world, a, b),
        _ => errors(world, a, b),
    }
}

pub(super) fn open_close(world: &mut World, call: u8, a: u64, b: u64) {
    let out = world.out(b);
    let mut db = treering_db { id: 7 };
    if call.is_multiple_of(12) || world.live.values().filter(|kind| **kind == Db).count() > 2 {
        let chosen = world.choose(Db, a);
        // SAFETY: see `step`.
        let status = unsafe { treering_close(treering_db { id: chosen.id }, out) };
        return world.freed(chosen, status);
    }
    let (mut options, mut pointers) = (small(), true);
    match a % 16 {
        0 => (options.size, pointers) = (0, false),
        1 => (options.size, pointers) = (usize::MAX, false),
        2 => (options.sync, pointers) = (77, false),
        3 => (options.memory_bytes, pointers) = (1, false),
        4 => {
            options = treering_options {
                size: options.size,
                ..zeroed_options()
            }
        }
        _ => {}
    }
    let place = match b % 20 {
        1 => null_mut(),
        _ => &raw mut db,
    };
    // SAFETY: see `step`.
    let status = unsafe {
        match a >> 8 & 15 {
            0 => {
                options.must_exist = 1;
                pointers = false;
                let missing = "/nowhere/to/be/found";
                let path = text(missing, b >> 8);
                let options = &raw const options;
                treering_open(path.first.cast(), path.len, options, place, out)
            }
            _ => treering_open_in_memory(&raw const options, place, out),
        }
    };
    if world.check(status, true, pointers && !place.is_null()) {
        world.made(Db, db.id);
    }
}

fn append(world: &mut World, call: u8, a: u64, b: u64) {
    let db = world.choose(Db, a);
    let (host, metric) = (
        at(&["a", "b", "", "c"], a >> 16),
        at(&["cpu", "disk"], a >> 20),
    );
    let pairs = labels(&[("host", host), ("__name__", metric), ("host2", "x")]);
    let twice = labels(&[("host", "a"), ("host", "b")]);
    let pairs = span(
        if a >> 24 & 15 == 0 {
            &twice[..]
        } else {
            &pairs[..]
        },
        a >> 32,
    );
    let chosen: Vec<Chosen> = (0..4)
        .map(|at| world.choose(Series, a.rotate_left(at * 7)))
        .collect();
    let ids: Vec<treering_series> = chosen
        .iter()
        .map(|series| treering_series { id: series.id })
        .collect();
    let (times, values) = (
        [3, 1, 2, b as i64],
        [1.0, f64::NAN, -0.0, f64::from_bits(b)],
    );
    let len = match b >> 8 & 15 {
        0 => usize::MAX - (b >> 40) as usize,
        1 => (isize::MAX as usize) / 8 + 1,
        2 => (4 << 20) + 1,
        3 => 0,
        _ => 4,
    };
    let (times, values) = (twisted(&times, b >> 16), twisted(&values, b >> 20));
    let ids = twisted(&ids, b >> 24);
    let columns = len == 0 || len == 4 && times.1 && values.1;
    let (handle, out) = (treering_db { id: db.id }, world.out(b));
    // SAFETY: see `step`.
    unsafe {
        if call % 12 == 2 {
            let (labels, count) = (pairs.first, pairs.len);
            let is_one = a >> 56 & 1 == 0;
            let status = match is_one {
                true => treering_append(handle, labels, count, b as i64, 0.5, out),
                false => {
                    treering_append_columns(handle, labels, count, times.0, values.0, len, out)
                }
            };
            world.check(status, db.good, pairs.good && (is_one || columns));
        } else {
            let status = treering_append_batch(handle, ids.0, times.0, values.0, len, out);
            let pointers = len == 0 || columns && ids.1;
            let all = len == 0 || chosen.iter().all(|series| series.good);
            world.check(status, db.good && (all || !pointers), pointers);
        }
    }
}

/// The pointer of an array, or one that is null or misaligned; whether it is good.
fn twisted<T>(of: &[T], n: u64) -> (*const T, bool) {
    match n % 16 {
        0 => (null(), false),
        1 => (of.as_ptr().cast::<u8>().wrapping_add(1).cast(), false),
        _ => (of.as_ptr(), true),
    }
}

pub(super) fn series(world: &mut World, a: u64, b: u64) {
    let (db, old) = (world.choose(Db, a), world.choose(Series, a >> 8));
    let out = world.out(b);
    let mut made = treering_series { id: 7 };
    let handle = treering_db { id: db.id };
    // SAFETY: see `step`.
    unsafe {
        if b & 1 == 0 {
            let status = treering_series_free(treering_series { id: old.id }, out);
            return world.freed_or_null(old, status);
        }
        let (status, good) = if b & 2 == 0 {
            let words = text(
                at(&["cpu{host=\"a\"}", "disk", "{", "a=\"b\""], b >> 4),
                b >> 8,
            );
            let (first, len) = (words.first.cast(), words.len);
            (
                treering_series_parse(handle, first, len, &raw mut made, out),
                words.good,
            )
        } else {
            let pairs = labels(&[("__name__", "cpu"), ("host", "a")]);
            let pairs = span(&pairs, b >> 8);
            let place = &raw mut made;
            (
                treering_series_open(handle, pairs.first, pairs.len, place, out),
                pairs.good,
            )
        };
        // Labels are looked at before the database.
        if status == TREERING_ERROR_LABELS {
            world.check(status, true, true);
        } else if world.check(status, db.good, good) {
            world.made(Series, made.id);
        }
    }
}

fn ask(world: &mut World, call: u8, a: u64, b: u64) {
    let (db, cancel) = (world.choose(Db, a), world.choose(Cancel, a >> 8));
    let mut options = query_options();
    let (mut handles, mut pointers) = (db.good, true);
    match a >> 16 & 15 {
        0..=4 => {
            options.cancel.id = cancel.id;
            handles &= cancel.good || cancel.id == 0;
        }
        5 => (options.size, pointers) = (3, false),
        6 => options.max_samples = 1,
        7 => options.timeout_ns = 1,
        _ => {}
    }
    let words = text(
        if call % 12 == 5 {
            at(&SELECTORS, b)
        } else {
            at(&QUERIES, b)
        },
        b >> 8,
    );
    let (mut result, handle) = (treering_result { id: 7 }, treering_db { id: db.id });
    let place = if b >> 16 & 15 == 0 {
        null_mut()
    } else {
        &raw mut result
    };
    pointers &= words.good && !place.is_null();
    let what = treering_aggregation {
        size: size_of::<treering_aggregation>(),
        function: (a >> 20) as i32 % 13,
        grouping: 1 + (a >> 40 & 1) as i32,
        quantile: 0.5,
        step_ns: b >> 20 & 3,
        window_ns: b >> 22 & 3,
        names: null(),
        names_len: if a >> 48 & 15 == 0 { usize::MAX } else { 0 },
        top: (a >> 52 & 1) as usize,
        bottom: (a >> 53 & 1) as usize,
    };
    let out = world.out(b >> 24);
    let (first, len, options) = (words.first.cast(), words.len, &raw const options);
    let (from, to) = (-(b as i64 >> 40), a as i64 >> 40);
    // SAFETY: see `step`.
    let status = unsafe {
        match (call % 12, a >> 60 & 1) {
            (5, 0) => treering_select(handle, first, len, from, to, options, place, out),
            (5, _) => {
                pointers &= what.names_len == 0 && (1..=11).contains(&what.function);
                pointers &= what.top == 0 || what.bottom == 0;
                let what = &raw const what;
                treering_aggregate(handle, first, len, 0, 20, what, options, place, out)
            }
            (_, 0) => treering_promql(handle, first, len, from, options, place, out),
            (_, _) => treering_promql_range(handle, first, len, 0, 9, 1, options, place, out),
        }
    };
    if world.check(status, handles, pointers) {
        world.made(Result, result.id);
    }
}

fn results(world: &mut World, a: u64, b: u64) {
    let result = world.choose(Result, a);
    let (handle, out) = (treering_result { id: result.id }, world.out(b));
    // SAFETY: see `step`; columns are read before the next call.
    unsafe {
        match a >> 8 & 7 {
            0 => {
                let status = treering_result_free(handle, out);
                world.freed_or_null(result, status);
            }
            1 => {
                let mut notes = treering_text { id: 7 };
                let status = treering_result_notes(handle, &raw mut notes, out);
                if world.check(status, result.good, true) {
                    world.made(Text, notes.id);
                }
            }
            2 => {
                let mut stream = ArrowArrayStream::released();
                let status = treering_result_arrow(handle, &raw mut stream, out);
                // Also what failed is freed.
                if result.good {
                    world.live.remove(&result.id);
                }
                if world.check(status, result.good, true) {
                    drain(stream, b);
                } else {
                    assert!(stream.release.is_none());
                }
            }
            _ => {
                let size = at(&[56, 56, 56, 56, 0, 8, 64, usize::MAX], b >> 8);
                let mut room = [0_u64; 8];
                room[0] = size as u64;
                let columns = room.as_mut_ptr().cast::<treering_columns>();
                let status = treering_result_next(handle, columns, out);
                let went_well = world.check(status, result.good, (56..=64).contains(&size));
                if went_well && status == TREERING_OK {
                    let columns = columns.read();
                    assert!(columns.len > 0);
                    let times = std::slice::from_raw_parts(columns.timestamps, columns.len);
                    assert!(times.is_sorted());
                }
            }
        }
    }
}

/// Reads a stream, some of it, or nothing, and releases it.
fn drain(mut stream: ArrowArrayStream, n: u64) {
    for _ in 0..n >> 8 & 3 {
        let mut schema = schema_of(&mut stream);
        // SAFETY: a schema of the library, released once.
        unsafe { (schema.release.unwrap())(&raw mut schema) };
        if let Ok(Some(mut array)) = next(&mut stream) {
            // SAFETY: an array of the library, released once.
            unsafe { (array.release.unwrap())(&raw mut array) };
        }
    }
    release(stream);
}

fn maintain(world: &mut World, a: u64, b: u64) {
    let db = world.choose(Db, a);
    let (handle, out) = (treering_db { id: db.id }, world.out(b));
    let words = text(at(&SELECTORS, a >> 8), a >> 16);
    let mut changed = 0;
    // SAFETY: see `step`.
    unsafe {
        let status = match b >> 8 & 7 {
            0 => treering_sync(handle, out),
            1 => treering_flush(handle, out),
            2 => treering_compact(handle, out),
            3 => treering_refresh(handle, &raw mut changed, out),
            4 => treering_refresh(handle, null_mut(), out),
            _ => {
                let (first, len) = (words.first.cast(), words.len);
                let status = treering_delete(handle, first, len, 0, b as i64 & 7, out);
                world.check(status, db.good, words.good);
                return;
            }
        };
        world.check(status, db.good, true);
    }
}

fn reports(world: &mut World, a: u64, b: u64) {
    let (db, old) = (world.choose(Db, a), world.choose(Text, a >> 8));
    let (handle, out) = (treering_db { id: db.id }, world.out(b));
    let (mut made, mut problems) = (treering_text { id: 7 }, 99);
    let old_handle = treering_text { id: old.id };
    let (mut first, mut len) = (null(), 0);
    // SAFETY: see `step`; the bytes of a text are read before it is freed.
    unsafe {
        match b >> 8 & 7 {
            0 | 1 => {
                let status = treering_stats(handle, &raw mut made, out);
                if world.check(status, db.good, true) {
                    world.made(Text, made.id);
                }
            }
            2 => {
                let status = treering_verify(handle, &raw mut problems, &raw mut made, out);
                if world.check(status, db.good, true) {
                    assert_eq!(problems, 0);
                    world.made(Text, made.id);
                }
            }
            3 => {
                let status = treering_verify(handle, null_mut(), null_mut(), out);
                world.check(status, db.good, false);
            }
            4 => world.freed_or_null(old, treering_text_free(old_handle, out)),
            5 => {
                let path = text("/copy", a >> 16);
                let (first, len) = (path.first.cast(), path.len);
                let status = treering_snapshot(handle, first, len, out);
                world.check(status, db.good, path.good && len > 0);
            }
            _ => {
                let status = treering_text_get(old_handle, &raw mut first, &raw mut len, out);
                if world.check(status, old.good, true) {
                    let bytes = std::slice::from_raw_parts(first.cast::<u8>(), len);
                    assert!(std::str::from_utf8(bytes).is_ok());
                }
            }
        }
    }
}

pub(super) fn errors(world: &mut World, a: u64, b: u64) {
    let (error, cancel) = (world.choose(Error, a), world.choose(Cancel, a >> 8));
    let (handle, cancel_handle) = (
        treering_error { id: error.id },
        treering_cancel { id: cancel.id },
    );
    let (mut made, mut first, mut len) = (treering_cancel { id: 7 }, null(), 0);
    let out = world.out(b);
    // SAFETY: see `step`.
    unsafe {
        match b >> 8 & 7 {
            0 | 1 => {
                assert!(!super::message(handle).is_empty());
                let status = treering_error_text(handle, &raw mut first, &raw mut len);
                assert_eq!(status == TREERING_OK, error.good);
                let status = treering_error_status(handle);
                assert_eq!(
                    status == TREERING_ERROR_HANDLE && !error.good,
                    !error.good && error.id != 0
                );
            }
            2 | 3 => {
                let status = treering_error_free(handle);
                assert_eq!(status == TREERING_OK, error.good || error.id == 0);
                if error.good {
                    world.live.remove(&error.id);
                }
            }
            4 => world.freed_or_null(cancel, treering_cancel_free(cancel_handle, out)),
            5 => {
                let status = treering_cancel_now(cancel_handle, out);
                world.check(status, cancel.good, true);
            }
            _ => {
                let status = treering_cancel_new(&raw mut made, out);
                if world.check(status, true, true) {
                    world.made(Cancel, made.id);
                }
            }
        }
    }
}
