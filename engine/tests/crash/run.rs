//! One run of a script on a disk whose calls fail, and what the database must answer meanwhile.
//!
//! Input: steps, one after the other. Output: nothing, or what is wrong, in words. Invariant: `state`
//! is everything acknowledged; at most one change is in doubt, and until it is settled no other is
//! made.

mod changes;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use treering::time::ManualClock;
use treering::vfs::{CallKind, CrashVfs, Fault, FaultVfs, Repeat, Vfs};
use treering::{Batch, Db, Error};

use crate::check::read;
use crate::history::{Change, Print, Random, SPACE_SERIES, labels_of};
use crate::scripts::Step;
use crate::stage::Case;

/// What is done, and how.
#[derive(Clone)]
pub(crate) struct Plot<'a> {
    pub(crate) case: Case,
    pub(crate) script: &'a [Step],
    /// Milliseconds before each step.
    pub(crate) pace: u64,
    /// Errors when no call fails: those of a full disk.
    pub(crate) errors: usize,
}

/// One run of the script, and what the database must answer.
pub(crate) struct Run<'a> {
    pub(crate) plot: &'a Plot<'a>,
    store: CrashVfs,
    /// Below `faults`: what ends a process that is killed.
    end: FaultVfs,
    pub(crate) faults: FaultVfs,
    clock: Arc<ManualClock>,
    random: Random,
    db: Option<Db>,
    state: BTreeMap<(u32, i64), u64>,
    /// The answer that `state` gives.
    print: Print,
    /// The change whose call failed: it may be there or not.
    perhaps: Vec<Change>,
    pub(crate) errors: Vec<Error>,
    snapshots: usize,
    /// Samples of which the oldest may be gone because there were too many bytes.
    thinned: BTreeSet<(u32, i64)>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(plot: &'a Plot<'a>) -> Self {
        let store = CrashVfs::new();
        let end = FaultVfs::new(Arc::new(store.clone()));
        Self {
            plot,
            faults: FaultVfs::new(Arc::new(end.clone())),
            end,
            store,
            clock: Arc::new(ManualClock::new(0)),
            random: Random::new(7),
            db: None,
            state: BTreeMap::new(),
            print: Print::default(),
            perhaps: Vec::new(),
            errors: Vec::new(),
            snapshots: 0,
            thinned: BTreeSet::new(),
        }
    }

    pub(crate) fn play(&mut self, fault: Fault) -> Result<(), String> {
        for step in self.plot.script {
            let before = self.errors.len();
            self.clock.advance(Duration::from_millis(self.plot.pace));
            self.take(step)?;
            // A fault that was seen, and every other step too.
            if self.errors.len() > before || self.random.below(3) == 0 {
                self.look(true)?;
            }
        }
        self.faults.heal();
        self.end(fault)
    }

    fn take(&mut self, step: &Step) -> Result<(), String> {
        match *step {
            Step::Reopen => self.reopen()?,
            Step::Append(series, at, count) => self.append(series, at, count)?,
            Step::Batch(ref rows) => self.append_rows(rows)?,
            Step::Delete(series, first, last) => {
                let (space, number) = (series / SPACE_SERIES, series % SPACE_SERIES);
                self.delete(space, &(number..number + 1), first..=last)?;
            }
            Step::DeleteMany(space, ref numbers, ref range) => {
                self.delete(space, numbers, range.clone())?;
            }
            Step::Sync => self.attempt(Db::sync)?,
            Step::Flush => self.attempt(Db::flush)?,
            Step::Compact => self.attempt(Db::compact)?,
            Step::Maintain => self.attempt(|db| db.maintain().map(drop))?,
            Step::MaintainAll => self.attempt(maintain_all)?,
            Step::Keep(space, seconds, step) => self.keep(space, seconds, step)?,
            Step::Shrink(bytes) => self.shrink(bytes)?,
            Step::Drop(space) => self.drop_space(space)?,
            Step::Describe(space, metric, help) => self.describe(space, metric, help)?,
            Step::Snapshot => self.snapshot()?,
            Step::Wait(millis) => self.clock.advance(Duration::from_millis(millis)),
            Step::Clock(now) => self.clock.set(now),
            Step::Kill => self.kill()?,
            Step::FillDisk(free) => self.fill_disk(free),
            Step::FreeDisk => self.faults.clear_capacity(),
        }
        Ok(())
    }

    /// Healed: all is there, and it goes on.
    fn end(&mut self, fault: Fault) -> Result<(), String> {
        self.faults.clear_capacity();
        if self.db.as_ref().is_none_or(|db| db.stats().poisoned) {
            self.reopen()?;
        }
        let errors = self.errors.len();
        self.look(false)?;
        let now = self.clock_nanos();
        self.append(9, now, 5)?;
        self.attempt(Db::flush)?;
        self.append(9, now + 2, 1)?;
        self.look(false)?;
        self.reopen()?;
        self.look(false)?;
        if self.errors.len() > errors {
            return Err(format!("still failing when healed of {fault:?}"));
        }
        let report = self.db.as_ref().map(|db| db.recovery().clone());
        if report.is_none_or(|report| !report.quarantined.is_empty() || report.wal_cut.is_some()) {
            return Err("not closed cleanly".to_owned());
        }
        let names = self.store.kill_image().files();
        match names
            .iter()
            .find(|(path, _)| path.extension().is_some_and(|kind| kind == "tmp"))
            .filter(|(path, _)| path.starts_with(self.plot.case.dir.trim_start_matches('/')))
        {
            Some((path, _)) => Err(format!("{} is left over", path.display())),
            None => Ok(()),
        }
    }

    /// Once the database was closed without an error, a power cut takes nothing of it.
    pub(crate) fn cut_the_power(&mut self) -> Result<(), String> {
        self.attempt(Db::close)?;
        self.db = None;
        let calls = self.store.calls();
        for index in 0..3 {
            let image = self.store.image(calls, 1, index);
            let case = &self.plot.case;
            let options = case.options_on(Arc::new(image), Arc::clone(&self.clock));
            let db = Db::open(case.dir, options)
                .map_err(|error| format!("after a power cut, image {index}: {error}"))?;
            if read(&db, false)?.print != self.print {
                return Err(format!("a power cut took samples, image {index}"));
            }
        }
        Ok(())
    }

    /// The process is killed at the call at which all begin to fail; another one goes on from there,
    /// and then the power is cut, which the disk may use to lose what the first one did not sync.
    pub(crate) fn die_and_cut_the_power(&mut self) -> Result<(), String> {
        for step in self.plot.script {
            self.clock.advance(Duration::from_millis(self.plot.pace));
            self.take(step)?;
            if self.faults.fired() > 0 {
                break;
            }
        }
        self.db = None;
        self.faults.heal();
        self.faults.clear_capacity();
        self.reopen()?;
        self.look(false)?;
        self.append(9, self.clock_nanos(), 5)?;
        self.cut_the_power()
    }

    fn reopen(&mut self) -> Result<(), String> {
        self.attempt(Db::close)?;
        self.db = None;
        let case = &self.plot.case;
        let options = case.options_on(Arc::new(self.faults.clone()), Arc::clone(&self.clock));
        // The second attempt is that of a user who tries again.
        for _ in 0..2 {
            match Db::open(case.dir, options.clone()) {
                Ok(db) => {
                    self.db = Some(db);
                    return self.settle();
                }
                Err(error) => self.note(error)?,
            }
        }
        Ok(())
    }

    /// The process dies with what it wrote in the memory of the system.
    fn kill(&mut self) -> Result<(), String> {
        // A write that can neither be made nor taken back poisons, so that dropping does nothing.
        for kind in [CallKind::Write, CallKind::SetLen, CallKind::Sync] {
            self.end.fail_only(kind, 1, Fault::Io, Repeat::Forever);
        }
        if let Some(db) = self.db.take() {
            let batch = Batch::new().sample(labels_of(0), self.clock_nanos(), 0.0);
            if db.append(&batch).is_ok() {
                return Err("an append without a write".to_owned());
            }
        }
        self.end.heal();
        self.reopen()
    }

    /// Makes the disk too small for `free` more bytes.
    fn fill_disk(&mut self, free: u64) {
        self.faults.set_capacity(Path::new("/"), u64::MAX).unwrap();
        let full = self.faults.used() + free;
        self.faults.set_capacity(Path::new("/"), full).unwrap();
    }

    /// A snapshot is whole or not there, and an answer of its own.
    fn snapshot(&mut self) -> Result<(), String> {
        self.settle()?;
        self.snapshots += 1;
        let dir = format!("/copy{}", self.snapshots);
        let Some(made) = self.db.as_ref().map(|db| db.snapshot(&dir)) else {
            return Ok(());
        };
        let there = self.store.exists(Path::new(&dir)).unwrap_or(false);
        if let Err(error) = made {
            self.note(error)?;
        } else if !there {
            return Err(format!("a snapshot was made, but {dir} is not there"));
        }
        if !there {
            return Ok(());
        }
        let store = Arc::new(self.store.kill_image());
        let options = self.plot.case.options_on(store, Arc::clone(&self.clock));
        let copy = Db::open(&dir, options).map_err(|error| format!("snapshot {dir}: {error}"))?;
        let found = read(&copy, false)?.print;
        match self.answers().contains(&found) {
            true => Ok(()),
            false => Err(format!("{} samples in the snapshot {dir}", found.samples)),
        }
    }

    fn clock_nanos(&self) -> i64 {
        treering::time::Clock::now(&*self.clock)
    }

    fn attempt(&mut self, call: impl FnOnce(&Db) -> Result<(), Error>) -> Result<(), String> {
        match self.db.as_ref().map(call) {
            Some(Err(error)) => self.note(error),
            _ => Ok(()),
        }
    }

    /// A failing disk is no damage, and no other error either.
    fn note(&mut self, error: Error) -> Result<(), String> {
        let fitting = matches!(
            error,
            Error::Io { .. } | Error::DiskFull { .. } | Error::Poisoned { .. }
        );
        let text = error.to_string();
        self.errors.push(error);
        if fitting { Ok(()) } else { Err(text) }
    }
}

fn maintain_all(db: &Db) -> Result<(), Error> {
    while db.maintain()? {}
    Ok(())
}
