//! The changes that a run makes: samples, deletes, namespaces, metadata.
//!
//! Input: what a step of the script says. Output: the change in `state`, or in doubt. Invariant: while
//! one is in doubt no other is made.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use treering::{Batch, Db, Error, Metadata, NamespaceOptions, Selector};

use super::Run;
use crate::beside;
use crate::check::{metadata_fact, space_fact, space_name};
use crate::history::{Change, FACTS, SPACE_SERIES, labels_of};

impl Run<'_> {
    pub(super) fn append(&mut self, series: u32, at: i64, count: usize) -> Result<(), String> {
        let rows = (0..count as i64).map(|step| (series, at + step, self.random.value()));
        let rows: Vec<_> = rows.collect();
        self.append_rows(&rows)
    }

    pub(super) fn append_rows(&mut self, rows: &[(u32, i64, f64)]) -> Result<(), String> {
        self.settle()?;
        let space = rows.first().map_or(0, |row| row.0 / SPACE_SERIES);
        let Some(db) = self.certain(space) else {
            return Ok(());
        };
        // The last of several at one place counts.
        let mut places = BTreeMap::new();
        let mut batch = Batch::new();
        for &(series, at, value) in rows {
            beside::push(&mut batch, labels_of(series), at, value);
            places.insert((series, at), Some(value.to_bits()));
        }
        let rows: Vec<Change> = places.into_iter().collect();
        let poisoned = db.stats().poisoned;
        match db.append(&batch) {
            Ok(()) => self.apply(rows),
            Err(error) => {
                if !poisoned && db.stats().poisoned {
                    self.perhaps = rows;
                }
                self.note(error)?;
            }
        }
        Ok(())
    }

    pub(super) fn delete(
        &mut self,
        space: u32,
        numbers: &Range<u32>,
        range: RangeInclusive<i64>,
    ) -> Result<(), String> {
        self.settle()?;
        let Some(db) = self.certain(space) else {
            return Ok(());
        };
        let gone = self.state.keys().filter(|(series, at)| {
            let here = *series < FACTS && series / SPACE_SERIES == space;
            here && numbers.contains(&(series % SPACE_SERIES)) && range.contains(at)
        });
        let gone: Vec<Change> = gone.map(|&key| (key, None)).collect();
        let names: Vec<String> = numbers.clone().map(|number| number.to_string()).collect();
        let selector = Selector::all().regex("n", &names.join("|"));
        let selector = selector.map_err(|error| error.to_string())?;
        let deleted = db.delete(&selector, range);
        self.changed(deleted, gone)
    }

    pub(super) fn shrink(&mut self, bytes: u64) -> Result<(), String> {
        self.settle()?;
        let Some(db) = self.certain(0) else {
            return Ok(());
        };
        let keys = self.state.keys().filter(|key| key.0 < SPACE_SERIES);
        self.thinned = keys.copied().collect();
        let options = NamespaceOptions::default().retention_bytes(bytes);
        let (key, at, bits) = space_fact(0, &options);
        let altered = db.alter_namespace("default", options);
        self.changed(altered, vec![((key, at), Some(bits))])?;
        self.attempt(|db| db.maintain().map(drop))
    }

    pub(super) fn keep(&mut self, space: u32, age: u64, step: Option<u64>) -> Result<(), String> {
        self.settle()?;
        let Some(db) = self.db.clone().filter(|_| self.perhaps.is_empty()) else {
            return Ok(());
        };
        let seconds = |seconds| Duration::from_secs(seconds);
        let mut options = NamespaceOptions::default().retention(seconds(age));
        if let Some(step) = step {
            options = options.downsample(seconds(3600), seconds(step));
        }
        let (key, at, bits) = space_fact(space, &options);
        let mut changes = vec![((key, at), Some(bits))];
        let horizon = self.clock_nanos() - age as i64 * 1_000_000_000;
        let expired = self
            .state
            .keys()
            .filter(|key| key.0 / SPACE_SERIES == space);
        changes.extend(
            expired
                .filter(|key| key.1 < horizon)
                .map(|&key| (key, None)),
        );
        let name = space_name(space);
        let kept = match db.namespace(&name) {
            Ok(_) => db.alter_namespace(&name, options),
            Err(_) => db.create_namespace(&name, options).map(drop),
        };
        self.changed(kept, changes)
    }

    pub(super) fn drop_space(&mut self, space: u32) -> Result<(), String> {
        self.settle()?;
        let Some(db) = self.certain(space) else {
            return Ok(());
        };
        let gone = |key: u32| match key.checked_sub(FACTS) {
            Some(fact) => fact / 1000 == space,
            None => key / SPACE_SERIES == space,
        };
        let keys = self.state.keys().filter(|key| gone(key.0));
        let gone = keys.map(|&key| (key, None)).collect();
        self.changed(db.drop_namespace(&space_name(space)), gone)
    }

    pub(super) fn describe(
        &mut self,
        space: u32,
        metric: u32,
        help: Option<usize>,
    ) -> Result<(), String> {
        self.settle()?;
        let Some(db) = self.certain(space) else {
            return Ok(());
        };
        let (key, at, bits) = metadata_fact(space, metric, help.unwrap_or(0));
        let name = format!("m{metric}");
        let described = match help {
            Some(help) => db.set_metadata(&name, &Metadata::default().help("h".repeat(help))),
            None => db.remove_metadata(&name),
        };
        self.changed(described, vec![((key, at), help.map(|_| bits))])
    }

    /// The database from a namespace that is certainly there, when no change is in doubt.
    fn certain(&self, space: u32) -> Option<Db> {
        let db = self.db.as_ref().filter(|_| self.perhaps.is_empty())?;
        db.namespace(&space_name(space)).ok()
    }

    /// A change whose call failed may have been made; nothing else is changed until that is known.
    fn changed(&mut self, outcome: Result<(), Error>, changes: Vec<Change>) -> Result<(), String> {
        match outcome {
            Ok(()) => self.apply(changes),
            Err(error) => {
                self.perhaps = changes;
                self.note(error)?;
            }
        }
        Ok(())
    }
}
