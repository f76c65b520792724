//! Random queries over random series, asked of our PromQL and of Prometheus 2.42.
//!
//! Input: Debian's `prometheus`, named by `TREERING_PROMETHEUS`, on the path, or where `cargo xtask
//! promql-diff` put it. Output: failure with the smallest query found whose two answers differ for a
//! reason that is not among the rules (`rules.rs`, docs/promql-differences.md).
//!
//! - `TREERING_DIFF_QUERIES=N`: how many queries, 2,000 by itself.
//! - `TREERING_SEED=N`: where random choices start.
//! - `TREERING_DIFF_CASE=WORLD:QUERY`: this one only; `TREERING_DIFF_TEXT` asks another text then.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test starts a program and says when it cannot"
)]

mod grammar;
mod rival;
mod rounding;
mod rules;
mod shrink;
mod starts;
mod ties;
mod tree;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use treering::Db;
use treering_benches::Result;
use treering_benches::random::Random;
use treering_benches::rival::server::{Dialect, runs};
use treering_promql::{Evaluator, Options};

use crate::grammar::Grammar;
use crate::rival::Rival;
use crate::rules::{Judge, Rule, Verdict};
use crate::tree::features;
use crate::world::World;

/// Queries over one world.
const EACH: u64 = 500;

/// After so many wrong answers there is enough to do.
const WRONG_MAX: usize = 12;

const THREADS: u64 = 2;

/// What came of many queries.
#[derive(Debug, Default)]
struct Sum {
    queries: u64,
    answers: u64,
    empty: u64,
    explained: BTreeMap<Rule, u64>,
    wrong: Vec<String>,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.queries += other.queries;
        self.answers += other.answers;
        self.empty += other.empty;
        for (rule, count) in other.explained {
            *self.explained.entry(rule).or_default() += count;
        }
        self.wrong.extend(other.wrong);
    }
}

/// The program, wherever it is.
fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("TREERING_PROMETHEUS") {
        let named = PathBuf::from(named);
        assert!(runs(&named, &["--version"]), "{named:?} does not run");
        return Some(named);
    }
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let kept = kept.map(|target| target.join("rivals"));
    Dialect::Prometheus.find(kept.as_deref())
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")),
        Err(_) => default,
    }
}

/// The numbers of a world and a query behind `TREERING_DIFF_CASE`.
fn case() -> Option<(u64, u64)> {
    let text = std::env::var("TREERING_DIFF_CASE").ok()?;
    let numbers = text
        .split_once(':')
        .and_then(|(world, query)| Some((world.parse().ok()?, query.parse().ok()?)));
    Some(numbers.unwrap_or_else(|| panic!("TREERING_DIFF_CASE is {text:?}, not WORLD:QUERY")))
}

/// The program, or a word to whoever reads the log.
fn program_or_skip() -> Option<PathBuf> {
    let found = program();
    if found.is_none() {
        println!(
            "SKIPPED: there is no prometheus: apt-get install prometheus, or \
             `cargo xtask promql-diff`, which fetches it"
        );
    }
    found
}

#[test]
fn prometheus_answers_the_same() {
    let Some(program) = program_or_skip() else {
        return;
    };
    let seed = number("TREERING_SEED", 1);
    let queries = number("TREERING_DIFF_QUERIES", 2000);
    let options = options();
    let mut sum = Sum::default();
    match case() {
        Some((number, query)) => {
            let asked = Asking::new(&program, seed, number, &options);
            sum.add(asked.all(query..query + 1).unwrap());
        }
        None => {
            for number in 0..queries.div_ceil(EACH) {
                let left = queries - number * EACH;
                let asked = Asking::new(&program, seed, number, &options);
                sum.add(asked.all(0..left.min(EACH)).unwrap());
                if sum.wrong.len() >= WRONG_MAX {
                    break;
                }
            }
        }
    }
    println!("differential queries: {}", sum.queries);
    println!(
        "seed {seed}: {} answered, {} of them empty, by rules {:?}",
        sum.answers, sum.empty, sum.explained
    );
    let wrong = sum.wrong.len();
    assert!(
        wrong == 0,
        "seed {seed}: {wrong} wrong\n{}",
        sum.wrong.join("\n")
    );
}

/// No rule is wide enough to explain samples that count as current for a little too long.
#[test]
fn an_evaluator_that_is_a_little_wrong_is_found() {
    let Some(program) = program_or_skip() else {
        return;
    };
    let wrong = Options {
        lookback: Duration::from_secs(270),
        ..options()
    };
    // All of it is there, and gone after a while: only then does it matter.
    let found: usize = (0..3)
        .map(|number| {
            let asked = Asking::new(&program, 1, number, &wrong);
            asked.all(0..EACH).unwrap().wrong.len()
        })
        .sum();
    assert!(found > 0);
}

fn options() -> Options {
    Options {
        features: features(),
        timeout: Duration::from_secs(60),
        ..Options::default()
    }
}

/// Queries over one world.
struct Asking<'a> {
    program: &'a Path,
    seed: u64,
    number: u64,
    options: &'a Options,
}

impl<'a> Asking<'a> {
    fn new(program: &'a Path, seed: u64, number: u64, options: &'a Options) -> Self {
        Self {
            program,
            seed,
            number,
            options,
        }
    }

    /// Asks both, by several threads.
    fn all(&self, queries: std::ops::Range<u64>) -> Result<Sum> {
        let world = World::new(self.seed, self.number)?;
        let db = world.database()?;
        let rival = Rival::start(self.program, &world)?;
        let results: Vec<Result<Sum>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let mine = queries.clone();
                    let mine = mine.filter(move |query| query % THREADS == thread);
                    let (world, db, rival) = (&world, &db, &rival);
                    scope.spawn(move || self.some(world, db, rival, mine))
                })
                .collect();
            let joined = threads.into_iter();
            let joined = joined.map(std::thread::ScopedJoinHandle::join);
            joined
                .map(|result| result.unwrap_or_else(|_| Err("a thread panicked".into())))
                .collect()
        });
        let mut sum = Sum::default();
        for result in results {
            sum.add(result?);
        }
        Ok(sum)
    }

    fn some(
        &self,
        world: &World,
        db: &Db,
        rival: &Rival,
        queries: impl Iterator<Item = u64>,
    ) -> Result<Sum> {
        let mut judge = Judge {
            evaluator: Evaluator::new(db).options(self.options.clone()),
            connection: rival.connect(),
            on_grid: world.on_grid,
        };
        let mut sum = Sum::default();
        for number in queries {
            let random = Random::stream(self.seed ^ 0xd1ff, self.number << 32 | number);
            let mut query = Grammar::new(random, world).query();
            if let Ok(text) = std::env::var("TREERING_DIFF_TEXT") {
                query.text = text;
            }
            sum.queries += 1;
            match judge.judge(&query)? {
                Verdict::Same {
                    is_answer,
                    is_empty,
                } => {
                    sum.answers += u64::from(is_answer);
                    sum.empty += u64::from(is_answer && is_empty);
                }
                Verdict::Explained(rules) => {
                    for rule in rules {
                        *sum.explained.entry(rule).or_default() += 1;
                    }
                }
                Verdict::Unexplained(wrong) => {
                    let whole = query.text.clone();
                    let (query, wrong) = shrink::smallest(&mut judge, world, &query, *wrong)?;
                    let told = shrink::told(world, &query, &wrong);
                    let case = format!(
                        "TREERING_SEED={} TREERING_DIFF_CASE={}:{number}",
                        self.seed, self.number
                    );
                    sum.wrong.push(format!("  {case}\n    {whole}\n{told}"));
                    if sum.wrong.len() >= WRONG_MAX {
                        break;
                    }
                }
            }
        }
        Ok(sum)
    }
}
