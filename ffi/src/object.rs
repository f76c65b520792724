//! What handles stand for.
//!
//! Input: what the engine gives. Output: objects for the table, each of a kind of its own.
//! Invariant: a series stays in the memory of its database as long as one of its handles is there,
//! and no longer.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use treering::{CancelToken, Db, Labels, SeriesRef};

use crate::answer::Answer;
use crate::failure::{Failure, Result};
use crate::table::{Held, TABLE};

/// An open database, and how many handles each of its series has.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) db: Db,
    handles: Mutex<HashMap<SeriesRef, u64>>,
}

impl Database {
    pub(crate) fn new(db: Db) -> Self {
        let handles = Mutex::default();
        Self { db, handles }
    }

    /// The open database of a handle.
    pub(crate) fn of(id: u64) -> Result<Arc<Self>> {
        TABLE.get(id)
    }

    /// A reference for one more handle of a series.
    pub(crate) fn series(self: &Arc<Self>, labels: &Labels) -> Result<Series> {
        // Held over both, so that nobody releases the series in between.
        let mut handles = self.handles.lock();
        let series = self.db.series(labels)?;
        *handles.entry(series).or_insert(0) += 1;
        Ok(Series {
            series,
            database: Arc::downgrade(self),
        })
    }
}

/// A series, for one handle.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) series: SeriesRef,
    database: Weak<Database>,
}

impl Drop for Series {
    fn drop(&mut self) {
        let Some(database) = self.database.upgrade() else {
            return;
        };
        let mut handles = database.handles.lock();
        let Some(count) = handles.get_mut(&self.series) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            handles.remove(&self.series);
            database.db.release(&[self.series]);
        }
    }
}

/// The answer to a question, under way.
#[derive(Debug)]
pub(crate) struct Asked(pub(crate) Mutex<Answer>);

/// A text that the caller frees.
#[derive(Debug)]
pub(crate) struct OwnedText(pub(crate) String);

/// What ends questions from another thread.
#[derive(Debug)]
pub(crate) struct Cancel(pub(crate) CancelToken);

impl Held for Database {
    const KIND: u8 = 1;
    const NAME: &'static str = "treering_db";
}

impl Held for Series {
    const KIND: u8 = 2;
    const NAME: &'static str = "treering_series";
}

impl Held for Asked {
    const KIND: u8 = 3;
    const NAME: &'static str = "treering_result";
}

impl Held for OwnedText {
    const KIND: u8 = 4;
    const NAME: &'static str = "treering_text";
}

impl Held for Failure {
    const KIND: u8 = 5;
    const NAME: &'static str = "treering_error";
}

impl Held for Cancel {
    const KIND: u8 = 6;
    const NAME: &'static str = "treering_cancel";
}

#[cfg(test)]
mod tests {
    use super::*;
    use treering::labels;

    #[test]
    fn a_series_is_released_with_its_last_handle() {
        let database = Arc::new(Database::new(Db::in_memory().unwrap()));
        let labels = labels! { "__name__" => "cpu" };
        let first = database.series(&labels).unwrap();
        let second = database.series(&labels).unwrap();
        assert_eq!(first.series, second.series);
        drop(first);
        assert_eq!(database.handles.lock().get(&second.series), Some(&1));
        drop(second);
        assert!(database.handles.lock().is_empty());
        let third = database.series(&labels).unwrap();
        drop(database);
        drop(third);
    }
}
