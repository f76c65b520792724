//! `cargo xtask bench promql`: PromQL in process beside Prometheus and VictoriaMetrics over HTTP.
//!
//! Input: `[--quick] [--json FILE] [--tools DIR]`. Output: the nine questions of TSBS over a day of
//! 100 hosts (`s_`) and an hour of 4,000 (`m_`), and eleven dashboards over a fleet (`fleet.rs`); each
//! query asked of everybody in turn, first once without counting, then eleven times (quick: three);
//! medians, of a dashboard the sum of those of its queries. Prometheus must answer as ours does,
//! VictoriaMetrics where it means the same by a query; a wrong answer fails the bench.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints and times"
)]

mod dashboards;
mod engines;
mod fleet;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use treering_benches::generator::{START, Shape, Values};
use treering_benches::questions::KINDS;
use treering_benches::report::{Report, Wish};
use treering_benches::rival::answer::{Answer, difference};
use treering_benches::rival::asked::Asked;
use treering_benches::rival::server::Dialect;
use treering_benches::rival::words;
use treering_benches::{Result, process};

use crate::engines::Engine;
use crate::fleet::Series;
use crate::table::Times;

/// Seed of the workloads of TSBS and of their questions.
const SEED: u64 = 1;

fn main() -> Result<()> {
    let (wish, tools) = wish()?;
    let folder = tempfile::tempdir()?;
    println!("files in {}", process::file_system(folder.path())?);
    println!("load {:.1}", process::load()?);
    let bench = Bench {
        rounds: if wish.quick { 3 } else { 11 },
        is_quick: wish.quick,
        tools,
    };
    let mut times = Times::default();
    let small = folder.path().join("s");
    bench.small(&small, &mut times)?;
    let wide = folder.path().join("m");
    bench.wide(&wide, &mut times)?;
    println!("load {:.1} at the end", process::load()?);
    print!("{}", times.tables());
    let (mut report, _) = Report::over("promql", &times.groups())?;
    times.tell(&mut report)?;
    report.finish(&wish)
}

/// `--tools DIR`, and what is like in every bench.
fn wish() -> Result<(Wish, Option<PathBuf>)> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut tools = None;
    if let Some(at) = words.iter().position(|word| word == "--tools") {
        let named = words.drain(at..words.len().min(at + 2)).nth(1);
        tools = Some(named.ok_or("--tools needs a folder")?.into());
    }
    let wish = Wish::parse(words)?;
    match wish.words.first() {
        None => Ok((wish, tools)),
        Some(word) => Err(format!("does not know {word:?}").into()),
    }
}

struct Bench {
    rounds: usize,
    is_quick: bool,
    tools: Option<PathBuf>,
}

/// A query in the words of each, and whether VictoriaMetrics means the same.
struct Query<'a> {
    text: &'a dyn Fn(Option<Dialect>) -> String,
    asked: Asked,
    is_same: bool,
    /// Whether series are known by metric and host alone.
    is_by_host: bool,
}

impl Bench {
    /// The rooms, the fleet and workload S.
    fn small(&self, folder: &Path, times: &mut Times) -> Result<()> {
        let hours = if self.is_quick { 4 } else { 8 };
        let mut shape = Shape::s(Values::Dec2);
        if self.is_quick {
            shape.samples /= 8;
        }
        let data = [
            fleet::rooms(),
            fleet::series(hours),
            fleet::tsbs(shape, SEED),
        ];
        let mut engines = self.filled(folder, &data)?;
        for panel in dashboards::panels(fleet::end(hours)) {
            let query = Query {
                text: &|_| panel.text.to_owned(),
                asked: panel.asked,
                is_same: panel.is_same,
                is_by_host: false,
            };
            for round in 0..=self.rounds {
                let took = asked(&mut engines, &query, round)?;
                if round > 0 {
                    times.add(&format!("d_{}", panel.dashboard), panel.text, &took);
                }
            }
        }
        self.questions(&mut engines, shape, "s", times)
    }

    /// Workload M.
    fn wide(&self, folder: &Path, times: &mut Times) -> Result<()> {
        let mut shape = Shape::m(Values::Dec2);
        if self.is_quick {
            shape.hosts /= 10;
        }
        let mut engines = self.filled(folder, &[fleet::tsbs(shape, SEED)])?;
        self.questions(&mut engines, shape, "m", times)
    }

    fn filled(&self, folder: &Path, data: &[Vec<Series>]) -> Result<Vec<Engine>> {
        let mut engines = engines::all(self.tools.as_deref(), folder)?;
        for engine in &mut engines {
            for series in data {
                engine.write(series)?;
            }
            println!("{} holds all", engine.name());
        }
        for engine in &mut engines {
            engine.settle()?;
        }
        Ok(engines)
    }

    fn questions(
        &self,
        engines: &mut [Engine],
        shape: Shape,
        prefix: &str,
        times: &mut Times,
    ) -> Result<()> {
        let end = START + i64::from(shape.samples) * shape.step;
        for kind in KINDS {
            let questions = kind.questions(&shape, self.rounds + 1, SEED)?;
            for (round, question) in questions.iter().enumerate() {
                let query = Query {
                    text: &|dialect| words::text(dialect, question),
                    asked: words::asked(question, shape.step, end),
                    is_same: true,
                    is_by_host: true,
                };
                let took = asked(engines, &query, round)?;
                if round > 0 {
                    times.add(&format!("{prefix}_{}", kind.name), kind.name, &took);
                }
            }
        }
        Ok(())
    }
}

/// Milliseconds by engine, another one first each round; the answers must be the same.
fn asked(
    engines: &mut [Engine],
    query: &Query<'_>,
    round: usize,
) -> Result<BTreeMap<&'static str, f64>> {
    let mut took = BTreeMap::new();
    let mut answers: Vec<(Option<Dialect>, Answer)> = Vec::new();
    let count = engines.len();
    for turn in 0..count {
        let Some(engine) = engines.get_mut((round + turn) % count.max(1)) else {
            continue;
        };
        let text = (query.text)(engine.dialect());
        let (millis, mut answer) = engine
            .ask(&text, query.asked)
            .map_err(|error| format!("{}: {text}: {error}", engine.name()))?;
        if let Answer::Points { points, order, .. } = &mut answer {
            order.clear();
            if query.is_by_host {
                *points = words::by_host(std::mem::take(points));
            }
        }
        took.insert(engine.name(), millis);
        answers.push((engine.dialect(), answer));
    }
    let ours = answers.iter().find(|(dialect, _)| dialect.is_none());
    let Some((_, ours)) = ours else {
        return Err("ours was not asked".into());
    };
    for (dialect, answer) in &answers {
        let counts = match dialect {
            None => false,
            Some(Dialect::Prometheus) => true,
            Some(Dialect::VictoriaMetrics) => query.is_same,
        };
        if counts && let Some(difference) = difference(ours, answer, false) {
            let text = (query.text)(*dialect);
            let difference: String = format!("{difference:?}").chars().take(600).collect();
            return Err(format!("{dialect:?} differs from ours: {text}: {difference}").into());
        }
    }
    Ok(took)
}
