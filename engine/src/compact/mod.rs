//! Compaction: blocks of many flushes into fewer ones, without what was deleted or overwritten.

mod merge;
mod plan;
mod run;
mod windows;

pub(crate) use run::{all, step, too_old};
pub(crate) use windows::choose_base;
