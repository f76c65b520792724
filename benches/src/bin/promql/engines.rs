//! Who is asked: ours in process, servers over HTTP.
//!
//! Input: series, queries. Output: milliseconds until the whole answer was there, and the answer in
//! one form. Ours parses and evaluates; a server's time ends with the last byte of its reply, which is
//! taken apart afterwards.

use std::path::Path;
use std::time::Instant;

use treering::{Batch, Db, Labels};
use treering_benches::rival::answer::{self, Answer};
use treering_benches::rival::asked::Asked;
use treering_benches::rival::remote_write::Encoder;
use treering_benches::rival::server::{Dialect, Server, wait};
use treering_benches::{Result, process};
use treering_promql::{Evaluator, Features, parse};

use crate::fleet::{SECOND, Series};

/// Time that one request of remote write covers.
const SLICE: i64 = 300 * SECOND;

/// A server counts as idle when it used less CPU than this in a second.
const IDLE: f64 = 0.05;

/// One that is asked.
#[derive(Debug)]
pub(crate) enum Engine {
    Ours(Db),
    Server(Dialect, Box<Server>),
}

impl Engine {
    /// The name in figures.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Engine::Ours(_) => "treering",
            Engine::Server(Dialect::Prometheus, _) => "prometheus",
            Engine::Server(Dialect::VictoriaMetrics, _) => "victoriametrics",
        }
    }

    /// The dialect; none is ours.
    pub(crate) fn dialect(&self) -> Option<Dialect> {
        match self {
            Engine::Ours(_) => None,
            Engine::Server(dialect, _) => Some(*dialect),
        }
    }

    /// Takes series in order of time, as scrapes would bring them.
    pub(crate) fn write(&mut self, series: &[Series]) -> Result<()> {
        match self {
            Engine::Ours(db) => {
                for one in series {
                    let labels = Labels::from_pairs(one.labels.iter().map(|(n, v)| (*n, v)))?;
                    let (times, values): (Vec<i64>, Vec<f64>) = one.samples.iter().copied().unzip();
                    db.append(&Batch::new().column(&labels, &times, &values))?;
                }
                Ok(())
            }
            Engine::Server(_, server) => {
                let mut encoder = Encoder::new(series.iter().map(|one| one.labels.clone()));
                let times = series.iter().filter_map(|one| Some(one.samples.first()?.0));
                let Some(mut from) = times.min() else {
                    return Ok(());
                };
                let ends = series.iter().filter_map(|one| Some(one.samples.last()?.0));
                let last = ends.max().unwrap_or(from);
                while from <= last {
                    let within = |one: &Series| {
                        let first = one.samples.partition_point(|sample| sample.0 < from);
                        first
                            ..one
                                .samples
                                .partition_point(|sample| sample.0 < from + SLICE)
                    };
                    let slices: Vec<&[(i64, f64)]> = series
                        .iter()
                        .map(|one| one.samples.get(within(one)).unwrap_or_default())
                        .collect();
                    if slices.iter().any(|slice| !slice.is_empty()) {
                        server.write(&encoder.request_of(&slices)?)?;
                    }
                    from += SLICE;
                }
                Ok(())
            }
        }
    }

    /// Lets what was written come to rest: flushed and compacted, or until the server does nothing.
    pub(crate) fn settle(&mut self) -> Result<()> {
        match self {
            Engine::Ours(db) => {
                db.flush()?;
                db.compact()?;
                Ok(())
            }
            Engine::Server(dialect, server) => {
                if *dialect == Dialect::VictoriaMetrics {
                    server.client().get("/internal/force_flush")?;
                }
                let process = server.process();
                wait("a server's work after writing", || {
                    let before = process::cpu_seconds_of(process)?;
                    std::thread::sleep(std::time::Duration::from_secs(1));
                    Ok(process::cpu_seconds_of(process)? - before < IDLE)
                })
            }
        }
    }

    /// Milliseconds, and the answer.
    pub(crate) fn ask(&mut self, text: &str, asked: Asked) -> Result<(f64, Answer)> {
        let at = Instant::now();
        match self {
            Engine::Ours(db) => {
                let expr = parse(text, &Features::default())?;
                let answer = asked.of_ours(&Evaluator::new(db), &expr)?;
                let took = at.elapsed().as_secs_f64() * 1e3;
                Ok((took, answer::of_value(answer.value)))
            }
            Engine::Server(dialect, server) => {
                // Else VictoriaMetrics moves the times to multiples of the step.
                let more = match dialect {
                    Dialect::Prometheus => "",
                    Dialect::VictoriaMetrics => "&nocache=1",
                };
                let reply = asked.of_server(server.client(), text, more)?;
                let took = at.elapsed().as_secs_f64() * 1e3;
                Ok((took, answer::theirs(&reply.body)?))
            }
        }
    }
}

/// Ours, and those whose programs are there; the others are named with how to get them.
pub(crate) fn all(tools: Option<&Path>, folder: &Path) -> Result<Vec<Engine>> {
    let place = |name: &str| -> Result<std::path::PathBuf> {
        let place = folder.join(name);
        std::fs::create_dir_all(&place)?;
        Ok(place)
    };
    let ours = Db::open(place("treering")?.join("db"), treering::Options::default())?;
    let mut engines = vec![Engine::Ours(ours)];
    for dialect in [Dialect::Prometheus, Dialect::VictoriaMetrics] {
        let name = dialect.program();
        match dialect.find(tools) {
            Some(program) => {
                let server = Server::start(dialect, &program, &place(name)?, &[])?;
                engines.push(Engine::Server(dialect, Box::new(server)));
            }
            None => println!("SKIPPED: {name}, which is not there: apt-get install {name}"),
        }
    }
    Ok(engines)
}
