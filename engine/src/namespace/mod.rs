//! Namespaces: series that share retention and resolution.

pub(crate) mod options;
