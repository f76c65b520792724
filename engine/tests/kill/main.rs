//! kill -9 of a writing process on a real disk, again and again on one database.
//!
//! The test runs itself as a child, which opens the database with `Sync::Always` and appends from
//! four threads; each acknowledgement goes through a pipe after the append returned. The parent
//! kills it after a random number of them, opens the database and compares. `TREERING_KILLS` is the
//! number of rounds, `TREERING_SEED` where its random choices start. `power` cuts the power of the
//! file system instead, `full` fills it.
#![allow(
    clippy::print_stderr,
    reason = "the number of kills belongs to the result"
)]

mod full;
#[path = "../shared/mixed.rs"]
mod mixed;
mod mounted;
#[path = "../shared/number.rs"]
mod number;
mod power;
#[path = "../shared/watchdog.rs"]
mod watchdog;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use treering::{Batch, Db, Labels, Maintenance, Options, Selector, Sync, labels};

use mixed::mixed;
use number::number;
use watchdog::Watchdog;

const THREADS: u64 = 4;
/// Most samples of a batch; a batch's timestamps start at its number times this.
const SAMPLES_MAX: u64 = 24;
/// Acknowledgements before a kill, at most.
const ACKS_MAX: u64 = 300;
const CHILD: &str = "TREERING_KILL_CHILD";
const STARTS: &str = "TREERING_KILL_STARTS";

/// One test after the other: between fork and exec a child holds the locks that its parent has, also
/// those of another test.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn nothing_acknowledged_is_lost_and_nothing_invented() {
    if let Some(dir) = std::env::var_os(CHILD) {
        write_until_killed(Path::new(&dir));
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (rounds, seed) = (
        number("TREERING_KILLS").unwrap_or(20),
        number("TREERING_SEED"),
    );
    let dir = tempfile::tempdir().unwrap();
    let mut lives = Lives::new(dir.path().join("db"), seed.unwrap_or(1));
    for _ in 0..rounds {
        lives.live(&mut |child| child.kill().unwrap(), Acks::Count, &mut || ());
    }
    assert!(rounds < 20 || lives.blocks > 0, "no flush came between");
    eprintln!("kills: {rounds}, {lives}");
}

/// What acknowledgements say that are read after a child was stopped.
#[derive(Debug, Clone, Copy)]
enum Acks {
    /// They were given before.
    Count,
    /// The kernel may have told the child lies.
    MayCount,
}

/// A database that is written to and stopped, again and again.
struct Lives {
    path: PathBuf,
    random: u64,
    round: u64,
    /// Batches of each thread.
    held: [u64; THREADS as usize],
    acknowledged: u64,
    blocks: u64,
}

impl fmt::Display for Lives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (acknowledged, blocks) = (self.acknowledged, self.blocks);
        write!(
            f,
            "{acknowledged} batches acknowledged, {blocks} blocks in the end"
        )
    }
}

impl Lives {
    fn new(path: PathBuf, random: u64) -> Self {
        Self {
            path,
            random,
            round: 0,
            held: [0; THREADS as usize],
            acknowledged: 0,
            blocks: 0,
        }
    }

    /// One life: a child writes until `stop` ends it; after `between` the database is opened and held
    /// against what was acknowledged.
    fn live(
        &mut self,
        stop: &mut dyn FnMut(&mut Child),
        after_stop: Acks,
        between: &mut dyn FnMut(),
    ) {
        let round = self.round;
        self.random = mixed(self.random);
        // One round in eight is stopped at once: while it opens the database.
        let acks_wanted = if self.random.is_multiple_of(8) {
            0
        } else {
            self.random / 8 % ACKS_MAX
        };
        let (acks, before) = run_and_stop(&self.path, &self.held, acks_wanted, stop);
        let sure = match after_stop {
            Acks::Count => acks.len(),
            Acks::MayCount => before,
        };
        self.acknowledged += sure as u64;
        let (mut least, mut most) = (self.held, self.held);
        for (number, (thread, batch)) in acks.into_iter().enumerate() {
            let next = &mut most[thread];
            assert_eq!(
                batch, *next,
                "round {round}: thread {thread} acknowledged out of order"
            );
            *next += 1;
            if number < sure {
                least[thread] = *next;
            }
        }
        between();
        // Everything is read at once in the end, which is more than a query may hold of the bound
        // that makes the child flush.
        let reader = options()
            .memory_bytes(1 << 30)
            .maintenance(Maintenance::Manual);
        let Ok(db) = Db::open(&self.path, reader) else {
            panic!("round {round}: {:?}", Db::open(&self.path, options()).err());
        };
        assert!(
            db.recovery().quarantined.is_empty(),
            "round {round}: {:?}",
            db.recovery()
        );
        self.held = read(&db, round);
        for (thread, held) in self.held.iter().enumerate() {
            let (least, most) = (least[thread], most[thread]);
            // One batch may be there whose acknowledgement did not come through.
            assert!(
                (least..=most + 1).contains(held),
                "round {round}: thread {thread} has {held} batches, {least} acknowledged"
            );
        }
        self.blocks = db.stats().blocks;
        if self.random.is_multiple_of(3) {
            db.close().unwrap();
        }
        self.round += 1;
    }
}

fn options() -> Options {
    Options::default()
        .sync(Sync::Always)
        .memory_bytes(8 << 20)
        .wal_file_bytes(64 << 10)
        .wal_max_bytes(128 << 10)
        .reserve_bytes(64 << 10)
}

/// Starts a child that goes on behind the `held` batches, stops it after so many acknowledgements,
/// and gives all that came through, as (thread, batch), and how many of them before that. Once it
/// was stopped it may fail.
fn run_and_stop(
    path: &Path,
    held: &[u64],
    acks_wanted: u64,
    stop: &mut dyn FnMut(&mut Child),
) -> (Vec<(usize, u64)>, usize) {
    let starts: Vec<String> = held.iter().map(u64::to_string).collect();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "nothing_acknowledged_is_lost_and_nothing_invented",
            "--nocapture",
        ])
        .env(CHILD, path)
        .env(STARTS, starts.join(","))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = KilledOnDrop(child);
    let dog = Watchdog::of("a killed process");
    let pipe = BufReader::new(child.0.stdout.take().unwrap());
    let (mut acks, mut is_stopped, mut before) = (Vec::new(), false, 0);
    for line in pipe.lines().map(|line| line.unwrap()) {
        dog.note("wait for the child");
        if let Some(ack) = line
            .strip_prefix("ack ")
            .and_then(|ack| ack.split_once(' '))
        {
            acks.push((ack.0.parse().unwrap(), ack.1.parse().unwrap()));
        }
        assert!(
            is_stopped || (!line.contains("panicked") && !line.starts_with("error")),
            "the child: {line}"
        );
        if acks.len() as u64 >= acks_wanted && !is_stopped {
            (is_stopped, before) = (true, acks.len());
            stop(&mut child.0);
        }
    }
    assert!(is_stopped, "the child ended by itself");
    (acks, before)
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The child: appends until it is killed.
fn write_until_killed(path: &Path) {
    let starts = std::env::var(STARTS).unwrap();
    let starts = starts.split(',').map(|start| start.parse::<u64>().unwrap());
    say("open");
    let db = Db::open(path, options()).unwrap_or_else(|error| fail(&error));
    std::thread::scope(|scope| {
        for (thread, start) in starts.enumerate() {
            let db = &db;
            scope.spawn(move || {
                for number in start.. {
                    let mut batch = Batch::new();
                    for (series, at, value) in rows(thread as u64, number) {
                        batch.push(series, at, value);
                    }
                    db.append(&batch).unwrap_or_else(|error| fail(&error));
                    say(&format!("ack {thread} {number}"));
                }
            });
        }
    });
}

/// One line in one write.
fn say(line: &str) {
    // When the parent is gone there is nobody to tell.
    let _ = std::io::stdout()
        .lock()
        .write_all(format!("\n{line}\n").as_bytes());
}

fn fail<T>(error: &treering::Error) -> T {
    say(&format!("error {error}"));
    std::process::abort()
}

/// The samples of a batch: on a series of the thread, and on one that all threads share.
fn rows(thread: u64, number: u64) -> Vec<(Labels, i64, f64)> {
    let own = labels! { "__name__" => "own", "thread" => thread.to_string() };
    let shared = labels! { "__name__" => "shared" };
    let count = 1 + mixed(thread << 32 | number) % SAMPLES_MAX;
    let mut rows = Vec::new();
    for index in 0..count {
        let at = (number * SAMPLES_MAX + index) as i64;
        rows.push((
            own.clone(),
            at,
            f64::from_bits(mixed(at as u64 ^ thread << 56)),
        ));
    }
    let at = (number * THREADS + thread) as i64;
    rows.push((shared, at, f64::from_bits(mixed(at as u64))));
    rows
}

/// How many batches of each thread are there: whole ones, without a gap, bit for bit.
fn read(db: &Db, round: u64) -> [u64; THREADS as usize] {
    let mut found: BTreeMap<(String, i64), u64> = BTreeMap::new();
    for series in db.select(&Selector::parse("{}").unwrap(), ..).unwrap() {
        let series = series.unwrap();
        let columns = series.columns().unwrap();
        for (&at, value) in columns.timestamps.iter().zip(&columns.values) {
            found.insert((series.labels().to_string(), at), value.to_bits());
        }
    }
    let mut held = [0; THREADS as usize];
    for (thread, held) in held.iter_mut().enumerate() {
        loop {
            let rows = rows(thread as u64, *held);
            let took = rows.iter().map(|(series, at, value)| {
                found.remove(&(series.to_string(), *at)) == Some(value.to_bits())
            });
            match took.filter(|&there| there).count() {
                0 => break,
                all if all == rows.len() => *held += 1,
                some => panic!("round {round}: {some} samples of thread {thread}, batch {held}"),
            }
        }
    }
    assert!(
        found.is_empty(),
        "round {round}: invented {:?}",
        found.iter().next()
    );
    held
}
