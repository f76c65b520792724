//! Questions: select, aggregate, PromQL.
//!
//! Input: a selector or a query, a range of time, bounds. Output: a result handle. Ranges are
//! closed: both ends belong to them.

use std::ffi::c_char;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use treering::{Aggregate, Function, Grouping, Query, QueryLimits, Selector};
use treering_promql::{Evaluator, Features, parse};

use super::types::{
    TREERING_AVG, TREERING_BY, TREERING_COUNT, TREERING_EACH, TREERING_FIRST, TREERING_INCREASE,
    TREERING_LAST, TREERING_MAX, TREERING_MIN, TREERING_QUANTILE, TREERING_RATE, TREERING_STDDEV,
    TREERING_SUM, TREERING_WITHOUT, treering_aggregation, treering_cancel, treering_db,
    treering_error, treering_query_options, treering_result, treering_status,
};
use crate::answer::Answer;
use crate::door::{Out, Place, Slice, Struct, Text, done, texts};
use crate::failure::{Failure, Result};
use crate::object::{Asked, Cancel, Database};
use crate::table::TABLE;

/// The series of `selector`, such as `cpu{host=~"a.*"}`, with samples from `first` to `last`, in
/// label order. Samples are decoded as they are asked for. `options` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_select(
    db: treering_db,
    selector: *const c_char,
    selector_len: usize,
    first: i64,
    last: i64,
    options: *const treering_query_options,
    result: *mut treering_result,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (selector, options, result, error) = unsafe {
        (
            Text::new(selector, selector_len),
            Struct::new(options),
            Out::new(result),
            Out::new(error),
        )
    };
    answered(error, &result, || {
        let (database, bounds) = (Database::of(db.id)?, Bounds::of(&options)?);
        let query = bounds.query(&database);
        let set = query.select(&selector_of(&selector)?, first..=last)?;
        Ok(Answer::of_select(set))
    })
}

/// Computes `what` over the samples of the series of `selector` from `first` to `last`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_aggregate(
    db: treering_db,
    selector: *const c_char,
    selector_len: usize,
    first: i64,
    last: i64,
    what: *const treering_aggregation,
    options: *const treering_query_options,
    result: *mut treering_result,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (selector, what, options, result, error) = unsafe {
        (
            Text::new(selector, selector_len),
            Struct::new(what),
            Struct::new(options),
            Out::new(result),
            Out::new(error),
        )
    };
    answered(error, &result, || {
        let (database, bounds) = (Database::of(db.id)?, Bounds::of(&options)?);
        let what = aggregate_of(&what)?;
        let query = bounds.query(&database);
        let series = query.aggregate(&selector_of(&selector)?, first..=last, &what)?;
        Ok(Answer::of_aggregate(series))
    })
}

/// The value of a PromQL query at `time`: one series for each element of a vector, one without
/// labels for a scalar.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_promql(
    db: treering_db,
    query: *const c_char,
    query_len: usize,
    time: i64,
    options: *const treering_query_options,
    result: *mut treering_result,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (query, options, result, error) = unsafe {
        (
            Text::new(query, query_len),
            Struct::new(options),
            Out::new(result),
            Out::new(error),
        )
    };
    answered(error, &result, || {
        let (database, bounds) = (Database::of(db.id)?, Bounds::of(&options)?);
        let (source, text) = (bounds.query(&database), query.get("query")?);
        let parsed = parse(text, &Features::default())?;
        let evaluator = Evaluator::new(&source).options(bounds.promql());
        Answer::of_promql(evaluator.instant(&parsed, time)?, text)
    })
}

/// The values of a PromQL query at `start`, `start + step` and so on up to `end`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_promql_range(
    db: treering_db,
    query: *const c_char,
    query_len: usize,
    start: i64,
    end: i64,
    step: i64,
    options: *const treering_query_options,
    result: *mut treering_result,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (query, options, result, error) = unsafe {
        (
            Text::new(query, query_len),
            Struct::new(options),
            Out::new(result),
            Out::new(error),
        )
    };
    answered(error, &result, || {
        let (database, bounds) = (Database::of(db.id)?, Bounds::of(&options)?);
        let (source, text) = (bounds.query(&database), query.get("query")?);
        let parsed = parse(text, &Features::default())?;
        let evaluator = Evaluator::new(&source).options(bounds.promql());
        Answer::of_promql(evaluator.range(&parsed, start, end, step)?, text)
    })
}

/// Makes what ends questions from another thread: put it into treering_query_options.cancel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_cancel_new(
    cancel: *mut treering_cancel,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: pointers are null, misaligned or good, as the header asks.
    let (cancel, error) = unsafe { (Out::new(cancel), Out::new(error)) };
    done(error, || {
        let place = cancel.required("cancel")?;
        let id = TABLE.insert(Arc::new(Cancel(treering::CancelToken::new())))?;
        place.set(treering_cancel { id });
        Ok(())
    })
}

/// Ends the questions that have it, also those to come, with TREERING_ERROR_CANCELLED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_cancel_now(
    cancel: treering_cancel,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: the pointer is null, misaligned or good, as the header asks.
    let error = unsafe { Out::new(error) };
    done(error, || {
        TABLE.get::<Cancel>(cancel.id)?.0.cancel();
        Ok(())
    })
}

/// Frees it; questions that have it go on. Null is TREERING_OK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_cancel_free(
    cancel: treering_cancel,
    error: *mut treering_error,
) -> treering_status {
    // SAFETY: the pointer is null, misaligned or good, as the header asks.
    let error = unsafe { Out::new(error) };
    done(error, || match cancel.id {
        0 => Ok(()),
        id => TABLE.remove::<Cancel>(id).map(drop),
    })
}

/// Asks, and puts the answer where the caller wants it.
fn answered(
    error: Out<treering_error>,
    result: &Out<treering_result>,
    ask: impl FnOnce() -> Result<Answer>,
) -> treering_status {
    done(error, || {
        let place: Place<treering_result> = result.required("result")?;
        place.set(treering_result::default());
        let id = TABLE.insert(Arc::new(Asked(Mutex::new(ask()?))))?;
        place.set(treering_result { id });
        Ok(())
    })
}

/// The selector of a text.
pub(super) fn selector_of(text: &Text) -> Result<Selector> {
    let text = text.get("selector")?;
    Ok(Selector::parse(text).map_err(treering::Error::Labels)?)
}

/// The bounds of one question.
struct Bounds {
    limits: QueryLimits,
    promql: treering_promql::Options,
}

impl Bounds {
    fn of(options: &Struct<treering_query_options>) -> Result<Self> {
        let mut bounds = Self {
            limits: QueryLimits::default(),
            promql: treering_promql::Options::default(),
        };
        let Some(given) = options.get()? else {
            return Ok(bounds);
        };
        let Self { limits, promql } = &mut bounds;
        if given.max_series != 0 {
            limits.series = given.max_series;
        }
        if given.max_samples != 0 {
            limits.samples = given.max_samples;
            promql.max_samples = usize::try_from(given.max_samples).unwrap_or(usize::MAX);
        }
        if given.max_bytes != 0 {
            limits.bytes = given.max_bytes;
            promql.max_bytes = usize::try_from(given.max_bytes).unwrap_or(usize::MAX);
        }
        if given.timeout_ns != 0 {
            limits.timeout = Duration::from_nanos(given.timeout_ns);
            promql.timeout = limits.timeout;
        }
        if given.lookback_ns != 0 {
            promql.lookback = Duration::from_nanos(given.lookback_ns);
        }
        if given.cancel != treering_cancel::default() {
            promql.cancel = TABLE.get::<Cancel>(given.cancel.id)?.0.clone();
        }
        Ok(bounds)
    }

    fn query<'a>(&self, database: &'a Database) -> Query<'a> {
        database
            .db
            .query()
            .limits(self.limits)
            .cancel(&self.promql.cancel)
    }

    fn promql(&self) -> treering_promql::Options {
        self.promql.clone()
    }
}

/// What to compute.
fn aggregate_of(what: &Struct<treering_aggregation>) -> Result<Aggregate> {
    what.required()?;
    let Some(what) = what.get()? else {
        return Err(Failure::argument("treering_aggregation is null"));
    };
    let function = match what.function {
        TREERING_COUNT => Function::Count,
        TREERING_SUM => Function::Sum,
        TREERING_MIN => Function::Min,
        TREERING_MAX => Function::Max,
        TREERING_AVG => Function::Avg,
        TREERING_FIRST => Function::First,
        TREERING_LAST => Function::Last,
        TREERING_STDDEV => Function::Stddev,
        TREERING_QUANTILE => Function::Quantile(what.quantile),
        TREERING_INCREASE => Function::Increase,
        TREERING_RATE => Function::Rate,
        other => {
            return Err(Failure::argument(format_args!(
                "function must be one of TREERING_COUNT to TREERING_RATE, not {other}"
            )));
        }
    };
    // SAFETY: who promised the struct promised what it points to, for as long.
    let names = unsafe { Slice::new(what.names, what.names_len) };
    let names: Vec<String> = texts(&names, "names")?
        .into_iter()
        .map(str::to_owned)
        .collect();
    let grouping = match what.grouping {
        TREERING_EACH if names.is_empty() => Grouping::Series,
        TREERING_EACH => {
            return Err(Failure::argument(
                "names are given, but grouping is TREERING_EACH",
            ));
        }
        TREERING_BY => Grouping::By(names),
        TREERING_WITHOUT => Grouping::Without(names),
        other => {
            return Err(Failure::argument(format_args!(
                "grouping must be TREERING_EACH, TREERING_BY or TREERING_WITHOUT, not {other}"
            )));
        }
    };
    let mut aggregate = Aggregate::new(function).grouping(grouping);
    if what.step_ns != 0 {
        aggregate = aggregate.step(Duration::from_nanos(what.step_ns));
    }
    if what.window_ns != 0 {
        aggregate = aggregate.window(Duration::from_nanos(what.window_ns));
    }
    match (what.top, what.bottom) {
        (0, 0) => Ok(aggregate),
        (top, 0) => Ok(aggregate.top(top)),
        (0, bottom) => Ok(aggregate.bottom(bottom)),
        _ => Err(Failure::argument("top and bottom are both given")),
    }
}
