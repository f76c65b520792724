//! I/O errors: every call of a script and of a workload fails in every way, once and for ever.
//!
//! Input: steps, a fault at a call. Output: nothing, or a panic that names both. What must hold: no
//! panic, no hang; an answer is everything acknowledged, and at most the one change whose call
//! failed; after healing the database goes on, without reopening unless it is
//! poisoned; interrupted calls and short reads are not seen at all.

use treering::vfs::{CallKind, Fault, Repeat};
use treering::{Error, Sync};

use crate::enumerate::{caught, seed};
use crate::history::Random;
use crate::number::number;
use crate::run::{Plot, Run};
use crate::scripts::{LIFE, SCRIPT, SPACES, Step};
use crate::stage::{Case, MODES, Stage};
use crate::watchdog::Watchdog;

/// Runs of one test, when there are more calls and faults than that: of a script, of a workload.
const RUNS: u64 = 120;
const WORKLOAD_RUNS: u64 = 12;
/// And kills of a workload, each with a power cut behind it.
const KILL_RUNS: u64 = 8;
const SOAK_RUNS: u64 = 100_000;
/// What goes by before each step of a script.
const PACE: u64 = 70;

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
        let plot = Plot::of(sync, &SCRIPT);
        enumerate(&plot, &all, RUNS / 3, |run, call, (fault, repeat)| {
            run.faults.fail_only(CallKind::Sync, call, fault, repeat);
            run.play(fault)?;
            run.cut_the_power()
        });
    }
}

fn fail_every_call(sync: Sync) {
    fail_every_call_of(sync, &SCRIPT, RUNS);
}

fn fail_every_call_of(sync: Sync, script: &'static [Step], runs: u64) {
    fail(&Plot::of(sync, script), runs);
}

/// Fails the calls of what a workload of the power cuts does, and kills it there.
pub(crate) fn fail_workload(case: &Case) {
    let script = Stage::play(case, seed()).script;
    let plot = Plot {
        case: case.clone(),
        script: &script,
        pace: 0,
        errors: 0,
    };
    fail(&plot, WORKLOAD_RUNS);
    let end = [(Fault::Dead, Repeat::Forever)];
    enumerate(&plot, &end, KILL_RUNS, |run, call, (fault, repeat)| {
        run.faults.fail(call, fault, repeat);
        run.die_and_cut_the_power()
    });
}

fn fail(plot: &Plot<'_>, runs: u64) {
    let repeats = [Repeat::Once, Repeat::Forever];
    let all = Fault::ALL
        .iter()
        .flat_map(|&fault| repeats.map(|repeat| (fault, repeat)));
    let all: Vec<_> = all.collect();
    enumerate(plot, &all, runs, |run, call, (fault, repeat)| {
        run.faults.fail(call, fault, repeat);
        run.play(fault)?;
        let invisible =
            fault == Fault::ShortRead || fault == Fault::Interrupted && repeat == Repeat::Once;
        match run.errors.get(run.plot.errors) {
            Some(error) if invisible => Err(format!("it was seen: {error}")),
            _ => Ok(()),
        }
    });
}

impl Plot<'static> {
    fn of(sync: Sync, script: &'static [Step]) -> Self {
        let case = Case {
            name: "faults",
            sync,
            dir: "/db",
            options: |options| options,
            keep_bytes: 0,
            run: |_| {},
            now: 0,
        };
        Plot {
            case,
            script,
            pace: PACE,
            errors: 0,
        }
    }
}

/// Plays the script for each call and fault, or for as many of them as there is time for.
fn enumerate(
    plot: &Plot<'_>,
    faults: &[(Fault, Repeat)],
    runs: u64,
    play: impl Fn(&mut Run<'_>, u64, (Fault, Repeat)) -> Result<(), String>,
) {
    let mut clean = Run::new(plot);
    clean.play(Fault::Io).unwrap();
    assert!(clean.errors.iter().all(Error::is_disk_full));
    let calls = clean.faults.calls();
    let errors = clean.errors.len();
    let plot = Plot {
        errors,
        ..plot.clone()
    };
    let soak = std::env::var_os("TREERING_SOAK").is_some();
    let runs = number("TREERING_FAULT_RUNS").unwrap_or(if soak { SOAK_RUNS } else { runs });
    let plans = calls * faults.len() as u64;
    let (mut done, mut fired, mut failures) = (0, 0, Vec::new());
    let (mut random, watchdog) = (Random::new(seed()), Watchdog::of("failing calls"));
    for plan in 0..plans {
        if random.below(plans) >= runs {
            continue;
        }
        let (call, fault) = (1 + plan / faults.len() as u64, plan as usize % faults.len());
        let name = || format!("{}, {:?} at call {call}", plot.case.title(), faults[fault]);
        watchdog.note(name());
        let mut run = Run::new(&plot);
        let outcome = caught(|| play(&mut run, call, faults[fault]));
        done += 1;
        fired += u64::from(run.faults.fired() > 0);
        if let Err(error) = outcome {
            let title = format!("{} of {calls}: {error}", name());
            let last = run.faults.last_calls().join("\n");
            failures.push((title, format!("errors: {:?}\n{last}", run.errors)));
        }
    }
    if let Some((_, first)) = failures.first() {
        let titles: Vec<&str> = failures.iter().map(|failure| &*failure.0).collect();
        panic!("the first of these:\n{first}\n{}", titles.join("\n"));
    }
    let title = plot.case.title();
    eprintln!("fault runs: {done} of {plans} ({title}, {calls} calls, {fired} fired)");
}
