//! Treering: an embedded time-series storage engine. A database is a directory; a program opens it,
//! appends labelled samples, and asks questions that span minutes or years.
#![doc = include_str!("../../README.md")]
#![deny(unsafe_code)]

mod admin;
mod append;
mod background;
mod batch;
mod block;
mod clock;
mod compact;
mod db;
mod directory;
mod error;
mod export;
mod extras;
mod flush;
mod follow;
mod frames;
mod freeze;
mod head;
mod ingest;
mod leftovers;
pub mod limits;
mod manifest;
mod memory;
mod metadata;
mod namespace;
mod options;
mod poison;
mod publish;
mod query;
mod questions;
mod recover;
mod registry;
mod repair;
mod replay;
mod reserve;
mod shared;
mod snapshot;
mod source;
mod space;
mod stats;
mod sync;
mod tagged;
#[cfg(feature = "testing")]
pub mod testing;
mod tidy;
mod tombstone;
mod verify;
pub mod vfs;
mod view;
mod wal;
mod watch;

pub use admin::NamespaceInfo;
pub use append::Appended;
pub use batch::{Batch, IntoSeries, SeriesRef};
pub use db::Db;
pub use error::{Error, LimitReached, Rejection, Result};
pub use export::{Export, ExportedChunk};
pub use frames::{Change, Frame, Frames, NamespaceKey};
pub use metadata::{Metadata, MetricKind};
pub use namespace::options::{Downsample, NamespaceOptions};
pub use options::{Maintenance, Options, QueryLimits, Reads, Sync};
pub use query::aggregate::{Aggregate, AggregatedSeries, Function, Point};
pub use query::group::Grouping;
pub use query::guard::CancelToken;
pub use query::select::SeriesSet;
pub use query::series::{Columns, Samples, Series};
pub use questions::{Latest, Query};
pub use recover::{RecoveryReport, WalCut};
pub use repair::{Loss, RepairReport, repair};
pub use snapshot::{SnapshotReport, restore};
pub use source::{ReadSize, SampleColumns, Source, SourceParts, SourceSeries, SourceSet};
pub use stats::{BlockBytesTotal, DbStats};
pub use treering_codec::{
    CUSTOM_SCHEMA, Histogram, MAX_SCHEMA, MIN_SCHEMA, ResetHint, STALE_MARKER_BITS, Sample,
    is_stale, stale_marker,
};
pub use treering_index::{
    CardinalityStats, LabelLimits, Labels, LabelsBuilder, MatchOp, Matcher, Rewrite, SERIES_HASH,
    Selector, labels,
};
pub use verify::{Problem, VerifyReport};
pub use watch::{Update, Watch};

/// Time: the clock seam, and timestamps from the units that programs have.
pub mod time {
    #[cfg(feature = "testing")]
    pub use crate::clock::ManualClock;
    pub use crate::clock::{
        Clock, SystemClock, from_millis, from_secs, from_system_time, now, to_system_time,
    };
}
