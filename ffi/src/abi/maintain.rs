//! Keeping a database: sync, flush, compact, delete, snapshot, verify, stats.
//!
//! Input: a database handle. Output: statuses; reports as JSON.

use std::ffi::c_char;
use std::sync::Arc;

use super::types::{treering_db, treering_error, treering_status, treering_text};
use crate::door::{Out, Text, done};
use crate::failure::{Failure, Result};
use crate::object::{Database, OwnedText};
use crate::table::TABLE;

/// Makes everything appended so far durable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_sync(
    db: treering_db,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: the pointer is null, misaligned or good, as the header asks.
    let error = unsafe { Out::new(error) };
    done(error, || Ok(Database::of(db.id)?.db.sync()?))
}

/// Moves everything appended so far into blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_flush(
    db: treering_db,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: the pointer is null, misaligned or good, as the header asks.
    let error = unsafe { Out::new(error) };
    done(error, || Ok(Database::of(db.id)?.db.flush()?))
}

/// Merges blocks as far as that goes. Takes a while; appends and questions go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_compact(
    db: treering_db,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: the pointer is null, misaligned or good, as the header asks.
    let error = unsafe { Out::new(error) };
    done(error, || Ok(Database::of(db.id)?.db.compact()?))
}

/// Moves a database that was opened for reading on to what its writer wrote since; `changed`, which
/// may be null, becomes 1 if there was anything, else 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_refresh(
    db: treering_db,
    changed: *mut i32,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (changed, error) = unsafe { (Out::new(changed), Out::new(error)) };
    done(error, || {
        let place = changed.optional("changed")?;
        let moved = Database::of(db.id)?.db.refresh()?;
        if let Some(place) = place {
            place.set(i32::from(moved));
        }
        Ok(())
    })
}

/// Deletes the samples of the series of `selector` from `first` to `last`, both included. No
/// question sees them any more when it returns; samples appended later live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_delete(
    db: treering_db,
    selector: *const c_char,
    selector_len: usize,
    first: i64,
    last: i64,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (selector, error) = unsafe { (Text::new(selector, selector_len), Out::new(error)) };
    done(error, || {
        let database = Database::of(db.id)?;
        let selector = super::query::selector_of(&selector)?;
        Ok(database.db.delete(&selector, first..=last)?)
    })
}

/// Makes a copy of the database in the new directory `path`, of one moment, by hard links where the
/// file system can. It appears whole or not at all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_snapshot(
    db: treering_db,
    path: *const c_char,
    path_len: usize,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (path, error) = unsafe { (Text::new(path, path_len), Out::new(error)) };
    done(error, || {
        Database::of(db.id)?.db.snapshot(path.named("path")?)?;
        Ok(())
    })
}

/// Reads every byte that a question may be answered from. `problems` becomes the number of things
/// that are wrong; `report`, which may be null, all of them as JSON.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_verify(
    db: treering_db,
    problems: *mut u64,
    report: *mut treering_text,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (problems, report, error) =
        unsafe { (Out::new(problems), Out::new(report), Out::new(error)) };
    done(error, || {
        let (count, place) = (problems.required("problems")?, report.optional("report")?);
        let found = Database::of(db.id)?.db.verify()?;
        if let Some(place) = place {
            place.set(json(&found)?);
        }
        count.set(found.problems.len() as u64);
        Ok(())
    })
}

/// What the database holds and has done, as one object of JSON.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_stats(
    db: treering_db,
    stats: *mut treering_text,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (stats, error) = unsafe { (Out::new(stats), Out::new(error)) };
    done(error, || {
        let place = stats.required("stats")?;
        place.set(json(&Database::of(db.id)?.db.stats())?);
        Ok(())
    })
}

/// Where a text begins and how many bytes it has: UTF-8, not ended by a zero byte. Good until it is
/// freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_text_get(
    text: treering_text,
    first: *mut *const c_char,
    len: *mut usize,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (first, len, error) = unsafe { (Out::new(first), Out::new(len), Out::new(error)) };
    done(error, || {
        let (first, len) = (first.required("first")?, len.required("len")?);
        let text = TABLE.get::<OwnedText>(text.id)?;
        first.set(text.0.as_ptr().cast());
        len.set(text.0.len());
        Ok(())
    })
}

/// Frees a text. Null is TREERING_OK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_text_free(
    text: treering_text,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: the pointer is null, misaligned or good, as the header asks.
    let error = unsafe { Out::new(error) };
    done(error, || match text.id {
        0 => Ok(()),
        id => TABLE.remove::<OwnedText>(id).map(drop),
    })
}

/// A text for the table.
pub(super) fn owned(text: String) -> Result<treering_text> {
    let id = TABLE.insert(Arc::new(OwnedText(text)))?;
    Ok(treering_text { id })
}

fn json(report: &impl serde::Serialize) -> Result<treering_text> {
    let text = serde_json::to_string(report);
    owned(text.map_err(|error| Failure::new(treering_status::TREERING_ERROR_OTHER, error))?)
}
