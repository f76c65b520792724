//! Workload Y through its life: written by time and by series, compacted, asked, deleted from,
//! copied; appends beside maintenance; series that come and go.
//!
//! Input: the generator. Output: times, CPU, files, bytes, memory of each part, which runs in a
//! process of its own. Every answer is checked against a plain computation of the input; a wrong one
//! fails the bench. With words (`write ask change latency churn`), only those parts run and no
//! targets are held; `ask` and `change` need `write`.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints and times"
)]

mod ask;
mod change;
mod churn;
mod latency;
mod plain;
mod write;

use std::path::Path;

use treering_benches::child::{self, Measured, figure, medians};
use treering_benches::generator::{Shape, Values};
use treering_benches::report::{Report, Wish};
use treering_benches::{Result, process};

use crate::write::Order;

/// Seed of the workload.
pub(crate) const SEED: u64 = 1;

fn main() -> Result<()> {
    if let Some(words) = child::part() {
        return part(&words);
    }
    let wish = Wish::of_process()?;
    let folder = tempfile::tempdir()?;
    println!("files in {}", process::file_system(folder.path())?);
    let mut measured = Measured::new();
    let wanted = |name: &&str| wish.words.is_empty() || wish.words.iter().any(|word| word == name);
    for name in ["write", "ask", "change", "latency", "churn"]
        .iter()
        .filter(|name| wanted(name))
    {
        println!("\n{name}");
        let (time, own) = (folder.path().join("time"), folder.path().join(name));
        measured.extend(match *name {
            "write" => write_both(folder.path(), wish.quick)?,
            // Both need the database written by time.
            "ask" | "change" => run(name, wish.quick, &time)?,
            _ => run(name, wish.quick, &own)?,
        });
    }
    if !wish.words.is_empty() {
        for (name, value) in measured {
            println!("{name} {value}");
        }
        return Ok(());
    }
    let mut report = Report::new("lifecycle")?;
    for (name, value) in &measured {
        report.tell(&format!("lifecycle.{name}"), *value)?;
    }
    report.finish(&wish)
}

/// The shape of Y, or of twelve days of it.
fn shape(quick: bool) -> Shape {
    if quick {
        Shape::days(12, Values::Dec2)
    } else {
        Shape::y(Values::Dec2)
    }
}

/// Does one part, in the process that was started for it.
fn part(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [name, size, folder] = words[..] else {
        return Err(format!("a part needs three words, not {words:?}").into());
    };
    let (quick, folder) = (size == "quick", Path::new(folder));
    let shape = shape(quick);
    let measured = match name {
        "time" => write::run(Order::Time, shape, folder, write::options(quick))?,
        "series" => write::run(Order::Series, shape, folder, write::options(quick))?,
        "ask" => ask::run(shape, folder)?,
        "change" => change::run(shape, folder)?,
        "latency" => latency::run(quick, folder)?,
        "churn" => churn::run(quick, folder)?,
        _ => return Err(format!("no part {name:?}").into()),
    };
    child::print(&measured)
}

/// Starts a part on a folder.
fn run(name: &str, quick: bool, folder: &Path) -> Result<Measured> {
    let folder = folder.to_str().ok_or("the folder's name is not UTF-8")?;
    child::run(&[name, if quick { "quick" } else { "full" }, folder])
}

/// Writes Y both ways, quick ones in turn and several times; leaves both databases.
fn write_both(folder: &Path, quick: bool) -> Result<Measured> {
    let names = ["time", "series"];
    let mut runs = [Vec::new(), Vec::new()];
    for _ in 0..if quick { 3 } else { 1 } {
        for (name, runs) in names.iter().zip(&mut runs) {
            let data = folder.join(name);
            if data.exists() {
                std::fs::remove_dir_all(&data)?;
            }
            runs.push(run(name, quick, &data)?);
        }
    }
    let [time, series] = runs.map(|runs| medians(&runs));
    let mut measured = Measured::new();
    for (name, figures) in names.iter().zip([&time, &series]) {
        for (what, value) in figures.iter().filter(|(what, _)| *what != "answer_bits") {
            measured.insert(format!("{name}.{what}"), *value);
        }
    }
    let ratio =
        |what| Ok::<f64, treering_benches::Error>(figure(&series, what)? / figure(&time, what)?);
    measured.insert("series_to_time".into(), ratio("write")?);
    measured.insert("series_to_time_cpu".into(), ratio("write_cpu")?);
    println!(
        "sums of the two databases are {} bit for bit",
        if ratio("answer_bits")? == 1.0 {
            "equal"
        } else {
            "not equal"
        }
    );
    Ok(measured)
}
