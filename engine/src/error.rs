//! The one error of the engine: it names the thing, the place and the way out.
//!
//! Cheap to clone, because a poisoned database hands the first failure to every later writer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

/// `Result` with the engine's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in a database.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    Io {
        /// What was tried, as a verb ("read", "rename").
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The disk is full. Nothing was changed; queries go on.
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// A file holds bytes that the engine did not write there.
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Offset in the file of the damage.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A file was written by a version of the engine that this one does not know.
    Version {
        /// The file.
        file: PathBuf,
        /// The format version found in it.
        found: u32,
        /// The newest version that this release reads.
        supported: u32,
    },
    /// A file holds something whole that only a newer release knows.
    Unsupported {
        /// The file.
        file: PathBuf,
        /// Offset in the file.
        offset: u64,
        /// What it is.
        what: String,
    },
    /// An earlier write or fsync failed, so durability can no longer be promised.
    Poisoned {
        /// The first failure.
        reason: Arc<str>,
    },
    /// Another process, or another open in this one, writes to the database.
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as far as is known.
        holder: String,
    },
    /// The directory holds no database and `Options::create` is off, or it holds something else.
    NotADatabase {
        /// The directory.
        path: PathBuf,
        /// Why it was refused.
        why: String,
    },
    /// The database was closed.
    Closed,
    /// There is no namespace of this name, or it was dropped.
    NoNamespace {
        /// The name.
        name: String,
    },
    /// The database was opened for reading only.
    ReadOnly,
    /// A sample is older than its namespace keeps.
    Expired {
        /// The namespace.
        namespace: String,
        /// Time of the sample, in nanoseconds since the Unix epoch.
        timestamp: i64,
        /// The first timestamp that is kept.
        horizon: i64,
    },
    /// A `SeriesRef` of another open, of another namespace, or one that was released was used.
    StaleRef,
    /// A limit was reached; the message names the way out.
    Limit(Box<LimitReached>),
    /// A row of a batch cannot be accepted, so none of the batch was.
    Rejected(Box<Rejection>),
    /// Labels or a selector are malformed.
    Labels(treering_index::Error),
    /// An option has a value outside its range.
    InvalidOption {
        /// The option.
        option: &'static str,
        /// What it must be.
        why: String,
    },
    /// An argument of a call makes no sense.
    InvalidArgument {
        /// The argument.
        argument: &'static str,
        /// What it must be.
        why: String,
    },
    /// Changes were asked for that are not in the WAL any more: a flush moved them into blocks.
    FramesGone {
        /// Sequence of the oldest change that can still be followed.
        oldest: u64,
    },
    /// The query was cancelled through its token.
    Cancelled,
    /// The query ran longer than it may.
    Timeout {
        /// How long it may run.
        limit: Duration,
    },
}

/// Which limit was reached, by what, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitReached {
    /// The name of the limit ("series limit").
    pub limit: &'static str,
    /// Its value.
    pub value: u64,
    /// What reached it.
    pub by: String,
    /// The way out.
    pub hint: &'static str,
}

/// A row that a batch was refused for, or that a partial append left out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rejection {
    /// Index of the first sample of the row in the batch, counted in samples from 0.
    pub row: usize,
    /// How many samples from there on are affected (a column is refused as one).
    pub samples: usize,
    /// Why.
    pub reason: Error,
}

impl Error {
    /// Whether stored bytes are damaged.
    pub fn is_corruption(&self) -> bool {
        matches!(self, Error::Corrupt { .. })
    }

    /// Whether the database refuses writes until it is opened anew.
    pub fn is_poisoned(&self) -> bool {
        matches!(self, Error::Poisoned { .. })
    }

    /// Whether a limit was reached.
    pub fn is_limit(&self) -> bool {
        matches!(self, Error::Limit(_))
    }

    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Error::DiskFull { .. })
    }

    /// Wraps what the operating system said; a full disk gets its own variant.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        if is_full(&source) {
            return Error::DiskFull {
                path: path.to_owned(),
            };
        }
        Error::Io {
            action,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    pub(crate) fn corrupt(file: &Path, offset: u64, what: impl Into<String>) -> Self {
        Error::Corrupt {
            file: file.to_owned(),
            offset,
            what: what.into(),
        }
    }

    /// A decoder's error at `base + offset` of `file`.
    pub(crate) fn codec(file: &Path, base: u64, error: treering_codec::Error) -> Self {
        Error::corrupt(
            file,
            base.saturating_add(error.offset() as u64),
            error.to_string(),
        )
    }

    /// A decoder's error at `base + offset` of `file`, on bytes whose checksum is right: what is
    /// unknown in them is a newer release's.
    pub(crate) fn content(file: &Path, base: u64, error: treering_codec::Error) -> Self {
        match error {
            treering_codec::Error::Unsupported {
                offset,
                what,
                found,
            } => Error::Unsupported {
                file: file.to_owned(),
                offset: base.saturating_add(offset as u64),
                what: format!("{what} {found}"),
            },
            error => Error::codec(file, base, error),
        }
    }

    pub(crate) fn limit(
        limit: &'static str,
        value: u64,
        by: impl Into<String>,
        hint: &'static str,
    ) -> Self {
        Error::Limit(Box::new(LimitReached {
            limit,
            value,
            by: by.into(),
            hint,
        }))
    }
}

/// Whether the system said that the disk or the quota is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io {
                action,
                path,
                source,
            } => {
                write!(f, "cannot {action} {}: {source}", path.display())
            }
            Error::DiskFull { path } => write!(
                f,
                "the disk is full: {} could not grow; free some space, then go on: nothing \
                 acknowledged is lost and queries still answer",
                path.display()
            ),
            Error::Corrupt { file, offset, what } => write!(
                f,
                "{} is damaged at offset {offset}: {what}; nothing was changed: keep what is \
                 there, and restore a copy, or let `repair` save what is intact into another directory",
                file.display()
            ),
            Error::Version {
                file,
                found,
                supported,
            } => write!(
                f,
                "{} has format version {found}; this release reads up to {supported}: open it \
                 with a newer release",
                file.display()
            ),
            Error::Unsupported { file, offset, what } => write!(
                f,
                "{} holds {what} at offset {offset}, which this release does not know: open it \
                 with a newer release",
                file.display()
            ),
            Error::Poisoned { reason } => write!(
                f,
                "an earlier failure stopped all writes ({reason}); queries still answer; close \
                 the database, mend the cause and open it again"
            ),
            Error::Locked { path, holder } => {
                write!(
                    f,
                    "the database is in use: {} is held by {holder}; read beside it with \
                     Db::open_read_only",
                    path.display()
                )
            }
            Error::NotADatabase { path, why } => {
                write!(f, "{} is not a Treering database: {why}", path.display())
            }
            Error::Closed => write!(f, "the database was closed; open it again"),
            Error::NoNamespace { name } => write!(
                f,
                "there is no namespace `{name}` (any more); Db::namespaces lists those there are, \
                 Db::create_namespace makes one"
            ),
            Error::ReadOnly => write!(
                f,
                "the database was opened for reading only, and this is for its writer: do it \
                 through the handle of Db::open"
            ),
            Error::Expired {
                namespace,
                timestamp,
                horizon,
            } => write!(
                f,
                "the sample at {timestamp} ns is older than the namespace `{namespace}` keeps (from \
                 {horizon} ns since the Unix epoch on); raise NamespaceOptions::retention"
            ),
            Error::StaleRef => write!(
                f,
                "the SeriesRef was made by another open or for another namespace, or was released; \
                 ask this handle for it with Db::series"
            ),
            Error::Limit(limit) => {
                write!(
                    f,
                    "{} {} reached by {}; {}",
                    limit.limit, limit.value, limit.by, limit.hint
                )
            }
            Error::Rejected(rejection) => write!(
                f,
                "row {} of the batch is refused, and with it the batch: {}",
                rejection.row, rejection.reason
            ),
            Error::Labels(error) => error.fmt(f),
            Error::InvalidOption { option, why } => write!(f, "Options::{option} {why}"),
            Error::InvalidArgument { argument, why } => write!(f, "{argument} {why}"),
            Error::FramesGone { oldest } => write!(
                f,
                "the changes before {oldest} are not in the WAL any more; take a Db::export and \
                 follow from its sequence, and raise Options::wal_keep_bytes to keep more of them"
            ),
            Error::Cancelled => write!(f, "the query was cancelled"),
            Error::Timeout { limit } => write!(
                f,
                "the query ran longer than {limit:?}; ask for less or raise QueryLimits::timeout"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(&**source),
            Error::Labels(error) => Some(error),
            Error::Rejected(rejection) => Some(&rejection.reason),
            _ => None,
        }
    }
}

impl From<treering_index::Error> for Error {
    fn from(error: treering_index::Error) -> Self {
        Error::Labels(error)
    }
}
