//! I/O errors: every call of a workload fails in every way, once and for ever.
//!
//! Input: a script of steps, a fault at a call. Output: nothing, or a panic that names both. What
//! must hold: no panic; an answer is everything acknowledged, and at most the one change whose call
//! failed; after healing the database goes on, without reopening unless it is
//! poisoned; interrupted calls and short reads are not seen at all.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use treering::time::ManualClock;
use treering::vfs::{CallKind, CrashVfs, Fault, FaultVfs, Repeat, Vfs};
use treering::{Batch, Db, Error, Metadata, NamespaceOptions, Selector, Sync};

use crate::check::{metadata_fact, open, read, space_fact, space_name};
use crate::enumerate::{caught, number, seed};
use crate::history::{Change, FACTS, Print, Random, SPACE_SERIES, labels_of};
use crate::scripts::{LIFE, SCRIPT, SPACES, Step};
use crate::stage::{Case, MODES};

/// Runs of one test, when there are more calls and faults than that.
const RUNS: u64 = 600;
const SOAK_RUNS: u64 = 100_000;

#[test]
fn any_call_may_fail_when_synced_always() {
    fail_every_call(MODES[0]);
}

#[test]
fn any_call_may_fail_when_synced_in_intervals() {
    fail_every_call(MODES[1]);
}

#[test]
fn any_call_may_fail_when_never_synced() {
    fail_every_call(MODES[2]);
}

#[test]
fn any_call_of_deletes_and_merges_may_fail_when_synced_always() {
    fail_every_call_of(MODES[0], &LIFE, RUNS);
}

#[test]
fn any_call_of_deletes_and_merges_may_fail_when_synced_in_intervals() {
    fail_every_call_of(MODES[1], &LIFE, RUNS);
}

#[test]
fn any_call_of_deletes_and_merges_may_fail_when_never_synced() {
    fail_every_call_of(MODES[2], &LIFE, RUNS);
}

#[test]
fn any_call_of_namespaces_and_snapshots_may_fail_when_synced_always() {
    fail_every_call_of(MODES[0], &SPACES, RUNS);
}

#[test]
fn any_call_of_namespaces_and_snapshots_may_fail_when_synced_in_intervals() {
    fail_every_call_of(MODES[1], &SPACES, RUNS);
}

#[test]
fn any_call_of_namespaces_and_snapshots_may_fail_when_never_synced() {
    fail_every_call_of(MODES[2], &SPACES, RUNS);
}

/// After a failed fsync the system may call the bytes clean that it never wrote. The next open sees
/// them, so it must write them anew: a power cut later takes nothing that it has answered.
#[test]
fn a_failed_fsync_of_a_file_is_not_believed_by_the_next_open() {
    for sync in MODES {
        let all = [Repeat::Once, Repeat::Forever].map(|repeat| (Fault::Sync, repeat));
        enumerate(
            (sync, &SCRIPT),
            &all,
            RUNS / 3,
            |run, call, (fault, repeat)| {
                run.faults.fail_only(CallKind::Sync, call, fault, repeat);
                run.play(fault)?;
                run.cut_the_power()
            },
        );
    }
}

fn fail_every_call(sync: Sync) {
    fail_every_call_of(sync, &SCRIPT, RUNS);
}

fn fail_every_call_of(sync: Sync, script: &'static [Step], runs: u64) {
    let repeats = [Repeat::Once, Repeat::Forever];
    let all = Fault::ALL
        .iter()
        .flat_map(|&fault| repeats.map(|repeat| (fault, repeat)));
    enumerate(
        (sync, script),
        &all.collect::<Vec<_>>(),
        runs,
        |run, call, (fault, repeat)| {
            run.faults.fail(call, fault, repeat);
            run.play(fault)?;
            let invisible =
                fault == Fault::ShortRead || fault == Fault::Interrupted && repeat == Repeat::Once;
            match run.errors.first() {
                Some(error) if invisible => Err(format!("it was seen: {error}")),
                _ => Ok(()),
            }
        },
    );
}

/// Plays the script for each call and fault, or for as many of them as there is time for.
fn enumerate(
    (sync, script): (Sync, &'static [Step]),
    faults: &[(Fault, Repeat)],
    runs: u64,
    play: impl Fn(&mut Run, u64, (Fault, Repeat)) -> Result<(), String>,
) {
    let case = Case {
        name: "faults",
        sync,
        dir: "/db",
        options: |options| options,
        keep_bytes: 0,
        run: |_| {},
        now: 0,
    };
    let mut clean = Run::new(&case, script);
    clean.play(Fault::Io).unwrap();
    assert!(clean.errors.is_empty());
    let calls = clean.faults.calls();
    let soak = std::env::var_os("TREERING_SOAK").is_some();
    let runs = number("TREERING_FAULT_RUNS").unwrap_or(if soak { SOAK_RUNS } else { runs });
    let plans = calls * faults.len() as u64;
    let (mut done, mut fired, mut failures) = (0, 0, Vec::new());
    let mut random = Random::new(seed());
    for plan in 0..plans {
        if random.below(plans) >= runs {
            continue;
        }
        let (call, fault) = (1 + plan / faults.len() as u64, plan as usize % faults.len());
        let mut run = Run::new(&case, script);
        let outcome = caught(|| play(&mut run, call, faults[fault]));
        done += 1;
        fired += u64::from(run.faults.fired() > 0);
        if let Err(error) = outcome {
            let title = format!("{:?} at call {call} of {calls}: {error}", faults[fault]);
            let calls = run.faults.last_calls().join("\n");
            failures.push((title, format!("errors: {:?}\n{calls}", run.errors)));
        }
    }
    if let Some((_, first)) = failures.first() {
        let titles: Vec<&str> = failures.iter().map(|failure| &*failure.0).collect();
        panic!(
            "{sync:?}, the first of these:\n{first}\n{}",
            titles.join("\n")
        );
    }
    eprintln!("fault runs: {done} of {plans} ({sync:?}, {calls} calls, {fired} fired)");
}

/// One run of the script, and what the database must answer.
struct Run {
    case: Case,
    script: &'static [Step],
    store: CrashVfs,
    faults: FaultVfs,
    clock: Arc<ManualClock>,
    random: Random,
    db: Option<Db>,
    state: BTreeMap<(u32, i64), u64>,
    /// The answer that `state` gives.
    print: Print,
    /// The change whose call failed: it may be there or not.
    perhaps: Vec<Change>,
    errors: Vec<Error>,
    snapshots: usize,
}

impl Run {
    fn new(case: &Case, script: &'static [Step]) -> Self {
        let store = CrashVfs::new();
        Self {
            case: case.clone(),
            script,
            faults: FaultVfs::new(Arc::new(store.clone())),
            store,
            clock: Arc::new(ManualClock::new(0)),
            random: Random::new(7),
            db: None,
            state: BTreeMap::new(),
            print: Print::default(),
            perhaps: Vec::new(),
            errors: Vec::new(),
            snapshots: 0,
        }
    }

    fn play(&mut self, fault: Fault) -> Result<(), String> {
        for step in self.script {
            let before = self.errors.len();
            self.clock.advance(Duration::from_millis(70));
            match *step {
                Step::Reopen => self.reopen()?,
                Step::Append(series, at, count) => self.append(series, at, count)?,
                Step::Delete(series, first, last) => self.delete(series, first, last)?,
                Step::Sync => self.attempt(Db::sync)?,
                Step::Flush => self.attempt(Db::flush)?,
                Step::Compact => self.attempt(Db::compact)?,
                Step::Maintain => self.attempt(|db| db.maintain().map(drop))?,
                Step::Keep(space, seconds, step) => self.keep(space, seconds, step)?,
                Step::Drop(space) => self.drop_space(space)?,
                Step::Describe(space, metric, help) => self.describe(space, metric, help)?,
                Step::Snapshot => self.snapshot()?,
            }
            // A fault that was seen, and every other step too.
            if self.errors.len() > before || self.random.below(3) == 0 {
                self.look(true)?;
            }
        }
        self.faults.heal();
        self.end(fault)
    }

    /// Healed: all is there, and it goes on.
    fn end(&mut self, fault: Fault) -> Result<(), String> {
        if self.db.as_ref().is_none_or(|db| db.stats().poisoned) {
            self.reopen()?;
        }
        let errors = self.errors.len();
        self.look(false)?;
        self.append(9, 0, 5)?;
        self.attempt(Db::flush)?;
        self.append(9, 2, 1)?;
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
            .filter(|(path, _)| path.starts_with("db"))
        {
            Some((path, _)) => Err(format!("{} is left over", path.display())),
            None => Ok(()),
        }
    }

    /// Once the database was closed without an error, a power cut takes nothing of it.
    fn cut_the_power(&mut self) -> Result<(), String> {
        self.attempt(Db::close)?;
        self.db = None;
        let calls = self.store.calls();
        for index in 0..3 {
            let image = self.store.image(calls, 1, index);
            let db = open(&self.case, &image)
                .map_err(|error| format!("after a power cut, image {index}: {error}"))?;
            if read(&db, false)?.print != self.print {
                return Err(format!("a power cut took samples, image {index}"));
            }
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), String> {
        self.attempt(Db::close)?;
        self.db = None;
        let options = self
            .case
            .options_on(Arc::new(self.faults.clone()), Arc::clone(&self.clock));
        // The second attempt is that of a user who tries again.
        for _ in 0..2 {
            match Db::open(self.case.dir, options.clone()) {
                Ok(db) => {
                    self.db = Some(db);
                    return self.settle();
                }
                Err(error) => self.note(error)?,
            }
        }
        Ok(())
    }

    fn append(&mut self, series: u32, at: i64, count: usize) -> Result<(), String> {
        self.settle()?;
        let Some(db) = self.certain(series / SPACE_SERIES) else {
            return Ok(());
        };
        let mut rows: Vec<Change> = Vec::new();
        let mut batch = Batch::new();
        for step in 0..count {
            let (at, value) = (at + step as i64, self.random.value());
            batch.push(labels_of(series), at, value);
            rows.push(((series, at), Some(value.to_bits())));
        }
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

    fn delete(&mut self, series: u32, first: i64, last: i64) -> Result<(), String> {
        self.settle()?;
        let Some(db) = self.certain(series / SPACE_SERIES) else {
            return Ok(());
        };
        let range = (series, first)..=(series, last);
        let gone = self.state.range(range).map(|(&key, _)| (key, None));
        let gone: Vec<Change> = gone.collect();
        let selector = Selector::all().eq("n", &(series % SPACE_SERIES).to_string());
        let deleted = db.delete(&selector, first..=last);
        self.changed(deleted, gone)
    }

    fn keep(&mut self, space: u32, age: u64, step: Option<u64>) -> Result<(), String> {
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

    fn drop_space(&mut self, space: u32) -> Result<(), String> {
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

    fn describe(&mut self, space: u32, metric: u32, help: Option<usize>) -> Result<(), String> {
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
        let options = self.case.options_on(store, Arc::clone(&self.clock));
        let copy = Db::open(&dir, options).map_err(|error| format!("snapshot {dir}: {error}"))?;
        let found = read(&copy, false)?.print;
        match self.answers().contains(&found) {
            true => Ok(()),
            false => Err(format!("{} samples in the snapshot {dir}", found.samples)),
        }
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

    /// Asks for everything; while the disk fails the question may fail as well.
    fn look(&mut self, failing: bool) -> Result<(), String> {
        let Some(db) = &self.db else { return Ok(()) };
        match read(db, false) {
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
    fn settle(&mut self) -> Result<(), String> {
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

    fn answers(&self) -> [Print; 2] {
        let mut with = self.print;
        with.change(&self.state, &self.perhaps);
        [self.print, with]
    }

    fn apply(&mut self, changes: Vec<Change>) {
        self.print.change(&self.state, &changes);
        for (key, bits) in changes {
            match bits {
                Some(bits) => self.state.insert(key, bits),
                None => self.state.remove(&key),
            };
        }
    }
}
