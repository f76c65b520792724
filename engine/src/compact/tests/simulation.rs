//! Writers played against the planner, with blocks that are nothing but bytes at times.
//!
//! Each story flushes as the engine does, runs every job that is due, and counts: bytes rewritten
//! for each byte flushed, files at the worst moment and in the end.

use std::collections::BTreeMap;

use super::super::windows::window;
use super::super::{
    Deleted, Job, Knobs, MAX_OUTPUTS, PlanBlock, Reason, Rungs, expired, plan, plan_major,
};
use super::{DAY, HOUR, MIB, START};
use crate::limits::FLUSH_BLOCKS;

const MINUTE: i64 = HOUR / 60;

/// Bytes by the time of their samples.
type Mass = BTreeMap<i64, u64>;

/// A live block of the simulation.
#[derive(Debug, Clone)]
struct Stored {
    plan: PlanBlock,
    mass: Mass,
    /// What tombstones hide of it, in parts of 10,000.
    hidden: f64,
}

/// A namespace, its writer and its compaction.
#[derive(Debug)]
struct Store {
    rungs: Rungs,
    knobs: Knobs,
    blocks: Vec<Stored>,
    next_id: u64,
    sequence: u64,
    newest: i64,
    flushed: u64,
    rewritten: u64,
    /// Of it, because of deletes.
    reclaimed: u64,
    /// What deletes left out.
    freed: u64,
    jobs: usize,
    most_files: usize,
    most_inputs: usize,
    largest_job: u64,
}

impl Store {
    fn new(rungs: Rungs, knobs: Knobs) -> Self {
        Self {
            rungs,
            knobs,
            blocks: Vec::new(),
            next_id: 1,
            sequence: 0,
            newest: i64::MIN,
            flushed: 0,
            rewritten: 0,
            reclaimed: 0,
            freed: 0,
            jobs: 0,
            most_files: 0,
            most_inputs: 0,
            largest_job: 0,
        }
    }

    fn plans(&self) -> Vec<PlanBlock> {
        self.blocks.iter().map(|block| block.plan.clone()).collect()
    }

    /// Flushes a head: blocks of the newest windows, and one for all that is older.
    fn flush(&mut self, mass: Mass) {
        let (Some(&min), Some(&max)) = (mass.keys().next(), mass.keys().next_back()) else {
            return;
        };
        self.newest = self.newest.max(max);
        self.flushed += mass.values().sum::<u64>();
        let mut edges = Vec::new();
        let mut edge = window(max, self.rungs.width(0)).0;
        while edges.len() < FLUSH_BLOCKS - 1 && edge >= min {
            edges.push(edge);
            edge -= self.rungs.width(0);
        }
        edges.reverse();
        let sequences = (self.sequence + 1, self.sequence + 10);
        self.sequence += 10;
        self.add(mass, &edges, sequences, 0);
    }

    fn add(&mut self, mut mass: Mass, edges: &[i64], sequences: (u64, u64), level: u8) {
        let mut pieces = Vec::new();
        for &edge in edges.iter().rev() {
            pieces.push(mass.split_off(&(edge + 1)));
        }
        pieces.push(mass);
        for mass in pieces.into_iter().rev().filter(|mass| !mass.is_empty()) {
            let plan = PlanBlock {
                id: self.next_id,
                level,
                step: 0,
                min_time: *mass.keys().next().unwrap(),
                max_time: *mass.keys().next_back().unwrap(),
                min_sequence: sequences.0,
                max_sequence: sequences.1,
                bytes: mass.values().sum(),
                deleted: None,
            };
            self.next_id += 1;
            let hidden = 0.0;
            self.blocks.push(Stored { plan, mass, hidden });
        }
        self.most_files = self.most_files.max(self.blocks.len());
    }

    fn apply(&mut self, job: &Job) {
        let (inputs, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.blocks)
            .into_iter()
            .partition(|block| job.inputs.contains(&block.plan.id));
        assert_eq!(inputs.len(), job.inputs.len());
        self.blocks = kept;
        let min = inputs.iter().map(|block| block.plan.min_sequence).min();
        let max = inputs.iter().map(|block| block.plan.max_sequence).max();
        let mut mass = Mass::new();
        for input in inputs {
            for (time, bytes) in input.mass {
                let hidden = bytes * input.hidden.round() as u64 / 10_000;
                self.freed += hidden;
                *mass.entry(time).or_default() += bytes - hidden;
            }
        }
        let bytes: u64 = mass.values().sum();
        self.rewritten += bytes;
        if job.reason == Reason::Deleted {
            self.reclaimed += bytes;
        }
        self.largest_job = self.largest_job.max(bytes);
        self.most_inputs = self.most_inputs.max(job.inputs.len());
        self.jobs += 1;
        self.add(mass, &job.edges, (min.unwrap(), max.unwrap()), job.level);
    }

    /// A delete that hides a part of 10,000 of each block in `range`.
    fn delete(&mut self, range: std::ops::Range<i64>, part: f64) {
        self.sequence += 1;
        let meets = |b: &PlanBlock| b.min_time < range.end && b.max_time >= range.start;
        for block in self.blocks.iter_mut().filter(|block| meets(&block.plan)) {
            let whole = (block.plan.max_time - block.plan.min_time + 1) as f64;
            let met = block.plan.max_time.min(range.end) - block.plan.min_time.max(range.start);
            block.hidden += (10_000.0 - block.hidden) * part / 10_000.0 * (met + 1) as f64 / whole;
            let before = block.plan.deleted;
            block.plan.deleted = Some(Deleted {
                percent: (block.hidden / 100.0) as u64,
                oldest: before.map_or(self.sequence, |before| before.oldest),
                tombstones: before.map_or(0, |before| before.tombstones) + 1,
            });
        }
    }

    /// Runs what is due until nothing is.
    fn settle(&mut self) {
        while let Some(job) = plan(
            &self.plans(),
            &|_| self.rungs.clone(),
            self.newest,
            &self.knobs,
        ) {
            self.apply(&job);
        }
    }

    /// Compacts by call; the number of jobs.
    fn major(&mut self) -> usize {
        let jobs = plan_major(
            &self.plans(),
            &|_| self.rungs.clone(),
            self.newest,
            &self.knobs,
        );
        for job in &jobs {
            self.apply(job);
        }
        jobs.len()
    }

    fn amplification(&self) -> f64 {
        self.rewritten as f64 / self.flushed as f64
    }

    /// Refuses figures above these: amplification, files now, files at the worst moment.
    fn check(&self, amplification: f64, files: usize, most_files: usize) {
        assert!(
            self.amplification() <= amplification,
            "{}",
            self.amplification()
        );
        assert!(self.blocks.len() <= files, "{} files", self.blocks.len());
        assert!(self.most_files <= most_files, "{} files", self.most_files);
    }

    #[expect(
        clippy::print_stdout,
        reason = "the figures of a policy are its result"
    )]
    fn print(&self, story: &str) {
        // Blocks that a question about one moment reads, on average.
        let (first, last) = (START, self.newest);
        let moments = (0..1000).map(|n| first + (last - first) / 1000 * n);
        let touched: usize = moments
            .map(|at| {
                let holds = |b: &&Stored| b.plan.min_time <= at && at <= b.plan.max_time;
                self.blocks.iter().filter(holds).count()
            })
            .sum();
        println!(
            "{story:<44} amplification {:5.2}  files {:4} (most {:4})  a moment {:5.1}  jobs {:6} \
             (largest {:5} MiB, {:3} inputs)",
            self.amplification(),
            self.blocks.len(),
            self.most_files,
            touched as f64 / 1000.0,
            self.jobs,
            self.largest_job / MIB,
            self.most_inputs,
        );
    }
}

/// Numbers that look random, the same in every run (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Samples each quarter of an hour in `(from, to]`, so many bytes each.
fn steady(from: i64, to: i64, bytes: u64) -> Mass {
    let quarter = 15 * MINUTE;
    (1..=(to - from) / quarter)
        .map(|n| (from + n * quarter, bytes))
        .collect()
}

fn automatic() -> Store {
    Store::new(Rungs::automatic(), Knobs::default())
}

fn sparse() -> Store {
    Store::new(Rungs::of(64 * DAY), Knobs::default())
}

/// Live data from day `from` on: `bytes` each quarter of an hour, flushed each `each`.
fn in_order(store: &mut Store, days: std::ops::Range<i64>, each: i64, bytes: u64) {
    let mut at = START + days.start * DAY;
    while at < START + days.end * DAY {
        store.flush(steady(at, at + each, bytes));
        store.settle();
        at += each;
    }
}

/// A year series by series: each flush spans all of it, a sample each four hours.
fn by_series(store: &mut Store, flushes: u64, bytes: u64) {
    for _ in 0..flushes {
        let cells = 365 * 6;
        let mass = (1..=cells).map(|n| (START + n * 4 * HOUR, bytes / cells.unsigned_abs()));
        store.flush(mass.collect());
        store.settle();
    }
}

/// Live data for a year, a flush each two hours, and with each flush `late` samples of any age up
/// to a year that make `percent` of its bytes.
fn trickle(store: &mut Store, percent: u64, late: u64) {
    let mut random = Random(7);
    for flush in 0..365 * 12 {
        let at = START + flush * 2 * HOUR;
        let mut mass = steady(at, at + 2 * HOUR, MIB);
        for _ in 0..late {
            let age = random
                .below((365 * DAY / MINUTE).unsigned_abs())
                .cast_signed()
                * MINUTE;
            *mass.entry(at + HOUR - age).or_default() += 8 * MIB * percent / 100 / late;
        }
        store.flush(mass);
        store.settle();
    }
}

#[test]
fn a_year_in_order() {
    for (story, mut store, each, shift) in [
        ("in order, each 2 h", automatic(), 2 * HOUR, 0),
        (
            "in order, each 2 h, across edges",
            automatic(),
            2 * HOUR,
            45,
        ),
        ("in order, each 15 min", automatic(), 15 * MINUTE, 0),
        ("in order, each 2 h, base 64 d", sparse(), 2 * HOUR, 45),
    ] {
        let mut at = START + shift * MINUTE;
        while at < START + 365 * DAY {
            store.flush(steady(at, at + each, MIB));
            store.settle();
            at += each;
        }
        store.print(story);
        store.check(4.5, 30, 40);
    }
}

#[test]
fn a_year_series_by_series() {
    for (story, mut store, flushes) in [
        ("by series, 100 flushes", automatic(), 100),
        ("by series, 1000 flushes", automatic(), 1000),
        ("by series, 100 flushes, base 64 d", sparse(), 100),
        ("by series, 1000 flushes, base 64 d", sparse(), 1000),
    ] {
        by_series(&mut store, flushes, 32 * MIB);
        store.print(story);
        store.check(4.5, 75, 110);
    }
}

#[test]
fn live_data_with_a_late_trickle_of_any_age() {
    for (story, mut store, percent, late) in [
        ("late trickle of 1 %", automatic(), 1, 20),
        ("late trickle of 20 %", automatic(), 20, 50),
        ("late trickle of 1 %, base 64 d", sparse(), 1, 20),
    ] {
        trickle(&mut store, percent, late);
        store.print(story);
        store.check(5.0, 120, 160);
    }
}

#[test]
fn a_late_day_costs_little_more_than_itself() {
    for (story, pieces) in [("late day at once", 1), ("late day in 48 flushes", 48)] {
        let mut store = automatic();
        in_order(&mut store, 0..365, 2 * HOUR, MIB);
        let (files, rewritten) = (store.blocks.len(), store.rewritten);
        let day = START + 100 * DAY;
        for piece in 0..pieces {
            let cells = steady(day, day + DAY, MIB).into_iter().enumerate();
            let mine = cells.filter(|(at, _)| at % pieces == piece);
            store.flush(mine.map(|(_, cell)| cell).collect());
            store.settle();
        }
        store.print(story);
        assert!(store.rewritten - rewritten <= 5 * 96 * MIB);
        assert!(store.blocks.len() <= files + 15, "{files} files before");
    }
}

#[test]
fn the_same_samples_again() {
    let mut store = automatic();
    in_order(&mut store, 0..365, 2 * HOUR, MIB);
    in_order(&mut store, 0..365, 2 * HOUR, MIB);
    store.print("a year in order, twice");
    store.check(4.5, 60, 60);
    let mut store = automatic();
    by_series(&mut store, 200, 32 * MIB);
    by_series(&mut store, 200, 32 * MIB);
    store.print("a year series by series, twice");
    store.check(4.5, 75, 110);
}

/// More than the outputs of a job can hold windows for: what is older shares some.
#[test]
fn thirty_years() {
    let month = |n: i64| START + n * 30 * DAY;
    let cell = |n: i64| (START + n * DAY, 64 << 10);
    let mut store = sparse();
    for n in 0..365 {
        store.flush((n * 30 + 1..=n * 30 + 30).map(cell).collect());
        store.settle();
        assert!(store.newest <= month(n + 1));
    }
    store.print("30 years in order, a flush a month");
    store.check(3.0, 180, 200);
    let mut store = sparse();
    for _ in 0..200 {
        store.flush((1..=30 * 365).map(cell).collect());
        store.settle();
    }
    store.print("30 years series by series");
    store.check(3.0, 300, 500);
}

/// Whole blocks expire: windows must be short beside the age, or much would stay for long.
#[test]
fn three_years_of_which_one_is_kept() {
    let year = 365 * DAY;
    let mut store = Store::new(Rungs::automatic().within(year), Knobs::default());
    for day in 0..3 * 365 {
        in_order(&mut store, day..day + 1, 4 * HOUR, MIB);
        let gone = expired(&store.plans(), store.newest - year);
        store.blocks.retain(|block| !gone.contains(&block.plan.id));
        let oldest = store.blocks.iter().map(|block| block.plan.min_time).min();
        let age = store.newest - oldest.unwrap_or(store.newest);
        assert!(age <= year + year / 7, "{} days", age / DAY);
    }
    store.print("3 years in order, one of them kept");
    store.check(4.5, 90, 90);
}

/// A terabyte and a half a year: what is as large as a block may be is left alone.
#[test]
fn more_data_than_blocks_may_hold() {
    let mut store = automatic();
    in_order(&mut store, 0..365, 2 * HOUR, 43 * MIB);
    store.print("1.5 TB in order");
    store.check(2.0, 400, 400);
    assert!(store.largest_job <= 8 << 30);
}

/// Nothing was merged for half a year, as when another program wrote the blocks.
#[test]
fn a_backlog() {
    let mut store = automatic();
    for n in 0..180 * 12 {
        let at = START + n * 2 * HOUR + 45 * MINUTE;
        store.flush(steady(at, at + 2 * HOUR, MIB));
    }
    let files = store.blocks.len();
    store.most_files = 0;
    store.settle();
    store.print("a backlog of half a year");
    assert!(files > 4000);
    store.check(2.0, 30, files);
}

#[test]
fn by_call_a_window_of_the_top_rung_ends_as_one_block() {
    let mut store = automatic();
    trickle(&mut store, 1, 20);
    let jobs = store.major();
    store.print("late trickle of 1 %, then by call");
    assert!(
        jobs > 0 && store.blocks.len() <= 14,
        "{} files",
        store.blocks.len()
    );
    assert_eq!(store.major(), 0);
    assert!(
        plan(
            &store.plans(),
            &|_| store.rungs.clone(),
            store.newest,
            &store.knobs
        )
        .is_none()
    );
    assert!(MAX_OUTPUTS >= store.blocks.len());
}

/// Ten days of live data and a delete a minute, on top of a year: once every delete that touched a
/// block had it rewritten.
#[test]
#[expect(
    clippy::print_stdout,
    reason = "the figures of a policy are its result"
)]
fn a_delete_a_minute_on_a_year_of_blocks() {
    let all = i64::MIN..i64::MAX;
    let hour = |at: i64| at - 100 * DAY..at - 100 * DAY + HOUR;
    let day = |at: i64| at - DAY..at;
    for (story, range, part, rewritten_per_delete) in [
        ("a series of 10,000, all times", 0, 1.0, 60 * MIB),
        ("a series of 100, all times", 0, 100.0, 3 << 30),
        ("an hour of all", 1, 10_000.0, 20 * MIB),
        ("the last day of a series of 1,000", 2, 10.0, MIB),
    ] {
        let mut store = automatic();
        in_order(&mut store, 0..365, 2 * HOUR, MIB);
        let (year, written) = (store.flushed, store.rewritten);
        let mut deletes = 0;
        for quarter in 365 * 96..375 * 96 {
            let at = START + quarter * 15 * MINUTE;
            store.flush(steady(at, at + 15 * MINUTE, MIB));
            for minute in 0..15 {
                let at = at + minute * MINUTE;
                let range = [all.clone(), hour(at), day(at)][range].clone();
                store.delete(range, part);
                deletes += 1;
                store.settle();
            }
        }
        let flushed = store.flushed - year;
        println!(
            "{story:<40} {:6} MiB rewritten for {deletes} deletes, {:5} freed, {:5} flushed, \
             {:6} rewritten otherwise",
            store.reclaimed / MIB,
            store.freed / MIB,
            flushed / MIB,
            (store.rewritten - written - store.reclaimed) / MIB,
        );
        // Each way of paying for it, and what comes along.
        let touched = store
            .blocks
            .iter()
            .map(|block| block.plan.bytes)
            .sum::<u64>();
        let paid = 9 * store.freed + flushed + touched / 1000 * deletes;
        assert!(store.reclaimed <= paid * 3 / 2, "{} MiB", paid / MIB);
        assert!(store.reclaimed / deletes <= rewritten_per_delete);
        let blocks = || store.blocks.iter().map(|block| &block.plan);
        let waiting = blocks().filter_map(|block| block.deleted);
        assert!(
            waiting
                .clone()
                .all(|it| it.tombstones < 1000 && it.percent < 12)
        );
        // As much again is written: nothing waits any more.
        in_order(&mut store, 375..375 + 800, 2 * HOUR, MIB);
        let left = store.blocks.iter().filter(|it| it.plan.deleted.is_some());
        assert_eq!(left.count(), 0);
    }
}
