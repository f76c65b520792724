//! Questions: which series, their samples, aggregates of them.
//!
//! Input: a view and a selector. `plan` finds which series and where, `select` hands them out,
//! `series` is one of them and its samples, `run` a piece of it, `hiding` knows what deletes took
//! out of it (its `holes`), `merge` joins pieces, `newest` finds the last sample and `glance` those
//! that statistics tell, `labels` lists names, `aggregate` (with `window` and `group`) computes,
//! `guard` counts what a query uses. Nothing here writes.

pub(crate) mod aggregate;
pub(crate) mod glance;
pub(crate) mod group;
pub(crate) mod guard;
pub(crate) mod hiding;
pub(crate) mod holes;
pub(crate) mod labels;
pub(crate) mod merge;
pub(crate) mod newest;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod select;
pub(crate) mod series;
#[cfg(test)]
mod tests;
pub(crate) mod window;
