//! Types of the header: statuses, handles, structs that callers fill or read.
//!
//! Input and output: none; plain data. Invariants: a struct of options or columns begins with its
//! size, has no gaps and only grows at its end; all zero means the defaults. Enumerated arguments
//! are plain integers, as C lets callers pass any number.

use std::ffi::c_char;

/// What a call came to. 0 and 1 are no failures.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum treering_status {
    /// Done.
    TREERING_OK = 0,
    /// There is nothing more to hand out.
    TREERING_END = 1,
    /// An argument makes no sense: a null pointer, a misaligned one, a length that cannot be, text
    /// that is not UTF-8, a number outside its range.
    TREERING_ERROR_ARGUMENT = 2,
    /// A handle is null, was closed or freed before, or is of another kind.
    TREERING_ERROR_HANDLE = 3,
    /// Labels or a selector are malformed or too large.
    TREERING_ERROR_LABELS = 4,
    /// A PromQL query is malformed or cannot be evaluated.
    TREERING_ERROR_QUERY = 5,
    /// An option is outside its range.
    TREERING_ERROR_OPTION = 6,
    /// A limit was reached; the message names it and the way out.
    TREERING_ERROR_LIMIT = 7,
    /// The operating system refused a file operation.
    TREERING_ERROR_IO = 8,
    /// The disk is full. Nothing was changed; questions are answered.
    TREERING_ERROR_DISK_FULL = 9,
    /// A file holds bytes that were not written there; the message names file and offset.
    TREERING_ERROR_CORRUPT = 10,
    /// A file was written by a newer release.
    TREERING_ERROR_VERSION = 11,
    /// An earlier failure stopped all writes: close the database and open it again.
    TREERING_ERROR_POISONED = 12,
    /// Another open, of this or another process, writes to the database.
    TREERING_ERROR_LOCKED = 13,
    /// The directory holds no database.
    TREERING_ERROR_NOT_A_DATABASE = 14,
    /// The database was closed while the call was under way.
    TREERING_ERROR_CLOSED = 15,
    /// The database was opened for reading only.
    TREERING_ERROR_READ_ONLY = 16,
    /// A sample is older than its namespace keeps.
    TREERING_ERROR_EXPIRED = 17,
    /// A series handle is of another database, or the database was closed in between.
    TREERING_ERROR_STALE_SERIES = 18,
    /// There is no such namespace.
    TREERING_ERROR_NAMESPACE = 19,
    /// The call was cancelled.
    TREERING_ERROR_CANCELLED = 20,
    /// The query ran longer than it may.
    TREERING_ERROR_TIMEOUT = 21,
    /// The answer has values that columns of doubles cannot hold (native histograms, strings).
    TREERING_ERROR_UNSUPPORTED = 22,
    /// A failure that this release has no number for; the message tells.
    TREERING_ERROR_OTHER = 23,
    /// A defect of the library, stopped at its door. Close what you can and report it.
    TREERING_ERROR_INTERNAL = 24,
}

/// An open database. Any number of threads may use it at once. All zero is null.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct treering_db {
    /// Means nothing to you; 0 is null.
    pub id: u64,
}

/// A series of one database, for appending without naming its labels each time. All zero is null.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct treering_series {
    /// Means nothing to you; 0 is null.
    pub id: u64,
}

/// The answer to a question, handed out series by series. One thread at a time. All zero is null.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct treering_result {
    /// Means nothing to you; 0 is null.
    pub id: u64,
}

/// A text that the library made. All zero is null.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct treering_text {
    /// Means nothing to you; 0 is null.
    pub id: u64,
}

/// Why a call failed. All zero is null.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct treering_error {
    /// Means nothing to you; 0 is null.
    pub id: u64,
}

/// Ends questions from another thread. All zero is null.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct treering_cancel {
    /// Means nothing to you; 0 is null.
    pub id: u64,
}

/// A text that the caller owns, or that the library lends: UTF-8, not ended by a zero byte.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct treering_string {
    /// First byte; may be null when `len` is 0.
    pub text: *const c_char,
    /// Length in bytes.
    pub len: usize,
}

/// One label of a series. The name of a metric is the label `__name__`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct treering_label {
    /// Its name.
    pub name: treering_string,
    /// Its value.
    pub value: treering_string,
}

/// For `treering_options.sync`: what the library thinks best, an interval of 200 ms.
pub const TREERING_SYNC_DEFAULT: i32 = 0;
/// Appends return when they are fsynced; threads share one fsync.
pub const TREERING_SYNC_ALWAYS: i32 = 1;
/// Appends return when the system has them; fsync at least every `sync_interval_ns`.
pub const TREERING_SYNC_INTERVAL: i32 = 2;
/// Appends return when the system has them; it syncs when it likes.
pub const TREERING_SYNC_NEVER: i32 = 3;

/// For `treering_options.reads`: what the library thinks best, memory maps.
pub const TREERING_READS_DEFAULT: i32 = 0;
/// Files are mapped: fastest, but a failing disk can end the process with SIGBUS.
pub const TREERING_READS_MMAP: i32 = 1;
/// Files are read with pread: a failing disk is an error.
pub const TREERING_READS_PREAD: i32 = 2;

/// How a database is opened. Set all of it to zero, then `size` to its `sizeof`, then what you
/// need: a zero is the default. Options are per open; nothing of them is stored.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct treering_options {
    /// `sizeof(treering_options)` of the header that you compile with.
    pub size: usize,
    /// Bytes of heap that the database may hold; at least 8 MiB. 0: a quarter of the machine's.
    pub memory_bytes: u64,
    /// Most series in memory. 0: 10,000,000.
    pub max_series: u64,
    /// Size at which a file of the write-ahead log is closed, 64 KiB to 1 GiB. 0: 64 MiB.
    pub wal_file_bytes: u64,
    /// Size of the whole log at which it is flushed into blocks. 0: 1 GiB.
    pub wal_max_bytes: u64,
    /// Age at which it is flushed, at least one second. 0: two hours.
    pub flush_interval_ns: u64,
    /// Time window of fresh blocks, one minute to ten years. 0: chosen from the data.
    pub block_window_ns: u64,
    /// With TREERING_SYNC_INTERVAL, 1 ms to one hour. 0: 200 ms.
    pub sync_interval_ns: u64,
    /// When an append returns: one of TREERING_SYNC_*.
    pub sync: i32,
    /// How blocks are read: one of TREERING_READS_*.
    pub reads: i32,
    /// Not 0: a missing database is an error. 0: it is made.
    pub must_exist: i32,
    /// Not 0: no threads of the database's own; call treering_flush and treering_compact.
    pub manual_maintenance: i32,
    /// Not 0: compaction writes values smaller still, at slower reading.
    pub entropy_coding: i32,
    /// Threads that large questions may use. 0: as many as the machine gives the process.
    pub query_threads: u32,
}

/// Bounds on one question. Set all of it to zero, then `size`, then what you need.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct treering_query_options {
    /// `sizeof(treering_query_options)` of the header that you compile with.
    pub size: usize,
    /// Most series that it may meet. 0: 10,000,000.
    pub max_series: u64,
    /// Most samples that may be read (PromQL: that may be held). 0: 4,000,000,000 (50,000,000).
    pub max_samples: u64,
    /// Most bytes of working memory (PromQL: and of the answer). 0: 4 GiB (1 GiB).
    pub max_bytes: u64,
    /// Longest run time. 0: 300 s (PromQL: 120 s).
    pub timeout_ns: u64,
    /// PromQL only: how long a sample counts as current. 0: 300 s.
    pub lookback_ns: u64,
    /// Ends it from another thread. Null: nobody does.
    pub cancel: treering_cancel,
}

/// How many samples.
pub const TREERING_COUNT: i32 = 1;
/// The sum, compensated.
pub const TREERING_SUM: i32 = 2;
/// The smallest value; NaN only where there is no other.
pub const TREERING_MIN: i32 = 3;
/// The largest value; NaN only where there is no other.
pub const TREERING_MAX: i32 = 4;
/// The sum divided by the count.
pub const TREERING_AVG: i32 = 5;
/// The earliest value.
pub const TREERING_FIRST: i32 = 6;
/// The latest value.
pub const TREERING_LAST: i32 = 7;
/// The standard deviation of the population.
pub const TREERING_STDDEV: i32 = 8;
/// The quantile of rank `quantile`.
pub const TREERING_QUANTILE: i32 = 9;
/// The increase of a counter between the first and the last sample of a window.
pub const TREERING_INCREASE: i32 = 10;
/// The increase divided by the width of the window in seconds.
pub const TREERING_RATE: i32 = 11;

/// Each series by itself.
pub const TREERING_EACH: i32 = 0;
/// One group for each combination of values of the labels in `names`; without names, one of all.
pub const TREERING_BY: i32 = 1;
/// One group for each combination of values of all labels but those in `names`.
pub const TREERING_WITHOUT: i32 = 2;

/// What treering_aggregate computes. Set all of it to zero, then `size`, then what you need.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct treering_aggregation {
    /// `sizeof(treering_aggregation)` of the header that you compile with.
    pub size: usize,
    /// What to compute: one of TREERING_COUNT to TREERING_RATE.
    pub function: i32,
    /// How series are put together: TREERING_EACH, TREERING_BY or TREERING_WITHOUT.
    pub grouping: i32,
    /// For TREERING_QUANTILE: the rank, 0 to 1.
    pub quantile: f64,
    /// A window every so many nanoseconds; the first ends at `first - 1 + step_ns`, so begin the
    /// range one nanosecond after a round time for windows that end at round times. 0: one window
    /// of the whole range, named by its end.
    pub step_ns: u64,
    /// Width of a window. 0: as wide as the step.
    pub window_ns: u64,
    /// Labels to group by.
    pub names: *const treering_string,
    /// How many.
    pub names_len: usize,
    /// No more than so many series or groups, those with the largest values. 0: all.
    pub top: usize,
    /// No more than so many series or groups, those with the smallest values. 0: all.
    pub bottom: usize,
}

/// One series of an answer. Set all of it to zero, then `size`. What it points to is lent: it is
/// good until the next call for this result, and never after the result is freed.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct treering_columns {
    /// `sizeof(treering_columns)` of the header that you compile with.
    pub size: usize,
    /// Its labels, in ascending order of their names.
    pub labels: *const treering_label,
    /// How many labels.
    pub labels_len: usize,
    /// Nanoseconds since the Unix epoch, strictly ascending.
    pub timestamps: *const i64,
    /// The values at these times, bit for bit as they were appended.
    pub values: *const f64,
    /// How many samples.
    pub len: usize,
    /// Not 0: an aggregate over downsampled data that may be off; see the guide.
    pub approximate: i32,
    /// Always 0.
    pub reserved: i32,
}
