//! Options of evaluation.
//!
//! Input: what an embedder wants. Output: what the evaluator goes by. Invariant: the defaults are
//! those of Prometheus 3.14.

use std::time::Duration;

use treering::CancelToken;

use crate::pool::Pool;
use crate::syntax::Features;

/// How queries are evaluated, and how much they may take.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a sample counts as current.
    pub lookback: Duration,
    /// The distance of a subquery's steps where it gives none.
    pub default_step: Duration,
    /// The most samples that a query may hold in memory, as Prometheus counts them: those that it
    /// has read of a series and those of all results so far; a histogram counts for several.
    pub max_samples: usize,
    /// The most bytes that a query may hold in memory, its answer included. What the source holds
    /// while it decodes has a limit there.
    pub max_bytes: usize,
    /// What all queries that are given this pool may hold in memory together, in bytes; one that
    /// would hold more ends with [`Error::PoolEmpty`](crate::Error::PoolEmpty). `None`: nothing is
    /// shared.
    pub pool: Option<Pool>,
    /// The longest that a query may take; it ends with [`Error::Timeout`](crate::Error::Timeout).
    pub timeout: Duration,
    /// Ends the query from another thread, with [`Error::Cancelled`](crate::Error::Cancelled).
    pub cancel: CancelToken,
    /// What of the language is switched on; evaluation looks at delayed name removal and at start
    /// timestamps, the parser at the rest.
    pub features: Features,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            default_step: Duration::from_secs(60),
            max_samples: 50_000_000,
            max_bytes: 1 << 30,
            pool: None,
            timeout: Duration::from_secs(120),
            cancel: CancelToken::new(),
            features: Features::default(),
        }
    }
}
