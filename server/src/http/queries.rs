//! Queries over HTTP: `/api/v1/query` and `/api/v1/query_range`.
//!
//! Input: requests. Output: answers in Prometheus' envelope. Invariant: parameters are looked at in
//! Prometheus' order, so that of several that make no sense the same one is told.

use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::response::Response;
use treering::{CancelToken, Db};
use treering_promql::{Severity, Value};

use super::door::Door;
use super::params::Params;
use super::reply;
use crate::failure::Failure;
use crate::json::{self, Took};
use crate::number::NANOS_PER_MILLI;
use crate::question::{Question, When};
use crate::times::parse_duration;

/// Most steps of a range, the first one apart.
const MOST_STEPS: i64 = 11_000;

/// `/api/v1/query`.
pub(crate) async fn instant(State(door): State<Door>, request: Request) -> Response {
    reply::of(ask(&door, request, asked_at).await)
}

/// `/api/v1/query_range`.
pub(crate) async fn range(State(door): State<Door>, request: Request) -> Response {
    reply::of(ask(&door, request, asked_over).await)
}

async fn ask(
    door: &Door,
    request: Request,
    when: fn(&Params) -> Result<When, Failure>,
) -> Result<String, Failure> {
    let params = Params::of(request).await?;
    let limit = params.limit()?;
    let when = when(&params)?;
    let timeout = params.timeout()?;
    let lookback = params.lookback()?;
    let cancel = CancelToken::new();
    let stats = params.first("stats").to_owned();
    let question = Question {
        features: door.features(),
        lookback,
        pool: Some(door.pool()),
        cancel: cancel.clone(),
        ..Question::new(params.first("query"), when)
    };
    let work = move |db: &Db, left, queued| {
        let question = Question {
            timeout: left,
            ..question
        };
        answer(db, &question, limit, &stats, queued)
    };
    door.ask(timeout, &cancel, work).await
}

/// The time of an instant query; now, where there is none.
fn asked_at(params: &Params) -> Result<When, Failure> {
    Ok(When::At(params.time_or("time", treering::time::now())?))
}

fn asked_over(params: &Params) -> Result<When, Failure> {
    let (start, end) = (params.time("start")?, params.time("end")?);
    if end < start {
        let why = "end timestamp must not be before start time";
        return Err(Failure::parameter("end", why));
    }
    let step = parse_duration(params.first("step"));
    let step = step.map_err(|why| Failure::parameter("step", why))?;
    // Steps are whole milliseconds.
    let step = step / NANOS_PER_MILLI * NANOS_PER_MILLI;
    if step <= 0 {
        let why = "zero or negative query resolution step widths are not accepted. Try a \
                   positive integer";
        return Err(Failure::parameter("step", why));
    }
    if end.saturating_sub(start) / step > MOST_STEPS {
        return Err(Failure::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the \
             query resolution (?step=XX)",
        ));
    }
    Ok(When::Steps { start, end, step })
}

fn answer(
    db: &Db,
    question: &Question,
    limit: usize,
    stats: &str,
    queued: Duration,
) -> Result<String, Failure> {
    let began = Instant::now();
    let expr = question.parse();
    let expr = expr.map_err(|why| Failure::parameter("query", why))?;
    let mut answer = question.ask(db, &expr)?;
    let mut warnings = question.notes(&answer, Severity::Warning);
    let infos = question.notes(&answer, Severity::Info);
    if truncate(&mut answer.value, limit) {
        warnings.push(TRUNCATED.to_owned());
    }
    if !matches!(stats, "" | "true" | "all") {
        let note = format!("stats={stats} is deprecated; use stats=true or stats=all");
        warnings.push(note);
    }
    let took = Took {
        queued,
        evaluated: began.elapsed(),
    };
    let stats = (!stats.is_empty()).then_some((&answer.stats, &took));
    let data = |out: &mut String| json::push_result(out, &answer.value, stats);
    Ok(json::success(data, &warnings, &infos))
}

/// The warning of an answer that was cut.
pub(crate) const TRUNCATED: &str = "results truncated due to limit";

/// Cuts a result to so many series, 0 for all; whether anything went.
fn truncate(value: &mut Value, limit: usize) -> bool {
    let series = match value {
        Value::Vector(samples) => samples.len(),
        Value::Matrix(series) => series.len(),
        Value::Scalar(..) | Value::String(..) => return false,
    };
    if limit == 0 || series <= limit {
        return false;
    }
    match value {
        Value::Vector(samples) => samples.truncate(limit),
        Value::Matrix(series) => series.truncate(limit),
        Value::Scalar(..) | Value::String(..) => {}
    }
    true
}
