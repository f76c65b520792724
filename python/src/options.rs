//! Keywords of `open`, of namespaces and of questions, to the engine's options.
//!
//! Input: a dict of keywords. Output: options, unchecked: the engine names what is out of range.
//! Invariant: a keyword that is not known is a `TypeError`, as for any function of Python.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use treering::{Maintenance, NamespaceOptions, Options, QueryLimits, Reads, Sync};

use crate::failure::{Failure, Outcome};
use crate::time::{duration_of, optional_duration};

/// The options of an open.
pub(crate) fn open_options(named: Option<&Bound<'_, PyDict>>) -> Outcome<(Options, QueryLimits)> {
    let mut options = Options::default();
    let mut limits = QueryLimits::default();
    for (name, value) in named.into_iter().flatten() {
        let name: String = name.extract()?;
        if value.is_none() {
            continue;
        }
        options = match name.as_str() {
            "create" => options.create(value.extract()?),
            "sync" => options.sync(sync_of(&value)?),
            "memory_bytes" => options.memory_bytes(value.extract()?),
            "max_series" => options.max_series(value.extract()?),
            "wal_file_bytes" => options.wal_file_bytes(value.extract()?),
            "wal_max_bytes" => options.wal_max_bytes(value.extract()?),
            "wal_keep_bytes" => options.wal_keep_bytes(value.extract()?),
            "flush_interval" => options.flush_interval(duration_of(&value, &name)?),
            "block_window" => options.block_window(duration_of(&value, &name)?),
            "entropy_coding" => options.entropy_coding(value.extract()?),
            "reserve_bytes" => options.reserve_bytes(value.extract()?),
            "reads" => options.reads(one_of(
                &value,
                &name,
                &[("mmap", Reads::Mmap), ("pread", Reads::Pread)],
            )?),
            "maintenance" => options.maintenance(one_of(
                &value,
                &name,
                &[
                    ("background", Maintenance::Background),
                    ("manual", Maintenance::Manual),
                ],
            )?),
            "query_threads" => options.query_threads(value.extract()?),
            "query_timeout" => {
                limits = limits.with_timeout(duration_of(&value, &name)?);
                options
            }
            "query_memory_bytes" => {
                limits = limits.with_bytes(value.extract()?);
                options
            }
            _ => return Err(unknown("open", &name)),
        };
    }
    Ok((options.query_limits(limits), limits))
}

/// How a namespace is kept: `before`, but for what is named; `None` takes a bound away.
pub(crate) fn namespace_options(
    before: NamespaceOptions,
    named: Option<&Bound<'_, PyDict>>,
) -> Outcome<NamespaceOptions> {
    let mut options = before;
    for (name, value) in named.into_iter().flatten() {
        let name: String = name.extract()?;
        let given = Some(&value).filter(|value| !value.is_none());
        options = match name.as_str() {
            "retention" => options.retention(optional_duration(given, &name)?),
            "retention_bytes" => options.retention_bytes(value.extract::<Option<u64>>()?),
            "block_window" => options.block_window(optional_duration(given, &name)?),
            "max_series" => options.max_series(value.extract::<Option<u64>>()?),
            "downsample" => {
                options.downsample.clear();
                steps_of(given)?
                    .into_iter()
                    .fold(options, |options, (after, step)| {
                        options.downsample(after, step)
                    })
            }
            _ => return Err(unknown("a namespace", &name)),
        };
    }
    Ok(options)
}

/// Pairs of an age and a step.
fn steps_of(steps: Option<&Bound<'_, PyAny>>) -> Outcome<Vec<(Duration, Duration)>> {
    let Some(steps) = steps else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    // One more than there may be, which the engine refuses by name.
    for pair in steps
        .try_iter()?
        .take(treering::limits::MAX_DOWNSAMPLES + 1)
    {
        let (after, step): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair?.extract()?;
        all.push((
            duration_of(&after, "downsample")?,
            duration_of(&step, "downsample")?,
        ));
    }
    Ok(all)
}

/// `"always"`, `"never"`, `"interval"`, or the interval.
fn sync_of(value: &Bound<'_, PyAny>) -> Outcome<Sync> {
    let word = value.cast::<PyString>().ok().map(|text| text.to_string());
    Ok(match word.as_deref() {
        Some("always") => Sync::Always,
        Some("never") => Sync::Never,
        Some("interval") => Sync::Interval(Duration::from_millis(200)),
        _ => Sync::Interval(duration_of(value, "sync")?),
    })
}

/// The meaning of one of a few words.
pub(crate) fn one_of<T: Copy>(
    value: &Bound<'_, PyAny>,
    name: &str,
    words: &[(&str, T)],
) -> Outcome<T> {
    let word = value.cast::<PyString>().ok().map(|text| text.to_string());
    let found = words
        .iter()
        .find(|(known, _)| Some(*known) == word.as_deref());
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<String> = words
            .iter()
            .map(|(known, _)| format!("{known:?}"))
            .collect();
        let text = format!("{name} must be one of {}", known.join(", "));
        if word.is_some() {
            Failure::value(text)
        } else {
            Failure::kind(text)
        }
    })
}

pub(crate) fn unknown(call: &str, name: &str) -> Failure {
    Failure::kind(format_args!("{call} has no option {name:?}"))
}
