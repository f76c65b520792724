//! Treering's index: labels to series ids, in memory and as bytes. No I/O.
//!
//! A series is identified by its [`Labels`]. [`MemIndex`] numbers the series of a head while they
//! arrive; [`IndexWriter`] turns sorted labels into the bytes of a block's index, which
//! [`IndexReader`] answers from without rebuilding anything. Both answer [`Selector`]s with
//! [`Postings`], and agree with [`Selector::matches`] for every series.
#![forbid(unsafe_code)]

mod arena;
mod error;
mod fast;
mod format;
mod free;
mod labels;
pub mod limits;
mod lists;
mod matcher;
mod memory;
mod memory_remove;
mod memory_select;
mod pair_lists;
mod pattern;
mod postings;
mod re2;
mod read;
mod read_select;
mod read_series;
mod read_texts;
mod select;
mod selector;
mod setops;
mod stats;
mod symbols;
mod text;
mod transducer;
mod values;
mod verify;
mod write;

pub use error::{Error, Result};
pub use labels::{Labels, LabelsBuilder, METRIC_NAME, SERIES_HASH};
pub use limits::LabelLimits;
pub use matcher::{MatchOp, Matcher};
pub use memory::MemIndex;
pub use postings::{Iter as PostingsIter, Postings, SeriesId};
pub use read::IndexReader;
pub use read_series::LabelsCursor;
pub use selector::Selector;
pub use stats::CardinalityStats;
pub use write::IndexWriter;
