//! An open database and its series, as Python objects hold them.
//!
//! Input: a `Db`. Output: the same to calls of the process that opened it, an exception to a forked
//! child. Invariants: a series is released with its last reference; no child of a fork ever runs
//! the end of a database, whose threads it has not; at exit each open database is closed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pyo3::prelude::*;
use treering::{Db, Labels, QueryLimits};

use crate::door::{detached, door};
use crate::failure::{Failure, Outcome};
use crate::words::labels_to_dict;

/// The databases that are open, for the end of the interpreter.
static OPEN: Mutex<Vec<Weak<Held>>> = Mutex::new(Vec::new());

/// A database handle.
#[derive(Debug)]
pub(crate) struct Held {
    /// Always there until the end.
    db: Option<Db>,
    limits: QueryLimits,
    /// Set for all handles of one open.
    closed: Arc<AtomicBool>,
    owner: Owner,
    counts: Mutex<HashMap<treering::SeriesRef, u64>>,
}

/// The process that made something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner(u32);

impl Owner {
    /// This process.
    pub(crate) fn here() -> Self {
        Self(std::process::id())
    }

    /// Whether this still is that process.
    pub(crate) fn is_here(self) -> bool {
        self.0 == std::process::id()
    }

    /// Refuses another process.
    pub(crate) fn check(self) -> Outcome<()> {
        if self.is_here() {
            return Ok(());
        }
        let text = "the database was opened by the process that this one was forked from, and its \
                    threads are there: open it here, with read_only=True beside its writer";
        Err(Failure::new("ForkError", text))
    }
}

impl Held {
    /// Holds a database, whose questions have these bounds.
    pub(crate) fn new(db: Db, limits: QueryLimits) -> Arc<Self> {
        Self::of(db, limits, Arc::default())
    }

    /// Holds the same database, seen from another namespace.
    pub(crate) fn beside(&self, db: Db) -> Arc<Self> {
        Self::of(db, self.limits, Arc::clone(&self.closed))
    }

    fn of(db: Db, limits: QueryLimits, closed: Arc<AtomicBool>) -> Arc<Self> {
        let held = Arc::new(Self {
            db: Some(db),
            limits,
            closed,
            owner: Owner::here(),
            counts: Mutex::default(),
        });
        let mut open = locked(&OPEN);
        open.retain(|one| one.strong_count() > 0);
        open.push(Arc::downgrade(&held));
        held
    }

    /// The database, for a call.
    pub(crate) fn db(&self) -> Outcome<&Db> {
        self.owner.check()?;
        let db = self.db.as_ref().filter(|_| !self.is_closed());
        db.ok_or_else(|| treering::Error::Closed.into())
    }

    /// Closes the database for all of its handles; a second time does nothing.
    pub(crate) fn close(&self) -> Outcome<()> {
        self.owner.check()?;
        self.closed.store(true, Ordering::Relaxed);
        match &self.db {
            Some(db) => Ok(db.close()?),
            None => Ok(()),
        }
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The directory, also of a closed one.
    pub(crate) fn path(&self) -> PathBuf {
        self.db
            .as_ref()
            .map_or_else(PathBuf::new, |db| db.path().to_owned())
    }

    /// The bounds of questions that do not bring their own.
    pub(crate) fn limits(&self) -> QueryLimits {
        self.limits
    }

    /// One more reference to a series.
    fn series(&self, labels: &Labels) -> Outcome<treering::SeriesRef> {
        let db = self.db()?;
        // Held over both, so that nobody releases the series in between.
        let mut counts = locked(&self.counts);
        let series = db.series(labels)?;
        *counts.entry(series).or_insert(0) += 1;
        Ok(series)
    }

    /// One reference less.
    fn release(&self, series: treering::SeriesRef) {
        let Ok(db) = self.db() else { return };
        let mut counts = locked(&self.counts);
        let Some(count) = counts.get_mut(&series) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            counts.remove(&series);
            db.release(&[series]);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let db = self.db.take();
        if !self.owner.is_here() {
            // Its threads and the lock are the parent's.
            std::mem::forget(db);
            return;
        }
        let mut db = Some(db);
        let end = |py: Python<'_>| {
            let db = db.take();
            py.detach(|| drop(db));
        };
        // Without an interpreter, at its very end, what is left is dropped here.
        let _ = Python::try_attach(end);
    }
}

/// Names a series of one open of a database: for loops that append to the same series again and
/// again. The database keeps the series in memory until the last reference is gone.
#[pyclass(frozen, weakref, module = "treering")]
#[derive(Debug)]
pub(crate) struct SeriesRef {
    series: treering::SeriesRef,
    labels: Labels,
    held: Weak<Held>,
}

impl SeriesRef {
    /// The reference of a series, made when it is new.
    pub(crate) fn new(py: Python<'_>, held: &Arc<Held>, labels: Labels) -> Outcome<Self> {
        let series = detached(py, || held.series(&labels))?;
        let held = Arc::downgrade(held);
        Ok(Self {
            series,
            labels,
            held,
        })
    }

    /// What the engine knows it by.
    pub(crate) fn get(&self) -> treering::SeriesRef {
        self.series
    }
}

#[pymethods]
impl SeriesRef {
    /// The labels of the series.
    #[getter]
    fn labels<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyDict>> {
        door(py, || labels_to_dict(py, &self.labels))
    }

    fn __repr__(&self) -> String {
        format!("<treering.SeriesRef {}>", self.labels)
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.series == other.series
    }

    fn __hash__(&self) -> u64 {
        self.labels.hash64()
    }
}

impl Drop for SeriesRef {
    fn drop(&mut self) {
        if let Some(held) = self.held.upgrade() {
            held.release(self.series);
        }
    }
}

/// Closes every database that is open, at the end of the interpreter.
#[pyfunction(name = "_close_all")]
pub(crate) fn close_all(py: Python<'_>) -> PyResult<()> {
    door(py, || {
        let all: Vec<Arc<Held>> = locked(&OPEN).iter().filter_map(Weak::upgrade).collect();
        for held in all {
            // What fails here has nobody left to tell; the log has what was acknowledged.
            let _ = detached(py, || held.close());
        }
        Ok(())
    })
}

/// What a panic left behind these locks is still sound: counts and weak references.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
