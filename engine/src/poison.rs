//! The first failure after which durability cannot be promised: it stops all writes for good.

use std::sync::OnceLock;

use crate::error::{Error, Result};
use std::sync::Arc;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    reason: OnceLock<Arc<str>>,
}

impl Poison {
    /// Refuses when poisoned.
    pub(crate) fn check(&self) -> Result<()> {
        match self.reason.get() {
            Some(reason) => Err(Error::Poisoned {
                reason: Arc::clone(reason),
            }),
            None => Ok(()),
        }
    }

    /// Poisons, unless an earlier failure did; returns the error to hand to the caller.
    pub(crate) fn set(&self, cause: &Error) -> Error {
        self.set_reason(&cause.to_string())
    }

    /// As [`Poison::set`], for a failure that is no error: a thread that panicked.
    pub(crate) fn set_reason(&self, reason: &str) -> Error {
        let reason = self.reason.get_or_init(|| {
            tracing::error!(reason, "writes stopped until the database is opened anew");
            Arc::from(reason)
        });
        Error::Poisoned {
            reason: Arc::clone(reason),
        }
    }
}

/// A failed change of a file: whether all is as it was before, or nothing is known any more.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing changed; the same may be tried again.
    Refused(Error),
    /// What the disk holds is unknown.
    Unknown(Error),
}

impl Failure {
    /// The error to hand to the caller; an unknown state poisons.
    pub(crate) fn report(self, poison: &Poison) -> Error {
        match self {
            Failure::Refused(error) => error,
            Failure::Unknown(error) => poison.set(&error),
        }
    }

    /// The error, where there is nothing yet to poison.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Failure::Refused(error) | Failure::Unknown(error) => error,
        }
    }
}
