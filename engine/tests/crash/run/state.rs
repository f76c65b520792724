//! What the database must answer, and whether it does.
//!
//! Input: changes, and the clock. Output: nothing, or what is wrong, in words. Invariant: `print` is
//! that of `state`.

use super::Run;
use crate::check::{Answer, read};
use crate::history::{Change, FACTS, Print, SPACE_SERIES};

impl Run<'_> {
    /// Asks for everything; while the disk fails the question may fail as well.
    pub(super) fn look(&mut self, failing: bool) -> Result<(), String> {
        self.expire();
        let Some(db) = &self.db else { return Ok(()) };
        let answer = read(db, false);
        if let Ok(answer) = &answer {
            self.thin(answer);
        }
        match answer {
            Ok(answer) if self.answers().contains(&answer.print) => Ok(()),
            Ok(answer) => Err(format!(
                "{} samples read, acknowledged are {}, in doubt {}",
                answer.rows.len(),
                self.state.len(),
                self.perhaps.len()
            )),
            Err(_) if failing => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// As long as nothing poisoned it, it is decided whether the change in doubt is there.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.expire();
        let Some(db) = &self.db else { return Ok(()) };
        if self.perhaps.is_empty() || db.stats().poisoned {
            return Ok(());
        }
        let Ok(answer) = read(db, false) else {
            return Ok(());
        };
        self.look(true)?;
        let rows = std::mem::take(&mut self.perhaps);
        if answer.print != self.print {
            self.apply(rows);
        }
        Ok(())
    }

    /// Takes out what is past the retention by now.
    pub(super) fn expire(&mut self) {
        let now = self.clock_nanos();
        let facts = self.state.range((FACTS, i64::MIN)..);
        let spaces =
            facts.filter(|((key, _), age)| (key - FACTS).is_multiple_of(1000) && **age > 0);
        let horizons: Vec<(u32, i64)> = spaces
            .map(|((key, _), age)| ((key - FACTS) / 1000, now - *age as i64 * 1_000_000_000))
            .collect();
        let expired = |key: &(u32, i64)| {
            let mut horizons = horizons.iter();
            key.0 < FACTS && horizons.any(|it| key.0 / SPACE_SERIES == it.0 && key.1 < it.1)
        };
        let gone = self.state.keys().filter(|key| expired(key));
        let gone: Vec<Change> = gone.map(|&key| (key, None)).collect();
        self.perhaps.retain(|(key, _)| !expired(key));
        self.apply(gone);
    }

    /// Takes out what went because there were too many bytes: the oldest samples, through some
    /// moment. Whatever else lacks is seen by whoever compares.
    pub(super) fn thin(&mut self, answer: &Answer) {
        if self.thinned.is_empty() || self.answers().contains(&answer.print) {
            return;
        }
        let found = answer.rows.iter().map(|row| (row.0, row.1));
        let oldest = found.filter(|key| self.thinned.contains(key));
        let oldest = oldest.map(|key| key.1).min().unwrap_or(i64::MAX);
        let gone = self.thinned.iter().filter(|key| key.1 < oldest);
        self.apply(gone.map(|&key| (key, None)).collect());
    }

    pub(super) fn answers(&self) -> [Print; 2] {
        let mut with = self.print;
        with.change(&self.state, &self.perhaps);
        [self.print, with]
    }

    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        self.print.change(&self.state, &changes);
        for (key, bits) in changes {
            self.thinned.remove(&key);
            match bits {
                Some(bits) => self.state.insert(key, bits),
                None => self.state.remove(&key),
            };
        }
    }
}
