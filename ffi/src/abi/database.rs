//! Opening and closing.
//!
//! Input: a directory and options. Output: a database handle.

use std::ffi::c_char;
use std::sync::Arc;
use std::time::Duration;

use treering::{Db, Maintenance, Options, Reads, Sync};

use super::types::{
    TREERING_READS_DEFAULT, TREERING_READS_MMAP, TREERING_READS_PREAD, TREERING_SYNC_ALWAYS,
    TREERING_SYNC_DEFAULT, TREERING_SYNC_INTERVAL, TREERING_SYNC_NEVER, treering_db,
    treering_error, treering_options, treering_status,
};
use crate::door::{Out, Struct, Text, done};
use crate::failure::{Failure, Result};
use crate::object::Database;
use crate::table::TABLE;

/// Opens the database in the directory `path`, or makes it. One open at a time: a second one is
/// TREERING_ERROR_LOCKED. `options` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_open(
    path: *const c_char,
    path_len: usize,
    options: *const treering_options,
    db: *mut treering_db,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (path, options, db, error) = unsafe {
        (
            Text::new(path, path_len),
            Struct::new(options),
            Out::new(db),
            Out::new(error),
        )
    };
    done(error, || {
        let place = db.required("db")?;
        place.set(treering_db::default());
        let opened = Db::open(path.named("path")?, chosen(&options)?)?;
        place.set(held(opened)?);
        Ok(())
    })
}

/// Opens the database in the directory `path` for reading, beside its writer or after it. Nothing
/// in the directory is written; treering_refresh moves on to what the writer wrote since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_open_read_only(
    path: *const c_char,
    path_len: usize,
    options: *const treering_options,
    db: *mut treering_db,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (path, options, db, error) = unsafe {
        (
            Text::new(path, path_len),
            Struct::new(options),
            Out::new(db),
            Out::new(error),
        )
    };
    done(error, || {
        let place = db.required("db")?;
        place.set(treering_db::default());
        let opened = Db::open_read_only(path.named("path")?, chosen(&options)?)?;
        place.set(held(opened)?);
        Ok(())
    })
}

/// Opens a database that lives in memory and ends with treering_close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_open_in_memory(
    options: *const treering_options,
    db: *mut treering_db,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (options, db, error) = unsafe { (Struct::new(options), Out::new(db), Out::new(error)) };
    done(error, || {
        let place = db.required("db")?;
        place.set(treering_db::default());
        place.set(held(Db::in_memory_with(chosen(&options)?)?)?);
        Ok(())
    })
}

/// Makes everything durable, lets go of the directory and frees the handle, also when it fails.
/// Calls under way in other threads end as they can; results stay good until they are freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_close(
    db: treering_db,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: the pointer is null, misaligned or good, as the header asks.
    let error = unsafe { Out::new(error) };
    done(error, || {
        let database = TABLE.remove::<Database>(db.id)?;
        Ok(database.db.close()?)
    })
}

fn held(db: Db) -> Result<treering_db> {
    let id = TABLE.insert(Arc::new(Database::new(db)))?;
    Ok(treering_db { id })
}

/// The options of an open; the defaults for null.
fn chosen(options: &Struct<treering_options>) -> Result<Options> {
    let Some(given) = options.get()? else {
        return Ok(Options::default());
    };
    let mut options = Options::default()
        .create(given.must_exist == 0)
        .entropy_coding(given.entropy_coding != 0);
    if given.manual_maintenance != 0 {
        options = options.maintenance(Maintenance::Manual);
    }
    let interval = match given.sync_interval_ns {
        0 => Duration::from_millis(200),
        nanos => Duration::from_nanos(nanos),
    };
    options = match given.sync {
        TREERING_SYNC_DEFAULT => options,
        TREERING_SYNC_ALWAYS => options.sync(Sync::Always),
        TREERING_SYNC_INTERVAL => options.sync(Sync::Interval(interval)),
        TREERING_SYNC_NEVER => options.sync(Sync::Never),
        other => return Err(not_one_of("sync", "TREERING_SYNC_*", other)),
    };
    options = match given.reads {
        TREERING_READS_DEFAULT => options,
        TREERING_READS_MMAP => options.reads(Reads::Mmap),
        TREERING_READS_PREAD => options.reads(Reads::Pread),
        other => return Err(not_one_of("reads", "TREERING_READS_*", other)),
    };
    if given.memory_bytes != 0 {
        options = options.memory_bytes(given.memory_bytes);
    }
    if given.max_series != 0 {
        options = options.max_series(given.max_series);
    }
    if given.wal_file_bytes != 0 {
        options = options.wal_file_bytes(given.wal_file_bytes);
    }
    if given.wal_max_bytes != 0 {
        options = options.wal_max_bytes(given.wal_max_bytes);
    }
    if given.flush_interval_ns != 0 {
        options = options.flush_interval(Duration::from_nanos(given.flush_interval_ns));
    }
    if given.block_window_ns != 0 {
        options = options.block_window(Duration::from_nanos(given.block_window_ns));
    }
    if given.query_threads != 0 {
        options = options.query_threads(given.query_threads as usize);
    }
    Ok(options)
}

fn not_one_of(field: &str, names: &str, found: i32) -> Failure {
    Failure::argument(format_args!("{field} must be one of {names}, not {found}"))
}
