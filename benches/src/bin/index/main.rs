//! The index: a million series in the heads, in one block, in twelve, after hours of churn; ten
//! million.
//!
//! Input: the labels of workload HC, a sample or two of each series. Output: milliseconds of look-ups
//! (medians), series a second, memory. Each part runs in a process of its own; the numbers of series
//! and values found are held against a plain scan of the names, a wrong one fails the bench. With
//! words (`heads one twelve churn ten_million`) only those parts run and no targets are held.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints and times"
)]

mod ask;
mod fill;

use treering_benches::child::{self, Measured};
use treering_benches::report::{Report, Wish};
use treering_benches::{Result, process};

use crate::fill::{Filled, Plan};

/// Every part: where the series are.
const PARTS: [&str; 5] = ["heads", "one", "twelve", "churn", "ten_million"];

fn main() -> Result<()> {
    if let Some(words) = child::part() {
        let [part, size] = &words[..] else {
            return Err(format!("a part needs two words, not {words:?}").into());
        };
        return child::print(&run(part, size == "quick")?);
    }
    let wish = Wish::of_process()?;
    let size = if wish.quick { "quick" } else { "full" };
    let mut report = Report::new("index")?;
    let is_whole = wish.words.is_empty();
    for part in PARTS {
        if !is_whole && !wish.words.iter().any(|word| word == part) {
            continue;
        }
        println!("\n{part}");
        for (what, value) in child::run(&[part, size])? {
            match is_whole {
                true => report.tell(&format!("index.{part}.{what}"), value)?,
                false => println!("index.{part}.{what} {value}"),
            }
        }
    }
    if is_whole {
        report.finish(&wish)?;
    }
    Ok(())
}

/// One part, in the process that was started for it.
fn run(part: &str, quick: bool) -> Result<Measured> {
    let folder = tempfile::tempdir()?;
    println!("files in {}", process::file_system(folder.path())?);
    let smaller = |hosts: u32| if quick { hosts / 20 } else { hosts };
    let hosts = smaller(100_000);
    let plan = match part {
        "heads" => Plan::of(hosts).in_heads(),
        "one" => Plan::of(hosts),
        "twelve" => Plan::of(hosts).flushed_often(12),
        "churn" => Plan::of(hosts).flushed_often(6).churning(),
        "ten_million" => Plan::of(smaller(1_000_000)),
        _ => return Err(format!("no part {part:?}").into()),
    };
    let Filled { db, mut measured } = fill::fill(folder.path(), &plan)?;
    measured.extend(ask::ask(&db, &plan)?);
    println!("RSS {} MB in the end", process::rss_bytes()? >> 20);
    db.close()?;
    Ok(measured)
}
