//! Numbers from outside: how long a test runs, and where its choices start.
//!
//! Input: the environment. Output: a number, or none where there is none.

/// A number of the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}
