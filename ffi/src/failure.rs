//! What a call failed with: a status for programs and a sentence for people.
//!
//! Input: errors of the engine, of PromQL and of the door. Output: one struct, which an error
//! handle owns. Invariant: the sentence ends with a zero byte and has no other.

use std::fmt::Display;

use crate::abi::types::treering_status;
use crate::abi::types::treering_status::{
    TREERING_ERROR_ARGUMENT, TREERING_ERROR_CANCELLED, TREERING_ERROR_CLOSED,
    TREERING_ERROR_CORRUPT, TREERING_ERROR_DISK_FULL, TREERING_ERROR_EXPIRED,
    TREERING_ERROR_HANDLE, TREERING_ERROR_INTERNAL, TREERING_ERROR_IO, TREERING_ERROR_LABELS,
    TREERING_ERROR_LIMIT, TREERING_ERROR_LOCKED, TREERING_ERROR_NAMESPACE,
    TREERING_ERROR_NOT_A_DATABASE, TREERING_ERROR_OPTION, TREERING_ERROR_OTHER,
    TREERING_ERROR_POISONED, TREERING_ERROR_QUERY, TREERING_ERROR_READ_ONLY,
    TREERING_ERROR_STALE_SERIES, TREERING_ERROR_TIMEOUT, TREERING_ERROR_VERSION,
};

/// `Result` with a [`Failure`].
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a call did nothing, or only a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: treering_status,
    /// UTF-8, and a zero byte behind it.
    message: Vec<u8>,
}

impl Failure {
    pub(crate) fn new(status: treering_status, message: impl Display) -> Self {
        // A zero byte would end the sentence for those who read it as C does.
        let mut message = message.to_string().replace('\0', "\\0").into_bytes();
        message.push(0);
        Self { status, message }
    }

    /// An argument that no call can take.
    pub(crate) fn argument(message: impl Display) -> Self {
        Self::new(TREERING_ERROR_ARGUMENT, message)
    }

    /// A handle that is null, closed, or of another kind.
    pub(crate) fn handle(message: impl Display) -> Self {
        Self::new(TREERING_ERROR_HANDLE, message)
    }

    /// A panic, caught at the door.
    pub(crate) fn panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a panic without a message");
        Self::new(
            TREERING_ERROR_INTERNAL,
            format_args!("a defect of the library: {text}; please report it"),
        )
    }

    /// The sentence, without the zero byte.
    pub(crate) fn text(&self) -> &[u8] {
        self.message.split_last().map_or(&[], |(_, text)| text)
    }

    /// The sentence with its zero byte.
    pub(crate) fn text_with_zero(&self) -> &[u8] {
        &self.message
    }
}

impl From<treering::Error> for Failure {
    fn from(error: treering::Error) -> Self {
        Self::new(status_of(&error), error)
    }
}

impl From<treering_promql::Error> for Failure {
    fn from(error: treering_promql::Error) -> Self {
        use treering_promql::Error;
        let status = match &error {
            Error::Execution(_) => TREERING_ERROR_QUERY,
            Error::TooManySamples { .. } | Error::TooManyBytes { .. } | Error::PoolEmpty { .. } => {
                TREERING_ERROR_LIMIT
            }
            Error::Cancelled => TREERING_ERROR_CANCELLED,
            Error::Timeout => TREERING_ERROR_TIMEOUT,
            Error::Source(error) => status_of(error),
            _ => TREERING_ERROR_OTHER,
        };
        Self::new(status, error)
    }
}

impl From<treering_promql::ParseError> for Failure {
    fn from(error: treering_promql::ParseError) -> Self {
        Self::new(TREERING_ERROR_QUERY, error)
    }
}

fn status_of(error: &treering::Error) -> treering_status {
    use treering::Error;
    match error {
        Error::Io { .. } => TREERING_ERROR_IO,
        Error::DiskFull { .. } => TREERING_ERROR_DISK_FULL,
        Error::Corrupt { .. } => TREERING_ERROR_CORRUPT,
        Error::Version { .. } | Error::Unsupported { .. } => TREERING_ERROR_VERSION,
        Error::Poisoned { .. } => TREERING_ERROR_POISONED,
        Error::Locked { .. } => TREERING_ERROR_LOCKED,
        Error::NotADatabase { .. } => TREERING_ERROR_NOT_A_DATABASE,
        Error::Closed => TREERING_ERROR_CLOSED,
        Error::NoNamespace { .. } => TREERING_ERROR_NAMESPACE,
        Error::ReadOnly => TREERING_ERROR_READ_ONLY,
        Error::Expired { .. } => TREERING_ERROR_EXPIRED,
        Error::StaleRef => TREERING_ERROR_STALE_SERIES,
        Error::Limit(_) => TREERING_ERROR_LIMIT,
        // What is wrong with the row says more than that a row is wrong.
        Error::Rejected(rejection) => status_of(&rejection.reason),
        Error::Labels(_) => TREERING_ERROR_LABELS,
        Error::InvalidOption { .. } => TREERING_ERROR_OPTION,
        Error::InvalidArgument { .. } => TREERING_ERROR_ARGUMENT,
        Error::Cancelled => TREERING_ERROR_CANCELLED,
        Error::Timeout { .. } => TREERING_ERROR_TIMEOUT,
        _ => TREERING_ERROR_OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_with_their_only_zero() {
        let failure = Failure::argument("a \0 in it");
        assert_eq!(failure.text(), b"a \\0 in it");
        assert_eq!(failure.text_with_zero(), b"a \\0 in it\0");
    }

    #[test]
    fn a_refused_row_has_the_status_of_its_reason() {
        let error = treering::Error::Labels(treering::Selector::parse("{").unwrap_err());
        assert_eq!(Failure::from(error).status, TREERING_ERROR_LABELS);
        let error = treering::Error::StaleRef;
        assert_eq!(Failure::from(error).status, TREERING_ERROR_STALE_SERIES);
    }
}
