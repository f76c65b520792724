//! The questions of dashboards (TSBS "devops") over a day of 100 hosts and an hour of 4,000.
//!
//! Input: workloads S and M with two decimals, and the shape that meets no edge; flushed,
//! compacted, closed. Output: the median of twenty seeded questions of each kind, in milliseconds by
//! the clock: of a database opened anew after one other question of the kind (its own name), and
//! asked again (`_warm`). Every answer is compared with a plain scan of the input; a wrong one fails
//! the bench. `--quick`: S alone, five of each.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints and times"
)]

use std::path::Path;
use std::time::Instant;

use treering::{Db, Options};
use treering_benches::child::median;
use treering_benches::generator::{Shape, Values};
use treering_benches::questions::{KINDS, Plain, Question};
use treering_benches::report::{Report, Wish};
use treering_benches::{Result, process, workload};

/// Seed of the workloads and of the questions.
const SEED: u64 = 1;

fn main() -> Result<()> {
    let wish = Wish::of_process()?;
    let folder = tempfile::tempdir()?;
    println!("files in {}", process::file_system(folder.path())?);
    let (asked, workloads) = match wish.quick {
        true => (5, &WORKLOADS[..1]),
        false => (20, &WORKLOADS[..]),
    };
    let names: Vec<String> = workloads
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let (mut report, _) = Report::over("query", &names)?;
    for (name, shape) in workloads {
        let data = folder.path().join(name);
        write(*shape, &data)?;
        let plain = Plain::of(*shape, SEED);
        for kind in KINDS {
            let questions = kind.questions(shape, asked + 1, SEED)?;
            let mut took = [Vec::new(), Vec::new()];
            for pair in questions.windows(2) {
                let [cold, warm] = time(&data, &plain, &pair[0], &pair[1])?;
                took[0].push(cold);
                took[1].push(warm);
            }
            let [cold, warm] = took.map(median);
            println!("{name} {:22} {cold:9.3} ms, warm {warm:9.3}", kind.name);
            report.tell(&format!("query.{name}.{}", kind.name), cold)?;
            report.tell(&format!("query.{name}.{}_warm", kind.name), warm)?;
        }
    }
    report.finish(&wish)
}

/// The workloads by name; the first alone is asked in a quick run.
const WORKLOADS: [(&str, Shape); 3] = [
    ("s", Shape::s(Values::Dec2)),
    ("m", Shape::m(Values::Dec2)),
    ("odd", Shape::odd(Values::Dec2)),
];

/// Writes a workload by time and leaves it compacted.
fn write(shape: Shape, folder: &Path) -> Result<()> {
    let db = Db::open(folder, Options::default())?;
    workload::write_rows(&db, shape, SEED)?;
    db.flush()?;
    db.compact()?;
    Ok(db.close()?)
}

/// Milliseconds of `question` in a database that was asked `other` only, and of the same again.
fn time(folder: &Path, plain: &Plain, other: &Question, question: &Question) -> Result<[f64; 2]> {
    let db = Db::open(folder, Options::default())?;
    other.ask(&db)?;
    let ask = || {
        let at = Instant::now();
        let answer = question.ask(&db)?;
        let took = at.elapsed().as_secs_f64() * 1e3;
        answer.compare(&plain.answer(question))?;
        Ok::<f64, treering_benches::Error>(took)
    };
    let took = [ask()?, ask()?];
    db.close()?;
    Ok(took)
}
