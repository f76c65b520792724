//! `treering query`: one question in PromQL, from a terminal.
//!
//! Input: an expression, times, the directory of a database, which another process may be writing.
//! Output: the answer as a table, JSON or CSV, or drawn; what the evaluator warns of on standard
//! error, or in the JSON. Nothing is written, made or locked.

use std::io::{self, Write};

use treering::{Db, Options, Reads};
use treering_promql::{Answer, Severity, Value};
use treering_server::failure::{Failure, Kind};
use treering_server::number::NANOS_PER_MILLI;
use treering_server::question::{Question, When};
use treering_server::{features, json};

use crate::chart::{self, Frame};
use crate::cli::{AnswerFormat, Query};
use crate::outcome::{End, Ended, say, sentence};
use crate::table;

pub(crate) fn run(args: &Query) -> Ended {
    told(args).or_else(|failure| {
        if args.format == AnswerFormat::Json {
            say(json::failed(&failure))?;
        }
        Err(failure.text)
    })
}

fn told(args: &Query) -> Result<End, Failure> {
    let when = when(args)?;
    let features = features::parse(&args.features.join(",")).map_err(Failure::bad_data)?;
    let question = Question {
        features,
        ..Question::new(&args.expr, when)
    };
    let expr = question.parse().map_err(Failure::bad_data)?;
    // A failing disk is an error, not a signal.
    let db = Db::open_read_only(&args.db, Options::default().reads(Reads::Pread));
    let db = db.map_err(|error| Failure::new(Kind::Internal, sentence(&error)))?;
    let text = match args.explain {
        true => format!("{}\n", question.explain(&db, &expr)?.to_string().trim_end()),
        false => answered(args, &question, &question.ask(&db, &expr)?)?,
    };
    let wrote = io::stdout().write_all(text.as_bytes());
    wrote.map_err(|error| Failure::new(Kind::Internal, format!("standard output: {error}")))?;
    Ok(End::Clean)
}

/// The text of an answer; what its author should know goes to standard error, or into the JSON.
fn answered(args: &Query, question: &Question, answer: &Answer) -> Result<String, Failure> {
    let warnings = question.notes(answer, Severity::Warning);
    let infos = question.notes(answer, Severity::Info);
    if args.format == AnswerFormat::Json {
        let data = |out: &mut String| json::push_result(out, &answer.value, None);
        return Ok(json::success(data, &warnings, &infos) + "\n");
    }
    let text = match (args.plot, args.format) {
        (true, _) => drawn(&answer.value, question.when)?,
        (false, AnswerFormat::Csv) => table::csv(&answer.value),
        (false, _) => table::aligned(&answer.value),
    };
    for note in warnings.iter().chain(&infos) {
        // When nobody reads it there is nobody to tell.
        let _ = writeln!(io::stderr(), "treering: {note}");
    }
    Ok(text)
}

fn when(args: &Query) -> Result<When, Failure> {
    let whole = |nanos: i64| nanos.div_euclid(NANOS_PER_MILLI) * NANOS_PER_MILLI;
    let now = treering::time::now();
    let Some(start) = args.start else {
        return Ok(When::At(whole(args.time.unwrap_or(now))));
    };
    let end = whole(args.end.unwrap_or(now));
    if end < start {
        return Err(Failure::bad_data("--end must not be before --start"));
    }
    let step = args
        .step
        .unwrap_or_else(|| usual_step(end.saturating_sub(start)));
    Ok(When::Steps { start, end, step })
}

/// About a hundred steps, of whole seconds.
fn usual_step(span: i64) -> i64 {
    const SECOND: i64 = 1_000_000_000;
    (span / 100 / SECOND + 1) * SECOND
}

fn drawn(value: &Value, when: When) -> Result<String, Failure> {
    let Value::Matrix(series) = value else {
        return Err(Failure::bad_data(
            "--plot draws series over time: give --start, or a range such as up[1h]",
        ));
    };
    let step = match when {
        When::At(_) => None,
        When::Steps { step, .. } => Some(step),
    };
    let columns = std::env::var("COLUMNS").ok();
    let columns = columns
        .and_then(|columns| columns.parse().ok())
        .unwrap_or(80);
    Ok(chart::draw(series, step, Frame::of(columns, series.len())))
}
