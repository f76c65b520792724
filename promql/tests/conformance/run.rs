//! Running: the commands of a script, one after the other, against the evaluator.
//!
//! Input: a script. Output: how many questions were asked, and what came out wrong. Invariant:
//! an instant question is asked in all the ways in which upstream asks it: at its time, with
//! `@` at five other times, and each of these as the middle step of a range query.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use treering_promql::{
    Answer, Evaluator, Expr, Features, Options, SampleValue, Severity, Value, parse,
};

use super::compare;
use super::rewrite;
use super::script::{self, CommandKind, Eval, Steps, What, When};
use super::store::Store;

const MINUTE: i64 = 60_000_000_000;

/// How the questions of one script were answered.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) asked: usize,
    /// Line, question, and what is wrong with the answer.
    pub(crate) misses: Vec<(usize, String, String)>,
}

/// Makes a store without samples.
pub(crate) type Make = fn() -> Store;

/// Runs a whole script from a file.
pub(crate) fn script(path: &Path, make: Make) -> Report {
    let text = std::fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    run(&text, make).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a whole script.
pub(crate) fn run(text: &str, make: Make) -> Result<Report, String> {
    let commands = script::read(text)?;
    let mut report = Report::default();
    let mut store = make();
    for command in commands {
        match command.kind {
            CommandKind::Clear => store = make(),
            CommandKind::Load(load) => store.load(&load),
            CommandKind::Eval(mut eval) => {
                if !store.compares_histograms() {
                    eval.expect_no_comparison();
                }
                report.asked += 1;
                let asked = catch_unwind(AssertUnwindSafe(|| ask(&store, &eval)));
                let wrong = match asked {
                    Ok(Ok(())) => continue,
                    Ok(Err(wrong)) => wrong,
                    Err(_) => "the evaluator panicked".to_owned(),
                };
                report.misses.push((command.line, eval.text, wrong));
            }
        }
    }
    Ok(report)
}

/// The switches and limits that Prometheus' scripts assume.
fn evaluator(store: &Store) -> Evaluator<'_> {
    Evaluator::new(store).options(Options {
        lookback: Duration::from_secs(300),
        default_step: Duration::from_secs(60),
        max_samples: 10_000,
        features: Features::all(),
        ..Options::default()
    })
}

fn ask(store: &Store, eval: &Eval) -> Result<(), String> {
    let expr = match parse(&eval.text, &Features::all()) {
        Ok(expr) => expr,
        Err(error) if eval.has(What::Fail) => return compare::failure(eval, &error.to_string()),
        Err(error) => return Err(error.to_string()),
    };
    match eval.when {
        When::Steps(steps) => {
            let answer = evaluator(store).range(&expr, steps.start, steps.end, steps.step);
            let answer = answer.map_err(|error| error.to_string());
            check(eval, answer, Some(steps)).map(|_| ())
        }
        When::At(time) => {
            at(store, eval, &expr, time)?;
            let Some(fixed) = rewrite::at(&expr, time) else {
                return Ok(());
            };
            let printed = fixed.to_string();
            parse(&printed, &Features::all()).map_err(|error| format!("{printed}: {error}"))?;
            let second = 1_000_000_000;
            let others = match time {
                0 => vec![-second, 0, second],
                _ => vec![-10 * time, 0, time / 5_000_000 * 1_000_000, time, 10 * time],
            };
            for other in others {
                let wrong = |error| format!("{printed} at {}: {error}", other / 1_000_000);
                at(store, eval, &fixed, other).map_err(wrong)?;
            }
            Ok(())
        }
    }
}

/// An instant query, and the same as a step of a range query.
fn at(store: &Store, eval: &Eval, expr: &Expr, time: i64) -> Result<(), String> {
    let answer = evaluator(store).instant(expr, time);
    let answer = answer.map_err(|error| error.to_string());
    let Some(answer) = check(eval, answer, eval.matrix)? else {
        return Ok(());
    };
    let is_scalar = match answer.value {
        Value::Scalar(..) => true,
        Value::Vector(_) => false,
        Value::String(..) | Value::Matrix(_) => return Ok(()),
    };
    if eval.has(What::Ordered) || rewrite::knows_its_steps(expr) {
        return Ok(());
    }
    middle_step(store, eval, expr, time, is_scalar)
        .map_err(|error| format!("as a range query: {error}"))
}

fn middle_step(
    store: &Store,
    eval: &Eval,
    expr: &Expr,
    time: i64,
    is_scalar: bool,
) -> Result<(), String> {
    let answer = evaluator(store).range(expr, time - MINUTE, time + MINUTE, MINUTE);
    let answer = answer.map_err(|error| error.to_string())?;
    let Value::Matrix(series) = &answer.value else {
        return Err("no matrix".to_owned());
    };
    compare::is_sorted(series)?;
    let mut samples = vec![];
    for series in series {
        let at_time = series.samples.iter().find(|(at, _)| *at == time);
        samples.extend(at_time.map(|(_, value)| (&series.labels, value)));
    }
    match (is_scalar, samples.first()) {
        (true, Some((_, SampleValue::Float(number)))) => compare::scalar(eval, *number),
        (true, _) => Err("no number".to_owned()),
        (false, _) => compare::vector(eval, &samples, false),
    }
}

/// Compares an answer with all that is expected; gives it back where it is one.
fn check(
    eval: &Eval,
    answer: Result<Answer, String>,
    steps: Option<Steps>,
) -> Result<Option<Answer>, String> {
    let answer = match answer {
        Ok(_) if eval.has(What::Fail) => return Err("it did not fail".to_owned()),
        Ok(answer) => answer,
        Err(error) if eval.has(What::Fail) => {
            return compare::failure(eval, &error).map(|()| None);
        }
        Err(error) => return Err(error),
    };
    let texts = |severity| answer.annotations.texts(severity, &eval.text);
    compare::annotations(eval, What::Warn, &texts(Severity::Warning))?;
    compare::annotations(eval, What::Info, &texts(Severity::Info))?;
    compare::value(eval, &answer.value, steps)?;
    Ok(Some(answer))
}
