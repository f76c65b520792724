//! Compaction: blocks of many flushes into fewer ones.

mod merge;
