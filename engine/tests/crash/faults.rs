//! I/O errors: every call of a workload fails in every way, once and for ever.
//!
//! Input: a script of steps, a fault at a call. Output: nothing, or a panic that names both. What
//! must hold: no panic; an answer is everything acknowledged, and at most the one change whose call
//! failed; after healing the database goes on, without reopening unless it is
//! poisoned; interrupted calls and short reads are not seen at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use treering::time::ManualClock;
use treering::vfs::{CallKind, CrashVfs, Fault, FaultVfs, Repeat};
use treering::{Batch, Db, Error, Selector, Sync};

use crate::check::{open, read};
use crate::enumerate::{caught, number, seed};
use crate::history::{Change, Print, Random, labels_of};
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
}

enum Step {
    Append(u32, i64, usize),
    /// Series, first and last timestamp.
    Delete(u32, i64, i64),
    Sync,
    Flush,
    Compact,
    Maintain,
    Reopen,
}

/// Frames in two WAL files, blocks, late samples, and opens in between.
const SCRIPT: [Step; 17] = [
    Step::Reopen,
    Step::Append(0, 0, 3),
    Step::Append(1, 10, 3000),
    Step::Append(2, 20, 3000),
    Step::Sync,
    Step::Append(3, 20, 3000),
    Step::Flush,
    Step::Append(1, 500, 40),
    Step::Append(2, 20, 2),
    Step::Reopen,
    Step::Append(2, 21, 2),
    Step::Append(0, 0, 5),
    Step::Flush,
    Step::Append(0, 1, 5),
    Step::Reopen,
    Step::Append(4, 100, 10),
    Step::Append(3, 100, 10),
];

/// Deletes in the head, in blocks and across, merges that apply them, blocks that go whole.
const LIFE: [Step; 25] = [
    Step::Reopen,
    Step::Append(0, 0, 30),
    Step::Append(1, 0, 30),
    Step::Flush,
    Step::Delete(0, 5, 9),
    Step::Append(0, 8, 4),
    Step::Flush,
    Step::Compact,
    Step::Append(1, 10, 40),
    Step::Delete(1, 12, 35),
    Step::Reopen,
    Step::Append(2, 1_000_000, 3000),
    Step::Flush,
    Step::Delete(2, 1_000_000, 2_000_000),
    Step::Append(0, 9, 2),
    Step::Flush,
    Step::Delete(0, 0, 100),
    Step::Compact,
    Step::Append(0, 50, 20),
    Step::Flush,
    Step::Append(0, 60, 20),
    Step::Flush,
    Step::Maintain,
    Step::Reopen,
    Step::Delete(1, 0, 1),
];

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
        }
    }

    fn play(&mut self, fault: Fault) -> Result<(), String> {
        for step in self.script {
            let before = self.errors.len();
            self.clock.advance(std::time::Duration::from_millis(70));
            match *step {
                Step::Reopen => self.reopen()?,
                Step::Append(series, at, count) => self.append(series, at, count)?,
                Step::Delete(series, first, last) => self.delete(series, first, last)?,
                Step::Sync => self.attempt(Db::sync)?,
                Step::Flush => self.attempt(Db::flush)?,
                Step::Compact => self.attempt(Db::compact)?,
                Step::Maintain => self.attempt(|db| db.maintain().map(drop))?,
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
        let Some(db) = self.db.as_ref().filter(|_| self.perhaps.is_empty()) else {
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

    /// A delete whose call failed may have been made; nothing else is changed until that is known.
    fn delete(&mut self, series: u32, first: i64, last: i64) -> Result<(), String> {
        self.settle()?;
        let Some(db) = self.db.as_ref().filter(|_| self.perhaps.is_empty()) else {
            return Ok(());
        };
        let range = (series, first)..=(series, last);
        let gone = self.state.range(range).map(|(&key, _)| (key, None));
        let gone: Vec<Change> = gone.collect();
        let selector = Selector::all().eq("n", &series.to_string());
        match db.delete(&selector, first..=last) {
            Ok(()) => self.apply(gone),
            Err(error) => {
                self.perhaps = gone;
                self.note(error)?;
            }
        }
        Ok(())
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
