//! Questions: which series, their samples, aggregates of them.
//!
//! Input: a view and a selector. `select` plans (which series, where), `run` is a piece of a series,
//! `merge` joins pieces, `aggregate` (with `window` and `group`) computes, `guard` counts what a
//! query uses. Nothing here writes.

pub(crate) mod aggregate;
pub(crate) mod group;
pub(crate) mod guard;
pub(crate) mod holes;
pub(crate) mod labels;
pub(crate) mod merge;
pub(crate) mod run;
pub(crate) mod select;
pub(crate) mod window;
