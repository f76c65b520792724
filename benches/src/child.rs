//! A part of a bench in a process of its own, so that its memory and CPU time are its own.
//!
//! Input: the words that tell this program which part to run. Output: the figures that the part
//! printed last, by name; the other lines pass through. A part that fails fails the bench.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Result;

/// What a part measured, by name.
pub type Measured = BTreeMap<String, f64>;

/// What begins the line of the figures.
const MARK: &str = "FIGURES ";

/// The first word of a process that runs a part.
const PART: &str = "part";

/// Words of this process behind `part`, when it runs one.
pub fn part() -> Option<Vec<String>> {
    let mut words = std::env::args().skip(1);
    (words.next()? == PART).then(|| words.collect())
}

/// Runs this program again, to do the part that `words` name.
pub fn run(words: &[&str]) -> Result<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(PART).args(words);
    run_command(&mut command, &words.join(" "))
}

/// Runs another program that prints figures as [`print()`] does; `name` stands in errors.
pub fn run_command(command: &mut Command, name: &str) -> Result<Measured> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().ok_or("a child without stdout")?;
    let mut measured = None;
    for line in BufReader::new(out).lines() {
        let line = line?;
        match line.strip_prefix(MARK) {
            Some(figures) => measured = Some(serde_json::from_str(figures)?),
            None => println!("{line}"),
        }
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("{name}: {status}").into());
    }
    measured.ok_or_else(|| format!("{name}: no figures").into())
}

/// Prints the figures of a part for the process that started it.
pub fn print(measured: &Measured) -> Result<()> {
    println!("{MARK}{}", serde_json::to_string(measured)?);
    Ok(())
}

/// A figure of a part, which must be there.
pub fn figure(measured: &Measured, name: &str) -> Result<f64> {
    let value = measured.get(name).copied();
    value.ok_or_else(|| format!("a part left out {name}").into())
}

/// The median of each figure over several runs of one part.
pub fn medians(runs: &[Measured]) -> Measured {
    let names = runs.iter().flat_map(BTreeMap::keys);
    names
        .map(|name| {
            let values = runs.iter().filter_map(|run| run.get(name).copied());
            (name.clone(), median(values.collect()))
        })
        .collect()
}

/// The median, of an even number the upper one; NaN of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Median milliseconds of so many times, after one warm-up.
pub fn median_millis(times: usize, mut question: impl FnMut() -> Result<()>) -> Result<f64> {
    question()?;
    let times = (0..times).map(|_| {
        let start = Instant::now();
        question()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    });
    Ok(median(times.collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_taken_figure_by_figure() {
        let run = |a: f64, b: f64| Measured::from([("a".to_owned(), a), ("b".to_owned(), b)]);
        let of = medians(&[run(1.0, 9.0), run(3.0, 7.0), run(2.0, 8.0)]);
        assert_eq!(of, run(2.0, 8.0));
        assert!(figure(&of, "c").is_err());
        assert!(median(Vec::new()).is_nan());
    }
}
