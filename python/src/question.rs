//! Questions of Python: their bounds, and what an aggregate computes.
//!
//! Input: keywords. Output: queries of the engine and answers as rows, found detached from the
//! interpreter. Invariant: a question of the main thread ends with Ctrl-C.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use treering::{Aggregate, Db, Function, Query, QueryLimits, Selector};
use treering_promql::{Evaluator, Features, parse};

use crate::door::interruptible;
use crate::failure::{Failure, Outcome};
use crate::held::Held;
use crate::options::{one_of, unknown};
use crate::rows::{Kind, Row, Rows};
use crate::time::duration_of;
use crate::words::names_of;

/// The bounds of one question. What is not given is as the database was opened.
#[derive(Debug)]
pub(crate) struct Bounds {
    limits: QueryLimits,
    promql: treering_promql::Options,
}

impl Bounds {
    /// Of keywords.
    pub(crate) fn of(held: &Held, named: Option<&Bound<'_, PyDict>>) -> Outcome<Self> {
        let mut limits = held.limits();
        let mut promql = treering_promql::Options::default();
        let wide = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        for (name, value) in named.into_iter().flatten() {
            let name: String = name.extract()?;
            if value.is_none() {
                continue;
            }
            match name.as_str() {
                "max_series" => limits.series = value.extract()?,
                "max_samples" => {
                    limits.samples = value.extract()?;
                    promql.max_samples = wide(limits.samples);
                }
                "max_bytes" => {
                    limits.bytes = value.extract()?;
                    promql.max_bytes = wide(limits.bytes);
                }
                "timeout" => {
                    limits.timeout = duration_of(&value, &name)?;
                    promql.timeout = limits.timeout;
                }
                "lookback" => promql.lookback = duration_of(&value, &name)?,
                _ => return Err(unknown("a question", &name)),
            }
        }
        Ok(Self { limits, promql })
    }

    /// A query of the database within these bounds.
    pub(crate) fn query<'a>(&self, db: &'a Db) -> Query<'a> {
        db.query().limits(self.limits).cancel(&self.promql.cancel)
    }

    fn promql(&self) -> treering_promql::Options {
        self.promql.clone()
    }

    /// Asks, such that Ctrl-C ends the question.
    pub(crate) fn ask<T: Send>(
        &self,
        py: Python<'_>,
        held: &Held,
        ask: impl FnOnce(&Db) -> Outcome<T> + Send,
    ) -> Outcome<T> {
        interruptible(py, &self.promql.cancel, || ask(held.db()?))
    }
}

/// Reads all samples of the series of `selector` in a closed range.
pub(crate) fn select(
    db: &Db,
    bounds: &Bounds,
    selector: &Selector,
    (first, last): (i64, i64),
) -> Outcome<Rows> {
    let mut rows = Vec::new();
    for series in bounds.query(db).select(selector, first..=last)? {
        rows.push(Row::of_series(&series?)?);
    }
    Ok(Rows::new(Kind::Samples, rows))
}

/// The value of a PromQL query at one time.
pub(crate) fn instant(db: &Db, bounds: &Bounds, text: &str, time: i64) -> Outcome<Rows> {
    let parsed = parse(text, &Features::default())?;
    let source = bounds.query(db);
    let answer = Evaluator::new(&source)
        .options(bounds.promql())
        .instant(&parsed, time)?;
    Ok(Rows::of_promql(answer, text))
}

/// The values of a PromQL query at steps from `start` to `end`.
pub(crate) fn range(
    db: &Db,
    bounds: &Bounds,
    text: &str,
    (start, end): (i64, i64),
    step: i64,
) -> Outcome<Rows> {
    let parsed = parse(text, &Features::default())?;
    let source = bounds.query(db);
    let evaluator = Evaluator::new(&source).options(bounds.promql());
    Ok(Rows::of_promql(
        evaluator.range(&parsed, start, end, step)?,
        text,
    ))
}

/// How a PromQL query would be answered.
pub(crate) fn explain(
    db: &Db,
    bounds: &Bounds,
    text: &str,
    (start, end): (i64, i64),
    step: i64,
) -> Outcome<String> {
    let parsed = parse(text, &Features::default())?;
    let source = bounds.query(db);
    let evaluator = Evaluator::new(&source).options(bounds.promql());
    Ok(evaluator.explain(&parsed, start, end, step)?.to_string())
}

/// A step of PromQL.
pub(crate) fn step_of(step: &Bound<'_, PyAny>) -> Outcome<i64> {
    let step = duration_of(step, "step")?;
    i64::try_from(step.as_nanos()).map_err(|_| Failure::overflow("step is longer than 292 years"))
}

/// What an aggregate is to compute, as keywords say.
pub(crate) struct What<'a, 'py> {
    pub(crate) function: &'a Bound<'py, PyAny>,
    pub(crate) quantile: Option<f64>,
    pub(crate) step: Option<&'a Bound<'py, PyAny>>,
    pub(crate) window: Option<&'a Bound<'py, PyAny>>,
    pub(crate) by: Option<&'a Bound<'py, PyAny>>,
    pub(crate) without: Option<&'a Bound<'py, PyAny>>,
    pub(crate) top: Option<usize>,
    pub(crate) bottom: Option<usize>,
}

impl What<'_, '_> {
    /// The aggregate of the engine.
    pub(crate) fn aggregate(&self) -> Outcome<Aggregate> {
        const QUANTILE: Function = Function::Quantile(0.5);
        const FUNCTIONS: [(&str, Function); 11] = [
            ("count", Function::Count),
            ("sum", Function::Sum),
            ("min", Function::Min),
            ("max", Function::Max),
            ("avg", Function::Avg),
            ("first", Function::First),
            ("last", Function::Last),
            ("stddev", Function::Stddev),
            ("quantile", QUANTILE),
            ("increase", Function::Increase),
            ("rate", Function::Rate),
        ];
        let function = match (one_of(self.function, "fn", &FUNCTIONS)?, self.quantile) {
            (Function::Quantile(_), Some(rank)) => Function::Quantile(rank),
            (Function::Quantile(_), None) => {
                return Err(Failure::value(
                    "fn=\"quantile\" needs quantile=, from 0 to 1",
                ));
            }
            (_, Some(_)) => return Err(Failure::value("quantile= is for fn=\"quantile\"")),
            (function, None) => function,
        };
        let mut aggregate = Aggregate::new(function);
        if let Some(step) = self.step {
            aggregate = aggregate.step(duration_of(step, "step")?);
        }
        if let Some(window) = self.window {
            aggregate = aggregate.window(duration_of(window, "window")?);
        }
        aggregate = match (self.by, self.without) {
            (Some(by), None) => aggregate.by(names_of(by, "by")?),
            (None, Some(without)) => aggregate.without(names_of(without, "without")?),
            (None, None) => aggregate,
            (Some(_), Some(_)) => return Err(Failure::value("give by= or without=, not both")),
        };
        match (self.top, self.bottom) {
            (Some(count), None) => Ok(aggregate.top(count)),
            (None, Some(count)) => Ok(aggregate.bottom(count)),
            (None, None) => Ok(aggregate),
            (Some(_), Some(_)) => Err(Failure::value("give top= or bottom=, not both")),
        }
    }
}
