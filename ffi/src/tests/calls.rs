//! Random calls, right and wrong: null, freed and mistaken handles, null and misaligned pointers,
//! lengths that cannot be, in any order. Nothing may crash; what each call must come to is known
//! from which handles are good.
//!
//! `TREERING_CALLS=N` sequences instead of 1,000; a failing one prints what repeats it.

use std::collections::{BTreeMap, HashMap};
use std::ptr::{null, null_mut};

use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::steps::{errors, open_close, series, step};
use crate::abi::append::treering_series_free;
use crate::abi::database::treering_close;
use crate::abi::error::{treering_error_free, treering_error_status};
use crate::abi::maintain::treering_text_free;
use crate::abi::query::treering_cancel_free;
use crate::abi::result::treering_result_free;
use crate::abi::types::treering_status::*;
use crate::abi::types::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Db,
    Series,
    Result,
    Text,
    Error,
    Cancel,
}

use Kind::{Cancel, Db, Error, Result, Series, Text};

/// One call: which, and what its arguments are made of.
pub(super) type Step = (u8, u64, u64);

/// What calls in a sequence share: every handle that was ever made, and which are still good.
#[derive(Default)]
pub(super) struct World {
    made: Vec<u64>,
    pub(super) live: HashMap<u64, Kind>,
    error: treering_error,
    /// How often calls came to what.
    came_to: HashMap<i32, u64>,
}

/// A handle that was chosen, and whether it is a good one of the kind that was asked for.
#[derive(Clone, Copy)]
pub(super) struct Chosen {
    pub(super) id: u64,
    pub(super) good: bool,
}

/// A pointer and a length that were chosen, and whether they are good.
#[derive(Clone, Copy)]
pub(super) struct Span<T> {
    pub(super) first: *const T,
    pub(super) len: usize,
    pub(super) good: bool,
}

impl World {
    pub(super) fn made(&mut self, kind: Kind, id: u64) {
        assert!(
            id != 0 && self.live.insert(id, kind).is_none(),
            "{kind:?} {id:#x}"
        );
        self.made.push(id);
    }

    /// Mostly a good handle of `kind`.
    pub(super) fn choose(&self, kind: Kind, n: u64) -> Chosen {
        let of_kind: Vec<u64> = self
            .made
            .iter()
            .copied()
            .filter(|id| self.live.get(id) == Some(&kind))
            .collect();
        let pick = |ids: &[u64]| ids.get((n >> 8) as usize % ids.len().max(1)).copied();
        let id = match n % 10 {
            0 => 0,
            1 => n,
            2 => pick(&self.made).unwrap_or(u64::MAX),
            _ => pick(&of_kind).unwrap_or(0),
        };
        let good = self.live.get(&id) == Some(&kind);
        Chosen { id, good }
    }

    /// Where the error goes: mostly a place, sometimes nowhere.
    pub(super) fn out(&mut self, n: u64) -> *mut treering_error {
        self.error = treering_error::default();
        match n % 16 {
            0 => null_mut(),
            _ => &raw mut self.error,
        }
    }

    /// Holds a status against what is known: whether the handles were good, and the pointers.
    pub(super) fn check(&mut self, status: treering_status, handles: bool, pointers: bool) -> bool {
        let is_failure = !matches!(status, TREERING_OK | TREERING_END);
        *self.came_to.entry(status as i32).or_default() += 1;
        assert_ne!(
            status,
            TREERING_ERROR_INTERNAL,
            "{}",
            super::message(self.error)
        );
        if !handles && pointers {
            assert_eq!(status, TREERING_ERROR_HANDLE);
        }
        if !handles || !pointers {
            assert!(is_failure, "{status:?}");
        }
        if handles {
            assert_ne!(
                status,
                TREERING_ERROR_HANDLE,
                "{}",
                super::message(self.error)
            );
        }
        if self.error.id != 0 {
            assert!(is_failure);
            assert_eq!(treering_error_status(self.error), status);
            assert!(super::message(self.error).len() > 5);
            self.made(Error, self.error.id);
        }
        !is_failure
    }

    pub(super) fn freed(&mut self, chosen: Chosen, status: treering_status) {
        if self.check(status, chosen.good, true) {
            self.live.remove(&chosen.id);
        }
    }
}

impl World {
    /// As [`World::freed`]; null may be freed.
    pub(super) fn freed_or_null(&mut self, chosen: Chosen, status: treering_status) {
        match chosen.id {
            0 => assert_eq!(status, TREERING_OK),
            _ => self.freed(chosen, status),
        }
    }
}

/// An array as it is, or one of the ways in which it can be wrong.
pub(super) fn span<T>(of: &[T], n: u64) -> Span<T> {
    let (first, len) = (of.as_ptr(), of.len());
    let (first, len, good) = match n % 12 {
        0 => (null(), len.max(1), false),
        1 => (
            first.cast::<u8>().wrapping_add(1).cast(),
            len.max(1),
            align_of::<T>() == 1 && len > 0,
        ),
        2 => (first, usize::MAX - (n >> 8) as usize % 64, false),
        3 => (first, (isize::MAX as usize) / size_of::<T>() + 1, false),
        4 => (null(), 0, true),
        _ => (first, len, true),
    };
    Span { first, len, good }
}

/// A text as it is, or wrong.
pub(super) fn text(of: &str, n: u64) -> Span<u8> {
    let span = span(of.as_bytes(), n);
    // Moved by one byte it would end behind its end.
    match n % 12 {
        1 if of.is_empty() => Span {
            len: 0,
            good: true,
            ..span
        },
        1 => Span {
            len: span.len - 1,
            ..span
        },
        _ => span,
    }
}

pub(super) fn at<T: Copy>(of: &[T], n: u64) -> T {
    of[n as usize % of.len()]
}

/// Gives everything back that is still there.
fn end(mut world: World) -> HashMap<i32, u64> {
    let live: Vec<(u64, Kind)> = world.live.drain().collect();
    for (id, kind) in live {
        // SAFETY: no place is given.
        let status = unsafe {
            match kind {
                Db => treering_close(treering_db { id }, null_mut()),
                Series => treering_series_free(treering_series { id }, null_mut()),
                Result => treering_result_free(treering_result { id }, null_mut()),
                Text => treering_text_free(treering_text { id }, null_mut()),
                Error => treering_error_free(treering_error { id }),
                Cancel => treering_cancel_free(treering_cancel { id }, null_mut()),
            }
        };
        assert_eq!(status, TREERING_OK, "{kind:?}");
    }
    world.came_to
}

#[test]
fn no_sequence_of_calls_crashes_or_is_misunderstood() {
    let cases = std::env::var("TREERING_CALLS")
        .ok()
        .and_then(|count| count.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(1000),
        failure_persistence: None,
        ..Config::default()
    };
    let came_to = Mutex::new(HashMap::new());
    let steps = prop::collection::vec(any::<Step>(), 1..60);
    let told = TestRunner::new(config).run(&steps, |steps| {
        let mut world = World::default();
        // Without a database there is little to be wrong about.
        open_close(&mut world, 1, 5 | 1 << 8, 5);
        series(&mut world, 3, 0x503);
        errors(&mut world, 0, 0x701);
        steps.into_iter().for_each(|one| step(&mut world, one));
        for (status, count) in end(world) {
            *came_to.lock().entry(status).or_default() += count;
        }
        Ok(())
    });
    told.unwrap();
    let came_to: BTreeMap<i32, u64> = came_to.into_inner().into_iter().collect();
    println!("statuses of all calls, and how often: {came_to:?}");
    let often = [
        TREERING_OK,
        TREERING_END,
        TREERING_ERROR_ARGUMENT,
        TREERING_ERROR_HANDLE,
    ];
    for status in often.into_iter().chain([
        TREERING_ERROR_STALE_SERIES,
        TREERING_ERROR_LIMIT,
        TREERING_ERROR_CANCELLED,
    ]) {
        let count = came_to.get(&(status as i32)).copied().unwrap_or(0);
        assert!(count > 5, "the calls miss {status:?}");
    }
}
