//! Error: why a query gave no answer.
//!
//! Input: what went wrong where. Output: an error whose text is Prometheus' where it has one.

use std::fmt;

/// The result of evaluating a query.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a query gave no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The query cannot be evaluated over the data that it found.
    Execution(String),
    /// It would hold more samples in memory than it may.
    TooManySamples {
        /// The limit, [`Options::max_samples`](crate::Options::max_samples).
        limit: usize,
    },
    /// It would hold more bytes in memory than it may.
    TooManyBytes {
        /// The limit, [`Options::max_bytes`](crate::Options::max_bytes).
        limit: usize,
    },
    /// It and the other queries of its pool would hold more bytes in memory than they may.
    PoolEmpty {
        /// The limit, that of [`Options::pool`](crate::Options::pool).
        limit: usize,
    },
    /// It was cancelled.
    Cancelled,
    /// It took longer than it may.
    Timeout,
    /// The source refused or failed.
    Source(treering::Error),
}

impl Error {
    pub(crate) fn execution<T>(text: impl Into<String>) -> Result<T> {
        Err(Error::Execution(text.into()))
    }

    /// Whether a limit was reached.
    pub fn is_limit(&self) -> bool {
        match self {
            Error::TooManySamples { .. } | Error::TooManyBytes { .. } | Error::PoolEmpty { .. } => {
                true
            }
            Error::Source(error) => error.is_limit(),
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Execution(text) => f.write_str(text),
            Error::TooManySamples { .. } => f.write_str(
                "query processing would load too many samples into memory in query execution",
            ),
            Error::TooManyBytes { limit } => write!(
                f,
                "query processing would hold more than {limit} bytes in memory in query execution; \
                 ask for fewer series or steps, or raise Options::max_bytes"
            ),
            Error::PoolEmpty { limit } => write!(
                f,
                "the queries under way would hold more than {limit} bytes in memory together; ask \
                 again later, or for fewer series or steps"
            ),
            Error::Cancelled => f.write_str("query was canceled in expression evaluation"),
            Error::Timeout => f.write_str("query timed out in expression evaluation"),
            Error::Source(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Source(error) => Some(error),
            _ => None,
        }
    }
}

impl From<treering::Error> for Error {
    fn from(error: treering::Error) -> Self {
        match error {
            treering::Error::Cancelled => Error::Cancelled,
            treering::Error::Timeout { .. } => Error::Timeout,
            error => Error::Source(error),
        }
    }
}

/// The error of two series that would have the same labels.
pub(crate) const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";
