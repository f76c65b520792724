//! Labels and selectors, from what Python programs write.
//!
//! Input: dicts, texts. Output: `Labels` and `Selector`, checked. A text that is not UTF-8 cannot
//! come in: Python refuses lone surrogates when it is read.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString};
use treering::{Labels, Selector};

use crate::failure::{Failure, Outcome};

/// Most labels that a call looks at: far above every limit of a series.
const MOST_LABELS: usize = 1024;

/// Labels from a mapping of names to values, or from a text such as `cpu{host="a"}`.
pub(crate) fn labels_of(labels: &Bound<'_, PyAny>) -> Outcome<Labels> {
    if let Ok(text) = labels.cast::<PyString>() {
        return Labels::parse(text.to_str()?).map_err(engine);
    }
    let pairs = match labels.cast::<PyDict>() {
        Ok(dict) => pairs_of(dict)?,
        Err(_) => pairs_of(&dict_of(labels)?)?,
    };
    Labels::from_pairs(pairs).map_err(engine)
}

/// The series that a text such as `cpu{host=~"a.*"}` selects; `None` selects all.
pub(crate) fn selector_of(selector: Option<&Bound<'_, PyAny>>) -> Outcome<Selector> {
    let Some(selector) = selector else {
        return Ok(Selector::all());
    };
    let Ok(text) = selector.cast::<PyString>() else {
        return Err(Failure::kind(
            "a selector is a text, such as 'cpu{host=~\"a.*\"}'; None selects all series",
        ));
    };
    Selector::parse(text.to_str()?).map_err(engine)
}

/// Labels as a dict.
pub(crate) fn labels_to_dict<'py>(py: Python<'py>, labels: &Labels) -> Outcome<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in labels.iter() {
        dict.set_item(name, value)?;
    }
    Ok(dict)
}

/// Names of labels from one text or several.
pub(crate) fn names_of(names: &Bound<'_, PyAny>, what: &str) -> Outcome<Vec<String>> {
    if let Ok(one) = names.cast::<PyString>() {
        return Ok(vec![one.to_str()?.to_owned()]);
    }
    let bad = || Failure::kind(format_args!("{what} is a name or a list of names"));
    let mut all = Vec::new();
    for name in names.try_iter().map_err(|_| bad())? {
        let name = name?;
        let name = name.cast::<PyString>().map_err(|_| bad())?;
        all.push(name.to_str()?.to_owned());
        if all.len() > MOST_LABELS {
            return Err(Failure::value(format_args!(
                "{what} has over {MOST_LABELS} names"
            )));
        }
    }
    Ok(all)
}

fn pairs_of(dict: &Bound<'_, PyDict>) -> Outcome<Vec<(String, String)>> {
    if dict.len() > MOST_LABELS {
        return Err(Failure::value(format_args!(
            "a series cannot have over {MOST_LABELS} labels"
        )));
    }
    let text = |one: &Bound<'_, PyAny>| match one.cast::<PyString>() {
        Ok(text) => Ok(text.to_str()?.to_owned()),
        Err(_) => Err(Failure::kind(
            "labels are texts: the names and the values; write str(value) for other things",
        )),
    };
    dict.iter()
        .map(|(name, value)| Ok((text(&name)?, text(&value)?)))
        .collect()
}

fn dict_of<'py>(labels: &Bound<'py, PyAny>) -> Outcome<Bound<'py, PyDict>> {
    if labels.cast::<PyMapping>().is_err() {
        return Err(Failure::kind(
            "labels are a dict, such as {\"__name__\": \"cpu\", \"host\": \"a\"}, a text such as \
             'cpu{host=\"a\"}', or a SeriesRef of this database",
        ));
    }
    let dict = PyDict::new(labels.py());
    dict.update(labels.cast::<PyMapping>().map_err(PyErr::from)?)?;
    Ok(dict)
}

fn engine(error: impl Into<treering::Error>) -> Failure {
    error.into().into()
}
