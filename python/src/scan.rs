//! Scans: series of a question read one after the other, for more than memory holds.
//!
//! Input: a set of series that is not read. Output: one series at a time, or an Arrow stream of
//! batches. Invariant: what is under way goes on when the database is closed.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use treering::{Series, SeriesSet};

use crate::batches::Batches;
use crate::door::{detached, door};
use crate::failure::{Failure, Outcome};
use crate::held::Owner;
use crate::lend::stream_capsule;
use crate::result::series_of;
use crate::rows::Row;

/// Series that are read as they are asked for: an iterator of `Series`, or an Arrow stream, once.
#[pyclass(frozen, weakref, module = "treering")]
#[derive(Debug)]
pub(crate) struct Scan {
    left: Mutex<Option<SeriesSet>>,
    owner: Owner,
}

impl Scan {
    /// Reads these series.
    pub(crate) fn new(set: SeriesSet) -> Self {
        Self {
            left: Mutex::new(Some(set)),
            owner: Owner::here(),
        }
    }

    /// The next series; after the last one and after a failure there is none.
    fn advance(&self) -> Outcome<Option<Row>> {
        self.owner.check()?;
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(set) = left.as_mut() else {
            return Ok(None);
        };
        let found = match set.next() {
            Some(Ok(series)) => Row::of_series(&series).map(Some),
            Some(Err(error)) => Err(Failure::from(error)),
            None => Ok(None),
        };
        if !matches!(found, Ok(Some(_))) {
            *left = None;
        }
        found
    }

    /// All series that are left, not read.
    fn rest(&self) -> Outcome<Vec<Series>> {
        self.owner.check()?;
        let set = self
            .left
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let taken = || Failure::value("the scan was read already: ask for it again");
        Ok(set
            .ok_or_else(taken)?
            .collect::<treering::Result<Vec<Series>>>()?)
    }
}

#[pymethods]
impl Scan {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        door(py, || {
            let row = detached(py, || self.advance())?;
            row.map(|row| series_of(py, &row)).transpose()
        })
    }

    /// An Arrow stream of what is left, which is read batch by batch.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A wish, which the interface lets a producer pass over.
        let _ = requested_schema;
        door(py, || {
            let batches = detached(py, || Ok(Batches::of_series(self.rest()?)?))?;
            stream_capsule(py, Box::new(batches))
        })
    }

    fn __repr__(&self) -> &'static str {
        "<treering.Scan>"
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        if !self.owner.is_here() {
            // Files that a view ends with are the parent's.
            let left = self
                .left
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            std::mem::forget(left);
        }
    }
}
