//! The changes of a life: samples, deletes, namespaces, metadata.
//!
//! Input: choices. Output: the change in the database and in the plain model. Invariant: while one is
//! in doubt no other is made.

use std::time::Duration;

use treering::{Batch, Db, Error, Metadata, NamespaceOptions, Selector, Sync};

use super::bytes::{Bytes, value};
use super::{Life, SAMPLES};
use crate::model::{SECOND, SPACES, State, horizon, series};

impl Life {
    /// Makes a change, unless another one is in doubt.
    fn change(&mut self, then: State, call: impl FnOnce(&Db) -> Result<(), Error>) {
        if self.perhaps.is_some() {
            self.look();
        }
        let Some(db) = self.db.as_ref().filter(|_| self.perhaps.is_none()) else {
            return;
        };
        match call(db) {
            Ok(()) => {
                if self.sync == Sync::Always {
                    self.states.clear();
                }
                self.states.push(then);
            }
            Err(error) => {
                self.note(&error);
                self.perhaps = Some(then);
                self.look();
            }
        }
    }

    /// The namespace of a number, if it is there.
    fn space(&mut self, number: u8) -> Option<(u8, State)> {
        if self.perhaps.is_some() {
            self.look();
        }
        let state = self.last();
        state
            .spaces
            .contains_key(&number)
            .then_some((number, state))
    }

    pub(super) fn append(&mut self, space: u8, rows: &[(u8, i64, f64)]) {
        let Some((space, mut state)) = self.space(space) else {
            return;
        };
        let first = horizon(space, self.now());
        let mut batch = Batch::new();
        for &(host, at, value) in rows.iter().filter(|row| row.1 >= first) {
            batch.push(series(host), at, value);
            let samples = state.spaces.get_mut(&space).map(|space| &mut space.samples);
            samples.and_then(|samples| samples.insert((host, at), value.to_bits()));
        }
        self.samples += rows.len();
        if self.samples <= SAMPLES {
            self.change(state, |db| {
                db.namespace(SPACES[usize::from(space)])?.append(&batch)
            });
        }
    }

    pub(super) fn scatter(&mut self, bytes: &mut Bytes<'_>) {
        let space = bytes.below(3);
        let row = |bytes: &mut Bytes<'_>| (bytes.below(6), bytes.time(), value(bytes.next()));
        let rows: Vec<_> = (0..=bytes.below(6)).map(|_| row(bytes)).collect();
        self.append(space, &rows);
    }

    pub(super) fn column(&mut self, bytes: &mut Bytes<'_>) {
        let (space, host, start) = (bytes.below(3), bytes.below(6), bytes.time());
        let (step, count) = (i64::from(bytes.next()) + 1, i64::from(bytes.next()) * 3);
        let first = bytes.next();
        let at = |index: i64| start.saturating_add(index * step * SECOND);
        let rows =
            (0..count).map(|index| (host, at(index), value(first.wrapping_add(index as u8))));
        self.append(space, &rows.collect::<Vec<_>>());
    }

    pub(super) fn delete(&mut self, bytes: &mut Bytes<'_>) {
        let Some((space, mut state)) = self.space(bytes.below(3)) else {
            return;
        };
        let host = bytes.below(8);
        let (first, last) = bytes.range();
        let mut selector = Selector::metric("m");
        if host < 6 {
            selector = selector.eq("host", &host.to_string());
        }
        let hit = |key: &(u8, i64)| (host >= 6 || key.0 == host) && (first..=last).contains(&key.1);
        if let Some(space) = state.spaces.get_mut(&space) {
            space.samples.retain(|key, _| !hit(key));
        }
        let name = SPACES[usize::from(space)];
        self.change(state, |db| {
            db.namespace(name)?.delete(&selector, first..=last)
        });
    }

    /// Makes one that is not there, drops one that is.
    pub(super) fn namespace(&mut self, bytes: &mut Bytes<'_>) {
        let number = 1 + bytes.below(2);
        let name = SPACES[usize::from(number)];
        if let Some((number, mut state)) = self.space(number) {
            state.spaces.remove(&number);
            return self.change(state, |db| db.drop_namespace(name));
        }
        let mut state = self.last();
        state.spaces.insert(number, Default::default());
        let mut options = NamespaceOptions::default();
        if number == 2 {
            options = options.retention(Duration::from_secs(3600));
        }
        self.change(state, |db| db.create_namespace(name, options).map(drop));
    }

    pub(super) fn describe(&mut self, bytes: &mut Bytes<'_>) {
        let Some((space, mut state)) = self.space(bytes.below(3)) else {
            return;
        };
        let help = Some(usize::from(bytes.next())).filter(|help| help % 4 > 0);
        if let Some(space) = state.spaces.get_mut(&space) {
            space.help = help;
        }
        self.change(state, |db| {
            let db = db.namespace(SPACES[usize::from(space)])?;
            match help {
                Some(len) => db.set_metadata("m", &Metadata::default().help("h".repeat(len))),
                None => db.remove_metadata("m"),
            }
        });
    }
}
