//! Random writers, jobs, expiry and deletes against a plain model of what readers must see.
//!
//! A block of the model is a map from a time to the sequence of the sample that was written there.
//! The newest at each time must never change, whatever is merged, and jobs must come to an end. The
//! model knows nothing of the rule of sequences: a job that breaks it shows an old sample.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::ladder::Ladder;
use super::super::windows::window;
use super::super::{
    Deleted, Job, Knobs, MAX_OUTPUTS, PlanBlock, Reason, Rungs, expired, over_bytes, plan,
    plan_major,
};
use super::{DAY, HOUR, START};
use crate::limits::FLUSH_BLOCKS;

/// What happens next. Times are hours, before or after the clock.
#[derive(Debug, Clone)]
enum Event {
    /// A head with samples at these times is flushed.
    Flush(Vec<i64>),
    /// Time goes on, and samples of those hours are flushed.
    Live(u8),
    /// So many jobs run, if they are due.
    Run(u8),
    /// A job is planned, a head is flushed, the job ends.
    RunBeside(Vec<i64>),
    /// Every job that is due runs.
    Settle,
    Major,
    /// What is older than so many days goes, as far as whole blocks do.
    Expire(u16),
    /// The oldest blocks go until so many percent of the bytes are left.
    Shrink(u8),
    /// A tombstone touches a block.
    Delete(Index),
    /// A block is downsampled.
    Step(Index),
    /// The ladder has another base from now on.
    Base(i64),
}

fn hours() -> impl Strategy<Value = Vec<i64>> {
    let far = prop_oneof![Just(i64::MIN), Just(i64::MAX), -3_000_000..3_000_000i64];
    prop_oneof![
        4 => some(0..6i64),
        4 => some(0..24 * 400i64),
        2 => (0..24 * 400i64).prop_flat_map(|day| some(day..day + 24)),
        1 => some(-24 * 100..24 * 100i64),
        1 => some(far),
    ]
}

fn some(ages: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(ages, 1..20)
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => hours().prop_map(Event::Flush),
        8 => (1..30u8).prop_map(Event::Live),
        4 => (1..4u8).prop_map(Event::Run),
        4 => hours().prop_map(Event::RunBeside),
        2 => Just(Event::Settle),
        1 => Just(Event::Major),
        1 => (30..500u16).prop_map(Event::Expire),
        1 => (50..100u8).prop_map(Event::Shrink),
        2 => any::<Index>().prop_map(Event::Delete),
        1 => any::<Index>().prop_map(Event::Step),
        1 => prop_oneof![Just(2 * HOUR), Just(DAY), Just(64 * DAY), HOUR..100 * HOUR]
            .prop_map(Event::Base),
    ]
}

fn knobs() -> impl Strategy<Value = Knobs> {
    (
        2..7usize,
        26..61u64,
        4..40usize,
        prop_oneof![3 => Just(8u64 << 30), 1 => 20..200u64],
        prop_oneof![Just(256usize), 8..40usize],
        0..100u64,
        prop_oneof![Just(1000usize), 1..3usize],
        any::<bool>(),
    )
        .prop_map(
            |(fanout, largest, crowded, max_bytes, max_inputs, freed, tombstones, pressed)| Knobs {
                fanout,
                largest_percent: largest,
                crowded,
                max_bytes,
                max_inputs,
                least_freed_percent: freed,
                most_tombstones: tombstones,
                pressed,
            },
        )
}

#[derive(Debug, Clone)]
struct Stored {
    plan: PlanBlock,
    samples: BTreeMap<i64, u64>,
}

#[derive(Debug)]
struct Model {
    rungs: Rungs,
    knobs: Knobs,
    blocks: Vec<Stored>,
    /// The newest sequence at each time.
    truth: BTreeMap<i64, u64>,
    /// What is at or before this may be gone.
    horizon: Option<i64>,
    clock: i64,
    sequence: u64,
    next_id: u64,
}

impl Model {
    fn new(knobs: Knobs) -> Self {
        Self {
            rungs: Rungs::automatic(),
            knobs,
            blocks: Vec::new(),
            truth: BTreeMap::new(),
            horizon: None,
            clock: START,
            sequence: 0,
            next_id: 1,
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Flush(ages) => self.flush_ages(ages),
            Event::Live(hours) => {
                let from = self.clock;
                self.clock += i64::from(*hours) * HOUR;
                self.flush((1..=i64::from(*hours)).map(|n| from + n * HOUR).collect());
            }
            Event::Run(jobs) => {
                for _ in 0..*jobs {
                    self.run();
                }
            }
            Event::RunBeside(ages) => {
                let job = self.plan();
                self.flush_ages(ages);
                if let Some(job) = job {
                    self.apply(&job);
                }
            }
            Event::Settle => self.settle(),
            Event::Major => self.major(),
            Event::Expire(days) => self.expire(self.clock - i64::from(*days) * DAY),
            Event::Shrink(percent) => {
                let bytes: u64 = self.blocks.iter().map(|block| block.plan.bytes).sum();
                let limit = bytes * u64::from(*percent) / 100;
                if let Some(horizon) = over_bytes(&self.plans(), limit) {
                    self.expire(horizon);
                    let left: u64 = self.blocks.iter().map(|block| block.plan.bytes).sum();
                    assert!(left <= limit);
                }
            }
            Event::Delete(pick) if !self.blocks.is_empty() => {
                let at = pick.index(self.blocks.len());
                self.sequence += 1;
                let before = self.blocks[at].plan.deleted;
                self.blocks[at].plan.deleted = Some(Deleted {
                    percent: before.map_or(0, |before| before.percent) + 30,
                    oldest: before.map_or(self.sequence, |before| before.oldest),
                    tombstones: before.map_or(0, |before| before.tombstones) + 1,
                });
            }
            Event::Step(pick) if !self.blocks.is_empty() => {
                let at = pick.index(self.blocks.len());
                self.blocks[at].plan.step = 3600;
            }
            Event::Base(base) => self.rungs = Rungs::of(*base),
            Event::Delete(_) | Event::Step(_) => {}
        }
        self.check();
    }

    fn plans(&self) -> Vec<PlanBlock> {
        self.blocks.iter().map(|block| block.plan.clone()).collect()
    }

    fn newest(&self) -> i64 {
        let newest = self.blocks.iter().map(|block| block.plan.max_time).max();
        newest.unwrap_or(i64::MIN).min(self.clock)
    }

    /// Blocks with steps have windows of their own.
    fn rungs(&self, step: u32) -> Rungs {
        match step {
            0 => self.rungs.clone(),
            _ => Rungs::of(8 * HOUR).within(300 * DAY),
        }
    }

    fn ladders(&self) -> [Ladder; 2] {
        [0, 1].map(|step| Ladder::new(self.rungs(step), self.newest()))
    }

    fn plan(&self) -> Option<Job> {
        plan(
            &self.plans(),
            &|step| self.rungs(step),
            self.newest(),
            &self.knobs,
        )
    }

    fn flush_ages(&mut self, ages: &[i64]) {
        let clock = self.clock;
        let times = ages.iter().map(|&age| match age {
            i64::MIN | i64::MAX => age,
            age => clock.saturating_sub(age.saturating_mul(HOUR)),
        });
        self.flush(times.collect());
    }

    fn flush(&mut self, times: BTreeSet<i64>) {
        let mut samples = BTreeMap::new();
        let before = self.sequence;
        for time in times {
            self.sequence += 1;
            samples.insert(time, self.sequence);
            self.truth.insert(time, self.sequence);
        }
        let (Some((&min, _)), Some((&max, _))) =
            (samples.first_key_value(), samples.last_key_value())
        else {
            return;
        };
        let mut edges = Vec::new();
        let mut edge = window(max, self.rungs.width(0)).0;
        while edges.len() < FLUSH_BLOCKS - 1 && edge >= min && edge > i64::MIN {
            edges.insert(0, edge);
            edge = edge.saturating_sub(self.rungs.width(0));
        }
        self.add(samples, &edges, (before + 1, self.sequence), 0, 0);
    }

    fn add(
        &mut self,
        mut samples: BTreeMap<i64, u64>,
        edges: &[i64],
        (min_sequence, max_sequence): (u64, u64),
        level: u8,
        step: u32,
    ) {
        for edge in edges.iter().map(|&edge| Some(edge)).chain([None]) {
            let newer = edge.map_or_else(BTreeMap::new, |edge| samples.split_off(&(edge + 1)));
            let samples = std::mem::replace(&mut samples, newer);
            let (Some((&min_time, _)), Some((&max_time, _))) =
                (samples.first_key_value(), samples.last_key_value())
            else {
                continue;
            };
            let plan = PlanBlock {
                id: self.next_id,
                level,
                step,
                min_time,
                max_time,
                min_sequence,
                max_sequence,
                bytes: samples.len() as u64,
                deleted: None,
            };
            self.next_id += 1;
            self.blocks.push(Stored { plan, samples });
        }
    }

    fn run(&mut self) -> bool {
        let job = self.plan();
        job.inspect(|job| self.apply(job)).is_some()
    }

    /// Merges as compaction does: of one time the sample of the last input in order wins.
    fn apply(&mut self, job: &Job) {
        let mut inputs = Vec::new();
        for id in &job.inputs {
            let at = self.blocks.iter().position(|block| block.plan.id == *id);
            inputs.push(self.blocks.remove(at.expect("a live block, named once")));
        }
        self.check_job(job, &inputs);
        let min = inputs.iter().map(|block| block.plan.min_sequence).min();
        let max = inputs.iter().map(|block| block.plan.max_sequence).max();
        let step = inputs[0].plan.step;
        let samples = inputs.into_iter().flat_map(|block| block.samples).collect();
        let sequences = (min.unwrap(), max.unwrap());
        self.add(samples, &job.edges, sequences, job.level, step);
    }

    fn check_job(&self, job: &Job, inputs: &[Stored]) {
        let order: Vec<_> = inputs
            .iter()
            .map(|block| (block.plan.max_sequence, block.plan.min_time))
            .collect();
        assert!(order.is_sorted(), "{order:?}");
        assert!(
            inputs
                .iter()
                .all(|block| block.plan.step == inputs[0].plan.step)
        );
        assert!(job.edges.is_sorted() && job.edges.len() < MAX_OUTPUTS);
        let bytes: u64 = inputs.iter().map(|block| block.plan.bytes).sum();
        let uncut = job.edges.is_empty() && inputs.len() > 1;
        assert!(!uncut || bytes <= self.knobs.max_bytes, "{job:?}");
        assert!(inputs.len() <= self.knobs.max_inputs.max(2 * self.knobs.fanout));
        assert!(inputs.len() > 1 || job.reason != Reason::Window);
    }

    /// Runs all jobs; each must bring the end nearer.
    fn settle(&mut self) {
        let mut before = self.potential();
        while self.run() {
            let after = self.potential();
            assert!(after < before, "{after:?} after {before:?}");
            before = after;
        }
        self.check_lists();
    }

    /// Wide blocks; all blocks and those of them that are deleted.
    fn potential(&self) -> (usize, usize) {
        let [raw, stepped] = self.ladders();
        let ladder = |block: &Stored| if block.plan.step == 0 { &raw } else { &stepped };
        let wide = |block: &&Stored| ladder(block).home(&block.plan).is_none();
        let deleted = self
            .blocks
            .iter()
            .filter(|block| block.plan.deleted.is_some())
            .count();
        (
            self.blocks.iter().filter(wide).count(),
            self.blocks.len() + deleted,
        )
    }

    /// When nothing is due, each window has few blocks of its own, unless their sizes or what lies
    /// between forbid merging them.
    fn check_lists(&self) {
        if !self.is_roomy() {
            return;
        }
        let [ladder, _] = self.ladders();
        let mut lists: BTreeMap<_, usize> = BTreeMap::new();
        for block in &self.blocks {
            let home = ladder.home(&block.plan);
            let end = home.and_then(|home| ladder.end_of(home, &block.plan));
            *lists.entry((home, end)).or_default() += 1;
        }
        // As many wide blocks as may wait can keep runs apart that are one too short.
        let fanout = self.knobs.fanout;
        for ((home, end), count) in lists {
            let most = match home {
                None => fanout - 1,
                Some(_) => self.knobs.crowded.max(fanout * fanout) + fanout,
            };
            assert!(count <= most, "{count} blocks in {home:?} {end:?}");
        }
    }

    /// Whether neither limits nor steps keep blocks apart.
    fn is_roomy(&self) -> bool {
        let raw = self.blocks.iter().all(|block| block.plan.step == 0);
        raw && self.knobs.max_bytes >= 8 << 30 && self.knobs.max_inputs >= 256
    }

    /// Compacts by call until nothing comes; once is enough where nothing keeps
    /// blocks apart.
    fn major(&mut self) {
        for round in 0.. {
            let jobs = plan_major(
                &self.plans(),
                &|step| self.rungs(step),
                self.newest(),
                &self.knobs,
            );
            let most = if self.is_roomy() { 1 } else { 5 };
            assert!(round < most || jobs.is_empty(), "round {round}");
            if jobs.is_empty() {
                break;
            }
            for job in jobs {
                self.apply(&job);
                self.check();
            }
        }
        assert!(self.blocks.iter().all(|block| block.plan.deleted.is_none()));
        assert_eq!(self.potential().0, 0);
    }

    fn expire(&mut self, horizon: i64) {
        let gone = expired(&self.plans(), horizon);
        self.blocks.retain(|block| !gone.contains(&block.plan.id));
        assert!(
            self.blocks
                .iter()
                .all(|block| block.plan.max_time > horizon)
        );
        let horizon = self.horizon.map_or(horizon, |old| old.max(horizon));
        self.horizon = Some(horizon);
        self.truth.retain(|&time, _| time > horizon);
    }

    /// What a reader sees is the truth, and overlapping blocks can be told older and newer.
    fn check(&self) {
        let mut order: Vec<_> = self.blocks.iter().collect();
        order.sort_by_key(|block| (block.plan.max_sequence, block.plan.min_time));
        let seen: BTreeMap<_, _> = order
            .iter()
            .flat_map(|block| block.samples.clone())
            .collect();
        let hidden = |time: i64| self.horizon.is_some_and(|horizon| time <= horizon);
        let seen = seen.into_iter().filter(|&(time, _)| !hidden(time));
        assert!(
            seen.eq(self
                .truth
                .iter()
                .filter(|(time, _)| !hidden(**time))
                .map(|(&a, &b)| (a, b)))
        );
        for (at, one) in order.iter().enumerate() {
            for other in &order[at + 1..] {
                let (a, b) = (&one.plan, &other.plan);
                let overlap = a.min_time <= b.max_time && b.min_time <= a.max_time;
                assert!(!overlap || a.max_sequence < b.min_sequence, "{a:?} {b:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn readers_see_the_newest_sample_and_jobs_end(
        knobs in knobs(),
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut model = Model::new(knobs);
        for event in &events {
            model.happen(event);
        }
        model.settle();
        model.check();
        model.major();
        model.check();
    }
}
