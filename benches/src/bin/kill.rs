//! kill -9 of a writing process, again and again on one database: nothing acknowledged may be
//! lost, nothing may be invented, every reopen must be clean.
//!
//! Input: `[--rounds N] [--seed N] [--quick] [--json FILE]`. Each round a child
//! process opens the database with `Sync::Always`, four threads append, one of them flushes now and
//! then, and every acknowledgement goes through a pipe. The parent kills it at a random moment,
//! reopens, and compares: each thread's batches are there as a prefix, whole, bit for bit, at least
//! those acknowledged and at most one more. Output: counts; the first difference ends and fails the
//! run.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints and times"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use treering::{Batch, Db, Labels, Options, Selector, SeriesRef, Sync};
use treering_benches::Result;
use treering_benches::random::Random;
use treering_benches::report::{Report, Wish};

/// Threads that append at the same time.
const THREADS: u64 = 4;
/// Series of each thread.
const PARTS: u64 = 3;
/// Most samples of one batch.
const BATCH_MAX: u64 = 20;
/// A thread's batches between two flushes.
const FLUSH_EVERY: u64 = 11;
/// Times of one round, and of one batch in it: samples of a batch are one apart.
const ROUND_SPAN: i64 = 1 << 40;
const BATCH_SPAN: i64 = 1 << 8;
/// Longest life of a child after its first acknowledgement, in microseconds.
const LIFE_MAX_US: u64 = 60_000;
/// A child that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// The whole database is compared once in so many rounds, and at the end.
const WHOLE_EVERY: u64 = 50;

/// Batches of each thread in one round.
type Batches = [u64; THREADS as usize];

/// What must not be: acknowledged batches that are gone, samples that nobody appended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Harm {
    lost: u64,
    invented: u64,
}

/// What to run, from the command line.
struct Plan {
    rounds: u64,
    seed: u64,
    wish: Wish,
}

fn main() -> Result<()> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, dir, seed, round] = words.as_slice()
        && mode == "--writer"
    {
        return write_until_killed(Path::new(dir), seed.parse()?, round.parse()?);
    }
    let seed = take(&mut words, "--seed")?.unwrap_or(1);
    let rounds = take(&mut words, "--rounds")?;
    let wish = Wish::parse(words)?;
    let rounds = rounds.unwrap_or(if wish.quick { 20 } else { 200 });
    run(&Plan { rounds, seed, wish })
}

fn take(words: &mut Vec<String>, name: &str) -> Result<Option<u64>> {
    let Some(index) = words.iter().position(|word| word == name) else {
        return Ok(None);
    };
    words.remove(index);
    if index == words.len() {
        return Err(format!("{name} needs a number").into());
    }
    Ok(Some(words.remove(index).parse()?))
}

fn run(plan: &Plan) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("data");
    let mut random = Random::stream(plan.seed, u64::MAX);
    // Batches that are there, by round and thread.
    let mut present: Vec<Batches> = Vec::new();
    let (mut acknowledged, mut reopens, mut harm) = (0u64, Vec::new(), Harm::default());
    let start = Instant::now();
    for round in 0..plan.rounds {
        if harm != Harm::default() {
            break;
        }
        let life = Duration::from_micros(random.below(LIFE_MAX_US));
        let told = kill_one(&dir, plan.seed, round, life).map_err(|e| at(plan, round, e))?;
        acknowledged += told.iter().sum::<u64>();
        let opening = Instant::now();
        let db = Db::open(&dir, Options::default()).map_err(|e| at(plan, round, e.into()))?;
        reopens.push(opening.elapsed().as_secs_f64() * 1e3);
        present.push(check_round(&db, plan.seed, round, &told, &mut harm)?);
        if round % WHOLE_EVERY == WHOLE_EVERY - 1 {
            check_whole(&db, plan.seed, &present, &mut harm)?;
        }
        db.close()?;
    }
    let db = Db::open(&dir, Options::default())?;
    let samples = check_whole(&db, plan.seed, &present, &mut harm)?;
    let (rounds, seconds) = (present.len(), start.elapsed().as_secs());
    println!("{rounds} kills in {seconds} s, seed {}", plan.seed);
    println!(
        "{acknowledged} batches acknowledged, {samples} samples, {} blocks",
        db.stats().blocks
    );
    db.close()?;
    reopens.sort_by(f64::total_cmp);
    let mut report = Report::new("kill")?;
    report.tell("kill.rounds", rounds as f64)?;
    report.tell("kill.acknowledged", acknowledged as f64)?;
    report.tell("kill.samples", samples as f64)?;
    report.tell("kill.lost", harm.lost as f64)?;
    report.tell("kill.invented", harm.invented as f64)?;
    report.tell(
        "kill.reopen",
        reopens.get(reopens.len() / 2).copied().unwrap_or(0.0),
    )?;
    report.tell("kill.reopen_max", reopens.last().copied().unwrap_or(0.0))?;
    report.finish(&plan.wish)?;
    match harm == Harm::default() {
        true => Ok(()),
        false => Err(at(
            plan,
            rounds as u64 - 1,
            "the database is not what was appended".into(),
        )),
    }
}

fn at(plan: &Plan, round: u64, error: treering_benches::Error) -> treering_benches::Error {
    format!("seed {}, round {round}: {error}", plan.seed).into()
}

// ---- The parent -----------------------------------------------------------------------------

/// Starts a writer, kills it, and tells how many batches of each thread were acknowledged.
fn kill_one(dir: &Path, seed: u64, round: u64, life: Duration) -> Result<Batches> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--writer".as_ref(), dir.as_os_str()])
        .args([seed.to_string(), round.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = child.stdout.take().ok_or("no pipe")?;
    let (sender, said) = channel();
    let listener = thread::spawn(move || listen(pipe, &sender));
    let told = live(&mut child, &said, life);
    // On Unix this is SIGKILL: the writer gets no chance to tidy up.
    child.kill()?;
    let status = child.wait()?;
    let mut told = told.map_err(|error| format!("{error} ({status})"))?;
    listener.join().map_err(|_| "the listener ended badly")?;
    // What was said before the kill is in the channel still.
    while let Ok((thread, batch)) = said.recv() {
        hear(&mut told, thread, batch)?;
    }
    Ok(told)
}

/// Acknowledgements until the child has lived long enough.
fn live(child: &mut Child, said: &Receiver<(u64, u64)>, life: Duration) -> Result<Batches> {
    let mut told = Batches::default();
    let (thread, batch) = said
        .recv_timeout(PATIENCE)
        .map_err(|_| "the writer says nothing")?;
    hear(&mut told, thread, batch)?;
    let end = Instant::now() + life;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        match said.recv_timeout(left) {
            Ok((thread, batch)) => hear(&mut told, thread, batch)?,
            Err(_) if child.try_wait()?.is_some() => {
                return Err("the writer ended by itself".into());
            }
            Err(_) => {}
        }
    }
    Ok(told)
}

/// Lines of the pipe as numbers, until it ends.
fn listen(pipe: ChildStdout, sender: &Sender<(u64, u64)>) {
    for line in BufReader::new(pipe)
        .lines()
        .map_while(std::result::Result::ok)
    {
        let numbers = line.split_once(' ').map(|(a, b)| (a.parse(), b.parse()));
        if let Some((Ok(thread), Ok(batch))) = numbers {
            let _ = sender.send((thread, batch));
        }
    }
}

/// A thread acknowledges its batches one after another.
fn hear(told: &mut Batches, thread: u64, batch: u64) -> Result<()> {
    let count = told
        .get_mut(thread as usize)
        .ok_or("a thread that does not exist")?;
    if *count != batch {
        return Err(format!("thread {thread} said {batch} after {count} batches").into());
    }
    *count += 1;
    Ok(())
}

/// Batches of each thread that are there after a round.
fn check_round(db: &Db, seed: u64, round: u64, told: &Batches, harm: &mut Harm) -> Result<Batches> {
    let mut present = Batches::default();
    for (thread, (present, told)) in (0..).zip(present.iter_mut().zip(told)) {
        let first = time(round, 0, 0);
        let stored = read(db, thread, first, first + ROUND_SPAN - 1)?;
        *present = judge(&stored, seed, round, thread, *told, harm);
    }
    Ok(present)
}

/// How many batches of a thread are there as a prefix, whole. What else is there was invented (or
/// halved); a batch beyond the one under way too.
fn judge(stored: &Samples, seed: u64, round: u64, thread: u64, told: u64, harm: &mut Harm) -> u64 {
    let (mut batches, mut samples) = (0, 0);
    loop {
        let batch = batch_samples(seed, round, thread, batches);
        let is_whole = batch
            .iter()
            .all(|(part, time, bits)| stored.get(&(*part, *time)) == Some(bits));
        if !is_whole {
            break;
        }
        batches += 1;
        samples += batch.len();
    }
    harm.lost += told.saturating_sub(batches);
    harm.invented += (stored.len() - samples) as u64 + batches.saturating_sub(told + 1);
    batches
}

/// Every round's samples, and no other; returns how many.
fn check_whole(db: &Db, seed: u64, present: &[Batches], harm: &mut Harm) -> Result<u64> {
    let mut samples = 0;
    for thread in 0..THREADS {
        let mut stored = read(db, thread, i64::MIN, i64::MAX)?;
        samples += stored.len() as u64;
        for (round, batches) in (0..).zip(present) {
            for number in 0..batches[thread as usize] {
                let batch = batch_samples(seed, round, thread, number);
                let kept = batch.iter().filter(|(part, time, bits)| {
                    stored
                        .remove(&(*part, *time))
                        .is_some_and(|found| found == *bits)
                });
                harm.lost += u64::from(kept.count() != batch.len());
            }
        }
        harm.invented += stored.len() as u64;
    }
    let series = db.select(&Selector::all(), ..)?.count() as u64;
    harm.invented += series.saturating_sub(THREADS * PARTS);
    Ok(samples)
}

/// Samples by part and time, values as bits.
type Samples = BTreeMap<(u64, i64), u64>;

fn read(db: &Db, thread: u64, first: i64, last: i64) -> Result<Samples> {
    let mut samples = Samples::new();
    let selector = Selector::metric("written").eq("thread", &thread.to_string());
    for series in db.select(&selector, first..=last)? {
        let series = series?;
        let part: u64 = series.labels().get("part").ok_or("no part")?.parse()?;
        let columns = series.columns()?;
        for (timestamp, value) in columns.timestamps.iter().zip(&columns.values) {
            samples.insert((part, *timestamp), value.to_bits());
        }
    }
    Ok(samples)
}

// ---- What is written, told by numbers alone ------------------------------------------------------

fn time(round: u64, batch: u64, sample: u64) -> i64 {
    round as i64 * ROUND_SPAN + batch as i64 * BATCH_SPAN + sample as i64
}

/// The samples of a batch: part, time, bits of the value; any bits at all.
fn batch_samples(seed: u64, round: u64, thread: u64, batch: u64) -> Vec<(u64, i64, u64)> {
    let mut random = Random::stream(seed ^ batch << 2 ^ thread, round);
    let count = 1 + random.below(BATCH_MAX);
    (0..count)
        .map(|i| (i % PARTS, time(round, batch, i), random.bits()))
        .collect()
}

// ---- The child --------------------------------------------------------------------------------

fn write_until_killed(dir: &Path, seed: u64, round: u64) -> Result<()> {
    let db = Db::open(dir, Options::default().sync(Sync::Always))?;
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let db = db.clone();
            thread::spawn(move || write_thread(&db, seed, round, thread))
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a writing thread panicked")??;
    }
    Ok(())
}

fn write_thread(db: &Db, seed: u64, round: u64, thread: u64) -> Result<()> {
    let series: Vec<SeriesRef> = (0..PARTS)
        .map(|part| {
            let (thread, part) = (thread.to_string(), part.to_string());
            let pairs = [
                ("__name__", "written"),
                ("part", &part),
                ("thread", &thread),
            ];
            Ok(db.series(&Labels::from_pairs(pairs)?)?)
        })
        .collect::<Result<_>>()?;
    for number in 0.. {
        let mut batch = Batch::new();
        for (part, timestamp, bits) in batch_samples(seed, round, thread, number) {
            batch.push(series[part as usize], timestamp, f64::from_bits(bits));
        }
        db.append(&batch)?;
        // One write of less than PIPE_BUF bytes: a line is said whole or not at all.
        let line = format!("{thread} {number}\n");
        let mut said = std::io::stdout().lock();
        said.write_all(line.as_bytes())?;
        said.flush()?;
        drop(said);
        if thread == 0 && number % FLUSH_EVERY == FLUSH_EVERY - 1 {
            db.flush()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What thread 1 of round 3 leaves after so many batches.
    fn stored(batches: u64) -> Samples {
        let all = (0..batches).flat_map(|batch| batch_samples(7, 3, 1, batch));
        all.map(|(part, time, bits)| ((part, time), bits)).collect()
    }

    fn harm(stored: &Samples, told: u64) -> Harm {
        let mut harm = Harm::default();
        judge(stored, 7, 3, 1, told, &mut harm);
        harm
    }

    #[test]
    fn the_batch_under_way_may_be_there_or_not() {
        assert_eq!(harm(&stored(9), 9), Harm::default());
        assert_eq!(harm(&stored(9), 8), Harm::default());
    }

    #[test]
    fn lost_halved_changed_and_invented_samples_are_counted() {
        assert_eq!(
            harm(&stored(9), 10),
            Harm {
                lost: 1,
                invented: 0
            }
        );
        assert_eq!(
            harm(&stored(9), 7),
            Harm {
                lost: 0,
                invented: 1
            }
        );
        let mut halved = stored(9);
        let long = (0..9)
            .rev()
            .find(|&batch| batch_samples(7, 3, 1, batch).len() > 1)
            .unwrap();
        halved.retain(|(_, at), _| *at <= time(3, long, 0));
        assert_eq!(
            harm(&halved, long),
            Harm {
                lost: 0,
                invented: 1
            }
        );
        let mut changed = stored(9);
        *changed.first_entry().unwrap().get_mut() ^= 1;
        assert_eq!(harm(&changed, 9).lost, 9);
        assert!(harm(&changed, 0).invented > 0);
    }
}
