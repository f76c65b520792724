//! `cargo xtask bench rivals`: the engine beside other databases, in one run.
//!
//! Input: `[--quick] [--json FILE] [--chart FILE] [--tools DIR]`. Output: workload S (a day of 100
//! hosts, ten metrics each, every 10 s; quick: three hours) appended to every engine in turn, then
//! the nine questions of dashboards (TSBS), each asked of every engine in turn, first one of each
//! kind that does not count, then twenty (quick: five); tables, RESULT lines, a chart. Every answer
//! is compared with a plain scan of the input; a wrong one fails the bench. Engines stay open: what
//! they keep in memory between questions is theirs to use.
#![forbid(unsafe_code)]

mod chart;
mod engine;
mod figures;
mod ours;
mod promql;
mod python;
mod roster;
mod server;
mod tsink_db;
mod workload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use treering_benches::child::{self, Measured, medians};
use treering_benches::questions::{KINDS, Plain, Question};
use treering_benches::report::{Report, Wish};
use treering_benches::{Result, process};

use crate::engine::{Engine, compare, found};
use crate::figures::Figures;
use crate::workload::{Rows, SEED, shape};

/// From the command line.
#[derive(Debug)]
struct Asked {
    wish: Wish,
    chart: Option<PathBuf>,
    tools: Option<PathBuf>,
}

impl Asked {
    fn of(mut words: Vec<String>) -> Result<Self> {
        let mut option = |name: &str| -> Result<Option<PathBuf>> {
            let Some(at) = words.iter().position(|word| word == name) else {
                return Ok(None);
            };
            let named = words.drain(at..words.len().min(at + 2)).nth(1);
            let named = named.ok_or_else(|| format!("{name} needs a name behind it"))?;
            Ok(Some(named.into()))
        };
        let (chart, tools) = (option("--chart")?, option("--tools")?);
        let wish = Wish::parse(words)?;
        match wish.words.first() {
            None => Ok(Self { wish, chart, tools }),
            Some(word) => Err(format!("does not know {word:?}").into()),
        }
    }
}

fn main() -> Result<()> {
    if let Some(words) = child::part() {
        return child::print(&part(&words)?);
    }
    let asked = Asked::of(std::env::args().skip(1).collect())?;
    let is_quick = asked.wish.quick;
    let folder = tempfile::tempdir()?;
    println!("files in {}", process::file_system(folder.path())?);
    let mut engines = roster::roster(asked.tools.as_deref(), is_quick);
    for engine in &engines {
        println!("{}: {}", engine.name(), engine.about());
    }
    let names: Vec<&str> = engines.iter().map(|engine| engine.name()).collect();
    let (mut report, _) = Report::over("rivals", &Figures::groups(&names))?;
    let mut figures = Figures::default();
    figures.loads[0] = process::load()?;
    append(&mut engines, folder.path(), is_quick, &mut figures)?;
    ask(&mut engines, is_quick, &mut figures)?;
    figures.loads[1] = process::load()?;
    // Servers end before their folders go.
    drop(engines);
    print!("{}", figures.tables());
    figures.tell(&mut report)?;
    if let Some(path) = &asked.chart {
        let chart = figures.chart(remark(is_quick, figures.loads));
        std::fs::write(path, chart.svg())
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    report.finish(&asked.wish)
}

fn remark(is_quick: bool, loads: [f64; 2]) -> String {
    let (data, asked) = match is_quick {
        true => ("three hours", 5),
        false => ("a day", 20),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "TSBS devops: {data} of 100 hosts, 10 metrics, every 10 s; medians of {asked} questions \
         in turn; servers over HTTP on loopback; {cores} cores at a load of {:.0}, {:.0} at the end",
        loads[0], loads[1]
    )
}

/// A part in a process of its own: engine, size, folder.
fn part(words: &[String]) -> Result<Measured> {
    let [engine, size, folder] = words else {
        return Err(format!("a part needs three words, not {words:?}").into());
    };
    let rows = Rows::of(shape(size == "quick"));
    let folder = Path::new(folder);
    match engine.as_str() {
        "treering" => ours::append(false, &rows, folder),
        "treering_columns" => ours::append(true, &rows, folder),
        "tsink" => tsink_db::append(&rows, folder),
        _ => Err(format!("no engine {engine:?}").into()),
    }
}

/// Appends the workload to every engine in turn.
fn append(
    engines: &mut [Box<dyn Engine>],
    folder: &Path,
    is_quick: bool,
    figures: &mut Figures,
) -> Result<()> {
    let rows = Rows::of(shape(is_quick));
    let mut runs: BTreeMap<&str, Vec<Measured>> = BTreeMap::new();
    let most = engines
        .iter()
        .map(|engine| engine.rounds())
        .max()
        .unwrap_or(1);
    for round in 0..if is_quick { 1 } else { most } {
        for engine in engines.iter_mut().filter(|engine| round < engine.rounds()) {
            let name = engine.name();
            let place = folder.join(format!("{name}-{round}"));
            std::fs::create_dir(&place)?;
            let measured = engine.append(&rows, &place)?;
            println!("{round} {name} {measured:?}");
            runs.entry(name).or_default().push(measured);
        }
    }
    figures.appended = runs
        .into_iter()
        .map(|(name, runs)| (name, medians(&runs)))
        .collect();
    Ok(())
}

/// Asks every engine in turn, another one first each time.
fn ask(engines: &mut [Box<dyn Engine>], is_quick: bool, figures: &mut Figures) -> Result<()> {
    let shape = shape(is_quick);
    let plain = Plain::of(shape, SEED);
    let counted = if is_quick { 5 } else { 20 };
    let mut asked: Vec<&mut Box<dyn Engine>> = engines
        .iter_mut()
        .filter(|engine| engine.answers())
        .collect();
    for kind in KINDS {
        let questions = kind.questions(&shape, counted + 1, SEED)?;
        for (number, question) in questions.iter().enumerate() {
            let wanted = found(plain.answer(question));
            let first = number % asked.len();
            asked.rotate_left(first);
            for engine in &mut asked {
                let took = checked(engine.as_mut(), question, &wanted)
                    .map_err(|error| format!("{} {}: {error}", engine.name(), kind.name))?;
                if number > 0 {
                    let times = figures.asked.entry(engine.name()).or_default();
                    times.entry(kind.name).or_default().push(took);
                }
            }
        }
        println!("{} asked", kind.name);
    }
    for engine in &mut asked {
        if let Some(floor) = engine.floor()? {
            println!(
                "{}: {floor:.3} ms for a question about nothing",
                engine.name()
            );
            figures.floors.insert(engine.name(), floor);
        }
    }
    Ok(())
}

/// Milliseconds of a question that was answered rightly.
fn checked(engine: &mut dyn Engine, question: &Question, wanted: &engine::Found) -> Result<f64> {
    let at = Instant::now();
    let (took, found) = engine.ask(question)?;
    if took > at.elapsed().as_secs_f64() * 1e3 {
        return Err(format!("{took} ms are more than it took").into());
    }
    compare(&found, wanted)?;
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_command_line_is_read() {
        let asked = Asked::of(words("--chart x.svg --quick --json y --tools z")).unwrap();
        assert_eq!(asked.chart, Some("x.svg".into()));
        assert_eq!(asked.tools, Some("z".into()));
        assert!(asked.wish.quick && asked.wish.json == Some("y".into()));
        assert!(Asked::of(words("--quick --chart")).is_err());
        assert!(Asked::of(words("wat")).is_err());
        assert!(part(&words("treering quick")).is_err());
    }
}
