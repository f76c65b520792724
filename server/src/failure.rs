//! Failures: why there is no answer, in Prometheus' kinds.
//!
//! Input: errors of the evaluator and of the engine. Output: a kind, which has a name and a status
//! of HTTP, and a sentence. Invariant: what the asker did wrong is never told as a fault of the
//! server, nor the other way round.

use std::fmt;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A parameter makes no sense.
    BadData,
    /// The query cannot be evaluated over the data that it found, or reached a limit.
    Execution,
    /// It was cancelled.
    Canceled,
    /// It took longer than it may.
    Timeout,
    /// The server is going down, or has too much to do.
    Unavailable,
    /// The server is at fault.
    Internal,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which kind.
    pub kind: Kind,
    /// What happened, a sentence.
    pub text: String,
}

impl Kind {
    /// Prometheus' `errorType`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::BadData => "bad_data",
            Kind::Execution => "execution",
            Kind::Canceled => "canceled",
            Kind::Timeout => "timeout",
            Kind::Unavailable => "unavailable",
            Kind::Internal => "internal",
        }
    }

    /// The status of an HTTP answer.
    pub fn status(self) -> u16 {
        match self {
            Kind::BadData => 400,
            Kind::Execution => 422,
            // As proxies say that the client closed the connection.
            Kind::Canceled => 499,
            Kind::Timeout | Kind::Unavailable => 503,
            Kind::Internal => 500,
        }
    }
}

impl Failure {
    /// A failure of some kind.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    /// A parameter that makes no sense.
    pub fn bad_data(text: impl Into<String>) -> Self {
        Self::new(Kind::BadData, text)
    }

    /// The parameter `name` makes no sense.
    pub fn parameter(name: &str, why: impl fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter {name:?}: {why}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl From<treering_promql::Error> for Failure {
    fn from(error: treering_promql::Error) -> Self {
        use treering_promql::Error;
        let kind = match &error {
            Error::Cancelled => Kind::Canceled,
            Error::Timeout => Kind::Timeout,
            Error::PoolEmpty { .. } => Kind::Unavailable,
            Error::Source(error) => return error.into(),
            _ => Kind::Execution,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<&treering::Error> for Failure {
    fn from(error: &treering::Error) -> Self {
        use treering::Error;
        let kind = match error {
            Error::Cancelled => Kind::Canceled,
            Error::Timeout { .. } => Kind::Timeout,
            Error::Closed => Kind::Unavailable,
            Error::Limit(_) => Kind::Execution,
            Error::Labels(_) => Kind::BadData,
            _ => Kind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<treering::Error> for Failure {
    fn from(error: treering::Error) -> Self {
        Self::from(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_as_what_they_are() {
        for (error, name, status) in [
            (treering_promql::Error::Cancelled, "canceled", 499),
            (treering_promql::Error::Timeout, "timeout", 503),
            (
                treering_promql::Error::TooManySamples { limit: 1 },
                "execution",
                422,
            ),
            (
                treering_promql::Error::PoolEmpty { limit: 1 },
                "unavailable",
                503,
            ),
            (
                treering_promql::Error::Source(treering::Error::Closed),
                "unavailable",
                503,
            ),
            (
                treering_promql::Error::Source(treering::Error::StaleRef),
                "internal",
                500,
            ),
        ] {
            let failure = Failure::from(error);
            assert_eq!((failure.kind.name(), failure.kind.status()), (name, status));
        }
        let failure = Failure::parameter("time", "why");
        assert_eq!(failure.to_string(), "invalid parameter \"time\": why");
    }
}
