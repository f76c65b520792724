//! What a life is asked, all of it held against the plain model.
//!
//! Input: choices. Output: nothing, or a panic that says what was told and what should have been.

use treering::{Aggregate, Db, Error, Function, Selector, is_stale};

use super::Life;
use super::bytes::Bytes;
use crate::model::State;

impl Life {
    /// Asks for everything, and knows then whether the change in doubt was made.
    pub(super) fn look(&mut self) {
        let Some(db) = &self.db else { return };
        let found = match State::read(db) {
            Ok(found) => found,
            Err(error) => {
                assert!(self.failing, "{error:?}");
                return;
            }
        };
        let poisoned = db.stats().poisoned;
        if found != self.last() {
            let perhaps = self.perhaps.clone().map(|state| state.at(self.now()));
            assert_eq!(
                Some(&found),
                perhaps.as_ref(),
                "told; last {:?}",
                self.last()
            );
            if !poisoned {
                self.states.push(found);
            }
        }
        if !poisoned {
            self.perhaps = None;
        }
    }

    /// Asks in one of several ways, all of which agree.
    pub(super) fn ask(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(4) {
            0 => self.look(),
            1 => self.snapshot(),
            2 => self.read_beside(),
            _ => {
                let range = bytes.range();
                self.count(range);
            }
        }
    }

    fn snapshot(&mut self) {
        self.snapshots += 1;
        let dir = format!("/snapshot{}", self.snapshots);
        match self.db.as_ref().map(|db| db.snapshot(&dir)) {
            Some(Ok(_)) => self.compare(Db::open(&dir, self.options())),
            Some(Err(error)) => self.note(&error),
            None => {}
        }
    }

    fn read_beside(&self) {
        if self.db.is_some() {
            self.compare(Db::open_read_only("/db", self.options()));
        }
    }

    /// Another database tells what this one does.
    fn compare(&self, other: Result<Db, Error>) {
        match other.and_then(|db| State::read(&db)) {
            Ok(found) => {
                let perhaps = self.perhaps.clone().map(|state| state.at(self.now()));
                assert!(found == self.last() || Some(&found) == perhaps.as_ref());
            }
            Err(error) => self.note(&error),
        }
    }

    /// Samples of the default namespace that are no stale markers, series by series.
    fn count(&mut self, (first, last): (i64, i64)) {
        self.look();
        let Some(db) = self.db.as_ref().filter(|_| self.perhaps.is_none()) else {
            return;
        };
        let count = Aggregate::new(Function::Count);
        let found = match db.aggregate(&Selector::all(), first..=last, &count) {
            Ok(found) => found,
            Err(error) => return self.note(&error),
        };
        let points = found.iter().flat_map(|series| &series.points);
        let counted: f64 = points.map(|point| point.value).sum();
        let state = self.last();
        let samples = state
            .spaces
            .get(&0)
            .into_iter()
            .flat_map(|space| &space.samples);
        let held = samples.filter(|(key, bits)| {
            (first..=last).contains(&key.1) && !is_stale(f64::from_bits(**bits))
        });
        assert_eq!(counted, held.count() as f64, "{first}..={last}");
    }
}
