//! What a call failed with, before it is an exception: made where there is no interpreter.
//!
//! Input: errors of the engine, of PromQL and of Arrow. Output: an exception of `treering._errors`
//! whose class tells what programs must know and whose text tells people the rest.

use std::fmt::Display;

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// `Result` with a [`Failure`].
pub(crate) type Outcome<T, E = Failure> = Result<T, E>;

/// Why a call did nothing, or only a part.
#[derive(Debug)]
pub(crate) struct Failure(Box<Inner>);

#[derive(Debug)]
enum Inner {
    /// Class in `treering._errors`, sentence, and what programs may want of it by name.
    Ours(&'static str, String, Vec<(&'static str, Detail)>),
    /// An exception that Python already has.
    Python(PyErr),
}

/// A fact beside the sentence.
#[derive(Debug)]
enum Detail {
    Text(String),
    Number(u64),
}

impl Failure {
    /// A failure of the class `class` of `treering._errors`.
    pub(crate) fn new(class: &'static str, text: impl Display) -> Self {
        Self::detailed(class, text, Vec::new())
    }

    fn detailed(
        class: &'static str,
        text: impl Display,
        details: Vec<(&'static str, Detail)>,
    ) -> Self {
        Self(Box::new(Inner::Ours(class, text.to_string(), details)))
    }

    /// A value that makes no sense.
    pub(crate) fn value(text: impl Display) -> Self {
        PyValueError::new_err(text.to_string()).into()
    }

    /// An object of a kind that is not taken.
    pub(crate) fn kind(text: impl Display) -> Self {
        PyTypeError::new_err(text.to_string()).into()
    }

    /// A number that does not fit.
    pub(crate) fn overflow(text: impl Display) -> Self {
        PyOverflowError::new_err(text.to_string()).into()
    }

    /// A panic, caught at the door.
    pub(crate) fn panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a panic without a message");
        let text = format!("a defect of the library: {text}; please report it");
        Self::new("InternalError", text)
    }

    /// The exception.
    pub(crate) fn raise(self, py: Python<'_>) -> PyErr {
        match *self.0 {
            Inner::Python(error) => error,
            Inner::Ours(class, text, details) => {
                made(py, class, &text, details).unwrap_or_else(|error| error)
            }
        }
    }
}

/// The sentence alone.
impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &*self.0 {
            Inner::Ours(_, text, _) => f.write_str(text),
            Inner::Python(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

fn made(
    py: Python<'_>,
    class: &str,
    text: &str,
    details: Vec<(&'static str, Detail)>,
) -> PyResult<PyErr> {
    let class = py.import("treering._errors")?.getattr(class)?;
    let named = PyDict::new(py);
    for (name, detail) in details {
        match detail {
            Detail::Text(text) => named.set_item(name, text)?,
            Detail::Number(number) => named.set_item(name, number)?,
        }
    }
    Ok(PyErr::from_value(class.call((text,), Some(&named))?))
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self(Box::new(Inner::Python(error)))
    }
}

impl From<treering::Error> for Failure {
    fn from(error: treering::Error) -> Self {
        let details = details_of(&error);
        Self::detailed(class_of(&error), error, details)
    }
}

impl From<treering_promql::Error> for Failure {
    fn from(error: treering_promql::Error) -> Self {
        use treering_promql::Error;
        let class = match error {
            Error::Execution(_) => "QueryError",
            Error::Cancelled => "CancelledError",
            Error::Timeout => "QueryTimeoutError",
            Error::Source(error) => return error.into(),
            ref error if error.is_limit() => "LimitError",
            _ => "Error",
        };
        Self::new(class, error)
    }
}

impl From<treering_promql::ParseError> for Failure {
    fn from(error: treering_promql::ParseError) -> Self {
        Self::new("QueryError", error)
    }
}

impl From<arrow_schema::ArrowError> for Failure {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::new("FrameError", error)
    }
}

fn class_of(error: &treering::Error) -> &'static str {
    use treering::Error;
    match error {
        Error::Io { .. } => "DiskError",
        Error::DiskFull { .. } => "DiskFullError",
        Error::Corrupt { .. } => "CorruptError",
        Error::Version { .. } | Error::Unsupported { .. } => "VersionError",
        Error::Poisoned { .. } => "PoisonedError",
        Error::Locked { .. } => "LockedError",
        Error::NotADatabase { .. } => "NotADatabaseError",
        Error::Closed => "ClosedError",
        Error::NoNamespace { .. } => "NamespaceError",
        Error::ReadOnly => "ReadOnlyError",
        Error::Expired { .. } => "ExpiredError",
        Error::StaleRef => "StaleSeriesError",
        Error::Limit(_) => "LimitError",
        // What is wrong with the row says more than that a row is wrong.
        Error::Rejected(rejection) => class_of(&rejection.reason),
        Error::Labels(error) if error.is_limit() => "LimitError",
        Error::Labels(_) => "LabelError",
        Error::InvalidOption { .. } | Error::InvalidArgument { .. } => "ArgumentError",
        Error::Cancelled => "CancelledError",
        Error::Timeout { .. } => "QueryTimeoutError",
        _ => "Error",
    }
}

fn details_of(error: &treering::Error) -> Vec<(&'static str, Detail)> {
    use treering::Error;
    match error {
        Error::Corrupt { file, offset, .. } => vec![
            ("file", Detail::Text(file.display().to_string())),
            ("offset", Detail::Number(*offset)),
        ],
        Error::Limit(limit) => vec![
            ("limit", Detail::Text(limit.limit.to_owned())),
            ("value", Detail::Number(limit.value)),
        ],
        Error::Rejected(rejection) => details_of(&rejection.reason),
        _ => Vec::new(),
    }
}
