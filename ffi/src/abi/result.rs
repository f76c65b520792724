//! Results: series by series, or as an Arrow stream.
//!
//! Input: a result handle. Output: columns that are lent until the next call, or a stream that owns
//! the rest.

use std::sync::Arc;

use parking_lot::Mutex;

use super::types::treering_status::{self, TREERING_END, TREERING_OK};
use super::types::{
    treering_columns, treering_error, treering_label, treering_result, treering_string,
    treering_text,
};
use crate::answer::Row;
use crate::arrow;
use crate::arrow::structs::ArrowArrayStream;
use crate::door::{Out, Struct, done, door};
use crate::failure::Failure;
use crate::object::Asked;
use crate::table::TABLE;

/// The next series of a result, lent until the next call for it; TREERING_END when there is none.
/// After an error there is nothing more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_result_next(
    result: treering_result,
    columns: *mut treering_columns,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (columns, error) = unsafe { (Struct::writable(columns), Out::new(error)) };
    door(error, || {
        let size = columns.required()?;
        let asked = TABLE.get::<Asked>(result.id)?;
        let mut answer = asked.0.lock();
        answer.shown = Shown::default();
        columns.set(&answer.shown.lend(size))?;
        let Some(row) = answer.next() else {
            return Ok(TREERING_END);
        };
        answer.shown = Shown::new(row?);
        columns.set(&answer.shown.lend(size))?;
        Ok(TREERING_OK)
    })
}

/// What the author of a PromQL query should know beside its result, one note a line; empty for
/// other results.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_result_notes(
    result: treering_result,
    notes: *mut treering_text,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (notes, error) = unsafe { (Out::new(notes), Out::new(error)) };
    done(error, || {
        let place = notes.required("notes")?;
        let asked = TABLE.get::<Asked>(result.id)?;
        let text = asked.0.lock().notes.clone();
        place.set(super::maintain::owned(text)?);
        Ok(())
    })
}

/// Moves what is left of a result into an Arrow stream and frees the result. Rows are samples: a
/// column of text (dictionary) for each label name, `timestamp` (ns, UTC), `value`; of aggregates
/// also `approximate`. What `stream` was before is not released. On an error the result is freed,
/// and `stream->release` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_result_arrow(
    result: treering_result,
    stream: *mut ArrowArrayStream,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (stream, error) = unsafe { (Out::new(stream), Out::new(error)) };
    done(error, || {
        let place = stream.required("stream")?;
        place.set(ArrowArrayStream::released());
        let asked = TABLE.remove::<Asked>(result.id)?;
        let asked = Arc::try_unwrap(asked);
        let asked = asked.map_err(|_| Failure::handle("another thread is using the result"))?;
        place.set(arrow::export(Mutex::into_inner(asked.0))?);
        Ok(())
    })
}

/// Frees a result, read to its end or not. Null is TREERING_OK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_result_free(
    result: treering_result,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: the pointer is null, misaligned or good, as the header asks.
    let error = unsafe { Out::new(error) };
    done(error, || match result.id {
        0 => Ok(()),
        id => TABLE.remove::<Asked>(id).map(drop),
    })
}

/// A row that was handed out, and the labels as C reads them.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    row: Row,
    labels: Vec<treering_label>,
}

// SAFETY: the labels point into `row`, which stays with them and which nobody changes.
unsafe impl Send for Shown {}

impl Shown {
    fn new(row: Row) -> Self {
        let string = |text: &str| treering_string {
            text: text.as_ptr().cast(),
            len: text.len(),
        };
        let label = |(name, value)| treering_label {
            name: string(name),
            value: string(value),
        };
        let labels = row.labels.iter().map(label).collect();
        Self { row, labels }
    }

    /// What points to it; good as long as it is there.
    fn lend(&self, size: usize) -> treering_columns {
        let columns = &self.row.columns;
        treering_columns {
            size,
            labels: self.labels.as_ptr(),
            labels_len: self.labels.len(),
            timestamps: columns.timestamps.as_ptr(),
            values: columns.values.as_ptr(),
            len: columns.values.len(),
            approximate: i32::from(self.row.approximate),
            reserved: 0,
        }
    }
}
